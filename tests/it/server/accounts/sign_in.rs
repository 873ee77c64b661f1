//! Signing in and out with a password, and what a browser may do afterwards.

use std::io::{Read, Write};
use std::process::Stdio;

use super::super::process::{Folder, Server, create_key};
use super::{Browser, OWN, PASSWORD, make_user, start, user};
use crate::support::sandbox::Sandbox;

#[test]
fn a_browser_signs_in_reads_and_signs_out() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    make_user("me@x", &folder);
    let server = start(&folder, &[]);
    let session = server.session(&key, "e");
    let browser = Browser::new(&server);
    let list = || browser.get("/api/v1/sessions");
    assert_eq!(list().status, 401);
    // Whoever is not signed in is sent to sign in, and on to where they wanted.
    let response = browser.get("/auth/device?code=abcd-efgh");
    let place = response.header("location").unwrap();
    assert_eq!((response.status, place), (303, "/auth/login?next=/auth/device%3Fcode%3DABCD-EFGH"));
    let form = browser.get(place);
    assert!(form.text().contains("value=\"/auth/device?code=ABCD-EFGH\""), "{}", form.text());
    let response = browser.post(
        "/auth/login",
        &[("user", "me@x"), ("password", PASSWORD), ("next", "/auth/device?code=ABCD-EFGH")],
    );
    assert_eq!(response.status, 303, "{}", response.text());
    assert_eq!(response.header("location"), Some("/auth/device?code=ABCD-EFGH"));
    let cookie = response.header("set-cookie").unwrap();
    let (token, rest) = cookie.strip_prefix("confab_session=").unwrap().split_at(64);
    assert!(token.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(rest, "; Path=/; Max-Age=1209600; HttpOnly; SameSite=Lax");

    assert_eq!(list().json()["sessions"][0]["id"], session.as_str());
    assert_eq!(list().header("cache-control"), Some("no-store"));
    assert_eq!(browser.get("/auth/login").header("location"), Some("/auth/device"));
    // Another sign-in is another token, and the old one is of no use.
    let old = browser.cookie.borrow().clone();
    browser.sign_in("me@x", PASSWORD);
    assert_ne!(*browser.cookie.borrow(), old);
    let new = browser.cookie.replace(old);
    assert_eq!(list().status, 401);
    browser.cookie.replace(new.clone());
    assert_eq!(list().status, 200);

    let response = browser.post("/auth/logout", &[]);
    assert!(
        response.header("set-cookie").unwrap().starts_with("confab_session=; Path=/; Max-Age=0")
    );
    browser.cookie.replace(new);
    assert_eq!(list().status, 401, "the token is of no use to who kept it");
    assert_nowhere(&folder, &[token, PASSWORD]);
}

/// None of these is in any file of the database.
fn assert_nowhere(folder: &Folder, secrets: &[&str]) {
    for file in std::fs::read_dir(&folder.0).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in secrets.iter().map(|secret| secret.as_bytes()) {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
}

#[test]
fn a_wrong_password_and_a_user_who_does_not_exist_are_the_same() {
    let folder = Folder::new();
    make_user("me@x", &folder);
    assert_eq!(user("add", "no-password@x", "", &folder).1, 0);
    let server = start(&folder, &[]);
    let browser = Browser::new(&server);
    let wrong = [
        ("me@x", "another password"),
        ("me@x", ""),
        ("nobody@x", PASSWORD),
        ("no-password@x", PASSWORD),
        ("no-password@x", ""),
    ];
    let texts = wrong.map(|(user, password)| {
        let response = browser.sign_in(user, password);
        assert_eq!((response.status, response.header("set-cookie")), (401, None), "{user}");
        response.text().replace(user, "USER")
    });
    assert!(texts.iter().all(|text| text == &texts[0] && text.contains("is not right")));
    assert!(!texts[0].contains(PASSWORD));
}

#[test]
fn nobody_is_sent_to_another_server_after_signing_in() {
    let folder = Folder::new();
    make_user("me@x", &folder);
    let server = start(&folder, &[]);
    for next in ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil", ""] {
        let browser = Browser::new(&server);
        let form = [("user", "me@x"), ("password", PASSWORD), ("next", next)];
        let response = browser.post("/auth/login", &form);
        assert_eq!(response.header("location"), Some("/auth/device"), "{next:?}");
        let next = super::encoded(next);
        let response = browser.get(&format!("/auth/login?next={next}"));
        assert_eq!(response.header("location"), Some("/auth/device"), "{next:?}");
    }
}

