//! Inputs that nobody would write: lines of the corpus, cut, joined, flipped and blown up.

use confab::redact::rules::samples::expand;
use fastrand::Rng;

use super::corpus::{Corpus, TRICKY};

/// Changes made to one input.
const CHANGES_MAX: usize = 8;
/// How often something is repeated, as a rule.
const RUN_MAX: usize = 3000;
/// Bytes of a rare input that is longer than what redaction looks at at once.
const HUGE_BYTES: usize = 3 << 20;
/// One in so many inputs is that long.
const HUGE_RARITY: usize = 1000;

/// One to three lines, changed anywhere.
pub fn lines(corpus: &Corpus, random: &mut Rng) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..random.usize(1..4) {
        let line: &Vec<u8> = pick(&corpus.lines, random);
        input.extend_from_slice(line);
        input.push(b'\n');
    }
    for _ in 0..random.usize(0..CHANGES_MAX) {
        change(&mut input, corpus, random);
    }
    if random.usize(..HUGE_RARITY) == 0 {
        let unit = tricky(random);
        let at = random.usize(..=input.len());
        input.splice(at..at, unit.repeat(HUGE_BYTES / unit.len()));
    }
    input
}

/// One of them.
pub fn pick<'a, T>(all: &'a [T], random: &mut Rng) -> &'a T {
    &all[random.usize(..all.len())]
}

fn tricky(random: &mut Rng) -> &'static [u8] {
    TRICKY[random.usize(..TRICKY.len())]
}

/// A place, and another one not far behind it.
fn part(length: usize, random: &mut Rng) -> std::ops::Range<usize> {
    let start = random.usize(..=length);
    start..length.min(start + random.usize(..200))
}

/// One change, anywhere.
pub fn change(input: &mut Vec<u8>, corpus: &Corpus, random: &mut Rng) {
    let part = part(input.len(), random);
    let at = part.start;
    match random.u8(..12) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
        1 if at < input.len() => input[at] = random.u8(..),
        2 => drop(input.drain(part)),
        3 => input.truncate(at),
        4 => {
            let copy = input[part].to_vec();
            let to = random.usize(..=input.len());
            input.splice(to..to, copy);
        }
        5 => {
            let other = pick(&corpus.lines, random);
            let from = random.usize(..=other.len());
            input.splice(at..at, other[from..].iter().copied());
        }
        6 => {
            let (_, template) = pick(&corpus.secrets, random);
            let (text, secret) = expand(template, random.u64(..));
            let text = if random.bool() { &text[..] } else { &text[secret] };
            input.splice(at..at, text.bytes());
        }
        7 => {
            let unit = tricky(random).repeat(random.usize(..RUN_MAX));
            input.splice(at..at, unit);
        }
        8 => {
            let escaped = escaped(&input[part.clone()], random);
            input.splice(part, escaped);
        }
        9 => {
            let nested = quoted(&input[part.clone()]);
            input.splice(part, nested);
        }
        10 => {
            let depth = random.usize(..RUN_MAX);
            let (open, close) = if random.bool() { ("[", "]") } else { ("{\"a\":", "}") };
            input.splice(0..0, open.repeat(depth).bytes());
            input.extend_from_slice(close.repeat(depth).as_bytes());
        }
        _ => {
            let token = tricky(random);
            input.splice(at..at, token.iter().copied());
        }
    }
}

/// Some of the plain ASCII characters of a JSON string, written as escapes.
pub fn escaped(text: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.iter();
    let share = random.u8(1..=16);
    while let Some(byte) = bytes.next() {
        match byte {
            // What follows belongs to an escape already.
            b'\\' => out.extend([*byte].into_iter().chain(bytes.next().copied())),
            b'"' => out.push(*byte),
            0x20..0x7f if random.u8(..16) < share => {
                let digits = format!("\\u{byte:04x}");
                let upper = digits.to_uppercase().replace("\\U", "\\u");
                out.extend((if random.bool() { digits } else { upper }).bytes());
            }
            _ => out.push(*byte),
        }
    }
    out
}

/// Bytes as the JSON string that holds them; what is no UTF-8 is left as it is.
pub fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}
