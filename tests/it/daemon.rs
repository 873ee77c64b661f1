//! The life of a daemon: what it waits for, what wakes and what ends it, and that it is alone.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::support::backend::{Backend, Endpoint, Fault, Manner};
use crate::support::claude::{Claude, Looks};
use crate::support::eventually::{eventually, within};
use crate::support::processes;
use crate::support::sandbox::{ANSWER, CONFAB, ID, Sandbox, append, line, lines};

/// What a daemon has left to end in after a signal, and a machine under load some more.
const SHUTDOWN_MAX: Duration = Duration::from_secs(40);
/// A pid above all that Linux gives.
const NOBODY: u32 = 4_194_305;
const OTHER: &str = "22222222-2222-4222-8222-222222222222";

#[test]
fn a_transcript_that_appears_late_is_captured() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("late", &backend);
    sandbox.session_start(ID);
    sandbox.daemon();
    append(&sandbox.transcript(ID), line(ID, 1));
    backend.eventually_holds(ID, &line(ID, 1));
}

#[test]
fn appended_lines_follow_in_order() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("appends", &backend);
    sandbox.session_start(ID);
    for last in [1, 2, 5, 9] {
        append(&sandbox.transcript(ID), lines(ID, backend_lines(&backend) + 1, last));
        backend.eventually_holds(ID, &lines(ID, 1, last));
    }
    assert_eq!(backend.refused(), Vec::<String>::new());
}

fn backend_lines(backend: &Backend) -> usize {
    backend.transcript(ID).lines().count()
}

/// A clean end: everything is there, the event was sent once with what the hook was told, and
/// nothing of the session is left on disk.
#[test]
fn a_session_that_ends_leaves_nothing_behind() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("clean-end", &backend);
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    append(&sandbox.transcript(ID), line(ID, 4));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 4));
    let events = backend.session(ID).unwrap().events;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["event_type"], "session_end");
    let input = sandbox.input("SessionEnd", ID);
    for key in ["session_id", "transcript_path", "cwd", "hook_event_name", "reason"] {
        assert_eq!(events[0]["payload"][key], input[key], "{key}");
    }
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

#[test]
fn a_session_that_is_over_before_the_daemon_looks_is_captured() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("over-at-once", &backend);
    sandbox.session_start(ID);
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
    assert_eq!(backend.session(ID).unwrap().events.len(), 1);
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// Claude Code was seen to write its last lines just after the session-end hook.
#[test]
fn lines_written_just_after_the_end_are_captured() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("after-end", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    sandbox.session_end(ID);
    append(&sandbox.transcript(ID), line(ID, 2));
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
    assert_eq!(backend.session(ID).unwrap().events.len(), 1);
}

/// A window that is opened and left: no transcript ever appears, and nothing stays.
#[test]
fn a_session_without_a_transcript_ends_cleanly() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("no-transcript", &backend);
    sandbox.session_start(ID);
    sandbox.daemon();
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
    assert_eq!(backend.count(Endpoint::Chunk), 0);
}

