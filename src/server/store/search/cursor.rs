//! Where a search goes on.

use std::fmt;

use crate::wire::LINE_NUMBER_MAX;

/// Above all numbers of lines.
const LINES_MAX: i64 = LINE_NUMBER_MAX as i64 + 1;
/// Microseconds since 1970 until the year 10000.
const TIME_MAX: i64 = 253_402_300_800_000_000;

/// Where an answer goes on: behind a line, by its score and number, of the window that begins at a
/// position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchCursor {
    pub(super) now: i64,
    pub(super) window: Position,
    pub(super) score: f64,
    pub(super) row: i64,
}

/// A session's place in their order: the last time that something was said in it, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Microseconds since 1970.
    pub at: i64,
    /// Number of the session.
    pub session: i64,
}

/// A place in the order of all lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The session.
    pub place: Place,
    /// Number of one of its files; those before it are done.
    pub file: i64,
    /// Lines of that file from here on are done.
    pub below: i64,
}

impl Position {
    /// Before all others.
    pub const NEWEST: Position = Position::of(Place { at: i64::MAX, session: i64::MAX });

    /// The beginning of a session.
    pub const fn of(place: Place) -> Position {
        Position { place, file: 0, below: LINES_MAX }
    }

    /// What is left of a session from this position on.
    pub fn in_session(self, place: Place) -> Position {
        if place == self.place { self } else { Position::of(place) }
    }

    /// What is left of a file of this session.
    pub fn in_file(self, file: i64) -> Position {
        let below = if file == self.file { self.below } else { LINES_MAX };
        Position { file, below, ..self }
    }
}

impl SearchCursor {
    /// Reads what [`SearchCursor`] writes; `None` for everything else.
    pub fn parse(text: &str) -> Option<SearchCursor> {
        let mut numbers = text.split('.');
        let mut next = || numbers.next();
        let now = next()?.parse().ok()?;
        let place = Place { at: next()?.parse().ok()?, session: next()?.parse().ok()? };
        let window = Position { place, file: next()?.parse().ok()?, below: next()?.parse().ok()? };
        let score = f64::from_bits(u64::from_str_radix(next()?, 16).ok()?);
        let row: i64 = next()?.parse().ok()?;
        let is_whole = next().is_none() && !score.is_nan();
        let is_possible = (0..TIME_MAX).contains(&now)
            && window.file >= 0
            && (0..=LINES_MAX).contains(&window.below)
            && row >= 0;
        (is_whole && is_possible).then_some(SearchCursor { now, window, score, row })
    }
}

impl fmt::Display for SearchCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SearchCursor { now, window, score, row } = self;
        let Position { place: Place { at, session }, file, below } = window;
        write!(f, "{now}.{at}.{session}.{file}.{below}.{:x}.{row}", score.to_bits())
    }
}
