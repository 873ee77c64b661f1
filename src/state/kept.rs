//! What must be remembered of a session once its state is gone: that the backend deleted it, so
//! that the next prompt does not bring it back, and how lines of server and file relate where they
//! differ. What was sent of its files lies beside it, see `lines`.
//!
//! It is not remembered for ever: [`clear`] bounds it by age and by number.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};
use crate::files::{self, Paths, SessionId};
use crate::state::{FileRecord, delivered, lines};

const VERSION: u32 = 1;
const KEPT_BYTES_MAX: usize = 1 << 20;
/// Entries looked at in one listing.
const ENTRIES_MAX: usize = 100_000;
/// How long what is not touched is kept: Claude Code deletes transcripts after thirty days.
const KEPT_TIME_MAX: Duration = Duration::from_secs(60 * 24 * 3600);
/// Time between two clearings: each looks at all files there are.
const CLEAR_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Notes of sent lines that are kept, of the newest ones: a session has one for each of its files.
const SENT_FILES_MAX: usize = 20_000;

/// A session's entry in `~/.confab/kept`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Of the format; set on writing.
    pub version: u32,
    /// When the backend was found to have deleted the session, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
    /// Where the transcript of a deleted session was: a folder, perhaps, that only a watch knows.
    #[serde(skip_serializing_if = "super::is_default")]
    pub transcript_path: PathBuf,
    /// The backend's id of the session that `files` are of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confab_session_id: Option<String>,
    /// Files whose lines are numbered differently here and there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileRecord>,
}

impl Kept {
    /// What is remembered of a session; nothing when the entry is missing or damaged.
    pub fn load(paths: &Paths, id: &SessionId) -> Kept {
        files::read_bounded(&path(paths, id), KEPT_BYTES_MAX)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok())
            .filter(|kept| kept.version == VERSION)
            .unwrap_or_default()
    }

    /// True when the backend deleted this session. Cheap enough for a hook: one failing `open`.
    pub fn is_deleted(paths: &Paths, id: &SessionId) -> bool {
        Kept::load(paths, id).deleted_at.is_some()
    }

    /// The sessions that the backend has deleted, in order.
    pub fn deleted(paths: &Paths) -> Vec<SessionId> {
        let entries = std::fs::read_dir(&paths.kept).into_iter().flatten().take(ENTRIES_MAX);
        let mut ids: Vec<SessionId> = entries
            .flatten()
            .filter_map(|entry| SessionId::new(entry.file_name().to_str()?.strip_suffix(".json")?))
            .filter(|id| Kept::is_deleted(paths, id))
            .collect();
        ids.sort();
        ids
    }

    /// Writes the entry, or removes it when there is nothing to remember.
    ///
    /// # Errors
    /// As the system calls.
    pub fn save(&self, paths: &Paths, id: &SessionId) -> Result<()> {
        let path = path(paths, id);
        let what = || format!("write {}", path.display());
        if self.deleted_at.is_none() && self.files.is_empty() {
            return files::remove_if_present(&path).context(what);
        }
        let written = || -> io::Result<()> {
            files::private_folder(&paths.kept)?;
            let entry = Kept { version: VERSION, ..self.clone() };
            files::replace(&path, &serde_json::to_vec_pretty(&entry)?)
        };
        written().context(what)
    }
}

/// Clears away what is too old to be needed, and the oldest of what is too much, once a day. That a
/// session was deleted is remembered for as long as its transcript is where it was, or
/// `has_transcript` says that it could come back.
///
/// # Errors
/// As the system calls.
pub fn clear(
    paths: &Paths,
    now: SystemTime,
    has_transcript: &dyn Fn(&SessionId) -> bool,
) -> io::Result<()> {
    if !is_time(paths, now)? {
        return Ok(());
    }
    let mut sent = Vec::new();
    for name in lines::names(&paths.kept) {
        let path = paths.kept.join(&name);
        let Ok(modified) = std::fs::metadata(&path).and_then(|metadata| metadata.modified()) else {
            continue;
        };
        // A time in the future says nothing; it will have come one day.
        let age = now.duration_since(modified).unwrap_or_default();
        if name.ends_with(lines::ENDING) {
            sent.push((age, path));
        } else if age > KEPT_TIME_MAX && is_to_go(paths, &name, has_transcript) {
            files::remove_if_present(&path)?;
        }
    }
    sent.sort();
    let mut sent = sent.into_iter().enumerate();
    sent.try_for_each(|(place, (age, path))| match age > KEPT_TIME_MAX || place >= SENT_FILES_MAX {
        true => files::remove_if_present(&path),
        false => Ok(()),
    })
}

/// Whether the last clearing was a day ago; if so, this is the next one.
fn is_time(paths: &Paths, now: SystemTime) -> io::Result<bool> {
    let file = match files::private_file().append(true).open(paths.kept.join(delivered::LOCK)) {
        // It is made once a session was delivered.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        file => file?,
    };
    // A time in the future says nothing.
    let age = now.duration_since(file.metadata()?.modified()?);
    if age.is_ok_and(|age| age < CLEAR_INTERVAL) {
        return Ok(false);
    }
    file.set_modified(now).map(|()| true)
}

