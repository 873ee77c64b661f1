//! A server with `--watch` that is killed at any moment, its watch too, while sessions grow: after
//! each kill what is stored is a beginning of what was written, and the list, the lines of a
//! session, its figures and the search agree on it. In the end everything is there, once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::process::{Server, create_key};
use crate::support::eventually::{eventually, within};
use crate::support::processes;
use crate::support::sandbox::{Sandbox, append};
use crate::{check, pass_time};

const PROGRAM: &str = env!("CARGO_BIN_EXE_confab-server");
/// Whose sessions they are: the first user, whom the watch sends for.
const USER: &str = "me@example.org";
/// Sessions at the end of the longest run.
const SESSIONS_MAX: usize = 20;
/// Lines that are appended to a file at once.
const LINES_MAX: usize = 12;
/// Lines that arrive before the kill, at most.
const ARRIVED_MAX: u64 = 40;
/// After them, the kill comes within this.
const MOMENT_MAX: Duration = Duration::from_millis(60);
/// A watch that was killed is started again within seconds, some seconds later each time.
const DELIVERY_MAX: Duration = Duration::from_secs(60);
/// Lines that are looked for one by one after a kill; in the end it is all of them.
const LOOKED_FOR: usize = 12;
/// Lines of a file that have a word in common: an answer has the newest few hundred of a file.
const BLOCK_LINES: usize = 150;
/// Numbers of such words, behind those of lines.
const BLOCKS_FROM: usize = 500_000;
/// Tokens of a message, which two lines tell.
const MESSAGE_TOKENS: u64 = 3;

/// A file that grows.
#[derive(Debug)]
struct Source {
    session: String,
    name: String,
    path: PathBuf,
    /// Which one it is: its words follow from it.
    number: usize,
    n_lines: usize,
}

/// What the server has: lines of a file, by session and file.
type Stored = BTreeMap<(String, String), usize>;
/// Session, file and line.
type Place = (String, String, usize);

struct Watched {
    sandbox: Sandbox,
    address: String,
    key: String,
    sources: Vec<Source>,
    /// Lines that were once read back.
    seen: Stored,
}

/// Kills server and watch so many times.
pub fn run(rounds: u64, address: &str, random: &mut Rng) {
    let sandbox = Sandbox::new("crash-watched");
    let key = create_key(&sandbox.root().join("server"), USER);
    let (sources, seen) = (Vec::new(), Stored::new());
    let mut watched = Watched { sandbox, address: address.into(), key, sources, seen };
    for _ in 0..rounds {
        watched.grow(random);
        watched.run_and_kill(random);
        watched.verify(random, LOOKED_FOR);
    }
    watched.finish(random);
    let n_lines: usize = watched.sources.iter().map(|source| source.n_lines).sum();
    println!("crash: {rounds} kills with a watch, {n_lines} lines, each there and found once");
}

impl Watched {
    fn start(&self, further: &[&str]) -> Server {
        let mut command = self.sandbox.command(PROGRAM);
        command.args(["serve", "--host", "x", "--listen", &self.address, "--data"]);
        command.arg(self.sandbox.root().join("server")).args(further);
        for kind in ["requests", "read"] {
            command.args([&format!("--{kind}-per-hour"), "0"]);
        }
        command.stderr(Stdio::null());
        Server::spawn(command, false)
    }

    /// Sessions go on, and sometimes one begins, or an agent of one.
    fn grow(&mut self, random: &mut Rng) {
        let n_sources = self.sources.len();
        if n_sources < 2 || n_sources < SESSIONS_MAX && random.u8(..4) == 0 {
            let is_agent = n_sources > 0 && random.u8(..3) == 0;
            self.sources.push(self.source(n_sources, is_agent, random));
        }
        for source in &mut self.sources {
            let n_lines = random.usize(..LINES_MAX);
            let text: String = (source.n_lines + 1..=source.n_lines + n_lines)
                .map(|number| format!("{}\n", line(source, number)))
                .collect();
            if n_lines > 0 {
                append(&source.path, text);
            }
            source.n_lines += n_lines;
        }
    }

