//! A row per line: made from the lines in small steps, and made again whenever that is wanted.
//!
//! `files.indexed_line` is how far it has come. Rows and position are written together, so that
//! nothing is indexed twice or left out, wherever a step is cut off. Several may be at it at once:
//! a step counts only when the position is still what it was.
//!
//! What is kept of a line is written by `rows`.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};

use super::rows::{self, Owner};
use super::{Failure, Store, blocks, words};
use crate::error::Result;
use crate::server::events::{Event, event};
use crate::server::search::{LineWords, Words};

/// Lines of a step: so long as it takes to write what they tell, an append waits at most.
const STEP_LINES_MAX: usize = 8192;
/// A step of so many lines is no live session, but history that is brought in.
const STEP_LINES_LARGE: usize = 256;
/// Files of a step.
const STEP_FILES_MAX: usize = 64;
/// Bytes of a step's lines that are read before it ends.
const STEP_BYTES_MAX: usize = 8 << 20;

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

/// How much a step of the index had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// Few lines.
    Some,
    /// Many lines, and less than a step takes.
    Many,
    /// All that a step takes: there may be more.
    Full,
}

/// A file and how far it is indexed.
struct Position {
    owner: Owner,
    indexed_line: i64,
    last_line: i64,
}

/// What some lines of a file tell.
struct Batch {
    file: i64,
    position: Position,
    lines: Vec<(Event, LineWords)>,
    /// Of the lines.
    n_bytes: usize,
}

impl Store {
    /// Indexes the next lines of the files that were appended to last.
    /// A file that cannot be read becomes one of the `damaged`, which are left alone.
    pub(crate) fn index_step(&self, damaged: &mut HashSet<i64>) -> Result<Step> {
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
                    n_lines += batch.lines.len();
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
        Ok(match n_lines {
            0 => Step::Nothing,
            STEP_LINES_MAX.. => Step::Full,
            _ if n_bytes >= STEP_BYTES_MAX => Step::Full,
            STEP_LINES_LARGE.. => Step::Many,
            _ => Step::Some,
        })
    }

    /// What the next lines of a file tell, with their words; `None` when there are none. Each block
    /// is a transaction of its own: the log cannot be begun anew while one lasts.
    fn batch(&self, file: i64, lines_max: usize) -> Result<Option<Batch>> {
        let found = self.read("look for the next lines", |connection| {
            position(connection, file).map_err(Failure::from)
        })?;
        let Some(position) = found else { return Ok(None) };
        let mut line = position.indexed_line + 1;
        let (mut told, mut n_bytes, mut words) = (Vec::new(), 0, Words::default());
        while line <= position.last_line && told.len() < lines_max && n_bytes < STEP_BYTES_MAX {
            let Some(text) = self.lines_of(file, &position.owner, line)? else { return Ok(None) };
            let lines = text.split_inclusive(|byte| *byte == b'\n');
            for bytes in lines.take(lines_max - told.len()) {
                let text = String::from_utf8_lossy(bytes.trim_ascii_end());
                let event = event(&text);
                let words = words.of_line(&text, &event, position.owner.user);
                told.push((event, words));
                n_bytes += bytes.len();
                line += 1;
            }
        }
        Ok((!told.is_empty()).then_some(Batch { file, position, lines: told, n_bytes }))
    }

    /// The lines of a block from one on; `None` when the file was removed meanwhile.
    fn lines_of(&self, file: i64, owner: &Owner, line: i64) -> Result<Option<Vec<u8>>> {
        let found = self.read("read lines to index", |connection| {
            let is_there = position(connection, file)?.is_some_and(|now| now.owner == *owner);
            match is_there {
                true => blocks::block_with(connection, file, line).map(Some),
                false => Ok(None),
            }
        })?;
        found.map(|(block, base)| block.text_from(line, &base)).transpose()
    }

    /// Writes rows, in one transaction, except where somebody else was faster.
    fn store_batches(&self, batches: &[Batch]) -> Result<()> {
        self.write_later("index lines", |transaction| {
            for Batch { file, position, lines, .. } in batches {
                let is_same = self::position(transaction, *file)?.is_some_and(|now| {
                    now.owner == position.owner && now.indexed_line == position.indexed_line
                });
                if is_same {
                    let first_line = position.indexed_line + 1;
                    rows::store(transaction, *file, &position.owner, first_line, lines)?;
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
            if file == 0 {
                // The words of all files go at once. What a run that is cut off leaves, the thread
                // behind the scenes does.
                words::clear(transaction)?;
                transaction.execute("UPDATE files SET indexed_line = 0", [])?;
            }
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
}

fn position(connection: &Connection, file: i64) -> rusqlite::Result<Option<Position>> {
    connection
        .prepare_cached(
            "SELECT sessions.uuid, external_id, user_id, indexed_line, last_line FROM files
             JOIN sessions ON sessions.id = session_id WHERE files.id = ?",
        )?
        .query_row([file], |row| {
            let (session, external_id) = (row.get(0)?, row.get(1)?);
            let owner = Owner { session, external_id, user: row.get(2)? };
            Ok(Position { owner, indexed_line: row.get(3)?, last_line: row.get(4)? })
        })
        .optional()
}
