//! A disk that is full and has space again, more than once, while eight clients send: seven that
//! speak the protocol themselves, and a daemon. Nothing that was acknowledged is lost, nothing is
//! stored twice, and everybody gets on by trying again.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::json;

use super::process::{Folder, Server, small_disk, take_all};
use crate::network::terminator::skipped;
use crate::support::eventually::eventually;
use crate::support::sandbox::{ID, Sandbox, append, lines};

const CLIENTS: usize = 7;
const MEGABYTES: usize = 48;
/// How often the disk becomes full.
const TIMES: u64 = 3;

/// What a client has heard.
#[derive(Default)]
struct Heard {
    acknowledged: AtomicU64,
    refused: AtomicU64,
}

#[test]
fn a_disk_that_is_full_now_and_then_loses_nothing() {
    let folder = Folder::new();
    let Some((server, key, inside)) = small_disk(&folder, MEGABYTES) else {
        return skipped("a full disk, because nothing can be mounted here");
    };
    let sandbox = Sandbox::new("full-disk");
    sandbox.configure(&json!({ "backend_url": server.url, "api_key": key }));
    append(&sandbox.transcript(ID), lines(ID, 1, 1));
    sandbox.session_start(ID);
    let sessions: Vec<String> =
        (0..CLIENTS).map(|client| server.session(&key, &format!("e{client}"))).collect();
    let heard: Vec<Heard> = (0..CLIENTS).map(|_| Heard::default()).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (session, heard) in sessions.iter().zip(&heard) {
            let (server, key, is_over) = (&server, &key, &is_over);
            scope.spawn(move || send(server, key, session, heard, is_over));
        }
        for time in 1..=TIMES {
            let all = |what: &str, count: fn(&Heard) -> &AtomicU64| {
                let before: Vec<u64> =
                    heard.iter().map(|it| count(it).load(Ordering::SeqCst)).collect();
                eventually(what, || {
                    let now = heard.iter().map(|it| count(it).load(Ordering::SeqCst));
                    now.zip(&before).all(|(now, before)| now > before + 3)
                });
            };
            all("all get on", |it| &it.acknowledged);
            let first = 1 + 10 * (time as usize - 1);
            append(&sandbox.transcript(ID), lines(ID, first + 1, first + 10));
            take_all(&inside.join("rest"));
            // They find it full, try again and find it full again.
            all("all hear of it", |it| &it.refused);
            fs::remove_file(inside.join("rest")).unwrap();
            all("all get on again", |it| &it.acknowledged);
        }
        is_over.store(true, Ordering::SeqCst);
    });
    for (client, (session, heard)) in sessions.iter().zip(&heard).enumerate() {
        let acknowledged = heard.acknowledged.load(Ordering::SeqCst);
        let expected: String = (1..=acknowledged).map(|number| line(number) + "\n").collect();
        assert!(server.download(&key, session) == expected, "client {client}");
    }
    let transcript = lines(ID, 1, 1 + 10 * TIMES as usize);
    sandbox.session_end(ID);
    eventually("the daemon delivers everything", || {
        sandbox.run(&["sync", "flush"]);
        let found = server.get(&format!("/api/v1/sessions/by-external-id/{ID}"), &key).json();
        let session = found["session_id"].as_str().unwrap_or_default().to_owned();
        let path = format!("/api/v1/sessions/{session}/files/download?file_name={ID}.jsonl");
        server.get(&path, &key).body == transcript.as_bytes()
    });
    eventually("it is healthy", || server.try_health() == Some(200));
    assert!(server.terminate());
}

/// Sends line after line; what is refused is sent again until it is taken.
fn send(server: &Server, key: &str, session: &str, heard: &Heard, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        let number = heard.acknowledged.load(Ordering::SeqCst) + 1;
        let response = server.append(key, session, number, &[&line(number)]);
        match response.status {
            200 => {
                assert_eq!(response.json(), json!({ "last_synced_line": number }));
                heard.acknowledged.store(number, Ordering::SeqCst);
            }
            507 => {
                let full = json!({ "error": "The disk of the server is full" });
                assert_eq!(response.json(), full);
                heard.refused.fetch_add(1, Ordering::SeqCst);
            }
            // Others hold the lock while they find out that it is full.
            503 => assert_eq!(response.header("retry-after"), Some("1")),
            status => panic!("{status} {}", response.text()),
        }
    }
}

/// A line that does not compress.
fn line(number: u64) -> String {
    let mut random = fastrand::Rng::with_seed(number);
    (0..300).map(|_| random.alphanumeric()).collect()
}
