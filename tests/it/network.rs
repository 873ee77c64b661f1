//! What lies between the client and its backend: TLS, proxies, redirects, answers without end, and
//! what a request may carry.

mod answers;
mod fields;
pub mod port;
mod proxy;
mod requests;
pub mod terminator;
mod tls;

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::eventually::{WAIT_MAX, within};
use crate::support::sandbox::{ID, Sandbox, append, lines};

/// A name that no resolver knows (RFC 6761), so that only a proxy can lead there.
const HOST: &str = "backend.test";

/// The config for `backend` under another address, with further entries.
fn config(backend: &Backend, url: &str, more: &Value) -> Value {
    let mut config = json!({ "backend_url": url, "api_key": backend.key() });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

/// The port of a backend on loopback.
fn port_of(backend: &Backend) -> u16 {
    let url = backend.url();
    url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("the address has a port")
}

/// A whole session, from its start to its end, arrives; nothing of it is left here.
#[track_caller]
fn delivers_whole(sandbox: &Sandbox, backend: &Backend) {
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    arrives_whole(sandbox, backend);
}

/// The same for a session of three lines that is followed already.
#[track_caller]
fn arrives_whole(sandbox: &Sandbox, backend: &Backend) {
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    append(&sandbox.transcript(ID), lines(ID, 4, 5));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 5));
    assert_eq!(backend.session(ID).unwrap().events.len(), 1);
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
    assert_eq!(backend.refused(), Vec::<String>::new());
}

/// What `sync status --json` shows as the last error of the session.
fn last_error(sandbox: &Sandbox) -> Option<String> {
    let outcome = sandbox.run(&["sync", "status", "--json"]);
    let status: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    status["sessions"][0]["last_error"]["what"].as_str().map(str::to_owned)
}

/// Starts a session of three lines and waits for the error that the status shows.
#[track_caller]
fn fails(sandbox: &Sandbox) -> String {
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    within(WAIT_MAX, "the status shows an error", || last_error(sandbox))
}
