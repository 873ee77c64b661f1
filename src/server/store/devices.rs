//! Machines that wait for a key until somebody confirms a code.
//!
//! A code is confirmed or denied once, and its key is fetched once. When its time is over it is
//! remembered a little longer, so that its machine hears why there is no key.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, Transaction};

use super::{Failure, Store, micros, put_key};
use crate::error::Result;
use crate::server::auth::KeyHash;

/// How long a code can be confirmed and its key fetched.
pub const CODE_TIME_MAX: Duration = Duration::from_secs(300);
/// How long it is known afterwards that it was one.
const EXPIRED_TIME_MAX: Duration = Duration::from_secs(300);
/// Codes at once.
pub const CODES_MAX: i64 = 1000;
/// Codes at once that one address has asked for.
pub const ADDRESS_CODES_MAX: i64 = 50;
/// Keys of a user.
pub const USER_KEYS_MAX: i64 = 500;

/// In the column `answer`.
const CONFIRMED: i64 = 1;
const DENIED: i64 = 2;

/// A machine that asks for a key.
#[derive(Debug)]
pub struct NewDevice<'a> {
    /// Hash of the code that the machine keeps.
    pub device_code: &'a KeyHash,
    /// Hash of the code that is shown.
    pub user_code: &'a KeyHash,
    /// Name of the key.
    pub key_name: &'a str,
    /// Where it asked from.
    pub address: &'a str,
}

/// What became of a [`NewDevice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It waits.
    Done,
    /// Too many wait, from everywhere or from this address; or, once in a billion times, one with
    /// the same code: the user's word must be for one machine.
    TooMany,
}

/// A machine that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Name of the key.
    pub key_name: String,
    /// Where it asked from.
    pub address: String,
    /// The user has a key of this name already, which would stop working.
    pub replaces: bool,
}

/// What a machine hears that asks for its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redeemed {
    /// Its key is stored now, and the code is used up.
    Key,
    /// There is no such code, or it was used.
    Unknown,
    /// Its time is over.
    Expired,
    /// Nobody has said anything.
    Pending,
    /// It was denied, or the user may not come in any more.
    Denied,
    /// The user has as many keys as one may have.
    TooManyKeys,
}

impl Store {
    /// Lets a machine wait.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_device(&self, new: &NewDevice<'_>, now: SystemTime) -> Result<Added> {
        self.write("store a code", |transaction| {
            transaction.execute(
                "DELETE FROM device_codes WHERE expires_at <= ?",
                [micros(now) - micros_of(EXPIRED_TIME_MAX)],
            )?;
            let (all, of_address, same): (i64, i64, i64) = transaction
                .prepare_cached(
                    "SELECT count(*), count(*) FILTER (WHERE address = ? AND expires_at > ?),
                         count(*) FILTER (WHERE user_code_hash = ?)
                     FROM device_codes",
                )?
                .query_row((new.address, micros(now), new.user_code), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?;
            if all >= CODES_MAX || of_address >= ADDRESS_CODES_MAX || same > 0 {
                return Ok(Added::TooMany);
            }
            transaction.execute(
                "INSERT INTO device_codes
                     (hash, user_code_hash, key_name, address, expires_at, answer)
                 VALUES (?, ?, ?, ?, ?, 0)",
                (
                    new.device_code,
                    new.user_code,
                    new.key_name,
                    new.address,
                    micros(now + CODE_TIME_MAX),
                ),
            )?;
            Ok(Added::Done)
        })
    }

    /// The machine that a code was shown on, while it waits; as it would be for this user.
    ///
    /// # Errors
    /// When the database fails.
    pub fn device(
        &self,
        user: i64,
        user_code: &KeyHash,
        now: SystemTime,
    ) -> Result<Option<Device>> {
        self.read("look a code up", |connection| {
            let found = connection
                .prepare_cached(
                    "SELECT key_name, address, EXISTS (
                         SELECT 1 FROM keys WHERE user_id = ? AND name = key_name)
                     FROM device_codes
                     WHERE user_code_hash = ? AND expires_at > ? AND answer = 0",
                )?
                .query_row((user, user_code, micros(now)), |row| {
                    let (key_name, address) = (row.get(0)?, row.get(1)?);
                    Ok(Device { key_name, address, replaces: row.get(2)? })
                });
            Ok(found.optional()?)
        })
    }

    /// Confirms or denies a code for a user; false when none waits.
    ///
    /// # Errors
    /// When the database fails.
    pub fn answer_device(
        &self,
        user: i64,
        user_code: &KeyHash,
        is_confirmed: bool,
        now: SystemTime,
    ) -> Result<bool> {
        let answer = if is_confirmed { CONFIRMED } else { DENIED };
        self.write("answer a code", |transaction| {
            let n_answered = transaction.execute(
                "UPDATE device_codes SET answer = ?, user_id = ?
                 WHERE user_code_hash = ? AND expires_at > ? AND answer = 0",
                (answer, user, user_code, micros(now)),
            )?;
            Ok(n_answered > 0)
        })
    }

    /// Stores a key for the machine with this code, if somebody has confirmed it. A key of the same
    /// user and name is replaced.
    ///
    /// # Errors
    /// When the database fails.
    pub fn redeem_device(
        &self,
        device_code: &KeyHash,
        key: &KeyHash,
        now: SystemTime,
    ) -> Result<Redeemed> {
        self.write("store a key", |transaction| redeem(transaction, device_code, key, now))
    }
}

