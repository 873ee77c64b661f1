//! Lines to one bounded, redacted, compressed request.
//!
//! Each line is redacted, escaped and handed to the compressor, so that memory holds what is read
//! in two pieces and a compressed request, whatever the request's size. The size that counts is
//! that of the JSON text before compression, as the backend measures it. A line that no request
//! could hold becomes a small JSON stand-in with the same number.
//!
//! Two threads redact and escape what is read in pieces: that is most of the work of a first sync
//! (see `pieces`). The compressor takes the texts of one piece while the next one is redacted.
//!
//! Invalid UTF-8 becomes U+FFFD, which is all that JSON can carry; every other byte is kept.

mod compressor;
mod pieces;
mod request_size;
mod text;

use std::io::{self, Read, Write};
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::Serialize;

use crate::redact::{Redactor, Withheld};
use crate::tail::{Held, Line, Piece, Position, Tail, TooLarge};
use crate::transcript::{self, News, OutlineFacts};
use crate::wire::{self, ChunkMetadata};

pub use compressor::Compressor;
use pieces::{Queue, SHARED_BYTES_MIN, Workshop};
pub use request_size::{REQUEST_BYTES_TARGET, RequestSize};
use text::Texts;

/// Bytes of a piece that the next one is begun behind before it is done: as many as are worth a
/// thread, and none of the long lines, whose memory is not needed twice then.
const AHEAD_OF_BYTES: RangeInclusive<usize> = SHARED_BYTES_MIN..=1 << 20;
/// Size that a request never exceeds; the backend refuses more than 16 MiB.
pub const REQUEST_BYTES_MAX: usize = wire::CHUNK_BODY_BYTES_MAX - (256 << 10);
/// Lines of one request.
const REQUEST_LINES_MAX: usize = 50_000;
/// Room for what is not lines: names at the beginning, metadata at the end.
const ENVELOPE_BYTES_MAX: usize = 160 << 10;
/// How much of the end of a stand-in's head is not shown: a secret that is cut in two there is no
/// longer recognised by its rule.
const HEAD_MARGIN_BYTES: usize = 4 << 10;

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
    encoder: zstd::stream::write::Encoder<'a, Vec<u8>>,
    /// Bytes of JSON text so far.
    size: usize,
    size_target: usize,
    news: News,
    contents: Contents,
}

