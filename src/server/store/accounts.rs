//! Users: who there is, their passwords, whether they may do anything, and their browsers.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, Transaction};

use super::{Failure, Store, User, micros, read_user, text_time};
use crate::error::Result;
use crate::server::auth::KeyHash;

/// How long a browser stays signed in.
pub const BROWSER_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Browsers of a user; the one that expires first goes for one more.
const BROWSERS_MAX: i64 = 100;

/// A user and what is stored of them.
#[derive(Debug, PartialEq, Eq)]
pub struct UserEntry {
    /// Mail address or account name.
    pub email: String,
    /// RFC 3339.
    pub created_at: String,
    /// Keys that work.
    pub keys: u64,
    /// Sessions.
    pub sessions: u64,
    /// Bytes of their files as they were uploaded.
    pub bytes: u64,
    /// Can sign in on the page.
    pub has_password: bool,
    /// May not do anything.
    pub is_disabled: bool,
}

impl Store {
    /// Makes sure that there is a user; false when there was one already.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_user(&self, email: &str, now: SystemTime) -> Result<bool> {
        let name = email.split('@').next().unwrap_or(email);
        self.write("add a user", |transaction| {
            let n_new = transaction.execute(
                "INSERT INTO users (email, name, created_at) VALUES (?, ?, ?)
                 ON CONFLICT (email) DO NOTHING",
                (email, name, micros(now)),
            )?;
            Ok(n_new > 0)
        })
    }

    /// All users, by address.
    ///
    /// # Errors
    /// When the database fails.
    pub fn users(&self) -> Result<Vec<UserEntry>> {
        self.read("list users", |connection| {
            let mut statement = connection.prepare(
                "SELECT email, created_at,
                     (SELECT count(*) FROM keys WHERE user_id = users.id),
                     (SELECT count(*) FROM sessions WHERE user_id = users.id),
                     (SELECT coalesce(sum(raw_bytes), 0) FROM files
                      JOIN sessions ON sessions.id = session_id WHERE user_id = users.id),
                     password IS NOT NULL, disabled_at IS NOT NULL
                 FROM users ORDER BY email",
            )?;
            let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
            let users = statement.query_map([], |row| {
                Ok(UserEntry {
                    email: row.get(0)?,
                    created_at: text_time(row.get(1)?),
                    keys: unsigned(row.get(2)?),
                    sessions: unsigned(row.get(3)?),
                    bytes: unsigned(row.get(4)?),
                    has_password: row.get(5)?,
                    is_disabled: row.get(6)?,
                })
            })?;
            Ok(users.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Forbids a user everything, or allows it again; their browsers are signed out. False when
    /// there is no such user.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_disabled(&self, email: &str, is_disabled: bool, now: SystemTime) -> Result<bool> {
        self.write("change a user", |transaction| {
            let at = is_disabled.then(|| micros(now));
            let n_changed = transaction
                .execute("UPDATE users SET disabled_at = ? WHERE email = ?", (at, email))?;
            sign_out(transaction, email)?;
            Ok(n_changed > 0)
        })
    }

    /// Sets what a password is checked against; the user's browsers are signed out. False when
    /// there is no such user.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_password(&self, email: &str, password: &str) -> Result<bool> {
        self.write("set a password", |transaction| {
            let n_changed = transaction
                .execute("UPDATE users SET password = ? WHERE email = ?", (password, email))?;
            sign_out(transaction, email)?;
            Ok(n_changed > 0)
        })
    }

    /// A user and what their password is checked against, if they have one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn password_of(&self, email: &str) -> Result<Option<(User, Option<String>)>> {
        self.read("look a user up", |connection| {
            let found = connection
                .prepare_cached(
                    "SELECT id, email, name, disabled_at IS NOT NULL, password FROM users
                     WHERE email = ?",
                )?
                .query_row([email], |row| Ok((read_user(row)?, row.get(4)?)));
            Ok(found.optional()?)
        })
    }

    /// Signs a browser in.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_browser(&self, user: i64, hash: &KeyHash, now: SystemTime) -> Result<()> {
        self.write("sign a browser in", |transaction| {
            transaction.execute("DELETE FROM browsers WHERE expires_at <= ?", [micros(now)])?;
            transaction.execute(
                "INSERT INTO browsers (hash, user_id, expires_at) VALUES (?, ?, ?)",
                (hash, user, micros(now + BROWSER_TIME_MAX)),
            )?;
            transaction.execute(
                "DELETE FROM browsers WHERE user_id = ?1 AND hash NOT IN (
                     SELECT hash FROM browsers WHERE user_id = ?1
                     ORDER BY expires_at DESC LIMIT ?2)",
                (user, BROWSERS_MAX),
            )?;
            Ok(())
        })
    }

    /// Whose browser this is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn user_of_browser(&self, hash: &KeyHash, now: SystemTime) -> Result<Option<User>> {
        self.read("look a browser up", |connection| {
            let user = connection
                .prepare_cached(
                    "SELECT users.id, email, name, disabled_at IS NOT NULL FROM browsers
                     JOIN users ON users.id = user_id
                     WHERE hash = ? AND expires_at > ? AND disabled_at IS NULL",
                )?
                .query_row((hash, micros(now)), read_user);
            Ok(user.optional()?)
        })
    }

    /// Signs a browser out.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_browser(&self, hash: &KeyHash) -> Result<()> {
        self.write("sign a browser out", |transaction| {
            transaction.execute("DELETE FROM browsers WHERE hash = ?", [hash])?;
            Ok(())
        })
    }
}

fn sign_out(transaction: &Transaction<'_>, email: &str) -> Result<(), Failure> {
    transaction.execute(
        "DELETE FROM browsers WHERE user_id = (SELECT id FROM users WHERE email = ?)",
        [email],
    )?;
    Ok(())
}
