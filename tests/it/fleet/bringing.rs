//! The first look: which sessions are brought in, in which order, and which are not asked for
//! again.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::json;

use super::{LONG_AGO, Watch, age, holds_all, id, project};
use crate::support::backend::{Backend, Endpoint};
use crate::support::eventually::eventually;
use crate::support::sandbox::{Sandbox, append, line, lines};

/// Sessions of several projects, the higher their number the newer.
fn history(sandbox: &Sandbox, count: usize) -> Vec<(String, String)> {
    let sessions = (1..=count).map(|number| {
        let path = project(sandbox, &format!("-p{}", number % 3), &format!("{}.jsonl", id(number)));
        let text = lines(&id(number), 1, number);
        append(&path, &text);
        age(&path, LONG_AGO * 2 - Duration::from_secs(number as u64));
        (id(number), text)
    });
    sessions.collect()
}

#[test]
fn all_sessions_are_brought_in_the_newest_first() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-all", &backend);
    let expected = history(&sandbox, 12);
    let agents = [
        (
            "agent-new.jsonl",
            project(&sandbox, "-p1", &format!("{}/subagents/agent-new.jsonl", id(1))),
        ),
        ("agent-old.jsonl", project(&sandbox, "-p1", "agent-old.jsonl")),
    ];
    for (_, path) in &agents {
        append(path, line(&id(1), 7));
        age(path, LONG_AGO * 2);
    }
    // What is no session does not disturb.
    append(&project(&sandbox, "-p1", "notes.jsonl"), "{}\n");
    fs::create_dir(project(&sandbox, "-p1", &format!("{}.jsonl", id(99)))).unwrap();
    symlink("nowhere", project(&sandbox, "-p1", &format!("{}.jsonl", id(98)))).unwrap();
    let watch = Watch::following(&sandbox, &[]);
    holds_all(&backend, &expected);
    for (name, _) in &agents {
        assert_eq!(backend.lines(&id(1), name).len(), 1, "{name}");
    }
    let arrived = backend.arrived();
    let inits = arrived.iter().filter(|arrived| arrived.endpoint == Endpoint::Init);
    let order: Vec<usize> = inits
        .map(|arrived| arrived.body["external_id"].as_str().unwrap()[..8].parse().unwrap())
        .collect();
    assert_eq!(order.len(), 12, "{order:?}");
    // Two are brought in at once, so that one newer one may still be on its way.
    for (at, number) in order.iter().enumerate() {
        let newer = order[at..].iter().filter(|other| *other > number).count();
        assert!(newer <= 1, "{order:?}");
    }
    let standing = watch.standing(&sandbox);
    assert_eq!(standing["sessions"], 12, "{standing}");
    assert_eq!(standing["brought"], 12, "{standing}");
    eventually("it is said", || watch.stderr().contains("following 12 sessions"));
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
    watch.stop();

    // What the backend has whole is not asked for again; what has changed since is.
    let path = project(&sandbox, "-p2", &format!("{}.jsonl", id(5)));
    append(&path, line(&id(5), 6));
    let watch = Watch::following(&sandbox, &[]);
    backend.eventually_holds(&id(5), &lines(&id(5), 1, 6));
    watch.stop();
    assert_eq!(backend.count(Endpoint::Init), 13);
}

#[test]
fn what_is_older_than_since_is_brought_in_when_it_changes() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-since", &backend);
    history(&sandbox, 3);
    let recent = project(&sandbox, "-p0", &format!("{}.jsonl", id(7)));
    append(&recent, line(&id(7), 1));
    let watch = Watch::following(&sandbox, &["--since", "30m"]);
    assert_eq!(backend.transcript(&id(7)), line(&id(7), 1));
    assert_eq!(backend.count(Endpoint::Init), 1);
    append(&project(&sandbox, "-p2", &format!("{}.jsonl", id(2))), line(&id(2), 3));
    backend.eventually_holds(&id(2), &lines(&id(2), 1, 3));
    assert!(backend.session(&id(1)).is_none());
    watch.stop();
}

#[test]
fn other_folders_of_claude_are_watched_in_place_of_the_usual_one() {
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("fleet-folders", &backend);
    history(&sandbox, 2);
    let [one, two, three] = ["one", "two", "three"].map(|name| sandbox.root().join(name));
    for (number, folder) in [(11, &one), (12, &two), (13, &three)] {
        append(&folder.join(format!("projects/-x/{}.jsonl", id(number))), line(&id(number), 1));
    }
    let folders = [&one, &two].map(|folder| folder.to_str().unwrap());
    let watch =
        Watch::following(&sandbox, &["--claude-dir", folders[0], "--claude-dir", folders[1]]);
    assert_eq!(backend.count(Endpoint::Init), 2);
    watch.stop();
    // Without the option it is what the environment says.
    sandbox.set("CLAUDE_CONFIG_DIR", three.to_str().unwrap());
    Watch::following(&sandbox, &[]).stop();
    for number in [1, 2, 11, 12, 13] {
        assert!(backend.session(&id(number)).is_some(), "{number}");
    }
}

