//! The state file of a session.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};
use crate::files::{self, Paths, SessionId};
use crate::sys::process::{self, Process};

/// The format written here.
const VERSION: u32 = 1;
/// Bytes of a state file.
const STATE_BYTES_MAX: usize = 8 << 20;
/// Links that wait for the backend.
const LINKS_MAX: usize = 1024;
/// Working directories that are remembered of a session.
const CWDS_MAX: usize = 64;
/// Sessions looked at in one listing.
const SESSIONS_MAX: usize = 100_000;
/// What a daemon of the existing client has in its command line.
const FOREIGN_ARGUMENT: &str = "--bg-daemon";

/// Whether somebody follows the session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A daemon follows it, or did until it was killed.
    #[default]
    Running,
    /// It has ended and is not fully delivered.
    Pending,
}

/// The state file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Absent in files of the existing client.
    pub version: u32,
    /// `claude-code`.
    pub provider: String,
    /// Claude's id of the session.
    pub external_id: String,
    /// Where the transcript is, was or will be.
    pub transcript_path: PathBuf,
    /// Working directory of the session.
    pub cwd: String,
    /// Those that it had before; one that is excluded excludes it for good.
    #[serde(skip_serializing_if = "super::is_default")]
    pub cwds: BTreeSet<String>,
    /// The daemon.
    pub pid: u32,
    /// Start time of the daemon.
    pub pid_start: u64,
    /// The Claude Code process, 0 when unknown.
    #[serde(skip_serializing_if = "super::is_default")]
    pub parent_pid: u32,
    /// Start time of that process.
    pub parent_start: u64,
    /// Where hooks leave notes; the existing client's hooks read it.
    pub inbox_path: PathBuf,
    /// When the daemon started, RFC 3339.
    pub started_at: String,
    /// The backend's id of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confab_session_id: Option<String>,
    /// The session's page, which commits and pull requests are to name; absent while the backend
    /// does not know the session, and where links are switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_url: Option<String>,
    /// Commits and pull requests of the session that the backend has not acknowledged.
    #[serde(skip_serializing_if = "super::is_default")]
    pub links: Vec<String>,
    /// Whether somebody follows it.
    pub status: Status,
    /// How far each file was acknowledged, by the backend's name of it.
    pub files: BTreeMap<String, FileRecord>,
    /// When the backend last had everything, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synced_at: Option<String>,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

impl Record {
    /// These commits and pull requests are to be told to the backend.
    pub fn add_links(&mut self, links: Vec<String>) {
        for link in links {
            if self.links.len() < LINKS_MAX && !self.links.contains(&link) {
                self.links.push(link);
            }
        }
    }

    /// The session has this working directory from now on.
    pub fn move_to(&mut self, cwd: &str) {
        let before = std::mem::replace(&mut self.cwd, cwd.to_owned());
        if !before.is_empty() && before != cwd && self.cwds.len() < CWDS_MAX {
            self.cwds.insert(before);
        }
    }
}

/// How far one file was acknowledged. Server lines and local lines differ once a file was
/// rewritten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileRecord {
    /// Where it was last seen.
    pub path: PathBuf,
    /// The backend's type of it.
    pub file_type: String,
    /// The last line that the backend acknowledged.
    pub last_synced_line: u64,
    /// How many lines of the local file that is.
    pub local_line: u64,
    /// How many bytes of the local file that is.
    pub byte_offset: u64,
    /// Hash of those bytes, line by line, hexadecimal.
    pub prefix_hash: String,
    /// The last of those lines had no newline when it was sent.
    #[serde(skip_serializing_if = "super::is_default")]
    pub unterminated: bool,
    /// The first server line behind which server and local lines run in parallel.
    #[serde(skip_serializing_if = "super::is_default")]
    pub parallel_from: u64,
    /// Inode of the file when it was last acknowledged.
    pub inode: u64,
    /// Modification time of the file then, in nanoseconds since 1970.
    pub modified_nanos: i128,
    /// Size of the file when it was last looked at.
    pub bytes_seen: u64,
    /// Requests that the backend has acknowledged for it, as far as this state file remembers.
    #[serde(skip_serializing_if = "super::is_default")]
    pub chunks: u64,
    /// The backend takes no more of it: it has as many chunks as a file may have.
    #[serde(skip_serializing_if = "super::is_default")]
    pub full: bool,
    /// Lines replaced by a stand-in because they were too large.
    #[serde(skip_serializing_if = "super::is_default")]
    pub stand_ins: u64,
    /// Lines replaced by a stand-in because they could not be redacted.
    #[serde(skip_serializing_if = "super::is_default")]
    pub withheld: u64,
    /// How often the file was found rewritten, shrunk or replaced.
    #[serde(skip_serializing_if = "super::is_default")]
    pub rewrites: u64,
}

