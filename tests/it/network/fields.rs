//! Everything that leaves the machine, field by field. A field that is not in this list fails the
//! test: whoever adds one decides here what may be in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::backend::{Arrived, Backend, Endpoint};
use crate::support::sandbox::{ID, Sandbox, append, line, lines};

const OTHER: &str = "22222222-2222-4222-8222-222222222222";
/// So many bytes of a secret in a row are a leak: what is cut to length must be redacted before.
const LEAK_BYTES: usize = 10;

/// What may be in a field, and why no secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Free text, redacted; the session below has a secret in it.
    Redacted,
    /// Redacted as well, but the test cannot put a secret there: it comes from the system.
    OfTheSystem,
    /// An id, a hash or a file's name: letters, digits, `-`, `_`, `.`, `/`.
    Id,
    /// A number, or true or false.
    Number,
    /// Seconds and their fractions, RFC 3339.
    Time,
    /// Always this word.
    Word(&'static str),
    /// One of the protocol's file types.
    FileType,
}
use Decision::{FileType, Id, Number, OfTheSystem, Redacted, Time, Word};

const FIELDS: [(&str, Decision); 43] = [
    ("Init.provider", Word("claude-code")),
    ("Init.external_id", Id),
    ("Init.transcript_path", Redacted),
    ("Init.metadata.cwd", Redacted),
    ("Init.metadata.hostname", OfTheSystem),
    ("Init.metadata.username", OfTheSystem),
    ("Init.metadata.git_info.repo_url", Redacted),
    ("Init.metadata.git_info.branch", Redacted),
    ("Init.metadata.git_info.commit_sha", Id),
    ("Init.metadata.git_info.is_dirty", Number),
    ("Init.metadata.git_info.remotes[].name", Redacted),
    ("Init.metadata.git_info.remotes[].fetch_url", Redacted),
    ("Init.metadata.git_info.remotes[].push_url", Redacted),
    ("Init.metadata.git_info.tracking_remote", Redacted),
    ("Chunk.session_id", Id),
    ("Chunk.file_name", Id),
    ("Chunk.file_type", FileType),
    ("Chunk.first_line", Number),
    ("Chunk.lines[]", Redacted),
    ("Chunk.metadata.summary", Redacted),
    ("Chunk.metadata.first_user_message", Redacted),
    ("Chunk.metadata.git_info.repo_url", Redacted),
    ("Chunk.metadata.git_info.branch", Redacted),
    ("Chunk.metadata.git_info.is_dirty", Number),
    ("Chunk.metadata.git_info.remotes[].name", Redacted),
    ("Chunk.metadata.git_info.remotes[].fetch_url", Redacted),
    ("Chunk.metadata.git_info.remotes[].push_url", Redacted),
    ("Chunk.metadata.git_info.tracking_remote", Redacted),
    ("Event.session_id", Id),
    ("Event.event_type", Word("session_end")),
    ("Event.timestamp", Time),
    ("Event.payload.session_id", Id),
    ("Event.payload.transcript_path", Redacted),
    ("Event.payload.cwd", Redacted),
    ("Event.payload.permission_mode", Redacted),
    ("Event.payload.hook_event_name", Word("SessionEnd")),
    ("Event.payload.reason", Redacted),
    ("Summary.summary", Redacted),
    ("Summary.path", Id),
    ("Init.path", Word("/api/v1/sync/init")),
    ("Chunk.path", Word("/api/v1/sync/chunk")),
    ("Event.path", Word("/api/v1/sync/event")),
    ("Capabilities.path", Word("/api/v1/capabilities")),
];

/// In the shape of an AWS key. Of different letters throughout, so that no part of it is elsewhere.
fn secret() -> String {
    ["AKIA", "QWERTZUI", "OPASDFGH"].concat()
}

/// A password, as in the address of a remote.
fn password() -> String {
    ["correct", "horse", "battery"].concat()
}

#[test]
fn every_field_that_leaves_is_known_and_holds_no_secret() {
    let backend = Backend::at_localhost();
    rich_session(&backend);
    let mut values: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for arrived in backend.arrived() {
        let Arrived { endpoint, request, body, .. } = arrived;
        let mut collect = |field: String, value: &Value| {
            values.entry(field).or_default().push(value.clone());
        };
        collect(format!("{endpoint:?}.path"), &request.path.into());
        leaves(&format!("{endpoint:?}"), &body, &mut collect);
        for (name, value) in request.headers.iter().filter(|(name, _)| name != "authorization") {
            check_no_secret(name, value, &backend);
        }
        check_no_secret(&format!("{endpoint:?}"), &body.to_string(), &backend);
    }
    let known: BTreeMap<&str, Decision> = FIELDS.into_iter().collect();
    for (field, values) in &values {
        let decision = known.get(field.as_str());
        let decision = decision.unwrap_or_else(|| panic!("{field} is not in the list: {values:?}"));
        check(field, *decision, values);
    }
    for field in known.keys() {
        assert!(values.contains_key(*field), "{field} is in the list and was not sent");
    }
}

