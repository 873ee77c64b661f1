//! How much the agents of sessions have written: their files belong to the session.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::cli::sessions::LocalSession;
use crate::files::{self, SessionId};
use crate::transcript;

/// Entries looked at in one folder.
const ENTRIES_MAX: usize = 200_000;
/// How deep folders below `subagents` are looked into.
const DEPTH_MAX: usize = 4;
/// Folders looked into for one session.
const FOLDERS_MAX: usize = 1000;
/// Bytes at the beginning of an old agent file in which its session is named.
const OWNER_BYTES_MAX: usize = 16 << 10;

/// Bytes of the agents' files of these sessions; those without are left out. Opens what old
/// versions of Claude Code have left beside transcripts, once each, for the session that it names.
pub fn bytes<'a>(
    sessions: impl Iterator<Item = &'a LocalSession> + Clone,
) -> BTreeMap<SessionId, u64> {
    let mut bytes = BTreeMap::new();
    let projects: BTreeSet<&Path> =
        sessions.clone().filter_map(|session| session.transcript.parent()).collect();
    let mut folders = BTreeSet::new();
    for project in projects {
        for entry in fs::read_dir(project).into_iter().flatten().take(ENTRIES_MAX).flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("agent-") && name.ends_with(".jsonl") {
                // A pipe of such a name must not be waited for.
                let metadata = entry.metadata().ok().filter(fs::Metadata::is_file);
                let owner = metadata.as_ref().and_then(|_| owner(&entry.path()));
                if let (Some(metadata), Some(owner)) = (metadata, owner) {
                    *bytes.entry(owner).or_default() += metadata.len();
                }
            } else if !name.ends_with(".jsonl") {
                folders.insert(entry.path());
            }
        }
    }
    for session in sessions {
        let folder = session.transcript.with_extension("");
        if folders.contains(&folder) {
            *bytes.entry(session.id.clone()).or_default() += below(&folder.join("subagents"));
        }
    }
    bytes
}

/// Bytes of all JSONL files below a folder.
fn below(folder: &Path) -> u64 {
    let mut folders = vec![(folder.to_owned(), 0)];
    let (mut bytes, mut n_folders) = (0, 0);
    while let Some((folder, depth)) = folders.pop() {
        n_folders += 1;
        if n_folders > FOLDERS_MAX {
            break;
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().take(ENTRIES_MAX).flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let path = entry.path();
            if metadata.is_dir() && depth < DEPTH_MAX {
                folders.push((path, depth + 1));
            } else if metadata.is_file() && path.extension().is_some_and(|it| it == "jsonl") {
                bytes += metadata.len();
            }
        }
    }
    bytes
}

/// The session that the first line of an agent file names.
fn owner(path: &Path) -> Option<SessionId> {
    let start = files::read_start(path, OWNER_BYTES_MAX).ok()?;
    let line = start.split(|byte| *byte == b'\n').next()?;
    SessionId::new(&transcript::inspect(line).session_id?)
}