/// A page of another site can make a browser send its cookie, and nothing comes of it.
#[test]
fn what_does_not_come_from_our_own_page_changes_nothing() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    make_user("me@x", &folder);
    let server = start(&folder, &[]);
    let session = server.session(&key, "e");
    let browser = Browser::of(&server, "me@x");
    let path = format!("/api/v1/sessions/{session}");
    let foreign: [&[(&str, &str)]; 7] = [
        &[],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "none")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", "http://x")],
        &[("Origin", "http://evil.example")],
        &[("Origin", "null")],
    ];
    let cookie = browser.cookie.borrow().clone();
    for headers in foreign {
        for form in ["/auth/login", "/auth/logout", "/auth/device"] {
            let fields = [("user", "me@x"), ("password", PASSWORD), ("answer", "confirm")];
            let response = browser.post_with(form, &fields, headers);
            let set = response.header("set-cookie");
            assert_eq!((response.status, set), (403, None), "{form} {headers:?}");
        }
        assert_eq!(browser.send("DELETE", &path, headers, "").status, 403, "{headers:?}");
        let json = [headers, &[("Content-Type", "application/json")]].concat();
        let summary = browser.send("PATCH", "/api/v1/sessions/e/summary", &json, "{}");
        assert_eq!(summary.status, 403, "{headers:?}");
        assert_eq!(browser.send("GET", &path, headers, "").status, 200, "reading is harmless");
    }
    assert_eq!(*browser.cookie.borrow(), cookie);
    // From our own page; also from browsers that name the origin alone. A key needs neither.
    assert_eq!(browser.send("DELETE", &path, &[("Origin", "http://x")], "").status, 204);
    assert_eq!(browser.send("DELETE", &path, &[OWN], "").status, 404);
    // A key that is shown counts, and a wrong one is not made good by a cookie.
    let wrong = browser.send("GET", "/api/v1/sessions", &[("Authorization", "Bearer k")], "");
    assert_eq!(wrong.status, 401);
}

