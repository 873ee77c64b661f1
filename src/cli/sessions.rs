//! The sessions in Claude's folders, and what is known of each without reading it whole.
//!
//! Finding them costs a look at every folder and a `stat` of every file. A title costs two bounded
//! reads, and is asked for only where it is shown.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::files::{self, Paths, SessionId};
use crate::state::{self, Kept, Loaded};
use crate::transcript;

/// Project folders below one of Claude's folders.
const PROJECTS_MAX: usize = 100_000;
/// Files of one project folder.
const FILES_MAX: usize = 1_000_000;
/// Bytes of the beginning of a transcript that are read for title and folder.
const START_BYTES_MAX: usize = 64 << 10;
/// Bytes of its end, where a title that was given later stands.
const END_BYTES_MAX: u64 = 64 << 10;
/// Bytes of a title.
const TITLE_BYTES_MAX: usize = 200;
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

/// What a look into a transcript tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// What the user called it, a summary, or the first message.
    pub title: Option<String>,
    /// Folder in which it began.
    pub cwd: Option<String>,
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

/// All sessions, the latest first, and what could not be read. A session that lies in several
/// folders counts once, where it was written last.
pub fn discover(paths: &Paths) -> (Vec<LocalSession>, Vec<Error>) {
    let mut found: HashMap<SessionId, LocalSession> = HashMap::new();
    let mut problems = Vec::new();
    for root in &paths.claude {
        let projects = root.join("projects");
        for folder in entries(&projects, PROJECTS_MAX, &mut problems) {
            // What is no folder holds no sessions; links are followed, one level deep.
            if !folder.is_dir() {
                continue;
            }
            for path in entries(&folder, FILES_MAX, &mut problems) {
                let Some(session) = session_at(path) else { continue };
                let known = found.get(&session.id);
                if known.is_none_or(|known| known.modified < session.modified) {
                    found.insert(session.id.clone(), session);
                }
            }
        }
    }
    let mut sessions: Vec<LocalSession> = found.into_values().collect();
    sessions.sort_by(|one, other| {
        other.modified.cmp(&one.modified).then_with(|| one.id.cmp(&other.id))
    });
    (sessions, problems)
}

/// The one session whose id begins like this.
///
/// # Errors
/// When there is none, or more than one.
pub fn find<'a>(sessions: &'a [LocalSession], start: &str) -> Result<&'a LocalSession> {
    let mut fitting = sessions.iter().filter(|session| session.id.as_str().starts_with(start));
    let (Some(first), false) = (fitting.next(), start.is_empty()) else {
        let what = format!("there is no session {start} on this machine");
        return Err(Error::new(what).with_hint("confab list --all shows those that there are"));
    };
    let others: Vec<&str> = fitting.map(|session| session.id.as_str()).collect();
    // A whole id may be the beginning of another one.
    if others.is_empty() || first.id.as_str() == start {
        return Ok(first);
    }
    let shown = others.iter().take(CANDIDATES_SHOWN_MAX - 1).copied();
    let names: Vec<&str> = std::iter::once(first.id.as_str()).chain(shown).collect();
    let what = format!("{start} is the beginning of {} sessions", others.len() + 1);
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
    let start = files::read_start(&session.transcript, START_BYTES_MAX)?;
    let end = files::read_end(&session.transcript, END_BYTES_MAX)?;
    Ok(glance_at(&start, &end))
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

/// The entries of a folder. One that is not there has none; one that cannot be read is told.
fn entries(folder: &Path, entries_max: usize, problems: &mut Vec<Error>) -> Vec<PathBuf> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.take(entries_max).flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let what = format!("look into {}", folder.display());
            problems.push(Error::new(what).caused_by(error));
            Vec::new()
        }
    }
}

/// A file that is called like a session: `UUID.jsonl`. Sub-agents' files are not.
fn session_at(path: PathBuf) -> Option<LocalSession> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".jsonl")?;
    if !is_uuid(stem) {
        return None;
    }
    let id = SessionId::new(stem)?;
    let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Some(LocalSession { id, transcript: path, bytes: metadata.len(), modified })
}

/// Whether it is the form of a UUID.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn glance_at(start: &[u8], end: &[u8]) -> Glance {
    let (mut first, mut summary, mut given, mut cwd) = (None, None, None, None);
    for line in start.split(|byte| *byte == b'\n') {
        let facts = transcript::inspect(line);
        cwd = cwd.or_else(|| facts.cwd.map(|cwd| cwd.into_owned()));
        // A summary of another session may lead a file, so the last one counts.
        summary = facts.summary.map(|text| text.into_owned()).or(summary);
        first = first.or_else(|| transcript::user_text(line));
    }
    // The first line of the end is cut as a rule, and then tells nothing.
    for line in end.split(|byte| *byte == b'\n') {
        given = custom_title(line).or(given);
        let facts = transcript::inspect(line);
        summary = facts.summary.map(|text| text.into_owned()).or(summary);
    }
    let title = given.or(summary.map(title_of)).or(first).map(|text| transcript::sanitise(&text));
    let title = title.map(|text| plain(&transcript::truncate(&text, TITLE_BYTES_MAX)));
    Glance { title: title.filter(|title| !title.is_empty()), cwd }
}

/// `{"type":"custom-title","customTitle":"…"}`, written when the user names a session.
fn custom_title(line: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"\"customTitle\"";
    memchr::memmem::find(line, KEY)?;
    let value: Value = serde_json::from_slice(line).ok()?;
    let title = value.get("customTitle")?.as_str()?;
    (value.get("type")? == "custom-title").then(|| title.to_owned())
}

/// Some versions write `{"title": "…"}` as a summary.
fn title_of(summary: String) -> String {
    let value: Option<Value> = serde_json::from_str(&summary).ok();
    let title = value.as_ref().and_then(|value| value.get("title")?.as_str());
    title.map(str::to_owned).unwrap_or(summary)
}

/// Without what moves a terminal's cursor or turns the direction of writing.
fn plain(text: &str) -> String {
    let is_shown = |character: &char| {
        !character.is_control()
            && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().filter(is_shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn titles_are_those_that_were_given_last() {
        let user = r#"{"type":"user","cwd":"/w","message":{"content":"do <b>it</b>\u001b[2J"}}"#;
        let summary = r#"{"type":"summary","summary":"about it"}"#;
        let custom = r#"{"type":"custom-title","customTitle":"mine"}"#;
        let cases = [
            (format!("{user}\n"), String::new(), Some("do it[2J")),
            (format!("{summary}\n{user}\n"), String::new(), Some("about it")),
            (format!("{summary}\n{user}\n"), format!("ut\"}}\n{custom}\n"), Some("mine")),
            (String::new(), String::new(), None),
            ("not json\n".into(), "{\"customTitle\":1}\n".into(), None),
        ];
        for (start, end, expected) in cases {
            let glance = glance_at(start.as_bytes(), end.as_bytes());
            assert_eq!(glance.title.as_deref(), expected, "{start}");
            assert_eq!(glance.cwd.is_some(), start.contains("/w"));
        }
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
}
