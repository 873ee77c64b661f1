//! Commits and pull requests of a session that hooks have noted: told to the backend at least once,
//! and kept until it has said something about them.

use log::{info, warn};

use crate::config::Account;
use crate::remote::{Failure, Verdict};
use crate::state::Record;
use crate::sync::{Engine, Tools};

/// The page of a session that the backend knows, for hooks to ask for; `None` where links are
/// switched off.
pub fn session_url(record: &Record, account: Option<&Account>, wanted: bool) -> Option<String> {
    let id = record.confab_session_id.as_ref().filter(|_| wanted)?;
    Some(format!("{}/sessions/{id}", account?.url))
}

/// Sends what waits and takes it out of `waiting` once it is acknowledged. What the backend will
/// not have is dropped, and so is everything where links are switched off.
///
/// # Errors
/// A failure that may pass; the rest still waits.
pub fn send(
    waiting: &mut Vec<String>,
    wanted: bool,
    engine: &mut Engine,
    tools: &mut Tools<'_>,
) -> Result<(), Failure> {
    if !wanted {
        waiting.clear();
    }
    while let Some(url) = waiting.first() {
        match engine.send_link(url, tools) {
            Ok(()) => info!("linked with {url}"),
            // "Not found" may come from a backend without links: the lines will tell whether the
            // session is gone.
            Err(failure) if matches!(failure.verdict, Verdict::Reject | Verdict::Gone) => {
                warn!("{url} is not linked: {failure}");
            }
            Err(failure) => return Err(failure),
        }
        waiting.remove(0);
    }
    Ok(())
}
