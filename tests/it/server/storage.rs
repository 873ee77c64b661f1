//! What is stored: less than was sent, all of it, and bytes as they came.

use std::path::Path;

use serde_json::json;

use super::process::{Folder, Server, chunk, create_key};
use super::rest::{number, wait_for_rows};
use super::upkeep::run;
use crate::support::eventually::eventually;

/// Lines like those of a transcript: the same keys, other words of a vocabulary of 4096.
fn transcript(lines: usize) -> Vec<String> {
    let mut random = 1_u64;
    let mut word = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{:x}", random >> 52)
    };
    (0..lines)
        .map(|line| {
            let words: Vec<String> = (0..60).map(|_| word()).collect();
            let content = json!([{"type": "text", "text": words.join(" ")}]);
            json!({
                "parentUuid": format!("00000000-0000-4000-8000-{line:012x}"),
                "isSidechain": false,
                "userType": "external",
                "cwd": "/home/dev/project",
                "sessionId": "11111111-1111-4111-8111-111111111111",
                "version": "2.1.329",
                "gitBranch": "main",
                "type": "assistant",
                "message": {"role": "assistant", "content": content},
                "uuid": format!("00000000-0000-4000-8000-{:012x}", line + 1),
                "timestamp": "2026-11-20T10:00:00.000Z",
            })
            .to_string()
        })
        .collect()
}

fn stored_bytes(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn a_stored_session_is_smaller_than_its_file() {
    // Lines a chunk: a first sync, and a daemon that sends every two lines.
    for lines_a_chunk in [1000, 2] {
        let folder = Folder::new();
        let key = create_key(&folder.0, "u@x");
        let server = Server::start(&folder.0);
        let session = server.session(&key, "e");
        let lines = transcript(2000);
        let mut first_line = 1;
        for lines in lines.chunks(lines_a_chunk) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(server.append(&key, &session, first_line, &lines).status, 200);
            first_line += lines.len() as u64;
        }
        let file = format!("{}\n", lines.join("\n"));
        assert_eq!(server.download(&key, &session), file);
        // What small chunks take for the time being is free space once they are merged.
        wait_for_rows(&folder.0);
        eventually("small blocks are merged", || {
            number(&folder.0, "SELECT count(*) FROM blocks") < 100
        });
        assert!(server.terminate());
        assert_eq!(run(&["vacuum"], &folder).1, 0);
        let stored = stored_bytes(&folder.0);
        assert!(stored < file.len() as u64, "{lines_a_chunk}: {stored} of {}", file.len());
    }
}

#[test]
fn a_15_mb_chunk_is_stored_with_little_memory() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let line = "y".repeat(1_000_000);
    let body = chunk(&session, 1, &[line.as_str(); 15]).to_string();
    let packed = zstd::bulk::compress(body.as_bytes(), 3).unwrap();
    let response = server.post_packed("/api/v1/sync/chunk", &key, &packed);
    assert_eq!(response.json(), json!({"last_synced_line": 15}));
    assert_eq!(server.download(&key, &session), format!("{line}\n").repeat(15));
    // The body once and its lines once, and room for everything else.
    let peak = server.peak_kib();
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn more_than_16_mib_are_refused_and_the_connection_survives_a_small_excess() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let fixed = chunk(&session, 1, &[""]).to_string().len();
    let limit = confab::wire::CHUNK_BODY_BYTES_MAX;
    let too_long = "z".repeat(limit - fixed + 1);
    for packed in [false, true] {
        let body = chunk(&session, 1, &[&too_long]).to_string();
        assert_eq!(body.len(), limit + 1);
        let send = |body: &str| match packed {
            false => server.post("/api/v1/sync/chunk", &key, &serde_json::from_str(body).unwrap()),
            true => {
                let packed = zstd::bulk::compress(body.as_bytes(), 1).unwrap();
                server.post_packed("/api/v1/sync/chunk", &key, &packed)
            }
        };
        let response = send(&body);
        assert_eq!(response.status, 400);
        assert_eq!(response.json(), json!({"error": "Invalid request body"}));
        let fitting = send(&chunk(&session, 1, &[&too_long[1..]]).to_string());
        assert_eq!(fitting.json(), json!({"last_synced_line": 1}));
    }
}

#[test]
fn odd_lines_come_back_byte_for_byte() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let lines = ["", "\r", " \t", "\u{0}", "é你好🎉", "\u{2028}\u{feff}", "\\ud800", "\""];
    assert_eq!(server.append(&key, &session, 1, &lines).status, 200);
    let body = format!(
        r#"{{"session_id":"{session}","file_name":"t.jsonl","file_type":"transcript",
        "first_line":9,"lines":["lone \ud83c","pair \ud83c\udf89"]}} and more"#
    );
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let response = server.request("POST", "/api/v1/sync/chunk", &headers, body.as_bytes());
    assert_eq!(response.status, 200, "{}", response.text());
    let expected = format!("{}\nlone \u{fffd}\npair 🎉\n", lines.join("\n"));
    assert_eq!(server.download(&key, &session), expected);
}
