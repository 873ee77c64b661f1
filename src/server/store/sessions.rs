//! Sessions: opening, what is known of them, their ends.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Arrival, ArrivalKind, Failure, Store, expiry, files, micros, shares, text_time};
use crate::error::Result;
use crate::wire::{FilePosition, GitInfo, SessionDetail};

/// A session to open, validated.
#[derive(Debug, Default)]
pub struct Opening {
    /// One of [`crate::wire::PROVIDERS`].
    pub provider: String,
    /// The agent's id of the session.
    pub external_id: String,
    /// Where the client reads it.
    pub transcript_path: String,
    /// Replaces what is stored, even when empty.
    pub cwd: String,
    /// An empty one keeps what is stored.
    pub hostname: String,
    /// An empty one keeps what is stored.
    pub username: String,
    /// `None` keeps what is stored.
    pub git_info: Option<GitInfo>,
}

/// An opened session.
#[derive(Debug)]
pub struct Opened {
    /// Its id, new or as before.
    pub session_id: String,
    /// How far its files are stored.
    pub files: std::collections::BTreeMap<String, FilePosition>,
}

/// What a chunk says of its session. `None` leaves what is stored.
#[derive(Debug, Default)]
pub struct SessionUpdate {
    /// Replaces, even when empty.
    pub summary: Option<String>,
    /// Counts when nothing is stored.
    pub first_user_message: Option<String>,
    /// Replaces.
    pub git_info: Option<GitInfo>,
    /// Replaces.
    pub model: Option<String>,
    /// Counts when older than what is stored.
    pub first_seen: Option<SystemTime>,
    /// Counts when newer than what is stored.
    pub last_message_at: Option<SystemTime>,
    /// When something was said last in these lines, of whatever file: what a list goes by.
    pub said_at: Option<SystemTime>,
}

/// What became of a change to a session that the caller named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Done.
    Done,
    /// The user has no such session; whether others have one, nobody is told.
    NoSession,
}

/// What is known of a session beyond what its owner is told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Known {
    /// The model of other agents' sessions.
    pub model: Option<String>,
    /// RFC 3339.
    pub last_message_at: Option<String>,
}

/// A session and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The id on the wire.
    pub id: String,
    /// Number of the owner.
    pub user: i64,
    /// Mail address or account name of the owner.
    pub email: String,
}

/// An event as it was sent.
#[derive(Debug, Serialize)]
pub struct SessionEvent {
    /// Its type.
    pub event_type: String,
    /// RFC 3339.
    pub timestamp: String,
    /// What came with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<RawValue>>,
}

