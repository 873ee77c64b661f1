//! One piece of work on one session, as a thread of the fleet does it: the engine of the daemon,
//! for as long as one pass takes.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::{info, warn};

use crate::config::{self, Account};
use crate::daemon::{self, Delivery, Finished, Follower, Outcome, World, folders};
use crate::error::{Error, Result};
use crate::files::{Paths, SessionId};
use crate::state::{self, Attempt, Launch, Loaded};
use crate::sys::process::Process;

use super::scan::{self, Key};

/// The shortest wait behind what only a change of the configuration helps against.
const SIGN_IN_WAIT: Duration = Duration::from_secs(30);
/// Time until a session is tried again of which a part was refused.
const REFUSED_WAIT: Duration = Duration::from_secs(30);
/// Time between two questions for a session that the backend did not know.
const MISSING_WAIT: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Debug)]
pub struct Job {
    /// The session.
    pub key: Key,
    /// Its transcript is, was or will be here; `None` when only its state knows where.
    pub transcript: Option<PathBuf>,
    /// Its project folder.
    pub folder: PathBuf,
    /// There are agent files of the old layout in it.
    pub has_old_agents: bool,
    /// Its engine, when it is kept.
    pub hand: Option<Box<Hand>>,
    /// What to do.
    pub task: Task,
    /// No request is started or waited for behind this.
    pub deadline: Instant,
    /// It ends early when the fleet is told to stop.
    pub heeds_stop: bool,
}

/// What to do with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Send all of it and keep nothing.
    Deliver,
    /// Send what is new and keep the engine for what follows.
    Follow,
    /// Send the rest, also a last line without newline, and keep nothing.
    Release,
}

/// The engine of a session that is followed.
#[derive(Debug)]
pub struct Hand {
    follower: Follower,
    /// Up to here the transcript was searched for folders that are excluded.
    searched: u64,
    /// What hooks have left could not be read.
    is_deaf: bool,
}

/// A job that was done.
#[derive(Debug)]
pub struct Done {
    /// The session.
    pub key: Key,
    /// What was done.
    pub task: Task,
    /// The engine, when it goes on.
    pub hand: Option<Box<Hand>>,
    /// How it ended.
    pub ending: Ending,
    /// What the session looked like before; 0 when there was nothing of it.
    pub looks: u64,
    /// Whose backend was asked, when one was: the configuration may have changed meanwhile.
    pub account: Option<Account>,
}

/// How a job ended.
#[derive(Debug)]
pub enum Ending {
    /// The backend has everything.
    Complete {
        /// It was sent in so many requests that those left are not for single lines.
        is_frugal: bool,
    },
    /// It was stopped early.
    Interrupted,
    /// Another process follows it.
    Left,
    /// It is excluded, or the backend has deleted it.
    Unwanted,
    /// The backend did not take it; what it said is the least time until the next attempt.
    Failed(Duration, String),
    /// The backend or the file system refuses a part of it, or the backend did not know it just
    /// now. It says nothing of other sessions, and may be tried again after this time.
    Refused(Duration, String),
}

impl Ending {
    /// Something about one session that may be otherwise later.
    pub fn refused(why: &dyn Display) -> Ending {
        Ending::Refused(REFUSED_WAIT, why.to_string())
    }
}

/// Does a job.
pub fn work(job: Job, world: &World<'_>, interrupted: &mut dyn FnMut() -> bool) -> Done {
    let Job { key, task, .. } = job;
    let looks = scan::session(&job.folder, key, job.has_old_agents).map_or(0, |looks| looks.hash);
    if world.paths.are_apart() && is_with_hooks(&key.id(), world) {
        if let Some(hand) = job.hand {
            hand.follower.leave_pending(world);
        }
        return Done { key, task, hand: None, ending: Ending::Left, looks, account: None };
    }
    let (ending, hand) = match task {
        Task::Deliver => (deliver(&job, world, interrupted), None),
        Task::Follow | Task::Release => follow(job, world, interrupted),
    };
    Done { key, task, hand, ending, looks, account: None }
}

/// Whether a daemon follows a session for hooks, whose backend may be another one. Their lock is
/// not touched: a hook that found it taken would take us for the daemon.
fn is_with_hooks(id: &SessionId, world: &World<'_>) -> bool {
    let paths = world.paths.of_hooks();
    let is_foreign = || matches!(state::load(&paths, id), Ok(Loaded::Foreign { .. }));
    state::holder(&paths, id).is_some() || is_foreign()
}

