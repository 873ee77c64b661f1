//! Sessions that nobody follows and that are not fully delivered: left behind by a daemon that was
//! killed, or that could not reach the backend in time.

use std::fmt::Display;
use std::time::{Duration, Instant};

use log::{info, warn};

use crate::files::SessionId;
use crate::state::{self, Attempt, Launch, Loaded};

use super::{Finished, Follower, Outcome, World};

/// Time for one session.
pub const DELIVERY_TIME_MAX: Duration = Duration::from_secs(600);
/// Failures in a row behind which the others are left for later.
const FAILURES_MAX: usize = 3;

/// What became of one session.
#[derive(Debug)]
pub enum Delivery {
    /// Somebody else has it.
    Busy,
    /// There is nothing to deliver.
    Nothing,
    /// All of it was acknowledged; nothing of it is left here.
    Done,
    /// All of it was acknowledged; Claude Code still uses it, so a daemon follows it now.
    Kept,
    /// The backend cannot be reached, or something here; it stays pending.
    Failed {
        /// For people.
        why: String,
        /// Trying again may help, but not before this time has passed.
        again_in: Option<Duration>,
    },
    /// The backend refuses a part of it, or a file cannot be read; it stays pending.
    Rejected(String),
    /// It ended early.
    Interrupted,
}

/// Delivers all sessions that nobody follows, but for one.
pub fn deliver_all(
    world: &World<'_>,
    but: Option<&SessionId>,
    interrupted: &mut dyn FnMut() -> bool,
) {
    let sessions = state::sessions(world.paths).unwrap_or_else(|error| {
        warn!("pending sessions cannot be listed: {error}");
        Vec::new()
    });
    let mut n_failed = 0;
    for id in sessions.into_iter().filter(|id| Some(id) != but) {
        let deadline = world.clock.now() + DELIVERY_TIME_MAX;
        match deliver(world, id.clone(), deadline, interrupted) {
            Delivery::Busy | Delivery::Nothing => continue,
            // It says nothing of the others.
            Delivery::Rejected(why) => warn!("pending session {id}: {why}"),
            Delivery::Done => info!("pending session {id} was delivered"),
            Delivery::Kept => {}
            Delivery::Failed { why, .. } => {
                warn!("pending session {id}: {why}");
                n_failed += 1;
            }
            Delivery::Interrupted => return,
        }
        if n_failed >= FAILURES_MAX {
            break;
        }
    }
}

/// Delivers one session, unless somebody follows it.
pub fn deliver(
    world: &World<'_>,
    id: SessionId,
    deadline: Instant,
    interrupted: &mut dyn FnMut() -> bool,
) -> Delivery {
    deliver_once(world, id, None, deadline, interrupted)
}

/// Delivers a session of which only this is known, unless somebody follows it.
pub fn deliver_launch(
    world: &World<'_>,
    launch: &Launch,
    deadline: Instant,
    interrupted: &mut dyn FnMut() -> bool,
) -> Delivery {
    deliver_once(world, launch.id.clone(), Some(launch.clone()), deadline, interrupted)
}

fn deliver_once(
    world: &World<'_>,
    id: SessionId,
    launch: Option<Launch>,
    deadline: Instant,
    interrupted: &mut dyn FnMut() -> bool,
) -> Delivery {
    match state::load(world.paths, &id) {
        Ok(Loaded::Foreign { .. }) => return Delivery::Busy,
        Ok(_) => {}
        Err(error) => return failed(&error),
    }
    let lock = match state::try_lock(world.paths, &id) {
        Ok(Attempt::Taken(lock)) => lock,
        Ok(Attempt::Busy) => return Delivery::Busy,
        Err(error) => return failed(&error),
    };
    let mut follower = match Follower::open(world, id, lock, launch) {
        Ok(Some(follower)) => follower,
        Ok(None) => return Delivery::Nothing,
        Err(error) => return failed(&error),
    };
    if let Err(error) = follower.read_notes(world) {
        return failed(&error);
    }
    let parent_runs = follower.parent().is_some_and(|parent| world.processes.is_alive(parent));
    let is_over = follower.is_ended() || follower.was_left() || !parent_runs;
    match follower.pass(world, deadline, is_over, interrupted) {
        Outcome::Complete if is_over => finish(follower, world),
        // Claude Code runs and nobody follows: its daemon was killed.
        Outcome::Complete => hand_over_to_daemon(follower, world),
        Outcome::Interrupted => {
            let_go(follower, world);
            Delivery::Interrupted
        }
        Outcome::Deleted => {
            follower.bury(world);
            Delivery::Done
        }
        outcome => {
            let error = follower.record().last_error.clone().unwrap_or_default();
            let_go(follower, world);
            let why = match error.hint {
                Some(hint) => format!("{} (hint: {hint})", error.what),
                None => error.what,
            };
            match outcome {
                Outcome::Rejected => Delivery::Rejected(why),
                Outcome::Retry(again_in) => Delivery::Failed { why, again_in: Some(again_in) },
                Outcome::Missing => Delivery::Failed { why, again_in: Some(Duration::ZERO) },
                _ => Delivery::Failed { why, again_in: None },
            }
        }
    }
}

fn failed(error: &impl Display) -> Delivery {
    Delivery::Failed { why: error.to_string(), again_in: None }
}

/// Leaves a session pending, or to a daemon when a hook has meanwhile said that it is in use: the
/// hook took us for its daemon.
fn let_go(mut follower: Follower, world: &World<'_>) {
    let is_read = follower.read_notes(world);
    let is_in_use = is_read.is_ok() && follower.is_resumed() && !follower.is_ended();
    if is_in_use {
        if let Err(error) = hand_over(follower, world) {
            warn!("a daemon could not be started: {error}");
        }
    } else if follower.is_ended() || follower.was_left() || follower.parent().is_none() {
        follower.leave_pending(world);
    }
}

/// A hook that came in between took us for the session's daemon and left a note; a real one gets
/// the session then.
fn finish(follower: Follower, world: &World<'_>) -> Delivery {
    let mut follower = match follower.finish(world) {
        Ok(Finished::Gone) => return Delivery::Done,
        Ok(Finished::Continues(follower)) => *follower,
        Err(error) => return failed(&error),
    };
    if let Err(error) = follower.read_notes(world) {
        return failed(&error);
    }
    hand_over_to_daemon(follower, world)
}

fn hand_over_to_daemon(follower: Follower, world: &World<'_>) -> Delivery {
    match hand_over(follower, world) {
        Ok(()) => Delivery::Kept,
        Err(error) => failed(&error),
    }
}

/// Starts a daemon for a session and hands the lock over to it.
///
/// # Errors
/// As starting it; the session is then free.
pub fn hand_over(follower: Follower, world: &World<'_>) -> std::io::Result<()> {
    let launch = Launch {
        id: follower.id().clone(),
        transcript: follower.record().transcript_path.clone(),
        cwd: follower.record().cwd.clone(),
        parent: follower.parent(),
    };
    let (arguments, mut lock) = (launch.arguments(), follower.into_lock());
    lock.clear_holder()?;
    world.processes.start(&arguments, lock.into_file())
}
