//! What happens behind the scenes of a real server: rows, merging, migrations, kills.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use super::process::{Folder, Server, command, create_key};
use super::upkeep::run;
use crate::support::eventually::eventually;
use crate::support::fixtures;

/// Files by session and name.
pub type Stored = BTreeMap<(String, String), Vec<u8>>;

pub fn number(data: &Path, sql: &str) -> i64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = Connection::open_with_flags(data.join("confab.db"), flags).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Uploads the lines of a file, so many a chunk.
pub fn upload(server: &Server, key: &str, session: &str, name: &str, text: &[u8], lines: usize) {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let texts: Vec<&str> = text.strip_suffix('\n').unwrap_or(&text).split('\n').collect();
    let file_type = if name.starts_with("agent-") { "agent" } else { "transcript" };
    for (index, chunk) in texts.chunks(lines).enumerate() {
        let body = json!({"session_id": session, "file_name": name, "file_type": file_type,
            "first_line": index * lines + 1, "lines": chunk});
        let response = server.post("/api/v1/sync/chunk", key, &body);
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

fn download(server: &Server, key: &str, session: &str, name: &str) -> Vec<u8> {
    let name = name.replace('/', "%2F");
    let path = format!("/api/v1/sessions/{session}/files/download?file_name={name}");
    let response = server.get(&path, key);
    assert_eq!(response.status, 200, "{}", response.text());
    response.body
}

fn assert_reads_back(server: &Server, key: &str, stored: &Stored) {
    for ((session, name), text) in stored {
        let text = [text.strip_suffix(b"\n").unwrap_or(text), b"\n"].concat();
        assert!(download(server, key, session, name) == text, "{session} {name}");
    }
}

fn assert_clean(data: &Folder) {
    let (said, status) = run(&["check"], data);
    assert!(status == 0 && said.ends_with(" 0 problems\n"), "{said}");
}

pub fn wait_for_rows(data: &Path) {
    eventually("all lines have rows", || {
        number(data, "SELECT count(*) FROM files WHERE indexed_line < last_line") == 0
    });
}

/// Every recorded session, as one user's.
pub fn upload_recordings(server: &Server, key: &str, scratch: &Folder) -> Stored {
    let mut stored = Stored::new();
    for (number, recording) in fixtures::recordings().iter().enumerate() {
        let home = scratch.0.join(recording);
        fixtures::install(recording, &home);
        for (id, files) in fixtures::sessions(&home.join(".claude")) {
            let session = server.session(key, &format!("{recording}/{id}"));
            for (name, text) in files {
                // From a line a chunk to whole files.
                upload(server, key, &session, &name, &text, 1 + number * number);
                stored.insert((session.clone(), name), text);
            }
        }
    }
    stored
}

#[test]
fn recorded_sessions_read_back_before_and_after_they_come_to_rest() {
    let (folder, scratch) = (Folder::new(), Folder::new());
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let stored = upload_recordings(&server, &key, &scratch);
    assert_reads_back(&server, &key, &stored);
    wait_for_rows(&folder.0);
    assert_clean(&folder);
    // Beside the running server.
    assert_eq!(run(&["vacuum"], &folder).1, 0);
    assert_reads_back(&server, &key, &stored);
    assert_clean(&folder);
    let sum = |sql: &str| number(&folder.0, sql);
    assert_eq!(sum("SELECT count(*) FROM files WHERE merged_line < last_line"), 0);
    assert_eq!(sum("SELECT count(*) FROM messages"), sum("SELECT sum(last_line) FROM files"));
    // All but the recording of large images, which are not to be compressed.
    let images = "file_id NOT IN (SELECT id FROM files WHERE raw_bytes > 1000000)";
    let raw = sum(&format!("SELECT sum(raw_bytes) FROM blocks WHERE {images}"));
    let packed = sum(&format!("SELECT sum(length(data)) FROM blocks WHERE {images}"));
    assert!(packed * 10 < raw, "{packed} of {raw}");
    // And the next lines go on behind them.
    let ((session, name), text) = stored.iter().next().unwrap();
    let n_lines = text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n').count();
    let body = json!({"session_id": session, "file_name": name, "file_type": "transcript",
        "first_line": n_lines, "lines": ["x"]});
    assert_eq!(server.post("/api/v1/sync/chunk", &key, &body).status, 400, "not what is stored");
    let (said, status) = run(&["reindex"], &folder);
    let lines = sum("SELECT sum(last_line) FROM files");
    let files = stored.len();
    assert_eq!(
        (said, status),
        (format!("{files} files, {lines} lines indexed, 0 damaged files\n"), 0)
    );
    assert_clean(&folder);
}

#[test]
fn a_database_of_every_released_version_is_taken_over() {
    let databases = fixtures::folder().join("server/databases");
    let mut versions: Vec<i64> = fs::read_dir(&databases)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().parse().unwrap())
        .collect();
    versions.sort_unstable();
    for version in &versions {
        let (folder, scratch) = (Folder::new(), Folder::new());
        fs::create_dir_all(&folder.0).unwrap();
        let copy = folder.0.join("confab.db");
        fs::copy(databases.join(format!("{version}.db")), &copy).unwrap();
        assert_eq!(number(&folder.0, "PRAGMA user_version"), *version);
        assert_clean(&folder);
        let now = number(&folder.0, "PRAGMA user_version");
        assert_eq!(versions, (1..=now).collect::<Vec<_>>(), "fixtures/server/databases");
        let key = create_key(&folder.0, "me@example.com");
        let server = Server::start(&folder.0);
        let mut stored = Stored::new();
        for recording in ["forked", "old-2.1.20", "simple"] {
            let home = scratch.0.join(recording);
            fixtures::install(recording, &home);
            for (id, files) in fixtures::sessions(&home.join(".claude")) {
                let session = server.session(&key, &format!("{recording}/{id}"));
                let of_session =
                    files.into_iter().map(|(name, text)| ((session.clone(), name), text));
                stored.extend(of_session);
            }
        }
        assert_reads_back(&server, &key, &stored);
        wait_for_rows(&folder.0);
        assert_eq!(run(&["vacuum"], &folder).1, 0);
        assert_reads_back(&server, &key, &stored);
        assert_clean(&folder);
    }
}

/// A line with a uuid, of which two sessions have the same.
fn line(session: &str, number: u64) -> String {
    let mut seed = number + 1;
    let words: String = (0..40 + number % 200)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{:x} ", seed >> 40)
        })
        .collect();
    let uuid = format!("00000000-0000-4000-8000-{number:012x}");
    json!({"sessionId": session, "type": "user", "uuid": uuid, "message": {"content": words}})
        .to_string()
}

