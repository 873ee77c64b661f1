//! Bodies that claim to be more than they are; names and lines that are not what they should be.

use std::io::Write;

use confab::wire::{CHUNK_BODY_BYTES_MAX, EXTERNAL_ID_BYTES_MAX, FILE_NAME_BYTES_MAX};
use serde_json::{Value, json};

use crate::server::process::{Folder, Response, Server, chunk, create_key};
use crate::server::upkeep::run;

/// What a body that is refused may cost: what it may be long, compressed or not, and some room.
const REFUSED_KIB_MAX: u64 = 40 << 10;
/// What a body may cost that is as long as it may be and made of the shortest lines.
const SHORT_LINES_KIB_MAX: u64 = 48 << 10;
const CHUNK: &str = "/api/v1/sync/chunk";

#[test]
fn a_zstd_bomb_costs_its_limit_at_most() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..1024 {
        encoder.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let cases = [
        ("init", "Invalid request body"),
        ("chunk", "Invalid request body"),
        ("event", "Invalid request body"),
    ];
    for (endpoint, error) in cases {
        let response = server.post_packed(&format!("/api/v1/sync/{endpoint}"), &key, &bomb);
        assert_eq!(response.status, 400, "{endpoint}");
        assert_eq!(response.json(), json!({ "error": error }), "{endpoint}");
    }
    let peak = server.peak_kib();
    assert!(peak < 64 << 10, "{peak} KiB");
}

/// A zstd frame of so many blocks of 128 KiB in four bytes each.
fn frame(claimed: u64, n_blocks: usize) -> Vec<u8> {
    // A window of 128 KiB, and eight bytes for the length of the content.
    let mut bytes = [&[0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x38], &claimed.to_le_bytes()[..]].concat();
    for block in 1..=n_blocks {
        let header = (128 << 10) << 3 | 1 << 1 | u32::from(block == n_blocks);
        bytes.extend_from_slice(&header.to_le_bytes()[..3]);
        bytes.push(b' ');
    }
    bytes
}

#[test]
fn what_zstd_claims_costs_nothing() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let in_a_kilobyte = frame(10_000_000_000, 240);
    assert!(in_a_kilobyte.len() < 1 << 10);
    let whole = zstd::bulk::compress(b"{}", 1).unwrap();
    let cases: [(&str, Vec<u8>); 9] = [
        ("10 GB claimed in a kilobyte", in_a_kilobyte),
        ("10 GB claimed, nothing there", frame(10_000_000_000, 1)),
        ("more than fits, and honest", frame(240 * (128 << 10), 240)),
        ("all that can be claimed", frame(u64::MAX - 1, 240)),
        ("a window of terabytes", [&magic[..], &[0x00, 0xff], &[1, 0, 0]].concat()),
        ("a dictionary that nobody has", [&magic[..], &[0x23, 7, 7, 7, 7, 2], &[1, 0, 0]].concat()),
        ("many frames", frame(128 << 10, 1).repeat(240)),
        ("4 GB to be skipped", [0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff].to_vec()),
        ("cut off", whole[..whole.len() - 1].to_vec()),
    ];
    for (name, body) in cases {
        for endpoint in ["init", "chunk", "event"] {
            let cost = server.cost_kib(|| {
                let path = format!("/api/v1/sync/{endpoint}");
                assert_eq!(server.post_packed(&path, &key, &body).status, 400, "{name}");
            });
            assert!(cost < REFUSED_KIB_MAX, "{name}: {cost} KiB");
        }
    }
}

/// `[` as often as it may be, and what belongs behind it.
fn nested(depth: usize, open: &str, close: &str) -> String {
    [open.repeat(depth), close.repeat(depth)].concat()
}

fn empty_lines(session: &str, count: usize) -> Vec<u8> {
    let mut body = chunk(session, 1, &[]).to_string();
    let at = body.find("[]").unwrap() + 1;
    let mut lines = "\"\",".repeat(count);
    lines.pop();
    body.insert_str(at, &lines);
    body.into_bytes()
}

