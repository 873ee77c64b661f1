//! What an operator sees: metrics, log, health, and a disk that is full.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use serde_json::json;

use crate::network::terminator::skipped;
use crate::server::process::{Folder, Response, Server, command, create_key, log_of};
use crate::server::process::{small_disk, take_all};
use crate::support::eventually::eventually;

/// Something that must be seen nowhere.
const CONTENT: &str = "said-in-confidence";

fn metrics(server: &Server) -> String {
    let line = server.metrics.as_ref().expect("metrics");
    let address =
        line.strip_prefix("metrics on http://").and_then(|url| url.strip_suffix("/metrics"));
    let mut stream = TcpStream::connect(address.unwrap()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let response = Response::read(&mut stream, false).unwrap();
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4"));
    response.text()
}

#[test]
fn metrics_and_log_tell_what_happened_and_nothing_of_whom_or_what() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "someone@private.example");
    let settings = ["--host", "x", "--metrics", "127.0.0.1:0"];
    let server = Server::start_with(&folder.0, &settings);
    let session = server.session(&key, "external-name");
    let line = format!("{{\"text\":\"{CONTENT}\"}}");
    assert_eq!(server.append(&key, &session, 1, &[&line, &line]).status, 200);
    assert_eq!(server.append(&key, &session, 9, &[&line]).status, 400);
    assert_eq!(server.download(&key, &session), format!("{line}\n{line}\n"));
    let wrong = ["cfb_", "wrong-key-in-a-header"].concat();
    assert_eq!(server.get("/api/v1/sessions", &wrong).status, 401);
    assert_eq!(server.get(&format!("/{CONTENT}?q={CONTENT}"), &key).status, 404);
    let odd = server.raw(format!("{CONTENT} /health HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    assert_eq!(odd.status, 405);
    assert_eq!(server.raw(b"nonsense\r\n\r\n").status, 400);
    let answered = server.get("/api/v1/version", &key);
    let id = answered.header("x-request-id").unwrap().to_owned();

    // A request is counted once its answer is on its way.
    let counted = [
        "confab_requests_total{route=\"/api/v1/sync/init\",status=\"200\"} 1",
        "confab_requests_total{route=\"/api/v1/sync/chunk\",status=\"200\"} 1",
        "confab_requests_total{route=\"/api/v1/sync/chunk\",status=\"400\"} 1",
        "confab_requests_total{route=\"/api/v1/sessions/{id}/files/download\",status=\"200\"} 1",
        "confab_requests_total{route=\"/api/v1/sessions\",status=\"401\"} 1",
        "confab_requests_total{route=\"-\",status=\"400\"} 1",
        "confab_requests_total{route=\"-\",status=\"404\"} 1",
        "confab_request_seconds_count{route=\"/api/v1/sync/chunk\"} 2",
        "confab_lines_received_total 2",
        "confab_database_up 1",
        "confab_sessions 1",
    ];
    let is_on = |page: &str, expected: &str| page.lines().any(|line| line == expected);
    eventually("every request is counted", || {
        let page = metrics(&server);
        counted.iter().all(|expected| is_on(&page, expected))
    });
    let page = metrics(&server);
    let of = |name: &str| -> f64 {
        let line = page.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(of("confab_received_bytes_total") > 500.0 && of("confab_sent_bytes_total") > 500.0);
    assert!(of("confab_database_bytes") + of("confab_wal_bytes") > 8192.0);
    assert!(of("confab_last_checkpoint_timestamp_seconds") > 1e9);

    let log = || fs::read_to_string(log_of(&folder.0)).unwrap();
    let told = format!("id={id} method=GET route=/api/v1/version status=200 bytes=");
    let is_told = |line: &str| line.contains(&told) && line.contains(" ms=");
    eventually("the requests are in the log", || {
        let log = log();
        log.lines().any(is_told) && log.contains("method=- route=/health status=405")
    });
    let log = log();
    let secrets = [
        &key["cfb_".len()..],
        &wrong["cfb_".len()..],
        CONTENT,
        &session,
        "external-name",
        "private.example",
        "t.jsonl",
    ];
    for secret in secrets {
        assert!(!page.contains(secret) && !log.contains(secret), "{secret}");
    }
}

#[test]
fn the_metrics_have_a_door_of_their_own() {
    let folder = Folder::new();
    let server = Server::start_with(&folder.0, &["--host", "x", "--metrics", "127.0.0.1:0"]);
    assert_eq!(server.get("/metrics", "").status, 404, "not where users are");
    let address = server.metrics.as_ref().unwrap();
    let address = address.trim_start_matches("metrics on http://").trim_end_matches("/metrics");
    for (request, status) in [
        ("GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(Response::read(&mut stream, false).unwrap().status, status, "{request}");
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"nonsense\r\n\r\n").unwrap();
    assert!(Response::read(&mut stream, false).is_none());
    assert!(metrics(&server).contains("confab_build_info"));
    drop(server);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--metrics", &address];
    let output = command(&serve, &folder.0).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn health_is_that_of_the_database() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    assert_eq!(server.try_health(), Some(200));
    let holder = rusqlite::Connection::open(folder.0.join("confab.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    eventually("a database that nobody can write to is not healthy", || {
        server.try_health() == Some(503)
    });
    let failing = server.get("/health", "");
    assert_eq!(failing.json(), json!({ "status": "failing", "error": "the database is busy" }));
    // So is who wants to write, after some patience; reading goes on.
    let refused = server.append(&key, &session, 1, &["a"]);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.json(), json!({ "error": "The database is busy" }));
    assert_eq!(server.get("/api/v1/sessions", &key).status, 200);
    holder.execute_batch("COMMIT").unwrap();
    assert_eq!(server.append(&key, &session, 1, &["a"]).status, 200);
    eventually("it is healthy again", || server.try_health() == Some(200));
}

/// The limit of the database stands for the disk's: a chunk that finds no space is answered so and
/// not stored, what was acknowledged stays, and it goes on when there is space again.
#[test]
fn a_database_at_its_limit_says_so_and_goes_on_later() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start_with(&folder.0, &["--host", "x", "--database-bytes-max", "2000000"]);
    let session = server.session(&key, "e");
    let stored = fill(&server, &key, &session, 1);
    assert_eq!(server.download(&key, &session).lines().count() as u64, stored);
    assert!(server.terminate());
    let server = Server::start(&folder.0);
    assert_eq!(server.append(&key, &session, stored + 1, &["space again"]).status, 200);
    let file = server.download(&key, &session);
    assert_eq!(file.lines().count() as u64, stored + 1);
    assert!(file.ends_with("space again\n"));
}

/// Appends lines that cannot be compressed until there is no space; how many were acknowledged.
fn fill(server: &Server, key: &str, session: &str, first: u64) -> u64 {
    let mut random = fastrand::Rng::with_seed(first);
    for line in first..first + 1000 {
        let text: String = (0..100_000).map(|_| random.alphanumeric()).collect();
        let response = server.append(key, session, line, &[&text]);
        if response.status != 200 {
            assert_eq!(response.status, 507, "{}", response.text());
            let full = json!({ "error": "The disk of the server is full" });
            assert_eq!(response.json(), full);
            return line - 1;
        }
    }
    panic!("there is no end of space");
}

/// A real file system that is full: a small one in a name space of the server's own.
#[test]
fn a_full_disk_is_told_and_recovered_from() {
    let folder = Folder::new();
    let Some((server, key, inside)) = small_disk(&folder, 8) else {
        return skipped("a full disk, because nothing can be mounted here");
    };
    let session = server.session(&key, "e");
    assert_eq!(server.append(&key, &session, 1, &["first"]).status, 200);
    fs::write(inside.join("filler"), vec![1; 4 << 20]).unwrap();
    let stored = fill(&server, &key, &session, 2);
    take_all(&inside.join("rest"));
    eventually("a full disk is not healthy", || server.try_health() == Some(503));
    assert_eq!(server.get("/health", "").json()["error"], "the disk is full");
    let before = server.download(&key, &session);
    assert_eq!(before.lines().count() as u64, stored);
    assert!(server.get("/api/v1/sessions", &key).status == 200, "reading goes on");

    fs::remove_file(inside.join("filler")).unwrap();
    fs::remove_file(inside.join("rest")).unwrap();
    eventually("there is space again", || {
        server.append(&key, &session, stored + 1, &["space again"]).status == 200
    });
    eventually("it is healthy again", || server.try_health() == Some(200));
    assert_eq!(server.download(&key, &session), format!("{before}space again\n"));
    assert!(server.terminate());
}
