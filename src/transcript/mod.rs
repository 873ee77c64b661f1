//! What one line of a transcript tells us. Nothing here fails: what is missing, of another type or
//! not JSON at all is simply not told.
//!
//! Reads borrowed, skips what nobody asked for, and nests to any depth. Where a key appears twice
//! the last one counts. Deliberately absent: knowledge of line types beyond `user`; new ones appear
//! with every version of Claude Code.

mod members;
mod outline;
mod text;

use std::borrow::Cow;

use memchr::memmem::{self, Finder};
use serde_json::value::RawValue;

pub use members::{elements, is_json, members, string};
pub use outline::{Outline, OutlineFacts};
pub use text::{sanitise, truncate};

/// Characters of an agent id.
const AGENT_ID_CHARS_MIN: usize = 6;
const AGENT_ID_CHARS_MAX: usize = 128;

/// What stands in every line that names an agent, as Claude Code writes it.
const AGENT_ID: &str = "\"agentId\"";
const AGENT_RESULT: &str = "\"toolUseResult\"";
/// What stands in every summary, as Claude Code writes it.
const SUMMARY: &str = "\"summary\"";

/// Words without which a line names no agent and is no summary: most lines are spared a reading.
pub struct News {
    agent_id: Finder<'static>,
    agent_result: Finder<'static>,
    summary: Finder<'static>,
}

impl News {
    /// Prepares the search for the words.
    pub fn prepare() -> News {
        let [agent_id, agent_result, summary] = [AGENT_ID, AGENT_RESULT, SUMMARY].map(Finder::new);
        News { agent_id, agent_result, summary }
    }

    /// Whether a line may name an agent or be a summary.
    pub fn may_be_in(&self, line: &[u8]) -> bool {
        let has = |word: &Finder<'_>| word.find(line).is_some();
        has(&self.agent_id) && has(&self.agent_result) || has(&self.summary)
    }
}

/// What a line says about itself and about others.
#[derive(Debug, Default, PartialEq)]
pub struct Facts<'a> {
    /// `type`, an open set: `user`, `assistant`, `summary` ...
    pub kind: Option<Cow<'a, str>>,
    /// `uuid`; not unique across files, a fork copies it.
    pub uuid: Option<Cow<'a, str>>,
    /// `timestamp`, RFC 3339 when Claude Code wrote it.
    pub timestamp: Option<Cow<'a, str>>,
    /// `sessionId`.
    pub session_id: Option<Cow<'a, str>>,
    /// `cwd`, absolute.
    pub cwd: Option<Cow<'a, str>>,
    /// `gitBranch`.
    pub git_branch: Option<Cow<'a, str>>,
    /// `summary`, as it stands.
    pub summary: Option<Cow<'a, str>>,
    /// `leafUuid`: the line that a summary belongs to.
    pub leaf_uuid: Option<Cow<'a, str>>,
    /// Sub-agents whose results the line holds, each of 6 to 128 characters `[A-Za-z0-9_-]`.
    pub agent_ids: Vec<String>,
}

/// Reads a line. One that is not a JSON object tells nothing.
pub fn inspect(line: &[u8]) -> Facts<'_> {
    if let Some(facts) = facts(line) {
        return facts;
    }
    // Values are told as text, so that a line with invalid UTF-8 in one of them needs a copy.
    match String::from_utf8_lossy(line) {
        Cow::Borrowed(_) => Facts::default(),
        Cow::Owned(lossy) => facts(lossy.as_bytes()).map(into_owned).unwrap_or_default(),
    }
}

/// The text of a `user` line, sanitised: `message.content`, or its first element of type `text`
/// that is not empty. `None` where nothing readable is left.
pub fn user_text(line: &[u8]) -> Option<String> {
    let lossy = String::from_utf8_lossy(line);
    let [kind, message] = members(lossy.as_bytes(), ["type", "message"])?;
    if string(kind?)? != "user" {
        return None;
    }
    let [content] = members(message?.get().as_bytes(), ["content"])?;
    let content = content?;
    let text = string(content).or_else(|| elements(content)?.into_iter().find_map(block_text))?;
    Some(sanitise(&text)).filter(|text| !text.is_empty())
}

fn block_text(block: &RawValue) -> Option<Cow<'_, str>> {
    let [kind, text] = members(block.get().as_bytes(), ["type", "text"])?;
    string(kind?).filter(|kind| kind == "text")?;
    string(text?).filter(|text| !text.is_empty())
}

fn facts(line: &[u8]) -> Option<Facts<'_>> {
    const NAMES: [&str; 8] =
        ["type", "uuid", "timestamp", "sessionId", "cwd", "gitBranch", "summary", "leafUuid"];
    let [kind, uuid, timestamp, session, cwd, branch, summary, leaf] = members(line, NAMES)?;
    let kind = kind.and_then(string);
    let mut agent_ids = Vec::new();
    // Few lines name an agent, so that the rest is spared a second reading.
    if kind.as_deref() == Some("user") && memmem::find(line, AGENT_ID.as_bytes()).is_some() {
        let [message, result] = members(line, ["message", "toolUseResult"])?;
        let nested = message.map(|message| tool_results(message.get())).unwrap_or_default();
        for result in result.into_iter().chain(nested) {
            agent_ids.extend(agent_id(result).filter(|id| !agent_ids.contains(id)));
        }
    }
    Some(Facts {
        kind,
        uuid: uuid.and_then(string),
        timestamp: timestamp.and_then(string),
        session_id: session.and_then(string),
        cwd: cwd.and_then(string),
        git_branch: branch.and_then(string),
        summary: summary.and_then(string),
        leaf_uuid: leaf.and_then(string),
        agent_ids,
    })
}

/// `content.toolUseResult` of every tool result in a message.
fn tool_results(message: &str) -> Vec<&RawValue> {
    let content = members(message.as_bytes(), ["content"]).and_then(|[content]| content);
    let blocks = content.and_then(elements).unwrap_or_default();
    blocks
        .into_iter()
        .filter_map(|block| {
            let [kind, content] = members(block.get().as_bytes(), ["type", "content"])?;
            string(kind?).filter(|kind| kind == "tool_result")?;
            let [result] = members(content?.get().as_bytes(), ["toolUseResult"])?;
            result
        })
        .collect()
}

fn agent_id(result: &RawValue) -> Option<String> {
    let [id] = members(result.get().as_bytes(), ["agentId"])?;
    let id = string(id?)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let valid = (AGENT_ID_CHARS_MIN..=AGENT_ID_CHARS_MAX).contains(&id.len());
    (valid && id.bytes().all(legal)).then(|| id.into_owned())
}

fn into_owned(facts: Facts<'_>) -> Facts<'static> {
    let own = |value: Option<Cow<'_, str>>| value.map(|value| Cow::Owned(value.into_owned()));
    Facts {
        kind: own(facts.kind),
        uuid: own(facts.uuid),
        timestamp: own(facts.timestamp),
        session_id: own(facts.session_id),
        cwd: own(facts.cwd),
        git_branch: own(facts.git_branch),
        summary: own(facts.summary),
        leaf_uuid: own(facts.leaf_uuid),
        agent_ids: facts.agent_ids,
    }
}

#[cfg(test)]
mod tests;
