//! All sessions of this machine followed by one process: `confab watch`.
//!
//! It finds every session below Claude's folders, brings in what the backend lacks, the newest
//! first, and follows what changes. The engine is the daemon's, one for each session in which
//! something happens; for all others some bytes are kept (`catalogue`), and folders are watched,
//! never files, so that ten thousand sessions cost nothing while nothing happens.
//!
//! One loop decides (`keeper`): it waits on one channel and gives jobs to a few threads (`pool`),
//! each of which makes one pass over one session (`work`). A session that a daemon follows is left
//! to it: the session's lock says so. When the lock is free again, what is pending is taken over,
//! unless this watch has another configuration than the hooks: then it has a state of its own, and
//! only looks whether they follow a session.
//! What fails is tried again behind a wait of its own, and when nothing goes through everything
//! waits (`troubles`): the files are the queue, so nothing is lost and nothing piles up.
//!
//! After a crash nothing is missing and nothing comes twice: a session counts as delivered only
//! once its looks were noted behind the last acknowledgement (`memory`); all others are asked for.
//!
//! Deliberately absent: ends of sessions, which only Claude Code can tell; what a hook says of a
//! session that is followed here makes it a daemon's.

mod catalogue;
mod crew;
mod files;
mod keeper;
mod memory;
mod pool;
mod scan;
mod standing;
mod telling;
mod troubles;
mod turns;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};

use crate::config::{self, Account, Overrides};
use crate::daemon::{Connect, Events, Redactors, World, thread};
use crate::error::Result;
use crate::files::Paths;
use crate::remote::Backend;
use crate::sys::machine::Processes;
use crate::sys::process::Process;
use crate::sys::signals::{self, Signal};
use crate::time::Clock;
use crate::watch::Changes;

use files::Files;
use keeper::Keeper;
use work::Done;

pub use standing::{Phase, Standing, load_all as standings};

/// Events that wait to be looked at; whoever has another one waits.
const EVENTS_MAX: usize = 64;
/// How long the kernel is asked at once to wait for a process' end.
const PARENT_WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// What is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Claude's folders; those of the environment when there are none.
    pub folders: Vec<PathBuf>,
    /// Older sessions are not brought in; they are when they change.
    pub since: Option<Duration>,
    /// What has changed is sent this often at most; at once when `None`.
    pub interval: Option<Duration>,
    /// The process with which it ends.
    pub parent: Option<Process>,
}

/// Opens a connection to an account's backend, from any thread.
pub type Connects<'a> = &'a (dyn Fn(&Account) -> Result<Box<dyn Backend>> + Sync);

/// What surrounds all threads; `main` fills it in.
pub struct Base<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// Tells the time.
    pub clock: Arc<dyn Clock + Send + Sync>,
    /// For jitter.
    pub seed: u64,
    /// Intervals from the environment.
    pub overrides: Overrides,
    /// Opens a connection.
    pub connect: Connects<'a>,
    /// Shared by all threads.
    pub redactors: Arc<Redactors>,
    /// What a daemon listens to, as [`World::events`].
    pub events: &'a (dyn Fn() -> Result<Box<dyn Events>> + Sync),
    /// Who runs, and how a session is handed over to a daemon.
    pub processes: &'a (dyn Processes + Sync),
    /// This process.
    pub process: Process,
    /// Ends this process at once, whatever its threads do.
    pub give_up: &'a (dyn Fn() + Sync),
}

impl Base<'_> {
    /// What surrounds one thread that connects in its own way.
    pub fn world<'a>(&'a self, seed: u64, connect: Connect<'a>) -> World<'a> {
        World {
            paths: self.paths,
            clock: Arc::clone(&self.clock),
            seed,
            overrides: self.overrides.clone(),
            connect,
            redactors: Arc::clone(&self.redactors),
            events: self.events,
            processes: self.processes,
            process: self.process,
        }
    }
}

/// What happened.
#[derive(Debug)]
enum Event {
    /// Finish and end.
    Stop(Instant),
    /// Look at everything now: a hook has left a note, or somebody wants it.
    Wake,
    /// These files and folders have changed.
    Files(Changes),
    /// There are no file events any more.
    Blind,
    /// The thread of this number has done its job.
    Done(usize, Box<Done>),
    /// The thread of this number has told the backend how all stands, if it could.
    Told(usize, bool),
}

/// Follows all sessions until it is told to stop. Signals must be blocked. `report` is told what
/// is being done, some times a second while that changes.
///
/// # Errors
/// When another process does so already, when nobody is signed in, or when a thread cannot be
/// started. Everything else is tried again.
pub fn run(watched: &Watched, base: &Base<'_>, report: &mut dyn FnMut(&Standing)) -> Result<()> {
    let account = config::load(base.paths)?.account()?;
    let _lock = standing::lock(base.paths)?;
    let (sender, receiver) = mpsc::sync_channel(EVENTS_MAX);
    tell_signals(sender.clone(), Arc::clone(&base.clock))?;
    if let Some(parent) = watched.parent {
        tell_end(parent, sender.clone(), Arc::clone(&base.clock))?;
    }
    let files = Files::start(sender.clone(), Arc::clone(&base.clock))?;
    std::thread::scope(|scope| {
        let pool = pool::Pool::new(scope, base, sender);
        Keeper::new(watched, base, account, pool, files, receiver, report).run()
    })
}

/// Ends it when another process ends.
fn tell_end(
    parent: Process,
    sender: SyncSender<Event>,
    clock: Arc<dyn Clock + Send + Sync>,
) -> Result<()> {
    thread("parent", move || {
        while !parent.wait_for_end(PARENT_WAIT_MAX) {}
        // It may be over by now.
        let _ = sender.send(Event::Stop(clock.now()));
    })
}

fn tell_signals(sender: SyncSender<Event>, clock: Arc<dyn Clock + Send + Sync>) -> Result<()> {
    thread("signals", move || {
        loop {
            let event = match signals::wait() {
                Signal::Stop => Event::Stop(clock.now()),
                Signal::Wake => Event::Wake,
                // It may have been started from a terminal that is closed now.
                Signal::HangUp => continue,
            };
            if sender.send(event).is_err() {
                return;
            }
        }
    })
}
