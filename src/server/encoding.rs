//! Answers made smaller when the client says that it can read that: zstd or gzip.
//!
//! A stream stays one: a piece is compressed when it is made. Small answers and what is no text are
//! left alone, and so are parts of a file, whose positions mean bytes as they are stored.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::http::{Head, Payload, Pieces, Response};
use crate::error::{Context, Error};

/// An answer that is shorter fits into one packet in any case.
const BYTES_MIN: u64 = 1024;
/// Fast: the client waits, and lines shrink to a fifth already.
const ZSTD_LEVEL: i32 = 1;
/// The gzip level of about the same speed.
const GZIP_LEVEL: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Zstd,
}

/// The response as the client likes to have it.
pub fn encoded(response: Response, head: &Head) -> Response {
    let kind = response.header("Content-Type").unwrap_or("");
    // Events are read one by one; a compressor would hold them back.
    let is_stream = kind.starts_with("text/event-stream");
    let is_text = (kind.starts_with("text/") || kind.starts_with("application/json")) && !is_stream;
    let is_small = response.length().is_some_and(|length| length < BYTES_MIN);
    let is_encoded = response.header("Content-Encoding").is_some();
    if !is_text || is_small || is_encoded || response.status == 206 {
        return response;
    }
    let response = response.with_header("Vary", "Accept-Encoding");
    let Some(coding) = preferred(head.all("accept-encoding")) else { return response };
    let name = match coding {
        Coding::Gzip => "gzip",
        Coding::Zstd => "zstd",
    };
    let Response { status, headers, payload } = response;
    let (payload, is_encoded) = match payload {
        Payload::Bytes(bytes) => match whole(coding, &bytes) {
            Ok(packed) if packed.len() < bytes.len() => (Payload::Bytes(packed), true),
            Ok(_) | Err(_) => (Payload::Bytes(bytes), false),
        },
        Payload::Stream(length, pieces) if head.reads_chunks => match Encoder::new(coding) {
            Ok(encoder) => (Payload::Endless(packed(encoder, Some(length), pieces)), true),
            Err(_) => (Payload::Stream(length, pieces), false),
        },
        Payload::Endless(pieces) => match Encoder::new(coding) {
            Ok(encoder) => (Payload::Endless(packed(encoder, None, pieces)), true),
            Err(_) => (Payload::Endless(pieces), false),
        },
        payload @ Payload::Stream(..) => (payload, false),
    };
    let response = Response { status, headers, payload };
    if is_encoded { response.with_header("Content-Encoding", name) } else { response }
}

/// The coding that the client likes best; of equals, the better one.
fn preferred<'a>(values: impl Iterator<Item = &'a str>) -> Option<Coding> {
    let liked = values.flat_map(|value| value.split(',')).filter_map(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let coding = match name.trim() {
            name if name.eq_ignore_ascii_case("zstd") => Coding::Zstd,
            name if name.eq_ignore_ascii_case("gzip") => Coding::Gzip,
            _ => return None,
        };
        Some((thousandths(weight)?, coding))
    });
    let best = liked.filter(|(weight, _)| *weight > 0);
    best.max_by_key(|(weight, coding)| (*weight, *coding == Coding::Zstd)).map(|(_, coding)| coding)
}

