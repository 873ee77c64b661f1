//! Searching 10 000 to 1 000 000 events: how long answers take and how that grows, and what the
//! index costs while lines arrive.
//!
//! What is said is taken from the sources of this package, so that words are as common and as rare
//! as in real sessions; each line has a word that no other one has.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::growth::wait_until_idle;
use super::load::{send, uploads};
use super::process::{Folder, Server};
use super::{bytes_in, rate, started};
use crate::figure::Figure;
use crate::world::wait_for;

const STEPS: [usize; 3] = [10_000, 100_000, 1_000_000];
/// Events of a session.
const SESSION_EVENTS: usize = 1_000;
const REQUEST_BYTES: usize = 4 << 20;
/// Each query is asked so often, at different times.
const ASKED: usize = 9;
/// Common and rare words, alone and together, and what makes it hard.
const QUERIES: [&str; 24] = [
    "error",
    "the",
    "transaction",
    "pub fn",
    "parse_line",
    "\"is not there\"",
    "\"write-ahead log\"",
    "src/server/mod.rs",
    "read_bounded",
    "connection timeout",
    "E0308",
    "unique_77777",
    "unique_777*",
    "conn*",
    "fn -pub",
    "role:user session",
    "role:tool error",
    "tool:Bash server",
    "tool:Read transcript error",
    "project:project-7 store",
    "machine:host-3 \"no such\"",
    "after:2026-10-01 lock",
    "before:2026-02-01 lock",
    "nosuchwordanywhere",
];

pub fn run() {
    let corpus = corpus();
    let (folder, server, key) = started();
    let (mut n_bytes, mut took, mut n_events) = (0, Duration::ZERO, 0);
    for step in STEPS {
        for first in (n_events..step).step_by(SESSION_EVENTS) {
            let session = open(&server, &key, first);
            let lines = events(&corpus, first);
            let bytes = lines.iter().map(Vec::len).sum();
            n_bytes += bytes;
            took += send(&server, &key, &[uploads(&lines, &session, REQUEST_BYTES, bytes, 0)]);
        }
        n_events = step;
        tell_cost(&folder, &server, &key, (n_events, n_bytes, took));
        wait_until_idle(server.pid());
        ask(&server, &key, Some(&step) == STEPS.last());
    }
}

/// What it took to bring so much in and index it.
fn tell_cost(
    folder: &Folder,
    server: &Server,
    key: &str,
    (n_events, n_bytes, took): (usize, usize, Duration),
) {
    let started = Instant::now();
    wait_for(|| (unindexed(server, key) == 0).then_some(()));
    let cpu = processor_seconds(server.pid());
    println!("{n_events} events, {:.0} MB, brought in and indexed", n_bytes as f64 / 1e6);
    println!(
        "  acknowledged in {took:.1?}, {:.0} MB/s; then {:.1?} until all can be found; {cpu:.1} s of \
         processor, {:.0} MB/s",
        rate(n_bytes, took),
        started.elapsed(),
        n_bytes as f64 / 1e6 / cpu,
    );
    println!("  {:.0} MB on disk, {}", bytes_in(&folder.0) as f64 / 1e6, parts(folder));
}

/// Asks all queries in turn, several times; `each` tells of each of them.
fn ask(server: &Server, key: &str, each: bool) {
    let mut all = Vec::new();
    let mut of_query = vec![Vec::new(); QUERIES.len()];
    let mut n_hits = vec![0; QUERIES.len()];
    for _ in 0..ASKED {
        for (index, query) in QUERIES.iter().enumerate() {
            let path = format!("/api/v1/search?q={}", escaped(query));
            let started = Instant::now();
            let answer = server.get(&path, key);
            let took = started.elapsed();
            assert_eq!(answer.status, 200, "{}", answer.text());
            n_hits[index] = answer.json()["hits"].as_array().unwrap().len();
            of_query[index].push(took);
            all.push(took);
        }
    }
    let bare: Vec<Duration> = (0..99)
        .map(|_| {
            let started = Instant::now();
            server.get("/api/v1/version", key);
            started.elapsed()
        })
        .collect();
    let (figure, bare) = (Figure::of(all.clone()), Figure::of(bare));
    all.sort();
    let p95 = all[all.len() * 95 / 100];
    println!(
        "search, {} queries: {figure}, {:.0} x an empty answer",
        all.len(),
        figure.over(&bare)
    );
    println!("  95th percentile {p95:.1?}, slowest {:.1?}", all[all.len() - 1]);
    for ((query, times), hits) in QUERIES.iter().zip(of_query).zip(n_hits).filter(|_| each) {
        println!("  {:.2?} {query} ({hits} hits)", Figure::of(times).median);
    }
}

