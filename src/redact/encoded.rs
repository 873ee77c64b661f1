//! Base64 in a text, which may hide what would be found in the open.
//!
//! Runs are looked for eight bytes at a time, so that text without any costs a fraction of a pass.
//! Only what decodes to readable text is looked at further.

use std::ops::Range;

use super::escape::WORD_BYTES;

/// Bytes of a run that is worth decoding.
const RUN_BYTES_MIN: usize = 24;
/// Bytes of a run that is decoded; a longer one is a file's content.
const RUN_BYTES_MAX: usize = 16 << 10;
/// Bytes before a run that look like its first digits, such as those of an option.
const BEFORE_BYTES_MAX: usize = 5;
/// Bytes of an escape in raw JSON that look like digits as well: `u2192` of `\u2192`.
const ESCAPE_BYTES_MAX: usize = 5;
/// Digits that stand for three bytes together.
const GROUP_BYTES: usize = 4;
/// Bytes at the beginning of a run that must be readable text already.
const HEAD_BYTES: usize = 24;

/// The runs of base64 in a text that decode to readable text, with that text.
pub fn readable_runs(text: &[u8]) -> impl Iterator<Item = (Range<usize>, Vec<u8>)> {
    runs(text, BEFORE_BYTES_MAX)
}

/// The same in the raw content of JSON strings: all that are in their texts, at least.
pub fn raw_runs(raw: &[u8]) -> impl Iterator<Item = (Range<usize>, Vec<u8>)> {
    runs(raw, ESCAPE_BYTES_MAX + BEFORE_BYTES_MAX)
}

fn runs(text: &[u8], before_max: usize) -> impl Iterator<Item = (Range<usize>, Vec<u8>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(run) = next_run(text, &mut at) {
            if run.len() > RUN_BYTES_MAX {
                continue;
            }
            let mut starts =
                run.start..=run.end.min(run.start + HEAD_BYTES + before_max) - HEAD_BYTES;
            let is_readable_from = |at: &usize| has_readable_head(&text[*at..*at + HEAD_BYTES]);
            let Some(start) = starts.find(is_readable_from) else { continue };
            let run = start..run.end;
            // An incomplete last group is left out.
            let whole = start..start + run.len() / GROUP_BYTES * GROUP_BYTES;
            let decoded = decode(&text[whole.clone()]).filter(|decoded| is_readable(decoded));
            if let Some(decoded) = decoded {
                return Some((run, decoded));
            }
        }
        None
    })
}

/// Whether the first groups decode to text; most runs that are no base64 fail at the first.
fn has_readable_head(head: &[u8]) -> bool {
    head.chunks_exact(GROUP_BYTES).all(|group| {
        let bits =
            group.iter().try_fold(0, |bits, byte| Some(bits << 6 | u32::from(digit(*byte)?)));
        bits.is_some_and(|bits: u32| is_text(&bits.to_be_bytes()[1..]))
    })
}

/// Decodes base64 of either alphabet, with or without padding.
pub fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let padding = encoded.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let digits = &encoded[..encoded.len() - padding];
    if digits.is_empty() || digits.len() % 4 == 1 || digits.len() > RUN_BYTES_MAX {
        return None;
    }
    let mut decoded = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    for group in digits.chunks(GROUP_BYTES) {
        let mut bits = 0_u32;
        for byte in group {
            bits = bits << 6 | u32::from(digit(*byte)?);
        }
        let bits = bits << (6 * (4 - group.len()));
        decoded.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(decoded)
}

/// No digit of base64.
const NONE: u8 = u8::MAX;

