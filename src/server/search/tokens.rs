//! A text as words: what the index holds of a line, and what a query looks for.
//!
//! A *part* is the smallest thing that is found: a run of letters and digits, split where a
//! `camelCase` name changes case, or one character of a script without spaces. Parts that nothing
//! but `_ - . / : @ '` or a change of case holds together are *glued*: `parse_line`, `parseLine`
//! and `src/parse.rs` are two and three glued parts. The index holds parts, pairs of glued parts
//! (`parse_line`, whatever joined them), and camel case names without their parts' bounds
//! (`parseline`). Two characters of a script without spaces are a pair, too. So an identifier is
//! found whole, in part and as part of a longer one, in any style, by looking up one word.
//!
//! Pure, and in the way of every byte that is uploaded.

use std::ops::Range;

use super::fold::push_folded;

/// Bytes of a part; what is longer is cut, in texts as in queries.
pub const PART_BYTES_MAX: usize = 64;
/// Parts of a name in camel case; what has more is noise and one part.
const CAMEL_PARTS_MAX: usize = 12;
/// A run of letters and digits of mixed case so long may be encoded data …
const ENCODED_RUN_BYTES_MIN: usize = 24;
/// … and is, when that goes on for so long.
const ENCODED_BYTES_MIN: usize = 200;

/// How a part hangs together with the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glue {
    /// Not at all: something else is between them.
    Apart,
    /// By one connecting character, by a change of case, or as the next character of a script
    /// without spaces.
    Joined,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// As it is compared.
    pub folded: &'a str,
    /// Bytes of the text.
    pub range: Range<usize>,
    /// To the part before.
    pub glue: Glue,
    /// A character of a script without spaces.
    pub is_sign: bool,
}

/// What a text is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A part.
    Part(Part<'a>),
    /// Behind its parts: a name in camel case as one word, or the digits behind letters.
    Whole(&'a str, Range<usize>),
}

/// Splits a text; the pieces come in order.
pub fn split(text: &str, mut act: impl FnMut(Piece<'_>)) {
    let bytes = text.as_bytes();
    let mut folded = String::new();
    let (mut at, mut end_before, mut connectors) = (0, None, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if !is_word_byte(byte) {
            connectors = if is_connector(bytes, at) { connectors + 1 } else { usize::MAX };
            at += 1;
            // Two colons are one connector; anything else joins alone.
            if byte == b':' && bytes.get(at) == Some(&b':') {
                at += 1;
            }
            if connectors > 1 {
                end_before = None;
                connectors = 0;
            }
            continue;
        }
        let glue = if end_before.is_some() { Glue::Joined } else { Glue::Apart };
        let end = match byte.is_ascii() {
            true => ascii_end(bytes, at),
            false => at,
        };
        if end - at >= ENCODED_RUN_BYTES_MIN
            && let Some(behind) = encoded_end(bytes, at)
        {
            (at, end_before, connectors) = (behind, None, 0);
            continue;
        }
        if end > at && !goes_on(text, end) {
            ascii_run(&text[at..end], at, glue, &mut folded, &mut act);
            at = end;
        } else {
            match mixed_run(text, at, glue, &mut folded, &mut act) {
                Some(end) => at = end,
                None => {
                    at += text[at..].chars().next().map_or(1, char::len_utf8);
                    (end_before, connectors) = (None, 0);
                    continue;
                }
            }
        }
        (end_before, connectors) = (Some(at), 0);
    }
}

/// True for the characters of scripts that put no spaces between words.
pub fn is_sign(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

/// Bytes of words: letters and digits of ASCII, and all that is not ASCII, for a closer look.
const fn is_word_byte(byte: u8) -> bool {
    WORD_BYTES[byte as usize]
}

const WORD_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte >= 128;
        byte += 1;
    }
    table
};

/// Whether what is here may hold two parts together.
fn is_connector(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[at], b'_' | b'-' | b'.' | b'/' | b':' | b'@' | b'\'' | b'\\')
}

/// Where a run of letters and digits of ASCII ends.
fn ascii_end(bytes: &[u8], start: usize) -> usize {
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    start + length
}

/// Whether a letter that is not of ASCII follows.
fn goes_on(text: &str, at: usize) -> bool {
    if text.as_bytes().get(at).is_none_or(u8::is_ascii) {
        return false;
    }
    let next = text[at..].chars().next();
    next.is_some_and(|c| !is_sign(c) && (c.is_alphanumeric() || is_accent(c)))
}

