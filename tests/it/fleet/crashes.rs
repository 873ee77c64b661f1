//! A watch that is killed, one that is stopped, and a backend that is away.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{LONG_AGO, Watch, age, holds_all, id, project};
use crate::support::backend::{Backend, Endpoint, Fault, Manner, Moment, STANDING};
use crate::support::eventually::eventually;
use crate::support::processes;
use crate::support::sandbox::{ID, Sandbox, append, line, lines};

const SESSIONS: usize = 8;

/// Old sessions and new ones, in turn.
fn history(sandbox: &Sandbox) -> Vec<(String, String)> {
    let sessions = (1..=SESSIONS).map(|number| {
        let path = project(sandbox, &format!("-p{}", number % 3), &format!("{}.jsonl", id(number)));
        let text = lines(&id(number), 1, 3 * number);
        append(&path, &text);
        if number % 2 == 0 {
            age(&path, LONG_AGO);
        }
        (id(number), text)
    });
    sessions.collect()
}

/// Asks for everything to be looked at until it is there: a request that was on its way may have
/// failed after that.
#[track_caller]
fn arrive(watch: &Watch, mut is_there: impl FnMut() -> bool) {
    eventually("it arrives", || {
        watch.signal("USR1");
        is_there()
    });
}

/// Killed at its first request, the next one at its second, and so on, before it is carried out and
/// after it.
#[test]
fn killed_at_any_request_nothing_is_missing_and_nothing_comes_twice() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-kill", &backend);
    let expected = history(&sandbox);
    let pid = Arc::new(AtomicUsize::new(0));
    let moments_left = Arc::new(AtomicUsize::new(usize::MAX));
    backend.observe({
        let (pid, moments_left) = (Arc::clone(&pid), Arc::clone(&moments_left));
        move |_, _| {
            if moments_left.fetch_sub(1, Ordering::SeqCst) == 1 {
                processes::signal(u32::try_from(pid.load(Ordering::SeqCst)).unwrap(), "KILL");
            }
        }
    });
    let mut n_killed = 0;
    loop {
        moments_left.store(usize::MAX, Ordering::SeqCst);
        let mut watch = Watch::start(&sandbox, &[]);
        pid.store(watch.pid() as usize, Ordering::SeqCst);
        moments_left.store(n_killed + 1, Ordering::SeqCst);
        let mut is_over = false;
        eventually("it is killed or done", || {
            is_over = watch.standing(&sandbox)["phase"] == "following";
            is_over || watch.child.try_wait().unwrap().is_some()
        });
        if is_over {
            break;
        }
        n_killed += 1;
    }
    assert!(n_killed > 3, "{n_killed}");
    holds_all(&backend, &expected);
    assert_eq!(backend.refused(), Vec::<String>::new());
}

#[test]
fn what_is_brought_in_waits_for_a_backend_that_is_away() {
    let mut backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-away", &backend);
    let expected = history(&sandbox);
    backend.stop();
    let watch = Watch::start(&sandbox, &[]);
    watch.is_in(&sandbox, "waiting");
    // What is added meanwhile waits with it.
    append(&sandbox.transcript(ID), line(ID, 1));
    backend.restart();
    arrive(&watch, || expected.iter().all(|(id, text)| &backend.transcript(id) == text));
    arrive(&watch, || backend.transcript(ID) == line(ID, 1));
    // While it follows, too.
    backend.stop();
    append(&sandbox.transcript(ID), line(ID, 2));
    append(&sandbox.transcript(&id(50)), line(&id(50), 1));
    watch.is_in(&sandbox, "waiting");
    backend.restart();
    arrive(&watch, || backend.transcript(ID) == lines(ID, 1, 2));
    arrive(&watch, || backend.transcript(&id(50)) == line(&id(50), 1));
    watch.stop();
    assert!(sandbox.log().matches("WARN").count() < 200);
}

/// A backend that takes reports hears what it lacks, and in the end that it lacks nothing; one that
/// does not is not asked to.
#[test]
fn a_backend_that_wants_to_know_is_told_what_it_lacks() {
    for takes_reports in [true, false] {
        let backend = Backend::start();
        let name = if takes_reports { "fleet-told" } else { "fleet-untold" };
        let sandbox = Sandbox::with_backend(name, &backend);
        if takes_reports {
            backend.take_reports();
        }
        let expected = history(&sandbox);
        let watch = Watch::following(&sandbox, &[]);
        holds_all(&backend, &expected);
        let told = || -> Vec<Value> {
            let arrived = backend.arrived();
            let told = arrived.into_iter().filter(|one| one.request.path == STANDING);
            told.map(|one| one.body).collect()
        };
        if takes_reports {
            let host = String::from_utf8(fs::read("/proc/sys/kernel/hostname").unwrap()).unwrap();
            let nothing = json!({"hostname": host.trim_end(), "waiting_sessions": 0,
                "waiting_bytes": 0, "failed_sessions": 0});
            eventually("the last word is that nothing is missing", || {
                told().last() == Some(&nothing)
            });
            assert!(told()[0]["waiting_sessions"].as_u64() <= Some(SESSIONS as u64));
            // What is written as it is followed is no news.
            let n_told = told().len();
            append(&sandbox.transcript(ID), line(ID, 1));
            backend.eventually_holds(ID, &line(ID, 1));
            watch.stop();
            assert_eq!(told().len(), n_told);
        } else {
            watch.stop();
            assert_eq!(told().len(), 0);
        }
        assert_eq!(backend.refused(), Vec::<String>::new());
    }
}