/// Calls `collect` with every value that is no object and no array.
fn leaves(field: &str, value: &Value, collect: &mut impl FnMut(String, &Value)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                leaves(&format!("{field}.{name}"), value, collect);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                leaves(&format!("{field}[]"), element, collect);
            }
        }
        Value::Null => {}
        _ => collect(field.to_owned(), value),
    }
}

#[track_caller]
fn check(field: &str, decision: Decision, values: &[Value]) {
    let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
    let are_texts = texts.len() == values.len();
    let all =
        |legal: fn(char) -> bool| are_texts && texts.iter().all(|text| text.chars().all(legal));
    let kept = match decision {
        Redacted => are_texts && texts.iter().any(|text| text.contains("[REDACTED:")),
        OfTheSystem => are_texts,
        Id => all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter)),
        Number => values.iter().all(|value| value.is_number() || value.is_boolean()),
        Time => all(|letter| letter.is_ascii_digit() || "-:.TZ".contains(letter)),
        Word(word) => are_texts && texts.iter().all(|text| *text == word),
        FileType => {
            texts.iter().all(|text| ["transcript", "agent", "workflow_journal"].contains(text))
        }
    };
    assert!(kept, "{field} is not {decision:?}: {values:?}");
}

/// Demands that not even a part of a secret is in a text.
#[track_caller]
fn check_no_secret(what: &str, text: &str, backend: &Backend) {
    for secret in [secret(), password(), backend.key()] {
        for part in secret.as_bytes().windows(LEAK_BYTES) {
            let part = std::str::from_utf8(part).expect("ASCII");
            let at = text.find(part);
            let context = at.map(|at| &text[text.floor_char_boundary(at.saturating_sub(80))..at]);
            assert_eq!(context, None, "{what} holds a part of a secret behind this");
        }
    }
}

/// Plays a session that has a secret wherever one can be.
fn rich_session(backend: &Backend) {
    let sandbox = Sandbox::with_backend("fields", backend);
    let (secret, key) = (secret(), backend.key());
    let cwd = sandbox.work().join(&secret);
    make_repository(&cwd);
    let project = sandbox.home().join(format!(".claude/projects/-work-{secret}"));
    let transcript = project.join(format!("{ID}.jsonl"));

    let earlier = format!("{}\n", line(OTHER, 5).trim_end());
    append(&project.join(format!("{OTHER}.jsonl")), &earlier);
    let leaf: Value = serde_json::from_str(&earlier).unwrap();
    // The limits of the fields lie in the middle of a secret.
    let filled = |bytes: usize| format!("{secret} {} {secret} {key}", "x".repeat(bytes - 34));
    let first = json!({
        "type": "user",
        "cwd": cwd,
        "gitBranch": format!("feature/{secret}"),
        "message": { "role": "user", "content": filled(8192) },
    });
    let summary = json!({ "type": "summary", "summary": filled(2048), "leafUuid": leaf["uuid"] });
    let own_summary = json!({ "type": "summary", "summary": filled(2048) });
    append(&transcript, format!("{first}\n{summary}\n{own_summary}\nno json {secret}\n"));
    append(&transcript, lines(ID, 1, 3));
    let side = project.join(ID).join("subagents");
    for name in ["agent-a1b2c3d.jsonl", "workflows/run-1/agent-a1b2c3e.jsonl"] {
        append(&side.join(name), format!("{first}\n"));
    }
    append(&side.join("workflows/run-1/journal.jsonl"), format!("{first}\n"));

    let input = |event: &str| {
        let mut input = sandbox.input(event, ID);
        input["cwd"] = json!(cwd);
        input["transcript_path"] = json!(transcript);
        for field in ["permission_mode", "reason", "prompt", "source", "a_field_of_tomorrow"] {
            input[field] = format!("{field} {secret}").into();
        }
        input
    };
    sandbox.hook("session-start", &input("SessionStart"));
    sandbox.hook("session-end", &input("SessionEnd"));
    sandbox.daemons_end();
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
    assert_eq!(backend.refused(), Vec::<String>::new());
    assert_eq!(backend.session(ID).unwrap().files.len(), 4);
    assert_eq!(backend.count(Endpoint::Other), 0);
}

/// A work tree whose branch and remotes hold secrets in every place.
fn make_repository(folder: &Path) {
    let (secret, password) = (secret(), password());
    let branch = format!("feature/{secret}");
    let git = folder.join(".git");
    let url = format!("https://someone:{password}@git.test/{secret}/repository.git");
    let config = format!(
        "[remote \"origin\"]\n\turl = {url}\n[remote \"{secret}\"]\n\turl = {url}\n\
         \tpushurl = ssh://git:{password}@git.test/{secret}\n\
         [branch \"{branch}\"]\n\tremote = {secret}\n"
    );
    append(&git.join("config"), config);
    append(&git.join("HEAD"), format!("ref: refs/heads/{branch}\n"));
    append(&git.join("refs/heads").join(&branch), format!("{}\n", "0123456789".repeat(4)));
    assert!(fs::metadata(git.join("HEAD")).unwrap().is_file());
}
