//! `confab session delete`: takes a session off the backend, for good.
//!
//! That it was deleted is noted here before it is done, so that the session's daemon, or the next
//! one, does not bring it back; `confab save --deleted` takes the note away. When the backend does
//! not delete, the note goes again.

use std::time::{Duration, SystemTime};

use crate::cli::Exit;
use crate::error::{Context, Error, Result};
use crate::files::{Paths, SessionId};
use crate::remote::Verdict;
use crate::state::{self, Attempt, Kept, Lock};
use crate::sys;
use crate::time;

use super::{Target, Tools, find_files, told};

/// How long a session's daemon may take to let go of it.
const DAEMON_TIME_MAX: Duration = Duration::from_secs(5);
/// Time between two looks at whether it has.
const DAEMON_INTERVAL: Duration = Duration::from_millis(20);

/// Deletes a session once `confirm` has said yes to a question.
///
/// # Errors
/// When the session cannot be found, the backend does not delete it, or nobody can be asked.
pub fn run(
    tools: &mut Tools<'_>,
    id: &str,
    now: SystemTime,
    confirm: &dyn Fn(&str) -> Result<bool>,
) -> Result<Exit> {
    let (target, files) = find_files(tools, id)?;
    let shown = target.external_id.as_ref().map_or(target.session_id.as_str(), SessionId::as_str);
    let n_lines: u64 = files.iter().map(|file| file.last_synced_line).sum();
    let url = tools.config.account()?.url;
    let what = format!("session {shown} ({} files, {n_lines} lines)", files.len());
    if !confirm(&format!("delete {what} from {url}?"))? {
        return Ok(Exit::Failed);
    }
    let external_id = target.external_id.as_ref();
    let before = external_id.map(|id| Kept::load(tools.paths, id)).unwrap_or_default();
    let lock = match external_id {
        Some(id) => bury(tools, id, now)?,
        None => None,
    };
    if let Err(error) = delete(tools, &target, id) {
        if let Some(id) = external_id {
            before.save(tools.paths, id)?;
        }
        if let Some(lock) = lock {
            // An empty lock file that stays is taken again by whoever needs it.
            let _ = lock.remove();
        }
        return Err(error);
    }
    if let (Some(id), Some(lock)) = (external_id, lock) {
        state::finish(tools.paths, id, lock, u64::MAX)
            .context(|| format!("remove what is left of session {id}"))?;
    }
    writeln!(tools.out, "deleted {what} from {url}")
        .context(|| "write to standard output".into())?;
    if let Some(id) = external_id {
        let _ =
            writeln!(tools.talk, "what is here stays; confab save --deleted {id} uploads it again");
    }
    Ok(Exit::Done)
}

fn delete(tools: &Tools<'_>, target: &Target, id: &str) -> Result<()> {
    let Err(failure) = tools.archive.delete(&target.session_id) else { return Ok(()) };
    if failure.verdict != Verdict::Gone {
        return Err(failure.error);
    }
    // Somebody else was faster, or the backend does not know how.
    match tools.archive.files(&target.session_id) {
        Err(failure) if failure.verdict == Verdict::Gone => Ok(()),
        Err(failure) => Err(told(failure, id)),
        Ok(_) => Err(Error::new("the backend does not delete sessions for its clients")
            .with_hint("delete it on its web page; confab notices that")),
    }
}

/// Notes that a session is deleted, and takes it over from its daemon, which ends when it sees the
/// note. `None` when the daemon does not let go in time: it will see the note later.
fn bury(tools: &mut Tools<'_>, id: &SessionId, now: SystemTime) -> Result<Option<Lock>> {
    let kept = Kept { deleted_at: Some(time::rfc3339(now)), ..Kept::default() };
    kept.save(tools.paths, id)?;
    let n_looks = DAEMON_TIME_MAX.as_millis() / DAEMON_INTERVAL.as_millis();
    for look in 0..n_looks {
        if let Some(lock) = take(tools.paths, id)? {
            return Ok(Some(lock));
        }
        if let Some(daemon) = state::holder(tools.paths, id).filter(|_| look == 0) {
            // It may have ended just now.
            let _ = sys::signals::wake(daemon.pid);
        }
        (tools.archive.wait)(DAEMON_INTERVAL);
    }
    let _ = writeln!(tools.talk, "confab: warning: the daemon of session {id} is busy");
    Ok(None)
}

fn take(paths: &Paths, id: &SessionId) -> Result<Option<Lock>> {
    match state::try_lock(paths, id).context(|| format!("lock session {id}"))? {
        Attempt::Taken(lock) => Ok(Some(lock)),
        Attempt::Busy => Ok(None),
    }
}
