//! How the threads behind the scenes hear that there is something to do, or that it is over.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::lock;

/// A bell. It counts its rings, so that none is missed by who is at work.
#[derive(Debug, Default)]
pub struct Wake {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    rings: u64,
    over: bool,
}

impl Wake {
    /// Lines were appended, or a session was removed.
    pub fn wake(&self) {
        lock(&self.state).rings += 1;
        self.changed.notify_all();
    }

    /// Nobody is to begin anything any more.
    pub fn stop(&self) {
        lock(&self.state).over = true;
        self.changed.notify_all();
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        lock(&self.state).over
    }

    /// How often it has rung.
    pub fn rings(&self) -> u64 {
        lock(&self.state).rings
    }

    /// Waits until it has rung more than `seen` times or it is over, at most `time_max`.
    pub fn wait(&self, seen: u64, time_max: Duration) {
        self.wait_while(time_max, |state| state.rings == seen && !state.over);
    }

    /// Waits `time_max`, or until it is over.
    pub fn pause(&self, time_max: Duration) {
        self.wait_while(time_max, |state| !state.over);
    }

    fn wait_while(&self, time_max: Duration, is_quiet: impl Fn(&State) -> bool) {
        let state = lock(&self.state);
        let waited = self.changed.wait_timeout_while(state, time_max, |state| is_quiet(state));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
