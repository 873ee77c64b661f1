//! Sessions in a list, and what is counted of all of them.

use std::fmt;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, Row};

use super::sessions::{self, filled};
use super::{Failure, Store, line_number, micros, shares, text_time};
use crate::error::Result;
use crate::server::search::{SessionFacts, SessionFilter};
use crate::wire::{LIVE_SECONDS, SessionEntry};

/// Sessions that are looked at for a page of a filtered list.
const LOOKED_AT_MAX: usize = 20_000;

/// A row of a list, but for `live`.
const COLUMNS: &str = "uuid, external_id, provider, summary, first_user_message, cwd, hostname,
    username, first_seen, last_sync_at, last_message_at,
    (SELECT count(*) FROM files WHERE session_id = sessions.id),
    (SELECT coalesce(sum(last_line), 0) FROM files WHERE session_id = sessions.id),
    (SELECT coalesce(sum(raw_bytes), 0) FROM files WHERE session_id = sessions.id),
    (SELECT coalesce(sum(input + output + cache_read + cache_creation), 0)
     FROM files JOIN usages ON file_id = files.id WHERE session_id = sessions.id AND NOT is_copy),
    project, branch,
    coalesce(sessions.model, (
        SELECT usages.model FROM files JOIN usages ON file_id = files.id
        WHERE session_id = sessions.id AND usages.model <> '<synthetic>'
        ORDER BY usages.timestamp DESC LIMIT 1)),
    archived_at IS NOT NULL, user_id, (SELECT email FROM users WHERE users.id = user_id)";

/// Where a list of sessions goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    last_sync_at: i64,
    row: i64,
}

impl Cursor {
    pub(super) const START: Cursor = Cursor { last_sync_at: i64::MAX, row: i64::MAX };

    /// Number of the session.
    pub(super) fn row(&self) -> i64 {
        self.row
    }

    /// Reads what [`Cursor`] writes; `None` for everything else.
    pub fn parse(text: &str) -> Option<Cursor> {
        let (last_sync_at, row) = text.split_once('-')?;
        Some(Cursor { last_sync_at: last_sync_at.parse().ok()?, row: row.parse().ok()? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.last_sync_at, self.row)
    }
}

impl Store {
    /// The sessions that a reader may read and a filter lets through, the most recently synced
    /// first, from behind a cursor on, and the cursor for those behind them. Of a filter that lets
    /// little through, a page may be empty and have one behind it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sessions(
        &self,
        reader: i64,
        filter: &SessionFilter,
        after: Option<Cursor>,
        limit: usize,
        now: SystemTime,
    ) -> Result<(Vec<SessionEntry>, Option<Cursor>)> {
        self.read("list sessions", |connection| {
            let mut cursor = after.unwrap_or(Cursor::START);
            let (mut entries, mut looked_at) = (Vec::new(), 0);
            let mut read = connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM sessions WHERE id = ?"))?;
            let mut is_over = true;
            each(connection, reader, filter.wants_models(), cursor, &mut |at, facts| {
                if entries.len() == limit || looked_at == LOOKED_AT_MAX {
                    is_over = false;
                    return Ok(false);
                }
                looked_at += 1;
                cursor = at;
                if filter.matches(facts) {
                    entries.push(read.query_row([at.row], |row| read_entry(row, reader, now))?);
                }
                Ok(true)
            })?;
            Ok((entries, Some(cursor).filter(|_| !is_over)))
        })
    }

    /// One session as it is in the list of who may read it; `None` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session_entry(
        &self,
        reader: i64,
        session: &str,
        now: SystemTime,
    ) -> Result<Option<SessionEntry>> {
        self.read("read a session", |connection| {
            let Some(id) = sessions::readable(connection, reader, session)? else {
                return Ok(None);
            };
            let entry = connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM sessions WHERE id = ?"))?
                .query_row([id], |row| read_entry(row, reader, now))?;
            Ok(Some(entry))
        })
    }

    /// A user's own sessions that were synced after `since`, the longest ago first, so many at
    /// most.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sessions_since(
        &self,
        user: i64,
        since: SystemTime,
        limit: u32,
        now: SystemTime,
    ) -> Result<Vec<SessionEntry>> {
        self.read("list sessions", |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM sessions WHERE user_id = ?1 AND last_sync_at > ?2
                 ORDER BY last_sync_at, id LIMIT ?3"
            ))?;
            let entries = statement
                .query_map((user, micros(since), limit), |row| read_entry(row, user, now))?;
            Ok(entries.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Lines of a user's sessions that are not indexed yet.
    ///
    /// # Errors
    /// When the database fails.
    pub fn not_indexed(&self, user: i64) -> Result<u64> {
        self.read("count lines", |connection| {
            let lines: i64 = connection
                .prepare_cached(
                    "SELECT coalesce(sum(last_line - indexed_line), 0) FROM files
                     JOIN sessions ON sessions.id = session_id
                     WHERE indexed_line < last_line AND user_id = ?",
                )?
                .query_row([user], |row| row.get(0))?;
            Ok(line_number(lines))
        })
    }
}

