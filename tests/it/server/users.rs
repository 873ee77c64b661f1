//! Who sees what: keys, users, the command line.

use std::net::TcpListener;

use serde_json::json;

use super::process::{Folder, Server, chunk, command, create_key};

#[test]
fn a_user_sees_only_their_own_sessions() {
    let folder = Folder::new();
    let server = Server::start(&folder.0);
    // Keys are made while the server runs.
    let mine = create_key(&folder.0, "me@x");
    let other = create_key(&folder.0, "other@x");
    let session = server.session(&mine, "e");
    assert_eq!(server.append(&mine, &session, 1, &["a"]).status, 200);

    let reads = [
        format!("/api/v1/sessions/{session}"),
        format!("/api/v1/sessions/{session}/files"),
        format!("/api/v1/sessions/{session}/files/download?file_name=t.jsonl"),
        "/api/v1/sessions/by-external-id/e".to_owned(),
    ];
    for path in reads {
        assert_eq!(server.get(&path, &mine).status, 200, "{path}");
        assert_eq!(server.get(&path, &other).status, 404, "{path}");
    }
    let event = json!({
        "session_id": session,
        "event_type": "session_end",
        "timestamp": "2026-01-01T00:00:00Z",
    });
    let summary = |key: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        server.request("PATCH", "/api/v1/sessions/e/summary", &headers, br#"{"summary":"s"}"#)
    };
    let written = chunk(&session, 2, &["b"]);
    assert_eq!(server.post("/api/v1/sync/chunk", &other, &written).status, 404);
    assert_eq!(server.post("/api/v1/sync/event", &other, &event).status, 404);
    assert_eq!(summary(&other).status, 404);
    assert_eq!(summary(&mine).status, 200);
    assert_eq!(server.get("/api/v1/sessions", &other).json()["sessions"], json!([]));
    // The same external id is another session of another user.
    assert_ne!(server.session(&other, "e"), session);
}

#[test]
fn a_list_is_newest_first_and_bounded() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let ids: Vec<String> = ["a", "b", "c"].map(|name| server.session(&key, name)).into();
    assert_eq!(server.append(&key, &ids[0], 1, &["x"]).status, 200);
    let listed = |query: &str| -> Vec<String> {
        let answer = server.get(&format!("/api/v1/sessions{query}"), &key).json();
        let sessions = answer["sessions"].as_array().unwrap().iter();
        sessions.map(|session| session["external_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(""), ["a", "c", "b"]);
    assert_eq!(listed("?limit=1"), ["a"]);
    assert_eq!(listed("?limit=99999999"), ["a", "c", "b"]);
    for query in ["?limit=0", "?limit=x", "?limit=-1", "?limit="] {
        let response = server.get(&format!("/api/v1/sessions{query}"), &key);
        assert_eq!(response.status, 400, "{query}");
    }
}

#[test]
fn a_new_key_of_the_same_name_ends_the_old_one_at_once() {
    let folder = Folder::new();
    let old = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    assert_eq!(server.get("/api/v1/auth/validate", &old).status, 200);
    let new = create_key(&folder.0, "me@x");
    assert_eq!(server.get("/api/v1/auth/validate", &old).status, 401);
    let identity = server.get("/api/v1/auth/validate", &new).json();
    assert_eq!(identity["email"], "me@x");
    let characters = new.strip_prefix("cfb_").unwrap();
    assert_eq!(characters.len(), 40);
    assert!(characters.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
}

#[test]
fn a_key_is_nowhere_in_the_data() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    server.session(&key, "e");
    let files: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(Result::unwrap).collect();
    assert!(!files.is_empty());
    for file in files {
        let bytes = std::fs::read(file.path()).unwrap();
        let secret = &key.as_bytes()[4..];
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn the_command_line_fails_with_a_hint() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: [(&[&str], i32, &str); 3] = [
        (&["nonsense"], 2, "hint: see `confab-server help`\n"),
        (
            &["serve", "--listen", "nowhere"],
            1,
            "hint: it takes ADDRESS:PORT, for example 127.0.0.1:8787\n",
        ),
        (&["serve", "--listen", &taken], 1, "hint: `--listen 127.0.0.1:0` takes a free port\n"),
    ];
    for (arguments, code, hint) in cases {
        let _listener = TcpListener::bind(&taken).ok();
        let output = command(arguments, &folder.0).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("confab-server: error: ") && stderr.ends_with(hint), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}
