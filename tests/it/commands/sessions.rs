//! `list` and `save` where a folder cannot show it: running daemons, kills, thousands of sessions.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use confab::cli::sessions;
use confab::files::{Paths, Roots};
use serde_json::{Value, json};

use crate::support::backend::{Backend, Endpoint, Fault, Moment};
use crate::support::eventually::eventually;
use crate::support::processes;
use crate::support::sandbox::{ID, Sandbox, append, line, lines};

/// The id of session `number`.
fn id(number: usize) -> String {
    format!("{number:08}-1111-4111-8111-111111111111")
}

/// A sandbox with sessions of three lines each, the first one the oldest.
fn with_sessions(name: &str, backend: &Backend, n: usize) -> Sandbox {
    let sandbox = Sandbox::with_backend(name, backend);
    for number in 1..=n {
        write_session(&sandbox, number, n - number);
    }
    sandbox
}

fn write_session(sandbox: &Sandbox, number: usize, hours: usize) {
    let path = sandbox.transcript(&id(number));
    append(&path, lines(&id(number), 1, 3));
    let age = Duration::from_secs(3600 * (1 + hours as u64));
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

#[track_caller]
fn holds_all(backend: &Backend, numbers: impl Iterator<Item = usize>) {
    for number in numbers {
        assert_eq!(backend.transcript(&id(number)), lines(&id(number), 1, 3), "{number}");
    }
}

fn json_list(sandbox: &Sandbox) -> Value {
    let outcome = sandbox.run(&["list", "--json"]);
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"))
}

/// A stat'able file that cannot be read, by root either.
fn unreadable(path: &Path) {
    symlink("/proc/self/mem", path).unwrap();
}

/// What a daemon follows is sent by it, and the daemon stays.
#[test]
fn a_followed_session_is_saved_by_its_daemon() {
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("save-followed", &backend);
    sandbox.set("CONFAB_SYNC_INTERVAL_MS", "3600000");
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    eventually("the state is written", || {
        sandbox.state(ID).is_some_and(|state| state["synced_at"].is_string())
    });
    let daemon = sandbox.daemon();
    append(&sandbox.transcript(ID), lines(ID, 2, 5));
    assert_eq!(json_list(&sandbox)["sessions"][0]["status"], "partly");

    let outcome = sandbox.run(&["save", &ID[..8]]);
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("sent by its daemon"), "{outcome:?}");
    assert_eq!(backend.transcript(ID), lines(ID, 1, 5));
    assert_eq!(sandbox.daemon(), daemon);
    assert_eq!(backend.session(ID).unwrap().inits.len(), 1);
    // Once more, when there is nothing new: nobody waits for what does not come.
    let outcome = sandbox.run(&["save", "--all"]);
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    assert_eq!(json_list(&sandbox)["sessions"][0]["status"], "delivered");
}

/// What its daemon cannot send fails with the daemon's reason.
#[test]
fn a_daemon_that_fails_says_why() {
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("save-followed-fails", &backend);
    sandbox.set("CONFAB_SYNC_INTERVAL_MS", "3600000");
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    eventually("the state is written", || {
        sandbox.state(ID).is_some_and(|state| state["synced_at"].is_string())
    });
    backend.fail_always(Endpoint::Chunk, Fault::status(503));
    append(&sandbox.transcript(ID), line(ID, 2));
    let outcome = sandbox.run(&["save", ID]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("status 503"), "{outcome:?}");
    assert_eq!(sandbox.daemons().len(), 1);
}

/// A session whose daemon was killed is taken over.
#[test]
fn a_session_that_was_left_is_saved() {
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("save-left", &backend);
    sandbox.set("CONFAB_SYNC_INTERVAL_MS", "3600000");
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    eventually("the state is written", || {
        sandbox.state(ID).is_some_and(|state| state["synced_at"].is_string())
    });
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    append(&sandbox.transcript(ID), line(ID, 2));
    let outcome = sandbox.run(&["save", ID]);
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
    assert_eq!(sandbox.sync_files(), [""; 0]);
    // The folder is that of the hook, which knows best.
    let init = backend.session(ID).unwrap().inits.pop().unwrap();
    assert_eq!(init["metadata"]["cwd"], json!(sandbox.work()));
}