impl<'a> Builder<'a> {
    /// A request without lines, to be filled to `size_target` bytes.
    ///
    /// # Errors
    /// As the compressor.
    pub fn new(
        header: Header<'_>,
        redactor: &'a Redactor,
        compressor: &'a mut Compressor,
        size_target: usize,
    ) -> io::Result<Self> {
        let mut encoder = compressor.begin();
        let mut text = serde_json::to_vec(&header)?;
        text.pop();
        text.extend_from_slice(b",\"lines\":[");
        encoder.write_all(&text)?;
        Ok(Builder {
            redactor,
            encoder,
            size: text.len(),
            size_target: size_target.min(REQUEST_BYTES_MAX - ENVELOPE_BYTES_MAX),
            news: News::prepare(),
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
            if !stand_in {
                match tail.hold_line()? {
                    Held::Lines if self.push_pieces(tail)? => continue,
                    Held::Lines | Held::Nothing => break,
                    Held::TooLarge => {}
                }
            }
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

    /// Adds the lines that are in memory and what is read behind them; false when a line does not
    /// fit any more, which is then put back with all behind it.
    fn push_pieces<R: Read>(&mut self, tail: &mut Tail<R>) -> io::Result<bool> {
        let queue = Queue::default();
        std::thread::scope(|scope| {
            let mut workshop = Workshop::new(self.redactor, &queue, scope);
            self.begin_piece(tail, &mut workshop);
            loop {
                // What cannot be read now is tried again behind this piece.
                if AHEAD_OF_BYTES.contains(&workshop.size().1)
                    && matches!(tail.hold_line(), Ok(Held::Lines))
                {
                    self.begin_piece(tail, &mut workshop);
                }
                let Some((piece, texts)) = workshop.finish() else { return Ok(true) };
                let n_taken = self.add_piece(&piece, &texts)?;
                if n_taken < piece.n_lines() {
                    workshop.give_up().for_each(|later| tail.put_back(&later, 0));
                    tail.put_back(&piece, n_taken);
                    return Ok(false);
                }
                workshop.reuse(texts);
                if let Some(piece) = Arc::into_inner(piece) {
                    tail.reuse(piece);
                }
            }
        })
    }

    /// Begins the lines that are in memory, as many as fit behind those that are begun; none when
    /// there is no room.
    fn begin_piece<R: Read>(&self, tail: &mut Tail<R>, workshop: &mut Workshop<'_, '_>) {
        let (n_lines, bytes) = workshop.size();
        // Escaped, lines are longer by about so much.
        let bytes_max = self.size_target.saturating_sub(self.size + bytes + bytes / 8);
        let lines_max = REQUEST_LINES_MAX.saturating_sub(self.contents.hashes.len() + n_lines);
        let is_first = self.contents.n_lines == 0 && n_lines == 0;
        if lines_max > 0 && (bytes_max > 0 || is_first) {
            workshop.begin(tail.take_piece(bytes_max, lines_max));
        }
    }

    /// Adds the lines of a piece, as many as fit; returns their number.
    fn add_piece(&mut self, piece: &Piece, texts: &[Texts]) -> io::Result<usize> {
        let bytes: usize = texts.iter().map(|texts| texts.bytes().len()).sum();
        let is_whole = self.size + bytes <= self.size_target
            && texts.iter().flat_map(Texts::iter).all(|text| text.is_ok());
        let mut comma = usize::from(self.contents.n_lines == 0);
        for (index, text) in texts.iter().flat_map(Texts::iter).enumerate() {
            match text {
                Ok(text) if is_whole => {
                    self.inspect(piece.line(index));
                    self.size += text.len();
                }
                _ if self.take(piece.line(index), text)? => {}
                _ => return Ok(index),
            }
            self.note_position(piece.end(index));
        }
        // One call for many lines: each costs something.
        for texts in texts.iter().filter(|_| is_whole) {
            self.encoder.write_all(&texts.bytes()[std::mem::take(&mut comma)..])?;
        }
        Ok(piece.n_lines())
    }

    /// Adds a line; false when it does not fit any more.
    fn push(&mut self, line: &[u8]) -> io::Result<bool> {
        let mut texts = Texts::default();
        texts.add(self.redactor, line);
        let text = texts.iter().next().expect("a line was added");
        self.take(line, text)
    }

    /// Adds the text of a line; a stand-in when the line could not be redacted.
    fn take(&mut self, line: &[u8], text: Result<&[u8], Withheld>) -> io::Result<bool> {
        let Ok(text) = text else {
            self.contents.withheld += 1;
            return self.push_replacement(&TooLarge::of(line), "line withheld", "");
        };
        let size = self.size + text.len();
        let first = self.contents.n_lines == 0;
        if size > self.size_target && !first {
            return Ok(false);
        }
        if size > REQUEST_BYTES_MAX - ENVELOPE_BYTES_MAX {
            return self.push_stand_in(&TooLarge::of(line));
        }
        self.inspect(line);
        self.write(text)?;
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
        let mut text = Vec::new();
        text::append(stand_in(line, why, head)?.as_bytes(), &mut text);
        self.write(&text)?;
        Ok(true)
    }

    /// Adds the text of a line, the first one without its comma.
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let comma = usize::from(self.contents.n_lines == 0);
        self.size += text.len();
        self.encoder.write_all(&text[comma..])
    }

    /// Notes what a line says of the session. Ids are taken from the line as it is, texts from what
    /// is sent of it.
    fn inspect(&mut self, line: &[u8]) {
        let is_settled = self.contents.branch.is_some() && self.contents.first_message.is_some();
        // Behind the first lines only agents and summaries are news, and few lines name one.
        if is_settled && !self.news.may_be_in(line) {
            return;
        }
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
                contents.first_message = transcript::user_text(line)
                    .filter(|text| !text.is_empty())
                    .and_then(|_| transcript::user_text(&self.redactor.line(line).ok()?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Settings;

    /// Once branch and first message are known, lines are looked at for what is left to be known;
    /// and wherever a request ends, the next one goes on behind it.
    #[test]
    fn requests_of_any_size_say_what_their_lines_say() {
        let (redactor, _) = Redactor::new(&Settings::default());
        let user = r#"{"type":"user","gitBranch":"main","cwd":"/w","message":{"content":"hello"}}"#;
        let agent = r#"{"type":"user","gitBranch":"b","toolUseResult":{"agentId":"abcdef12"}}"#;
        let summary = r#"{"type":"summary","summary":"what was done","leafUuid":"l1"}"#;
        // Escaped, it is half as long again: more lines are begun ahead than fit.
        let filler = format!("{{\"type\":\"assistant\",\"x\":\"{}\"}}\n", r#"y\""#.repeat(167));
        let text = format!("{user}\n{}{agent}\n{summary}\n{filler}", filler.repeat(1600));
        for size in [1, 800, 5_000, 100_000, 700_000, REQUEST_BYTES_TARGET] {
            let header =
                Header { session_id: "s", file_name: "f", file_type: "transcript", first_line: 1 };
            let mut tail = Tail::new(text.as_bytes(), Position::default(), 1 << 20);
            let (mut lines, mut last) = (String::new(), Contents::default());
            let mut compressor = Compressor::default();
            loop {
                // One that is given up leaves nothing behind.
                Builder::new(header, &redactor, &mut compressor, size).unwrap();
                let mut builder = Builder::new(header, &redactor, &mut compressor, size).unwrap();
                builder.fill(&mut tail, false).unwrap();
                let (body, contents) = builder.finish(None).unwrap();
                if contents.n_lines == 0 {
                    break;
                }
                let body = zstd::decode_all(&body[..]).unwrap();
                let request: wire::ChunkRequest = serde_json::from_slice(&body).unwrap();
                assert_eq!(request.lines.len() as u64, contents.n_lines);
                assert!(contents.n_lines == 1 || contents.bytes <= size);
                request.lines.iter().for_each(|line| lines += &format!("{line}\n"));
                assert_eq!(contents.end.offset, lines.len() as u64);
                last = contents;
                assert_eq!(tail.position(), last.end);
                if lines.len() + filler.len() == text.len() && size < 5_000 {
                    assert_eq!(last.links, [("l1".to_owned(), "what was done".to_owned())]);
                }
            }
            assert!(lines == text, "requests of {size} bytes");
            if size == REQUEST_BYTES_TARGET {
                assert_eq!(last.first_message.as_deref(), Some("hello"));
                assert_eq!(last.agent_ids, ["abcdef12"]);
                assert_eq!(last.links, [("l1".to_owned(), "what was done".to_owned())]);
                assert_eq!(last.branch, Some(("main".to_owned(), Some("/w".to_owned()))));
            }
        }
    }

    /// What cannot be redacted stays here, keeps its number, and stops nothing.
    #[test]
    fn a_line_that_is_withheld_leaves_a_stand_in_that_shows_none_of_it() {
        let (redactor, _) = Redactor::new(&Settings::default());
        let header =
            Header { session_id: "s", file_name: "f", file_type: "transcript", first_line: 7 };
        let mut compressor = Compressor::default();
        let mut builder =
            Builder::new(header, &redactor, &mut compressor, REQUEST_BYTES_TARGET).unwrap();
        let whole = br#"{"type":"user","uuid":"u1","message":{"role":"user","content":"hello"}}"#;
        let failed = br#"{"type":"user","uuid":"u2","message":{"content":"private words"},"x":1}"#;
        let disguised = br#"{"type":"Private-Words 42","content":"private words"}"#;
        assert!(builder.push(whole).unwrap());
        for line in [&failed[..], disguised, b"private words", b""] {
            builder.note_position(Position::default());
            assert!(builder.take(line, Err(Withheld)).unwrap());
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
