//! A backend on loopback that speaks bytes and obeys a script.
//!
//! It stores what the real one would store and refuses what the real one would refuse (gaps,
//! overlaps, bodies too large, zstd where it is not decoded), records everything that arrives, and
//! fails in the ways and the order that a test asks for. It shares no code with the server.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use super::eventually::{WAIT_MAX, eventually, within};
use super::http::{Answer, Request, read_request};
use super::limits::{init_limits, text};
use super::loopback::own_address;
use super::routes::{endpoint, linked, summary_of};

pub use super::routes::{Endpoint, STANDING};

const CHUNK_BYTES_MAX: u64 = 16 << 20;
const SMALL_BYTES_MAX: u64 = 128 << 10;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Whether the backend does its work before it fails to say so.
    pub stores: bool,
    pub manner: Manner,
}

/// How a request is answered when it is not answered properly.
#[derive(Debug, Clone)]
pub enum Manner {
    /// This status, with further headers.
    Status(u16, Vec<(String, String)>),
    /// 400 with the real backend's words for a body that is too large.
    TooLarge,
    /// 200 with a position that is not the one that was stored.
    WrongPosition,
    /// 400 with the real backend's words for a file that has all the chunks it may have.
    TooManyChunks,
    /// Never, until the backend is stopped or the client leaves.
    Hang,
    /// By closing the connection.
    Drop,
    /// 200 with the page of a captive portal.
    Garbage,
    /// 200 with JSON of the wrong shape.
    WrongShape,
    /// The first half of the answer, then the end of the connection.
    Half,
    /// 200 with an empty body.
    Empty,
    /// Properly, but byte by byte.
    Slow,
}

impl Fault {
    /// A status without storing anything.
    pub fn status(status: u16) -> Fault {
        Fault::new(Manner::Status(status, Vec::new()))
    }

    /// What the real backend says of a body that is too large, and of one that it cannot read.
    pub fn invalid_body() -> Fault {
        Fault::new(Manner::TooLarge)
    }

    /// A fault that strikes before anything is stored.
    pub fn new(manner: Manner) -> Fault {
        Fault { stores: false, manner }
    }

    /// The same fault, striking after the request has been carried out.
    pub fn after_storing(self) -> Fault {
        Fault { stores: true, ..self }
    }
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub endpoint: Endpoint,
    pub request: Request,
    /// The body, decompressed and parsed; null when it could not be.
    pub body: Value,
    /// The status that was answered; 0 while there was none.
    pub status: u16,
}

/// When an observer is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request was read, nothing is stored yet.
    Arrived,
    /// What was asked is done, nothing is answered yet.
    Stored,
}

/// Called with the number of the request, from 1.
pub type Observer = Arc<dyn Fn(usize, Moment) + Send + Sync>;

/// One stored session.
#[derive(Debug, Clone, Default)]
pub struct Session {
    pub external_id: String,
    pub files: BTreeMap<String, StoredFile>,
    /// The bodies of all init requests.
    pub inits: Vec<Value>,
    /// The bodies of all events.
    pub events: Vec<Value>,
    /// The addresses of commits and pull requests, each as often as it was sent.
    pub links: Vec<String>,
}

/// One stored file.
#[derive(Debug, Clone, Default)]
pub struct StoredFile {
    pub file_type: String,
    pub lines: Vec<String>,
    /// The metadata of all chunks.
    pub metadata: Vec<Value>,
}

/// The backend; it stops when it is dropped.
pub struct Backend {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: bool,
    key: String,
    capabilities: Option<Value>,
    takes_reports: bool,
    sessions: BTreeMap<String, Session>,
    summaries: Vec<(String, String)>,
    arrived: Vec<Arrived>,
    refused: Vec<String>,
    faults: VecDeque<(Endpoint, Fault)>,
    lasting: Vec<(Endpoint, Fault)>,
    /// How often hanging requests were let go.
    released: u64,
    observer: Option<Observer>,
    connections: Vec<TcpStream>,
}

impl Backend {
    /// Starts at an address of its own on loopback; stores everything, knows workflow files.
    pub fn start() -> Backend {
        Backend::start_at(own_address())
    }

    /// The same where `localhost` leads.
    pub fn at_localhost() -> Backend {
        Backend::start_at(Ipv4Addr::LOCALHOST)
    }

