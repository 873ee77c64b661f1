//! What a hook reads, answers, starts, and leaves alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::backend::{Backend, Endpoint, Fault, Manner};
use crate::support::eventually::eventually;
use crate::support::sandbox::{ANSWER, CONFAB, ID, QUIET_ANSWER, Sandbox, append, line, lines};
use crate::support::{fixtures, processes};

/// Stands for a long prompt in a fixture.
const LONG_TEXT: &str = "@TWO_MEGABYTES@";

/// A case of `fixtures/hooks`: what goes in and what must come out.
struct Case {
    name: String,
    input: Vec<u8>,
    answer: String,
    /// The transcript that a good input names.
    transcript: PathBuf,
}

/// The cases of one event whose name starts with `kind`, for a home directory.
fn cases(event: &str, kind: &str, home: &Path) -> Vec<Case> {
    let folder = fixtures::folder().join("hooks").join(event);
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        let known = name.starts_with("good-") || name.starts_with("bad-");
        assert!(known, "{name}: a case is either good or bad");
        if path.extension().is_some_and(|extension| extension == "json") && name.starts_with(kind) {
            let input = replace(
                &fs::read(&path).unwrap(),
                b"/home/dev",
                home.as_os_str().as_encoded_bytes(),
            );
            let input = replace(&input, LONG_TEXT.as_bytes(), &vec![b'x'; 2 << 20]);
            let answer = fs::read_to_string(path.with_extension("stdout")).unwrap();
            let transcript = transcript_named(&String::from_utf8_lossy(&input));
            cases.push(Case { name: format!("{event}/{name}"), input, answer, transcript });
        }
    }
    assert!(!cases.is_empty(), "{}", folder.display());
    cases
}

/// The transcript path in a text that need not be JSON.
fn transcript_named(input: &str) -> PathBuf {
    let value = input.split_once("\"transcript_path\"").map_or("", |(_, rest)| rest);
    value.split('"').nth(1).unwrap_or_default().into()
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    [out.as_slice(), rest].concat()
}

/// Good input starts a daemon for the session, whether stdin ends behind the value or stays open.
fn check_good_inputs(event: &str) {
    for stdin_ends in [true, false] {
        let name = format!("good-{event}-{stdin_ends}");
        let sandbox = Sandbox::new(&name);
        for case in cases(event, "good-", &sandbox.home()) {
            let _ = fs::remove_dir_all(sandbox.confab("sync"));
            append(&case.transcript, "{}\n");
            let outcome = sandbox.hook_bytes(event, &case.input, stdin_ends);
            assert_eq!(outcome.stdout, case.answer, "{}", case.name);
            assert_eq!(outcome.stderr, "", "{}: stderr is no terminal", case.name);
            assert!(outcome.status.success(), "{}: {}", case.name, outcome.status);
            let what = format!("{}: something follows the session", case.name);
            eventually(&what, || !sandbox.sync_files().is_empty());
            processes::signal(sandbox.daemon(), "KILL");
            sandbox.daemons_end();
        }
    }
}

/// Bad input gets the same answer, starts nothing and leaves nothing behind.
fn check_bad_inputs(event: &str) {
    let sandbox = Sandbox::new(&format!("bad-{event}"));
    for case in cases(event, "bad-", &sandbox.home()) {
        let outcome = sandbox.hook_bytes(event, &case.input, true);
        assert_eq!(outcome.stdout, case.answer, "{}", case.name);
        assert_eq!(outcome.stderr, "", "{}: stderr is no terminal", case.name);
        assert!(outcome.status.success(), "{}: {}", case.name, outcome.status);
        assert_eq!(sandbox.sync_files(), Vec::<String>::new(), "{}", case.name);
        assert_eq!(sandbox.daemons(), Vec::<u32>::new(), "{}", case.name);
    }
}

#[test]
fn session_start_accepts_every_good_input() {
    check_good_inputs("session-start");
}

#[test]
fn session_end_accepts_every_good_input() {
    check_good_inputs("session-end");
}

#[test]
fn user_prompt_submit_accepts_every_good_input() {
    check_good_inputs("user-prompt-submit");
}

