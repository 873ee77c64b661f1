//! Clients that are broken, slow or hostile cost their share and block nobody.

use std::io::{Read, Write};
use std::net::TcpStream;

use confab::server::settings::Settings;
use serde_json::json;

use super::process::{Folder, Response, Server, chunk, create_key};

#[test]
fn a_zstd_bomb_costs_its_limit_at_most() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..1024 {
        encoder.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let cases = [
        ("init", "Invalid request body"),
        ("chunk", "Invalid request body"),
        ("event", "Invalid request body"),
    ];
    for (endpoint, error) in cases {
        let response = server.post_packed(&format!("/api/v1/sync/{endpoint}"), &key, &bomb);
        assert_eq!(response.status, 400, "{endpoint}");
        assert_eq!(response.json(), json!({ "error": error }), "{endpoint}");
    }
    let peak = server.peak_kib();
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn slow_heads_are_cut_while_others_are_served() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let mut slow: Vec<TcpStream> = (0..Settings::default().address_connections_max / 2)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(b"POST /api/v1/sync/init HTTP/1.1\r\nHost: ").unwrap();
            stream
        })
        .collect();
    server.session(&key, "e");
    for stream in &mut slow {
        // The server ends it; the test's own patience is longer than the server's.
        let response = Response::read(stream, false).unwrap();
        assert_eq!((response.status, response.header("connection")), (408, Some("close")));
        let mut rest = Vec::new();
        assert_eq!(stream.read_to_end(&mut rest).unwrap(), 0);
    }
}

#[test]
fn a_client_that_does_not_read_its_answer_blocks_nobody() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    // More than the sockets' buffers hold.
    let line = "z".repeat(10_000_000);
    assert_eq!(server.append(&key, &session, 1, &[&line]).status, 200);
    let path = format!("/api/v1/sessions/{session}/files/download?file_name=t.jsonl");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n");
    let mut stuck: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut stuck {
        stream.write_all(request.as_bytes()).unwrap();
        // The answer has begun.
        assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    }
    assert_eq!(server.append(&key, &session, 2, &["next"]).status, 200);
    assert_eq!(server.download(&key, &session), format!("{line}\nnext\n"));
    for stream in &mut stuck {
        let response = Response::read(stream, false).unwrap();
        assert_eq!(response.body.len(), line.len() + 1, "as it was when it was asked for");
    }
}

#[test]
fn an_address_has_a_limit_of_connections_and_gets_its_places_back() {
    let folder = Folder::new();
    let server = Server::start(&folder.0);
    let places = Settings::default().address_connections_max;
    let silent: Vec<TcpStream> = (0..places).map(|_| server.connect()).collect();
    let refused = Response::read(&mut server.connect(), false).unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    drop(silent);
    // Bounded by the test's patience with one connection and the harness's with a test.
    while server.try_health() != Some(200) {}
}

#[test]
fn broken_requests_are_refused_and_the_connection_is_closed() {
    let folder = Folder::new();
    let server = Server::start(&folder.0);
    let post = "POST /api/v1/sync/init HTTP/1.1\r\nHost: x\r\n";
    let long = "x".repeat(20_000);
    let cases: [(&str, String, u16); 17] = [
        ("no HTTP", "GARBAGE\r\n\r\n".into(), 400),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}".into(), 400),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        ("no host", "GET /health HTTP/1.1\r\n\r\n".into(), 400),
        ("two hosts", "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400),
        ("long header", format!("GET /health HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n"), 431),
        ("long target", format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 431),
        ("many headers", format!("{post}{}\r\n", "A: b\r\n".repeat(100)), 431),
        ("folded header", format!("{post}A: b\r\n c\r\n\r\n"), 400),
        ("space before colon", format!("{post}Content-Length : 0\r\n\r\n"), 400),
        ("two lengths", format!("{post}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"), 400),
        (
            "length and chunks",
            format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        ("negative length", format!("{post}Content-Length: -1\r\n\r\n"), 400),
        ("huge length", format!("{post}Content-Length: 99999999999999999999\r\n\r\n"), 400),
        ("other coding", format!("{post}Transfer-Encoding: gzip\r\n\r\n"), 501),
        ("other expectation", format!("{post}Expect: tea\r\n\r\n"), 417),
        ("NUL in a header", format!("{post}A: \u{0}\r\n\r\n"), 400),
    ];
    for (name, request, status) in cases {
        let mut stream = server.connect();
        // The server may answer and close before everything is sent.
        let _ = stream.write_all(request.as_bytes());
        let response = Response::read(&mut stream, false).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(
            (response.status, response.header("connection")),
            (status, Some("close")),
            "{name}"
        );
    }
    assert_eq!(server.try_health(), Some(200));
}

#[test]
fn broken_bodies_are_refused_and_the_connection_is_closed() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let head = format!(
        "POST /api/v1/sync/init HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\n"
    );
    let long = "x".repeat(300);
    let cases = [
        ("no size", "\r\n{}\r\n0\r\n\r\n".to_owned()),
        ("sign", "+2\r\n{}\r\n0\r\n\r\n".into()),
        ("prefix", "0x2\r\n{}\r\n0\r\n\r\n".into()),
        ("overflow", "FFFFFFFFFFFFFFFFF\r\n".into()),
        ("bare LF", "2\n{}\n0\n\n".into()),
        ("too few bytes", "1\r\n{}\r\n0\r\n\r\n".into()),
        ("endless extension", format!("2;{long}\r\n{{}}\r\n0\r\n\r\n")),
        ("endless trailers", format!("2\r\n{{}}\r\n0\r\n{}\r\n", "A: b\r\n".repeat(50))),
    ];
    for (name, body) in cases {
        let mut stream = server.connect();
        let request = format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let response = Response::read(&mut stream, false).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(
            (response.status, response.header("connection")),
            (400, Some("close")),
            "{name}"
        );
    }
    // A claim costs nothing and is refused before a byte is read.
    let claim = format!("{head}Content-Length: 999999999999\r\nExpect: 100-continue\r\n\r\n");
    let response = server.raw(claim.as_bytes());
    assert_eq!((response.status, response.header("connection")), (400, Some("close")));
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
