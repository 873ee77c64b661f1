//! `confab save`: uploads sessions now, whether a hook has ever announced them or not: the way to
//! bring in a history of years.
//!
//! It is the daemon's own way of delivering, one session after the other, the latest first. What
//! the backend has of a session is asked for, so that stopping it anywhere costs nothing. A session
//! that a daemon follows is left to that daemon.

use std::io::Write;
use std::time::{Duration, SystemTime};

use crate::cli::account::plain;
use crate::cli::list::size;
use crate::cli::sessions::{self, LocalSession};
use crate::config;
use crate::daemon::{DELIVERY_TIME_MAX, Delivery, World, deliver, deliver_launch};
use crate::error::{Context, Error, Result};
use crate::state::{self, Kept, Launch, Loaded};
use crate::sys;

/// Failures in a row behind which the backend is taken for gone.
const FAILURES_MAX: usize = 5;

/// Which sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Save {
    /// Beginnings of ids.
    pub ids: Vec<String>,
    /// All of them.
    pub all: bool,
    /// All that were written within this time.
    pub since: Option<Duration>,
    /// Also those that were deleted on the backend.
    pub deleted: bool,
}

/// How it went.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    uploaded: usize,
    followed: usize,
    skipped: usize,
    failed: usize,
}

impl Counts {
    /// True when something failed.
    pub fn any_failed(&self) -> bool {
        self.failed > 0
    }

    /// True when something was left out.
    pub fn any_skipped(&self) -> bool {
        self.skipped > 0
    }
}

/// Uploads the sessions. `progress` is for a terminal.
///
/// # Errors
/// When nobody is signed in, or the output cannot be written.
pub fn run(
    save: &Save,
    world: &World<'_>,
    out: &mut dyn Write,
    progress: Option<&mut dyn Write>,
    talk: &mut dyn Write,
) -> Result<Counts> {
    config::load(world.paths)?.account()?;
    let mut counts = Counts::default();
    let (all, problems) = sessions::discover(world.paths);
    for problem in &problems {
        counts.failed += 1;
        let _ = writeln!(talk, "confab: warning: {problem}");
    }
    let chosen = choose(save, &all, world.clock.wall(), &mut counts, talk);
    upload(save, &chosen, world, &mut counts, out, progress)?;
    let Counts { uploaded, followed, skipped, failed } = counts;
    writeln!(out, "{uploaded} uploaded, {followed} followed, {skipped} skipped, {failed} failed")
        .context(|| "write to standard output".into())?;
    Ok(counts)
}

/// Those that the user means, each once.
fn choose<'a>(
    save: &Save,
    all: &'a [LocalSession],
    now: SystemTime,
    counts: &mut Counts,
    talk: &mut dyn Write,
) -> Vec<&'a LocalSession> {
    let since = save.since.and_then(|age| now.checked_sub(age));
    let is_wanted = |session: &&LocalSession| match since {
        Some(since) => session.modified >= since,
        None => save.all || save.since.is_some(),
    };
    let mut chosen: Vec<&LocalSession> = all.iter().filter(is_wanted).collect();
    for start in &save.ids {
        match sessions::find(all, start) {
            Ok(session) if chosen.contains(&session) => {}
            Ok(session) => chosen.push(session),
            Err(error) => {
                counts.failed += 1;
                let _ = writeln!(talk, "confab: error: {error}");
                if let Some(hint) = error.hint() {
                    let _ = writeln!(talk, "confab: hint: {hint}");
                }
            }
        }
    }
    chosen
}

fn upload(
    save: &Save,
    chosen: &[&LocalSession],
    world: &World<'_>,
    counts: &mut Counts,
    out: &mut dyn Write,
    mut progress: Option<&mut dyn Write>,
) -> Result<()> {
    let n_bytes: u64 = chosen.iter().map(|session| session.bytes).sum();
    let (mut n_done, mut n_failed) = (0, 0);
    for (index, session) in chosen.iter().enumerate() {
        show(&mut progress, || {
            let (number, all) = (index + 1, chosen.len());
            format!("{number} of {all}, {} of {}: {}", size(n_done), size(n_bytes), session.id)
        });
        let failed = counts.failed;
        let what = one(save, session, world, counts);
        show(&mut progress, String::new);
        writeln!(out, "{}: {}", session.id, plain(&what))
            .context(|| "write to standard output".into())?;
        n_done += session.bytes;
        n_failed = if counts.failed > failed { n_failed + 1 } else { 0 };
        if n_failed >= FAILURES_MAX && index + 1 < chosen.len() {
            let n_left = chosen.len() - index - 1;
            counts.failed += n_left;
            let what = format!("{n_failed} sessions have failed in a row: {n_left} are not tried");
            return writeln!(out, "{what}").context(|| "write to standard output".into());
        }
    }
    Ok(())
}

/// Writes over the last line of a terminal.
fn show(progress: &mut Option<&mut dyn Write>, text: impl Fn() -> String) {
    if let Some(line) = progress {
        // The line is written over by the next one; nothing depends on it.
        let _ = write!(line, "\r\x1b[K{}", text()).and_then(|()| line.flush());
    }
}

/// Uploads one session and says what came of it.
fn one(save: &Save, session: &LocalSession, world: &World<'_>, counts: &mut Counts) -> String {
    let id = &session.id;
    let mut fail = |why: String| {
        counts.failed += 1;
        format!("failed: {why}")
    };
    let glance = match sessions::glance(session) {
        Ok(glance) => glance,
        Err(error) => return fail(format!("its transcript cannot be read: {error}")),
    };
    if Kept::is_deleted(world.paths, id) {
        if !save.deleted {
            counts.skipped += 1;
            return "skipped: it was deleted on the backend; --deleted uploads it again".into();
        }
        if let Err(error) = Kept::default().save(world.paths, id) {
            return fail(error.to_string());
        }
    }
    let deadline = world.clock.now() + DELIVERY_TIME_MAX;
    // What hooks have told of a session is better than what its transcript tells.
    let delivery = match state::load(world.paths, id) {
        Ok(Loaded::Ours(_)) => deliver(world, id.clone(), deadline, &mut || false),
        _ => {
            let (transcript, cwd) = (session.transcript.clone(), glance.cwd.unwrap_or_default());
            let launch = Launch { id: id.clone(), transcript, cwd, parent: None };
            deliver_launch(world, &launch, deadline)
        }
    };
    match delivery {
        Delivery::Done | Delivery::Kept => {
            counts.uploaded += 1;
            "uploaded".into()
        }
        Delivery::Busy => {
            counts.followed += 1;
            if let Some(daemon) = state::holder(world.paths, id) {
                // It may have ended just now; then its session is delivered or pending.
                let _ = sys::signals::wake(daemon.pid);
            }
            "followed: its daemon sends what is new".into()
        }
        Delivery::Nothing => {
            counts.skipped += 1;
            "skipped: the configuration excludes it".into()
        }
        Delivery::Interrupted => fail("it was interrupted".into()),
        Delivery::Failed(why) | Delivery::Rejected(why) => fail(why),
    }
}

/// When nothing says which sessions are meant.
pub fn nothing_chosen() -> Error {
    Error::new("no session is named").with_hint("name sessions, or use --all or --since 30d")
}