#[test]
fn a_disabled_user_is_out_at_once_with_key_and_browser() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    make_user("me@x", &folder);
    let server = start(&folder, &[]);
    let session = server.session(&key, "e");
    let browser = Browser::of(&server, "me@x");
    assert_eq!(browser.get("/api/v1/sessions").status, 200);
    let said = user("disable", "me@x", "", &folder);
    assert_eq!(said, ("me@x is shut out; keys and sessions are kept\n".into(), 0));
    for (method, path) in [
        ("GET", "/api/v1/auth/validate".to_owned()),
        ("GET", format!("/api/v1/sessions/{session}")),
        ("POST", "/api/v1/sync/init".to_owned()),
    ] {
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
        let response = server.request(method, &path, &headers, b"{}");
        assert_eq!((response.status, &*response.text()), (403, "Account deactivated\n"), "{path}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    assert_eq!(browser.get("/api/v1/sessions").status, 401);
    assert_eq!(browser.sign_in("me@x", PASSWORD).status, 401);
    let (said, _) = user("list", "me@x", "", &folder);
    assert!(said.contains("belong"), "{said}");
    let listed = super::super::upkeep::run(&["user", "list"], &folder).0;
    assert!(listed.contains(", with a password, shut out since "), "{listed}");

    assert_eq!(user("enable", "me@x", "", &folder), ("me@x may come in\n".into(), 0));
    assert_eq!(server.get("/api/v1/auth/validate", &key).status, 200);
    assert_eq!(browser.get("/api/v1/sessions").status, 401, "sign in again");
    assert_eq!(browser.sign_in("me@x", PASSWORD).status, 303);
    for what in ["disable", "enable", "password"] {
        let (said, status) = user(what, "nobody@x", "a long password\n", &folder);
        assert!(status == 1 && said.contains("hint: `confab-server user list`"), "{said}");
    }
}

#[test]
fn a_new_password_ends_the_old_one_and_all_browsers() {
    let folder = Folder::new();
    make_user("me@x", &folder);
    make_user("other@x", &folder);
    let server = start(&folder, &[]);
    let (mine, other) = (Browser::of(&server, "me@x"), Browser::of(&server, "other@x"));
    let said = user("password", "me@x", "a new password\r\n", &folder);
    let expected = "me@x has a new password, and is signed out everywhere\n";
    assert_eq!(said, (expected.to_owned(), 0));
    assert_eq!(mine.get("/api/v1/sessions").status, 401);
    assert_eq!(other.get("/api/v1/sessions").status, 200);
    assert_eq!(mine.sign_in("me@x", PASSWORD).status, 401);
    assert_eq!(mine.sign_in("me@x", "a new password").status, 303);
    for bad in ["short\n", "", "with\u{7}control\n", &"x".repeat(2000)] {
        let (said, status) = user("password", "me@x", bad, &folder);
        assert!(status == 1 && said.contains("hint: take 8 to 1024 bytes"), "{said}");
    }
    assert_eq!(mine.sign_in("me@x", "a new password").status, 303, "as it was");
    let (said, status) =
        super::super::upkeep::run(&["user", "password", "a new password"], &folder);
    assert!(status == 2 && said.contains("unknown command"), "never an argument: {said}");
}

/// On a terminal the password is asked for twice and never seen.
#[test]
fn a_password_is_typed_unseen() {
    let folder = Folder::new();
    assert_eq!(user("add", "me@x", "", &folder).1, 0);
    let sandbox = Sandbox::new("typed-password");
    let program = env!("CARGO_BIN_EXE_confab-server");
    let line = format!("{program} user password --user me@x --data {}", folder.0.display());
    let typed = |first: &str, second: &str| {
        let mut command = sandbox.command("script");
        command.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "xterm");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("util-linux");
        let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut seen = String::new();
        for (prompt, text) in [("new password of me@x: ", first), ("once more: ", second)] {
            let mut byte = [0];
            while !seen.ends_with(prompt) {
                assert_eq!(screen.read(&mut byte).unwrap(), 1, "{seen}");
                seen.push(char::from(byte[0]));
            }
            keys.write_all(text.as_bytes()).unwrap();
            if text.ends_with('\x03') {
                break;
            }
        }
        screen.read_to_string(&mut seen).unwrap();
        (seen, child.wait().unwrap().code().unwrap())
    };
    let (seen, status) = typed("a typed password\n", "a typed passwort\n");
    assert!(status == 1 && seen.contains("the two passwords differ"), "{seen}");
    let (seen, status) = typed("a typed\x03", "");
    assert!(status == 1 && seen.contains("read the password"), "{seen}");
    let (seen, status) = typed("a typed password\n", "a typed password\n");
    assert!(status == 0 && seen.contains("has a new password"), "{seen}");
    assert!(!seen.contains("typed"), "{seen}");
    let server = start(&folder, &[]);
    assert_eq!(Browser::new(&server).sign_in("me@x", "a typed password").status, 303);
}

#[test]
fn passwords_are_tried_a_few_times_only() {
    let folder = Folder::new();
    for name in ["me@x", "other@x"] {
        make_user(name, &folder);
    }
    let server = start(&folder, &[]);
    let browser = Browser::new(&server);
    let statuses: Vec<u16> =
        (0..11).map(|_| browser.sign_in("me@x", "a wrong password").status).collect();
    assert_eq!(statuses, [[401; 10].as_slice(), &[429]].concat());
    // Whoever knows it has to wait as well, or it would be a way to try more.
    let refused = browser.sign_in("me@x", PASSWORD);
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(browser.sign_in("other@x", PASSWORD).status, 303, "other accounts are not affected");
    // Nor can one address try many accounts.
    let statuses: Vec<u16> =
        (0..30).map(|n| browser.sign_in(&format!("{n}@x"), "guessed").status).collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    assert_eq!(browser.sign_in("other@x", PASSWORD).status, 429);
}

