//! One round: recorded sessions happen in a bad world, then the world is good again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;

use crate::pause::pause;
use crate::proxy::Proxy;
use crate::support::claude::{Claude, Looks};
use crate::support::eventually::within;
use crate::support::fixtures::{self, Expected};
use crate::support::processes;
use crate::support::sandbox::{Sandbox, append};
use crate::support::server::Server;

/// How long a healthy world may take to bring everything over: a daemon waits for up to 30 s for
/// an answer, and each killed one leaves its session to the next.
const HEALING_TIME_MAX: Duration = Duration::from_secs(150);
/// Sessions of a round.
const SESSIONS_MAX: usize = 3;
/// Bytes of a piece of a transcript; lines are torn. Each round has a limit of its own.
const PIECE_BYTES_MAX: std::ops::Range<usize> = 1_000..24_000;
/// Time between two steps; each round has a limit of its own.
const STEP_MILLIS_MAX: std::ops::Range<u64> = 1..50;

/// What happened.
#[derive(Debug, Default)]
pub struct Tally {
    sessions: u64,
    lines: u64,
    pieces: u64,
    hooks: u64,
    daemons_killed: u64,
    servers_killed: u64,
    claudes_killed: u64,
    connections_spoilt: u64,
}

impl Tally {
    /// Both together.
    pub fn add(&mut self, other: &Tally) {
        self.sessions += other.sessions;
        self.lines += other.lines;
        self.pieces += other.pieces;
        self.hooks += other.hooks;
        self.daemons_killed += other.daemons_killed;
        self.servers_killed += other.servers_killed;
        self.claudes_killed += other.claudes_killed;
        self.connections_spoilt += other.connections_spoilt;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sessions with {} lines in {} pieces, {} hooks; killed: {} daemons, {} servers, {} \
             Claudes; {} connections spoilt",
            self.sessions,
            self.lines,
            self.pieces,
            self.hooks,
            self.daemons_killed,
            self.servers_killed,
            self.claudes_killed,
            self.connections_spoilt,
        )
    }
}

/// A file that grows.
struct Growing {
    path: PathBuf,
    bytes: Vec<u8>,
    /// How much of it is there.
    present: usize,
}

/// One round's world.
struct World {
    rng: Rng,
    piece_bytes_max: usize,
    step_millis_max: u64,
    sandbox: Sandbox,
    server: Server,
    proxy: Proxy,
    claude: Claude,
    sessions: Vec<(String, Expected)>,
    files: Vec<Growing>,
    tally: Tally,
}