    fn start_at(address: Ipv4Addr) -> Backend {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut backend = Backend { shared: Arc::default(), address, listener: None };
        backend.state().key = ["cfb_", &"k".repeat(40)].concat();
        backend.state().capabilities =
            Some(json!({ "workflow_files": true, "workflow_journal": true }));
        backend.listen(listener);
        backend
    }

    /// Its address, for `backend_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The API key that it accepts.
    pub fn key(&self) -> String {
        self.state().key.clone()
    }

    /// Accepts another key from now on.
    pub fn set_key(&self, key: &str) {
        self.state().key = key.into();
    }

    /// Answers capabilities with this, or 404.
    pub fn set_capabilities(&self, capabilities: Option<Value>) {
        self.state().capabilities = capabilities;
    }

    /// Says from now on that it takes reports, as the embedded backend does.
    pub fn take_reports(&self) {
        self.state().takes_reports = true;
    }

    /// The next request for `endpoint` that is not yet spoken for meets this fault.
    pub fn fail(&self, endpoint: Endpoint, fault: Fault) {
        self.state().faults.push_back((endpoint, fault));
    }

    /// Every request for `endpoint` meets this fault until [`Backend::heal`].
    pub fn fail_always(&self, endpoint: Endpoint, fault: Fault) {
        self.state().lasting.push((endpoint, fault));
    }

    /// No more faults; what hangs is let go.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.lasting.clear();
        state.released += 1;
        self.shared.changed.notify_all();
    }

    /// The number of faults that have not struck yet.
    pub fn faults_left(&self) -> usize {
        self.state().faults.len()
    }

    /// Calls `observer` at every request from now on.
    pub fn observe(&self, observer: impl Fn(usize, Moment) + Send + Sync + 'static) {
        self.state().observer = Some(Arc::new(observer));
    }

    /// Closes the port and all connections.
    pub fn stop(&mut self) {
        self.state().running = false;
        self.shared.changed.notify_all();
        for connection in std::mem::take(&mut self.state().connections) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        if let Some(listener) = self.listener.take() {
            // The listener looks whether it still runs when someone knocks.
            let _ = TcpStream::connect(self.address);
            listener.join().unwrap();
        }
    }

    /// Opens the same port again, with everything that was stored.
    pub fn restart(&mut self) {
        let bind = || TcpListener::bind(self.address).ok();
        let listener = within(WAIT_MAX, "the port is free again", bind);
        self.listen(listener);
    }

    /// Forgets the lines of a file behind number `last`.
    pub fn roll_back(&self, external_id: &str, file_name: &str, last: usize) {
        let mut state = self.state();
        let sessions = state.sessions.values_mut();
        let mut session = sessions.filter(|session| session.external_id == external_id);
        let session = session.next().expect("the session is stored");
        session.files.get_mut(file_name).expect("the file is stored").lines.truncate(last);
    }

    /// Forgets all sessions.
    pub fn forget(&self) {
        self.state().sessions.clear();
    }

    /// What is stored of a session.
    pub fn session(&self, external_id: &str) -> Option<Session> {
        let state = self.state();
        state.sessions.values().find(|session| session.external_id == external_id).cloned()
    }

    /// The stored lines of a file, none when there is no such file.
    pub fn lines(&self, external_id: &str, file_name: &str) -> Vec<String> {
        let file = self.session(external_id).and_then(|mut s| s.files.remove(file_name));
        file.unwrap_or_default().lines
    }

    /// The stored lines of a session's transcript, each with its newline.
    pub fn transcript(&self, external_id: &str) -> String {
        let lines = self.lines(external_id, &format!("{external_id}.jsonl"));
        lines.into_iter().map(|line| line + "\n").collect()
    }

    /// Waits until the transcript of a session is stored as `expected`.
    #[track_caller]
    pub fn eventually_holds(&self, external_id: &str, expected: &str) {
        eventually("the transcript is stored", || self.transcript(external_id) == expected);
    }

    /// The summaries that were set afterwards: external id and text.
    pub fn summaries(&self) -> Vec<(String, String)> {
        self.state().summaries.clone()
    }

    /// All requests so far.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.state().arrived.clone()
    }

    /// The number of requests so far for an endpoint.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.state().arrived.iter().filter(|arrived| arrived.endpoint == endpoint).count()
    }

    /// What was refused on the backend's own account, not by script.
    pub fn refused(&self) -> Vec<String> {
        self.state().refused.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    fn listen(&mut self, listener: TcpListener) {
        self.state().running = true;
        let shared = Arc::clone(&self.shared);
        self.listener = Some(thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let mut state = shared.lock();
                if !state.running {
                    break;
                }
                state.connections.push(connection.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&shared, connection));
            }
        }));
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that fails while it holds the lock must not hide its message behind this one.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn observe(&self, number: usize, moment: Moment) {
        let observer = self.lock().observer.clone();
        if let Some(observer) = observer {
            observer(number, moment);
        }
    }
}

