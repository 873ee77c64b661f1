//! The sessions in Claude's folders, and what is known of each without reading it whole.
//!
//! Finding them costs a look at every folder and a `stat` of every file. A title costs two bounded
//! reads, and is asked for only where it is shown.

mod glance;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::files::{Paths, SessionId, Stamp};
use crate::state::{self, Kept, Loaded};

pub use glance::Glance;

/// Entries looked at in one folder.
const ENTRIES_MAX: usize = 200_000;
/// Bytes of the beginning of an id that is shown, unless two sessions share them.
const ID_BYTES_MIN: usize = 8;
/// Sessions that are named when an id fits several.
const CANDIDATES_SHOWN_MAX: usize = 10;

/// A session with a transcript on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSession {
    /// Claude's id.
    pub id: SessionId,
    /// Its main transcript.
    pub transcript: PathBuf,
    /// Bytes of it.
    pub bytes: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

/// How much of a session the backend has, as far as this machine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// This many bytes of the transcript.
    Bytes(u64),
    /// The backend has deleted it.
    Deleted,
    /// Nobody has sent it from here, or that was not noted.
    Unknown,
}

/// All sessions, the latest first, and what could not be looked at. A session that lies in several
/// folders counts once, where it was written last; a folder that two names lead to is looked into
/// once.
pub fn discover(paths: &Paths) -> (Vec<LocalSession>, Vec<Error>) {
    let mut walk = Walk::default();
    for claude in &paths.claude {
        for project in walk.entries(&claude.join("projects")) {
            walk.project(&project);
        }
    }
    let mut sessions: Vec<LocalSession> = walk.sessions.into_values().collect();
    // By id where times are equal, so that two runs print the same.
    sessions.sort_by(|one, other| {
        other.modified.cmp(&one.modified).then_with(|| one.id.cmp(&other.id))
    });
    (sessions, walk.errors)
}

/// The one session whose id begins like this.
///
/// # Errors
/// When there is none, or more than one.
pub fn find<'a>(sessions: &'a [LocalSession], start: &str) -> Result<&'a LocalSession> {
    let mut fitting: Vec<&LocalSession> =
        sessions.iter().filter(|session| session.id.as_str().starts_with(start)).collect();
    // A whole id may be the beginning of another one; it is the first of them then.
    fitting.sort_unstable_by_key(|session| session.id.as_str());
    let (Some(first), false) = (fitting.first(), start.is_empty()) else {
        let what = format!("there is no session {start} on this machine");
        return Err(Error::new(what).with_hint("confab list --all shows those that there are"));
    };
    if fitting.len() == 1 || first.id.as_str() == start {
        return Ok(first);
    }
    let shown = fitting.iter().take(CANDIDATES_SHOWN_MAX);
    let names: Vec<&str> = shown.map(|session| session.id.as_str()).collect();
    let what = format!("{start} is the beginning of {} sessions", fitting.len());
    Err(Error::new(what).with_hint(format!("type more of it: {}", names.join(", "))))
}

/// How many bytes of an id tell all of these apart, at least eight.
pub fn id_bytes(sessions: &[LocalSession]) -> usize {
    let mut ids: Vec<&str> = sessions.iter().map(|session| session.id.as_str()).collect();
    ids.sort_unstable();
    let common = |one: &str, other: &str| {
        one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
    };
    let longest = ids.windows(2).map(|pair| common(pair[0], pair[1])).max();
    longest.map_or(0, |bytes| bytes + 1).max(ID_BYTES_MIN)
}

/// Looks at the beginning and the end of a transcript.
///
/// # Errors
/// As opening and reading it.
pub fn glance(session: &LocalSession) -> io::Result<Glance> {
    glance::glance(&mut File::open(&session.transcript)?, session.bytes)
}

/// How much of a session was delivered, by its state or by what was noted when that was removed.
pub fn delivered(paths: &Paths, session: &LocalSession, noted: &HashMap<String, u64>) -> Delivered {
    if Kept::is_deleted(paths, &session.id) {
        return Delivered::Deleted;
    }
    if let Ok(Loaded::Ours(record)) = state::load(paths, &session.id) {
        let file = record.files.values().find(|file| file.path == session.transcript);
        return Delivered::Bytes(file.map_or(0, |file| file.byte_offset));
    }
    match noted.get(session.id.as_str()) {
        Some(bytes) => Delivered::Bytes(*bytes),
        None => Delivered::Unknown,
    }
}

#[derive(Default)]
struct Walk {
    sessions: BTreeMap<SessionId, LocalSession>,
    /// Folders that were looked into, by device and inode.
    seen: HashSet<(u64, u64)>,
    errors: Vec<Error>,
}

impl Walk {
    /// What is in a folder. One that is not there, is no folder, or was looked into is empty.
    fn entries(&mut self, folder: &Path) -> Vec<PathBuf> {
        let is_new = match fs::metadata(folder) {
            Ok(metadata) => metadata.is_dir() && self.is_new(&metadata),
            Err(error) => return self.failed(folder, error),
        };
        if !is_new {
            return Vec::new();
        }
        let listed: io::Result<Vec<fs::DirEntry>> =
            fs::read_dir(folder).and_then(|entries| entries.take(ENTRIES_MAX + 1).collect());
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => return self.failed(folder, error),
        };
        if entries.len() > ENTRIES_MAX {
            entries.pop();
            let what = format!("{} has more than {ENTRIES_MAX} entries", folder.display());
            self.errors.push(Error::new(what));
        }
        // What is really here comes before links to it: it goes by its own name.
        let is_link = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink());
        entries.sort_by_cached_key(|entry| (is_link(entry), entry.file_name()));
        entries.iter().map(fs::DirEntry::path).collect()
    }

    fn is_new(&mut self, metadata: &Metadata) -> bool {
        let stamp = Stamp::of(metadata);
        self.seen.insert((stamp.device, stamp.inode))
    }

    fn failed(&mut self, path: &Path, error: io::Error) -> Vec<PathBuf> {
        if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            self.errors.push(Error::new(format!("look at {}", path.display())).caused_by(error));
        }
        Vec::new()
    }

    fn project(&mut self, folder: &Path) {
        for path in self.entries(folder) {
            let Some(id) = session_id(&path) else { continue };
            let (bytes, modified) = match fs::metadata(&path).and_then(|found| looks(&found)) {
                Ok(Some(looks)) => looks,
                Ok(None) => continue,
                Err(error) => {
                    self.failed(&path, error);
                    continue;
                }
            };
            let session = LocalSession { id: id.clone(), transcript: path, bytes, modified };
            match self.sessions.get(&id) {
                Some(other) if other.modified >= modified => {}
                _ => drop(self.sessions.insert(id, session)),
            }
        }
    }
}

