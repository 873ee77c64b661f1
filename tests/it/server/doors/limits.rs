//! How often somebody may ask, and how slowly they may speak.

use std::io::Write;

use super::{home, session_id};
use crate::server::process::{Folder, Response, Server, create_key, log_of};
use crate::support::eventually::eventually;

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let folder = Folder::new();
    let (key, other) = (create_key(&folder.0, "u@x"), create_key(&folder.0, "v@x"));
    let limits = ["--host", "x", "--sync-per-hour", "60", "--sync-burst", "2"];
    let server = Server::start_with(&folder.0, &limits);
    let session = server.session(&key, "e");
    assert_eq!(server.append(&key, &session, 1, &["a"]).status, 200);
    let refused = server.append(&key, &session, 2, &["b"]);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("content-type"), Some("text/plain; charset=utf-8"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // It costs nobody else, and nothing else.
    server.session(&other, "f");
    assert_eq!(server.download(&key, &session), "a\n");
    // A key is asked about ten times, then not for a while; whoever asks has the same address.
    let statuses: Vec<u16> =
        (0..11).map(|_| server.get("/api/v1/auth/validate", &key).status).collect();
    assert_eq!(statuses, [[200; 10].as_slice(), &[429]].concat());
    // Signing in is limited before anybody looks at what is there.
    let statuses: Vec<u16> = (0..32).map(|_| server.get("/%61uth/device", "").status).collect();
    assert!(statuses[..30].iter().all(|status| *status != 429), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn any_request_of_an_address_counts_but_for_its_health() {
    let folder = Folder::new();
    let limits = ["--host", "x", "--requests-per-hour", "1", "--requests-burst", "2"];
    let server = Server::start_with(&folder.0, &limits);
    let ask = |path| server.get(path, "").status;
    assert_eq!([ask("/api/v1/version"), ask("/nowhere"), ask("/nowhere")], [200, 404, 429]);
    assert_eq!([ask("/health"), ask("/health")], [200, 200]);
}

/// Far more sessions than the server takes requests of at once: the client waits as it is told and
/// goes on, and everything arrives.
#[test]
fn years_of_history_get_through_a_small_limit() {
    const SESSIONS: usize = 12;
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    // Ten requests a second.
    let limits = ["--host", "x", "--sync-per-hour", "36000", "--sync-burst", "4"];
    let server = Server::start_with(&folder.0, &limits);
    let sandbox = home("small-limit", &server, &key, SESSIONS);
    let outcome = sandbox.run(&["save", "--all"]);
    assert!(outcome.status.success(), "{outcome:?}");
    for number in 0..SESSIONS {
        let id = session_id(number);
        let found = server.get(&format!("/api/v1/sessions/by-external-id/{id}"), &key).json();
        let session = found["session_id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/sessions/{session}/files/download?file_name={id}.jsonl");
        let stored = server.get(&path, &key).body;
        assert_eq!(stored, std::fs::read(sandbox.transcript(&id)).unwrap());
    }
    let log = std::fs::read_to_string(log_of(&folder.0)).unwrap();
    assert!(log.contains(" status=429 "), "the limit was felt");
}

#[test]
fn a_body_that_trickles_in_and_an_answer_that_is_not_read_are_cut_off() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let slow = ["--host", "x", "--request-seconds-max", "1", "--answer-seconds-max", "1"];
    let server = Server::start_with(&folder.0, &slow);
    let session = server.session(&key, "e");
    let line = "z".repeat(10_000_000);
    assert_eq!(server.append(&key, &session, 1, &[&line]).status, 200);

    let mut stream = server.connect();
    let head = format!(
        "POST /api/v1/sync/chunk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let response = Response::read(&mut stream, false).unwrap();
    assert_eq!((response.status, response.header("connection")), (408, Some("close")));

    let path = format!("/api/v1/sessions/{session}/files/download?file_name=t.jsonl");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n");
    let mut stuck = server.connect();
    stuck.write_all(request.as_bytes()).unwrap();
    let log = log_of(&folder.0);
    eventually("the answer is cut off", || {
        std::fs::read_to_string(&log).unwrap().contains(" status=200 bytes=cut ")
    });
    assert!(Response::read(&mut stuck, false).is_none(), "what has arrived is not all");
}
