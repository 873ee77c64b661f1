//! Files of a session: appending lines and reading them back.
//!
//! An append is one transaction. What it repeats of the stored lines must equal them; only the rest
//! is stored. So a client that did not hear the answer may send the same again, and two writers
//! cannot mix their lines.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::sessions::SessionUpdate;
use super::{ArrivalKind, Failure, Store, blocks, expiry, line_number, micros, sessions};
use super::{reports, text_time};
use crate::error::Result;
use crate::server::lines::{Block, Lines};
use crate::wire::{FILE_CHUNKS_MAX, FileEntry, FilePosition, LINE_NUMBER_MAX, SessionReport};

/// Files of a session; the protocol has no limit, memory does.
pub const SESSION_FILES_MAX: i64 = 20_000;

/// Lines to append.
#[derive(Debug)]
pub struct Append<'a> {
    /// Id of the session.
    pub session: &'a str,
    /// Key of the file.
    pub file_name: &'a str,
    /// Type of the file.
    pub file_type: &'a str,
    /// Number of the first line, at least 1.
    pub first_line: i64,
    /// The lines; none holds a newline.
    pub lines: &'a Lines,
    /// True when the chunk carries metadata of codex, which no other session may have.
    pub codex_metadata: bool,
    /// What the chunk says of the session; applied when a line is new.
    pub update: SessionUpdate,
    /// What came with it, whatever becomes of the lines.
    pub report: Option<SessionReport>,
}

/// What became of an [`Append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// All lines are stored; number of the last one of the file.
    Stored(u64),
    /// The user has no such session; whether others have one, nobody is told.
    NoSession,
    /// The session was removed for its age, and goes on: whoever opens it again begins anew.
    Anew,
    /// Metadata of codex on another provider's session.
    NotCodex,
    /// `first_line` had to be this, or the repeated lines had to equal the stored ones.
    NotContiguous(u64),
    /// The file was appended to too often.
    TooManyChunks,
    /// The session has too many files.
    TooManyFiles,
    /// Line numbers would become too large.
    TooManyLines,
}

/// A file that somebody reads in several steps. It is looked up again at each: its number alone may
/// be another file's by then, and its session may not be theirs to read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFile {
    pub(super) reader: i64,
    pub(super) session: String,
    pub(super) number: i64,
}

impl OpenFile {
    /// Its number, as long as it is there and its reader may read it.
    pub(super) fn found(&self, connection: &Connection) -> rusqlite::Result<Option<i64>> {
        let Some(session) = sessions::readable(connection, self.reader, &self.session)? else {
            return Ok(None);
        };
        connection
            .prepare_cached("SELECT id FROM files WHERE id = ? AND session_id = ?")?
            .query_row((self.number, session), |row| row.get(0))
            .optional()
    }
}

/// A file that is being read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The file.
    pub file: OpenFile,
    /// Number of its last line when it was opened.
    pub last_line: i64,
    /// Bytes up to there.
    pub bytes: u64,
}

/// A row of `files`.
#[derive(Debug, Clone, Copy)]
struct Position {
    file: i64,
    last_line: i64,
    chunks: i64,
}

impl Store {
    /// Appends lines to a file of a session, and applies what they say of the session.
    ///
    /// # Errors
    /// When the database fails; nothing is stored then.
    pub fn append(&self, user: i64, append: &Append<'_>, now: SystemTime) -> Result<Appended> {
        // Compressed before the database is locked; in vain only when lines are repeated, and not
        // at all for numbers that are refused in any case.
        let blocks = match append.first_line <= LINE_NUMBER_MAX as i64 {
            true => append.lines.blocks(0, append.first_line)?,
            false => Vec::new(),
        };
        self.make_room()?;
        let appended = self.write("append lines", |transaction| {
            append_in(transaction, user, append, blocks, now)
        })?;
        self.wake.wake();
        if let Appended::Stored(_) = appended {
            self.tell(user, append.session, ArrivalKind::Lines(append.file_name.to_owned()));
        }
        Ok(appended)
    }

