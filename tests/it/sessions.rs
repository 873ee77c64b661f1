//! Sessions brought to the embedded backend and back, by the commands that people use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::fixtures;
use crate::support::sandbox::{CONFAB, Outcome, Sandbox, append, line, lines};
use crate::support::server::Server;

const ID: &str = "3f2a91c0-1111-4aaa-8bbb-0123456789ab";
const OTHER: &str = "3f2a91c0-2222-4aaa-8bbb-0123456789ab";
const SIDE: &str = "0badc0de-3333-4aaa-8bbb-0123456789ab";

/// A home that is signed in.
fn home(name: &str, server: &Server) -> Sandbox {
    let sandbox = Sandbox::new(name);
    sandbox.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
    sandbox
}

#[track_caller]
fn run(sandbox: &Sandbox, status: i32, words: &[&str]) -> Outcome {
    let outcome = sandbox.run(words);
    assert_eq!(outcome.status.code(), Some(status), "{words:?}: {outcome:?}");
    outcome
}

/// A session with a sub-agent and with a secret in it.
fn write_session(sandbox: &Sandbox, id: &str) {
    append(&sandbox.transcript(id), lines(id, 1, 40));
    let secret = ["ghp_", &"aB3dE6gH9".repeat(4)].concat();
    let text = json!({"type": "user", "cwd": sandbox.work(), "message": {"content": secret}});
    append(&sandbox.transcript(id), format!("{text}\n"));
    let agents = sandbox.project(&format!("{id}/subagents"));
    fs::create_dir_all(&agents).unwrap();
    append(&agents.join("agent-a1b2c3d4.jsonl"), lines(id, 1, 5));
}

fn all_files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    let bytes = fs::read(&path).unwrap();
                    files.push((path.strip_prefix(folder).unwrap().to_path_buf(), bytes));
                }
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_session_moves_to_a_second_home() {
    let first = Sandbox::new("restore-first");
    let server = Server::start(&first);
    first.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
    write_session(&first, ID);
    run(&first, 0, &["save", "3f2a"]);
    run(&first, 0, &["session", "verify", "3f2a91c0"]);

    let second = home("restore-second", &server);
    let work = second.work();
    let outcome = run(&second, 0, &["session", "restore", ID, "--cwd", work.to_str().unwrap()]);
    assert!(outcome.stdout.contains(&format!("claude --resume {ID}")), "{outcome:?}");
    let name = |unit: char| if unit.is_ascii_alphanumeric() { unit } else { '-' };
    let folder: String = work.canonicalize().unwrap().to_str().unwrap().chars().map(name).collect();
    let project = second.home().join(".claude/projects").join(folder);
    let restored = all_files(&project);
    let names: Vec<&Path> = restored.iter().map(|(name, _)| name.as_path()).collect();
    let agent = format!("{ID}/subagents/agent-a1b2c3d4.jsonl");
    assert_eq!(names, [Path::new(&agent), Path::new(&format!("{ID}.jsonl"))]);
    let transcript = String::from_utf8(restored[1].1.clone()).unwrap();
    assert!(transcript.contains("[REDACTED:") && transcript.starts_with(&lines(ID, 1, 40)));

    let listed = run(&second, 0, &["list"]);
    assert!(listed.stdout.contains(" all "), "{listed:?}");

    // What was restored is what the backend has: nothing is sent twice, and it can go on.
    run(&second, 0, &["session", "verify", ID]);
    run(&second, 0, &["save", ID]);
    assert_eq!(server.lines(ID, &format!("{ID}.jsonl")).len(), 41);
    append(&project.join(format!("{ID}.jsonl")), line(ID, 42));
    run(&second, 3, &["session", "verify", ID]);
    run(&second, 0, &["save", ID]);
    run(&second, 0, &["session", "verify", ID]);
    assert_eq!(server.lines(ID, &format!("{ID}.jsonl")).len(), 42);

    // A second time everything is there already, and nothing is touched.
    let before = all_files(&second.home().join(".claude"));
    let outcome = run(&second, 1, &["session", "restore", ID, "--cwd", work.to_str().unwrap()]);
    assert!(outcome.stderr.contains("exists already"), "{outcome:?}");
    assert_eq!(all_files(&second.home().join(".claude")), before);
}

#[test]
fn one_changed_byte_is_found() {
    let sandbox = Sandbox::new("verify-byte");
    let server = Server::start(&sandbox);
    sandbox.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
    write_session(&sandbox, ID);
    run(&sandbox, 0, &["save", ID]);
    let path = sandbox.transcript(ID);
    let mut bytes = fs::read(&path).unwrap();
    let at = lines(ID, 1, 6).len() + line(ID, 7).len() / 2;
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let outcome = run(&sandbox, 1, &["session", "verify", ID]);
    assert!(outcome.stdout.contains("6 lines equal; line 7 of the backend differs"), "{outcome:?}");
}

