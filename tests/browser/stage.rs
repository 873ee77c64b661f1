//! A server with people and sessions, as a test needs them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::eventually::WAIT_MAX;
use crate::support::sandbox::Sandbox;

const PROGRAM: &str = env!("CARGO_BIN_EXE_confab-server");
/// Lines of one request.
const CHUNK_LINES: usize = 1000;
/// Who the sessions belong to.
pub const USER: &str = "dev@example.org";
/// What they sign in with, where they need to.
pub const PASSWORD: &str = "a long enough password";

/// A running server; killed when it is dropped.
pub struct Stage {
    sandbox: Sandbox,
    child: Child,
    address: String,
    base_path: String,
    key: String,
}

/// A file of a session that is uploaded.
pub struct File<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub lines: Vec<String>,
}

impl Stage {
    /// A server with one user, on loopback: nobody needs to sign in.
    pub fn new(name: &str) -> Stage {
        Stage::with(name, &[])
    }

    /// The same with settings.
    pub fn with(name: &str, settings: &[&str]) -> Stage {
        let sandbox = Sandbox::new(name);
        let key = ["key", "create", "--user", USER];
        let key = run(&sandbox, &key, "").trim().to_owned();
        let mut command = sandbox.command(PROGRAM);
        let patient = ["--requests-per-hour", "0", "--read-per-hour", "0"];
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(patient).args(settings);
        command.arg("--data").arg(data(&sandbox));
        let errors = fs::File::create(sandbox.root().join("log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let rest = line.trim_end().strip_prefix("listening on http://").expect("an address");
        let (address, base_path) = match rest.split_once('/') {
            Some((address, path)) => (address.to_owned(), format!("/{path}")),
            None => (rest.to_owned(), String::new()),
        };
        Stage { sandbox, child, address, base_path, key }
    }

    /// What addresses begin with, without the base path.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the page asks for, behind the base path.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }

    /// Where Claude Code would write a session of the server's own account.
    pub fn transcript(&self, id: &str) -> PathBuf {
        self.sandbox.transcript(id)
    }

    /// Adds somebody; with a password, the user has to sign in.
    pub fn add_user(&self, user: &str) {
        run(&self.sandbox, &["user", "add", "--user", user], "");
    }

    /// Gives the user a password.
    pub fn set_password(&self, user: &str) {
        run(&self.sandbox, &["user", "password", "--user", user], &format!("{PASSWORD}\n"));
    }

    /// Stores a session of these files, and returns its number.
    pub fn upload(&self, external_id: &str, folder: &str, files: &[File<'_>]) -> String {
        let opening = json!({
            "external_id": external_id,
            "transcript_path": format!("{folder}/{external_id}.jsonl"),
            "metadata": {"cwd": folder, "hostname": "workshop", "username": "dev",
                         "git_info": {"repo_url": "https://github.com/o/r.git", "branch": "main"}},
        });
        let session = self.post("/sync/init", &opening)["session_id"].as_str().unwrap().to_owned();
        for file in files {
            self.append(&session, file, 1);
        }
        session
    }

    /// Adds lines to a file, from a line on.
    pub fn append(&self, session: &str, file: &File<'_>, first: usize) {
        let said = file.lines.iter().find_map(|line| first_message(line));
        for (index, lines) in file.lines.chunks(CHUNK_LINES).enumerate() {
            let is_first = first == 1 && index == 0 && file.kind == "transcript";
            let chunk = json!({
                "session_id": session, "file_name": file.name, "file_type": file.kind,
                "first_line": first + index * CHUNK_LINES, "lines": lines,
                "metadata": {"first_user_message": said.clone().filter(|_| is_first)},
            });
            self.post("/sync/chunk", &chunk);
        }
    }

    /// Puts a session away.
    pub fn archive(&self, session: &str) {
        self.post(&format!("/sessions/{session}/archive"), &json!({"archived": true}));
    }

    /// Deletes a session.
    pub fn delete(&self, session: &str) {
        let Stage { key, base_path, address, .. } = self;
        let answer = self.exchange(&format!(
            "DELETE {base_path}/api/v1/sessions/{session} HTTP/1.1\r\nHost: {address}\r\n\
             Connection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
        ));
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let Stage { key, base_path, address, .. } = self;
        let head = format!(
            "POST {base_path}/api/v1{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = self.exchange(&format!("{head}{body}"));
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    /// Sends bytes and reads to the end.
    pub fn exchange(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn data(sandbox: &Sandbox) -> PathBuf {
    sandbox.root().join("server")
}

/// Runs a command of the server to its end.
fn run(sandbox: &Sandbox, arguments: &[&str], input: &str) -> String {
    let mut command: Command = sandbox.command(PROGRAM);
    command.args(arguments).arg("--data").arg(data(sandbox));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn first_message(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let is_said = line["type"] == "user" && line["isMeta"] != true;
    line["message"]["content"]
        .as_str()
        .filter(|_| is_said)
        .map(|text| text.chars().take(200).collect())
}

/// The lines of a recorded transcript: its case, and its file in there without the folders above.
pub fn recorded(case: &str, file: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/transcripts").join(case);
    let path = folder.join("home/.claude/projects/-home-dev-project").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    text.lines().map(Into::into).collect()
}
