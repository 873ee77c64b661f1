//! What a backend holds of sessions, read back and deleted: for commands, never for the daemon.
//!
//! Small answers have a deadline as a whole. A file may be of any size: it is handed on in pieces,
//! and the deadline is for each of them. "Too many requests" is waited out, since a session may
//! have more files than a backend answers for in one go; all other failures are told at once.

use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::Method;

use super::client::{ANSWER_BYTES_MAX, Answer, Client, TimeMax, decode, failed, refusal};
use crate::error::Error;
use crate::remote::{Failure, Verdict};
use crate::wire::{ExternalIdAnswer, FileEntry, FilesAnswer};

/// Time for an answer that is read as a whole.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Time in which at least one byte of a file must come.
pub const PIECE_TIME_MAX: Duration = Duration::from_secs(30);
/// Time for a whole file, however slowly it comes.
const FILE_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of a list of files: as many files as a backend keeps, with names of full length.
const FILES_BYTES_MAX: u64 = 32 << 20;
/// Bytes of a condensed transcript.
const CONDENSED_BYTES_MAX: u64 = 64 << 20;
/// Times that a backend is asked again which says that it is asked too much.
const BUSY_RETRIES_MAX: u32 = 5;
/// The longest wait between two of these.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(60);
/// Bytes of a file that are handed on at once.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that may wait for their reader.
const PIECES_MAX: usize = 4;
/// Stack of the reading thread; TLS takes the most of it.
const STACK_BYTES: usize = 512 << 10;

/// The sessions of one account.
pub struct Archive<'a> {
    /// Speaks to the backend.
    pub client: &'a Client,
    /// Sleeps.
    pub wait: &'a dyn Fn(Duration),
}

impl Archive<'_> {
    /// The backend's id of a session by Claude's id.
    ///
    /// # Errors
    /// [`Verdict::Gone`] when the backend has no such session.
    pub fn session_of(&self, external_id: &str) -> Result<String, Failure> {
        let path = format!("/api/v1/sessions/by-external-id/{external_id}");
        let answer: ExternalIdAnswer = self.read(&path, ANSWER_BYTES_MAX)?;
        Ok(answer.session_id)
    }

    /// The files of a session.
    ///
    /// # Errors
    /// [`Verdict::Gone`] when the backend has no such session.
    pub fn files(&self, session_id: &str) -> Result<Vec<FileEntry>, Failure> {
        let path = format!("/api/v1/sessions/{session_id}/files");
        let answer: FilesAnswer = self.read(&path, FILES_BYTES_MAX)?;
        Ok(answer.files)
    }

    /// The condensed transcript of a session, as the backend wrote it: JSON. With `chars_max`, the
    /// end of it.
    ///
    /// # Errors
    /// [`Verdict::Gone`] when the backend has no such session, or none with a transcript.
    pub fn condensed(&self, session_id: &str, chars_max: Option<u64>) -> Result<Vec<u8>, Failure> {
        let mut path = format!("/api/v1/sessions/{session_id}/condensed-transcript");
        if let Some(chars_max) = chars_max {
            path += &format!("?max_chars={chars_max}");
        }
        self.get(&path, CONDENSED_BYTES_MAX)
    }

    /// Deletes a session with all its files.
    ///
    /// # Errors
    /// [`Verdict::Gone`] when the backend has no such session, or does not delete in this way.
    pub fn delete(&self, session_id: &str) -> Result<(), Failure> {
        let path = format!("/api/v1/sessions/{session_id}");
        self.exchange(&Method::DELETE, &path, ANSWER_BYTES_MAX).map(drop)
    }

    /// Opens a file of a session. `piece_time_max` is for each piece of it.
    ///
    /// # Errors
    /// [`Verdict::Gone`] when the backend has no such file.
    pub fn download(
        &self,
        session_id: &str,
        file_name: &str,
        piece_time_max: Duration,
    ) -> Result<Download, Failure> {
        let name = percent_encoded(file_name);
        let path = format!("/api/v1/sessions/{session_id}/files/download?file_name={name}");
        let mut n_tried = 0;
        loop {
            let time_max = TimeMax::Parts { answer: piece_time_max, body: FILE_TIME_MAX };
            let asked = self.client.ask(&Method::GET, &path, b"", false, time_max);
            let response = asked.map_err(|error| failed(&format!("GET {path}"), error))?;
            if response.status().is_success() {
                return Download::start(response.into_body().into_reader(), piece_time_max)
                    .map_err(|error| {
                        let what = "start a thread that reads";
                        Failure::retry(Error::new(what).caused_by(error))
                    });
            }
            let answer = self.client.read_answer(response, ANSWER_BYTES_MAX);
            let failure = refusal(&format!("GET {path}"), &answer);
            self.wait_when_busy(&answer, &mut n_tried, failure)?;
        }
    }

    fn read<A: DeserializeOwned>(&self, path: &str, bytes_max: u64) -> Result<A, Failure> {
        decode(path, &self.get(path, bytes_max)?)
    }

    fn get(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, Failure> {
        self.exchange(&Method::GET, path, bytes_max)
    }

    fn exchange(&self, method: &Method, path: &str, bytes_max: u64) -> Result<Vec<u8>, Failure> {
        let what = format!("{method} {path}");
        let mut n_tried = 0;
        loop {
            let time_max = TimeMax::Whole(ANSWER_TIME_MAX);
            let asked = self.client.ask(method, path, b"", false, time_max);
            let response = asked.map_err(|error| failed(&what, error))?;
            let answer = self.client.read_answer(response, bytes_max);
            if answer.is_success() {
                return answer.body.map_err(|error| failed(&what, error));
            }
            let failure = refusal(&what, &answer);
            self.wait_when_busy(&answer, &mut n_tried, failure)?;
        }
    }

    /// Waits when the backend says that it is asked too much, a few times; longer each time unless
    /// it says how long.
    fn wait_when_busy(
        &self,
        answer: &Answer,
        n_tried: &mut u32,
        failure: Failure,
    ) -> Result<(), Failure> {
        if answer.status != 429 || *n_tried >= BUSY_RETRIES_MAX {
            return Err(failure);
        }
        let after = match failure.verdict {
            Verdict::Retry(Some(after)) => after,
            _ => Duration::from_secs(1 << *n_tried),
        };
        *n_tried += 1;
        (self.wait)(after.min(BUSY_WAIT_MAX));
        Ok(())
    }
}

