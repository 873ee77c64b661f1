//! The lines that match a query, the newest and best first.
//!
//! The index knows which lines hold which words, in the order of their numbers, which says nothing
//! of their age. So the sessions are gone through from the newest to the oldest, in windows of
//! [`WINDOW_LINES`] matching lines or more; whatever matches less often is one window altogether.
//! Within a window the best lines come first. A line's score is BM25's for a line that holds each
//! of the words once, that is, its length counts against it, times the weight of who said it, and
//! divided by 1 for now, 2 for two weeks ago, 3 for four weeks and so on.
//!
//! Common words cost no more than rare ones: they fill a window from the newest sessions alone.
//! Otherwise, up to [`SCAN_LINES_MAX`] matches, all are looked up, and only files with matches are
//! looked into; beyond that nearly every session has some.

mod cursor;
mod matching;
mod readable;

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension};

pub use self::cursor::SearchCursor;
use self::cursor::{NEWEST, Place};
use self::matching::matching;
use self::readable::Readable;
use super::words::{place_of, row_of};
use super::{Failure, Store, blocks, list, text_time};
use crate::error::Result;
use crate::server::search::{Query, snippet};
use crate::wire::Hit;

/// Matching lines whose files are all looked up.
const SCAN_LINES_MAX: usize = 50_000;
/// Matching lines from which on a window ends.
const WINDOW_LINES: usize = 400;
/// The newest matching lines of a file that are in a window.
const FILE_LINES_MAX: usize = 400;
/// The newest sessions, which are looked into first: whatever is common fills a window there.
const PROBED_SESSIONS: usize = 24;
/// Matching lines of a prefix that are all looked up.
const PREFIX_LINES_MAX: usize = 1_000_000;
/// Sessions that are looked into for a window.
const WINDOW_SESSIONS_MAX: usize = 5000;
/// Blocks that are decoded for an answer: what else matches, the next page tells.
const DECODED_BLOCKS_MAX: usize = 48;
/// Decoded blocks that are kept while an answer is made.
const KEPT_BLOCKS_MAX: usize = 4;
/// Different words of an average line.
const WORDS_AVERAGE: f64 = 60.0;
/// How much the length of a line counts: `b` of BM25.
const LENGTH_WEIGHT: f64 = 0.6;
/// How much a word that is there counts beyond being there: `k1` of BM25.
const SATURATION: f64 = 1.2;
/// In this time a line loses half of its score.
const HALF_MICROS: f64 = 14.0 * 86_400.0 * 1e6;

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

/// A line that the index has found.
struct Candidate {
    row: i64,
    score: f64,
    timestamp: Option<i64>,
    role: Option<String>,
    result_of: Option<String>,
}

/// Sessions and their matching lines.
struct Window {
    candidates: Vec<Candidate>,
    /// Where the next one begins.
    next: Option<Place>,
}

impl Store {
    /// Lines that match, and where to go on.
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
    /// What is told of the sessions of files.
    sessions: HashMap<i64, Option<Hit>>,
    /// Blocks by file and first line: last line and text.
    decoded: Vec<((i64, i64), i64, Vec<u8>)>,
    /// Blocks of which a line was decoded.
    touched: HashSet<(i64, i64)>,
    n_decoded: usize,
}