#[test]
fn empty_lines_cost_no_more_than_others() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let body = zstd::bulk::compress(&empty_lines(&session, 30_000_000), 1).unwrap();
    let cost = server.cost_kib(|| {
        let response = server.post_packed(CHUNK, &key, &body);
        assert_eq!(response.status, 400);
        assert_eq!(response.json(), json!({"error": "Invalid request body"}));
    });
    assert!(cost < REFUSED_KIB_MAX, "{cost} KiB");

    // As many as may be.
    let fixed = empty_lines(&session, 1).len();
    let count = (CHUNK_BODY_BYTES_MAX - fixed) / 3;
    let body = zstd::bulk::compress(&empty_lines(&session, count), 1).unwrap();
    let cost = server.cost_kib(|| {
        let response = server.post_packed(CHUNK, &key, &body);
        assert_eq!(response.json(), json!({ "last_synced_line": count }));
        assert_eq!(server.download(&key, &session), "\n".repeat(count));
    });
    assert!(cost < SHORT_LINES_KIB_MAX, "{cost} KiB");
    assert!(server.terminate());
    let (said, status) = run(&["check"], &folder);
    assert!(status == 0 && said.contains(&format!("{count} lines, 0 problems")), "{said}");
}

#[test]
fn deep_json_is_read_or_refused_at_any_depth() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let array = nested(60_000, "[", "]");
    let object = nested(20_000, "{\"a\":", "}").replace(":}", ":1}");
    let opening = |more: &str| format!(r#"{{"external_id":"d","transcript_path":"/t"{more}}}"#);
    let event = |payload: &str| {
        format!(
            r#"{{"session_id":"{session}","event_type":"session_end",
            "timestamp":"2026-01-01T00:00:00Z","payload":{payload}}}"#
        )
    };
    let lines = |more: &str| {
        format!(
            r#"{{"session_id":"{session}","file_name":"t.jsonl","file_type":"transcript",
            "first_line":1,"lines":["a"]{more}}}"#
        )
    };
    let cases = [
        ("init", array.clone(), 400),
        ("init", object.clone(), 400),
        ("init", opening(&format!(",\"x\":{array}")), 400),
        ("init", opening(&format!(",\"metadata\":{object}")), 400),
        ("event", event(&array), 400),
        ("event", event(&object), 400),
        ("chunk", array.clone(), 400),
        ("chunk", lines(&format!(",\"metadata\":{object}")), 400),
        ("chunk", lines(&format!(",\"metadata\":{{\"git_info\":{object}}}")), 400),
        // What nobody asks for is passed over.
        ("chunk", lines(&format!(",\"x\":{}", nested(3_000_000, "[", "]"))), 200),
        ("chunk", lines(&format!(",\"x\":{}", "[".repeat(9_000_000))), 400),
    ];
    for (endpoint, body, status) in cases {
        let cost = server.cost_kib(|| {
            let path = format!("/api/v1/sync/{endpoint}");
            let packed = zstd::bulk::compress(body.as_bytes(), 1).unwrap();
            let response = server.post_packed(&path, &key, &packed);
            let start: String = body.chars().take(200).collect();
            assert_eq!(response.status, status, "{endpoint} {start} {}", response.text());
        });
        assert!(cost < REFUSED_KIB_MAX, "{endpoint}: {cost} KiB");
    }
    // A line is a text like others, whatever it is made of; everything that looks into it does so.
    let deep = [
        nested(1_000_000, "[", "]"),
        nested(500_000, "{\"a\":", "1}"),
        "[".repeat(1_000_000),
        format!("{{\"type\":\"user\",\"message\":{{\"content\":{array}}}}}"),
        format!("{{\"type\":\"assistant\",\"message\":{object},\"timestamp\":{array}}}"),
    ];
    let texts: Vec<&str> = deep.iter().map(String::as_str).collect();
    assert_eq!(server.append(&key, &session, 2, &texts).status, 200);
    assert_eq!(server.download(&key, &session), format!("a\n{}\n", deep.join("\n")));
    let condensed = format!("/api/v1/sessions/{session}/condensed-transcript");
    assert_eq!(server.get(&condensed, &key).status, 200);
    assert!(server.terminate());
    for words in [&["check"][..], &["reindex"]] {
        let (said, status) = run(words, &folder);
        assert_eq!(status, 0, "{said}");
    }
    let to = Folder::new();
    let (said, status) = run(&["export", to.0.to_str().unwrap(), "--html"], &folder);
    assert_eq!(status, 0, "{said}");
}

