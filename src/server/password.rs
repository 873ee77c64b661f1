//! Passwords: kept as Argon2id makes them (RFC 9106), with the parameters that OWASP names for
//! small machines. One is checked at a time, so that memory is bounded whoever asks.
//!
//! The text that is stored is `argon2id$MEMORY$PASSES$SALT$HASH`, the last two in hexadecimal: a
//! later version may ask for more and still check what is there.

use std::sync::{Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Params, Version};

use super::auth::Random;
use crate::error::{Context, Error, Result};

/// Bytes of a password.
pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=1024;
/// Memory in KiB.
const MEMORY_KIB: u32 = 19 << 10;
/// Passes over the memory.
const PASSES: u32 = 2;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
const NAME: &str = "argon2id";

/// Held while a password is checked or made.
static ONE: Mutex<()> = Mutex::new(());

/// What is stored of a password.
///
/// # Errors
/// When it is too short or too long, or there is no randomness.
pub fn stored(password: &str, random: Random) -> Result<String> {
    if !PASSWORD_BYTES.contains(&password.len()) {
        let (least, most) = (PASSWORD_BYTES.start(), PASSWORD_BYTES.end());
        return Err(Error::new(format!("a password has {least} to {most} bytes")));
    }
    let mut salt = [0; SALT_BYTES];
    random(&mut salt).context(|| "make a salt".into())?;
    let hash = hashed(password, &salt, MEMORY_KIB, PASSES).context(|| "hash a password".into())?;
    Ok(format!("{NAME}${MEMORY_KIB}${PASSES}${}${}", hex(&salt), hex(&hash)))
}

/// True when this is the password that was stored. Without one it is false, in the same time.
pub fn is_right(password: &str, stored: Option<&str>) -> bool {
    let parsed = stored.and_then(parsed);
    let is_there = parsed.is_some() && password.len() <= *PASSWORD_BYTES.end();
    let (memory, passes, salt, expected) =
        parsed.unwrap_or((MEMORY_KIB, PASSES, vec![0; SALT_BYTES], [0; HASH_BYTES]));
    let password = &password[..password.floor_char_boundary(*PASSWORD_BYTES.end())];
    let Some(hash) = hashed(password, &salt, memory, passes).ok() else { return false };
    // All bytes are looked at, so that the time does not tell where the first difference is.
    let difference = hash.iter().zip(expected).fold(0, |all, (left, right)| all | (left ^ right));
    is_there && difference == 0
}

fn hashed(
    password: &str,
    salt: &[u8],
    memory: u32,
    passes: u32,
) -> Result<[u8; HASH_BYTES], argon2::Error> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let parameters = Params::new(memory, passes, 1, Some(HASH_BYTES))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    let mut hash = [0; HASH_BYTES];
    argon2.hash_password_into(password.as_bytes(), salt, &mut hash)?;
    Ok(hash)
}

fn parsed(stored: &str) -> Option<(u32, u32, Vec<u8>, [u8; HASH_BYTES])> {
    let mut parts = stored.split('$');
    if parts.next()? != NAME {
        return None;
    }
    let (memory, passes) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (salt, hash) = (bytes(parts.next()?)?, bytes(parts.next()?)?);
    Some((memory, passes, salt, hash.try_into().ok()?))
}

/// Lower case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(bytes: &mut [u8]) -> std::io::Result<()> {
        (0..).zip(bytes).for_each(|(number, byte)| *byte = number);
        Ok(())
    }

    #[test]
    fn only_the_password_itself_is_right() {
        let kept = stored("correct horse", counting).unwrap();
        assert!(kept.starts_with("argon2id$19456$2$000102030405060708090a0b0c0d0e0f$"), "{kept}");
        assert!(!kept.contains("horse"));
        assert!(is_right("correct horse", Some(&kept)));
        for wrong in ["correct horsE", "", "correct horse ", &"x".repeat(5000)] {
            assert!(!is_right(wrong, Some(&kept)), "{wrong}");
        }
        assert!(!is_right("", None) && !is_right("correct horse", None));
        for damaged in ["", "argon2id$19456$2$00$", "argon2i$19456$2$00$00", "argon2id$x$2$0$0"] {
            assert!(!is_right("correct horse", Some(damaged)), "{damaged}");
        }
    }

    #[test]
    fn a_password_has_a_length() {
        for password in ["", "seven77", &"x".repeat(1025)] {
            assert!(stored(password, counting).is_err(), "{password}");
        }
    }
}
