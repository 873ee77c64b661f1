//! Transcripts: lines, positions and hashes are those of a plain reading, in whatever pieces the
//! file is read and however short a line must be to be held.

use std::io::{self, Read};

use confab::tail::{self, Line, Position, Tail};
use confab::transcript;
use fastrand::Rng;

use super::Target;
use super::corpus::{Corpus, JSON};

pub fn target(corpus: &Corpus) -> Target {
    Target {
        name: "transcript",
        samples: corpus.transcripts(),
        tricky: JSON,
        check: Box::new(check),
        counted: "lines read",
        rounds: 1500,
    }
}

/// What is known of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    is_whole: bool,
    bytes: u64,
    hash: u64,
    position: Position,
}

fn check(input: &[u8], seed: u64) -> Result<usize, String> {
    let mut random = Rng::with_seed(seed);
    let limit = [16, 200, tail::LINE_BYTES_MAX][random.usize(..3)];
    let expected = plain(input, limit);
    let mut tail = Tail::new(Pieces { rest: input, random }, Position::default(), limit);
    let mut n_lines = 0;
    loop {
        let line = match tail.next_line().map_err(|error| error.to_string())? {
            None => break,
            Some(Line::Whole(line)) => (true, line.len() as u64, tail::hash(line), line.to_vec()),
            Some(Line::TooLarge(line)) => (false, line.bytes, line.hash, line.head.to_vec()),
        };
        let (is_whole, bytes, hash, head) = line;
        let read = Seen { is_whole, bytes, hash, position: tail.position() };
        let Some(expected) = expected.get(n_lines) else { return Err(format!("{read:?} more")) };
        // One that is in the buffer already costs nothing to hold.
        let is_right = Seen { is_whole: expected.is_whole, ..read } == *expected;
        if !is_right || (expected.is_whole && !is_whole) {
            return Err(format!("line {}: {read:?}, not {expected:?}", n_lines + 1));
        }
        let end = read.position.offset as usize - 1;
        if !input[end - bytes as usize..].starts_with(&head) {
            return Err(format!("line {} begins otherwise", n_lines + 1));
        }
        n_lines += 1;
    }
    if n_lines != expected.len() {
        return Err(format!("{n_lines} lines, not {}", expected.len()));
    }
    let end = input.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let rest = &input[end..];
    if rest.len() <= limit && tail.unterminated() != rest {
        return Err("the last line without newline is another one".into());
    }
    check_skipping(input, &expected, seed)?;
    for line in input.split(|byte| *byte == b'\n') {
        let _ = (transcript::inspect(line), transcript::user_text(line));
    }
    Ok(n_lines)
}

/// Skipping and comparing lead to the same places as reading.
fn check_skipping(input: &[u8], expected: &[Seen], seed: u64) -> Result<(), String> {
    let wanted = seed as usize % (expected.len() + 1);
    let at = |n: usize| n.checked_sub(1).map_or(Position::default(), |n| expected[n].position);
    let (position, hashes) = tail::skip_to_line(input, Position::default(), wanted as u64).unwrap();
    let known: Vec<u64> = expected[..wanted].iter().map(|line| line.position.hash).collect();
    if position != at(wanted) || hashes != known {
        return Err(format!("skipping {wanted} lines leads to {position:?}"));
    }
    let mut other = known;
    if let Some(hash) = other.last_mut().filter(|_| seed.is_multiple_of(2)) {
        *hash ^= 1;
    }
    let n_common = wanted - usize::from(wanted > 0 && seed.is_multiple_of(2));
    let common = tail::common_prefix(input, other.into_iter()).unwrap();
    match common == at(n_common) {
        true => Ok(()),
        false => Err(format!("{n_common} lines in common lead to {common:?}")),
    }
}

/// The lines of a text with their positions, in the plainest way.
fn plain(input: &[u8], limit: usize) -> Vec<Seen> {
    let mut position = Position::default();
    let mut lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    lines.pop();
    let mut read = Vec::new();
    for line in lines {
        position.line += 1;
        position.offset += line.len() as u64 + 1;
        // The chain is what a reading of everything so far gives.
        let (there, _) = tail::skip_to_line(
            &input[..position.offset as usize],
            Position::default(),
            position.line,
        )
        .unwrap();
        position.hash = there.hash;
        let bytes = line.len() as u64;
        read.push(Seen { is_whole: line.len() <= limit, bytes, hash: tail::hash(line), position });
    }
    read
}

/// Reads of any length, interrupted now and then.
struct Pieces<'a> {
    rest: &'a [u8],
    random: Rng,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.random.u8(..8) == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = self.rest.len().min(buffer.len()).min(1 + self.random.usize(..300));
        buffer[..most].copy_from_slice(&self.rest[..most]);
        self.rest = &self.rest[most..];
        Ok(most)
    }
}
