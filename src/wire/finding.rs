//! Lines, figures and what is found: answers of the embedded backend alone.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::ReportedFailure;

/// Answer of `GET /sessions/{id}/events`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventsAnswer {
    /// Name of the file.
    pub file: String,
    /// Number of its last line.
    pub last_line: u64,
    /// Line to go on from; null when these were the last.
    pub next: Option<u64>,
    /// The lines.
    pub events: Vec<EventEntry>,
}

/// A line of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventEntry {
    /// Its number, from 1 on.
    pub line: u64,
    /// As it is stored, or a string when it is no JSON.
    pub raw: Box<RawValue>,
}

/// Answer of `GET /sessions/{id}/outline`: numbers of lines, as far as they are indexed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlineAnswer {
    /// Name of the file.
    pub file: String,
    /// Number of its last line.
    pub last_line: u64,
    /// What a user typed.
    pub prompts: Vec<u64>,
    /// Failed tools, errors of the API.
    pub errors: Vec<u64>,
    /// Where the conversation was compacted.
    pub compactions: Vec<u64>,
}

/// Figures of a session. Each message of the API counts once, in the session that had it first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Tokens by model, the most first.
    pub tokens: Vec<ModelTokens>,
    /// US dollars: the sum of what has a price.
    pub cost: f64,
    /// Uses of tools, the most first.
    pub tools: Vec<ToolFigures>,
    /// Lines that tools have added to files.
    pub lines_added: u64,
    /// Lines that tools have removed from files.
    pub lines_removed: u64,
    /// How often the user typed something.
    pub prompts: u64,
    /// From the first line with a time to the last one.
    pub duration_seconds: u64,
}

/// Tokens of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelTokens {
    /// The model, where it is known.
    pub model: Option<String>,
    /// Tokens that were sent, without those of the cache.
    pub input: u64,
    /// Tokens that were answered.
    pub output: u64,
    /// Tokens that the cache had.
    pub cache_read: u64,
    /// Tokens that were put into the cache.
    pub cache_creation: u64,
    /// US dollars; null where the model has no price.
    pub cost: Option<f64>,
}

/// Uses of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolFigures {
    /// The tool.
    pub name: String,
    /// How often it was used.
    pub uses: u64,
    /// How often it has failed.
    pub errors: u64,
}

/// A session that shares lines with another one, or goes on from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Relative {
    /// [`super::InitAnswer::session_id`].
    pub session_id: String,
    /// The agent's own session id.
    pub external_id: String,
    /// What the session asked for is to this one.
    pub relation: Relation,
    /// The summary, or the first message.
    pub title: Option<String>,
}

/// What a session is to another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// It begins with a copy of the other one's lines.
    #[default]
    ForkOf,
    /// The other one begins with a copy of its lines.
    ForkedBy,
    /// It goes on from a line of the other one.
    Continues,
    /// The other one goes on from one of its lines.
    ContinuedBy,
}

/// Answer of `GET /search`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchAnswer {
    /// Lines that match, the newest and best first.
    pub hits: Vec<Hit>,
    /// For `cursor` of the request for the next ones; null when these were the last.
    pub next_cursor: Option<String>,
}

/// A line that matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hit {
    /// [`super::InitAnswer::session_id`].
    pub session_id: String,
    /// The agent's own session id.
    pub external_id: String,
    /// The summary of the session, or its first message.
    pub title: Option<String>,
    /// [`super::SessionEntry::project`].
    pub project: Option<String>,
    /// Name of the machine.
    pub machine: Option<String>,
    /// Key of the file within the session.
    pub file_name: String,
    /// Number of the line.
    pub line: u64,
    /// RFC 3339.
    pub timestamp: Option<String>,
    /// `user`, `assistant`, `system`, `tool` for what a tool returned, or the line's type.
    pub role: Option<String>,
    /// The tool that is called, or whose result it is.
    pub tool: Option<String>,
    /// What is around the first hit.
    pub snippet: Vec<SnippetPart>,
    /// Whose session it is, where somebody else has shared it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_by: Option<String>,
}

/// A part of a snippet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SnippetPart {
    /// Plain text.
    pub text: String,
    /// It was searched for.
    pub hit: bool,
}

/// Answer of `GET /stats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsAnswer {
    /// A row for each key.
    pub rows: Vec<StatsRow>,
    /// There are older sessions that were not looked at.
    pub has_more: bool,
}

/// Figures of a day, model, project, tool or session. What does not go by the key is 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsRow {
    /// Day (`YYYY-MM-DD`, UTC), model, project, tool or [`super::InitAnswer::session_id`].
    pub key: Option<String>,
    /// Sessions.
    pub sessions: u64,
    /// Messages of the API; by tool, lines that use it.
    pub messages: u64,
    /// As in [`ModelTokens`].
    pub input: u64,
    /// As in [`ModelTokens`].
    pub output: u64,
    /// As in [`ModelTokens`].
    pub cache_read: u64,
    /// As in [`ModelTokens`].
    pub cache_creation: u64,
    /// US dollars: the sum of what has a price; null where nothing has.
    pub cost: Option<f64>,
    /// Uses of tools.
    pub uses: u64,
    /// Uses that failed.
    pub errors: u64,
}

/// Answer of `GET /status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusAnswer {
    /// Of the server.
    pub version: String,
    /// `ok` or `failing`.
    pub health: String,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Bytes of its write-ahead log.
    pub wal_bytes: u64,
    /// The caller's sessions.
    pub sessions: u64,
    /// Their lines.
    pub lines: u64,
    /// Those that cannot be found yet.
    pub not_indexed_lines: u64,
    /// Where they come from, the last one first.
    pub machines: Vec<MachineEntry>,
    /// State of the watching child, where there is one.
    pub watch: Option<Value>,
    /// What costs go by.
    pub prices: Vec<PriceEntry>,
}

/// What tokens of a model cost: US dollars for a million.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceEntry {
    /// What the names of such models begin with.
    pub model: String,
    /// As in [`ModelTokens`].
    pub input: f64,
    /// As in [`ModelTokens`].
    pub output: f64,
    /// As in [`ModelTokens`].
    pub cache_read: f64,
    /// As in [`ModelTokens`].
    pub cache_creation: f64,
    /// For people: where it comes from; what this version came with says that it is to be checked.
    pub about: Option<String>,
}

/// A machine that sessions come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineEntry {
    /// Its name; empty when it told none.
    pub machine: String,
    /// RFC 3339.
    pub last_contact: String,
    /// Its sessions.
    pub sessions: u64,
    /// Those of which something arrived within two minutes.
    pub live_sessions: u64,
    /// Those of which some is still only there, as far as it has said so.
    pub behind_sessions: u64,
    /// Bytes that are still only there, as of the last chunk of each session.
    pub pending_bytes: u64,
    /// Lines that others stand in for, as they were too large or could not be redacted.
    pub withheld_lines: u64,
    /// What it said last of what went wrong; null when it never did.
    pub last_failure: Option<ReportedFailure>,
    /// Sessions that `confab watch` there has not brought in whole, as of its last word.
    pub waiting_sessions: u64,
    /// Bytes of those of them that it is bringing in.
    pub waiting_bytes: u64,
    /// Those of them that failed, and are tried again.
    pub failed_sessions: u64,
    /// Lines of all of them.
    pub lines: u64,
}
