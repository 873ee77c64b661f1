//! The one way to wait: for a condition, with an end.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test says that it will not happen.
pub const WAIT_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// Waits until the condition holds; panics with `what` when it does not within [`WAIT_MAX`].
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    within(WAIT_MAX, what, || condition().then_some(()));
}

/// Waits until there is a value; panics with `what` when there is none within `limit`.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut value: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(POLL);
    }
}
