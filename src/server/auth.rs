//! API keys: `cfb_` and 40 characters of URL-safe base64, stored as SHA-256.

use std::io;

use sha2::{Digest, Sha256};

const PREFIX: &str = "cfb_";
/// 240 bits: 40 characters without padding.
const RANDOM_BYTES: usize = 30;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

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
    let mut key = String::from(PREFIX);
    for triple in bytes.chunks_exact(3) {
        let bits = u32::from_be_bytes([0, triple[0], triple[1], triple[2]]);
        for shift in [18, 12, 6, 0] {
            key.push(char::from(ALPHABET[(bits >> shift & 63) as usize]));
        }
    }
    Ok(key)
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
