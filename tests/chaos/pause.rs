//! The one place where time passes for nothing: a slow network is slow, and Claude Code writes at
//! some speed. Nothing is waited for in this way.

use std::thread;
use std::time::Duration;

/// Lets time pass.
pub fn pause(time: Duration) {
    thread::sleep(time);
}
