//! What is stored of a session, damaged in any way: a pass comes to its end all the same, and where
//! nothing that was stored can be believed, the backend gets every line once.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use confab::error::Error;
use confab::redact::{Redactor, Settings};
use confab::remote::{Backend, Failure, Verdict};
use confab::session::Session;
use confab::state::{self, FileRecord, Loaded, Record, SentLines};
use confab::sync::{Engine, Surroundings, Tools};
use confab::wire::{
    Capabilities, ChunkAnswer, ChunkRequest, EventRequest, FilePosition, InitAnswer, InitRequest,
    LinkRequest,
};

use super::Target;
use super::corpus::{Corpus, JSON};
use super::world::{Home, ID, StandingClock};

/// Passes behind which nothing moves any more: a refused line is tried a few times.
const PASSES_MAX: usize = 12;
const LINES: [&str; 4] = [r#"{"type":"user","n":1}"#, "", "no JSON", r#"{"n":4}"#];

/// Bytes of numbers and hashes.
const BINARY: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\0\0\0\0\0\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"confab sent 2\n\0\0",
];

/// The state file.
pub fn state(_: &Corpus) -> Target {
    let (home, redactor) = (Home::new("state"), Redactor::new(&Settings::default()).0);
    let mut memory = Memory::default();
    let records = passes(&home, &redactor, &mut memory, BTreeMap::new(), &text(4)).unwrap();
    let mut record = Record {
        external_id: ID.into(),
        transcript_path: home.transcript(),
        cwd: "/w".into(),
        files: records,
        ..Record::default()
    };
    state::save(&home.paths, &home.id(), &mut record).unwrap();
    let path = home.paths.sync.join(format!("{ID}.json"));
    let sample = fs::read(path).unwrap();
    let check = move |input: &[u8], _| {
        home.clear();
        fs::write(home.paths.sync.join(format!("{ID}.json")), input).unwrap();
        let loaded = state::load(&home.paths, &home.id()).map_err(|error| error.to_string())?;
        let records = match loaded {
            Loaded::Ours(record) => record.files,
            _ => BTreeMap::new(),
        };
        let is_believed = !records.is_empty();
        let mut memory = Memory::default();
        passes(&home, &redactor, &mut memory, records, &text(4))?;
        match is_believed {
            // It may say that lines are skipped; what is said in good order cannot be seen through.
            true => Ok(1),
            false => memory.must_hold(4).map(|()| 0),
        }
    };
    Target {
        name: "state",
        samples: vec![sample],
        tricky: JSON,
        check: Box::new(check),
        counted: "states taken",
        rounds: 1500,
    }
}

/// Notes of hooks.
pub fn inbox(_: &Corpus) -> Target {
    let home = Home::new("inbox");
    let note = r#"{"type":"session_end","timestamp":"2026-01-01T00:00:00Z","hook_input":{"session_id":"x"}}"#;
    let check = move |input: &[u8], _| {
        home.clear();
        fs::write(home.paths.sync.join(format!("{ID}.inbox.jsonl")), input).unwrap();
        let what = |error: std::io::Error| error.to_string();
        let (notes, bytes) = state::read(&home.paths, &home.id()).map_err(what)?;
        if bytes != input.len() as u64 || notes.len() > input.len() {
            return Err(format!("{bytes} bytes with {} notes", notes.len()));
        }
        state::consume(&home.paths, &home.id(), bytes).map_err(what)?;
        match state::has_notes(&home.paths, &home.id()) {
            true => Err("something is left".into()),
            false => Ok(notes.len()),
        }
    };
    Target {
        name: "inbox",
        samples: vec![format!("{note}\n{note}\n").into_bytes(), note.into()],
        tricky: JSON,
        check: Box::new(check),
        counted: "notes read",
        rounds: 1000,
    }
}

