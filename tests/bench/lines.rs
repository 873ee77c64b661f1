//! Lines to measure with: those of the recorded sessions, and what Claude Code had written before
//! they were made fit for a repository.
//!
//! The recorded transcripts were shortened: a long text is cut behind its first characters and ends
//! in `…[1234 characters left out]`. Three quarters of what a session consists of are missing so,
//! and what is left is mostly keys, ids and the beginnings of the same few texts; it compresses 19
//! to 1, four times as well as sessions do. [`AsWritten`] puts texts of the same length in place of
//! what was cut: those of this repository, code and prose, which is what sessions are full of.

use std::fs;
use std::path::{Path, PathBuf};

use regex::bytes::{Captures, Regex};

/// The lines of all recorded transcripts, as they are in the repository.
pub fn recorded() -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for path in files("fixtures/transcripts", "jsonl") {
        // What hooks were given is no transcript.
        if path.file_name().is_none_or(|name| name == "hooks.jsonl") {
            continue;
        }
        let text = fs::read(path).unwrap();
        lines.extend(text.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec));
    }
    lines.retain(|line| line.ends_with(b"\n"));
    assert!(lines.len() > 1000, "the recorded sessions are missing");
    lines
}

/// The recorded lines again and again, without end, as long as they were and each time with ids of
/// their own.
pub struct AsWritten {
    lines: Vec<Vec<u8>>,
    next_line: usize,
    round: u64,
    /// What long texts are filled with, and how much of it is used.
    texts: Vec<char>,
    next_char: usize,
    cut: Regex,
    id: Regex,
}

impl AsWritten {
    pub fn new() -> Self {
        let mut texts = fs::read_to_string("README.md").unwrap();
        for folder in ["src", "tests"] {
            for path in files(folder, "rs") {
                texts.push_str(&fs::read_to_string(path).unwrap());
            }
        }
        Self {
            lines: recorded(),
            next_line: 0,
            round: 0,
            texts: texts.chars().collect(),
            next_char: 0,
            cut: Regex::new(r"(?-u)\xE2\x80\xA6\[([0-9]+) characters left out\]").unwrap(),
            id: Regex::new("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap(),
        }
    }

    /// As a JSON string's content.
    fn fill(&mut self, n_chars: usize) -> Vec<u8> {
        let from = self.next_char;
        self.next_char = (from + n_chars) % self.texts.len();
        let text: String = self.texts.iter().cycle().skip(from).take(n_chars).collect();
        let quoted = serde_json::to_string(&text).unwrap();
        quoted[1..quoted.len() - 1].into()
    }
}

impl Iterator for AsWritten {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let line = self.lines[self.next_line].clone();
        let (cut, id, round) = (self.cut.clone(), self.id.clone(), self.round);
        let line = cut.replace_all(&line, |found: &Captures<'_>| {
            self.fill(std::str::from_utf8(&found[1]).unwrap().parse().unwrap())
        });
        let line = id.replace_all(&line, |found: &Captures<'_>| id_of_round(&found[0], round));
        self.next_line = (self.next_line + 1) % self.lines.len();
        self.round += u64::from(self.next_line == 0);
        Some(line.into_owned())
    }
}

/// Another id for each round, the same for the same id; in the first it stays.
fn id_of_round(id: &[u8], round: u64) -> Vec<u8> {
    if round == 0 {
        return id.to_vec();
    }
    let digits: String = id.iter().filter(|b| **b != b'-').map(|b| *b as char).collect();
    // Odd, so that different ids stay different.
    let factor = fastrand::Rng::with_seed(round).u128(..) | 1;
    let digits = u128::from_str_radix(&digits, 16).unwrap().wrapping_mul(factor);
    let digits = format!("{digits:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-").into()
}

/// The files of a folder with this ending, in the order of their paths.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(Path::new(folder), ending, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, ending, found);
        } else if path.extension().is_some_and(|its| its == ending) {
            found.push(path);
        }
    }
}
