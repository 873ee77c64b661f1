//! What the one watch of a configuration says of itself, and the lock that makes it the only one.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::files::{self, Paths};
use crate::state::LastError;
use crate::sys;

/// Bytes of either file.
const FILE_BYTES_MAX: usize = 64 << 10;
/// Folders of watches that are looked at.
const WATCHES_MAX: usize = 1000;
/// How long somebody may take who only looks whether there is one.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(200);

/// What it is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It brings in what the backend lacks.
    #[default]
    BringingIn,
    /// The backend has everything; it waits for changes.
    Following,
    /// The backend does not answer, or takes nothing.
    Waiting,
    /// It was told to stop.
    Stopping,
}

/// What is known of it from outside, in `watch.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Its process.
    pub pid: u32,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// When this was written, RFC 3339.
    pub updated_at: String,
    /// What it is doing.
    pub phase: Phase,
    /// Claude's folders.
    pub folders: Vec<PathBuf>,
    /// Sessions that it knows.
    pub sessions: u64,
    /// Those that changed a short while ago and are followed closely.
    pub followed: u64,
    /// Those that a daemon follows.
    pub left: u64,
    /// Those that are excluded, or were deleted from the backend.
    pub unwanted: u64,
    /// Those that are too old to be brought in unless they change.
    pub older: u64,
    /// Folders and files that cannot be looked at.
    pub unreadable: u64,
    /// Those of the named folders that have no sessions in them, nor a place for some.
    pub empty_folders: Vec<PathBuf>,
    /// Those that the backend may not have whole.
    pub waiting: u64,
    /// Those of them that failed, and are tried again.
    pub failed: u64,
    /// Bytes of the sessions that are being brought in.
    pub bytes: u64,
    /// Bytes of those of them that the backend has.
    pub bytes_done: u64,
    /// Sessions that are being brought in.
    pub to_bring: u64,
    /// Those of them that were.
    pub brought: u64,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// The lock, held for life; the kernel frees it however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Makes this process the one that watches.
///
/// # Errors
/// When another one does, which is named.
pub fn lock(paths: &Paths) -> Result<Lock> {
    let path = paths.watch.join("watch.lock");
    let what = || format!("lock {}", path.display());
    files::private_folder(&paths.watch).context(what)?;
    let mut options = files::private_file();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).context(what)?;
    if let Err(error) = sys::lock::within(&file, LOCK_WAIT_MAX) {
        if error.kind() != io::ErrorKind::TimedOut {
            return Err(error).context(what);
        }
        let pid = holder(&mut file).map_or(String::new(), |pid| format!(", process {pid}"));
        return Err(Error::new(format!("confab watch runs already{pid}"))
            .with_hint("one is enough for all folders; confab status shows what it does"));
    }
    let written = file.set_len(0).and_then(|()| file.rewind());
    written.and_then(|()| writeln!(file, "{}", std::process::id())).context(what)?;
    Ok(Lock { _file: file })
}

/// What the running watches say of themselves; that of this configuration comes first.
pub fn load_all(paths: &Paths) -> Vec<Standing> {
    let entries = std::fs::read_dir(paths.watches()).into_iter().flatten().take(WATCHES_MAX);
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let own = paths.of_watch().watch;
    let others = [paths.root.clone()].into_iter().chain(folders).filter(|folder| *folder != own);
    let all: Vec<PathBuf> = others.collect();
    [own].into_iter().chain(all).filter_map(|folder| load(&folder)).collect()
}

fn load(folder: &Path) -> Option<Standing> {
    let mut file = File::open(folder.join("watch.lock")).ok()?;
    if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let pid = holder(&mut file)?;
    let bytes = files::read_bounded(&path(folder), FILE_BYTES_MAX).unwrap_or_default();
    let known = serde_json::from_slice::<Standing>(&bytes).ok();
    // What an earlier one has left says nothing of this one.
    Some(known.filter(|known| known.pid == pid).unwrap_or(Standing { pid, ..Standing::default() }))
}

impl Standing {
    /// Writes it down for others.
    ///
    /// # Errors
    /// As the system calls.
    pub fn save(&self, paths: &Paths) -> io::Result<()> {
        files::replace(&path(&paths.watch), &serde_json::to_vec_pretty(self)?)
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX as u64).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn path(folder: &Path) -> PathBuf {
    folder.join("watch.json")
}
