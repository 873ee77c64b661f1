//! The sessions of Claude Code on this machine, and which of them a word on the command line means.
//!
//! A session is a file `projects/*/<UUID>.jsonl` in one of Claude's folders; files of agents belong
//! to theirs. Nothing is opened here: names, sizes and times are all that is looked at. Links are
//! followed wherever they lead, and a folder that two names lead to is looked into once. The same
//! session in two places is the one that was written to last.
//!
//! Deliberately absent: folders below project folders. Claude Code keeps no transcript there.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::files::{Paths, SessionId, Stamp};

/// Entries looked at in one folder.
const ENTRIES_MAX: usize = 200_000;
/// Candidates that are named when a word is the beginning of several ids.
const CANDIDATES_MAX: usize = 8;
/// Characters of the shortest short id.
const SHORT_ID_CHARS_MIN: usize = 8;
/// Where a UUID has its hyphens.
const UUID_HYPHENS: [usize; 4] = [8, 13, 18, 23];
const UUID_BYTES: usize = 36;

/// A session whose transcript is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSession {
    /// Claude's id of it.
    pub id: SessionId,
    /// Where its transcript is.
    pub transcript: PathBuf,
    /// Size of the transcript.
    pub bytes: u64,
    /// When the transcript was written to last.
    pub modified: SystemTime,
}

/// All sessions of this machine.
#[derive(Debug, Default)]
pub struct LocalSessions {
    /// The sessions, those that were written to last first.
    pub sessions: Vec<LocalSession>,
    /// Folders and files that could not be looked at.
    pub errors: Vec<Error>,
}

/// The session that `word` means: its id, or the beginning of no other one's.
///
/// # Errors
/// When there is none, or when there are several, with a hint.
pub fn find(paths: &Paths, word: &str) -> Result<LocalSession> {
    all(paths).resolve(word).cloned()
}

/// Looks for all sessions.
pub fn all(paths: &Paths) -> LocalSessions {
    let mut walk = Walk::default();
    for claude in &paths.claude {
        for project in walk.entries(&claude.join("projects")) {
            walk.project(&project);
        }
    }
    let mut sessions: Vec<LocalSession> = walk.sessions.into_values().collect();
    // By id where times are equal, so that two runs print the same.
    sessions.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.id.cmp(&b.id)));
    LocalSessions { sessions, errors: walk.errors }
}

impl LocalSessions {
    /// The session that `word` means: its id, or the beginning of no other one's.
    ///
    /// # Errors
    /// When there is none, or when there are several, with a hint.
    pub fn resolve(&self, word: &str) -> Result<&LocalSession> {
        let word = word.to_ascii_lowercase();
        let begins = |session: &&LocalSession| {
            !word.is_empty() && session.id.as_str().to_ascii_lowercase().starts_with(&word)
        };
        let candidates: Vec<&LocalSession> = self.sessions.iter().filter(begins).collect();
        match candidates.as_slice() {
            [one] => Ok(one),
            [] => Err(self.unknown(&word)),
            several => Err(ambiguous(&word, several)),
        }
    }

    /// For each session, in order, how many characters of its id tell it from all others: at least
    /// eight, at most all.
    pub fn short_id_chars(&self) -> Vec<usize> {
        let mut sorted: Vec<(&str, usize)> =
            self.sessions.iter().enumerate().map(|(at, one)| (one.id.as_str(), at)).collect();
        sorted.sort_unstable();
        let mut chars = vec![SHORT_ID_CHARS_MIN; sorted.len()];
        for pair in sorted.windows(2) {
            let [(a, a_at), (b, b_at)] = *pair else { continue };
            let common = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
            for at in [a_at, b_at] {
                chars[at] = chars[at].max((common + 1).min(UUID_BYTES));
            }
        }
        chars
    }

    fn unknown(&self, word: &str) -> Error {
        let error = Error::new(format!("there is no session {word:?} on this machine"));
        match self.errors.first() {
            None => error.with_hint("confab list --all lists all sessions"),
            Some(trouble) => error.with_hint(format!("it may be hidden: {trouble}")),
        }
    }
}