/// What each byte stands for, in either alphabet.
const DIGITS: [u8; 256] = {
    let mut digits = [NONE; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < alphabet.len() {
        digits[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    digits[b'-' as usize] = digits[b'+' as usize];
    digits[b'_' as usize] = digits[b'/' as usize];
    digits
};

fn digit(byte: u8) -> Option<u8> {
    Some(DIGITS[usize::from(byte)]).filter(|digit| *digit != NONE)
}

fn is_member(byte: u8) -> bool {
    DIGITS[usize::from(byte)] != NONE
}

/// The next run behind `at`, where one may begin; it moves behind the run. The least run holds two
/// whole words, and few texts hold two words of nothing but digits.
fn next_run(text: &[u8], at: &mut usize) -> Option<Range<usize>> {
    const { assert!(RUN_BYTES_MIN >= 3 * WORD_BYTES - 1) };
    loop {
        let (words, _) = text[*at..].as_chunks::<WORD_BYTES>();
        let of_digits = |pair: &[[u8; WORD_BYTES]]| pair.iter().flatten().all(|b| is_member(*b));
        let is_run = |pair: &[[u8; WORD_BYTES]]| {
            may_be_digits(pair[0]) & may_be_digits(pair[1]) && of_digits(pair)
        };
        let probe = *at + words.windows(2).position(is_run)? * WORD_BYTES;
        let back = text[*at..probe].iter().rev().take_while(|byte| is_member(**byte)).count();
        let mut end = probe + text[probe..].iter().take_while(|byte| is_member(**byte)).count();
        let start = probe - back;
        let is_long = end - start >= RUN_BYTES_MIN;
        end += text[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
        *at = end;
        if is_long {
            return Some(start..end);
        }
    }
}

/// Whether there is neither a blank, a quote, a bracket nor another byte below `+`, nor one that is
/// not ASCII: a quick look that rules out nearly all words.
fn may_be_digits(word: [u8; WORD_BYTES]) -> bool {
    const EACH: u64 = u64::from_le_bytes([1; WORD_BYTES]);
    const HIGHEST: u64 = EACH << 7;
    let word = u64::from_le_bytes(word);
    // No byte carries into the next one: both addends are less than 128.
    let high_from_plus = (word & !HIGHEST) + EACH * (0x80 - b'+' as u64);
    high_from_plus & !word & HIGHEST == HIGHEST
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

fn is_readable(decoded: &[u8]) -> bool {
    let strange = |byte: &&u8| !(byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    decoded.iter().filter(strange).count() * 50 <= decoded.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_it_should() {
        let cases: [(&str, Option<&[u8]>); 7] = [
            ("YTpi", Some(b"a:b")),
            ("YTpiYw==", Some(b"a:bc")),
            ("YTpiYw", Some(b"a:bc")),
            ("_-A=", Some(&[0xff, 0xe0])),
            ("YTpiY", None),
            ("a b", None),
            ("", None),
        ];
        for (encoded, decoded) in cases {
            assert_eq!(decode(encoded.as_bytes()).as_deref(), decoded, "{encoded}");
        }
    }

    #[test]
    fn digits_may_be_digits() {
        for byte in 0..=u8::MAX {
            for at in 0..WORD_BYTES {
                let mut word = *b"aZ09+/-_";
                word[at] = byte;
                let expected = byte.is_ascii() && byte >= b'+';
                assert_eq!(may_be_digits(word), expected, "{byte} at {at}");
                assert!(expected || !is_member(byte));
            }
        }
    }

    /// Against a search byte by byte.
    #[test]
    fn runs_are_as_long_as_they_can_be() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let part = |random: &mut fastrand::Rng| match random.usize(..5) {
                0 => "=",
                1 => [" ", "é"][random.usize(..2)],
                _ => ["aZ9", "+/-_aZ9+/-_aZ9", "Q"][random.usize(..3)],
            };
            let text: String = (0..random.usize(..30)).map(|_| part(&mut random)).collect();
            let text = text.as_bytes();
            let mut expected = Vec::new();
            let mut at = 0;
            while at < text.len() {
                let members = text[at..].iter().take_while(|byte| is_member(**byte)).count();
                let padding = text[at + members..].iter().take(2).take_while(|b| **b == b'=');
                let end = at + members + padding.count();
                let is_long = members >= RUN_BYTES_MIN;
                if is_long {
                    expected.push(at..end);
                }
                at = if is_long { end } else { at + members + 1 };
            }
            let mut at = 0;
            let found: Vec<_> = std::iter::from_fn(|| next_run(text, &mut at)).collect();
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn finds_every_readable_run_wherever_it_stands() {
        let run = "cGFzc3dvcmQ9aHVudGVyMgpwYXNz";
        for offset in 0..60 {
            // Up to three letters that are none of it stand before it.
            let before = "x ".repeat(offset / 2) + &".".repeat(offset) + &"q".repeat(offset % 4);
            let text = format!("{before}{run}\" and words");
            let found: Vec<_> = readable_runs(text.as_bytes()).collect();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(&text[found[0].0.clone()], run);
            assert!(found[0].1.starts_with(b"password=hunter2"));
        }
    }
}
