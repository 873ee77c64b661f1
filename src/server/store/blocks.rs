//! Blocks of lines in the database: found, read with what they refer to, replaced.
//!
//! Lines never change once they are stored, so that a block may be divided, merged and encoded anew
//! at any time, as long as the lines stay the same.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::Failure;
use crate::error::Error;
use crate::server::lines::{Block, Codec};

const COLUMNS: &str = "first_line, last_line, raw_bytes, codec, data, base_block, id";

/// A block as it lies in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// Number of the block.
    pub id: i64,
    /// The block that a patch refers to.
    pub base: Option<i64>,
    /// Its lines.
    pub block: Block,
}

/// The block that holds a line, in whatever way the file is divided, and the text of its base,
/// empty when it has none.
pub fn block_with(
    connection: &Connection,
    file: i64,
    line: i64,
) -> Result<(Block, Vec<u8>), Failure> {
    let found = stored_with(connection, file, line)?;
    let base = base_text(connection, found.base)?;
    Ok((found.block, base))
}

/// The block that holds a line, as it lies there.
pub fn stored_with(connection: &Connection, file: i64, line: i64) -> Result<StoredBlock, Failure> {
    let block = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM blocks
             WHERE file_id = ? AND first_line <= ? ORDER BY first_line DESC LIMIT 1"
        ))?
        .query_row((file, line), read_block)
        .optional()?;
    match block {
        Some(stored) if stored.block.last_line >= line => Ok(stored),
        _ => Err(Error::new(format!("line {line} of file {file} is missing")).into()),
    }
}

/// A block by its number.
pub fn by_id(connection: &Connection, id: i64) -> Result<Option<StoredBlock>, Failure> {
    let block = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM blocks WHERE id = ?"))?
        .query_row([id], read_block)
        .optional()?;
    Ok(block)
}

/// The text of a base. One that has a base itself is refused: that bounds what a reader holds.
pub fn base_text(connection: &Connection, base: Option<i64>) -> Result<Vec<u8>, Failure> {
    let Some(id) = base else { return Ok(Vec::new()) };
    match by_id(connection, id)? {
        Some(StoredBlock { base: None, block, .. }) => Ok(block.text(&[])?),
        Some(_) => Err(Error::new(format!("the base {id} has a base itself")).into()),
        None => Err(Error::new(format!("the base {id} is missing")).into()),
    }
}

/// The text of a block.
pub fn text(connection: &Connection, stored: &StoredBlock) -> Result<Vec<u8>, Failure> {
    Ok(stored.block.text(&base_text(connection, stored.base)?)?)
}

/// Stores new blocks of a file.
pub fn insert(transaction: &Transaction<'_>, file: i64, blocks: &[Block]) -> rusqlite::Result<()> {
    blocks.iter().try_for_each(|block| insert_one(transaction, file, block, None))
}

/// Stores a new block of a file.
pub fn insert_one(
    transaction: &Transaction<'_>,
    file: i64,
    block: &Block,
    base: Option<i64>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO blocks (file_id, first_line, last_line, raw_bytes, codec, data, base_block)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute((
            file,
            block.first_line,
            block.last_line,
            block.raw_bytes as i64,
            block.codec as i64,
            &block.data,
            base,
        ))?;
    Ok(())
}

/// How many blocks refer to one.
pub fn dependents(connection: &Connection, id: i64) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT count(*) FROM blocks WHERE base_block = ?")?
        .query_row([id], |row| row.get(0))
}

fn read_block(row: &Row<'_>) -> rusqlite::Result<StoredBlock> {
    let codec = match row.get(3)? {
        0 => Codec::Raw,
        1 => Codec::Zstd,
        2 => Codec::Patch,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(3, other)),
    };
    let raw_bytes: i64 = row.get(2)?;
    let block = Block {
        first_line: row.get(0)?,
        last_line: row.get(1)?,
        raw_bytes: usize::try_from(raw_bytes)
            .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(2, raw_bytes))?,
        codec,
        data: row.get(4)?,
    };
    Ok(StoredBlock { id: row.get(6)?, base: row.get(5)?, block })
}
