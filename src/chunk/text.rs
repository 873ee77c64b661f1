//! How lines stand in a request: redacted, escaped, each as `,"…"`.

use std::borrow::Cow;
use std::sync::Mutex;

use crate::redact::{Redactor, Withheld};

/// Bytes of lines that are worth a thread: starting one takes as long as some ten thousand bytes.
const SHARED_BYTES_MIN: usize = 64 << 10;
/// Bytes of lines that a thread takes at once; its last line may be longer.
const BATCH_BYTES_MIN: usize = 8 << 10;

/// What redaction has made of a line.
pub type Redacted<'a> = Result<Cow<'a, [u8]>, Withheld>;

/// The texts of some lines.
#[derive(Default)]
pub struct Texts {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Texts {
    /// Forgets the texts, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Adds the text of a line, which is empty when the line is withheld.
    fn add<'a>(&mut self, redactor: &Redactor, line: &'a [u8]) -> Redacted<'a> {
        let redacted = redactor.line(line);
        if let Ok(redacted) = &redacted {
            append(redacted, &mut self.bytes);
        }
        self.ends.push(self.bytes.len());
        redacted
    }

    /// All of them, one behind the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| &self.bytes[std::mem::replace(&mut start, *end)..*end])
    }

    /// Adds the texts of lines; `redacted` is what redaction has made of them.
    fn fill<'a>(&mut self, redactor: &Redactor, lines: &[&'a [u8]], redacted: &mut [Redacted<'a>]) {
        // Room for most texts at once: a libc may take long to find more and more of it.
        let bytes: usize = lines.iter().map(|line| line.len()).sum();
        self.bytes.reserve(bytes + bytes / 4);
        self.ends.reserve(lines.len());
        for (line, redacted) in lines.iter().zip(redacted) {
            *redacted = self.add(redactor, line);
        }
    }
}

/// Redacts lines; `texts` are theirs afterwards, those of some lines each, in order. Two threads
/// share the work when it is enough for two, and this one does what else there is to do first:
/// neither waits for the other while there are lines.
pub fn of_lines<'a>(
    redactor: &Redactor,
    lines: &[&'a [u8]],
    texts: &mut Vec<Texts>,
    first: &mut dyn FnMut(),
) -> Vec<Redacted<'a>> {
    let mut redacted = vec![Err(Withheld); lines.len()];
    texts.iter_mut().for_each(Texts::clear);
    let batches = batches(lines, &mut redacted, texts);
    let bytes: usize = batches.iter().map(|batch| batch.bytes).sum();
    let left = Mutex::new(batches);
    // The largest first: whoever took it last would be waited for.
    let next = || {
        let mut left = left.lock().expect("taking a batch never fails");
        let largest = (0..left.len()).max_by_key(|index| left[*index].bytes)?;
        Some(left.swap_remove(largest))
    };
    let work = || {
        while let Some(Batch { lines, redacted, texts, .. }) = next() {
            texts.fill(redactor, lines, redacted);
        }
    };
    if bytes < SHARED_BYTES_MIN {
        first();
        work();
    } else {
        std::thread::scope(|scope| {
            // Where none can be started, there is time.
            let thread = std::thread::Builder::new().name("redact".to_owned());
            let thread = thread.spawn_scoped(scope, work);
            first();
            work();
            if let Some(Err(panic)) = thread.ok().map(|thread| thread.join()) {
                std::panic::resume_unwind(panic);
            }
        });
    }
    redacted
}

/// Lines in a row, as many as a thread takes at once.
struct Batch<'a, 'b> {
    bytes: usize,
    lines: &'b [&'a [u8]],
    /// The places for what is made of them.
    redacted: &'b mut [Redacted<'a>],
    texts: &'b mut Texts,
}

/// All batches, with `texts` of as many as there are.
fn batches<'a, 'b>(
    lines: &'b [&'a [u8]],
    redacted: &'b mut [Redacted<'a>],
    texts: &'b mut Vec<Texts>,
) -> Vec<Batch<'a, 'b>> {
    let mut sizes: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        match sizes.last_mut().filter(|(_, bytes)| *bytes < BATCH_BYTES_MIN) {
            Some((n_lines, bytes)) => (*n_lines, *bytes) = (*n_lines + 1, *bytes + line.len()),
            None => sizes.push((1, line.len())),
        }
    }
    texts.resize_with(texts.len().max(sizes.len()), Texts::default);
    let mut rest = (lines, redacted);
    let mut batches = Vec::with_capacity(sizes.len());
    for ((n_lines, bytes), texts) in sizes.into_iter().zip(texts) {
        let (lines, behind) = rest.0.split_at(n_lines);
        let (redacted, places_behind) = rest.1.split_at_mut(n_lines);
        batches.push(Batch { bytes, lines, redacted, texts });
        rest = (behind, places_behind);
    }
    batches
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
    use crate::redact::Settings;

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

    /// Two threads make of lines what one makes of them.
    #[test]
    fn what_two_threads_make_is_in_order() {
        let (redactor, _) = Redactor::new(&Settings::default());
        let secret = ["gh", "p_", "R7wq2LmX9vB4nK8sT1zY6cD3fG5hJ0aQpE2u"].concat();
        let line = |number: usize| match number % 3 {
            0 => format!(r#"{{"content":"{number} {secret}"}}"#),
            _ => format!(r#"{{"content":"{number} {}"}}"#, "x".repeat(number % 700)),
        };
        for n_lines in [0, 1, 2, 300, 1000] {
            let lines: Vec<Vec<u8>> = (0..n_lines).map(|n| line(n).into_bytes()).collect();
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            let (mut texts, mut n_first) = (Vec::new(), 0);
            let redacted = of_lines(&redactor, &lines, &mut texts, &mut || n_first += 1);
            assert_eq!(n_first, 1);
            assert_eq!(redacted.len(), n_lines);
            let texts: Vec<&[u8]> = texts.iter().flat_map(Texts::iter).collect();
            for (number, (line, redacted)) in lines.iter().zip(redacted).enumerate() {
                let expected = redactor.line(line).unwrap();
                assert_eq!(redacted.unwrap(), expected, "line {number} of {n_lines}");
                let text: String = serde_json::from_slice(&texts[number][1..]).unwrap();
                assert_eq!(text.as_bytes(), &*expected, "line {number} of {n_lines}");
            }
        }
    }
}
