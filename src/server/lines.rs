//! Lines of a file: joined in memory, compressed in blocks at rest.
//!
//! At rest a block may be a patch of another one: what a fork copies from its session costs a few
//! bytes a line then.
//!
//! Invariant: each line is followed by one newline and holds none, so that the text of the blocks
//! in order is the file, byte for byte.

use std::borrow::Cow;
use std::ops::Range;
use std::time::SystemTime;

use serde::Deserialize;

use zstd::zstd_safe::{CCtx, CParameter, DCtx, SafeResult, compress_bound, get_error_name};

use crate::error::{Context, Error, Result};
use crate::time::parse_rfc3339;

/// A block of an append holds at least one line and, beyond that, no more raw bytes than this.
pub const BLOCK_BYTES_MAX: usize = 1 << 20;
/// For lines that somebody waits for: transcripts become 5.7 times smaller at about 440 MB/s.
pub const LEVEL_FAST: i32 = 3;
/// For lines at rest: 6.8 times at 90 MB/s and 14 MB of memory; 12 gains 1.5 % at half the speed,
/// 19 10 % at a thirtieth of it.
pub const LEVEL_SMALL: i32 = 9;
/// Largest base of a patch: who reads a patch holds its base, its text and nothing more.
pub const BASE_BYTES_MAX: usize = 8 << 20;
/// Bounds of a frame's window, as powers of two: what zstd allows, and base and text of a patch.
const WINDOW_LOG_MIN: u32 = 10;
const WINDOW_LOG_MAX: u32 = 25;

/// Consecutive lines of a file. Where they end is looked for in the text: kept, it would be several
/// times as large as the text of short lines.
#[derive(Debug, Default)]
pub struct Lines {
    text: String,
    count: usize,
    with_newline: Option<usize>,
}

impl Lines {
    /// No lines, with room for so many bytes of them.
    pub fn with_capacity(bytes: usize) -> Lines {
        Lines { text: String::with_capacity(bytes), ..Lines::default() }
    }

    /// Appends a line.
    pub fn push(&mut self, line: &str) {
        if self.with_newline.is_none() && memchr::memchr(b'\n', line.as_bytes()).is_some() {
            self.with_newline = Some(self.count);
        }
        self.text.push_str(line);
        self.text.push('\n');
        self.count += 1;
    }

    /// How many lines there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Index of the first line that breaks the invariant; such lines must not be stored.
    pub fn with_newline(&self) -> Option<usize> {
        self.with_newline
    }

    /// The text of some lines, newlines included.
    pub fn text(&self, lines: Range<usize>) -> &str {
        &self.text[self.start(lines.start)..self.start(lines.end)]
    }

    /// Each line without its newline; what breaks the invariant comes in parts.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split_terminator('\n')
    }

    /// The newest top-level `timestamp` of the lines.
    pub fn newest_timestamp(&self) -> Option<SystemTime> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            timestamp: Option<Cow<'a, str>>,
        }
        self.iter()
            .filter_map(|line| serde_json::from_str::<Line<'_>>(line).ok()?.timestamp)
            .filter_map(|timestamp| parse_rfc3339(&timestamp))
            .max()
    }

    /// Compresses the lines from index `from` on; the line with index 0 has number `first_line`.
    ///
    /// # Errors
    /// When zstd fails, that is, has no memory.
    pub fn blocks(&self, from: usize, first_line: i64) -> Result<Vec<Block>> {
        let mut blocks = Vec::new();
        let mut rest = self.text(from..self.count);
        let mut first = first_line + from as i64;
        while !rest.is_empty() {
            let (text, behind) = rest.split_at(block_end(rest));
            let next = first + memchr::memchr_iter(b'\n', text.as_bytes()).count() as i64;
            blocks.push(Block::new(first, next - 1, text)?);
            (rest, first) = (behind, next);
        }
        Ok(blocks)
    }

    /// Where a line begins, or the last one ends.
    fn start(&self, index: usize) -> usize {
        match index {
            0 => 0,
            _ if index == self.count => self.text.len(),
            _ => {
                let newline = memchr::memchr_iter(b'\n', self.text.as_bytes()).nth(index - 1);
                newline.expect("each line has a newline") + 1
            }
        }
    }
}

/// Where the first block of a text ends: behind as many lines as fit, and one at least.
fn block_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.len() <= BLOCK_BYTES_MAX {
        return bytes.len();
    }
    let newline = memchr::memrchr(b'\n', &bytes[..BLOCK_BYTES_MAX]);
    newline.or_else(|| memchr::memchr(b'\n', bytes)).map_or(bytes.len(), |newline| newline + 1)
}

