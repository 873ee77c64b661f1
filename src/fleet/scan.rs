//! What lies in Claude's folders: which sessions, in which project folder, and what their files
//! look like, without reading them.
//!
//! What a session looks like is one number: a hash of names, sizes, times and inodes of all its
//! files, so that remembering thousands of sessions costs some bytes each. It says nothing of the
//! folder, so that a session that was moved as it is looks the same.
//!
//! | file | belongs to |
//! |---|---|
//! | `<project>/<id>.jsonl` | the session `<id>` |
//! | anything below `<project>/<id>/subagents` that ends in `.jsonl` | the session `<id>` |
//! | `<project>/agent-*.jsonl` | the session that its first line names |

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::files::{self, SessionId, Stamp};
use crate::transcript;

/// Entries looked at in one folder.
const ENTRIES_MAX: usize = 200_000;
/// How deep folders of a session are looked into.
const DEPTH_MAX: usize = 6;
/// Bytes of the beginning of an old agent file in which its session is named.
const OWNER_BYTES_MAX: usize = 64 << 10;
/// Bytes of an id: 32 hexadecimal digits and 4 hyphens.
const ID_BYTES: usize = 36;

/// The id of a session as a number, which takes less memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u128);

/// What a session looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// See the module.
    pub hash: u64,
    /// Of all its files together.
    pub bytes: u64,
    /// When the latest of them was written, in seconds since 1970.
    pub modified: i64,
    /// Its transcript is there, and not only files of its agents.
    pub has_transcript: bool,
}

/// What is in one project folder.
#[derive(Debug, Default)]
pub struct Found {
    /// Its sessions.
    pub sessions: BTreeMap<Key, Looks>,
    /// There are agent files of the old layout, whose sessions only reading them tells.
    pub has_old_agents: bool,
    /// What could not be looked at.
    pub errors: Vec<Error>,
}

impl Key {
    /// The key of an id as Claude Code makes them; other names are not those of sessions.
    pub fn of(id: &str) -> Option<Key> {
        let bytes = id.as_bytes();
        if bytes.len() != ID_BYTES {
            return None;
        }
        let mut number = 0_u128;
        for (at, byte) in bytes.iter().enumerate() {
            let is_hyphen = matches!(at, 8 | 13 | 18 | 23);
            match byte {
                b'-' if is_hyphen => {}
                b'0'..=b'9' if !is_hyphen => number = number << 4 | u128::from(byte - b'0'),
                b'a'..=b'f' if !is_hyphen => number = number << 4 | u128::from(byte - b'a' + 10),
                _ => return None,
            }
        }
        Some(Key(number))
    }

    /// The id.
    pub fn id(self) -> SessionId {
        let hex = format!("{:032x}", self.0);
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        SessionId::new(&format!("{a}-{b}-{c}-{d}-{e}")).expect("hexadecimal digits and hyphens")
    }

    /// The key of the session whose transcript has this name.
    pub fn of_transcript(name: &OsStr) -> Option<Key> {
        Key::of(name.to_str()?.strip_suffix(".jsonl")?)
    }
}

impl Looks {
    /// Those of a session without files.
    pub const NONE: Looks = Looks { hash: 0, bytes: 0, modified: 0, has_transcript: false };

    fn add(&mut self, key: Key, name: &[u8], metadata: &Metadata) {
        let Stamp { inode, bytes, modified_nanos, .. } = Stamp::of(metadata);
        let numbers = [u128::from(inode), u128::from(bytes), modified_nanos as u128, key.0];
        let bytes_of = numbers.iter().flat_map(|number| number.to_le_bytes());
        // The order of names in a folder says nothing, so that files are added, not chained.
        self.hash = self.hash.wrapping_add(hash(name.iter().copied().chain(bytes_of)));
        self.bytes += bytes;
        self.modified = self.modified.max((modified_nanos / 1_000_000_000) as i64);
    }
}