#[test]
fn what_is_excluded_is_never_sent_not_even_when_it_becomes_so() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-exclude", &backend);
    sandbox.configure(&json!({
        "backend_url": backend.url(), "api_key": backend.key(), "exclude": ["/secret"],
    }));
    let secret =
        |number: usize, last: usize| line(&id(number), last).replace("\"/work\"", "\"/secret/x\"");
    append(&sandbox.transcript(&id(1)), lines(&id(1), 1, 2) + &secret(1, 3));
    append(&sandbox.transcript(&id(2)), lines(&id(2), 1, 2));
    let watch = Watch::following(&sandbox, &[]);
    assert!(backend.session(&id(1)).is_none());
    append(&sandbox.transcript(&id(2)), line(&id(2), 3));
    backend.eventually_holds(&id(2), &lines(&id(2), 1, 3));
    append(&sandbox.transcript(&id(2)), secret(2, 4) + &line(&id(2), 5));
    append(&sandbox.transcript(&id(3)), line(&id(3), 1));
    backend.eventually_holds(&id(3), &line(&id(3), 1));
    watch.stop();
    assert_eq!(backend.transcript(&id(2)), lines(&id(2), 1, 3));
}

/// One whose state cannot be read does not keep the others from being sent, and is seen.
#[test]
fn one_bad_session_never_stops_the_others() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-bad", &backend);
    let expected = history(&sandbox, 6);
    let state = sandbox.confab(&format!("sync/{}.json", id(4)));
    fs::create_dir_all(&state).unwrap();
    let watch = Watch::start(&sandbox, &[]);
    let has = |(id, text): &(String, String)| &backend.transcript(id) == text;
    eventually("the others arrive", || {
        expected.iter().filter(|session| session.0 != id(4)).all(has)
    });
    eventually("it is seen", || watch.standing(&sandbox)["failed"] == 1);
    let error = watch.standing(&sandbox)["last_error"]["what"].to_string();
    assert!(error.contains(&id(4)), "{error}");
    fs::remove_dir(&state).unwrap();
    watch.signal("USR1");
    eventually("all arrive", || expected.iter().all(has));
    watch.stop();
}

/// It never says that the backend has everything when it does not know, or knows better.
#[test]
fn what_is_not_brought_in_is_said() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-said", &backend);
    sandbox.configure(&json!({
        "backend_url": backend.url(), "api_key": backend.key(), "exclude": [id(3)],
    }));
    history(&sandbox, 2);
    append(&project(&sandbox, "-p0", &format!("{}.jsonl", id(3))), line(&id(3), 1));
    append(&project(&sandbox, "-p0", &format!("{}.jsonl", id(4))), line(&id(4), 1));
    let looped = project(&sandbox, "-looped", "");
    symlink(&looped, looped.parent().unwrap().join("-looped")).unwrap();
    let (typo, home) = (sandbox.root().join("typo"), sandbox.home().join(".claude"));
    let [typo, home] = [&typo, &home].map(|folder| folder.to_str().unwrap());
    let named = ["--since", "30m", "--claude-dir", typo, "--claude-dir", home];
    let watch = Watch::following(&sandbox, &named);
    eventually("it is said", || watch.stderr().contains("confab: following"));
    let expected = format!(
        "confab: {typo}/projects is not there, so nothing is followed in it yet\n\
         confab: bringing in 1 of 2 sessions"
    );
    let said = watch.stderr();
    assert!(said.starts_with(&expected), "{said}");
    let expected = "confab: following 4 sessions; the backend has all others than: 2 too old to be \
                    brought in, 1 excluded or deleted, 1 file or folder that cannot be read\n";
    assert!(said.ends_with(expected), "{said}");
    let standing = watch.standing(&sandbox);
    let count = |name: &str| standing[name].as_u64().unwrap();
    assert_eq!((count("older"), count("unwanted"), count("unreadable")), (2, 1, 1));
    let text = sandbox.run(&["status"]).stdout;
    assert!(
        text.contains("following 4 sessions, 2 too old to be brought in, 1 excluded"),
        "{text}"
    );
    watch.stop();
}
