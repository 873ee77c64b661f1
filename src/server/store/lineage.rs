//! Which sessions share lines, or go on from one another.
//!
//! A fork begins with lines of its original, uuids included; of the two, the original is the one
//! whose first time is earlier, or that was there first. A continuation names a line or a session
//! of another one without copying it.

use std::collections::BTreeMap;

use rusqlite::{Connection, types::Value};

use super::{Failure, Store, sessions};
use crate::error::Result;
use crate::wire::{Relation, Relative};

/// Lines at the beginning and at the end of a transcript whose uuids are looked up elsewhere.
const COPIES_LOOKED_UP: i64 = 1000;
/// Lines at the end of each file of a session that others may go on from.
const ENDS_LOOKED_UP: i64 = 256;
/// Lines and sessions that a session goes on from.
const ORIGINS_MAX: i64 = 256;
/// Relatives that are told.
const RELATIVES_MAX: usize = 100;

/// Relatives by their number.
type Found = BTreeMap<i64, Relation>;

impl Store {
    /// The relatives of a user's session; none when there is no such session.
    ///
    /// # Errors
    /// When the database fails.
    pub fn lineage(&self, user: i64, session: &str) -> Result<Vec<Relative>> {
        self.read("read a lineage", |connection| {
            let Some((session, _)) = sessions::owned(connection, user, session)? else {
                return Ok(Vec::new());
            };
            let mut found = Found::new();
            forks(connection, user, session, &mut found)?;
            continued(connection, user, session, &mut found)?;
            continuations(connection, user, session, &mut found)?;
            let mut read = connection.prepare_cached(
                "SELECT uuid, external_id, coalesce(nullif(summary, ''), first_user_message)
                 FROM sessions WHERE id = ?",
            )?;
            let mut relatives = Vec::new();
            for (id, relation) in found.into_iter().take(RELATIVES_MAX) {
                relatives.push(read.query_row([id], |row| {
                    let (session_id, external_id) = (row.get(0)?, row.get(1)?);
                    Ok(Relative { session_id, external_id, relation, title: row.get(2)? })
                })?);
            }
            relatives.sort_by_key(|relative| relative.relation);
            Ok(relatives)
        })
    }
}

/// Sessions with the same lines.
fn forks(
    connection: &Connection,
    user: i64,
    session: i64,
    found: &mut Found,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT other.session_id, (
             SELECT (coalesce(min(theirs.begun_at), 0), other.session_id)
                 < (coalesce(min(own.begun_at), 0), ?1)
             FROM files AS own, files AS theirs
             WHERE own.id = mine.file_id AND theirs.id = other.id)
         FROM (
             SELECT file_id, uuid FROM files
             JOIN messages ON file_id = files.id
             WHERE session_id = ?1 AND files.type = 'transcript' AND uuid IS NOT NULL
                 AND (line <= ?3 OR line > indexed_line - ?3)) AS mine
         JOIN messages AS copy ON copy.uuid = mine.uuid
         JOIN files AS other ON other.id = copy.file_id AND other.session_id <> ?1
         JOIN sessions ON sessions.id = other.session_id AND sessions.user_id = ?2",
    )?;
    let mut rows = statement.query((session, user, COPIES_LOOKED_UP))?;
    while let Some(row) = rows.next()? {
        let is_original: bool = row.get(1)?;
        let relation = if is_original { Relation::ForkOf } else { Relation::ForkedBy };
        found.insert(row.get(0)?, relation);
    }
    Ok(())
}

/// Sessions that this one goes on from.
fn continued(
    connection: &Connection,
    user: i64,
    session: i64,
    found: &mut Found,
) -> Result<(), Failure> {
    let mut origins = connection.prepare_cached(
        "SELECT origin FROM files JOIN origins ON file_id = files.id WHERE session_id = ? LIMIT ?",
    )?;
    let mut of_line = connection.prepare_cached(
        "SELECT session_id FROM messages JOIN files ON files.id = file_id
         JOIN sessions ON sessions.id = session_id WHERE messages.uuid = ? AND user_id = ? LIMIT 8",
    )?;
    let mut of_id = connection
        .prepare_cached("SELECT id FROM sessions WHERE external_id = ? AND user_id = ? LIMIT 8")?;
    let mut rows = origins.query((session, ORIGINS_MAX))?;
    while let Some(row) = rows.next()? {
        let origin: Value = row.get(0)?;
        let statement = match origin {
            Value::Text(_) => &mut of_id,
            _ => &mut of_line,
        };
        let mut others = statement.query((&origin, user))?;
        while let Some(other) = others.next()? {
            let other: i64 = other.get(0)?;
            if other != session {
                found.entry(other).or_insert(Relation::Continues);
            }
        }
    }
    Ok(())
}

/// Sessions that go on from this one.
fn continuations(
    connection: &Connection,
    user: i64,
    session: i64,
    found: &mut Found,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT other.session_id FROM (
             SELECT external_id AS origin FROM sessions WHERE id = ?1
             UNION ALL SELECT * FROM (
                 SELECT uuid FROM files JOIN messages ON file_id = files.id
                 WHERE session_id = ?1 AND uuid IS NOT NULL
                     AND line > indexed_line - ?3)) AS mine
         JOIN origins ON origins.origin = mine.origin
         JOIN files AS other ON other.id = origins.file_id AND other.session_id <> ?1
         JOIN sessions ON sessions.id = other.session_id AND sessions.user_id = ?2",
    )?;
    let mut rows = statement.query((session, user, ENDS_LOOKED_UP))?;
    while let Some(row) = rows.next()? {
        found.entry(row.get(0)?).or_insert(Relation::ContinuedBy);
    }
    Ok(())
}
