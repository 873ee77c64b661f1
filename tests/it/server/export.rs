//! Sessions as files that need no server.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::process::{Folder, Server, chunk, create_key};
use super::upkeep::run;

/// All files below a folder, relative.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

fn append(server: &Server, key: &str, session: &str, name: &str, lines: &[&str]) {
    let mut body = chunk(session, 1, lines);
    body["file_name"] = json!(name);
    if name.starts_with("agent") {
        body["file_type"] = json!("agent");
    }
    assert_eq!(server.post("/api/v1/sync/chunk", key, &body).status, 200);
}

#[test]
fn sessions_are_exported_as_they_were_uploaded() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "../e");
    let said = r#"{"type":"user","message":{"content":"hello <script>alert(1)</script>"}}"#;
    append(&server, &key, &session, "../e.jsonl", &[said, "not json", ""]);
    append(&server, &key, &session, "agent-1.jsonl", &[said]);
    let link = json!({"url": "https://github.com/o/r/pull/1", "source": "manual"});
    let path = format!("/api/v1/sessions/{session}/github-links");
    assert_eq!(server.post(&path, &key, &link).status, 201);
    let end = json!({"session_id": session, "event_type": "session_end",
        "timestamp": "2026-01-01T00:00:00Z", "payload": {"reason": "exit"}});
    assert_eq!(server.post("/api/v1/sync/event", &key, &end).status, 200);
    let other = server.session(&key, "other");
    assert_eq!(server.append(&key, &other, 1, &["x"]).status, 200);

    let to = Folder::new();
    let (text, status) = run(&["export", to.0.to_str().unwrap(), "--html"], &folder);
    let n_bytes = 2 * (said.len() + 1) + "not json\n\n".len() + "x\n".len();
    let told = format!(": 2 sessions, 3 files, {n_bytes} bytes\n");
    assert!(status == 0 && text.ends_with(&told), "{text}");
    let below = "me%40x/claude-code/%2E%2E/e";
    let expected = [
        format!("{below}/files/%2E%2E/e.jsonl"),
        format!("{below}/files/agent-1.jsonl"),
        format!("{below}/session.html"),
        format!("{below}/session.json"),
        "me%40x/claude-code/other/files/t.jsonl".into(),
        "me%40x/claude-code/other/session.html".into(),
        "me%40x/claude-code/other/session.json".into(),
    ];
    assert_eq!(files(&to.0), expected.map(PathBuf::from));
    let read = |name: &str| fs::read_to_string(to.0.join(below).join(name)).unwrap();
    assert_eq!(read("files/%2E%2E/e.jsonl"), format!("{said}\nnot json\n\n"));
    let about: Value = serde_json::from_str(&read("session.json")).unwrap();
    assert_eq!(about["external_id"], "../e");
    assert_eq!(about["links"][0]["url"], link["url"]);
    assert_eq!(about["events"][0]["payload"], end["payload"]);
    let page = read("session.html");
    assert!(page.contains("hello &lt;script&gt;") && !page.contains("<script"), "{page}");
    let (first, second) = (page.find("e.jsonl</h2>"), page.find("agent-1.jsonl</h2>"));
    assert!(first.unwrap() < second.unwrap());

    let (text, status) = run(&["export", to.0.to_str().unwrap()], &folder);
    assert!(status == 1 && text.contains("it is not empty"), "{text}");
    let one = Folder::new();
    let words = ["export", one.0.to_str().unwrap(), "--session", &other];
    assert_eq!(run(&words, &folder).1, 0);
    assert_eq!(files(&one.0).len(), 2);
    let words = ["export", one.0.to_str().unwrap(), "--session", "nobody"];
    let (text, status) = run(&words, &folder);
    assert!(status == 1 && text.contains("there is no session nobody"), "{text}");
}
