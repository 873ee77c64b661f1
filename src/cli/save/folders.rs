//! In which folders a session has run, by its own lines.

use std::fs::File;
use std::path::Path;

use crate::error::{Context, Result};
use crate::tail::{LINE_BYTES_MAX, Line, Position, Tail};
use crate::transcript;

/// Folders of one session that are remembered.
const FOLDERS_MAX: usize = 10_000;

/// The folders that the lines of a transcript name, in order and each once: the first alone, or
/// `all`, for which the whole file is read.
///
/// # Errors
/// When the file cannot be read.
pub fn of(transcript: &Path, all: bool) -> Result<Vec<String>> {
    let what = || format!("read {}", transcript.display());
    let file = File::open(transcript).context(what)?;
    let mut tail = Tail::new(file, Position::default(), LINE_BYTES_MAX);
    let mut folders: Vec<String> = Vec::new();
    let limit = if all { FOLDERS_MAX } else { 1 };
    while folders.len() < limit
        && let Some(line) = tail.next_line().context(what)?
    {
        // A line that is too large to be held is not sent either.
        let Line::Whole(line) = line else { continue };
        note(line, &mut folders);
    }
    if folders.len() < limit {
        note(tail.unterminated(), &mut folders);
    }
    Ok(folders)
}

fn note(line: &[u8], folders: &mut Vec<String>) {
    let Some(cwd) = transcript::inspect(line).cwd.filter(|cwd| !cwd.is_empty()) else { return };
    // Most lines name the same folder as the one before.
    if !folders.iter().rev().any(|known| *known == *cwd) {
        folders.push(cwd.into_owned());
    }
}
