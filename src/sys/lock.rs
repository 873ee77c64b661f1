//! Waiting for a file lock with an end.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

/// How long a holder is given before the lock is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// Takes the exclusive lock on a file, waiting at most `limit`.
///
/// # Errors
/// `TimedOut`, or as `flock`.
pub fn within(file: &File, limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY_INTERVAL),
        }
    }
}