fn serve(shared: &Shared, connection: TcpStream) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    while let Ok(Some(request)) = read_request(&mut reader) {
        if !answer(shared, &connection, request) {
            break;
        }
    }
    let _ = connection.shutdown(Shutdown::Both);
}

/// Carries out one request; false when the connection is to be closed.
fn answer(shared: &Shared, mut connection: &TcpStream, request: Request) -> bool {
    let endpoint = endpoint(&request);
    let (number, fault) = {
        let mut state = shared.lock();
        let body = body(&request).unwrap_or_default();
        state.arrived.push(Arrived { endpoint, request: request.clone(), body, status: 0 });
        (state.arrived.len(), state.next_fault(endpoint))
    };
    shared.observe(number, Moment::Arrived);
    let carries_out = fault.as_ref().is_none_or(|fault| fault.stores);
    let proper = carries_out.then(|| shared.lock().carry_out(endpoint, &request));
    if carries_out {
        shared.observe(number, Moment::Stored);
    }
    let proper = proper.unwrap_or(Answer::json(200, &json!({})));
    let scripted = |status, headers: &[(String, String)]| Answer {
        headers: headers.to_vec(),
        ..Answer::text(status, "scripted")
    };
    let answer = match fault.as_ref().map(|fault| &fault.manner) {
        None | Some(Manner::Slow | Manner::Half) => proper,
        Some(Manner::Status(status, headers)) => scripted(*status, headers),
        Some(Manner::TooLarge) => Answer::json(400, &json!({ "error": "Invalid request body" })),
        Some(Manner::TooManyChunks) => {
            let error = "File has too many chunks (limit: 30000)";
            Answer::json(400, &json!({ "error": error }))
        }
        Some(Manner::WrongPosition) => Answer::json(200, &json!({ "last_synced_line": 99 })),
        Some(Manner::Garbage) => Answer::text(200, "<html>captive portal</html>"),
        Some(Manner::WrongShape) => Answer::json(200, &json!(["sorry", { "files": 5 }])),
        Some(Manner::Empty) => Answer::text(200, ""),
        Some(Manner::Drop) => return false,
        Some(Manner::Hang) => return hang(shared),
    };
    shared.lock().arrived[number - 1].status = answer.status;
    let bytes = answer.bytes();
    match fault.map(|fault| fault.manner) {
        Some(Manner::Half) => {
            let _ = connection.write_all(&bytes[..bytes.len() - answer.body.len() / 2 - 1]);
            false
        }
        Some(Manner::Slow) => bytes.chunks(1).all(|byte| {
            let pause = Duration::from_millis(2);
            let _ = shared.changed.wait_timeout(shared.lock(), pause);
            connection.write_all(byte).is_ok()
        }),
        _ => connection.write_all(&bytes).is_ok(),
    }
}

/// Waits until the backend stops or is healed; then closes the connection.
fn hang(shared: &Shared) -> bool {
    let state = shared.lock();
    let released = state.released;
    let hangs = |state: &mut State| state.running && state.released == released;
    drop(shared.changed.wait_while(state, hangs));
    false
}

/// The body as JSON, or why there is none. Limits count decompressed bytes.
fn body(request: &Request) -> Result<Value, Answer> {
    let invalid = |why: &str| Answer::json(400, &json!({ "error": why }));
    if request.method == "GET" {
        return Ok(Value::Null);
    }
    let sync = request.path.starts_with("/api/v1/sync/");
    let limit = match endpoint(request) {
        Endpoint::Chunk => CHUNK_BYTES_MAX,
        _ => SMALL_BYTES_MAX,
    };
    let mut bytes = Vec::new();
    let read = match request.header("content-encoding") {
        None | Some("identity") => request.body.as_slice().take(limit + 1).read_to_end(&mut bytes),
        Some("zstd") if sync => zstd::Decoder::new(request.body.as_slice())
            .and_then(|decoder| decoder.take(limit + 1).read_to_end(&mut bytes)),
        Some(_) if sync => {
            return Err(Answer::json(415, &json!({ "error": "unsupported encoding" })));
        }
        // The real backend reads the compressed bytes as they are, and fails.
        Some(_) => return Err(invalid("Invalid request body")),
    };
    if read.is_err() || bytes.len() as u64 > limit {
        return Err(invalid("Invalid request body"));
    }
    serde_json::from_slice(&bytes).map_err(|_| invalid("Invalid request body"))
}

