//! Private keys in PEM and PGP armour, whole or cut off.
//!
//! Line ends may be spelt in any way (`\n` as two characters, line numbers, diff signs): of a whole
//! block only its first and last line matter.

use std::ops::Range;

use memchr::memmem;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
/// Bytes of `RSA PRIVATE KEY` and its like.
const LABEL_BYTES_MAX: usize = 64;
/// Bytes between the first line of a key that is cut off and its first material: line ends, quotes,
/// line numbers, diff signs.
const GLUE_BYTES_MAX: usize = 256;
/// Material in a row, in bytes, that makes a block without an end a key and not a mention of one.
const MATERIAL_BYTES_MIN: usize = 16;

/// Where the ends of blocks are; each part of the text is looked at once, however many beginnings
/// there are.
pub struct Ends<'a> {
    text: &'a [u8],
    looked_at: usize,
    next: Option<Range<usize>>,
}

impl<'a> Ends<'a> {
    /// Nothing is read before it is asked for.
    pub fn new(text: &'a [u8]) -> Ends<'a> {
        Ends { text, looked_at: 0, next: None }
    }

    /// The end of the first closing line behind `from`, which never decreases.
    fn after(&mut self, from: usize) -> Option<usize> {
        if let Some(next) = self.next.as_ref().filter(|next| next.start >= from) {
            return Some(next.end);
        }
        self.next = None;
        self.looked_at = self.looked_at.max(from);
        while let Some(found) = memmem::find(&self.text[self.looked_at..], END) {
            let start = self.looked_at + found;
            self.looked_at = start + END.len();
            if let Some(end) = armour(self.text, start, END) {
                self.next = Some(start..end);
                return Some(end);
            }
        }
        self.looked_at = self.text.len();
        None
    }
}

/// The block that begins at `start`, to its last line, or to the end of the text when that line is
/// missing and key material follows.
pub fn block_at(text: &[u8], start: usize, ends: &mut Ends<'_>) -> Option<Range<usize>> {
    let body = armour(text, start, BEGIN)?;
    if let Some(end) = ends.after(body) {
        return Some(start..end);
    }
    material_follows(&text[body..]).then_some(start..text.len())
}

/// The end of a line such as `-----BEGIN RSA PRIVATE KEY-----` at `start`.
fn armour(text: &[u8], start: usize, prefix: &[u8]) -> Option<usize> {
    let rest = text[start..].strip_prefix(prefix)?;
    let is_label =
        |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b' ';
    let label = rest.iter().take(LABEL_BYTES_MAX).take_while(is_label).count();
    let name = rest[..label].strip_suffix(b" BLOCK").unwrap_or(&rest[..label]);
    let whole = name.ends_with(b"PRIVATE KEY") && rest[label..].starts_with(b"-----");
    whole.then_some(start + prefix.len() + label + 5)
}

fn material_follows(body: &[u8]) -> bool {
    let mut at = 0;
    while let Some(byte) = body.get(at).filter(|_| at < GLUE_BYTES_MAX) {
        at += match byte {
            b'\\' => 2,
            byte if !byte.is_ascii_alphabetic() => 1,
            _ => break,
        };
    }
    let rest = body.get(at..).unwrap_or_default();
    let headers: [&[u8]; 4] = [b"Proc-Type:", b"DEK-Info:", b"Version:", b"Comment:"];
    let is_material = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    headers.iter().any(|header| rest.starts_with(header))
        || rest.iter().take_while(is_material).nth(MATERIAL_BYTES_MIN - 1).is_some()
}
