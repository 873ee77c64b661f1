//! Blocks of lines come to rest: small ones become large, well compressed ones, and what is stored
//! elsewhere already is referred to.
//!
//! Each step reads, compresses and verifies without a lock, and then replaces blocks of one file by
//! one or two in a transaction, if they are still what was read: a crash at any moment, or another
//! process at the same work, is harmless. A block that others refer to is never replaced.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::base::{self, Wanted};
use super::blocks::{self, StoredBlock};
use super::index::Step;
use super::{Failure, Store, micros};
use crate::error::{Error, Result};
use crate::server::lines::{BLOCK_BYTES_MAX, Block, Codec, LEVEL_FAST, LEVEL_SMALL};

/// A block at rest holds at least one line and, beyond that, no more raw bytes than this: so much
/// is decoded to read any line of it. Twice as much would compress 4 % better.
pub const REST_BYTES_MAX: usize = 2 << 20;
/// A file that nobody appends to for so long comes to rest.
pub const QUIET_TIME: Duration = Duration::from_secs(600);
/// So many small blocks are merged while a file still grows.
const SMALL_BLOCKS_MAX: usize = 32;
/// So many times in a row others may be faster with a file before it is left to them.
const MISSED_MAX: usize = 64;
/// Blocks of a file that are looked at in one step.
const PIECES_MAX: i64 = 4096;
/// A block at rest that is smaller than this grows when lines follow.
const REOPENED_BYTES_MAX: usize = REST_BYTES_MAX / 2;
/// So much must be stored elsewhere before a block refers to it.
const SHARED_BYTES_MIN: usize = 1 << 10;
/// A file's own lines behind those of another one get a block of their own from this size on, so
/// that they can be referred to themselves.
const OWN_BYTES_MIN: usize = 64 << 10;

/// What a look for files to merge has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Blocks of this file can be merged.
    File(i64),
    /// Nothing yet; at this time (microseconds since 1970) the next file has been quiet enough.
    Later(i64),
    /// Nothing.
    Nothing,
}

/// A block, by its size and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    first_line: i64,
    last_line: i64,
    raw_bytes: usize,
    at_rest: bool,
}

/// What to make of pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// So many from the one with this index on come to rest.
    Rest(usize, usize),
    /// Those from this index on become one, for the time being.
    Gather(usize),
}

/// A file and its pieces that are not at rest, with the one before when it may grow.
struct Candidate {
    user: i64,
    session: String,
    merged_line: i64,
    pieces: Vec<Piece>,
    is_quiet: bool,
}

/// Blocks of a file and what is to take their place.
struct Replacement {
    session: String,
    old: Vec<StoredBlock>,
    new: Vec<(Block, Option<StoredBlock>)>,
    /// The file is at rest up to here.
    merged_line: i64,
}

