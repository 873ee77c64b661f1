//! What arrives, told to those who listen: how soon with 20 sessions that grow at once, and what
//! 200 listeners cost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Folder, Server, create_key};
use super::{megabytes, resident};
use crate::median;

const LIVE_SESSIONS: usize = 20;
/// Lines that each of them gets.
const LINES: usize = 100;
/// Between two lines of a session.
const INTERVAL: Duration = Duration::from_millis(100);
const LISTENERS: usize = 200;

pub fn run() {
    latency();
    listeners();
}

/// A line that is sent, acknowledged, and heard by who looks at its session.
fn latency() {
    let (_folder, server, key) = super::started();
    let (server, key) = (&server, &key);
    let measured: Vec<(Vec<Duration>, Vec<Duration>)> = thread::scope(|scope| {
        let live: Vec<_> = (0..LIVE_SESSIONS)
            .map(|number| scope.spawn(move || grow(server, key, &format!("live-{number}"))))
            .collect();
        live.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (acknowledged, heard): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
    let (acknowledged, heard) = (acknowledged.concat(), heard.concat());
    let percentile = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort();
        times[times.len() * 99 / 100]
    };
    println!("a line of one of {LIVE_SESSIONS} live sessions, {} of them", heard.len());
    let (late, late_bare) = (percentile(&heard), percentile(&acknowledged));
    let (middle, middle_bare) = (median(heard), median(acknowledged));
    println!(
        "  heard after {middle:.2?}, 99 of 100 after {late:.2?}; {:.2} x and {:.2} x as long as \
         until its acknowledgement",
        middle.as_secs_f64() / middle_bare.as_secs_f64(),
        late.as_secs_f64() / late_bare.as_secs_f64(),
    );
}

fn grow(server: &Server, key: &str, name: &str) -> (Vec<Duration>, Vec<Duration>) {
    let session = server.session(key, name);
    let path = format!("/api/v1/sessions/{session}/stream?file=t.jsonl");
    let mut stream = listen(server, key, &path);
    let (mut acknowledged, mut heard) = (Vec::new(), Vec::new());
    for line in 1..=LINES {
        let text = format!("{{\"type\":\"user\",\"message\":{{\"content\":\"line {line}\"}}}}");
        let start = Instant::now();
        assert_eq!(server.append(key, &session, line as u64, &[&text]).status, 200);
        acknowledged.push(start.elapsed());
        until(&mut stream, format!("\"line\":{line},").as_bytes());
        heard.push(start.elapsed());
        thread::sleep(INTERVAL.saturating_sub(start.elapsed()));
    }
    (acknowledged, heard)
}

/// What the server needs for each who only listens.
fn listeners() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "bench@x");
    let places = (2 * LISTENERS).to_string();
    let settings = [
        ["--host", "x"],
        ["--read-per-hour", "0"],
        ["--requests-per-hour", "0"],
        ["--streams-max", &places],
        ["--reader-streams-max", &places],
        ["--connections-max", &places],
        ["--address-connections-max", &places],
    ];
    let server = Server::start_with(&folder.0, &settings.concat());
    let session = server.session(&key, "e");
    assert_eq!(server.append(&key, &session, 1, &["{}"]).status, 200);
    let before = resident(server.pid());
    let paths = [format!("/api/v1/sessions/{session}/stream?from=2"), "/api/v1/stream".into()];
    let told: [&[u8]; 2] = [b"event: line", b"event: session"];
    let mut streams: Vec<TcpStream> =
        (0..LISTENERS).map(|number| listen(&server, &key, &paths[number % paths.len()])).collect();
    assert_eq!(server.append(&key, &session, 2, &["{}"]).status, 200);
    for (number, stream) in streams.iter_mut().enumerate() {
        until(stream, told[number % told.len()]);
    }
    let after = resident(server.pid());
    println!("{LISTENERS} listeners, each of whom has heard something");
    println!(
        "  resident {} MB, {} MB more than before",
        megabytes(after),
        megabytes(after.saturating_sub(before))
    );
}

/// Opens a stream, and waits until it is told that it is one.
fn listen(server: &Server, key: &str, path: &str) -> TcpStream {
    let mut stream = server.connect();
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    until(&mut stream, b"retry: ");
    stream
}

/// Reads until something was received.
fn until(stream: &mut TcpStream, wanted: &[u8]) {
    let mut received = Vec::new();
    while !received.windows(wanted.len()).any(|part| part == wanted) {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).unwrap();
        assert_ne!(count, 0, "the stream has ended");
        received.extend_from_slice(&piece[..count]);
    }
}