/// Sends all of a session, as `confab save` does.
fn deliver(job: &Job, world: &World<'_>, interrupted: &mut dyn FnMut() -> bool) -> Ending {
    let launch = match launch(job, world) {
        Ok(Ok(launch)) => launch,
        Ok(Err(ending)) => return ending,
        Err(error) => return Ending::refused(&error),
    };
    let delivery = match &launch {
        Some(launch) => daemon::deliver_launch(world, launch, job.deadline, interrupted),
        None => daemon::deliver(world, job.key.id(), job.deadline, interrupted),
    };
    match delivery {
        Delivery::Done => Ending::Complete { is_frugal: false },
        Delivery::Busy | Delivery::Kept => Ending::Left,
        Delivery::Nothing => Ending::Unwanted,
        Delivery::Interrupted => Ending::Interrupted,
        Delivery::Rejected(why) => Ending::Refused(REFUSED_WAIT, why),
        Delivery::Failed { why, again_in } => Ending::Failed(again_in.unwrap_or(SIGN_IN_WAIT), why),
    }
}

/// What a daemon of this session would be told; `None` when a state file knows better. The inner
/// error says why nothing is to be done.
fn launch(job: &Job, world: &World<'_>) -> Result<Result<Option<Launch>, Ending>> {
    let id = job.key.id();
    match state::load(world.paths, &id) {
        Ok(Loaded::Foreign { .. }) => return Ok(Err(Ending::Left)),
        Ok(Loaded::Ours(_)) => return Ok(Ok(None)),
        Ok(_) => {}
        Err(error) => {
            return Err(Error::new(format!("read the state of session {id}")).caused_by(error));
        }
    }
    let Some(transcript) = &job.transcript else { return Ok(Ok(None)) };
    let config = config::load(world.paths)?;
    // With exclusions, all folders count: once in a folder that is excluded means never.
    let read_all = !config.exclude.is_empty();
    let folders = match transcript.exists() {
        true => folders::of(transcript, read_all)?,
        // Only agents have written anything.
        false => Vec::new(),
    };
    let is_excluded = |folder: &String| config.excludes(&id, folder.as_ref(), world.paths);
    if folders.iter().chain([&String::new()]).any(is_excluded) {
        return Ok(Err(Ending::Unwanted));
    }
    Ok(Ok(Some(Launch {
        transcript: transcript.clone(),
        cwd: folders.into_iter().next().unwrap_or_default(),
        parent: None,
        id,
    })))
}

/// Takes a session up, to keep it.
fn open(job: &Job, world: &World<'_>) -> Result<Result<Box<Hand>, Ending>> {
    let launch = match launch(job, world)? {
        Ok(launch) => launch,
        Err(ending) => return Ok(Err(ending)),
    };
    let id = job.key.id();
    let lock = match state::try_lock(world.paths, &id) {
        Ok(Attempt::Taken(lock)) => lock,
        Ok(Attempt::Busy) => return Ok(Err(Ending::Left)),
        Err(error) => return Err(Error::new(format!("lock session {id}")).caused_by(error)),
    };
    let Some(mut follower) = Follower::open(world, id, lock, launch)? else {
        return Ok(Err(Ending::Unwanted));
    };
    if follower.parent().is_some_and(Process::is_alive) {
        // Claude Code runs with hooks, and its daemon was killed.
        return Ok(Err(pass_on(follower, world)));
    }
    // A full disk must not keep lines from being sent: the state is tried again with each pass.
    if let Err(error) = follower.settle_in(world) {
        warn!("{error}");
    }
    Ok(Ok(Box::new(Hand { follower, searched: 0, is_deaf: false })))
}

fn follow(
    mut job: Job,
    world: &World<'_>,
    interrupted: &mut dyn FnMut() -> bool,
) -> (Ending, Option<Box<Hand>>) {
    let hand = match job.hand.take() {
        Some(hand) => Ok(Ok(hand)),
        None => open(&job, world),
    };
    let mut hand = match hand {
        Ok(Ok(hand)) => hand,
        Ok(Err(ending)) => return (ending, None),
        Err(error) => return (Ending::refused(&error), None),
    };
    let follower = &mut hand.follower;
    if !follower.holds_lock() {
        return (Ending::Left, None);
    }
    if follower.is_deleted(world) {
        hand.follower.bury(world);
        return (Ending::Unwanted, None);
    }
    let read = follower.read_notes(world);
    hand.is_deaf = read.is_err();
    if let Err(error) = read {
        warn!("the inbox cannot be read: {error}");
    }
    let follower = &mut hand.follower;
    let is_announced = follower.is_resumed() && !follower.is_ended();
    if is_announced && follower.parent().is_none_or(Process::is_alive) {
        return (pass_on(hand.follower, world), None);
    }
    let searched = match search(&mut hand, world) {
        Ok(searched) => searched,
        Err(error) => return (Ending::refused(&error), Some(hand)),
    };
    if hand.follower.is_excluded(world) {
        // What is kept of it stays for the case that the exclusion is taken back.
        hand.follower.leave_pending(world);
        return (Ending::Unwanted, None);
    }
    let follower = &mut hand.follower;
    let last = job.task == Task::Release || follower.is_ended();
    // Lines that were not searched wait for the next pass.
    let transcript = follower.record().transcript_path.clone();
    let mut interrupted = || {
        let has_grown = |bytes| std::fs::metadata(&transcript).is_ok_and(|now| now.len() > bytes);
        interrupted() || searched.is_some_and(has_grown)
    };
    let outcome = follower.pass(world, job.deadline, last, &mut interrupted);
    after_pass(outcome, hand, last, world)
}

