//! `confab session delete`: the backend forgets a session. What is on this machine stays, and is
//! not uploaded again unless the user asks for it.
//!
//! That it is deleted is noted before it is done, and the session's daemon is waited for, which
//! ends when it sees the note: one in the middle of a pass would bring the session back. When the
//! backend does not delete, the note goes again.

use std::io::Write;
use std::time::Duration;

use super::{Found, REQUEST_TIME_MAX, Stored, told};
use crate::error::{Context, Error, Result};
use crate::files::SessionId;
use crate::remote::Verdict;
use crate::state::{self, Attempt, Kept, Lock};
use crate::sys;

/// How long a session's daemon may take to let go of it.
const DAEMON_TIME_MAX: Duration = Duration::from_secs(5);
/// Time between two looks at whether it has.
const DAEMON_INTERVAL: Duration = Duration::from_millis(20);

/// Deletes a session. `now` is RFC 3339.
///
/// # Errors
/// When the backend does not do it; nothing is noted then. When the note cannot be written.
pub fn delete(
    stored: &Stored<'_>,
    session: &Found,
    now: String,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<()> {
    let id = session.external_id.as_deref().and_then(SessionId::new);
    let before = id.as_ref().map(|id| Kept::load(stored.paths, id)).unwrap_or_default();
    let lock = match &id {
        Some(id) => bury(stored, id, now, talk)?,
        None => None,
    };
    if let Err(error) = delete_there(stored, session) {
        if let Some(id) = &id {
            before.save(stored.paths, id)?;
            // Its daemon may have gone meanwhile.
            let _ = writeln!(talk, "the session stays; confab save {id} sends what is only here");
        }
        if let Some(lock) = lock {
            // An empty lock file that stays is taken again by whoever needs it.
            let _ = lock.remove();
        }
        return Err(error);
    }
    if let (Some(id), Some(lock)) = (&id, lock) {
        state::finish(stored.paths, id, lock, u64::MAX)
            .and_then(|_| state::forget_sent(stored.paths, id))
            .context(|| format!("remove what is left of session {id}"))?;
    }
    let n_lines: u64 = session.files.iter().map(|file| file.last_synced_line).sum();
    let (id_there, n_files) = (&session.id, session.files.len());
    writeln!(out, "session {id_there} is deleted on the backend: {n_files} files, {n_lines} lines")
        .context(|| "write to standard output".into())?;
    if let Some(id) = &id {
        writeln!(
            out,
            "its files on this machine stay; confab save --deleted {id} uploads it again"
        )
        .context(|| "write to standard output".into())?;
    }
    Ok(())
}

fn delete_there(stored: &Stored<'_>, session: &Found) -> Result<()> {
    let what = || format!("delete session {}", session.id);
    let ask = || stored.client.delete_session(&session.id, REQUEST_TIME_MAX);
    let Err(failure) = stored.patiently(&ask) else { return Ok(()) };
    // Somebody else was faster, or the backend does not know how: then it still has it.
    if failure.verdict == Verdict::Gone && stored.files(&session.id)?.is_none() {
        return Ok(());
    }
    let hint = match failure.verdict {
        Verdict::SignIn | Verdict::Reject | Verdict::Gone => "delete it on the backend's web page",
        _ => "confab doctor looks at the connection",
    };
    Err(Error::new(what()).caused_by(told(failure)).with_hint(hint))
}

/// Notes that a session is deleted, and takes it over from its daemon. `None` when that does not
/// let go in time: it will see the note later.
fn bury(
    stored: &Stored<'_>,
    id: &SessionId,
    now: String,
    talk: &mut dyn Write,
) -> Result<Option<Lock>> {
    // The next prompt must not bring it back.
    Kept { deleted_at: Some(now), ..Kept::default() }.save(stored.paths, id)?;
    let n_looks = DAEMON_TIME_MAX.as_millis() / DAEMON_INTERVAL.as_millis();
    for look in 0..n_looks {
        match state::try_lock(stored.paths, id).context(|| format!("lock session {id}"))? {
            Attempt::Taken(lock) => return Ok(Some(lock)),
            Attempt::Busy if look == 0 => {
                if let Some(daemon) = state::holder(stored.paths, id) {
                    // It may have ended just now.
                    let _ = sys::signals::wake(daemon.pid);
                }
            }
            Attempt::Busy => {}
        }
        (stored.wait)(DAEMON_INTERVAL);
    }
    let _ = writeln!(talk, "confab: warning: the daemon of session {id} is busy, and ends later");
    Ok(None)
}