impl State {
    fn next_fault(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let at = self.faults.iter().position(|(for_endpoint, _)| *for_endpoint == endpoint);
        if let Some((_, fault)) = at.and_then(|at| self.faults.remove(at)) {
            return Some(fault);
        }
        let lasting = self.lasting.iter().find(|(for_endpoint, _)| *for_endpoint == endpoint);
        lasting.map(|(_, fault)| fault.clone())
    }

    /// Does what a request asks, as the real backend would, and remembers what it refuses.
    fn carry_out(&mut self, endpoint: Endpoint, request: &Request) -> Answer {
        let refusal = |status, why: &str| Err(Answer::json(status, &json!({ "error": why })));
        let result = self.check(endpoint, request).and_then(|()| body(request)).and_then(|body| {
            match endpoint {
                Endpoint::Init => self.init(&body),
                Endpoint::Chunk => self.chunk(&body),
                Endpoint::Event => self.event(&body),
                Endpoint::Summary => self.summary(summary_of(&request.path), &body),
                Endpoint::Link => self.link(linked(&request.path), &body),
                Endpoint::Validate => Ok(json!({ "valid": true, "user_id": 1, "email": "a@b.c" })),
                Endpoint::Capabilities => match &self.capabilities {
                    Some(capabilities) => Ok(capabilities.clone()),
                    None => refusal(404, "Not found"),
                },
                Endpoint::Other if self.takes_reports && request.path == STANDING => Ok(body),
                Endpoint::Other => refusal(404, "Not found"),
            }
        });
        let success = if endpoint == Endpoint::Link { 201 } else { 200 };
        let answer = result.map_or_else(|answer| answer, |body| Answer::json(success, &body));
        // A wrong key and missing capabilities are what a test set up; the rest is the client's.
        if answer.status != success && answer.status != 401 && endpoint != Endpoint::Capabilities {
            let why = String::from_utf8_lossy(&answer.body);
            self.refused.push(format!("{} {}: {why}", request.path, answer.status));
        }
        answer
    }

    fn check(&self, endpoint: Endpoint, request: &Request) -> Result<(), Answer> {
        let agent = request.header("user-agent").unwrap_or_default();
        if !agent.starts_with("confab/") || !agent.contains(" (linux; ") {
            return Err(Answer::json(400, &json!({ "error": "not the user agent of confab" })));
        }
        if request.method != "GET" && request.header("content-type") != Some("application/json") {
            return Err(Answer::text(415, "Content-Type must be application/json"));
        }
        if request.method != "GET" && request.header("content-length").is_none() {
            return Err(Answer::text(411, "Content-Length is missing"));
        }
        let key = format!("Bearer {}", self.key);
        if endpoint != Endpoint::Capabilities && request.header("authorization") != Some(&key) {
            return Err(Answer::text(401, "Invalid API key"));
        }
        Ok(())
    }

    fn init(&mut self, body: &Value) -> Result<Value, Answer> {
        let external_id = text(body, "external_id", 512)?;
        text(body, "transcript_path", 8192)?;
        if body["provider"] != "claude-code" && !body["provider"].is_null() {
            return Err(Answer::json(400, &json!({ "error": "unknown provider" })));
        }
        init_limits(body)?;
        let known = self.sessions.iter().find(|(_, session)| session.external_id == external_id);
        // Several may arrive before the first of them is carried out.
        let ids =
            (self.arrived.len()..).map(|number| format!("00000000-0000-4000-8000-{number:012}"));
        let fresh = || ids.into_iter().find(|id| !self.sessions.contains_key(id)).expect("endless");
        let id = known.map_or_else(fresh, |(id, _)| id.clone());
        let session = self.sessions.entry(id.clone()).or_default();
        session.external_id = external_id.into();
        session.inits.push(body.clone());
        let position = |file: &StoredFile| json!({ "last_synced_line": file.lines.len() });
        let files: BTreeMap<_, _> =
            session.files.iter().map(|(name, file)| (name.clone(), position(file))).collect();
        let mut answer = json!({ "session_id": id, "provider": "claude-code", "files": files });
        self.takes_reports.then(|| answer["reports"] = json!(true));
        Ok(answer)
    }

