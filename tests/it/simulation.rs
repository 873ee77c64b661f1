//! The engine against a model: seeded sequences of what can happen to files and to a backend. When
//! all is well again, the backend holds every line of every file that was there at a pass, once, in
//! order; a rewritten file goes on behind the longest common prefix.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use confab::error::Error;
use confab::files::SessionId;
use confab::files::{Paths, Roots};
use confab::redact::{Redactor, Settings};
use confab::remote::{Backend, Failure, Verdict};
use confab::session::Session;
use confab::state::FileRecord;
use confab::sync::{Engine, Report, Surroundings, Tools};
use confab::time::Clock;
use confab::wire::{
    Capabilities, ChunkAnswer, ChunkRequest, EventRequest, FilePosition, InitAnswer, InitRequest,
    LinkRequest,
};

const SEEDS: u64 = 400;
const ACTIONS: usize = 40;
const ID: &str = "11111111-1111-4111-8111-111111111111";

/// Prepared once: that takes longer than a pass.
static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(&Settings::default()).0);

/// A backend in memory, as strict as the real one.
#[derive(Default)]
struct Memory {
    /// What tells its sessions from those of another backend.
    number: usize,
    files: BTreeMap<String, Vec<String>>,
    /// What goes wrong with the next appends, last first.
    faults: Vec<Fault>,
    n_inits: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Refused before anything was stored.
    Before,
    /// Stored, and the answer was lost.
    Acknowledgement,
    /// Too slow.
    Timeout,
    /// The body is too large, says the backend.
    TooLarge,
    /// 404, for once.
    Gone,
    /// Another number than that of the last line.
    WrongNumber,
}

fn failure(verdict: Verdict, timed_out: bool) -> Failure {
    Failure { verdict, timed_out, ..Failure::retry(Error::new("made up")) }
}

impl Backend for Memory {
    fn init(&mut self, request: &InitRequest, _: Duration) -> Result<InitAnswer, Failure> {
        assert_eq!(request.external_id, ID);
        self.n_inits += 1;
        let position = |lines: &Vec<String>| FilePosition { last_synced_line: lines.len() as u64 };
        let files = self.files.iter().map(|(name, lines)| (name.clone(), position(lines)));
        let session_id = format!("s{}", self.number);
        Ok(InitAnswer { session_id, provider: None, files: files.collect(), reports: false })
    }

