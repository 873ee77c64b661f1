//! A session id that is safe in a file name.

use std::fmt;

/// Bytes of a session id.
const SESSION_ID_BYTES_MAX: usize = 128;

/// Claude's id of a session: 1 to 128 of `[A-Za-z0-9_-]`, so that it never leaves our folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// The id, unless it holds anything else.
    pub fn new(text: &str) -> Option<SessionId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let length_fits = (1..=SESSION_ID_BYTES_MAX).contains(&text.len());
        (length_fits && text.bytes().all(allowed)).then(|| SessionId(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_leave_the_folder() {
        let longest = "a".repeat(128);
        for good in ["a", "11111111-1111-4111-8111-111111111111", "A_b-9", &longest] {
            assert!(SessionId::new(good).is_some(), "{good}");
        }
        let long = "a".repeat(129);
        for bad in ["", ".", "..", "../x", "a/b", "a.b", "a b", "ä", "a\0", &long] {
            assert!(SessionId::new(bad).is_none(), "{bad}");
        }
    }
}
