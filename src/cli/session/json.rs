//! JSON for people to read, with everything but the blanks between its parts as it was: order of
//! keys, spelling of numbers, escapes.

use serde::de::IgnoredAny;

/// The text laid out with two blanks a level, and a newline at its end; `None` when it is no JSON.
pub fn indented(text: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice::<IgnoredAny>(text).ok()?;
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let (mut level, mut at) = (0, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let end = at + string_bytes(&text[at..]);
                out.extend_from_slice(&text[at..end]);
                at = end;
                continue;
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' | b'[' => {
                out.push(*byte);
                let next = text[at + 1..].iter().find(|next| !next.is_ascii_whitespace());
                level += 1;
                if !matches!(next, Some(b'}' | b']')) {
                    break_line(&mut out, level);
                }
            }
            b'}' | b']' => {
                level -= 1;
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    break_line(&mut out, level);
                }
                out.push(*byte);
            }
            b',' => {
                out.push(b',');
                break_line(&mut out, level);
            }
            b':' => out.extend_from_slice(b": "),
            other => out.push(*other),
        }
        at += 1;
    }
    out.push(b'\n');
    Some(out)
}

fn break_line(out: &mut Vec<u8>, level: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', 2 * level));
}

/// Bytes of the string at the beginning of a text, with its quotes.
fn string_bytes(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_change() {
        let cases = [
            (r#"{"b":1.50,"a":[ ],"c":{}}"#, "{\n  \"b\": 1.50,\n  \"a\": [],\n  \"c\": {}\n}\n"),
            (
                r#"[12345678901234567890,"a\",{[:\\",null]"#,
                "[\n  12345678901234567890,\n  \"a\\\",{[:\\\\\",\n  null\n]\n",
            ),
            (
                " {\n\"a\" :\t[{\"b\":[]}] } ",
                "{\n  \"a\": [\n    {\n      \"b\": []\n    }\n  ]\n}\n",
            ),
            ("\"a b\"", "\"a b\"\n"),
        ];
        for (text, expected) in cases {
            let text = String::from_utf8(indented(text.as_bytes()).unwrap()).unwrap();
            assert_eq!(text, expected);
            assert_eq!(indented(text.as_bytes()).unwrap(), text.as_bytes());
        }
        for text in ["", "{", "<html>", "{} x"] {
            assert_eq!(indented(text.as_bytes()), None, "{text}");
        }
    }
}
