//! API keys: `cfb_` and 40 characters of URL-safe base64, stored as SHA-256.

use std::io;

use sha2::{Digest, Sha256};

const PREFIX: &str = "cfb_";
/// 240 bits: 40 characters without padding.
const RANDOM_BYTES: usize = 30;
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What is stored of a key.
pub type KeyHash = [u8; 32];

/// A source of random bytes that nobody can guess.
pub type Random = fn(&mut [u8]) -> io::Result<()>;

/// Makes a key.
///
/// # Errors
/// As the source.
pub fn new_key(random: Random) -> io::Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    random(&mut bytes)?;
    Ok(format!("{PREFIX}{}", encoded(&bytes, URL_SAFE)))
}

/// Base64 with padding (RFC 4648, 4).
pub fn base64(bytes: &[u8]) -> String {
    let mut text = encoded(bytes, STANDARD);
    text.extend(std::iter::repeat_n('=', (3 - bytes.len() % 3) % 3));
    text
}

/// Without padding.
fn encoded(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let of = |index: usize| part.get(index).copied().unwrap_or(0);
        let bits = u32::from_be_bytes([0, of(0), of(1), of(2)]);
        for shift in [18, 12, 6, 0].into_iter().take(part.len() + 1) {
            text.push(char::from(alphabet[(bits >> shift & 63) as usize]));
        }
    }
    text
}

/// Makes a random UUID (version 4).
///
/// # Errors
/// As the source.
pub fn new_uuid(random: Random) -> io::Result<String> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// The hash that a key is stored and found by.
pub fn hash(key: &str) -> KeyHash {
    Sha256::digest(key.as_bytes()).into()
}

/// The key in an `Authorization` header: exactly `Bearer`, one space, the key.
///
/// # Errors
/// The body of the 401, with its newline.
pub fn bearer(header: Option<&str>) -> Result<&str, &'static str> {
    let header = header.filter(|header| !header.is_empty());
    let header = header.ok_or("Missing Authorization header\n")?;
    match header.split_once(' ') {
        Some(("Bearer", key)) if !key.contains(' ') => Ok(key),
        _ => Err("Invalid Authorization header format\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(bytes: &mut [u8]) -> io::Result<()> {
        bytes.iter_mut().enumerate().for_each(|(index, byte)| *byte = 250 + index as u8 % 6);
        Ok(())
    }

    #[test]
    fn a_key_is_url_safe_base64_of_all_random_bytes() {
        // RFC 4648 of fa fb fc fd fe ff.
        assert_eq!(new_key(counting).unwrap(), format!("cfb_{}", "-vv8_f7_".repeat(5)));
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn a_uuid_has_version_and_variant() {
        let uuid = new_uuid(counting).unwrap();
        assert_eq!(uuid, "fafbfcfd-feff-4afb-bcfd-fefffafbfcfd");
    }

    #[test]
    fn the_scheme_is_read_strictly() {
        assert_eq!(bearer(Some("Bearer k")), Ok("k"));
        assert_eq!(bearer(None), Err("Missing Authorization header\n"));
        for header in ["bearer k", "Bearer  k", "Bearer", "Basic k", "Bearer k l"] {
            assert_eq!(bearer(Some(header)), Err("Invalid Authorization header format\n"));
        }
    }
}
