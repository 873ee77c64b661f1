//! The backend of a simulation: as strict as the real one, and with faults to order.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use confab::error::Error;
use confab::remote::{Backend, Failure, Verdict};
use confab::wire::{
    Capabilities, ChunkAnswer, ChunkRequest, EventRequest, FilePosition, InitAnswer, InitRequest,
    LinkRequest,
};

use crate::actions::Fault;
use crate::hub::Seat;
use crate::model::Model;

/// What a request takes when nothing slows it down.
const REQUEST_TIME: Duration = Duration::from_millis(3);
/// Answers "not found" behind which a daemon may take the session for deleted.
const GONE_MAX: u32 = 3;

/// A session as stored.
#[derive(Default)]
pub struct Stored {
    id: String,
    pub files: BTreeMap<String, Vec<String>>,
}

/// All sessions, by Claude's id, and what goes wrong with the next requests.
pub struct Store {
    pub model: Model,
    pub sessions: BTreeMap<String, Stored>,
    pub faults: VecDeque<Fault>,
    pub delays: VecDeque<Duration>,
    /// It has said something untrue, or lost lines, of this session.
    pub lied: BTreeMap<String, bool>,
    /// Answers "not found".
    n_gone: u32,
    /// Answers by which no line was taken.
    n_rejected: usize,
    n_ids: usize,
    /// One for all bodies: to make one takes longer than to read a small body.
    decompression: zstd::zstd_safe::DCtx<'static>,
}

impl Store {
    pub fn new(model: Model) -> Store {
        Store {
            model,
            sessions: BTreeMap::new(),
            faults: VecDeque::new(),
            delays: VecDeque::new(),
            lied: BTreeMap::new(),
            n_gone: 0,
            n_rejected: 0,
            n_ids: 0,
            decompression: zstd::zstd_safe::DCtx::create(),
        }
    }

    fn decompress(&mut self, body: &[u8]) -> String {
        let mut decoder = zstd::stream::read::Decoder::with_context(body, &mut self.decompression);
        let mut text = String::new();
        decoder.read_to_string(&mut text).unwrap();
        text
    }

    /// True when a daemon may have taken a session for deleted.
    pub fn may_be_buried(&self) -> bool {
        self.n_gone >= GONE_MAX
    }

    /// Loses the last lines of all files of a session, as when an old backup was put back.
    pub fn roll_back(&mut self, session: &str, lines: usize) {
        let Some(stored) = self.sessions.get_mut(session) else { return };
        for file in stored.files.values_mut() {
            file.truncate(file.len().saturating_sub(lines));
        }
        self.lied.insert(session.to_owned(), true);
    }

    pub fn forget(&mut self, session: &str) {
        if self.sessions.remove(session).is_some() {
            self.lied.insert(session.to_owned(), true);
        }
    }

    fn init(&mut self, request: &InitRequest, fault: Option<Fault>) -> InitAnswer {
        let id = &request.external_id;
        if !self.sessions.contains_key(id) {
            self.n_ids += 1;
            let stored = Stored { id: format!("b{}", self.n_ids), ..Stored::default() };
            self.sessions.insert(id.clone(), stored);
        }
        let stored = &self.sessions[id];
        let lines = |file: &Vec<String>| match fault {
            Some(Fault::InitMore) => file.len() as u64 + 3,
            Some(Fault::InitLess) => (file.len() as u64).saturating_sub(3),
            _ => file.len() as u64,
        };
        let files = stored.files.iter();
        let files = files
            .map(|(name, file)| (name.clone(), FilePosition { last_synced_line: lines(file) }))
            .collect();
        if matches!(fault, Some(Fault::InitMore | Fault::InitLess)) {
            self.lied.insert(id.clone(), true);
        }
        if fault == Some(Fault::InitLess) {
            // What was noted of lines that it denies is overwritten by what is sent in their place.
            self.model.damage_hashes(id);
        }
        InitAnswer { session_id: stored.id.clone(), provider: None, files, reports: false }
    }

    fn external(&self, backend_id: &str) -> Option<String> {
        let mut sessions = self.sessions.iter();
        sessions.find(|(_, stored)| stored.id == backend_id).map(|(id, _)| id.clone())
    }

    fn append(
        &mut self,
        chunk: ChunkRequest,
        complaints: &mut Vec<String>,
    ) -> Result<u64, Verdict> {
        let Some(session) = self.external(&chunk.session_id) else { return Err(Verdict::Gone) };
        let stored = self.sessions.get_mut(&session).expect("just found");
        let file = stored.files.entry(chunk.file_name.clone()).or_default();
        if chunk.first_line != file.len() as i64 + 1 || chunk.lines.is_empty() {
            return Err(Verdict::Reject);
        }
        let may_stand_in = self.n_rejected >= 8;
        for line in chunk.lines {
            let name = (session.as_str(), chunk.file_name.as_str());
            match self.model.accept(name, &line, file, may_stand_in) {
                Ok(line) => file.push(line),
                Err(why) => {
                    complaints.push(why);
                    file.push(line);
                }
            }
        }
        Ok(file.len() as u64)
    }
}