/// Each of them takes 19 MiB for its password, and two do so at a time.
#[test]
fn many_who_sign_in_at_once_take_turns() {
    let folder = Folder::new();
    make_user("me@x", &folder);
    let server = start(&folder, &[]);
    let before = server.peak_kib();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let sign_in = |n| {
            let name = if n % 3 == 0 { "me@x".to_owned() } else { format!("{n}@x") };
            Browser::new(&server).sign_in(&name, PASSWORD).status
        };
        let threads: Vec<_> = (0..24).map(|n| scope.spawn(move || sign_in(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 8, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 16, "{statuses:?}");
    let grown = server.peak_kib() - before;
    assert!(grown < 3 * 19 * 1024, "{grown} KiB");
}

#[test]
fn pages_run_no_script_and_are_shown_in_no_frame() {
    let folder = Folder::new();
    make_user("me@x", &folder);
    let server = start(&folder, &["--base-path", "/c", "--public-url", "https://confab.example/c"]);
    let browser = Browser::new(&server);
    let hostile = "\"><script>alert(1)</script>";
    let form = [("user", hostile), ("password", "guessed"), ("next", hostile)];
    let pages = [
        browser.get("/c/auth/login"),
        browser.post("/c/auth/login", &form),
        browser.post_with("/c/auth/login", &[], &[]),
        browser.send("POST", "/c/auth/login", &[OWN], "{}"),
    ];
    assert_eq!(pages.each_ref().map(|page| page.status), [200, 401, 403, 415]);
    for page in &pages {
        assert_harmless(page);
    }
    let form = [("user", "me@x"), ("password", PASSWORD)];
    let response = browser.post("/c/auth/login", &form);
    assert_eq!(response.header("location"), Some("/c/auth/device"));
    let cookie = response.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; Path=/c; Max-Age=1209600; HttpOnly; SameSite=Lax; Secure"));
    for path in ["/c/auth/device", "/c/auth/device?code=%22%3E%3Cscript%3E"] {
        assert_harmless(&browser.get(path));
    }
    let style = browser.get("/c/assets/account.css");
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    assert!(!style.text().contains("http"), "nothing is loaded from elsewhere");
    let methods = |path| browser.send("PUT", path, &[], "").header("allow").unwrap().to_owned();
    assert_eq!(["/c/auth/login", "/c/auth/logout"].map(methods), ["GET, POST", "POST"]);
}

/// Nothing of a page comes from elsewhere or does anything.
fn assert_harmless(page: &super::super::process::Response) {
    let text = page.text();
    for part in ["<script", "style=", "<style", " on", "javascript:", "http:", "https:"] {
        let found = text.split('<').filter(|tag| format!("<{tag}").contains(part));
        let tags: Vec<&str> = found.filter_map(|tag| tag.split('>').next()).collect();
        assert!(!tags.iter().any(|tag| format!("<{tag}").contains(part)), "{part}: {text}");
    }
    let policy = page.header("content-security-policy").unwrap();
    assert_eq!(
        policy,
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(text.contains("<link rel=\"stylesheet\" href=\"/c/assets/account.css\">"));
    assert!(text.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    for (input, _) in text.match_indices("<input id=\"") {
        let id = text[input + 11..].split('"').next().unwrap();
        assert!(text.contains(&format!("<label for=\"{id}\">")), "{id} has a label");
    }
}

/// A server that others can reach wants somebody with a key or a password.
#[test]
fn a_password_is_enough_to_be_reached_by_others() {
    let folder = Folder::new();
    make_user("me@x", &folder);
    let server = Server::start_at(&folder.0, "0.0.0.0:0");
    assert!(server.terminate());
}