/// Plays a round; panics when something was lost, doubled, mixed up or left over.
pub fn play(seed: u64) -> Tally {
    let mut world = World::new(seed);
    for id in world.ids() {
        world.hook("session-start", "SessionStart", &id);
    }
    while !world.files.is_empty() {
        world.step();
    }
    world.heal();
    world.check();
    world.tally.connections_spoilt = world.proxy.spoilt();
    world.tally
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let sandbox = Sandbox::new(&format!("chaos-{seed}"));
        let server = Server::start(&sandbox);
        let proxy = Proxy::start(server.address(), rng.u64(..));
        sandbox.configure(&serde_json::json!({
            "backend_url": proxy.url(),
            "api_key": server.key(),
        }));
        let claude = Claude::start(&sandbox, Looks::Native).unwrap();
        let (sessions, files) = choose(&sandbox, &mut rng);
        let tally = Tally {
            sessions: sessions.len() as u64,
            lines: sessions
                .iter()
                .flat_map(|(_, files)| files.values())
                .map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count() as u64)
                .sum(),
            ..Tally::default()
        };
        let piece_bytes_max = rng.usize(PIECE_BYTES_MAX);
        let step_millis_max = rng.u64(STEP_MILLIS_MAX);
        World {
            rng,
            piece_bytes_max,
            step_millis_max,
            sandbox,
            server,
            proxy,
            claude,
            sessions,
            files,
            tally,
        }
    }

    fn ids(&self) -> Vec<String> {
        self.sessions.iter().map(|(id, _)| id.clone()).collect()
    }

    fn step(&mut self) {
        pause(Duration::from_millis(self.rng.u64(0..self.step_millis_max)));
        match self.rng.u32(0..100) {
            0..=69 => self.grow(),
            70..=79 => {
                let id = self.any_id();
                self.hook("user-prompt-submit", "UserPromptSubmit", &id);
            }
            80..=83 => {
                let id = self.any_id();
                self.hook("session-start", "SessionStart", &id);
            }
            84..=85 => {
                // Somebody leaves a session and comes back to it later.
                let id = self.any_id();
                self.hook("session-end", "SessionEnd", &id);
            }
            86..=91 => self.kill_daemon(),
            92..=94 => {
                self.server.kill();
                self.tally.servers_killed += 1;
            }
            95..=97 => self.server.restart(&self.sandbox),
            _ => self.kill_claude(),
        }
    }

    fn any_id(&mut self) -> String {
        let ids = self.ids();
        self.rng.choice(ids).unwrap()
    }

    /// A piece of any size is added to a file.
    fn grow(&mut self) {
        let index = self.rng.usize(0..self.files.len());
        let file = &mut self.files[index];
        let left = file.bytes.len() - file.present;
        let wanted = self.rng.usize(1..self.piece_bytes_max).min(left);
        append(&file.path, &file.bytes[file.present..file.present + wanted]);
        file.present += wanted;
        self.tally.pieces += 1;
        if file.present == file.bytes.len() {
            self.files.swap_remove(index);
        }
    }

    fn kill_daemon(&mut self) {
        let daemons = self.sandbox.daemons();
        if let Some(pid) = self.rng.choice(daemons) {
            processes::signal(pid, "KILL");
            self.tally.daemons_killed += 1;
        }
    }

    /// Claude dies and is started again; what it followed is resumed.
    fn kill_claude(&mut self) {
        self.claude.kill();
        self.tally.claudes_killed += 1;
        self.claude = Claude::start(&self.sandbox, Looks::Native).unwrap();
        for id in self.ids() {
            if self.rng.bool() {
                self.hook("session-start", "SessionStart", &id);
            }
        }
    }

    fn hook(&mut self, hook: &str, event: &str, id: &str) {
        let mut input = self.sandbox.input(event, id);
        let transcript = project(&self.sandbox).join(format!("{id}.jsonl"));
        input["transcript_path"] = Value::from(transcript.to_str().unwrap());
        let answer = self.claude.hook(hook, &input);
        assert!(answer.starts_with("{\"continue\":true"), "{hook}: {answer}");
        self.tally.hooks += 1;
    }

    /// The world is good again, and all sessions end.
    fn heal(&mut self) {
        self.proxy.calm();
        self.server.restart(&self.sandbox);
        for id in self.ids() {
            self.hook("session-start", "SessionStart", &id);
            self.hook("session-end", "SessionEnd", &id);
        }
        within(HEALING_TIME_MAX, "all is delivered", || {
            if !self.sandbox.daemons().is_empty() {
                return None;
            }
            // What a daemon could not deliver in its time waits for this.
            let is_done = self.sandbox.sync_files().is_empty();
            if !is_done {
                self.sandbox.run(&["sync", "flush"]);
            }
            is_done.then_some(())
        });
    }

    fn check(&self) {
        for (id, files) in &self.sessions {
            for (name, bytes) in files {
                let stored = self.server.lines(id, name);
                fixtures::check_lines(&format!("{id}/{name}"), bytes, &stored);
            }
            let mut stored = self.server.files(id);
            stored.sort();
            let expected: Vec<&String> = files.keys().collect();
            assert_eq!(stored.iter().collect::<Vec<_>>(), expected, "{id}");
        }
        assert_eq!(self.sandbox.daemons(), [0; 0]);
        assert_eq!(self.sandbox.sync_files(), [""; 0]);
        self.server.check(&self.sandbox);
    }
}

/// Recorded sessions with different ids, and their files, none of them there yet.
fn choose(sandbox: &Sandbox, rng: &mut Rng) -> (Vec<(String, Expected)>, Vec<Growing>) {
    let mut recordings = fixtures::recordings();
    rng.shuffle(&mut recordings);
    let wanted = rng.usize(1..=SESSIONS_MAX);
    let (mut sessions, mut growing): (Vec<(String, Expected)>, Vec<Growing>) = Default::default();
    for recording in recordings {
        let original = sandbox.root().join("original").join(&recording);
        fixtures::install(&recording, &original);
        for (id, files) in fixtures::sessions(&original.join(".claude")) {
            let is_new = sessions.iter().all(|(known, _)| *known != id);
            // Agents in the project folder belong to whoever is named in them: to one session each.
            let lies_apart = files.keys().all(|name| {
                *name == format!("{id}.jsonl") || place(&original, &id, name).is_some()
            });
            if sessions.len() == wanted || !is_new || !lies_apart {
                continue;
            }
            for (name, bytes) in &files {
                let below = place(&original, &id, name).unwrap_or_else(|| PathBuf::from(name));
                let path = project(sandbox).join(below);
                growing.push(Growing { path, bytes: bytes.clone(), present: 0 });
            }
            sessions.push((id, files));
        }
    }
    (sessions, growing)
}

/// Where an agent's file lies in its project folder, when it lies in that of the session.
fn place(original: &Path, id: &str, name: &str) -> Option<PathBuf> {
    let below = Path::new(id).join("subagents").join(name);
    let projects = std::fs::read_dir(original.join(".claude/projects")).unwrap();
    let mut folders = projects.map(|entry| entry.unwrap().path());
    folders.any(|folder| folder.join(&below).exists()).then_some(below)
}

fn project(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join(".claude/projects/-home-dev-project")
}