/// Servers, mergers and indexers are killed at any moment while lines arrive.
#[test]
fn a_kill_at_any_moment_leaves_every_line_and_row() {
    const KILLS: u64 = 24;
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let sessions = ["one", "two"];
    let acknowledged = sessions.map(|_| AtomicU64::new(0));
    let mut ids = Vec::new();
    for kill in 0..KILLS {
        let server = Server::start(&folder.0);
        ids = sessions.iter().map(|session| server.session(&key, session)).collect();
        let target = (kill + 1) * 40;
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for ((id, session), acknowledged) in ids.iter().zip(sessions).zip(&acknowledged) {
                let (server, key, is_over) = (&server, &key, &is_over);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        let first = acknowledged.load(Ordering::SeqCst) + 1;
                        let texts: Vec<String> =
                            (first..first + 3).map(|number| line(session, number)).collect();
                        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                        match server.try_append(key, id, first, &texts) {
                            Some(response) => assert_eq!(response.status, 200),
                            None => return,
                        }
                        acknowledged.store(first + 2, Ordering::SeqCst);
                    }
                });
            }
            // Beside it, one that merges what is not quiet at all, or indexes everything anew.
            let words = [["vacuum"], ["reindex"]][kill as usize % 2];
            let beside =
                command(&words, &folder.0).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut beside = beside.unwrap();
            let slowest = || acknowledged.iter().map(|lines| lines.load(Ordering::SeqCst)).min();
            eventually("lines are acknowledged", || slowest().unwrap() >= target);
            beside.kill().unwrap();
            beside.wait().unwrap();
            server.kill_now();
            is_over.store(true, Ordering::Relaxed);
        });
    }
    assert_clean(&folder);
    let server = Server::start(&folder.0);
    wait_for_rows(&folder.0);
    assert_eq!(run(&["vacuum"], &folder).1, 0);
    assert_clean(&folder);
    for ((id, session), acknowledged) in ids.iter().zip(sessions).zip(&acknowledged) {
        let text = String::from_utf8(download(&server, &key, id, "t.jsonl")).unwrap();
        let n_lines = text.lines().count() as u64;
        let acknowledged = acknowledged.load(Ordering::SeqCst);
        // The answer to the last chunk may have been lost.
        assert!(n_lines == acknowledged || n_lines == acknowledged + 3, "{n_lines} {acknowledged}");
        let expected: String = (1..=n_lines).map(|number| line(session, number) + "\n").collect();
        assert!(text == expected, "{session}");
    }
    let sum = |sql: &str| number(&folder.0, sql);
    assert_eq!(sum("SELECT count(*) FROM messages"), sum("SELECT sum(last_line) FROM files"));
    assert!(sum("SELECT count(*) FROM blocks WHERE base_block IS NOT NULL") > 0);
}

