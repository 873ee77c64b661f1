//! The wire contract: exchanges recorded with the existing backend, replayed in order.
//!
//! Each vector is run: a new one by existing. Where this server is meant to answer otherwise,
//! `fixtures/wire/differences.json` says how and why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::server::process::{Folder, Response, Server, chunk, create_key, request_at};
use crate::support::backend::Backend;
use crate::support::fixtures;

/// Stands for `$TIME` in requests.
const TIME: &str = "2026-11-20T09:00:00Z";

#[derive(Deserialize)]
struct Vector {
    name: String,
    request: Value,
    response: Value,
}

#[derive(Deserialize)]
struct Differences {
    differences: Vec<Difference>,
}

#[derive(Deserialize)]
struct Difference {
    name: String,
    #[serde(default)]
    request: Value,
    #[serde(default)]
    response: Value,
    why: String,
}

/// Values of the placeholders met so far.
struct Bindings(BTreeMap<&'static str, String>);

#[test]
fn recorded_exchanges_are_answered_as_recorded() {
    let differences: Differences =
        serde_json::from_str(&fixture("differences.json")).expect("differences.json");
    let mut vectors: Vec<Vector> = fixture("vectors.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a vector"))
        .collect();
    patch_all(&mut vectors, &differences);

    let folder = Folder::new();
    let key = create_key(&folder.0, "admin@local.dev");
    let server = Server::start(&folder.0);
    let mut bindings = Bindings(BTreeMap::from([
        ("$KEY", key),
        ("$EXTERNAL", "11111111-1111-4111-8111-111111111111".to_owned()),
        // As the requests name it.
        ("$BACKEND", "http://x".to_owned()),
    ]));
    let mut failures = Vec::new();
    for vector in &vectors {
        let response = send(&server.address, vector, &bindings);
        for problem in check(&vector.response, &response, &mut bindings) {
            failures.push(format!("{}: {problem}", vector.name));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(server.terminate());
}

/// The backend that the tests script says what the existing one says, so that neither drifts: each
/// exchange of the endpoints that it has is answered with the recorded status, and a success with
/// the recorded body. What it does not tell apart, as no client of ours asks for it, is listed.
#[test]
fn the_scripted_backend_answers_as_recorded() {
    let differences: Scripted = serde_json::from_str(&fixture("scripted.json")).unwrap();
    let backend = Backend::start();
    backend.set_capabilities(Some(json!({
        "workflow_files": true, "workflow_journal": true, "opencode_subagents": true
    })));
    let address = backend.url().strip_prefix("http://").unwrap().to_owned();
    let mut bindings = Bindings(BTreeMap::from([
        ("$KEY", backend.key()),
        ("$EXTERNAL", "11111111-1111-4111-8111-111111111111".to_owned()),
    ]));
    let (mut failures, mut n_checked) = (Vec::new(), 0);
    for line in fixture("vectors.jsonl").lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        if differences.skipped.contains_key(&vector.name) || !is_scripted(&vector.request) {
            continue;
        }
        n_checked += 1;
        let mut vector = vector;
        // It is meant for our client, and insists on it.
        vector.request["headers"]["User-Agent"] = json!("confab/0.1.0 (linux; amd64)");
        let response = send(&address, &vector, &bindings);
        let is_success = vector.response["status"] == 200;
        let expected = match is_success {
            true => vector.response.clone(),
            false => json!({"status": vector.response["status"], "headers": {}}),
        };
        if response.status != 200 || !is_success {
            if expected["status"] != json!(response.status) {
                let status = response.status;
                failures.push(format!("{}: {status}: {}", vector.name, response.text()));
            }
            continue;
        }
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        let mut problems = Vec::new();
        bindings.compare(&expected["body"], &body, "body", &mut problems);
        failures.extend(problems.iter().map(|problem| format!("{}: {problem}", vector.name)));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(n_checked >= 40, "{n_checked}");
}

#[derive(Deserialize)]
struct Scripted {
    /// Names of exchanges, and why they are not asked.
    skipped: BTreeMap<String, String>,
}

fn is_scripted(request: &Value) -> bool {
    let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
    match method {
        "POST" => path.starts_with("/api/v1/sync/"),
        "GET" => matches!(path, "/api/v1/capabilities" | "/api/v1/auth/validate"),
        "PATCH" => path.ends_with("/summary"),
        _ => false,
    }
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wire").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Applies the differences; each must name a vector and a reason, and change something.
fn patch_all(vectors: &mut [Vector], differences: &Differences) {
    for difference in &differences.differences {
        let mut named = vectors.iter_mut().filter(|vector| vector.name == difference.name);
        let vector = named.next().unwrap_or_else(|| panic!("no vector {:?}", difference.name));
        assert!(!difference.why.is_empty(), "{:?} has no reason", difference.name);
        let before = vector.response.clone();
        merge(&mut vector.request, &difference.request);
        merge(&mut vector.response, &difference.response);
        assert_ne!(before, vector.response, "{:?} is no difference", difference.name);
    }
}

/// RFC 7396 for objects; a null patch as a whole changes nothing.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.remove(key)),
            Value::Object(_) => merge(target.entry(key).or_insert(Value::Null), value),
            other => drop(target.insert(key.clone(), other.clone())),
        }
    }
}

