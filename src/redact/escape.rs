//! From the raw content of a JSON string to the text that it stands for, and back from places in
//! that text to places in the raw content.
//!
//! Total: what is not an escape is taken as it stands, so that the same code reads the strings of a
//! damaged line.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// The text of a raw string. A surrogate without its partner becomes U+FFFD.
pub fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(piece) = Piece::at(raw, at) {
        match piece.escaped {
            Some(character) => {
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            None => text.extend_from_slice(&raw[at..at + piece.raw_bytes]),
        }
        at += piece.raw_bytes;
    }
    Cow::Owned(text)
}

/// Turns sorted, disjoint ranges of `unescape(raw)` into ranges of `raw`. A range that begins or
/// ends inside an escape is widened to the whole escape.
pub fn raw_ranges<'a>(raw: &[u8], ranges: impl Iterator<Item = &'a mut Range<usize>>) {
    let mut cursor = Cursor { raw, raw_at: 0, text_at: 0, piece: Piece::at(raw, 0) };
    for range in ranges {
        range.start = cursor.seek(range.start, false);
        range.end = cursor.seek(range.end, true);
    }
}

/// The piece that is being read, as places in the raw content and in the text. It is kept, so that
/// its end is looked for once, however many ranges it holds.
struct Cursor<'a> {
    raw: &'a [u8],
    raw_at: usize,
    text_at: usize,
    piece: Option<Piece>,
}

impl Cursor<'_> {
    fn seek(&mut self, offset: usize, end: bool) -> usize {
        while let Some(piece) = &self.piece {
            let text_end = self.text_at + piece.text_bytes();
            if text_end > offset {
                return match piece.escaped {
                    None => self.raw_at + (offset - self.text_at),
                    Some(_) if end && self.text_at < offset => self.raw_at + piece.raw_bytes,
                    Some(_) => self.raw_at,
                };
            }
            (self.raw_at, self.text_at) = (self.raw_at + piece.raw_bytes, text_end);
            self.piece = Piece::at(self.raw, self.raw_at);
        }
        self.raw_at
    }
}

/// A run of bytes that stand for themselves, or one escape.
struct Piece {
    raw_bytes: usize,
    escaped: Option<char>,
}

impl Piece {
    fn at(raw: &[u8], at: usize) -> Option<Piece> {
        let rest = raw.get(at..).filter(|rest| !rest.is_empty())?;
        if rest[0] != b'\\' {
            let raw_bytes = memchr(b'\\', rest).unwrap_or(rest.len());
            return Some(Piece { raw_bytes, escaped: None });
        }
        let simple = match rest.get(1) {
            Some(character @ (b'"' | b'\\' | b'/')) => char::from(*character),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => return Some(Piece::unicode(rest)),
            _ => return Some(Piece { raw_bytes: 1, escaped: None }),
        };
        Some(Piece { raw_bytes: 2, escaped: Some(simple) })
    }

    /// `rest` begins with `\u`.
    fn unicode(rest: &[u8]) -> Piece {
        let Some(first) = unit(rest) else { return Piece { raw_bytes: 1, escaped: None } };
        if let (0xd800..=0xdbff, Some(second @ 0xdc00..=0xdfff)) = (first, unit(&rest[6..])) {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Piece { raw_bytes: 12, escaped: char::from_u32(code) };
        }
        let escaped = char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
        Piece { raw_bytes: 6, escaped: Some(escaped) }
    }

    fn text_bytes(&self) -> usize {
        self.escaped.map_or(self.raw_bytes, char::len_utf8)
    }
}

/// The UTF-16 unit of a `\uXXXX` at the beginning.
fn unit(rest: &[u8]) -> Option<u32> {
    let digits = rest.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_raw_string() {
        let cases = [
            (r"plain", "plain"),
            (r#"a\"b\\c\/d\ne\tf\rg\bh\f"#, "a\"b\\c/d\ne\tf\rg\u{8}h\u{c}"),
            (r"\u0041\u00e4\u20ac\ud83d\ude00\uD83D\uDE00", "Aä€😀😀"),
            (r"\ud800", "\u{fffd}"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\x\u12", r"\x\u12"),
            ("\\", "\\"),
        ];
        for (raw, expected) in cases {
            assert_eq!(unescape(raw.as_bytes()), expected.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn every_range_of_the_text_maps_to_the_raw_bytes_that_made_it() {
        let raw = r#"ab\n\u0041ä\ud83d\ude00\\x\ud800\qz"#.as_bytes();
        let text = unescape(raw).into_owned();
        for start in 0..text.len() {
            for end in start + 1..=text.len() {
                let mut ranges = [Range { start, end }];
                raw_ranges(raw, ranges.iter_mut());
                let mapped = unescape(&raw[ranges[0].clone()]).into_owned();
                let whole = std::str::from_utf8(&text[start..end]).is_ok();
                // Only a range that cuts a character may be widened.
                assert!(mapped == text[start..end] || !whole, "{start} {end}");
            }
        }
    }
}
