//! What arrives is told to those who listen, once, in order, also across a broken connection.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::process::{Folder, Server, create_key, log_of};
use crate::support::eventually::eventually;

const STREAM: &str = "/api/v1/stream";

/// A stream that is being listened to.
struct Listener {
    socket: TcpStream,
    /// What was received and not yet understood.
    buffer: Vec<u8>,
    text: String,
    head: String,
    /// What a browser would show when it comes back.
    last_id: String,
}

/// An event.
#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    kind: String,
    data: Value,
}

impl Listener {
    fn new(server: &Server, key: &str, path: &str, headers: &str) -> Listener {
        let mut socket = server.connect();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{headers}\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let (text, head, last_id) = Default::default();
        let mut listener = Listener { socket, buffer: Vec::new(), text, head, last_id };
        let end = listener.until(|bytes| find(bytes, b"\r\n\r\n").map(|at| at + 4)).unwrap();
        let head: Vec<u8> = listener.buffer.drain(..end).collect();
        listener.head = String::from_utf8(head).unwrap().to_lowercase();
        listener
    }

    /// Receives until `place` finds something in what was received; `None` at the end.
    fn until(&mut self, place: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
        loop {
            if let Some(found) = place(&self.buffer) {
                return Some(found);
            }
            let mut piece = [0; 4096];
            let count = self.socket.read(&mut piece).unwrap();
            if count == 0 {
                return None;
            }
            self.buffer.extend_from_slice(&piece[..count]);
        }
    }

    /// Appends a chunk to the text; false after the last one.
    fn chunk(&mut self) -> bool {
        let Some(end) = self.until(|bytes| find(bytes, b"\r\n")) else { return false };
        let size = std::str::from_utf8(&self.buffer[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let whole = end + 2 + size + 2;
        self.until(|bytes| (bytes.len() >= whole).then_some(0)).unwrap();
        let text = std::str::from_utf8(&self.buffer[end + 2..whole - 2]).unwrap();
        self.text.push_str(text);
        self.buffer.drain(..whole);
        size > 0
    }

    /// The next event; heartbeats and settings are none. `None` at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let found = block.lines().find_map(|line| line.strip_prefix(name));
                    found.map(|value| value.trim_start().to_owned())
                };
                if let Some(id) = field("id:") {
                    self.last_id = id;
                }
                if let Some(data) = field("data:") {
                    return Some(Event {
                        id: field("id:").unwrap_or_default(),
                        kind: field("event:").unwrap_or_default(),
                        data: serde_json::from_str(&data).unwrap(),
                    });
                }
            }
            if !self.chunk() {
                return None;
            }
        }
    }

    /// The next event but for positions: its kind, and what it is about.
    fn told(&mut self) -> (String, Value) {
        loop {
            let event = self.next().unwrap();
            if event.kind != "position" {
                assert_eq!(event.id, "", "an id stands behind what it covers");
                return (event.kind, event.data);
            }
        }
    }

    /// Kinds and sessions of what is told until one is told that `is_last` means, and the position.
    fn until_told(&mut self, is_last: impl Fn(&str, &Value) -> bool) -> Vec<(String, String)> {
        let mut told = Vec::new();
        loop {
            let (kind, data) = self.told();
            let is_last = is_last(&kind, &data);
            told.push((kind, data["id"].as_str().unwrap_or_default().to_owned()));
            if is_last {
                break;
            }
        }
        while self.next().unwrap().kind != "position" {}
        told
    }

    fn lines(&mut self, count: usize) -> Vec<(String, Value)> {
        let event = |_| {
            let event = self.next().unwrap();
            assert_eq!(event.kind, "line");
            assert_eq!(event.id, event.data["line"].to_string());
            (event.id, event.data["raw"].clone())
        };
        (0..count).map(event).collect()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}

fn numbered(lines: &[(u64, Value)]) -> Vec<(String, Value)> {
    lines.iter().map(|(number, value)| (number.to_string(), value.clone())).collect()
}