    /// The files of a session that a reader may read; `None` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn files(&self, reader: i64, session: &str) -> Result<Option<Vec<FileEntry>>> {
        self.read("list files", |connection| {
            let Some(session) = sessions::readable(connection, reader, session)? else {
                return Ok(None);
            };
            Ok(Some(entries(connection, session)?))
        })
    }

    /// Opens a file of a session that a reader may read. The outer `None` means no session, the
    /// inner one no file.
    ///
    /// # Errors
    /// When the database fails.
    pub fn download(
        &self,
        reader: i64,
        session: &str,
        name: &str,
    ) -> Result<Option<Option<Download>>> {
        self.read("open a file", |connection| {
            let Some(row) = sessions::readable(connection, reader, session)? else {
                return Ok(None);
            };
            let file = connection
                .prepare_cached(
                    "SELECT id, last_line, raw_bytes FROM files WHERE session_id = ? AND name = ?",
                )?
                .query_row((row, name), |row| {
                    let bytes: i64 = row.get(2)?;
                    let bytes = u64::try_from(bytes).unwrap_or(0);
                    let (number, session) = (row.get(0)?, session.to_owned());
                    let file = OpenFile { reader, session, number };
                    Ok(Download { file, last_line: row.get(1)?, bytes })
                })
                .optional()?;
            Ok(Some(file))
        })
    }

    /// The lines of the block that holds line `line`, from there on, and the number of the line
    /// behind them; `None` when the file is gone, or its reader may not read it any more. No
    /// transaction stays open between blocks: stored lines do not change.
    ///
    /// # Errors
    /// When the database fails or is damaged.
    pub fn lines_from(&self, file: &OpenFile, line: i64) -> Result<Option<(Vec<u8>, i64)>> {
        self.read("read lines", |connection| {
            let Some(number) = file.found(connection)? else { return Ok(None) };
            let (block, base) = blocks::block_with(connection, number, line)?;
            Ok(Some((block.text_from(line, &base)?, block.last_line + 1)))
        })
    }
}

/// How far each file of a session is stored.
pub(super) fn positions(
    connection: &Connection,
    session: i64,
) -> rusqlite::Result<std::collections::BTreeMap<String, FilePosition>> {
    connection
        .prepare_cached("SELECT name, last_line FROM files WHERE session_id = ?")?
        .query_map([session], |row| {
            let last_synced_line = line_number(row.get(1)?);
            Ok((row.get(0)?, FilePosition { last_synced_line }))
        })?
        .collect()
}

/// All files of a session, main transcripts before agents, by name.
pub(super) fn entries(connection: &Connection, session: i64) -> rusqlite::Result<Vec<FileEntry>> {
    connection
        .prepare_cached(
            "SELECT name, type, last_line, updated_at FROM files WHERE session_id = ?
             ORDER BY type DESC, name",
        )?
        .query_map([session], |row| {
            Ok(FileEntry {
                file_name: row.get(0)?,
                file_type: row.get(1)?,
                last_synced_line: line_number(row.get(2)?),
                updated_at: text_time(row.get(3)?),
            })
        })?
        .collect()
}

fn append_in(
    transaction: &Transaction<'_>,
    user: i64,
    append: &Append<'_>,
    blocks: Vec<Block>,
    now: SystemTime,
) -> Result<Appended, Failure> {
    let Some((session, provider)) = sessions::owned(transaction, user, append.session)? else {
        return Ok(match expiry::forget(transaction, user, append.session)? {
            true => Appended::Anew,
            false => Appended::NoSession,
        });
    };
    if append.codex_metadata && provider != "codex" {
        return Ok(Appended::NotCodex);
    }
    let appended = append_to(transaction, session, append, blocks, now)?;
    if let Some(report) = &append.report {
        reports::note(transaction, session, (report, appended), now)?;
    }
    Ok(appended)
}

