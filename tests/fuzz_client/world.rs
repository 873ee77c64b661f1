//! A home that is made anew for each input, in memory where that is possible, and a machine on
//! which daemons are not really started.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use confab::files::{Paths, Roots, SessionId};
use confab::sys::machine::Processes;
use confab::sys::process::Process;
use confab::time::Clock;

use crate::shared::place;

/// The session of all inputs.
pub const ID: &str = "11111111-1111-4111-8111-111111111111";

/// A home, removed in the end.
pub struct Home {
    pub folder: PathBuf,
    pub paths: Paths,
}

impl Home {
    pub fn new(name: &str) -> Home {
        let folder = place().join(format!("confab-fuzz-{}-{name}", std::process::id()));
        let paths = Paths::new(Roots { home: folder.clone(), ..Roots::default() });
        let home = Home { folder, paths };
        home.clear();
        home
    }

    /// Everything as it was in the beginning.
    pub fn clear(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(self.transcript().parent().unwrap()).unwrap();
        fs::create_dir_all(&self.paths.sync).unwrap();
    }

    pub fn id(&self) -> SessionId {
        SessionId::new(ID).unwrap()
    }

    pub fn transcript(&self) -> PathBuf {
        self.folder.join(format!(".claude/projects/-p/{ID}.jsonl"))
    }

    /// All files and folders that are there, relative to the home.
    pub fn entries(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                found.push(entry.path().strip_prefix(&self.folder).unwrap().to_owned());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Remembers what was started.
#[derive(Default)]
pub struct Machine {
    pub started: Mutex<Vec<Vec<OsString>>>,
}

impl Processes for Machine {
    fn is_alive(&self, _: Process) -> bool {
        true
    }

    fn claude(&self, _: Option<u32>) -> Option<Process> {
        Some(Process { pid: 7, start: 7 })
    }

    fn wake(&self, _: Process) {}

    fn stop(&self, _: Process) {}

    fn start(&self, arguments: &[OsString], _: File) -> io::Result<()> {
        self.started.lock().unwrap().push(arguments.to_vec());
        Ok(())
    }
}

/// Time that does not pass.
pub struct StandingClock(pub Instant);

impl Clock for StandingClock {
    fn now(&self) -> Instant {
        self.0
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }
}
