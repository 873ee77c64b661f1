//! Sessions that change hands: another backend, another process, a folder that is away, and what is
//! left of an earlier end. Nothing is taken for delivered that is not.

use std::fs;

use serde_json::json;

use crate::support::backend::{Backend, Endpoint, Fault, Manner};
use crate::support::claude::{Claude, Looks};
use crate::support::eventually::{eventually, within};
use crate::support::processes;
use crate::support::sandbox::{ID, Sandbox, append, line, lines};

const OTHERS: [&str; 4] = ["aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"];

/// Another address in the configuration is another backend: it gets the whole session, and that it
/// does not know the session does not mean that somebody deleted it.
#[test]
fn another_backend_in_the_config_gets_the_whole_session() {
    let (first, second) = (Backend::start(), Backend::start());
    let sandbox = Sandbox::with_backend("other-backend", &first);
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    first.eventually_holds(ID, &lines(ID, 1, 3));
    sandbox.configure(&json!({ "backend_url": second.url(), "api_key": second.key() }));
    append(&sandbox.transcript(ID), line(ID, 4));
    second.eventually_holds(ID, &lines(ID, 1, 4));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
    assert_eq!(second.session(ID).unwrap().events.len(), 1);
}

/// A session that ended while the backend was away is resumed: it is followed, and its old end is
/// reported, too.
#[test]
fn a_session_resumed_over_an_undelivered_end_is_followed() {
    let mut backend = Backend::start();
    let sandbox = Sandbox::with_backend("resumed-over-end", &backend);
    backend.stop();
    let mut first = Claude::start(&sandbox, Looks::Native).unwrap();
    append(&sandbox.transcript(ID), line(ID, 1));
    first.hook("session-start", &sandbox.input("SessionStart", ID));
    first.hook("session-end", &sandbox.input("SessionEnd", ID));
    first.kill();
    let limit = std::time::Duration::from_secs(40);
    within(limit, "the daemon ends", || sandbox.daemons().is_empty().then_some(()));
    backend.restart();
    let mut second = Claude::start(&sandbox, Looks::Script).unwrap();
    second.hook("session-start", &sandbox.input("SessionStart", ID));
    backend.eventually_holds(ID, &line(ID, 1));
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    append(&sandbox.transcript(ID), line(ID, 3));
    second.kill();
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 3));
    assert_eq!(backend.session(ID).unwrap().events.len(), 1);
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// Two processes use one session: it is followed until both have ended.
#[test]
fn a_session_of_two_processes_is_followed_until_both_have_ended() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("two-processes", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    let mut first = Claude::start(&sandbox, Looks::Native).unwrap();
    let mut second = Claude::start(&sandbox, Looks::Script).unwrap();
    first.hook("session-start", &sandbox.input("SessionStart", ID));
    backend.eventually_holds(ID, &line(ID, 1));
    second.hook("session-start", &sandbox.input("SessionStart", ID));
    eventually("the second process is known", || {
        sandbox.state(ID).is_some_and(|state| state["parent_pid"] == second.pid())
    });
    second.hook("session-end", &sandbox.input("SessionEnd", ID));
    second.kill();
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    append(&sandbox.transcript(ID), line(ID, 3));
    first.kill();
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 3));
    assert_eq!(backend.session(ID).unwrap().events.len(), 1);
}

/// A projects folder that is away (not mounted, say) is no reason to call a session delivered.
#[test]
fn a_folder_that_is_away_keeps_the_session() {
    let mut backend = Backend::start();
    let sandbox = Sandbox::with_backend("folder-away", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    backend.stop();
    append(&sandbox.transcript(ID), line(ID, 2));
    eventually("the failure is noted", || {
        sandbox.state(ID).is_some_and(|state| !state["last_error"].is_null())
    });
    processes::signal(sandbox.daemon(), "KILL");
    eventually("the daemon is gone", || sandbox.daemons().is_empty());
    backend.restart();
    let projects = sandbox.home().join(".claude/projects");
    let away = sandbox.home().join("away");
    fs::rename(&projects, &away).unwrap();
    // The kernel frees the lock of a killed process a moment after its name is gone.
    eventually("flush gets hold of it and fails", || {
        !sandbox.run(&["sync", "flush"]).status.success()
    });
    assert!(sandbox.state(ID).is_some());
    fs::rename(&away, &projects).unwrap();
    let outcome = sandbox.run(&["sync", "flush"]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// A state file that cannot be read costs a search for the transcript.
#[test]
fn a_session_with_a_damaged_state_is_found_and_delivered() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("damaged-alone", &backend);
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    append(&sandbox.confab(&format!("sync/{ID}.json")), b"{\"version\":");
    let outcome = sandbox.run(&["sync", "flush"]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// The end of a session is reported once, also when a file of it is refused again and again, and
/// such sessions do not keep others from being delivered.
#[test]
fn refused_files_repeat_no_event_and_hold_up_no_session() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("refused-files", &backend);
    backend.fail_always(Endpoint::Chunk, Fault::new(Manner::TooManyChunks));
    for id in OTHERS {
        append(&sandbox.transcript(id), line(id, 1));
        sandbox.session_start(id);
        sandbox.session_end(id);
    }
    sandbox.daemons_end();
    for _ in 0..3 {
        assert!(!sandbox.run(&["sync", "flush"]).status.success());
    }
    for id in OTHERS {
        assert_eq!(backend.session(id).unwrap().events.len(), 1, "{id}");
    }
    backend.heal();
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    for id in OTHERS {
        backend.eventually_holds(id, &line(id, 1));
        assert_eq!(backend.session(id).unwrap().events.len(), 1, "{id}");
    }
}