impl Store {
    /// Looks for a file with blocks to merge. Files are quiet that were not appended to since
    /// `quiet_since`.
    pub(crate) fn next_to_merge(
        &self,
        quiet_since: SystemTime,
        except: &HashSet<i64>,
    ) -> Result<Found> {
        let quiet = micros(quiet_since);
        self.read("look for blocks to merge", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, updated_at FROM files
                 WHERE merged_line < last_line AND indexed_line > merged_line",
            )?;
            let mut next = None;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (file, updated_at): (i64, i64) = (row.get(0)?, row.get(1)?);
                if except.contains(&file) {
                    continue;
                }
                let is_due = updated_at <= quiet || has_many_blocks(connection, file)?;
                let candidate = if is_due { candidate(connection, file, quiet)? } else { None };
                if candidate.is_some_and(|file| plan(&file.pieces, file.is_quiet).is_some()) {
                    return Ok(Found::File(file));
                }
                if updated_at > quiet {
                    next = Some(next.map_or(updated_at, |next: i64| next.min(updated_at)));
                }
            }
            Ok(next.map_or(Found::Nothing, Found::Later))
        })
    }

    /// Merges some blocks of a file; false when there is nothing to do, or somebody else was
    /// faster.
    pub(crate) fn merge_blocks(&self, file: i64, quiet_since: SystemTime) -> Result<bool> {
        let quiet = micros(quiet_since);
        let replacement = self.read("read blocks to merge", |connection| {
            let Some(candidate) = candidate(connection, file, quiet)? else { return Ok(None) };
            match plan(&candidate.pieces, candidate.is_quiet) {
                None => Ok(None),
                Some(Plan::Gather(from)) => gathered(connection, file, &candidate, from).map(Some),
                Some(Plan::Rest(from, n)) => {
                    at_rest(connection, file, &candidate, from..from + n).map(Some)
                }
            }
        })?;
        let Some(replacement) = replacement else { return Ok(false) };
        self.write_later("merge blocks", |transaction| replace(transaction, file, &replacement))
    }

    /// Indexes every line and brings every file to rest, as if nobody would append to it any more;
    /// how many steps there were to do.
    ///
    /// # Errors
    /// When the database fails, a file is damaged, or others keep it from coming to rest: what is
    /// wrong with the first one, after all others are at rest.
    pub fn merge_all(&self, now: SystemTime) -> Result<u64> {
        // Whatever the clocks of others say, nothing is as new as a day from now.
        let quiet_since = now + Duration::from_secs(24 * 3600);
        let (mut n_steps, mut left, mut failed) = (0, HashSet::new(), None);
        while self.index_step(&mut left)? != Step::Nothing {}
        if let Some(file) = left.iter().min() {
            failed = Some(
                Error::new(format!("file {file} is damaged"))
                    .with_hint("`confab-server check` tells what is wrong"),
            );
        }
        let mut n_missed = 0;
        while let Found::File(file) = self.next_to_merge(quiet_since, &left)? {
            match self.merge_blocks(file, quiet_since) {
                Ok(true) => (n_steps, n_missed) = (n_steps + 1, 0),
                // Somebody else was faster, a server that has merged a little of it, for example.
                Ok(false) if n_missed < MISSED_MAX => n_missed += 1,
                Ok(false) => {
                    n_missed = 0;
                    left.insert(file);
                    let error = format!("file {file} does not come to rest: others merge it");
                    let hint = "run it again when the server is quiet";
                    failed = failed.or(Some(Error::new(error).with_hint(hint)));
                }
                Err(error) => {
                    left.insert(file);
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.map_or(Ok(n_steps), Err)
    }
}

fn has_many_blocks(connection: &Connection, file: i64) -> rusqlite::Result<bool> {
    let n_blocks: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM blocks WHERE file_id = ?1 AND first_line >
                 (SELECT merged_line FROM files WHERE id = ?1) LIMIT ?2)",
        )?
        .query_row((file, SMALL_BLOCKS_MAX as i64), |row| row.get(0))?;
    Ok(n_blocks >= SMALL_BLOCKS_MAX as i64)
}