/// Killed before and after every request, `save` is taken up by the next run: nothing is missing,
/// nothing twice.
#[test]
fn a_run_that_was_killed_is_resumed() {
    let backend = Backend::start();
    let sandbox = with_sessions("save-killed", &backend, 3);
    let agent = sandbox.project(&format!("{}/subagents/agent-abcdef0.jsonl", id(2)));
    append(&agent, lines(&id(2), 4, 6));
    assert!(sandbox.run(&["save", "--all"]).status.success());
    let n_requests = backend.arrived().len();
    assert!(n_requests >= 7, "{n_requests}");
    for at in 1..=n_requests {
        for moment in [Moment::Arrived, Moment::Stored] {
            backend.forget();
            let root = sandbox.root().to_owned();
            let n_seen = Arc::new(AtomicUsize::new(0));
            backend.observe(move |_, now| {
                if now == moment && n_seen.fetch_add(1, Ordering::SeqCst) + 1 == at {
                    processes::naming(&root).into_iter().for_each(|pid| {
                        processes::signal(pid, "KILL");
                    });
                }
            });
            let killed = sandbox.run(&["save", "--all"]);
            assert_eq!(killed.status.code(), None, "{at} {moment:?} {killed:?}");
            backend.observe(|_, _| {});
            let outcome = sandbox.run(&["save", "--all"]);
            assert_eq!(outcome.status.code(), Some(0), "{at} {moment:?} {outcome:?}");
            holds_all(&backend, 1..=3);
            let agent_lines = backend.lines(&id(2), "agent-abcdef0.jsonl");
            assert_eq!(agent_lines.join("\n") + "\n", lines(&id(2), 4, 6), "{at} {moment:?}");
            assert_eq!(sandbox.sync_files(), [""; 0], "{at} {moment:?}");
        }
    }
}

/// One session that cannot be read, and a folder that cannot be entered, among good ones.
#[test]
fn what_cannot_be_read_keeps_nobody_else() {
    let backend = Backend::start();
    let sandbox = with_sessions("save-unreadable", &backend, 4);
    fs::remove_file(sandbox.transcript(&id(2))).unwrap();
    unreadable(&sandbox.transcript(&id(2)));
    symlink("-loop", sandbox.home().join(".claude/projects/-loop")).unwrap();
    let outcome = sandbox.run(&["save", "--all"]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("{}: read ", id(2))), "{outcome:?}");
    assert!(outcome.stderr.contains("-loop"), "{outcome:?}");
    assert!(outcome.stdout.contains("3 sessions on the backend, 2 failed"), "{outcome:?}");
    holds_all(&backend, [1, 3, 4].into_iter());

    let listed = sandbox.run(&["list", "--all"]);
    assert_eq!(listed.status.code(), Some(3), "{listed:?}");
    assert_eq!(listed.stdout.lines().count(), 5, "{listed:?}");
    for name in ["-loop", &id(2)] {
        assert!(listed.stderr.contains(name), "{listed:?}");
    }
}

/// Rationed requests are waited for.
#[test]
fn a_busy_backend_is_asked_again() {
    let backend = Backend::start();
    let sandbox = with_sessions("save-busy", &backend, 2);
    backend.fail(Endpoint::Init, Fault::status(429));
    backend.fail(Endpoint::Chunk, Fault::status(503));
    let outcome = sandbox.run(&["save", "--all"]);
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    assert_eq!(outcome.stderr, "");
    holds_all(&backend, 1..=2);
}

