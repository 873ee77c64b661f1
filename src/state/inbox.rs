//! Notes from hooks to the daemon of a session.
//!
//! A note is one JSON line, appended under the inbox's own short lock. Whoever removes the inbox
//! does so under that lock and only when no unread note is in it, and an appender that waited
//! checks that the path still names its file: so a note is read, or its writer sees that the daemon
//! is gone. What was read is taken out in one step: the inbox becomes empty, or another file takes
//! its place.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use log::warn;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::files::{self, Paths, SessionId};
use crate::state::{Lock, lines, record};
use crate::sys::{self, process::Process};

/// How long the inbox may be held by another before a hook gives up.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(300);
/// How often an inbox may vanish under an appender.
const ATTEMPTS_MAX: usize = 8;
/// Bytes read of an inbox; what lies beyond is read after the first part was consumed.
const INBOX_BYTES_MAX: u64 = 1 << 20;

/// What Claude Code told a hook; unknown keys and values of other types are dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookInput {
    /// Claude's id of the session.
    #[serde(deserialize_with = "text_or_nothing", skip_serializing_if = "String::is_empty")]
    pub session_id: String,
    /// Absolute path of the transcript, which may not exist yet.
    #[serde(deserialize_with = "text_or_nothing", skip_serializing_if = "String::is_empty")]
    pub transcript_path: String,
    /// Working directory of the session.
    #[serde(deserialize_with = "text_or_nothing", skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// `default`, `plan`, …
    #[serde(deserialize_with = "text_or_nothing", skip_serializing_if = "String::is_empty")]
    pub permission_mode: String,
    /// `SessionEnd`, …
    #[serde(deserialize_with = "text_or_nothing", skip_serializing_if = "String::is_empty")]
    pub hook_event_name: String,
    /// Why the session ended.
    #[serde(deserialize_with = "text_or_nothing", skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What a note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// The session is in use: follow it, at this path, until this parent ends.
    Start,
    /// The session has ended.
    SessionEnd,
    /// Commits or pull requests were made.
    Link,
    /// Written by a later version.
    #[serde(other)]
    Unknown,
}

/// One line of an inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it says.
    #[serde(rename = "type")]
    pub kind: NoteKind,
    /// When it was written, RFC 3339.
    pub timestamp: String,
    /// What Claude Code said.
    pub hook_input: HookInput,
    /// The Claude Code process, 0 when unknown.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub parent_pid: u32,
    /// Start time of that process.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub parent_start: u64,
    /// Addresses of what was made.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub links: Vec<String>,
}

impl Note {
    /// A note of a hook that runs below this Claude Code process.
    pub fn new(
        kind: NoteKind,
        input: &HookInput,
        parent: Option<Process>,
        now: SystemTime,
    ) -> Note {
        Note {
            kind,
            timestamp: crate::time::rfc3339(now),
            hook_input: input.clone(),
            parent_pid: parent.map_or(0, |process| process.pid),
            parent_start: parent.map_or(0, |process| process.start),
            links: Vec::new(),
        }
    }

    /// A note that these commits and pull requests were made.
    pub fn of_links(links: Vec<String>, input: &HookInput, now: SystemTime) -> Note {
        Note { links, ..Note::new(NoteKind::Link, input, None, now) }
    }

    /// The Claude Code process, when it was known.
    pub fn parent(&self) -> Option<Process> {
        (self.parent_pid > 1).then_some(Process { pid: self.parent_pid, start: self.parent_start })
    }
}

