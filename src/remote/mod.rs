//! The backend as the engine sees it, and why it refused.

mod client;
#[cfg(feature = "tls")]
mod cryptography;
#[cfg(feature = "tls")]
mod roots;
mod route;
mod sessions;
mod sign_in;

use std::fmt;
use std::time::Duration;

pub use client::Client;
pub use route::Network;
pub use sessions::{PAUSE_TIME_MAX, Stream, escaped};
pub use sign_in::{Check, Poll, Standing, Trouble};

use crate::error::Error;
use crate::wire::{Capabilities, ChunkAnswer, EventRequest, InitAnswer, InitRequest, LinkRequest};

/// What the engine asks of a backend. Each call ends within `time_max`, retries nothing, follows no
/// redirect and reads a bounded answer. `Send`, because a request is on its way while the next one
/// is prepared.
pub trait Backend: Send {
    /// Opens or resumes a session.
    fn init(&mut self, request: &InitRequest, time_max: Duration) -> Result<InitAnswer, Failure>;
    /// Appends a chunk, given as the zstd-compressed body of the request, and tells a backend that
    /// takes one a [`crate::wire::SessionReport`] as JSON.
    fn append(
        &mut self,
        body: &[u8],
        report: Option<&str>,
        time_max: Duration,
    ) -> Result<ChunkAnswer, Failure>;
    /// Tells how all sessions of this machine stand, to a backend that takes it.
    fn tell(
        &mut self,
        report: &crate::wire::MachineReport,
        time_max: Duration,
    ) -> Result<(), Failure> {
        let _ = (report, time_max);
        Ok(())
    }
    /// Reports an event.
    fn event(&mut self, request: &EventRequest, time_max: Duration) -> Result<(), Failure>;
    /// Asks what the backend can store; none of it when it does not know the question.
    fn capabilities(&mut self, time_max: Duration) -> Result<Capabilities, Failure>;
    /// Sets the summary of a session by Claude's id.
    fn summarise(
        &mut self,
        external_id: &str,
        summary: &str,
        time_max: Duration,
    ) -> Result<(), Failure>;
    /// Links a session, by the backend's id, with a commit or a pull request. A link that is there
    /// already is a success.
    fn link(
        &mut self,
        session_id: &str,
        request: &LinkRequest,
        time_max: Duration,
    ) -> Result<(), Failure>;
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Later, perhaps. With what the backend asked for in `Retry-After`.
    Retry(Option<Duration>),
    /// The key is not accepted: read the configuration again.
    SignIn,
    /// The session is unknown to the backend.
    Gone,
    /// The backend will not take this request, however often it is sent.
    Reject,
}

/// A request that did not succeed.
#[derive(Debug)]
pub struct Failure {
    /// What follows from it.
    pub verdict: Verdict,
    /// The time was over before the answer came: smaller requests may get through.
    pub timed_out: bool,
    /// The backend has been asked too often, and says nothing else by it.
    pub is_busy: bool,
    /// For people. Holds nothing of what was sent.
    pub error: Error,
}

impl Failure {
    /// A failure that may pass.
    pub fn retry(error: Error) -> Failure {
        Failure { verdict: Verdict::Retry(None), timed_out: false, is_busy: false, error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}
