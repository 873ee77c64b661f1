//! Which session a summary belongs to: Claude Code wrote summaries of earlier sessions into later
//! ones, with the uuid of the last message that they cover.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;

use crate::files::SessionId;
use crate::transcript;

/// Transcripts looked at for one summary.
const TRANSCRIPTS_MAX: usize = 10_000;
/// Lines at the end of a transcript that may be the one.
const LINES_MAX: usize = 10;
/// Bytes at the end of a transcript that are read, unless so many lines are in less.
const END_BYTES_MAX: u64 = 256 << 10;
/// Bytes that are read first.
const END_BYTES: u64 = 16 << 10;

/// For each of these uuids the session, other than that of `transcript`, in whose last lines in the
/// same folder one has it. All of them are looked for at once: a folder may have thousands of
/// transcripts.
pub fn sessions_of_lines(transcript: &Path, uuids: &[String]) -> Vec<Option<String>> {
    let mut found = vec![None; uuids.len()];
    if uuids.is_empty() {
        return found;
    }
    let searched: Vec<Finder<'_>> = uuids.iter().map(Finder::new).collect();
    for (path, id) in neighbours(transcript) {
        let Some(end) = last_lines(&path) else { continue };
        for (uuid, session) in searched.iter().zip(&mut found) {
            if session.is_none() && has_line(&end, uuid) {
                *session = Some(id.to_string());
            }
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found
}

/// The other sessions with a transcript in the same folder, by name.
fn neighbours(transcript: &Path) -> Vec<(PathBuf, SessionId)> {
    let entries = transcript.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let mut paths: Vec<_> = entries
        .into_iter()
        .flat_map(|entries| entries.take(TRANSCRIPTS_MAX).flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .filter(|path| path != transcript)
        .filter_map(|path| {
            let stem = path.file_stem()?.to_str()?;
            let id = SessionId::new(stem).filter(|_| !stem.starts_with("agent-"))?;
            Some((path, id))
        })
        .collect();
    paths.sort_by(|one, other| one.0.cmp(&other.0));
    paths
}

fn has_line(end: &[u8], uuid: &Finder<'_>) -> bool {
    uuid.find(end).is_some()
        && end
            .rsplit(|byte| *byte == b'\n')
            .take(LINES_MAX + 1)
            .filter_map(|line| transcript::inspect(line).uuid)
            .any(|found| found.as_bytes() == uuid.needle())
}

/// The last lines of a file, and more; what is before the largest end is left out.
fn last_lines(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut bytes = Vec::new();
    let mut end = END_BYTES;
    loop {
        let taken = length.min(end);
        bytes.resize(usize::try_from(taken).ok()?, 0);
        file.read_exact_at(&mut bytes, length - taken).ok()?;
        let is_whole = taken == length || end >= END_BYTES_MAX;
        if is_whole || memchr::memchr_iter(b'\n', &bytes).count() > LINES_MAX {
            return Some(bytes);
        }
        end *= 4;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const UUIDS: [&str; 4] = ["u-first", "u-tenth", "u-eleventh", "u-nowhere"];

    /// A transcript with these lines, each with so much text.
    fn write(path: PathBuf, uuids: &[&str], text_bytes: usize) {
        let text = "x".repeat(text_bytes);
        let line = |uuid: &&str| format!("{{\"uuid\":\"{uuid}\",\"text\":\"{text}\"}}\n");
        fs::write(path, uuids.iter().map(line).collect::<String>()).unwrap();
    }

    #[test]
    fn a_summary_belongs_to_the_session_that_ends_with_its_line() {
        let folder = std::env::temp_dir().join(format!("confab-links-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let id = |number| format!("00000000-0000-4000-8000-00000000000{number}");
        let path = |number| folder.join(format!("{}.jsonl", id(number)));
        let eleven =
            ["u-eleventh", "u-tenth", "9", "8", "7", "6", "5", "4", "3", "u-second", "last"];
        for text_bytes in [1, 1_000, 5_000, 20_000] {
            write(path(1), &eleven, text_bytes);
            for number in [2, 3] {
                write(path(number), &["u-first"], text_bytes);
            }
            // Those that are no other session.
            write(path(0), &UUIDS, text_bytes);
            for name in ["agent-1.jsonl", "a name.jsonl", "00000000-0000-4000-8000-000000000004"] {
                write(folder.join(name), &UUIDS, text_bytes);
            }
            let found = sessions_of_lines(&path(0), &UUIDS.map(String::from));
            assert_eq!(found, [Some(id(2)), Some(id(1)), None, None], "{text_bytes}");
        }
        assert_eq!(sessions_of_lines(&path(0), &[]), []);
        fs::remove_dir_all(&folder).unwrap();
    }
}
