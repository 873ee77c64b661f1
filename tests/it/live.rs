//! `"sync_interval": "live"`: what is written is sent at once, told by file events. The interval
//! between two looks is an hour here, so that nothing arrives by looking.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::backend::{Backend, Endpoint, Fault, Manner};
use crate::support::eventually::eventually;
use crate::support::processes;
use crate::support::sandbox::{CONFAB, ID, Sandbox, append, line, lines};

const HOUR_MS: &str = "3600000";
/// What `/proc` says of a process that was stopped.
const STOPPED: &str = "T";

fn live(name: &str, backend: &Backend) -> Sandbox {
    let mut sandbox = Sandbox::with_backend(name, backend);
    sandbox.configure(&json!({
        "backend_url": backend.url(), "api_key": backend.key(), "sync_interval": "live",
    }));
    sandbox.set("CONFAB_SYNC_INTERVAL_MS", HOUR_MS);
    sandbox
}

/// A session with one line that the backend has.
fn followed(name: &str, backend: &Backend) -> Sandbox {
    let sandbox = live(name, backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    sandbox
}

#[track_caller]
fn arrives(backend: &Backend, name: &str, expected: &[String]) {
    let held = || backend.lines(ID, name) == expected;
    eventually(&format!("{name} has {} lines", expected.len()), held);
}

/// Lines without their newlines, as the backend keeps them.
fn kept(numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(|number| line(ID, *number).trim_end().to_owned()).collect()
}

fn transcript() -> String {
    format!("{ID}.jsonl")
}

#[test]
fn each_line_is_sent_as_it_is_written() {
    let backend = Backend::start();
    let sandbox = followed("live", &backend);
    for last in 2..=30 {
        append(&sandbox.transcript(ID), line(ID, last));
        backend.eventually_holds(ID, &lines(ID, 1, last));
    }
    assert!(backend.count(Endpoint::Chunk) >= 30);
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 30));
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

#[test]
fn files_that_appear_are_noticed_at_any_depth() {
    let backend = Backend::start();
    let sandbox = live("live-appear", &backend);
    fs::remove_dir_all(sandbox.home().join(".claude/projects")).unwrap();
    sandbox.session_start(ID);
    eventually("the daemon watches", || n_watches(sandbox.daemon()) > 0);
    append(&sandbox.transcript(ID), line(ID, 1));
    arrives(&backend, &transcript(), &kept(&[1]));
    // Of old, agents lay beside the transcript; today below it, and also deeper.
    let folder = sandbox.project(ID).join("subagents");
    let agents = [
        ("agent-old.jsonl", sandbox.project("agent-old.jsonl")),
        ("agent-new.jsonl", folder.join("agent-new.jsonl")),
        ("agent-deep.jsonl", folder.join("a/b/agent-deep.jsonl")),
        ("agent-next.jsonl", folder.join("a/b/agent-next.jsonl")),
    ];
    for (name, path) in &agents {
        append(path, line(ID, 2));
        arrives(&backend, name, &kept(&[2]));
        append(path, line(ID, 3));
        arrives(&backend, name, &kept(&[2, 3]));
    }
    append(&sandbox.transcript(ID), line(ID, 4));
    arrives(&backend, &transcript(), &kept(&[1, 4]));
}

#[test]
fn rewriting_renaming_and_deleting_are_noticed() {
    let backend = Backend::start();
    let sandbox = followed("live-rename", &backend);
    let path = sandbox.transcript(ID);
    // Rewritten in place: shorter, then grown again.
    fs::write(&path, "").unwrap();
    append(&path, lines(ID, 1, 2));
    arrives(&backend, &transcript(), &kept(&[1, 2]));
    // Replaced by another file, which has to be watched in its place.
    let other = sandbox.root().join("other");
    fs::write(&other, lines(ID, 1, 3)).unwrap();
    fs::rename(&other, &path).unwrap();
    arrives(&backend, &transcript(), &kept(&[1, 2, 3]));
    append(&path, line(ID, 4));
    arrives(&backend, &transcript(), &kept(&[1, 2, 3, 4]));
    // Moved into the folder of a worktree.
    let moved = sandbox.home().join(".claude/projects/-work-tree").join(transcript());
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(&path, &moved).unwrap();
    append(&moved, line(ID, 5));
    arrives(&backend, &transcript(), &kept(&[1, 2, 3, 4, 5]));
    // Gone, and there again.
    fs::remove_file(&moved).unwrap();
    append(&moved, lines(ID, 1, 6));
    arrives(&backend, &transcript(), &kept(&[1, 2, 3, 4, 5, 6]));
}

