//! Windows: the matching lines among which the best come first.
//!
//! The sessions are gone through from the newest to the oldest, the files of each one after the
//! other, and the matching lines of a file from the last to the first. A window begins at a
//! [`Position`] in that order and ends behind the session with its [`WINDOW_LINES`]th line, or
//! within a session: behind [`FILE_LINES_MAX`] lines of a file, or when it took [`WORK_MAX`] to
//! find what it has, which may be nothing. The next one begins there, so nothing is left out. What
//! a window holds depends on where it begins and on nothing else: its lines come page by page.

use std::collections::HashMap;

use rusqlite::OptionalExtension;

use super::super::words::{place_of, row_of};
use super::super::{Failure, list};
use super::Search;
use super::cursor::{Place, Position};

/// Matching lines whose files are all looked up.
const SCAN_LINES_MAX: usize = 50_000;
/// Matching lines of a prefix that are all looked up.
const PREFIX_LINES_MAX: usize = 1_000_000;
/// Matching lines from which on a window ends.
const WINDOW_LINES: usize = 400;
/// Matching lines of a file in a window.
const FILE_LINES_MAX: usize = 400;
/// The newest sessions, which are looked into first: whatever is common fills a window there.
const PROBED_SESSIONS: usize = 24;
/// What a window may take, in matching lines whose times are looked up: a fraction of a second.
pub const WORK_MAX: usize = 50_000;
/// What it takes to look whether a session is wanted …
const SESSION_WORK: usize = 10;
/// … to ask the index for lines of a file …
const FILE_WORK: usize = 10;
/// … and to ask it for a prefix, which costs the same for few files and for all.
const PREFIX_WORK: usize = 2000;
/// Different words of an average line.
const WORDS_AVERAGE: f64 = 60.0;
/// How much the length of a line counts: `b` of BM25.
const LENGTH_WEIGHT: f64 = 0.6;
/// How much a word that is there counts beyond being there: `k1` of BM25.
const SATURATION: f64 = 1.2;
/// In this time a line loses half of its score.
const HALF_MICROS: f64 = 14.0 * 86_400.0 * 1e6;

/// A line that the index has found.
pub struct Candidate {
    pub row: i64,
    pub score: f64,
    pub timestamp: Option<i64>,
    pub role: Option<String>,
    pub result_of: Option<String>,
}

/// Matching lines, in no order.
#[derive(Default)]
pub struct Window {
    pub candidates: Vec<Candidate>,
    /// Where the next one begins.
    pub next: Option<Position>,
    /// What it took.
    pub work: usize,
}

/// All that the index has, when it is not too much.
pub struct Scan {
    /// Numbers of the lines, in order; none when there are too many.
    rows: Vec<i64>,
    /// Their sessions with the files that have some, the newest first.
    sessions: Vec<(Place, Vec<i64>)>,
    is_too_much: bool,
}

impl Window {
    fn is_full(&self) -> bool {
        self.candidates.len() >= WINDOW_LINES || self.work >= WORK_MAX
    }
}