impl Store {
    /// Opens a user's session: the one of this provider and external id, or a new one with the id
    /// `new_id`. One that was removed for its age is told as it was, and stays removed.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_session(
        &self,
        user: i64,
        opening: &Opening,
        new_id: &str,
        now: SystemTime,
    ) -> Result<Opened> {
        let mut is_removed = false;
        let opened = self.write("open a session", |transaction| {
            let named = (opening.external_id.as_str(), opening.provider.as_str());
            if let Some(removed) = expiry::remembered(transaction, user, named)? {
                is_removed = true;
                return Ok(removed);
            }
            let (id, session_id) = transaction
                .prepare_cached(
                    "INSERT INTO sessions (uuid, user_id, provider, external_id, transcript_path,
                         cwd, hostname, username, git_info, first_seen, last_sync_at, active_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?10)
                     ON CONFLICT (user_id, external_id, provider) DO UPDATE SET
                         transcript_path = excluded.transcript_path,
                         cwd = excluded.cwd,
                         hostname = coalesce(nullif(excluded.hostname, ''), hostname),
                         username = coalesce(nullif(excluded.username, ''), username),
                         git_info = coalesce(excluded.git_info, git_info),
                         last_sync_at = excluded.last_sync_at
                     RETURNING id, uuid",
                )?
                .query_row(
                    (
                        new_id,
                        user,
                        &opening.provider,
                        &opening.external_id,
                        &opening.transcript_path,
                        &opening.cwd,
                        &opening.hostname,
                        &opening.username,
                        git_text(opening.git_info.as_ref())?,
                        micros(now),
                    ),
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
            Ok(Opened { session_id, files: files::positions(transaction, id)? })
        })?;
        if !is_removed {
            self.tell(user, &opened.session_id, ArrivalKind::Other);
        }
        Ok(opened)
    }

    /// Stores an event of a user's session; one that is stored already is not stored again, as
    /// whoever did not hear the answer sends it once more.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_event(
        &self,
        user: i64,
        session: &str,
        event: (&str, SystemTime, Option<&str>),
        now: SystemTime,
    ) -> Result<Changed> {
        let (event_type, timestamp, payload) = event;
        self.write("store an event", |transaction| {
            let Some((session, _)) = owned(transaction, user, session)? else {
                // Of one that was removed for its age, nobody needs to know when it ended.
                return Ok(match expiry::is_remembered(transaction, user, session)? {
                    true => Changed::Done,
                    false => Changed::NoSession,
                });
            };
            transaction
                .prepare_cached(
                    "INSERT INTO events (session_id, type, timestamp, payload, received_at)
                     SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (
                         SELECT 1 FROM events WHERE session_id = ?1 AND type = ?2
                         AND timestamp = ?3 AND payload IS ?4)",
                )?
                .execute((session, event_type, micros(timestamp), payload, micros(now)))?;
            Ok(Changed::Done)
        })
    }

    /// Sets the summary of all sessions of a user with this external id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_summary(&self, user: i64, external_id: &str, summary: &str) -> Result<Changed> {
        let changed: Vec<String> = self.write("set a summary", |transaction| {
            let mut statement = transaction.prepare_cached(
                "UPDATE sessions SET summary = ? WHERE user_id = ? AND external_id = ?
                 RETURNING uuid",
            )?;
            let changed = statement.query_map((summary, user, external_id), |row| row.get(0))?;
            Ok(changed.collect::<rusqlite::Result<_>>()?)
        })?;
        changed.iter().for_each(|session| self.tell(user, session, ArrivalKind::Other));
        Ok(if changed.is_empty() { Changed::NoSession } else { Changed::Done })
    }

    /// The id of a user's newest session with this external id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session_by_external_id(&self, user: i64, external_id: &str) -> Result<Option<String>> {
        self.read("look a session up", |connection| {
            let id = connection
                .prepare_cached(
                    "SELECT uuid FROM sessions WHERE user_id = ? AND external_id = ?
                     ORDER BY id DESC LIMIT 1",
                )?
                .query_row((user, external_id), |row| row.get(0));
            Ok(id.optional()?)
        })
    }

    /// Tells those who watch.
    pub(super) fn tell(&self, user: i64, session: &str, kind: ArrivalKind) {
        self.arrivals.add(Arrival { user, session: session.to_owned(), kind });
    }

    /// All sessions with their owners, the oldest first, or the one with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stored(&self, only: Option<&str>) -> Result<Vec<Stored>> {
        self.read("list sessions", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT uuid, user_id, users.email FROM sessions JOIN users ON users.id = user_id
                 WHERE ?1 IS NULL OR uuid = ?1 ORDER BY sessions.id",
            )?;
            let stored = statement.query_map([only], |row| {
                Ok(Stored { id: row.get(0)?, user: row.get(1)?, email: row.get(2)? })
            })?;
            Ok(stored.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The events of a user's session, the oldest first; none when there is no such session.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session_events(&self, user: i64, session: &str) -> Result<Vec<SessionEvent>> {
        self.read("list events", |connection| {
            let Some((id, _)) = owned(connection, user, session)? else { return Ok(Vec::new()) };
            let mut statement = connection.prepare_cached(
                "SELECT type, timestamp, payload FROM events WHERE session_id = ? ORDER BY id",
            )?;
            let events = statement.query_map([id], |row| {
                let payload: Option<String> = row.get(2)?;
                Ok(SessionEvent {
                    event_type: row.get(0)?,
                    timestamp: text_time(row.get(1)?),
                    payload: payload.and_then(|text| RawValue::from_string(text).ok()),
                })
            })?;
            Ok(events.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// What else is known of a user's session; `None` when there is no such session.
    ///
    /// # Errors
    /// When the database fails.
    pub fn known_of(&self, user: i64, session: &str) -> Result<Option<Known>> {
        self.read("read a session", |connection| {
            let Some((id, _)) = owned(connection, user, session)? else { return Ok(None) };
            let known = connection
                .prepare_cached("SELECT model, last_message_at FROM sessions WHERE id = ?")?
                .query_row([id], |row| {
                    let last_message_at = row.get::<_, Option<i64>>(1)?.map(text_time);
                    Ok(Known { model: row.get(0)?, last_message_at })
                })?;
            Ok(Some(known))
        })
    }

    /// Everything about a session that a reader may read, but its lines and figures.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session(&self, reader: i64, session: &str) -> Result<Option<SessionDetail>> {
        self.read("read a session", |connection| {
            let Some(id) = readable(connection, reader, session)? else {
                return Ok(None);
            };
            let mut statement = connection.prepare_cached(
                "SELECT uuid, external_id, provider, summary, first_user_message, first_seen, cwd,
                     transcript_path, git_info, last_sync_at, hostname, username, users.email,
                     user_id
                 FROM sessions JOIN users ON users.id = user_id WHERE sessions.id = ?",
            )?;
            let mut detail = statement.query_row([id], |row| read_detail(row, reader))?;
            detail.files = files::entries(connection, id)?;
            Ok(Some(detail))
        })
    }
}

/// Row, owner and provider of a session.
pub(super) fn found(
    connection: &Connection,
    session: &str,
) -> rusqlite::Result<Option<(i64, i64, String)>> {
    connection
        .prepare_cached("SELECT id, user_id, provider FROM sessions WHERE uuid = ?")?
        .query_row([session], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
}

/// Row and provider of a session that must be the user's: another's is as if it were not there.
pub(super) fn owned(
    connection: &Connection,
    user: i64,
    session: &str,
) -> rusqlite::Result<Option<(i64, String)>> {
    let session = found(connection, session)?;
    Ok(session.filter(|(_, owner, _)| *owner == user).map(|(id, _, provider)| (id, provider)))
}

/// Row of a session that a reader may read: their own, or one that is shared with them.
pub(super) fn readable(
    connection: &Connection,
    reader: i64,
    session: &str,
) -> rusqlite::Result<Option<i64>> {
    let Some((id, owner, _)) = found(connection, session)? else { return Ok(None) };
    let may_read = owner == reader || shares::is_shared(connection, reader, id)?;
    Ok(may_read.then_some(id))
}

/// Applies what a chunk says. What was said in it may have been said long ago; where no line tells,
/// it was when it arrived, and nothing is said in the future.
pub(super) fn update(
    transaction: &Transaction<'_>,
    session: i64,
    update: &SessionUpdate,
    now: SystemTime,
) -> Result<(), Failure> {
    transaction
        .prepare_cached(
            "UPDATE sessions SET
                 last_sync_at = ?2,
                 active_at = CASE
                     WHEN ?9 IS NULL AND last_message_at IS NULL THEN ?2
                     WHEN ?9 IS NULL THEN active_at
                     WHEN last_message_at IS NULL THEN min(?9, ?2)
                     ELSE max(active_at, min(?9, ?2)) END,
                 summary = coalesce(?3, summary),
                 first_user_message = coalesce(first_user_message, ?4),
                 git_info = coalesce(?5, git_info),
                 model = coalesce(?6, model),
                 last_message_at = max(coalesce(last_message_at, ?7), coalesce(?7, last_message_at)),
                 first_seen = min(first_seen, coalesce(?8, first_seen))
             WHERE id = ?1",
        )?
        .execute((
            session,
            micros(now),
            &update.summary,
            &update.first_user_message,
            git_text(update.git_info.as_ref())?,
            &update.model,
            update.last_message_at.map(micros),
            update.first_seen.map(micros),
            update.said_at.max(update.last_message_at).map(micros),
        ))?;
    Ok(())
}

fn git_text(git_info: Option<&GitInfo>) -> serde_json::Result<Option<String>> {
    git_info.map(serde_json::to_string).transpose()
}

pub(super) fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// All but the files.
fn read_detail(row: &Row<'_>, reader: i64) -> rusqlite::Result<SessionDetail> {
    let git_info: Option<String> = row.get(8)?;
    // Who holds a link is told whose it is by whoever gave it to them.
    let owner_email = if reader > 0 { row.get(12)? } else { String::new() };
    Ok(SessionDetail {
        id: row.get(0)?,
        external_id: row.get(1)?,
        provider: row.get(2)?,
        summary: row.get(3)?,
        first_user_message: row.get(4)?,
        first_seen: text_time(row.get(5)?),
        cwd: filled(row.get(6)?),
        transcript_path: filled(row.get(7)?),
        git_info: git_info.and_then(|text| serde_json::from_str(&text).ok()),
        last_sync_at: text_time(row.get(9)?),
        files: Vec::new(),
        hostname: filled(row.get(10)?),
        username: filled(row.get(11)?),
        is_owner: row.get::<_, i64>(13)? == reader,
        owner_email,
        ..SessionDetail::default()
    })
}
