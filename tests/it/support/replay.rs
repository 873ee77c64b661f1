//! Recorded sessions happen again: the same hooks in the same order, with transcripts that hold as
//! many lines at each hook as they did then.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::eventually::eventually;
use super::fixtures::{self, Expected};
use super::processes;
use super::sandbox::{Sandbox, append};

/// The events that the client has hooks for, and the hooks' names.
const HOOKS: [(&str, &str); 3] = [
    ("SessionStart", "session-start"),
    ("UserPromptSubmit", "user-prompt-submit"),
    ("SessionEnd", "session-end"),
];

/// One hook call: what it said and how long the transcript was.
struct Call {
    event: String,
    input: Value,
    lines: usize,
}

impl Call {
    fn id(&self) -> &str {
        self.input["session_id"].as_str().unwrap()
    }
}

/// Plays a recording in a sandbox until all its daemons have ended. `stored` gives how many lines
/// of a session's transcript have arrived. Returns what must have arrived in the end.
pub fn replay(
    recording: &str,
    sandbox: &Sandbox,
    stored: impl Fn(&str) -> usize,
) -> BTreeMap<String, Expected> {
    let original = sandbox.root().join("original");
    fixtures::install(recording, &original);
    let mut expected = fixtures::sessions(&original.join(".claude"));
    let calls = calls(recording, sandbox, &expected);
    expected.retain(|id, _| calls.iter().any(|call| call.id() == id));
    for (at, call) in calls.iter().enumerate() {
        let path = PathBuf::from(call.input["transcript_path"].as_str().unwrap());
        let files = expected.get(call.id());
        if let Some(files) = files {
            grow(&path, files, call.lines);
            if call.event != "SessionStart" {
                copy_side_files(&original, sandbox, call.id(), files);
            }
        }
        let hook = HOOKS.iter().find(|(event, _)| *event == call.event).unwrap().1;
        let outcome = sandbox.hook(hook, &call.input);
        assert!(outcome.status.success(), "{recording}: {outcome:?}");
        let last = !calls[at + 1..].iter().any(|later| later.id() == call.id());
        match files {
            Some(files) if last => grow(&path, files, usize::MAX),
            Some(_) if call.event == "UserPromptSubmit" => {
                let what = format!("{recording}: line {} of {}", call.lines, call.id());
                eventually(&what, || stored(call.id()) >= call.lines);
            }
            _ => {}
        }
    }
    // Sessions that were killed, or only announced, have nobody who would end them. A daemon may
    // start another one for a session that it delivered when its hook came: each is told once, and
    // not before it has said who it is, as a process that has just started does not yet heed
    // signals.
    let ended = |id: &str| calls.iter().rfind(|c| c.id() == id).unwrap().event == "SessionEnd";
    let all_ended = calls.iter().all(|call| ended(call.id()));
    let mut told = BTreeSet::new();
    eventually("all daemons end", || {
        let daemons = sandbox.daemons();
        for pid in &daemons {
            if !all_ended && sandbox.is_introduced(*pid) && told.insert(*pid) {
                processes::signal(*pid, "TERM");
            }
        }
        daemons.is_empty()
    });
    expected
}

/// The recorded calls; a recording without any gets a start and an end for each session.
fn calls(recording: &str, sandbox: &Sandbox, sessions: &BTreeMap<String, Expected>) -> Vec<Call> {
    let mut calls = Vec::new();
    for call in fixtures::hooks(recording, sandbox) {
        let input = call["stdin"].clone();
        let event = input["hook_event_name"].as_str().unwrap().to_string();
        if HOOKS.iter().any(|(known, _)| *known == event) {
            let lines = call["transcript_at_hook"]["nlines"].as_u64().unwrap_or_default();
            calls.push(Call { event, input, lines: lines.try_into().unwrap() });
        }
    }
    if calls.is_empty() {
        for id in sessions.keys() {
            for (event, lines) in [("SessionStart", 0), ("SessionEnd", usize::MAX)] {
                let project = sandbox.home().join(".claude/projects/-home-dev-project");
                let mut input = sandbox.input(event, id);
                input["transcript_path"] = json!(project.join(format!("{id}.jsonl")));
                calls.push(Call { event: event.into(), input, lines });
            }
        }
    }
    calls
}

/// Appends lines until the transcript has `lines` of them.
fn grow(path: &Path, files: &Expected, lines: usize) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let Some(all) = files.get(name) else { return };
    let present = fs::read(path).map_or(0, |bytes| bytes.len());
    let end: usize = all.split_inclusive(|byte| *byte == b'\n').take(lines).map(<[u8]>::len).sum();
    if end > present {
        append(path, &all[present..end]);
    }
}

/// Puts the side files of a session where they were.
fn copy_side_files(original: &Path, sandbox: &Sandbox, id: &str, files: &Expected) {
    let project = Path::new(".claude/projects/-home-dev-project");
    for (name, bytes) in files {
        for folder in [project.to_path_buf(), project.join(id).join("subagents")] {
            let path = sandbox.home().join(&folder).join(name);
            let was_there = original.join(&folder).join(name).exists();
            if name.starts_with("agent-") && was_there && !path.exists() {
                append(&path, bytes);
            }
        }
    }
}
