//! Whole lines from a growing file, with bounded memory and exact positions.
//!
//! A line exists once its newline is there. A line longer than the limit is never held: its
//! outline, its beginning and its hash are taken while it streams by. Nothing here moves a stored
//! position; the caller does that when the backend has acknowledged.
//!
//! Hashes chain: the hash at a line covers all lines up to it, without their newlines, so that a
//! last line hashes alike before and after its newline arrives. They detect change, not malice.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::transcript::{self, Outline, OutlineFacts};

/// Longest line that is held whole. Longer ones cannot be sent in one request anyway.
pub const LINE_BYTES_MAX: usize = 15 << 20;
/// How much of the beginning of a longer line is kept.
pub const LINE_HEAD_BYTES: usize = 64 << 10;
/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// Buffers that are kept for the lines to come.
const SPARE_MAX: usize = 2;
/// Bytes in front of the position that are remembered, to see whether the file is still the same.
pub const BEHIND_BYTES: usize = 64;

/// A place between two lines of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Lines before it.
    pub line: u64,
    /// Bytes before it.
    pub offset: u64,
    /// Hash of those lines.
    pub hash: u64,
    /// The last of those lines had no newline yet.
    pub unterminated: bool,
}

/// One line of a file, without its newline.
#[derive(Debug)]
pub enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// Too large to be held.
    TooLarge(TooLarge<'a>),
}

/// What is known of a line that is too large to be held.
#[derive(Debug)]
pub struct TooLarge<'a> {
    /// Its first bytes.
    pub head: &'a [u8],
    /// Its length.
    pub bytes: u64,
    /// Its hash.
    pub hash: u64,
    /// Its top-level keys.
    pub outline: OutlineFacts,
}

/// What [`Tail::hold_line`] finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Complete lines are in memory.
    Lines,
    /// The next line is too large to be held.
    TooLarge,
    /// There is no complete line yet.
    Nothing,
}

/// Complete lines that were taken in one piece.
#[derive(Debug)]
pub struct Piece {
    buffer: Vec<u8>,
    /// Where the first line begins in the buffer.
    start: usize,
    /// The last bytes before the first line.
    behind: Vec<u8>,
    from: Position,
    ends: Vec<Position>,
}

/// Reads the lines of a file behind a position.
#[derive(Debug)]
pub struct Tail<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    line_bytes_max: usize,
    position: Position,
    /// Beginning of the last line that was too large.
    head: Vec<u8>,
    /// The last bytes before those that are in the buffer.
    behind: Vec<u8>,
    /// Buffers of pieces that are done with.
    spare: Vec<Vec<u8>>,
}

