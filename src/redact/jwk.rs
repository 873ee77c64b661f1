//! JSON Web Keys (RFC 7517): an object that says `kty`, and with its private members the key.
//!
//! Looked for as members of a JSON object, and in texts that hold such an object in any spelling:
//! source code, escaped JSON, a part that was cut off.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use super::json::StringValue;
use super::labels::PRIVATE_KEY;
use super::spans::Span;

/// The member that makes an object a key; it is also the keyword.
pub const KEYWORD: &str = "kty";
/// Members that are secret: those of RFC 7518, sections 6.2.2, 6.3.2 and 6.4.
const PRIVATE: [&[u8]; 7] = [b"d", b"p", b"q", b"dp", b"dq", b"qi", b"k"];
/// Bytes of the shortest private member: 128 bits.
const VALUE_BYTES_MIN: usize = 22;
/// Bytes before and behind the keyword in which its object begins and ends.
const OBJECT_BYTES_MAX: usize = 8 << 10;
/// Bytes of blanks, quotes and backslashes around a colon.
const GAP_BYTES_MAX: usize = 32;

/// The private members of the object around a keyword in a text, pushed to `found`. Nothing before
/// `from` is looked at. Says where the object ends.
pub fn secrets_at(text: &[u8], at: usize, from: usize, found: &mut Vec<Range<usize>>) -> usize {
    let lowest = from.max(at.saturating_sub(OBJECT_BYTES_MAX)).min(at);
    let start = memrchr(b'{', &text[lowest..at]).map_or(lowest, |brace| lowest + brace);
    let highest = text.len().min(at + OBJECT_BYTES_MAX);
    let end = memchr(b'}', &text[at..highest]).map_or(highest, |brace| at + brace);
    for colon in memchr_iter(b':', &text[start..end]) {
        if let Some(secret) = member(&text[start..end], colon) {
            found.push(start + secret.start..start + secret.end);
        }
    }
    end
}

/// The value of the member around a colon, if it is a private one.
fn member(object: &[u8], colon: usize) -> Option<Range<usize>> {
    let glue = |byte: &&u8| byte.is_ascii_whitespace() || b"\\\"'".contains(byte);
    let before = &object[colon.saturating_sub(GAP_BYTES_MAX)..colon];
    let name_end = before.len() - before.iter().rev().take_while(glue).count();
    let name = before[..name_end].iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count();
    if !PRIVATE.contains(&&before[name_end - name..name_end]) {
        return None;
    }
    let rest = &object[colon + 1..];
    let gap = rest.iter().take(GAP_BYTES_MAX).take_while(glue).count();
    let length = rest[gap..].iter().take_while(|byte| is_base64_for_urls(byte)).count();
    let start = colon + 1 + gap;
    (length >= VALUE_BYTES_MIN).then_some(start..start + length)
}

fn is_base64_for_urls(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The strings of one object, until it is clear that it is a key.
#[derive(Default)]
pub struct Members {
    object: usize,
    is_key: bool,
    secrets: Vec<Span>,
}

impl Members {
    /// Takes the next string value of a document; adds all secrets that are now known to be some.
    pub fn meet(&mut self, string: &StringValue<'_>, document: &[u8], spans: &mut Vec<Span>) {
        if string.object != self.object {
            (self.object, self.is_key) = (string.object, false);
            self.secrets.clear();
        }
        let content = &document[string.range.clone()];
        match string.key {
            Some(b"kty") => self.is_key = true,
            Some(key)
                if PRIVATE.contains(&key)
                    && content.len() >= VALUE_BYTES_MIN
                    && content.iter().all(is_base64_for_urls) =>
            {
                self.secrets.push(Span { range: string.range.clone(), label: PRIVATE_KEY });
            }
            _ => {}
        }
        if self.is_key {
            spans.append(&mut self.secrets);
        }
    }
}
