//! Backends that are away, refuse, lie or forget: nothing is lost and nothing is sent twice.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::support::backend::{Backend, Endpoint, Fault, Manner, Moment};
use crate::support::eventually::{eventually, within};
use crate::support::parallel::each;
use crate::support::processes;
use crate::support::sandbox::{ID, Sandbox, append, line, lines};

/// What a daemon has left to end in after a signal, and a machine under load some more.
const SHUTDOWN_MAX: Duration = Duration::from_secs(40);
const OTHER: &str = "22222222-2222-4222-8222-222222222222";
/// A small session has fewer requests than this.
const REQUESTS_MAX: usize = 20;

#[test]
fn a_backend_that_comes_back_gets_everything() {
    let mut backend = Backend::start();
    let sandbox = Sandbox::with_backend("down-then-up", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    backend.stop();
    append(&sandbox.transcript(ID), line(ID, 2));
    eventually("the failure is noted", || {
        sandbox.state(ID).is_some_and(|state| !state["last_error"].is_null())
    });
    append(&sandbox.transcript(ID), line(ID, 3));
    backend.restart();
    backend.eventually_holds(ID, &lines(ID, 1, 3));
}

#[test]
fn a_backend_that_is_away_from_the_start_gets_everything() {
    let mut backend = Backend::start();
    let sandbox = Sandbox::with_backend("up-later", &backend);
    backend.stop();
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    eventually("the failure is noted", || {
        sandbox.state(ID).is_some_and(|state| !state["last_error"].is_null())
    });
    backend.restart();
    backend.eventually_holds(ID, &line(ID, 1));
}

/// A session that ended while the backend was away waits for the next daemon of any session.
#[test]
fn a_pending_session_is_delivered_by_the_next_daemon_of_any_session() {
    let mut backend = Backend::start();
    let sandbox = Sandbox::with_backend("pending", &backend);
    backend.stop();
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    sandbox.session_start(ID);
    sandbox.session_end(ID);
    within(SHUTDOWN_MAX, "the daemon ends", || sandbox.daemons().is_empty().then_some(()));
    assert_eq!(sandbox.state(ID).expect("a state")["status"], "pending");
    backend.restart();
    append(&sandbox.transcript(OTHER), line(OTHER, 1));
    sandbox.session_start(OTHER);
    backend.eventually_holds(OTHER, &line(OTHER, 1));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    eventually("the event is delivered, too", || backend.session(ID).unwrap().events.len() == 1);
    eventually("its state is gone", || sandbox.state(ID).is_none());
}

/// Every way to fail, at every endpoint, before and after the work is done: the session arrives
/// whole, every line once and in order, and the event at least once.
fn check_faults(endpoint: Endpoint) {
    let manners = [
        ("500", Manner::Status(500, Vec::new())),
        ("503", Manner::Status(503, Vec::new())),
        ("400", Manner::Status(400, Vec::new())),
        ("429", Manner::Status(429, vec![("retry-after".into(), "1".into())])),
        ("301", Manner::Status(301, vec![("location".into(), "/elsewhere".into())])),
        ("401", Manner::Status(401, Vec::new())),
        ("403", Manner::Status(403, Vec::new())),
        ("404", Manner::Status(404, Vec::new())),
        ("wrong-position", Manner::WrongPosition),
        ("drop", Manner::Drop),
        ("garbage", Manner::Garbage),
        ("wrong-shape", Manner::WrongShape),
        ("half", Manner::Half),
        ("empty", Manner::Empty),
        ("slow", Manner::Slow),
    ];
    let cases = manners.into_iter().flat_map(|(name, manner)| {
        [false, true].map(|stores| {
            let name = format!("fault-{endpoint:?}-{name}-{stores}");
            (name, Fault { stores, manner: manner.clone() })
        })
    });
    each(cases.collect(), |(name, fault)| check_fault(&name, endpoint, fault));
}

fn check_fault(name: &str, endpoint: Endpoint, fault: Fault) {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend(name, &backend);
    backend.fail(endpoint, fault);
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    append(&sandbox.transcript(ID), line(ID, 4));
    backend.eventually_holds(ID, &lines(ID, 1, 4));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    if sandbox.state(ID).is_some() {
        let outcome = sandbox.run(&["sync", "flush"]);
        assert!(outcome.status.success(), "{name}: {outcome:?}");
    }
    assert_eq!(backend.faults_left(), 0, "{name}: the fault has struck");
    assert_eq!(backend.transcript(ID), lines(ID, 1, 4), "{name}");
    assert!(!backend.session(ID).unwrap().events.is_empty(), "{name}");
    assert_eq!(sandbox.sync_files(), Vec::<String>::new(), "{name}");
}

#[test]
fn an_init_may_fail_in_every_way() {
    check_faults(Endpoint::Init);
}

#[test]
fn a_chunk_may_fail_in_every_way() {
    check_faults(Endpoint::Chunk);
}

#[test]
fn an_event_may_fail_in_every_way() {
    check_faults(Endpoint::Event);
}

/// Several failures in a row, then recovery, in one daemon.
#[test]
fn a_row_of_failures_does_not_end_a_daemon() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("row-of-failures", &backend);
    // Few enough that the growing waits between attempts do not take too long.
    backend.fail(Endpoint::Init, Fault::status(500));
    backend.fail(Endpoint::Chunk, Fault::new(Manner::Drop));
    backend.fail(Endpoint::Chunk, Fault::status(429));
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    sandbox.session_start(ID);
    let daemon = sandbox.daemon();
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    assert_eq!(sandbox.daemon(), daemon);
}

