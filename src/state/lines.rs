//! For each line of a file that was sent: a hash, and the number under which the backend has it.
//!
//! Entry `n` covers lines 1 to `n + 1`, so that the line at which a rewritten file parts from what
//! was sent is found exactly; the numbers say what of it the backend has, whatever it says it has.
//! Sixteen bytes a line, written before the request: what the backend does not have in the end is
//! told by its own count. Once a session is delivered they are kept, beside the state that is
//! removed: the file may be rewritten before the session is taken up again.
//!
//! The entries are a help, not a truth: where they are missing, the state file is asked.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::files::{self, Paths, SessionId};

const ENTRY_BYTES: u64 = 16;
/// What the names of these files end with.
const ENDING: &str = ".sent";
/// How long they are kept: Claude Code deletes transcripts after thirty days.
const KEPT_TIME: Duration = Duration::from_secs(60 * 24 * 3600);
/// Files looked at in one clearing.
const FILES_MAX: usize = 100_000;

/// A line that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentLine {
    /// Covers all lines up to this one.
    pub hash: u64,
    /// The backend's number of it.
    pub server_line: u64,
}

/// What was sent of one file of one session.
#[derive(Debug, Clone)]
pub struct SentLines {
    path: PathBuf,
    kept: PathBuf,
}

impl SentLines {
    /// Those of the file that the backend knows by `name`.
    pub fn new(paths: &Paths, id: &SessionId, name: &str) -> SentLines {
        // The name may hold slashes and be too long for a file name, so its hash stands for it.
        let key = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let file = format!("{id}.{key:016x}{ENDING}");
        SentLines { path: paths.sync.join(&file), kept: paths.kept.join(file) }
    }

    /// Takes up what was kept when the session was delivered, unless there is something newer.
    pub fn take_up(&self) {
        if !self.path.exists() {
            let _ = std::fs::rename(&self.kept, &self.path);
        }
    }

    /// Notes that the lines behind line `line` are sent, to be the backend's lines behind
    /// `server_line`; drops what was there of those.
    ///
    /// # Errors
    /// As the system calls. A file that is too short is left alone: it covers no more than it does.
    pub fn append(&self, line: u64, server_line: u64, hashes: &[u64]) -> io::Result<()> {
        let numbers = server_line + 1..;
        let entries = hashes.iter().zip(numbers);
        self.replace(line, entries.map(|(hash, server_line)| SentLine { hash: *hash, server_line }))
    }

    /// Replaces all entries behind those of the first `line` lines, unless they begin with these.
    ///
    /// # Errors
    /// As [`SentLines::append`].
    pub fn replace(&self, line: u64, entries: impl Iterator<Item = SentLine>) -> io::Result<()> {
        let mut options = files::private_file();
        let file = options.read(true).write(true).create(true).truncate(false).open(&self.path)?;
        let (length, there) = (line * ENTRY_BYTES, file.metadata()?.len());
        if there < length {
            return Ok(());
        }
        let bytes: Vec<u8> = entries
            .flat_map(|entry| [entry.hash.to_le_bytes(), entry.server_line.to_le_bytes()])
            .flatten()
            .collect();
        let mut before = vec![0; bytes.len()];
        if file.read_exact_at(&mut before, length).is_ok() && before == bytes {
            // They are sent again. What was sent behind them may be there, too.
            return Ok(());
        }
        // Written before the rest is cut off: that a line of a higher number follows says that all
        // lines in front of it are known.
        file.write_all_at(&bytes, length)?;
        let end = length + bytes.len() as u64;
        if there > end { file.set_len(end) } else { Ok(()) }
    }

    /// Notes that the file parts from what was sent behind line `line`, and that the backend's
    /// lines up to `server_line` are no longer those that follow.
    ///
    /// # Errors
    /// As [`SentLines::append`].
    pub fn part(&self, line: u64, server_line: u64) -> io::Result<()> {
        // No line has this hash, and whatever is sent next takes its place.
        let entry = SentLine { hash: 0, server_line: server_line + 1 };
        self.replace(line, std::iter::once(entry))
    }

    /// How many lines have an entry.
    pub fn count(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len() / ENTRY_BYTES)
    }

    /// The hashes of the lines that a backend with `server_line` lines has, from line 1 on, as far
    /// as they can be read.
    pub fn hashes(&self, server_line: u64) -> impl Iterator<Item = u64> + use<> {
        let known = self.entries().take_while(move |entry| entry.server_line <= server_line);
        known.map(|entry| entry.hash)
    }

    /// How many lines of the file a backend with `server_line` lines has, and up to which of its
    /// lines that is known.
    pub fn known(&self, server_line: u64) -> (u64, u64) {
        let (mut line, mut covered) = (0, 0);
        for entry in self.entries() {
            if entry.server_line > server_line {
                // The backend had all lines in front of this one when it was sent. Those of them
                // that have no entry stand no longer in the file.
                return (line, server_line);
            }
            (line, covered) = (line + 1, entry.server_line);
        }
        (line, covered)
    }

    fn entries(&self) -> impl Iterator<Item = SentLine> + use<> {
        let mut reader = File::open(&self.path).ok().map(BufReader::new);
        let mut last = 0;
        std::iter::from_fn(move || {
            let (mut hash, mut number) = ([0; 8], [0; 8]);
            let reader = reader.as_mut()?;
            reader.read_exact(&mut hash).ok()?;
            reader.read_exact(&mut number).ok()?;
            let [hash, server_line] = [hash, number].map(u64::from_le_bytes);
            // Numbers grow. Zeros are what a power cut leaves, lower ones were not cut off.
            let is_sound = server_line > last;
            last = server_line;
            is_sound.then_some(SentLine { hash, server_line })
        })
    }
}

/// Forgets what was sent of a delivered session: the backend does not have it any more, or has it
/// from elsewhere.
///
/// # Errors
/// As the system calls.
pub fn forget_sent(paths: &Paths, id: &SessionId) -> io::Result<()> {
    for folder in [&paths.sync, &paths.kept] {
        for name in names(folder).filter(|name| is_of(name, id)) {
            files::remove_if_present(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Keeps what was sent of a session whose state is being removed, and clears away what is too old
/// to be needed.
///
/// # Errors
/// As the system calls.
pub fn keep_sent(paths: &Paths, id: &SessionId, now: SystemTime) -> io::Result<()> {
    for name in names(&paths.sync).filter(|name| is_of(name, id)) {
        files::private_folder(&paths.kept)?;
        std::fs::rename(paths.sync.join(&name), paths.kept.join(&name))?;
    }
    for name in names(&paths.kept).filter(|name| name.ends_with(ENDING)) {
        let path = paths.kept.join(name);
        let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| now.duration_since(modified).ok());
        if age.is_some_and(|age| age > KEPT_TIME) {
            files::remove_if_present(&path)?;
        }
    }
    Ok(())
}

fn is_of(name: &str, id: &SessionId) -> bool {
    let rest = name.strip_prefix(id.as_str()).and_then(|rest| rest.strip_prefix('.'));
    rest.is_some_and(|rest| rest.ends_with(ENDING))
}

fn names(folder: &std::path::Path) -> impl Iterator<Item = String> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(FILES_MAX).flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}
