//! `confab session delete`: the backend forgets a session. What is on this machine stays, and is
//! not uploaded again unless the user asks for it.

use std::io::Write;

use super::{Found, REQUEST_TIME_MAX, Stored, told};
use crate::error::{Context, Error, Result};
use crate::files::SessionId;
use crate::remote::Verdict;
use crate::state::Kept;

/// Deletes a session. `now` is RFC 3339.
///
/// # Errors
/// When the backend does not do it; nothing is noted then. When the note cannot be written.
pub fn delete(
    stored: &Stored<'_>,
    session: &Found,
    now: String,
    out: &mut dyn Write,
) -> Result<()> {
    let what = || format!("delete session {}", session.id);
    stored.client.delete_session(&session.id, REQUEST_TIME_MAX).map_err(|failure| {
        let hint = match failure.verdict {
            Verdict::SignIn | Verdict::Reject => "delete it on the backend's web page",
            _ => "confab doctor looks at the connection",
        };
        Error::new(what()).caused_by(told(failure)).with_hint(hint)
    })?;
    if let Some(id) = session.external_id.as_deref().and_then(SessionId::new) {
        // The next prompt must not bring it back.
        Kept { deleted_at: Some(now), ..Kept::default() }.save(stored.paths, &id)?;
    }
    writeln!(out, "session {} is deleted on the backend", session.id)
        .context(|| "write to standard output".into())?;
    if let Some(id) = &session.external_id {
        writeln!(
            out,
            "its files on this machine stay; confab save --deleted {id} uploads it again"
        )
        .context(|| "write to standard output".into())?;
    }
    Ok(())
}
