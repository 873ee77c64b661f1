//! Names, paths and proxies, and where the settings come from.

use serde_json::{Value, json};

use super::home;
use crate::server::process::{Folder, Server, command, create_key};

fn status(server: &Server, path: &str, headers: &str) -> u16 {
    server.raw(format!("GET {path} HTTP/1.1\r\n{headers}\r\n").as_bytes()).status
}

#[test]
fn a_page_that_lets_its_name_point_here_gets_nothing() {
    let folder = Folder::new();
    let server = Server::start_with(&folder.0, &["--host", "Box.lan"]);
    let port = server.address.rsplit_once(':').unwrap().1;
    let cases = [
        ("localhost", 200),
        ("127.0.0.1", 200),
        ("[::1]", 200),
        ("box.lan", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.2", 421),
    ];
    for (host, expected) in cases {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            assert_eq!(
                status(&server, "/health", &format!("Host: {host}\r\n")),
                expected,
                "{host}"
            );
        }
    }
    let refused = server.raw(b"GET /api/v1/version HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(refused.status, 421);
    assert_eq!(refused.header("content-type"), Some("text/plain; charset=utf-8"));
    // No browser speaks HTTP/1.0, which has no name.
    assert_eq!(server.raw(b"GET /health HTTP/1.0\r\n\r\n").status, 200);
    // What a stranger says of names is not believed.
    let forged = "Host: evil.example\r\nX-Forwarded-Host: localhost\r\n";
    assert_eq!(status(&server, "/health", forged), 421);
}

#[test]
fn behind_a_proxy_with_a_base_path() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let proxied = [
        ["--base-path", "/confab"],
        ["--trusted-proxy", "127.0.0.1"],
        ["--host", "confab.example"],
        ["--requests-per-hour", "1"],
        ["--requests-burst", "2"],
    ];
    let server = Server::start_with(&folder.0, &proxied.concat());
    assert!(server.url.ends_with("/confab"), "{}", server.url);
    let ask = |path: &str, from: &str| {
        let headers = format!(
            "Host: inner\r\nX-Forwarded-Host: confab.example\r\nX-Forwarded-For: {from}\r\n\
             X-Request-Id: from-proxy\r\n"
        );
        server.raw(format!("GET {path} HTTP/1.1\r\n{headers}\r\n").as_bytes())
    };
    for (path, expected) in [
        ("/confab/health", 200),
        ("/health", 404),
        ("/confab", 404),
        ("/confabulate/health", 404),
        ("/confab/../health", 404),
    ] {
        let response = ask(path, "192.0.2.1");
        assert_eq!(
            (response.status, response.header("x-request-id")),
            (expected, Some("from-proxy"))
        );
    }
    // Each client behind the proxy has a bucket of its own; what it says itself does not count.
    let version = "/confab/api/v1/version";
    let statuses =
        |from: &[&str]| -> Vec<u16> { from.iter().map(|from| ask(version, from).status).collect() };
    assert_eq!(statuses(&["192.0.2.7"; 3]), [200, 200, 429]);
    assert_eq!(
        statuses(&["192.0.2.8", "1.1.1.1, 192.0.2.8", "2.2.2.2, 192.0.2.8"]),
        [200, 200, 429]
    );
    drop(server);

    // The real client through the same doors.
    let server = Server::start_with(&folder.0, &["--host", "x", "--base-path", "/confab/"]);
    let sandbox = home("base-path", &server, &key, 1);
    let outcome = sandbox.run(&["save", "--all"]);
    assert!(outcome.status.success(), "{outcome:?}");
    let listed = server.get("/confab/api/v1/sessions", &key).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
}

#[test]
fn others_get_in_only_when_somebody_has_a_key() {
    let folder = Folder::new();
    let serve = ["serve", "--listen", "0.0.0.0:0"];
    let output = command(&serve, &folder.0).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("can be reached from other machines, and nobody has a key"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: `confab-server key create"), "{stderr}");
    create_key(&folder.0, "u@x");
    let server = Server::spawn(command(&serve, &folder.0), false);
    let port = server.address.rsplit_once(':').unwrap().1;
    let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let request = b"GET /health HTTP/1.1\r\nHost: what.ever\r\n\r\n";
    std::io::Write::write_all(&mut stream, request).unwrap();
    assert_eq!(crate::server::process::Response::read(&mut stream, false).unwrap().status, 200);
}

#[test]
fn settings_come_from_file_and_command_line_and_are_shown_with_their_origin() {
    let folder = Folder::new();
    create_key(&folder.0, "u@x");
    let file = json!({ "listen": "127.0.0.1:0", "connections_max": 7, "hosts": ["box.lan"] });
    let path = folder.0.join("server.json");
    std::fs::write(&path, file.to_string()).unwrap();
    let output = command(&["config", "--connections-max", "9"], &folder.0).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| (shown[name]["value"].clone(), shown[name]["from"].clone());
    assert_eq!(of("connections_max"), (json!(9), json!("command line")));
    assert_eq!(of("hosts"), (json!(["box.lan"]), json!("file")));
    assert_eq!(of("sync_burst"), (json!(2000), json!("default")));
    assert_eq!(of("tls_cert"), (Value::Null, json!("default")));

    // It is what the server does.
    let server = Server::spawn(command(&["serve"], &folder.0), false);
    assert_eq!(status(&server, "/health", "Host: box.lan\r\n"), 200);
    assert_eq!(status(&server, "/health", "Host: other.lan\r\n"), 421);
    drop(server);

    // Another file takes its place.
    let other = folder.0.join("other.json");
    std::fs::write(&other, r#"{"hosts": ["other.lan"]}"#).unwrap();
    let output =
        command(&["config", "--config", other.to_str().unwrap()], &folder.0).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["hosts"]["value"], json!(["other.lan"]));
}

#[test]
fn settings_that_are_not_understood_are_refused_by_name() {
    let folder = Folder::new();
    create_key(&folder.0, "u@x");
    let path = folder.0.join("server.json");
    let files = [
        (r#"{"connection_max": 7}"#, "there is no setting connection_max", "is connections_max"),
        (r#"{"connections_max": "7"}"#, "connections_max cannot be \"7\"", "a number from 1 to"),
        (r#"{"tls_key": "k.pem"}"#, "tls_cert and tls_key belong together", "set both"),
        ("{", "it is no JSON object", "confab-server config"),
    ];
    for (text, what, hint) in files {
        std::fs::write(&path, text).unwrap();
        for verb in ["serve", "config"] {
            let output = command(&[verb], &folder.0).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(stderr.contains(what) && stderr.contains(hint), "{text}: {stderr}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    let lines: [(&[&str], i32, &str); 3] = [
        (&["config", "--config", "/nowhere.json"], 1, "read /nowhere.json"),
        (&["serve", "--connections-max", "none"], 1, "--connections-max cannot be \"none\""),
        (&["serve", "--conections-max", "1"], 2, "--conections-max"),
    ];
    for (arguments, code, what) in lines {
        let output = command(arguments, &folder.0).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr.contains(what) && stderr.contains("hint: "), "{arguments:?}: {stderr}");
    }
}
