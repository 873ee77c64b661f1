//! Answers of a backend, byte by byte: every question comes to an end within its time, a pass with
//! such answers does too, and only what was acknowledged counts as sent.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use confab::config::Account;
use confab::redact::{Redactor, Settings};
use confab::remote::{Backend, Client, Network};
use confab::session::Session;
use confab::sync::{Engine, Surroundings, Tools};
use confab::wire::{EventRequest, InitRequest, LinkRequest};

use super::Target;
use super::corpus::{Corpus, JSON};
use super::world::{Home, StandingClock};

/// Time for a question.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of a question that are waited for.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Lines of the transcript.
const LINES: u64 = 3;

const HEADERS: [&str; 8] = [
    "Content-Length: $LENGTH",
    "Content-Length: 18446744073709551615",
    "Transfer-Encoding: chunked",
    "Retry-After: 18446744073709551615",
    "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT",
    "Location: http://127.0.0.1:1/",
    "Content-Encoding: gzip",
];

const BODIES: [&str; 9] = [
    r#"{"session_id":"s","files":{}}"#,
    r#"{"session_id":"s","files":{"11111111-1111-4111-8111-111111111111.jsonl":{"last_synced_line":2}}}"#,
    r#"{"session_id":"s","files":{"11111111-1111-4111-8111-111111111111.jsonl":{"last_synced_line":18446744073709551615}}}"#,
    r#"{"last_synced_line":3}"#,
    r#"{"last_synced_line":18446744073709551615}"#,
    r#"{"workflow_files":true,"workflow_journal":true}"#,
    r#"{"sessions":[{"id":"s","external_id":"x"}],"next_cursor":"x"}"#,
    r#"{"files":[{"file_name":"../../x","file_type":"transcript","last_synced_line":3,"updated_at":"x"}]}"#,
    "<html>sign in</html>",
];

pub fn target(_: &Corpus) -> Target {
    let mut samples = Vec::new();
    for status in
        ["200 OK", "201 Created", "204 No Content", "302 Found", "401 No", "404 No", "503 Later"]
    {
        for (number, body) in BODIES.iter().enumerate() {
            let extra = HEADERS[number % HEADERS.len()].replace("$LENGTH", &body.len().to_string());
            let length = format!("Content-Length: {}\r\n", body.len());
            let length = if number % 3 == 0 { &length } else { "" };
            samples
                .push(format!("HTTP/1.1 {status}\r\n{length}{extra}\r\n\r\n{body}").into_bytes());
        }
    }
    // What a backend says most often.
    let usual =
        |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    samples.extend(std::iter::repeat_n(usual(BODIES[3]).into_bytes(), samples.len() / 4));
    let world = World::new();
    Target {
        name: "answers",
        samples,
        tricky: JSON,
        check: Box::new(move |input, seed| world.check(input, seed)),
        counted: "lines acknowledged",
        rounds: 1000,
    }
}

struct World {
    home: Home,
    redactor: Redactor,
    address: String,
    /// What is answered next, and to whatever comes then.
    answers: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl World {
    fn new() -> World {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let shared = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut answers = shared.lock().unwrap();
                let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
                drop(answers);
                // The client may have gone.
                let _ = serve(&mut stream.unwrap(), &answer);
            }
        });
        let redactor = Redactor::new(&Settings::default()).0;
        World { home: Home::new("answers"), redactor, address, answers }
    }

    fn client(&self) -> Client {
        let key = ["cfb_", &"0123456789".repeat(4)].concat();
        let account = Account { url: self.address.clone(), key, ca_file: None };
        let clock = Arc::new(StandingClock(Instant::now()));
        Client::new(&account, &Network::default(), clock).unwrap()
    }

    fn check(&self, input: &[u8], seed: u64) -> Result<usize, String> {
        let started = Instant::now();
        *self.answers.lock().unwrap() = vec![input.to_vec()];
        self.ask(seed);
        let good =
            |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let opening = good(BODIES[0]).into_bytes();
        // As the answer to the first question, and as that to the chunk.
        *self.answers.lock().unwrap() = match seed % 2 {
            0 => vec![input.to_vec(), good(BODIES[3]).into_bytes()],
            _ => vec![opening, input.to_vec()],
        };
        let n_lines = self.pass()?;
        let took = started.elapsed();
        // Several questions, each of which may be left without the rest of its answer.
        if took > TIME_MAX * 8 {
            return Err(format!("it took {took:?}"));
        }
        let acknowledged = format!("\"last_synced_line\":{n_lines}");
        let text = String::from_utf8_lossy(input);
        if seed % 2 == 1 && n_lines > 0 && !without_blanks(&text).contains(&acknowledged) {
            return Err(format!("{n_lines} lines count as sent"));
        }
        Ok(n_lines as usize)
    }

    /// One of the questions.
    fn ask(&self, seed: u64) {
        let mut client = self.client();
        match seed / 2 % 8 {
            0 => drop(client.init(&InitRequest::default(), TIME_MAX)),
            1 => drop(client.append(b"", None, TIME_MAX)),
            2 => drop(client.event(&EventRequest::default(), TIME_MAX)),
            3 => drop(client.capabilities(TIME_MAX)),
            4 => drop(client.link("s", &LinkRequest::default(), TIME_MAX)),
            5 => drop(client.sessions(None, TIME_MAX)),
            6 => drop(client.files("s")),
            _ => drop(client.check(TIME_MAX)),
        }
    }

    /// A pass over a session; how many lines count as acknowledged.
    fn pass(&self) -> Result<u64, String> {
        self.home.clear();
        fs::write(self.home.transcript(), "{\"n\":1}\n".repeat(LINES as usize)).unwrap();
        let session = Session::new(self.home.id(), self.home.transcript());
        let mut engine =
            Engine::new(&self.home.paths, session, Surroundings::default(), BTreeMap::new());
        let clock = StandingClock(Instant::now());
        let mut client = self.client();
        let mut tools = Tools {
            backend: &mut client,
            redactor: &self.redactor,
            clock: &clock,
            deadline: clock.0 + TIME_MAX,
            interrupted: &mut || false,
            checkpoint: &mut |_| {},
        };
        let report = engine.pass(&mut tools, false);
        match report.n_lines <= LINES {
            true => Ok(report.n_lines),
            false => Err(format!("{} lines of {LINES} were sent", report.n_lines)),
        }
    }
}

fn without_blanks(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

/// Reads a question and answers it, whatever it was.
fn serve(stream: &mut TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TIME_MAX))?;
    let mut question = Vec::new();
    let mut piece = [0; 4096];
    while question.len() < HEAD_BYTES_MAX && !is_whole(&question) {
        let n_bytes = stream.read(&mut piece)?;
        if n_bytes == 0 {
            return Ok(());
        }
        question.extend_from_slice(&piece[..n_bytes]);
    }
    stream.write_all(answer)
}

/// Whether head and body are there.
fn is_whole(question: &[u8]) -> bool {
    let text = String::from_utf8_lossy(question).to_lowercase();
    let Some(end) = text.find("\r\n\r\n") else { return false };
    let length = text[..end].lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or_default();
    let head = question.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_default();
    question.len() >= head + 4 + length
}
