//! Who may come in: users' passwords, whether they are disabled, and the browsers that are signed
//! in.
//!
//! A sign-in ends with its time, when the user signs out, is disabled, or gets another password.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, Row, Transaction};

use super::{Store, User, micros};
use crate::error::Result;
use crate::server::auth::{KeyHash, is_same};
use crate::server::password::PasswordHash;

/// How long a browser stays signed in.
pub const SIGN_IN_TIME_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
/// Browsers of a user that are signed in; the oldest is signed out for another one.
const USER_SIGN_INS_MAX: i64 = 20;

impl Store {
    /// Gives a user a password and signs them out everywhere; false when there is no such user.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_password(
        &self,
        email: &str,
        password: &PasswordHash,
        now: SystemTime,
    ) -> Result<bool> {
        self.write("store a password", |transaction| {
            let PasswordHash { memory_kib, passes, lanes, salt, hash } = password;
            let n_users = transaction.execute(
                "INSERT OR REPLACE INTO passwords
                     (user_id, memory_kib, passes, lanes, salt, hash, changed_at)
                 SELECT id, ?, ?, ?, ?, ?, ? FROM users WHERE email = ?",
                (memory_kib, passes, lanes, salt, hash, micros(now), email),
            )?;
            sign_out_all(transaction, email)?;
            Ok(n_users > 0)
        })
    }

    /// Shuts a user out, with their keys and their browsers; nothing of theirs is removed. False
    /// when there is no such user.
    ///
    /// # Errors
    /// When the database fails.
    pub fn disable_user(&self, email: &str, now: SystemTime) -> Result<bool> {
        self.write("disable a user", |transaction| {
            let n_users = transaction.execute(
                "UPDATE users SET disabled_at = coalesce(disabled_at, ?) WHERE email = ?",
                (micros(now), email),
            )?;
            sign_out_all(transaction, email)?;
            Ok(n_users > 0)
        })
    }

    /// Lets a user in again; false when there is no such user.
    ///
    /// # Errors
    /// When the database fails.
    pub fn enable_user(&self, email: &str) -> Result<bool> {
        self.write("enable a user", |transaction| {
            let n_users = transaction
                .execute("UPDATE users SET disabled_at = NULL WHERE email = ?", [email])?;
            Ok(n_users > 0)
        })
    }

    /// Number and password of a user who may sign in with one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn password(&self, email: &str) -> Result<Option<(i64, PasswordHash)>> {
        self.read("look a password up", |connection| {
            let found = connection
                .prepare_cached(
                    "SELECT user_id, memory_kib, passes, lanes, salt, hash FROM passwords
                     JOIN users ON users.id = user_id
                     WHERE users.email = ? AND disabled_at IS NULL",
                )?
                .query_row([email], |row| Ok((row.get(0)?, read_password(row)?)));
            Ok(found.optional()?)
        })
    }

    /// Signs a browser of a user in whose password was found to be this. False when it is not the
    /// user's any more, or they were disabled meanwhile.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sign_in(
        &self,
        (user, password): (i64, &PasswordHash),
        token: &KeyHash,
        now: SystemTime,
    ) -> Result<bool> {
        self.write("sign in", |transaction| {
            transaction.execute("DELETE FROM sign_ins WHERE expires_at <= ?", [micros(now)])?;
            let n_new = transaction.execute(
                "INSERT INTO sign_ins (hash, user_id, created_at, expires_at)
                 SELECT ?, users.id, ?, ? FROM users JOIN passwords ON user_id = users.id
                 WHERE users.id = ? AND disabled_at IS NULL AND passwords.hash = ?",
                (token, micros(now), micros(now + SIGN_IN_TIME_MAX), user, &password.hash),
            )?;
            transaction.execute(
                "DELETE FROM sign_ins WHERE hash IN (
                     SELECT hash FROM sign_ins WHERE user_id = ?
                     ORDER BY created_at DESC LIMIT -1 OFFSET ?)",
                (user, USER_SIGN_INS_MAX),
            )?;
            Ok(n_new > 0)
        })
    }

    /// Whose browser has this token.
    ///
    /// # Errors
    /// When the database fails.
    pub fn signed_in(&self, token: &KeyHash, now: SystemTime) -> Result<Option<User>> {
        self.read("look a sign-in up", |connection| {
            let found = connection
                .prepare_cached(
                    "SELECT users.id, email, name, disabled_at IS NOT NULL, hash FROM sign_ins
                     JOIN users ON users.id = user_id
                     WHERE hash = ? AND expires_at > ? AND disabled_at IS NULL",
                )?
                .query_row((token, micros(now)), |row| Ok((read_user(row)?, row.get(4)?)))
                .optional()?;
            let found: Option<(User, KeyHash)> = found;
            Ok(found.filter(|(_, hash)| is_same(hash, token)).map(|(user, _)| user))
        })
    }

    /// Signs the browser with this token out, if it is in.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sign_out(&self, token: &KeyHash) -> Result<()> {
        self.write("sign out", |transaction| {
            transaction.execute("DELETE FROM sign_ins WHERE hash = ?", [token])?;
            Ok(())
        })
    }
}

