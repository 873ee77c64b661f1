//! Lines to one bounded, redacted, compressed request.
//!
//! Each line is redacted, escaped and handed to the compressor, so that memory holds one line and a
//! compressed request, whatever the request's size. The size that counts is that of the JSON text
//! before compression, as the backend measures it. A line that no request could hold becomes a
//! small JSON stand-in with the same number.
//!
//! Invalid UTF-8 becomes U+FFFD, which is all that JSON can carry; every other byte is kept.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use serde::Serialize;

use crate::redact::{Redactor, Withheld};
use crate::tail::{Line, Position, Tail, TooLarge};
use crate::transcript::{self, OutlineFacts};
use crate::wire::{self, ChunkMetadata};

/// Size that a request is filled to.
pub const REQUEST_BYTES_TARGET: usize = 4 << 20;
/// Size that a request is never filled to less than, after timeouts.
pub const REQUEST_BYTES_MIN: usize = 64 << 10;
/// Size that a request never exceeds; the backend refuses more than 16 MiB.
pub const REQUEST_BYTES_MAX: usize = wire::CHUNK_BODY_BYTES_MAX - (256 << 10);
/// Lines of one request.
const REQUEST_LINES_MAX: usize = 50_000;
/// Room for what is not lines: names at the beginning, metadata at the end.
const ENVELOPE_BYTES_MAX: usize = 160 << 10;
/// How much of the end of a stand-in's head is not shown: a secret that is cut in two there is no
/// longer recognised by its rule.
const HEAD_MARGIN_BYTES: usize = 4 << 10;
/// A buffer that a large line has made grow is given back beyond this size.
const SCRATCH_BYTES_KEPT: usize = 256 << 10;
/// zstd's fastest ordinary level: 743 MB/s, a quarter of the size.
const COMPRESSION_LEVEL: i32 = 1;

/// What stands before the lines of a request.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Header<'a> {
    /// The backend's id of the session.
    pub session_id: &'a str,
    /// The backend's name of the file.
    pub file_name: &'a str,
    /// The backend's type of the file.
    pub file_type: &'a str,
    /// Number of the first line.
    pub first_line: u64,
}

/// What the lines of a request say.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// How many there are.
    pub n_lines: u64,
    /// The hash at each of them.
    pub hashes: Vec<u64>,
    /// Where the last of them ends.
    pub end: Position,
    /// Size of the request that they make, before compression.
    pub bytes: usize,
    /// How many are stand-ins for lines that are too large.
    pub stand_ins: u64,
    /// How many are stand-ins for lines that could not be redacted.
    pub withheld: u64,
    /// Agents that they name.
    pub agent_ids: Vec<String>,
    /// Branch and folder of the first line that names a branch.
    pub branch: Option<(String, Option<String>)>,
    /// The last summary of this session, redacted.
    pub summary: Option<String>,
    /// Summaries of earlier sessions, redacted, with the uuid of the line that they summarise.
    pub links: Vec<(String, String)>,
    /// The first message of the user, redacted.
    pub first_message: Option<String>,
}

/// A request that is being filled.
pub struct Builder<'a> {
    redactor: &'a Redactor,
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    /// Bytes of JSON text so far.
    size: usize,
    size_target: usize,
    scratch: Vec<u8>,
    contents: Contents,
}

