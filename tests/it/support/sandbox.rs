//! A home directory of a test's own, with Claude's and confab's folders in it. Whatever was started
//! there is killed and the folder removed when the test ends, passed or failed; `CONFAB_KEEP=1`
//! keeps the folder.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use super::backend::Backend;
use super::eventually::{WAIT_MAX, eventually, within};
use super::processes;

/// The client under test.
pub const CONFAB: &str = env!("CARGO_BIN_EXE_confab");
/// The session id of most tests.
pub const ID: &str = "11111111-1111-4111-8111-111111111111";

/// The path of every process that the tests start: nothing of the developer's own environment.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// See the module.
pub struct Sandbox {
    root: PathBuf,
    environment: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    /// A fresh home without a config. The name is that of the test and unique.
    pub fn new(name: &str) -> Sandbox {
        let folder = format!("confab-it-{}-{name}", std::process::id());
        let root = std::env::temp_dir().join(folder);
        fs::create_dir(&root).expect("the name of a sandbox is unique");
        for folder in ["home/.confab", "home/.claude/projects/-work", "tmp", "work"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let mut sandbox = Sandbox { root, environment: Vec::new() };
        sandbox.set("CONFAB_SYNC_INTERVAL_MS", "100");
        sandbox.set("CONFAB_SYNC_JITTER_MS", "0");
        sandbox
    }

    /// A fresh home whose config names this backend and its present key.
    pub fn with_backend(name: &str, backend: &Backend) -> Sandbox {
        let sandbox = Sandbox::new(name);
        sandbox.configure(&json!({ "backend_url": backend.url(), "api_key": backend.key() }));
        sandbox
    }

    /// Writes `~/.confab/config.json`.
    pub fn configure(&self, config: &Value) {
        fs::write(self.confab("config.json"), config.to_string()).unwrap();
    }

    /// Sets a variable for everything that is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value.into()));
    }

    /// The folder that holds everything of this sandbox.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `~`.
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// The working directory of everything that is started.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// A path below `~/.confab`.
    pub fn confab(&self, path: &str) -> PathBuf {
        self.home().join(".confab").join(path)
    }

    /// A path below the project folder of [`Sandbox::work`] in Claude's folder.
    pub fn project(&self, path: &str) -> PathBuf {
        self.home().join(".claude/projects/-work").join(path)
    }

    /// The transcript of a session.
    pub fn transcript(&self, id: &str) -> PathBuf {
        self.project(&format!("{id}.jsonl"))
    }

