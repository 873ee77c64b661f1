//! A client that speaks the protocol itself and knows which lines were acknowledged to it.
//!
//! The text of a line follows from the file and the line's number, so that nothing has to be kept.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::Sender;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::process::{Response, Server, chunk};
use crate::support::eventually::WAIT_MAX;

/// Lines of a chunk.
const CHUNK_LINES_MAX: u64 = 12;
/// One line in so many is long.
const LONG_RARITY: u64 = 250;
const LONG_WORDS: usize = 40_000;
const SHORT_WORDS: usize = 60;

/// A file of a session.
#[derive(Debug, Clone)]
pub struct File {
    /// The server's id of the session.
    session: String,
    external_id: String,
    /// What its lines follow from.
    seed: u64,
    /// Nobody else writes to it.
    is_own: bool,
}

/// A file and how many of its lines were acknowledged.
pub type Stored = (File, u64);

/// See the module.
pub struct Client {
    address: String,
    key: String,
    random: Rng,
    file: Option<File>,
    acknowledged: u64,
    /// Lines that were sent and not answered for.
    unanswered: u64,
    /// Requests that were not answered.
    pub cut: u64,
    /// Of those whose fate was asked for, the ones that were stored.
    pub kept: u64,
}

impl Client {
    pub fn new(address: &str, key: &str, seed: u64) -> Client {
        Client {
            address: address.into(),
            key: key.into(),
            random: Rng::with_seed(seed),
            file: None,
            acknowledged: 0,
            unanswered: 0,
            cut: 0,
            kept: 0,
        }
    }

    /// Goes on to another session.
    pub fn open(&mut self, server: &Server, number: u64, generation: u64) {
        let external_id = format!("client-{number}-{generation}");
        let session = server.session(&self.key, &external_id);
        let (seed, is_own) = (number << 48 | generation << 32, number > 1);
        self.file = Some(File { session, external_id, seed, is_own });
        (self.acknowledged, self.unanswered) = (0, 0);
    }

    /// What must be there by now.
    pub fn stored(&self) -> Option<Stored> {
        Some((self.file.clone()?, self.acknowledged))
    }

    /// Sends chunk after chunk; tells each acknowledgement.
    pub fn send_until_gone(&mut self, acknowledged: &Sender<()>) {
        let _ = self.send(acknowledged);
    }

    /// `None` when the server is gone.
    fn send(&mut self, acknowledged: &Sender<()>) -> Option<()> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(WAIT_MAX)).ok()?;
        // As clients do: some ask where they were, others send the same again.
        if self.unanswered > 0 && self.random.bool() {
            self.ask(&mut stream)?;
        }
        loop {
            let first = self.acknowledged + 1;
            if self.unanswered == 0 {
                self.unanswered = self.random.u64(1..=CHUNK_LINES_MAX);
            }
            let file = self.file.as_ref().expect("a session was opened");
            let last = self.acknowledged + self.unanswered;
            let lines: Vec<String> = (first..=last).map(|number| line(file.seed, number)).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let body = chunk(&file.session, first, &lines);
            let Some(response) = self.post(&mut stream, "chunk", &body) else {
                self.cut += 1;
                return None;
            };
            assert_eq!(response.status, 200, "{}", response.text());
            let told = response.json()["last_synced_line"].as_u64().unwrap();
            let is_own = self.file.as_ref().is_some_and(|file| file.is_own);
            assert!(told == last || !is_own && told > last, "{told} behind {last}");
            (self.acknowledged, self.unanswered) = (last, 0);
            // The receiver stops counting before the last one has stopped sending.
            let _ = acknowledged.send(());
        }
    }

    /// Asks how far the file is stored; what is stored needs no further acknowledgement.
    fn ask(&mut self, stream: &mut TcpStream) -> Option<()> {
        let file = self.file.clone().expect("a session was opened");
        let body = json!({"external_id": file.external_id, "transcript_path": "/t.jsonl"});
        let response = self.post(stream, "init", &body)?;
        assert_eq!(response.status, 200, "{}", response.text());
        let told = response.json()["files"]["t.jsonl"]["last_synced_line"].as_u64().unwrap_or(0);
        let sent = self.acknowledged + self.unanswered;
        assert!(told >= self.acknowledged, "{told} of {} acknowledged", self.acknowledged);
        // A chunk is stored whole or not at all.
        assert!(!file.is_own || told == self.acknowledged || told == sent, "{told} of {sent}");
        self.kept += u64::from(told >= sent);
        (self.acknowledged, self.unanswered) = (told, 0);
        Some(())
    }

    fn post(&mut self, stream: &mut TcpStream, what: &str, body: &Value) -> Option<Response> {
        let (mut bytes, mut encoding) = (body.to_string().into_bytes(), "");
        if what == "chunk" && self.random.bool() {
            bytes = zstd::bulk::compress(&bytes, 1).unwrap();
            encoding = "Content-Encoding: zstd\r\n";
        }
        let head = format!(
            "POST /api/v1/sync/{what} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\n{encoding}Content-Length: {}\r\n\r\n",
            self.key,
            bytes.len()
        );
        stream.write_all(&[head.as_bytes(), &bytes].concat()).ok()?;
        Response::read(stream, false)
    }
}

/// What was acknowledged is there, in order and once; nothing follows but what was sent.
pub fn verify(server: &Server, key: &str, file: &File, acknowledged: u64) {
    let path = format!("/api/v1/sessions/{}/files/download?file_name=t.jsonl", file.session);
    let response = server.get(&path, key);
    if response.status == 404 && acknowledged == 0 {
        return;
    }
    let text = response.text();
    let mut number = 0;
    for found in text.split_terminator('\n') {
        number += 1;
        assert!(found == line(file.seed, number), "line {number} of {}", file.external_id);
    }
    assert!(text.is_empty() || text.ends_with('\n'));
    assert!(number >= acknowledged, "{number} of {acknowledged} lines of {}", file.external_id);
    assert!(
        !file.is_own || number <= acknowledged + CHUNK_LINES_MAX,
        "{number} lines of {}, of which {acknowledged} were acknowledged",
        file.external_id
    );
}

/// A line of a file.
fn line(seed: u64, number: u64) -> String {
    let mut random = Rng::with_seed(seed | number);
    let is_long = random.u64(..LONG_RARITY) == 0;
    let words = if is_long { LONG_WORDS } else { random.usize(..SHORT_WORDS) };
    let mut text = format!("{number}");
    for _ in 0..words {
        text.push_str([" one", " two", " three", " quatre", " \u{e9}", " \""][random.usize(..6)]);
    }
    text
}