/// What went wrong last, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastError {
    /// RFC 3339.
    pub at: String,
    /// For people.
    pub what: String,
    /// What the user can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a session's state file turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    /// None there, or one of a daemon of the existing client that is gone.
    Absent,
    /// One of ours.
    Ours(Box<Record>),
    /// One of a running daemon of the existing client, flat or namespaced.
    Foreign {
        /// That daemon.
        daemon: Process,
        /// Where it reads notes once it is told to stop.
        inbox: PathBuf,
    },
    /// Neither; it is ignored and will be replaced.
    Damaged,
}

/// Reads a session's state file.
///
/// # Errors
/// As `open` and `read`, but for "not found".
pub fn load(paths: &Paths, id: &SessionId) -> io::Result<Loaded> {
    let flat = path(paths, id);
    let ours = match load_one(&flat)? {
        Some(Ok(record)) if record.version == VERSION => Loaded::Ours(Box::new(record)),
        Some(Ok(record)) if record.version == 0 => match foreign(&record, &flat) {
            Some(loaded) => return Ok(loaded),
            None => Loaded::Absent,
        },
        Some(_) => Loaded::Damaged,
        None => Loaded::Absent,
    };
    let namespaced = paths.sync.join("claude-code").join(format!("{id}.json"));
    if let Some(Ok(record)) = load_one(&namespaced)?
        && let Some(loaded) = foreign(&record, &namespaced)
    {
        return Ok(loaded);
    }
    Ok(ours)
}

/// Writes a session's state file; sets its version.
///
/// # Errors
/// As the system calls; the old file is then still there.
pub fn save(paths: &Paths, id: &SessionId, record: &mut Record) -> Result<()> {
    record.version = VERSION;
    let path = path(paths, id);
    let what = || format!("write state {}", path.display());
    let bytes = serde_json::to_vec_pretty(record).context(what)?;
    files::private_folder(&paths.sync).context(what)?;
    files::replace(&path, &bytes).context(what)
}

/// Removes a session's state file, what was noted of its lines and what was asked in it.
///
/// # Errors
/// As the system calls.
pub fn remove(paths: &Paths, id: &SessionId) -> io::Result<()> {
    let prefix = format!("{id}.");
    // What a daemon was writing when it was killed. Only the holder of the lock writes these.
    let unfinished = [format!(".{id}.json."), format!(".{id}.inbox.jsonl.")];
    for entry in std::fs::read_dir(&paths.sync)?.take(SESSIONS_MAX * 4) {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_beside = [".sent", ".lines", ".asked"].iter().any(|ending| name.ends_with(ending));
        let is_unfinished = unfinished.iter().any(|beginning| name.starts_with(beginning));
        if (name.starts_with(&prefix) && is_beside) || is_unfinished {
            files::remove_if_present(&paths.sync.join(name))?;
        }
    }
    files::remove_if_present(&path(paths, id))
}

/// The ids of all sessions that have a state file, an inbox or a lock file, in order.
///
/// # Errors
/// As `readdir`, but for "not found".
pub fn sessions(paths: &Paths) -> io::Result<Vec<SessionId>> {
    let entries = match std::fs::read_dir(&paths.sync) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut ids = BTreeSet::new();
    for entry in entries.take(SESSIONS_MAX) {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| {
            [".inbox.jsonl", ".json", ".lock"].iter().find_map(|suffix| name.strip_suffix(suffix))
        });
        ids.extend(stem.and_then(SessionId::new));
    }
    Ok(ids.into_iter().collect())
}

fn load_one(path: &Path) -> io::Result<Option<serde_json::Result<Record>>> {
    match files::read_bounded(path, STATE_BYTES_MAX) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes))),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

/// The daemon of the existing client that this state file names, when it really runs: the number
/// alone may long belong to somebody else.
fn foreign(record: &Record, path: &Path) -> Option<Loaded> {
    let runs = record.version == 0
        && record.pid > 1
        && process::has_argument(record.pid, FOREIGN_ARGUMENT);
    let daemon = runs.then(|| Process::find(record.pid)).flatten()?;
    Some(Loaded::Foreign { daemon, inbox: path.with_extension("inbox.jsonl") })
}

fn path(paths: &Paths, id: &SessionId) -> PathBuf {
    paths.sync.join(format!("{id}.json"))
}