impl Search<'_> {
    /// The window that begins at a position.
    pub fn window(&mut self, from: Position) -> Result<Window, Failure> {
        let mut window = Window::default();
        let mut from = from;
        if !self.asked.query.has_prefix() {
            let mut places = self.newest(from.place, PROBED_SESSIONS + 1)?;
            let rest = places.get(PROBED_SESSIONS).copied();
            places.truncate(PROBED_SESSIONS);
            self.look_into(from, places, &mut window)?;
            match rest {
                Some(rest) if window.next.is_none() => from = Position::of(rest),
                _ => return Ok(window),
            }
        }
        if self.scan.is_none() {
            self.scan = Some(self.scanned()?);
        }
        let search = &*self;
        match &search.scan {
            Some(scan) if !scan.is_too_much => {
                let behind = scan.sessions.partition_point(|(place, _)| *place > from.place);
                for (place, files) in &scan.sessions[behind..] {
                    let rows = &scan.rows;
                    if !search.session(from.in_session(*place), Some((files, rows)), &mut window)? {
                        break;
                    }
                }
            }
            // So many that the work ends before they do.
            _ => {
                let places = search.newest(from.place, WORK_MAX / SESSION_WORK + 1)?;
                search.look_into(from, places, &mut window)?;
            }
        }
        Ok(window)
    }

    /// Looks into sessions, one by one.
    fn look_into(
        &self,
        from: Position,
        places: Vec<Place>,
        window: &mut Window,
    ) -> Result<(), Failure> {
        for place in places {
            if !self.session(from.in_session(place), None, window)? {
                break;
            }
        }
        Ok(())
    }

    /// Looks into a session: into these files and their lines, or into whatever the index has of
    /// it. False when the window ends before its end, or no older session is wanted.
    fn session(
        &self,
        from: Position,
        known: Option<(&Vec<i64>, &Vec<i64>)>,
        window: &mut Window,
    ) -> Result<bool, Failure> {
        if window.is_full() {
            window.next = Some(from);
            return Ok(false);
        }
        if from.place.at < self.asked.query.sessions.times.from {
            return Ok(false);
        }
        window.work += SESSION_WORK;
        if !self.passes(from.place)? {
            return Ok(true);
        }
        let listed;
        let files = match known {
            Some((files, _)) => files,
            None => {
                listed = self.files(from.place.session)?;
                &listed
            }
        };
        for file in files.iter().filter(|file| **file >= from.file) {
            let at = from.in_file(*file);
            if window.work >= WORK_MAX {
                window.next = Some(at);
                return Ok(false);
            }
            let (first, last) = (row_of(*file, 0), row_of(*file, at.below) - 1);
            match known {
                Some((_, rows)) => {
                    let from = rows.partition_point(|row| *row < first);
                    let behind = rows.partition_point(|row| *row <= last);
                    let mut rows = rows[from..behind].iter().rev().map(|row| Ok(*row));
                    self.lines(at, &mut rows, window)?;
                }
                None => {
                    let is_prefix = self.asked.query.has_prefix();
                    window.work += if is_prefix { PREFIX_WORK } else { FILE_WORK };
                    let mut statement = self.connection.prepare_cached(MATCHING_ROWS)?;
                    let mut rows = statement
                        .query_map((&self.matching, first, last), |row| row.get::<_, i64>(0))?;
                    self.lines(at, &mut rows, window)?;
                }
            }
            if window.next.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes lines of a file, the last one first, that are between the times.
    fn lines(
        &self,
        at: Position,
        rows: &mut dyn Iterator<Item = rusqlite::Result<i64>>,
        window: &mut Window,
    ) -> Result<(), Failure> {
        let mut n_taken = 0;
        for row in rows {
            let row = row?;
            if n_taken == FILE_LINES_MAX || window.work >= WORK_MAX {
                let (_, line) = place_of(row);
                window.next = Some(Position { below: line + 1, ..at });
                break;
            }
            window.work += 1;
            if let Some(candidate) = self.candidate(row, at.place.at)? {
                window.candidates.push(candidate);
                n_taken += 1;
            }
        }
        Ok(())
    }

    /// Whether lines of a session may be wanted, as far as it is not too old.
    fn passes(&self, place: Place) -> Result<bool, Failure> {
        let filter = &self.asked.query.sessions;
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

    /// All matching lines, if they are few enough.
    fn scanned(&self) -> Result<Scan, Failure> {
        let rows_max = match self.asked.query.has_prefix() {
            true => PREFIX_LINES_MAX,
            false => SCAN_LINES_MAX,
        };
        let mut rows: Vec<i64> = self
            .connection
            .prepare_cached(MATCHING_ROWS)?
            .query_map((&self.matching, i64::MIN, i64::MAX), |row| row.get(0))?
            .take(rows_max + 1)
            .collect::<rusqlite::Result<_>>()?;
        if rows.len() > rows_max {
            return Ok(Scan { rows: Vec::new(), sessions: Vec::new(), is_too_much: true });
        }
        rows.reverse();
        let sessions = self.sessions_of(&rows)?;
        Ok(Scan { rows, sessions, is_too_much: false })
    }

    /// The sessions of these lines with the files that have some, the newest first.
    fn sessions_of(&self, rows: &[i64]) -> Result<Vec<(Place, Vec<i64>)>, Failure> {
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
        let mut statement = self
            .connection
            .prepare_cached("SELECT id FROM files WHERE session_id = ? ORDER BY id")?;
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
        let age = self.now.saturating_sub(at).max(0) as f64 / HALF_MICROS;
        Ok(Some(Candidate { row, score: relevance / (1.0 + age), timestamp, role, result_of }))
    }
}

/// Numbers of matching lines between two, the highest first, which is how the index has them: they
/// can be taken one by one.
const MATCHING_ROWS: &str = "SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?
    ORDER BY rowid DESC";