/// A backend that takes nothing ends the run early; the next one does the rest.
#[test]
fn a_backend_that_takes_nothing_ends_the_run() {
    let backend = Backend::start();
    let sandbox = with_sessions("save-refused", &backend, 6);
    let key = backend.key();
    backend.set_key(&["cfb_", &"z".repeat(40)].concat());
    let outcome = sandbox.run(&["save", "--all"]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("3 failed, 3 not tried"), "{outcome:?}");
    assert!(outcome.stderr.contains("401") && !outcome.stderr.contains(&key), "{outcome:?}");
    backend.set_key(&key);
    let outcome = sandbox.run(&["save", "--all"]);
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    holds_all(&backend, 1..=6);
    assert_eq!(sandbox.sync_files(), [""; 0]);
}

/// A session that the backend refuses again and again is one, not all.
#[test]
fn one_refused_session_does_not_end_the_run() {
    let backend = Backend::start();
    let sandbox = with_sessions("save-one-refused", &backend, 5);
    for _ in 0..4 {
        backend.fail(Endpoint::Chunk, Fault::status(500));
    }
    let outcome = sandbox.run(&["save", "--all"]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("4 sessions on the backend, 1 failed"), "{outcome:?}");
    assert!(outcome.stderr.contains(&id(1)), "{outcome:?}");
    holds_all(&backend, 2..=5);
    assert!(sandbox.run(&["save", &id(1)]).status.success());
    holds_all(&backend, 1..=5);
}

/// The backend's own list, the most recently synced first, ends in the order of the sessions.
#[test]
fn a_run_goes_from_the_oldest_to_the_newest() {
    let backend = Backend::start();
    let sandbox = with_sessions("save-order", &backend, 4);
    let outcome = sandbox.run(&["save", "--since", "150m"]);
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    assert!(backend.session(&id(2)).is_none());
    let outcome = sandbox.run(&["save", "--all"]);
    assert!(outcome.stdout.contains(&format!("{}: the backend has everything", id(4))));
    holds_all(&backend, 1..=4);
    let inits: Vec<String> = backend
        .arrived()
        .iter()
        .filter(|arrived| arrived.endpoint == Endpoint::Init)
        .map(|arrived| arrived.body["external_id"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(inits, [3, 4, 1, 2, 3, 4].map(id));
}

/// A delivered session is known as such, with nobody to ask, until it grows.
#[test]
fn what_was_saved_is_listed_as_delivered() {
    let mut backend = Backend::start();
    let sandbox = with_sessions("save-then-list", &backend, 2);
    assert!(sandbox.run(&["save", &id(1)]).status.success());
    backend.stop();
    let status = |number: usize| {
        let list = json_list(&sandbox);
        let rows = list["sessions"].as_array().unwrap();
        let row = rows.iter().find(|row| row["session"] == json!(id(number))).unwrap();
        row["status"].as_str().unwrap().to_string()
    };
    assert_eq!((status(1).as_str(), status(2).as_str()), ("delivered", "unknown"));
    append(&sandbox.transcript(&id(1)), line(&id(1), 4));
    assert_eq!(status(1), "partly");
}

/// Thousands of sessions of a megabyte each are listed by a few kilobytes of each.
#[test]
fn a_list_of_thousands_reads_little() {
    const N: usize = 3000;
    let sandbox = Sandbox::new("list-thousands");
    for number in 0..N {
        let path = sandbox.project(&format!("{}.jsonl", id(number)));
        append(&path, line(&id(number), 1));
        // A hole: nobody who reads only the ends sees it.
        File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
        append(&path, format!("\n{}", line(&id(number), 2)));
    }
    let paths = Paths::new(Roots { home: sandbox.home(), ..Roots::default() });
    let (found, errors) = sessions::discover(&paths);
    assert_eq!((found.len(), errors.len()), (N, 0));
    let mut bytes_read = 0;
    for session in &found {
        let glance = sessions::glance(session).unwrap();
        assert_eq!(glance.title.as_deref(), Some("prompt number 1"));
        bytes_read += glance.bytes_read;
    }
    assert!(bytes_read <= 32 * 1024 * N as u64, "{bytes_read}");
    let outcome = sandbox.run(&["list", "--all"]);
    assert_eq!(outcome.stdout.lines().count(), 1 + N);
}
