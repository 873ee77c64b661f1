//! What has just arrived or gone, for those who watch: a short memory and a bell.
//!
//! Whoever looks remembers how far they have heard. Who was away for longer than the memory lasts
//! is told so, and looks at the database instead.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::lock;

/// Arrivals that are remembered.
const REMEMBERED_MAX: usize = 4096;

/// The memory.
#[derive(Debug, Default)]
pub struct Arrivals {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many there ever were.
    count: u64,
    newest: VecDeque<Arrival>,
    over: bool,
}

/// One change of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Number of the session's owner, or of the reader whom alone it concerns.
    pub user: i64,
    /// Id of the session on the wire.
    pub session: String,
    /// What happened to it.
    pub kind: Kind,
}

/// What happened to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Lines of this file arrived.
    Lines(String),
    /// Something else of it is new.
    Other,
    /// It was deleted, or whoever is named as its user may not read it any more.
    Gone,
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// These are new, perhaps none, and so many there were ever.
    News(Vec<Arrival>, u64),
    /// More than is remembered; so many there were ever.
    Missed(u64),
    /// Nothing more will come.
    Over,
}

impl Arrivals {
    /// How many there were ever: the place to listen on from.
    pub fn count(&self) -> u64 {
        lock(&self.state).count
    }

    /// True when everything behind the first `seen` is still remembered.
    pub fn remembers(&self, seen: u64) -> bool {
        let state = lock(&self.state);
        seen <= state.count && state.news(seen).is_some()
    }

    /// Something has changed.
    pub fn add(&self, arrival: Arrival) {
        let mut state = lock(&self.state);
        state.count += 1;
        if state.newest.len() == REMEMBERED_MAX {
            state.newest.pop_front();
        }
        state.newest.push_back(arrival);
        drop(state);
        self.changed.notify_all();
    }

    /// Ends all waiting.
    pub fn stop(&self) {
        lock(&self.state).over = true;
        self.changed.notify_all();
    }

    /// Waits, at most `time_max`, for one behind the first `seen` that is wanted; then all of them
    /// that are.
    pub fn wait(&self, seen: u64, time_max: Duration, wants: impl Fn(&Arrival) -> bool) -> Heard {
        // Where nothing was wanted, it is not looked for again.
        let mut looked_at = seen;
        let is_quiet = |state: &mut State| {
            let is_new = state.news(looked_at).is_none_or(|mut news| news.any(&wants));
            looked_at = state.count;
            !state.over && !is_new
        };
        let waited = self.changed.wait_timeout_while(lock(&self.state), time_max, is_quiet);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.over {
            return Heard::Over;
        }
        match state.news(seen) {
            None => Heard::Missed(state.count),
            Some(news) => {
                let news = news.filter(|arrival| wants(arrival)).cloned().collect();
                Heard::News(news, state.count)
            }
        }
    }
}

impl State {
    /// Those behind the first `seen`; `None` when some of them are forgotten.
    fn news(&self, seen: u64) -> Option<impl Iterator<Item = &Arrival>> {
        let n_new = usize::try_from(self.count.saturating_sub(seen)).ok()?;
        Some(self.newest.range(self.newest.len().checked_sub(n_new)?..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(user: i64) -> Arrival {
        Arrival { user, session: "s".into(), kind: Kind::Other }
    }

    #[test]
    fn who_listens_hears_what_they_want_and_who_was_away_too_long_that_they_missed_it() {
        let arrivals = Arrivals::default();
        let wait = |seen| arrivals.wait(seen, Duration::ZERO, |arrival| arrival.user == 1);
        assert_eq!(wait(0), Heard::News(Vec::new(), 0));
        arrivals.add(arrival(1));
        arrivals.add(arrival(2));
        assert_eq!(wait(0), Heard::News(vec![arrival(1)], 2));
        assert_eq!(wait(2), Heard::News(Vec::new(), 2));
        for _ in 0..REMEMBERED_MAX {
            arrivals.add(arrival(2));
        }
        let count = 2 + REMEMBERED_MAX as u64;
        assert_eq!(wait(1), Heard::Missed(count));
        let remembers = |seen| arrivals.remembers(seen);
        assert_eq!([0, 1, 2, count, count + 1].map(remembers), [false, false, true, true, false]);
        assert_eq!(wait(2), Heard::News(Vec::new(), count));
        arrivals.stop();
        assert_eq!(wait(count), Heard::Over);
    }

    #[test]
    fn who_waits_is_woken_by_what_they_want() {
        let arrivals = Arrivals::default();
        std::thread::scope(|scope| {
            let waiting = scope
                .spawn(|| arrivals.wait(0, Duration::from_secs(60), |arrival| arrival.user == 1));
            arrivals.add(arrival(2));
            arrivals.add(arrival(1));
            let heard = waiting.join().unwrap();
            assert_eq!(heard, Heard::News(vec![arrival(1)], 2));
        });
    }
}