impl Piece {
    /// How many lines it has.
    pub fn n_lines(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes its lines have, with their newlines.
    pub fn bytes(&self) -> usize {
        self.ends.last().map_or(0, |end| (end.offset - self.from.offset) as usize)
    }

    /// A line, without its newline.
    pub fn line(&self, index: usize) -> &[u8] {
        let start = self.place(self.before(index));
        &self.buffer[start..self.place(self.ends[index]) - 1]
    }

    /// The position behind a line.
    pub fn end(&self, index: usize) -> Position {
        self.ends[index]
    }

    /// The position in front of a line.
    fn before(&self, index: usize) -> Position {
        if index == 0 { self.from } else { self.ends[index - 1] }
    }

    /// Where a position is in the buffer.
    fn place(&self, position: Position) -> usize {
        self.start + (position.offset - self.from.offset) as usize
    }
}

impl<R: Read> Tail<R> {
    /// `reader` stands at `position`. Lines longer than `line_bytes_max` are not held.
    pub fn new(reader: R, position: Position, line_bytes_max: usize) -> Tail<R> {
        let buffer = vec![0; READ_BYTES];
        Tail {
            reader,
            buffer,
            start: 0,
            end: 0,
            line_bytes_max,
            position,
            head: Vec::new(),
            behind: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// The same, told what stands in front of the position: at most [`BEHIND_BYTES`] count.
    pub fn behind_these(mut self, bytes: &[u8]) -> Tail<R> {
        self.behind = last(bytes).to_vec();
        self
    }

    /// The position behind the last line returned.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The file.
    pub fn reader(&self) -> &R {
        &self.reader
    }

    /// The last bytes in front of the position, as they were when they were read; at most
    /// [`BEHIND_BYTES`], and only those that were read here or told of.
    pub fn behind(&self) -> Vec<u8> {
        let mut bytes = self.behind.clone();
        bytes.extend_from_slice(last(&self.buffer[..self.start]));
        last(&bytes).to_vec()
    }

    /// The next complete line; `None` when there is none yet.
    ///
    /// # Errors
    /// As `read`. The position is then that of the last line returned.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.settle()?;
        let mut searched = 0;
        loop {
            let held = &self.buffer[self.start..self.end];
            if let Some(index) = memchr::memchr(b'\n', &held[searched..]) {
                let (start, end) = (self.start, self.start + searched + index);
                self.start = end + 1;
                let line = &self.buffer[start..end];
                self.position.advance(hash(line), line.len() as u64 + 1);
                return Ok(Some(Line::Whole(line)));
            }
            searched = held.len();
            if searched > self.line_bytes_max {
                return self.next_too_large();
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads until a complete line is in memory, if one can be.
    ///
    /// # Errors
    /// As `read`.
    pub fn hold_line(&mut self) -> io::Result<Held> {
        let mut searched = 0;
        loop {
            let held = &self.buffer[self.start..self.end];
            if memchr::memchr(b'\n', &held[searched..]).is_some() {
                return Ok(Held::Lines);
            }
            searched = held.len();
            if searched > self.line_bytes_max {
                return Ok(Held::TooLarge);
            }
            if self.fill()? == 0 {
                return Ok(Held::Nothing);
            }
        }
    }

    /// Takes the complete lines that are in memory, of `bytes_max` bytes together unless the first
    /// one is longer, and at most `lines_max`.
    pub fn take_piece(&mut self, bytes_max: usize, lines_max: usize) -> Piece {
        let (from, start, behind) = (self.position, self.start, self.behind());
        let mut ends = Vec::new();
        while ends.len() < lines_max {
            let held = &self.buffer[self.start..self.end];
            let Some(length) = memchr::memchr(b'\n', held) else { break };
            if !ends.is_empty() && self.start + length - start > bytes_max {
                break;
            }
            self.position.advance(hash(&held[..length]), length as u64 + 1);
            self.start += length + 1;
            ends.push(self.position);
        }
        self.behind = self.behind();
        let n_held = self.end - self.start;
        // Where nothing is held, the piece's own memory may be back before more is read.
        let mut buffer = if n_held == 0 { Vec::new() } else { self.new_buffer(n_held) };
        buffer[..n_held].copy_from_slice(&self.buffer[self.start..self.end]);
        (self.start, self.end) = (0, n_held);
        let buffer = std::mem::replace(&mut self.buffer, buffer);
        Piece { buffer, start, behind, from, ends }
    }

    /// Puts the lines of a piece back, from one on, in front of what is in memory: the position is
    /// what it was there. Nothing else may have been taken meanwhile.
    pub fn put_back(&mut self, piece: &Piece, from: usize) {
        let position = piece.before(from);
        let (start, end) = (piece.place(position), piece.start + piece.bytes());
        let held = &self.buffer[self.start..self.end];
        let mut buffer = [&piece.buffer[start..end], held].concat();
        (self.start, self.end) = (0, buffer.len());
        buffer.resize(buffer.len().max(READ_BYTES), 0);
        self.behind = last(&[&piece.behind, last(&piece.buffer[..start])].concat()).to_vec();
        (self.buffer, self.position) = (buffer, position);
    }

    /// Takes the memory of a piece for the lines to come.
    pub fn reuse(&mut self, piece: Piece) {
        if piece.buffer.len() == READ_BYTES && self.spare.len() < SPARE_MAX {
            self.spare.push(piece.buffer);
        }
    }

    /// What follows the last complete line. Call it when [`Tail::next_line`] has returned `None`.
    pub fn unterminated(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes what follows the last complete line as a line.
    pub fn take_unterminated(&mut self) -> &[u8] {
        let line = &self.buffer[self.start..self.end];
        self.start = self.end;
        self.position.advance(hash(line), line.len() as u64);
        self.position.unterminated = true;
        line
    }

    /// Puts back the last line, which began at `position` and was held whole.
    pub fn unread(&mut self, position: Position) {
        let bytes = self.position.offset - position.offset;
        self.start -= usize::try_from(bytes).expect("the line is still in the buffer");
        self.position = position;
    }

    /// Goes over a newline that has arrived behind a line that was taken without one. Anything else
    /// there is read as a line of its own.
    ///
    /// # Errors
    /// As `read`.
    pub fn settle(&mut self) -> io::Result<()> {
        if !self.position.unterminated {
            return Ok(());
        }
        while self.start == self.end || self.buffer[self.start..self.end] == *b"\r" {
            if self.fill()? == 0 {
                return Ok(());
            }
        }
        let held = &self.buffer[self.start..self.end];
        let length = [&b"\r\n"[..], b"\n"]
            .iter()
            .find(|newline| held.starts_with(newline))
            .map_or(0, |newline| newline.len());
        self.start += length;
        self.position.offset += length as u64;
        self.position.unterminated = false;
        Ok(())
    }

    /// Lets a long line stream by.
    fn next_too_large(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut outline = Outline::new();
        let mut hasher = Hasher::new();
        let mut bytes = 0;
        let head_end = self.end.min(self.start + LINE_HEAD_BYTES);
        self.head = self.buffer[self.start..head_end].to_vec();
        let ended = loop {
            let held = &self.buffer[self.start..self.end];
            let end = memchr::memchr(b'\n', held);
            let part = &held[..end.unwrap_or(held.len())];
            outline.feed(part);
            hasher.feed(part);
            bytes += part.len() as u64;
            self.start += part.len();
            if end.is_some() {
                self.start += 1;
                break true;
            }
            if self.fill()? == 0 {
                break false;
            }
        };
        if !ended {
            // The position stays in front of this line, so the next pass begins with it again.
            return Ok(None);
        }
        let hash = hasher.finish();
        self.position.advance(hash, bytes + 1);
        let outline = outline.finish();
        Ok(Some(Line::TooLarge(TooLarge { head: &self.head, bytes, hash, outline })))
    }

    /// A buffer of at least so many bytes, one that was used before if there is one.
    fn new_buffer(&mut self, bytes: usize) -> Vec<u8> {
        let spare = if bytes <= READ_BYTES { self.spare.pop() } else { None };
        spare.unwrap_or_else(|| vec![0; bytes.max(READ_BYTES)])
    }

    /// Reads more behind what is held; 0 at the end of the file.
    fn fill(&mut self) -> io::Result<usize> {
        if self.buffer.is_empty() {
            self.buffer = self.new_buffer(0);
        } else if self.start > 0 {
            self.behind = self.behind();
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            // Doubling: a line of n bytes costs at most 2 n of memory and 2 n of copying.
            let larger = (self.buffer.len() * 2).min(self.line_bytes_max + READ_BYTES);
            self.buffer.resize(larger.max(self.end + READ_BYTES), 0);
        } else if self.end == 0 && self.buffer.len() > READ_BYTES {
            self.buffer.truncate(READ_BYTES);
            self.buffer.shrink_to_fit();
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    let n_bytes = result?;
                    self.end += n_bytes;
                    return Ok(n_bytes);
                }
            }
        }
    }
}

impl Tail<File> {
    /// False when the file has been rewritten or shrunk since its last bytes were read: what would
    /// be read next does not belong to them.
    pub fn is_intact(&self) -> bool {
        let held = &self.buffer[self.start..self.end];
        let same = |expected: &[u8], end: u64| {
            let mut bytes = vec![0; expected.len()];
            let start = end - expected.len() as u64;
            self.reader.read_exact_at(&mut bytes, start).is_ok() && bytes == expected
        };
        let offset = self.position.offset;
        same(&self.behind(), offset) && same(last(held), offset + held.len() as u64)
    }
}

fn last(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len().saturating_sub(BEHIND_BYTES)..]
}

impl Position {
    fn advance(&mut self, line_hash: u64, bytes: u64) {
        self.line += 1;
        self.offset += bytes;
        self.hash = chain(self.hash, line_hash);
        self.unterminated = false;
    }
}

/// Reads `reader` from its start as long as the hash at each line is the one that `expected`
/// yields, and returns the position behind the last such line: the longest common prefix.
///
/// # Errors
/// As `read`.
pub fn common_prefix(
    reader: impl Read,
    mut expected: impl Iterator<Item = u64>,
) -> io::Result<Position> {
    let mut tail = Tail::new(reader, Position::default(), LINE_BYTES_MAX);
    let mut common = Position::default();
    for expected in &mut expected {
        if tail.next_line()?.is_none() {
            // The last line may have been acknowledged without its newline.
            let rest = tail.unterminated();
            if !rest.is_empty() && chain(common.hash, hash(rest)) == expected {
                tail.take_unterminated();
                return Ok(tail.position());
            }
            break;
        }
        if tail.position().hash != expected {
            break;
        }
        common = tail.position();
    }
    Ok(common)
}

/// Goes over the lines behind `from` up to line `line` of the file, or to its last line when it has
/// fewer; returns the position there and the hash at each line passed.
///
/// # Errors
/// As `read`.
pub fn skip_to_line(
    reader: impl Read,
    from: Position,
    line: u64,
) -> io::Result<(Position, Vec<u64>)> {
    let mut tail = Tail::new(reader, from, LINE_BYTES_MAX);
    let mut hashes = Vec::new();
    while tail.position().line < line {
        if tail.next_line()?.is_none() {
            if !transcript::is_json(tail.unterminated()) {
                break;
            }
            tail.take_unterminated();
        }
        hashes.push(tail.position().hash);
    }
    Ok((tail.position(), hashes))
}

/// Hash of one line.
pub fn hash(line: &[u8]) -> u64 {
    let mut hasher = Hasher::new();
    hasher.feed(line);
    hasher.finish()
}

fn chain(hash: u64, line_hash: u64) -> u64 {
    fold(hash ^ 0xa076_1d64_78bd_642f, line_hash ^ 0xe703_7ed1_a0b4_28db)
}

/// One multiplication of 64 by 64 bits with both halves of the product: enough to mix, and several
/// GB/s, where a cryptographic hash would cost more than all other work on a line.
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hash of bytes that arrive in pieces; the pieces do not matter.
#[derive(Debug)]
struct Hasher {
    state: u64,
    pending: [u8; 16],
    n_pending: usize,
    length: u64,
}

impl Hasher {
    fn new() -> Hasher {
        Hasher { state: 0x8ebc_6af0_9c88_c6e3, pending: [0; 16], n_pending: 0, length: 0 }
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.n_pending > 0 {
            let taken = bytes.len().min(16 - self.n_pending);
            self.pending[self.n_pending..self.n_pending + taken].copy_from_slice(&bytes[..taken]);
            self.n_pending += taken;
            bytes = &bytes[taken..];
            if self.n_pending < 16 {
                return;
            }
            self.state = mix(self.state, &self.pending);
            self.n_pending = 0;
        }
        let (blocks, rest) = bytes.as_chunks::<16>();
        for block in blocks {
            self.state = mix(self.state, block);
        }
        self.pending[..rest.len()].copy_from_slice(rest);
        self.n_pending = rest.len();
    }

    fn finish(&self) -> u64 {
        let mut last = [0; 16];
        last[..self.n_pending].copy_from_slice(&self.pending[..self.n_pending]);
        fold(mix(self.state, &last), self.length ^ 0x5899_65cc_7537_4cc3)
    }
}

fn mix(state: u64, block: &[u8; 16]) -> u64 {
    let word = |at: usize| {
        u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes of sixteen"))
    };
    fold(state ^ word(0) ^ 0x2d35_8dcc_aa6c_78a5, word(8) ^ 0x8bb8_4b93_962e_acc9)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that hands out its bytes in pieces of `size`.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n_bytes = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n_bytes].copy_from_slice(&self.0[..n_bytes]);
            self.0 = &self.0[n_bytes..];
            Ok(n_bytes)
        }
    }