/// A file with what may be merged of it: only lines that are indexed.
fn candidate(connection: &Connection, file: i64, quiet: i64) -> Result<Option<Candidate>, Failure> {
    let found = connection
        .prepare_cached(
            "SELECT user_id, uuid, merged_line, indexed_line, updated_at FROM files
             JOIN sessions ON sessions.id = session_id WHERE files.id = ?",
        )?
        .query_row([file], |row| {
            let (user, session, merged): (i64, String, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let (indexed, updated_at): (i64, i64) = (row.get(3)?, row.get(4)?);
            Ok((user, session, merged, indexed, updated_at))
        })
        .optional()?;
    let Some((user, session, merged_line, indexed, updated_at)) = found else { return Ok(None) };
    let mut pieces: Vec<Piece> = connection
        .prepare_cached(
            "SELECT first_line, last_line, raw_bytes FROM blocks
             WHERE file_id = ? AND first_line > ? ORDER BY first_line LIMIT ?",
        )?
        .query_map((file, merged_line, PIECES_MAX), |row| {
            let raw_bytes: i64 = row.get(2)?;
            let raw_bytes = usize::try_from(raw_bytes).unwrap_or(usize::MAX);
            Ok(Piece { first_line: row.get(0)?, last_line: row.get(1)?, raw_bytes, at_rest: false })
        })?
        .collect::<rusqlite::Result<_>>()?;
    pieces.retain(|piece| piece.last_line <= indexed);
    if let (Some(before), false) = (reopened(connection, file, merged_line)?, pieces.is_empty()) {
        pieces.insert(0, before);
    }
    Ok(Some(Candidate { user, session, merged_line, pieces, is_quiet: updated_at <= quiet }))
}

/// The block at rest before the others, when it is small and nothing depends on its staying so.
fn reopened(connection: &Connection, file: i64, line: i64) -> Result<Option<Piece>, Failure> {
    if line == 0 {
        return Ok(None);
    }
    let StoredBlock { id, block, .. } = blocks::stored_with(connection, file, line)?;
    let may_grow = block.raw_bytes < REOPENED_BYTES_MAX && block.codec != Codec::Patch;
    if !may_grow || blocks::dependents(connection, id)? > 0 {
        return Ok(None);
    }
    let Block { first_line, last_line, raw_bytes, .. } = block;
    Ok(Some(Piece { first_line, last_line, raw_bytes, at_rest: true }))
}

/// What to do with the pieces of a file, which may be quiet.
fn plan(pieces: &[Piece], is_quiet: bool) -> Option<Plan> {
    let (n_at_rest, n_small) = match pieces {
        [] => return None,
        [first, rest @ ..] if first.at_rest => (1, rest.len()),
        all => (0, all.len()),
    };
    let n_bytes: usize = pieces.iter().map(|piece| piece.raw_bytes).sum();
    if !is_quiet && n_small < SMALL_BLOCKS_MAX {
        return None;
    }
    if is_quiet || n_bytes >= REST_BYTES_MAX {
        let n = leading(pieces);
        // The one at rest alone is no progress.
        return Some(match n > n_at_rest {
            true => Plan::Rest(0, n),
            false => Plan::Rest(n_at_rest, leading(&pieces[n_at_rest..])),
        });
    }
    // Each line is copied only about as often as the sizes double.
    let mut from = pieces.len() - 1;
    let mut n_bytes = pieces[from].raw_bytes;
    while from > n_at_rest && pieces[from - 1].raw_bytes <= n_bytes {
        from -= 1;
        n_bytes += pieces[from].raw_bytes;
    }
    (from + 1 < pieces.len()).then_some(Plan::Gather(from))
}

/// How many pieces make up a block at rest; the last one may be left over in part.
fn leading(pieces: &[Piece]) -> usize {
    let mut n_bytes = 0;
    let taken = pieces.iter().take_while(|piece| {
        let fits = n_bytes == 0 || n_bytes + piece.raw_bytes <= REST_BYTES_MAX + BLOCK_BYTES_MAX;
        let wanted = n_bytes < REST_BYTES_MAX && fits;
        n_bytes += piece.raw_bytes;
        wanted
    });
    taken.count()
}

fn read_pieces(
    connection: &Connection,
    file: i64,
    pieces: &[Piece],
) -> Result<(Vec<StoredBlock>, Vec<u8>), Failure> {
    let (mut old, mut joined) = (Vec::new(), Vec::new());
    for piece in pieces {
        let stored = blocks::stored_with(connection, file, piece.first_line)?;
        joined.extend(blocks::text(connection, &stored)?);
        old.push(stored);
    }
    Ok((old, joined))
}

fn gathered(
    connection: &Connection,
    file: i64,
    candidate: &Candidate,
    from: usize,
) -> Result<Replacement, Failure> {
    let pieces = &candidate.pieces[from..];
    let (old, text) = read_pieces(connection, file, pieces)?;
    let (first, last) = (pieces[0].first_line, pieces[pieces.len() - 1].last_line);
    let block = verified(Block::packed(first, last, &text, LEVEL_FAST)?, &text, &[])?;
    Ok(Replacement {
        session: candidate.session.clone(),
        old,
        new: vec![(block, None)],
        merged_line: candidate.merged_line,
    })
}

fn at_rest(
    connection: &Connection,
    file: i64,
    candidate: &Candidate,
    range: std::ops::Range<usize>,
) -> Result<Replacement, Failure> {
    let pieces = &candidate.pieces[range];
    let (old, text) = read_pieces(connection, file, pieces)?;
    let (first, last) = (pieces[0].first_line, pieces[pieces.len() - 1].last_line);
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &text).map(|newline| newline + 1).collect();
    if i64::try_from(ends.len())? != last - first + 1 {
        return Err(Error::new(format!("lines {first} to {last} are {}", ends.len())).into());
    }
    let wanted = Wanted {
        user: candidate.user,
        file,
        first_line: first,
        last_line: last,
        except_session: 0,
    };
    let copied = base::copied(connection, wanted)?;
    let n_kept = usize::try_from((candidate.merged_line - first + 1).max(0))?;
    let (n_lines, shared) =
        divide(&ends, &|index| copied.get(&(first + index as i64)).copied(), n_kept);
    let end = first + n_lines as i64 - 1;
    let (resting, left) = text.split_at(ends[n_lines - 1]);
    let mut new = vec![packed(connection, wanted, (first, end), resting, shared)?];
    if !left.is_empty() {
        // At most the part of one block of an append, and what the cut left.
        let block = Block::packed(end + 1, last, left, LEVEL_FAST)?;
        new.push((verified(block, left, &[])?, None));
    }
    Ok(Replacement { session: candidate.session.clone(), old, new, merged_line: end })
}

