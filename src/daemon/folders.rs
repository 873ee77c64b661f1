//! In which folders a session has run, by its own lines.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use crate::config::Config;
use crate::error::{Context, Result};
use crate::files::{self, SessionId};
use crate::state::Record;
use crate::tail::{LINE_BYTES_MAX, Line, Position, Tail};
use crate::transcript;

use super::World;

/// Bytes at the beginning of a transcript in which the folder is named where it began.
const START_BYTES_MAX: usize = 256 << 10;
/// Folders of one session that are remembered.
const FOLDERS_MAX: usize = 10_000;

/// The folders that the lines of a transcript name, in order and each once: the first alone, or
/// `all`, for which the whole file is read.
///
/// # Errors
/// When the file cannot be read.
pub fn of(transcript: &Path, all: bool) -> Result<Vec<String>> {
    let limit = if all { FOLDERS_MAX } else { 1 };
    read(transcript, 0, limit).map(|(folders, _)| folders)
}

/// Those that are named behind `offset`, which is the end of a line, and the end of the last whole
/// line.
///
/// # Errors
/// When the file cannot be read.
pub fn behind(transcript: &Path, offset: u64) -> Result<(Vec<String>, u64)> {
    read(transcript, offset, FOLDERS_MAX)
}

fn read(transcript: &Path, offset: u64, limit: usize) -> Result<(Vec<String>, u64)> {
    let what = || format!("read {}", transcript.display());
    let mut file = File::open(transcript).context(what)?;
    file.seek(SeekFrom::Start(offset)).context(what)?;
    let mut tail = Tail::new(file, Position { offset, ..Position::default() }, LINE_BYTES_MAX);
    let mut folders: Vec<String> = Vec::new();
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
    Ok((folders, tail.position().offset))
}

/// Whether the configuration says that a session is never uploaded: by its id, by any folder in
/// which a hook has seen it, or by that in which its transcript begins, which is all that is left
/// when it began in such a folder and went on elsewhere.
pub fn is_excluded(config: &Config, id: &SessionId, record: &Record, world: &World<'_>) -> bool {
    if config.exclude.is_empty() {
        return false;
    }
    let start = files::read_start(&record.transcript_path, START_BYTES_MAX).unwrap_or_default();
    let first = start.split(|byte| *byte == b'\n').find_map(|line| transcript::inspect(line).cwd);
    let folders = record.cwds.iter().map(String::as_str).chain([record.cwd.as_str()]);
    folders.chain(first.as_deref()).any(|cwd| config.excludes(id, Path::new(cwd), world.paths))
}

fn note(line: &[u8], folders: &mut Vec<String>) {
    let Some(cwd) = transcript::inspect(line).cwd.filter(|cwd| !cwd.is_empty()) else { return };
    // Most lines name the same folder as the one before.
    if !folders.iter().rev().any(|known| *known == *cwd) {
        folders.push(cwd.into_owned());
    }
}