/// The project folders below Claude's folders, each once however many names lead to it, and what
/// could not be looked at.
pub fn projects(roots: &[PathBuf]) -> (Vec<PathBuf>, Vec<Error>) {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    let mut seen = std::collections::BTreeSet::new();
    let mut is_new = |metadata: &Metadata| {
        let stamp = Stamp::of(metadata);
        metadata.is_dir() && seen.insert((stamp.device, stamp.inode))
    };
    for root in roots {
        match fs::metadata(root) {
            Ok(metadata) if is_new(&metadata) => {}
            Ok(_) => continue,
            Err(error) => {
                note(root, error, &mut errors);
                continue;
            }
        }
        let mut entries = entries(root, &mut errors);
        // What is really here comes before links to it: it goes by its own name.
        let is_link = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink());
        entries.sort_by_cached_key(|entry| (is_link(entry), entry.file_name()));
        for entry in entries {
            let path = entry.path();
            match fs::metadata(&path) {
                Ok(metadata) if is_new(&metadata) => found.push(path),
                Ok(_) => {}
                Err(error) => note(&path, error, &mut errors),
            }
        }
    }
    (found, errors)
}

/// All sessions in a project folder.
pub fn project(folder: &Path) -> Found {
    let mut found = Found::default();
    for entry in entries(folder, &mut found.errors) {
        let name = entry.file_name();
        let key = match kind_of(&name) {
            Some(Kind::Transcript(key) | Kind::Folder(key)) => key,
            Some(Kind::Agent) => {
                found.has_old_agents = true;
                let Some(key) = owner(&entry.path()) else { continue };
                key
            }
            None => continue,
        };
        let path = entry.path();
        match fs::metadata(&path) {
            Ok(metadata) => {
                let looks = found.sessions.entry(key).or_insert(Looks::NONE);
                add_entry(looks, key, &path, &metadata);
            }
            Err(error) => note(&path, error, &mut found.errors),
        }
    }
    found.sessions.retain(|_, looks| *looks != Looks::NONE);
    found
}

/// What one session looks like in a project folder; `None` when it has no files there. Old agent
/// files are looked for only where there may be some.
pub fn session(folder: &Path, key: Key, has_old_agents: bool) -> Option<Looks> {
    let id = key.id();
    let mut looks = Looks::NONE;
    for name in [format!("{id}.jsonl"), id.to_string()] {
        let path = folder.join(name);
        if let Ok(metadata) = fs::metadata(&path) {
            add_entry(&mut looks, key, &path, &metadata);
        }
    }
    if has_old_agents {
        for entry in entries(folder, &mut Vec::new()) {
            let path = entry.path();
            if matches!(kind_of(&entry.file_name()), Some(Kind::Agent))
                && owner(&path) == Some(key)
                && let Ok(metadata) = fs::metadata(&path)
            {
                add_entry(&mut looks, key, &path, &metadata);
            }
        }
    }
    (looks != Looks::NONE).then_some(looks)
}

/// The session that a path below a project folder belongs to, given as it is behind that folder.
pub fn session_of(folder: &Path, below: &Path) -> Option<Key> {
    let mut names = below.iter();
    let first = names.next()?;
    match kind_of(first)? {
        Kind::Folder(key) => Some(key),
        Kind::Transcript(key) if names.next().is_none() => Some(key),
        Kind::Agent if names.next().is_none() => owner(&folder.join(first)),
        Kind::Transcript(_) | Kind::Agent => None,
    }
}

enum Kind {
    Transcript(Key),
    Folder(Key),
    Agent,
}

fn kind_of(name: &OsStr) -> Option<Kind> {
    let text = name.to_str()?;
    let Some(stem) = text.strip_suffix(".jsonl") else { return Key::of(text).map(Kind::Folder) };
    if stem.starts_with("agent-") {
        return Some(Kind::Agent);
    }
    Key::of(stem).map(Kind::Transcript)
}

fn add_entry(looks: &mut Looks, key: Key, path: &Path, metadata: &Metadata) {
    let name = path.file_name().unwrap_or_default().as_bytes();
    if metadata.is_file() {
        looks.has_transcript |= Key::of_transcript(path.file_name().unwrap_or_default()).is_some();
        looks.add(key, name, metadata);
    } else if metadata.is_dir() {
        add_folder(looks, key, &path.join("subagents"), 0);
    }
}

/// Adds the files of agents below a folder. What cannot be looked at is for the engine to tell.
fn add_folder(looks: &mut Looks, key: Key, folder: &Path, depth: usize) {
    let entries = fs::read_dir(folder).into_iter().flatten().take(ENTRIES_MAX).flatten();
    for entry in entries {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() && depth < DEPTH_MAX {
            add_folder(looks, key, &path, depth + 1);
        } else if path.extension().is_some_and(|ending| ending == "jsonl")
            && let Ok(metadata) = fs::metadata(&path)
            && metadata.is_file()
        {
            looks.add(key, path.file_name().unwrap_or_default().as_bytes(), &metadata);
        }
    }
}

