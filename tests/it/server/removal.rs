//! What is deleted is gone from the disk.

use std::path::Path;

use super::process::{Folder, Server, create_key};
use super::upkeep::run;

/// Random enough that it is stored as it is, and found wherever it is left.
fn needle(number: u32) -> String {
    format!("needle-{number}-{}", u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Files of a folder that hold these bytes.
fn holding(folder: &Path, needle: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = files.filter(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        memchr::memmem::find(&bytes, needle.as_bytes()).is_some()
    });
    found.map(|path| path.display().to_string()).collect()
}

/// Long enough for several pages, each with the needle.
fn lines(needle: &str) -> Vec<String> {
    (0..40).map(|number| format!("{number} {needle}")).collect()
}

/// One line a chunk stays uncompressed.
fn append(server: &Server, key: &str, session: &str, needle: &str) {
    for (number, line) in (1..).zip(lines(needle)) {
        assert_eq!(server.append(key, session, number, &[&line]).status, 200);
    }
}

#[test]
fn nothing_of_a_deleted_session_or_user_is_left() {
    let folder = Folder::new();
    let (mine, yours) = (create_key(&folder.0, "me@x"), create_key(&folder.0, "you@x"));
    let server = Server::start(&folder.0);
    let sessions: Vec<String> = (0..4)
        .map(|number| {
            let key = if number < 3 { &mine } else { &yours };
            let session = server.session(key, &needle(100 + number));
            append(&server, key, &session, &needle(number));
            session
        })
        .collect();
    assert!((0..4).all(|number| !holding(&folder.0, &needle(number)).is_empty()));

    // By its owner.
    let bearer = format!("Bearer {mine}");
    let path = format!("/api/v1/sessions/{}", sessions[0]);
    let headers = [("Authorization", bearer.as_str())];
    assert_eq!(server.request("DELETE", &path, &headers, b"").status, 204);
    // Beside the running server.
    let (said, status) = run(&["delete", "session", &sessions[1]], &folder);
    assert_eq!((said, status), (format!("nothing of session {} is left here\n", sessions[1]), 0));
    let (said, status) = run(&["delete", "user", "you@x"], &folder);
    assert_eq!((said, status), ("nothing of you@x is left here\n".into(), 0));
    for number in [0, 1, 3] {
        for needle in [needle(number), needle(100 + number)] {
            assert_eq!(holding(&folder.0, &needle), [""; 0], "{needle}");
        }
    }
    let stays: String = lines(&needle(2)).iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(server.download(&mine, &sessions[2]), stays);
    assert_eq!(server.get("/api/v1/auth/validate", &yours).status, 401);
    for words in [["delete", "session", &sessions[1]], ["delete", "user", "you@x"]] {
        let (said, status) = run(&words, &folder);
        assert!(status == 1 && said.contains("there is no "), "{said}");
    }
    let (said, status) = run(&["check"], &folder);
    assert_eq!((said.as_str(), status), ("1 sessions, 1 files, 40 lines, 0 problems\n", 0));
}

#[test]
fn a_vacuum_gives_space_back_beside_a_server() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    let bytes = |name: &str| folder.0.join(name).metadata().map_or(0, |metadata| metadata.len());
    let session = server.session(&key, "large");
    // Letters that no compressor makes much smaller.
    let mut seed = 1_u64;
    let line: String = (0..4_000_000)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + (seed >> 60) as u8)
        })
        .collect();
    assert_eq!(server.append(&key, &session, 1, &[&line]).status, 200);
    let kept = server.session(&key, "small");
    assert_eq!(server.append(&key, &kept, 1, &["x"]).status, 200);
    assert_eq!(run(&["delete", "session", &session], &folder).1, 0);
    let before = bytes("confab.db");
    assert_eq!(run(&["vacuum"], &folder).1, 0);
    assert!(before > 1_500_000 && bytes("confab.db") < 500_000, "{before}");
    assert_eq!(bytes("confab.db-wal"), 0);
    assert_eq!(server.download(&key, &kept), "x\n");
    assert_eq!(server.append(&key, &kept, 2, &["y"]).status, 200);
}
