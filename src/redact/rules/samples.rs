//! Makes texts from the templates of [`Rule::samples`](super::Rule::samples) and of the fixtures.

use std::ops::Range;

/// What a template stands for, and where the secret in it lies: between `«` and `»`, which are left
/// out, or everywhere.
pub fn expand(template: &str, seed: u64) -> (String, Range<usize>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = String::new();
    let (mut start, mut end) = (0, None);
    let mut rest = template;
    while let Some(character) = rest.chars().next() {
        let behind = &rest[character.len_utf8()..];
        match character {
            '«' => start = text.len(),
            '»' => end = Some(text.len()),
            _ => match placeholder(rest) {
                Some((class, count, after)) => {
                    (0..count)
                        .for_each(|_| text.push(char::from(class[random.usize(..class.len())])));
                    rest = after;
                    continue;
                }
                None => text.push(character),
            },
        }
        rest = behind;
    }
    let end = end.unwrap_or(text.len());
    (text, start..end)
}

/// `{a36}` at the beginning: its class, its count and what follows. Without a number it is one.
fn placeholder(text: &str) -> Option<(&'static [u8], usize, &str)> {
    let (inner, after) = text.strip_prefix('{')?.split_once('}')?;
    let class: &[u8] = match inner.as_bytes().first()? {
        b'a' => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        b'l' => b"abcdefghijklmnopqrstuvwxyz0123456789",
        b'u' => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        b'h' => b"0123456789abcdef",
        b'H' => b"0123456789ABCDEF",
        b'd' => b"0123456789",
        b'z' => b"abcdefghijklmnopqrstuvwxyz",
        b'Z' => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        b'b' => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        b's' => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
        _ => return None,
    };
    let count = if inner.len() == 1 { 1 } else { inner[1..].parse().ok()? };
    Some((class, count, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let (text, secret) = expand("token={d3}-«{h8}» {x} {36}", 7);
        assert_eq!(text.len(), "token=000-00000000 {x} {36}".len());
        assert_eq!(secret, 10..18);
        assert!(text.ends_with(" {x} {36}") && text.starts_with("token="));
        assert_eq!(expand("abc", 1), ("abc".to_owned(), 0..3));
    }
}
