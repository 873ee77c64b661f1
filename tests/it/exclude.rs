//! What is excluded is never uploaded: not by its daemon, not by a flush, not by another session's
//! daemon, and not a single request is made for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::parallel::each;
use crate::support::processes;
use crate::support::sandbox::{ANSWER, ID, QUIET_ANSWER, Sandbox, append, line, lines};

const OTHER: &str = "22222222-2222-4222-8222-222222222222";

/// Writes the configuration for a backend, with something excluded.
fn exclude(sandbox: &Sandbox, backend: &Backend, entries: &[&str]) {
    sandbox.configure(&json!({
        "backend_url": backend.url(), "api_key": backend.key(), "exclude": entries,
    }));
}

/// Runs a hook in a folder of the session's.
#[track_caller]
fn hook_in(sandbox: &Sandbox, event: &str, name: &str, cwd: &Path) {
    let mut input = sandbox.input(name, ID);
    input["cwd"] = json!(cwd);
    let outcome = sandbox.hook(event, &input);
    assert!([ANSWER, QUIET_ANSWER].contains(&outcome.stdout.as_str()), "{outcome:?}");
}

fn status(sandbox: &Sandbox) -> Value {
    let outcome = sandbox.run(&["sync", "status", "--json"]);
    serde_json::from_str(&outcome.stdout).expect("JSON")
}

/// Waits for a pass that has found the session excluded, and is made after this call.
#[track_caller]
fn excluded_once_more(sandbox: &Sandbox) {
    let error = || sandbox.state(ID).map(|state| state["last_error"].clone()).unwrap_or_default();
    let before = error();
    eventually("a pass finds the session excluded", || {
        let now = error();
        now != before && now["what"].as_str().is_some_and(|what| what.contains("excluded"))
    });
}

#[test]
fn an_excluded_session_makes_no_request_and_leaves_nothing() {
    let id = format!("session:{ID}");
    let entries = ["{work}", "{root}/w?rk", "{root}/*", "**/work", "{link}", "~/../*", ID, &id];
    each(entries.into_iter().enumerate().collect(), |(number, entry)| {
        let backend = Backend::start();
        let sandbox = Sandbox::new(&format!("excluded-{number}"));
        let link = sandbox.root().join("link");
        symlink(sandbox.work(), &link).unwrap();
        let entry = entry.replace("{work}", sandbox.work().to_str().unwrap());
        let entry = entry.replace("{root}", sandbox.root().to_str().unwrap());
        let entry = entry.replace("{link}", link.to_str().unwrap());
        exclude(&sandbox, &backend, &["/nowhere", &entry]);
        append(&sandbox.transcript(ID), lines(ID, 1, 3));
        for _ in 0..2 {
            sandbox.session_start(ID);
            sandbox.prompt(ID);
            sandbox.session_end(ID);
            sandbox.daemons_end();
            let flushed = sandbox.run(&["sync", "flush"]);
            assert!(flushed.status.success(), "{entry}: {flushed:?}");
        }
        assert_eq!(backend.arrived().len(), 0, "{entry}");
        assert_eq!(sandbox.sync_files(), Vec::<String>::new(), "{entry}");
        assert!(!sandbox.confab("kept").exists(), "{entry}");
        assert_eq!(status(&sandbox)["sessions"], json!([]), "{entry}");
    });
}