    fn source(&self, number: usize, is_agent: bool, random: &mut Rng) -> Source {
        if is_agent {
            let of = self.sources[random.usize(..number)].session.clone();
            let name = format!("agent-{number:07x}.jsonl");
            let path = self.sandbox.project(&format!("{of}/subagents/{name}"));
            return Source { session: of, name, path, number, n_lines: 0 };
        }
        let session = format!("{number:08}-1111-4111-8111-111111111111");
        let (name, path) = (format!("{session}.jsonl"), self.sandbox.transcript(&session));
        let source = Source { session, name, path, number, n_lines: 1 };
        append(&source.path, format!("{}\n", line(&source, 1)));
        source
    }

    /// Lets the server and its watch run until one of them, or both, are killed.
    fn run_and_kill(&mut self, random: &mut Rng) {
        let server = self.start(&["--watch"]);
        // Some kills come while both start, others when so many lines have arrived.
        if random.u8(..4) > 0 {
            let before = self.n_stored(&server);
            let target = before + random.u64(1..=ARRIVED_MAX);
            within(DELIVERY_MAX, "lines arrive", || {
                self.grow(random);
                (self.n_stored(&server) >= target).then_some(())
            });
        }
        pass_time(MOMENT_MAX.mul_f64(random.f64()));
        if random.bool() {
            self.watches().into_iter().for_each(|pid| processes::signal(pid, "KILL"));
            self.grow(random);
            pass_time(MOMENT_MAX.mul_f64(random.f64()));
        }
        server.kill();
        // The watch sees that the server is gone, and ends.
        eventually("the watch ends", || self.watches().is_empty());
    }

    fn watches(&self) -> Vec<u32> {
        let mut pids = processes::naming(self.sandbox.root());
        pids.retain(|pid| processes::arguments(*pid).first().is_some_and(|word| word == "watch"));
        pids
    }

    /// All is delivered and found.
    fn finish(&mut self, random: &mut Rng) {
        let server = self.start(&["--watch"]);
        let n_lines = self.sources.iter().map(|source| source.n_lines as u64).sum();
        within(DELIVERY_MAX, "everything arrives", || {
            (self.n_stored(&server) >= n_lines).then_some(())
        });
        assert!(server.terminate());
        self.verify(random, usize::MAX);
        for source in &self.sources {
            assert_eq!(self.seen[&place(source)], source.n_lines, "{}", source.name);
        }
    }

    fn n_stored(&self, server: &Server) -> u64 {
        self.ask(server, "/status")["lines"].as_u64().unwrap()
    }

