//! Every recorded session of `fixtures/transcripts` happens again and arrives whole, at the
//! scripted backend and at the real server.

use serde_json::json;

use crate::support::backend::Backend;
use crate::support::fixtures;
use crate::support::parallel::each;
use crate::support::replay::replay;
use crate::support::sandbox::Sandbox;
use crate::support::server::Server;

/// Plays all recordings. `name` tells the sandboxes of different tests apart.
fn play_all(name: &str, play: impl Fn(&str, &Sandbox) + Sync) {
    each(fixtures::recordings(), |recording| {
        play(&recording, &Sandbox::new(&format!("{name}-{recording}")));
    });
}

#[test]
fn every_recorded_session_arrives_whole_at_the_scripted_backend() {
    play_all("scripted", |recording, sandbox| {
        let backend = Backend::start();
        sandbox.configure(&json!({ "backend_url": backend.url(), "api_key": backend.key() }));
        let stored = |id: &str| backend.lines(id, &format!("{id}.jsonl")).len();
        let expected = replay(recording, sandbox, stored);
        for (id, files) in expected {
            let session = backend.session(&id).unwrap_or_else(|| panic!("{recording}: {id}"));
            let names: Vec<_> = session.files.keys().collect();
            assert_eq!(names, files.keys().collect::<Vec<_>>(), "{recording}: files of {id}");
            for (name, bytes) in &files {
                let what = format!("{recording}: {id}/{name}");
                fixtures::check_lines(&what, bytes, &session.files[name].lines);
            }
        }
        assert_eq!(backend.refused(), Vec::<String>::new(), "{recording}");
        assert_eq!(sandbox.sync_files(), Vec::<String>::new(), "{recording}");
    });
}

#[test]
fn every_recorded_session_comes_back_from_the_server() {
    play_all("server", |recording, sandbox| {
        let server = Server::start(sandbox);
        sandbox.configure(&json!({ "backend_url": server.url(), "api_key": server.key() }));
        let stored = |id: &str| server.lines(id, &format!("{id}.jsonl")).len();
        let expected = replay(recording, sandbox, stored);
        for (id, files) in expected {
            let mut names = server.files(&id);
            names.sort();
            assert_eq!(names, files.keys().cloned().collect::<Vec<_>>(), "{recording}: {id}");
            for (name, bytes) in &files {
                let what = format!("{recording}: {id}/{name}");
                fixtures::check_lines(&what, bytes, &server.lines(&id, name));
            }
        }
        assert_eq!(sandbox.sync_files(), Vec::<String>::new(), "{recording}");
    });
}
