//! Where in a file something happens.

use rusqlite::{Connection, OptionalExtension};

use super::{OpenFile, Store, line_number, sessions};
use crate::error::Result;
use crate::server::events::Mark;
use crate::wire::{OutlineAnswer, TYPE_TRANSCRIPT};

/// Lines of a kind that are told, the last ones.
const MARKS_MAX: i64 = 100_000;

/// A file of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: OpenFile,
    /// Its name.
    pub name: String,
    /// Number of its last line.
    pub last_line: i64,
}

impl Store {
    /// A file of a session that a reader may read: the named one, or the main transcript. The outer
    /// `None` means no session, the inner one no file.
    ///
    /// # Errors
    /// When the database fails.
    pub fn place(
        &self,
        reader: i64,
        session: &str,
        name: Option<&str>,
    ) -> Result<Option<Option<Place>>> {
        self.read("look a file up", |connection| {
            let Some(row) = sessions::readable(connection, reader, session)? else {
                return Ok(None);
            };
            let place = connection
                .prepare_cached(
                    "SELECT files.id, name, last_line FROM files
                     JOIN sessions ON sessions.id = session_id
                     WHERE session_id = ?1 AND (name = ?2 OR ?2 IS NULL AND type = ?3)
                     ORDER BY name <> external_id || '.jsonl', name LIMIT 1",
                )?
                .query_row((row, name, TYPE_TRANSCRIPT), |row| {
                    let (number, session) = (row.get(0)?, session.to_owned());
                    let file = OpenFile { reader, session, number };
                    Ok(Place { file, name: row.get(1)?, last_line: row.get(2)? })
                })
                .optional()?;
            Ok(Some(place))
        })
    }

    /// Where in a file something happens, as far as it is indexed; `None` as for
    /// [`Store::lines_from`].
    ///
    /// # Errors
    /// When the database fails.
    pub fn outline(&self, place: Place) -> Result<Option<OutlineAnswer>> {
        self.read("read an outline", |connection| {
            let Some(file) = place.file.found(connection)? else { return Ok(None) };
            Ok(Some(OutlineAnswer {
                prompts: marked(connection, file, Mark::Prompt)?,
                errors: marked(connection, file, Mark::Error)?,
                compactions: marked(connection, file, Mark::Compaction)?,
                last_line: line_number(place.last_line),
                file: place.name,
            }))
        })
    }
}

fn marked(connection: &Connection, file: i64, mark: Mark) -> rusqlite::Result<Vec<u64>> {
    let mut statement = connection.prepare_cached(
        "SELECT line FROM messages WHERE file_id = ? AND mark = ? ORDER BY line DESC LIMIT ?",
    )?;
    let lines =
        statement.query_map((file, mark as i64, MARKS_MAX), |row| row.get(0).map(line_number))?;
    let mut lines: Vec<u64> = lines.collect::<rusqlite::Result<_>>()?;
    lines.reverse();
    Ok(lines)
}