/// Every recorded session of every version, saved and compared.
#[test]
fn recorded_sessions_are_saved_and_verified() {
    let sandbox = Sandbox::new("verify-recorded");
    let server = Server::start(&sandbox);
    sandbox.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
    fixtures::recordings().iter().for_each(|name| fixtures::install(name, &sandbox.home()));
    let n_filled = fixtures::sessions(&sandbox.home().join(".claude")).len();
    let outcome = run(&sandbox, 0, &["save", "--all"]);
    assert!(outcome.stdout.ends_with(" sessions on the backend\n"), "{outcome:?}");
    let listed = run(&sandbox, 0, &["list", "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let listed = listed["sessions"].as_array().unwrap();
    assert!(listed.len() >= n_filled && n_filled > 20, "{} of {n_filled}", listed.len());
    for session in listed {
        assert!(
            ["delivered", "waiting"].contains(&session["status"].as_str().unwrap()),
            "{session}"
        );
        if session["bytes"] != 0 {
            run(&sandbox, 0, &["session", "verify", session["session"].as_str().unwrap()]);
        }
    }
}

#[test]
fn a_session_is_deleted_and_comes_back_only_when_asked_for() {
    let sandbox = Sandbox::new("delete");
    let server = Server::start(&sandbox);
    sandbox.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
    write_session(&sandbox, ID);
    run(&sandbox, 0, &["save", ID]);
    let before = all_files(&sandbox.home().join(".claude"));
    run(&sandbox, 0, &["session", "delete", ID, "--yes"]);
    assert_eq!(server.files(ID), [""; 0]);
    assert_eq!(all_files(&sandbox.home().join(".claude")), before);
    sandbox.session_start(ID);
    sandbox.prompt(ID);
    assert_eq!(sandbox.daemons(), [0; 0], "a hook must not bring it back");
    run(&sandbox, 3, &["save", ID]);
    run(&sandbox, 1, &["session", "verify", ID]);
    run(&sandbox, 0, &["save", ID, "--deleted"]);
    run(&sandbox, 0, &["session", "verify", ID]);
}

#[test]
fn one_bad_session_does_not_keep_the_others_from_being_saved() {
    let sandbox = Sandbox::new("save-bad");
    let server = Server::start(&sandbox);
    sandbox.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
    write_session(&sandbox, ID);
    write_session(&sandbox, SIDE);
    let outcome = run(&sandbox, 1, &["save", ID, OTHER, SIDE]);
    assert!(outcome.stderr.contains(OTHER), "{outcome:?}");
    for id in [ID, SIDE] {
        run(&sandbox, 0, &["session", "verify", id]);
    }
}

#[test]
fn a_session_that_a_daemon_follows_is_left_to_it() {
    let sandbox = Sandbox::new("save-followed");
    let server = Server::start(&sandbox);
    sandbox.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    sandbox.daemon();
    let outcome = run(&sandbox, 0, &["save", ID]);
    assert!(outcome.stdout.contains("sent by its daemon"), "{outcome:?}");
    sandbox.session_end(ID);
    sandbox.daemons_end();
    run(&sandbox, 0, &["session", "verify", ID]);
}

#[test]
fn files_come_below_a_folder_and_replace_nothing() {
    let sandbox = Sandbox::new("download");
    let server = Server::start(&sandbox);
    sandbox.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
    write_session(&sandbox, ID);
    run(&sandbox, 0, &["save", ID]);
    let folder = sandbox.root().join("out");
    let words = ["session", "download", ID, "--output-dir", folder.to_str().unwrap()];
    run(&sandbox, 0, &words);
    let files = all_files(&folder);
    assert_eq!(files.len(), 2);
    let main = run(&sandbox, 0, &["session", "download", ID]);
    assert_eq!(main.stdout.as_bytes(), files[0].1);
    let outcome = run(&sandbox, 1, &words);
    assert!(outcome.stderr.contains("already exists"), "{outcome:?}");
    assert_eq!(all_files(&folder), files);
}

/// Of three thousand sessions, those that are shown are opened.
#[test]
fn a_list_opens_only_what_it_shows() {
    let sandbox = Sandbox::new("list-many");
    for number in 0..3_000 {
        let id = format!("{number:08x}-1111-4aaa-8bbb-0123456789ab");
        append(&sandbox.transcript(&id), line(&id, 1));
    }
    let trace = sandbox.root().join("trace");
    let mut strace = sandbox.command("strace");
    strace.arg("-o").arg(&trace).args(["-e", "trace=openat", CONFAB, "list"]);
    let output = match strace.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => output,
        reason => return eprintln!("skipped: strace is not usable here: {reason:?}"),
    };
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 26);
    let trace = fs::read_to_string(&trace).unwrap();
    let opened = trace.lines().filter(|line| line.contains("-0123456789ab.jsonl")).count();
    assert!((25..=50).contains(&opened), "{opened} transcripts were opened");
}
