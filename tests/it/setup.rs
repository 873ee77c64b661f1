//! From an empty home to the first session on the backend, as a person does it at a terminal; and
//! everything away again.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::processes;
use crate::support::sandbox::{CONFAB, Sandbox, append, lines};
use crate::support::server::Server;

const ID: &str = "3f2a91c0-1111-4aaa-8bbb-0123456789ab";

/// Runs a command line in a pseudo-terminal; what is seen on it, and the exit status.
fn at_terminal(sandbox: &Sandbox, line: &str, keys: &str) -> (String, i32) {
    let stdin = sandbox.root().join("tmp/keys");
    fs::write(&stdin, keys).unwrap();
    let mut command = sandbox.command("script");
    command.args(["-q", "-e", "-c", line, "/dev/null"]).env("TERM", "xterm");
    let output = command.stdin(fs::File::open(&stdin).unwrap()).output().expect("util-linux");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap())
}

/// A port that nobody listens at.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs the hooks that are installed for an event, as Claude Code does: by a shell.
fn run_installed_hooks(sandbox: &Sandbox, event: &str) {
    let settings = fs::read(sandbox.home().join(".claude/settings.json")).unwrap();
    let settings: Value = serde_json::from_slice(&settings).unwrap();
    let input = sandbox.root().join("tmp/input");
    fs::write(&input, sandbox.input(event, ID).to_string()).unwrap();
    let groups = settings["hooks"][event].as_array().expect("the hooks of the event");
    assert!(!groups.is_empty());
    for hook in groups.iter().flat_map(|group| group["hooks"].as_array().unwrap()) {
        let mut shell = sandbox.command("/bin/sh");
        shell.arg("-c").arg(hook["command"].as_str().unwrap());
        let output = shell.stdin(fs::File::open(&input).unwrap()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_person_goes_from_nothing_to_the_first_session() {
    let sandbox = Sandbox::new("walk-through");
    fs::remove_dir_all(sandbox.home()).unwrap();
    fs::create_dir_all(sandbox.home()).unwrap();
    let url = format!("http://127.0.0.1:{}", free_port());
    let line = format!("{CONFAB} setup --local --backend-url {url}");
    let (seen, status) = at_terminal(&sandbox, &line, "");
    assert_eq!(status, 0, "{seen}");
    for part in ["confab-server is started", "signed in to", "7 hooks added", "checks are well"] {
        assert!(seen.contains(part), "{part}: {seen}");
    }

    // Once more: nothing changes.
    let before = fs::read(sandbox.confab("config.json")).unwrap();
    let (seen, status) = at_terminal(&sandbox, &format!("{CONFAB} setup --local"), "");
    assert!(status == 0 && seen.contains("already") && seen.contains("nothing to do"), "{seen}");
    assert_eq!(fs::read(sandbox.confab("config.json")).unwrap(), before);

    append_session(&sandbox);
    run_installed_hooks(&sandbox, "SessionStart");
    eventually("the session is on the backend", || {
        sandbox.run(&["session", "verify", ID]).status.success()
    });
    run_installed_hooks(&sandbox, "SessionEnd");
    sandbox.daemons_end();
    let (seen, _) = at_terminal(&sandbox, &format!("{CONFAB} list"), "");
    assert!(seen.contains("3f2a91c0") && seen.contains("all"), "{seen}");
    let other = "77777777-1111-4aaa-8bbb-0123456789ab";
    append(&sandbox.transcript(other), lines(other, 1, 2_000));
    let (seen, status) = at_terminal(&sandbox, &format!("stty cols 100; {CONFAB} save --all"), "");
    assert!(status == 0 && seen.contains("\rsaving 1 of 2"), "progress on a terminal: {seen:?}");

    // And away again, after one more question.
    let (seen, status) = at_terminal(&sandbox, &format!("{CONFAB} uninstall"), "n\n");
    assert!(status == 1 && sandbox.confab("config.json").exists(), "{seen}");
    let (seen, status) = at_terminal(&sandbox, &format!("{CONFAB} uninstall"), "y\n");
    assert_eq!(status, 0, "{seen}");
    assert!(!sandbox.confab("config.json").exists());
    assert!(!sandbox.home().join(".claude/settings.json").exists());
    assert!(sandbox.confab("server").is_dir(), "the backend's data stay");
    assert!(sandbox.transcript(ID).exists());
    for pid in processes::naming(sandbox.root()) {
        processes::signal(pid, "TERM");
    }
    eventually("the server ends", || processes::naming(sandbox.root()).is_empty());
}

fn append_session(sandbox: &Sandbox) {
    fs::create_dir_all(sandbox.transcript(ID).parent().unwrap()).unwrap();
    append(&sandbox.transcript(ID), lines(ID, 1, 5));
}

#[test]
fn a_moved_program_repairs_its_hooks() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("moved", &backend);
    assert!(sandbox.run(&["hooks", "add"]).status.success());
    let folder = sandbox.root().join("other place");
    let outcome = sandbox.run(&["install", "--dest", folder.to_str().unwrap()]);
    assert!(outcome.status.success(), "{outcome:?}");
    let moved = folder.join("confab");
    assert_eq!(fs::read(&moved).unwrap(), fs::read(CONFAB).unwrap());
    let output = sandbox.command(&moved).arg("setup").output().unwrap();
    let seen = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && seen.contains("7 hooks repaired"), "{output:?}");
    append_session(&sandbox);
    run_installed_hooks(&sandbox, "SessionStart");
    backend.eventually_holds(ID, &lines(ID, 1, 5));
    // What is running is replaced all the same.
    let outcome = sandbox.run(&["install", "--dest", folder.to_str().unwrap()]);
    assert!(outcome.stdout.contains("is there already"), "{outcome:?}");
    fs::write(folder.join("confab-server"), "old").unwrap();
    let outcome = sandbox.run(&["install", "--dest", folder.to_str().unwrap()]);
    assert!(outcome.stdout.contains("confab-server is installed"), "{outcome:?}");
    run_installed_hooks(&sandbox, "SessionEnd");
    sandbox.daemons_end();
}

#[test]
fn uninstalling_ends_daemons_once_they_have_delivered() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("uninstall-daemons", &backend);
    assert!(sandbox.run(&["hooks", "add"]).status.success());
    append_session(&sandbox);
    sandbox.session_start(ID);
    sandbox.daemon();
    append(&sandbox.transcript(ID), lines(ID, 6, 9));
    let outcome = sandbox.run(&["uninstall", "--yes"]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert!(outcome.stdout.contains("1 daemon has ended"), "{outcome:?}");
    assert_eq!(backend.transcript(ID), lines(ID, 1, 9));
    assert_eq!(sandbox.daemons(), [0; 0]);
    assert!(!sandbox.home().join(".confab").exists(), "nothing of it is left");
}

/// Whatever is asked for, the configured backend is the only address that is spoken to.
#[test]
fn no_command_speaks_to_another_host() {
    let sandbox = Sandbox::new("one-host");
    let server = Server::start(&sandbox);
    sandbox.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
    append_session(&sandbox);
    let address = server.address();
    let out = sandbox.root().join("out");
    let commands: [&[&str]; 16] = [
        &["setup"],
        &["status"],
        &["doctor"],
        &["save", "--all"],
        &["list", "--all"],
        &["session", "list-files", ID],
        &["session", "download", ID],
        &["session", "download", ID, "--output-dir", out.to_str().unwrap()],
        &["session", "get-summary", ID],
        &["session", "open", ID],
        &["session", "verify", ID],
        &["session", "restore", ID],
        &["session", "delete", ID, "--yes"],
        &["sync", "flush"],
        &["hooks", "check"],
        &["install", "--dest", out.to_str().unwrap()],
    ];
    let mut n_connections = 0;
    for words in commands {
        let trace = sandbox.root().join("trace");
        let mut strace = sandbox.command("strace");
        strace.arg("-f").arg("-o").arg(&trace).args(["-e", "trace=connect,sendto", CONFAB]);
        match strace.args(words).stdin(Stdio::null()).output() {
            Ok(_) if trace.exists() => {}
            reason => return eprintln!("skipped: strace is not usable here: {reason:?}"),
        }
        n_connections += only_to(&trace, address, words);
    }
    n_connections += daemon_connections(&sandbox, address);
    assert!(n_connections >= 10, "{n_connections} connections to the backend");
}

/// Those of hooks and of the daemon that they start.
fn daemon_connections(sandbox: &Sandbox, address: &str) -> usize {
    let id = "88888888-1111-4aaa-8bbb-0123456789ab";
    append(&sandbox.transcript(id), lines(id, 1, 5));
    let events = [("session-start", "SessionStart"), ("session-end", "SessionEnd")];
    let commands = events.map(|(event, name)| {
        let input = sandbox.root().join(event);
        fs::write(&input, sandbox.input(name, id).to_string()).unwrap();
        format!("{CONFAB} hook {event} <{}", input.display())
    });
    let trace = sandbox.root().join("trace");
    let mut strace = sandbox.command("strace");
    strace.arg("-f").arg("-o").arg(&trace).args(["-e", "trace=connect,sendto", "/bin/sh", "-c"]);
    // It ends when the daemon ends.
    assert!(strace.arg(commands.join(";")).output().unwrap().status.success());
    only_to(&trace, address, &["hook"])
}

/// How many connections there were, all of them to this address.
fn only_to(trace: &Path, address: &str, words: &[&str]) -> usize {
    let (host, port) = address.split_once(':').unwrap();
    let text = fs::read_to_string(trace).unwrap();
    let calls: Vec<&str> = text.lines().filter(|line| line.contains("connect(")).collect();
    let is_ours = |call: &&&str| {
        call.contains(&format!("sin_port=htons({port})")) && call.contains(&format!("\"{host}\""))
    };
    // A local socket, of a name service's cache say, leads nowhere.
    let leads_out = |call: &&&str| call.contains("AF_INET");
    for call in calls.iter().filter(leads_out) {
        assert!(is_ours(&call), "{words:?}: {call}");
    }
    calls.iter().filter(leads_out).count()
}

/// A shell is told what it still needs, and finds the program then.
#[test]
fn an_installed_program_is_found_by_a_shell() {
    let mut sandbox = Sandbox::new("install-path");
    sandbox.set("SHELL", "/bin/bash");
    let outcome = sandbox.run(&["install"]);
    let hint = outcome.stderr.split("put it there: ").nth(1).expect("a hint");
    let line = hint.split(", then").next().unwrap();
    let mut shell: Command = sandbox.command("/bin/sh");
    assert!(shell.arg("-c").arg(line).status().unwrap().success());
    let mut shell = sandbox.command("/bin/sh");
    let output = shell.arg("-c").arg(". ~/.bashrc; confab version").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