/// Whether an old file in the folder is one that goes with its age.
fn is_to_go(paths: &Paths, name: &str, has_transcript: &dyn Fn(&SessionId) -> bool) -> bool {
    if name.starts_with('.') {
        // What a process was writing when it was killed.
        return Path::new(name).extension().is_some_and(|ending| ending == "tmp");
    }
    let id = name.strip_suffix(".json").and_then(SessionId::new);
    id.is_some_and(|id| {
        let Kept { deleted_at, transcript_path, .. } = Kept::load(paths, &id);
        deleted_at.is_none() || !(transcript_path.exists() || has_transcript(&id))
    })
}

fn path(paths: &Paths, id: &SessionId) -> PathBuf {
    paths.kept.join(format!("{id}.json"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::state::{Attempt, SentLines, finish, try_lock};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// What is left of these files of these ages after a clearing.
    fn cleared(name: &str, files: &[(&str, &str, Duration)]) -> Vec<String> {
        let home = std::env::temp_dir().join(format!("confab-kept-{}-{name}", std::process::id()));
        let paths = Paths::new(files::Roots { home: home.clone(), ..files::Roots::default() });
        std::fs::create_dir_all(&paths.kept).unwrap();
        let now = SystemTime::UNIX_EPOCH + 1000 * DAY;
        for (name, text, age) in files {
            let mut out =
                files::private_file().write(true).create(true).open(paths.kept.join(name)).unwrap();
            out.write_all(text.as_bytes()).unwrap();
            out.set_modified(now - *age).unwrap();
        }
        let lock = paths.kept.join(delivered::LOCK);
        let lock =
            files::private_file().write(true).create(true).truncate(true).open(lock).unwrap();
        lock.set_modified(now - DAY).unwrap();
        clear(&paths, now, &|id| id.as_str() == "there").unwrap();
        // Another one on the same day finds nothing to do; on the next day it does.
        let late = paths.kept.join(".late.json.1.tmp");
        let mut file = files::private_file().write(true).create(true).open(&late).unwrap();
        file.write_all(b"{").unwrap();
        file.set_modified(now - 61 * DAY).unwrap();
        clear(&paths, now + DAY / 2, &|id| id.as_str() == "there").unwrap();
        assert!(late.exists());
        clear(&paths, now + DAY, &|id| id.as_str() == "there").unwrap();
        assert!(!late.exists());
        let mut left: Vec<String> = lines::names(&paths.kept).collect();
        left.retain(|name| name != delivered::LOCK);
        left.sort();
        std::fs::remove_dir_all(&home).unwrap();
        left
    }

    #[test]
    fn what_is_kept_goes_with_its_age() {
        let deleted = r#"{"version":1,"deleted_at":"2026-01-01T00:00:00Z"}"#;
        let differs = r#"{"version":1,"files":{"a.jsonl":{}}}"#;
        let (old, young) = (61 * DAY, 58 * DAY);
        let there = std::env::current_exe().unwrap();
        let elsewhere = Kept {
            version: VERSION,
            deleted_at: Some("x".into()),
            transcript_path: there,
            ..Kept::default()
        };
        let elsewhere = serde_json::to_string(&elsewhere).unwrap();
        let left = cleared(
            "age",
            &[
                ("there.0.sent", "", young),
                ("there.1.sent", "", old),
                ("gone.0.sent", "", young),
                ("there.json", deleted, old),
                ("gone.json", deleted, old),
                ("elsewhere.json", &elsewhere, old),
                ("young.json", deleted, young),
                ("differs.json", differs, old),
                ("damaged.json", "{", old),
                (".gone.json.7.tmp", "{", old),
                (".gone.json.8.tmp", "{", young),
                ("delivered.jsonl", "", old),
                ("notes of the user.txt", "", old),
            ],
        );
        let expected = [
            ".gone.json.8.tmp",
            "delivered.jsonl",
            "elsewhere.json",
            "gone.0.sent",
            "notes of the user.txt",
            "there.0.sent",
            "there.json",
            "young.json",
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let names: Vec<String> =
            (0..SENT_FILES_MAX + 3).map(|n| format!("s.{n:06}.sent")).collect();
        let seconds = |n: usize| Duration::from_secs(n as u64);
        let files: Vec<_> =
            names.iter().enumerate().map(|(n, name)| (name.as_str(), "", seconds(n))).collect();
        assert_eq!(cleared("number", &files), names[..SENT_FILES_MAX]);
    }

    #[test]
    fn what_was_sent_survives_delivery_and_is_taken_up() {
        let home = std::env::temp_dir().join(format!("confab-kept-{}-sent", std::process::id()));
        let paths = Paths::new(files::Roots { home: home.clone(), ..files::Roots::default() });
        let [id, other] = ["a", "a-b"].map(|id| SessionId::new(id).unwrap());
        std::fs::create_dir_all(&paths.sync).unwrap();
        let sent = SentLines::new(&paths, &id, "b", "a.jsonl");
        sent.append(0, 0, &[7, 8, 9]).unwrap();
        SentLines::new(&paths, &other, "b", "a.jsonl").append(0, 0, &[7]).unwrap();
        // However a session ends, also one of which nobody knows where its transcript is.
        let Attempt::Taken(lock) = try_lock(&paths, &id).unwrap() else { panic!("nobody else") };
        assert!(finish(&paths, &id, lock, u64::MAX).unwrap().is_none());
        assert_eq!(sent.count(), 0);
        sent.take_up();
        assert_eq!((sent.count(), lines::names(&paths.kept).count()), (3, 0));
        lines::forget_sent(&paths, &id).unwrap();
        assert_eq!((sent.count(), lines::names(&paths.sync).count()), (0, 1));
        std::fs::remove_dir_all(&home).unwrap();
    }
}
