//! Which session a summary belongs to: Claude Code wrote summaries of earlier sessions into later
//! ones, with the uuid of the last message that they cover.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::files::SessionId;
use crate::transcript;

/// Transcripts looked at for one summary.
const TRANSCRIPTS_MAX: usize = 10_000;
/// Lines at the end of a transcript that may be the one.
const LINES_MAX: usize = 10;
/// Bytes at the end of a transcript that are read.
const END_BYTES_MAX: usize = 256 << 10;

/// The session, other than that of `transcript`, in whose last lines in the same folder one has
/// this uuid.
pub fn session_of_line(transcript: &Path, uuid: &str) -> Option<String> {
    let entries = std::fs::read_dir(transcript.parent()?).ok()?;
    let mut paths: Vec<_> = entries
        .take(TRANSCRIPTS_MAX)
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .filter(|path| path != transcript)
        .collect();
    paths.sort();
    let searched = memchr::memmem::Finder::new(uuid);
    paths.into_iter().find_map(|path| {
        let stem = path.file_stem()?.to_str()?;
        let id = SessionId::new(stem).filter(|_| !stem.starts_with("agent-"))?;
        let end = last_bytes(&path)?;
        searched.find(&end)?;
        let mut lines = end.rsplit(|byte| *byte == b'\n').take(LINES_MAX + 1);
        lines
            .any(|line| transcript::inspect(line).uuid.is_some_and(|found| found == uuid))
            .then(|| id.to_string())
    })
}

fn last_bytes(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let taken = length.min(END_BYTES_MAX as u64);
    let mut bytes = vec![0; usize::try_from(taken).ok()?];
    file.read_exact_at(&mut bytes, length - taken).ok()?;
    Some(bytes)
}