/// What was left pending before the exclusion stays, and goes when the exclusion is taken back.
#[test]
fn a_pending_session_that_is_excluded_is_delivered_by_nobody() {
    let mut backend = Backend::start();
    let sandbox = Sandbox::with_backend("excluded-pending", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    // Nothing is left of a session of which no state says that anything was ever sent.
    eventually("the state says what was sent", || {
        sandbox.state(ID).is_some_and(|state| state["synced_at"].is_string())
    });
    backend.stop();
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    append(&sandbox.transcript(ID), line(ID, 2));
    exclude(&sandbox, &backend, &[ID]);
    backend.restart();
    append(&sandbox.transcript(OTHER), line(OTHER, 1));
    sandbox.session_start(OTHER);
    backend.eventually_holds(OTHER, &line(OTHER, 1));
    sandbox.session_end(OTHER);
    sandbox.daemons_end();
    assert!(sandbox.run(&["sync", "flush"]).status.success());
    assert_eq!(backend.transcript(ID), line(ID, 1));
    exclude(&sandbox, &backend, &[]);
    assert!(sandbox.run(&["sync", "flush"]).status.success());
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
}

/// The configuration is read again before every pass.
#[test]
fn a_session_that_is_excluded_while_it_runs_stops_being_sent() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("excluded-later", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    exclude(&sandbox, &backend, &[sandbox.work().to_str().unwrap()]);
    append(&sandbox.transcript(ID), line(ID, 2));
    excluded_once_more(&sandbox);
    let n_requests = backend.arrived().len();
    append(&sandbox.transcript(ID), line(ID, 3));
    excluded_once_more(&sandbox);
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(backend.arrived().len(), n_requests);
    let error = status(&sandbox)["sessions"][0]["last_error"].clone();
    assert!(error["what"].as_str().unwrap().contains("excluded"), "{error}");
    exclude(&sandbox, &backend, &[]);
    assert!(sandbox.run(&["sync", "flush"]).status.success());
    assert_eq!(backend.transcript(ID), lines(ID, 1, 3));
}

/// The transcript says where a session began, when nothing else remembers it.
#[test]
fn a_session_that_leaves_an_excluded_folder_stays_excluded() {
    let backend = Backend::start();
    let sandbox = Sandbox::new("excluded-left");
    let (secret, open) = (sandbox.root().join("secret"), sandbox.work());
    fs::create_dir(&secret).unwrap();
    exclude(&sandbox, &backend, &[secret.to_str().unwrap()]);
    hook_in(&sandbox, "session-start", "SessionStart", &secret);
    sandbox.daemons_end();
    // A mode line without a folder may come first.
    let begun = line(ID, 1).replace("\"/work\"", &json!(secret).to_string());
    append(&sandbox.transcript(ID), format!("{{\"type\":\"mode\"}}\n{begun}{}", line(ID, 2)));
    hook_in(&sandbox, "user-prompt-submit", "UserPromptSubmit", &open);
    sandbox.daemons_end();
    hook_in(&sandbox, "session-end", "SessionEnd", &open);
    sandbox.daemons_end();
    assert_eq!(backend.arrived().len(), 0);
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// What is written while a session visits an excluded folder is not sent, nor later.
#[test]
fn a_session_that_enters_an_excluded_folder_is_excluded_from_then_on() {
    let backend = Backend::start();
    let sandbox = Sandbox::new("excluded-entered");
    let secret = sandbox.root().join("secret");
    fs::create_dir(&secret).unwrap();
    exclude(&sandbox, &backend, &[secret.to_str().unwrap()]);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    hook_in(&sandbox, "user-prompt-submit", "UserPromptSubmit", &secret);
    eventually("the note is read", || {
        sandbox.state(ID).is_some_and(|state| state["cwd"] == json!(secret))
    });
    append(&sandbox.transcript(ID), line(ID, 2));
    excluded_once_more(&sandbox);
    sandbox.prompt(ID);
    eventually("the note is read", || {
        sandbox.state(ID).is_some_and(|state| state["cwd"] == json!(sandbox.work()))
    });
    excluded_once_more(&sandbox);
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert!(sandbox.run(&["sync", "flush"]).status.success());
    assert_eq!(backend.transcript(ID), line(ID, 1));
}

/// A configuration that cannot be read might have excluded the session: nothing is sent.
#[test]
fn an_unreadable_list_sends_nothing() {
    let backend = Backend::start();
    let sandbox = Sandbox::new("excluded-unreadable");
    let config = |exclude: Value| json!({ "backend_url": backend.url(), "api_key": backend.key(), "exclude": exclude });
    sandbox.configure(&config(json!({ "paths": [sandbox.work()] })));
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    eventually("the reason is shown", || {
        sandbox.state(ID).is_some_and(|state| !state["last_error"].is_null())
    });
    assert_eq!(backend.arrived().len(), 0);
    sandbox.configure(&config(json!(["clients/acme"])));
    backend.eventually_holds(ID, &line(ID, 1));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    sandbox.session_start(ID);
    eventually("an entry that excludes nothing is told", || {
        sandbox.log().contains("exclude names \"clients/acme\", which excludes nothing")
    });
}