impl<'a> Builder<'a> {
    /// A request without lines, to be filled to `size_target` bytes.
    ///
    /// # Errors
    /// When the compressor cannot be set up.
    pub fn new(header: Header<'_>, redactor: &'a Redactor, size_target: usize) -> io::Result<Self> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), COMPRESSION_LEVEL)?;
        let mut text = serde_json::to_vec(&header)?;
        text.pop();
        text.extend_from_slice(b",\"lines\":[");
        encoder.write_all(&text)?;
        Ok(Builder {
            redactor,
            encoder,
            size: text.len(),
            size_target: size_target.min(REQUEST_BYTES_MAX - ENVELOPE_BYTES_MAX),
            scratch: Vec::new(),
            contents: Contents::default(),
        })
    }

    /// Takes lines until the request is full or there is no further one. With `stand_in`, takes one
    /// line, as a stand-in.
    ///
    /// # Errors
    /// As reading the file.
    pub fn fill<R: Read>(&mut self, tail: &mut Tail<R>, stand_in: bool) -> io::Result<()> {
        while self.contents.hashes.len() < REQUEST_LINES_MAX {
            // The first line always belongs to a request, however small it is meant to be: a
            // request without lines means that there are none.
            if self.contents.n_lines > 0 && self.size >= self.size_target {
                break;
            }
            tail.settle()?;
            let before = tail.position();
            let Some(line) = tail.next_line()? else { break };
            let taken = match line {
                Line::Whole(line) if stand_in => self.push_stand_in(&TooLarge::of(line))?,
                Line::Whole(line) => self.push(line)?,
                Line::TooLarge(large) => self.push_stand_in(&large)?,
            };
            if !taken {
                tail.unread(before);
                break;
            }
            self.note_position(tail.position());
            if stand_in {
                break;
            }
        }
        Ok(())
    }

    /// Takes what follows the last newline as a line, when it is a whole JSON value.
    ///
    /// # Errors
    /// As the compressor.
    pub fn fill_unterminated<R: Read>(&mut self, tail: &mut Tail<R>) -> io::Result<()> {
        let before = tail.position();
        if tail.unterminated().is_empty() || !transcript::is_json(tail.unterminated()) {
            return Ok(());
        }
        let line = tail.take_unterminated();
        match self.push(line)? {
            true => self.note_position(tail.position()),
            false => tail.unread(before),
        }
        Ok(())
    }

    /// What the lines so far say.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The compressed body, and what its lines say.
    ///
    /// # Errors
    /// As the compressor.
    pub fn finish(mut self, metadata: Option<&ChunkMetadata>) -> io::Result<(Vec<u8>, Contents)> {
        self.encoder.write_all(b"]")?;
        if let Some(metadata) = metadata {
            self.encoder.write_all(b",\"metadata\":")?;
            serde_json::to_writer(&mut self.encoder, metadata)?;
        }
        self.encoder.write_all(b"}")?;
        Ok((self.encoder.finish()?, self.contents))
    }

    fn note_position(&mut self, position: Position) {
        self.contents.end = position;
        self.contents.hashes.push(position.hash);
        self.contents.n_lines += 1;
        self.contents.bytes = self.size;
    }

    /// Adds a line; false when it does not fit any more.
    fn push(&mut self, line: &[u8]) -> io::Result<bool> {
        self.push_redacted(line, self.redactor.line(line))
    }

    /// Adds what redaction has made of a line; a stand-in when it has failed.
    fn push_redacted(
        &mut self,
        line: &[u8],
        redacted: Result<Cow<'_, [u8]>, Withheld>,
    ) -> io::Result<bool> {
        let Ok(redacted) = redacted else {
            self.contents.withheld += 1;
            return self.push_replacement(&TooLarge::of(line), "line withheld", "");
        };
        self.scratch.clear();
        match std::str::from_utf8(&redacted) {
            Ok(text) => escape(text, &mut self.scratch),
            Err(_) => escape(&String::from_utf8_lossy(&redacted), &mut self.scratch),
        }
        let size = self.size + self.scratch.len() + 3;
        let first = self.contents.n_lines == 0;
        if size > self.size_target && !first {
            return Ok(false);
        }
        if size > REQUEST_BYTES_MAX - ENVELOPE_BYTES_MAX {
            return self.push_stand_in(&TooLarge::of(line));
        }
        self.inspect(line, &redacted);
        self.write_scratch()?;
        Ok(true)
    }

    fn push_stand_in(&mut self, large: &TooLarge<'_>) -> io::Result<bool> {
        let head = self.redactor.line(large.head).unwrap_or_default();
        let head = String::from_utf8_lossy(&head);
        let shown = head.len().saturating_sub(HEAD_MARGIN_BYTES);
        self.contents.stand_ins += 1;
        let head = &head[..head.floor_char_boundary(shown)];
        self.push_replacement(large, "line too large", head)
    }

    /// Adds a line that stands for another one.
    fn push_replacement(
        &mut self,
        line: &TooLarge<'_>,
        why: &'static str,
        head: &str,
    ) -> io::Result<bool> {
        let text = stand_in(line, why, head)?;
        self.scratch.clear();
        escape(&text, &mut self.scratch);
        self.write_scratch()?;
        Ok(true)
    }

    fn write_scratch(&mut self) -> io::Result<()> {
        if self.contents.n_lines > 0 {
            self.encoder.write_all(b",")?;
        }
        self.encoder.write_all(b"\"")?;
        self.encoder.write_all(&self.scratch)?;
        self.encoder.write_all(b"\"")?;
        self.size += self.scratch.len() + 3;
        if self.scratch.capacity() > SCRATCH_BYTES_KEPT {
            self.scratch = Vec::new();
        }
        Ok(())
    }

    /// Notes what a line says of the session. Ids are taken from the line as it is, texts from what
    /// is sent of it.
    fn inspect(&mut self, line: &[u8], redacted: &[u8]) {
        let facts = transcript::inspect(line);
        let contents = &mut self.contents;
        contents.agent_ids.extend(facts.agent_ids);
        if let Some(branch) = facts.git_branch.filter(|branch| !branch.is_empty())
            && contents.branch.is_none()
        {
            contents.branch = Some((branch.into_owned(), facts.cwd.map(Into::into)));
        }
        match facts.kind.as_deref() {
            Some("user") if contents.first_message.is_none() => {
                contents.first_message = transcript::user_text(redacted)
                    .filter(|text| !text.is_empty())
                    .map(|text| self.redactor.text(&text).into_owned());
            }
            Some("summary") => {
                let Some(summary) = facts.summary.filter(|summary| !summary.is_empty()) else {
                    return;
                };
                let summary = transcript::sanitise(&self.redactor.text(&summary));
                match facts.leaf_uuid {
                    Some(leaf) => contents.links.push((leaf.into_owned(), summary)),
                    None => contents.summary = Some(summary),
                }
            }
            _ => {}
        }
    }
}

