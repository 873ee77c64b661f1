//! People: passwords, browsers that are signed in, machines that get a key, and strangers.

mod devices;
mod sign_in;
mod strangers;

use std::cell::RefCell;
use std::io::Write;
use std::process::Stdio;

use super::process::{Folder, Response, Server, command};

/// Of every user here; not a secret.
const PASSWORD: &str = "an old password";
/// What a page of this server sends along.
const OWN: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

/// As many sign-ins as a test makes, from one address.
fn start(folder: &Folder, settings: &[&str]) -> Server {
    let patient = ["--host", "x", "--sign-in-per-hour", "0", "--validate-per-hour", "0"];
    Server::start_with(&folder.0, &[&patient, settings].concat())
}

/// Runs `user WHAT` with a line on standard input; what it says, and its exit status.
fn user(what: &str, name: &str, input: &str, folder: &Folder) -> (String, i32) {
    let mut command = command(&["user", what, "--user", name], &folder.0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Not every command reads it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code().unwrap())
}

/// Makes a user with [`PASSWORD`].
fn make_user(name: &str, folder: &Folder) {
    assert_eq!(user("add", name, "", folder).1, 0);
    assert_eq!(user("password", name, &format!("{PASSWORD}\n"), folder).1, 0);
}

/// A browser: keeps its cookie, and sends forms from our own pages.
struct Browser<'a> {
    server: &'a Server,
    cookie: RefCell<String>,
}

impl<'a> Browser<'a> {
    fn new(server: &'a Server) -> Browser<'a> {
        Browser { server, cookie: RefCell::default() }
    }

    /// One that a user has signed in with.
    fn of(server: &'a Server, user: &str) -> Browser<'a> {
        let browser = Browser::new(server);
        let response = browser.sign_in(user, PASSWORD);
        assert_eq!(response.status, 303, "{}", response.text());
        browser
    }

    fn sign_in(&self, user: &str, password: &str) -> Response {
        self.post("/auth/login", &[("user", user), ("password", password)])
    }

    fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], "")
    }

    fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        self.post_with(path, form, &[OWN])
    }

    fn post_with(&self, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Response {
        let pairs: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        self.send("POST", path, &[headers, &[kind]].concat(), &pairs.join("&"))
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let cookie = format!("a=b; {}", self.cookie.borrow());
        let headers = [headers, &[("Cookie", &cookie)]].concat();
        let response = self.server.request(method, path, &headers, body.as_bytes());
        if let Some(set) = response.header("set-cookie") {
            *self.cookie.borrow_mut() = set.split(';').next().unwrap().to_owned();
        }
        response
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
