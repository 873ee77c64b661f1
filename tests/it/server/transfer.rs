//! Everything to another backend and back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::process::{Folder, Server, chunk, command, create_key};
use super::upkeep::run;
use crate::support::backend::{Backend, Endpoint, Fault, Manner};
use crate::support::loopback::own_address;
use crate::support::processes;

/// A server with a session that has everything, one of another agent, and one with nothing.
struct Full {
    folder: Folder,
    server: Server,
    key: String,
}

impl Full {
    fn new() -> Full {
        let folder = Folder::new();
        let key = create_key(&folder.0, "me@x");
        let server = Server::start(&folder.0);
        let full = Full { folder, server, key };
        let (server, key) = (&full.server, &full.key);
        let opening = json!({"external_id": "e/1", "transcript_path": "/t.jsonl", "metadata": {
            "cwd": "/work", "hostname": "host", "username": "me", "git_info": {"branch": "main",
            "is_dirty": true, "repo_url": "https://github.com/o/r"}}});
        let response = server.post("/api/v1/sync/init", key, &opening).json();
        let session = response["session_id"].as_str().unwrap();
        let mut first =
            chunk(session, 1, &["", "é\u{0}\r", "{\"timestamp\":\"2026-01-02T03:04:05Z\"}"]);
        first["metadata"] = json!({"summary": "what it is", "first_user_message": "hello",
            "created_at": "2025-12-31T00:00:00Z"});
        assert_eq!(server.post("/api/v1/sync/chunk", key, &first).status, 200);
        // Several requests' worth.
        let long = "x".repeat(700_000);
        for line in 4..12 {
            assert_eq!(server.append(key, session, line, &[&format!("{line}{long}")]).status, 200);
        }
        for (name, kind) in [("agent-a.jsonl", "agent"), ("a/../b", "workflow_journal")] {
            let mut body = chunk(session, 1, &["one", "two"]);
            (body["file_name"], body["file_type"]) = (json!(name), json!(kind));
            assert_eq!(server.post("/api/v1/sync/chunk", key, &body).status, 200);
        }
        let links = format!("/api/v1/sessions/{session}/github-links");
        let link =
            json!({"url": "https://github.com/o/r/pull/1", "source": "cli_hook", "title": "t"});
        assert_eq!(server.post(&links, key, &link).status, 201);
        let end = json!({"session_id": session, "event_type": "session_end",
            "timestamp": "2026-01-02T04:00:00Z", "payload": {"reason": "exit"}});
        assert_eq!(server.post("/api/v1/sync/event", key, &end).status, 200);

        let codex = json!({"provider": "codex", "external_id": "e/1", "transcript_path": "/c"});
        let response = server.post("/api/v1/sync/init", key, &codex).json();
        let mut body = chunk(response["session_id"].as_str().unwrap(), 1, &["codex"]);
        body["metadata"] = json!({"model": "m"});
        assert_eq!(server.post("/api/v1/sync/chunk", key, &body).status, 200);
        server.session(key, "empty");
        full
    }
}

/// All that is known of all sessions, but what a backend gives of its own.
fn known(folder: &Folder) -> BTreeMap<String, Value> {
    let to = Folder::new();
    let (said, status) = run(&["export", to.0.to_str().unwrap()], folder);
    assert_eq!(status, 0, "{said}");
    let mut found = BTreeMap::new();
    collect(&to.0, &to.0, &mut found);
    found
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Value>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
            continue;
        }
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let value = match name.ends_with("session.json") {
            true => about(serde_json::from_str(&text).unwrap()),
            false => Value::from(text),
        };
        found.insert(name.to_owned(), value);
    }
}

fn about(mut about: Value) -> Value {
    for name in ["id", "last_sync_at"] {
        about[name] = Value::Null;
    }
    for file in about["files"].as_array_mut().unwrap() {
        file["updated_at"] = Value::Null;
    }
    for link in about["links"].as_array_mut().unwrap() {
        for name in ["id", "session_id", "created_at"] {
            link[name] = Value::Null;
        }
    }
    about
}

#[test]
fn what_is_pushed_is_there_and_what_is_pulled_is_here() {
    let full = Full::new();
    let there = Folder::new();
    let key = create_key(&there.0, "me@x");
    let server = Server::start(&there.0);
    let url = format!("http://{}", server.address);
    let push = ["push", "--to", &url, "--key", &key];
    let (said, status) = run(&push, &full.folder);
    let told = "3 sessions are there, 16 lines were moved, 0 failed\n";
    assert!(status == 0 && said.ends_with(told), "{said}");
    assert!(!said.contains(&key), "{said}");
    let (mut here, mut pushed) = (known(&full.folder), known(&there));
    // A session without lines says when it began to nobody.
    for known in [&mut here, &mut pushed] {
        known.get_mut("me%40x/claude-code/empty/session.json").unwrap()["first_seen"] = Value::Null;
    }
    assert_eq!(here, pushed);

    let (said, status) = run(&push, &full.folder);
    assert_eq!(
        (said.as_str(), status),
        ("3 sessions are there, 0 lines were moved, 0 failed\n", 0)
    );
    let session = full.server.session(&full.key, "e/1");
    assert_eq!(full.server.append(&full.key, &session, 12, &["later"]).status, 200);
    let (said, _) = run(&push, &full.folder);
    assert!(said.ends_with("3 sessions are there, 1 lines were moved, 0 failed\n"), "{said}");

    let back = Folder::new();
    let pull = ["pull", "--from", &url, "--key", &key, "--user", "me@x"];
    let (said, status) = run(&pull, &back);
    assert!(status == 0 && said.ends_with("3 sessions are here, 17 lines were moved, 0 failed\n"));
    let without_own = |folder: &Folder| {
        let mut known = known(folder);
        for (name, value) in &mut known {
            if name.ends_with("session.json") {
                // The protocol has no question for events; a session without lines has no date.
                value["events"] = Value::Null;
                value["first_seen"] = Value::Null;
            }
        }
        known
    };
    assert_eq!(without_own(&there), without_own(&back));
    let (said, _) = run(&pull, &back);
    assert!(said.ends_with("3 sessions are here, 0 lines were moved, 0 failed\n"), "{said}");
}

