//! `confab sync flush`: delivers now what is pending.

use std::io::{self, Write};

use crate::daemon::{DELIVERY_TIME_MAX, Delivery, World, deliver};
use crate::error::{Context, Result};
use crate::files::SessionId;
use crate::state;
use crate::sys;

/// Delivers all sessions that nobody follows and wakes the daemons of the others; true when nothing
/// failed. `progress` is for a terminal.
///
/// # Errors
/// When sessions cannot be listed or the output not be written.
pub fn run(
    world: &World<'_>,
    out: &mut dyn Write,
    progress: Option<&mut dyn Write>,
) -> Result<bool> {
    let sessions = state::sessions(world.paths)
        .context(|| format!("list sessions in {}", world.paths.sync.display()))?;
    let mut progress = progress;
    let n_sessions = sessions.len();
    let (mut n_delivered, mut n_failed, mut n_followed) = (0, 0, 0);
    for (index, id) in sessions.into_iter().enumerate() {
        if let Some(line) = &mut progress {
            // The line is written over by the next one; nothing depends on it.
            let _ = write!(line, "\r\x1b[Kdelivering {} of {n_sessions}: {id}", index + 1);
            let _ = line.flush();
        }
        let deadline = world.clock.now() + DELIVERY_TIME_MAX;
        let delivery = deliver(world, id.clone(), deadline, &mut || false);
        if let Some(line) = &mut progress {
            let _ = write!(line, "\r\x1b[K");
        }
        let written = match delivery {
            Delivery::Busy => {
                n_followed += 1;
                wake(world, &id);
                writeln!(out, "{id}: its daemon sends what is new")
            }
            Delivery::Nothing => writeln!(out, "{id}: nothing to deliver"),
            Delivery::Done => {
                n_delivered += 1;
                writeln!(out, "{id}: delivered")
            }
            Delivery::Kept => {
                n_delivered += 1;
                writeln!(out, "{id}: delivered so far, and followed: Claude Code still runs")
            }
            Delivery::Failed { why, .. } | Delivery::Rejected(why) => {
                n_failed += 1;
                writeln!(out, "{id}: still pending: {why}")
            }
            Delivery::Interrupted => Ok(()),
        };
        written.context(|| "write to standard output".into())?;
    }
    summary(out, n_delivered, n_followed, n_failed)
        .context(|| "write to standard output".into())?;
    Ok(n_failed == 0)
}

fn summary(
    out: &mut dyn Write,
    n_delivered: usize,
    n_followed: usize,
    n_failed: usize,
) -> io::Result<()> {
    if n_delivered + n_followed + n_failed == 0 {
        return writeln!(out, "nothing is pending");
    }
    writeln!(out, "{n_delivered} delivered, {n_followed} followed, {n_failed} still pending")
}

fn wake(world: &World<'_>, id: &SessionId) {
    if let Some(daemon) = state::holder(world.paths, id) {
        // It may have ended just now; then its session is delivered or pending.
        let _ = sys::signals::wake(daemon.pid);
    }
}
