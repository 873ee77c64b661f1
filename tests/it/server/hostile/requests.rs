//! Requests that are none, or not the ones that they look like: those of
//! `fixtures/server/requests.jsonl`, each with the statuses of all its answers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use serde::Deserialize;

use crate::server::process::{Folder, Server, chunk, create_key};
use crate::server::upkeep::run;
use crate::support::{fixtures, parallel};

/// What any of them may cost, next to what the server needs anyway.
const PEAK_KIB_MAX: u64 = 48 << 10;

/// A line of the file. Every character of what is sent is a byte.
#[derive(Deserialize)]
struct Case {
    name: String,
    send: Vec<Part>,
    statuses: Vec<u16>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Once(String),
    Repeated { repeat: String, times: usize },
}

#[test]
fn requests_are_answered_as_listed_and_nothing_is_read_from_between_them() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let revoked = create_key(&folder.0, "revoked@x");
    let disabled = create_key(&folder.0, "disabled@x");
    let server = Server::start_with(
        &folder.0,
        &[
            ["--host", "x"],
            ["--requests-per-hour", "0"],
            ["--connections-max", "1000"],
            ["--address-connections-max", "1000"],
            ["--head-seconds-max", "2"],
            ["--request-seconds-max", "2"],
        ]
        .concat(),
    );
    for key in [&revoked, &disabled] {
        assert_eq!(server.get("/api/v1/sessions", key).status, 200);
    }
    assert_eq!(run(&["key", "revoke", "--user", "revoked@x"], &folder).1, 0);
    assert_eq!(run(&["user", "disable", "--user", "disabled@x"], &folder).1, 0);
    let text = std::fs::read_to_string(fixtures::folder().join("server/requests.jsonl")).unwrap();
    let cases: Vec<Case> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(cases.len() > 100, "{}", cases.len());
    parallel::each(cases, |case| {
        let mut bytes = Vec::new();
        for part in &case.send {
            let (text, times) = match part {
                Part::Once(text) => (text, 1),
                Part::Repeated { repeat, times } => (repeat, *times),
            };
            let text = text
                .replace("$KEY", &key)
                .replace("$REVOKED", &revoked)
                .replace("$DISABLED", &disabled);
            let once: Vec<u8> =
                text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect();
            bytes.extend(once.repeat(times));
        }
        let answers = exchanged(server.connect(), bytes);
        assert_eq!(statuses(&answers), case.statuses, "{}: {answers}", case.name);
        if matches!(case.statuses[..], [400 | 408 | 417 | 431 | 501 | 505]) {
            assert!(answers.contains("Connection: close"), "{}: {answers}", case.name);
        }
    });
    assert_eq!(server.try_health(), Some(200));
    let peak = server.peak_kib();
    assert!(peak < PEAK_KIB_MAX, "{peak} KiB");
}

/// Sends everything and reads everything, at the same time. The server may stop reading before the
/// end, and what it has answered by then arrives nevertheless.
fn exchanged(stream: TcpStream, bytes: Vec<u8>) -> String {
    let mut reading = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut stream = stream;
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
        });
        let mut answers = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = reading.read(&mut piece) {
            answers.extend_from_slice(&piece[..count]);
        }
        String::from_utf8_lossy(&answers).into_owned()
    })
}

fn statuses(answers: &str) -> Vec<u16> {
    let statuses = answers.split("HTTP/1.1 ").skip(1);
    statuses.filter_map(|rest| rest.split(' ').next()?.parse().ok()).filter(|s| *s != 100).collect()
}

#[test]
fn bodies_in_chunks_and_requests_in_a_row() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let body = chunk(&session, 1, &["a", "b"]).to_string();
    let (one, two) = body.split_at(body.len() / 2);
    let chunked = format!(
        "POST /api/v1/sync/chunk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: Chunked\r\n\r\n\
         {:x};a=b\r\n{one}\r\n{:X}\r\n{two}\r\n0\r\nTrailer: x\r\n\r\n",
        one.len(),
        two.len()
    );
    let health = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let unwanted = "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    let last = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut stream = server.connect();
    stream.write_all([chunked.as_str(), health, unwanted, last].concat().as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let statuses: Vec<&str> = answers.matches("HTTP/1.1 200 OK").collect();
    assert_eq!(statuses.len(), 3, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 1, "{answers}");
    assert_eq!(server.download(&key, &session), "a\nb\n");
}

#[test]
fn a_head_alone_for_head_and_405_with_what_is_allowed() {
    let folder = Folder::new();
    let server = Server::start(&folder.0);
    let cases = [
        ("HEAD", "/health", "GET"),
        ("DELETE", "/api/v1/sessions", "GET"),
        ("PUT", "/api/v1/sync/chunk", "POST"),
        ("POST", "/api/v1/sessions/x/summary", "PATCH"),
    ];
    for (method, path, allowed) in cases {
        let response = server.request(method, path, &[], b"");
        assert_eq!((response.status, response.header("allow")), (405, Some(allowed)), "{path}");
        assert!(response.body.is_empty());
    }
}
