//! What happens to files while they are followed.

use std::fs;
use std::process::Command;

use super::{Watch, id, project};
use crate::support::backend::{Backend, Endpoint};
use crate::support::eventually::eventually;
use crate::support::processes;
use crate::support::sandbox::{CONFAB, ID, Sandbox, append, line, lines};

#[test]
fn each_line_is_sent_as_it_is_written_in_many_sessions_at_once() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-grow", &backend);
    fs::remove_dir_all(sandbox.home().join(".claude")).unwrap();
    let watch = Watch::following(&sandbox, &[]);
    // Folder by folder, everything is new.
    for last in 1..=10 {
        for number in 1..=5 {
            let name = format!("{}.jsonl", id(number));
            append(&project(&sandbox, &format!("-p{number}"), &name), line(&id(number), last));
        }
        for number in 1..=5 {
            backend.eventually_holds(&id(number), &lines(&id(number), 1, last));
        }
    }
    watch.stop();
    assert!(backend.count(Endpoint::Chunk) >= 50);
    assert_eq!(backend.count(Endpoint::Init), 5);
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

#[test]
fn files_of_agents_are_noticed_at_any_depth() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-agents", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    let _watch = Watch::following(&sandbox, &[]);
    let folder = sandbox.project(ID).join("subagents");
    let agents = [
        ("agent-old.jsonl", sandbox.project("agent-old.jsonl")),
        ("agent-new.jsonl", folder.join("agent-new.jsonl")),
        ("agent-deep.jsonl", folder.join("a/b/agent-deep.jsonl")),
        ("agent-next.jsonl", folder.join("a/b/agent-next.jsonl")),
    ];
    for (name, path) in &agents {
        for number in 2..=3 {
            append(path, line(ID, number));
            eventually(name, || backend.lines(ID, name).len() == number - 1);
        }
    }
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
}

#[test]
fn rewriting_renaming_and_deleting_are_noticed() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-rename", &backend);
    let path = sandbox.transcript(ID);
    append(&path, lines(ID, 1, 2));
    let watch = Watch::following(&sandbox, &[]);
    // Rewritten in place: shorter, then grown again.
    fs::write(&path, "").unwrap();
    append(&path, lines(ID, 1, 3));
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    // Replaced by another file.
    let other = sandbox.root().join("other");
    fs::write(&other, lines(ID, 1, 4)).unwrap();
    fs::rename(&other, &path).unwrap();
    backend.eventually_holds(ID, &lines(ID, 1, 4));
    append(&path, line(ID, 5));
    backend.eventually_holds(ID, &lines(ID, 1, 5));
    // Moved into the folder of a worktree, which is new.
    let moved = project(&sandbox, "-work-tree", &format!("{ID}.jsonl"));
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(&path, &moved).unwrap();
    append(&moved, line(ID, 6));
    backend.eventually_holds(ID, &lines(ID, 1, 6));
    // Gone, and there again.
    fs::remove_file(&moved).unwrap();
    append(&moved, lines(ID, 1, 7));
    backend.eventually_holds(ID, &lines(ID, 1, 7));
    // The same with a session that rests and of which only its looks are known.
    watch.stop();
    let watch = Watch::following(&sandbox, &[]);
    fs::rename(&moved, &path).unwrap();
    append(&path, line(ID, 8));
    backend.eventually_holds(ID, &lines(ID, 1, 8));
    fs::write(&path, lines(ID, 1, 3) + &line(ID, 20)).unwrap();
    let expected = lines(ID, 1, 8) + &line(ID, 20);
    backend.eventually_holds(ID, &expected);
    watch.stop();
}

/// Without file events, everything is looked at now and then.
#[test]
fn without_file_events_files_are_looked_at() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-poll", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    let mut command: Command = sandbox.command("unshare");
    let script = format!("echo 0 >/proc/sys/user/max_inotify_instances && exec '{CONFAB}' watch");
    command.args(["-U", "-r", "sh", "-c", &script]);
    let mut probe = sandbox.command("unshare");
    match probe.args(["-U", "-r", "true"]).status() {
        Ok(status) if status.success() => {}
        reason => return eprintln!("skipped: no user namespaces here: {reason:?}"),
    }
    let watch = Watch::spawn(&sandbox, command);
    backend.eventually_holds(ID, &line(ID, 1));
    append(&sandbox.transcript(ID), line(ID, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    let new = project(&sandbox, "-new", &format!("{}.jsonl", id(2)));
    append(&new, line(&id(2), 1));
    backend.eventually_holds(&id(2), &line(&id(2), 1));
    fs::remove_file(&new).unwrap();
    append(&new, lines(&id(2), 1, 2));
    backend.eventually_holds(&id(2), &lines(&id(2), 1, 2));
    assert!(sandbox.log().contains("there are no file events"), "{}", sandbox.log());
    drop(watch);
}

/// The queue of events overflows while the watch stands still, and the one that counts is dropped.
#[test]
fn nothing_is_lost_when_events_are() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-overflow", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    let watch = Watch::following(&sandbox, &[]);
    watch.signal("STOP");
    eventually("it stands still", || processes::stat_field(watch.pid(), 3).as_deref() == Some("T"));
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let other = sandbox.project("other.jsonl");
    for _ in 0..=limit.trim().parse::<u32>().unwrap() / 2 {
        fs::write(&other, "").unwrap();
        fs::remove_file(&other).unwrap();
    }
    append(&sandbox.transcript(ID), line(ID, 2));
    append(&sandbox.transcript(&id(2)), line(&id(2), 1));
    watch.signal("CONT");
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    backend.eventually_holds(&id(2), &line(&id(2), 1));
}