/// A session of which something arrived since then is live.
pub(super) fn live_since(now: SystemTime) -> i64 {
    micros(now - Duration::from_secs(LIVE_SECONDS))
}

/// Hands over what filters go by, of each session that a reader may read, from behind a cursor on,
/// until `act` says no.
pub(super) fn each(
    connection: &Connection,
    reader: i64,
    with_models: bool,
    after: Cursor,
    act: &mut dyn FnMut(Cursor, &SessionFacts) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    // With what is shared, all of it has to be sorted first: that is for those who need it.
    let whose = match shares::has_any(connection, reader)? {
        false => "user_id = ?1",
        true => {
            "(user_id = ?1 OR sessions.id IN (
                 SELECT session_id FROM shares WHERE shares.user_id = ?1 OR shares.id = -?1))"
        }
    };
    let mut statement = connection.prepare_cached(&format!(
        "{} WHERE {whose} AND (last_sync_at, sessions.id) < (?2, ?3)
         ORDER BY last_sync_at DESC, sessions.id DESC",
        facts_query(with_models)
    ))?;
    let mut rows = statement.query((reader, after.last_sync_at, after.row))?;
    while let Some(row) = rows.next()? {
        let (last_sync_at, id) = (row.get(1)?, row.get(0)?);
        let facts = read_facts(row)?;
        if !act(Cursor { last_sync_at, row: id }, &facts)? {
            break;
        }
    }
    Ok(())
}

/// What filters go by, of one session.
pub(super) fn facts(
    connection: &Connection,
    session: i64,
    with_models: bool,
) -> rusqlite::Result<SessionFacts> {
    connection
        .prepare_cached(&format!("{} WHERE sessions.id = ?", facts_query(with_models)))?
        .query_row([session], read_facts)
}

fn facts_query(with_models: bool) -> String {
    let models = match with_models {
        true => {
            "concat_ws(' ', sessions.model, (
                 SELECT group_concat(DISTINCT usages.model) FROM files
                 JOIN usages ON file_id = files.id WHERE session_id = sessions.id))"
        }
        false => "''",
    };
    format!(
        "SELECT sessions.id, last_sync_at, project, branch, hostname, username, users.email,
             summary, first_user_message, last_message_at, {models},
             min(first_seen, coalesce((
                 SELECT min(begun_at) FROM files WHERE session_id = sessions.id), first_seen))
         FROM sessions JOIN users ON users.id = user_id"
    )
}

fn read_facts(row: &Row<'_>) -> rusqlite::Result<SessionFacts> {
    let text = |index| row.get::<_, Option<String>>(index).map(Option::unwrap_or_default);
    Ok(SessionFacts {
        project: text(2)?,
        branch: text(3)?,
        machine: text(4)?,
        users: [text(5)?, text(6)?],
        texts: [text(7)?, text(8)?],
        begun_at: row.get(11)?,
        ended_at: match row.get(9)? {
            Some(at) => at,
            None => row.get(1)?,
        },
        models: text(10)?,
    })
}

fn read_entry(row: &Row<'_>, reader: i64, now: SystemTime) -> rusqlite::Result<SessionEntry> {
    let last_sync_at: i64 = row.get(9)?;
    let total_lines = line_number(row.get(12)?);
    Ok(SessionEntry {
        id: row.get(0)?,
        external_id: row.get(1)?,
        provider: row.get(2)?,
        summary: row.get(3)?,
        first_user_message: row.get(4)?,
        cwd: filled(row.get(5)?),
        hostname: filled(row.get(6)?),
        username: filled(row.get(7)?),
        first_seen: text_time(row.get(8)?),
        last_sync_at: text_time(last_sync_at),
        last_message_at: row.get::<_, Option<i64>>(10)?.map(text_time),
        total_files: line_number(row.get(11)?),
        total_lines,
        project: row.get(15)?,
        branch: row.get(16)?,
        model: row.get(17)?,
        lines: total_lines,
        bytes: line_number(row.get(13)?),
        live: last_sync_at >= live_since(now),
        tokens: line_number(row.get(14)?),
        archived: row.get(18)?,
        // Who holds a link is told whose it is by whoever gave it to them.
        shared_by: match row.get::<_, i64>(19)? == reader || reader < 0 {
            true => None,
            false => row.get(20)?,
        },
    })
}