fn append_to(
    transaction: &Transaction<'_>,
    session: i64,
    append: &Append<'_>,
    mut blocks: Vec<Block>,
    now: SystemTime,
) -> Result<Appended, Failure> {
    let position = position(transaction, session, append.file_name)?;
    let stored = position.map_or(0, |position| position.last_line);
    let refused = Appended::NotContiguous(line_number(stored + 1));
    if append.first_line > stored + 1 {
        return Ok(refused);
    }
    let repeated = usize::try_from(stored + 1 - append.first_line)?.min(append.lines.count());
    if let (Some(position), true) = (position, repeated > 0) {
        if !equals_stored(transaction, position.file, append, repeated)? {
            return Ok(refused);
        }
        if repeated == append.lines.count() {
            return Ok(Appended::Stored(line_number(stored)));
        }
        blocks = append.lines.blocks(repeated, append.first_line)?;
    }
    let last_line = append.first_line.saturating_add(append.lines.count() as i64 - 1);
    if let Some(refused) = over_limit(transaction, session, position, last_line)? {
        return Ok(refused);
    }
    let raw_bytes = append.lines.text(repeated..append.lines.count()).len();
    let file = advance(transaction, session, append, (last_line, raw_bytes as i64), now)?;
    blocks::insert(transaction, file, &blocks)?;
    sessions::update(transaction, session, &append.update, now)?;
    Ok(Appended::Stored(line_number(last_line)))
}

fn position(
    transaction: &Transaction<'_>,
    session: i64,
    name: &str,
) -> rusqlite::Result<Option<Position>> {
    transaction
        .prepare_cached(
            "SELECT id, last_line, chunks FROM files WHERE session_id = ? AND name = ?",
        )?
        .query_row((session, name), |row| {
            Ok(Position { file: row.get(0)?, last_line: row.get(1)?, chunks: row.get(2)? })
        })
        .optional()
}

/// True when the first `repeated` lines are the stored ones.
fn equals_stored(
    transaction: &Transaction<'_>,
    file: i64,
    append: &Append<'_>,
    repeated: usize,
) -> Result<bool, Failure> {
    let mut rest = append.lines.text(0..repeated).as_bytes();
    let mut line = append.first_line;
    while !rest.is_empty() {
        let (block, base) = blocks::block_with(transaction, file, line)?;
        let next = block.last_line + 1;
        let text = block.text_from(line, &base)?;
        let compared = text.len().min(rest.len());
        if text[..compared] != rest[..compared] {
            return Ok(false);
        }
        rest = &rest[compared..];
        line = next;
    }
    Ok(true)
}

fn over_limit(
    transaction: &Transaction<'_>,
    session: i64,
    position: Option<Position>,
    last_line: i64,
) -> rusqlite::Result<Option<Appended>> {
    if position.is_some_and(|position| position.chunks >= FILE_CHUNKS_MAX as i64) {
        return Ok(Some(Appended::TooManyChunks));
    }
    if last_line > LINE_NUMBER_MAX as i64 {
        return Ok(Some(Appended::TooManyLines));
    }
    if position.is_none() {
        let files: i64 = transaction
            .prepare_cached("SELECT count(*) FROM files WHERE session_id = ?")?
            .query_row([session], |row| row.get(0))?;
        return Ok((files >= SESSION_FILES_MAX).then_some(Appended::TooManyFiles));
    }
    Ok(None)
}

/// Moves the file's position, creating the file when it is new, and returns its number. The type is
/// that of the latest chunk.
fn advance(
    transaction: &Transaction<'_>,
    session: i64,
    append: &Append<'_>,
    (last_line, raw_bytes): (i64, i64),
    now: SystemTime,
) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached(
            "INSERT INTO files (session_id, name, type, last_line, raw_bytes, chunks, updated_at)
             VALUES (?, ?, ?, ?, ?, 1, ?)
             ON CONFLICT (session_id, name) DO UPDATE SET
                 type = excluded.type,
                 last_line = excluded.last_line,
                 raw_bytes = raw_bytes + excluded.raw_bytes,
                 chunks = chunks + 1,
                 updated_at = excluded.updated_at
             RETURNING id",
        )?
        .query_row(
            (session, append.file_name, append.file_type, last_line, raw_bytes, micros(now)),
            |row| row.get(0),
        )
}
