//! Machines that get a key when a person confirms their code.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::{Value, json};

use super::super::process::{Folder, Response, Server, create_key};
use super::{Browser, PASSWORD, make_user, start, user};
use crate::support::eventually::eventually;
use crate::support::sandbox::{CONFAB, ID, Sandbox, append, lines};

/// Asks as a machine does.
fn ask(server: &Server, path: &str, body: &Value) -> Response {
    let headers = [("Content-Type", "application/json")];
    server.request("POST", path, &headers, body.to_string().as_bytes())
}

/// A machine with two codes: its own, and the one that it shows.
fn machine(server: &Server, key_name: &str) -> (String, String) {
    let response = ask(server, "/auth/device/code", &json!({"key_name": key_name}));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let code = response.json();
    let text = |name: &str| code[name].as_str().unwrap().to_owned();
    (text("device_code"), text("user_code"))
}

/// Status and error, or key, that a machine hears.
fn token(server: &Server, device_code: &str) -> (u16, String) {
    let response = ask(server, "/auth/device/token", &json!({"device_code": device_code}));
    let body = response.json();
    let said = body["error"].as_str().or(body["access_token"].as_str()).unwrap();
    (response.status, said.to_owned())
}

fn answer(browser: &Browser<'_>, code: &str, answer: &str) -> Response {
    browser.post("/auth/device", &[("code", code), ("answer", answer)])
}

