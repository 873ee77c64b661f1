//! Sessions that no hook announces: some versions of Claude Code begin with a throw-away id, warm
//! their agents up under it or write one summary, and go on under another id (seen in 1.0.128 and,
//! on `--resume`, in 2.0.77). Their few lines would be lost.
//!
//! Only what has no conversation of its own is taken: a transcript that is not there, is empty or
//! holds nothing but summaries, written while the announced session ran. A session that somebody
//! runs without our hooks is nobody's business here.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use log::info;

use crate::files::{self, SessionId};
use crate::state::{self, Launch};
use crate::time;
use crate::transcript;

use super::{Follower, World, pending};

/// Entries looked at in a project folder.
const ENTRIES_MAX: usize = 100_000;
/// Size of a transcript that may be nothing but summaries, and of what is read of an agent file.
const STUB_BYTES_MAX: usize = 64 << 10;
/// How long before the daemon Claude Code may have begun.
const EARLIER_MAX: Duration = Duration::from_secs(30);
/// Stray sessions of one session.
const STRAYS_MAX: usize = 64;

/// Delivers the stray sessions beside a session that has just been delivered whole.
pub fn deliver(world: &World<'_>, follower: &Follower, deadline: Instant) {
    let record = follower.record();
    let Some(project) = record.transcript_path.parent() else { return };
    let Some(started) = time::parse_rfc3339(&record.started_at) else { return };
    // Whom a hook has announced is in good hands.
    let announced = state::sessions(world.paths).unwrap_or_default();
    let strays = find(project, follower.id(), started - EARLIER_MAX);
    for id in strays.into_iter().filter(|id| announced.binary_search(id).is_err()) {
        // Two daemons may see the same stray. The lock decides; the other one finds it busy or,
        // later, that the backend has everything.
        let launch = Launch {
            transcript: project.join(format!("{id}.jsonl")),
            cwd: record.cwd.clone(),
            parent: None,
            id,
        };
        let delivery = pending::deliver_launch(world, &launch, deadline, &mut || false);
        info!("stray session {}: {delivery:?}", launch.id);
    }
}

fn find(project: &Path, own: &SessionId, since: SystemTime) -> BTreeSet<SessionId> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(project).into_iter().flatten().take(ENTRIES_MAX).flatten() {
        let name = entry.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".jsonl")) else {
            continue;
        };
        let is_new = entry.metadata().and_then(|metadata| metadata.modified());
        if !is_new.is_ok_and(|modified| modified >= since) {
            continue;
        }
        let id = match stem.starts_with("agent-") {
            true => owner(&entry.path()),
            // An empty transcript has nothing to deliver.
            false => SessionId::new(stem).filter(|_| has_lines(&entry.path())),
        };
        let stray = id.filter(|id| id != own && is_stub(&project.join(format!("{id}.jsonl"))));
        found.extend(stray);
        if found.len() >= STRAYS_MAX {
            break;
        }
    }
    found
}

/// The session that the first line of an agent file names.
fn owner(path: &Path) -> Option<SessionId> {
    let bytes = files::read_start(path, STUB_BYTES_MAX).ok()?;
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    transcript::inspect(line).session_id.and_then(|id| SessionId::new(&id))
}

fn has_lines(path: &Path) -> bool {
    files::read_start(path, STUB_BYTES_MAX).is_ok_and(|bytes| bytes.contains(&b'\n'))
}

/// True when there is no conversation in a transcript.
fn is_stub(path: &Path) -> bool {
    match files::read_bounded(path, STUB_BYTES_MAX) {
        Ok(bytes) => bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .all(|line| transcript::inspect(line).kind.is_some_and(|kind| kind == "summary")),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sessions_without_a_conversation_are_strays() {
        let folder = std::env::temp_dir().join(format!("confab-strays-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        let agent = |id: &str| format!("{{\"type\":\"user\",\"sessionId\":\"{id}\"}}\n");
        write("own.jsonl", "{\"type\":\"user\"}\n");
        write("agent-1.jsonl", &agent("own"));
        write("agent-2.jsonl", &agent("empty"));
        write("empty.jsonl", "");
        write("agent-3.jsonl", &agent("absent"));
        write("summary.jsonl", "{\"type\":\"summary\",\"summary\":\"x\"}\n");
        write("agent-4.jsonl", &agent("other"));
        write("other.jsonl", "{\"type\":\"summary\"}\n{\"type\":\"user\"}\n");
        write("nothing.jsonl", "");
        write("agent-5.jsonl", "{\"sessionId\":\"../x\"}\n");
        let own = SessionId::new("own").unwrap();
        let found = find(&folder, &own, SystemTime::UNIX_EPOCH);
        let names: Vec<&str> = found.iter().map(SessionId::as_str).collect();
        assert_eq!(names, ["absent", "empty", "summary"]);
        let later = SystemTime::now() + Duration::from_secs(60);
        assert!(find(&folder, &own, later).is_empty());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
