//! What an agent was asked to do again in another way, so that it is asked once: a command that
//! comes back unchanged is let through.
//!
//! Two hooks at once may lose an entry; that costs one more question.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::files::{self, Paths, SessionId};

/// Commands that are remembered of a session.
const ASKED_MAX: usize = 32;
/// Bytes of the file.
const ASKED_BYTES_MAX: usize = 4 << 10;

/// True when a command is to be sent back: it has not just been. One that has been is forgotten.
///
/// # Errors
/// As `open`, `read` and `write`.
pub fn ask_once(paths: &Paths, id: &SessionId, command: &str) -> io::Result<bool> {
    let path = path(paths, id);
    let text = match files::read_bounded(&path, ASKED_BYTES_MAX) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let hash = command.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let entry = format!("{hash:016x}");
    let mut entries: Vec<&str> = text.lines().collect();
    let n_before = entries.len();
    entries.retain(|other| *other != entry);
    let is_new = entries.len() == n_before;
    if is_new {
        entries.push(&entry);
    }
    let first = entries.len().saturating_sub(ASKED_MAX);
    let lines: String = entries[first..].iter().map(|entry| format!("{entry}\n")).collect();
    let mut file = files::private_file().write(true).create(true).truncate(true).open(&path)?;
    file.write_all(lines.as_bytes())?;
    Ok(is_new)
}

fn path(paths: &Paths, id: &SessionId) -> PathBuf {
    paths.sync.join(format!("{id}.asked"))
}
