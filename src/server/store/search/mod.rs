//! The lines that match a query, the newest and best first.
//!
//! The index knows which lines hold which words, in the order of their numbers, which says nothing
//! of their age. So the sessions are gone through from the newest to the oldest, in windows of some
//! hundred matching lines; whatever matches less often is one window altogether. Within a window
//! the best lines come first. A line's score is BM25's for a line that holds each of the words
//! once, that is, its length counts against it, times the weight of who said it, and divided by 1
//! for now, 2 for two weeks ago, 3 for four weeks and so on.
//!
//! Common words cost no more than rare ones: they fill a window from the newest sessions alone.
//! Otherwise, up to some ten thousand matches, all are looked up, and only files with matches are
//! looked into; beyond that nearly every session has some.
//!
//! Every line that matches is found, but an answer takes no more than a fraction of a second: it
//! may hold few lines or none and yet tell where to go on.

mod cursor;
mod matching;
mod readable;
mod window;

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension};

use self::cursor::Position;
pub use self::cursor::SearchCursor;
use self::matching::matching;
use self::readable::Readable;
use self::window::{Candidate, Scan, WORK_MAX};
use super::words::place_of;
use super::{Failure, Store, blocks, text_time};
use crate::error::Result;
use crate::server::lines::BLOCK_BYTES_MAX;
use crate::server::search::{Query, snippet};
use crate::wire::Hit;

/// Blocks that are decoded for an answer, a larger one as several: what else matches, the next
/// page tells.
const DECODED_BLOCKS_MAX: usize = 48;
/// Decoded blocks that are kept while an answer is made.
const KEPT_BLOCKS_MAX: usize = 4;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who asks: their own sessions are looked into, and what others share with them.
    pub user: i64,
    /// What their lines must have.
    pub query: &'a Query,
    /// So many lines.
    pub limit: usize,
    /// Where to go on.
    pub after: Option<SearchCursor>,
    /// Microseconds since 1970; ages are counted from here on.
    pub now: i64,
}

impl Store {
    /// Lines that match, and where to go on. There may be none so far, and yet more to look at.
    ///
    /// # Errors
    /// When the database fails.
    pub fn search(&self, asked: Asked<'_>) -> Result<(Vec<Hit>, Option<SearchCursor>)> {
        self.read("search", |connection| {
            let now = asked.after.map_or(asked.now, |after| after.now);
            let readable = Readable::load(connection, asked.user, asked.now)?;
            let mut search = Search {
                connection,
                asked,
                now,
                matching: matching(readable.owners(), asked.query),
                readable,
                scan: None,
                work: 0,
                sessions: HashMap::new(),
                decoded: Vec::new(),
                touched: HashSet::new(),
                n_decoded: 0,
            };
            search.run()
        })
    }
}

/// A search while it runs.
struct Search<'a> {
    connection: &'a Connection,
    asked: Asked<'a>,
    now: i64,
    readable: Readable,
    /// In FTS5's language.
    matching: String,
    /// All matching lines, once that is asked for.
    scan: Option<Scan>,
    /// What the windows took.
    work: usize,
    /// What is told of the sessions of files.
    sessions: HashMap<i64, Option<Hit>>,
    /// Blocks that are kept.
    decoded: Vec<Decoded>,
    /// Blocks of which a line was decoded.
    touched: HashSet<(i64, i64)>,
    n_decoded: usize,
}

/// A decoded block.
struct Decoded {
    file: i64,
    first_line: i64,
    text: Vec<u8>,
    /// Where its lines end.
    ends: Vec<usize>,
}

impl Decoded {
    /// A line that it holds.
    fn line(&self, file: i64, line: i64) -> Option<&[u8]> {
        let index = usize::try_from(line - self.first_line).ok().filter(|_| file == self.file)?;
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] + 1 };
        Some(&self.text[start..end])
    }
}

