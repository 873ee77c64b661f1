//! Clients that are broken, slow or hostile cost their share and block nobody.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::server::process::{Folder, Response, Server, create_key};
use confab::server::settings::Settings;

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