impl Search<'_> {
    fn run(&mut self) -> Result<(Vec<Hit>, Option<SearchCursor>), Failure> {
        let mut hits = Vec::new();
        let start = SearchCursor { now: self.now, window: NEWEST, score: f64::INFINITY, row: 0 };
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
            if hits.len() == self.asked.limit {
                return Ok((hits, Some(cursor)));
            }
        }
    }

    /// The matching lines of the sessions from a place on.
    fn window(&self, from: Place) -> Result<Window, Failure> {
        let mut window = Window { candidates: Vec::new(), next: None };
        let mut from = from;
        // To ask for a prefix costs the same for few files and for all.
        if !self.asked.query.has_prefix() {
            for (n_probed, place) in self.newest(from, PROBED_SESSIONS + 1)?.into_iter().enumerate()
            {
                if window.candidates.len() >= WINDOW_LINES || n_probed == PROBED_SESSIONS {
                    window.next = Some(place);
                    break;
                }
                self.probe(place, &mut window)?;
            }
            match window.next {
                Some(next) if window.candidates.len() < WINDOW_LINES => from = next,
                _ => return Ok(window),
            }
        }
        window.next = None;
        let limit = if self.asked.query.has_prefix() { PREFIX_LINES_MAX } else { SCAN_LINES_MAX };
        let mut rows = self.matching_rows((i64::MIN, i64::MAX), limit + 1)?;
        if rows.len() > limit {
            for place in self.newest(from, WINDOW_SESSIONS_MAX + 1)? {
                if window.candidates.len() >= WINDOW_LINES {
                    window.next = Some(place);
                    break;
                }
                self.probe(place, &mut window)?;
            }
            return Ok(window);
        }
        rows.sort_unstable();
        for (place, files) in self.files_of(&rows)? {
            if place > from || !self.passes(place)? {
                continue;
            }
            if window.candidates.len() >= WINDOW_LINES {
                window.next = Some(place);
                break;
            }
            for file in files {
                let first = rows.partition_point(|row| *row < row_of(file, 0));
                let last = rows.partition_point(|row| *row < row_of(file + 1, 0));
                let first = first.max(last.saturating_sub(FILE_LINES_MAX));
                for row in &rows[first..last] {
                    window.candidates.extend(self.candidate(*row, place.at)?);
                }
            }
        }
        Ok(window)
    }

    /// Looks for matching lines in the files of a session.
    fn probe(&self, place: Place, window: &mut Window) -> Result<(), Failure> {
        if !self.passes(place)? {
            return Ok(());
        }
        for file in self.files(place.session)? {
            let bounds = (row_of(file, 0), row_of(file + 1, 0) - 1);
            for row in self.matching_rows(bounds, FILE_LINES_MAX)? {
                window.candidates.extend(self.candidate(row, place.at)?);
            }
        }
        Ok(())
    }

    /// Whether lines of a session may be wanted.
    fn passes(&self, place: Place) -> Result<bool, Failure> {
        let filter = &self.asked.query.sessions;
        if place.at < filter.times.from {
            return Ok(false);
        }
        if !filter.wanted.is_empty() {
            let facts = list::facts(self.connection, place.session, filter.wants_models())?;
            return Ok(filter.matches(&facts));
        }
        if filter.times.until == i64::MAX {
            return Ok(true);
        }
        let begun_at: Option<i64> = self
            .connection
            .prepare_cached("SELECT min(begun_at) FROM files WHERE session_id = ?")?
            .query_row([place.session], |row| row.get(0))?;
        Ok(begun_at.is_none_or(|begun_at| begun_at < filter.times.until))
    }

    /// Numbers of matching lines, the highest first.
    fn matching_rows(&self, bounds: (i64, i64), limit: usize) -> rusqlite::Result<Vec<i64>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?
             ORDER BY rowid DESC LIMIT ?",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows =
            statement.query_map((&self.matching, bounds.0, bounds.1, limit), |row| row.get(0))?;
        rows.collect()
    }

    /// The sessions of these lines with the files that have some, the newest first.
    fn files_of(&self, rows: &[i64]) -> Result<Vec<(Place, Vec<i64>)>, Failure> {
        let mut statement = self.connection.prepare_cached(
            "SELECT session_id, coalesce(last_message_at, last_sync_at), user_id FROM files
             JOIN sessions ON sessions.id = session_id WHERE files.id = ?",
        )?;
        let mut sessions: HashMap<Place, Vec<i64>> = HashMap::new();
        let mut at = 0;
        while let Some(row) = rows.get(at) {
            let (file, _) = place_of(*row);
            let found = statement.query_row([file], |row| {
                let place = Place { session: row.get(0)?, at: row.get(1)? };
                Ok((place, row.get(2)?))
            });
            if let Some((place, owner)) = found.optional()?
                && self.readable.has(place.session, owner)
            {
                sessions.entry(place).or_default().push(file);
            }
            at += rows[at..].partition_point(|row| *row < row_of(file + 1, 0));
        }
        let mut sessions: Vec<_> = sessions.into_iter().collect();
        sessions.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        Ok(sessions)
    }

    /// So many sessions from a place on, the newest first.
    fn newest(&self, from: Place, limit: usize) -> rusqlite::Result<Vec<Place>> {
        self.readable.newest(self.connection, from, limit)
    }

    fn files(&self, session: i64) -> rusqlite::Result<Vec<i64>> {
        let mut statement =
            self.connection.prepare_cached("SELECT id FROM files WHERE session_id = ?")?;
        statement.query_map([session], |row| row.get(0))?.collect()
    }

    /// A matching line with its score; `None` when it is outside of the times.
    fn candidate(&self, row: i64, session_at: i64) -> Result<Option<Candidate>, Failure> {
        let (file, line) = place_of(row);
        let mut statement = self.connection.prepare_cached(
            "SELECT type, timestamp, is_error, words, tool FROM messages
             WHERE file_id = ? AND line = ?",
        )?;
        let found = statement.query_row((file, line), |row| {
            let is_result = row.get::<_, Option<bool>>(2)?.is_some();
            let kind: Option<String> = row.get(0)?;
            let words: f64 = row.get(3)?;
            Ok((kind, row.get::<_, Option<i64>>(1)?, is_result, words, row.get(4)?))
        });
        let Some((kind, timestamp, is_result, words, result_of)) = found.optional()? else {
            return Ok(None);
        };
        let at = timestamp.unwrap_or(session_at);
        if !self.asked.query.times.contains(at) {
            return Ok(None);
        }
        let role = if is_result { Some("tool".to_owned()) } else { kind };
        let weight = match role.as_deref() {
            Some("user" | "summary" | "custom-title") => 1.5,
            Some("assistant") => 1.2,
            _ => 1.0,
        };
        let length = 1.0 - LENGTH_WEIGHT + LENGTH_WEIGHT * words / WORDS_AVERAGE;
        let relevance = weight * (SATURATION + 1.0) / (1.0 + SATURATION * length);
        let age = (self.now - at).max(0) as f64 / HALF_MICROS;
        Ok(Some(Candidate { row, score: relevance / (1.0 + age), timestamp, role, result_of }))
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
        let holds = |((of, first), last, _): &((i64, i64), i64, Vec<u8>)| {
            *of == file && *first <= line && line <= *last
        };
        let index = match self.decoded.iter().position(holds) {
            Some(index) => index,
            None => {
                let (block, base) = blocks::block_with(self.connection, file, line)?;
                self.n_decoded += 1;
                // Whole only when it is wanted a second time.
                if self.touched.insert((file, block.first_line)) {
                    let line = block.line(line, &base)?;
                    return Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
                }
                if self.decoded.len() == KEPT_BLOCKS_MAX {
                    self.decoded.remove(0);
                }
                let text = block.text(&base)?;
                self.decoded.push(((file, block.first_line), block.last_line, text));
                self.decoded.len() - 1
            }
        };
        let ((_, first), _, text) = &self.decoded[index];
        let skipped = usize::try_from(line - first)?;
        let found = text.split(|byte| *byte == b'\n').nth(skipped).unwrap_or_default();
        Ok(String::from_utf8_lossy(found).into_owned())
    }
}