fn redeem(
    transaction: &Transaction<'_>,
    device_code: &KeyHash,
    key: &KeyHash,
    now: SystemTime,
) -> Result<Redeemed, Failure> {
    let found = transaction
        .prepare_cached(
            "SELECT key_name, expires_at, answer, users.id,
                 (SELECT count(*) FROM keys WHERE user_id = users.id AND keys.name != key_name)
             FROM device_codes
             LEFT JOIN users ON users.id = user_id AND disabled_at IS NULL
             WHERE hash = ?",
        )?
        .query_row([device_code], |row| {
            let (name, expires_at, answer, user, others) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            Ok((name, expires_at, answer, user, others))
        })
        .optional()?;
    let found: Option<(String, i64, i64, Option<i64>, i64)> = found;
    let Some((name, expires_at, answer, user, others)) = found else {
        return Ok(Redeemed::Unknown);
    };
    match (answer, user) {
        _ if expires_at <= micros(now) => Ok(Redeemed::Expired),
        (0, _) => Ok(Redeemed::Pending),
        (CONFIRMED, Some(_)) if others >= USER_KEYS_MAX => Ok(Redeemed::TooManyKeys),
        (CONFIRMED, Some(user)) => {
            put_key(transaction, user, &name, key, now)?;
            transaction.execute("DELETE FROM device_codes WHERE hash = ?", [device_code])?;
            Ok(Redeemed::Key)
        }
        _ => Ok(Redeemed::Denied),
    }
}