/// How many lines become a block, and the block that they refer to. `ends` is where each line ends;
/// the first `n_kept` lines are not cut from the next.
fn divide(
    ends: &[usize],
    base: &dyn Fn(usize) -> Option<i64>,
    n_kept: usize,
) -> (usize, Option<i64>) {
    let n_fitting = ends.partition_point(|end| *end <= REST_BYTES_MAX).max(1);
    let bytes_of = |line: usize| ends[line] - if line == 0 { 0 } else { ends[line - 1] };
    let mut shared: HashMap<i64, usize> = HashMap::new();
    for line in 0..n_fitting {
        if let Some(base) = base(line) {
            *shared.entry(base).or_default() += bytes_of(line);
        }
    }
    let most = shared.iter().max_by_key(|(base, bytes)| (**bytes, std::cmp::Reverse(**base)));
    let Some((&most, n_bytes)) = most.filter(|(_, bytes)| **bytes >= SHARED_BYTES_MIN) else {
        return (n_fitting, None);
    };
    let last = (0..n_fitting).rev().find(|line| base(*line) == Some(most)).unwrap_or(0);
    let follows_another = (last + 1..n_fitting).any(|line| base(line).is_some());
    let own_bytes = ends[n_fitting - 1] - ends[last];
    // A copy ends where its original does, so that the next one begins there as well.
    let is_cut = 2 * n_bytes >= ends[last]
        && last + 1 > n_kept
        && (follows_another || own_bytes >= OWN_BYTES_MIN);
    (if is_cut { last + 1 } else { n_fitting }, Some(most))
}

/// The smallest form of lines at rest, with its base.
fn packed(
    connection: &Connection,
    wanted: Wanted,
    (first, last): (i64, i64),
    text: &[u8],
    shared: Option<i64>,
) -> Result<(Block, Option<StoredBlock>), Failure> {
    let plain = Block::packed(first, last, text, LEVEL_SMALL)?;
    let base = match shared {
        None if first == 1 => base::relative(connection, wanted)?,
        shared => shared,
    };
    let loaded = match base {
        None => None,
        Some(base) => base::load(connection, base)?,
    };
    if let Some((stored, base)) = loaded {
        let patch = Block::patch(first, last, text, &base)?;
        // A base is worth its reading only when it saves a quarter.
        if patch.data.len() < plain.data.len() / 4 * 3 {
            return Ok((verified(patch, text, &base)?, Some(stored)));
        }
    }
    Ok((verified(plain, text, &[])?, None))
}

