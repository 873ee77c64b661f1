//! Every JSON type that client and backend exchange; these docs are the protocol.
//!
//! The protocol is that of the existing PostgreSQL + S3 backend (reference §6, recorded exchanges
//! in `fixtures/wire`). All paths start with `/api/v1`. Authorization is `Bearer cfb_…`. Lines of
//! a file are numbered from 1, contiguously; blank lines count. Request bodies may be
//! zstd-compressed on `/sync/*` and nowhere else. Limits count decompressed bytes.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /sync/init` | [`InitRequest`] | [`InitAnswer`] |
//! | `POST /sync/chunk` | [`ChunkRequest`] | [`ChunkAnswer`] |
//! | `POST /sync/event` | [`EventRequest`] | [`EventAnswer`] |
//! | `PATCH /sessions/{external_id}/summary` | [`SummaryRequest`] | 200 |
//! | `POST /sessions/{id}/github-links` | [`LinkRequest`] | 201 and [`LinkEntry`] |
//! | `GET /sessions/{id}/github-links` | | [`LinksAnswer`] |
//! | `GET /capabilities` | | [`Capabilities`] |
//! | `GET /auth/validate` | | [`Identity`] |
//! | `POST /auth/device/code`, not below `/api/v1` | [`DeviceCodeRequest`] | [`DeviceCode`] |
//! | `POST /auth/device/token`, not below `/api/v1` | [`DeviceTokenRequest`] | [`Token`] |
//! | `GET /sessions?limit=N[&cursor=CURSOR]` | | [`SessionsAnswer`] |
//! | `GET /sessions/{id}` | | [`SessionDetail`] |
//! | `DELETE /sessions/{id}` | | 204 |
//! | `GET /sessions/by-external-id/{external_id}` | | [`ExternalIdAnswer`] |
//! | `GET /sessions/{id}/files` | | [`FilesAnswer`] |
//! | `GET /sessions/{id}/files/download?file_name=NAME` | | the lines, each with a newline |
//! | `GET /sessions/{id}/condensed-transcript[?max_chars=N]` | | [`CondensedAnswer`] |
//!
//! The embedded backend answers more, also described in its `/openapi.json`; others say 404:
//!
//! | request | answer |
//! |---|---|
//! | `GET /sessions/{id}/events[?file=NAME][&from=LINE][&limit=N]` | [`EventsAnswer`] |
//! | `GET /sessions/{id}/outline[?file=NAME]` | [`OutlineAnswer`] |
//! | `GET /search?q=QUERY[&limit=N][&cursor=CURSOR]` | [`SearchAnswer`] |
//! | `GET /stats?by=KEY[&after=TIME][&before=TIME][&q=QUERY]` | [`StatsAnswer`] |
//! | `GET /status` | [`StatusAnswer`] |
//!
//! It also takes a [`SessionReport`] with a chunk, in the header [`REPORT_HEADER`], and a
//! [`MachineReport`] by `POST /sync/standing`, where it says so with [`InitAnswer::reports`].
//!
//! Deliberately absent: behaviour. The client streams a [`ChunkRequest`] by hand (`chunk`), so that
//! memory does not grow with a request; the type says what it must look like.

mod finding;
mod report;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::finding::{
    EventEntry, EventsAnswer, Figures, Hit, MachineEntry, ModelTokens, OutlineAnswer, PriceEntry,
    Relation, Relative, SearchAnswer, SnippetPart, StatsAnswer, StatsRow, StatusAnswer,
    ToolFigures,
};
pub use self::report::{FailureKind, MachineReport, REPORT_HEADER, ReportedFailure, SessionReport};

/// The only provider that this client serves.
pub const PROVIDER: &str = "claude-code";
/// The providers that a backend stores.
pub const PROVIDERS: [&str; 4] = ["claude-code", "codex", "opencode", "cursor"];