/// Names are nothing but names: they come back as they were, and no file has one of them.
#[test]
fn names_of_any_kind_are_stored_as_names() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let long = "x".repeat(EXTERNAL_ID_BYTES_MAX.min(FILE_NAME_BYTES_MAX));
    let names = [
        "../../../../../../tmp/confab-traversal",
        "/tmp/confab-traversal",
        "..",
        ".",
        "a/../../../b",
        "..\\..\\b",
        "C:\\b",
        "confab.db",
        "confab.db-wal",
        "%2e%2e%2fb",
        "a%00b",
        "\u{0}",
        "a\u{0}.jsonl",
        "a\r\nSet-Cookie: b=c",
        "a\"b; c=d",
        "'; DROP TABLE files; --",
        "$(reboot)",
        "-rf",
        " ",
        "\u{202e}lnosj.b",
        "\u{fffd}\u{1f600}\u{feff}",
        &long,
    ];
    for name in names {
        let session = server.session(&key, name);
        assert!(server.has_session_named(&key, name), "{name:?}");
        let mut body = chunk(&session, 1, &[name.trim_matches('\n').replace('\n', "").as_str()]);
        body["file_name"] = json!(name);
        let response = server.post(CHUNK, &key, &body);
        assert_eq!(response.status, 200, "{name:?}: {}", response.text());
        let files = server.get(&format!("/api/v1/sessions/{session}/files"), &key).json();
        assert_eq!(files["files"][0]["file_name"], json!(name));
        let path = format!("/api/v1/sessions/{session}/files/download?file_name={}", escaped(name));
        let response = server.get(&path, &key);
        assert_eq!(response.status, 200, "{name:?}");
        assert_eq!(response.header("set-cookie"), None, "{name:?}");
        assert_eq!(response.text(), format!("{}\n", body["lines"][0].as_str().unwrap()));
    }
    assert!(!std::path::Path::new("/tmp/confab-traversal").exists());
    assert!(server.terminate());
    let files = std::fs::read_dir(&folder.0).unwrap().map(|file| file.unwrap().file_name());
    let strange: Vec<_> =
        files.filter(|name| !name.to_str().unwrap().starts_with("confab.db")).collect();
    assert!(strange.is_empty(), "{strange:?}");
    // What would not fit is refused, not cut.
    let server = Server::start(&folder.0);
    let session = server.session(&key, "e");
    let mut body = chunk(&session, 1, &["a"]);
    body["file_name"] = json!("x".repeat(FILE_NAME_BYTES_MAX + 1));
    assert_eq!(server.post(CHUNK, &key, &body).status, 400);
}

/// Every byte as it would be in a query.
fn escaped(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Bytes that are no text become U+FFFD where the protocol forgives them, and nothing else does.
#[test]
fn bytes_that_are_no_text() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "u@x");
    let server = Server::start(&folder.0);
    let send = |session: &str, lines: &[u8]| -> Response {
        let head = format!(
            r#"{{"session_id":"{session}","file_name":"t.jsonl","file_type":"transcript",
            "first_line":1,"lines":["#
        );
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = [head.as_bytes(), lines, b"]}"].concat();
        server.request("POST", CHUNK, &headers, &body)
    };
    let cases: [(&[u8], Option<&str>); 10] = [
        (b"\"\xff\"", Some("\u{fffd}\n")),
        (b"\"\xc3\"", Some("\u{fffd}\n")),
        (b"\"\xed\xa0\x80\"", Some("\u{fffd}\u{fffd}\u{fffd}\n")),
        (b"\"\xf5\x80\x80\x80\"", Some("\u{fffd}\u{fffd}\u{fffd}\u{fffd}\n")),
        (b"\"\xc0\x80\"", Some("\u{fffd}\u{fffd}\n")),
        (b"\"\\ud800\"", Some("\u{fffd}\n")),
        (b"\"\\u0000\"", Some("\u{0}\n")),
        (b"\"\0\"", None),
        (b"\"\n\"", None),
        (b"\"\\n\"", None),
    ];
    for (number, (lines, expected)) in cases.into_iter().enumerate() {
        let session = server.session(&key, &format!("e{number}"));
        let response = send(&session, lines);
        match expected {
            Some(expected) => assert_eq!(server.download(&key, &session), expected, "{lines:?}"),
            None => {
                assert_eq!(response.status, 400, "{lines:?}");
                let files = server.get(&format!("/api/v1/sessions/{session}/files"), &key).json();
                assert_eq!(files["files"], Value::Array(Vec::new()), "{lines:?}");
            }
        }
    }
}
