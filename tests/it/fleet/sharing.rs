//! Hooks and their daemons beside a watch, a second watch, and what a user sees.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{Watch, id};
use crate::support::backend::{Backend, Endpoint, Fault};
use crate::support::eventually::eventually;
use crate::support::processes;
use crate::support::sandbox::{ID, Sandbox, append, line, lines};

#[test]
fn a_second_watch_says_so_and_ends() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-second", &backend);
    let watch = Watch::following(&sandbox, &[]);
    let second = sandbox.run(&["watch"]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let expected = format!("confab: error: confab watch runs already, process {}\n", watch.pid());
    assert!(second.stderr.starts_with(&expected), "{second:?}");
    watch.kill();
    Watch::following(&sandbox, &[]).stop();
}

/// A session that a hook's daemon follows is left to it, and taken over when it is gone.
#[test]
fn a_daemons_session_is_left_to_it_and_taken_over() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-left", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    let daemon = sandbox.daemon();
    let watch = Watch::following(&sandbox, &[]);
    eventually("it is left", || watch.standing(&sandbox)["left"] == 1);
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    assert_eq!(sandbox.daemon(), daemon);
    // The daemon ends with something pending.
    processes::signal(daemon, "STOP");
    append(&sandbox.transcript(ID), line(ID, 3));
    processes::signal(daemon, "KILL");
    // A watch that is slow to hear of the line finds the daemon gone, and takes over by itself.
    eventually("the daemon is gone", || sandbox.daemons().is_empty());
    watch.signal("USR1");
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    append(&sandbox.transcript(ID), line(ID, 4));
    backend.eventually_holds(ID, &lines(ID, 1, 4));
    watch.stop();
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// What is written once a daemon has ended does not wait until the watch looks for its end.
#[test]
fn a_session_that_goes_on_without_its_daemon_is_taken_over_at_once() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-goes-on", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    let watch = Watch::following(&sandbox, &[]);
    eventually("it is left", || watch.standing(&sandbox)["left"] == 1);
    sandbox.session_end(ID);
    sandbox.daemons_end();
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    watch.stop();
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// What hooks say of a session that the watch follows makes it a daemon's.
#[test]
fn a_session_that_hooks_announce_is_handed_over() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-announced", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    let watch = Watch::following(&sandbox, &[]);
    eventually("it is followed", || sandbox.state(ID).is_some_and(|s| s["pid"] == watch.pid()));
    sandbox.session_start(ID);
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    eventually("a daemon follows it", || {
        sandbox.state(ID).is_some_and(|state| state["pid"] == sandbox.daemon())
    });
    append(&sandbox.transcript(ID), line(ID, 3));
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    sandbox.session_end(ID);
    // A watch that hears of the last line only now may have locked the session already.
    eventually("the daemon is gone", || sandbox.daemons().is_empty());
    let events = backend.session(ID).unwrap().events;
    assert_eq!(events.len(), 1, "{events:?}");
    watch.stop();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 3));
}

/// An end that a hook reports is told to the backend by the watch.
#[test]
fn an_end_that_a_hook_reports_is_delivered() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-end", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    let watch = Watch::following(&sandbox, &[]);
    eventually("it is followed", || sandbox.is_introduced(watch.pid()));
    sandbox.session_end(ID);
    eventually("the end arrives", || {
        backend.session(ID).is_some_and(|session| session.events.len() == 1)
    });
    watch.stop();
    assert_eq!(backend.count(Endpoint::Event), 1);
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

#[test]
fn what_it_does_is_shown() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-shown", &backend);
    let json_of =
        || -> Value { serde_json::from_str(&sandbox.run(&["status", "--json"]).stdout).unwrap() };
    assert_eq!(json_of()["watch"], Value::Null);
    append(&sandbox.transcript(&id(1)), line(&id(1), 1));
    let watch = Watch::following(&sandbox, &[]);
    eventually("it is shown", || {
        let shown = json_of();
        shown["watch"]["pid"] == watch.pid() && shown["watch"]["followed"] == 1
    });
    let text = sandbox.run(&["status"]).stdout;
    let expected = format!("watch      following 1 session, process {}", watch.pid());
    assert!(text.contains(&expected), "{text}");
    backend.fail_always(Endpoint::Chunk, Fault::status(503));
    append(&sandbox.transcript(&id(1)), line(&id(1), 2));
    eventually("it is seen that something failed", || json_of()["watch"]["failed"] == 1);
    assert_eq!(json_of()["sessions"]["followed"], json!(1));
    backend.heal();
    watch.signal("USR1");
    backend.eventually_holds(&id(1), &lines(&id(1), 1, 2));
    watch.stop();
    assert_eq!(json_of()["watch"], Value::Null);
}

/// Without hooks is a way to use it: that there are none is no problem while a watch runs.
#[test]
fn no_hooks_are_no_problem_while_a_watch_runs() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-no-hooks", &backend);
    let config = sandbox.confab("config.json");
    fs::set_permissions(config, Permissions::from_mode(0o600)).unwrap();
    let (status, doctor) = (|| sandbox.run(&["status"]), || sandbox.run(&["doctor"]));
    assert_eq!((status().status.code(), doctor().status.code()), (Some(1), Some(1)));
    let watch = Watch::following(&sandbox, &[]);
    let (shown, found) = (status(), doctor());
    assert_eq!(
        (shown.status.code(), found.status.code()),
        (Some(0), Some(0)),
        "{shown:?} {found:?}"
    );
    for text in [&shown.stdout, &found.stdout] {
        assert!(text.contains("settings.json has none; confab watch needs none"), "{text}");
    }
    // `hooks check` is asked about hooks.
    assert_eq!(sandbox.run(&["hooks", "check"]).status.code(), Some(1));
    watch.stop();
    // One that looks elsewhere does not help.
    let other = sandbox.root().join("other");
    let watch = Watch::following(&sandbox, &["--claude-dir", other.to_str().unwrap()]);
    assert_eq!(status().status.code(), Some(1));
    watch.stop();
}