/// What was noted of the lines that were sent. Whatever is there in its place, a backend that has
/// the first lines of a file gets the others.
pub fn sent(_: &Corpus) -> Target {
    let (home, redactor) = (Home::new("sent"), Redactor::new(&Settings::default()).0);
    let mut memory = Memory::default();
    let records = passes(&home, &redactor, &mut memory, BTreeMap::new(), &text(2)).unwrap();
    let path = || {
        let entries = fs::read_dir(&home.paths.sync).unwrap().flatten();
        entries.map(|entry| entry.path()).find(|path| path.extension() == Some("sent".as_ref()))
    };
    let path = path().expect("something was noted");
    let sample = fs::read(&path).unwrap();
    let check = move |input: &[u8], seed| {
        home.clear();
        fs::write(&path, input).unwrap();
        let lines = SentLines::new(&home.paths, &home.id(), "s", &format!("{ID}.jsonl"));
        let (count, known) = (lines.count(), lines.known(u64::MAX));
        if count > input.len() as u64 / 16 || lines.hashes(u64::MAX).count() as u64 != count {
            return Err(format!("{count} lines, of which {known:?} are known"));
        }
        // With the state and without it.
        let records = if seed % 2 == 0 { records.clone() } else { BTreeMap::new() };
        let mut memory = memory.clone();
        passes(&home, &redactor, &mut memory, records, &text(4))?;
        // Without the state, lines that were noted are taken for those that were sent.
        match seed % 2 == 0 || count == 0 {
            true => memory.must_hold(4).map(|()| count as usize),
            false => Ok(count as usize),
        }
    };
    Target {
        name: "sent",
        samples: vec![sample],
        tricky: BINARY,
        check: Box::new(check),
        counted: "lines believed",
        rounds: 1500,
    }
}

fn text(n_lines: usize) -> String {
    LINES[..n_lines].iter().map(|line| format!("{line}\n")).collect()
}

/// Passes over a session with this transcript until nothing moves any more.
fn passes(
    home: &Home,
    redactor: &Redactor,
    backend: &mut dyn Backend,
    records: BTreeMap<String, FileRecord>,
    transcript: &str,
) -> Result<BTreeMap<String, FileRecord>, String> {
    fs::write(home.transcript(), transcript).unwrap();
    let session = Session::new(home.id(), home.transcript());
    let mut engine = Engine::new(&home.paths, session, Surroundings::default(), records);
    let clock = StandingClock(Instant::now());
    for _ in 0..PASSES_MAX {
        let mut tools = Tools {
            backend: &mut *backend,
            redactor,
            clock: &clock,
            deadline: clock.0 + Duration::from_secs(60),
            interrupted: &mut || false,
            checkpoint: &mut |_| {},
        };
        let report = engine.pass(&mut tools, false);
        if report.failure.is_none() && report.file_errors.is_empty() {
            break;
        }
    }
    Ok(engine.records())
}

/// A backend in memory, as strict as the real one.
#[derive(Clone, Default)]
struct Memory {
    files: BTreeMap<String, Vec<String>>,
}

impl Memory {
    fn must_hold(&self, n_lines: usize) -> Result<(), String> {
        let held = self.files.get(&format!("{ID}.jsonl")).map_or(&[][..], Vec::as_slice);
        match held == &LINES[..n_lines] {
            true => Ok(()),
            false => Err(format!("the backend has {held:?}")),
        }
    }
}

impl Backend for Memory {
    fn init(&mut self, _: &InitRequest, _: Duration) -> Result<InitAnswer, Failure> {
        let position = |lines: &Vec<String>| FilePosition { last_synced_line: lines.len() as u64 };
        let files = self.files.iter().map(|(name, lines)| (name.clone(), position(lines)));
        Ok(InitAnswer {
            session_id: "s".into(),
            provider: None,
            files: files.collect(),
            reports: false,
        })
    }

    fn append(
        &mut self,
        body: &[u8],
        _: Option<&str>,
        _: Duration,
    ) -> Result<ChunkAnswer, Failure> {
        let text = zstd::decode_all(body).unwrap();
        let chunk: ChunkRequest = serde_json::from_slice(&text).unwrap();
        let file = self.files.entry(chunk.file_name).or_default();
        if chunk.first_line != file.len() as i64 + 1 || chunk.lines.is_empty() {
            return Err(Failure {
                verdict: Verdict::Reject,
                ..Failure::retry(Error::new("not the next line"))
            });
        }
        file.extend(chunk.lines);
        Ok(ChunkAnswer { last_synced_line: file.len() as u64 })
    }

    fn event(&mut self, _: &EventRequest, _: Duration) -> Result<(), Failure> {
        Ok(())
    }

    fn capabilities(&mut self, _: Duration) -> Result<Capabilities, Failure> {
        Ok(Capabilities::default())
    }

    fn summarise(&mut self, _: &str, _: &str, _: Duration) -> Result<(), Failure> {
        Ok(())
    }

    fn link(&mut self, _: &str, _: &LinkRequest, _: Duration) -> Result<(), Failure> {
        Ok(())
    }
}
