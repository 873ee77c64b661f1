//! What is found and counted in what was uploaded.

mod described;
mod figures;
mod lines;
mod search;
mod shared;

use serde_json::{Value, json};

use super::process::{Folder, Server, create_key};
use super::rest::wait_for_rows;

/// A server, a key, and what they are in.
struct World {
    folder: Folder,
    server: Server,
    key: String,
}

impl World {
    fn new() -> World {
        let folder = Folder::new();
        let key = create_key(&folder.0, "me@x");
        let server = Server::start(&folder.0);
        World { folder, server, key }
    }

    /// Opens a session with what is known of its surroundings.
    fn session(&self, id: &str, metadata: Value) -> String {
        let body = json!({"provider": "claude-code", "external_id": id,
            "transcript_path": format!("/{id}.jsonl"), "metadata": metadata});
        let answer = self.server.post("/api/v1/sync/init", &self.key, &body);
        answer.json()["session_id"].as_str().unwrap().to_owned()
    }

    /// Sends the lines of a file of a session.
    fn send(&self, session: &str, file: &str, first: usize, lines: &[Value]) {
        let lines: Vec<String> = lines
            .iter()
            .map(|line| line.as_str().map_or_else(|| line.to_string(), str::to_owned))
            .collect();
        let kind = if file.starts_with("agent-") { "agent" } else { "transcript" };
        let body = json!({"session_id": session, "file_name": file, "file_type": kind,
            "first_line": first, "lines": lines});
        let answer = self.server.post("/api/v1/sync/chunk", &self.key, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn indexed(&self) {
        wait_for_rows(&self.folder.0);
    }

    /// What a path below `/api/v1` answers.
    fn get(&self, path: &str) -> Value {
        let answer = self.server.get(&format!("/api/v1{path}"), &self.key);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Status and what is said of what is wrong.
    fn refused(&self, path: &str) -> (u16, String) {
        let answer = self.server.get(&format!("/api/v1{path}"), &self.key);
        let said = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        (answer.status, said)
    }

    /// `FILE:LINE` of all hits of a query, page by page.
    fn hits(&self, query: &str, limit: usize) -> Vec<String> {
        self.hits_of(&self.key, query, limit)
    }

    /// The same, of whom a key is.
    fn hits_of(&self, key: &str, query: &str, limit: usize) -> Vec<String> {
        let (mut hits, mut cursor) = (Vec::new(), String::new());
        for _ in 0..1000 {
            let path = format!("/api/v1/search?q={}&limit={limit}{cursor}", escaped(query));
            let answer = self.server.get(&path, key);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let answer = answer.json();
            for hit in answer["hits"].as_array().unwrap() {
                hits.push(format!("{}:{}", hit["file_name"].as_str().unwrap(), hit["line"]));
            }
            match answer["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return hits,
            }
        }
        panic!("the answer to {query} has no end");
    }
}

/// A text in a query of an address.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(byte).collect()
}

/// A line of a user at a time.
fn said(time: &str, text: &str) -> Value {
    json!({"type": "user", "timestamp": time, "message": {"role": "user", "content": text}})
}
