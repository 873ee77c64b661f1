//! The configuration changes while a watch runs.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::{LONG_AGO, Watch, age, id};
use crate::support::backend::{Backend, Moment};
use crate::support::eventually::eventually;
use crate::support::sandbox::{Sandbox, append, line, lines};

fn configuration(backend: &Backend) -> Value {
    json!({ "backend_url": backend.url(), "api_key": backend.key() })
}

/// While the first backend is asked about a session, the configuration begins to name another one:
/// what the first one then acknowledges is not taken for what the other one has.
#[test]
fn what_one_backend_acknowledges_is_not_noted_of_the_next() {
    let (first, second) = (Backend::start(), Backend::start());
    let sandbox = Sandbox::with_backend("fleet-changes-account", &first);
    append(&sandbox.transcript(&id(1)), lines(&id(1), 1, 3));
    age(&sandbox.transcript(&id(1)), LONG_AGO);
    let [config, new] = ["config.json", "config.json.new"].map(|name| sandbox.confab(name));
    let noted = sandbox.confab("kept/watched");
    fs::write(&new, configuration(&second).to_string()).unwrap();
    let is_done = AtomicBool::new(false);
    first.observe(move |_, moment| {
        if moment == Moment::Stored && !is_done.swap(true, Ordering::SeqCst) {
            let before = fs::read(&noted).unwrap();
            fs::rename(&new, &config).unwrap();
            eventually("the watch has seen it", || {
                fs::read(&noted).is_ok_and(|now| !now.is_empty() && now != before)
            });
        }
    });
    let watch = Watch::start(&sandbox, &[]);
    second.eventually_holds(&id(1), &lines(&id(1), 1, 3));
    watch.stop();
}

#[test]
fn a_configuration_that_is_edited_in_place_counts_at_once() {
    let (first, second) = (Backend::start(), Backend::start());
    let sandbox = Sandbox::with_backend("fleet-changes-edited", &first);
    append(&sandbox.transcript(&id(1)), line(&id(1), 1));
    age(&sandbox.transcript(&id(1)), LONG_AGO);
    let watch = Watch::following(&sandbox, &[]);
    sandbox.configure(&configuration(&second));
    second.eventually_holds(&id(1), &line(&id(1), 1));
    // Once more: it is still looked at.
    append(&sandbox.transcript(&id(2)), line(&id(2), 1));
    second.eventually_holds(&id(2), &line(&id(2), 1));
    sandbox.configure(&configuration(&first));
    first.eventually_holds(&id(2), &line(&id(2), 1));
    watch.stop();
}

/// What was excluded is sent once it is not any more.
#[test]
fn an_exclusion_that_is_lifted_counts_at_once() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-changes-lifted", &backend);
    let mut excluding = configuration(&backend);
    excluding["exclude"] = json!([id(1), id(2)]);
    sandbox.configure(&excluding);
    append(&sandbox.transcript(&id(1)), line(&id(1), 1));
    append(&sandbox.transcript(&id(2)), line(&id(2), 1));
    age(&sandbox.transcript(&id(1)), LONG_AGO);
    let watch = Watch::following(&sandbox, &[]);
    assert!(backend.session(&id(1)).is_none() && backend.session(&id(2)).is_none());
    sandbox.configure(&configuration(&backend));
    backend.eventually_holds(&id(1), &line(&id(1), 1));
    backend.eventually_holds(&id(2), &line(&id(2), 1));
    watch.stop();
}

/// What was deleted from the backend is sent again once that is not remembered any more.
#[test]
fn a_deletion_that_is_taken_back_counts_with_the_next_look() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-changes-undeleted", &backend);
    append(&sandbox.transcript(&id(1)), line(&id(1), 1));
    let mark = sandbox.confab(&format!("kept/{}.json", id(1)));
    fs::create_dir_all(mark.parent().unwrap()).unwrap();
    fs::write(&mark, r#"{"version":1,"deleted_at":"2026-01-01T00:00:00Z"}"#).unwrap();
    let watch = Watch::following(&sandbox, &[]);
    assert!(backend.session(&id(1)).is_none());
    fs::remove_file(&mark).unwrap();
    watch.signal("USR1");
    backend.eventually_holds(&id(1), &line(&id(1), 1));
    watch.stop();
}

/// That a session was deleted is remembered for as long as it is there, also where only a watch
/// looks for it.
#[test]
fn a_deletion_is_remembered_in_all_folders_that_are_watched() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("fleet-changes-remembered", &backend);
    let other = sandbox.root().join("other");
    let transcript = |number| other.join(format!("projects/-x/{}.jsonl", id(number)));
    append(&transcript(1), line(&id(1), 1));
    let mark = sandbox.confab(&format!("kept/{}.json", id(1)));
    append(&mark, r#"{"version":1,"deleted_at":"2026-01-01T00:00:00Z"}"#);
    age(&mark, Duration::from_secs(61 * 24 * 3600));
    append(&transcript(2), line(&id(2), 1));
    age(&transcript(2), LONG_AGO);
    // Something that goes with its age goes, and so it was cleared.
    let goes = sandbox.confab(&format!("kept/{}.json", id(3)));
    append(&goes, "{");
    age(&goes, Duration::from_secs(61 * 24 * 3600));
    let watch = Watch::following(&sandbox, &["--claude-dir", other.to_str().unwrap()]);
    backend.eventually_holds(&id(2), &line(&id(2), 1));
    eventually("it was cleared", || !goes.exists());
    append(&transcript(2), line(&id(2), 2));
    backend.eventually_holds(&id(2), &lines(&id(2), 1, 2));
    watch.stop();
    assert!(mark.exists() && backend.session(&id(1)).is_none());
}
