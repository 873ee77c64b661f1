//! What is kept of a line: written in place of what was there, and read back.

use std::collections::HashMap;

use rusqlite::types::{ToSql, ToSqlOutput, Value};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::{Failure, words};
use crate::server::events::{Event, Id, Mark, ToolUse, Usage};
use crate::server::search::LineWords;

/// Lines before a result among which its call is looked for.
const CALL_LINES_MAX: i64 = 5000;

/// Whose lines they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The session's id on the wire: it tells that a file is still the same.
    pub session: String,
    /// The agent's id of the session.
    pub external_id: String,
    /// Number of the user.
    pub user: i64,
}

/// Hands over the rows of a file from a line on, with how many words each line has.
pub fn each(
    connection: &Connection,
    file: i64,
    line: i64,
    limit: usize,
    act: &mut dyn FnMut(i64, Event, u32) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT line, type, role, uuid, parent_uuid, timestamp, is_error, mark, added, removed,
             words FROM messages WHERE file_id = ? AND line >= ? ORDER BY line LIMIT ?",
    )?;
    let mut tools = connection.prepare_cached(
        "SELECT name, call FROM tool_uses WHERE file_id = ? AND line = ? ORDER BY position",
    )?;
    let mut rows = statement.query((file, line, i64::try_from(limit)?))?;
    while let Some(row) = rows.next()? {
        let (line, mut event) = read_row(row)?;
        let used = tools
            .query_map((file, line), |row| Ok(ToolUse { name: row.get(0)?, call: row.get(1)? }))?;
        event.tools = used.collect::<rusqlite::Result<_>>()?;
        act(line, event, row.get(10)?)?;
    }
    Ok(())
}

/// Whether the tokens of a message are stored, at least as many.
pub fn has_usage(connection: &Connection, file: i64, usage: &Usage) -> rusqlite::Result<bool> {
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

/// Writes the rows of lines from `first_line` on in place of what is there, and the new position.
pub fn store(
    transaction: &Transaction<'_>,
    file: i64,
    owner: &Owner,
    first_line: i64,
    lines: &[(Event, LineWords)],
) -> Result<(), Failure> {
    let last_line = first_line + i64::try_from(lines.len())? - 1;
    forget(transaction, file, first_line, last_line)?;
    let begun_at = lines.iter().find_map(|(event, _)| event.timestamp);
    transaction
        .prepare_cached(
            "UPDATE files SET indexed_line = ?, begun_at = coalesce(begun_at, ?) WHERE id = ?",
        )?
        .execute((last_line, begun_at, file))?;
    let mut message = transaction.prepare_cached(
        "INSERT INTO messages (file_id, line, type, role, uuid, parent_uuid, timestamp, is_error,
             mark, added, removed, tool, words)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let mut calls = Calls { transaction, file, named: HashMap::new() };
    let mut tokens = Tokens { transaction, file, user: owner.user, last: None };
    for (line, (event, words)) in (first_line..).zip(lines) {
        calls.store(line, &event.tools)?;
        let tool = calls.answer(line, &event.results)?;
        message.execute((
            file,
            line,
            &event.kind,
            &event.role,
            &event.uuid,
            &event.parent,
            event.timestamp,
            event.is_error,
            event.mark.map(|mark| mark as i64),
            event.changed.map(|(added, _)| added),
            event.changed.map(|(_, removed)| removed),
            &tool,
            words.count,
        ))?;
        words::insert(transaction, file, line, words, tool.as_deref())?;
        if let Some(usage) = &event.usage {
            tokens.store(line, event.timestamp, usage)?;
        }
    }
    store_origins(transaction, file, owner, first_line, lines)?;
    Ok(())
}

/// Makes room for rows, where the lines were indexed before.
fn forget(
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
    words::forget(transaction, file, first_line, last_line)?;
    if first_line == 1 {
        for table in ["usages", "origins"] {
            transaction
                .prepare_cached(&format!("DELETE FROM {table} WHERE file_id = ?"))?
                .execute([file])?;
        }
    }
    Ok(())
}

/// Uses of tools, and what came of them.
struct Calls<'a> {
    transaction: &'a Transaction<'a>,
    file: i64,
    /// Those of these lines: where they are, and the tool.
    named: HashMap<i64, (i64, i64, String)>,
}

