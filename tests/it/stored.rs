//! Sessions on the backend where something is in the way: daemons, old notes, silence, connections
//! that are cut, little memory.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use confab::config::Account;
use confab::remote::{Client, Network};
use confab::time::Clock;
use serde_json::json;

use crate::network::port::Port;
use crate::support::eventually::eventually;
use crate::support::http::read_request;
use crate::support::processes;
use crate::support::sandbox::{CONFAB, ID, Outcome, Sandbox, append, line, lines};
use crate::support::server::Server;

/// Bytes that a process of the client may use for data, where it handles a file of [`BIG_BYTES`].
const DATA_BYTES_MAX: usize = 24 << 20;
const BIG_BYTES: usize = 48 << 20;

/// A home that is signed in at a server of its own.
fn home(name: &str) -> (Sandbox, Server) {
    let sandbox = Sandbox::new(name);
    let server = Server::start(&sandbox);
    sandbox.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
    (sandbox, server)
}

#[track_caller]
fn run(sandbox: &Sandbox, status: i32, words: &[&str]) -> Outcome {
    let outcome = sandbox.run(words);
    assert_eq!(outcome.status.code(), Some(status), "{words:?}: {outcome:?}");
    outcome
}

fn stored(server: &Server) -> Vec<String> {
    server.lines(ID, &format!("{ID}.jsonl"))
}

/// The backend's id of the session.
fn id_there(sandbox: &Sandbox) -> String {
    let page = run(sandbox, 0, &["session", "open", ID]).stdout;
    page.trim().rsplit('/').next().unwrap().to_string()
}

#[test]
fn a_daemon_lets_go_of_a_session_that_is_deleted() {
    let (sandbox, server) = home("delete-followed");
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    eventually("the backend has the lines", || stored(&server).len() == 3);
    // By the backend's own id, too, it is known which session of this machine is meant.
    let id = id_there(&sandbox);
    run(&sandbox, 0, &["session", "delete", &id, "--yes"]);
    sandbox.daemons_end();
    append(&sandbox.transcript(ID), line(ID, 4));
    sandbox.prompt(ID);
    assert_eq!(sandbox.daemons(), [0; 0], "a hook must not bring it back");
    assert_eq!(sandbox.sync_files(), [""; 0]);
    run(&sandbox, 1, &["session", "list-files", ID]);
    let outcome = run(&sandbox, 3, &["save", ID]);
    assert!(outcome.stderr.contains("deleted"), "{outcome:?}");
    run(&sandbox, 0, &["save", ID, "--deleted"]);
    assert_eq!(stored(&server).len(), 4);
}

/// What was noted of the file that is gone must not be held against the one that is restored: it
/// is another one wherever something was redacted.
#[test]
fn a_restored_session_goes_on_behind_what_the_backend_has() {
    let (sandbox, server) = home("restore-noted");
    let secret = ["ghp_", &"aB3dE6gH9".repeat(4)].concat();
    let text = json!({"type": "user", "cwd": sandbox.work(), "message": {"content": secret}});
    append(&sandbox.transcript(ID), format!("{text}\n{}", lines(ID, 1, 5)));
    sandbox.session_start(ID);
    eventually("the backend has the lines", || stored(&server).len() == 6);
    eventually("that is noted", || {
        let state = sandbox.state(ID);
        state.is_some_and(|state| state["files"][format!("{ID}.jsonl")]["local_line"] == 6)
    });
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    fs::remove_file(sandbox.transcript(ID)).unwrap();
    run(&sandbox, 0, &["session", "restore", ID]);
    run(&sandbox, 0, &["session", "verify", ID]);
    run(&sandbox, 0, &["save", ID]);
    assert_eq!(stored(&server).len(), 6);
    let projects = sandbox.home().join(".claude/projects");
    let restored = confab::session::find_in_projects(&projects, &session_id()).unwrap();
    append(&restored, line(ID, 6));
    run(&sandbox, 3, &["session", "verify", ID]);
    run(&sandbox, 0, &["save", ID]);
    run(&sandbox, 0, &["session", "verify", ID]);
    assert_eq!(stored(&server).len(), 7);
}

fn session_id() -> confab::files::SessionId {
    confab::files::SessionId::new(ID).unwrap()
}

#[test]
fn a_session_that_is_followed_is_not_restored() {
    let (sandbox, server) = home("restore-followed");
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    eventually("the backend has the lines", || stored(&server).len() == 3);
    let other = sandbox.root().join("other");
    let words = ["session", "restore", ID, "--cwd", "/", "--claude-dir", other.to_str().unwrap()];
    let outcome = run(&sandbox, 1, &words);
    assert!(outcome.stderr.contains("is followed by a daemon"), "{outcome:?}");
    assert!(!other.exists());
}