impl<'a> TooLarge<'a> {
    /// A line that is held whole and still too large.
    fn of(line: &'a [u8]) -> TooLarge<'a> {
        let mut outline = transcript::Outline::new();
        outline.feed(line);
        TooLarge {
            head: &line[..line.len().min(crate::tail::LINE_HEAD_BYTES)],
            bytes: line.len() as u64,
            hash: crate::tail::hash(line),
            outline: outline.finish(),
        }
    }
}

/// What is sent in place of a line that is too large or could not be redacted.
#[derive(Serialize)]
struct StandIn<'a> {
    #[serde(flatten)]
    keys: Keys<'a>,
    /// Says what this line is.
    confab: Replaced<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Keys<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_uuid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Replaced<'a> {
    /// Why the line is not here.
    replaced: &'static str,
    /// Its length.
    bytes: u64,
    /// Its hash, as in the state file.
    hash: String,
    /// Its beginning, redacted.
    head: &'a str,
}

fn stand_in(large: &TooLarge<'_>, why: &'static str, head: &str) -> io::Result<String> {
    let OutlineFacts { kind, uuid, parent_uuid, timestamp, session_id } = &large.outline;
    let stand_in = StandIn {
        keys: Keys {
            kind: kind.as_deref().filter(|kind| is_name(kind)).unwrap_or("confab-stand-in"),
            uuid: uuid.as_deref(),
            parent_uuid: parent_uuid.as_deref(),
            timestamp: timestamp.as_deref(),
            session_id: session_id.as_deref(),
        },
        confab: Replaced {
            replaced: why,
            bytes: large.bytes,
            hash: format!("{:016x}", large.hash),
            head,
        },
    };
    Ok(serde_json::to_string(&stand_in)?)
}