fn sign_out_all(transaction: &Transaction<'_>, email: &str) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM sign_ins WHERE user_id = (SELECT id FROM users WHERE email = ?)",
        [email],
    )?;
    Ok(())
}

/// From the first four columns: number, address, name, whether they are disabled.
pub(super) fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User { id: row.get(0)?, email: row.get(1)?, name: row.get(2)?, is_disabled: row.get(3)? })
}

fn read_password(row: &Row<'_>) -> rusqlite::Result<PasswordHash> {
    Ok(PasswordHash {
        memory_kib: row.get(1)?,
        passes: row.get(2)?,
        lanes: row.get(3)?,
        salt: row.get(4)?,
        hash: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HASH, NOW, with_session};
    use super::*;

    fn password(byte: u8) -> PasswordHash {
        PasswordHash { memory_kib: 1, passes: 2, lanes: 3, salt: [byte; 16], hash: [byte; 32] }
    }

    #[test]
    fn a_sign_in_ends_with_its_time_and_with_what_it_was_made_with() {
        let (_folder, store, user) = with_session();
        let (token, other) = ([1; 32], [2; 32]);
        assert!(store.set_password("a@b", &password(5), NOW).unwrap());
        assert!(!store.set_password("nobody", &password(5), NOW).unwrap());
        assert_eq!(store.password("a@b").unwrap(), Some((user, password(5))));
        assert_eq!(store.password("nobody").unwrap(), None);
        let sign_in = |token, byte| store.sign_in((user, &password(byte)), token, NOW).unwrap();
        assert!(!sign_in(&token, 6), "that is not the password any more");
        assert!(sign_in(&token, 5) && sign_in(&other, 5));
        let end = NOW + SIGN_IN_TIME_MAX;
        let whose = |token, now| store.signed_in(token, now).unwrap().map(|user| user.id);
        assert_eq!(whose(&token, end - Duration::from_micros(1)), Some(user));
        assert_eq!((whose(&token, end), whose(&[3; 32], NOW)), (None, None));
        store.sign_out(&token).unwrap();
        assert_eq!((whose(&token, NOW), whose(&other, NOW)), (None, Some(user)));
        assert!(store.set_password("a@b", &password(7), NOW).unwrap());
        assert_eq!(whose(&other, NOW), None);
    }

    #[test]
    fn a_disabled_user_is_out_and_can_be_let_in_again() {
        let (_folder, store, user) = with_session();
        store.set_password("a@b", &password(5), NOW).unwrap();
        store.sign_in((user, &password(5)), &[1; 32], NOW).unwrap();
        assert!(store.disable_user("a@b", NOW).unwrap());
        assert!(!store.disable_user("nobody", NOW).unwrap());
        assert!(store.user_of_key(&HASH).unwrap().unwrap().is_disabled);
        assert_eq!(store.signed_in(&[1; 32], NOW).unwrap(), None);
        assert_eq!(store.password("a@b").unwrap(), None);
        assert!(!store.sign_in((user, &password(5)), &[2; 32], NOW).unwrap());
        // The time is that of the first command.
        store.disable_user("a@b", NOW + Duration::from_secs(9)).unwrap();
        let entry = &store.users().unwrap()[0];
        assert_eq!(entry.disabled_at.as_deref(), Some("1970-01-01T00:00:00Z"));
        assert!(entry.has_password && entry.keys == 1 && entry.sessions == 1);
        assert!(store.enable_user("a@b").unwrap() && !store.enable_user("nobody").unwrap());
        assert!(!store.user_of_key(&HASH).unwrap().unwrap().is_disabled);
        assert_eq!(store.signed_in(&[1; 32], NOW).unwrap(), None, "sign in again");
        assert!(store.password("a@b").unwrap().is_some());
    }

    #[test]
    fn sign_ins_of_a_user_are_bounded_and_the_oldest_goes() {
        let (_folder, store, user) = with_session();
        store.set_password("a@b", &password(5), NOW).unwrap();
        for number in 0..=USER_SIGN_INS_MAX as u8 {
            let now = NOW + Duration::from_secs(number.into());
            assert!(store.sign_in((user, &password(5)), &[number; 32], now).unwrap());
        }
        let is_in = |number: u8| store.signed_in(&[number; 32], NOW).unwrap().is_some();
        assert!(!is_in(0) && (1..=USER_SIGN_INS_MAX as u8).all(is_in));
    }
}