#[test]
fn nothing_of_a_session_is_left_in_the_rows_or_in_what_referred_to_it() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let needle = |number: u64| format!("needle-{number}-of-the-original");
    // Ids that are no uuids are stored as they are.
    let texts = |session: &str, n_own: u64| -> Vec<String> {
        let own = (0..n_own).map(|n| format!(r#"{{"type":"user","uuid":"{}"}}"#, needle(n)));
        own.chain((0..400).map(|number| line(session, number))).collect()
    };
    let (original, fork) = (texts("original", 30), texts("fork", 0));
    let mut ids = Vec::new();
    for (session, texts) in [("original", &original), ("fork", &fork)] {
        let id = server.session(&key, session);
        upload(&server, &key, &id, "t.jsonl", texts.join("\n").as_bytes(), 100);
        wait_for_rows(&folder.0);
        assert_eq!(run(&["vacuum"], &folder).1, 0);
        ids.push(id);
    }
    let referring =
        || number(&folder.0, "SELECT count(*) FROM blocks WHERE base_block IS NOT NULL");
    let holding = || {
        let files = fs::read_dir(&folder.0).unwrap().map(|entry| fs::read(entry.unwrap().path()));
        let is_in = |bytes: &[u8]| memchr::memmem::find(bytes, needle(7).as_bytes()).is_some();
        files.filter(|bytes| is_in(bytes.as_ref().unwrap())).count()
    };
    assert!(referring() > 0 && holding() > 0);
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str())];
    let path = format!("/api/v1/sessions/{}", ids[0]);
    assert_eq!(server.request("DELETE", &path, &headers, b"").status, 204);
    assert_eq!(referring(), 0);
    // Its words leave the pages of the index when somebody behind the scenes has come to it.
    eventually("no word of it is left", || holding() == 0);
    let expected = fork.join("\n") + "\n";
    assert!(download(&server, &key, &ids[1], "t.jsonl") == expected.as_bytes());
    assert_clean(&folder);
}

/// Readers that never pause keep neither writers nor the log from going on.
#[test]
fn the_log_stays_small_under_readers_without_a_gap() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let is_over = AtomicBool::new(false);
    let mut seed = 1_u64;
    // Letters that no compressor makes much smaller.
    let noise: String = (0..1_500_000)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + (seed >> 58) as u8)
        })
        .collect();
    let log = folder.0.join("confab.db-wal");
    let largest = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let path = format!("/api/v1/sessions/{session}/files");
                    assert_eq!(server.get(&path, &key).status, 200);
                }
            });
        }
        let mut largest = 0;
        for number in 1..=120 {
            let text = format!("{number} {noise}");
            assert_eq!(server.append(&key, &session, number, &[&text]).status, 200);
            largest = largest.max(fs::metadata(&log).map_or(0, |metadata| metadata.len()));
        }
        is_over.store(true, Ordering::Relaxed);
        largest
    });
    assert!(largest < 100 << 20, "{largest} bytes of log for 150 MB of lines");
}
