//! Who else may read a session: other users, and whoever has a link, for a time.
//!
//! A reader has a number: that of their user, or, for who holds a link, the negative one of the
//! share. So what is read takes one number, and what is written takes a user's, which is positive:
//! a share never lets anybody change anything.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{ArrivalKind, Changed, Store, User, micros, sessions, text_time};
use crate::error::Result;
use crate::server::auth::{KeyHash, is_same};

/// Shares of a session.
const SESSION_SHARES_MAX: i64 = 100;
/// Sessions that others share with a user: more than anybody looks through, and no more than a
/// search looks into.
const SHARED_MAX: i64 = 10_000;

/// Who may read a session, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Number of the share.
    pub id: i64,
    /// The user; `None` when it is whoever has the link.
    pub email: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; `None` when it does not end by itself.
    pub expires_at: Option<String>,
}

/// Whom a session is shared with.
#[derive(Debug, Clone, Copy)]
pub enum With<'a> {
    /// A user, until it is taken back.
    User(&'a str),
    /// Whoever has the token with this hash, until then.
    Link(&'a KeyHash, SystemTime),
}

/// What became of sharing.
#[derive(Debug, PartialEq, Eq)]
pub enum Shared {
    /// Done.
    Done(Share),
    /// The user has no such session.
    NoSession,
    /// There is nobody else of this name.
    NoUser,
    /// The session has too many shares.
    TooMany,
    /// Too much is shared with the user.
    ReaderFull,
}

impl Store {
    /// Lets somebody read a user's session; who may already, may go on.
    ///
    /// # Errors
    /// When the database fails.
    pub fn share(
        &self,
        user: i64,
        session: &str,
        with: With<'_>,
        now: SystemTime,
    ) -> Result<Shared> {
        let mut told = None;
        let shared = self.write("share a session", |transaction| {
            transaction.execute("DELETE FROM shares WHERE expires_at <= ?", [micros(now)])?;
            let Some((id, _)) = sessions::owned(transaction, user, session)? else {
                return Ok(Shared::NoSession);
            };
            let (reader, hash, expires_at) = match with {
                With::User(email) => {
                    let reader: Option<i64> = transaction
                        .prepare_cached("SELECT id FROM users WHERE email = ? AND id <> ?")?
                        .query_row((email, user), |row| row.get(0))
                        .optional()?;
                    let Some(reader) = reader else { return Ok(Shared::NoUser) };
                    told = Some(reader);
                    (Some(reader), None, None)
                }
                With::Link(hash, expires_at) => (None, Some(hash), Some(micros(expires_at))),
            };
            let known: Option<i64> = transaction
                .prepare_cached("SELECT id FROM shares WHERE session_id = ? AND user_id = ?")?
                .query_row((id, reader), |row| row.get(0))
                .optional()?;
            let share = match known {
                Some(share) => share,
                None if is_full(transaction, "session_id", Some(id), SESSION_SHARES_MAX)? => {
                    return Ok(Shared::TooMany);
                }
                None if is_full(transaction, "user_id", reader, SHARED_MAX)? => {
                    return Ok(Shared::ReaderFull);
                }
                None => transaction
                    .prepare_cached(
                        "INSERT INTO shares (session_id, user_id, hash, created_at, expires_at)
                         VALUES (?, ?, ?, ?, ?) RETURNING id",
                    )?
                    .query_row((id, reader, hash, micros(now), expires_at), |row| row.get(0))?,
            };
            let share = transaction
                .prepare_cached(&format!("{SHARES} WHERE shares.id = ?"))?
                .query_row([share], read_share)?;
            Ok(Shared::Done(share))
        })?;
        if let (Shared::Done(_), Some(reader)) = (&shared, told) {
            self.tell(reader, session, ArrivalKind::Other);
        }
        Ok(shared)
    }

    /// Who may read a user's session; `None` when there is no such session.
    ///
    /// # Errors
    /// When the database fails.
    pub fn shares(&self, user: i64, session: &str, now: SystemTime) -> Result<Option<Vec<Share>>> {
        self.read("list shares", |connection| {
            let Some((id, _)) = sessions::owned(connection, user, session)? else {
                return Ok(None);
            };
            let mut statement = connection.prepare_cached(&format!(
                "{SHARES} WHERE session_id = ? AND (expires_at IS NULL OR expires_at > ?)
                 ORDER BY shares.id"
            ))?;
            let shares = statement.query_map((id, micros(now)), read_share)?;
            Ok(Some(shares.collect::<rusqlite::Result<_>>()?))
        })
    }

    /// Takes a share of a user's session back; false when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn unshare(&self, user: i64, session: &str, share: i64) -> Result<bool> {
        let reader: Option<i64> = self.write("take a share back", |transaction| {
            let Some((id, _)) = sessions::owned(transaction, user, session)? else {
                return Ok(None);
            };
            let reader = transaction
                .prepare_cached(
                    "DELETE FROM shares WHERE id = ? AND session_id = ?
                     RETURNING coalesce(user_id, -id)",
                )?
                .query_row((share, id), |row| row.get(0));
            Ok(reader.optional()?)
        })?;
        if let Some(reader) = reader {
            self.tell(reader, session, ArrivalKind::Gone);
        }
        Ok(reader.is_some())
    }

    /// Who holds the link with this token: a reader and no user.
    ///
    /// # Errors
    /// When the database fails.
    pub fn guest(&self, token: &KeyHash, now: SystemTime) -> Result<Option<User>> {
        self.read("look a link up", |connection| {
            let found: Option<(i64, KeyHash)> = connection
                .prepare_cached(
                    "SELECT shares.id, hash FROM shares
                     JOIN sessions ON sessions.id = session_id
                     JOIN users ON users.id = sessions.user_id
                     WHERE hash = ? AND expires_at > ? AND disabled_at IS NULL",
                )?
                .query_row((token, micros(now)), |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let share = found.filter(|(_, hash)| is_same(hash, token)).map(|(share, _)| share);
            Ok(share.map(|share| User {
                id: -share,
                email: String::new(),
                name: String::new(),
                is_disabled: false,
            }))
        })
    }

    /// Gives back what was shared with a user; false when the session is not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn leave(&self, reader: i64, session: &str) -> Result<bool> {
        self.write("give a share back", |transaction| {
            let n_gone = transaction
                .prepare_cached(
                    "DELETE FROM shares WHERE user_id = ?1
                         AND session_id = (SELECT id FROM sessions WHERE uuid = ?2)",
                )?
                .execute((reader, session))?;
            Ok(n_gone > 0)
        })
    }

    /// The sessions that others share with a reader.
    ///
    /// # Errors
    /// When the database fails.
    pub fn shared_with(&self, reader: i64) -> Result<Vec<String>> {
        self.read("list shares", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT uuid FROM sessions WHERE id IN (
                     SELECT session_id FROM shares WHERE user_id = ?1 OR id = -?1 LIMIT ?2)",
            )?;
            let ids = statement.query_map((reader, SHARED_MAX), |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Puts a user's session aside, or takes it up again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_archived(
        &self,
        user: i64,
        session: &str,
        archived: bool,
        now: SystemTime,
    ) -> Result<Changed> {
        let changed = self.write("archive a session", |transaction| {
            let Some((id, _)) = sessions::owned(transaction, user, session)? else {
                return Ok(Changed::NoSession);
            };
            transaction
                .prepare_cached(
                    "UPDATE sessions SET
                         archived_at = CASE WHEN ?2 THEN coalesce(archived_at, ?3) END
                     WHERE id = ?1",
                )?
                .execute((id, archived, micros(now)))?;
            Ok(Changed::Done)
        })?;
        if changed == Changed::Done {
            self.tell(user, session, ArrivalKind::Other);
        }
        Ok(changed)
    }
}

const SHARES: &str = "SELECT shares.id, users.email, shares.created_at, shares.expires_at
     FROM shares LEFT JOIN users ON users.id = shares.user_id";

/// True when there are so many shares of a session or for a user.
fn is_full(
    connection: &Connection,
    column: &str,
    value: Option<i64>,
    max: i64,
) -> rusqlite::Result<bool> {
    let count = format!("SELECT count(*) >= ? FROM shares WHERE {column} = ?");
    connection.prepare_cached(&count)?.query_row((max, value), |row| row.get(0))
}

/// True when a reader may read a session of somebody else.
pub(super) fn is_shared(
    connection: &Connection,
    reader: i64,
    session: i64,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM shares
                 WHERE session_id = ?1 AND (user_id = ?2 OR id = -?2))",
        )?
        .query_row((session, reader), |row| row.get(0))
}

