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
    note_removal(transaction)
}

/// Words were removed: they are still to be taken out of the pages of the index.
fn note_removal(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("INSERT INTO removals DEFAULT VALUES", [])?;
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
    /// others can write. False when nothing was removed.
    ///
    /// # Errors
    /// When the database fails; it is gone on with the next time.
    pub fn purge_words(&self) -> Result<bool> {
        let is_wanted = |connection: &Connection| {
            let wanted = "SELECT EXISTS (SELECT 1 FROM removals)";
            Ok(connection.query_row(wanted, [], |row| row.get::<_, bool>(0))?)
        };
        let (mut pass, mut has_purged) = (None, false);
        for _ in 0..PURGE_STEPS_MAX {
            let is_over = self.wake.is_over();
            if is_over || pass.is_none() && !self.read("look whether to purge", is_wanted)? {
                break;
            }
            pass = self.purge_step(pass)?;
            has_purged = true;
        }
        Ok(has_purged)
    }

    /// A step of a pass through the index, which takes the words of all removals up to a number out
    /// of it: of those that were there when it began, and of no later ones, whose words it may have
    /// passed. `None` begins one; so does the answer when it is over.
    fn purge_step(&self, pass: Option<i64>) -> Result<Option<i64>> {
        self.write_later("purge the index", |transaction| {
            let last: Option<i64> =
                transaction.query_row("SELECT max(number) FROM removals", [], |row| row.get(0))?;
            let Some(goal) = pass.or(last) else { return Ok(None) };
            let is_left: bool = transaction.query_row(
                "SELECT EXISTS (SELECT 1 FROM removals WHERE number <= ?)",
                [goal],
                |row| row.get(0),
            )?;
            // Another process may be at it, too.
            if !is_left {
                return Ok(None);
            }
            // A negative number takes all of the index into one merge, which positive ones
            // continue.
            let pages = if pass.is_none() { -PURGE_PAGES } else { PURGE_PAGES };
            if merge(transaction, pages)? {
                return Ok(Some(goal));
            }
            transaction.execute("DELETE FROM removals WHERE number <= ?", [goal])?;
            Ok(None)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_session;
    use super::*;

    /// Whether a word is anywhere in the pages of the index.
    fn is_there(store: &Store, word: &str) -> bool {
        store
            .read("look for a word", |connection| {
                let pages = "SELECT count(*) FROM words_data WHERE instr(block, CAST(? AS BLOB))";
                Ok(connection.query_row(pages, [word], |row| row.get::<_, i64>(0))? > 0)
            })
            .unwrap()
    }

    fn remove(store: &Store, file: i64) {
        let remove = |transaction: &Transaction<'_>| {
            forget(transaction, file, 0, 9)?;
            Ok(note_removal(transaction)?)
        };
        store.write("remove words", remove).unwrap();
    }

    /// The second is removed while the words of the first are being taken out.
    #[test]
    fn words_that_are_removed_during_a_purge_go_too() {
        let (_folder, store, _) = with_session();
        let words = ["alpha", "middle", "zulu"];
        for (file, word) in (1..).zip(words) {
            let words = LineWords { text: word.into(), count: 1 };
            store
                .write("store words", |transaction| Ok(insert(transaction, file, 1, &words, None)?))
                .unwrap();
        }
        assert!(!store.purge_words().unwrap() && words.iter().all(|word| is_there(&store, word)));
        remove(&store, 1);
        let mut pass = store.purge_step(None).unwrap();
        assert!(pass.is_some(), "or this shows nothing");
        remove(&store, 2);
        while pass.is_some() {
            pass = store.purge_step(pass).unwrap();
        }
        assert!(store.purge_words().unwrap());
        assert_eq!(words.map(|word| is_there(&store, word)), [false, false, true]);
        assert!(!store.purge_words().unwrap());
        // Another process was faster, and then something else was removed.
        remove(&store, 3);
        let pass = store.purge_step(None).unwrap();
        assert!(pass.is_some() && store.purge_words().unwrap());
        remove(&store, 4);
        assert_eq!(store.purge_step(pass).unwrap(), None);
        assert!(store.purge_words().unwrap());
    }
}
