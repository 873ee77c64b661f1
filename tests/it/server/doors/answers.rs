//! Answers in part and made smaller are the same answers.

use serde_json::{Value, json};

use crate::server::process::{Folder, Response, Server, create_key};

/// A server with one file of many blocks.
struct Scene {
    server: Server,
    key: String,
    path: String,
    file: Vec<u8>,
    /// Removed last.
    _folder: Folder,
}

impl Scene {
    fn new() -> Scene {
        let folder = Folder::new();
        let key = create_key(&folder.0, "u@x");
        let server = Server::start(&folder.0);
        let session = server.session(&key, "e");
        let mut file = Vec::new();
        let mut random = fastrand::Rng::with_seed(1);
        let mut first_line = 1;
        for _ in 0..30 {
            let lines: Vec<String> = (0..random.usize(1..40))
                .map(|_| json!({ "text": "é".repeat(random.usize(0..3000)) }).to_string())
                .collect();
            let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(server.append(&key, &session, first_line, &texts).status, 200);
            first_line += lines.len() as u64;
            lines.iter().for_each(|line| file.extend(format!("{line}\n").bytes()));
        }
        let path = format!("/api/v1/sessions/{session}/files/download?file_name=t.jsonl");
        Scene { server, key, path, file, _folder: folder }
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let bearer = format!("Bearer {}", self.key);
        let headers = [&[("Authorization", bearer.as_str())], headers].concat();
        self.server.request("GET", path, &headers, b"")
    }

    fn part(&self, range: &str) -> Response {
        self.get(&self.path, &[("Range", range)])
    }
}

#[test]
fn parts_of_a_file_are_those_of_the_whole() {
    let scene = Scene::new();
    let length = scene.file.len();
    let whole = scene.get(&scene.path, &[]);
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, Some("bytes")));
    assert_eq!(whole.body, scene.file);
    let mut random = fastrand::Rng::with_seed(2);
    let mut ranges = vec![(0, 0), (0, length - 1), (length - 1, length - 1), (1, length - 2)];
    ranges.extend((0..60).map(|_| {
        let first = random.usize(0..length);
        (first, random.usize(first..length))
    }));
    for (first, last) in ranges {
        let part = scene.part(&format!("bytes={first}-{last}"));
        let expected = format!("bytes {first}-{last}/{length}");
        assert_eq!((part.status, part.header("content-range")), (206, Some(expected.as_str())));
        assert!(part.body == scene.file[first..=last], "{first} to {last}");
    }
    // What a client uses that goes on with a download, or wants the end.
    let rest = scene.part(&format!("bytes={}-", length - 1000));
    assert!(rest.status == 206 && rest.body == scene.file[length - 1000..]);
    let end = scene.part("bytes=-5");
    assert!(end.status == 206 && end.body == scene.file[length - 5..]);
    let behind = scene.part(&format!("bytes={length}-"));
    let expected = format!("bytes */{length}");
    assert_eq!((behind.status, behind.header("content-range")), (416, Some(expected.as_str())));
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes=9-1"] {
        let whole = scene.part(range);
        assert!(whole.status == 200 && whole.body == scene.file, "{range}");
    }
    let dependent = [("Range", "bytes=0-1"), ("If-Range", "\"v1\"")];
    assert_eq!(scene.get(&scene.path, &dependent).body, scene.file);
}

#[test]
fn answers_made_smaller_are_the_same_answers() {
    let scene = Scene::new();
    let session = scene.path.split('/').nth(4).unwrap();
    let paths = [scene.path.clone(), format!("/api/v1/sessions/{session}/condensed-transcript")];
    for (wish, coding) in [
        ("gzip", Some("gzip")),
        ("zstd", Some("zstd")),
        ("br, gzip;q=0.5, zstd", Some("zstd")),
        ("zstd;q=0, gzip", Some("gzip")),
        ("identity", None),
        ("br", None),
    ] {
        let packed = scene.get(&paths[0], &[("Accept-Encoding", wish)]);
        assert_eq!((packed.status, packed.header("content-encoding")), (200, coding), "{wish}");
        assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
        assert_eq!(packed.unpacked(), scene.file, "{wish}");
        assert!(coding.is_none() || packed.body.len() < scene.file.len() / 5, "{wish}");
        let condensed = scene.get(&paths[1], &[("Accept-Encoding", wish)]);
        let plain: Value = scene.get(&paths[1], &[]).json();
        let unpacked: Value = serde_json::from_slice(&condensed.unpacked()).unwrap();
        assert_eq!(unpacked, plain, "{wish}");
    }
    let both = [("Accept-Encoding", "gzip"), ("Range", "bytes=10-20000")];
    let part = scene.get(&scene.path, &both);
    assert_eq!((part.status, part.header("content-encoding")), (206, None));
    assert!(part.body == scene.file[10..=20_000], "a part is one of the file, not of its gzip");
    let small = scene.get("/health", &[("Accept-Encoding", "gzip, zstd")]);
    assert_eq!((small.status, small.header("content-encoding")), (200, None));
    let missing = scene.get("/api/v1/sessions/none/files", &[("Accept-Encoding", "gzip, zstd")]);
    assert_eq!((missing.status, missing.header("content-encoding")), (404, None));
}

/// The chunks of an answer end where it ends: another request on the same connection is answered.
#[test]
fn a_connection_goes_on_after_an_answer_in_chunks() {
    let scene = Scene::new();
    let Scene { server, key, path, .. } = &scene;
    let head = format!("HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n");
    let packed = format!("GET {path} {head}Accept-Encoding: zstd\r\n\r\n");
    let last = format!("GET /health {head}Connection: close\r\n\r\n");
    let mut stream = server.connect();
    std::io::Write::write_all(&mut stream, [packed, last].concat().as_bytes()).unwrap();
    let mut answers = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answers).unwrap();
    let mut rest = &answers[..];
    let mut reader = std::io::BufReader::new(&mut rest);
    let first = Response::read(&mut reader, false).unwrap();
    assert_eq!(first.unpacked(), scene.file);
    let text = String::from_utf8_lossy(&answers);
    assert!(text.contains("\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"), "the health follows");
    assert!(text.ends_with("{\"status\":\"ok\"}"));
}