fn open(server: &Server, key: &str, first: usize) -> String {
    let number = first / SESSION_EVENTS;
    let metadata = json!({"cwd": format!("/home/dev/project-{}", number % 40),
        "hostname": format!("host-{}", number % 5)});
    let body = json!({"provider": "claude-code", "external_id": format!("session-{number}"),
        "transcript_path": "/t.jsonl", "metadata": metadata});
    let answer = server.post("/api/v1/sync/init", key, &body);
    answer.json()["session_id"].as_str().unwrap().to_owned()
}

/// Everything that is written in this package.
fn corpus() -> String {
    let mut corpus = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let (false, Ok(text)) =
                (path.ends_with("finding.rs"), fs::read_to_string(&path))
            {
                corpus.push_str(&text);
            }
        }
    }
    corpus
}

/// A slice of the corpus.
fn some<'a>(corpus: &'a str, random: &mut fastrand::Rng, bytes: usize) -> &'a str {
    let mut start = random.usize(..corpus.len() - bytes);
    let mut end = start + bytes;
    while !corpus.is_char_boundary(start) {
        start += 1;
    }
    while !corpus.is_char_boundary(end) {
        end -= 1;
    }
    &corpus[start..end]
}

/// Lines of a session: a prompt, an answer, a call and its result, again and again.
fn events(corpus: &str, first: usize) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(first as u64);
    let tools = ["Bash", "Read", "Edit", "Grep", "WebFetch"];
    (first..first + SESSION_EVENTS)
        .map(|number| {
            let large = 1 << random.usize(8..14);
            let bytes = match number % 4 {
                0 => 40 + random.usize(..200),
                1 => 100 + random.usize(..800),
                2 => 20 + random.usize(..200),
                _ => 100 + random.usize(..large),
            };
            let text = format!("{} unique_{number}", some(corpus, &mut random, bytes));
            let tool = tools[random.usize(..tools.len())];
            let call = format!("toolu_{:016x}{:08x}", random.u64(..), number / 4);
            let (kind, content) = match number % 4 {
                0 => ("user", json!(text)),
                1 => ("assistant", json!([{"type": "text", "text": text}])),
                2 => (
                    "assistant",
                    json!([{"type": "tool_use", "id": call, "name": tool,
                        "input": {"command": text}}]),
                ),
                _ => {
                    ("user", json!([{"type": "tool_result", "tool_use_id": call, "content": text}]))
                }
            };
            let (day, second) = (number / SESSION_EVENTS % 300, number % SESSION_EVENTS);
            let (month, day) = (1 + day / 28, 1 + day % 28);
            let (minute, second) = (second / 60, second % 60);
            let line = json!({
                "type": kind, "isSidechain": false, "userType": "external", "version": "2.1.329",
                "cwd": "/home/dev/project", "gitBranch": "main",
                "sessionId": "11111111-1111-4111-8111-111111111111",
                "uuid": format!("{number:08x}-0000-4000-8000-{:012x}", random.u32(..)),
                "parentUuid": format!("{:08x}-0000-4000-8000-000000000000", number.wrapping_sub(1)),
                "timestamp": format!("2026-{month:02}-{day:02}T10:{minute:02}:{second:02}.000Z"),
                "message": {"role": kind, "id": format!("msg_{number}"), "content": content,
                    "model": "claude-sonnet-4-5-20250929",
                    "usage": {"input_tokens": 10, "output_tokens": 200}},
            });
            let mut line = line.to_string().into_bytes();
            line.push(b'\n');
            line
        })
        .collect()
}

/// Lines that cannot be found yet.
pub fn unindexed(server: &Server, key: &str) -> u64 {
    let status = server.get("/api/v1/status", key).json();
    status["not_indexed_lines"].as_u64().unwrap()
}

/// Seconds that a process has spent on a processor.
fn processor_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

/// How large the index is.
fn parts(folder: &Folder) -> String {
    let connection = rusqlite::Connection::open(folder.0.join("confab.db")).unwrap();
    let bytes = |table: &str| -> i64 {
        let query = format!("SELECT coalesce(sum(length(block)), 0) FROM {table}");
        connection.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    format!("{:.0} MB of it words", bytes("words_data") as f64 / 1e6)
}

/// A text in a query of an address.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(byte).collect()
}
