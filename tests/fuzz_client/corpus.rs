//! What inputs are made of: the fixtures, and tokens that are tricky.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shared::fixtures;

/// Bytes of a fixture that is taken; longer ones only take time.
const FILE_BYTES_MAX: usize = 8 << 10;
/// Lines of a transcript that are taken together.
const LINES: usize = 12;

/// Pieces of JSON, of text and of neither.
pub const JSON: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\\"",
    b"\\u0000",
    b"\\ud800",
    b"\\ud83d\\ude00",
    b"\n",
    b"\r\n",
    b"\t",
    b"\0",
    b"\xff",
    b"\xe2\x82",
    b"\xef\xbb\xbf",
    "\u{2028}\u{1f600}".as_bytes(),
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"{}",
    b"[]",
    b"null",
    b"true",
    b"false",
    b"\"\"",
    b"\"a\":1,",
    b"0",
    b"-1",
    b"1.5",
    b"1e999",
    b"4294967296",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"..",
    b"/",
    b"//",
    b"~",
    b"$HOME",
    b"%00",
    b"%2e%2e",
];

/// See the module.
pub struct Corpus {
    fixtures: PathBuf,
}

impl Corpus {
    /// Finds the fixtures.
    pub fn read() -> Corpus {
        Corpus { fixtures: fixtures() }
    }

    /// All files in a folder and below whose names end so, none of them large.
    pub fn files(&self, folder: &str, ending: &str) -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        collect(&self.fixtures.join(folder), ending, &mut files);
        files.sort();
        let files: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        let files: Vec<Vec<u8>> =
            files.into_iter().filter(|file| file.len() <= FILE_BYTES_MAX).collect();
        assert!(!files.is_empty(), "{folder}");
        files
    }

    /// Some lines of each recorded transcript.
    pub fn transcripts(&self) -> Vec<Vec<u8>> {
        let mut paths = Vec::new();
        collect(&self.fixtures.join("transcripts"), ".jsonl", &mut paths);
        paths.sort();
        let text = |path: &PathBuf| {
            let bytes = fs::read(path).unwrap();
            let lines = bytes.split_inclusive(|byte| *byte == b'\n');
            lines
                .filter(|line| line.len() <= FILE_BYTES_MAX)
                .take(LINES)
                .collect::<Vec<_>>()
                .concat()
        };
        paths.iter().map(text).collect()
    }
}

fn collect(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, ending, files);
        } else if path.to_string_lossy().ends_with(ending) {
            files.push(path);
        }
    }
}
