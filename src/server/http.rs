//! Bytes to requests and responses to bytes: HTTP/1.1 heads, pure.
//!
//! What two readers of the same bytes could understand differently is refused, never guessed: two
//! lengths, a length beside chunks, folded headers, a space before a colon.
//!
//! Deliberately absent: sockets (`connection`), what a request means (`api`), HTTP/2. Ranges and
//! compression have files of their own.

use serde::Serialize;

/// Headers of a request.
pub const HEADERS_MAX: usize = 64;
/// Digits of a `Content-Length`; what is longer does not fit any limit of ours.
const LENGTH_DIGITS_MAX: usize = 18;

/// How the end of a request's body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`, 0 when the header is absent.
    Bytes(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// A request without its body.
#[derive(Debug)]
pub struct Head {
    /// As sent, upper case by convention.
    pub method: String,
    /// The target up to `?`, still percent-encoded.
    pub path: String,
    /// The target behind `?`, still percent-encoded.
    pub query: String,
    /// How the body ends.
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The client wants to send another request on this connection.
    pub keep_alive: bool,
    /// The client reads answers whose length is not known at their beginning: HTTP/1.1.
    pub reads_chunks: bool,
    headers: Vec<(String, String)>,
}

/// Why a head cannot be a request. The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Status to answer with.
    pub status: u16,
    /// One line for people.
    pub text: &'static str,
}

const BAD: Refusal = Refusal { status: 400, text: "400 bad request\n" };
const TOO_LARGE: Refusal = Refusal { status: 431, text: "431 request header too large\n" };

impl Head {
    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All headers of this name, which is given in lower case, in the order of their lines.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reads a head of at most `bytes_max` from the beginning of `bytes`. `None` when it is not
    /// complete; otherwise with its length.
    ///
    /// # Errors
    /// [`Refusal`] as soon as the bytes cannot become a request that we serve.
    pub fn parse(bytes: &[u8], bytes_max: usize) -> Result<Option<(Head, usize)>, Refusal> {
        // Some readers let a line end without CR, others do not: nothing is read past such an end.
        let bare_newline = bare_newline(bytes);
        let bytes = &bytes[..bare_newline.unwrap_or(bytes.len())];
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length <= bytes_max => length,
            Ok(httparse::Status::Partial) if bytes.len() < bytes_max => {
                return if bare_newline.is_some() { Err(BAD) } else { Ok(None) };
            }
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(TOO_LARGE),
            Err(httparse::Error::Version) => {
                return Err(Refusal { status: 505, text: "505 HTTP version not supported\n" });
            }
            Err(_) => return Err(BAD),
        };
        let version = request.version.ok_or(BAD)?;
        let target = request.path.ok_or(BAD)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = request
            .headers
            .iter()
            .map(|header| {
                let value = String::from_utf8_lossy(header.value);
                // Other white space is part of the value: `chunked` with it is another word.
                let value = value.trim_matches([' ', '\t']).to_owned();
                (header.name.to_ascii_lowercase(), value)
            })
            .collect();
        let head = Head {
            method: request.method.ok_or(BAD)?.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            framing: Framing::Bytes(0),
            expects_continue: false,
            keep_alive: false,
            reads_chunks: version == 1,
            headers,
        };
        Ok(Some((head.understood(version)?, length)))
    }

    /// The head with what its headers say about the connection and the body.
    fn understood(mut self, version: u8) -> Result<Head, Refusal> {
        let hosts = self.all("host").count();
        if hosts > 1 || (version == 1 && hosts == 0) {
            return Err(BAD);
        }
        self.framing = self.read_framing(version)?;
        self.expects_continue = match self.header("expect") {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("100-continue") => version == 1,
            Some(_) => return Err(Refusal { status: 417, text: "417 expectation failed\n" }),
        };
        let close = self
            .all("connection")
            .flat_map(|value| value.split(','))
            .any(|option| option.trim().eq_ignore_ascii_case("close"));
        self.keep_alive = version == 1 && !close;
        Ok(self)
    }

    fn read_framing(&self, version: u8) -> Result<Framing, Refusal> {
        let mut lengths = self.all("content-length");
        let mut codings = self.all("transfer-encoding");
        let (length, coding) = (lengths.next(), codings.next());
        if lengths.next().is_some() || codings.next().is_some() {
            return Err(BAD);
        }
        match (length, coding) {
            (None, None) => Ok(Framing::Bytes(0)),
            (Some(length), None) => {
                let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
                if !digits || length.len() > LENGTH_DIGITS_MAX {
                    return Err(BAD);
                }
                length.parse().map(Framing::Bytes).map_err(|_| BAD)
            }
            (None, Some(coding)) if version == 1 => {
                if coding.eq_ignore_ascii_case("chunked") {
                    return Ok(Framing::Chunked);
                }
                Err(Refusal { status: 501, text: "501 transfer coding not implemented\n" })
            }
            (_, Some(_)) => Err(BAD),
        }
    }
}

