//! Before and after a tool is used: commits and pull requests name the session, and the session
//! names them.
//!
//! Before: a command that would make one without the session's address is sent back once, with the
//! text to add. It is never approved (that would approve all of it, past the user's rules) and
//! never rewritten; sent again unchanged it runs. After: what was made is noted for the daemon,
//! which tells the backend.
//!
//! Whether links are wanted, and which address is the session's, is what the daemon has written
//! into the state file: nothing is asked of a session that the backend does not know.

use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::actions::{Action, actions};
use crate::error::{Context, Result};
use crate::files::{self, Paths, SessionId};
use crate::git;
use crate::github::{self, Link};
use crate::shell::Folder;
use crate::state::{self, HookInput, Loaded, Note, Record};

/// The tool that runs command lines.
const SHELL_TOOL: &str = "Bash";
/// The tool that makes pull requests without a command line.
const PULL_REQUEST_TOOL: &str = "mcp__github__create_pull_request";
/// Bytes of `~/.ssh/config`.
const SSH_CONFIG_BYTES_MAX: usize = 1 << 20;
/// Links of one command.
const LINKS_MAX: usize = 64;
/// How long a command may have run when nobody says; Claude Code ends it after this.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(600);
/// Time stamps of files are that coarse, and hooks that slow.
const TIME_SLACK: Duration = Duration::from_secs(2);

/// What Claude Code says of a tool; values of other types count as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tool<'a> {
    #[serde(borrow)]
    tool_name: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_input: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_response: Option<&'a RawValue>,
    #[serde(borrow)]
    duration_ms: Option<&'a RawValue>,
}

/// What a tool was told to do.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolInput {
    #[serde(deserialize_with = "text_or_nothing")]
    command: String,
    #[serde(deserialize_with = "text_or_nothing")]
    body: String,
    #[serde(deserialize_with = "text_or_nothing")]
    owner: String,
    #[serde(deserialize_with = "text_or_nothing")]
    repo: String,
}

/// What a call makes, when that is something to be linked.
struct Making {
    actions: Vec<Action>,
    /// Where the shell is afterwards.
    end: Folder,
    input: ToolInput,
    /// What tells this call from another.
    text: String,
}

/// The answer before a tool is used: nothing, or that the command is sent back and why.
///
/// # Errors
/// Input that cannot be used, or a file that cannot be read or written: nothing is asked then.
pub fn before(bytes: &[u8], id: &SessionId, paths: &Paths) -> Result<Option<String>> {
    let tool: Tool<'_> = serde_json::from_slice(bytes).context(|| "read hook input".into())?;
    let Some(making) = making(&tool, paths) else { return Ok(None) };
    let is_commit = |action: &Action| matches!(action, Action::Commit { writes_message: true, .. });
    let commits = making.actions.iter().any(is_commit);
    let requests = making.actions.contains(&Action::PullRequest);
    let n_needed = usize::from(commits) + usize::from(requests);
    let Some(url) = record(paths, id).and_then(|record| record.session_url) else {
        return Ok(None);
    };
    let text = if making.input.command.is_empty() { &making.input.body } else { &making.text };
    if text.matches(&url).count() >= n_needed {
        return Ok(None);
    }
    let what = || format!("remember what was asked in session {id}");
    if !state::ask_once(paths, id, &making.text).context(what)? {
        return Ok(None);
    }
    let is_shell = !making.input.command.is_empty();
    let answer = json!({
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "deny",
            "permissionDecisionReason": reason(&url, commits, requests, is_shell),
        }
    });
    Ok(Some(format!("{answer}\n")))
}

/// Leaves a note of what a tool has made.
///
/// # Errors
/// Input that cannot be used, or an inbox that cannot be written.
pub fn after(
    bytes: &[u8],
    input: &HookInput,
    id: &SessionId,
    paths: &Paths,
    now: SystemTime,
) -> Result<()> {
    let tool: Tool<'_> = serde_json::from_slice(bytes).context(|| "read hook input".into())?;
    let Some(making) = making(&tool, paths) else { return Ok(()) };
    let Some(record) = record(paths, id) else { return Ok(()) };
    let output = tool.tool_response.map(texts).unwrap_or_default();
    let took = parsed::<u64>(tool.duration_ms).map(Duration::from_millis);
    let since = now - took.unwrap_or(COMMAND_TIME_MAX).min(COMMAND_TIME_MAX) - TIME_SLACK;
    let mut links = if making.input.command.is_empty() {
        pull_request_of_tool(&making.input, &output)
    } else {
        let n_requests = making.actions.iter().filter(|a| **a == Action::PullRequest).count();
        let mut links = commits(&making, &output, (&input.cwd, &record.cwd), since, paths);
        links.extend(github::created_pull_requests(&output, n_requests));
        links
    };
    links.truncate(LINKS_MAX);
    if links.is_empty() {
        return Ok(());
    }
    let links = links.iter().map(Link::to_string).collect();
    let note = Note::of_links(links, input, now);
    state::append(paths, id, &note).context(|| format!("note for session {id}"))
}

/// What a call makes; `None` when it makes nothing that could be linked.
fn making(tool: &Tool<'_>, paths: &Paths) -> Option<Making> {
    let name: String = parsed(tool.tool_name)?;
    if name != SHELL_TOOL && name != PULL_REQUEST_TOOL {
        return None;
    }
    let mut input: ToolInput = parsed(tool.tool_input)?;
    if name == PULL_REQUEST_TOOL {
        input.command.clear();
        let text = tool.tool_input.map_or("", RawValue::get).to_owned();
        return Some(Making { actions: vec![Action::PullRequest], end: None, input, text });
    }
    let (actions, end) = actions(&input.command, paths.home());
    let text = input.command.clone();
    (!actions.is_empty()).then_some(Making { actions, end, input, text })
}

