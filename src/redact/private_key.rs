//! Private keys in PEM, PGP and PuTTY armour, whole or cut off at either end.
//!
//! Between the lines of a key there may stand anything that a terminal, an editor or another string
//! puts there: escaped line ends, indentation, quotes, line numbers, diff signs, file names of a
//! search. Without material there is no key: code that mentions the armour stays as it is.

use std::ops::Range;

use super::value::{Looks, looks};

/// Keywords at which [`block_at`] may find a key.
pub const KEYWORDS: [&str; 4] = ["-----BEGIN ", "---- BEGIN ", "-----END ", "Private-Lines:"];
const BEGIN: &[u8] = b"-----BEGIN ";
/// Bytes of `RSA PRIVATE KEY` and its like.
const LABEL_BYTES_MAX: usize = 64;
/// Bytes between two lines of a key.
const GLUE_BYTES_MAX: usize = 200;
/// Bytes of a key.
const KEY_BYTES_MAX: usize = 64 << 10;
/// Material of a full line, in bytes.
const LINE_BYTES_MIN: usize = 40;
/// Material that makes armour a key and not a mention of one, in bytes.
const MATERIAL_BYTES_MIN: usize = 16;

/// The key whose armour has a keyword at `hit`.
pub fn block_at(text: &[u8], hit: usize) -> Option<Range<usize>> {
    let rest = &text[hit..];
    if rest.starts_with(b"-----END ") {
        return tail_at(text, hit);
    }
    let body = if rest.starts_with(b"Private-Lines:") {
        hit + rest.iter().take(24).position(|byte| matches!(byte, b'\n' | b'\\'))?
    } else {
        armour_end(text, hit)?
    };
    let end = material_end(text, body)?;
    Some(hit..end)
}

/// Whether a text ends with the first line of a key, so that its material stands in the next string
/// of a list.
pub fn opens(text: &[u8]) -> bool {
    let last = text.trim_ascii_end();
    if !last.ends_with(b"-") {
        return false;
    }
    let start = last.len().saturating_sub(LABEL_BYTES_MAX + BEGIN.len() + 5);
    let window = &last[start..];
    let begin = window.windows(BEGIN.len()).rposition(|part| part == BEGIN);
    begin.is_some_and(|at| armour_end(last, start + at) == Some(last.len()))
}

/// Whether a text is one line of a key's material, with whatever an editor or a diff puts around
/// it.
pub fn is_line(text: &[u8]) -> bool {
    let line = text.trim_ascii_end();
    let start = skip_glue(line, 0);
    let start = start + usize::from(start == 0 && line.starts_with(b"+"));
    let start = start + line[start..].iter().take_while(|byte| **byte == b' ').count();
    let length = material(&line[start..]);
    let whole = start + length == line.len();
    whole && (length >= MATERIAL_BYTES_MIN || length > 0 && line.ends_with(b"="))
}

/// The end of a line such as `-----BEGIN RSA PRIVATE KEY-----`.
fn armour_end(text: &[u8], start: usize) -> Option<usize> {
    let rest = &text[start..];
    let dashes = rest.iter().take(6).take_while(|byte| **byte == b'-').count();
    let word = rest[dashes..].iter().take(7).take_while(|byte| **byte != b' ').count();
    let spaced = usize::from(rest.get(dashes) == Some(&b' '));
    let label_at = if spaced == 1 { dashes + 7 } else { dashes + word + 1 };
    let label = rest.get(label_at..)?;
    let is_label =
        |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b' ';
    let length = label.iter().take(LABEL_BYTES_MAX).take_while(is_label).count();
    let name = label[..length].trim_ascii_end();
    let name = name.strip_suffix(b" BLOCK").unwrap_or(name);
    let closing = &label[length..];
    let whole = name.ends_with(b"PRIVATE KEY") && closing.starts_with(b"----");
    let closing = closing.iter().take(6).take_while(|byte| **byte == b'-').count();
    whole.then_some(start + label_at + length + closing)
}

/// Follows the lines of a key from behind its first line to its last, if there is any material.
fn material_end(text: &[u8], body: usize) -> Option<usize> {
    let limit = text.len().min(body + KEY_BYTES_MAX);
    let (mut at, mut end, mut seen) = (body, body, 0);
    while at < limit {
        let line = skip_glue(text, at);
        let rest = &text[line..limit.max(line)];
        if rest.starts_with(b"-----END ") || rest.starts_with(b"---- END ") {
            end = if seen > 0 { armour_end(text, line).unwrap_or(end) } else { end };
            break;
        }
        if is_header(rest) {
            at = line + rest.iter().position(|byte| matches!(byte, b'\n' | b'\\'))?;
            continue;
        }
        let length = material(rest);
        let behind = &rest[length..];
        // Wrapped or not, whole lines are long; a short one must be the last.
        let last = length < LINE_BYTES_MIN;
        let tail = text.get(skip_glue(text, line + length)..).unwrap_or_default();
        let closes = tail.starts_with(b"-----END") || tail.starts_with(b"Private-MAC");
        let ends = behind
            .first()
            .is_none_or(|byte| !byte.is_ascii_graphic() || b"\\\"'`,-".contains(byte));
        if length == 0 || !ends || last && !closes && !is_tail(&rest[..length], seen) {
            break;
        }
        (at, end, seen) = (line + length, line + length, seen + length);
        if last && !closes {
            break;
        }
    }
    (seen >= MATERIAL_BYTES_MIN).then_some(end)
}

