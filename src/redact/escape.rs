//! From the raw content of a JSON string to the text that it stands for, and back from places in
//! that text to places in the raw content.
//!
//! Total: what is not an escape is taken as it stands, so that the same code reads the strings of a
//! damaged line.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::hits::Hit;

/// The text of a raw string. A surrogate without its partner becomes U+FFFD.
pub fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    unescape_with(raw, &mut Vec::new())
}

/// The same; hits in the raw content, in order of their ends and without a backslash in them,
/// become the same hits in the text. What begins with a part of an escape is none.
pub fn unescape_with<'a>(raw: &'a [u8], hits: &mut Vec<Hit>) -> Cow<'a, [u8]> {
    if memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    // No escape is shorter than what it stands for.
    let mut text = vec![0; raw.len() + WORD_BYTES];
    let (mut n_seen, mut n_kept) = (0, 0);
    let (mut raw_at, mut text_at) = (0, 0);
    loop {
        let plain = copy_plain(&raw[raw_at..], &mut text[text_at..]);
        let end = raw_at + plain;
        while let Some(Hit { word, range }) = hits.get(n_seen).filter(|hit| hit.range.end <= end) {
            if range.start >= raw_at {
                let moved = raw_at - text_at;
                let range = range.start - moved..range.end - moved;
                hits[n_kept] = Hit { word: *word, range };
                n_kept += 1;
            }
            n_seen += 1;
        }
        (raw_at, text_at) = (end, text_at + plain);
        let Some(piece) = Piece::at(raw, raw_at) else { break };
        let escaped = piece.escaped.unwrap_or('\\');
        text_at += escaped.encode_utf8(&mut text[text_at..]).len();
        raw_at += piece.raw_bytes;
    }
    hits.truncate(n_kept);
    text.truncate(text_at);
    Cow::Owned(text)
}

/// Bytes that are looked at together.
pub const WORD_BYTES: usize = 8;

/// Where the first of some bytes stands in a word.
#[inline]
pub fn first_in<const N: usize>(word: [u8; WORD_BYTES], wanted: &[u8; N]) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; WORD_BYTES]);
    let word = u64::from_le_bytes(word);
    // Where a byte is the wanted one, 0 is left; the lowest of those takes the first borrow.
    let places = |wanted: u8| {
        let others = word ^ (EACH * u64::from(wanted));
        others.wrapping_sub(EACH) & !others & (EACH << 7)
    };
    let found = wanted.iter().fold(0, |found, wanted| found | places(*wanted));
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// Copies what stands before the next backslash, of which there are many with little in between;
/// says how many bytes that is. There is room for one word more.
fn copy_plain(raw: &[u8], text: &mut [u8]) -> usize {
    let (words, rest) = raw.as_chunks::<WORD_BYTES>();
    for (index, word) in words.iter().enumerate() {
        let at = index * WORD_BYTES;
        text[at..at + WORD_BYTES].copy_from_slice(word);
        if let Some(found) = first_in(*word, b"\\") {
            return at + found;
        }
    }
    let at = raw.len() - rest.len();
    let plain = rest.iter().take_while(|byte| **byte != b'\\').count();
    text[at..at + plain].copy_from_slice(&rest[..plain]);
    at + plain
}

/// How many bytes at a place are still part of an escape that begins before it, so that they belong
/// to nothing behind it: the letter of `\n`, `u2192` of `\u2192`.
pub fn rest_of_escape(text: &[u8], at: usize) -> usize {
    match at.checked_sub(1).map(|at| &text[at..]) {
        Some([b'\\', b'u', digits @ ..])
            if digits.iter().take(4).filter(|digit| digit.is_ascii_hexdigit()).count() == 4 =>
        {
            5
        }
        Some([b'\\', _, ..]) => 1,
        _ => 0,
    }
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
    fn hits_are_moved_to_where_the_text_has_them() {
        let raw = br"key\nkey \u00e9key\\key\u00KEYkey";
        let is_key = |part: &[u8]| part.eq_ignore_ascii_case(b"key");
        let ranges = |text: &[u8]| -> Vec<Range<usize>> {
            let starts = (0..text.len()).filter(|at| text.get(*at..at + 3).is_some_and(is_key));
            starts.map(|at| at..at + 3).collect()
        };
        let mut hits: Vec<Hit> =
            ranges(raw).into_iter().map(|range| Hit { word: 7, range }).collect();
        // `n` and `u` are parts of escapes.
        hits.insert(1, Hit { word: 8, range: 4..6 });
        hits.insert(3, Hit { word: 9, range: 11..13 });
        let text = unescape_with(raw, &mut hits).into_owned();
        assert!(hits.iter().all(|hit| hit.word == 7));
        let moved: Vec<Range<usize>> = hits.into_iter().map(|hit| hit.range).collect();
        assert_eq!(moved, ranges(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn a_backslash_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..=length {
                let plain = "x[]\u{7f}é\u{1}zA".as_bytes();
                let mut raw: Vec<u8> = plain.iter().copied().cycle().take(at).collect();
                raw.resize(length, b'\\');
                let mut text = vec![0; length + WORD_BYTES];
                assert_eq!(copy_plain(&raw, &mut text), at);
                assert_eq!(text[..at], raw[..at]);
            }
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