/// Appends a note to a session's inbox.
///
/// # Errors
/// As the system calls; `TimedOut` when somebody sits on the inbox.
pub fn append(paths: &Paths, id: &SessionId, note: &Note) -> io::Result<()> {
    let mut line = serde_json::to_vec(note)?;
    line.push(b'\n');
    for _ in 0..ATTEMPTS_MAX {
        let mut file = open(paths, id)?;
        sys::lock::within(&file, LOCK_WAIT_MAX)?;
        if files::names(&path(paths, id), &file) {
            // What a killed writer left half must not swallow this note.
            let length = file.metadata()?.len();
            let mut last = [b'\n'];
            if length > 0 && file.read_exact_at(&mut last, length - 1).is_ok() && last != *b"\n" {
                line.insert(0, b'\n');
            }
            return file.write_all(&line);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Appends a note to the inbox of a daemon of the existing client, which reads it when it is told
/// to stop.
///
/// # Errors
/// As the system calls.
pub fn append_foreign(inbox: &Path, note: &Note) -> io::Result<()> {
    let mut line = serde_json::to_vec(note)?;
    line.push(b'\n');
    files::private_file().append(true).create(true).open(inbox)?.write_all(&line)
}

/// The notes of a session's inbox and how many bytes they take; lines that cannot be read are
/// counted in the bytes and skipped. An absent inbox is empty.
///
/// # Errors
/// As the system calls.
pub fn read(paths: &Paths, id: &SessionId) -> io::Result<(Vec<Note>, u64)> {
    let file = match File::open(path(paths, id)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        file => file?,
    };
    sys::lock::within(&file, LOCK_WAIT_MAX)?;
    let mut bytes = Vec::new();
    file.take(INBOX_BYTES_MAX).read_to_end(&mut bytes)?;
    // Half a note at the end was left by a writer that was killed: nobody writes now, and it counts
    // as read. Unless it was cut off here, by the limit.
    let is_cut = bytes.len() as u64 == INBOX_BYTES_MAX;
    let end = memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1);
    let whole = if is_cut && end > 0 { end } else { bytes.len() };
    let notes = bytes[..whole]
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    Ok((notes, whole as u64))
}

/// True when there is anything in a session's inbox.
pub fn has_notes(paths: &Paths, id: &SessionId) -> bool {
    std::fs::metadata(path(paths, id)).is_ok_and(|metadata| metadata.len() > 0)
}

/// Takes the first `bytes` out of a session's inbox: they were acted upon.
///
/// # Errors
/// As the system calls.
pub fn consume(paths: &Paths, id: &SessionId, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let mut file = open(paths, id)?;
    sys::lock::within(&file, LOCK_WAIT_MAX)?;
    if file.metadata()?.len() <= bytes {
        return file.set_len(0);
    }
    // Notes have come meanwhile. A file with them takes the place of this one, whole, so that none
    // is lost if this is the last thing that happens; who waits for the lock will see it.
    file.seek(SeekFrom::Start(bytes))?;
    files::replace_from(&path(paths, id), &mut file)
}

/// Ends a session: keeps what was sent, and removes state, inbox and lock, unless more notes than
/// `bytes` are in the inbox. Gives the lock back in that case.
///
/// # Errors
/// As the system calls; the lock is then free.
pub fn finish(paths: &Paths, id: &SessionId, lock: Lock, bytes: u64) -> io::Result<Option<Lock>> {
    let file = open(paths, id)?;
    sys::lock::within(&file, LOCK_WAIT_MAX)?;
    if file.metadata()?.len() > bytes {
        return Ok(Some(lock));
    }
    if let Err(error) = lines::keep_sent(paths, id) {
        // A file that is rewritten before the session is resumed may lose lines.
        warn!("what was sent of session {id} is not kept: {error}");
    }
    record::remove(paths, id)?;
    // The lock goes before the inbox: an appender that finds the inbox gone and makes a new one
    // then finds the lock free. One that waits for the inbox, whose own lock is still held here,
    // will see that its file is gone.
    file.set_len(0)?;
    lock.remove()?;
    files::remove_if_present(&path(paths, id))?;
    Ok(None)
}

fn open(paths: &Paths, id: &SessionId) -> io::Result<File> {
    files::private_file().read(true).append(true).create(true).open(path(paths, id))
}

fn path(paths: &Paths, id: &SessionId) -> PathBuf {
    paths.sync.join(format!("{id}.inbox.jsonl"))
}

/// One odd value must not cost the whole input (a number as `reason`, say).
fn text_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        Text(String),
        Other(IgnoredAny),
    }
    Ok(match Value::deserialize(deserializer)? {
        Value::Text(text) => text,
        Value::Other(_) => String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home(Paths);

    impl Home {
        fn new(name: &str) -> Home {
            let home =
                std::env::temp_dir().join(format!("confab-inbox-{}-{name}", std::process::id()));
            let paths = Paths::new(files::Roots { home, ..files::Roots::default() });
            std::fs::create_dir_all(&paths.sync).unwrap();
            Home(paths)
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            std::fs::remove_dir_all(self.0.home()).unwrap();
        }
    }

    /// A note that is told from others by where the session runs.
    fn note(cwd: String) -> Note {
        let input = HookInput { cwd, ..HookInput::default() };
        Note::new(NoteKind::Start, &input, None, SystemTime::UNIX_EPOCH)
    }

    fn folders(notes: &[Note]) -> Vec<&str> {
        notes.iter().map(|note| note.hook_input.cwd.as_str()).collect()
    }

    #[test]
    fn what_came_meanwhile_is_there_whenever_the_daemon_is_killed() {
        let home = Home::new("meanwhile");
        let (paths, id) = (&home.0, SessionId::new("a").unwrap());
        append(paths, &id, &note("/first".into())).unwrap();
        let (_, n_bytes) = read(paths, &id).unwrap();
        append(paths, &id, &note("/second".into())).unwrap();
        let before = std::fs::read(path(paths, &id)).unwrap();
        let mut open_before = File::open(path(paths, &id)).unwrap();
        consume(paths, &id, n_bytes).unwrap();
        assert_eq!(folders(&read(paths, &id).unwrap().0), ["/second"]);
        // The rest was put in place whole: until then the file was what it had been.
        let mut bytes = Vec::new();
        open_before.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, before);
        let left: Vec<String> = lines::names(&paths.sync).collect();
        assert_eq!(left, ["a.inbox.jsonl"]);
    }

    #[test]
    fn more_than_is_read_at_once_is_read_bit_by_bit() {
        let home = Home::new("many");
        let (paths, id) = (&home.0, SessionId::new("a").unwrap());
        let expected: Vec<String> = (0..40)
            .map(|n| format!("/{n}/{}", "x".repeat(INBOX_BYTES_MAX as usize / 10)))
            .collect();
        for cwd in &expected {
            append(paths, &id, &note(cwd.clone())).unwrap();
        }
        let mut found: Vec<String> = Vec::new();
        loop {
            let (notes, n_bytes) = read(paths, &id).unwrap();
            if n_bytes == 0 {
                break;
            }
            found.extend(folders(&notes).into_iter().map(str::to_owned));
            consume(paths, &id, n_bytes).unwrap();
        }
        assert!(found == expected, "{} of {} notes", found.len(), expected.len());
    }
}
