//! The table of processes as hooks and daemons use it: who runs, who is to wake, what is started.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::process::{self, Process};
use super::{daemon, signals};

/// The processes of a machine; `main` has the real ones, tests have some that they make up.
pub trait Processes {
    /// True while this very process runs.
    fn is_alive(&self, process: Process) -> bool;
    /// The Claude Code process above this one; `hint` is what it says of itself.
    fn claude(&self, hint: Option<u32>) -> Option<Process>;
    /// Tells a daemon that something new is waiting. One that is gone needs no telling.
    fn wake(&self, daemon: Process);
    /// Tells a daemon to finish and end. One that is gone needs no telling.
    fn stop(&self, daemon: Process);
    /// Starts this program as a daemon, detached, with these arguments, and hands the lock over.
    ///
    /// # Errors
    /// As `posix_spawn`.
    fn start(&self, arguments: &[OsString], lock: File) -> io::Result<()>;
}

/// What a daemon is made of: this program, and its whole environment.
pub type Launching = (PathBuf, Vec<(OsString, OsString)>);

/// The machine that we run on.
#[derive(Debug)]
pub struct Machine {
    /// Tells what a daemon is made of. Asked when one is started, which most hooks do not.
    pub launching: fn() -> io::Result<Launching>,
}

impl Processes for Machine {
    fn is_alive(&self, process: Process) -> bool {
        process.is_alive()
    }

    fn claude(&self, hint: Option<u32>) -> Option<Process> {
        process::claude(hint)
    }

    fn wake(&self, daemon: Process) {
        let _ = signals::wake(daemon.pid);
    }

    fn stop(&self, daemon: Process) {
        let _ = signals::stop(daemon.pid);
    }

    fn start(&self, arguments: &[OsString], lock: File) -> io::Result<()> {
        let (executable, environment) = (self.launching)()?;
        daemon::spawn(&executable, arguments, &environment, lock).map(drop)
    }
}