/// Decompressed bytes of an init, event or summary body.
pub const SMALL_BODY_BYTES_MAX: usize = 128 << 10;
/// Decompressed bytes of a chunk body.
pub const CHUNK_BODY_BYTES_MAX: usize = 16 << 20;
/// Bytes of `external_id`.
pub const EXTERNAL_ID_BYTES_MAX: usize = 512;
/// Bytes of `transcript_path` and of `cwd`.
pub const PATH_BYTES_MAX: usize = 8192;
/// Bytes of `hostname` and of `username`.
pub const HOST_BYTES_MAX: usize = 255;
/// Bytes of `file_name`.
pub const FILE_NAME_BYTES_MAX: usize = 512;
/// Bytes of a summary.
pub const SUMMARY_BYTES_MAX: usize = 2048;
/// Bytes of `first_user_message`.
pub const FIRST_MESSAGE_BYTES_MAX: usize = 8192;
/// Bytes of `model`.
pub const MODEL_BYTES_MAX: usize = 255;
/// Entries of `git_info.remotes`.
pub const REMOTES_MAX: usize = 50;
/// Bytes of a remote's name and of `tracking_remote`.
pub const REMOTE_NAME_BYTES_MAX: usize = 256;
/// Bytes of a remote's URL.
pub const REMOTE_URL_BYTES_MAX: usize = 2048;
/// Chunks that a backend keeps of one file.
pub const FILE_CHUNKS_MAX: u64 = 30_000;
/// A session of which something arrived within so many seconds is live, unless it is history.
pub const LIVE_SECONDS: u64 = 120;
/// The highest line number.
pub const LINE_NUMBER_MAX: u64 = 99_999_999;

/// File type of a session's main transcript.
pub const TYPE_TRANSCRIPT: &str = "transcript";
/// File type of a sub-agent's transcript.
pub const TYPE_AGENT: &str = "agent";
/// File type of a workflow's journal; needs [`Capabilities::workflow_journal`].
pub const TYPE_WORKFLOW_JOURNAL: &str = "workflow_journal";
/// The one event type.
pub const EVENT_SESSION_END: &str = "session_end";
/// Source of a link that a hook has found.
pub const LINK_SOURCE_HOOK: &str = "cli_hook";
/// Source of a link that a person has made.
pub const LINK_SOURCE_MANUAL: &str = "manual";

/// Opens or resumes a session. The metadata is sent whole each time: a backend overwrites `cwd`
/// even with nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InitRequest {
    /// One of [`PROVIDERS`]; absent means `claude-code`, empty is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The agent's own session id.
    pub external_id: String,
    /// Absolute path of the transcript on the client.
    pub transcript_path: String,
    /// What is known of the session's surroundings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<InitMetadata>,
    /// Deprecated place of `metadata.cwd`, read by backends only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Deprecated place of `metadata.git_info`, read by backends only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_info: Option<GitInfo>,
}

/// Where a session runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InitMetadata {
    /// Working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Repository of the working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_info: Option<GitInfo>,
    /// Name of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Account name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// A git work tree. URLs carry no user info.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GitInfo {
    /// `remote.origin.url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_url: Option<String>,
    /// Current branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Commit of HEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_sha: Option<String>,
    /// Subject of that commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_message: Option<String>,
    /// `Name <mail>` of its author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Always on the wire.
    pub is_dirty: bool,
    /// All remotes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<GitRemote>,
    /// `branch.<branch>.remote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking_remote: Option<String>,
}

/// One remote of a repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GitRemote {
    /// Its name.
    pub name: String,
    /// Where it is fetched from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch_url: Option<String>,
    /// Where it is pushed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_url: Option<String>,
}

/// Answer to [`InitRequest`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InitAnswer {
    /// The backend's id of the session, a UUID.
    pub session_id: String,
    /// Echo of the provider; absent on old backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// How far each file is stored.
    #[serde(default)]
    pub files: BTreeMap<String, FilePosition>,
    /// It takes a [`SessionReport`] with each chunk; only the embedded backend says so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reports: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// How far one file is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePosition {
    /// Number of the last stored line; 0 for none.
    pub last_synced_line: u64,
}

/// Appends lines to a file. `first_line` must be the stored position plus one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChunkRequest {
    /// [`InitAnswer::session_id`].
    pub session_id: String,
    /// The backend's key of the file within the session.
    pub file_name: String,
    /// One of the `TYPE_…` constants; others are stored too.
    pub file_type: String,
    /// Number of the first line of this chunk.
    pub first_line: i64,
    /// The lines, without their newlines.
    pub lines: Vec<String>,
    /// Sent with transcripts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ChunkMetadata>,
}

