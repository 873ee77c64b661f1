//! A watch with another configuration than the hooks: neither takes anything from the other.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::{Watch, id};
use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::processes;
use crate::support::sandbox::{CONFAB, ID, Sandbox, append, line, lines};

/// Writes a configuration of a watch's own.
fn configuration(sandbox: &Sandbox, backend: &Backend) -> PathBuf {
    let path = sandbox.root().join("watch-config.json");
    let config = json!({ "backend_url": backend.url(), "api_key": backend.key() });
    fs::write(&path, config.to_string()).unwrap();
    path
}

/// A watch that sends to this backend, whatever hooks send to.
fn watch(sandbox: &Sandbox, backend: &Backend, arguments: &[&str]) -> Watch {
    let mut command = sandbox.command(CONFAB);
    command.env("CONFAB_CONFIG_PATH", configuration(sandbox, backend));
    command.arg("watch").args(arguments);
    let watch = Watch::spawn(sandbox, command);
    watch.is_in(sandbox, "following");
    watch
}

/// Ends the daemon at once, as a power cut does.
fn kill_daemon(sandbox: &Sandbox) {
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
}

/// The backend of the hooks is away: what is left for it, lines and ends, is still there for it
/// once the watch has sent all to its own.
#[test]
fn what_hooks_could_not_deliver_stays_theirs() {
    let (mut hooks, own) = (Backend::start(), Backend::start());
    let sandbox = Sandbox::with_backend("fleet-apart-pending", &hooks);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    hooks.eventually_holds(ID, &line(ID, 1));
    kill_daemon(&sandbox);
    hooks.stop();
    append(&sandbox.transcript(ID), line(ID, 2));
    sandbox.session_end(ID);
    kill_daemon(&sandbox);
    let before = sandbox.sync_files();
    assert!(before.iter().any(|name| name.ends_with(".inbox.jsonl")), "{before:?}");
    let watch = watch(&sandbox, &own, &[]);
    own.eventually_holds(ID, &lines(ID, 1, 2));
    assert_eq!(sandbox.sync_files(), before);
    hooks.restart();
    let flushed = sandbox.run(&["sync", "flush"]);
    assert!(flushed.status.success(), "{flushed:?}");
    sandbox.daemons_end();
    assert_eq!(hooks.transcript(ID), lines(ID, 1, 2));
    assert_eq!(hooks.session(ID).unwrap().events.len(), 1);
    assert!(own.session(ID).unwrap().events.is_empty());
    watch.stop();
}

/// A session that the watch follows is taken up by hooks: they get it, the watch steps back until
/// they have ended, and then goes on.
#[test]
fn a_session_that_hooks_take_up_is_theirs_until_they_end() {
    let (hooks, own) = (Backend::start(), Backend::start());
    let sandbox = Sandbox::with_backend("fleet-apart-resumed", &hooks);
    append(&sandbox.transcript(ID), line(ID, 1));
    let watch = watch(&sandbox, &own, &[]);
    own.eventually_holds(ID, &line(ID, 1));
    sandbox.session_start(ID);
    hooks.eventually_holds(ID, &line(ID, 1));
    let daemon = sandbox.daemon();
    assert!(sandbox.is_introduced(daemon));
    append(&sandbox.transcript(ID), line(ID, 2));
    hooks.eventually_holds(ID, &lines(ID, 1, 2));
    eventually("it is left", || watch.standing(&sandbox)["left"] == 1);
    assert_eq!(sandbox.daemons(), [daemon]);
    sandbox.session_end(ID);
    sandbox.daemons_end();
    watch.signal("USR1");
    own.eventually_holds(ID, &lines(ID, 1, 2));
    append(&sandbox.transcript(ID), line(ID, 3));
    own.eventually_holds(ID, &lines(ID, 1, 3));
    watch.stop();
    assert_eq!(hooks.transcript(ID), lines(ID, 1, 2));
    assert_eq!(hooks.session(ID).unwrap().events.len(), 1);
}

/// What a killed watch leaves is not for the backend of the hooks, which were told of none of it.
#[test]
fn what_a_killed_watch_leaves_is_not_sent_elsewhere() {
    let (hooks, own) = (Backend::start(), Backend::start());
    let sandbox = Sandbox::with_backend("fleet-apart-killed", &hooks);
    let other = sandbox.root().join("other");
    let private = other.join(format!("projects/-x/{}.jsonl", id(7)));
    append(&private, line(&id(7), 1));
    append(&sandbox.transcript(&id(8)), line(&id(8), 1));
    let home = sandbox.home().join(".claude");
    let folders = [&other, &home].map(|folder| folder.to_str().unwrap().to_owned());
    let named = ["--claude-dir", &folders[0], "--claude-dir", &folders[1]];
    let first = watch(&sandbox, &own, &named);
    own.eventually_holds(&id(7), &line(&id(7), 1));
    own.eventually_holds(&id(8), &line(&id(8), 1));
    first.kill();
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    hooks.eventually_holds(ID, &line(ID, 1));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    let flushed = sandbox.run(&["sync", "flush"]);
    assert!(flushed.status.success(), "{flushed:?}");
    assert!(hooks.session(&id(7)).is_none() && hooks.session(&id(8)).is_none());
    // The next one goes on where it ended.
    append(&private, line(&id(7), 2));
    let second = watch(&sandbox, &own, &named);
    own.eventually_holds(&id(7), &lines(&id(7), 1, 2));
    second.stop();
}

/// `confab status` tells of every watch of this home.
#[test]
fn a_watch_with_its_own_configuration_is_shown() {
    let (hooks, own) = (Backend::start(), Backend::start());
    let sandbox = Sandbox::with_backend("fleet-apart-shown", &hooks);
    let one = watch(&sandbox, &own, &[]);
    let other = Watch::following(&sandbox, &[]);
    let text = sandbox.run(&["status"]).stdout;
    for pid in [one.pid(), other.pid()] {
        assert!(text.contains(&format!("following 0 sessions, process {pid}\n")), "{text}");
    }
    other.stop();
    one.stop();
}