/// The session that the first line of an old agent file names.
fn owner(path: &Path) -> Option<Key> {
    let bytes = files::read_start(path, OWNER_BYTES_MAX).ok()?;
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    transcript::inspect(line).session_id.and_then(|id| Key::of(&id))
}

fn entries(folder: &Path, errors: &mut Vec<Error>) -> Vec<DirEntry> {
    let listed: io::Result<Vec<DirEntry>> =
        fs::read_dir(folder).and_then(|entries| entries.take(ENTRIES_MAX + 1).collect());
    let mut entries = match listed {
        Ok(entries) => entries,
        Err(error) => {
            note(folder, error, errors);
            return Vec::new();
        }
    };
    if entries.len() > ENTRIES_MAX {
        entries.pop();
        let what = format!("{} has more than {ENTRIES_MAX} entries", folder.display());
        errors.push(Error::new(what));
    }
    entries
}

fn note(path: &Path, error: io::Error, errors: &mut Vec<Error>) {
    if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        errors.push(Error::new(format!("look at {}", path.display())).caused_by(error));
    }
}

/// FNV-1a with its bits mixed at the end: the same in all versions, since it is kept on disk.
pub fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0f111111-1111-4111-8111-111111111111";
    const B: &str = "22222222-2222-4222-8222-222222222222";

    #[test]
    fn an_id_is_a_number_and_back() {
        for id in [A, B, "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(Key::of(id).unwrap().id().as_str(), id);
        }
        let upper = A.to_uppercase();
        let no_id = ["", "notes", &A[1..], &A.replace('-', "0"), &upper, "agent-1"];
        for text in no_id {
            assert_eq!(Key::of(text), None, "{text}");
        }
    }

    #[test]
    fn a_session_looks_the_same_from_wherever_it_is_looked_at() {
        let root = std::env::temp_dir().join(format!("confab-scan-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let (a, b) = (Key::of(A).unwrap(), Key::of(B).unwrap());
        let folder = root.join("p");
        write(&format!("p/{A}.jsonl"), "1\n");
        write(&format!("p/{A}/subagents/deep/agent-2.jsonl"), "12\n");
        write(&format!("p/{A}/tool-results/large.txt"), "12345\n");
        write("p/agent-1.jsonl", &format!("{{\"sessionId\":\"{B}\"}}\n"));
        write("p/notes.jsonl", "x\n");
        let found = project(&folder);
        assert_eq!(found.sessions.keys().copied().collect::<Vec<_>>(), [a, b]);
        assert!(found.has_old_agents && found.errors.is_empty());
        assert_eq!(found.sessions[&a].bytes, 5);
        assert!(found.sessions[&a].has_transcript && !found.sessions[&b].has_transcript);
        for key in [a, b] {
            assert_eq!(session(&folder, key, true), found.sessions.get(&key).copied());
        }
        // It moves as it is, and then it grows.
        fs::create_dir(root.join("q")).unwrap();
        fs::rename(folder.join(A), root.join("q").join(A)).unwrap();
        let name = format!("{A}.jsonl");
        fs::rename(folder.join(&name), root.join("q").join(&name)).unwrap();
        assert_eq!(session(&folder, a, true), None);
        assert_eq!(session(&root.join("q"), a, false), found.sessions.get(&a).copied());
        write(&format!("q/{A}/subagents/deep/agent-2.jsonl"), "123\n");
        let grown = session(&root.join("q"), a, false).unwrap();
        assert_ne!(grown.hash, found.sessions[&a].hash);
        let cases = [
            (format!("{A}.jsonl"), Some(a)),
            (A.to_owned(), Some(a)),
            (format!("{A}/subagents/x/y.jsonl"), Some(a)),
            ("agent-1.jsonl".to_owned(), Some(b)),
            ("agent-9.jsonl".to_owned(), None),
            (format!("{A}.jsonl/x"), None),
            ("notes.jsonl".to_owned(), None),
        ];
        for (path, expected) in cases {
            assert_eq!(session_of(&folder, Path::new(&path)), expected, "{path}");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