/// Where the first line without CR ends.
fn bare_newline(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find(|at| !bytes[..*at].ends_with(b"\r"))
}

/// True for a line of visible characters, spaces and tabs: what else may separate lines, separates
/// them for some readers only.
pub fn is_plain(line: &[u8]) -> bool {
    line.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control())
}

/// True for a line that is a header to everybody.
pub fn is_header(line: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let name = line.split(|byte| *byte == b':').next().unwrap_or(line);
    name.len() < line.len() && !name.is_empty() && name.iter().all(is_name)
}

/// The size in a chunk's first line, extensions ignored. `None` for anything that is not a plain
/// hexadecimal number.
pub fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    let text = std::str::from_utf8(digits).ok()?.trim_end_matches([' ', '\t']);
    let plain = !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// Undoes percent encoding; with `form`, `+` is a space too. `None` for a broken escape. Bytes that
/// are not UTF-8 become U+FFFD, which names nothing that we store.
pub fn percent_decoded(text: &str, form: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok()?;
                if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return None;
                }
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            b'+' if form => bytes.push(b' '),
            byte => bytes.push(*byte),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The first value of a key in a query; `None` when it is absent or its escapes are broken.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs.filter(|(key, _)| percent_decoded(key, true).as_deref() == Some(name));
    percent_decoded(values.next()?.1, true)
}

/// Yields a body piece by piece.
pub type Pieces = Box<dyn FnMut() -> crate::error::Result<Option<Vec<u8>>>>;

/// What follows a response's head.
pub enum Payload {
    /// All of it.
    Bytes(Vec<u8>),
    /// So many bytes, made while they are sent; `None` ends them.
    Stream(u64, Pieces),
    /// As much as comes, in chunks; for clients that read those.
    Endless(Pieces),
}

/// A response.
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers without those that frame the body.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub payload: Payload,
}

impl Response {
    /// A JSON document.
    pub fn json(status: u16, value: &impl Serialize) -> Response {
        let bytes = serde_json::to_vec(value).expect("our answers have string keys");
        Response {
            status,
            headers: vec![("Content-Type", "application/json".into())],
            payload: Payload::Bytes(bytes),
        }
    }

    /// Plain text, which brings its own newline.
    pub fn text(status: u16, text: &str) -> Response {
        Response {
            status,
            headers: vec![("Content-Type", "text/plain; charset=utf-8".into())],
            payload: Payload::Bytes(text.into()),
        }
    }

    /// No body.
    pub fn empty(status: u16) -> Response {
        Response { status, headers: Vec::new(), payload: Payload::Bytes(Vec::new()) }
    }

    /// The same response with another header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// Bytes of the body, where that is known.
    pub fn length(&self) -> Option<u64> {
        match &self.payload {
            Payload::Bytes(bytes) => Some(bytes.len() as u64),
            Payload::Stream(length, _) => Some(*length),
            Payload::Endless(_) => None,
        }
    }

