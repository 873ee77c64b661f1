//! The static programs of `./build.sh dist`, each in a root that holds nothing but them and what
//! comes with any kernel: `/proc` and `/dev/urandom`. Names come from `/etc/hosts` and from a name
//! server, TLS from an authority of our own.
//!
//! Run by `./build.sh dist`, as root of a network of its own, because a name server has port 53.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::json;

use crate::network::terminator::Authority;
use crate::support::sandbox::{ID, Sandbox};

const BY_FILE: &str = "file.test";
const BY_SERVER: &str = "server.test";
const LINE: &str = "{\"type\":\"user\",\"uuid\":\"1\",\"message\":{\"content\":\"hello\"}}\n";

/// Only where `./build.sh dist` says what it has built.
#[test]
fn static_programs_deliver_from_an_empty_root() {
    if let Ok(arch) = std::env::var("CONFAB_DIST_ARCH") {
        delivers_from_an_empty_root(&arch);
    }
}

fn delivers_from_an_empty_root(arch: &str) {
    let root = Root::new(arch);
    let name_server = UdpSocket::bind("127.0.0.1:53").expect("port 53 is ours");
    thread::spawn(move || answer_names(&name_server));
    let names = format!("DNS:{BY_FILE}, DNS:{BY_SERVER}");
    if Authority::new(root.sandbox.root(), &names).is_none() {
        return;
    }
    let key = root.finishes("confab-server", &["key", "create", "--data", "/data"]);
    let (server, port) = root.serve();
    for host in [BY_FILE, BY_SERVER] {
        let config = json!({
            "backend_url": format!("https://{host}:{port}"),
            "api_key": key.trim(),
            "ca_file": "/tls/authority.pem",
        });
        root.sandbox.configure(&config);
        let id = ID.replace('1', if host == BY_FILE { "1" } else { "2" });
        fs::write(root.sandbox.transcript(&id), LINE).unwrap();
        root.finishes("confab", &["save", &id]);
        root.finishes("confab", &["session", "verify", &id]);
    }
    drop(server);
    root.finishes("confab-server", &["check", "--data", "/data"]);
}

/// A folder that becomes `/`.
struct Root {
    /// Taken away before the folder is removed.
    _mounts: [Mount; 2],
    sandbox: Sandbox,
    /// What a program is run by: nothing, or an emulator.
    runner: &'static [&'static str],
}

/// What the machine has at a path, in the root at the same path.
struct Mount(PathBuf);

impl Mount {
    fn folder(root: &Path, path: &str) -> Mount {
        let place = root.join(path);
        fs::create_dir_all(&place).unwrap();
        Mount::put(path, place)
    }

    fn file(root: &Path, path: &str) -> Mount {
        let place = root.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, "").unwrap();
        Mount::put(path, place)
    }

    fn put(path: &str, place: PathBuf) -> Mount {
        let mut mount = Command::new("mount");
        mount.args(["--rbind", &format!("/{path}")]).arg(&place);
        assert!(mount.status().unwrap().success(), "mount {path}");
        Mount(place)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy".as_ref(), self.0.as_os_str()]).status();
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Root {
    fn new(arch: &str) -> Root {
        let sandbox = Sandbox::new(&format!("dist-{arch}"));
        let dist = std::env::var_os("CONFAB_DIST").expect("CONFAB_DIST names what was built");
        let copy = |from: &Path, to: &str| {
            fs::copy(from, sandbox.root().join(to)).expect("a program is copied");
        };
        for program in ["confab", "confab-server"] {
            copy(&Path::new(&dist).join(format!("{program}-{arch}")), program);
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
        let root = sandbox.root();
        let mounts = [Mount::folder(root, "proc"), Mount::file(root, "dev/urandom")];
        Root { _mounts: mounts, sandbox, runner }
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
        let mut command = self.command("confab-server", &["serve", "--data", "/data"]);
        command.args(["--listen", "127.0.0.1:0", "--host", BY_FILE, "--host", BY_SERVER]);
        command.args(["--tls-cert", "/tls/server.pem", "--tls-key", "/tls/server.key"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
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