#[test]
fn session_start_survives_every_bad_input() {
    check_bad_inputs("session-start");
}

#[test]
fn session_end_survives_every_bad_input() {
    check_bad_inputs("session-end");
}

#[test]
fn user_prompt_submit_survives_every_bad_input() {
    check_bad_inputs("user-prompt-submit");
}

/// Claude Code sends `SIGTERM` after a timeout only: a hook whose stdin never says anything ends by
/// itself, with its answer.
#[test]
fn stdin_that_stays_silent_does_not_hold_a_hook() {
    let sandbox = Sandbox::new("stdin-stays-silent");
    for input in ["", "{\"session_id\":\"x"] {
        let outcome = sandbox.hook_bytes("session-start", input.as_bytes(), false);
        assert_eq!(outcome.stdout, ANSWER);
        assert!(outcome.status.success());
    }
}

/// Exit status 2 would block the user's prompt: not even a wrong command line may give it.
#[test]
fn hooks_exit_with_0_whatever_the_arguments() {
    let sandbox = Sandbox::new("arguments");
    let input = sandbox.input("SessionStart", ID);
    for arguments in [
        &["hook", "session-start", "--provider", "claude-code"][..],
        &["hook", "session-end", "--provider", "claude-code"],
        &["sync", "start"],
        &["sync", "stop"],
    ] {
        let mut command = sandbox.command(CONFAB);
        let path = sandbox.root().join("input.json");
        fs::write(&path, input.to_string()).unwrap();
        let output =
            command.args(arguments).stdin(fs::File::open(&path).unwrap()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), ANSWER, "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn two_hooks_at_once_start_one_daemon() {
    check_hooks_at_once(2);
}

#[test]
fn twenty_hooks_at_once_start_one_daemon() {
    check_hooks_at_once(20);
}

fn check_hooks_at_once(number: usize) {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend(&format!("at-once-{number}"), &backend);
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    let events = [("session-start", "SessionStart"), ("user-prompt-submit", "UserPromptSubmit")];
    let start = |at: usize| {
        let (event, name) = events[at % 2];
        let input = sandbox.input(name, ID).to_string();
        (event, sandbox.start_hook(event, input.as_bytes()))
    };
    let hooks: Vec<_> = (0..number).map(start).collect();
    for (event, hook) in hooks {
        let expected = if event == "session-start" { ANSWER } else { QUIET_ANSWER };
        assert_eq!(hook.finish().stdout, expected);
    }
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    sandbox.daemon();
    append(&sandbox.transcript(ID), line(ID, 4));
    backend.eventually_holds(ID, &lines(ID, 1, 4));
    assert_eq!(sandbox.daemons().len(), 1);
    assert_eq!(backend.refused(), Vec::<String>::new(), "nobody else sent anything");
}

/// The daemon is handed minimal fields, never the hook's input: W-08.
#[test]
fn prompt_and_secrets_reach_neither_arguments_nor_environment_nor_log() {
    let secret = ["very", "secret", "words"].join("-");
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("secrets", &backend);
    sandbox.configure(&json!({
        "backend_url": backend.url(), "api_key": backend.key(), "log_level": "debug",
    }));
    for name in ["ANTHROPIC_API_KEY", "CLAUDE_CODE_MESSAGING_TOKEN", "AWS_SECRET_ACCESS_KEY"] {
        sandbox.set(name, &secret);
    }
    sandbox.set("CLAUDECODE", "1");
    sandbox.set("CLAUDE_CODE_SESSION_ID", ID);
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    let mut input = sandbox.input("UserPromptSubmit", ID);
    input["prompt"] = secret.clone().into();
    input["tool_input"] = json!({ "command": secret });
    sandbox.hook("user-prompt-submit", &input);
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    let daemon = sandbox.daemon();
    let environment = processes::environment(daemon);
    let arguments = processes::arguments(daemon);
    for place in [environment.clone(), arguments, vec![sandbox.log()]] {
        assert!(!place.iter().any(|text| text.contains(&secret)), "{place:?}");
        assert!(!place.iter().any(|text| text.contains(&backend.key())), "{place:?}");
    }
    let claude = |text: &&String| text.starts_with("CLAUDE") && !text.contains("_DIR=");
    assert_eq!(environment.iter().find(claude), None);
    assert!(!sandbox.state(ID).unwrap().to_string().contains(&secret));
}

/// The hook of a session that ends is done while the upload still hangs.
#[test]
fn session_end_does_not_wait_for_the_backend() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("end-does-not-wait", &backend);
    backend.fail(Endpoint::Chunk, Fault::new(Manner::Hang));
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    eventually("the upload hangs", || backend.count(Endpoint::Chunk) == 1);
    sandbox.session_end(ID);
    assert_eq!(backend.transcript(ID), "", "the upload still hangs");
    backend.heal();
    backend.eventually_holds(ID, &line(ID, 1));
}