#[test]
fn the_lines_of_a_session_are_told_as_they_are_and_as_they_come() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let path = format!("/api/v1/sessions/{session}/stream?file=t.jsonl&from=");
    // Before there is anything; and the answer comes at once.
    let mut early = Listener::new(&server, &key, &format!("{path}1"), "Accept-Encoding: gzip\r\n");
    for header in [
        "200 ok",
        "content-type: text/event-stream",
        "x-accel-buffering: no",
        "cache-control: no-store",
    ] {
        assert!(early.head.contains(header), "{}", early.head);
    }
    assert!(!early.head.contains("content-encoding"), "{}", early.head);
    let stored = ["{\"a\":1}", "{\"b\":\r2}\r", "no \"JSON\"\r", ""];
    assert_eq!(server.append(&key, &session, 1, &stored).status, 200);
    let expected = numbered(&[
        (1, json!({"a": 1})),
        (2, json!({"b": 2})),
        (3, json!("no \"JSON\"\r")),
        (4, json!("")),
    ]);
    assert_eq!(early.lines(4), expected);
    let mut late = Listener::new(&server, &key, &format!("{path}3"), "");
    assert_eq!(late.lines(2), expected[2..]);
    // Whoever comes back says what they have heard; the query is that of the first time.
    let mut back = Listener::new(&server, &key, &format!("{path}1"), "Last-Event-ID: 4\r\n");
    assert_eq!(server.append(&key, &session, 5, &["5"]).status, 200);
    for listener in [&mut early, &mut late, &mut back] {
        assert_eq!(listener.lines(1), numbered(&[(5, json!(5))]));
    }
    // What another session gets is no news here; another file of this one is.
    let other = server.session(&key, "other");
    assert_eq!(server.append(&key, &other, 1, &["{}"]).status, 200);
    let agent = json!({
        "session_id": session, "file_name": "agent-1.jsonl", "file_type": "agent",
        "first_line": 1, "lines": ["{}", "{}"],
    });
    assert_eq!(server.post("/api/v1/sync/chunk", &key, &agent).status, 200);
    let event = early.next().unwrap();
    assert_eq!(event.kind, "file");
    assert_eq!(event.data["file_name"], "agent-1.jsonl");
    assert_eq!(event.data["last_synced_line"], 2);
    // It is deleted: everybody hears it, and nothing more.
    let deleted = format!("/api/v1/sessions/{session}");
    let bearer = format!("Bearer {key}");
    let response = server.request("DELETE", &deleted, &[("Authorization", &bearer)], b"");
    assert_eq!(response.status, 204);
    assert_eq!(early.told(), ("gone".into(), json!({"id": session})));
    assert_eq!(early.next(), None);
}

#[test]
fn a_user_hears_of_their_sessions_and_of_no_others() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let stranger = create_key(&folder.0, "stranger@x");
    let server = Server::start(&folder.0);
    let mut all = Listener::new(&server, &key, STREAM, "");
    let foreign = server.session(&stranger, "foreign");
    assert_eq!(server.append(&stranger, &foreign, 1, &["{}"]).status, 200);
    let session = server.session(&key, "mine");
    assert_eq!(server.append(&key, &session, 1, &["{}", "{}"]).status, 200);
    // What happens in quick succession may be told at once, but the end of it is told.
    let told = all.until_told(|_, data| data["total_lines"] == 2);
    assert!(told.iter().all(|told| *told == ("session".into(), session.clone())), "{told:?}");
    let title = json!({"summary": "a title"});
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
    let path = "/api/v1/sessions/mine/summary";
    assert_eq!(server.request("PATCH", path, &headers, title.to_string().as_bytes()).status, 200);
    all.until_told(|_, data| data["summary"] == "a title");
}

#[test]
fn who_was_away_hears_all_that_changed_in_its_order_or_that_too_much_did() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let mine = server.session(&key, "mine");
    let kept = server.session(&key, "kept");
    let list = server.get("/api/v1/sessions", &key).json();
    let position = list["stream_position"].as_str().unwrap().to_owned();
    // Nothing was told, and yet there is a place to go on from.
    let mut early = Listener::new(&server, &key, STREAM, "");
    assert_eq!(early.next().unwrap().kind, "position");
    assert_eq!(early.last_id, position);
    drop(early);
    // New ones, one that is put away, which is no news for a clock, and one that goes.
    let second = server.session(&key, "second");
    let third = server.session(&key, "third");
    let archive = json!({"archived": true});
    let path = format!("/api/v1/sessions/{kept}/archive");
    assert_eq!(server.post(&path, &key, &archive).status, 200);
    let bearer = format!("Bearer {key}");
    let path = format!("/api/v1/sessions/{mine}");
    let response = server.request("DELETE", &path, &[("Authorization", &bearer)], b"");
    assert_eq!(response.status, 204);
    let expected = [("session", &second), ("session", &third), ("session", &kept), ("gone", &mine)];
    let expected = expected.map(|(kind, id)| (kind.to_owned(), id.clone()));
    let again = format!("Last-Event-ID: {position}\r\n");
    let asked = [(STREAM.to_owned(), &*again), (format!("{STREAM}?since={position}"), "")];
    for (path, headers) in asked {
        let mut back = Listener::new(&server, &key, &path, headers);
        assert_eq!(back.until_told(|kind, _| kind == "gone"), expected);
        assert_ne!(back.last_id, position);
    }
    // A number that is not of this run, or of none.
    let unknown = ["1-1", "2026-01-01", "x", &format!("{position}0")].map(str::to_owned);
    for id in unknown {
        let headers = format!("Last-Event-ID: {id}\r\n");
        let mut back = Listener::new(&server, &key, STREAM, &headers);
        assert_eq!(back.told().0, "reset", "{id}");
        assert_eq!(back.next().unwrap().kind, "position");
    }
    // A time is as good as its clock, for programs.
    let mut back =
        Listener::new(&server, &key, &format!("{STREAM}?since=2026-01-01T00:00:00Z"), "");
    let ids = [&kept, &second, &third];
    assert_eq!(ids.map(|_| back.told().1["id"].clone()), ids.map(|id| json!(id)));
}

