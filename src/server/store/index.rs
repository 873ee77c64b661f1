//! A row per line: made from the lines in small steps, and made again whenever that is wanted.
//!
//! `files.indexed_line` is how far it has come. Rows and position are written together, so that
//! nothing is indexed twice or left out, wherever a step is cut off. Several may be at it at once:
//! a step counts only when the position is still what it was.
//!
//! Whatever else is to be kept per line belongs into [`store_rows`] and [`forget_rows`]: it is
//! written and made anew with the rows then.

use std::collections::HashSet;

use rusqlite::types::{ToSql, ToSqlOutput, Value};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::{Failure, Store, blocks, sessions};
use crate::error::Result;
use crate::server::events::{Event, Id, Usage, event};

/// Lines of a step, whose rows take about 5 ms to write: so long an append waits at most.
const STEP_LINES_MAX: usize = 512;
/// Files of a step.
const STEP_FILES_MAX: usize = 64;
/// Bytes of a step's lines that are read before it ends.
const STEP_BYTES_MAX: usize = 4 << 20;
/// Rows that are handed out at once.
const ROWS_MAX: usize = 10_000;

/// What a whole index has cost.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reindexed {
    /// Files whose lines were read.
    pub files: u64,
    /// Their lines.
    pub lines: u64,
    /// Files that could not be read.
    pub damaged: u64,
}

/// Tokens of a day and model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEntry {
    /// Days since 1970; `None` for messages without a time.
    pub day: Option<i64>,
    /// The model.
    pub model: Option<String>,
    /// Messages of the model.
    pub messages: i64,
    /// Tokens that were sent, without those of the cache.
    pub input: i64,
    /// Tokens that were answered.
    pub output: i64,
    /// Tokens that the cache had.
    pub cache_read: i64,
    /// Tokens that were put into the cache.
    pub cache_creation: i64,
}

/// A file and how far it is indexed.
struct Position {
    session: String,
    indexed_line: i64,
    last_line: i64,
}

/// What some lines of a file tell.
struct Batch {
    file: i64,
    position: Position,
    events: Vec<Event>,
    /// Of the lines.
    n_bytes: usize,
}

