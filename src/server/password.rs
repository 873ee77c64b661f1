//! Passwords: Argon2id with the least that OWASP recommends, so that a guess costs an attacker with
//! the database as much memory and time as it costs us.
//!
//! A hashing takes 19 MiB. Not more than two run at once, whoever asks: memory is bounded, and who
//! tries passwords cannot take the processors away from those that upload. Whether a user exists
//! cannot be told from the time: without one, a hash is made all the same.
//!
//! Deliberately absent: rules about what a password is made of, beyond its length.

use std::hint::black_box;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::auth::{Random, is_same};
use crate::error::{Context, Error, Result};

/// Memory of a hashing in KiB.
const MEMORY_KIB: u32 = 19 << 10;
/// Passes over that memory.
const PASSES: u32 = 2;
/// Parts of it that could be filled at the same time.
const LANES: u32 = 1;
/// Bytes of a salt.
const SALT_BYTES: usize = 16;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;
/// Bytes of a new password. Guesses are few and slow here; longer ones are better elsewhere too.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// Bytes of a password.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Hashings at once.
const HASHINGS_MAX: usize = 2;
/// How long a sign-in waits for those before it.
const WAIT_TIME_MAX: Duration = Duration::from_secs(10);

/// What is stored of a password: its hash, and how that was made.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Parts of it.
    pub lanes: u32,
    /// Makes equal passwords differ.
    pub salt: [u8; SALT_BYTES],
    /// The hash.
    pub hash: [u8; HASH_BYTES],
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordHash").finish_non_exhaustive()
    }
}

impl PasswordHash {
    /// Of a new password.
    ///
    /// # Errors
    /// When it is too short, too long, or holds control characters, with a hint; when there is no
    /// randomness or memory.
    pub fn new(password: &str, random: Random) -> Result<PasswordHash> {
        let is_long_enough = (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len());
        if !is_long_enough || password.contains(char::is_control) {
            let range = format!("{PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX}");
            return Err(Error::new("this cannot be a password")
                .with_hint(format!("take {range} bytes without control characters")));
        }
        let mut made = PasswordHash::unmatched();
        random(&mut made.salt).context(|| "make a salt".into())?;
        made.hash = made.hash_of(password)?;
        Ok(made)
    }

    /// A hash that no password has, at the usual cost.
    fn unmatched() -> PasswordHash {
        PasswordHash {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: [0; SALT_BYTES],
            hash: [0; HASH_BYTES],
        }
    }

    fn hash_of(&self, password: &str) -> Result<[u8; HASH_BYTES]> {
        let run = || -> argon2::Result<[u8; HASH_BYTES]> {
            let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(HASH_BYTES))?;
            let mut memory = vec![Block::default(); params.block_count()];
            let mut hash = [0; HASH_BYTES];
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into_with_memory(
                    password.as_bytes(),
                    &self.salt,
                    &mut hash,
                    &mut memory,
                )?;
            Ok(hash)
        };
        // The crate's error says no more than its text here.
        run().map_err(|error| Error::new(format!("hash a password: {error}")))
    }
}

/// Compares passwords, a few at a time.
#[derive(Debug, Default)]
pub struct Passwords {
    running: Mutex<usize>,
    ended: Condvar,
}

impl Passwords {
    /// True when the password is that of the hash; never without a hash, after the same time.
    /// `None` when too many others wait.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn check(&self, stored: Option<&PasswordHash>, password: &str) -> Result<Option<bool>> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(Some(false));
        }
        let Some(_turn) = self.turn() else { return Ok(None) };
        let unmatched = PasswordHash::unmatched();
        let compared = stored.unwrap_or(&unmatched);
        let is_equal = is_same(&compared.hash_of(black_box(password))?, &compared.hash);
        Ok(Some(is_equal && stored.is_some()))
    }

    fn turn(&self) -> Option<Turn<'_>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |running: &mut usize| *running >= HASHINGS_MAX;
        let (mut running, _) = self
            .ended
            .wait_timeout_while(running, WAIT_TIME_MAX, is_full)
            .unwrap_or_else(PoisonError::into_inner);
        if is_full(&mut running) {
            return None;
        }
        *running += 1;
        Some(Turn(self))
    }
}

/// One of the hashings that may run; the next may begin when it is dropped.
struct Turn<'a>(&'a Passwords);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::server::auth::hex;

    fn ones(bytes: &mut [u8]) -> io::Result<()> {
        bytes.fill(1);
        Ok(())
    }

    #[test]
    fn a_password_matches_its_own_hash_alone() {
        let passwords = Passwords::default();
        let stored = PasswordHash::new("correct horse", ones).unwrap();
        assert_eq!((stored.memory_kib, stored.passes, stored.lanes), (19_456, 2, 1));
        let check = |stored: Option<&PasswordHash>, password: &str| {
            passwords.check(stored, password).unwrap().unwrap()
        };
        assert!(check(Some(&stored), "correct horse"));
        for wrong in ["correct horsf", "Correct horse", "correct horse ", ""] {
            assert!(!check(Some(&stored), wrong), "{wrong:?}");
        }
        assert!(!check(None, "correct horse"));
        assert!(!check(Some(&stored), &"x".repeat(PASSWORD_BYTES_MAX + 1)));
        let cheaper = PasswordHash { passes: 1, ..stored };
        assert!(!check(Some(&cheaper), "correct horse"), "its parameters are those stored");
    }

    #[test]
    fn what_cannot_be_a_password() {
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        for password in ["", "1234567", "12345678\n", "1234\u{0}5678", &long] {
            let error = PasswordHash::new(password, ones).unwrap_err();
            assert!(error.hint().is_some(), "{password:?}");
        }
    }

    /// What OpenSSL makes of the same password, salt and parameters.
    #[test]
    fn the_algorithm_is_the_standard_one() {
        let salt = *b"somesaltsomesalt";
        let hash = PasswordHash { salt, ..PasswordHash::unmatched() }.hash_of("password").unwrap();
        assert_eq!(hex(&hash), "2b5dc4054886ec957ef59c73b661c54dd6fb274590b278f657c6d96aac8fa6d1");
    }

    #[test]
    fn no_more_than_two_at_once() {
        let passwords = Passwords::default();
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let _turn = passwords.turn().unwrap();
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!((1..=HASHINGS_MAX).contains(&most.into_inner()));
        assert_eq!(*passwords.running.lock().unwrap(), 0);
    }
}
