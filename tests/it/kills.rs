//! A daemon that is killed before any one of its calls that change something on the disk: whoever
//! comes next brings every line once and in order, and nothing is left behind.
//!
//! The calls are counted, and the daemon is killed, by a small library that is loaded into it
//! (`support/kill_at.c`): nothing in the program knows of it.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::parallel::each;
use crate::support::sandbox::{CONFAB, ID, Sandbox, append, line, lines};

/// A small session takes fewer steps than this, and more than that.
const STEPS_MAX: usize = 600;
const STEPS_MIN: usize = 40;
/// Two sessions do not take the same number of steps: log lines, looks that find nothing.
const STEPS_MARGIN: usize = 20;

#[test]
fn a_kill_between_any_two_changes_on_the_disk_loses_and_repeats_nothing() {
    each_step("first", |sandbox, backend, start| {
        live(sandbox, backend, Some(start));
    });
}

/// What was kept of a delivered session is taken up again: by a daemon that is killed meanwhile.
#[test]
fn a_kill_between_any_two_changes_loses_nothing_of_a_session_that_was_delivered_before() {
    each_step("second", |sandbox, backend, start| {
        live(sandbox, backend, None);
        resume(sandbox, backend, start);
    });
}

/// Starts a daemon that is to be killed.
type Start<'a> = &'a dyn Fn(&Sandbox);

/// Plays with a daemon that is killed before its first step, its second, and so on.
fn each_step(name: &str, play: impl Fn(&Sandbox, &Backend, Start<'_>) + Sync) {
    let library = library(name);
    let end = AtomicUsize::new(STEPS_MAX);
    each((1..=STEPS_MAX).collect(), |step| {
        if step > end.load(Ordering::SeqCst).saturating_add(STEPS_MARGIN) {
            return;
        }
        let backend = Backend::start();
        let sandbox = Sandbox::with_backend(&format!("kill-{name}-{step}"), &backend);
        let daemon = std::cell::Cell::new(None);
        play(&sandbox, &backend, &|sandbox| {
            daemon.set(Some(start(sandbox, &library, step)));
        });
        let mut daemon = daemon.take().expect("it was started");
        let status = daemon.wait().unwrap();
        if std::os::unix::process::ExitStatusExt::signal(&status).is_none() {
            assert!(status.success(), "{step}: {status}");
            end.fetch_min(step, Ordering::SeqCst);
        }
    });
    let end = end.into_inner();
    assert!((STEPS_MIN..STEPS_MAX).contains(&end), "{end} steps");
    fs::remove_file(library).unwrap();
}

/// A session in which files appear, grow and are rewritten.
fn live(sandbox: &Sandbox, backend: &Backend, start: Option<Start<'_>>) {
    let transcript = sandbox.transcript(ID);
    append(&transcript, lines(ID, 1, 2));
    if let Some(start) = start {
        start(sandbox);
    }
    holds(sandbox, backend, &lines(ID, 1, 2));
    append(&sandbox.project(&format!("{ID}/subagents/agent-a1b2c3d.jsonl")), lines(ID, 1, 2));
    append(&transcript, line(ID, 3));
    holds(sandbox, backend, &lines(ID, 1, 3));
    replace(&transcript, &[lines(ID, 1, 2), line(ID, 4)].concat());
    holds(sandbox, backend, &lines(ID, 1, 4));
    append(&transcript, line(ID, 5));
    end(sandbox, backend, &lines(ID, 1, 5));
}

/// The same session, taken up again, after its transcript was rewritten once more.
fn resume(sandbox: &Sandbox, backend: &Backend, start: Start<'_>) {
    let transcript = sandbox.transcript(ID);
    replace(&transcript, &[lines(ID, 1, 2), line(ID, 4), line(ID, 6)].concat());
    start(sandbox);
    holds(sandbox, backend, &lines(ID, 1, 6));
    append(&transcript, line(ID, 7));
    end(sandbox, backend, &lines(ID, 1, 7));
}

/// Waits until the backend holds this transcript; a prompt brings a daemon where there is none.
fn holds(sandbox: &Sandbox, backend: &Backend, text: &str) {
    sandbox.prompt(ID);
    eventually(&format!("{}: {} lines", sandbox.root().display(), text.lines().count()), || {
        if sandbox.daemons().is_empty() {
            sandbox.prompt(ID);
        }
        backend.transcript(ID) == text
    });
}

/// Ends the session: all is delivered, and nothing is left.
fn end(sandbox: &Sandbox, backend: &Backend, text: &str) {
    let name = sandbox.root().display();
    sandbox.session_end(ID);
    sandbox.daemons_end();
    let outcome = sandbox.run(&["sync", "flush"]);
    assert!(outcome.status.success(), "{name}: {outcome:?}");
    assert_eq!(backend.transcript(ID), text, "{name}");
    let agent = backend.lines(ID, "agent-a1b2c3d.jsonl");
    let agent: String = agent.into_iter().map(|line| line + "\n").collect();
    assert_eq!(agent, lines(ID, 1, 2), "{name}");
    assert!(!backend.session(ID).unwrap().events.is_empty(), "{name}");
    assert_eq!(sandbox.sync_files(), Vec::<String>::new(), "{name}");
}

/// Another file in the place of this one, as Claude Code does when it compacts.
fn replace(path: &Path, text: &str) {
    let aside = path.with_extension("aside");
    fs::write(&aside, text).unwrap();
    fs::rename(aside, path).unwrap();
}

/// Starts the session's daemon and waits until it holds the lock, or was killed before.
fn start(sandbox: &Sandbox, library: &Path, step: usize) -> Child {
    let mut command = sandbox.command(CONFAB);
    command.args(["daemon", "--session", ID, "--parent", "0:0", "--transcript"]);
    command.arg(sandbox.transcript(ID)).arg("--cwd").arg(sandbox.work());
    command.env("LD_PRELOAD", library).env("KILL_AT", step.to_string());
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut daemon = silent.spawn().unwrap();
    eventually("the daemon follows the session, or is killed", || {
        daemon.try_wait().unwrap().is_some() || sandbox.is_introduced(daemon.id())
    });
    daemon
}

/// Builds the library: a C compiler is here, because parts of the program are C as well.
fn library(name: &str) -> PathBuf {
    let file = format!("kill-at-{}-{name}.so", std::process::id());
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/kill_at.c");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(command.status().unwrap().success(), "cc builds {source}");
    library
}