/// A block that reads back as what it was made of.
fn verified(block: Block, text: &[u8], base: &[u8]) -> Result<Block> {
    match block.text(base)? == text {
        true => Ok(block),
        false => Err(Error::new(format!("lines {} on do not read back", block.first_line))),
    }
}

/// Puts new blocks in the place of old ones; false when anything is not what it was.
fn replace(
    transaction: &Transaction<'_>,
    file: i64,
    replacement: &Replacement,
) -> Result<bool, Failure> {
    let session: Option<String> = transaction
        .prepare_cached(
            "SELECT uuid FROM files JOIN sessions ON sessions.id = session_id WHERE files.id = ?",
        )?
        .query_row([file], |row| row.get(0))
        .optional()?;
    if session.as_ref() != Some(&replacement.session) {
        return Ok(false);
    }
    for stored in &replacement.old {
        let is_same = blocks::by_id(transaction, stored.id)?.as_ref() == Some(stored);
        if !is_same || blocks::dependents(transaction, stored.id)? > 0 {
            return Ok(false);
        }
    }
    for stored in replacement.new.iter().filter_map(|(_, base)| base.as_ref()) {
        if blocks::by_id(transaction, stored.id)?.as_ref() != Some(stored) {
            return Ok(false);
        }
    }
    for stored in &replacement.old {
        transaction.prepare_cached("DELETE FROM blocks WHERE id = ?")?.execute([stored.id])?;
    }
    for (block, base) in &replacement.new {
        blocks::insert_one(transaction, file, block, base.as_ref().map(|base| base.id))?;
    }
    transaction
        .prepare_cached("UPDATE files SET merged_line = max(merged_line, ?) WHERE id = ?")?
        .execute((replacement.merged_line, file))?;
    Ok(true)
}

/// Encodes a block anew that refers to one of a session that is about to be removed. False when
/// there is none any more.
pub(super) fn release_one(store: &Store, session: i64) -> Result<bool> {
    let read = store.read("read what refers to a session", |connection| {
        let Some((id, file, user)) = dependent_of(connection, session)? else { return Ok(None) };
        let stored = blocks::by_id(connection, id)?.ok_or("it is gone")?;
        let text = blocks::text(connection, &stored)?;
        let Block { first_line, last_line, .. } = stored.block;
        let wanted = Wanted { user, file, first_line, last_line, except_session: session };
        let mut shared = HashMap::new();
        for base in base::copied(connection, wanted)?.into_values() {
            *shared.entry(base).or_insert(0) += 1;
        }
        let most = shared.into_iter().max_by_key(|(base, lines)| (*lines, -*base));
        let most = most.map(|(base, _)| base);
        let new = packed(connection, wanted, (first_line, last_line), &text, most)?;
        Ok(Some((stored, new)))
    })?;
    let Some((stored, (block, base))) = read else { return Ok(false) };
    store.write_later("encode a block anew", |transaction| {
        let is_same = blocks::by_id(transaction, stored.id)?.as_ref() == Some(&stored);
        let is_there = match &base {
            None => true,
            Some(base) => blocks::by_id(transaction, base.id)?.as_ref() == Some(base),
        };
        if is_same && is_there {
            transaction
                .prepare_cached(
                    "UPDATE blocks SET codec = ?, data = ?, base_block = ? WHERE id = ?",
                )?
                .execute((block.codec as i64, &block.data, base.map(|base| base.id), stored.id))?;
        }
        Ok(true)
    })
}

/// A block of another session that refers to one of this session, with its file and user.
pub(super) fn dependent_of(
    connection: &Connection,
    session: i64,
) -> rusqlite::Result<Option<(i64, i64, i64)>> {
    connection
        .prepare_cached(
            "SELECT dependent.id, dependent.file_id, user_id
             FROM files JOIN blocks AS base ON base.file_id = files.id
             JOIN blocks AS dependent ON dependent.base_block = base.id
             JOIN files AS other ON other.id = dependent.file_id
             JOIN sessions ON sessions.id = other.session_id
             WHERE files.session_id = ?1 AND other.session_id <> ?1 LIMIT 1",
        )?
        .query_row([session], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
}