    /// A program with a clean environment of this sandbox; the client by default.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.work());
        command.env("HOME", self.home()).env("PATH", SEARCH_PATH);
        command.env("TMPDIR", self.root.join("tmp"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the client with nothing on stdin.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.command(CONFAB);
        command.args(arguments);
        finish(Running::start(command, b""), true)
    }

    /// Runs a hook as Claude Code does: all three descriptors are sockets, stdin ends after the
    /// input.
    pub fn hook(&self, event: &str, input: &Value) -> Outcome {
        self.hook_bytes(event, format!("{input}\n").as_bytes(), true)
    }

    /// Runs a hook with any bytes on stdin, which may stay open behind them.
    pub fn hook_bytes(&self, event: &str, input: &[u8], stdin_ends: bool) -> Outcome {
        finish(self.start_hook(event, input), stdin_ends)
    }

    /// Starts a hook and does not wait for it.
    pub fn start_hook(&self, event: &str, input: &[u8]) -> Running {
        let mut command = self.command(CONFAB);
        command.args(["hook", event]);
        Running::start(command, input)
    }

    /// What Claude Code sends with `event` for a session of this sandbox.
    pub fn input(&self, event: &str, id: &str) -> Value {
        let mut input = json!({
            "session_id": id,
            "transcript_path": self.transcript(id),
            "cwd": self.work(),
            "hook_event_name": event,
        });
        match event {
            "SessionStart" => input["source"] = "startup".into(),
            "SessionEnd" => input["reason"] = "other".into(),
            _ => input["prompt"] = "hello".into(),
        }
        input
    }

    /// Runs the session-start hook of a session and demands the answer.
    #[track_caller]
    pub fn session_start(&self, id: &str) {
        let outcome = self.hook("session-start", &self.input("SessionStart", id));
        assert_eq!(outcome.stdout, ANSWER, "{outcome:?}");
    }

    /// Runs the user-prompt-submit hook of a session and demands the answer.
    #[track_caller]
    pub fn prompt(&self, id: &str) {
        let outcome = self.hook("user-prompt-submit", &self.input("UserPromptSubmit", id));
        assert_eq!(outcome.stdout, QUIET_ANSWER, "{outcome:?}");
    }

    /// Runs the session-end hook of a session and demands the answer.
    #[track_caller]
    pub fn session_end(&self, id: &str) {
        let outcome = self.hook("session-end", &self.input("SessionEnd", id));
        assert_eq!(outcome.stdout, ANSWER, "{outcome:?}");
    }

    /// The live daemons of this sandbox: processes of the client in their own session.
    pub fn daemons(&self) -> Vec<u32> {
        let mut pids = processes::naming(&self.root);
        pids.retain(|pid| processes::arguments(*pid).first().is_some_and(|word| word == "daemon"));
        pids
    }

    /// Waits for the one daemon of this sandbox.
    #[track_caller]
    pub fn daemon(&self) -> u32 {
        within(WAIT_MAX, "exactly one daemon", || match self.daemons()[..] {
            [pid] => Some(pid),
            _ => None,
        })
    }

    /// Waits until no daemon is left, and no lock of one: a process that ends loses its name before
    /// its files.
    #[track_caller]
    pub fn daemons_end(&self) {
        eventually("all daemons end", || self.daemons().is_empty() && !self.is_any_locked());
    }

    fn is_any_locked(&self) -> bool {
        let entries = fs::read_dir(self.confab("sync")).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "lock"))
            .filter_map(|entry| fs::File::open(entry.path()).ok())
            .any(|file| file.try_lock_shared().is_err())
    }

    /// The state file of a session, if there is one and it is whole.
    pub fn state(&self, id: &str) -> Option<Value> {
        let bytes = fs::read(self.confab(&format!("sync/{id}.json"))).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// True once this daemon has written its number into its lock file.
    pub fn is_introduced(&self, pid: u32) -> bool {
        let entries = fs::read_dir(self.confab("sync")).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "lock"))
            .filter_map(|entry| fs::read_to_string(entry.path()).ok())
            .any(|text| text.starts_with(&format!("{pid} ")))
    }

    /// The names of all files below `~/.confab/sync`.
    pub fn sync_files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.confab("sync")) else { return Vec::new() };
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("UTF-8 name");
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// The log of all processes so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.confab("logs/confab.log")).unwrap_or_default()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A daemon may start another one while it is being killed: look until nothing is left.
        let start = Instant::now();
        loop {
            let pids = processes::naming(&self.root);
            if pids.is_empty() || start.elapsed() > WAIT_MAX {
                break;
            }
            pids.into_iter().for_each(|pid| processes::signal(pid, "KILL"));
        }
        if std::env::var_os("CONFAB_KEEP").is_some() {
            eprintln!("kept: {}", self.root.display());
        } else {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// What session-start and session-end answer.
pub const ANSWER: &str = "{\"continue\":true,\"stopReason\":\"\",\"suppressOutput\":false}\n";
/// What user-prompt-submit answers.
pub const QUIET_ANSWER: &str = "{\"continue\":true,\"stopReason\":\"\",\"suppressOutput\":true}\n";

/// A command that has been started with sockets as its three descriptors.
pub struct Running {
    child: Child,
    stdin: UnixStream,
    stdout: UnixStream,
    stderr: UnixStream,
    writer: thread::JoinHandle<()>,
}

impl Running {
    fn start(mut command: Command, input: &[u8]) -> Running {
        let (stdin, theirs) = UnixStream::pair().unwrap();
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        let (stdout, theirs) = UnixStream::pair().unwrap();
        command.stdout(Stdio::from(OwnedFd::from(theirs)));
        let (stderr, theirs) = UnixStream::pair().unwrap();
        command.stderr(Stdio::from(OwnedFd::from(theirs)));
        let child = command.spawn().expect("start the program");
        // Our copies of the child's ends go with the command: only the child holds them now.
        drop(command);
        let (mut pipe, input) = (stdin.try_clone().unwrap(), input.to_vec());
        // A program may end without having read its input.
        let writer = thread::spawn(move || drop(pipe.write_all(&input)));
        Running { child, stdin, stdout, stderr, writer }
    }

    /// Waits for the end of the command and of everyone who holds its output streams.
    pub fn finish(self) -> Outcome {
        finish(self, true)
    }
}

fn finish(mut running: Running, stdin_ends: bool) -> Outcome {
    if stdin_ends {
        running.writer.join().unwrap();
        running.stdin.shutdown(Shutdown::Write).unwrap();
    }
    let read = |mut stream: UnixStream| {
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the output streams are closed in time");
        text
    };
    let stderr = thread::spawn({
        let stream = running.stderr.try_clone().unwrap();
        move || read(stream)
    });
    let stdout = read(running.stdout);
    let stderr = stderr.join().unwrap();
    let status = within(WAIT_MAX, "the program ends", || running.child.try_wait().unwrap());
    Outcome { status, stdout, stderr }
}

/// Appends bytes to a file as Claude Code does, in one write; creates it and its folders.
pub fn append(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(bytes.as_ref()).unwrap();
}

/// Line `number` of a session as Claude Code writes it, with its newline.
pub fn line(id: &str, number: usize) -> String {
    let line = json!({
        "parentUuid": null,
        "isSidechain": false,
        "userType": "external",
        "cwd": "/work",
        "sessionId": id,
        "version": "2.1.329",
        "type": "user",
        "message": { "role": "user", "content": format!("prompt number {number}") },
        "uuid": format!("00000000-0000-4000-8000-{number:012}"),
        "timestamp": "2026-02-01T10:00:00.123Z",
    });
    format!("{line}\n")
}

/// Lines `first` to `last` of a session.
pub fn lines(id: &str, first: usize, last: usize) -> String {
    (first..=last).map(|number| line(id, number)).collect()
}