    fn append(
        &mut self,
        body: &[u8],
        _: Option<&str>,
        _: Duration,
    ) -> Result<ChunkAnswer, Failure> {
        let text = zstd::decode_all(body).unwrap();
        let chunk: ChunkRequest = serde_json::from_slice(&text).unwrap();
        let fault = self.faults.pop();
        match fault {
            Some(Fault::Before) => return Err(failure(Verdict::Retry(None), false)),
            Some(Fault::Timeout) => return Err(failure(Verdict::Retry(None), true)),
            Some(Fault::TooLarge) => return Err(failure(Verdict::Reject, false)),
            Some(Fault::Gone) => return Err(failure(Verdict::Gone, false)),
            _ => {}
        }
        let stored = self.files.entry(chunk.file_name).or_default();
        if chunk.first_line != stored.len() as i64 + 1 || chunk.lines.is_empty() {
            return Err(failure(Verdict::Reject, false));
        }
        stored.extend(chunk.lines);
        let last_synced_line = stored.len() as u64;
        match fault {
            Some(Fault::Acknowledgement) => Err(failure(Verdict::Retry(None), false)),
            Some(Fault::WrongNumber) => Ok(ChunkAnswer { last_synced_line: last_synced_line + 1 }),
            _ => Ok(ChunkAnswer { last_synced_line }),
        }
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

struct StandingClock(Instant);

impl Clock for StandingClock {
    fn now(&self) -> Instant {
        self.0
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

/// A session in a folder of its own, its engine, its backend, and what the backend should hold.
struct World {
    folder: PathBuf,
    paths: Paths,
    engine: Engine,
    /// As the state file says: the backend's id of the session.
    backend_id: Option<String>,
    backend: Memory,
    /// Lines of each file as they were when it was last sent whole.
    sent: BTreeMap<String, Vec<String>>,
    expected: BTreeMap<String, Vec<String>>,
    n_lines: usize,
}

impl World {
    fn new(seed: u64) -> World {
        let name = format!("confab-simulation-{}-{seed}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join(".claude/projects/-p")).unwrap();
        fs::create_dir_all(folder.join(".confab/sync")).unwrap();
        let paths = Paths::new(Roots { home: folder.clone(), ..Roots::default() });
        let engine = engine(&paths, &folder, BTreeMap::new());
        World {
            folder,
            paths,
            engine,
            backend_id: None,
            backend: Memory::default(),
            sent: BTreeMap::new(),
            expected: BTreeMap::new(),
            n_lines: 0,
        }
    }

    fn path(&self, file: usize) -> PathBuf {
        let project = self.folder.join(".claude/projects/-p");
        match file {
            0 => project.join(format!("{ID}.jsonl")),
            1 => project.join(format!("{ID}/subagents/agent-abcdef.jsonl")),
            _ => project.join("agent-12345678.jsonl"),
        }
    }

    fn name(&self, file: usize) -> String {
        self.path(file).file_name().unwrap().to_string_lossy().into_owned()
    }

    fn text(&self, file: usize) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_default()
    }

    /// A line that no other line is like.
    fn line(&mut self, random: &mut fastrand::Rng) -> String {
        self.n_lines += 1;
        let n = self.n_lines;
        match random.u8(0..5) {
            0 => format!("{{\"type\":\"user\",\"sessionId\":\"{ID}\",\"n\":{n}}}\n"),
            1 => format!("not json {n}\n"),
            2 => format!("\r\n{n}\r\n"),
            3 => format!("\n{n} {}\n", "x".repeat(random.usize(0..3000))),
            _ => format!("{{\"sessionId\":\"{ID}\",\"text\":\"ä\\u0000 {n}\"}}\n"),
        }
    }

    fn write(&self, file: usize, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut options = OpenOptions::new();
        let mut out = options.append(true).create(true).open(path).unwrap();
        out.write_all(text.as_bytes()).unwrap();
    }

    /// Another file in the place of this one.
    fn replace(&self, file: usize, text: &str) {
        if !self.path(file).exists() {
            return;
        }
        let aside = self.folder.join("aside");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, self.path(file)).unwrap();
    }

    fn act(&mut self, random: &mut fastrand::Rng) {
        let file = random.usize(0..3);
        match random.u8(0..12) {
            0..=3 => {
                for _ in 0..random.usize(1..6) {
                    let line = self.line(random);
                    // A file that is not ours until its first line says so.
                    let first = format!("{{\"sessionId\":\"{ID}\",\"n\":{}}}\n", self.n_lines);
                    let is_new = self.text(file).is_empty();
                    self.write(file, if is_new { &first } else { &line });
                }
            }
            4 => {
                let line = self.line(random);
                if !self.text(file).is_empty() {
                    self.write(file, line.trim_end_matches('\n'));
                }
            }
            5 => {
                // Shrunk by whole lines, in place.
                let text = self.text(file);
                let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
                if ends.len() > 1 {
                    let length = ends[random.usize(0..ends.len() - 1)];
                    let out = OpenOptions::new().write(true).open(self.path(file)).unwrap();
                    out.set_len(length as u64).unwrap();
                }
            }
            6 => {
                // Rewritten from some line on.
                let text = self.text(file);
                let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
                if ends.len() > 1 {
                    let kept = ends[random.usize(0..ends.len())];
                    let new = format!("{}{}", &text[..kept], self.line(random));
                    self.replace(file, &new);
                }
            }
            7 => self.replace(file, &self.text(file)),
            8 => {
                let faults = [
                    Fault::Before,
                    Fault::Acknowledgement,
                    Fault::Timeout,
                    Fault::TooLarge,
                    Fault::Gone,
                    Fault::WrongNumber,
                ];
                self.backend.faults.push(faults[random.usize(0..faults.len())]);
            }
            9 => {
                self.restart();
            }
            _ => {
                self.pass();
            }
        }
    }

    /// Killed and started again, with the state file of the last checkpoint.
    fn restart(&mut self) {
        let records = self.engine.records();
        self.engine = engine(&self.paths, &self.folder, records);
        self.engine.set_records_of(self.backend_id.clone());
    }

    fn pass(&mut self) -> Report {
        let clock = StandingClock(Instant::now());
        let mut tools = Tools {
            backend: &mut self.backend,
            redactor: &REDACTOR,
            clock: &clock,
            deadline: clock.0 + Duration::from_secs(60),
            interrupted: &mut || false,
            checkpoint: &mut |_| {},
        };
        let report = self.engine.pass(&mut tools, false);
        self.backend_id = self.engine.backend_id().map(str::to_owned).or(self.backend_id.take());
        // A refused file is left for the next pass; nothing else goes wrong with a file here.
        let refused = |error: &Error| error.to_string().ends_with("made up");
        assert!(report.file_errors.iter().all(refused), "{:?}", report.file_errors);
        report
    }

    /// What a pass does that nothing disturbs, told by the model.
    fn model_pass(&mut self) {
        for file in 0..3 {
            let text = self.text(file);
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let lines: Vec<String> = match text.contains('\n') {
                true => whole.split('\n').map(str::to_owned).collect(),
                false => Vec::new(),
            };
            let name = self.name(file);
            let sent = self.sent.entry(name.clone()).or_default();
            let common = sent.iter().zip(&lines).take_while(|(sent, now)| sent == now).count();
            let new = &lines[common..];
            if !lines.is_empty() || !sent.is_empty() {
                self.expected.entry(name).or_default().extend(new.iter().cloned());
            }
            *sent = lines;
        }
    }

    fn check(&self, seed: u64) {
        let expected: BTreeMap<_, _> =
            self.expected.iter().filter(|(_, lines)| !lines.is_empty()).collect();
        let got: BTreeMap<_, _> =
            self.backend.files.iter().filter(|(_, lines)| !lines.is_empty()).collect();
        assert_eq!(got, expected, "seed {seed}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn engine(
    paths: &Paths,
    folder: &std::path::Path,
    records: BTreeMap<String, FileRecord>,
) -> Engine {
    let transcript = folder.join(format!(".claude/projects/-p/{ID}.jsonl"));
    let session = Session::new(SessionId::new(ID).unwrap(), transcript);
    Engine::new(paths, session, Surroundings::default(), records)
}

/// Passes until nothing is left to do, as the daemon does.
fn pass_until_done(world: &mut World, seed: u64) {
    for _ in 0..60 {
        let report = world.pass();
        let is_whole = report.failure.is_none() && report.file_errors.is_empty();
        if is_whole && !world.engine.has_news() {
            return;
        }
    }
    panic!("seed {seed}: the engine never came to rest");
}

#[test]
fn whatever_happens_the_backend_ends_up_with_every_line_once_and_in_order() {
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new(seed);
        for _ in 0..ACTIONS {
            world.act(&mut random);
            // The model follows the engine's passes, so each change to a file is followed by one
            // that gets through; faults in it are what is tested.
            pass_until_done(&mut world, seed);
            world.model_pass();
            world.check(seed);
        }
    }
}

#[test]
fn a_crash_between_passes_costs_no_line_and_repeats_none() {
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let mut world = World::new(seed + SEEDS);
        let mut saved = BTreeMap::new();
        for _ in 0..ACTIONS {
            let line = world.line(&mut random);
            let file = random.usize(0..3);
            let first = format!("{{\"sessionId\":\"{ID}\",\"n\":{}}}\n", world.n_lines);
            let is_new = world.text(file).is_empty();
            world.write(file, if is_new { &first } else { &line });
            match random.u8(0..4) {
                0 => saved = world.engine.records(),
                // The state is lost, or old: the backend is asked.
                1 => world.engine = engine(&world.paths, &world.folder, saved.clone()),
                2 => world.engine = engine(&world.paths, &world.folder, BTreeMap::new()),
                _ => {}
            }
            world.pass();
        }
        pass_until_done(&mut world, seed);
        world.model_pass();
        world.check(seed);
    }
}

/// The state file is older than the acknowledgement, and the file is rewritten before the restart:
/// the line hashes, which are written first, still tell how far it is what was sent.
#[test]
fn a_crash_and_a_rewrite_at_once_are_told_apart() {
    for seed in 0..SEEDS / 4 {
        let mut random = fastrand::Rng::with_seed(seed ^ 0xc0de);
        let mut world = World::new(seed + 3 * SEEDS);
        let mut saved = BTreeMap::new();
        for _ in 0..ACTIONS / 2 {
            for _ in 0..random.usize(1..5) {
                let line = world.line(&mut random);
                world.write(0, &line);
            }
            pass_until_done(&mut world, seed);
            world.model_pass();
            if random.bool() {
                saved = world.engine.records();
                continue;
            }
            let text = world.text(0);
            let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
            let kept = ends[random.usize(0..ends.len())];
            let new = format!("{}{}", &text[..kept], world.line(&mut random));
            world.replace(0, &new);
            world.engine = engine(&world.paths, &world.folder, saved.clone());
            pass_until_done(&mut world, seed);
            world.model_pass();
            world.check(seed);
            saved = world.engine.records();
        }
    }
}

#[test]
fn lines_that_the_backend_has_lost_are_sent_again() {
    let mut world = World::new(2 * SEEDS);
    for n in 0..50 {
        world.write(0, &format!("{{\"n\":{n}}}\n"));
    }
    pass_until_done(&mut world, 0);
    world.model_pass();
    let name = world.name(0);
    for left in [30, 0, 49] {
        world.backend.files.get_mut(&name).unwrap().truncate(left);
        let records = world.engine.records();
        world.engine = engine(&world.paths, &world.folder, records);
        pass_until_done(&mut world, 0);
        // Nothing has changed, so nothing is asked; the next line brings it to light.
        world.write(0, &format!("{{\"left\":{left}}}\n"));
        pass_until_done(&mut world, 0);
        world.model_pass();
        world.check(0);
    }
}

/// Which line of a file is which of the backend's is known without the state file, too.
#[test]
fn a_file_that_was_rewritten_costs_no_line_when_the_state_is_lost() {
    for left in [None, Some(6)] {
        let mut world = World::new(6 * SEEDS);
        for n in 0..10 {
            world.write(0, &format!("{{\"n\":{n}}}\n"));
        }
        pass_until_done(&mut world, 0);
        world.model_pass();
        for kept in [3, 2] {
            let lines: Vec<String> =
                world.text(0).split_inclusive('\n').map(str::to_owned).collect();
            let text = format!("{}{{\"other\":{kept}}}\n", lines[..kept].concat());
            world.replace(0, &text);
            pass_until_done(&mut world, 0);
            world.model_pass();
        }
        let name = world.name(0);
        if let Some(left) = left {
            // What was lost is sent again as far as it is still there.
            world.backend.files.get_mut(&name).unwrap().truncate(left);
            world.expected.get_mut(&name).unwrap().truncate(left);
            world.sent.get_mut(&name).unwrap().truncate(2);
        }
        world.engine = engine(&world.paths, &world.folder, BTreeMap::new());
        world.write(0, "{\"last\":1}\n{\"last\":2}\n");
        pass_until_done(&mut world, 0);
        world.model_pass();
        world.check(0);
    }
}

/// A request is stored, its answer is lost, and the file is another one when it is looked at again.
#[test]
fn a_lost_answer_and_a_rewrite_are_told_apart() {
    let mut world = World::new(7 * SEEDS);
    world.write(0, "{\"n\":1}\n{\"n\":2}\n");
    pass_until_done(&mut world, 0);
    world.model_pass();
    let records = world.engine.records();
    world.write(0, "{\"n\":3}\n{\"n\":4}\n");
    world.backend.faults = vec![Fault::Acknowledgement];
    assert!(world.pass().failure.is_some());
    world.model_pass();
    world.engine = engine(&world.paths, &world.folder, records);
    world.replace(0, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"other\":4}\n");
    pass_until_done(&mut world, 0);
    world.model_pass();
    world.check(0);
}

/// Another backend is configured and the first one again, while the session is followed, between
/// two daemons, and after it was delivered: what one has says nothing of what the other one has.
#[test]
fn what_was_sent_to_one_backend_is_not_taken_for_what_another_one_has() {
    for seed in 0..SEEDS / 4 {
        let mut random = fastrand::Rng::with_seed(seed ^ 0xaccc);
        let mut world = World::new(seed + 8 * SEEDS);
        let mut other =
            Other { backend: Memory { number: 1, ..Memory::default() }, ..Other::default() };
        for _ in 0..ACTIONS / 2 {
            for _ in 0..random.usize(0..4) {
                let line = world.line(&mut random);
                world.write(0, &line);
            }
            if random.u8(0..3) == 0 {
                let text = world.text(0);
                let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
                let kept = ends.get(random.usize(0..ends.len().max(1))).copied().unwrap_or(0);
                let new = format!("{}{}", &text[..kept], world.line(&mut random));
                world.replace(0, &new);
            }
            pass_until_done(&mut world, seed);
            world.model_pass();
            world.check(seed);
            if random.bool() {
                std::mem::swap(&mut world.backend, &mut other.backend);
                std::mem::swap(&mut world.sent, &mut other.sent);
                std::mem::swap(&mut world.expected, &mut other.expected);
                world.engine.change_backend();
            }
            match random.u8(0..3) {
                0 => world.restart(),
                1 => world.engine = engine(&world.paths, &world.folder, BTreeMap::new()),
                _ => {}
            }
        }
    }
}

/// A backend that is not configured now, and what is known of it.
#[derive(Default)]
struct Other {
    backend: Memory,
    sent: BTreeMap<String, Vec<String>>,
    expected: BTreeMap<String, Vec<String>>,
}

/// W-49: a file of which the backend has as many chunks as it keeps is left alone; the others are
/// not.
#[test]
fn a_file_with_all_the_chunks_that_a_backend_keeps_is_left_alone() {
    let mut world = World::new(5 * SEEDS);
    world.write(0, "{\"n\":1}\n");
    pass_until_done(&mut world, 0);
    let mut records = world.engine.records();
    records.get_mut(&world.name(0)).unwrap().chunks = confab::wire::FILE_CHUNKS_MAX;
    world.engine = engine(&world.paths, &world.folder, records);
    world.write(0, "{\"n\":2}\n");
    world.backend.faults = vec![Fault::TooLarge];
    let report = world.pass();
    assert_eq!(report.file_errors.len(), 1, "it is said once");
    assert!(world.engine.records()[&world.name(0)].full);
    world.write(0, "{\"n\":3}\n");
    world.write(1, "{\"n\":4}\n");
    pass_until_done(&mut world, 0);
    assert_eq!(world.backend.files[&world.name(0)].len(), 1);
    assert_eq!(world.backend.files[&world.name(1)].len(), 1);
}