#[test]
fn one_session_that_differs_does_not_keep_the_others() {
    let full = Full::new();
    let there = Folder::new();
    let key = create_key(&there.0, "me@x");
    let server = Server::start(&there.0);
    let url = format!("http://{}", server.address);
    let session = server.session(&key, "e/1");
    let lines: Vec<String> = (0..20).map(|number| format!("other {number}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(server.append(&key, &session, 1, &lines).status, 200);
    let (said, status) = run(&["push", "--to", &url, "--key", &key], &full.folder);
    assert!(status == 1 && said.contains("it has 20 lines there and 11 here"), "{said}");
    assert!(said.ends_with("2 sessions are there, 1 lines were moved, 1 failed\n"), "{said}");
    let pull = ["pull", "--from", &url, "--key", &key, "--user", "me@x"];
    let (said, status) = run(&pull, &full.folder);
    assert!(status == 1 && said.contains("what is here is another file"), "{said}");
    assert!(said.ends_with("2 sessions are here, 0 lines were moved, 1 failed\n"), "{said}");
    let (said, status) = run(&["pull", "--from", &url, "--key", "wrong"], &full.folder);
    assert!(status == 1 && said.contains("does not take the key"), "{said}");
    let (said, status) = run(&[&pull[..], &["--session", "nobody"]].concat(), &full.folder);
    assert!(status == 1 && said.contains("nobody: error: the backend has no such"), "{said}");
}

/// The backend fails in several ways, also behind its work: each line is there once.
#[test]
fn a_backend_that_fails_gets_every_line_once() {
    let full = Full::new();
    let backend = Backend::start();
    let faults = [
        (Endpoint::Init, Fault::status(503)),
        (Endpoint::Chunk, Fault::new(Manner::Drop).after_storing()),
        (Endpoint::Chunk, Fault::new(Manner::Half).after_storing()),
        (Endpoint::Link, Fault::new(Manner::Garbage)),
    ];
    for (endpoint, fault) in faults {
        backend.fail(endpoint, fault);
    }
    let (url, key) = (backend.url(), backend.key());
    let (said, status) = run(&["push", "--to", &url, "--key", &key], &full.folder);
    // It knows no other agent than Claude Code.
    assert!(status == 1 && said.contains("2 sessions are there"), "{said}");
    assert!(said.contains("status 400: {\"error\":\"unknown provider\"}"), "{said}");
    assert_eq!(backend.faults_left(), 0);
    let here = known(&full.folder);
    let file = |name: &str| here[&format!("me%40x/claude-code/e/1/files/{name}")].clone();
    let there = |name: &str| -> Value {
        backend.lines("e/1", name).into_iter().map(|line| line + "\n").collect::<String>().into()
    };
    assert_eq!(there("t.jsonl"), file("t.jsonl"));
    assert_eq!(there("agent-a.jsonl"), file("agent-a.jsonl"));
    // As it stands in the path.
    assert_eq!(backend.summaries(), [("e%2F1".to_owned(), "what it is".to_owned())]);
}

/// Whoever has started it can end it, however long the other backend is silent.
#[test]
fn an_interrupt_ends_a_push() {
    use std::os::unix::process::ExitStatusExt;
    let full = Full::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let push = ["push", "--to", &url, "--key", "k"];
    let push = command(&push, &full.folder.0);
    // Whoever runs the tests in the background of a script may have them ignore it.
    let mut interruptible = Command::new("env");
    interruptible.arg("--default-signal=INT").arg(push.get_program()).args(push.get_args());
    let mut pushing = interruptible.spawn().unwrap();
    let _asked = silent.accept().unwrap();
    processes::signal(pushing.id(), "INT");
    assert_eq!(pushing.wait().unwrap().signal(), Some(2));
}

#[test]
fn a_push_goes_on_when_the_server_is_killed() {
    let full = Full::new();
    let there = Folder::new();
    let key = create_key(&there.0, "me@x");
    // Nobody else takes a port of this address in between.
    let server = Server::start_at(&there.0, &format!("{}:0", own_address()));
    let address = server.address.clone();
    let url = format!("http://{address}");
    let said = std::thread::scope(|scope| {
        let push = ["push", "--to", &url, "--key", &key];
        let folder = &full.folder;
        let pushing = scope.spawn(move || run(&push, folder));
        // As soon as anything has arrived.
        while !server.has_session(&key, "e/1") {}
        server.kill();
        let again = Server::start_at(&there.0, &address);
        let said = pushing.join().unwrap();
        assert!(again.terminate());
        said
    });
    assert!(said.1 == 0 && said.0.contains("3 sessions are there"), "{}", said.0);
    let lines = |folder: &Folder| -> Vec<(String, Value)> {
        known(folder).into_iter().filter(|(name, _)| !name.ends_with(".json")).collect()
    };
    assert_eq!(lines(&full.folder), lines(&there));
}
