//! Sessions in a list, and what is counted of all of them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Row};

use super::sessions::{self, filled};
use super::{Failure, Store, line_number, micros, shares, text_time};
use crate::error::Result;
use crate::server::search::{SessionFacts, SessionFilter};
use crate::wire::{LIVE_SECONDS, SessionEntry};

/// Sessions that are looked at for a page of a filtered list.
const LOOKED_AT_MAX: usize = 20_000;

/// So long ago something may have been said in a live session: clocks differ, and lines may wait.
const SAID_SECONDS: u64 = 10 * 60;

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
    archived_at IS NOT NULL, user_id, (SELECT email FROM users WHERE users.id = user_id), active_at";

/// Where a list of sessions goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    active_at: i64,
    row: i64,
}

impl Cursor {
    pub(super) const START: Cursor = Cursor { active_at: i64::MAX, row: i64::MAX };

    /// Number of the session.
    pub(super) fn row(&self) -> i64 {
        self.row
    }

    /// Reads what [`Cursor`] writes; `None` for everything else.
    pub fn parse(text: &str) -> Option<Cursor> {
        let (active_at, row) = text.split_once('-')?;
        Some(Cursor { active_at: active_at.parse().ok()?, row: row.parse().ok()? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.active_at, self.row)
    }
}

impl Store {
    /// The sessions that a reader may read and a filter lets through, the most recently active
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

/// A session of which something arrived since the first of these, and in which something was said
/// since the second, is live: what is brought in from long ago is not.
pub(super) fn live_since(now: SystemTime) -> (i64, i64) {
    let ago = |seconds| micros(now.checked_sub(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH));
    (ago(LIVE_SECONDS), ago(SAID_SECONDS))
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
        "{} WHERE {whose} AND (active_at, sessions.id) < (?2, ?3)
         ORDER BY active_at DESC, sessions.id DESC",
        facts_query(with_models)
    ))?;
    let mut rows = statement.query((reader, after.active_at, after.row))?;
    while let Some(row) = rows.next()? {
        let at = Cursor { active_at: row.get(12)?, row: row.get(0)? };
        let facts = read_facts(row)?;
        if !act(at, &facts)? {
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
                 SELECT min(begun_at) FROM files WHERE session_id = sessions.id), first_seen)),
             active_at
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
    let (last_sync_at, active_at): (i64, i64) = (row.get(9)?, row.get(21)?);
    let (arrived_since, said_since) = live_since(now);
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
        last_activity_at: text_time(active_at),
        live: last_sync_at >= arrived_since && active_at >= said_since,
        tokens: line_number(row.get(14)?),
        archived: row.get(18)?,
        // Who holds a link is told whose it is by whoever gave it to them.
        shared_by: match row.get::<_, i64>(19)? == reader || reader < 0 {
            true => None,
            false => row.get(20)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_session;
    use super::super::{Append, Opening, SessionUpdate};
    use super::*;
    use crate::server::lines::Lines;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn open(store: &Store, user: i64, name: &str, now: u64) {
        let opening = Opening {
            provider: "claude-code".into(),
            external_id: name.into(),
            ..Opening::default()
        };
        store.open_session(user, &opening, name, at(now)).unwrap();
    }

    /// Appends a line that was said then, or that does not tell when.
    fn append(store: &Store, user: i64, name: &str, line: i64, said: Option<u64>, now: u64) {
        let mut lines = Lines::default();
        lines.push("{}");
        let update = SessionUpdate { last_message_at: said.map(at), ..SessionUpdate::default() };
        let append = Append {
            session: name,
            file_name: "f",
            file_type: "transcript",
            first_line: line,
            lines: &lines,
            codex_metadata: false,
            report: None,
            update,
        };
        store.append(user, &append, at(now)).unwrap();
    }

    fn listed(store: &Store, user: i64, now: u64) -> Vec<(String, bool)> {
        let (mut listed, mut cursor) = (Vec::new(), None);
        loop {
            let filter = SessionFilter::default();
            let (page, next) = store.sessions(user, &filter, cursor, 2, at(now)).unwrap();
            listed.extend(page.into_iter().map(|entry| (entry.external_id, entry.live)));
            cursor = next;
            if cursor.is_none() {
                return listed;
            }
        }
    }

    #[test]
    fn a_list_goes_by_what_was_said_and_not_by_when_it_was_brought_in() {
        let (_folder, store, user) = with_session();
        assert!(store.delete_session(user, "s").unwrap());
        // Brought in newest first, all within a minute.
        let day = 86_400;
        let now = 100 * day;
        for (index, name) in ["new", "middle", "old"].into_iter().enumerate() {
            open(&store, user, name, now);
            append(&store, user, name, 1, Some(now - 60 - index as u64 * day), now + 1);
        }
        let told = |name: &str, live| (name.to_owned(), live);
        let expected = [told("new", true), told("middle", false), told("old", false)];
        assert_eq!(listed(&store, user, now + 2), expected);
        // That somebody asks where a file stands says nothing, nor does a line without a time.
        open(&store, user, "old", now + 3);
        append(&store, user, "middle", 2, None, now + 3);
        assert_eq!(listed(&store, user, now + 4), expected);
        // What goes on comes to the top, and a clock that is ahead is none.
        append(&store, user, "old", 2, Some(now + 5), now + 5);
        append(&store, user, "middle", 3, Some(now + 900 * day), now + 6);
        append(&store, user, "new", 2, Some(now + 7), now + 7);
        let expected = [told("new", true), told("middle", true), told("old", true)];
        assert_eq!(listed(&store, user, now + 8), expected);
        assert!(listed(&store, user, now + 7 + LIVE_SECONDS + 1).iter().all(|(_, live)| !live));
    }

    #[test]
    fn a_session_without_times_goes_by_when_its_lines_arrived() {
        let (_folder, store, user) = with_session();
        assert!(store.delete_session(user, "s").unwrap());
        for name in ["a", "b"] {
            open(&store, user, name, 10);
            append(&store, user, name, 1, None, 20);
        }
        append(&store, user, "a", 2, None, 30);
        open(&store, user, "b", 40);
        let names: Vec<String> =
            listed(&store, user, 50).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_list_needs_no_sorting() {
        let (_folder, store, user) = with_session();
        let plan = store.read("explain", |connection| {
            let mut statement = connection.prepare(
                "EXPLAIN QUERY PLAN SELECT id FROM sessions WHERE user_id = ?1
                 AND (active_at, sessions.id) < (?2, ?3) ORDER BY active_at DESC, sessions.id DESC",
            )?;
            let steps = statement.query_map((user, 1, 1), |row| row.get::<_, String>(3))?;
            Ok(steps.collect::<rusqlite::Result<Vec<_>>>()?)
        });
        let plan = plan.unwrap().join("; ");
        assert!(plan.contains("sessions_active") && !plan.contains("TEMP"), "{plan}");
    }
}
