//! What must be remembered of a session once its state is gone: that the backend deleted it, so
//! that the next prompt does not bring it back, and how lines of server and file relate where they
//! differ.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};
use crate::files::{self, Paths, SessionId};
use crate::state::FileRecord;

const VERSION: u32 = 1;
const KEPT_BYTES_MAX: usize = 1 << 20;
/// Entries looked at in one listing.
const ENTRIES_MAX: usize = 100_000;

/// A session's entry in `~/.confab/kept`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Of the format; set on writing.
    pub version: u32,
    /// When the backend was found to have deleted the session, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
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

fn path(paths: &Paths, id: &SessionId) -> PathBuf {
    paths.kept.join(format!("{id}.json"))
}