/// Whether a type can be told although nothing has redacted it: a word, and nothing else.
fn is_name(kind: &str) -> bool {
    kind.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_'))
}

/// Appends the inside of a JSON string.
fn escape(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + bytes.len() / 8);
    let mut rest = bytes;
    loop {
        let length = plain_length(rest);
        let (plain, behind) = rest.split_at(length);
        out.extend_from_slice(plain);
        let Some((byte, behind)) = behind.split_first() else { return };
        rest = behind;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
}

/// How many bytes at the beginning of a text stand for themselves in JSON. Looks at eight of them
/// at once: a byte's highest bit is set in what is searched for where the byte is wanted, and may
/// be wrong only behind the first that is.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let is_control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = is_control
            | is_zero(word ^ (ONES * u64::from(b'"')))
            | is_zero(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let length = rest.iter().position(|byte| NEEDS_ESCAPE[usize::from(*byte)]);
    bytes.len() - rest.len() + length.unwrap_or(rest.len())
}

const NEEDS_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Settings;

    /// What cannot be redacted stays here, keeps its number, and stops nothing.
    /// Each ASCII character, and one of several bytes, at each place of two words of eight bytes.
    #[test]
    fn escaping_keeps_every_character() {
        for character in (0..128).map(char::from).chain(['é', '…', '\u{10ffff}']) {
            for place in 0..18 {
                let text = format!("{}{character}{character}é\"", "x".repeat(place));
                let mut escaped = b"\"".to_vec();
                escape(&text, &mut escaped);
                escaped.push(b'"');
                assert_eq!(serde_json::from_slice::<String>(&escaped).unwrap(), text);
            }
        }
    }

    #[test]
    fn a_line_that_is_withheld_leaves_a_stand_in_that_shows_none_of_it() {
        let (redactor, _) = Redactor::new(&Settings::default());
        let header =
            Header { session_id: "s", file_name: "f", file_type: "transcript", first_line: 7 };
        let mut builder = Builder::new(header, &redactor, REQUEST_BYTES_TARGET).unwrap();
        let whole = br#"{"type":"user","uuid":"u1","message":{"role":"user","content":"hello"}}"#;
        let failed = br#"{"type":"user","uuid":"u2","message":{"content":"private words"},"x":1}"#;
        let disguised = br#"{"type":"Private-Words 42","content":"private words"}"#;
        assert!(builder.push(whole).unwrap());
        for line in [&failed[..], disguised, b"private words", b""] {
            builder.note_position(Position::default());
            assert!(builder.push_redacted(line, Err(Withheld)).unwrap());
        }
        builder.note_position(Position::default());
        assert!(builder.push(whole).unwrap());
        let (body, contents) = builder.finish(None).unwrap();
        assert_eq!((contents.withheld, contents.stand_ins), (4, 0));
        assert_eq!(contents.first_message.as_deref(), Some("hello"));
        let body = zstd::decode_all(&body[..]).unwrap();
        let request: wire::ChunkRequest = serde_json::from_slice(&body).unwrap();
        assert_eq!(request.lines.len(), 6);
        assert_eq!(request.lines[0].as_bytes(), whole);
        assert_eq!(request.lines[5].as_bytes(), whole);
        for (line, kind, bytes) in [
            (1, "user", failed.len()),
            (2, "confab-stand-in", disguised.len()),
            (4, "confab-stand-in", 0),
        ] {
            let line: serde_json::Value = serde_json::from_str(&request.lines[line]).unwrap();
            assert_eq!(line["type"], kind);
            assert_eq!(line["confab"]["replaced"], "line withheld");
            assert_eq!(line["confab"]["bytes"], bytes);
            assert_eq!(line["confab"]["head"], "");
        }
        let text = String::from_utf8(body).unwrap().to_lowercase();
        assert!(text.contains(r#"\"uuid\":\"u2\""#) && !text.contains("private"), "{text}");
    }
}