    fn chunk(&mut self, body: &Value) -> Result<Value, Answer> {
        let refusal = |status, why: String| Err(Answer::json(status, &json!({ "error": why })));
        let name = text(body, "file_name", 512)?.to_string();
        let file_type = text(body, "file_type", 255)?.to_string();
        text(body, "session_id", 255)?;
        if file_type == "todo" {
            return refusal(400, "todo file sync is no longer supported".into());
        }
        for (field, limit) in [("summary", 2048), ("first_user_message", 8192)] {
            if body["metadata"][field].as_str().is_some_and(|text| text.len() > limit) {
                return refusal(400, format!("{field} is too long"));
            }
        }
        if !body["metadata"]["codex_rollout"].is_null() {
            return refusal(400, "codex_rollout is for codex alone".into());
        }
        let texts = body["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lines: Option<Vec<String>> =
            texts.iter().map(|line| line.as_str().map(Into::into)).collect();
        let lines = match lines {
            Some(lines) if !lines.is_empty() => lines,
            _ => return refusal(400, "lines is required".into()),
        };
        if lines.iter().any(|line| line.contains('\n')) {
            return refusal(400, "a line holds a newline".into());
        }
        let id = body["session_id"].as_str().unwrap_or_default();
        let Some(session) = self.sessions.get_mut(id) else {
            return refusal(404, "Session not found".into());
        };
        let stored = session.files.get(&name).map_or(0, |file| file.lines.len());
        if body["first_line"] != json!(stored + 1) {
            let (expected, got) = (stored + 1, &body["first_line"]);
            let rule = "chunks must be contiguous";
            return refusal(400, format!("first_line must be {expected} (got {got}) - {rule}"));
        }
        let file = session.files.entry(name).or_default();
        file.file_type = file_type;
        file.lines.extend(lines);
        file.metadata.push(body["metadata"].clone());
        Ok(json!({ "last_synced_line": file.lines.len() }))
    }

    fn event(&mut self, body: &Value) -> Result<Value, Answer> {
        if confab::time::parse_rfc3339(text(body, "timestamp", 64)?).is_none() {
            return Err(Answer::json(400, &json!({ "error": "Invalid JSON body" })));
        }
        if body["event_type"] != "session_end" {
            return Err(Answer::json(400, &json!({ "error": "unknown event_type" })));
        }
        let id = body["session_id"].as_str().unwrap_or_default();
        let Some(session) = self.sessions.get_mut(id) else {
            return Err(Answer::json(404, &json!({ "error": "Session not found" })));
        };
        session.events.push(body.clone());
        Ok(json!({ "success": true }))
    }

    fn link(&mut self, id: Option<&str>, body: &Value) -> Result<Value, Answer> {
        let url = text(body, "url", 2048)?;
        let id = id.unwrap_or_default();
        if body["source"] != "cli_hook" || !url.starts_with("https://github.com/") {
            return Err(Answer::json(400, &json!({ "error": "invalid GitHub URL" })));
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return Err(Answer::json(404, &json!({ "error": "Session not found" })));
        };
        session.links.push(url.into());
        Ok(json!({ "id": session.links.len(), "session_id": id, "url": url }))
    }

    fn summary(&mut self, external_id: Option<&str>, body: &Value) -> Result<Value, Answer> {
        let summary = text(body, "summary", 2048)?;
        self.summaries.push((external_id.unwrap_or_default().into(), summary.into()));
        Ok(json!({ "status": "ok" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends one request over a connection of its own; status 0 when there was no answer.
    fn ask(backend: &Backend, method: &str, path: &str, body: &[u8], zstd: bool) -> (u16, String) {
        let mut stream = TcpStream::connect(backend.address).unwrap();
        let encoding = if zstd { "content-encoding: zstd\r\n" } else { "" };
        let (key, length) = (backend.key(), body.len());
        let head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             user-agent: confab/0 (linux; amd64)\r\ncontent-type: application/json\r\n\
             {encoding}content-length: {length}\r\nconnection: close\r\n\r\n",
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        (status, body.into())
    }

    fn init(backend: &Backend) -> String {
        let body = json!({ "external_id": "e", "transcript_path": "/e.jsonl" }).to_string();
        let (status, body) = ask(backend, "POST", "/sync/init", body.as_bytes(), false);
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        body["session_id"].as_str().unwrap().into()
    }

    fn chunk(id: &str, first_line: usize, lines: &[&str]) -> Vec<u8> {
        json!({ "session_id": id, "file_name": "e.jsonl", "file_type": "transcript",
            "first_line": first_line, "lines": lines })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn it_stores_what_is_contiguous_and_refuses_the_rest() {
        let backend = Backend::start();
        let id = init(&backend);
        let send = |first, lines: &[&str]| {
            ask(&backend, "POST", "/sync/chunk", &chunk(&id, first, lines), false).0
        };
        assert_eq!(send(1, &["a", ""]), 200);
        for (first, lines) in [(1, &["a"][..]), (2, &["b"]), (4, &["d"]), (3, &[]), (3, &["c\n"])] {
            assert_eq!(send(first, lines), 400, "{first} {lines:?}");
        }
        let packed = zstd::encode_all(chunk(&id, 3, &["c"]).as_slice(), 3).unwrap();
        assert_eq!(ask(&backend, "POST", "/sync/chunk", &packed, true).0, 200);
        assert_eq!(ask(&backend, "PATCH", "/sessions/e/summary", &packed, true).0, 400);
        assert_eq!(backend.lines("e", "e.jsonl"), ["a", "", "c"]);
        let long = "x".repeat(17 << 20);
        let packed = zstd::encode_all(chunk(&id, 4, &[&long]).as_slice(), 3).unwrap();
        assert_eq!(ask(&backend, "POST", "/sync/chunk", &packed, true).0, 400);
        assert_eq!(backend.refused().len(), 7);
        assert_eq!(init(&backend), id);
    }

    #[test]
    fn faults_strike_in_order_and_as_told() {
        let backend = Backend::start();
        let id = init(&backend);
        let manners = [
            (Manner::Status(503, Vec::new()), 503),
            (Manner::Drop, 0),
            (Manner::Garbage, 200),
            (Manner::WrongShape, 200),
            (Manner::Empty, 200),
            (Manner::TooLarge, 400),
            (Manner::Half, 200),
            (Manner::Slow, 200),
        ];
        for (manner, _) in &manners {
            backend.fail(Endpoint::Chunk, Fault::new(manner.clone()).after_storing());
        }
        for (number, (manner, status)) in manners.iter().enumerate() {
            let body = chunk(&id, number + 1, &["x"]);
            let answer = ask(&backend, "POST", "/sync/chunk", &body, false);
            assert_eq!(answer.0, *status, "{manner:?}");
            let complete = answer.1.contains("last_synced_line") && answer.1.ends_with('}');
            assert_eq!(complete, matches!(manner, Manner::Slow), "{manner:?}: {}", answer.1);
            assert_eq!(backend.lines("e", "e.jsonl").len(), number + 1, "{manner:?}");
        }
        assert_eq!(backend.faults_left(), 0);
        backend.fail(Endpoint::Chunk, Fault::status(500));
        let body = chunk(&id, manners.len() + 1, &["x"]);
        assert_eq!(ask(&backend, "POST", "/sync/chunk", &body, false).0, 500);
        assert_eq!(backend.lines("e", "e.jsonl").len(), manners.len(), "not stored");
    }

    #[test]
    fn it_hangs_stops_and_comes_back_with_what_it_had() {
        let mut backend = Backend::start();
        let id = init(&backend);
        backend.fail(Endpoint::Chunk, Fault::new(Manner::Hang));
        let body = chunk(&id, 1, &["x"]);
        thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&backend, "POST", "/sync/chunk", &body, false));
            eventually("it hangs", || backend.count(Endpoint::Chunk) == 1);
            assert!(!asking.is_finished());
            backend.heal();
            assert_eq!(asking.join().unwrap().0, 0);
        });
        backend.stop();
        assert!(TcpStream::connect(backend.address).is_err());
        backend.restart();
        assert_eq!(init(&backend), id);
    }
}