/// The state of a session that a daemon of ours follows or has followed.
fn record(paths: &Paths, id: &SessionId) -> Option<Record> {
    match state::load(paths, id) {
        Ok(Loaded::Ours(record)) => Some(*record),
        _ => None,
    }
}

/// The commits that a command line has made: those that git has named, and where it was quiet, what
/// the log of the folder says.
fn commits(
    making: &Making,
    output: &str,
    (cwd, project): (&str, &str),
    since: SystemTime,
    paths: &Paths,
) -> Vec<Link> {
    let folders: Vec<Vec<PathBuf>> = making
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Commit { folder, .. } => Some(candidates(folder, &making.end, cwd, project)),
            Action::PullRequest => None,
        })
        .collect();
    if folders.is_empty() {
        return Vec::new();
    }
    let config = paths.home().join(".ssh").join("config");
    let config = files::read_bounded(&config, SSH_CONFIG_BYTES_MAX).unwrap_or_default();
    let config = String::from_utf8_lossy(&config);
    let mut found: Vec<(&PathBuf, String)> = Vec::new();
    for digits in github::committed(output) {
        let mut all = folders.iter().flatten();
        found.extend(all.find_map(|folder| Some((folder, git::find_commit(folder, digits)?))));
    }
    if found.len() < folders.len() {
        for candidates in &folders {
            let mut all = candidates.iter();
            found.extend(all.find_map(|folder| Some((folder, git::last_commit(folder, since)?))));
        }
    }
    let mut links: Vec<Link> = Vec::new();
    for (folder, hash) in found {
        let link = git::on_github(folder, &config).map(|place| Link::commit(place, &hash));
        links.extend(link.filter(|link| !links.contains(link)));
    }
    links
}

/// Where a commit may have been made, the likeliest folder first. Claude Code does not say where a
/// command line began but where its shell was left, and sets that back to `project` when it lies
/// outside. A folder that only running the line could tell (`cd "$X"`) is sought where it ended.
fn candidates(folder: &Folder, end: &Folder, cwd: &str, project: &str) -> Vec<PathBuf> {
    let is_absolute = |path: &&Path| path.is_absolute();
    let cwd = Some(Path::new(cwd)).filter(is_absolute);
    let Some(folder) = folder else { return cwd.map(Path::to_owned).into_iter().collect() };
    if folder.is_absolute() {
        return vec![folder.clone()];
    }
    let mut candidates = Vec::new();
    if let (Some(end), Some(cwd)) = (end, cwd) {
        if end == folder {
            candidates.push(cwd.to_owned());
        }
        let ((n_up, below), (n_end_up, end_below)) = (straightened(folder), straightened(end));
        if end.is_relative() && cwd.ends_with(&end_below) && n_up >= n_end_up {
            let n_steps = end_below.components().count() + n_up - n_end_up;
            candidates.extend(cwd.ancestors().nth(n_steps).map(|start| start.join(below)));
        }
    }
    let project = Some(Path::new(project)).filter(is_absolute);
    candidates.extend(cwd.into_iter().chain(project).map(|start| start.join(folder)));
    candidates.dedup();
    candidates
}

/// How many folders up a relative path leads, and the path down from there.
fn straightened(path: &Path) -> (usize, PathBuf) {
    let mut n_up = 0;
    let mut below = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if !below.pop() => n_up += 1,
            Component::Normal(name) => below.push(name),
            _ => {}
        }
    }
    (n_up, below)
}

/// The pull request that the tool has made: the first one in its answer of the repository that it
/// was told.
fn pull_request_of_tool(input: &ToolInput, output: &str) -> Vec<Link> {
    let is_named = |link: &Link| {
        let equals = |told: &str, found: &str| told.is_empty() || told.eq_ignore_ascii_case(found);
        equals(&input.owner, &link.repository.owner) && equals(&input.repo, &link.repository.name)
    };
    github::pull_requests(output).into_iter().filter(is_named).take(1).collect()
}

/// What the agent is told. The address must be copied, as it is an address and no hash.
fn reason(url: &str, commits: bool, requests: bool, is_shell: bool) -> String {
    let what = match (commits, requests) {
        (true, true) => "commit and this PR",
        (true, false) => "commit",
        (false, _) => "PR",
    };
    let mut text = format!("✓ Confab is linking this {what} to your session. ");
    if commits {
        text.push_str(&format!(
            "Add this trailer to the commit message, as a paragraph of its own at its end, or \
             with `--trailer`:\n\n    Confab-Link: {url}\n\n",
        ));
    }
    if requests {
        text.push_str(&format!(
            "Add this line at the end of the PR body:\n\n    📝 [Confab link]({url})\n\n",
        ));
    }
    text.push_str("The value is a URL: copy it verbatim. Then ");
    text.push_str(match is_shell {
        true => {
            "run the command again. If the text comes from a file, add it there and run the \
             command again as it was."
        }
        false => "call the tool again.",
    });
    text
}

/// All strings of a value of any shape, a line each.
fn texts(value: &RawValue) -> String {
    fn collect(value: &Value, text: &mut String) {
        match value {
            Value::String(string) => {
                text.push_str(string);
                text.push('\n');
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, text)),
            Value::Object(values) => values.values().for_each(|value| collect(value, text)),
            _ => {}
        }
    }
    let mut text = String::new();
    // The reader's own limit of nesting bounds the recursion.
    if let Ok(value) = serde_json::from_str(value.get()) {
        collect(&value, &mut text);
    }
    text
}

/// A value of the expected type.
fn parsed<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

fn text_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        _ => String::new(),
    })
}
