//! Users in a browser: signing in, confirming a program, and what is refused.

use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};

use super::process::{Folder, Response, Server, command, create_key};
use super::upkeep::run;
use crate::support::eventually::{WAIT_MAX, eventually, within};
use crate::support::sandbox::{CONFAB, ID, Sandbox, append, lines};

const PASSWORD: &str = "a long passphrase";

/// A server with a user who has a password, and a browser that is not signed in.
struct Site {
    folder: Folder,
    server: Server,
    cookie: Option<String>,
}

impl Site {
    fn new() -> Site {
        let folder = Folder::new();
        assert_eq!(run(&["user", "add", "--user", "ann@x"], &folder).1, 0);
        let site = Site { server: Server::start(&folder.0), folder, cookie: None };
        site.set_password(PASSWORD);
        site
    }

    fn set_password(&self, password: &str) {
        let (said, status) =
            typed(&self.folder, &["user", "password", "--user", "ann@x"], password);
        assert!(status == 0 && !said.contains(password), "{said}");
    }

    /// As a browser asks that goes from page to page.
    fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[], "")
    }

    /// As a browser sends a form of one of the pages.
    fn post(&self, path: &str, form: &str) -> Response {
        self.ask("POST", path, &[("Sec-Fetch-Site", "same-origin")], form)
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], form: &str) -> Response {
        let cookie = self.cookie.clone().unwrap_or_default();
        let mut headers = headers.to_vec();
        if self.cookie.is_some() {
            headers.push(("Cookie", &cookie));
        }
        self.server.request(method, path, &headers, form.as_bytes())
    }

    fn sign_in(&mut self) {
        let form = format!("user=ann%40x&password={}&next=%2F", PASSWORD.replace(' ', "+"));
        let response = self.post("/auth/login", &form);
        assert_eq!(response.status, 303, "{}", response.text());
        let cookie = response.header("set-cookie").unwrap().to_owned();
        assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.contains("; Path=/;"));
        self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    }

    fn is_signed_in(&self) -> bool {
        self.get("/").status == 200
    }

    fn code(&self, name: &str) -> Value {
        let body = json!({ "key_name": name });
        let headers = [("Content-Type", "application/json")];
        let body = body.to_string();
        let response = self.server.request("POST", "/auth/device/code", &headers, body.as_bytes());
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    fn token(&self, code: &Value) -> (u16, Value) {
        let body = json!({ "device_code": code["device_code"] }).to_string();
        let headers = [("Content-Type", "application/json")];
        let response = self.server.request("POST", "/auth/device/token", &headers, body.as_bytes());
        (response.status, response.json())
    }

    fn decide(&self, code: &Value, answer: &str) -> Response {
        let code = code["user_code"].as_str().unwrap();
        self.post("/auth/device", &format!("code={code}&answer={answer}"))
    }
}

/// A command that is given a line on standard input.
fn typed(folder: &Folder, words: &[&str], line: &str) -> (String, i32) {
    let path = std::env::temp_dir()
        .join(format!("confab-typed-{}", folder.0.file_name().unwrap().display()));
    std::fs::write(&path, format!("{line}\n")).unwrap();
    let output = command(words, &folder.0).stdin(File::open(&path).unwrap()).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code().unwrap())
}

