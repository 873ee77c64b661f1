//! Clients that are broken, slow or hostile cost their share and block nobody.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread;

use crate::network::terminator::skipped;
use crate::server::process::{Folder, Response, Server, create_key, log_of};
use crate::support::eventually::eventually;
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

/// Connections that hold a place in vain: they say nothing, or end their half and wait.
#[test]
fn silent_and_half_open_connections_are_closed() {
    let folder = Folder::new();
    let settings = [["--host", "x"], ["--head-seconds-max", "1"], ["--idle-seconds-max", "1"]];
    let server = Server::start_with(&folder.0, &settings.concat());
    let mut crowd: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    for (number, stream) in crowd.iter_mut().enumerate() {
        let sent: &[u8] = match number % 4 {
            0 => b"",
            1 => b"GET /hea",
            2 => b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
            _ => b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
        };
        stream.write_all(sent).unwrap();
        if number % 8 > 3 {
            stream.shutdown(Shutdown::Write).unwrap();
        }
    }
    for (number, stream) in crowd.iter_mut().enumerate() {
        // It is the server that ends it; the test would wait for longer.
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let status = String::from_utf8_lossy(&answer).chars().skip(9).take(3).collect::<String>();
        let expected = match number % 8 {
            // A head that somebody is still to finish; one that nobody will is not answered.
            1 => "408",
            2 | 3 | 6 | 7 => "200",
            _ => "",
        };
        assert_eq!(status, expected, "{number}");
    }
}

/// As many as a small machine can have: whoever is let in costs little, whoever is not costs
/// nothing, and those that have something to say are served.
#[test]
fn ten_thousand_idle_connections() {
    const CROWD: usize = 10_000;
    if !may_open(2 * CROWD as u64 - 1000) {
        return skipped("idle connections, because too few descriptors may be open here");
    }
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let all = (CROWD + 100).to_string();
    let patient = ["--host", "x", "--head-seconds-max", "3600", "--requests-per-hour", "0"];
    let crowded = ["--connections-max", &all, "--address-connections-max", &all];
    // What each of them may cost: pages of a stack, and a buffer.
    for (settings, kib_max) in
        [(patient.to_vec(), 4 << 10), ([&patient[..], &crowded].concat(), 40 * CROWD as u64)]
    {
        let is_open = settings.len() > patient.len();
        let server = Server::start_with(&folder.0, &settings);
        let session = server.session(&key, "e");
        let mut crowd = Vec::new();
        let cost = server.cost_kib(|| {
            let some = || (0..CROWD / 10).map(|_| server.connect()).collect::<Vec<_>>();
            thread::scope(|scope| {
                let threads: Vec<_> = (0..10).map(|_| scope.spawn(some)).collect();
                threads.into_iter().for_each(|thread| crowd.extend(thread.join().unwrap()));
            });
            if is_open {
                // The last one was taken in when it is answered, and so were those before it.
                let line = server.append(&key, &session, 1, &["in the crowd"]);
                assert_eq!(line.status, 200);
            }
        });
        assert!(cost < kib_max, "{cost} KiB");
        let mut turned_away = crowd.split_off(if is_open { CROWD } else { 512 });
        if let Some(last) = turned_away.last_mut() {
            assert_eq!(Response::read(last, false).unwrap().status, 503);
        }
        drop((crowd, turned_away));
        eventually("the places are free again", || server.try_health() == Some(200));
        assert_eq!(server.append(&key, &session, 1, &["in the crowd"]).status, 200);
        assert_eq!(server.download(&key, &session), "in the crowd\n");
        assert!(server.terminate());
    }
}

/// True when this process, and so its children, may have so many files open; asks for it if not.
fn may_open(count: u64) -> bool {
    let is_enough = || {
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let soft = line.split_whitespace().next().unwrap();
        soft == "unlimited" || soft.parse::<u64>().unwrap() >= count
    };
    if !is_enough() {
        let pid = std::process::id().to_string();
        let limit = format!("--nofile={count}:");
        let _ = Command::new("prlimit").args(["--pid", &pid, &limit]).output();
    }
    is_enough()
}

/// A server that may open fewer files than there are connections goes on when it can.
#[test]
fn a_server_without_descriptors_goes_on_when_it_has_some() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 60; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_confab-server")]);
    command.args(["serve", "--listen", "127.0.0.1:0", "--host", "x", "--data"]).arg(&folder.0);
    command.arg("--log-file").arg(log_of(&folder.0));
    let server = Server::spawn(command, false);
    let session = server.session(&key, "e");
    let crowd: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
    eventually("it cannot accept any more", || {
        fs::read_to_string(log_of(&folder.0)).unwrap().contains("accept a connection: ")
    });
    drop(crowd);
    eventually("it can again", || server.try_health() == Some(200));
    assert_eq!(server.append(&key, &session, 1, &["a"]).status, 200);
    assert_eq!(server.download(&key, &session), "a\n");
}

/// Who asks without end and listens to nothing is cut off, and nothing is kept for them.
#[test]
fn questions_whose_answers_nobody_reads_are_not_collected() {
    let folder = Folder::new();
    let settings = ["--host", "x", "--requests-per-hour", "0", "--answer-seconds-max", "1"];
    let server = Server::start_with(&folder.0, &settings);
    let questions = "GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n".repeat(10_000);
    let cost = server.cost_kib(|| {
        let mut stream = server.connect();
        let mut sent = 0_u64;
        while stream.write_all(questions.as_bytes()).is_ok() {
            sent += questions.len() as u64;
            assert!(sent < 1 << 30, "it reads on without end");
        }
    });
    assert!(cost < 4 << 10, "{cost} KiB");
    assert_eq!(server.try_health(), Some(200));
}