/// Notes the folders that new lines name: one of them may be excluded. How many bytes
/// were there; `None` when nothing is excluded.
fn search(hand: &mut Hand, world: &World<'_>) -> Result<Option<u64>> {
    if config::load(world.paths)?.exclude.is_empty() {
        return Ok(None);
    }
    let transcript = &hand.follower.record().transcript_path;
    let Ok(metadata) = std::fs::metadata(transcript) else { return Ok(Some(0)) };
    let bytes = metadata.len();
    // What has shrunk is another text.
    let from = if bytes < hand.searched { 0 } else { hand.searched };
    if bytes > from {
        let (folders, end) = folders::behind(transcript, from)?;
        folders.iter().for_each(|folder| hand.follower.move_to(folder));
        hand.searched = end;
    }
    Ok(Some(bytes))
}

fn after_pass(
    outcome: Outcome,
    mut hand: Box<Hand>,
    last: bool,
    world: &World<'_>,
) -> (Ending, Option<Box<Hand>>) {
    let ending = match outcome {
        Outcome::Complete if last => return (finish(hand.follower, world), None),
        Outcome::Complete => Ending::Complete { is_frugal: hand.follower.has_many_chunks() },
        Outcome::Interrupted => Ending::Interrupted,
        Outcome::Deleted => {
            hand.follower.bury(world);
            return (Ending::Unwanted, None);
        }
        outcome => {
            let error = hand.follower.record().last_error.clone().unwrap_or_default();
            match outcome {
                Outcome::Rejected => Ending::Refused(REFUSED_WAIT, error.what),
                Outcome::Retry(at_least) => Ending::Failed(at_least, error.what),
                Outcome::Missing => Ending::Refused(MISSING_WAIT, error.what),
                _ => Ending::Failed(SIGN_IN_WAIT, error.what),
            }
        }
    };
    if last {
        // A hook that came in between took us for the session's daemon.
        let _ = hand.follower.read_notes(world);
        hand.follower.leave_pending(world);
        return (ending, None);
    }
    (ending, Some(hand))
}

/// Removes what is kept of a session that was delivered. A hook that came in between took us for
/// its daemon: a real one gets the session then.
fn finish(follower: Follower, world: &World<'_>) -> Ending {
    match follower.finish(world) {
        Ok(Finished::Gone) => Ending::Complete { is_frugal: false },
        Ok(Finished::Continues(mut follower)) => {
            if let Err(error) = follower.read_notes(world) {
                warn!("the inbox cannot be read: {error}");
            }
            pass_on(*follower, world)
        }
        Err(error) => Ending::refused(&error),
    }
}

/// A session that hooks have announced is for a daemon of its own.
fn pass_on(follower: Follower, world: &World<'_>) -> Ending {
    let id = follower.id().clone();
    info!("session {id} is handed over to a daemon");
    match daemon::hand_over(follower, world) {
        Ok(()) => Ending::Left,
        Err(error) => Ending::refused(&format!("start the daemon of session {id}: {error}")),
    }
}

impl Hand {
    /// The folders of the session's agents.
    pub fn folders(&mut self) -> Vec<PathBuf> {
        let own = self.follower.record().transcript_path.with_extension("");
        let places = self.follower.places().into_iter().map(|place| place.path);
        places.filter(|path| path.starts_with(&own)).collect()
    }

    /// True when hooks have left notes since they were read, and they can be.
    pub fn has_new_notes(&self, paths: &Paths) -> bool {
        !self.is_deaf && self.has_notes(paths)
    }

    /// True when hooks have left notes.
    pub fn has_notes(&self, paths: &Paths) -> bool {
        state::has_notes(paths, self.follower.id())
    }
}