/// How a block's data is encoded. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// As it is; tiny texts grow when compressed.
    Raw = 0,
    /// One zstd frame.
    Zstd = 1,
    /// One zstd frame that refers to the text of another block, its base.
    Patch = 2,
}

/// Consecutive lines at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Number of the first line.
    pub first_line: i64,
    /// Number of the last line.
    pub last_line: i64,
    /// Bytes of the text.
    pub raw_bytes: usize,
    /// Encoding of `data`.
    pub codec: Codec,
    /// The encoded text.
    pub data: Vec<u8>,
}

impl Block {
    /// Compresses lines at once.
    fn new(first_line: i64, last_line: i64, text: &str) -> Result<Block> {
        Block::packed(first_line, last_line, text.as_bytes(), LEVEL_FAST)
    }

    /// Compresses lines at a level of zstd.
    ///
    /// # Errors
    /// When zstd fails, that is, has no memory.
    pub fn packed(first_line: i64, last_line: i64, text: &[u8], level: i32) -> Result<Block> {
        let packed = compress(text, level, &[])?;
        let (codec, data) = match packed.len() < text.len() {
            true => (Codec::Zstd, packed),
            false => (Codec::Raw, text.into()),
        };
        Ok(Block { first_line, last_line, raw_bytes: text.len(), codec, data })
    }

    /// Compresses lines to what differs from a base, as densely as lines at rest.
    ///
    /// # Errors
    /// When zstd fails, that is, has no memory.
    pub fn patch(first_line: i64, last_line: i64, text: &[u8], base: &[u8]) -> Result<Block> {
        let data = compress(text, LEVEL_SMALL, base)?;
        Ok(Block { first_line, last_line, raw_bytes: text.len(), codec: Codec::Patch, data })
    }

    /// The text of all lines. `base` is the text of the block that a patch refers to.
    ///
    /// # Errors
    /// When the data is damaged.
    pub fn text(&self, base: &[u8]) -> Result<Vec<u8>> {
        let text = match self.codec {
            Codec::Raw => self.data.clone(),
            Codec::Zstd => decompress(&self.data, self.raw_bytes, &[])
                .context(|| format!("decompress lines {} on", self.first_line))?,
            Codec::Patch => decompress(&self.data, self.raw_bytes, base)
                .context(|| format!("decompress lines {} on", self.first_line))?,
        };
        if text.len() != self.raw_bytes {
            return Err(Error::new(format!("lines {} on are damaged", self.first_line)));
        }
        Ok(text)
    }

    /// The text of the lines from `line` on.
    ///
    /// # Errors
    /// When the data is damaged.
    pub fn text_from(&self, line: i64, base: &[u8]) -> Result<Vec<u8>> {
        let mut text = self.text(base)?;
        let skipped = usize::try_from(line - self.first_line).unwrap_or(0);
        if skipped > 0 {
            let newline = memchr::memchr_iter(b'\n', &text).nth(skipped - 1);
            text.drain(..newline.map_or(text.len(), |newline| newline + 1));
        }
        Ok(text)
    }
}

/// One frame in one call: the buffers themselves are the window, nothing else is allocated for it.
fn compress(text: &[u8], level: i32, base: &[u8]) -> Result<Vec<u8>> {
    let pack = || -> std::result::Result<Vec<u8>, &'static str> {
        let mut context = CCtx::try_create().ok_or("out of memory")?;
        let mut set = |parameter| said(context.set_parameter(parameter));
        set(CParameter::CompressionLevel(level))?;
        set(CParameter::ChecksumFlag(true))?;
        if !base.is_empty() {
            // All of the base is to be in reach of the last byte, however far back.
            let window = (base.len() + text.len()).next_power_of_two().ilog2();
            set(CParameter::WindowLog(window.clamp(WINDOW_LOG_MIN, WINDOW_LOG_MAX)))?;
            set(CParameter::EnableLongDistanceMatching(true))?;
            said(context.ref_prefix(base))?;
        }
        let mut packed = Vec::with_capacity(compress_bound(text.len()));
        said(context.compress2(&mut packed, text))?;
        packed.shrink_to_fit();
        Ok(packed)
    };
    pack().map_err(|error| Error::new("compress lines").caused_by(error))
}

fn decompress(data: &[u8], raw_bytes: usize, base: &[u8]) -> Result<Vec<u8>> {
    let unpack = || -> std::result::Result<Vec<u8>, &'static str> {
        let mut context = DCtx::try_create().ok_or("out of memory")?;
        said(context.ref_prefix(base))?;
        let mut text = Vec::with_capacity(raw_bytes);
        said(context.decompress(&mut text, data))?;
        Ok(text)
    };
    unpack().map_err(Error::new)
}

