//! What commands ask of stored sessions: which there are, what they hold, and to forget them.
//!
//! A file is streamed: its size has no limit here, memory does. The answer must begin in time and
//! must never pause for long; how long it takes as a whole, up to a day, is up to the network.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use ureq::http::{Method, Request, header};

use super::Client;
use super::client::{Body, decode, refusal};
use crate::error::Error;
use crate::remote::{Failure, Verdict};
use crate::wire::{ExternalIdAnswer, FileEntry, FilesAnswer, LinkEntry, LinksAnswer};
use crate::wire::{SearchAnswer, SessionDetail, SessionsAnswer};

/// Time for the beginning of an answer, and how long a stream may pause.
pub const PAUSE_TIME_MAX: Duration = Duration::from_secs(60);
/// Time for all of a stream, however slowly it comes.
const STREAM_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of a list of files: as many as a backend keeps of a session, with names of full length.
const FILES_BYTES_MAX: u64 = 32 << 20;
/// Sessions that are asked for at once.
const PAGE: u32 = 500;
/// Bytes that are handed over at once, and how many such pieces wait.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_MAX: usize = 4;
/// Stack of the thread that reads.
const STACK_BYTES: usize = 512 << 10;

impl Client {
    /// The backend's id of a session by Claude's; `None` when it has none of this user's.
    ///
    /// # Errors
    /// As the network, and every status but 200 and 404.
    pub fn session_id(
        &self,
        external_id: &str,
        time_max: Duration,
    ) -> Result<Option<String>, Failure> {
        let path = format!("/api/v1/sessions/by-external-id/{}", escaped(external_id));
        match self.exchange(Method::GET, &path, Body::Nothing, time_max) {
            Ok(answer) => {
                decode::<ExternalIdAnswer>(&path, &answer).map(|answer| Some(answer.session_id))
            }
            Err(failure) if failure.verdict == Verdict::Gone => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The newest sessions, or those behind a cursor of the last answer.
    ///
    /// # Errors
    /// As the network, and every status but 2xx.
    pub fn sessions(
        &self,
        cursor: Option<&str>,
        time_max: Duration,
    ) -> Result<SessionsAnswer, Failure> {
        let cursor = cursor.map(|cursor| format!("&cursor={}", escaped(cursor)));
        let path = format!("/api/v1/sessions?limit={PAGE}{}", cursor.unwrap_or_default());
        decode(&path, &self.exchange(Method::GET, &path, Body::Nothing, time_max)?)
    }

    /// Lines that match a query, or those behind a cursor of the last answer.
    ///
    /// # Errors
    /// As the network, and every status but 2xx.
    pub fn search(
        &self,
        query: &str,
        limit: u64,
        cursor: Option<&str>,
        time_max: Duration,
    ) -> Result<SearchAnswer, Failure> {
        let cursor = cursor.map(|cursor| format!("&cursor={}", escaped(cursor)));
        let (query, cursor) = (escaped(query), cursor.unwrap_or_default());
        let path = format!("/api/v1/search?q={query}&limit={limit}{cursor}");
        decode(&path, &self.exchange(Method::GET, &path, Body::Nothing, time_max)?)
    }

    /// A session by the backend's id; `None` when there is no such session.
    ///
    /// # Errors
    /// As the network, and every status but 200 and 404.
    pub fn session(&self, id: &str, time_max: Duration) -> Result<Option<SessionDetail>, Failure> {
        let path = format!("/api/v1/sessions/{}", escaped(id));
        match self.exchange(Method::GET, &path, Body::Nothing, time_max) {
            Ok(answer) => decode(&path, &answer).map(Some),
            Err(failure) if failure.verdict == Verdict::Gone => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Commits and pull requests of a session by the backend's id; none where links are not known.
    ///
    /// # Errors
    /// As the network, and every status but 200 and 404.
    pub fn links(&self, id: &str, time_max: Duration) -> Result<Vec<LinkEntry>, Failure> {
        let path = format!("/api/v1/sessions/{}/github-links", escaped(id));
        match self.exchange(Method::GET, &path, Body::Nothing, time_max) {
            Ok(answer) => decode::<LinksAnswer>(&path, &answer).map(|answer| answer.links),
            Err(failure) if failure.verdict == Verdict::Gone => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }

    /// The files of a session by the backend's id; `None` when there is no such session.
    ///
    /// # Errors
    /// As the network, and every status but 200 and 404.
    pub fn files(&self, session_id: &str) -> Result<Option<Vec<FileEntry>>, Failure> {
        let path = format!("/api/v1/sessions/{}/files", escaped(session_id));
        let stream = match self.stream(&path, PAUSE_TIME_MAX) {
            Err(failure) if failure.verdict == Verdict::Gone => return Ok(None),
            stream => stream?,
        };
        let mut answer = Vec::new();
        stream
            .take(FILES_BYTES_MAX)
            .read_to_end(&mut answer)
            .map_err(|error| Failure::retry(Error::new(format!("GET {path}")).caused_by(error)))?;
        decode::<FilesAnswer>(&path, &answer).map(|answer| Some(answer.files))
    }

    /// Deletes a session by the backend's id. One that is not there is a failure as well.
    ///
    /// # Errors
    /// As the network, and every status but 2xx.
    pub fn delete_session(&self, session_id: &str, time_max: Duration) -> Result<(), Failure> {
        let path = format!("/api/v1/sessions/{}", escaped(session_id));
        self.exchange(Method::DELETE, &path, Body::Nothing, time_max).map(|_| ())
    }

    /// The content of a file. It must begin within `pause_time_max`, and not pause for longer.
    ///
    /// # Errors
    /// As the network, and every status but 2xx.
    pub fn download(
        &self,
        session_id: &str,
        file_name: &str,
        pause_time_max: Duration,
    ) -> Result<Stream, Failure> {
        let (id, name) = (escaped(session_id), escaped(file_name));
        let path = format!("/api/v1/sessions/{id}/files/download?file_name={name}");
        self.stream(&path, pause_time_max)
    }

    /// The transcript in short, as JSON, of at most so many characters.
    ///
    /// # Errors
    /// As the network, and every status but 2xx.
    pub fn condensed(&self, session_id: &str, chars_max: Option<u64>) -> Result<Stream, Failure> {
        let limit = chars_max.map(|limit| format!("?max_chars={limit}")).unwrap_or_default();
        let id = escaped(session_id);
        let path = format!("/api/v1/sessions/{id}/condensed-transcript{limit}");
        self.stream(&path, PAUSE_TIME_MAX)
    }

    fn stream(&self, path: &str, pause_time_max: Duration) -> Result<Stream, Failure> {
        let what = format!("GET {path}");
        let failed = |error: ureq::Error| Failure {
            timed_out: matches!(error, ureq::Error::Timeout(_)),
            ..Failure::retry(Error::new(what.clone()).caused_by(error))
        };
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}{path}", self.url))
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(()).map_err(|error| failed(error.into()))?;
        let request = self.agent.configure_request(request);
        let request = request
            .timeout_recv_response(Some(pause_time_max))
            .timeout_recv_body(Some(STREAM_TIME_MAX));
        let response = self.agent.run(request.build()).map_err(failed)?;
        if !response.status().is_success() {
            return Err(refusal(&what, &self.answer(response)));
        }
        let (sender, receiver) = sync_channel(PIECES_MAX);
        let mut body = response.into_body().into_reader();
        std::thread::Builder::new()
            .name("download".into())
            .stack_size(STACK_BYTES)
            .spawn(move || hand_over(&mut body, &sender))
            .map_err(|error| failed(error.into()))?;
        Ok(Stream { receiver, pause_time_max, piece: Vec::new(), read: 0 })
    }
}

/// Hands over what comes, until the end, an error, or nobody listens any more.
fn hand_over(body: &mut dyn Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let result = match body.read(&mut piece) {
            Ok(n_bytes) => {
                piece.truncate(n_bytes);
                Ok(piece)
            }
            Err(error) => Err(error),
        };
        let is_last = !matches!(&result, Ok(piece) if !piece.is_empty());
        if sender.send(result).is_err() || is_last {
            return;
        }
    }
}

/// A body that is being received.
pub struct Stream {
    receiver: Receiver<io::Result<Vec<u8>>>,
    pause_time_max: Duration,
    piece: Vec<u8>,
    read: usize,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.piece.len() {
            self.piece = match self.receiver.recv_timeout(self.pause_time_max) {
                Ok(piece) => piece?,
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = self.pause_time_max.as_secs_f32();
                    let what = format!("nothing has come for {seconds} s");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, what));
                }
                // Whoever has read the end reads it again.
                Err(RecvTimeoutError::Disconnected) => Vec::new(),
            };
            self.read = 0;
        }
        let n_bytes = buffer.len().min(self.piece.len() - self.read);
        buffer[..n_bytes].copy_from_slice(&self.piece[self.read..self.read + n_bytes]);
        self.read += n_bytes;
        Ok(n_bytes)
    }
}

/// Text as part of a path or query (RFC 3986, 2.3).
pub fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