#[test]
fn a_new_key_in_the_config_is_found() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("new-key", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    let key = ["cfb_", &"n".repeat(40)].concat();
    backend.set_key(&key);
    append(&sandbox.transcript(ID), line(ID, 2));
    eventually("the old key is refused", || {
        backend.arrived().iter().any(|arrived| arrived.status == 401)
    });
    sandbox.configure(&json!({ "backend_url": backend.url(), "api_key": key }));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
}

/// A config that comes after the session, or is broken at first, is found, too.
#[test]
fn a_config_that_comes_late_is_found() {
    let backend = Backend::start();
    let sandbox = Sandbox::new("late-config");
    append(&sandbox.confab("config.json"), "{ broken");
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    eventually("the failure is noted", || {
        sandbox.state(ID).is_some_and(|state| !state["last_error"].is_null())
    });
    sandbox.configure(&json!({ "backend_url": backend.url(), "api_key": backend.key() }));
    backend.eventually_holds(ID, &line(ID, 1));
}

/// Three times "not found" means that the session was deleted over there. W-37: it stays deleted.
#[test]
fn a_deleted_session_is_not_resurrected() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("deleted", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    backend.fail_always(Endpoint::Chunk, Fault::status(404));
    append(&sandbox.transcript(ID), line(ID, 2));
    sandbox.daemons_end();
    assert_eq!(backend.count(Endpoint::Chunk), 4, "one stored, three not found");
    backend.heal();
    let requests = backend.arrived().len();
    append(&sandbox.transcript(ID), line(ID, 3));
    sandbox.prompt(ID);
    sandbox.daemons_end();
    let outcome = sandbox.run(&["sync", "flush"]);
    assert!(outcome.status.success(), "{outcome:?}");
    let sent = &backend.arrived()[requests..];
    let touched = sent.iter().any(|arrived| arrived.body.to_string().contains(ID));
    assert!(!touched, "the session was sent again: {sent:?}");
    assert_eq!(backend.transcript(ID), line(ID, 1));
    let status = sandbox.run(&["sync", "status"]).stdout;
    assert!(status.contains(&format!("{ID}: was deleted on the backend")), "{status}");
}

#[test]
fn two_times_not_found_are_survived() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("two-404", &backend);
    for _ in 0..2 {
        backend.fail(Endpoint::Chunk, Fault::status(404));
    }
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
}

/// kill -9 before and after any request of a small session: whoever comes next brings every line
/// once and in order.
#[test]
fn a_kill_between_any_two_requests_loses_and_repeats_nothing() {
    let numbers = 1..=REQUESTS_MAX;
    let cases = numbers.flat_map(|number| [(Moment::Arrived, number), (Moment::Stored, number)]);
    each(cases.collect(), |(moment, number)| {
        let killed = check_kill(moment, number);
        assert!(killed || number > 3, "request {number} was there");
        assert!(!killed || number < REQUESTS_MAX, "a small session has fewer requests");
    });
}