/// `CLAUDE_CONFIG_DIR`, `CONFAB_CLAUDE_DIR` and `~/.claude` may be in use side by side: W-39.
#[test]
fn transcripts_may_lie_in_any_of_the_claude_folders() {
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("claude-folders", &backend);
    let folders = ["one", "two"].map(|name| sandbox.home().join(name));
    sandbox.set("CLAUDE_CONFIG_DIR", folders[0].to_str().unwrap());
    sandbox.set("CONFAB_CLAUDE_DIR", folders[1].to_str().unwrap());
    let default = sandbox.home().join(".claude");
    for (number, folder) in folders.iter().chain([&default]).enumerate() {
        let id = format!("session-{number}");
        let path = folder.join(format!("projects/-work/{id}.jsonl"));
        append(&path, line(&id, 1));
        let mut input = sandbox.input("SessionStart", &id);
        input["transcript_path"] = path.to_str().unwrap().into();
        assert_eq!(sandbox.hook("session-start", &input).stdout, ANSWER);
        backend.eventually_holds(&id, &line(&id, 1));
    }
}

/// A process that looks like the daemon of the existing client.
struct Upstream(Child);

impl Upstream {
    fn start(sandbox: &Sandbox) -> Upstream {
        let mut command = sandbox.command("/bin/sh");
        let launch = json!({ "external_id": ID }).to_string();
        let arguments = ["read wait", "confab", "hook", "session-start", "--bg-daemon", &launch];
        command.arg("-c").args(arguments).stdin(Stdio::piped()).stdout(Stdio::null());
        Upstream(command.spawn().unwrap())
    }

