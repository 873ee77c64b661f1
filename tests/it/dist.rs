//! The static programs of `./build.sh dist`, each in a root that holds nothing but them: names come
//! from `/etc/hosts` and from a name server, TLS from an authority of our own.
//!
//! Run by `./build.sh dist`, as root of a network of its own, because a name server has port 53.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::json;

use crate::network::terminator::Authority;
use crate::support::sandbox::{ID, Sandbox};

const BY_FILE: &str = "file.test";
const BY_SERVER: &str = "server.test";
const LINE: &str = "{\"type\":\"user\",\"uuid\":\"1\",\"message\":{\"content\":\"hello\"}}\n";

#[test]
fn x86_64() {
    delivers_from_an_empty_root("x86_64");
}

#[test]
fn aarch64() {
    delivers_from_an_empty_root("aarch64");
}

fn delivers_from_an_empty_root(arch: &str) {
    let Some(dist) = std::env::var_os("CONFAB_DIST") else {
        eprintln!("skipped: `./build.sh dist` runs this with what it has built");
        return;
    };
    let root = Root::new(Path::new(&dist), arch);
    let name_server = UdpSocket::bind("127.0.0.1:53").expect("port 53 is ours");
    thread::spawn(move || answer_names(&name_server));
    let key = root.finishes("confab-server", &["key", "create", "--data", "/data"]);
    let (server, port) = root.serve();
    let names = format!("DNS:{BY_FILE}, DNS:{BY_SERVER}");
    let Some(authority) = Authority::new(root.sandbox.root(), &names) else { return };
    let secure = authority.terminate(port, &[]);
    for host in [BY_FILE, BY_SERVER] {
        let config = json!({
            "backend_url": format!("https://{host}:{}", secure.number()),
            "api_key": key.trim(),
            "ca_file": "/tls/authority.pem",
        });
        root.sandbox.configure(&config);
        let id = ID.replace('1', if host == BY_FILE { "1" } else { "2" });
        fs::write(root.sandbox.transcript(&id), LINE).unwrap();
        root.finishes("confab", &["save", &id]);
        root.finishes("confab", &["session", "verify", &id]);
    }
    assert!(secure.n_connections() > 0);
    drop(server);
    root.finishes("confab-server", &["check", "--data", "/data"]);
}

/// A folder that becomes `/`.
struct Root {
    sandbox: Sandbox,
    /// What a program is run by: nothing, or an emulator.
    runner: &'static [&'static str],
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Root {
    fn new(dist: &Path, arch: &str) -> Root {
        let sandbox = Sandbox::new(&format!("dist-{arch}"));
        let copy = |from: &Path, to: &str| {
            fs::copy(from, sandbox.root().join(to)).expect("a program is copied");
        };
        for program in ["confab", "confab-server"] {
            copy(&dist.join(format!("{program}-{arch}")), program);
        }
        let runner: &[&str] = if arch == std::env::consts::ARCH {
            &[]
        } else {
            copy(Path::new(&format!("/usr/bin/qemu-{arch}-static")), "emulator");
            &["/emulator"]
        };
        let etc = sandbox.root().join("etc");
        fs::create_dir(&etc).unwrap();
        fs::write(etc.join("hosts"), format!("127.0.0.1 {BY_FILE}\n")).unwrap();
        fs::write(etc.join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        Root { sandbox, runner }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command("chroot");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", "/home").env("TMPDIR", "/tmp");
        command.arg(self.sandbox.root()).args(self.runner);
        command.arg(format!("/{program}")).args(arguments);
        command
    }

    /// What it prints.
    fn finishes(&self, program: &str, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(program, arguments).output().unwrap();
        let talk = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{program} {arguments:?}: {status}: {talk}");
        String::from_utf8(stdout).unwrap()
    }

    fn serve(&self) -> (Server, u16) {
        let mut command =
            self.command("confab-server", &["serve", "--listen", "127.0.0.1:0", "--data", "/data"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap().parse().expect("a port");
        (Server(child), port)
    }
}

/// Knows one name and its one IPv4 address; whatever else is asked does not exist.
fn answer_names(socket: &UdpSocket) {
    let mut packet = [0; 512];
    while let Ok((n_bytes, client)) = socket.recv_from(&mut packet) {
        let _ = socket.send_to(&answer(&packet[..n_bytes]), client);
    }
}

/// The answer to a question of DNS, which is repeated in it.
fn answer(question: &[u8]) -> Vec<u8> {
    const HEAD_BYTES: usize = 12;
    const NO_SUCH_NAME: u8 = 3;
    let name_bytes = question[HEAD_BYTES..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let end = HEAD_BYTES + name_bytes + 4;
    let name = BY_SERVER
        .split('.')
        .flat_map(|label| [label.len() as u8].into_iter().chain(label.bytes()).collect::<Vec<_>>());
    let is_known = question[HEAD_BYTES..].starts_with(&name.collect::<Vec<_>>());
    let asks_ipv4 = question[end - 4..end] == [0, 1, 0, 1];
    let n_answers = u8::from(is_known && asks_ipv4);
    let code = if is_known { 0 } else { NO_SUCH_NAME };
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, n_answers, 0, 0, 0, 0]);
    answer.extend(&question[HEAD_BYTES..end]);
    if n_answers == 1 {
        // The name of the question, type A, class IN, a minute, four bytes.
        answer.extend([0xc0, HEAD_BYTES as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    answer
}