impl Calls<'_> {
    fn store(&mut self, line: i64, tools: &[ToolUse]) -> rusqlite::Result<()> {
        for (position, tool) in (0_i64..).zip(tools) {
            self.transaction
                .prepare_cached(
                    "INSERT INTO tool_uses (file_id, line, position, name, call)
                     VALUES (?, ?, ?, ?, ?)",
                )?
                .execute((self.file, line, position, &tool.name, tool.call))?;
            self.named.insert(tool.call, (line, position, tool.name.clone()));
        }
        Ok(())
    }

    /// Notes what came of calls; the tool of the first one that is known.
    fn answer(&mut self, line: i64, results: &[(i64, bool)]) -> rusqlite::Result<Option<String>> {
        let mut first = None;
        for (call, is_error) in results {
            let found = match self.named.remove(call) {
                Some(found) => Some(found),
                None => self.stored(line, *call)?,
            };
            let Some((line, position, name)) = found else { continue };
            self.transaction
                .prepare_cached(
                    "UPDATE tool_uses SET is_error = ?
                     WHERE file_id = ? AND line = ? AND position = ?",
                )?
                .execute((is_error, self.file, line, position))?;
            first = first.or(Some(name));
        }
        Ok(first)
    }

    /// A call of an earlier step.
    fn stored(&self, line: i64, call: i64) -> rusqlite::Result<Option<(i64, i64, String)>> {
        self.transaction
            .prepare_cached(
                "SELECT line, position, name FROM tool_uses
                 WHERE file_id = ? AND line BETWEEN ? AND ? AND call = ?
                 ORDER BY line DESC LIMIT 1",
            )?
            .query_row((self.file, line - CALL_LINES_MAX, line, call), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()
    }
}

/// Messages of the model and what they cost.
struct Tokens<'a> {
    transaction: &'a Transaction<'a>,
    file: i64,
    user: i64,
    /// What was stored last: most lines repeat it.
    last: Option<Usage>,
}

impl Tokens<'_> {
    fn store(&mut self, line: i64, timestamp: Option<i64>, usage: &Usage) -> rusqlite::Result<()> {
        if self.last.as_ref() == Some(usage) {
            return Ok(());
        }
        self.transaction
            .prepare_cached(
                "INSERT INTO usages (file_id, message_id, line, timestamp, model, input, output,
                     cache_read, cache_creation, user_id)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (file_id, message_id) DO UPDATE SET
                     input = max(input, excluded.input),
                     output = max(output, excluded.output),
                     cache_read = max(cache_read, excluded.cache_read),
                     cache_creation = max(cache_creation, excluded.cache_creation)",
            )?
            .execute((
                self.file,
                &usage.message_id,
                line,
                timestamp,
                &usage.model,
                usage.input,
                usage.output,
                usage.cache_read,
                usage.cache_creation,
                self.user,
            ))?;
        self.count_once(&usage.message_id)?;
        self.last = Some(usage.clone());
        Ok(())
    }

    /// Of the files that have this message, the one that begins first counts it. Only the one
    /// that counted it so far is looked at: a message may be in thousands.
    fn count_once(&self, message: &str) -> rusqlite::Result<()> {
        let other: Option<i64> = self
            .transaction
            .prepare_cached(
                "SELECT file_id FROM usages
                 WHERE message_id = ? AND user_id = ? AND NOT is_copy AND file_id <> ?",
            )?
            .query_row((message, self.user, self.file), |row| row.get(0))
            .optional()?;
        let Some(other) = other else { return Ok(()) };
        let first: i64 = self
            .transaction
            .prepare_cached(
                "SELECT id FROM files WHERE id IN (?, ?)
                 ORDER BY begun_at IS NULL, begun_at, id LIMIT 1",
            )?
            .query_row((other, self.file), |row| row.get(0))?;
        let copy = if first == other { self.file } else { other };
        self.transaction
            .prepare_cached("UPDATE usages SET is_copy = 1 WHERE file_id = ? AND message_id = ?")?
            .execute((copy, message))?;
        Ok(())
    }
}

/// What the lines go on from, when that may be elsewhere.
fn store_origins(
    transaction: &Transaction<'_>,
    file: i64,
    owner: &Owner,
    first_line: i64,
    lines: &[(Event, LineWords)],
) -> rusqlite::Result<()> {
    let events = || lines.iter().map(|(event, _)| event);
    let mut statement = transaction
        .prepare_cached("INSERT OR IGNORE INTO origins (file_id, origin) VALUES (?, ?)")?;
    // The first message of a file has its parent nowhere or in another file.
    let first = events().find(|event| event.uuid.is_some()).filter(|_| first_line == 1);
    if let Some(parent) = first.and_then(|event| event.parent.as_ref()) {
        statement.execute((file, parent))?;
    }
    let mut last = None;
    for event in events() {
        if let Some(origin) = &event.origin {
            statement.execute((file, origin))?;
        }
        let session = event.session.as_ref().filter(|session| **session != owner.external_id);
        if session.is_some() && session != last {
            statement.execute((file, session))?;
            last = session;
        }
    }
    Ok(())
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<(i64, Event)> {
    let (added, removed): (Option<i64>, Option<i64>) = (row.get(8)?, row.get(9)?);
    let event = Event {
        kind: row.get(1)?,
        role: row.get(2)?,
        uuid: id(row.get(3)?),
        parent: id(row.get(4)?),
        timestamp: row.get(5)?,
        is_error: row.get(6)?,
        mark: row.get::<_, Option<i64>>(7)?.and_then(mark),
        changed: added.zip(removed),
        ..Event::default()
    };
    Ok((row.get(0)?, event))
}

fn mark(number: i64) -> Option<Mark> {
    [Mark::Prompt, Mark::Error, Mark::Compaction].into_iter().find(|mark| *mark as i64 == number)
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
