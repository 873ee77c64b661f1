//! What is remembered of delivered sessions whose state is gone: how many bytes of the transcript
//! the backend has. `list` shows it; nothing else relies on it, so that losing an entry costs a
//! question mark and no line.
//!
//! One file for all, a line an end, the last line of a session counts.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files::{self, Paths, SessionId};
use crate::sys;

/// Bytes of the file from which on only the last line of each session is kept.
const FILE_BYTES_COMPACTED: u64 = 4 << 20;
/// Bytes that may be left of it then: some 30,000 sessions.
const COMPACTED_BYTES_MAX: usize = 2 << 20;
/// Bytes of the file that are read.
const FILE_BYTES_MAX: usize = 16 << 20;
/// Who writes the file locks this one; when it was modified says when `kept` was last cleared.
pub(super) const LOCK: &str = "delivered.lock";
/// How long another process may take.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(200);

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    session: String,
    bytes: u64,
}

/// Notes that a session was delivered so far.
///
/// # Errors
/// As the system calls; `WouldBlock` when the file is in use for too long.
pub fn note(paths: &Paths, id: &SessionId, bytes: u64) -> io::Result<()> {
    files::private_folder(&paths.root)?;
    files::private_folder(&paths.kept)?;
    let lock = paths.kept.join(LOCK);
    let lock = files::private_file().append(true).create(true).open(lock)?;
    sys::lock::within(&lock, LOCK_WAIT_MAX)?;
    let path = path(paths);
    let mut file = files::private_file().append(true).create(true).open(&path)?;
    let entry = Entry { session: id.to_string(), bytes };
    file.write_all(&line(&entry)?)?;
    if file.metadata()?.len() >= FILE_BYTES_COMPACTED {
        compact(paths)?;
    }
    Ok(())
}

/// Bytes of the transcript by session. What cannot be read is as if it was not there.
pub fn load(paths: &Paths) -> HashMap<String, u64> {
    let bytes = files::read_bounded(&path(paths), FILE_BYTES_MAX).unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n');
    let entries = lines.filter_map(|line| serde_json::from_slice::<Entry>(line).ok());
    entries.map(|entry| (entry.session, entry.bytes)).collect()
}

/// Keeps the last line of each session. When even those are too many, all are forgotten: Claude
/// Code has deleted most of these sessions by then.
fn compact(paths: &Paths) -> io::Result<()> {
    let mut text = Vec::new();
    for (session, bytes) in load(paths) {
        text.extend(line(&Entry { session, bytes })?);
    }
    if text.len() > COMPACTED_BYTES_MAX {
        text.clear();
    }
    files::replace(&path(paths), &text)
}

fn line(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line)
}

fn path(paths: &Paths) -> PathBuf {
    paths.kept.join("delivered.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_damage_costs_one_entry() {
        let home = std::env::temp_dir().join(format!("confab-delivered-{}", std::process::id()));
        let roots = files::Roots { home: home.clone(), ..files::Roots::default() };
        let paths = Paths::new(roots);
        std::fs::create_dir_all(&home).unwrap();
        let id = |text: &str| SessionId::new(text).unwrap();
        note(&paths, &id("a"), 1).unwrap();
        note(&paths, &id("b"), 2).unwrap();
        let mut file = files::private_file().append(true).open(path(&paths)).unwrap();
        file.write_all(b"{\"session\":\"c\n\xff\n").unwrap();
        note(&paths, &id("a"), 3).unwrap();
        let expected = HashMap::from([("a".to_owned(), 3), ("b".to_owned(), 2)]);
        assert_eq!(load(&paths), expected);
        compact(&paths).unwrap();
        assert_eq!(load(&paths), expected);
        std::fs::remove_dir_all(&home).unwrap();
    }
}