/// True when others share something with a reader.
pub(super) fn has_any(connection: &Connection, reader: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM shares WHERE user_id = ?1 OR id = -?1)")?
        .query_row([reader], |row| row.get(0))
}

fn read_share(row: &Row<'_>) -> rusqlite::Result<Share> {
    Ok(Share {
        id: row.get(0)?,
        email: row.get(1)?,
        created_at: text_time(row.get(2)?),
        expires_at: row.get::<_, Option<i64>>(3)?.map(text_time),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{NOW, execute, with_session};
    use super::*;
    use crate::server::search::SessionFilter;

    const SESSION: &str = "s";

    #[test]
    fn a_link_ends_with_its_time_when_taken_back_and_with_its_owner() {
        let (_folder, store, user) = with_session();
        let end = NOW + Duration::from_secs(60);
        let link = |token: u8| {
            let with = With::Link(&[token; 32], end);
            let Shared::Done(share) = store.share(user, SESSION, with, NOW).unwrap() else {
                panic!("not shared")
            };
            share.id
        };
        let reader = |token: u8, now| store.guest(&[token; 32], now).unwrap().map(|user| user.id);
        let (one, two) = (link(1), link(2));
        let reads = |reader| store.session(reader, SESSION).unwrap().is_some();
        let known = |reader: i64| {
            let filter = SessionFilter::default();
            let (entries, _) = store.sessions(reader, &filter, None, 9, NOW).unwrap();
            entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
        };
        assert_eq!((reader(1, NOW), reader(1, end), reader(3, NOW)), (Some(-one), None, None));
        assert!(reads(-one) && reads(-two) && !reads(-9) && !reads(user + 1));
        assert_eq!(known(-one), [SESSION]);
        assert!(!store.unshare(user + 1, SESSION, one).unwrap());
        assert!(store.unshare(user, SESSION, one).unwrap());
        assert!(!store.unshare(user, SESSION, one).unwrap());
        assert!(reader(1, NOW).is_none() && !reads(-one) && known(-one).is_empty());
        assert_eq!(store.shares(user, SESSION, NOW).unwrap().unwrap().len(), 1);
        assert_eq!(store.shares(user, SESSION, end).unwrap().unwrap().len(), 0);
        assert_eq!(store.shares(-two, SESSION, NOW).unwrap(), None);
        store.disable_user("a@b", NOW).unwrap();
        assert_eq!(reader(2, NOW), None);
    }

    #[test]
    fn nobody_writes_to_what_is_shared_with_them() {
        let (_folder, store, user) = with_session();
        store.create_key("c@d", "k", &[9; 32], NOW).unwrap();
        let other = store.user_by_email("c@d").unwrap().unwrap();
        let share = |with| store.share(user, SESSION, With::User(with), NOW).unwrap();
        assert_eq!((share("a@b"), share("nobody")), (Shared::NoUser, Shared::NoUser));
        let again = [share("c@d"), share("c@d")];
        assert!(matches!(&again[0], Shared::Done(share) if share.email.as_deref() == Some("c@d")));
        assert_eq!(again[0], again[1]);
        let detail = store.session(other, SESSION).unwrap().unwrap();
        assert_eq!((detail.is_owner, &*detail.owner_email), (false, "a@b"));
        assert!(!store.delete_session(other, SESSION).unwrap());
        assert_eq!(store.set_archived(other, SESSION, true, NOW).unwrap(), Changed::NoSession);
        assert_eq!(store.share(other, SESSION, With::User("a@b"), NOW).unwrap(), Shared::NoSession);
        assert_eq!(store.shares(other, SESSION, NOW).unwrap(), None);
        // It goes with the user that it is for.
        store.remove_user("c@d").unwrap();
        assert_eq!(store.shares(user, SESSION, NOW).unwrap().unwrap(), []);
    }
    #[test]
    fn there_is_an_end_to_what_is_shared_and_whoever_has_it_may_give_it_back() {
        let (_folder, store, user) = with_session();
        store.create_key("c@d", "k", &[9; 32], NOW).unwrap();
        let other = store.user_by_email("c@d").unwrap().unwrap();
        let end = NOW + Duration::from_secs(60);
        let with_other = || store.share(user, SESSION, With::User("c@d"), NOW).unwrap();
        let link = |number: i64| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            store.share(user, SESSION, With::Link(&hash, end), NOW).unwrap()
        };
        let first = with_other();
        (2..=SESSION_SHARES_MAX)
            .for_each(|number| assert!(matches!(link(number), Shared::Done(_))));
        assert_eq!(link(0), Shared::TooMany);
        assert_eq!(with_other(), first, "who has it may go on");
        assert!(store.leave(other, SESSION).unwrap());
        assert!(!store.leave(other, SESSION).unwrap() && !store.leave(user, SESSION).unwrap());
        assert!(store.session(other, SESSION).unwrap().is_none());
        // The reader's end.
        execute(
            &store,
            &format!(
                "DELETE FROM shares;
                 WITH RECURSIVE numbers (n) AS (
                     SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {SHARED_MAX})
                 INSERT INTO sessions (uuid, user_id, provider, external_id, transcript_path, cwd,
                     hostname, username, first_seen, last_sync_at)
                 SELECT 'n' || n, {user}, 'claude-code', 'n' || n, '', '', '', '', 0, 0 FROM numbers;
                 INSERT INTO shares (session_id, user_id, created_at)
                 SELECT id, {other}, 0 FROM sessions WHERE uuid <> '{SESSION}'"
            ),
        );
        assert_eq!(with_other(), Shared::ReaderFull);
        assert!(matches!(link(1), Shared::Done(_)), "a link is nobody's");
        assert!(store.leave(other, "n1").unwrap());
        assert!(matches!(with_other(), Shared::Done(_)));
    }
}
