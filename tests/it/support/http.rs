//! Bytes in, a request out; an answer in, bytes out. HTTP/1.1 as far as tests need it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

const HEAD_BYTES_MAX: u64 = 64 << 10;
const BODY_BYTES_MAX: u64 = 64 << 20;

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As sent, perhaps compressed.
    pub body: Vec<u8>,
}

/// An answer, complete.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Answer {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: &serde_json::Value) -> Answer {
        let headers = vec![("content-type".into(), "application/json".into())];
        Answer { status, headers, body: body.to_string().into_bytes() }
    }

    /// An answer in plain text.
    pub fn text(status: u16, body: &str) -> Answer {
        let headers = vec![("content-type".into(), "text/plain; charset=utf-8".into())];
        Answer { status, headers, body: body.into() }
    }

    /// The answer's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        [head.as_bytes(), &self.body].concat()
    }
}

/// Reads the next request of a connection; `None` at its end.
pub fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut head = String::new();
    let mut limited = stream.by_ref().take(HEAD_BYTES_MAX);
    loop {
        let length = limited.read_line(&mut head)?;
        if head.ends_with("\r\n\r\n") {
            break;
        }
        if length == 0 {
            return Ok(None);
        }
    }
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let pair = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_string()))
    };
    let mut request = Request {
        method: method.into(),
        path: path.into(),
        headers: lines.filter_map(pair).collect(),
        body: Vec::new(),
    };
    if request.header("expect") == Some("100-continue") {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = request.header("content-length").and_then(|value| value.parse().ok());
    let length: u64 = length.unwrap_or_default();
    if length > BODY_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let read = stream.take(length).read_to_end(&mut request.body)?;
    Ok((read as u64 == length).then_some(request))
}