/// A backend that asks for patience is not asked more often because files grow.
#[test]
fn a_growing_file_is_no_reason_to_ask_sooner() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-patience", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    let watch = Watch::following(&sandbox, &[]);
    let headers = vec![("Retry-After".to_owned(), "3600".to_owned())];
    backend.fail_always(Endpoint::Chunk, Fault::new(Manner::Status(503, headers)));
    let before = backend.count(Endpoint::Chunk);
    append(&sandbox.transcript(ID), line(ID, 2));
    eventually("it is asked", || backend.count(Endpoint::Chunk) == before + 1);
    eventually("that is known", || watch.standing(&sandbox)["failed"] == 1);
    watch.is_in(&sandbox, "waiting");
    for number in 3..=10 {
        let slept = sleeps(watch.pid());
        append(&sandbox.transcript(ID), line(ID, number));
        eventually("it has heard of it", || sleeps(watch.pid()) != slept);
    }
    let asked = backend.arrived().into_iter().filter(|arrived| {
        arrived.endpoint == Endpoint::Chunk
            && arrived.body["file_name"].as_str() == Some(&format!("{ID}.jsonl"))
    });
    assert_eq!(asked.count(), before + 1);
    backend.heal();
    arrive(&watch, || backend.transcript(ID) == lines(ID, 1, 10));
    watch.stop();
}

/// How often all threads of a process have gone to sleep so far.
fn sleeps(pid: u32) -> u64 {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let statuses = entries.filter_map(|entry| {
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    });
    statuses.sum()
}

/// Told to stop, it sends what there is; what cannot be sent stays for the next one.
#[test]
fn stopped_it_delivers_the_rest_or_leaves_it() {
    let mut backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-stop", &backend);
    let unended = line(ID, 2).trim_end().to_owned();
    append(&sandbox.transcript(ID), line(ID, 1));
    let watch = Watch::following(&sandbox, &[]);
    append(&sandbox.transcript(ID), &unended);
    watch.stop();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2), "the last line had no end yet");
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
    append(&sandbox.transcript(ID), "\n");
    let watch = Watch::following(&sandbox, &[]);
    backend.stop();
    append(&sandbox.transcript(ID), line(ID, 3));
    eventually("it fails", || watch.standing(&sandbox)["failed"] == 1);
    watch.stop();
    backend.restart();
    let watch = Watch::following(&sandbox, &[]);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    watch.stop();
}

/// SIGTERM while much is still to be brought in ends it soon, and nothing is lost.
#[test]
fn stopped_while_it_brings_in_it_goes_on_the_next_time() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-stop-early", &backend);
    let expected = history(&sandbox);
    backend.fail(Endpoint::Chunk, Fault::new(Manner::Slow));
    let watch = Watch::start(&sandbox, &[]);
    eventually("it has begun", || backend.count(Endpoint::Init) > 0);
    watch.stop();
    let watch = Watch::following(&sandbox, &[]);
    holds_all(&backend, &expected);
    watch.stop();
}

/// What waits for the end of an interval, and has no engine, is sent when it is told to stop.
#[test]
fn stopped_it_sends_what_waits_for_its_interval() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-stop-interval", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    age(&sandbox.transcript(ID), LONG_AGO);
    let watch = Watch::following(&sandbox, &["--interval", "1h"]);
    holds_all(&backend, &[(ID.to_owned(), line(ID, 1))]);
    let slept = sleeps(watch.pid());
    append(&sandbox.transcript(ID), line(ID, 2));
    eventually("it has heard of it", || sleeps(watch.pid()) != slept);
    eventually("the loop has, too", || {
        watch.signal("USR1");
        sleeps(watch.pid()) > slept + 4
    });
    watch.stop();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
}

/// Many sessions are tried again, and the backend is slow with all of them: what is written now
/// does not wait for them.
#[test]
fn what_failed_does_not_take_all_threads() {
    let backend = Arc::new(Backend::start());
    let sandbox = Sandbox::with_backend("fleet-slow", &backend);
    let state = |number| sandbox.confab(&format!("sync/{}.json", id(number)));
    for number in 1..=SESSIONS {
        let path = sandbox.transcript(&id(number));
        append(&path, line(&id(number), 1));
        age(&path, LONG_AGO);
        // It cannot be read.
        fs::create_dir_all(state(number)).unwrap();
    }
    let watch = Watch::start(&sandbox, &[]);
    eventually("all have failed", || watch.standing(&sandbox)["failed"] == SESSIONS);
    (1..=SESSIONS).for_each(|number| fs::remove_dir(state(number)).unwrap());
    let seen = Arc::downgrade(&backend);
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    backend.observe(move |number, moment| {
        let Some(backend) = seen.upgrade().filter(|_| moment == Moment::Arrived) else { return };
        let arrived = &backend.arrived()[number - 1];
        drop(backend);
        let is_old = arrived.body["file_name"] != format!("{ID}.jsonl");
        if arrived.endpoint == Endpoint::Chunk && is_old {
            let _ = gate.lock().unwrap().recv();
        }
    });
    arrive(&watch, || backend.count(Endpoint::Chunk) >= 2);
    append(&sandbox.transcript(ID), line(ID, 1));
    eventually("what is written now arrives", || backend.transcript(ID) == line(ID, 1));
    drop(open);
    arrive(&watch, || (1..=SESSIONS).all(|number| !backend.transcript(&id(number)).is_empty()));
    watch.stop();
}
