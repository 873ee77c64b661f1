//! How many instructions a hook takes, and one megabyte of sync: `./build.sh instructions`, also a
//! part of `./build.sh test`. Unlike times they are the same at every run, so that a program that
//! has become slower is noticed on any machine, however busy.
//!
//! valgrind's callgrind counts the release build with a fixed input and environment. Held against
//! `record.json` is what the program itself takes: what the system's libraries add depends on the
//! machine and is recorded for information. A growth by more than [`GROWTH_PERCENT_MAX`] fails;
//! `./build.sh instructions --record` writes a new record, to be committed with its reason.
//!
//! Without a program to count, as in a plain `cargo test`, nothing is done.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

#[path = "../bench/sink.rs"]
mod sink;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use sink::Sink;

/// The growth that fails.
const GROWTH_PERCENT_MAX: u64 = 5;
/// Bytes of the session that is sent.
const SYNC_BYTES: usize = 1_000_000;
const RECORD: &str = "tests/instructions/record.json";
/// Sessions whose lines are sent, over and over; fixed, so that new ones change no count.
const TRANSCRIPTS: [&str; 2] = ["tools", "subagents"];
const ID: &str = "11111111-1111-4111-8111-111111111111";
const OTHER_ID: &str = "22222222-2222-4222-8222-222222222222";

