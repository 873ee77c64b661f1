//! What is told of a session besides its lines: all of it redacted, without NUL (PostgreSQL stores
//! none) and cut to what a backend takes.

use std::path::Path;

use serde_json::value::RawValue;

use crate::chunk::Contents;
use crate::git;
use crate::redact::Redactor;
use crate::state::HookInput;
use crate::transcript;
use crate::wire::{self, ChunkMetadata, GitInfo, GitRemote, InitMetadata};

/// Bytes of a branch, commit or author.
const GIT_TEXT_BYTES_MAX: usize = 1024;

/// Where a session runs.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Working directory as Claude Code names it.
    pub cwd: String,
    /// Name of the machine.
    pub hostname: Option<String>,
    /// Account name.
    pub username: Option<String>,
    /// It runs now, or did a moment ago: the repository is as the session knows it.
    pub is_live: bool,
}

/// The name of this machine as it is told; `None` when there is none.
pub fn machine_name(name: &str, redactor: &Redactor) -> Option<String> {
    Some(field(name, wire::HOST_BYTES_MAX, redactor)).filter(|name| !name.is_empty())
}

impl Surroundings {
    /// All that an init says, on every init: a backend overwrites with nothing what is left out.
    pub fn init_metadata(&self, redactor: &Redactor) -> InitMetadata {
        let field = |text: &str, bytes_max| {
            Some(field(text, bytes_max, redactor)).filter(|text| !text.is_empty())
        };
        InitMetadata {
            cwd: field(&self.cwd, wire::PATH_BYTES_MAX),
            git_info: self.git_info(redactor),
            hostname: machine_name(self.hostname.as_deref().unwrap_or_default(), redactor),
            username: field(self.username.as_deref().unwrap_or_default(), wire::HOST_BYTES_MAX),
        }
    }

    /// What the lines of a transcript chunk say of the session.
    pub fn chunk_metadata(&self, contents: &Contents, redactor: &Redactor) -> ChunkMetadata {
        let git_info = contents.branch.as_ref().map(|(branch, folder)| GitInfo {
            branch: Some(field(branch, GIT_TEXT_BYTES_MAX, redactor)),
            is_dirty: false,
            commit_sha: None,
            ..folder
                .as_deref()
                .and_then(|folder| git::inspect(Path::new(folder)))
                .map(|info| clean(info, redactor))
                .unwrap_or_default()
        });
        ChunkMetadata {
            git_info,
            summary: contents.summary.as_deref().map(summary),
            first_user_message: contents.first_message.as_deref().map(|text| {
                transcript::truncate(&text.replace('\0', ""), wire::FIRST_MESSAGE_BYTES_MAX)
                    .into_owned()
            }),
            ..ChunkMetadata::default()
        }
    }

    fn git_info(&self, redactor: &Redactor) -> Option<GitInfo> {
        // Of an old session the repository's present commit would be told, and replace the right
        // one.
        if !self.is_live || !Path::new(&self.cwd).is_absolute() {
            return None;
        }
        git::inspect(Path::new(&self.cwd)).map(|info| clean(info, redactor))
    }
}

/// A summary as a backend takes it.
pub fn summary(text: &str) -> String {
    transcript::truncate(&text.replace('\0', ""), wire::SUMMARY_BYTES_MAX).into_owned()
}

/// A path as a backend takes it.
pub fn wire_path(path: &Path, redactor: &Redactor) -> String {
    field(&path.to_string_lossy(), wire::PATH_BYTES_MAX, redactor)
}

/// The payload of `session_end`.
///
/// # Errors
/// Never in practice: texts can always be written as JSON.
pub fn end_payload(input: &HookInput, redactor: &Redactor) -> serde_json::Result<Box<RawValue>> {
    let field = |text: &str| field(text, wire::PATH_BYTES_MAX, redactor);
    serde_json::value::to_raw_value(&HookInput {
        session_id: input.session_id.clone(),
        transcript_path: field(&input.transcript_path),
        cwd: field(&input.cwd),
        permission_mode: field(&input.permission_mode),
        hook_event_name: field(&input.hook_event_name),
        reason: field(&input.reason),
    })
}

fn clean(info: GitInfo, redactor: &Redactor) -> GitInfo {
    let text = |value: Option<String>| value.map(|text| field(&text, GIT_TEXT_BYTES_MAX, redactor));
    let url = |value: Option<String>| {
        value.map(|text| field(&text, wire::REMOTE_URL_BYTES_MAX, redactor))
    };
    let remote = |remote: GitRemote| GitRemote {
        name: field(&remote.name, wire::REMOTE_NAME_BYTES_MAX, redactor),
        fetch_url: url(remote.fetch_url),
        push_url: url(remote.push_url),
    };
    GitInfo {
        repo_url: url(info.repo_url),
        branch: text(info.branch),
        commit_sha: text(info.commit_sha),
        commit_message: text(info.commit_message),
        author: text(info.author),
        is_dirty: info.is_dirty,
        remotes: info.remotes.into_iter().map(remote).collect(),
        tracking_remote: info
            .tracking_remote
            .map(|text| field(&text, wire::REMOTE_NAME_BYTES_MAX, redactor)),
    }
}

fn field(text: &str, bytes_max: usize, redactor: &Redactor) -> String {
    let text = redactor.text(text).replace('\0', "");
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}
