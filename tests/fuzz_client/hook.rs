//! What Claude Code hands to hooks: whatever it is, the answer is JSON or nothing, it is read the
//! same in whatever pieces it comes, and nothing is touched outside of `~/.confab`.

use std::path::Path;

use confab::cli::{self, Command};
use confab::hook::{self, Event, Surroundings};
use confab::state::{self, Record};
use confab::time::Clock;

use super::Target;
use super::corpus::{Corpus, JSON};
use super::world::{Home, ID, Machine, StandingClock};

const EVENTS: [Event; 5] = [
    Event::SessionStart,
    Event::UserPromptSubmit,
    Event::SessionEnd,
    Event::PreToolUse,
    Event::PostToolUse,
];

pub fn target(corpus: &Corpus) -> Target {
    let home = Home::new("hook");
    let folder = home.folder.to_string_lossy().into_owned();
    let here = |sample: Vec<u8>| {
        let text = String::from_utf8_lossy(&sample).into_owned();
        // Only paths below Claude's folder are taken.
        text.replace("/home/dev", &folder).into_bytes()
    };
    let mut samples: Vec<Vec<u8>> = corpus.files("hooks", ".json").into_iter().map(here).collect();
    for name in ["SessionStart", "UserPromptSubmit", "SessionEnd"] {
        let transcript = home.transcript();
        samples.push(
            serde_json::json!({
                "session_id": ID,
                "transcript_path": transcript,
                "cwd": "/w",
                "hook_event_name": name,
            })
            .to_string()
            .into_bytes(),
        );
    }
    Target {
        name: "hook",
        samples,
        tricky: JSON,
        check: Box::new(move |input, seed| check(&home, input, seed)),
        counted: "daemons started",
        rounds: 3000,
    }
}

fn check(home: &Home, input: &[u8], seed: u64) -> Result<usize, String> {
    let read = in_pieces(input, usize::MAX)?;
    let step = 40 + seed as usize % 500;
    if in_pieces(input, step)? != read {
        return Err(format!("read otherwise in pieces of {step}"));
    }
    if !input.starts_with(&read) {
        return Err("something else was read than was sent".into());
    }
    home.clear();
    let event = EVENTS[seed as usize % EVENTS.len()];
    if matches!(event, Event::PreToolUse | Event::PostToolUse) {
        // A session whose page is known, so that something is asked for and noted.
        let session_url = Some("http://localhost/sessions/s".to_owned());
        let mut record = Record { external_id: ID.into(), session_url, ..Record::default() };
        state::save(&home.paths, &home.id(), &mut record).unwrap();
    }
    let machine = Machine::default();
    let now = StandingClock(std::time::Instant::now()).wall();
    let surroundings = Surroundings {
        paths: &home.paths,
        processes: &machine,
        claude_pid: None,
        links_off: false,
        now,
    };
    let answer = hook::handle(event, &read, &surroundings);
    if let Ok(Some(text)) = &answer
        && serde_json::from_str::<serde_json::Value>(text).is_err()
    {
        return Err(format!("answered {text:?}"));
    }
    if let Some(entry) = home.entries().iter().find(|entry| !is_expected(entry)) {
        return Err(format!("{} is there", entry.display()));
    }
    let started = machine.started.into_inner().unwrap();
    for arguments in &started {
        let Ok(Command::Daemon(launch)) = cli::parse(arguments.clone()) else {
            return Err(format!("a daemon was started as {arguments:?}"));
        };
        if launch.arguments() != *arguments {
            return Err(format!("{arguments:?} means {launch:?}"));
        }
        let claude = home.folder.join(".claude/projects");
        if !launch.transcript.starts_with(claude) {
            return Err(format!("{} is followed", launch.transcript.display()));
        }
    }
    Ok(started.len())
}

/// Reads it as it comes in pieces of this length.
fn in_pieces(input: &[u8], bytes: usize) -> Result<Vec<u8>, String> {
    let mut rest = input;
    let read = hook::read_input(|buffer| {
        let n_bytes = rest.len().min(bytes).min(buffer.len());
        buffer[..n_bytes].copy_from_slice(&rest[..n_bytes]);
        rest = &rest[n_bytes..];
        Ok(n_bytes)
    });
    read.map_err(|error| error.to_string())
}

/// Claude's folder as it was made, and files of ours that belong to one session.
fn is_expected(entry: &Path) -> bool {
    let text = entry.to_string_lossy();
    let inside = text.strip_prefix(".confab/sync/").or_else(|| text.strip_prefix(".confab/kept/"));
    match inside {
        Some(name) => !name.contains('/') && !name.starts_with('.'),
        None => [
            ".claude",
            ".claude/projects",
            ".claude/projects/-p",
            ".confab",
            ".confab/sync",
            ".confab/kept",
        ]
        .contains(&&*text),
    }
}