/// What zstd says of a failure.
fn said(result: SafeResult) -> std::result::Result<usize, &'static str> {
    result.map_err(get_error_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Lines {
        let mut lines = Lines::default();
        texts.iter().for_each(|text| lines.push(text));
        lines
    }

    #[test]
    fn lines_come_out_as_they_went_in() {
        let lines = lines(&["a", "", "é\u{0}"]);
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["a", "", "é\u{0}"]);
        assert_eq!(lines.text(0..3), "a\n\né\u{0}\n");
        assert_eq!(lines.text(1..2), "\n");
        assert_eq!(lines.with_newline(), None);
    }

    #[test]
    fn a_newline_inside_is_found() {
        assert_eq!(lines(&["a", "b\nc", "\n"]).with_newline(), Some(1));
    }

    #[test]
    fn blocks_split_between_lines_at_the_limit() {
        let half = "x".repeat(BLOCK_BYTES_MAX / 2 - 1);
        let huge = "y".repeat(2 * BLOCK_BYTES_MAX);
        let lines = lines(&["skipped", &half, &half, "z", &huge, "end"]);
        let blocks = lines.blocks(1, 10).unwrap();
        let ranges: Vec<_> =
            blocks.iter().map(|block| (block.first_line, block.last_line)).collect();
        assert_eq!(ranges, [(11, 12), (13, 13), (14, 14), (15, 15)]);
        let mut text = Vec::new();
        blocks.into_iter().for_each(|block| text.extend(block.text(&[]).unwrap()));
        assert_eq!(text, lines.text(1..6).as_bytes());
    }

    #[test]
    fn a_block_is_read_from_any_line() {
        let lines = lines(&["one", "two", "three"]);
        for (line, text) in [(5, "one\ntwo\nthree\n"), (6, "two\nthree\n"), (8, "")] {
            let block = lines.blocks(0, 5).unwrap().remove(0);
            assert_eq!(block.codec, Codec::Raw);
            assert_eq!(block.text_from(line, &[]).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn damage_is_an_error() {
        let line = "abc".repeat(100);
        let mut block = lines(&[&line]).blocks(0, 1).unwrap().remove(0);
        assert_eq!(block.codec, Codec::Zstd);
        block.raw_bytes += 1;
        assert!(block.text(&[]).is_err());
        let mut block = lines(&[&line]).blocks(0, 1).unwrap().remove(0);
        *block.data.last_mut().unwrap() ^= 1;
        assert!(block.text(&[]).is_err(), "the checksum");
    }

    #[test]
    fn a_patch_of_copied_lines_costs_bytes_a_line_and_needs_its_base() {
        let mut seed = 7_u64;
        let mut word = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{:x} ", seed >> 40)
        };
        // Two thousand lines of 1 KB, of which a fork changes the session's id.
        let texts: Vec<String> = (0..2000).map(|_| (0..150).map(|_| word()).collect()).collect();
        let text = |session: &str| -> Vec<u8> {
            let line = |text| format!("{{\"sessionId\":\"{session}\",\"text\":\"{text}\"}}\n");
            texts.iter().map(line).collect::<String>().into_bytes()
        };
        let (base, fork) = (text("11111111-2222"), text("33333333-4444"));
        let patch = Block::patch(1, 2000, &fork, &base).unwrap();
        assert!(patch.data.len() < 2000 * 12, "{}", patch.data.len());
        assert_eq!(patch.text(&base).unwrap(), fork);
        let other = base.iter().rev().copied().collect::<Vec<u8>>();
        assert!(patch.text(&other).is_err() && patch.text(&[]).is_err());
    }

    #[test]
    fn the_newest_timestamp_is_found_at_the_top_level_of_any_line() {
        let mut lines = Lines::default();
        let texts = [
            r#"{"timestamp":"2026-01-01T00:00:01Z"}"#,
            r#"{"timestamp":"2026-01-01T01:00:03+01:00","a":1}"#,
            r#"{"message":{"timestamp":"2026-01-01T00:00:09Z"}}"#,
            r#"{"timestamp":5}"#,
            "not json",
            r#"{"timestamp":"2026-01-01T00:00:02Z"}"#,
        ];
        texts.iter().for_each(|text| lines.push(text));
        assert_eq!(lines.newest_timestamp(), parse_rfc3339("2026-01-01T00:00:03Z"));
        assert_eq!(Lines::default().newest_timestamp(), None);
    }
}