#[test]
fn a_browser_signs_in_and_out() {
    let mut site = Site::new();
    assert_eq!(site.get("/").header("location"), Some("/auth/login"));
    let page = site.get("/auth/login?next=%2Fauth%2Fdevice");
    assert!(page.status == 200 && page.text().contains("name=\"next\" value=\"/auth/device\""));
    for (name, value) in [
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert!(page.header(name).unwrap().starts_with(value), "{name}");
    }
    assert_eq!(
        site.get("/assets/style.css").header("content-type"),
        Some("text/css; charset=utf-8")
    );

    for form in ["user=ann%40x&password=wrong", "user=nobody&password=wrong", "user=ann%40x", ""] {
        let response = site.post("/auth/login", form);
        assert!(response.status == 401 && response.header("set-cookie").is_none(), "{form}");
        assert!(response.text().contains("User or password is wrong."));
    }
    assert!(!site.is_signed_in());
    site.sign_in();
    assert!(site.is_signed_in());
    // Nobody is led elsewhere.
    assert_eq!(site.get("/auth/login?next=%2F%2Fevil.example").header("location"), Some("/"));
    let stolen = site.cookie.clone();
    let response = site.post("/auth/logout", "");
    assert!(response.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert!(!site.is_signed_in());
    // Another browser of the same user, until the password changes.
    site.cookie = stolen;
    site.sign_in();
    assert!(site.is_signed_in());
    site.set_password("another passphrase");
    assert!(!site.is_signed_in());
    let log = std::fs::read_to_string(super::process::log_of(&site.folder.0)).unwrap_or_default();
    assert!(!log.contains("passphrase") && !log.contains("ann@x"), "{log}");
}

/// No page of another site can make a browser change anything here.
#[test]
fn what_another_site_sends_changes_nothing() {
    let mut site = Site::new();
    site.sign_in();
    let code = site.code("box");
    let confirm = format!("code={}&answer=confirm", code["user_code"].as_str().unwrap());
    let own = format!("http://{}", "x");
    let foreign: [&[(&str, &str)]; 6] = [
        &[],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", "http://evil.example")],
        &[("Origin", "null")],
    ];
    let forms = [
        ("/auth/device", confirm.as_str()),
        ("/auth/logout", ""),
        ("/auth/login", "user=ann%40x&password=a+long+passphrase"),
    ];
    for headers in foreign {
        for (path, form) in forms {
            assert_eq!(site.ask("POST", path, headers, form).status, 403, "{path} {headers:?}");
        }
        let deletion = site.ask("DELETE", "/api/v1/sessions/x", headers, "");
        assert_eq!(deletion.status, 403, "{headers:?}");
    }
    assert!(site.is_signed_in());
    assert_eq!(site.token(&code).1["error"], "authorization_pending");
    // An older browser says where the page came from.
    let response = site.ask("POST", "/auth/device", &[("Origin", &own)], &confirm);
    assert!(response.status == 200 && response.text().contains("Confirmed"), "{}", response.text());
    // With a cookie, a page may ask what its user may know.
    let listed = site.ask("GET", "/api/v1/sessions", &[], "");
    assert!(listed.status == 200, "{}", listed.text());
    let own = [("Sec-Fetch-Site", "same-origin")];
    assert_eq!(site.ask("DELETE", "/api/v1/sessions/x", &own, "").status, 404);
}

#[test]
fn a_program_gets_a_key_once_when_its_user_confirms() {
    let mut site = Site::new();
    let code = site.code("laptop <b>");
    assert_eq!(code["verification_uri"], "http://x/auth/device");
    assert_eq!((code["expires_in"].as_u64(), code["interval"].as_u64()), (Some(300), Some(5)));
    let user_code = code["user_code"].as_str().unwrap().to_owned();
    assert!(user_code.len() == 9 && !user_code.contains(['0', 'O', '1', 'I', 'L']), "{user_code}");
    let path = format!("/auth/device?code={}", user_code.to_lowercase());
    let location = site.get(&path).header("location").unwrap().to_owned();
    assert!(location.starts_with("/auth/login?next=%2Fauth%2Fdevice%3Fcode%3D"), "{location}");
    site.sign_in();
    let page = site.get(&path).text();
    assert!(page.contains("laptop &lt;b&gt;") && page.contains("127.0.0.1"), "{page}");
    assert_eq!(site.get("/auth/device?code=AAAA-AAAA").status, 404);
    assert_eq!(site.token(&code), (400, json!({"error": "authorization_pending"})));
    assert_eq!(site.decide(&code, "perhaps").status, 400);
    assert!(site.decide(&code, "confirm").text().contains("Confirmed"));
    assert_eq!(site.decide(&code, "refuse").status, 404, "it is decided");
    let (status, token) = site.token(&code);
    assert_eq!((status, token["token_type"].as_str()), (200, Some("Bearer")));
    let key = token["access_token"].as_str().unwrap().to_owned();
    assert_eq!(site.server.get("/api/v1/auth/validate", &key).json()["email"], "ann@x");
    assert_eq!(site.token(&code), (400, json!({"error": "invalid_grant"})), "it works once");

    // The same name again: the key before it stops working.
    let code = site.code("laptop <b>");
    site.decide(&code, "confirm");
    let newer = site.token(&code).1["access_token"].as_str().unwrap().to_owned();
    assert_eq!(site.server.get("/api/v1/auth/validate", &key).status, 401);
    assert_eq!(site.server.get("/api/v1/auth/validate", &newer).status, 200);
    let code = site.code("other");
    assert!(site.decide(&code, "refuse").text().contains("Refused"));
    assert_eq!(site.token(&code), (403, json!({"error": "access_denied"})));
}

#[test]
fn a_disabled_user_can_do_nothing() {
    let mut site = Site::new();
    site.sign_in();
    let key = create_key(&site.folder.0, "ann@x");
    let session = site.server.session(&key, "e");
    let code = site.code("box");
    site.decide(&code, "confirm");
    assert_eq!(run(&["user", "disable", "--user", "ann@x"], &site.folder).1, 0);
    let response = site.server.get("/api/v1/auth/validate", &key);
    assert_eq!((response.status, response.text().as_str()), (403, "Account deactivated\n"));
    assert_eq!(site.server.append(&key, &session, 1, &["x"]).status, 403);
    assert!(!site.is_signed_in());
    let form = format!("user=ann%40x&password={}", PASSWORD.replace(' ', "+"));
    assert_eq!(site.post("/auth/login", &form).status, 401);
    assert_eq!(site.token(&code), (403, json!({"error": "access_denied"})));
    assert!(run(&["user", "list"], &site.folder).0.contains(", a password, disabled"));
    assert_eq!(run(&["user", "enable", "--user", "ann@x"], &site.folder).1, 0);
    assert_eq!(site.server.append(&key, &session, 1, &["x"]).status, 200);
    for words in [["user", "disable"], ["user", "enable"], ["user", "password"]] {
        let words = [&words[..], &["--user", "nobody"]].concat();
        let (said, status) = run(&words, &site.folder);
        assert!(status == 1 && said.contains("there is no user nobody"), "{said}");
    }
    let short = typed(&site.folder, &["user", "password", "--user", "ann@x"], "short");
    assert!(short.1 == 1 && short.0.contains("8 to 1024 bytes"), "{}", short.0);
}

/// Wherever guesses come from, an account takes few of them.
#[test]
fn passwords_and_codes_cannot_be_guessed() {
    let mut site = Site::new();
    site.sign_in();
    let wrong = (0..60).map(|_| site.post("/auth/login", "user=bob&password=wrong").status);
    let statuses: Vec<u16> = wrong.collect();
    let n_taken = statuses.iter().filter(|status| **status == 401).count();
    assert!((20..30).contains(&n_taken), "{statuses:?}");
    let refused = site.post("/auth/login", "user=bob&password=wrong");
    assert!(refused.status == 429 && refused.header("retry-after").is_some());
}

#[test]
fn the_client_signs_in_by_the_page_and_syncs() {
    let mut site = Site::new();
    site.sign_in();
    let sandbox = Sandbox::new("device-login");
    let url = format!("http://{}", site.server.address);
    let output = sandbox.root().join("tmp/login");
    let mut login = sandbox.command(CONFAB);
    login.args(["login", "--backend-url", &url]).stdin(Stdio::null());
    login
        .stdout(File::create(&output).unwrap())
        .stderr(Stdio::from(File::create(sandbox.root().join("tmp/talk")).unwrap()));
    let mut login = login.spawn().unwrap();
    let shown = || {
        let read = |name: &str| std::fs::read_to_string(sandbox.root().join(name)).unwrap();
        read("tmp/login") + &read("tmp/talk")
    };
    let is_code =
        |word: &&str| word.len() == 9 && word.as_bytes()[4] == b'-' && *word == word.to_uppercase();
    let code = within(WAIT_MAX, "a code is shown", || {
        shown().split_whitespace().find(is_code).map(str::to_owned)
    });
    assert!(shown().contains(&format!("{url}/auth/device")), "{}", shown());
    let page = site.post("/auth/device", &format!("code={code}&answer=confirm"));
    assert!(page.text().contains("Confirmed"), "{}", page.text());
    assert!(login.wait().unwrap().success(), "{}", shown());

    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    let path = format!("/api/v1/sessions/by-external-id/{ID}");
    eventually("the session is there", || site.get(&path).status == 200);
    sandbox.session_end(ID);
    sandbox.daemons_end();
    let id = site.get(&path).json()["session_id"].as_str().unwrap().to_owned();
    let file = format!("/api/v1/sessions/{id}/files/download?file_name={ID}.jsonl");
    assert_eq!(site.get(&file).text(), lines(ID, 1, 3));
}