/// The queue of events overflows while the daemon stands still, and the event that counts is among
/// those that the system drops.
#[test]
fn nothing_is_lost_when_events_are() {
    let backend = Backend::start();
    let sandbox = followed("live-overflow", &backend);
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    let daemon = sandbox.daemon();
    processes::signal(daemon, "STOP");
    eventually("the daemon stands still", || {
        processes::stat_field(daemon, 3).as_deref() == Some(STOPPED)
    });
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let other = sandbox.project("other.jsonl");
    for _ in 0..=limit.trim().parse::<u32>().unwrap() / 2 {
        fs::write(&other, "").unwrap();
        fs::remove_file(&other).unwrap();
    }
    append(&sandbox.transcript(ID), line(ID, 3));
    processes::signal(daemon, "CONT");
    backend.eventually_holds(ID, &lines(ID, 1, 3));
}

/// Where the system gives no file events, files are looked at every second. A user namespace has
/// limits of its own, which can be set without touching the machine's.
#[test]
fn without_file_events_files_are_looked_at() {
    let backend = Backend::start();
    for (number, limit, seen) in [
        (1, "max_inotify_instances", "there are no file events"),
        (2, "max_inotify_watches", "files are looked at every 1s"),
    ] {
        let sandbox = live(&format!("live-without-{number}"), &backend);
        let id = format!("11111111-1111-4111-8111-00000000000{number}");
        let input = sandbox.root().join("input.json");
        fs::write(&input, sandbox.input("SessionStart", &id).to_string()).unwrap();
        append(&sandbox.transcript(&id), line(&id, 1));
        let mut hook: Command = sandbox.command("unshare");
        let script =
            format!("echo 0 >/proc/sys/user/{limit} && exec '{CONFAB}' hook session-start");
        hook.args(["-U", "-r", "sh", "-c", &script]).stdin(fs::File::open(&input).unwrap());
        match hook.output() {
            Ok(output) if output.status.success() => {}
            reason => {
                eprintln!("skipped: user namespaces are not to be had here: {reason:?}");
                return;
            }
        }
        for last in 2..=3 {
            append(&sandbox.transcript(&id), line(&id, last));
            backend.eventually_holds(&id, &lines(&id, 1, last));
        }
        eventually("the log says why", || sandbox.log().contains(seen));
    }
}

/// What others write in the same folder wakes nobody.
#[test]
fn other_sessions_do_not_wake_a_daemon() {
    let backend = Backend::start();
    let sandbox = followed("live-others", &backend);
    let other = sandbox.project("22222222-2222-4222-8222-222222222222.jsonl");
    append(&other, line(ID, 1));
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    let daemon = sandbox.daemon();
    let mut last = 0;
    eventually("the daemon comes to rest", || {
        let now = sleeps(daemon);
        std::mem::replace(&mut last, now) == now
    });
    // What was begun before may go on meanwhile, and wakes somebody a few times.
    let n_quiet = (0..20).filter(|_| {
        let before = sleeps(daemon);
        (0..100).for_each(|number| append(&other, line(ID, number)));
        sleeps(daemon) == before
    });
    assert!(n_quiet.count() > 10);
}

/// A file that grows does not make a daemon ask more often than the backend wants to be asked.
#[test]
fn a_backend_that_asks_for_patience_is_not_asked_at_each_line() {
    let backend = Backend::start();
    let sandbox = followed("live-patience", &backend);
    // What is appended before that comes with the first pass.
    eventually("the daemon watches", || n_watches(sandbox.daemon()) > 0);
    let headers = vec![("Retry-After".to_owned(), "3600".to_owned())];
    backend.fail_always(Endpoint::Chunk, Fault::new(Manner::Status(503, headers)));
    let before = backend.count(Endpoint::Chunk);
    append(&sandbox.transcript(ID), line(ID, 2));
    eventually("it is asked once", || backend.count(Endpoint::Chunk) == before + 1);
    let daemon = sandbox.daemon();
    eventually("the failure is noted", || {
        sandbox.state(ID).is_some_and(|s| s["last_error"].is_object())
    });
    for number in 3..=20 {
        let slept = sleeps(daemon);
        append(&sandbox.transcript(ID), line(ID, number));
        eventually("the daemon has heard of it", || sleeps(daemon) > slept);
    }
    assert_eq!(backend.count(Endpoint::Chunk), before + 1);
    backend.heal();
    processes::signal(daemon, "USR1");
    backend.eventually_holds(ID, &lines(ID, 1, 20));
    append(&sandbox.transcript(ID), line(ID, 21));
    backend.eventually_holds(ID, &lines(ID, 1, 21));
}

/// How often all threads of a process have gone to sleep so far.
fn sleeps(pid: u32) -> u64 {
    let statuses = threads(pid).into_iter().filter_map(|folder| {
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    });
    statuses.sum()
}

fn threads(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// How many places a process watches.
fn n_watches(pid: u32) -> usize {
    let queue = processes::descriptors(pid).into_iter().find(|(_, what)| what.contains("inotify"));
    let Some((number, _)) = queue else { return 0 };
    let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
    text.lines().filter(|line| line.starts_with("inotify")).count()
}
