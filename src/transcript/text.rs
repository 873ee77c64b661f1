//! Titles and first messages: made plain and short.

use std::borrow::Cow;

/// Bytes of an entity between `&` and `;`.
const ENTITY_BYTES_MAX: usize = 10;
/// Entities that old HTML also allows without the semicolon.
const LEGACY: [(&str, char); 7] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("nbsp", '\u{a0}'),
    ("copy", '©'),
    ("reg", '®'),
];
const NAMED: [(&str, char); 25] = [
    ("apos", '\''),
    ("hellip", '…'),
    ("mdash", '—'),
    ("ndash", '–'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("bull", '•'),
    ("middot", '·'),
    ("trade", '™'),
    ("euro", '€'),
    ("pound", '£'),
    ("yen", '¥'),
    ("cent", '¢'),
    ("sect", '§'),
    ("deg", '°'),
    ("plusmn", '±'),
    ("times", '×'),
    ("divide", '÷'),
    ("larr", '←'),
    ("rarr", '→'),
    ("check", '✓'),
];

/// Deletes tags, decodes HTML entities, makes every run of white space one space, trims, and
/// removes NUL.
pub fn sanitise(text: &str) -> String {
    let untagged = without_tags(text);
    let decoded = decode_entities(&untagged);
    let mut plain = String::with_capacity(decoded.len());
    for word in decoded.split_whitespace() {
        let word = word.replace('\0', "");
        if !plain.is_empty() && !word.is_empty() {
            plain.push(' ');
        }
        plain.push_str(&word);
    }
    plain
}

/// At most `bytes_max` bytes: a longer text is cut on a character boundary and ends in `...`.
pub fn truncate(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let mut end = bytes_max.saturating_sub(3);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = &text[..end];
    let dots = &"..."[..bytes_max.min(3)];
    Cow::Owned(format!("{kept}{dots}"))
}

/// Without anything from a `<` to the next `>`.
fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        let Some((_, after)) = tag.split_once('>') else { break };
        plain.push_str(before);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

fn decode_entities(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        match entity(after) {
            Some((character, bytes)) => {
                plain.push(character);
                rest = &after[bytes..];
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// The character of the entity that begins behind a `&`, and the bytes that it takes.
fn entity(rest: &str) -> Option<(char, usize)> {
    let window = rest.as_bytes().iter().take(ENTITY_BYTES_MAX + 1);
    let end = window.clone().position(|byte| *byte == b';');
    if let Some(name) = end.and_then(|end| rest.get(..end)) {
        let named = LEGACY.iter().chain(&NAMED).find(|(known, _)| *known == name);
        let character = named.map(|(_, character)| *character).or_else(|| numeric(name));
        if let Some(character) = character {
            return Some((character, name.len() + 1));
        }
    }
    let legacy = LEGACY.iter().find(|(known, _)| rest.starts_with(known))?;
    Some((legacy.1, legacy.0.len()))
}

/// `#64` or `#x40`.
fn numeric(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let (digits, radix) = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok();
    Some(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanitised_texts() {
        let cases = [
            ("  a \t\n b\u{a0}\u{2003}c ", "a b c"),
            ("<command-name>/clear</command-name> now", "/clear now"),
            ("a <b\nc> d < e", "a d < e"),
            ("<<x>>", ">"),
            ("1 < 2 & 3", "1 < 2 & 3"),
            ("&lt;b&gt; &amp;amp; &quot;x&apos; &#64;&#x41;&#X42;", "<b> &amp; \"x' @AB"),
            ("&amp &ltfoo &hellip &hellip;", "& <foo &hellip …"),
            ("&#; &#x; &#xg; &#1114112; &;", "&#; &#x; &#xg; \u{fffd} &;"),
            ("a\0b \0 c", "ab c"),
            ("ä&ä;ö", "ä&ä;ö"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(sanitise(text), expected, "{text:?}");
        }
    }

    #[test]
    fn truncated_on_a_character_boundary() {
        let cases = [
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abc..."),
            ("aää€", 8, "aää€"),
            ("aää€x", 8, "aää..."),
            ("aää€x", 7, "aä..."),
            ("€€", 4, "..."),
            ("abc", 2, ".."),
            ("abc", 0, ""),
        ];
        for (text, bytes_max, expected) in cases {
            assert_eq!(truncate(text, bytes_max), expected, "{text} {bytes_max}");
        }
    }
}
