//! How lines stand in a request: redacted, escaped, each as `,"…"`.

use crate::redact::{Redactor, Withheld};

/// The texts of some lines.
#[derive(Default)]
pub struct Texts {
    bytes: Vec<u8>,
    /// Where each of them ends; none for a line that could not be redacted.
    ends: Vec<Option<usize>>,
}

impl Texts {
    /// Forgets the texts, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Makes room for the texts of lines of so many bytes: a libc may take long to find more and
    /// more of it.
    pub fn reserve(&mut self, n_lines: usize, bytes: usize) {
        self.bytes.reserve(bytes + bytes / 4);
        self.ends.reserve(n_lines);
    }

    /// Adds the text of a line.
    pub fn add(&mut self, redactor: &Redactor, line: &[u8]) {
        let redacted = redactor.line(line);
        let end = redacted.map(|redacted| {
            append(&redacted, &mut self.bytes);
            self.bytes.len()
        });
        self.ends.push(end.ok());
    }

    /// All of them, one behind the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<&[u8], Withheld>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = end.ok_or(Withheld)?;
            Ok(&self.bytes[std::mem::replace(&mut start, end)..end])
        })
    }
}

/// Appends the text of a line.
pub fn append(line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    match std::str::from_utf8(line) {
        Ok(text) => escape(text, out),
        Err(_) => escape(&String::from_utf8_lossy(line), out),
    }
    out.push(b'"');
}

/// Appends the inside of a JSON string. Takes eight bytes at once and takes back what has to be
/// escaped: escapes stand close to each other in a line of JSON, and so short pieces would cost a
/// call each.
fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + rest.len() / 8);
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        out.extend_from_slice(word);
        let plain = plain_length(*word);
        if plain == word.len() {
            rest = behind;
            continue;
        }
        out.truncate(out.len() - word.len() + plain);
        escape_byte(word[plain], out);
        rest = &rest[plain + 1..];
    }
    for byte in rest {
        match byte {
            0..0x20 | b'"' | b'\\' => escape_byte(*byte, out),
            _ => out.push(*byte),
        }
    }
}

/// How many bytes at the beginning of eight stand for themselves in JSON. A byte's highest bit is
/// set in what is searched for where the byte is wanted, and may be wrong only behind the first
/// that is.
fn plain_length(word: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    let found = is_control
        | is_zero(word ^ (ONES * u64::from(b'"')))
        | is_zero(word ^ (ONES * u64::from(b'\\')));
    found.trailing_zeros() as usize / 8
}

#[inline]
fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"\\u00");
            return out.extend_from_slice(&digits);
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each ASCII character, and one of several bytes, at each place of two words of eight bytes.
    #[test]
    fn escaping_keeps_every_character() {
        for character in (0..128).map(char::from).chain(['é', '…', '\u{10ffff}']) {
            for place in 0..18 {
                let text = format!("{}{character}{character}é\"", "x".repeat(place));
                let mut escaped = b"\"".to_vec();
                escape(&text, &mut escaped);
                escaped.push(b'"');
                assert_eq!(serde_json::from_slice::<String>(&escaped).unwrap(), text);
            }
        }
    }
}
