//! Programs that ask for a key, and wait for a user to confirm it. Of their codes the hashes alone
//! are kept; a code works once.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, Transaction};

use super::{Failure, Store, micros};
use crate::error::Result;
use crate::server::auth::KeyHash;

/// How long a program waits to be confirmed.
pub const DEVICE_TIME_MAX: Duration = Duration::from_secs(300);
/// Programs that wait at once.
const DEVICES_MAX: i64 = 1000;
/// Keys of a user, as in the existing backend.
const KEYS_MAX: i64 = 500;

/// A program that asks for a key.
#[derive(Debug)]
pub struct NewDevice<'a> {
    /// Hash of the code that the program keeps.
    pub hash: &'a KeyHash,
    /// Hash of the code that the user types.
    pub user_code_hash: &'a KeyHash,
    /// What the key is for.
    pub key_name: &'a str,
    /// Where the program asks from.
    pub address: &'a str,
}

/// What a user is asked to confirm.
#[derive(Debug, PartialEq, Eq)]
pub struct Device {
    /// What the key is for.
    pub key_name: String,
    /// Where the program asks from.
    pub address: String,
}

/// What a program hears that asks for its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The key is stored and works.
    Granted,
    /// Nobody has confirmed yet.
    Pending,
    /// It was refused, or who confirmed may not do anything.
    Denied,
    /// It took too long.
    Expired,
    /// There is no such code, or it was used.
    Unknown,
    /// The user has as many keys as they may have.
    TooManyKeys,
}

impl Store {
    /// Remembers a program; false when too many wait.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_device(&self, device: &NewDevice<'_>, now: SystemTime) -> Result<bool> {
        self.write("remember a program", |transaction| {
            let n_waiting: i64 = transaction.query_row(
                "SELECT count(*) FROM devices WHERE expires_at > ?",
                [micros(now)],
                |row| row.get(0),
            )?;
            if n_waiting >= DEVICES_MAX {
                return Ok(false);
            }
            // Those that expired lately are told so when they ask.
            transaction.execute(
                "DELETE FROM devices WHERE expires_at <= ?",
                [micros(now).saturating_sub(DEVICE_TIME_MAX.as_micros() as i64)],
            )?;
            transaction.execute(
                "INSERT INTO devices (hash, user_code_hash, key_name, address, expires_at)
                 VALUES (?, ?, ?, ?, ?)",
                (
                    device.hash,
                    device.user_code_hash,
                    device.key_name,
                    device.address,
                    micros(now + DEVICE_TIME_MAX),
                ),
            )?;
            Ok(true)
        })
    }

    /// The program that waits under this code for users.
    ///
    /// # Errors
    /// When the database fails.
    pub fn waiting_device(&self, user_code: &KeyHash, now: SystemTime) -> Result<Option<Device>> {
        self.read("look a program up", |connection| {
            let device = connection
                .prepare_cached(
                    "SELECT key_name, address FROM devices WHERE user_code_hash = ?
                     AND expires_at > ? AND user_id IS NULL AND NOT is_denied",
                )?
                .query_row((user_code, micros(now)), |row| {
                    Ok(Device { key_name: row.get(0)?, address: row.get(1)? })
                });
            Ok(device.optional()?)
        })
    }

    /// A user confirms a program or refuses it; false when none waits under this code.
    ///
    /// # Errors
    /// When the database fails.
    pub fn decide_device(
        &self,
        user: i64,
        user_code: &KeyHash,
        is_confirmed: bool,
        now: SystemTime,
    ) -> Result<bool> {
        self.write("decide about a program", |transaction| {
            let n_decided = transaction.execute(
                "UPDATE devices SET user_id = ?, is_denied = ? WHERE user_code_hash = ?
                 AND expires_at > ? AND user_id IS NULL AND NOT is_denied",
                (user, !is_confirmed, user_code, micros(now)),
            )?;
            Ok(n_decided > 0)
        })
    }

    /// Gives a confirmed program its key, once; a key of the same user and name is replaced.
    ///
    /// # Errors
    /// When the database fails.
    pub fn redeem_device(
        &self,
        hash: &KeyHash,
        key_hash: &KeyHash,
        now: SystemTime,
    ) -> Result<Token> {
        self.write("give a program its key", |transaction| {
            let waiting = transaction
                .prepare_cached(
                    "SELECT key_name, expires_at, user_id, is_denied FROM devices WHERE hash = ?",
                )?
                .query_row([hash], |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, i64>(1)?,
                        row.get::<_, Option<i64>>(2)?,
                        row.get::<_, bool>(3)?,
                    ))
                })
                .optional()?;
            let token = match waiting {
                None => return Ok(Token::Unknown),
                Some((_, _, _, true)) => Token::Denied,
                Some((_, expires_at, _, _)) if expires_at <= micros(now) => Token::Expired,
                Some((_, _, None, _)) => return Ok(Token::Pending),
                Some((name, _, Some(user), _)) => grant(transaction, user, &name, key_hash, now)?,
            };
            transaction.execute("DELETE FROM devices WHERE hash = ?", [hash])?;
            Ok(token)
        })
    }
}

fn grant(
    transaction: &Transaction<'_>,
    user: i64,
    name: &str,
    key_hash: &KeyHash,
    now: SystemTime,
) -> Result<Token, Failure> {
    let (is_allowed, n_others): (bool, i64) = transaction.query_row(
        "SELECT disabled_at IS NULL, (SELECT count(*) FROM keys WHERE user_id = ?1 AND name <> ?2)
         FROM users WHERE id = ?1",
        (user, name),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if !is_allowed {
        return Ok(Token::Denied);
    }
    if n_others >= KEYS_MAX {
        return Ok(Token::TooManyKeys);
    }
    transaction.execute(
        "INSERT INTO keys (user_id, name, hash, created_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (user_id, name)
         DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at",
        (user, name, key_hash, micros(now)),
    )?;
    Ok(Token::Granted)
}
