//! A private certificate authority and a TLS server before the scripted backend, both by the
//! `openssl` command: TLS that shares no code with the client's.
//!
//! `openssl s_server` serves one connection between a socket and its standard streams, so there is
//! one such process for each connection.

use std::fs;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::HOST;
use super::port::{Port, pass};
use crate::support::eventually::{WAIT_MAX, within};

const SETTINGS: &str = "[req]
distinguished_name = name
prompt = no
[name]
CN = confab test
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
";

/// An authority and a certificate of it for the names of a server.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// An authority whose server is called as these names say (`DNS:…`, `IP:…`); `None`, and a
    /// line on standard error, where `openssl` is missing.
    pub fn new(folder: &Path, names: &str) -> Option<Authority> {
        if Command::new("openssl").arg("version").output().is_err() {
            skipped("a test of TLS, because the command `openssl` is missing");
            return None;
        }
        let folder = folder.join("tls");
        fs::create_dir_all(&folder).unwrap();
        let authority = Authority { folder };
        let settings = format!("{SETTINGS}subjectAltName = {names}\n");
        fs::write(authority.path("settings"), settings).unwrap();
        authority.make_certificates();
        Some(authority)
    }

    /// One for all names under which the tests reach their server.
    pub fn of_all_names(folder: &Path) -> Option<Authority> {
        Authority::new(folder, &format!("IP:127.0.0.1, DNS:localhost, DNS:{HOST}"))
    }

    /// The certificate of the authority.
    pub fn certificate(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// The certificate of the server.
    pub fn server_certificate(&self) -> PathBuf {
        self.path("server.pem")
    }

    /// Its private key.
    pub fn server_key(&self) -> PathBuf {
        self.path("server.key")
    }

    /// A port that speaks TLS and passes on to a port that does not. `options` are those of
    /// `openssl s_server`.
    pub fn terminate(&self, backend_port: u16, options: &[&str]) -> Port {
        let folder = self.folder.clone();
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let n_sockets = AtomicUsize::new(0);
        Port::open(move |client| {
            let number = n_sockets.fetch_add(1, Ordering::SeqCst);
            // openssl takes no long name for a socket: it is one in its working directory.
            let socket = format!("socket-{backend_port}-{number}");
            let server = start_server(&folder, &socket, &options);
            serve(client, server, &folder.join(socket), backend_port);
        })
    }

    /// Runs `openssl s_client` against a port and says whether it shook hands.
    pub fn shakes_hands(&self, port: &Port, options: &[&str]) -> bool {
        let address = format!("127.0.0.1:{}", port.number());
        let ca = self.certificate();
        let mut command = openssl(&self.folder);
        command.args(["s_client", "-verify_return_error", "-connect", &address, "-CAfile"]);
        let output = command.arg(ca).args(options).stdin(Stdio::null()).output().unwrap();
        output.status.success()
    }

    fn make_certificates(&self) {
        let curve = "ec_paramgen_curve:prime256v1";
        let key = ["-newkey", "ec", "-pkeyopt", curve, "-nodes", "-config", "settings"];
        self.run(&[
            &["req", "-x509", "-extensions", "authority", "-days", "2"],
            &["-keyout", "authority.key", "-out", "authority.pem"][..],
            &key,
        ]);
        self.run(&[&["req", "-new", "-keyout", "server.key", "-out", "server.csr"], &key]);
        self.run(&[
            &["x509", "-req", "-in", "server.csr", "-out", "server.pem", "-days", "2"],
            &["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial"][..],
            &["-extfile", "settings", "-extensions", "server"],
        ]);
    }

    fn run(&self, arguments: &[&[&str]]) {
        let Output { status, stderr, .. } =
            openssl(&self.folder).args(arguments.concat()).output().unwrap();
        assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Says so past the test harness, which keeps what passing tests print to itself.
pub fn skipped(what: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {what}");
}

/// The command in a folder, without the machine's own settings.
fn openssl(folder: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(folder).env("OPENSSL_CONF", "/dev/null");
    command
}

fn start_server(folder: &Path, socket: &str, options: &[String]) -> Child {
    let mut command = openssl(folder);
    command.args(["s_server", "-quiet", "-naccept", "1", "-cert", "server.pem"]);
    command.args(["-key", "server.key", "-unix"]).arg(socket).args(options);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Passes bytes from the client through the TLS server to the backend, and back.
fn serve(client: TcpStream, mut server: Child, socket: &Path, backend_port: u16) {
    let secure = within(WAIT_MAX, "openssl listens", || UnixStream::connect(socket).ok());
    let backend = TcpStream::connect(("127.0.0.1", backend_port)).unwrap();
    let (mut input, output) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
    thread::scope(|scope| {
        // The stream stays open: at its end openssl would not send what it still holds.
        scope.spawn(|| pass(&backend, &mut input));
        scope.spawn(|| {
            pass(&client, &secure);
            let _ = secure.shutdown(Shutdown::Write);
        });
        scope.spawn(|| {
            pass(&secure, &client);
            let _ = client.shutdown(Shutdown::Both);
        });
        pass(output, &backend);
        let _ = backend.shutdown(Shutdown::Both);
        let _ = server.kill();
        let _ = server.wait();
        let _ = secure.shutdown(Shutdown::Both);
    });
}