fn send(address: &str, vector: &Vector, bindings: &Bindings) -> Response {
    let request = &vector.request;
    let text = |key: &str| bindings.fill(request[key].as_str().unwrap_or_default());
    let headers: Vec<(String, String)> = request["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), bindings.fill(value.as_str().unwrap())))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let packed = headers.iter().any(|(name, value)| name == "Content-Encoding" && value == "zstd");
    let body = match (&request["body"], request["body_text"].as_str()) {
        // Recorded as its length alone: bytes that are no zstd frame.
        (_, Some("(15 bytes)")) => b"not a zstd body".to_vec(),
        (_, Some(_)) => text("body_text").into_bytes(),
        (Value::Null, None) => Vec::new(),
        (body, None) => {
            let body = match body["$described"].as_str() {
                Some(description) => described(&vector.name, description),
                None => body.clone(),
            };
            let json = bindings.fill(&body.to_string()).into_bytes();
            if packed { zstd::bulk::compress(&json, 3).unwrap() } else { json }
        }
    };
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let method = request["method"].as_str().unwrap();
    request_at(address, method, &text("path"), &headers, &body).expect("an answer")
}

/// A body that was too long to record.
fn described(name: &str, description: &str) -> Value {
    let chunk = |file: &str, lines: Vec<String>| {
        json!({
            "session_id": "$SESSION",
            "file_name": file,
            "file_type": "agent",
            "first_line": 1,
            "lines": lines,
        })
    };
    match name {
        "init body over 128 KiB" => json!({
            "external_id": "$EXTERNAL",
            "transcript_path": "/t.jsonl",
            "padding": "x".repeat(140_000),
        }),
        "chunk first_user_message too long" => {
            let mut body = chunk("$EXTERNAL.jsonl", vec!["{}".into()]);
            body["metadata"] = json!({"first_user_message": "f".repeat(8193)});
            body
        }
        "chunk 15 MB" => chunk("big.jsonl", vec!["x".repeat(1_000_000); 15]),
        "chunk over 16 MiB decompressed" => chunk("big.jsonl", vec!["x".repeat(1_000_000); 17]),
        _ => panic!("{name}: nobody knows how to make {description}"),
    }
}

/// Everything in which a response is not as expected.
fn check(expected: &Value, response: &Response, bindings: &mut Bindings) -> Vec<String> {
    let mut problems = Vec::new();
    if expected["status"] != json!(response.status) {
        problems.push(format!("status {}, not {}", response.status, expected["status"]));
    }
    for (name, value) in expected["headers"].as_object().unwrap() {
        let value = bindings.fill(value.as_str().unwrap());
        if response.header(name) != Some(&value) {
            problems.push(format!("{name}: {:?}, not {value:?}", response.header(name)));
        }
    }
    let text = response.text();
    if let Some(expected) = expected["body_text"].as_str() {
        let expected = bindings.fill(expected);
        if text != expected {
            problems.push(format!("body {text:?}, not {expected:?}"));
        }
    } else {
        match serde_json::from_str(&text) {
            Ok(body) => bindings.compare(&expected["body"], &body, "body", &mut problems),
            Err(error) => problems.push(format!("body {text:?}: {error}")),
        }
    }
    problems
}

impl Bindings {
    /// The text with all placeholders that are known, the longest names first.
    fn fill(&self, text: &str) -> String {
        let filled = text.replace("$TIME", TIME);
        self.0.iter().rev().fold(filled, |text, (name, value)| text.replace(name, value))
    }

    /// Compares values; an unknown placeholder is bound to what is in its place.
    fn compare(
        &mut self,
        expected: &Value,
        found: &Value,
        place: &str,
        problems: &mut Vec<String>,
    ) {
        match (expected, found) {
            (Value::Object(expected), Value::Object(found)) => {
                let filled: BTreeMap<String, &Value> =
                    expected.iter().map(|(key, value)| (self.fill(key), value)).collect();
                for key in found.keys().filter(|key| !filled.contains_key(*key)) {
                    problems.push(format!("{place}.{key} is not expected"));
                }
                for (key, value) in filled {
                    let found = found.get(&key).unwrap_or(&Value::Null);
                    self.compare(value, found, &format!("{place}.{key}"), problems);
                }
            }
            (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
                for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                    self.compare(expected, found, &format!("{place}[{index}]"), problems);
                }
            }
            (Value::String(expected), Value::String(found)) => {
                if !self.matches(expected, found) {
                    problems.push(format!("{place} is {found:?}, not {expected:?}"));
                }
            }
            _ if expected == found => {}
            _ => problems.push(format!("{place} is {found}, not {expected}")),
        }
    }

    /// True when the placeholder stands for this, which it does from its first time on.
    fn is_bound(&mut self, name: &'static str, found: &str) -> bool {
        *self.0.entry(name).or_insert_with(|| found.to_owned()) == found
    }

    fn matches(&mut self, expected: &str, found: &str) -> bool {
        match expected {
            "$TIME" => confab::time::parse_rfc3339(found).is_some(),
            "$VERSION" => found == env!("CARGO_PKG_VERSION"),
            "$SESSION" => self.is_bound("$SESSION", found),
            "$SESSION_CODEX" => self.is_bound("$SESSION_CODEX", found),
            "$DEVICE" => is_device_code(found) && self.is_bound("$DEVICE", found),
            "(64 hex)" => is_device_code(found),
            "$USERCODE" | "(XXXX-XXXX)" => is_user_code(found),
            _ => self.fill(expected) == found,
        }
    }
}