/// The whole way: the real client, the real server, a person with a browser, and in the end a
/// session that has arrived.
#[test]
fn a_person_signs_a_machine_in_and_its_session_arrives() {
    let folder = Folder::new();
    make_user("me@x", &folder);
    let server = start(&folder, &[]);
    let sandbox = Sandbox::new("device-walk");
    let mut command = sandbox.command(CONFAB);
    command.args(["setup", "--backend-url", &server.url]).stdin(Stdio::null());
    let mut setup = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut talk = BufReader::new(setup.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("waiting") {
        assert_ne!(talk.read_line(&mut said).unwrap(), 0, "{said}");
    }
    let page = said.split_once("open ").unwrap().1.lines().next().unwrap();
    let code = said.split_once("confirm the code ").unwrap().1.lines().next().unwrap();
    let path = page.strip_prefix(&server.url).unwrap();
    assert_eq!(path, format!("/auth/device?code={code}"));

    let browser = Browser::new(&server);
    let place = browser.get(path).header("location").unwrap().to_owned();
    let next = place.split_once("next=").unwrap().1.replace("%3F", "?").replace("%3D", "=");
    let form = [("user", "me@x"), ("password", PASSWORD), ("next", &*next)];
    let place = browser.post("/auth/login", &form).header("location").unwrap().to_owned();
    assert_eq!(place, path);
    let page = browser.get(&place).text();
    for part in [code, "127.0.0.1", "Confirm", "Deny", "Signed in as me@x"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = answer(&browser, code, "confirm");
    assert!(page.status == 200 && page.text().contains("<h1>Confirmed</h1>"), "{}", page.text());
    talk.read_to_string(&mut said).unwrap();
    assert!(setup.wait().unwrap().success(), "{said}");

    append(&sandbox.transcript(ID), lines(ID, 1, 5));
    sandbox.session_start(ID);
    eventually("the session has arrived", || {
        let sessions = browser.get("/api/v1/sessions").json();
        sessions["sessions"][0]["external_id"] == ID && sessions["sessions"][0]["total_lines"] == 5
    });
    sandbox.session_end(ID);
    sandbox.daemons_end();
}

#[test]
fn a_code_gives_one_key_and_its_name_replaces_another() {
    let folder = Folder::new();
    make_user("me@x", &folder);
    let server = start(&folder, &[]);
    let browser = Browser::of(&server, "me@x");
    let (device, code) = machine(&server, "box <b>&amp;\"");
    assert_eq!(token(&server, &device), (400, "authorization_pending".into()));
    // As people type it, or as the link has it.
    let typed = code.to_lowercase().replace('-', "");
    let page = browser.get(&format!("/auth/device?code={typed}")).text();
    assert!(page.contains("box &lt;b&gt;&amp;amp;&quot;") && page.contains(&code), "{page}");
    assert!(!page.contains("stops working"), "{page}");
    assert_eq!(token(&server, &device).0, 400, "looking is not confirming");
    assert_eq!(answer(&browser, &code, "confirm").status, 200);
    assert_eq!(answer(&browser, &code, "confirm").status, 404, "it was answered");
    let (status, key) = token(&server, &device);
    assert_eq!(status, 200);
    assert_eq!(server.get("/api/v1/auth/validate", &key).json()["email"], "me@x");
    assert_eq!(token(&server, &device), (400, "invalid_grant".into()), "it was used");

    let (device, code) = machine(&server, "box <b>&amp;\"");
    assert!(browser.get(&format!("/auth/device?code={code}")).text().contains("stops working"));
    answer(&browser, &code, "confirm");
    let (_, new) = token(&server, &device);
    assert_eq!(server.get("/api/v1/auth/validate", &key).status, 401);
    assert_eq!(server.get("/api/v1/auth/validate", &new).status, 200);
}

#[test]
fn who_may_not_confirm_confirms_nothing() {
    let folder = Folder::new();
    make_user("me@x", &folder);
    let server = start(&folder, &[]);
    let (device, code) = machine(&server, "box");
    // Without a cookie, with a wrong one, and with a key, which is not a browser's.
    let key = create_key(&folder.0, "other@x");
    let stranger = Browser::new(&server);
    for cookie in ["", "confab_session=", "confab_session=0000"] {
        stranger.cookie.replace(cookie.into());
        let response = answer(&stranger, &code, "confirm");
        assert_eq!(response.status, 303, "{cookie:?}");
        assert!(response.header("location").unwrap().starts_with("/auth/login?next="));
    }
    let bearer = format!("Bearer {key}");
    let headers = [super::OWN, ("Authorization", &*bearer)];
    let form = [("code", &*code), ("answer", "confirm")];
    assert_eq!(stranger.post_with("/auth/device", &form, &headers).status, 303);
    let browser = Browser::of(&server, "me@x");
    let foreign = [("Origin", "http://evil.example")];
    assert_eq!(browser.post_with("/auth/device", &form, &foreign).status, 403);
    for what in ["", "maybe", "Confirm"] {
        assert_eq!(answer(&browser, &code, what).status, 400, "{what}");
    }
    assert_eq!(token(&server, &device), (400, "authorization_pending".into()));

    assert_eq!(answer(&browser, &code, "deny").status, 200);
    assert_eq!(token(&server, &device), (403, "access_denied".into()));
    // Confirmed, and then shut out before the machine asked.
    let (device, code) = machine(&server, "box");
    answer(&browser, &code, "confirm");
    assert_eq!(user("disable", "me@x", "", &folder).1, 0);
    assert_eq!(token(&server, &device), (403, "access_denied".into()));
    assert_eq!(browser.get(&format!("/auth/device?code={code}")).status, 303);
}

#[test]
fn codes_cannot_be_guessed_and_machines_cannot_crowd_in() {
    let folder = Folder::new();
    make_user("me@x", &folder);
    let server = start(&folder, &[]);
    let browser = Browser::of(&server, "me@x");
    // The burst of `limits::USER_CODES`.
    for guess in 0..20 {
        let code = format!("AAAA-{}", ["AAAA", "BBBB"][guess % 2]);
        let response = match guess {
            0..10 => browser.get(&format!("/auth/device?code={code}")),
            _ => answer(&browser, &code, "confirm"),
        };
        assert_eq!(response.status, 404, "{guess}");
        assert!(response.text().contains("No machine waits"));
    }
    let (_, code) = machine(&server, "box");
    let refused = browser.get(&format!("/auth/device?code={code}"));
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(answer(&browser, &code, "confirm").status, 429);
    // What cannot be a code is no guess.
    assert_eq!(browser.get("/auth/device?code=what").status, 404);
    assert_eq!(browser.get("/auth/device").status, 200);
    (1..50).for_each(|_| drop(machine(&server, "box")));
    let crowded = ask(&server, "/auth/device/code", &json!({}));
    assert_eq!((crowded.status, crowded.header("retry-after")), (429, Some("300")));
}

#[test]
fn a_machine_hears_what_was_wrong() {
    let folder = Folder::new();
    let server = start(&folder, &["--base-path", "/c"]);
    let post = |path: &str, body: &str| server.request("POST", path, &[], body.as_bytes());
    for body in ["", "{}", "null", "[]", "not json", "{\"key_name\":7}", "{\"key_name\":\"\"}"] {
        let response = post("/c/auth/device/code", body);
        assert_eq!(response.status, 200, "{body}");
        assert_eq!(response.json()["verification_uri"], "http://x/c/auth/device");
        let response = post("/c/auth/device/token", body);
        assert_eq!((response.status, &*response.text()), (400, "{\"error\":\"invalid_request\"}"));
    }
    let response = post("/c/auth/device/code", "{\"key_name\":\"a\\u001b[2J\"}");
    assert_eq!(
        (response.status, &*response.text()),
        (400, "key name contains control characters\n")
    );
    let large = format!("{{\"key_name\":\"{}\"}}", "x".repeat(20_000));
    for path in ["/c/auth/device/code", "/c/auth/device/token"] {
        assert_eq!(post(path, &large).status, 400, "{path}");
        assert_eq!(server.request("GET", path, &[], b"").status, 405, "{path}");
    }
    // Nobody can make it name a place that is none.
    let raw = |host: &str| {
        let head = format!("POST /c/auth/device/code HTTP/1.0\r\n{host}Content-Length: 0\r\n\r\n");
        server.raw(head.as_bytes())
    };
    assert_eq!(raw("").status, 400);
    assert_eq!(
        raw("Host: localhost:1\r\n").json()["verification_uri"],
        "http://localhost:1/c/auth/device"
    );

    let other = Folder::new();
    let public = ["--public-url", "https://confab.example/c"];
    let server = start(&other, &public);
    let code = ask(&server, "/auth/device/code", &json!({})).json();
    assert_eq!(code["verification_uri"], "https://confab.example/c/auth/device");
}
