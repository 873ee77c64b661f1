//! What was acknowledged is there: after a restart, after SIGKILL, among many writers.

use std::io::Write;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use super::process::{Folder, Response, Server, chunk, create_key};

const USER: &str = "u@x";

#[test]
fn a_restart_keeps_everything() {
    let folder = Folder::new();
    let key = create_key(&folder.0, USER);
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    assert_eq!(server.append(&key, &session, 1, &["a", "b"]).status, 200);
    assert!(server.terminate());
    // The log was moved into the database: one file holds everything.
    let log = Path::new(&folder.0).join("confab.db-wal");
    assert_eq!(std::fs::metadata(log).map_or(0, |log| log.len()), 0);

    let server = Server::start(&folder.0);
    assert_eq!(server.session(&key, "e"), session);
    assert_eq!(server.append(&key, &session, 3, &["c"]).status, 200);
    assert_eq!(server.download(&key, &session), "a\nb\nc\n");
}

#[test]
fn a_kill_after_an_acknowledgement_loses_nothing() {
    let folder = Folder::new();
    let key = create_key(&folder.0, USER);
    let mut server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let mut expected = String::new();
    for line in 1..=5 {
        let text = format!("line {line}");
        assert_eq!(server.append(&key, &session, line, &[&text]).status, 200);
        expected.push_str(&text);
        expected.push('\n');
        server.kill();
        server = Server::start(&folder.0);
    }
    assert_eq!(server.download(&key, &session), expected);
}

#[test]
fn a_kill_in_the_middle_of_appends_leaves_whole_chunks_and_all_that_was_acknowledged() {
    const WRITERS: usize = 4;
    let folder = Folder::new();
    let key = create_key(&folder.0, USER);
    let server = Server::start(&folder.0);
    let sessions: Vec<String> =
        (0..WRITERS).map(|writer| server.session(&key, &format!("e{writer}"))).collect();
    let acknowledged: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for (session, acknowledged) in sessions.iter().zip(&acknowledged) {
            let (server, key) = (&server, &key);
            scope.spawn(move || {
                // Three lines a chunk, until the server is gone.
                for line in (1..).step_by(3) {
                    let texts: Vec<String> = (line..line + 3).map(numbered).collect();
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    match server.try_append(key, session, line, &texts) {
                        Some(response) => assert_eq!(response.status, 200),
                        None => return,
                    }
                    acknowledged.store(line + 2, Ordering::SeqCst);
                }
            });
        }
        while acknowledged.iter().any(|lines| lines.load(Ordering::SeqCst) < 30) {
            std::thread::yield_now();
        }
        server.kill_now();
    });
    drop(server);
    let server = Server::start(&folder.0);
    for (session, acknowledged) in sessions.iter().zip(&acknowledged) {
        let file = server.download(&key, session);
        let lines = file.lines().count() as u64;
        let acknowledged = acknowledged.load(Ordering::SeqCst);
        // At most the one chunk whose answer was lost.
        assert!(lines == acknowledged || lines == acknowledged + 3, "{lines} of {acknowledged}");
        let expected: String = (1..=lines).map(|line| numbered(line) + "\n").collect();
        assert_eq!(file, expected);
    }
}

fn numbered(line: u64) -> String {
    format!("line {line} {}", "x".repeat(line as usize % 700))
}

#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let folder = Folder::new();
    let key = create_key(&folder.0, USER);
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let body = chunk(&session, 1, &["a"]).to_string();
    let mut stream = server.connect();
    let head = format!(
        "POST /api/v1/sync/chunk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server reads the body now: the request is in flight.
    assert_eq!(Response::read(&mut stream, false).unwrap().status, 100);
    server.signal();
    // Until it is known to be ending; each try is answered or refused at once.
    while server.try_health() == Some(200) {}
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(Response::read(&mut stream, false).unwrap().status, 200);
    assert!(server.wait());
    let server = Server::start(&folder.0);
    assert_eq!(server.download(&key, &session), "a\n");
}

#[test]
fn of_many_writers_of_the_same_lines_one_wins() {
    const WRITERS: usize = 8;
    const ROUNDS: u64 = 12;
    let folder = Folder::new();
    let key = create_key(&folder.0, USER);
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let mut expected = String::new();
    for round in 0..ROUNDS {
        let texts: Vec<[String; 2]> = (0..WRITERS)
            .map(|writer| [format!("{round} {writer} a"), format!("{round} {writer} b")])
            .collect();
        let barrier = Barrier::new(WRITERS);
        let write = |lines: &[String; 2]| {
            barrier.wait();
            let lines = [lines[0].as_str(), lines[1].as_str()];
            server.append(&key, &session, 2 * round + 1, &lines).status
        };
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = texts.iter().map(|lines| scope.spawn(|| write(lines))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..WRITERS).filter(|index| statuses[*index] == 200).collect();
        assert_eq!(winners.len(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 400].contains(status)), "{statuses:?}");
        expected.push_str(&format!("{}\n", texts[winners[0]].join("\n")));
    }
    assert_eq!(server.download(&key, &session), expected);
}

#[test]
fn many_writers_of_equal_lines_all_succeed_and_store_them_once() {
    let folder = Folder::new();
    let key = create_key(&folder.0, USER);
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for line in 1..=10 {
                    let text = format!("line {line}");
                    assert_eq!(server.append(&key, &session, line, &[&text]).status, 200);
                }
            });
        }
    });
    let expected: String = (1..=10).map(|line| format!("line {line}\n")).collect();
    assert_eq!(server.download(&key, &session), expected);
}
