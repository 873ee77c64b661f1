//! A body through the real handler into a database: what is stored is what a plain reading of the
//! JSON says, and what is refused leaves nothing behind.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use confab::server::settings::{Rate, Settings};
use confab::server::{Server, Store, World, hash};
use confab::wire;
use fastrand::Rng;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use super::Target;
use super::corpus::Corpus;
use super::mutate::{change, pick};
use super::response::Response;
use crate::shared::place;

const CHANGES_MAX: usize = 5;
const LINES_MAX: usize = 6;
const KEY: &str = "key-of-the-fuzzer";
/// Bytes of a file type that are taken.
const TYPE_BYTES_MAX: usize = 64;

const TRICKY: [&[u8]; 44] = [
    b"\"",
    b"\\",
    b"\\\"",
    b"\\n",
    b"\\u000a",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\ud83d\\ude00",
    b"\\ud83d\\ud83d\\ude00",
    b"\\u",
    b"\\x",
    b"\n",
    b"\r",
    b"\0",
    b"\x7f",
    b"\xff",
    b"\xc3",
    b"\xe2\x82",
    b"\xef\xbb\xbf",
    "\u{2028}".as_bytes(),
    "\u{1f600}".as_bytes(),
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"\"a\"",
    b"\"\",",
    b"null,",
    b"1",
    b"-1",
    b"1.0",
    b"1e3",
    b"1e999",
    b"9223372036854775808",
    b",\"lines\":null",
    b",\"lines\":[\"b\"]",
    b",\"first_line\":null",
    b",\"first_line\":1",
    b",\"metadata\":{\"summary\":\"s\"}",
];

pub fn target() -> Target {
    let mut handler = Handler::start();
    Target {
        name: "chunk",
        input,
        check: Box::new(move |input, seed| handler.check(input, seed)),
        counted: "lines stored",
    }
}

/// A chunk, as recorded or of recorded lines, changed anywhere. `$SESSION` stands for the session.
fn input(corpus: &Corpus, random: &mut Rng) -> Vec<u8> {
    let mut input = if random.u8(..4) == 0 {
        pick(&corpus.chunks, random).clone()
    } else {
        let lines: Vec<&String> =
            (0..random.usize(..=LINES_MAX)).map(|_| pick(&corpus.lines, random)).collect();
        let body = json!({
            "session_id": "$SESSION",
            "file_name": "t.jsonl",
            "file_type": "transcript",
            "first_line": 1,
            "lines": lines,
        });
        body.to_string().into_bytes()
    };
    for _ in 0..random.usize(..=CHANGES_MAX) {
        change(&mut input, &TRICKY, random);
    }
    if random.u8(..50) == 0 {
        let depth = random.usize(..5000);
        let deep = ["[".repeat(depth), "]".repeat(depth)].concat();
        let at = input.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
        input.splice(at..at, format!("\"x\":{deep},").bytes());
    }
    input
}

/// A server in this process, and a connection to it.
struct Handler {
    folder: PathBuf,
    address: std::net::SocketAddr,
    stream: TcpStream,
    n_sessions: u64,
}

