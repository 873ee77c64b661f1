//! The words of lines, in an index of SQLite's FTS5: no text, only which line holds which word.

use rusqlite::{Connection, Transaction};

use super::Store;
use crate::error::Result;
use crate::server::search::{LineWords, tool_word};

/// Bits of a row's number that are the line's; above them is the file's.
const LINE_BITS: u32 = 27;
/// Pages of the index that are written anew in one step of a purge.
const PURGE_PAGES: i64 = 500;
/// Pages of the index that are joined in one step while there is nothing else to do.
const TIDY_PAGES: i64 = 200;
/// Steps of a purge; more than any index has.
const PURGE_STEPS_MAX: usize = 1_000_000;

/// The number of a line in the index.
pub fn row_of(file: i64, line: i64) -> i64 {
    file << LINE_BITS | line
}

/// The file and line of a number in the index.
pub fn place_of(row: i64) -> (i64, i64) {
    (row >> LINE_BITS, row & ((1 << LINE_BITS) - 1))
}

/// Puts the words of a line into the index, with the tool whose result it is.
pub fn insert(
    transaction: &Transaction<'_>,
    file: i64,
    line: i64,
    words: &LineWords,
    tool: Option<&str>,
) -> rusqlite::Result<()> {
    if words.count == 0 {
        return Ok(());
    }
    let mut insert = transaction.prepare_cached("INSERT INTO words (rowid, word) VALUES (?, ?)")?;
    match tool {
        None => insert.execute((row_of(file, line), &words.text))?,
        Some(tool) => {
            let text = format!("{} {}", words.text, tool_word(tool));
            insert.execute((row_of(file, line), text))?
        }
    };
    Ok(())
}

/// Takes the words of lines out of the index. Until [`Store::purge_words`] they stay in its pages.
pub fn forget(
    connection: &Connection,
    file: i64,
    first_line: i64,
    last_line: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM words WHERE rowid BETWEEN ? AND ?")?
        .execute((row_of(file, first_line), row_of(file, last_line)))?;
    Ok(())
}

/// Empties the index, for whoever makes all of it anew.
pub fn clear(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("INSERT INTO words (words) VALUES ('delete-all')", [])?;
    Ok(())
}

/// How many lines of a file, up to one, the index holds words of.
pub fn count(connection: &Connection, file: i64, last_line: i64) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT count(*) FROM words_docsize WHERE id BETWEEN ? AND ?")?
        .query_row((row_of(file, 0), row_of(file, last_line)), |row| row.get(0))
}

/// Takes the words of all files of a session out of the index.
pub fn forget_session(transaction: &Transaction<'_>, session: i64) -> rusqlite::Result<()> {
    let mut files = transaction.prepare("SELECT id, last_line FROM files WHERE session_id = ?")?;
    let mut rows = files.query([session])?;
    while let Some(row) = rows.next()? {
        forget(transaction, row.get(0)?, 0, row.get(1)?)?;
    }
    transaction.execute("INSERT INTO purging VALUES (0)", [])?;
    Ok(())
}

/// Merges about so many pages of the index; false when there was nothing to do.
fn merge(transaction: &Transaction<'_>, pages: i64) -> rusqlite::Result<bool> {
    let before = transaction.total_changes();
    transaction
        .prepare_cached("INSERT INTO words (words, rank) VALUES ('merge', ?)")?
        .execute([pages])?;
    // So FTS5 says that there was.
    Ok(transaction.total_changes() - before >= 2)
}

impl Store {
    /// Joins pieces of the index, some at a time: false when they are as few as is worth it.
    pub(crate) fn tidy_words(&self) -> Result<bool> {
        self.write_later("tidy the index", |transaction| Ok(merge(transaction, TIDY_PAGES)?))
    }

    /// Writes the index anew without the words of lines that were removed, in steps between which
    /// others can write. Nothing happens when nothing was removed.
    ///
    /// # Errors
    /// When the database fails; it is gone on with the next time.
    pub fn purge_words(&self) -> Result<()> {
        let is_wanted = |connection: &Connection| -> rusqlite::Result<bool> {
            connection.query_row("SELECT EXISTS (SELECT 1 FROM purging)", [], |row| row.get(0))
        };
        if !self.read("look whether to purge", |connection| Ok(is_wanted(connection)?))? {
            return Ok(());
        }
        let mut is_first = true;
        for _ in 0..PURGE_STEPS_MAX {
            let is_over = self.write_later("purge the index", |transaction| {
                // Somebody else may be at it, too.
                if !is_wanted(transaction)? {
                    return Ok(true);
                }
                // A negative number takes all of the index into one merge, which positive ones
                // continue.
                let is_done =
                    !merge(transaction, if is_first { -PURGE_PAGES } else { PURGE_PAGES })?;
                if is_done {
                    transaction.execute("DELETE FROM purging", [])?;
                }
                Ok(is_done)
            })?;
            if is_over {
                break;
            }
            is_first = false;
        }
        Ok(())
    }
}