/// Size and time of a file; `None` when it is no file.
fn looks(metadata: &Metadata) -> io::Result<Option<(u64, SystemTime)>> {
    match metadata.is_file() {
        true => Ok(Some((metadata.len(), metadata.modified()?))),
        false => Ok(None),
    }
}

/// The id of the session whose transcript has this name. Sub-agents' files are no transcripts.
fn session_id(path: &Path) -> Option<SessionId> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".jsonl")?;
    SessionId::new(stem).filter(|_| is_uuid(stem))
}

/// Whether it is the form of a UUID.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Roots;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    fn session(id: &str) -> LocalSession {
        LocalSession {
            id: SessionId::new(id).unwrap(),
            transcript: format!("/p/{id}.jsonl").into(),
            bytes: 0,
            modified: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn ids_are_found_by_their_beginning() {
        let sessions = [session("aaaa1111-x"), session("aaaa1112-x"), session("bbbb")];
        assert_eq!(find(&sessions, "b").unwrap().id.as_str(), "bbbb");
        assert_eq!(find(&sessions, "aaaa1112").unwrap().id.as_str(), "aaaa1112-x");
        for (start, hint) in [("aaaa", "aaaa1111-x, aaaa1112-x"), ("c", "list"), ("", "list")] {
            let error = find(&sessions, start).unwrap_err();
            assert!(error.hint().unwrap().contains(hint), "{start}");
        }
        assert_eq!(id_bytes(&sessions), 8);
        assert_eq!(id_bytes(&[session("aaaa1111-x1"), session("aaaa1111-x2")]), 11);
        assert_eq!(id_bytes(&[]), 8);
    }

    #[test]
    fn only_uuids_are_sessions() {
        assert!(is_uuid("d380a1a0-a95f-417c-8c6e-6f4552758a8e"));
        for text in
            ["", "agent-0123456789abcdef0123456789abcd", "d380a1a0-a95f-417c-8c6e-6f4552758a8g"]
        {
            assert!(!is_uuid(text), "{text}");
        }
    }

    const A: &str = "aaaaaaaa-1111-4111-8111-111111111111";
    const A2: &str = "aaaaaaaa-1111-4111-8111-211111111111";
    const B: &str = "bbbbbbbb-1111-4111-8111-111111111111";

    /// Links to folders and files, loops, several folders of Claude, and what only looks alike.
    #[test]
    fn sessions_are_found_behind_links_and_once() {
        let root = std::env::temp_dir().join(format!("confab-sessions-{}", std::process::id()));
        let real = root.join("elsewhere/projects");
        fs::create_dir_all(real.join("-work")).unwrap();
        fs::create_dir_all(root.join(".claude")).unwrap();
        fs::create_dir_all(root.join("other/projects/-x")).unwrap();
        symlink(&real, root.join(".claude/projects")).unwrap();
        symlink("-work", real.join("-alias")).unwrap();
        symlink("..", real.join("-up")).unwrap();
        symlink("-loop", real.join("-loop")).unwrap();
        symlink("nowhere", real.join("-broken")).unwrap();
        fs::create_dir_all(real.join("-work").join(A).join("subagents")).unwrap();
        let write = |path: &str, age: u64| {
            fs::write(root.join(path), "{}\n").unwrap();
            let file = fs::File::options().append(true).open(root.join(path)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age)).unwrap();
        };
        write(&format!("elsewhere/projects/-work/{A}.jsonl"), 3);
        write(&format!("other/projects/-x/{A}.jsonl"), 9);
        write(&format!("elsewhere/projects/-work/{A}/subagents/agent-1.jsonl"), 1);
        write(&format!("elsewhere/projects/-work/{A2}.jsonl.superseded-1"), 1);
        write("elsewhere/projects/-work/agent-aaaaaaaa-1111-4111-8111-11111111.jsonl", 1);
        write("elsewhere/projects/-work/aaaaaaaaa1111-4111-8111-1111111111111.jsonl", 1);
        write("elsewhere/projects/notes.txt", 1);
        write(&format!("elsewhere/{B}.txt"), 1);
        symlink(root.join(format!("elsewhere/{B}.txt")), real.join(format!("-work/{B}.jsonl")))
            .unwrap();
        fs::create_dir(real.join(format!("-work/{A2}.jsonl"))).unwrap();
        let paths = Paths::new(Roots {
            home: root.clone(),
            claude_config_dir: Some(root.join("other")),
            ..Roots::default()
        });
        let (found, errors) = discover(&paths);
        let names: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(names, [B, A]);
        assert!(found[1].transcript.ends_with(format!("-work/{A}.jsonl")));
        assert_eq!(errors.len(), 1, "{:?}", errors);
        assert!(errors[0].to_string().contains("-loop"));
        fs::remove_dir_all(root).unwrap();
    }
}
