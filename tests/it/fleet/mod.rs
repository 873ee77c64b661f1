//! `confab watch` as a real process against a scripted backend: what is brought in, what is
//! followed, what is left to daemons, and what is left behind by crashes: nothing.

mod apart;
mod bringing;
mod changes;
mod crashes;
mod following;
mod served;
mod sharing;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::eventually::{WAIT_MAX, eventually, within};
use crate::support::processes;
use crate::support::sandbox::{CONFAB, Sandbox};

/// What was written then is brought in and not followed any more.
const LONG_AGO: Duration = Duration::from_secs(3600);

/// A running watch. It is killed when it is dropped.
struct Watch {
    child: Child,
    stderr: PathBuf,
}

impl Watch {
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Watch {
        let mut command = sandbox.command(CONFAB);
        command.arg("watch").args(arguments);
        Watch::spawn(sandbox, command)
    }

    fn spawn(sandbox: &Sandbox, mut command: Command) -> Watch {
        let stderr = sandbox.root().join("tmp/watch-stderr");
        command.stderr(File::create(&stderr).unwrap());
        Watch { child: command.spawn().unwrap(), stderr }
    }

    /// Starts one and waits until the backend has everything.
    #[track_caller]
    fn following(sandbox: &Sandbox, arguments: &[&str]) -> Watch {
        let watch = Watch::start(sandbox, arguments);
        watch.is_in(sandbox, "following");
        watch
    }

    #[track_caller]
    fn is_in(&self, sandbox: &Sandbox, phase: &str) {
        eventually(phase, || self.standing(sandbox)["phase"] == phase);
    }

    /// What it says of itself; null while it has said nothing.
    fn standing(&self, sandbox: &Sandbox) -> Value {
        let apart = fs::read_dir(sandbox.confab("watches")).into_iter().flatten().flatten();
        let folders = apart.map(|entry| entry.path()).chain([sandbox.confab("")]);
        let mut standings = folders.map(|folder| {
            let bytes = fs::read(folder.join("watch.json")).unwrap_or_default();
            serde_json::from_slice::<Value>(&bytes).unwrap_or_default()
        });
        standings.find(|standing| standing["pid"] == self.pid()).unwrap_or_default()
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    fn signal(&self, name: &str) {
        processes::signal(self.pid(), name);
    }

    /// Ends it as a user does.
    #[track_caller]
    fn stop(mut self) {
        self.signal("TERM");
        let status = within(WAIT_MAX, "the watch ends", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status:?} {}", self.stderr());
    }

    /// Ends it as the kernel does.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The id of a session by a number.
fn id(number: usize) -> String {
    format!("{number:08}-1111-4111-8111-111111111111")
}

/// A file of this project folder of Claude's.
fn project(sandbox: &Sandbox, project: &str, path: &str) -> PathBuf {
    sandbox.home().join(".claude/projects").join(project).join(path)
}

/// Makes a file look as if it was written this long ago.
fn age(path: &Path, age: Duration) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

/// All lines of the main transcripts of these sessions, each once and in order.
#[track_caller]
fn holds_all(backend: &Backend, expected: &[(String, String)]) {
    for (id, text) in expected {
        assert_eq!(&backend.transcript(id), text, "session {id}");
    }
}