fn ambiguous(word: &str, candidates: &[&LocalSession]) -> Error {
    let shown = candidates.iter().take(CANDIDATES_MAX).map(|session| session.id.as_str());
    let mut names = shown.collect::<Vec<_>>().join(", ");
    if candidates.len() > CANDIDATES_MAX {
        names += &format!(" and {} more", candidates.len() - CANDIDATES_MAX);
    }
    Error::new(format!("{word:?} is the beginning of {} session ids: {names}", candidates.len()))
        .with_hint("write more of the id; confab list shows how much is enough")
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

/// The id of the session whose transcript has this name.
fn session_id(path: &Path) -> Option<SessionId> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".jsonl")?;
    let is_right = |(at, byte): (usize, u8)| match UUID_HYPHENS.contains(&at) {
        true => byte == b'-',
        false => byte.is_ascii_hexdigit(),
    };
    let is_uuid = stem.len() == UUID_BYTES && stem.bytes().enumerate().all(is_right);
    SessionId::new(stem).filter(|_| is_uuid)
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
            transcript: PathBuf::new(),
            bytes: 0,
            modified: SystemTime::UNIX_EPOCH,
        }
    }

    fn sessions(ids: &[&str]) -> LocalSessions {
        let sessions = ids.iter().map(|id| session(id)).collect();
        LocalSessions { sessions, errors: Vec::new() }
    }

    const A: &str = "aaaaaaaa-1111-4111-8111-111111111111";
    const A2: &str = "aaaaaaaa-1111-4111-8111-211111111111";
    const B: &str = "bbbbbbbb-1111-4111-8111-111111111111";

    #[test]
    fn a_word_means_one_session_or_none() {
        let known = sessions(&[A, A2, B]);
        let cases = [
            (A, Some(A)),
            ("b", Some(B)),
            ("BBBBBBBB", Some(B)),
            ("aaaaaaaa-1111-4111-8111-2", Some(A2)),
            ("aaaaaaaa", None),
            ("", None),
            ("c", None),
            ("bbbbbbbb-1111-4111-8111-111111111111x", None),
        ];
        for (word, expected) in cases {
            let found = known.resolve(word).map(|one| one.id.to_string());
            assert_eq!(found.as_deref().ok(), expected, "{word}");
            assert!(found.is_ok() || found.unwrap_err().hint().is_some(), "{word}");
        }
        let error = known.resolve("aaaa").unwrap_err().to_string();
        assert!(error.contains(A) && error.contains(A2) && !error.contains(B), "{error}");
    }

    #[test]
    fn candidates_are_named_up_to_a_limit() {
        let ids: Vec<String> =
            (0..20).map(|n| format!("aaaaaaaa-1111-4111-8111-1111111111{n:02}")).collect();
        let known = sessions(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        let error = known.resolve("a").unwrap_err().to_string();
        assert!(error.contains("20 session ids") && error.ends_with("and 12 more"), "{error}");
    }

    #[test]
    fn every_short_id_means_its_session() {
        let known = sessions(&[A, B, A2]);
        let chars = known.short_id_chars();
        assert_eq!(chars, [25, 8, 25]);
        for (session, chars) in known.sessions.iter().zip(chars) {
            assert_eq!(known.resolve(&session.id.as_str()[..chars]).unwrap(), session);
        }
        assert_eq!(sessions(&[A]).short_id_chars(), [8]);
    }

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
        let found = all(&paths);
        let names: Vec<&str> = found.sessions.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(names, [B, A]);
        assert!(found.sessions[1].transcript.ends_with(format!("-work/{A}.jsonl")));
        assert_eq!(found.errors.len(), 1, "{:?}", found.errors);
        assert!(found.errors[0].to_string().contains("-loop"));
        fs::remove_dir_all(root).unwrap();
    }
}
