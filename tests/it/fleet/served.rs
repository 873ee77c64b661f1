//! `confab-server serve --watch`: one command is the whole session manager.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::{id, project};
use crate::support::backend::Backend;
use crate::support::eventually::{WAIT_MAX, eventually, within};
use crate::support::processes;
use crate::support::sandbox::{Sandbox, append, line, lines};

const PROGRAM: &str = env!("CARGO_BIN_EXE_confab-server");

/// A server with a watch. It is killed when it is dropped.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(sandbox: &Sandbox, further: &[&str]) -> Served {
        let mut command = sandbox.command(PROGRAM);
        command.args(["serve", "--watch", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(sandbox.root().join("server")).args(further);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("an address");
        Served { address: address.into(), child }
    }

    /// Status and body of an answer.
    fn ask(&self, key: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.ask_with("", key, (method, path), body)
    }

    /// The same with a further line in its head.
    fn ask_with(
        &self,
        line: &str,
        key: &str,
        (method, path): (&str, &str),
        body: &str,
    ) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        let head = format!(
            "{method} /api/v1{path} HTTP/1.0\r\nAuthorization: Bearer {key}\r\nContent-Type: \
             application/json\r\n{line}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// How many lines the server has of a session.
    fn lines(&self, key: &str, session: &str) -> u64 {
        let (_, body) = self.ask(key, "GET", &format!("/sessions/by-external-id/{session}"), "");
        let Some(id) = body["session_id"].as_str() else { return 0 };
        let (_, body) = self.ask(key, "GET", &format!("/sessions/{id}/files"), "");
        body["files"][0]["last_synced_line"].as_u64().unwrap_or(0)
    }

    #[track_caller]
    fn has(&self, key: &str, session: &str, count: u64) {
        eventually(&format!("{count} lines of {session}"), || self.lines(key, session) == count);
    }

    /// Ends it as an operator does.
    #[track_caller]
    fn stop(mut self) {
        processes::signal(self.child.id(), "TERM");
        let status = within(WAIT_MAX, "the server ends", || self.child.try_wait().unwrap());
        assert!(status.success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The watches that run in a sandbox.
fn watches(sandbox: &Sandbox) -> Vec<u32> {
    let mut pids = processes::naming(sandbox.root());
    pids.retain(|pid| processes::arguments(*pid).first().is_some_and(|word| word == "watch"));
    pids
}

#[track_caller]
fn watch(sandbox: &Sandbox) -> u32 {
    within(WAIT_MAX, "one watch", || match watches(sandbox)[..] {
        [pid] => Some(pid),
        _ => None,
    })
}

/// The key of the watch, from its private configuration.
fn key(sandbox: &Sandbox) -> String {
    let path = sandbox.root().join("server/watch.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let config: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    config["api_key"].as_str().unwrap().to_owned()
}

/// A key of another user.
fn stranger(sandbox: &Sandbox) -> String {
    let mut command = sandbox.command(PROGRAM);
    command.args(["key", "create", "--user", "stranger", "--data"]);
    let output = command.arg(sandbox.root().join("server")).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn one_command_brings_in_and_follows_all_sessions() {
    let sandbox = Sandbox::new("served");
    // Whom the user sends to by hooks does not matter here, how it is redacted does.
    let secret = ["hunter", "2hunter2"].concat();
    let elsewhere = ["cfb_", &"x".repeat(40)].concat();
    sandbox.configure(&json!({
        "backend_url": "http://localhost:9", "api_key": elsewhere,
        "redaction": { "patterns": [{ "name": "own", "pattern": secret, "type": "OWN" }] },
    }));
    append(&sandbox.transcript(&id(1)), lines(&id(1), 1, 3));
    let served = Served::start(&sandbox, &[]);
    let pid = watch(&sandbox);
    let key = key(&sandbox);
    served.has(&key, &id(1), 3);
    append(&project(&sandbox, "-new", &format!("{}.jsonl", id(2))), line(&id(2), 1));
    served.has(&key, &id(2), 1);
    let tellings = [processes::arguments(pid), processes::environment(pid)].concat();
    assert!(!tellings.iter().any(|word| word.contains(&key)), "{tellings:?}");

    // One that dies is started again.
    processes::signal(pid, "KILL");
    append(&sandbox.transcript(&id(1)), line(&id(1), 4));
    served.has(&key, &id(1), 4);
    assert_ne!(watch(&sandbox), pid);

    // It ends with the server, however that ends, and the next one has the same key.
    served.stop();
    assert_eq!(watches(&sandbox), Vec::<u32>::new());
    let served = Served::start(&sandbox, &[]);
    assert_eq!(self::key(&sandbox), key);
    append(&sandbox.transcript(&id(1)), line(&id(1), 5));
    served.has(&key, &id(1), 5);
    drop(served);
    eventually("the watch ends with a server that is killed", || watches(&sandbox).is_empty());
}

#[test]
fn its_owner_sees_and_sets_what_it_does() {
    let sandbox = Sandbox::new("served-settings");
    append(&sandbox.transcript(&id(1)), line(&id(1), 1));
    let served = Served::start(&sandbox, &["--watch-user", "me@example.org"]);
    let before = watch(&sandbox);
    let (key, stranger) = (key(&sandbox), stranger(&sandbox));
    served.has(&key, &id(1), 1);
    eventually("it says what it does", || {
        let (status, state) = served.ask(&key, "POST", "/watch/sync", "{}");
        status == 202 && state["phase"] == "following" && state["pid"] == before
    });
    let nothing = json!({
        "interval": null, "folders": [], "exclude": [], "since": null, "retention_days": null,
    });
    assert_eq!(served.ask(&key, "GET", "/watch/settings", ""), (200, nothing));
    for (method, path) in [("POST", "/watch/sync"), ("GET", "/watch/settings")] {
        assert_eq!(served.ask(&stranger, method, path, "{}").0, 404);
    }
    assert_eq!(served.ask(&stranger, "PUT", "/watch/settings", "{}").0, 404);
    for bad in [r#"{"since":"1y"}"#, r#"{"folders":["x"]}"#, r#"{"unknown":1}"#, "[", "[]"] {
        assert_eq!(served.ask(&key, "PUT", "/watch/settings", bad).0, 400, "{bad}");
    }

    let other = sandbox.root().join("other");
    append(&other.join(format!("projects/-x/{}.jsonl", id(2))), line(&id(2), 1));
    append(&other.join(format!("projects/-y/{}.jsonl", id(3))), line(&id(3), 1));
    let settings = json!({
        "interval": "50ms", "folders": [&other], "exclude": [id(3)], "since": "30d",
        "retention_days": 36_500,
    });
    let (status, set) = served.ask(&key, "PUT", "/watch/settings", &settings.to_string());
    assert_eq!((status, &set), (200, &settings));
    served.has(&key, &id(2), 1);
    append(&other.join(format!("projects/-x/{}.jsonl", id(2))), line(&id(2), 2));
    served.has(&key, &id(2), 2);
    assert_eq!(served.lines(&key, &id(3)), 0);
    assert_ne!(watch(&sandbox), before);
    // Whoever comes from elsewhere cannot have further folders read.
    let from_elsewhere = |settings: &Value| {
        let line = "X-Forwarded-For: 192.0.2.1\r\n";
        served.ask_with(line, &key, ("PUT", "/watch/settings"), &settings.to_string())
    };
    assert_eq!(from_elsewhere(&settings), (200, settings.clone()));
    let mut further = settings.clone();
    further["folders"] = json!([&other, "/home/somebody/.claude"]);
    assert_eq!(from_elsewhere(&further).0, 403);
    assert_eq!(served.ask(&key, "GET", "/watch/settings", ""), (200, settings.clone()));
    served.stop();
    // It is kept.
    let served = Served::start(&sandbox, &["--watch-user", "me@example.org"]);
    assert_eq!(served.ask(&key, "GET", "/watch/settings", ""), (200, settings));
    served.stop();
}

/// What its owner wants removed for its age is not brought in again, until it goes on.
#[test]
fn what_is_too_old_goes_and_comes_back_when_it_goes_on() {
    let sandbox = Sandbox::new("served-retention");
    let (old, young) = (id(1), id(2));
    let line_of_today = |id: &str, number| {
        let now = SystemTime::now();
        line(id, number).replace("2026-02-01T10:00:00.123Z", &confab::time::rfc3339(now))
    };
    append(&sandbox.transcript(&old), lines(&old, 1, 3));
    append(&sandbox.project(&format!("{old}/subagents/agent-a.jsonl")), line(&old, 1));
    append(&sandbox.transcript(&young), lines(&young, 1, 2) + &line_of_today(&young, 3));
    let served = Served::start(&sandbox, &["--watch-user", "me@example.org"]);
    let pid = watch(&sandbox);
    let key = key(&sandbox);
    served.has(&key, &old, 3);
    served.has(&key, &young, 3);
    let is_following = |served: &Served| {
        let (_, state) = served.ask(&key, "POST", "/watch/sync", "{}");
        state["phase"] == "following"
    };
    eventually("all is brought in", || is_following(&served));
    // Time passes: nothing has arrived for a while.
    let database = rusqlite::Connection::open(sandbox.root().join("server/confab.db")).unwrap();
    database.busy_timeout(WAIT_MAX).unwrap();
    database
        .execute("UPDATE sessions SET last_sync_at = last_sync_at - 2 * 3600 * 1000000", [])
        .unwrap();
    let settings = json!({ "retention_days": 30 }).to_string();
    let (status, set) = served.ask(&key, "PUT", "/watch/settings", &settings);
    assert_eq!((status, &set["retention_days"]), (200, &json!(30)));
    served.has(&key, &old, 0);
    assert_eq!(served.lines(&key, &young), 3);
    assert_eq!(watch(&sandbox), pid, "it is no business of the watch");
    let is_known = |name: &str| {
        let (_, list) = served.ask(&key, "GET", &format!("/search?q={name}"), "");
        list["hits"].as_array().unwrap().iter().filter(|hit| hit["external_id"] == old).count()
    };
    assert_eq!(is_known("prompt"), 0);
    served.stop();

    // A watch that remembers nothing looks at all files, and has nothing to send.
    fs::remove_dir_all(sandbox.confab("watches")).unwrap();
    let served = Served::start(&sandbox, &["--watch-user", "me@example.org"]);
    watch(&sandbox);
    eventually("all was looked at", || is_following(&served));
    assert_eq!((served.lines(&key, &old), served.lines(&key, &young)), (0, 3));
    // It goes on: it is all there again.
    append(&sandbox.transcript(&old), line_of_today(&old, 4));
    served.has(&key, &old, 4);
    let (_, found) = served.ask(&key, "GET", &format!("/sessions/by-external-id/{old}"), "");
    let path = format!("/sessions/{}/files", found["session_id"].as_str().unwrap());
    eventually("its agent, too", || {
        served.ask(&key, "GET", &path, "").1["files"].as_array().unwrap().len() == 2
    });
    eventually("all is brought in", || is_following(&served));
    served.stop();
}

/// Hooks send to a backend that is away: the server has the session all the same, and what is left
/// for the hooks' backend is not touched.
#[test]
fn what_hooks_have_left_for_another_backend_stays_there() {
    let mut elsewhere = Backend::start();
    let sandbox = Sandbox::with_backend("served-apart", &elsewhere);
    append(&sandbox.transcript(&id(1)), line(&id(1), 1));
    sandbox.session_start(&id(1));
    elsewhere.eventually_holds(&id(1), &line(&id(1), 1));
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    elsewhere.stop();
    append(&sandbox.transcript(&id(1)), line(&id(1), 2));
    let before = sandbox.sync_files();
    let served = Served::start(&sandbox, &[]);
    watch(&sandbox);
    let key = key(&sandbox);
    served.has(&key, &id(1), 2);
    assert_eq!(sandbox.sync_files(), before);
    elsewhere.restart();
    sandbox.prompt(&id(1));
    elsewhere.eventually_holds(&id(1), &lines(&id(1), 1, 2));
    sandbox.session_end(&id(1));
    sandbox.daemons_end();
    assert_eq!(elsewhere.session(&id(1)).unwrap().events.len(), 1);
    served.stop();
}

/// Thousands of sessions come in at once: others are rationed, the server's own watch is not.
#[test]
fn its_own_watch_is_not_rationed() {
    let sandbox = Sandbox::new("served-many");
    for number in 1..=30 {
        append(&sandbox.transcript(&id(number)), line(&id(number), 1));
    }
    let few = ["--sync-per-hour", "1", "--sync-burst", "5", "--requests-burst", "20"];
    let served = Served::start(&sandbox, &few);
    watch(&sandbox);
    let key = key(&sandbox);
    for number in 1..=30 {
        served.has(&key, &id(number), 1);
    }
    let stranger = stranger(&sandbox);
    let init = json!({ "external_id": "x", "transcript_path": "/x" }).to_string();
    let statuses: Vec<u16> =
        (0..6).map(|_| served.ask(&stranger, "POST", "/sync/init", &init).0).collect();
    assert_eq!(statuses[5], 429, "{statuses:?}");
    served.stop();
}