/// What the lines of a transcript chunk say of the session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChunkMetadata {
    /// Of the first line that names a branch; replaces what is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_info: Option<GitInfo>,
    /// The last one wins; an empty one clears.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The first one ever received wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_user_message: Option<String>,
    /// Other providers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_message_at: Option<String>,
    /// RFC 3339; may only make the beginning of the session earlier. Sent from one backend to
    /// another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Other providers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Codex sessions only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codex_rollout: Option<RawValueEq>,
}

/// Answer to [`ChunkRequest`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkAnswer {
    /// Number of the last stored line.
    pub last_synced_line: u64,
}

/// Says that a session has ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventRequest {
    /// [`InitAnswer::session_id`].
    pub session_id: String,
    /// [`EVENT_SESSION_END`].
    pub event_type: String,
    /// RFC 3339.
    pub timestamp: String,
    /// The hook's input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<RawValue>>,
}

/// Answer to [`EventRequest`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventAnswer {
    /// Always true.
    pub success: bool,
}

/// Sets the summary of an earlier session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SummaryRequest {
    /// At most [`SUMMARY_BYTES_MAX`].
    pub summary: String,
}

/// Links a session with a commit or a pull request; a repetition changes title and source alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkRequest {
    /// `https://github.com/OWNER/REPO/pull/NUMBER` or `…/commit/HASH`.
    pub url: String,
    /// For people; an absent one clears.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// [`LINK_SOURCE_HOOK`] or [`LINK_SOURCE_MANUAL`].
    pub source: String,
    /// `pull_request` or `commit`; must be that of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_type: Option<String>,
}

/// A stored link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkEntry {
    /// The backend's number of it.
    #[serde(default)]
    pub id: i64,
    /// [`InitAnswer::session_id`].
    #[serde(default)]
    pub session_id: String,
    /// `pull_request` or `commit`.
    #[serde(default)]
    pub link_type: String,
    /// As it was sent.
    pub url: String,
    /// Owner of the repository.
    #[serde(default)]
    pub owner: String,
    /// Name of the repository.
    #[serde(default)]
    pub repo: String,
    /// Number or hash.
    #[serde(default, rename = "ref")]
    pub reference: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// As it was sent.
    #[serde(default)]
    pub source: String,
    /// RFC 3339.
    #[serde(default)]
    pub created_at: String,
}

/// All links of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinksAnswer {
    /// The oldest first.
    pub links: Vec<LinkEntry>,
}

/// What a backend can store beyond transcripts and agents; 404 means none of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Agent files of workflow runs.
    pub workflow_files: bool,
    /// Journals of workflow runs.
    pub workflow_journal: bool,
    /// Of another provider.
    #[serde(alias = "opencode_subagent_files")]
    pub opencode_subagents: bool,
}

/// Answer of `GET /auth/validate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// True for a usable key.
    pub valid: bool,
    /// The backend's number of the user.
    pub user_id: i64,
    /// Mail address or account name.
    pub email: String,
    /// Display name; may be null.
    pub name: Option<String>,
}

/// Asks for a code that a person confirms in a browser.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceCodeRequest {
    /// What the new key is called; at most 255 bytes. A key of that name stops working.
    pub key_name: String,
}

/// Answer to [`DeviceCodeRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCode {
    /// For [`DeviceTokenRequest`]; a secret.
    pub device_code: String,
    /// What the person types: `XXXX-XXXX`.
    pub user_code: String,
    /// Where it is typed.
    pub verification_uri: String,
    /// Seconds.
    #[serde(default)]
    pub expires_in: u64,
    /// Seconds between two questions; 0 when the backend does not say.
    #[serde(default)]
    pub interval: u64,
}

/// Asks whether the code has been confirmed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceTokenRequest {
    /// [`DeviceCode::device_code`].
    pub device_code: String,
}

/// Answer to [`DeviceTokenRequest`]: the key, or why there is none, with any status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Token {
    /// The new API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// Absent on success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<DeviceError>,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceError {
    /// Empty, which is the same as absent.
    #[serde(rename = "")]
    Unset,
    /// Not confirmed yet.
    AuthorizationPending,
    /// Too many questions.
    SlowDown,
    /// The code is too old.
    ExpiredToken,
    /// The code is unknown, or has been used.
    InvalidGrant,
    /// The person may not sign in.
    AccessDenied,
    /// The person has as many keys as one may have.
    ApiKeyLimitExceeded,
    /// The backend has a fault.
    ServerError,
    /// Something else.
    #[serde(other)]
    Other,
}

