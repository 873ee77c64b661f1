//! The real server as a process, and the little HTTP that reads back what it holds.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::eventually::WAIT_MAX;
use super::loopback::own_address;
use super::processes;
use super::sandbox::Sandbox;

const PROGRAM: &str = env!("CARGO_BIN_EXE_confab-server");

/// A running server with one key. It is killed when it is dropped.
pub struct Server {
    child: Child,
    address: String,
    key: String,
}

impl Server {
    /// Starts a server with fresh data in a sandbox.
    pub fn start(sandbox: &Sandbox) -> Server {
        let data = sandbox.root().join("server");
        let mut command = sandbox.command(PROGRAM);
        command.args(["key", "create", "--data"]).arg(&data);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let key = String::from_utf8(output.stdout).unwrap().trim().to_string();
        let (child, address) = serve(sandbox, &format!("{}:0", own_address()));
        Server { address, child, key }
    }

    /// For `backend_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends it as the kernel does: `kill -9`.
    #[allow(dead_code, reason = "used by chaos alone")]
    pub fn kill(&mut self) {
        processes::signal(self.child.id(), "KILL");
        let _ = self.child.wait();
    }

    /// Starts it again at the same address, unless it runs.
    #[allow(dead_code, reason = "used by chaos alone")]
    pub fn restart(&mut self, sandbox: &Sandbox) {
        if self.child.try_wait().unwrap().is_some() {
            self.child = serve(sandbox, &self.address).0;
        }
    }

    /// Panics unless everything that is stored is whole.
    #[allow(dead_code, reason = "used by chaos alone")]
    pub fn check(&self, sandbox: &Sandbox) {
        let mut command = sandbox.command(PROGRAM);
        command.args(["check", "--data"]).arg(sandbox.root().join("server"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Its API key.
    pub fn key(&self) -> String {
        self.key.clone()
    }

    /// The names of all stored files of a session; none when there is no such session.
    pub fn files(&self, external_id: &str) -> Vec<String> {
        let Some(id) = self.session_id(external_id) else { return Vec::new() };
        let body = self.get(&format!("/sessions/{id}/files")).expect("the files of a session");
        let body: Value = serde_json::from_slice(&body).unwrap();
        let files = body["files"].as_array().unwrap();
        files.iter().map(|file| file["file_name"].as_str().unwrap().to_string()).collect()
    }

    /// The lines of a stored file; none when there is no such file.
    pub fn lines(&self, external_id: &str, file_name: &str) -> Vec<String> {
        let Some(id) = self.session_id(external_id) else { return Vec::new() };
        let name = file_name.replace('/', "%2F");
        let path = format!("/sessions/{id}/files/download?file_name={name}");
        let text = String::from_utf8(self.get(&path).unwrap_or_default()).unwrap();
        text.split_terminator('\n').map(Into::into).collect()
    }

    fn session_id(&self, external_id: &str) -> Option<String> {
        let body = self.get(&format!("/sessions/by-external-id/{external_id}"))?;
        let body: Value = serde_json::from_slice(&body).unwrap();
        Some(body["session_id"].as_str().unwrap().into())
    }

    /// The body of a 200; `None` for a 404.
    fn get(&self, path: &str) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        let key = &self.key;
        let head = format!("GET /api/v1{path} HTTP/1.0\r\nAuthorization: Bearer {key}\r\n\r\n",);
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]);
        match head.split(' ').nth(1) {
            Some("200") => Some(answer.split_off(end + 4)),
            Some("404") => None,
            _ => panic!("GET {path}: {head}"),
        }
    }
}

/// Starts a server, and waits until it listens.
fn serve(sandbox: &Sandbox, address: &str) -> (Child, String) {
    let mut command = sandbox.command(PROGRAM);
    // Reading back, a test asks more often than any user.
    let patient = ["--requests-per-hour", "0", "--read-per-hour", "0"];
    command.args(["serve", "--listen", address]).args(patient);
    command.arg("--data").arg(sandbox.root().join("server"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").expect("an address");
    (child, address.into())
}

impl Drop for Server {
    fn drop(&mut self) {
        processes::signal(self.child.id(), "KILL");
        let _ = self.child.wait();
    }
}