impl Store {
    /// Indexes the next lines of the files that were appended to last; false when there are none.
    /// A file that cannot be read becomes one of the `damaged`, which are left alone.
    pub(crate) fn index_step(&self, damaged: &mut HashSet<i64>) -> Result<bool> {
        let files = self.read("look for lines to index", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM files WHERE indexed_line < last_line ORDER BY updated_at DESC",
            )?;
            let mut files = Vec::new();
            let mut rows = statement.query([])?;
            while let (Some(row), true) = (rows.next()?, files.len() < STEP_FILES_MAX) {
                files.extend(Some(row.get(0)?).filter(|file| !damaged.contains(file)));
            }
            Ok(files)
        })?;
        let (mut batches, mut n_lines, mut n_bytes) = (Vec::new(), 0, 0);
        for file in files {
            if n_lines >= STEP_LINES_MAX || n_bytes >= STEP_BYTES_MAX {
                break;
            }
            match self.batch(file, STEP_LINES_MAX - n_lines) {
                Ok(Some(batch)) => {
                    n_lines += batch.events.len();
                    n_bytes += batch.n_bytes;
                    batches.push(batch);
                }
                Ok(None) => {}
                Err(error) => {
                    log::warn!("index file {file}: {error}");
                    damaged.insert(file);
                }
            }
        }
        if !batches.is_empty() {
            self.store_batches(&batches)?;
        }
        Ok(!batches.is_empty())
    }

    /// What the next lines of a file tell; `None` when there are none.
    fn batch(&self, file: i64, lines_max: usize) -> Result<Option<Batch>> {
        self.read("read lines to index", |connection| {
            let Some(position) = position(connection, file)? else { return Ok(None) };
            let (events, n_bytes) = next_events(connection, file, &position, lines_max)?;
            Ok((!events.is_empty()).then_some(Batch { file, position, events, n_bytes }))
        })
    }

    /// Writes rows, in one transaction, except where somebody else was faster.
    fn store_batches(&self, batches: &[Batch]) -> Result<()> {
        self.write_later("index lines", |transaction| {
            for Batch { file, position, events, .. } in batches {
                let is_same = self::position(transaction, *file)?.is_some_and(|now| {
                    now.session == position.session && now.indexed_line == position.indexed_line
                });
                if is_same {
                    store_rows(transaction, *file, position.indexed_line + 1, events)?;
                }
            }
            Ok(())
        })
    }

    /// Makes all rows anew, one file after the other; what an interrupted run has done stays done.
    /// `progress` hears the lines that are done and all lines.
    ///
    /// # Errors
    /// When the database fails. A file that is damaged is only counted.
    pub fn reindex(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Reindexed> {
        let mut done = Reindexed::default();
        let total = self.read("count lines", |connection| {
            Ok(connection.query_row(
                "SELECT coalesce(sum(last_line), 0) FROM files",
                [],
                |row| row.get::<_, i64>(0),
            )?)
        })?;
        // The one that an interrupted run was at is gone on with.
        let interrupted = self.read("look where to go on", |connection| {
            let file = connection.query_row("SELECT file_id FROM reindexing", [], |row| row.get(0));
            Ok(file.optional()?)
        })?;
        let mut next = match interrupted {
            Some(file) => Some(file),
            None => self.next_to_reindex(0)?,
        };
        while let Some(file) = next {
            match self.index_whole(file) {
                Ok(lines) => done.lines += lines,
                Err(error) => {
                    log::warn!("file {file}: {error}");
                    done.damaged += 1;
                }
            }
            done.files += 1;
            progress(done.lines, u64::try_from(total).unwrap_or(0));
            next = self.next_to_reindex(file)?;
        }
        Ok(done)
    }

    /// Sets the file behind this one back to its beginning.
    fn next_to_reindex(&self, file: i64) -> Result<Option<i64>> {
        self.write_later("index a file anew", |transaction| {
            let next: Option<i64> =
                transaction.query_row("SELECT min(id) FROM files WHERE id > ?", [file], |row| {
                    row.get(0)
                })?;
            transaction.execute("DELETE FROM reindexing", [])?;
            if let Some(next) = next {
                transaction.execute("INSERT INTO reindexing VALUES (?)", [next])?;
                transaction.execute("UPDATE files SET indexed_line = 0 WHERE id = ?", [next])?;
            }
            Ok(next)
        })
    }

    /// Indexes a file to where it ends now; how many lines it has.
    fn index_whole(&self, file: i64) -> Result<u64> {
        let position =
            |store: &Store| store.read("read a file", |connection| Ok(position(connection, file)?));
        let Some(Position { last_line, .. }) = position(self)? else { return Ok(0) };
        while position(self)?.is_some_and(|position| position.indexed_line < last_line) {
            if let Some(batch) = self.batch(file, STEP_LINES_MAX)? {
                self.store_batches(&[batch])?;
            }
        }
        Ok(u64::try_from(last_line).unwrap_or(0))
    }

    /// What the lines of a file tell, from a line on, at most `limit` and 10 000 of them, as far
    /// as they are indexed. Tokens are not among it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn rows_from(&self, file: i64, line: i64, limit: usize) -> Result<Vec<(i64, Event)>> {
        self.read("read rows", |connection| {
            let mut rows = Vec::new();
            each_row(connection, file, line, limit.min(ROWS_MAX), &mut |line, event| {
                rows.push((line, event));
                Ok(())
            })?;
            Ok(rows)
        })
    }

    /// The tokens of a user by day and model, or those of one session. A message that forks repeat
    /// counts once.
    ///
    /// # Errors
    /// When the database fails.
    pub fn usage(&self, user: i64, session: Option<&str>) -> Result<Vec<UsageEntry>> {
        self.read("count tokens", |connection| {
            let session = match session {
                None => None,
                Some(id) => match sessions::owned(connection, user, id)? {
                    None => return Ok(Vec::new()),
                    Some((session, _)) => Some(session),
                },
            };
            let mut statement = connection.prepare_cached(
                "SELECT day, model, count(*), sum(input), sum(output), sum(cache_read),
                     sum(cache_creation)
                 FROM (
                     SELECT min(timestamp) / 86400000000 AS day, usages.model AS model,
                         max(input) AS input,
                         max(output) AS output, max(cache_read) AS cache_read,
                         max(cache_creation) AS cache_creation
                     FROM sessions JOIN files ON session_id = sessions.id
                     JOIN usages ON file_id = files.id
                     WHERE user_id = ?1 AND (?2 IS NULL OR sessions.id = ?2)
                     GROUP BY message_id)
                 GROUP BY day, model ORDER BY day, model",
            )?;
            let entries = statement.query_map((user, session), |row| {
                Ok(UsageEntry {
                    day: row.get(0)?,
                    model: row.get(1)?,
                    messages: row.get(2)?,
                    input: row.get(3)?,
                    output: row.get(4)?,
                    cache_read: row.get(5)?,
                    cache_creation: row.get(6)?,
                })
            })?;
            Ok(entries.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Hands over the rows of a file from a line on.
pub(super) fn each_row(
    connection: &Connection,
    file: i64,
    line: i64,
    limit: usize,
    act: &mut dyn FnMut(i64, Event) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT line, type, role, uuid, parent_uuid, timestamp, is_error FROM messages
         WHERE file_id = ? AND line >= ? ORDER BY line LIMIT ?",
    )?;
    let mut tools = connection.prepare_cached(
        "SELECT name FROM tool_uses WHERE file_id = ? AND line = ? ORDER BY position",
    )?;
    let mut rows = statement.query((file, line, i64::try_from(limit)?))?;
    while let Some(row) = rows.next()? {
        let (line, mut event) = read_row(row)?;
        event.tools =
            tools.query_map((file, line), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        act(line, event)?;
    }
    Ok(())
}

/// Whether the tokens of a message are stored, at least as many.
pub(super) fn has_usage(
    connection: &Connection,
    file: i64,
    usage: &Usage,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM usages WHERE file_id = ? AND message_id = ?
                 AND input >= ? AND output >= ? AND cache_read >= ? AND cache_creation >= ?)",
        )?
        .query_row(
            (
                file,
                &usage.message_id,
                usage.input,
                usage.output,
                usage.cache_read,
                usage.cache_creation,
            ),
            |row| row.get(0),
        )
}

fn position(connection: &Connection, file: i64) -> rusqlite::Result<Option<Position>> {
    connection
        .prepare_cached(
            "SELECT sessions.uuid, indexed_line, last_line FROM files
             JOIN sessions ON sessions.id = session_id WHERE files.id = ?",
        )?
        .query_row([file], |row| {
            let (session, indexed_line) = (row.get(0)?, row.get(1)?);
            Ok(Position { session, indexed_line, last_line: row.get(2)? })
        })
        .optional()
}

/// What the next lines tell, and their bytes.
fn next_events(
    connection: &Connection,
    file: i64,
    position: &Position,
    lines_max: usize,
) -> Result<(Vec<Event>, usize), Failure> {
    let (mut events, mut n_bytes) = (Vec::new(), 0);
    let mut line = position.indexed_line + 1;
    while line <= position.last_line && events.len() < lines_max && n_bytes < STEP_BYTES_MAX {
        let (block, base) = blocks::block_with(connection, file, line)?;
        let text = block.text_from(line, &base)?;
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        for bytes in lines.take(lines_max - events.len()) {
            events.push(event(&String::from_utf8_lossy(bytes.trim_ascii_end())));
            n_bytes += bytes.len();
            line += 1;
        }
    }
    Ok((events, n_bytes))
}

/// Writes the rows of lines from `first_line` on in place of what is there, and the new position.
fn store_rows(
    transaction: &Transaction<'_>,
    file: i64,
    first_line: i64,
    events: &[Event],
) -> Result<(), Failure> {
    let last_line = first_line + i64::try_from(events.len())? - 1;
    forget_rows(transaction, file, first_line, last_line)?;
    let mut message = transaction.prepare_cached(
        "INSERT INTO messages (file_id, line, type, role, uuid, parent_uuid, timestamp, is_error)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let mut tool = transaction.prepare_cached(
        "INSERT INTO tool_uses (file_id, line, position, name) VALUES (?, ?, ?, ?)",
    )?;
    for (line, event) in (first_line..).zip(events) {
        message.execute((
            file,
            line,
            &event.kind,
            &event.role,
            &event.uuid,
            &event.parent,
            event.timestamp,
            event.is_error,
        ))?;
        for (position, name) in (0_i64..).zip(&event.tools) {
            tool.execute((file, line, position, name))?;
        }
        if let Some(usage) = &event.usage {
            store_usage(transaction, file, line, event.timestamp, usage)?;
        }
    }
    transaction
        .prepare_cached("UPDATE files SET indexed_line = ? WHERE id = ?")?
        .execute((last_line, file))?;
    Ok(())
}

/// Makes room for rows, where the lines were indexed before.
fn forget_rows(
    transaction: &Transaction<'_>,
    file: i64,
    first_line: i64,
    last_line: i64,
) -> rusqlite::Result<()> {
    for table in ["messages", "tool_uses"] {
        transaction
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE file_id = ? AND line BETWEEN ? AND ?"
            ))?
            .execute((file, first_line, last_line))?;
    }
    if first_line == 1 {
        transaction.prepare_cached("DELETE FROM usages WHERE file_id = ?")?.execute([file])?;
    }
    Ok(())
}

