//! Looking after a server that runs: copies, checks, keys.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::process::{Folder, Server, command, create_key};

/// What a command of the server says, and its exit status.
pub fn run(words: &[&str], folder: &Folder) -> (String, i32) {
    let output = command(words, &folder.0).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code().unwrap())
}

/// Copies are made while lines arrive; each holds a beginning of them, whole, and can be served.
#[test]
fn a_backup_is_consistent_while_lines_arrive() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let is_over = AtomicBool::new(false);
    let copies: Vec<Folder> = (0..5).map(|_| Folder::new()).collect();
    let n_lines = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut line = 0;
            while !is_over.load(Ordering::Relaxed) {
                line += 1;
                let text = format!("line {line}");
                assert_eq!(server.append(&key, &session, line, &[&text]).status, 200);
            }
            line
        });
        for copy in &copies {
            std::fs::create_dir_all(&copy.0).unwrap();
            let file = copy.0.join("confab.db");
            let (said, status) = run(&["backup", file.to_str().unwrap()], &folder);
            assert!(status == 0 && said.contains("1 sessions"), "{said}");
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    for copy in &copies {
        let (said, status) = run(&["check"], copy);
        assert!(status == 0 && said.ends_with(" 0 problems\n"), "{said}");
        let restored = Server::start(&copy.0);
        let path = format!("/api/v1/sessions/{session}/files/download?file_name=t.jsonl");
        let response = restored.get(&path, &key);
        // The first copy may be older than the first line.
        let text = if response.status == 200 { response.text() } else { String::new() };
        let lines: Vec<&str> = text.lines().collect();
        let expected: Vec<String> = (1..=lines.len()).map(|line| format!("line {line}")).collect();
        assert_eq!(lines, expected);
        assert!(lines.len() as u64 <= n_lines);
    }
    let (said, status) = run(&["check"], &folder);
    assert_eq!((said, status), (format!("1 sessions, 1 files, {n_lines} lines, 0 problems\n"), 0));
}

#[test]
fn a_damaged_block_is_found_and_a_damaged_store_is_no_backup() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    // Nothing that compresses, so that a byte of it can be found in the file.
    let text: String = (0..20_000).map(|n: u32| char::from(b'a' + (n * n % 26) as u8)).collect();
    let marked = format!("needle-in-the-block {text}");
    assert_eq!(server.append(&key, &session, 1, &[&marked, "short"]).status, 200);
    assert!(server.terminate());
    let path = folder.0.join("confab.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let frame = bytes.windows(4).position(|part| part == magic).expect("a zstd frame");
    bytes[frame + 9] ^= 0xff;
    std::fs::write(&path, &bytes).unwrap();
    let (said, status) = run(&["check"], &folder);
    assert!(status == 1 && said.contains("file 1 (t.jsonl)"), "{said}");
    let backup = folder.0.join("backup.db");
    let (said, status) = run(&["backup", backup.to_str().unwrap()], &folder);
    assert!(status == 1 && said.contains("is not whole"), "{said}");
    assert!(!backup.exists());
}

#[test]
fn a_revoked_key_stops_working_at_once() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    assert_eq!(server.get("/api/v1/auth/validate", &key).status, 200);
    let (said, _) = run(&["key", "list"], &folder);
    assert!(said.starts_with("me@x  default  since ") && !said.contains(&key), "{said}");
    assert_eq!(run(&["key", "revoke", "--user", "me@x"], &folder).1, 0);
    assert_eq!(server.get("/api/v1/auth/validate", &key).status, 401);
    let (said, status) = run(&["key", "revoke", "--user", "me@x"], &folder);
    assert!(status == 1 && said.contains("hint: "), "{said}");
    assert_eq!(
        run(&["user", "add", "--user", "you@x"], &folder),
        ("you@x is a user now\n".into(), 0)
    );
    let (said, _) = run(&["user", "list"], &folder);
    assert!(said.lines().count() == 2 && said.contains("0 keys, 0 sessions, 0 bytes"), "{said}");
}

#[test]
fn a_restored_backup_is_served_and_replaces_nothing() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    assert_eq!(server.append(&key, &session, 1, &["one", "two"]).status, 200);
    let backup = folder.0.join("backup.db");
    assert_eq!(run(&["backup", backup.to_str().unwrap()], &folder).1, 0);
    let words = ["restore", backup.to_str().unwrap()];
    let (said, status) = run(&words, &folder);
    assert!(status == 1 && said.contains("is there already") && said.contains("hint: "), "{said}");

    let new = Folder::new();
    let (said, status) = run(&words, &new);
    assert!(status == 0 && said.ends_with(": 1 sessions, 2 lines, checked\n"), "{said}");
    let restored = Server::start(&new.0);
    assert_eq!(restored.download(&key, &session), "one\ntwo\n");
    assert_eq!(restored.append(&key, &session, 3, &["three"]).status, 200);
    assert!(server.terminate());

    let mut bytes = std::fs::read(&backup).unwrap();
    let end = bytes.len();
    bytes[end / 2..].fill(7);
    for damaged in [&bytes[..], &bytes[..end / 3], b"no database"] {
        std::fs::write(&backup, damaged).unwrap();
        let other = Folder::new();
        let (said, status) = run(&words, &other);
        assert_eq!(status, 1, "{said}");
        assert_eq!(std::fs::read_dir(&other.0).unwrap().count(), 0, "{said}");
    }
}

/// A misspelt folder is no empty server.
#[test]
fn commands_make_no_database_where_there_is_none() {
    let folder = Folder::new();
    for words in
        [&["check"][..], &["reindex"], &["key", "list"], &["vacuum"], &["delete", "session", "x"]]
    {
        let (said, status) = run(words, &folder);
        assert!(status == 1 && said.contains("there is no database in"), "{said}");
    }
    assert!(!folder.0.exists());
}