    /// The first header of this name, as it is written by whoever set it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// Status line and headers up to the empty line.
    pub fn head(&self, keep_alive: bool) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            debug_assert!(!value.contains(['\r', '\n']), "a header is one line");
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        match self.length() {
            Some(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
            None => head.push_str("Transfer-Encoding: chunked\r\n"),
        }
        head.push_str(if keep_alive { "\r\n" } else { "Connection: close\r\n\r\n" });
        head
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        Response::text(refusal.status, refusal.text)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_BYTES_MAX: usize = 16 << 10;

    fn parse(text: &str) -> Result<Option<(Head, usize)>, u16> {
        Head::parse(text.as_bytes(), HEAD_BYTES_MAX).map_err(|refusal| refusal.status)
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let cases = [
            ("Content-Length: 1\r\nContent-Length: 1\r\n", 400),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Content-Length: +1\r\n", 400),
            ("Content-Length: 1, 1\r\n", 400),
            ("Content-Length: \r\n", 400),
            ("Content-Length: 9999999999999999999\r\n", 400),
            ("Content-Length : 1\r\n", 400),
            ("X: a\r\n folded\r\n", 400),
            ("Transfer-Encoding: gzip\r\n", 501),
            ("Transfer-Encoding: gzip, chunked\r\n", 501),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Host: b\r\n", 400),
            ("Expect: tea\r\n", 417),
            ("X\u{0}: 1\r\n", 400),
            ("Content-Length: 1\n", 400),
            ("X: a\nContent-Length: 1\r\n", 400),
            ("Content-Length: \u{a0}1\r\n", 400),
            ("Transfer-Encoding: chunked\u{85}\r\n", 501),
        ];
        for (headers, status) in cases {
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
            assert_eq!(parse(&text).map(|_| ()), Err(status), "{headers:?}");
        }
        let heads = [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("GET /\r\n\r\n", 400),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
            ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
            ("\u{16}\u{3}\u{1}", 400),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ];
        for (text, status) in heads {
            assert_eq!(parse(text).map(|_| ()), Err(status), "{text:?}");
        }
    }

    #[test]
    fn heads_are_bounded_in_bytes_and_headers() {
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(parse(&long).map(|_| ()), Err(431));
        assert_eq!(parse(&format!("{long}\r\n\r\n")).map(|_| ()), Err(431));
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(HEADERS_MAX));
        assert_eq!(parse(&many).map(|_| ()), Err(431));
        assert!(parse("GET / HTTP/1.1\r\nHost: a\r\n").unwrap().is_none());
    }

    #[test]
    fn a_head_says_how_the_body_ends_and_what_becomes_of_the_connection() {
        let (head, length) = parse(
            "POST /a%20b?x=1 HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\
             EXPECT: 100-Continue\r\nConnection: x, Close\r\n\r\nhello",
        )
        .unwrap()
        .unwrap();
        assert_eq!((head.path.as_str(), head.query.as_str()), ("/a%20b", "x=1"));
        assert_eq!(head.framing, Framing::Bytes(5));
        assert!(head.expects_continue && !head.keep_alive);
        assert_eq!(length, 100);
        let (head, _) = parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap().unwrap();
        assert!(!head.keep_alive);
    }

    #[test]
    fn chunk_sizes() {
        let cases: [(&str, Option<u64>); 10] = [
            ("0", Some(0)),
            ("1aF", Some(0x1af)),
            ("5;name=value", Some(5)),
            ("5 ", Some(5)),
            ("", None),
            (" 5", None),
            ("-5", None),
            ("+5", None),
            ("0x5", None),
            ("100000000", None),
        ];
        for (line, size) in cases {
            assert_eq!(chunk_size(line.as_bytes()), size, "{line:?}");
        }
    }

    #[test]
    fn lines_that_are_the_same_to_everybody() {
        for (line, plain, header) in [
            ("Name: value", true, true),
            ("a:", true, true),
            ("5;a=b", true, false),
            ("GET / HTTP/1.1", true, false),
            (": a", true, false),
            ("a : b", true, false),
            ("5;a=\rb", false, false),
            ("a:\nb", false, true),
            ("a:\u{7f}", false, true),
        ] {
            let line = line.as_bytes();
            assert_eq!((is_plain(line), is_header(line)), (plain, header), "{line:?}");
        }
    }

    #[test]
    fn percent_escapes_and_queries() {
        assert_eq!(percent_decoded("a%2Fb+c", false).as_deref(), Some("a/b+c"));
        assert_eq!(percent_decoded("a%2fb+c", true).as_deref(), Some("a/b c"));
        for broken in ["%", "%1", "%g0", "%+1"] {
            assert_eq!(percent_decoded(broken, false), None, "{broken}");
        }
        assert_eq!(query_value("a=1&b=%C3%A9&b=2", "b").as_deref(), Some("é"));
        assert_eq!(query_value("a=1&b", "b").as_deref(), Some(""));
        assert_eq!(query_value("a=1", "b"), None);
    }
}
