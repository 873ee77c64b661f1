//! Who gets in, by which name, how often and through what; and what an operator sees of it.

mod answers;
mod limits;
mod names;
mod secure;
mod watch;

use serde_json::json;

use super::process::Server;
use crate::support::sandbox::{Sandbox, append, line};

/// A session with a number in place of its id.
fn session_id(number: usize) -> String {
    format!("{number:08x}-1111-4111-8111-111111111111")
}

/// A home with so many sessions of three lines, whose client uses this server.
fn home(name: &str, server: &Server, key: &str, n_sessions: usize) -> Sandbox {
    let sandbox = Sandbox::new(name);
    sandbox.configure(&json!({ "backend_url": server.url, "api_key": key }));
    for number in 0..n_sessions {
        let id = session_id(number);
        (1..=3).for_each(|number| append(&sandbox.transcript(&id), line(&id, number)));
    }
    sandbox
}
