//! What people see: `sync status`, `sync flush`, usage errors, and what lies on disk meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::backend::{Backend, Endpoint, Fault};
use crate::support::eventually::{eventually, within};
use crate::support::processes;
use crate::support::sandbox::{ID, Sandbox, append, line, lines};

const OTHER: &str = "22222222-2222-4222-8222-222222222222";

/// The first session of `sync status --json`; null when there is none.
fn status(sandbox: &Sandbox) -> Value {
    let outcome = sandbox.run(&["sync", "status", "--json"]);
    assert!(outcome.status.success() && outcome.stderr.is_empty(), "{outcome:?}");
    let overview: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    overview["sessions"][0].clone()
}

#[test]
fn status_shows_what_is_followed_and_what_is_only_here() {
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("status-followed", &backend);
    sandbox.set("CONFAB_SYNC_INTERVAL_MS", "3600000");
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    eventually("the state is written", || status(&sandbox)["synced_at"].is_string());
    append(&sandbox.transcript(ID), line(ID, 4));
    let seen = status(&sandbox);
    assert_eq!(seen["session"], ID);
    assert_eq!(seen["status"], "following");
    assert_eq!(seen["pid"], sandbox.daemon());
    assert_eq!(seen["files"][0]["acknowledged_line"], 3);
    assert_eq!(seen["files"][0]["only_here_bytes"], line(ID, 4).len());
    let text = sandbox.run(&["sync", "status"]).stdout;
    assert!(text.contains(ID) && text.contains("3 lines acknowledged"), "{text}");
}

#[test]
fn status_shows_the_last_error_with_its_time() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("status-error", &backend);
    backend.fail_always(Endpoint::Init, Fault::status(503));
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    let error = within(std::time::Duration::from_secs(20), "the error is shown", || {
        Some(status(&sandbox)["last_error"].clone()).filter(|error| !error.is_null())
    });
    assert!(error["what"].as_str().unwrap().contains("503"), "{error}");
    assert!(error["at"].as_str().unwrap().contains('T'), "{error}");
}

#[test]
fn status_and_flush_without_any_session_say_so() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("nothing-there", &backend);
    for arguments in [&["sync", "status"][..], &["sync", "flush"]] {
        let outcome = sandbox.run(arguments);
        assert!(outcome.status.success(), "{outcome:?}");
        assert_eq!(outcome.stdout.lines().count(), 1, "{outcome:?}");
    }
    let overview = sandbox.run(&["sync", "status", "--json"]).stdout;
    let overview: Value = serde_json::from_str(&overview).unwrap();
    assert_eq!(overview["sessions"], json!([]));
    assert_eq!(backend.arrived().len(), 0);
}

/// A session whose daemon was killed is pending, and a flush delivers it; one that is followed is
/// left to its daemon.
#[test]
fn flush_delivers_what_nobody_follows() {
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("flush", &backend);
    sandbox.set("CONFAB_SYNC_INTERVAL_MS", "3600000");
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    append(&sandbox.transcript(ID), line(ID, 2));
    assert_eq!(status(&sandbox)["status"], "pending");
    append(&sandbox.transcript(OTHER), line(OTHER, 1));
    sandbox.session_start(OTHER);
    backend.eventually_holds(OTHER, &line(OTHER, 1));
    append(&sandbox.transcript(OTHER), line(OTHER, 2));
    let outcome = sandbox.run(&["sync", "flush"]);
    assert!(outcome.status.success(), "{outcome:?}");
    // The other daemon may be delivering the first session already: then the flush leaves it to it.
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    backend.eventually_holds(OTHER, &lines(OTHER, 1, 2));
    assert_eq!(sandbox.daemons().len(), 1, "the other daemon was woken, not replaced");
}

/// What cannot be delivered makes a flush fail, with the reason; nothing is lost by it.
#[test]
fn flush_fails_with_the_reason_while_the_backend_is_away() {
    let mut backend = Backend::start();
    let sandbox = Sandbox::with_backend("flush-fails", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.stop();
    let outcome = sandbox.run(&["sync", "flush"]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("still pending"), "{outcome:?}");
    backend.restart();
    assert!(sandbox.run(&["sync", "flush"]).status.success());
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
}

/// Folders 0700, files 0600: transcripts and keys are nobody else's business.
#[test]
fn what_lies_on_disk_is_private() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("private", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    eventually("the state is written", || sandbox.state(ID).is_some());
    sandbox.prompt(ID);
    for folder in ["sync", "logs"] {
        let folder = sandbox.confab(folder);
        let mode = |path: &std::path::Path| fs::metadata(path).map(|m| m.permissions().mode());
        assert_eq!(mode(&folder).unwrap() & 0o777, 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // A file may go while it is being looked at.
            if let Ok(mode) = mode(&path) {
                assert_eq!(mode & 0o777, 0o600, "{}", path.display());
            }
        }
    }
}

#[test]
fn a_usage_error_is_one_line_on_stderr_and_status_2() {
    let sandbox = Sandbox::new("usage");
    for arguments in [&["nonsense"][..], &["sync", "nonsense"], &["sync", "status", "--nonsense"]] {
        let outcome = sandbox.run(arguments);
        assert_eq!(outcome.status.code(), Some(2), "{arguments:?}: {outcome:?}");
        assert_eq!(outcome.stdout, "", "{arguments:?}");
        let errors = outcome.stderr.lines().filter(|line| line.contains("error:")).count();
        assert_eq!(errors, 1, "{arguments:?}: {}", outcome.stderr);
    }
}

/// A hook with a wrong command line answers nothing and blocks nothing.
#[test]
fn an_unknown_hook_exits_with_0() {
    let sandbox = Sandbox::new("unknown-hook");
    for arguments in [
        &["hook"][..],
        &["hook", "nonsense"],
        &["hook", "session-start", "--nonsense"],
        &["hook", "session-start", "--provider"],
        &["hook", "session-start", "--provider", "codex"],
    ] {
        let outcome = sandbox.run(arguments);
        assert_eq!(outcome.status.code(), Some(0), "{arguments:?}: {outcome:?}");
    }
}
