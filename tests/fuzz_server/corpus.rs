//! What inputs are made of: the recorded exchanges and lines, and tokens that are tricky.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::shared::fixtures;

/// Bytes of a recorded line; longer ones only take time.
const LINE_BYTES_MAX: usize = 2 << 10;
/// Lines that are taken.
const LINES_MAX: usize = 300;

/// See the module.
pub struct Corpus {
    /// Recorded requests: method, path, headers but for those of the body, body.
    pub requests: Vec<(String, String, String, Vec<u8>)>,
    /// Bodies of recorded chunks, `$SESSION` in place of the session.
    pub chunks: Vec<Vec<u8>>,
    /// Lines of recorded transcripts.
    pub lines: Vec<String>,
}

impl Corpus {
    /// Reads the fixtures.
    pub fn read() -> Corpus {
        let fixtures = fixtures();
        let mut corpus = Corpus { requests: Vec::new(), chunks: Vec::new(), lines: Vec::new() };
        for line in fs::read_to_string(fixtures.join("wire/vectors.jsonl")).unwrap().lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            let request = &vector["request"];
            let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
            let body = match &request["body"] {
                Value::Null => text("body_text").into_bytes(),
                body => body.to_string().into_bytes(),
            };
            let headers = request["headers"].as_object().into_iter().flatten();
            let headers: String = headers
                .map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap_or_default()))
                .collect();
            if text("path").ends_with("/sync/chunk") {
                corpus.chunks.push(body.clone());
            }
            corpus.requests.push((text("method"), text("path"), headers, body));
        }
        for entry in fs::read_dir(fixtures.join("transcripts")).unwrap() {
            corpus.take_lines(&entry.unwrap().path());
        }
        corpus.lines.truncate(LINES_MAX);
        let Corpus { requests, chunks, lines } = &corpus;
        assert!(requests.len() > 50 && chunks.len() > 10 && lines.len() > 100, "fixtures");
        corpus
    }

    fn take_lines(&mut self, path: &Path) {
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| self.take_lines(&entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "jsonl") {
            let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
            let short = text.lines().filter(|line| line.len() <= LINE_BYTES_MAX);
            self.lines.extend(short.take(30).map(str::to_owned));
        }
    }
}
