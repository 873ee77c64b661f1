//! Secrets that this server makes up: API keys, `cfb_` and 40 characters of URL-safe base64; the
//! tokens of browsers; the two codes with which a machine gets a key.
//!
//! All are random and stored as their SHA-256. A secret is looked up by its hash, and what is found
//! is compared with it once more in constant time: how long a lookup takes tells something of the
//! hashes that are stored, and nobody can choose a secret by its hash.

use std::hint::black_box;
use std::io;

use sha2::{Digest, Sha256};

const PREFIX: &str = "cfb_";
/// 240 bits: 40 characters without padding.
const RANDOM_BYTES: usize = 30;
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Letters and digits that nobody takes for another.
const USER_CODE_ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
/// Of a code that a person types, without the dash.
const USER_CODE_CHARS: usize = 8;

/// What is stored of a secret.
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

/// Makes a token: 256 bits as 64 hexadecimal digits.
///
/// # Errors
/// As the source.
pub fn new_token(random: Random) -> io::Result<String> {
    let mut bytes = [0; 32];
    random(&mut bytes)?;
    Ok(hex(&bytes))
}

/// Makes a code that a person compares and types, `XXXX-XXXX`: 39 bits, which is enough for a few
/// minutes in which guesses are counted.
///
/// # Errors
/// As the source.
pub fn new_user_code(random: Random) -> io::Result<String> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    // 128 bits are so many more than are taken that no code is likelier than another.
    let mut rest = u128::from_be_bytes(bytes);
    let mut code = String::with_capacity(USER_CODE_CHARS + 1);
    for index in 0..USER_CODE_CHARS {
        if index == USER_CODE_CHARS / 2 {
            code.push('-');
        }
        let n_letters = USER_CODE_ALPHABET.len() as u128;
        code.push(char::from(USER_CODE_ALPHABET[(rest % n_letters) as usize]));
        rest /= n_letters;
    }
    Ok(code)
}

/// A code as people type it, as it was shown: `None` for what cannot be one.
pub fn user_code(typed: &str) -> Option<String> {
    let typed = typed.chars().filter(|c| !matches!(c, '-' | ' '));
    let code: String = typed.map(|c| c.to_ascii_uppercase()).take(USER_CODE_CHARS + 1).collect();
    let is_code = code.len() == USER_CODE_CHARS
        && code.bytes().all(|byte| USER_CODE_ALPHABET.contains(&byte));
    is_code.then(|| format!("{}-{}", &code[..USER_CODE_CHARS / 2], &code[USER_CODE_CHARS / 2..]))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// True for equal bytes, after the same time wherever they differ.
pub fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    black_box(differences) == 0
}

/// The hash that a secret is stored and found by.
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
    fn codes_are_read_as_people_type_them() {
        let code = new_user_code(counting).unwrap();
        assert_eq!(code.len(), 9);
        assert_eq!(user_code(&code), Some(code.clone()));
        assert_eq!(user_code(&code.to_lowercase().replace('-', " ")), Some(code.clone()));
        assert_eq!(user_code(&code.replace('-', "")), Some(code.clone()));
        let wrong =
            [&code[1..], "", "ABCD-EFG0", "ABCD-EFGI", "ABCDEFGHJ", "ÄBCDEFGH", "ABCD_EFGH"];
        for text in wrong {
            assert_eq!(user_code(text), None, "{text}");
        }
        assert_eq!(new_token(counting).unwrap()[..12], *"fafbfcfdfeff");
    }

    #[test]
    fn one_different_bit_is_a_difference() {
        let zeros = [0; 32];
        assert!(is_same(&zeros, &zeros));
        for bit in 0..256 {
            let mut other = zeros;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_same(&zeros, &other), "{bit}");
        }
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
