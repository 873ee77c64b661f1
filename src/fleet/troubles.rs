//! What failed, and when it is tried again.
//!
//! A session that fails waits for itself. When sessions fail one after the other and none goes
//! through, it is the backend: then all wait, and one of them asks how it is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::schedule::{Outcome, Schedule};

use super::scan::Key;

/// Failures in a row behind which it is the backend.
const FAILURES_MIN: u32 = 2;

/// See the module.
#[derive(Debug)]
pub struct Troubles {
    sessions: BTreeMap<Key, Trouble>,
    backend: Schedule,
    in_a_row: u32,
    pause: Option<Instant>,
    seed: u64,
}

#[derive(Debug)]
struct Trouble {
    schedule: Schedule,
    at: Instant,
}

impl Troubles {
    /// None yet.
    pub fn new(seed: u64) -> Troubles {
        let backend = Schedule::new(Duration::ZERO, Duration::ZERO, seed);
        Troubles { sessions: BTreeMap::new(), backend, in_a_row: 0, pause: None, seed }
    }

    /// A session went through: it is well, and so is the backend.
    pub fn success(&mut self, key: Key) {
        self.sessions.remove(&key);
        self.in_a_row = 0;
        self.pause = None;
        let _ = self.backend.next(Outcome::Success);
    }

    /// The backend did not take a session, and is not to be asked again for `at_least`.
    pub fn failure(&mut self, key: Key, at_least: Duration, now: Instant) {
        let outcome = Outcome::Failure { at_least };
        let seed = self.seed ^ u64::from(self.in_a_row);
        let new = || Schedule::new(Duration::ZERO, Duration::ZERO, seed);
        let trouble =
            self.sessions.entry(key).or_insert_with(|| Trouble { schedule: new(), at: now });
        trouble.at = now + trouble.schedule.next(outcome);
        self.in_a_row += 1;
        // Whoever asks for patience means everybody.
        if self.in_a_row >= FAILURES_MIN || !at_least.is_zero() {
            self.pause = Some(now + self.backend.next(outcome));
        }
    }

    /// A part of a session was refused, or the backend did not know it: others may be well.
    pub fn refusal(&mut self, key: Key, wait: Duration, now: Instant) {
        let schedule = Schedule::new(Duration::ZERO, Duration::ZERO, self.seed);
        self.sessions.insert(key, Trouble { schedule, at: now + wait });
    }

    /// A session is nobody's business any more.
    pub fn forget(&mut self, key: Key) {
        self.sessions.remove(&key);
    }

    /// All may be tried at once.
    pub fn relent(&mut self, now: Instant) {
        self.pause = None;
        self.sessions.values_mut().for_each(|trouble| trouble.at = now);
    }

    /// Until when nothing is tried.
    pub fn pause(&self, now: Instant) -> Option<Instant> {
        self.pause.filter(|until| *until > now)
    }

    /// It is the backend: only one session at a time asks how it is.
    pub fn is_down(&self) -> bool {
        self.in_a_row >= FAILURES_MIN
    }

    /// When a session is tried again, if it failed.
    pub fn at(&self, key: Key) -> Option<Instant> {
        self.sessions.get(&key).map(|trouble| trouble.at)
    }

    /// Sessions that failed and when they are tried again.
    pub fn all(&self) -> impl Iterator<Item = (Key, Instant)> {
        self.sessions.iter().map(|(key, trouble)| (*key, trouble.at))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_waits_for_itself_and_two_make_all_wait() {
        let now = Instant::now();
        let one = Key::of("11111111-1111-4111-8111-111111111111").unwrap();
        let other = Key::of("22222222-1111-4111-8111-111111111111").unwrap();
        let mut troubles = Troubles::new(1);
        troubles.failure(one, Duration::from_secs(7), now);
        assert!(troubles.pause(now).is_some() && !troubles.is_down());
        troubles.relent(now);
        troubles.failure(one, Duration::ZERO, now);
        assert!(troubles.is_down() && troubles.pause(now).is_some());
        troubles.success(one);
        troubles.refusal(other, Duration::from_secs(9), now);
        assert_eq!(troubles.at(other), Some(now + Duration::from_secs(9)));
        assert_eq!((troubles.pause(now), troubles.is_down()), (None, false));
        troubles.failure(one, Duration::ZERO, now);
        assert_eq!((troubles.pause(now), troubles.is_down()), (None, false));
        troubles.failure(other, Duration::from_secs(3), now);
        assert!(troubles.is_down() && troubles.pause(now).is_some());
        troubles.relent(now);
        assert_eq!((troubles.pause(now), troubles.len()), (None, 2));
        troubles.success(other);
        assert!(!troubles.is_down() && troubles.at(other).is_none() && troubles.len() == 1);
    }
}
