//! How listing and opening sessions grow with what is stored: from 10 000 events to 1 000 000.

use std::time::{Duration, Instant};

use serde_json::json;

use super::load::{send, uploads};
use super::{bytes_in, started};
use crate::median;
use crate::world::{proc_number, wait_for};

const STEPS: [usize; 3] = [10_000, 100_000, 1_000_000];
/// Events of a session.
const SESSION_EVENTS: usize = 1_000;
const ASKED: usize = 21;
const REQUEST_BYTES: usize = 1 << 20;

pub fn run() {
    let (folder, server, key) = started();
    let mut n_events = 0;
    let mut sessions = Vec::new();
    for step in STEPS {
        while n_events < step {
            let session = server.session(&key, &format!("session-{n_events}"));
            let lines = events(n_events);
            let bytes = lines.iter().map(Vec::len).sum();
            send(&server, &key, &[uploads(&lines, &session, REQUEST_BYTES, bytes, 0)]);
            n_events += SESSION_EVENTS;
            sessions.push(session);
        }
        wait_until_idle(server.pid());
        let ask = |path: &dyn Fn(usize) -> String| {
            median((0..ASKED).map(|turn| time(|| server.get(&path(turn), &key).status)).collect())
        };
        let one = |turn: usize| &sessions[turn * 7919 % sessions.len()];
        let list = ask(&|_| "/api/v1/sessions?limit=50".into());
        let open = ask(&|turn| format!("/api/v1/sessions/{}", one(turn)));
        let read =
            ask(&|turn| format!("/api/v1/sessions/{}/files/download?file_name=t.jsonl", one(turn)));
        let condensed = ask(&|turn| format!("/api/v1/sessions/{}/condensed-transcript", one(turn)));
        println!("{n_events} events in {} sessions, median of {ASKED}", sessions.len());
        println!(
            "  list {list:.2?}, open {open:.2?}, download {read:.2?}, condensed {condensed:.2?}; \
             {:.0} MB on disk",
            bytes_in(&folder.0) as f64 / 1e6
        );
    }
}

/// Lines of a session, none like another one.
fn events(from: usize) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(from as u64);
    let uuid = |number: usize| format!("{:08x}-0000-4000-8000-{number:012x}", number % 65_521);
    (from..from + SESSION_EVENTS)
        .map(|number| {
            let words: Vec<String> = (0..20).map(|_| format!("{:x}", random.u16(..))).collect();
            let (kind, role) =
                if number % 2 == 0 { ("user", "user") } else { ("assistant", "assistant") };
            let line = json!({
                "type": kind,
                "uuid": uuid(number),
                "parentUuid": uuid(number.saturating_sub(1)),
                "timestamp": "2026-02-01T10:00:00.123Z",
                "message": {"role": role, "content": words.join(" ")},
            });
            format!("{line}\n").into_bytes()
        })
        .collect()
}

fn time(ask: impl FnOnce() -> u16) -> Duration {
    let started = Instant::now();
    assert_eq!(ask(), 200);
    started.elapsed()
}

/// Waits until the threads behind the scenes have done what they could.
pub fn wait_until_idle(pid: u32) {
    let mut before = (0, Instant::now());
    wait_for(|| {
        let read = proc_number(pid, "io", "rchar:") + proc_number(pid, "io", "wchar:");
        if read != before.0 {
            before = (read, Instant::now());
        }
        (before.1.elapsed() > Duration::from_secs(3)).then_some(())
    });
}
