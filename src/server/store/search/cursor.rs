//! Where a search goes on.

use std::fmt;

/// Where an answer goes on: behind a line, by its score and number, of the window that begins with
/// a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchCursor {
    pub(super) now: i64,
    pub(super) window: Place,
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

/// Before all others.
pub const NEWEST: Place = Place { at: i64::MAX, session: i64::MAX };

impl SearchCursor {
    /// Reads what [`SearchCursor`] writes; `None` for everything else.
    pub fn parse(text: &str) -> Option<SearchCursor> {
        let mut numbers = text.split('.');
        let mut next = || numbers.next();
        let (now, at, session) =
            (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
        let score = f64::from_bits(u64::from_str_radix(next()?, 16).ok()?);
        let row = next()?.parse().ok()?;
        let is_whole = next().is_none() && !score.is_nan();
        is_whole.then_some(SearchCursor { now, window: Place { at, session }, score, row })
    }
}

impl fmt::Display for SearchCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SearchCursor { now, window: Place { at, session }, score, row } = self;
        write!(f, "{now}.{at}.{session}.{:x}.{row}", score.to_bits())
    }
}
