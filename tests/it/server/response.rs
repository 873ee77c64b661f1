//! What a server answers.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

/// A response, read to its end.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// `None` when the connection is closed before a whole response.
    pub fn read(stream: &mut impl Read, head_only: bool) -> Option<Response> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        if status == 100 {
            return Some(response);
        }
        if response.header("transfer-encoding").is_some() {
            response.body = unchunked(&mut reader)?;
            return Some(response);
        }
        let length: usize = response.header("content-length")?.parse().ok()?;
        if !head_only {
            response.body.resize(length, 0);
            reader.read_exact(&mut response.body).ok()?;
        }
        Some(response)
    }

    /// The body as it was before it was compressed.
    pub fn unpacked(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.header("content-encoding") {
            None => bytes.clone_from(&self.body),
            Some("gzip") => {
                flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut bytes).unwrap();
            }
            Some("zstd") => bytes = zstd::stream::decode_all(&self.body[..]).unwrap(),
            other => panic!("{other:?}"),
        }
        bytes
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A body in chunks; `None` when it is not whole.
fn unchunked(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        assert_eq!(chunk.split_off(size), b"\r\n");
        if size == 0 {
            return Some(body);
        }
        body.extend(chunk);
    }
}