/// Kills the daemon at one request; false when the session had fewer requests than that.
fn check_kill(moment: Moment, number: usize) -> bool {
    let name = format!("kill-{moment:?}-{number}");
    let backend = Backend::start();
    let sandbox = Arc::new(Sandbox::with_backend(&name, &backend));
    let killed = Arc::new(Mutex::new(false));
    // The observer holds no strong reference: the sandbox ends with the test.
    let (weak, flag) = (Arc::downgrade(&sandbox), Arc::clone(&killed));
    backend.observe(move |at, when| {
        if let Some(sandbox) = weak.upgrade().filter(|_| at == number && when == moment) {
            *flag.lock().unwrap() = true;
            sandbox.daemons().into_iter().for_each(|pid| processes::signal(pid, "KILL"));
        }
    });
    let side = sandbox.project(&format!("{ID}/subagents/agent-a1b2c3d.jsonl"));
    let steps = |last: usize| {
        sandbox.prompt(ID);
        eventually(&format!("{name}: line {last}"), || {
            let dead = sandbox.daemons().is_empty();
            if dead {
                sandbox.prompt(ID);
            }
            backend.transcript(ID) == lines(ID, 1, last)
        });
    };
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    steps(2);
    append(&side, lines(ID, 1, 2));
    append(&sandbox.transcript(ID), line(ID, 3));
    steps(3);
    append(&sandbox.transcript(ID), line(ID, 4));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    let outcome = sandbox.run(&["sync", "flush"]);
    assert!(outcome.status.success(), "{name}: {outcome:?}");
    assert_eq!(backend.transcript(ID), lines(ID, 1, 4), "{name}");
    let agent: String =
        backend.lines(ID, "agent-a1b2c3d.jsonl").into_iter().map(|line| line + "\n").collect();
    assert_eq!(agent, lines(ID, 1, 2), "{name}");
    assert!(!backend.session(ID).unwrap().events.is_empty(), "{name}");
    assert_eq!(sandbox.sync_files(), Vec::<String>::new(), "{name}");
    *killed.lock().unwrap()
}

/// The server's word counts: what it has lost is sent again, what it has is not.
#[test]
fn a_backend_that_was_rolled_back_gets_the_lines_again() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("rolled-back", &backend);
    append(&sandbox.transcript(ID), lines(ID, 1, 5));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 5));
    backend.roll_back(ID, &format!("{ID}.jsonl"), 2);
    append(&sandbox.transcript(ID), line(ID, 6));
    backend.eventually_holds(ID, &lines(ID, 1, 6));
}

#[test]
fn a_backend_that_forgot_a_session_gets_it_again_after_a_restart() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("forgotten", &backend);
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    backend.forget();
    append(&sandbox.transcript(ID), line(ID, 3));
    sandbox.prompt(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
}

/// `Retry-After` as seconds and as a date never holds up a stop: W-14, W-47.
#[test]
fn retry_after_does_not_delay_a_stop() {
    for (name, value) in [
        ("seconds", "86400"),
        ("date", "Fri, 31 Dec 2999 23:59:59 GMT"),
        ("negative", "-5"),
        ("text", "later"),
    ] {
        let backend = Backend::start();
        let sandbox = Sandbox::with_backend(&format!("retry-after-{name}"), &backend);
        append(&sandbox.transcript(ID), line(ID, 1));
        let header = vec![("retry-after".to_string(), value.to_string())];
        backend.fail_always(Endpoint::Chunk, Fault::new(Manner::Status(429, header)));
        sandbox.session_start(ID);
        eventually("the chunk is refused", || backend.count(Endpoint::Chunk) > 0);
        backend.heal();
        sandbox.session_end(ID);
        sandbox.daemons_end();
        let outcome = sandbox.run(&["sync", "flush"]);
        assert!(outcome.status.success(), "{outcome:?}");
        assert_eq!(backend.transcript(ID), line(ID, 1));
    }
}

/// W-49: a file that is full over there is full: nobody hammers the backend with it.
#[test]
fn a_file_with_too_many_chunks_is_left_alone() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("too-many-chunks", &backend);
    backend.fail_always(Endpoint::Chunk, Fault::new(Manner::TooManyChunks));
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    eventually("the chunk is refused", || backend.count(Endpoint::Chunk) > 0);
    append(&sandbox.transcript(ID), line(ID, 2));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert!(backend.count(Endpoint::Chunk) < 10, "{}", backend.count(Endpoint::Chunk));
    assert_eq!(backend.session(ID).unwrap().events.len(), 1, "the session goes on without it");
}

/// W-17, W-22: what goes wrong with one file harms no other, and hides nothing.
#[test]
fn a_failure_of_one_file_does_not_hold_up_the_others() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("one-of-many", &backend);
    let agents = ["agent-aaaa1111.jsonl", "agent-bbbb2222.jsonl", "agent-cccc3333.jsonl"];
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    for agent in agents {
        append(&sandbox.project(&format!("{ID}/subagents/{agent}")), lines(ID, 1, 3));
    }
    backend.fail(Endpoint::Chunk, Fault::status(500));
    backend.fail(Endpoint::Chunk, Fault::new(Manner::Drop).after_storing());
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    for agent in agents {
        eventually(agent, || backend.lines(ID, agent).len() == 3);
    }
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(backend.session(ID).unwrap().files.len(), 4);
    assert_eq!(backend.refused(), Vec::<String>::new(), "no stale position was tried");
}