/// Instructions of one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Count {
    /// Those of the program itself.
    own: u64,
    /// With the system's libraries and the loader.
    whole: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Another compiler makes another program, whose counts are not compared.
    compiler: String,
    counts: BTreeMap<String, Count>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(program) = arguments.iter().find(|argument| !argument.starts_with('-')) else {
        println!("instructions: nothing to count; ./build.sh instructions has it built");
        return ExitCode::SUCCESS;
    };
    let program = fs::canonicalize(program).expect("the program is built");
    let now = Record { compiler: compiler(), counts: counts(&program) };
    if arguments.iter().any(|argument| argument == "--record") {
        fs::write(RECORD, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    }
    let before: Record = serde_json::from_slice(&fs::read(RECORD).unwrap()).unwrap();
    let mut is_well = true;
    for (name, count) in &now.counts {
        let Some(recorded) = before.counts.get(name) else {
            println!("{name}: {count:?} is not in {RECORD}");
            is_well = false;
            continue;
        };
        let percent = 100.0 * count.own as f64 / recorded.own as f64 - 100.0;
        let has_grown = count.own * 100 > recorded.own * (100 + GROWTH_PERCENT_MAX);
        println!(
            "{name}: {} instructions of its own, {percent:+.1} % against the record; {} in all",
            count.own, count.whole
        );
        is_well &= !has_grown;
    }
    if before.compiler != now.compiler {
        println!("not compared: the record is of {}, this is {}", before.compiler, now.compiler);
        return ExitCode::SUCCESS;
    }
    if is_well {
        return ExitCode::SUCCESS;
    }
    println!("more than {GROWTH_PERCENT_MAX} % were added: take them out again, or record them:");
    println!("./build.sh instructions --record");
    ExitCode::FAILURE
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("rustc runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn counts(program: &Path) -> BTreeMap<String, Count> {
    let desk = Desk::new(program);
    let mut counts = BTreeMap::new();
    let mut count = |name: &str, arguments: &[&str], id: &str| {
        counts.insert(name.to_owned(), desk.count(arguments, id));
    };
    count("hook with a spawn", &["hook", "session-start"], ID);
    desk.until_followed(ID);
    count("hook while a daemon runs", &["hook", "user-prompt-submit"], ID);
    count("hook before a tool", &["hook", "pre-tool-use"], ID);
    let (text, before) = (session(), desk.sink.lines.load(Ordering::Relaxed));
    fs::write(desk.transcript(OTHER_ID), &text).unwrap();
    count("one megabyte of sync", &["save", OTHER_ID], OTHER_ID);
    let n_lines = text.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(desk.sink.lines.load(Ordering::Relaxed) - before, n_lines as u64, "all was sent");
    counts
}

/// Lines of recorded sessions, a megabyte of them.
fn session() -> Vec<u8> {
    let mut text = Vec::new();
    for name in TRANSCRIPTS {
        let folder = format!("fixtures/transcripts/{name}/home/.claude/projects/-home-dev-project");
        text.extend(fs::read(format!("{folder}/{ID}.jsonl")).unwrap());
    }
    let text = String::from_utf8(text).unwrap().replace(ID, OTHER_ID);
    let mut session = Vec::with_capacity(SYNC_BYTES);
    for line in text.split_inclusive('\n').cycle() {
        if session.len() >= SYNC_BYTES {
            break;
        }
        session.extend(line.as_bytes());
    }
    session
}

/// A home with a fixed name, as paths are counted as well, and a backend that only counts.
struct Desk {
    program: PathBuf,
    home: PathBuf,
    sink: Sink,
}

impl Desk {
    fn new(program: &Path) -> Desk {
        let home = std::env::temp_dir().join(format!("confab-counts-{:010}", std::process::id()));
        fs::create_dir_all(home.join(".confab")).unwrap();
        fs::create_dir_all(home.join(".claude/projects/-work")).unwrap();
        let sink = Sink::start();
        let key = ["cfb_", &"b".repeat(40)].concat();
        let url = format!("http://127.0.0.1:{}", sink.port);
        let config = serde_json::json!({"backend_url": url, "api_key": key});
        fs::write(home.join(".confab/config.json"), config.to_string()).unwrap();
        Desk { program: program.to_owned(), home, sink }
    }

    fn transcript(&self, id: &str) -> PathBuf {
        self.home.join(format!(".claude/projects/-work/{id}.jsonl"))
    }

    /// Waits until a daemon has taken the session over: its name stands in the lock file then.
    fn until_followed(&self, id: &str) {
        let lock = self.home.join(format!(".confab/sync/{id}.lock"));
        let state = self.home.join(format!(".confab/sync/{id}.json"));
        while !(state.exists() && fs::read_to_string(&lock).is_ok_and(|text| text.contains(' '))) {
            std::thread::yield_now();
        }
    }

    /// Runs the program below callgrind, with what Claude Code sends on standard input.
    fn count(&self, arguments: &[&str], id: &str) -> Count {
        let input = serde_json::json!({
            "session_id": id, "transcript_path": self.transcript(id), "cwd": "/",
            "tool_name": "Bash", "tool_input": {"command": "cargo test --workspace | tail -5"},
        });
        let (input_path, out) = (self.home.join("input"), self.home.join("counts"));
        fs::write(&input_path, input.to_string()).unwrap();
        let _ = fs::remove_file(&out);
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--quiet", "--tool=callgrind", "--trace-children=no"]);
        valgrind.arg(format!("--callgrind-out-file={}", out.display()));
        valgrind.arg(&self.program).args(arguments).env_clear().current_dir(&self.home);
        valgrind.env("HOME", &self.home).env("PATH", "/usr/bin:/bin");
        // This process stands for Claude Code.
        valgrind.env("CLAUDE_PID", std::process::id().to_string());
        valgrind.stdin(fs::File::open(&input_path).unwrap()).stdout(Stdio::null());
        let status = valgrind.status().expect("valgrind runs");
        assert!(status.success(), "{arguments:?}: {status}");
        summed(&fs::read_to_string(&out).unwrap(), &self.program)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // The daemon ends by itself when this process does; it must not find its home gone.
        let lock = self.home.join(format!(".confab/sync/{ID}.lock"));
        let text = fs::read_to_string(lock).unwrap_or_default();
        if let Some((pid, _)) = text.split_once(' ') {
            let _ = Command::new("kill").args(["-9", pid]).status();
        }
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// Adds up callgrind's costs: lines of `position cost` below the object that `ob=` names. The line
/// behind `calls=` is what was called cost, which is listed there as well.
fn summed(text: &str, program: &Path) -> Count {
    let mut names = BTreeMap::new();
    let (mut is_own, mut is_call) = (false, false);
    let mut count = Count { own: 0, whole: 0 };
    for line in text.lines() {
        if let Some(object) = line.strip_prefix("ob=").or_else(|| line.strip_prefix("cob=")) {
            let (number, name) = object.split_once(' ').unwrap_or((object, ""));
            if !name.is_empty() {
                names.insert(number.to_owned(), name == program.to_str().unwrap());
            }
            if line.starts_with("ob=") {
                is_own = names[number];
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost: u64 = line.rsplit(' ').next().and_then(|cost| cost.parse().ok()).unwrap();
            if !std::mem::take(&mut is_call) {
                count.whole += cost;
                count.own += if is_own { cost } else { 0 };
            }
        }
    }
    assert!(count.own > 0, "callgrind has counted nothing of {}", program.display());
    count
}
