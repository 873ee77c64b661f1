//! The one user of a server on loopback needs not sign in; everybody else does.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::server::process::{Folder, Response, Server, create_key};

const LIST: &str = "/api/v1/sessions";
const OWN: &str = "Sec-Fetch-Site: same-origin";

/// Sends a request with these lines in its head, the first of them the host.
fn send(server: &Server, request: &str, lines: &[&str]) -> Response {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    server.raw(format!("{request} HTTP/1.1\r\n{lines}Content-Length: 0\r\n\r\n").as_bytes())
}

fn start(settings: &[&str]) -> (Folder, Server, String) {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start_with(&folder.0, settings);
    (folder, server, key)
}

/// Opens a session under the server's own name, and returns its id.
fn open(server: &Server, key: &str) -> String {
    let body = r#"{"external_id": "s", "transcript_path": "/t.jsonl"}"#;
    let request = format!(
        "POST /api/v1/sync/init HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.address,
        body.len()
    );
    server.raw(request.as_bytes()).json()["session_id"].as_str().unwrap().to_owned()
}

#[test]
fn the_only_user_needs_not_sign_in_on_loopback() {
    let (_folder, server, key) = start(&[]);
    let session = open(&server, &key);
    let host = format!("Host: {}", server.address);
    let answer = send(&server, &format!("GET {LIST}"), &[&host, OWN]);
    assert_eq!(answer.json()["sessions"][0]["id"], session.as_str());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    for host in ["Host: localhost", "Host: LOCALHOST:1", "Host: 127.0.0.1", "Host: [::1]:9"] {
        assert_eq!(send(&server, &format!("GET {LIST}"), &[host, OWN]).status, 200, "{host}");
    }
    // The page holds nothing of anybody: a link from elsewhere leads to it.
    let from = "Sec-Fetch-Site: cross-site";
    let page = send(&server, "GET /sessions/x", &[&host, from]);
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let path = format!("DELETE /api/v1/sessions/{session}");
    assert_eq!(send(&server, &path, &[&host, OWN]).status, 204);
}

#[test]
fn what_another_page_makes_a_browser_send_is_a_strangers() {
    let (_folder, server, key) = start(&[]);
    let session = open(&server, &key);
    let host = format!("Host: {}", server.address);
    let foreign = [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: none",
        "Origin: http://evil.example",
        "Origin: null",
        "Accept: */*",
    ];
    for request in [format!("GET {LIST}"), format!("DELETE /api/v1/sessions/{session}")] {
        for line in foreign {
            let answer = send(&server, &request, &[&host, line]);
            assert_eq!(answer.status, 401, "{request} {line}");
        }
    }
    // A name of loopback that is not ours: DNS rebinding.
    for name in ["Host: evil.example", "Host: evil.example:80", "Host: localhost.evil.example"] {
        assert_eq!(send(&server, &format!("GET {LIST}"), &[name, OWN]).status, 421, "{name}");
        assert_eq!(send(&server, "GET /", &[name]).status, 421, "{name}");
    }
    let path = format!("GET /api/v1/sessions/{session}");
    assert_eq!(send(&server, &path, &[&host, OWN]).status, 200, "it is still there");
}

#[test]
fn whoever_comes_through_a_proxy_signs_in() {
    let (_folder, server, _) = start(&[]);
    let host = format!("Host: {}", server.address);
    let headers = ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=x", "Via: 1.1 p", "X-Real-IP: x"];
    for line in headers {
        assert_eq!(send(&server, &format!("GET {LIST}"), &[&host, OWN, line]).status, 401);
        let page = send(&server, "GET /stats?days=7", &[&host, line]);
        let sign_in = Some("/auth/login?next=/stats%3Fdays%3D7");
        assert_eq!(page.header("location"), sign_in, "{line}");
    }
    let open = [
        &["--host", "confab.example"][..],
        &["--public-url", "http://confab.example"],
        &["--trusted-proxy", "127.0.0.1"],
    ];
    for settings in open {
        let (_folder, server, _) = start(settings);
        let host = format!("Host: {}", server.address);
        let answer = send(&server, &format!("GET {LIST}"), &[&host, OWN]);
        assert_eq!(answer.status, 401, "{settings:?}");
    }
}

