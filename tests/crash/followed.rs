//! Two sessions that daemons of the real client follow while the server comes and goes.

use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use crate::process::Server;
use crate::support::eventually::within;
use crate::support::sandbox::{Sandbox, append, line};

const IDS: [&str; 2] =
    ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];
/// Lines that are appended to one session in a round.
const LINES_MAX: usize = 20;
/// A daemon gives up waiting for its last lines before this.
const END_MAX: Duration = Duration::from_secs(60);
/// How often what is left is asked to be delivered.
const FLUSHES_MAX: usize = 20;

/// See the module.
pub struct Followed {
    sandbox: Sandbox,
    /// Lines in each transcript.
    written: [usize; 2],
    /// Lines that were once read back.
    seen: [usize; 2],
}

impl Followed {
    /// Starts both daemons.
    pub fn start(url: &str, key: &str) -> Followed {
        let sandbox = Sandbox::new("crash");
        sandbox.configure(&json!({ "backend_url": url, "api_key": key }));
        let followed = Followed { sandbox, written: [1, 1], seen: [0, 0] };
        for id in IDS {
            append(&followed.sandbox.transcript(id), line(id, 1));
            followed.sandbox.session_start(id);
        }
        followed
    }

    /// Both sessions go on.
    pub fn append(&mut self, random: &mut Rng) {
        for (id, written) in IDS.into_iter().zip(&mut self.written) {
            let n_lines = random.usize(..LINES_MAX);
            let lines = (*written + 1..=*written + n_lines).map(|number| line(id, number));
            append(&self.sandbox.transcript(id), lines.collect::<String>());
            *written += n_lines;
        }
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.written.iter().sum()
    }

    /// What the daemons know to be acknowledged is there, and a beginning of the transcripts.
    pub fn verify(&mut self, server: &Server, key: &str) {
        for (id, seen) in IDS.into_iter().zip(&mut self.seen) {
            let state = self.sandbox.state(id).unwrap_or_default();
            let known = &state["files"][format!("{id}.jsonl")]["last_synced_line"];
            let known = known.as_u64().unwrap_or(0) as usize;
            let text = stored(server, key, id);
            let transcript = std::fs::read_to_string(self.sandbox.transcript(id)).unwrap();
            assert!(transcript.starts_with(&text), "{id} is a beginning of its transcript");
            let n_lines = text.lines().count();
            assert!(text.is_empty() || text.ends_with('\n'));
            let least = known.max(*seen);
            assert!(n_lines >= least, "{n_lines} lines of {id}, {least} were acknowledged");
            *seen = n_lines;
        }
    }

    /// Ends both sessions: in the end everything is delivered.
    pub fn finish(&mut self, server: &Server, key: &str) {
        IDS.into_iter().for_each(|id| self.sandbox.session_end(id));
        let ended = || self.sandbox.daemons().is_empty().then_some(());
        within(END_MAX, "the daemons end", ended);
        for _ in 0..FLUSHES_MAX {
            if self.sandbox.sync_files().is_empty() {
                break;
            }
            self.sandbox.run(&["sync", "flush"]);
        }
        assert_eq!(self.sandbox.sync_files(), Vec::<String>::new(), "{}", self.sandbox.log());
        for id in IDS {
            let transcript = std::fs::read_to_string(self.sandbox.transcript(id)).unwrap();
            assert_eq!(stored(server, key, id), transcript);
        }
    }
}

/// What the server has of a session; nothing while it does not know it.
fn stored(server: &Server, key: &str, id: &str) -> String {
    let found = server.get(&format!("/api/v1/sessions/by-external-id/{id}"), key);
    if found.status == 404 {
        return String::new();
    }
    let session = found.json()["session_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sessions/{session}/files/download?file_name={id}.jsonl");
    let response = server.get(&path, key);
    if response.status == 404 { String::new() } else { response.text() }
}