#[test]
fn a_session_end_without_a_daemon_is_delivered_by_a_new_one() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("end-alone", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    append(&sandbox.transcript(ID), line(ID, 2));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
    assert_eq!(backend.session(ID).unwrap().events.len(), 1);
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

#[test]
fn sigterm_sends_what_is_there_and_ends() {
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("sigterm", &backend);
    sandbox.set("CONFAB_SYNC_INTERVAL_MS", "3600000");
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    append(&sandbox.transcript(ID), line(ID, 2));
    processes::signal(sandbox.daemon(), "TERM");
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
}

#[test]
fn sigusr1_syncs_now() {
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("sigusr1", &backend);
    sandbox.set("CONFAB_SYNC_INTERVAL_MS", "3600000");
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    append(&sandbox.transcript(ID), line(ID, 2));
    processes::signal(sandbox.daemon(), "USR1");
    backend.eventually_holds(ID, &lines(ID, 1, 2));
}

/// A prompt that arrives while the session is being ended makes it go on, but a daemon that was
/// told to stop, or whose parent died meanwhile, still ends.
#[test]
fn a_stop_while_a_session_is_being_ended_is_not_forgotten() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("stop-while-ending", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    backend.fail(Endpoint::Event, Fault::new(Manner::Hang));
    sandbox.session_end(ID);
    eventually("the end hangs", || backend.count(Endpoint::Event) == 1);
    sandbox.prompt(ID);
    append(&sandbox.transcript(ID), line(ID, 2));
    processes::signal(sandbox.daemon(), "TERM");
    backend.heal();
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
}

/// Closing the terminal must not end a daemon: its session may go on elsewhere.
#[test]
fn sighup_does_not_end_a_daemon() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("sighup", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    let daemon = sandbox.daemon();
    let first = cycles(daemon).unwrap();
    processes::signal(daemon, "HUP");
    eventually("many cycles, or the end", || cycles(daemon).is_none_or(|now| now > first + 20));
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    assert_eq!(sandbox.daemon(), daemon);
}

/// Nothing waits for a request that hangs: W-14. What was not delivered stays pending, and a flush
/// delivers it.
#[test]
fn sigterm_during_a_hanging_upload_ends_in_time_and_keeps_the_session() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("sigterm-hanging", &backend);
    backend.fail_always(Endpoint::Chunk, Fault::new(Manner::Hang));
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    eventually("the upload hangs", || backend.count(Endpoint::Chunk) == 1);
    processes::signal(sandbox.daemon(), "TERM");
    within(SHUTDOWN_MAX, "the daemon ends", || sandbox.daemons().is_empty().then_some(()));
    assert_eq!(sandbox.state(ID).expect("a state")["status"], "pending");
    backend.heal();
    let outcome = sandbox.run(&["sync", "flush"]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(backend.transcript(ID), lines(ID, 1, 3));
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// The parent is killed: what it wrote last is delivered and the daemon ends.
/// `told_pid` gives what `CLAUDE_PID` says, from what it should say.
fn check_parent_death(name: &str, looks: Looks, told_pid: impl Fn(u32) -> Option<u32>) {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend(name, &backend);
    let Some(mut claude) = Claude::start(&sandbox, looks) else {
        eprintln!("skipped: there is no node here");
        return;
    };
    claude.told_pid = told_pid(claude.pid());
    append(&sandbox.transcript(ID), line(ID, 1));
    let answer = claude.hook("session-start", &sandbox.input("SessionStart", ID));
    assert_eq!(answer, ANSWER);
    backend.eventually_holds(ID, &line(ID, 1));
    // The shell that ran the hook is gone by now and was not taken for the parent: W-09.
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    let state = sandbox.state(ID).expect("a state");
    assert_eq!(state["parent_pid"], claude.pid(), "{state}");
    append(&sandbox.transcript(ID), line(ID, 3));
    claude.kill();
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 3));
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

#[test]
fn death_of_a_native_parent_ends_the_daemon() {
    check_parent_death("native-parent", Looks::Native, |_| None);
}

#[test]
fn death_of_a_parent_named_by_claude_pid_ends_the_daemon() {
    check_parent_death("told-parent", Looks::Native, Some);
}

/// A `CLAUDE_PID` of a process that is gone, inherited from an outer session, is not believed.
#[test]
fn a_stale_claude_pid_does_not_hide_the_parent() {
    check_parent_death("stale-pid", Looks::Native, |_| Some(NOBODY));
}

#[test]
fn death_of_a_parent_under_node_ends_the_daemon() {
    check_parent_death("script-parent", Looks::Script, |_| None);
}

#[test]
fn death_of_a_parent_in_the_real_node_ends_the_daemon() {
    check_parent_death("node-parent", Looks::Node, |_| None);
}

/// `/clear` ends one session and starts the next in the same process.
#[test]
fn one_parent_may_have_several_sessions() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("several-sessions", &backend);
    let mut claude = Claude::start(&sandbox, Looks::Native).unwrap();
    for id in [ID, OTHER] {
        claude.hook("session-start", &sandbox.input("SessionStart", id));
        append(&sandbox.transcript(id), line(id, 1));
        backend.eventually_holds(id, &line(id, 1));
        claude.hook("session-end", &sandbox.input("SessionEnd", id));
    }
    sandbox.daemons_end();
    for id in [ID, OTHER] {
        assert_eq!(backend.session(id).unwrap().events.len(), 1);
    }
}