    fn state(&self, sandbox: &Sandbox) -> Value {
        json!({
            "external_id": ID,
            "transcript_path": sandbox.transcript(ID),
            "cwd": sandbox.work(),
            "pid": self.0.id(),
            "inbox_path": sandbox.confab(&format!("sync/{ID}.inbox.jsonl")),
            "started_at": "2026-02-01T10:00:00.123456789+01:00",
        })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_daemon_of_the_existing_client_is_respected_while_it_lives() {
    for place in ["sync", "sync/claude-code"] {
        let backend = Backend::start();
        let name = format!("upstream-{}", place.replace('/', "-"));
        let sandbox = Sandbox::with_backend(&name, &backend);
        append(&sandbox.transcript(ID), line(ID, 1));
        let upstream = Upstream::start(&sandbox);
        let path = sandbox.confab(&format!("{place}/{ID}.json"));
        let state = upstream.state(&sandbox).to_string();
        append(&path, &state);
        sandbox.session_start(ID);
        sandbox.prompt(ID);
        assert_eq!(sandbox.daemons(), Vec::<u32>::new(), "{place}");
        assert_eq!(fs::read_to_string(&path).unwrap(), state, "{place}");
        drop(upstream);
        sandbox.prompt(ID);
        backend.eventually_holds(ID, &line(ID, 1));
    }
}

/// The end of a session that a daemon of the existing client follows is handed to that daemon.
#[test]
fn the_end_of_a_session_reaches_a_daemon_of_the_existing_client() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("upstream-end", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    let mut upstream = Upstream::start(&sandbox);
    let state = upstream.state(&sandbox).to_string();
    append(&sandbox.confab(&format!("sync/{ID}.json")), state);
    sandbox.session_end(ID);
    eventually("it is told to stop", || upstream.0.try_wait().unwrap().is_some());
    let inbox = fs::read_to_string(sandbox.confab(&format!("sync/{ID}.inbox.jsonl"))).unwrap();
    // That daemon takes the last line that it understands.
    let last = inbox.lines().last().expect("a line");
    let note: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(note["type"], "session_end");
    assert_eq!(note["hook_input"]["session_id"], ID);
    assert_eq!(note["hook_input"]["reason"], "other");
}

/// A recycled pid in a state file is nobody of ours: W-11.
#[test]
fn a_state_file_whose_pid_is_someone_else_stops_nothing() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("recycled-pid", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    let mut bystander = sandbox.command("/bin/sh");
    bystander.args(["-c", "read wait"]).stdin(Stdio::piped());
    let mut bystander = bystander.spawn().unwrap();
    let state = json!({ "external_id": ID, "transcript_path": sandbox.transcript(ID), "cwd": "/",
        "pid": bystander.id(), "inbox_path": "", "started_at": "2026-02-01T10:00:00Z" });
    append(&sandbox.confab(&format!("sync/{ID}.json")), state.to_string());
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(bystander.try_wait().unwrap(), None, "the bystander was left alone");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

/// A damaged or foreign state file costs a question to the backend, never a crash and never data.
#[test]
fn damaged_files_of_ours_do_not_stop_a_session() {
    let kinds: [(&str, &[u8]); 6] = [
        ("empty", b""),
        ("garbage", b"\xff\xfe\x00 not json"),
        ("array", b"[1,2,3]"),
        ("wrong-types", b"{\"version\":\"x\",\"files\":[],\"pid\":\"y\"}"),
        ("future", b"{\"version\":999,\"files\":{\"a\":{}}}"),
        ("cut", b"{\"external_id\":\"1111"),
    ];
    for (kind, bytes) in kinds {
        let backend = Backend::start();
        let sandbox = Sandbox::with_backend(&format!("damaged-{kind}"), &backend);
        append(&sandbox.transcript(ID), lines(ID, 1, 2));
        for suffix in ["json", "inbox.jsonl", "lock"] {
            append(&sandbox.confab(&format!("sync/{ID}.{suffix}")), bytes);
        }
        sandbox.session_start(ID);
        backend.eventually_holds(ID, &lines(ID, 1, 2));
        sandbox.session_end(ID);
        sandbox.daemons_end();
        assert_eq!(sandbox.sync_files(), Vec::<String>::new(), "{kind}");
    }
}

/// The hook itself: no network, no transcript, no config, no writing outside its own folder.
#[test]
fn a_hook_touches_nothing_but_its_own_folder() {
    let sandbox = Sandbox::new("strace");
    append(&sandbox.transcript(ID), line(ID, 1));
    let trace = sandbox.root().join("trace");
    let input = sandbox.root().join("input.json");
    for (event, name) in [("session-start", "SessionStart"), ("session-end", "SessionEnd")] {
        fs::write(&input, sandbox.input(name, ID).to_string()).unwrap();
        let mut strace: Command = sandbox.command("strace");
        strace.arg("-o").arg(&trace).args(["-e", "trace=network,file,write"]);
        strace.args([CONFAB, "hook", event]).stdin(fs::File::open(&input).unwrap());
        match strace.output() {
            Ok(output) if output.status.success() => {}
            reason => {
                eprintln!("skipped: strace is not usable here: {reason:?}");
                return;
            }
        }
        for call in fs::read_to_string(&trace).unwrap().lines() {
            assert!(!call.starts_with("connect(") && !call.starts_with("socket("), "{call}");
            assert!(!call.contains(".jsonl\", O_RDONLY"), "no transcript: {call}");
            assert!(!call.contains("config.json"), "no config: {call}");
            let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "rename", "unlink", "mkdir", "chmod"];
            let inside = call.contains("/.confab/") || call.contains("/.confab\"");
            let own = inside || call.contains("/dev/null");
            assert!(own || !writes.iter().any(|word| call.contains(word)), "{call}");
        }
    }
}
