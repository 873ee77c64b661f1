//! How much of a session the backend has: by our own records while a session is not fully
//! delivered, else by what the backend says when it is asked.
//!
//! Records are exact and go when everything was acknowledged. A list from the backend counts its
//! own lines, which ours can only be compared with by reading whole files; so the time of the last
//! message decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::Serialize;

use crate::error::{Context, Result};
use crate::files::{Paths, SessionId};
use crate::remote::SESSIONS_MAX;
use crate::state::{self, FileRecord, Kept, Loaded};
use crate::time;
use crate::wire::{PROVIDER, SessionEntry};

/// How much the backend has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Has {
    /// Everything; where the backend was asked, up to the last message.
    All,
    /// Not everything.
    Part,
    /// Something; it does not say whether that is all.
    Some,
    /// Nothing.
    None,
    /// It has deleted the session, which is not sent any more.
    Deleted,
    /// The configuration says that it never gets it.
    Excluded,
    /// Nobody knows.
    Unknown,
}

/// What is known of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Known {
    /// How much the backend has.
    pub has: Has,
    /// Bytes of the local files that it has acknowledged, where our records tell.
    pub bytes: Option<u64>,
    /// Lines that it has, of all files.
    pub lines: Option<u64>,
    /// A daemon follows it.
    pub followed: bool,
}

/// What the backend has said.
#[derive(Debug, Default)]
pub struct Remote {
    sessions: BTreeMap<String, SessionEntry>,
    /// What it does not name, it does not have.
    is_complete: bool,
}

/// What this machine remembers.
#[derive(Debug)]
pub struct Records {
    with_state: BTreeSet<SessionId>,
    deleted: BTreeSet<SessionId>,
}

impl Known {
    /// Nothing is known.
    pub const NOTHING: Known =
        Known { has: Has::Unknown, bytes: None, lines: None, followed: false };
}

impl Remote {
    /// Reads a backend's answer.
    pub fn new(sessions: Vec<SessionEntry>) -> Remote {
        let is_complete = sessions.len() < SESSIONS_MAX;
        let ours = sessions.into_iter().filter(|entry| entry.provider == PROVIDER);
        let by_id = ours.map(|entry| (entry.external_id.clone(), entry));
        Remote { sessions: by_id.collect(), is_complete }
    }

    /// What it says of a session whose last message was written then.
    pub fn of(&self, id: &SessionId, last_message: Option<SystemTime>) -> Known {
        let Some(entry) = self.sessions.get(id.as_str()) else {
            let has = if self.is_complete { Has::None } else { Has::Unknown };
            return Known { has, ..Known::NOTHING };
        };
        let theirs = entry.last_message_at.as_deref().and_then(time::parse_rfc3339);
        let has = match (theirs, last_message) {
            _ if entry.total_lines == 0 => Has::None,
            (Some(theirs), Some(ours)) if theirs >= ours => Has::All,
            (Some(_), Some(_)) => Has::Part,
            _ => Has::Some,
        };
        Known { has, lines: Some(entry.total_lines), ..Known::NOTHING }
    }
}

impl Records {
    /// Looks which sessions are remembered.
    ///
    /// # Errors
    /// When the folder of state files cannot be read.
    pub fn read(paths: &Paths) -> Result<Records> {
        let with_state = state::sessions(paths)
            .context(|| format!("list sessions in {}", paths.sync.display()))?;
        Ok(Records {
            with_state: with_state.into_iter().collect(),
            deleted: Kept::deleted(paths).into_iter().collect(),
        })
    }

    /// What is remembered of a session whose files have so many bytes; `None` when nothing is.
    pub fn of(&self, paths: &Paths, id: &SessionId, bytes: u64) -> Option<Known> {
        if self.deleted.contains(id) {
            return Some(Known { has: Has::Deleted, ..Known::NOTHING });
        }
        if !self.with_state.contains(id) {
            return None;
        }
        let record = match state::load(paths, id).ok()? {
            Loaded::Ours(record) => record,
            Loaded::Foreign { .. } => return Some(Known { followed: true, ..Known::NOTHING }),
            Loaded::Absent | Loaded::Damaged => return None,
        };
        let followed = state::holder(paths, id).is_some();
        Some(Known { followed, ..of_files(record.files.values(), bytes) })
    }
}

fn of_files<'a>(files: impl Iterator<Item = &'a FileRecord> + Clone, bytes: u64) -> Known {
    let acknowledged = files.clone().map(|file| file.byte_offset).sum::<u64>().min(bytes);
    let lines = files.map(|file| file.last_synced_line).sum();
    let has = match acknowledged {
        all if all == bytes => Has::All,
        0 => Has::None,
        _ => Has::Part,
    };
    Known { has, bytes: Some(acknowledged), lines: Some(lines), followed: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-1111-4111-8111-111111111111";

    #[test]
    fn records_are_exact() {
        let file =
            |byte_offset| FileRecord { byte_offset, last_synced_line: 2, ..FileRecord::default() };
        let cases = [
            (vec![], 10, Has::None),
            (vec![file(0)], 10, Has::None),
            (vec![file(4), file(5)], 10, Has::Part),
            (vec![file(4), file(6)], 10, Has::All),
            // A file has grown since, or was counted before it shrank.
            (vec![file(40)], 10, Has::All),
        ];
        for (files, bytes, has) in cases {
            let known = of_files(files.iter(), bytes);
            assert_eq!(known.has, has, "{files:?}");
            assert_eq!(known.lines, Some(2 * files.len() as u64));
        }
    }

    #[test]
    fn the_last_message_decides() {
        let entry = |lines, at: Option<&str>| SessionEntry {
            external_id: ID.to_owned(),
            provider: PROVIDER.to_owned(),
            total_lines: lines,
            last_message_at: at.map(str::to_owned),
            ..SessionEntry::default()
        };
        let (noon, one) = ("2026-02-01T12:00:00Z", "2026-02-01T13:00:00.5+00:00");
        let cases = [
            (entry(3, Some(noon)), Some(noon), Has::All),
            (entry(3, Some(one)), Some(noon), Has::All),
            (entry(3, Some(noon)), Some(one), Has::Part),
            (entry(3, None), Some(noon), Has::Some),
            (entry(3, Some(noon)), None, Has::Some),
            (entry(3, Some("yesterday")), Some(noon), Has::Some),
            (entry(0, None), Some(noon), Has::None),
        ];
        let id = SessionId::new(ID).unwrap();
        for (entry, ours, has) in cases {
            let remote = Remote::new(vec![entry.clone()]);
            let ours = ours.and_then(time::parse_rfc3339);
            assert_eq!(remote.of(&id, ours).has, has, "{entry:?}");
        }
        let other = SessionEntry { provider: "codex".to_owned(), ..entry(3, Some(noon)) };
        assert_eq!(Remote::new(vec![other]).of(&id, None).has, Has::None);
        let many = vec![SessionEntry::default(); SESSIONS_MAX];
        assert_eq!(Remote::new(many).of(&id, None).has, Has::Unknown);
    }
}