/// A file on its way. Reading it fails with [`io::ErrorKind::TimedOut`] when nothing comes, and
/// with [`io::ErrorKind::UnexpectedEof`] or the like when it is cut off.
pub struct Download {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece_time_max: Duration,
    piece: Vec<u8>,
    at: usize,
}

impl Download {
    /// Reads in a thread of its own: a read from the network cannot be given a deadline of its own.
    /// A thread that is stuck ends with the process.
    fn start(reader: impl Read + Send + 'static, piece_time_max: Duration) -> io::Result<Download> {
        let (sender, pieces) = mpsc::sync_channel(PIECES_MAX);
        std::thread::Builder::new()
            .name("download".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || send_pieces(reader, &sender))?;
        Ok(Download { pieces, piece_time_max, piece: Vec::new(), at: 0 })
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            self.piece = match self.pieces.recv_timeout(self.piece_time_max) {
                Ok(piece) => piece?,
                // The thread has ended, and told an error if there was one.
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) => return Err(silent(self.piece_time_max)),
            };
            self.at = 0;
        }
        let rest = &self.piece[self.at..];
        let n_bytes = rest.len().min(buffer.len());
        buffer[..n_bytes].copy_from_slice(&rest[..n_bytes]);
        self.at += n_bytes;
        Ok(n_bytes)
    }
}

fn silent(time_max: Duration) -> io::Error {
    let what = format!("the backend has sent nothing for {} s", time_max.as_secs_f32());
    io::Error::new(io::ErrorKind::TimedOut, what)
}

fn send_pieces(mut reader: impl Read, pieces: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let read = match reader.read(&mut piece) {
            Ok(0) => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(n_bytes) => {
                piece.truncate(n_bytes);
                Ok(piece)
            }
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        // Nobody may be left who wants it.
        if pieces.send(read).is_err() || is_last {
            return;
        }
    }
}

/// A value of a query.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_for_a_query() {
        assert_eq!(percent_encoded("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(percent_encoded("a/b c&é%"), "a%2Fb%20c%26%C3%A9%25");
    }

    /// A reader that hands out these results and then is silent until it is let go.
    struct Source(Vec<io::Result<Vec<u8>>>, Option<Receiver<()>>);

    impl Read for Source {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                let _ = self.1.as_ref().map(Receiver::recv);
                return Ok(0);
            }
            let bytes = self.0.remove(0)?;
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    #[test]
    fn a_download_is_what_was_read_with_its_end_and_its_errors() {
        let pieces = || vec![Ok(b"one\n".to_vec()), Ok(b"two\n".to_vec())];
        let read = |source| {
            let mut download = Download::start(source, PIECE_TIME_MAX).unwrap();
            let mut text = String::new();
            let result = download.read_to_string(&mut text);
            (result.map_err(|error| error.kind()), text)
        };
        assert_eq!(read(Source(pieces(), None)), (Ok(8), "one\ntwo\n".to_owned()));
        let mut cut = pieces();
        cut.push(Err(io::ErrorKind::UnexpectedEof.into()));
        assert_eq!(read(Source(cut, None)).0, Err(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn silence_is_an_error() {
        let (let_go, held) = mpsc::channel();
        let source = Source(vec![Ok(b"one\n".to_vec())], Some(held));
        let mut download = Download::start(source, Duration::from_millis(1)).unwrap();
        // However slowly the first piece comes, the second one never does.
        let error = std::iter::repeat_with(|| download.read(&mut [0; 8])).find_map(Result::err);
        assert_eq!(error.unwrap().kind(), io::ErrorKind::TimedOut);
        drop(let_go);
    }
}
