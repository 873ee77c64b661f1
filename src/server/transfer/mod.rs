//! Everything that is stored, to another backend and back, over the same protocol: for when one
//! machine is not enough any more, or one is enough again.
//!
//! Both ways can be stopped and begun again at any point: the side that receives is asked how far
//! each file is, and refuses what does not go on there. What one session lacks does not keep the
//! others from being moved; it is told, and counted.
//!
//! Deliberately absent: keys and users, which are the other backend's own.

mod pull;
mod push;

use std::time::Duration;

pub use self::pull::{Pull, pull};
pub use self::push::push;
use crate::error::{Error, Result};
use crate::remote::{Client, Failure, Verdict};

/// Time for one request with its answer; chunks are a few MB.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(120);
/// Attempts at a request that may succeed later.
const ATTEMPTS_MAX: u32 = 8;
/// Before the second attempt; doubled each time.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// However long a backend wants us to wait.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(300);

/// The other backend.
pub struct Peer<'a> {
    /// Speaks to it.
    pub client: Client,
    /// Waits.
    pub wait: &'a dyn Fn(Duration),
}

/// What was moved.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Sessions that are whole on the other side.
    pub sessions: u64,
    /// Lines that were moved now; the others were there.
    pub lines: u64,
    /// Sessions that are not whole there.
    pub failed: u64,
}

/// Why a session was not moved.
enum Trouble {
    /// It concerns this session.
    Session(Error),
    /// It may pass: not before so much time, if the backend has said so.
    Passing(Option<Duration>, Error),
    /// No other will fare better.
    All(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Session(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        match failure.verdict {
            Verdict::Retry(at_least) => Trouble::Passing(at_least, failure.error),
            Verdict::SignIn => Trouble::All(
                Error::new("the backend does not take the key")
                    .caused_by(failure.error)
                    .with_hint("make a key there and name it with --key"),
            ),
            Verdict::Gone | Verdict::Reject => Trouble::Session(failure.error),
        }
    }
}

impl Peer<'_> {
    /// Does something until it succeeds or will not, from its beginning each time: after a failure
    /// nobody knows what the backend has. It counts what it has moved.
    fn patiently<T>(
        &mut self,
        n_moved: &mut u64,
        mut act: impl FnMut(&mut Client, &mut u64) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut n_attempts = 0;
        loop {
            let n_before = *n_moved;
            let (at_least, error) = match act(&mut self.client, n_moved) {
                Err(Trouble::Passing(at_least, error)) => (at_least, error),
                result => return result,
            };
            n_attempts = if *n_moved > n_before { 1 } else { n_attempts + 1 };
            if n_attempts == ATTEMPTS_MAX {
                return Err(Trouble::All(error));
            }
            let delay = RETRY_DELAY * 2_u32.pow(n_attempts - 1);
            (self.wait)(at_least.unwrap_or(delay).clamp(delay, RETRY_DELAY_MAX));
        }
    }
}

impl Moved {
    /// Takes in what became of a session; what went wrong is told.
    ///
    /// # Errors
    /// When no other session will fare better.
    fn count(
        &mut self,
        id: &str,
        lines: u64,
        result: Result<(), Trouble>,
        tell: &mut dyn FnMut(&str),
    ) -> Result<()> {
        self.lines += lines;
        if lines > 0 {
            tell(&format!("{id}: {lines} lines"));
        }
        match result {
            Ok(()) => self.sessions += 1,
            Err(Trouble::Session(error)) => {
                self.failed += 1;
                tell(&format!("{id}: error: {error}"));
            }
            Err(Trouble::Passing(_, error) | Trouble::All(error)) => return Err(error),
        }
        Ok(())
    }
}
