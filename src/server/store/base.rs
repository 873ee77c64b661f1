//! Which block another one is best stored as a patch of.
//!
//! A fork or a resumed session copies messages with their uuids, so that the index knows where the
//! same lines lie already. The first lines of unrelated sessions are alike, too: the tools and
//! instructions of the same program. A base is at rest, of the same user, and no patch itself.

use std::collections::HashMap;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::Failure;
use super::blocks::{self, StoredBlock};
use crate::server::lines::{BASE_BYTES_MAX, Codec};

/// Lines of a block whose uuids are looked up.
const LOOKUPS_MAX: i64 = 4096;
/// Places of one uuid that are looked at, the oldest: a session may be forked many times.
const PLACES_MAX: i64 = 8;
/// Blocks that refer to one: so many are encoded anew when it is removed.
const DEPENDENTS_MAX: i64 = 64;
/// Sessions before this one that are searched for a beginning that is alike.
const RELATIVES_MAX: i64 = 16;
/// A beginning that is alike must be so large to be of use.
const RELATIVE_BYTES_MIN: i64 = 2 << 10;

/// The lines that want a base.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Number of the owner.
    pub user: i64,
    /// The file and its type.
    pub file: i64,
    /// Number of the first line.
    pub first_line: i64,
    /// Number of the last line.
    pub last_line: i64,
    /// A session that is about to be removed, or 0.
    pub except_session: i64,
}

/// For each line whose uuid is stored elsewhere, the block that it could refer to.
pub fn copied(connection: &Connection, wanted: Wanted) -> Result<HashMap<i64, i64>, Failure> {
    let mut lines = connection.prepare_cached(
        "SELECT line, uuid FROM messages
         WHERE file_id = ? AND line BETWEEN ? AND ? AND uuid IS NOT NULL LIMIT ?",
    )?;
    let mut places = connection.prepare_cached(
        "SELECT place.file_id, place.line FROM (
             SELECT file_id, line FROM messages WHERE uuid = ?1 LIMIT ?4) AS place
         JOIN files ON files.id = place.file_id AND merged_line >= place.line
         JOIN sessions ON sessions.id = session_id AND user_id = ?5 AND sessions.id <> ?6
         WHERE NOT (place.file_id = ?2 AND place.line >= ?3)",
    )?;
    let mut usable = HashMap::new();
    let mut found = HashMap::new();
    let Wanted { user, file, first_line, last_line, except_session } = wanted;
    let mut rows = lines.query((file, first_line, last_line, LOOKUPS_MAX))?;
    while let Some(row) = rows.next()? {
        let (line, uuid): (i64, Value) = (row.get(0)?, row.get(1)?);
        let mut of_line =
            places.query((uuid, file, first_line, PLACES_MAX, user, except_session))?;
        while let Some(place) = of_line.next()? {
            let block = block_at(connection, place.get(0)?, place.get(1)?)?;
            let base = match usable.get(&block) {
                Some(known) => *known,
                None => {
                    let base = base_of(connection, block, wanted)?;
                    usable.insert(block, base);
                    base
                }
            };
            if let Some(base) = base {
                found.insert(line, base);
                break;
            }
        }
    }
    Ok(found)
}

/// The first block of a file of the same type that an earlier session has, or what that one refers
/// to. Later ones are hardly at rest yet.
pub fn relative(connection: &Connection, wanted: Wanted) -> Result<Option<i64>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT blocks.id FROM (
             SELECT id FROM sessions WHERE user_id = ?1 AND id <> ?2 AND last_sync_at <= (
                 SELECT last_sync_at FROM sessions
                 JOIN files ON session_id = sessions.id WHERE files.id = ?4)
             ORDER BY last_sync_at DESC LIMIT ?3) AS newest
         JOIN files ON files.session_id = newest.id AND files.id <> ?4 AND merged_line > 0
             AND type = (SELECT type FROM files WHERE id = ?4)
         JOIN blocks ON blocks.file_id = files.id AND first_line = 1
             AND blocks.raw_bytes >= ?5
         LIMIT ?3",
    )?;
    let Wanted { user, file, except_session, .. } = wanted;
    let mut rows =
        statement.query((user, except_session, RELATIVES_MAX, file, RELATIVE_BYTES_MIN))?;
    while let Some(row) = rows.next()? {
        if let Some(base) = base_of(connection, row.get(0)?, wanted)? {
            return Ok(Some(base));
        }
    }
    Ok(None)
}

/// A base and its text.
pub fn load(connection: &Connection, id: i64) -> Result<Option<(StoredBlock, Vec<u8>)>, Failure> {
    let Some(stored) = blocks::by_id(connection, id)? else { return Ok(None) };
    let text = stored.block.text(&[])?;
    Ok(Some((stored, text)))
}

fn block_at(connection: &Connection, file: i64, line: i64) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT id FROM blocks WHERE file_id = ? AND first_line <= ?
             ORDER BY first_line DESC LIMIT 1",
        )?
        .query_row((file, line), |row| row.get(0))
}

/// The block, or the one that it refers to, where that can be a base of what is wanted.
fn base_of(connection: &Connection, block: i64, wanted: Wanted) -> Result<Option<i64>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT codec, blocks.raw_bytes, file_id, session_id, base_block, first_line,
             blocks.last_line, merged_line
         FROM blocks JOIN files ON files.id = file_id WHERE blocks.id = ?",
    )?;
    let mut id = block;
    for _ in 0..2 {
        let facts = statement.query_row([id], |row| {
            let (codec, bytes, file): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (session, base): (i64, Option<i64>) = (row.get(3)?, row.get(4)?);
            let (first, last, merged): (i64, i64, i64) = (row.get(5)?, row.get(6)?, row.get(7)?);
            Ok((codec, bytes, file, session, base, first, last, merged))
        });
        let Some((codec, bytes, file, session, base, first, last, merged)) = facts.optional()?
        else {
            return Ok(None);
        };
        if let (true, Some(base)) = (codec == Codec::Patch as i64, base) {
            id = base;
            continue;
        }
        let overlaps =
            file == wanted.file && first <= wanted.last_line && last >= wanted.first_line;
        let fits = bytes <= BASE_BYTES_MAX as i64 && last <= merged && !overlaps;
        let allowed = session != wanted.except_session
            && blocks::dependents(connection, id)? < DEPENDENTS_MAX;
        return Ok((fits && allowed).then_some(id));
    }
    Ok(None)
}
