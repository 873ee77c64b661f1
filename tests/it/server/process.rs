//! A real `confab-server` in a folder of its own, and a client that speaks bytes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

pub use response::Response;

#[path = "response.rs"]
mod response;

/// No test waits longer for a server that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that is removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("confab-server-{}-{number}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::fs::remove_file(log_of(&self.0));
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub address: String,
    pub url: String,
    /// What it says of where its metrics are.
    pub metrics: Option<String>,
}

/// Tests ask more often than people, and under a name that says nothing.
const PATIENT: [&str; 10] = [
    "--host",
    "x",
    "--requests-per-hour",
    "0",
    "--validate-per-hour",
    "0",
    "--sync-per-hour",
    "0",
    "--read-per-hour",
    "0",
];

impl Server {
    /// Without limits on how often it is asked.
    pub fn start(data: &Path) -> Server {
        Server::start_at(data, "127.0.0.1:0")
    }

    /// The same at an address.
    pub fn start_at(data: &Path, address: &str) -> Server {
        Server::start_with(data, &[&["--listen", address], &PATIENT[..]].concat())
    }

    /// With settings as on the command line, and the defaults. What it logs is beside its folder.
    pub fn start_with(data: &Path, settings: &[&str]) -> Server {
        let arguments = [&["serve", "--listen", "127.0.0.1:0"], settings].concat();
        let mut command = command(&arguments, data);
        command.arg("--log-file").arg(log_of(data));
        Server::spawn(command, settings.contains(&"--metrics"))
    }

    /// Runs a command that becomes a server.
    pub fn spawn(mut command: Command, with_metrics: bool) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let url = line().strip_prefix("listening on ").unwrap().to_owned();
        let metrics = with_metrics.then(line);
        let (_, rest) = url.split_once("://").unwrap();
        let address = rest.split('/').next().unwrap().to_owned();
        Server { child, address, url, metrics }
    }

    /// SIGKILL: what was not written is lost.
    pub fn kill(mut self) {
        self.kill_now();
        self.child.wait().unwrap();
    }

    /// SIGKILL, without waiting.
    pub fn kill_now(&self) {
        self.send_signal("-KILL");
    }

    /// SIGTERM; true when it ended with 0.
    pub fn terminate(self) -> bool {
        self.signal();
        self.wait()
    }

    /// SIGTERM, without waiting.
    pub fn signal(&self) {
        self.send_signal("-TERM");
    }

    /// The file system as it sees it.
    pub fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.child.id()).into()
    }

    /// SIGHUP: read again what can be.
    pub fn hang_up(&self) {
        self.send_signal("-HUP");
    }

    fn send_signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for its end; true when it ended with 0.
    pub fn wait(mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// The status of `/health`; `None` when the connection is refused or cut.
    pub fn try_health(&self) -> Option<u16> {
        self.try_request("GET", "/health", &[], b"").map(|response| response.status)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Peak resident memory in KiB.
    pub fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }

    /// How much memory it needs at most while something happens, next to what it had, in KiB.
    pub fn cost_kib(&self, act: impl FnOnce()) -> u64 {
        // 5 makes the peak that of now.
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
        let before = self.peak_kib();
        act();
        // The kernel counts in batches: what is given back meanwhile may be counted later.
        self.peak_kib().saturating_sub(before)
    }

    pub fn connect(&self) -> TcpStream {
        connect(&self.address).unwrap()
    }

    /// Sends bytes and reads one response.
    pub fn raw(&self, request: &[u8]) -> Response {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        Response::read(&mut stream, false).unwrap()
    }

    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.try_request(method, path, headers, body).unwrap()
    }

    /// `None` when the server is gone before it has answered.
    fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response> {
        request_at(&self.address, method, path, headers, body)
    }

    /// Sends JSON with a key.
    pub fn post(&self, path: &str, key: &str, body: &Value) -> Response {
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        self.request("POST", path, &headers, &serde_json::to_vec(body).unwrap())
    }

    /// The same with a zstd body.
    pub fn post_packed(&self, path: &str, key: &str, packed: &[u8]) -> Response {
        let bearer = format!("Bearer {key}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("Content-Encoding", "zstd"),
        ];
        self.request("POST", path, &headers, packed)
    }

    pub fn get(&self, path: &str, key: &str) -> Response {
        let bearer = format!("Bearer {key}");
        self.request("GET", path, &[("Authorization", &bearer)], b"")
    }

    /// Opens a session and returns its id.
    pub fn session(&self, key: &str, external_id: &str) -> String {
        let body = json!({"external_id": external_id, "transcript_path": "/t.jsonl"});
        let response = self.post("/api/v1/sync/init", key, &body);
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["session_id"].as_str().unwrap().to_owned()
    }

    /// True when there is a session with this id of the agent.
    pub fn has_session(&self, key: &str, external_id: &str) -> bool {
        let id = external_id.replace('/', "%2F");
        self.get(&format!("/api/v1/sessions/by-external-id/{id}"), key).status == 200
    }

    /// The same for a name of any bytes.
    pub fn has_session_named(&self, key: &str, external_id: &str) -> bool {
        let id: String = external_id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.get(&format!("/api/v1/sessions/by-external-id/{id}"), key).status == 200
    }

    /// Appends lines to a transcript.
    pub fn append(&self, key: &str, session: &str, first_line: u64, lines: &[&str]) -> Response {
        self.try_append(key, session, first_line, lines).unwrap()
    }

    /// `None` when the server is gone before it has answered.
    pub fn try_append(
        &self,
        key: &str,
        session: &str,
        first_line: u64,
        lines: &[&str],
    ) -> Option<Response> {
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = chunk(session, first_line, lines).to_string();
        self.try_request("POST", "/api/v1/sync/chunk", &headers, body.as_bytes())
    }

    pub fn download(&self, key: &str, session: &str) -> String {
        let path = format!("/api/v1/sessions/{session}/files/download?file_name=t.jsonl");
        let response = self.get(&path, key);
        assert_eq!(response.status, 200, "{}", response.text());
        response.text()
    }
}

