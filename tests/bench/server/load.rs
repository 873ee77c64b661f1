//! Uploads as clients make them, and the same bytes written to files.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Response, Server};

/// A request that is ready to be sent, and the text that it brings.
pub struct Upload {
    packed: Vec<u8>,
    pub text: Vec<u8>,
    pub n_lines: u64,
}

/// Divides lines into requests of about `bytes` each, as many as bring `total` bytes.
pub fn uploads(
    lines: &[Vec<u8>],
    session: &str,
    bytes: usize,
    total: usize,
    from: usize,
) -> Vec<Upload> {
    let mut all = Vec::new();
    let mut lines = lines.iter().cycle().skip(from);
    let (mut sent, mut first_line) = (0, 1);
    while sent < total {
        let mut upload = Upload { packed: Vec::new(), text: Vec::new(), n_lines: 0 };
        let mut texts = Vec::new();
        while upload.text.len() < bytes.min(total - sent) {
            let line = lines.next().unwrap();
            upload.text.extend_from_slice(line);
            texts.push(std::str::from_utf8(line).unwrap().trim_end_matches('\n'));
            upload.n_lines += 1;
        }
        let body = super::process::chunk(session, first_line, &texts).to_string();
        upload.packed = zstd::bulk::compress(body.as_bytes(), 1).unwrap();
        sent += upload.text.len();
        first_line += upload.n_lines;
        all.push(upload);
    }
    all
}

/// Sends each client's uploads over a connection of its own, all clients at the same time.
pub fn send(server: &Server, key: &str, clients: &[Vec<Upload>]) -> Duration {
    at_once(clients, |uploads| {
        let mut stream = server.connect();
        stream.set_nodelay(true).unwrap();
        for upload in uploads {
            let head = format!(
                "POST /api/v1/sync/chunk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
                 Content-Type: application/json\r\nContent-Encoding: zstd\r\n\
                 Content-Length: {}\r\n\r\n",
                upload.packed.len()
            );
            stream.write_all(&[head.as_bytes(), &upload.packed].concat()).unwrap();
            let response = Response::read(&mut stream, false).expect("an answer");
            assert_eq!(response.status, 200, "{}", response.text());
        }
    })
}

/// Writes the same text to a file for each client, and waits for the disk as often.
pub fn write(folder: &Path, clients: &[Vec<Upload>]) -> Duration {
    std::fs::create_dir_all(folder).unwrap();
    let took = at_once(clients, |uploads| {
        let name = format!("{:p}", uploads.as_ptr());
        let mut file = File::create(folder.join(name)).unwrap();
        for upload in uploads {
            file.write_all(&upload.text).unwrap();
            file.sync_all().unwrap();
        }
    });
    std::fs::remove_dir_all(folder).unwrap();
    took
}

fn at_once(clients: &[Vec<Upload>], act: impl Fn(&[Upload]) + Sync) -> Duration {
    let started = Instant::now();
    thread::scope(|scope| {
        for uploads in clients {
            scope.spawn(|| act(uploads));
        }
    });
    started.elapsed()
}
