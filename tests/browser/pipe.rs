//! A Chromium that is told what to do over two pipes: JSON messages that end with a zero byte
//! (`--remote-debugging-pipe`; the browser reads descriptor 3 and writes descriptor 4).

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::eventually::WAIT_MAX;

/// Where distributions put it.
const PROGRAMS: [&str; 3] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/// Nothing is fetched that no page asks for.
const FLAGS: [&str; 12] = [
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--no-first-run",
    "--no-default-browser-check",
    "--lang=en-US",
];

/// The browser of this machine, if it has one.
pub fn program() -> Option<PathBuf> {
    PROGRAMS.iter().map(PathBuf::from).find(|path| path.exists())
}

/// A running browser; it ends when it is dropped.
pub struct Browser {
    child: Child,
    state: RefCell<State>,
    folder: PathBuf,
}

struct State {
    stdin: ChildStdin,
    messages: Receiver<Value>,
    next: u64,
    /// What happened, by the tab that it happened in.
    events: HashMap<String, Vec<Value>>,
}

impl Browser {
    /// Starts it with a profile of its own in a folder, which is removed at the end.
    pub fn start(program: &Path, folder: &Path) -> Browser {
        fs::create_dir_all(folder).unwrap();
        let errors = fs::File::create(folder.join("stderr")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"]);
        command.arg(program).args(FLAGS).arg(format!("--user-data-dir={}", folder.display()));
        // Its own sandbox cannot be made by root.
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.arg("--no-sandbox");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.arg("about:blank").spawn().unwrap();
        let (sender, messages) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || read_messages(BufReader::new(stdout), &sender));
        let stdin = child.stdin.take().unwrap();
        let state = State { stdin, messages, next: 0, events: HashMap::new() };
        Browser { child, state: RefCell::new(state), folder: folder.into() }
    }

    /// Asks for something and waits for the answer, or for why there is none.
    pub fn call(&self, session: &str, method: &str, parameters: Value) -> Result<Value, String> {
        let mut state = self.state.borrow_mut();
        state.next += 1;
        let id = state.next;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !session.is_empty() {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        state.stdin.write_all(&bytes).expect("the browser listens");
        let end = Instant::now() + WAIT_MAX;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let answer = state.messages.recv_timeout(left);
            let mut answer = answer.unwrap_or_else(|_| panic!("{method}: no answer"));
            if answer["id"] != id {
                state.keep(answer);
                continue;
            }
            return match answer.get("error") {
                Some(error) => Err(error.to_string()),
                None => Ok(answer["result"].take()),
            };
        }
    }

    /// What has happened in a tab since this was asked last.
    pub fn events(&self, session: &str) -> Vec<Value> {
        let mut state = self.state.borrow_mut();
        while let Ok(message) = state.messages.try_recv() {
            state.keep(message);
        }
        state.events.remove(session).unwrap_or_default()
    }
}

impl State {
    fn keep(&mut self, event: Value) {
        let session = event["sessionId"].as_str().unwrap_or_default().to_owned();
        self.events.entry(session).or_default().push(event);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Hands messages on until the browser ends.
fn read_messages(mut stdout: impl BufRead, sender: &Sender<Value>) {
    let mut bytes = Vec::new();
    while stdout.read_until(0, &mut bytes).is_ok_and(|length| length > 0) {
        let message = serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap_or(&bytes));
        bytes.clear();
        if message.is_ok_and(|message| sender.send(message).is_err()) {
            return;
        }
    }
}