/// Asks whoever listens at an address; `None` when it is gone before it has answered.
pub fn request_at(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Response> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut stream = connect(address).ok()?;
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    Response::read(&mut stream, method == "HEAD")
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn chunk(session: &str, first_line: u64, lines: &[&str]) -> Value {
    json!({
        "session_id": session,
        "file_name": "t.jsonl",
        "file_type": "transcript",
        "first_line": first_line,
        "lines": lines,
    })
}

/// Where the server of a folder logs to.
pub fn log_of(data: &Path) -> PathBuf {
    data.with_extension("log")
}

/// The server's binary, its environment empty but for what it needs.
pub fn command(arguments: &[&str], data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_confab-server"));
    command.env_clear().args(arguments).arg("--data").arg(data).stdin(Stdio::null());
    command
}

/// A server on a disk of so many megabytes, its key, and where the disk is seen from here; `None`
/// where nothing can be mounted.
pub fn small_disk(folder: &Folder, megabytes: usize) -> Option<(Server, String, PathBuf)> {
    std::fs::create_dir_all(&folder.0).unwrap();
    let within = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh"]).arg(&folder.0);
        command
    };
    let mount = format!("mount -t tmpfs -o size={megabytes}m none \"$1\"");
    if !within(&mount).output().is_ok_and(|output| output.status.success()) {
        return None;
    }
    let program = env!("CARGO_BIN_EXE_confab-server");
    // The key is told through a file that can be read from outside.
    let script = format!(
        "{mount} && {program} key create --data \"$1/d\" >\"$1/key\" &&
         exec {program} serve --listen 127.0.0.1:0 --host x --data \"$1/d\" --log-file \"$1/log\" \
             --requests-per-hour 0 --sync-per-hour 0 --read-per-hour 0"
    );
    let server = Server::spawn(within(&script), false);
    let inside = server.root().join(folder.0.strip_prefix("/").unwrap());
    let key = std::fs::read_to_string(inside.join("key")).unwrap().trim().to_owned();
    Some((server, key, inside))
}

/// Takes all the space that there is on a disk.
pub fn take_all(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}

/// Makes a key of a user.
pub fn create_key(data: &Path, user: &str) -> String {
    let output = command(&["key", "create", "--user", user], data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