/// Whether a short line may be the last one of a key whose closing line is missing.
fn is_tail(line: &[u8], seen: usize) -> bool {
    line.ends_with(b"=") || looks(line) >= if seen > 0 { Looks::MadeUp } else { Looks::Random }
}

/// A key whose beginning was cut off: material right before the closing line.
fn tail_at(text: &[u8], hit: usize) -> Option<Range<usize>> {
    let end = armour_end(text, hit)?;
    let (mut start, mut seen) = (hit, 0);
    while hit - start < KEY_BYTES_MAX {
        let window = &text[start.saturating_sub(GLUE_BYTES_MAX)..start];
        let is_glue = |byte: &&u8| byte.is_ascii_whitespace() || b"\\\"',+".contains(byte);
        let mut glue = window.iter().rev().take_while(is_glue).count();
        let line = &window[..window.len() - glue];
        let mut length = line.iter().rev().take_while(|byte| is_material(**byte)).count();
        // An escaped line end, `\n`, leaves its letter to what looks like the line above.
        if glue == 0 && line.ends_with(b"\\n") {
            (glue, length) = (2, 0);
        } else if line[..line.len() - length].ends_with(b"\\")
            && line[line.len() - length..].starts_with(b"n")
        {
            length -= 1;
        }
        let long = length >= LINE_BYTES_MIN || seen == 0 && length >= MATERIAL_BYTES_MIN / 2;
        if length == 0 && glue > 0 && start - glue > 0 {
            start -= glue;
            continue;
        }
        if !long {
            break;
        }
        seen += length;
        start -= glue + length;
    }
    (seen >= LINE_BYTES_MIN).then_some(start..end)
}

fn is_material(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Length of the material at the beginning.
fn material(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| is_material(**byte)).count()
}

fn is_header(rest: &[u8]) -> bool {
    const HEADERS: [&[u8]; 8] = [
        b"Proc-Type:",
        b"DEK-Info:",
        b"Version:",
        b"Comment:",
        b"Hash:",
        b"Charset:",
        b"Subject:",
        b"X-",
    ];
    HEADERS.iter().any(|header| rest.starts_with(header))
}

/// The beginning of the next line's material: behind line ends however they are spelt, line
/// numbers, diff signs, quotes, and the `file:line:` of a search.
pub fn skip_glue(text: &[u8], from: usize) -> usize {
    let limit = text.len().min(from + GLUE_BYTES_MAX);
    let mut at = from;
    let mut line_end = false;
    while at < limit {
        let rest = &text[at..limit];
        let step = match rest {
            [b'\\', b'n' | b'r' | b't', ..] => {
                line_end = true;
                2
            }
            [b'\\', ..] => 1,
            [0xe2, 0x86, 0x92, ..] => 3,
            [b'\n' | b'\r', ..] => {
                line_end = true;
                1
            }
            [b' ' | b'\t' | b'"' | b'\'' | b',' | b'|' | b'>' | b'.', ..] => 1,
            [b'-', next, ..] if *next != b'-' => 1,
            [b'+', next, ..] if line_end && is_material(*next) => 1,
            _ if line_end => prefix(rest),
            _ => 0,
        };
        if step == 0 {
            break;
        }
        at += step;
    }
    at
}

/// Length of `12→`, `12:`, `12|` or `src/file.rs:12:`.
fn prefix(rest: &[u8]) -> usize {
    let name =
        rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"._/@-".contains(b)).count();
    let number = |at: usize| rest[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let closes = |at: usize| match rest.get(at..) {
        Some([b':' | b'|' | b'\t' | b'-', ..]) => 1,
        Some([0xe2, 0x86, 0x92, ..]) => 3,
        Some([b' ', b'|', ..]) => 2,
        _ => 0,
    };
    let digits = number(0);
    if digits > 0 && digits == name && closes(digits) > 0 {
        return digits + closes(digits);
    }
    let Some(b':' | b'-') = rest.get(name) else { return 0 };
    let digits = number(name + 1);
    let closing = closes(name + 1 + digits);
    if digits > 0 && closing > 0 { name + 1 + digits + closing } else { 0 }
}
