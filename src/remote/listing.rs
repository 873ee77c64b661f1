//! What the backend says it has, in one question.

use std::time::Duration;

use ureq::http::Method;

use super::client::decode;
use super::{Client, Failure};
use crate::wire::SessionsAnswer;

/// Sessions that are asked for at once.
pub const SESSIONS_MAX: usize = 1000;

impl Client {
    /// The user's sessions, the most recently synced first: all of them when they are fewer than
    /// [`SESSIONS_MAX`].
    ///
    /// # Errors
    /// As every request; also from backends that show lists to browsers alone.
    pub fn sessions(&self, time_max: Duration) -> Result<SessionsAnswer, Failure> {
        let path = format!("/api/v1/sessions?limit={SESSIONS_MAX}");
        decode(&path, &self.exchange(Method::GET, &path, &[], false, time_max)?)
    }
}