fn is_device_code(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `XXXX-XXXX`, of letters and digits that nobody takes for another.
fn is_user_code(text: &str) -> bool {
    let is_clear = |byte: u8| {
        (byte.is_ascii_uppercase() || byte.is_ascii_digit()) && !b"0O1IL".contains(&byte)
    };
    let dashed = text.split_once('-');
    dashed.is_some_and(|(one, other)| {
        [one, other].iter().all(|part| part.len() == 4 && part.bytes().all(is_clear))
    })
}

/// What the existing backend has made of recorded sessions.
#[test]
fn recorded_sessions_are_condensed_as_recorded() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "admin@local.dev");
    let server = Server::start(&folder.0);
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wire/condensed");
    let mut n_cases = 0;
    for case in std::fs::read_dir(cases).unwrap() {
        let name = case.unwrap().file_name().into_string().unwrap();
        let recording = name.trim_end_matches(".json");
        let mut expected: Value =
            serde_json::from_str(&fixture(&format!("condensed/{name}"))).unwrap();
        let id = expected["metadata"]["external_id"].as_str().unwrap().to_owned();
        let session = server.session(&key, &id);
        let home = Folder::new();
        fixtures::install(recording, &home.0);
        for (name, kind, path) in files_of(&home.0, &id) {
            let text = String::from_utf8(fixtures::read(&path)).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let mut body = chunk(&session, 1, &lines);
            (body["file_name"], body["file_type"]) = (json!(name), json!(kind));
            assert_eq!(server.post("/api/v1/sync/chunk", &key, &body).status, 200);
        }
        let path = format!("/api/v1/sessions/{session}/condensed-transcript");
        let mut answer = server.get(&path, &key).json();
        for name in ["session_id", "first_seen", "last_sync_at"] {
            (answer["metadata"][name], expected["metadata"][name]) = (Value::Null, Value::Null);
        }
        assert_eq!(answer["transcript"], expected["transcript"], "{name}");
        assert_eq!(answer, expected, "{name}");
        n_cases += 1;
    }
    assert_eq!(n_cases, 4);
}

/// The files of a recorded session: name, type and place. Its id was changed at its end when it was
/// given to the existing backend.
fn files_of(home: &Path, id: &str) -> Vec<(String, &'static str, PathBuf)> {
    let projects = home.join(".claude/projects");
    let paths = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let mut files = Vec::new();
    for path in paths(&projects).iter().flat_map(|project| paths(project)) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with(&id[..24]) && name.ends_with(".jsonl") {
            files.push((format!("{id}.jsonl"), "transcript", path));
        } else if name.starts_with(&id[..24]) {
            for agent in paths(&path.join("subagents")) {
                let name = agent.file_name().unwrap().to_str().unwrap().to_owned();
                if name.ends_with(".jsonl") {
                    files.push((name, "agent", agent));
                }
            }
        }
    }
    files
}