    fn lines(
        text: &[u8],
        from: Position,
        size: usize,
        line_bytes_max: usize,
    ) -> (Vec<String>, Position) {
        let rest = &text[usize::try_from(from.offset).unwrap()..];
        let mut tail = Tail::new(Pieces(rest, size), from, line_bytes_max);
        let mut lines = Vec::new();
        while let Some(line) = tail.next_line().unwrap() {
            lines.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLarge(large) => format!("large {}", large.bytes),
            });
        }
        (lines, tail.position())
    }

    #[test]
    fn all_interleavings_of_torn_writes_give_the_same_lines() {
        let parts = ["a", "\n", "bc\n", "\r\n", "{\"x\":1}\n", "\u{e4}"];
        let mut sequences: Vec<Vec<usize>> = vec![vec![]];
        for _ in 0..5 {
            let longer = |sequence: &Vec<usize>| {
                (0..parts.len()).map(|part| [&sequence[..], &[part]].concat()).collect::<Vec<_>>()
            };
            sequences = sequences.iter().flat_map(longer).collect();
            for sequence in &sequences {
                let text: String = sequence.iter().map(|part| parts[*part]).collect();
                // Read after each write, from the position that the last read returned.
                let (mut position, mut got, mut written) = (Position::default(), vec![], 0);
                for part in sequence {
                    written += parts[*part].len();
                    let (new, end) = lines(&text.as_bytes()[..written], position, 3, 100);
                    got.extend(new);
                    position = end;
                }
                let whole = text.rfind('\n').map_or(0, |end| end + 1);
                let expected: Vec<&str> = text[..whole].split_terminator('\n').collect();
                assert_eq!(got, expected, "{text:?}");
                assert_eq!(position.offset, whole as u64);
                assert_eq!(position, lines(text.as_bytes(), Position::default(), 7, 100).1);
            }
        }
    }

    #[test]
    fn a_line_too_large_is_outlined_and_the_next_ones_follow() {
        let long =
            format!("{{\"type\":\"user\",\"uuid\":\"u1\",\"x\":\"{}\"}}", "y".repeat(700_000));
        let text = format!("first\n{long}\nlast\n{long}\n{long}");
        for size in [1000, 65_536, 300_000, 10_000_000] {
            let (got, end) = lines(text.as_bytes(), Position::default(), size, 100_000);
            let large = format!("large {}", long.len());
            assert_eq!(got, ["first", &large, "last", &large], "pieces of {size}");
            assert_eq!(end.offset, (text.len() - long.len()) as u64);
            assert_eq!(end, lines(text.as_bytes(), Position::default(), size, 1 << 20).1);
        }
        let mut tail = Tail::new(text.as_bytes(), Position::default(), 100_000);
        tail.next_line().unwrap();
        let Some(Line::TooLarge(large)) = tail.next_line().unwrap() else { panic!("not large") };
        assert_eq!(large.head, &long.as_bytes()[..LINE_HEAD_BYTES]);
        assert_eq!(large.outline.uuid.as_deref(), Some("u1"));
    }

    #[test]
    fn a_line_taken_without_its_newline_is_not_read_again() {
        let from = {
            let mut tail = Tail::new(&b"a\n{}"[..], Position::default(), 100);
            tail.next_line().unwrap();
            assert!(tail.next_line().unwrap().is_none());
            assert_eq!(tail.take_unterminated(), b"{}");
            tail.position()
        };
        assert_eq!((from.line, from.offset), (2, 4));
        for (later, expected) in [("a\n{}\nb\n", "b"), ("a\n{}\r\nb\n", "b"), ("a\n{}{1}\n", "{1}")]
        {
            assert_eq!(lines(later.as_bytes(), from, 1, 100).0, [expected], "{later:?}");
        }
        assert!(lines(b"a\n{}\n", from, 1, 100).0.is_empty());
        assert!(lines(b"a\n{}", from, 1, 100).0.is_empty());
    }

    /// Whatever is taken in pieces and put back, the same lines follow, at the same positions.
    #[test]
    fn what_is_put_back_is_read_again() {
        let line = |number: usize| format!("{number} {}\n", "x".repeat(number * 7 % 50));
        let text: String = (0..400).map(line).collect();
        let from_start = |n_lines: usize| {
            let mut tail = Tail::new(text.as_bytes(), Position::default(), 1000);
            (0..n_lines).for_each(|_| assert!(tail.next_line().unwrap().is_some()));
            (tail.position(), tail.behind())
        };
        let mut random = fastrand::Rng::with_seed(7);
        for size in [1, 30, 1000, 100_000] {
            let mut tail = Tail::new(Pieces(text.as_bytes(), size), Position::default(), 1000);
            let mut n_lines = 0;
            while tail.hold_line().unwrap() == Held::Lines {
                let before = n_lines;
                let mut pieces = Vec::new();
                while pieces.len() < 3 && tail.hold_line().unwrap() == Held::Lines {
                    let piece = tail.take_piece(random.usize(..300), random.usize(1..9));
                    for index in 0..piece.n_lines() {
                        assert_eq!([piece.line(index), b"\n"].concat(), line(n_lines).as_bytes());
                        n_lines += 1;
                        assert_eq!(piece.end(index), from_start(n_lines).0);
                    }
                    pieces.push(piece);
                }
                let first = pieces.remove(0);
                let n_kept = random.usize(..=first.n_lines());
                pieces.iter().rev().for_each(|piece| tail.put_back(piece, 0));
                tail.put_back(&first, n_kept);
                n_lines = before + n_kept;
                assert_eq!((tail.position(), tail.behind()), from_start(n_lines));
                tail.reuse(first);
            }
            assert_eq!(n_lines, 400);
        }
    }

    #[test]
    fn the_common_prefix_ends_where_the_lines_part() {
        let hashes = |text: &str| {
            let mut tail = Tail::new(text.as_bytes(), Position::default(), 100);
            let mut hashes = Vec::new();
            while tail.next_line().unwrap().is_some() {
                hashes.push(tail.position().hash);
            }
            hashes
        };
        let old = hashes("a\nb\n\nc\n");
        let cases = [
            ("a\nb\n\nc\nd\n", 4),
            ("a\nb\n\nc\n", 4),
            ("a\nb\n\nc", 4),
            ("a\nb\n\n", 3),
            ("a\nb\nx\nc\n", 2),
            ("a\nb", 2),
            ("a\nbc\n", 1),
            ("b\na\n", 0),
            ("", 0),
        ];
        for (now, expected) in cases {
            let common = common_prefix(now.as_bytes(), old.iter().copied()).unwrap();
            assert_eq!(common.line, expected, "{now:?}");
        }
    }

    #[test]
    fn hashing_in_pieces_is_hashing_at_once() {
        let bytes: Vec<u8> = (0..200_u8).collect();
        for cut in 0..200 {
            for other in (cut..200).step_by(7) {
                let mut hasher = Hasher::new();
                hasher.feed(&bytes[..cut]);
                hasher.feed(&bytes[cut..other]);
                hasher.feed(&bytes[other..]);
                assert_eq!(hasher.finish(), hash(&bytes));
            }
        }
        assert_ne!(hash(b"a"), hash(b"a\0"));
        assert_ne!(hash(b""), hash(b"\0"));
    }
}
