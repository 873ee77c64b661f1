//! Sessions that nobody follows and that are not fully delivered: left behind by a daemon that was
//! killed, or that could not reach the backend in time.

use std::time::{Duration, Instant};

use log::{info, warn};

use crate::files::SessionId;
use crate::state::{self, Attempt, Launch, Loaded};
use crate::sys;

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
    /// All of it was acknowledged; its Claude Code process still runs, so it is kept.
    Kept,
    /// It stays pending.
    Failed(String),
    /// It ended early.
    Interrupted,
}

/// Delivers all sessions that nobody follows, but for one. True when there was any.
pub fn deliver_all(
    world: &World<'_>,
    but: Option<&SessionId>,
    interrupted: &mut dyn FnMut() -> bool,
) -> bool {
    let sessions = state::sessions(world.paths).unwrap_or_else(|error| {
        warn!("pending sessions cannot be listed: {error}");
        Vec::new()
    });
    let mut found = false;
    let mut n_failed = 0;
    for id in sessions.into_iter().filter(|id| Some(id) != but) {
        let deadline = world.clock.now() + DELIVERY_TIME_MAX;
        match deliver(world, id.clone(), deadline, interrupted) {
            Delivery::Busy | Delivery::Nothing => continue,
            Delivery::Done => info!("pending session {id} was delivered"),
            Delivery::Kept => {}
            Delivery::Failed(why) => {
                warn!("pending session {id}: {why}");
                n_failed += 1;
            }
            Delivery::Interrupted => return true,
        }
        found = true;
        if n_failed >= FAILURES_MAX {
            break;
        }
    }
    found
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
pub fn deliver_launch(world: &World<'_>, launch: &Launch, deadline: Instant) -> Delivery {
    deliver_once(world, launch.id.clone(), Some(launch.clone()), deadline, &mut || false)
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
        Err(error) => return Delivery::Failed(error.to_string()),
    }
    let lock = match state::try_lock(world.paths, &id) {
        Ok(Attempt::Taken(lock)) => lock,
        Ok(Attempt::Busy) => return Delivery::Busy,
        Err(error) => return Delivery::Failed(error.to_string()),
    };
    let mut follower = match Follower::open(world, id, lock, launch) {
        Ok(Some(follower)) => follower,
        Ok(None) => return Delivery::Nothing,
        Err(error) => return Delivery::Failed(error.to_string()),
    };
    if let Err(error) = follower.read_notes(world) {
        return Delivery::Failed(error.to_string());
    }
    let is_over = follower.is_ended() || follower.parent().is_none_or(|parent| !parent.is_alive());
    match follower.pass(world, deadline, is_over, interrupted) {
        Outcome::Complete if is_over => finish(follower, world),
        Outcome::Complete => Delivery::Kept,
        Outcome::Interrupted => Delivery::Interrupted,
        Outcome::Deleted => {
            follower.bury(world);
            Delivery::Done
        }
        Outcome::Retry(_) | Outcome::SignIn | Outcome::Rejected => {
            let error = follower.record().last_error.clone().unwrap_or_default();
            follower.leave_pending(world);
            Delivery::Failed(error.what)
        }
    }
}

/// A hook that came in between took us for the session's daemon and left a note; a real one gets
/// the session then.
fn finish(follower: Follower, world: &World<'_>) -> Delivery {
    let mut follower = match follower.finish(world) {
        Ok(Finished::Gone) => return Delivery::Done,
        Ok(Finished::Continues(follower)) => *follower,
        Err(error) => return Delivery::Failed(error.to_string()),
    };
    if let Err(error) = follower.read_notes(world) {
        return Delivery::Failed(error.to_string());
    }
    match hand_over(follower, world) {
        Ok(()) => Delivery::Kept,
        Err(error) => Delivery::Failed(error.to_string()),
    }
}

fn hand_over(follower: Follower, world: &World<'_>) -> std::io::Result<()> {
    let launch = Launch {
        id: follower.id().clone(),
        transcript: follower.record().transcript_path.clone(),
        cwd: follower.record().cwd.clone(),
        parent: follower.parent(),
    };
    let (arguments, mut lock) = (launch.arguments(), follower.into_lock());
    lock.clear_holder()?;
    sys::daemon::spawn(&world.executable, &arguments, &world.environment, lock.into_file())?;
    Ok(())
}