/// W-40: a session of its own, no terminal, no folder held, no descriptor of others.
#[test]
fn a_daemon_is_detached_from_everything() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("detached", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    let (input, foreign) = (sandbox.root().join("input"), sandbox.root().join("foreign"));
    fs::write(&input, sandbox.input("SessionStart", ID).to_string()).unwrap();
    fs::write(&foreign, "").unwrap();
    let mut shell = sandbox.command("/bin/sh");
    let hook = format!("exec 7<foreign 8>>foreign; {CONFAB} hook session-start <input >output");
    shell.args(["-c", &hook]).current_dir(sandbox.root()).stdin(Stdio::null());
    assert!(shell.status().unwrap().success());
    backend.eventually_holds(ID, &line(ID, 1));
    let daemon = sandbox.daemon();
    let pid = daemon.to_string();
    assert_eq!(processes::stat_field(daemon, 6), Some(pid), "it leads a session");
    assert_eq!(processes::stat_field(daemon, 7).as_deref(), Some("0"), "it has no terminal");
    let folder = fs::read_link(format!("/proc/{daemon}/cwd")).unwrap();
    assert_eq!(folder.to_str(), Some("/"));
    let descriptors = processes::descriptors(daemon);
    for (number, target) in &descriptors {
        let own = ["/dev/null", "/.confab/", "/projects/", "anon_inode:", "pipe:", "socket:"];
        assert!(own.iter().any(|part| target.contains(part)), "{number}: {target}");
    }
    for number in [1, 2] {
        assert_eq!(descriptors[number].1, "/dev/null");
    }
}

/// An idle daemon looks whether the transcript has changed; it does not read it again.
#[test]
fn an_idle_daemon_does_not_read_the_transcript() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("idle", &backend);
    let text = lines(ID, 1, 5000);
    append(&sandbox.transcript(ID), &text);
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &text);
    check_idle(&sandbox, &text);
    // Its successor may read the file once to find out where it is: W-19.
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    sandbox.prompt(ID);
    let next = [text, line(ID, 5001)].concat();
    append(&sandbox.transcript(ID), line(ID, 5001));
    backend.eventually_holds(ID, &next);
    check_idle(&sandbox, &next);
}

fn check_idle(sandbox: &Sandbox, text: &str) {
    let daemon = sandbox.daemon();
    let first = cycles(daemon).unwrap();
    let before = processes::bytes_read(daemon).unwrap();
    eventually("the daemon has woken up often", || cycles(daemon).unwrap() > first + 20);
    let read = processes::bytes_read(daemon).unwrap() - before;
    assert!(read < text.len() as u64 / 2, "{read} bytes read while nothing changed");
}

/// How often the main thread of a process has gone to sleep so far.
fn cycles(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

/// After kill -9 of a daemon that had everything, its successor sends nothing again.
#[test]
fn a_killed_daemon_is_replaced_at_the_next_prompt() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("replaced", &backend);
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    append(&sandbox.transcript(ID), line(ID, 3));
    sandbox.prompt(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    assert_eq!(backend.refused(), Vec::<String>::new());
}

/// W-06, W-13: every init carries everything, and no credentials.
#[test]
fn every_init_carries_the_whole_metadata_without_credentials() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("metadata", &backend);
    let password = ["pass", "word"].concat();
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n[remote \"origin\"]\n\
         \turl = https://me:{password}@example.org/o/r.git\n",
    );
    append(&sandbox.work().join(".git/config"), config);
    append(&sandbox.work().join(".git/HEAD"), "ref: refs/heads/trunk\n");
    for folder in ["objects", "refs/heads"] {
        fs::create_dir_all(sandbox.work().join(".git").join(folder)).unwrap();
    }
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    // A refused chunk makes the client ask again where the backend is.
    backend.fail(Endpoint::Chunk, Fault::status(500));
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    let inits = backend.session(ID).unwrap().inits;
    assert!(inits.len() > 1, "the client asked again");
    for init in inits {
        let metadata = &init["metadata"];
        assert_eq!(metadata["cwd"], json!(sandbox.work()), "{init}");
        assert_eq!(metadata["git_info"]["branch"], "trunk", "{init}");
        assert_eq!(metadata["git_info"]["repo_url"], "https://example.org/o/r.git", "{init}");
        assert!(metadata["hostname"].is_string(), "{init}");
        assert!(!init.to_string().contains(&password), "{init}");
    }
}