impl Search<'_> {
    fn run(&mut self) -> Result<(Vec<Hit>, Option<SearchCursor>), Failure> {
        let mut hits = Vec::new();
        let window = Position::NEWEST;
        let start = SearchCursor { now: self.now, window, score: f64::INFINITY, row: 0 };
        let mut cursor = self.asked.after.unwrap_or(start);
        loop {
            let mut window = self.window(cursor.window)?;
            let order = |one: &Candidate| (-one.score, -one.row);
            window.candidates.sort_by(|one, other| {
                order(one).partial_cmp(&order(other)).unwrap_or(std::cmp::Ordering::Equal)
            });
            let is_behind = |one: &Candidate| order(one) > (-cursor.score, -cursor.row);
            let from = window.candidates.partition_point(|one| !is_behind(one));
            for candidate in window.candidates.drain(from..) {
                if hits.len() == self.asked.limit || self.n_decoded >= DECODED_BLOCKS_MAX {
                    return Ok((hits, Some(cursor)));
                }
                (cursor.score, cursor.row) = (candidate.score, candidate.row);
                hits.extend(self.hit(candidate)?);
            }
            let Some(next) = window.next else { return Ok((hits, None)) };
            cursor = SearchCursor { window: next, ..start };
            self.work += window.work;
            if hits.len() == self.asked.limit || self.work >= WORK_MAX {
                return Ok((hits, Some(cursor)));
            }
        }
    }

    /// What is told of a line; `None` when it does not have what is asked for after all.
    fn hit(&mut self, candidate: Candidate) -> Result<Option<Hit>, Failure> {
        let (file, line) = place_of(candidate.row);
        let Some(about) = self.about(file)? else { return Ok(None) };
        let text = self.line(file, line)?;
        let Some(snippet) = snippet(&text, &self.asked.query.sequences) else { return Ok(None) };
        let used: Option<String> = self
            .connection
            .prepare_cached(
                "SELECT name FROM tool_uses WHERE file_id = ? AND line = ? ORDER BY position",
            )?
            .query_row((file, line), |row| row.get(0))
            .optional()?;
        Ok(Some(Hit {
            line: line.unsigned_abs(),
            timestamp: candidate.timestamp.map(text_time),
            role: candidate.role,
            tool: used.or(candidate.result_of),
            snippet,
            ..about
        }))
    }

    /// What is told of a file's session.
    fn about(&mut self, file: i64) -> rusqlite::Result<Option<Hit>> {
        if let Some(known) = self.sessions.get(&file) {
            return Ok(known.clone());
        }
        let about = self
            .connection
            .prepare_cached(
                "SELECT uuid, external_id, coalesce(nullif(summary, ''), first_user_message),
                     project, nullif(hostname, ''), files.name, sessions.id, user_id,
                     CASE WHEN user_id <> ?2 THEN email END
                 FROM files JOIN sessions ON sessions.id = session_id
                 JOIN users ON users.id = user_id
                 WHERE files.id = ?1",
            )?
            .query_row((file, self.asked.user), |row| {
                if !self.readable.has(row.get(6)?, row.get(7)?) {
                    return Ok(None);
                }
                Ok(Some(Hit {
                    session_id: row.get(0)?,
                    external_id: row.get(1)?,
                    title: row.get(2)?,
                    project: row.get(3)?,
                    machine: row.get(4)?,
                    file_name: row.get(5)?,
                    shared_by: row.get(8)?,
                    ..Hit::default()
                }))
            })
            .optional()?
            .flatten();
        self.sessions.insert(file, about.clone());
        Ok(about)
    }

    /// A stored line.
    fn line(&mut self, file: i64, line: i64) -> Result<String, Failure> {
        if let Some(found) = self.decoded.iter().find_map(|block| block.line(file, line)) {
            return Ok(String::from_utf8_lossy(found).into_owned());
        }
        let (block, base) = blocks::block_with(self.connection, file, line)?;
        self.n_decoded += 1 + block.raw_bytes / BLOCK_BYTES_MAX;
        // Whole only when it is wanted a second time.
        if self.touched.insert((file, block.first_line)) {
            let line = block.line(line, &base)?;
            return Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
        }
        if self.decoded.len() == KEPT_BLOCKS_MAX {
            self.decoded.remove(0);
        }
        let text = block.text(&base)?;
        let ends = memchr::memchr_iter(b'\n', &text).collect();
        let block = Decoded { file, first_line: block.first_line, text, ends };
        let found = block.line(file, line).unwrap_or_default();
        let found = String::from_utf8_lossy(found).into_owned();
        self.decoded.push(block);
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