fn micros_of(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HASH, NOW, execute, with_session};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn hash(number: i64, kind: u8) -> KeyHash {
        let mut hash = [kind; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    fn ask(store: &Store, number: i64, address: &str, now: SystemTime) -> Added {
        let (device_code, user_code) = (&hash(number, 1), &hash(number, 2));
        let new = NewDevice { device_code, user_code, key_name: "box", address };
        store.add_device(&new, now).unwrap()
    }

    #[test]
    fn a_code_is_confirmed_once_and_its_key_fetched_once() {
        let (_folder, store, user) = with_session();
        assert_eq!(ask(&store, 1, "192.0.2.1", NOW), Added::Done);
        let (device, code, key) = (hash(1, 1), hash(1, 2), [9; 32]);
        let redeem = |key| store.redeem_device(&device, key, NOW).unwrap();
        assert_eq!(redeem(&key), Redeemed::Pending);
        assert_eq!(store.redeem_device(&code, &key, NOW).unwrap(), Redeemed::Unknown);
        let waiting = store.device(user, &code, NOW).unwrap().unwrap();
        assert_eq!((waiting.key_name.as_str(), waiting.address.as_str()), ("box", "192.0.2.1"));
        assert!(!waiting.replaces);
        assert!(store.answer_device(user, &code, true, NOW).unwrap());
        assert!(!store.answer_device(user, &code, false, NOW).unwrap(), "it was answered");
        assert_eq!(store.device(user, &code, NOW).unwrap(), None);
        assert_eq!(store.user_of_key(&key).unwrap(), None);
        assert_eq!(redeem(&key), Redeemed::Key);
        assert_eq!(store.user_of_key(&key).unwrap().unwrap().id, user);
        assert_eq!(redeem(&[8; 32]), Redeemed::Unknown);
        // The next one of that name ends it.
        ask(&store, 2, "192.0.2.1", NOW);
        assert!(store.device(user, &hash(2, 2), NOW).unwrap().unwrap().replaces);
        store.answer_device(user, &hash(2, 2), true, NOW).unwrap();
        assert_eq!(store.redeem_device(&hash(2, 1), &[6; 32], NOW).unwrap(), Redeemed::Key);
        assert_eq!(store.user_of_key(&key).unwrap(), None);
        assert!(store.user_of_key(&HASH).unwrap().is_some());
    }

    #[test]
    fn a_code_ends_with_its_time_and_is_forgotten_later() {
        let (_folder, store, user) = with_session();
        ask(&store, 1, "a", NOW);
        let end = NOW + CODE_TIME_MAX;
        let redeem = |now| store.redeem_device(&hash(1, 1), &[9; 32], now).unwrap();
        assert!(store.device(user, &hash(1, 2), end - SECOND).unwrap().is_some());
        assert_eq!(store.device(user, &hash(1, 2), end).unwrap(), None);
        assert!(!store.answer_device(user, &hash(1, 2), true, end).unwrap());
        assert_eq!(redeem(end), Redeemed::Expired);
        ask(&store, 2, "a", end + EXPIRED_TIME_MAX - SECOND);
        assert_eq!(redeem(end), Redeemed::Expired);
        ask(&store, 3, "a", end + EXPIRED_TIME_MAX);
        assert_eq!(redeem(end), Redeemed::Unknown);
        // Also one that was confirmed in time.
        let now = end + EXPIRED_TIME_MAX;
        assert!(store.answer_device(user, &hash(3, 2), true, now).unwrap());
        let late = store.redeem_device(&hash(3, 1), &[9; 32], now + CODE_TIME_MAX).unwrap();
        assert_eq!(late, Redeemed::Expired);
    }

    #[test]
    fn a_denied_code_and_a_disabled_user_give_no_key() {
        let (_folder, store, user) = with_session();
        ask(&store, 1, "a", NOW);
        ask(&store, 2, "a", NOW);
        assert!(store.answer_device(user, &hash(1, 2), false, NOW).unwrap());
        assert!(store.answer_device(user, &hash(2, 2), true, NOW).unwrap());
        store.disable_user("a@b", NOW).unwrap();
        for number in [1, 2] {
            let redeemed = store.redeem_device(&hash(number, 1), &[9; 32], NOW).unwrap();
            assert_eq!(redeemed, Redeemed::Denied);
        }
        assert_eq!(store.user_of_key(&[9; 32]).unwrap(), None);
    }

    #[test]
    fn waiting_machines_are_bounded_in_total_and_for_each_address() {
        let (_folder, store, _) = with_session();
        // One after the other would take as many times as the disk needs.
        let fill = |first: i64, last: i64, address: &str| {
            let rows = format!(
                "WITH RECURSIVE numbers (n) AS (
                     SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
                 INSERT INTO device_codes (hash, user_code_hash, key_name, address, expires_at,
                     answer)
                 SELECT randomblob(32), randomblob(32), 'k', '{address}', {}, 0 FROM numbers",
                micros(NOW + CODE_TIME_MAX)
            );
            execute(&store, &rows);
        };
        fill(2, ADDRESS_CODES_MAX, "192.0.2.1");
        assert_eq!(ask(&store, 1, "192.0.2.1", NOW), Added::Done);
        assert_eq!(ask(&store, 2, "192.0.2.1", NOW), Added::TooMany);
        fill(ADDRESS_CODES_MAX + 2, CODES_MAX, "192.0.2.2");
        assert_eq!(ask(&store, 3, "192.0.2.3", NOW), Added::Done);
        assert_eq!(ask(&store, 4, "198.51.100.1", NOW), Added::TooMany);
        let later = NOW + CODE_TIME_MAX + EXPIRED_TIME_MAX;
        assert_eq!(ask(&store, -1, "198.51.100.1", later), Added::Done);
        // Two machines never show the same code.
        let (device_code, user_code) = (&hash(-2, 1), &hash(-1, 2));
        let same = NewDevice { device_code, user_code, key_name: "box", address: "a" };
        assert_eq!(store.add_device(&same, later).unwrap(), Added::TooMany);
    }

    #[test]
    fn keys_of_a_user_are_bounded_and_a_known_name_is_none_more() {
        let (_folder, store, user) = with_session();
        execute(
            &store,
            &format!(
                "WITH RECURSIVE numbers (n) AS (
                     SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {USER_KEYS_MAX} - 1)
                 INSERT INTO keys (user_id, name, hash, created_at)
                 SELECT {user}, n, randomblob(32), 0 FROM numbers"
            ),
        );
        ask(&store, 1, "a", NOW);
        store.answer_device(user, &hash(1, 2), true, NOW).unwrap();
        let redeem = || store.redeem_device(&hash(1, 1), &[9; 32], NOW).unwrap();
        assert_eq!(redeem(), Redeemed::TooManyKeys);
        assert!(store.revoke_key("a@b", "7").unwrap());
        store.create_key("a@b", "box", &[4; 32], NOW).unwrap();
        assert_eq!(redeem(), Redeemed::Key);
        assert_eq!(store.user_of_key(&[4; 32]).unwrap(), None);
    }
}