/// A folder of the session that leads elsewhere is not followed.
#[test]
fn a_download_does_not_leave_its_folder() {
    let (sandbox, _server) = home("download-link");
    append(&sandbox.transcript(ID), line(ID, 1));
    let journal = format!("{ID}/subagents/workflows/run/journal.jsonl");
    append(&sandbox.project(&journal), "{}\n");
    run(&sandbox, 0, &["save", ID]);
    let (out, elsewhere) = (sandbox.root().join("out"), sandbox.root().join("elsewhere"));
    fs::create_dir(&out).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, out.join("subagents")).unwrap();
    run(&sandbox, 1, &["session", "download", ID, "--output-dir", out.to_str().unwrap()]);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(out.join(format!("{ID}.jsonl")).exists());
}

/// Runs the client with little memory; its output goes to a file.
#[track_caller]
fn run_small(sandbox: &Sandbox, out: &Path, words: &str) {
    let mut shell = sandbox.command("sh");
    let script = format!("ulimit -d {} && exec {CONFAB} {words}", DATA_BYTES_MAX >> 10);
    let stdout = Stdio::from(File::create(out).unwrap());
    let output = shell.args(["-c", &script]).stdout(stdout).output().unwrap();
    assert!(output.status.success(), "{words}: {output:?}");
}

#[test]
fn memory_does_not_grow_with_a_session() {
    let (sandbox, _server) = home("big");
    let one = line(ID, 1);
    append(&sandbox.transcript(ID), one.repeat(BIG_BYTES / one.len()));
    run(&sandbox, 0, &["save", ID]);
    let out = sandbox.root().join("out");
    run_small(&sandbox, &out, &format!("session verify {ID}"));
    run_small(&sandbox, &out, &format!("session download {ID}"));
    let (here, there) = (fs::read(sandbox.transcript(ID)).unwrap(), fs::read(&out).unwrap());
    assert!(here == there, "{} of {} bytes", there.len(), here.len());
    fs::remove_file(sandbox.transcript(ID)).unwrap();
    run_small(&sandbox, &out, &format!("session restore {ID} --cwd /"));
    let restored = sandbox.home().join(format!(".claude/projects/-/{ID}.jsonl"));
    assert!(fs::read(restored).unwrap() == here);
}

/// A backend that serves one session of one file; how that is sent is up to the test.
fn serve(head: &'static str, body: &'static str) -> Port {
    Port::open(move |mut stream: TcpStream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Ok(Some(request)) = read_request(&mut reader) {
            let answer = match request.path.rsplit('/').next().unwrap() {
                "files" => json!({"files": [{"file_name": format!("{ID}.jsonl"),
                    "file_type": "transcript", "last_synced_line": 2, "updated_at": ""}]}),
                name if name.starts_with("download?") => {
                    let _ = stream.write_all(format!("{head}{body}").as_bytes());
                    if head.contains("x-hang") {
                        // The client leaves.
                        let _ = reader.read_to_end(&mut Vec::new());
                    }
                    return;
                }
                _ => json!({ "session_id": ID }),
            };
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
            if stream.write_all(format!("{head}{answer}").as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// Nothing that did not come whole looks whole, however its end is told.
#[test]
fn a_connection_that_is_cut_leaves_no_file() {
    let heads = [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
    ];
    for (number, head) in heads.into_iter().enumerate() {
        let sandbox = Sandbox::new(&format!("cut-{number}"));
        let port = serve(head, "{}\n");
        let url = format!("http://127.0.0.1:{}", port.number());
        sandbox.configure(&json!({ "backend_url": url, "api_key": key() }));
        let out = sandbox.root().join("out");
        let words = ["session", "download", ID, "--output-dir", out.to_str().unwrap()];
        let outcome = run(&sandbox, 1, &words);
        assert!(outcome.stderr.contains(&format!("download {ID}.jsonl to")), "{outcome:?}");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "{head}");
        run(&sandbox, 1, &["session", "download", ID]);
        run(&sandbox, 1, &["session", "restore", ID, "--cwd", "/"]);
        let projects = sandbox.home().join(".claude/projects");
        let names: Vec<_> = fs::read_dir(projects).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "{head}: {names:?}");
    }
}

/// Whatever looks like a key will do.
fn key() -> String {
    ["cfb_", &"k".repeat(40)].concat()
}

struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

#[test]
fn a_backend_that_falls_silent_is_given_up() {
    let cases = [
        ("HTTP/1.1 200 OK\r\nx-hang: 1\r\n", ""),
        ("HTTP/1.1 200 OK\r\nx-hang: 1\r\ncontent-length: 9\r\n\r\n", "{}\n"),
    ];
    for (head, body) in cases {
        let port = serve(head, body);
        let url = format!("http://127.0.0.1:{}", port.number());
        let account = Account { url, key: key(), ca_file: None };
        let client = Client::new(&account, &Network::default(), Arc::new(RealClock)).unwrap();
        let pause_time_max = Duration::from_millis(200);
        match client.download(ID, "x", pause_time_max) {
            Err(failure) => assert!(failure.timed_out && body.is_empty(), "{failure}"),
            Ok(mut stream) => {
                let mut text = Vec::new();
                let error = stream.read_to_end(&mut text).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                assert_eq!(text, body.as_bytes());
            }
        }
    }
}
