//! TLS of our own, with the real client and with one of rustls, and what is read again on SIGHUP.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use super::{home, session_id};
use crate::network::terminator::{Authority, skipped};
use crate::server::process::{Folder, Response, Server, command, create_key, log_of};
use crate::support::eventually::eventually;

/// A server that speaks TLS with its own copies of certificate and key.
struct Scene {
    server: Server,
    authority: Authority,
    key: String,
    folder: Folder,
}

impl Scene {
    /// `None` without the command `openssl`.
    fn new(more: &[&str]) -> Option<Scene> {
        let folder = Folder::new();
        let key = create_key(&folder.0, "u@x");
        let authority = Authority::of_all_names(&folder.0)?;
        install(&authority, &folder.0);
        let paths = ["c.pem", "k.pem"].map(|name| folder.0.join(name));
        let [cert, key_file] = paths.each_ref().map(|path| path.to_str().unwrap());
        let settings = [&["--tls-cert", cert, "--tls-key", key_file], more].concat();
        let server = Server::start_with(&folder.0, &settings);
        assert!(server.url.starts_with("https://"), "{}", server.url);
        Some(Scene { server, authority, key, folder })
    }
}

/// Puts certificate and key where the server looks for them.
fn install(authority: &Authority, folder: &Path) {
    fs::copy(authority.server_certificate(), folder.join("c.pem")).unwrap();
    fs::copy(authority.server_key(), folder.join("k.pem")).unwrap();
    fs::set_permissions(folder.join("k.pem"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A connection of a client that trusts this authority alone.
fn connect(
    address: &str,
    authority: &Authority,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.certificate()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn health(stream: &mut (impl Read + Write)) -> Option<Response> {
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    Response::read(stream, false)
}

#[test]
fn the_real_client_syncs_through_tls_with_a_private_authority() {
    let Some(scene) = Scene::new(&[]) else { return };
    let Scene { server, authority, key, folder } = &scene;
    let sandbox = home("server-tls", server, key, 1);
    let refused = sandbox.run(&["save", "--all"]);
    assert!(!refused.status.success(), "nobody has said that the authority is to be trusted");
    let url = server.url.replace("127.0.0.1", "localhost");
    sandbox.configure(
        &json!({ "backend_url": url, "api_key": key, "ca_file": authority.certificate() }),
    );
    let outcome = sandbox.run(&["save", "--all"]);
    assert!(outcome.status.success(), "{outcome:?}");
    let outcome = sandbox.run(&["session", "verify", &session_id(0)]);
    assert!(outcome.status.success(), "{outcome:?}");
    eventually("the request is in the log", || {
        let log = fs::read_to_string(log_of(&folder.0)).unwrap();
        log.contains("route=/api/v1/sync/chunk status=200")
    });
}

#[test]
fn tls_is_1_2_or_newer_and_nothing_else_gets_an_answer() {
    let Some(scene) = Scene::new(&["--head-seconds-max", "1"]) else { return };
    let address = &scene.server.address;
    let old = |version: &'static str| [version, "-cipher", "ALL:@SECLEVEL=0"];
    for (options, is_spoken) in [
        (old("-tls1"), false),
        (old("-tls1_1"), false),
        (old("-tls1_2"), true),
        (old("-tls1_3"), true),
    ] {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-verify_return_error", "-connect", address, "-CAfile"]);
        client.arg(scene.authority.certificate()).args(options).env("OPENSSL_CONF", "/dev/null");
        let output = client.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.success(), is_spoken, "{options:?}");
    }
    // Neither who speaks plainly nor who does not go on with the handshake gets or holds anything.
    for sent in [&b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"\x16\x03\x01\x02", b""]
    {
        let mut stream = scene.server.connect();
        stream.write_all(sent).unwrap();
        let mut answer = Vec::new();
        // The connection may be reset instead of closed.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    let mut stream = connect(address, &scene.authority).unwrap();
    assert_eq!(health(&mut stream).unwrap().status, 200);
}

#[test]
fn large_bodies_and_answers_pass_tls_whole() {
    let Some(scene) = Scene::new(&[]) else { return };
    let Scene { server, authority, key, .. } = &scene;
    let mut stream = connect(&server.address, authority).unwrap();
    let mut ask = |method: &str, path: &str, body: &str| {
        let head = format!(
            "{method} /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let response = Response::read(&mut stream, false).unwrap();
        assert_eq!(response.status, 200, "{path}: {response:?}");
        response
    };
    let opening = json!({ "external_id": "e", "transcript_path": "/t.jsonl" }).to_string();
    let session = ask("POST", "sync/init", &opening).json()["session_id"].clone();
    let session = session.as_str().unwrap();
    let line = "z".repeat(5_000_000);
    let chunk = crate::server::process::chunk(session, 1, &[&line]).to_string();
    ask("POST", "sync/chunk", &chunk);
    let path = format!("sessions/{session}/files/download?file_name=t.jsonl");
    assert!(ask("GET", &path, "").body == format!("{line}\n").as_bytes());
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let folder = Folder::new();
    create_key(&folder.0, "u@x");
    let Some(authority) = Authority::of_all_names(&folder.0) else { return };
    let Some(other) = Authority::of_all_names(&folder.0.join("other")) else { return };
    let at = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    install(&authority, &folder.0);
    fs::copy(at("k.pem"), at("open.pem")).unwrap();
    fs::set_permissions(at("open.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(at("empty.pem"), "").unwrap();
    fs::copy(other.server_key(), at("foreign.pem")).unwrap();
    let cases = [
        ("c.pem", "open.pem", "everybody may read it", "chmod o= "),
        ("empty.pem", "k.pem", "there is none in it", "BEGIN CERTIFICATE"),
        ("k.pem", "k.pem", "there is none in it", "BEGIN CERTIFICATE"),
        ("c.pem", "c.pem", "use key", ""),
        ("c.pem", "foreign.pem", "use key", ""),
        ("missing.pem", "k.pem", "missing.pem", ""),
        ("c.pem", "missing.pem", "missing.pem", ""),
    ];
    // Of a key, whoever it is open for is told before it is looked into.
    fs::set_permissions(at("c.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    for (cert, key, what, hint) in cases {
        let (cert, key) = (at(cert), at(key));
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
        let output = command(&arguments, &folder.0).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{cert} {key}");
        assert!(stderr.contains(what) && stderr.contains(hint), "{cert} {key}: {stderr}");
        assert!(!stderr.contains("PRIVATE"), "{stderr}");
    }
}

/// While a client is connected, certificate and log are replaced: who is connected goes on, who
/// comes sees the new certificate, and the lines go into the new log.
#[test]
fn certificate_and_log_are_read_again_while_clients_are_connected() {
    let Some(scene) = Scene::new(&[]) else { return };
    let Scene { server, authority, folder, .. } = &scene;
    let Some(next) = Authority::of_all_names(&folder.0.join("next")) else {
        return skipped("a second authority");
    };
    let mut old = connect(&server.address, authority).unwrap();
    assert_eq!(health(&mut old).unwrap().status, 200);
    assert!(connect(&server.address, &next).is_err());

    let (log, aside) = (log_of(&folder.0), folder.0.join("aside.log"));
    // A line is written behind its answer.
    eventually("the log has the line", || {
        fs::read_to_string(&log).unwrap().contains("route=/health")
    });
    fs::rename(&log, &aside).unwrap();
    install(&next, &folder.0);
    server.hang_up();
    eventually("the new certificate is shown", || connect(&server.address, &next).is_ok());
    assert!(connect(&server.address, authority).is_err());
    assert!(fs::read_to_string(&aside).unwrap().contains("route=/health"));
    eventually("the new log is there", || log.exists());
    assert_eq!(health(&mut old).unwrap().status, 200, "who was connected goes on");
    eventually("the new log has the line", || {
        fs::read_to_string(&log).unwrap().contains("route=/health status=200")
    });

    // What cannot be used is told, and changes nothing.
    fs::write(folder.0.join("c.pem"), "rubbish").unwrap();
    server.hang_up();
    eventually("the error is logged", || {
        fs::read_to_string(&log).unwrap().contains("level=error message=\"read certificate")
    });
    assert_eq!(health(&mut connect(&server.address, &next).unwrap()).unwrap().status, 200);
    assert_eq!(health(&mut old).unwrap().status, 200);
}