fn store_usage(
    transaction: &Transaction<'_>,
    file: i64,
    line: i64,
    timestamp: Option<i64>,
    usage: &Usage,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO usages (file_id, message_id, line, timestamp, model, input, output,
                 cache_read, cache_creation)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (file_id, message_id) DO UPDATE SET
                 input = max(input, excluded.input),
                 output = max(output, excluded.output),
                 cache_read = max(cache_read, excluded.cache_read),
                 cache_creation = max(cache_creation, excluded.cache_creation)",
        )?
        .execute((
            file,
            &usage.message_id,
            line,
            timestamp,
            &usage.model,
            usage.input,
            usage.output,
            usage.cache_read,
            usage.cache_creation,
        ))?;
    Ok(())
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<(i64, Event)> {
    let event = Event {
        kind: row.get(1)?,
        role: row.get(2)?,
        uuid: id(row.get(3)?),
        parent: id(row.get(4)?),
        timestamp: row.get(5)?,
        is_error: row.get(6)?,
        ..Event::default()
    };
    Ok((row.get(0)?, event))
}

fn id(value: Value) -> Option<Id> {
    match value {
        Value::Blob(bytes) => bytes.try_into().ok().map(Id::Uuid),
        Value::Text(text) => Some(Id::Text(text)),
        _ => None,
    }
}

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Id::Uuid(bytes) => ToSqlOutput::from(bytes.as_slice()),
            Id::Text(text) => ToSqlOutput::from(text.as_str()),
        })
    }
}