    fn ask(&self, server: &Server, path: &str) -> Value {
        let answer = server.get(&format!("/api/v1{path}"), &self.key);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Looks at everything while nothing arrives.
    fn verify(&mut self, random: &mut Rng, looked_for: usize) {
        let server = self.start(&[]);
        let is_indexed = || self.ask(&server, "/status")["not_indexed_lines"] == 0;
        eventually("all lines are indexed", is_indexed);
        let stored = self.listed(&server);
        for (place, n_lines) in &self.seen {
            assert!(stored.get(place) >= Some(n_lines), "{place:?}: {n_lines} were there before");
        }
        let mut lines = every_line(&stored);
        let found = self.all_found(&server);
        let is_missing = |line: &&Place| found.binary_search(line).is_err();
        let missing: Vec<&Place> = lines.iter().filter(is_missing).take(9).collect();
        assert!(found.len() == lines.len() && missing.is_empty(), "not found: {missing:?}");
        random.shuffle(&mut lines);
        for (session, name, number) in lines.into_iter().take(looked_for) {
            let mut sources = self.sources.iter();
            let source = sources.find(|source| source.session == session && source.name == name);
            let found = self.found(&server, &word(source.unwrap().number, number));
            assert_eq!(found, [(session, name, number)]);
        }
        self.seen = stored;
        server.kill();
        check(&self.sandbox.root().join("server"));
    }

    /// What is stored by the list of sessions, which their files, lines and figures must agree
    /// with.
    fn listed(&self, server: &Server) -> Stored {
        let mut stored = Stored::new();
        let list = self.ask(server, &format!("/sessions?limit={}", SESSIONS_MAX + 1));
        for entry in list["sessions"].as_array().unwrap() {
            let session = entry["external_id"].as_str().unwrap();
            let of_session = || self.sources.iter().filter(|source| source.session == session);
            let (mut n_lines, mut tokens) = (0, 0);
            for source in of_session() {
                let n_there = self.stored_lines(server, entry["id"].as_str().unwrap(), source);
                n_lines += n_there;
                tokens += n_there.div_ceil(2) as u64 * MESSAGE_TOKENS;
                let before = stored.insert(place(source), n_there);
                assert_eq!(before, None, "{session} is listed once");
            }
            assert!(n_lines > 0 || entry["lines"] == 0, "{session} is one of ours");
            assert_eq!((&entry["lines"], &entry["tokens"]), (&json!(n_lines), &json!(tokens)));
        }
        stored.retain(|_, n_lines| *n_lines > 0);
        stored
    }

    /// How many lines of a file there are: they are the first ones of it.
    fn stored_lines(&self, server: &Server, session: &str, source: &Source) -> usize {
        let (mut n_lines, mut from) = (0, 1);
        loop {
            let path = format!("/sessions/{session}/events?file={}&from={from}", source.name);
            let answer = server.get(&format!("/api/v1{path}"), &self.key);
            if answer.status == 404 {
                return 0;
            }
            let answer = answer.json();
            for event in answer["events"].as_array().unwrap() {
                n_lines += 1;
                let expected = (&json!(n_lines), &line(source, n_lines));
                assert_eq!((&event["line"], &event["raw"]), expected, "{}", source.name);
            }
            match answer["next"].as_u64() {
                Some(next) => from = next,
                None => break,
            }
        }
        assert!(n_lines <= source.n_lines, "{} has {n_lines} lines", source.name);
        n_lines
    }

    /// What the search finds of all lines that were ever written, in order.
    fn all_found(&self, server: &Server) -> Vec<Place> {
        let blocks = self.sources.iter().flat_map(|source| {
            (0..=source.n_lines / BLOCK_LINES).map(|block| block_word(source.number, block))
        });
        let mut found: Vec<Place> = blocks.flat_map(|word| self.found(server, &word)).collect();
        found.sort_unstable();
        found
    }

    /// What the search finds, in order.
    fn found(&self, server: &Server, query: &str) -> Vec<Place> {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = self.ask(server, &format!("/search?limit=100&q={query}{cursor}"));
            for hit in answer["hits"].as_array().unwrap() {
                let text = |name: &str| hit[name].as_str().unwrap().to_owned();
                let number = hit["line"].as_u64().unwrap() as usize;
                found.push((text("external_id"), text("file_name"), number));
            }
            match answer["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        found.sort_unstable();
        found
    }
}

fn place(source: &Source) -> (String, String) {
    (source.session.clone(), source.name.clone())
}

fn every_line(stored: &Stored) -> Vec<Place> {
    let lines = stored.iter().flat_map(|((session, name), n_lines)| {
        (1..=*n_lines).map(|number| (session.clone(), name.clone(), number))
    });
    lines.collect()
}

/// A line of a file; two of them are one message.
fn line(source: &Source, number: usize) -> Value {
    let message = format!("msg-{}-{}", source.number, number.div_ceil(2));
    json!({
        "type": "assistant",
        "sessionId": source.session,
        "cwd": "/work",
        "uuid": format!("{:08}-0000-4000-8000-{number:012}", source.number),
        "timestamp": "2026-02-01T10:00:00.123Z",
        "message": {
            "id": message,
            "role": "assistant",
            "model": "claude-test",
            "content": [{"type": "text", "text":
                format!("{} {}", block_word(source.number, number / BLOCK_LINES),
                    word(source.number, number))}],
            "usage": {"input_tokens": MESSAGE_TOKENS - 1, "output_tokens": 1},
        },
    })
}

/// A word that a block of lines has.
fn block_word(source: usize, block: usize) -> String {
    word(source, BLOCKS_FROM + block)
}

/// A word that one line alone has, of letters only.
fn word(source: usize, number: usize) -> String {
    let mut word = String::from("planted");
    let mut rest = source * 1_000_000 + number;
    for _ in 0..8 {
        word.push(char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
    }
    word
}