/// `q=0.5` in thousandths; nothing is all of it, and what is malformed is `None`.
fn thousandths(weight: &str) -> Option<u32> {
    let weight = weight.trim();
    if weight.is_empty() {
        return Some(1000);
    }
    let number = weight.strip_prefix("q=").or_else(|| weight.strip_prefix("Q="))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_number = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let part = format!("{part:0<3}").parse::<u32>().ok().filter(|_| is_number)?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Encoder> {
        Ok(match coding {
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            Coding::Zstd => {
                Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?)
            }
        })
    }

    /// Takes bytes, and returns what has come out so far.
    fn push(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => {
                encoder.write_all(bytes)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Encoder::Zstd(encoder) => {
                encoder.write_all(bytes)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

fn whole(coding: Coding, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = Encoder::new(coding)?;
    let mut packed = encoder.push(bytes)?;
    packed.extend(encoder.finish()?);
    Ok(packed)
}

/// The same pieces, compressed; of a known length, when there is one.
fn packed(encoder: Encoder, length: Option<u64>, mut pieces: Pieces) -> Pieces {
    let mut encoder = Some(encoder);
    let mut left = length;
    let what = || "compress an answer".to_owned();
    Box::new(move || {
        let Some(coder) = &mut encoder else { return Ok(None) };
        let piece = if left == Some(0) { None } else { pieces()? };
        let Some(mut piece) = piece else {
            if left.is_some_and(|left| left > 0) {
                return Err(Error::new(what()).caused_by("its source is short"));
            }
            return encoder.take().map(Encoder::finish).transpose().context(what);
        };
        if let Some(left) = &mut left {
            piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= piece.len() as u64;
        }
        coder.push(&piece).map(Some).context(what)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn head(headers: &str) -> Head {
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        Head::parse(text.as_bytes(), 16 << 10).unwrap().unwrap().0
    }

    fn accepting(value: &str) -> Head {
        head(&format!("Accept-Encoding: {value}\r\n"))
    }

    fn body(response: Response) -> Vec<u8> {
        match response.payload {
            Payload::Bytes(bytes) => bytes,
            Payload::Stream(_, mut pieces) | Payload::Endless(mut pieces) => {
                let mut bytes = Vec::new();
                while let Some(piece) = pieces().unwrap() {
                    bytes.extend(piece);
                }
                bytes
            }
        }
    }

    fn plain(coding: Option<&str>, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        match coding {
            Some("gzip") => flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap(),
            Some("zstd") => {
                zstd::stream::Decoder::new(bytes).unwrap().read_to_end(&mut text).unwrap()
            }
            _ => return bytes.to_vec(),
        };
        text
    }

    fn counting(length: usize, n_pieces: usize) -> (Vec<u8>, Pieces) {
        let text: Vec<u8> = (0..length).map(|at| b'a' + (at / 7 % 26) as u8).collect();
        let mut pieces: Vec<Vec<u8>> =
            text.chunks(length.div_ceil(n_pieces)).map(<[u8]>::to_vec).collect();
        pieces.reverse();
        (text, Box::new(move || Ok(pieces.pop())))
    }

    #[test]
    fn the_coding_that_the_client_likes_best() {
        let cases = [
            ("gzip", Some(Coding::Gzip)),
            ("zstd", Some(Coding::Zstd)),
            ("gzip, zstd", Some(Coding::Zstd)),
            ("br, GZIP ; q=0.8 , zstd;q=0.7", Some(Coding::Gzip)),
            ("gzip;q=0, zstd;q=0.001", Some(Coding::Zstd)),
            ("gzip;q=0", None),
            ("identity", None),
            ("*", None),
            ("", None),
            ("gzip;q=2", None),
            ("gzip;q=x", None),
            ("gzip;q=0.12345", None),
        ];
        for (value, expected) in cases {
            assert_eq!(preferred([value].into_iter()), expected, "{value}");
        }
    }

    #[test]
    fn what_comes_out_is_what_went_in() {
        for coding in ["gzip", "zstd"] {
            for n_pieces in [1, 3, 50] {
                let (text, pieces) = counting(200_000, n_pieces);
                let stream = Payload::Stream(text.len() as u64, pieces);
                let whole = Payload::Bytes(text.clone());
                for payload in [stream, whole] {
                    let response = Response { payload, ..Response::text(200, "") };
                    let response = encoded(response, &accepting(coding));
                    assert_eq!(response.header("Content-Encoding"), Some(coding));
                    assert_eq!(response.header("Vary"), Some("Accept-Encoding"));
                    let packed = body(response);
                    assert!(packed.len() < text.len() / 10);
                    assert_eq!(plain(Some(coding), &packed), text);
                }
            }
        }
    }

    #[test]
    fn what_is_left_alone() {
        let text = "x".repeat(2000);
        let whole = || Response::text(200, &text);
        let cases = [
            ("no wish", whole(), head(""), Some("Accept-Encoding")),
            ("small", Response::text(200, "x"), accepting("gzip"), None),
            ("a part", Response { status: 206, ..whole() }, accepting("gzip"), None),
            ("encoded", whole().with_header("Content-Encoding", "br"), accepting("gzip"), None),
            (
                "no text",
                Response { headers: vec![("Content-Type", "image/png".into())], ..whole() },
                accepting("gzip"),
                None,
            ),
        ];
        for (name, response, head, vary) in cases {
            let response = encoded(response, &head);
            assert_eq!(response.header("Vary"), vary, "{name}");
            assert_eq!(body(response), text.as_bytes()[..if name == "small" { 1 } else { 2000 }]);
        }
        // Whoever reads no chunks gets the length that is known.
        let old = "GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n";
        let (old, _) = Head::parse(old.as_bytes(), 1 << 10).unwrap().unwrap();
        let (text, pieces) = counting(5000, 2);
        let payload = Payload::Stream(text.len() as u64, pieces);
        let response = encoded(Response { payload, ..Response::text(200, "") }, &old);
        assert_eq!(response.length(), Some(5000));
        assert_eq!(response.header("Content-Encoding"), None);
    }

    #[test]
    fn a_source_that_is_short_is_an_error_and_no_end() {
        let (_, pieces) = counting(5000, 2);
        let payload = Payload::Stream(5001, pieces);
        let response = Response { payload, ..Response::text(200, "") };
        let Payload::Endless(mut pieces) = encoded(response, &accepting("zstd")).payload else {
            panic!("it is compressed");
        };
        let end = loop {
            match pieces() {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert!(end.is_err());
    }
}