impl Drop for Handler {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Handler {
    fn start() -> Handler {
        // Nothing here has to survive a power cut.
        let folder = place().join(format!("confab-fuzz-{}", std::process::id()));
        let store = Store::open(&folder).unwrap();
        store.create_key("u@x", "fuzz", &hash(KEY), SystemTime::now()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let world = World { now: SystemTime::now, monotonic: Instant::now, random };
        let unlimited = Rate { per_hour: 0, burst: 1 };
        let settings = Settings {
            requests: unlimited,
            sync: unlimited,
            read: unlimited,
            ..Settings::default()
        };
        let server = Server::start(listener, store, world, settings).unwrap();
        let address = server.address();
        let stream = TcpStream::connect(address).unwrap();
        Handler { folder, address, stream, n_sessions: 0 }
    }

    fn check(&mut self, input: &[u8], seed: u64) -> Result<usize, String> {
        self.n_sessions += 1;
        let opening = json!({"external_id": self.n_sessions.to_string(), "transcript_path": "/t"});
        let opened = self.ask("POST", "/api/v1/sync/init", "", opening.to_string().as_bytes())?;
        let session = opened.json()["session_id"].as_str().unwrap().to_owned();
        let result = self.check_in(&session, input, seed);
        let removed = self.ask("DELETE", &format!("/api/v1/sessions/{session}"), "", b"")?;
        if removed.status >= 400 {
            return Err(format!("remove the session: {}", removed.status));
        }
        result
    }

    fn check_in(&mut self, session: &str, input: &[u8], seed: u64) -> Result<usize, String> {
        let body = replaced(input, b"$SESSION", session.as_bytes());
        let mut random = Rng::with_seed(seed);
        let (sent, encoding) = match random.u8(..4) {
            0 => (zstd::bulk::compress(&body, 1).unwrap(), "zstd"),
            _ => (body.clone(), ""),
        };
        let path = "/api/v1/sync/chunk";
        if random.u8(..8) == 0 {
            // What is no zstd, or almost, is refused or is something else altogether.
            let mut broken = zstd::bulk::compress(&body, 1).unwrap();
            let at = random.usize(..broken.len());
            broken[at] ^= 1 << random.u8(..8);
            let status = self.ask("POST", path, "zstd", &broken)?.status;
            return match status {
                200 | 400 | 404 => Ok(0),
                _ => Err(format!("{status} for broken zstd")),
            };
        }
        let answer = self.ask("POST", path, encoding, &sent)?;
        let read = read(&body);
        if !matches!(answer.status, 200 | 400 | 404) {
            return Err(format!("{} {}", answer.status, answer.text()));
        }
        if answer.status != 200 {
            if let Reading::Chunk(chunk) = &read
                && chunk.must_be_taken(session)
            {
                return Err(format!("{} {}", answer.status, answer.text()));
            }
            let files = self.ask("GET", &format!("/api/v1/sessions/{session}/files"), "", b"")?;
            let none = files.json()["files"].as_array().is_some_and(Vec::is_empty);
            return if none { Ok(0) } else { Err("something was stored nevertheless".into()) };
        }
        let chunk = match read {
            // Not everything that is passed over can be read as a value: nothing to compare with.
            Reading::Unknown => return Ok(0),
            Reading::Malformed => return Err("stored what is no chunk".into()),
            Reading::Chunk(chunk) => chunk,
        };
        if chunk.session != session || !chunk.is_valid() {
            return Err(format!("stored {chunk:?}"));
        }
        self.check_stored(session, &chunk, &answer)?;
        // A repeat changes nothing.
        let again = self.ask("POST", path, encoding, &sent)?;
        if again.status != 200 || again.body != answer.body {
            return Err(format!("repeated: {} {}", again.status, again.text()));
        }
        self.check_stored(session, &chunk, &again)
    }

    fn check_stored(
        &mut self,
        session: &str,
        chunk: &Chunk,
        answer: &Response,
    ) -> Result<usize, String> {
        let n_lines = chunk.lines.len();
        if answer.json() != json!({ "last_synced_line": n_lines }) {
            return Err(format!("{} for {n_lines} lines", answer.text()));
        }
        let name: String = chunk.name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!("/api/v1/sessions/{session}/files/download?file_name={name}");
        let stored = self.ask("GET", &path, "", b"")?;
        let expected: String = chunk.lines.iter().map(|line| format!("{line}\n")).collect();
        if stored.status != 200 || stored.body != expected.as_bytes() {
            let found = String::from_utf8_lossy(&stored.body).into_owned();
            return Err(format!("{} {found:?}, not {expected:?}", stored.status));
        }
        Ok(n_lines)
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        encoding: &str,
        body: &[u8],
    ) -> Result<Response, String> {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        if !encoding.is_empty() {
            head.push_str(&format!("Content-Encoding: {encoding}\r\n"));
        }
        head.push_str("\r\n");
        let bytes = [head.as_bytes(), body].concat();
        self.stream.write_all(&bytes).map_err(|error| error.to_string())?;
        let response = Response::read(&mut self.stream, false);
        if response.as_ref().is_none_or(|it| it.header("connection") == Some("close")) {
            self.stream = TcpStream::connect(self.address).unwrap();
        }
        response.ok_or_else(|| "no answer".into())
    }
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    std::fs::File::open("/dev/urandom")?.read_exact(bytes)
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// A plain reading of a body.
#[derive(Debug)]
enum Reading {
    Chunk(Chunk),
    Malformed,
    /// Beyond what a plain reading can hold.
    Unknown,
}

#[derive(Debug, Default)]
struct Chunk {
    session: String,
    name: String,
    kind: String,
    first_line: i64,
    lines: Vec<String>,
    has_metadata: bool,
}

impl Chunk {
    fn is_valid(&self) -> bool {
        let Chunk { name, kind, first_line, lines, .. } = self;
        !name.is_empty()
            && name.len() <= wire::FILE_NAME_BYTES_MAX
            && !kind.is_empty()
            && kind.len() <= TYPE_BYTES_MAX
            && kind != "todo"
            && *first_line == 1
            && !lines.is_empty()
            && !lines.iter().any(|line| line.contains('\n'))
    }

    fn must_be_taken(&self, session: &str) -> bool {
        self.is_valid() && self.session == session && !self.has_metadata
    }
}

/// The keys and values of an object in the order in which they stand there.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(values: D) -> Result<Pairs, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs(Vec::new()))
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        values.deserialize_any(All)
    }
}

fn read(body: &[u8]) -> Reading {
    let text = String::from_utf8_lossy(body).into_owned();
    let parse = |text: &str| Pairs::deserialize(&mut serde_json::Deserializer::from_str(text));
    let pairs = match parse(&text).or_else(|_| parse(&without_lone_surrogates(&text))) {
        Ok(Pairs(pairs)) => pairs,
        Err(error) => {
            let told = error.to_string();
            let beyond = told.contains("out of range") || told.contains("recursion limit");
            return if beyond { Reading::Unknown } else { Reading::Malformed };
        }
    };
    let mut chunk = Chunk::default();
    for (key, value) in pairs {
        let Some(()) = take(&mut chunk, &key, value) else { return Reading::Malformed };
    }
    Reading::Chunk(chunk)
}

/// `None` for a value of the wrong type.
fn take(chunk: &mut Chunk, key: &str, value: Value) -> Option<()> {
    let is_null = value.is_null();
    match key {
        "session_id" if !is_null => chunk.session = value.as_str()?.into(),
        "file_name" if !is_null => chunk.name = value.as_str()?.into(),
        "file_type" if !is_null => chunk.kind = value.as_str()?.into(),
        "first_line" if !is_null => chunk.first_line = value.as_i64()?,
        "lines" if is_null => chunk.lines.clear(),
        "lines" => {
            let text = |value: &Value| match value {
                Value::Null => Some(String::new()),
                value => value.as_str().map(str::to_owned),
            };
            chunk.lines = value.as_array()?.iter().map(text).collect::<Option<_>>()?;
        }
        "metadata" => chunk.has_metadata |= !is_null,
        _ => {}
    }
    Some(())
}

/// Escapes of surrogates that have no partner become those of U+FFFD.
fn without_lone_surrogates(text: &str) -> String {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        digits
            .chars()
            .all(|c| c.is_ascii_hexdigit())
            .then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let mut out = String::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c != '\\' {
            out.push(c);
            at += c.len_utf8();
            continue;
        }
        let length = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                at += 6;
                continue;
            }
            (Some(_), _) => 6,
            // A backslash and what it escapes.
            _ => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&text[at..at + length]);
        at += length;
    }
    out
}