#[test]
fn a_second_user_or_a_password_means_signing_in() {
    let (folder, server, _) = start(&[]);
    let host = format!("Host: {}", server.address);
    let status = || send(&server, &format!("GET {LIST}"), &[&host, OWN]).status;
    assert_eq!(status(), 200);
    create_key(&folder.0, "you@x");
    assert_eq!(status(), 401);
    assert_eq!(send(&server, "GET /", &[&host]).status, 303);
    // What is wrong is said before a user is looked for.
    let bearer = send(&server, &format!("GET {LIST}"), &[&host, OWN, "Authorization: Bearer x"]);
    assert_eq!(bearer.status, 401);
}

/// Only root can be somebody else.
#[test]
fn other_accounts_of_the_machine_sign_in() {
    let (_folder, server, _) = start(&[]);
    let (host, port) = server.address.split_once(':').unwrap();
    let script = format!(
        "exec 3<>/dev/tcp/{host}/{port}; printf 'GET {LIST} HTTP/1.1\\r\\nHost: {host}\\r\\n{OWN}\
         \\r\\n\\r\\n' >&3; read -r line <&3; echo \"$line\""
    );
    let asked = |words: &[&str]| {
        let output =
            Command::new(words[0]).args(&words[1..]).args(["bash", "-c", &script]).output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let own = asked(&["env"]).unwrap();
    assert!(own.starts_with("HTTP/1.1 200"), "{own}");
    let other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    match asked(&other) {
        Some(answer) if !answer.is_empty() => {
            assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        }
        _ => eprintln!("this account cannot become another one: not tested"),
    }
}

/// Says what a connection of its own from another address and port is answered: all of the request
/// leaves with the end of what it has to say, so that its end is half closed when it is looked at.
const HALF_CLOSED: &str = r#"use Socket;
    my ($from, $own_port, $to, $port, $request) = @ARGV;
    socket(S, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
    bind(S, sockaddr_in($own_port, inet_aton($from))) or die "bind: $!";
    connect(S, sockaddr_in($port, inet_aton($to))) or die "connect: $!";
    $request =~ s/\n/\r\n/g;
    my $more = 0x8000;
    defined send(S, $request, $more) or die "send: $!";
    shutdown(S, 1) or die "shutdown: $!";
    print scalar <S>;"#;

/// Another account's connection with the port of one of ours is not ours.
#[test]
fn a_port_of_ours_on_another_address_is_a_strangers() {
    let (_folder, server, _) = start(&[]);
    let (host, port) = server.address.split_once(':').unwrap();
    let request = format!("GET {LIST} HTTP/1.1\nHost: localhost\n{OWN}\n\n");
    let ours = TcpStream::connect(&server.address).unwrap();
    let own_port = ours.local_addr().unwrap().port().to_string();
    let asked = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["perl", "-e", HALF_CLOSED, "127.0.0.2", &own_port]);
        let output = command.args([host, port, &request]).output().ok();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for words in [&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"][..], &["env"]] {
        match asked(words) {
            Some(answer) if !answer.is_empty() => {
                assert!(answer.starts_with("HTTP/1.1 401"), "{words:?}: {answer}");
            }
            _ => eprintln!("{words:?} perl does not run here: not tested"),
        }
    }
}

#[test]
fn the_only_user_is_known_on_ipv6_too() {
    if TcpListener::bind("[::1]:0").is_err() {
        return eprintln!("this machine has no IPv6: not tested");
    }
    let (_folder, server, _) = start(&["--listen", "[::1]:0"]);
    let host = format!("Host: {}", server.address);
    assert_eq!(send(&server, &format!("GET {LIST}"), &[&host, OWN]).status, 200);
}