/// An accent of its own.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Where what looks like base64 ends, when enough of it is of mixed case with digits. Only what is
/// skipped is looked at beyond its beginning: every run of a text may be asked about.
fn encoded_end(bytes: &[u8], start: usize) -> Option<usize> {
    let class = |byte: &u8| ENCODED_CLASSES[*byte as usize];
    let beginning = bytes.get(start..start + ENCODED_BYTES_MIN)?;
    let mut seen = 0;
    for byte in beginning {
        match class(byte) {
            0 => return None,
            class => seen |= class,
        }
    }
    let length = || bytes[start..].iter().take_while(|byte| class(byte) != 0).count();
    (seen & MIXED == MIXED).then(|| start + length())
}

/// Upper case, lower case and digits.
const MIXED: u8 = 0b111;

/// What is in base64: 1 for upper case, 2 for lower case, 4 for digits, 8 for the others.
const ENCODED_CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'A'..=b'Z' => 1,
            b'a'..=b'z' => 2,
            b'0'..=b'9' => 4,
            b'+' | b'/' | b'=' | b'-' | b'_' => 8,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// Takes a run of ASCII apart.
fn ascii_run(
    run: &str,
    start: usize,
    glue: Glue,
    folded: &mut String,
    act: &mut impl FnMut(Piece<'_>),
) {
    let bytes = run.as_bytes();
    folded.clear();
    let mut n_bounds = 0;
    let mut last_digit = usize::MAX;
    for (index, byte) in bytes.iter().enumerate() {
        folded.push(char::from(byte.to_ascii_lowercase()));
        if index > 0 && byte.is_ascii_uppercase() && is_bound(bytes, index) {
            n_bounds += 1;
        }
        if byte.is_ascii_digit() && last_digit == usize::MAX {
            last_digit = index;
        }
    }
    if n_bounds == 0 || n_bounds >= CAMEL_PARTS_MAX {
        let whole = cut(folded);
        let range = start..start + bytes.len();
        act(Piece::Part(Part { folded: whole, range, glue, is_sign: false }));
        // An error code is also its number.
        let digits = bytes.get(last_digit..).unwrap_or_default();
        if last_digit > 0 && digits.len() > 1 && digits.iter().all(u8::is_ascii_digit) {
            let range = start + last_digit..start + bytes.len();
            act(Piece::Whole(cut(&folded[last_digit..]), range));
        }
        return;
    }
    let (mut first, mut glue) = (0, glue);
    for index in 1..=bytes.len() {
        if index == bytes.len() || bytes[index].is_ascii_uppercase() && is_bound(bytes, index) {
            let range = start + first..start + index;
            let part = cut(&folded[first..index]);
            act(Piece::Part(Part { folded: part, range, glue, is_sign: false }));
            (first, glue) = (index, Glue::Joined);
        }
    }
    act(Piece::Whole(cut(folded), start..start + bytes.len()));
}

/// Whether a name in camel case changes at an upper case letter: `lineEnd`, `HTTPServer`.
fn is_bound(bytes: &[u8], index: usize) -> bool {
    let (before, after) = (bytes[index - 1], bytes.get(index + 1));
    !before.is_ascii_uppercase() || after.is_some_and(u8::is_ascii_lowercase)
}

/// Takes a run apart that has other letters than those of ASCII; where it ends. `None` when it
/// begins with none.
fn mixed_run(
    text: &str,
    start: usize,
    glue: Glue,
    folded: &mut String,
    act: &mut impl FnMut(Piece<'_>),
) -> Option<usize> {
    folded.clear();
    let (mut first, mut end, mut glue) = (start, start, glue);
    for (offset, c) in text[start..].char_indices() {
        let is_sign = is_sign(c);
        let is_letter = c.is_alphanumeric() || is_accent(c);
        if is_sign || !is_letter {
            if end > first {
                let part = Part { folded: cut(folded), range: first..end, glue, is_sign: false };
                act(Piece::Part(part));
                glue = Glue::Joined;
            }
            if !is_sign {
                return (start + offset > start).then_some(start + offset);
            }
            folded.clear();
            push_folded(c, folded);
            let range = start + offset..start + offset + c.len_utf8();
            end = range.end;
            act(Piece::Part(Part { folded, range, glue, is_sign: true }));
            folded.clear();
            (first, glue) = (end, Glue::Joined);
        } else {
            push_folded(c, folded);
            end = start + offset + c.len_utf8();
        }
    }
    if end > first {
        act(Piece::Part(Part { folded: cut(folded), range: first..end, glue, is_sign: false }));
    }
    Some(text.len())
}

/// At most so many bytes as a part may have.
fn cut(folded: &str) -> &str {
    let mut end = folded.len().min(PART_BYTES_MAX);
    while !folded.is_char_boundary(end) {
        end -= 1;
    }
    &folded[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts as `part`, `+part` where it is joined, wholes as `=whole`.
    fn pieces(text: &str) -> Vec<String> {
        let mut pieces = Vec::new();
        split(text, |piece| match piece {
            Piece::Part(part) => {
                let plus = if part.glue == Glue::Joined { "+" } else { "" };
                pieces.push(format!("{plus}{}", part.folded));
                assert!(text.get(part.range).is_some_and(|range| !range.is_empty()), "{text}");
            }
            Piece::Whole(whole, range) => {
                pieces.push(format!("={whole}"));
                assert!(text.get(range).is_some(), "{text}");
            }
        });
        pieces
    }

    #[test]
    fn texts_are_split_into_parts() {
        let cases: [(&str, &str); 34] = [
            ("Hello, World!", "hello world"),
            ("a  b\n\tc", "a b c"),
            ("parse_line", "parse +line"),
            ("parseLine", "parse +line =parseline"),
            ("ParseErrorKind", "parse +error +kind =parseerrorkind"),
            ("HTTPServer", "http +server =httpserver"),
            ("getX509Cert", "get +x509 +cert =getx509cert"),
            ("PARSE_LINE", "parse +line"),
            ("src/server/mod.rs", "src +server +mod +rs"),
            ("std::vec::Vec", "std +vec +vec"),
            ("a:::b", "a b"),
            ("my-crate", "my +crate"),
            ("--flag", "flag"),
            ("a--b", "a b"),
            ("a. b", "a b"),
            ("a.b", "a +b"),
            ("don't", "don +t"),
            ("E0308", "e0308 =0308"),
            ("utf8", "utf8"),
            ("0308", "0308"),
            ("__init__", "init"),
            ("C:\\Users\\me", "c users +me"),
            ("me@example.com", "me +example +com"),
            ("a->b", "a b"),
            ("Café", "cafe"),
            ("naïveLine", "naiveline"),
            ("word…", "word"),
            ("fooBar…x", "foo +bar =foobar x"),
            ("会议记录", "会 +议 +记 +录"),
            ("GPT模型v2", "gpt +模 +型 +v2"),
            ("会议 记录", "会 +议 记 +录"),
            ("한국어", "한 +국 +어"),
            ("😀 x 😀", "x"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn encoded_data_is_left_out_and_long_words_are_cut() {
        let mut seed = 1_u64;
        let encoded: String = (0..5000)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
                char::from(alphabet[(seed >> 33) as usize % alphabet.len()])
            })
            .collect();
        assert_eq!(pieces(&format!("before {encoded} after")), ["before", "after"]);
        let hex = "0123456789abcdef".repeat(20);
        assert_eq!(pieces(&hex), [&hex[..PART_BYTES_MAX]]);
        let camel = "aB".repeat(20);
        assert_eq!(pieces(&camel), [camel.to_lowercase()]);
    }

    /// Each run may be the beginning of encoded data, and none is: to look to the end of the line
    /// from each of them would take hours.
    #[test]
    fn a_long_line_of_runs_that_may_be_encoded_is_split() {
        let run = ["abcdefghijklmnopqrstuvwx", "/"].concat();
        let text = run.repeat((15 << 20) / run.len());
        let mut n_parts = 0;
        split(&text, |_| n_parts += 1);
        assert_eq!(n_parts, text.len() / run.len());
        let mixed = "abcdefghijklmnopqrstuvwx/0/X".repeat(8);
        assert_eq!(pieces(&mixed[..ENCODED_BYTES_MIN]), [""; 0]);
        assert!(!pieces(&mixed[..ENCODED_BYTES_MIN - 1]).is_empty());
    }

    /// Whatever is between, ranges are in order and hold what was found.
    #[test]
    fn any_mixture_is_split_without_a_panic() {
        let bits =
            ["a", "B", "9", "_", ".", ":", "::", " ", "é", "e\u{301}", "会", "😀", "ß", "İ", "/"];
        for one in bits {
            for two in bits {
                for three in bits {
                    for four in bits {
                        let text = [one, two, three, four].concat();
                        let mut end = 0;
                        split(&text, |piece| {
                            if let Piece::Part(part) = piece {
                                assert!(part.range.start >= end, "{text}");
                                end = part.range.end;
                                assert!(text.is_char_boundary(end), "{text}");
                            }
                        });
                    }
                }
            }
        }
    }
}