#[test]
fn what_others_share_is_told_as_long_as_they_do() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let reader = create_key(&folder.0, "reader@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "mine");
    let mut stream = Listener::new(&server, &reader, STREAM, "");
    let shares = format!("/api/v1/sessions/{session}/shares");
    let share = server.post(&shares, &key, &json!({"email": "reader@x"})).json();
    let (kind, data) = stream.told();
    assert_eq!(
        (&*kind, &data["id"], &data["shared_by"]),
        ("session", &json!(session), &json!("me@x"))
    );
    assert_eq!(server.append(&key, &session, 1, &["{}", "{}"]).status, 200);
    stream.until_told(|_, data| data["total_lines"] == 2);
    let path = format!("{shares}/{}", share["id"]);
    let bearer = format!("Bearer {key}");
    let response = server.request("DELETE", &path, &[("Authorization", &bearer)], b"");
    assert_eq!(response.status, 204);
    assert_eq!(stream.told(), ("gone".into(), json!({"id": session})));
    assert_eq!(server.append(&key, &session, 3, &["{}"]).status, 200);
    let own = server.session(&reader, "own");
    assert_eq!(stream.told().1["id"], own);
}

#[test]
fn one_reader_leaves_places_for_others() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let other = create_key(&folder.0, "you@x");
    let limits = ["--host", "x", "--streams-max", "3", "--reader-streams-max", "2"];
    let server = Server::start_with(&folder.0, &limits);
    let path = "/api/v1/stream";
    let _mine = [(); 2].map(|()| Listener::new(&server, &key, path, ""));
    assert_eq!(server.get(path, &key).status, 503);
    let theirs = Listener::new(&server, &other, path, "");
    assert!(theirs.head.contains("200 ok"), "{}", theirs.head);
}

#[test]
fn streams_have_an_end_a_number_and_questions_that_they_understand() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start_with(&folder.0, &["--host", "x", "--streams-max", "2"]);
    let session = server.session(&key, "e");
    let path = format!("/api/v1/sessions/{session}/stream");
    for (query, text) in [
        ("?from=0", "from must be a line number"),
        ("?from=x", "from must be a line number"),
        ("?from=99999999999999999999", "from must be a line number"),
    ] {
        let response = server.get(&format!("{path}{query}"), &key);
        assert_eq!((response.status, &response.json()["error"]), (400, &json!(text)), "{query}");
    }
    assert_eq!(server.get("/api/v1/stream?since=x", &key).status, 400);
    let mut one = Listener::new(&server, &key, &path, "");
    let two = Listener::new(&server, &key, "/api/v1/stream", "");
    let refused = server.get("/api/v1/stream", &key);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")));
    // A place becomes free when somebody has gone and it is noticed.
    drop(two);
    eventually("a place is free", || {
        assert_eq!(server.append(&key, &server.session(&key, "x"), 1, &["{}"]).status, 200);
        let place = Listener::new(&server, &key, "/api/v1/stream", "");
        place.head.contains("200 ok")
    });
    // The server does not wait for those who listen, nor are they cut off.
    assert!(server.terminate());
    assert_eq!(one.next(), None);
    assert!(one.text.is_empty());
    let log = std::fs::read_to_string(log_of(&folder.0)).unwrap();
    assert!(!log.contains("requests were cut off"), "{log}");
}

/// What a reader has shown may stop to hold while they listen.
#[test]
fn nobody_listens_on_with_what_does_not_hold_any_more() {
    let folder = Folder::new();
    let mut key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let share = |key: &str| {
        let path = format!("/api/v1/sessions/{session}/shares");
        let share = server.post(&path, key, &json!({})).json();
        let token = share["url"].as_str().unwrap().strip_prefix("/s/").unwrap().to_owned();
        (share["id"].clone(), format!("/api/v1/sessions/{session}/stream?share={token}"))
    };
    let execute = |sql: &str| {
        let connection = rusqlite::Connection::open(folder.0.join("confab.db")).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    for (number, case) in (1..).zip(["key", "list", "taken back", "ended"]) {
        let (id, of_link) = share(&key);
        let mut listener = match case {
            "key" => {
                let path = format!("/api/v1/sessions/{session}/stream?from={number}");
                Listener::new(&server, &key, &path, "")
            }
            "list" => Listener::new(&server, &key, "/api/v1/stream", ""),
            _ => Listener::new(&server, "", &format!("{of_link}&from={number}"), ""),
        };
        match case {
            "key" | "list" => key = create_key(&folder.0, "me@x"),
            "taken back" => {
                let bearer = format!("Bearer {key}");
                let path = format!("/api/v1/sessions/{session}/shares/{id}");
                let headers = [("Authorization", bearer.as_str())];
                assert_eq!(server.request("DELETE", &path, &headers, b"").status, 204);
                // The next one is another one.
                assert_ne!(share(&key).0, id);
            }
            _ => execute("UPDATE shares SET expires_at = 1"),
        }
        assert_eq!(server.append(&key, &session, number, &["{}"]).status, 200);
        while let Some(event) = listener.next() {
            // That it is over for them, and nothing of what was said.
            assert!(["position", "gone"].contains(&event.kind.as_str()), "{case}: {event:?}");
        }
    }
}