/// Answer of `GET /sessions/by-external-id/{external_id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalIdAnswer {
    /// [`InitAnswer::session_id`].
    pub session_id: String,
}

/// Answer of `GET /sessions/{id}/condensed-transcript`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CondensedAnswer {
    /// About the session.
    pub metadata: CondensedMetadata,
    /// What was said, as XML.
    pub transcript: String,
}

/// What a condensed transcript is of. Times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CondensedMetadata {
    /// [`InitAnswer::session_id`].
    pub session_id: String,
    /// The agent's own session id.
    pub external_id: String,
    /// The summary; empty when there is none.
    pub title: String,
    /// `owner/name` of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Branch of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// When it was opened first.
    pub first_seen: String,
    /// When it was opened or appended to last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync_at: Option<String>,
    /// Lines of its transcript and of its agents' files.
    pub total_lines: u64,
}

/// Answer of `GET /sessions/{id}/files`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesAnswer {
    /// All files of the session.
    pub files: Vec<FileEntry>,
}

/// One file of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Key within the session.
    pub file_name: String,
    /// As uploaded.
    pub file_type: String,
    /// How many lines are stored.
    pub last_synced_line: u64,
    /// RFC 3339.
    pub updated_at: String,
}

/// Answer of `GET /sessions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionsAnswer {
    /// The caller's sessions, the most recently active first.
    pub sessions: Vec<SessionEntry>,
    /// For `cursor` of the request for the next ones; absent when these were the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// For `since` of the stream: what changes from this answer on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_position: Option<String>,
}

/// One session in a list. Times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionEntry {
    /// [`InitAnswer::session_id`].
    pub id: String,
    /// The agent's own session id.
    pub external_id: String,
    /// One of [`PROVIDERS`].
    pub provider: String,
    /// Absent when never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Absent when never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_user_message: Option<String>,
    /// Working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Name of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Account name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// When it was opened first.
    pub first_seen: String,
    /// When it was opened or appended to last.
    pub last_sync_at: String,
    /// Newest timestamp in its transcript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message_at: Option<String>,
    /// How many files it has.
    pub total_files: u64,
    /// How many lines they have.
    pub total_lines: u64,
    /// Last folder of the repository or, without one, of the working directory. From here on, the
    /// embedded backend alone tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Branch of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The model that answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// As `total_lines`.
    pub lines: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// When something was said last in any of its files or, where no line tells, when lines arrived
    /// last; never ahead of the server's clock. What the list is ordered by.
    pub last_activity_at: String,
    /// Something arrived within [`LIVE_SECONDS`], and it was said a short time ago.
    pub live: bool,
    /// Tokens of all kinds. Each message of the API counts once, in the session that had it first.
    pub tokens: u64,
    /// Its owner has put it aside.
    #[serde(default)]
    pub archived: bool,
    /// Whose it is, where somebody else has shared it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_by: Option<String>,
}

/// Answer of `GET /sessions/{id}`. Times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionDetail {
    /// [`InitAnswer::session_id`].
    pub id: String,
    /// The agent's own session id.
    pub external_id: String,
    /// One of [`PROVIDERS`].
    pub provider: String,
    /// Absent when never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Absent when never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_user_message: Option<String>,
    /// When it was opened first.
    pub first_seen: String,
    /// Working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Absolute path of the transcript on the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript_path: Option<String>,
    /// Repository of the working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_info: Option<GitInfo>,
    /// When it was opened or appended to last.
    pub last_sync_at: String,
    /// All files of the session.
    pub files: Vec<FileEntry>,
    /// Name of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Account name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// True when the caller uploaded it.
    pub is_owner: bool,
    /// Who uploaded it.
    pub owner_email: String,
    /// As in [`SessionEntry`]. From here on, the embedded backend alone tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// As in [`SessionEntry`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// As in [`SessionEntry`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// As in [`SessionEntry`].
    pub live: bool,
    /// As in [`SessionEntry`].
    pub archived: bool,
    /// What it took and did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// Sessions that share lines with it.
    pub lineage: Vec<Relative>,
}

/// The body of most errors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For people; policy branches on the status.
    pub error: String,
}

/// JSON kept as text, comparable.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawValueEq(pub Box<RawValue>);

impl PartialEq for RawValueEq {
    fn eq(&self, other: &RawValueEq) -> bool {
        self.0.get() == other.0.get()
    }
}