/// A daemon's connection.
pub struct Connection {
    pub seat: Arc<Seat>,
}

fn failure(verdict: Verdict, timed_out: bool) -> Failure {
    Failure { verdict, timed_out, ..Failure::retry(Error::new("made up")) }
}

impl Connection {
    /// A request is on its way. Returns what is to go wrong with the answer, or the failure of a
    /// request that has not come through.
    fn travel(&self, time_max: Duration, inspected: &str) -> Result<Option<Fault>, Failure> {
        let (fault, delay) = {
            let mut core = self.seat.hub.core();
            if let Some(secret) = core.store.model.secret_in(inspected) {
                core.complaints.push(format!("a secret is in a request: {secret}"));
            }
            (core.store.faults.pop_front(), core.store.delays.pop_front())
        };
        let is_late = matches!(fault, Some(Fault::TimeoutBefore | Fault::TimeoutAfter));
        let time = if is_late { time_max } else { delay.unwrap_or(REQUEST_TIME) };
        self.seat.pause(time.min(time_max), false);
        if time > time_max {
            return Err(failure(Verdict::Retry(None), true));
        }
        match fault {
            Some(Fault::Before) => Err(failure(Verdict::Retry(None), false)),
            Some(Fault::TimeoutBefore) => Err(failure(Verdict::Retry(None), true)),
            Some(Fault::Busy) => Err(failure(Verdict::Retry(Some(Duration::from_secs(20))), false)),
            Some(Fault::Key) => Err(failure(Verdict::SignIn, false)),
            fault => Ok(fault),
        }
    }

    /// The answer is on its way.
    fn answer<T>(&self, answer: T, fault: Option<Fault>) -> Result<T, Failure> {
        self.seat.touch();
        match fault {
            Some(Fault::After) => Err(failure(Verdict::Retry(None), false)),
            Some(Fault::TimeoutAfter) => Err(failure(Verdict::Retry(None), true)),
            _ => Ok(answer),
        }
    }

    /// A request that names a session by the backend's id.
    fn named(&self, session_id: &str, fault: Option<Fault>) -> Result<String, Failure> {
        let mut core = self.seat.hub.core();
        let store = &mut core.store;
        match store.external(session_id) {
            Some(session) if fault != Some(Fault::Gone) => Ok(session),
            _ => {
                store.n_gone += 1;
                Err(failure(Verdict::Gone, false))
            }
        }
    }
}

impl Backend for Connection {
    fn init(&mut self, request: &InitRequest, time_max: Duration) -> Result<InitAnswer, Failure> {
        let inspected = serde_json::to_string(request).unwrap();
        let fault = self.travel(time_max, &inspected)?;
        match fault {
            Some(Fault::Reject) => return Err(failure(Verdict::Reject, false)),
            Some(Fault::Gone) => return Err(failure(Verdict::Gone, false)),
            _ => {}
        }
        let answer = self.seat.hub.core().store.init(request, fault);
        self.answer(answer, fault)
    }

    fn append(
        &mut self,
        body: &[u8],
        _: Option<&str>,
        time_max: Duration,
    ) -> Result<ChunkAnswer, Failure> {
        let text = self.seat.hub.core().store.decompress(body);
        let fault = self.travel(time_max, &text)?;
        if fault == Some(Fault::Reject) {
            self.seat.hub.core().store.n_rejected += 1;
            return Err(failure(Verdict::Reject, false));
        }
        let chunk: ChunkRequest = serde_json::from_str(&text).unwrap();
        self.named(&chunk.session_id, fault)?;
        let appended = {
            let mut core = self.seat.hub.core();
            let core = &mut *core;
            core.store.append(chunk, &mut core.complaints)
        };
        let last = appended.map_err(|verdict| failure(verdict, false))?;
        let last_synced_line = last + u64::from(fault == Some(Fault::WrongLine));
        self.answer(ChunkAnswer { last_synced_line }, fault)
    }

    fn event(&mut self, request: &EventRequest, time_max: Duration) -> Result<(), Failure> {
        let inspected = serde_json::to_string(request).unwrap();
        let fault = self.travel(time_max, &inspected)?;
        self.named(&request.session_id, fault)?;
        self.answer((), fault)
    }

    fn capabilities(&mut self, time_max: Duration) -> Result<Capabilities, Failure> {
        let fault = self.travel(time_max, "")?;
        if fault == Some(Fault::Gone) {
            // A session cannot be gone by an answer to this question.
            return Err(failure(Verdict::Retry(None), false));
        }
        let capabilities = Capabilities {
            workflow_files: true,
            workflow_journal: true,
            ..Capabilities::default()
        };
        self.answer(capabilities, fault)
    }

    fn summarise(&mut self, _: &str, summary: &str, time_max: Duration) -> Result<(), Failure> {
        let fault = self.travel(time_max, summary)?;
        self.answer((), fault)
    }

    fn link(
        &mut self,
        session_id: &str,
        request: &LinkRequest,
        time_max: Duration,
    ) -> Result<(), Failure> {
        let fault = self.travel(time_max, &serde_json::to_string(request).unwrap())?;
        self.named(session_id, fault)?;
        self.answer((), fault)
    }
}
