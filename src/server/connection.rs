//! One connection: requests in, responses out, each phase with an absolute deadline.
//!
//! Invariant: after a body that was not read to its end, or not understood, the connection is
//! closed; what follows would be taken for the next request.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::gate::{Gate, Places};
use super::http::{Framing, Head, Payload, Pieces, Refusal, Response};
use super::http::{chunk_size, is_header, is_plain};
use super::limits::Limits;
use super::metrics::Metrics;
use super::settings::Settings;
use super::stream::Stream;
use crate::error::{Context, Error};

/// A chunk's size with its extensions, or a trailer.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Trailers behind the last chunk; they are ignored.
const TRAILERS_MAX: usize = 16;
/// How much is read, written and reserved at once.
const PIECE_BYTES: usize = 256 << 10;
/// Answers, and pieces of them, up to this size need no memory set aside: a block of lines as it is
/// sent is not larger, so whoever reads is not in the way of others, however slowly they do.
const SMALL_ANSWER_BYTES_MAX: usize = 2 << 20;
/// How much of a head is read at once.
const HEAD_PIECE_BYTES: usize = 16 << 10;

/// Streams that read the database at once; each needs about a hundred microseconds.
const STREAM_READERS_MAX: u64 = 2;

/// What all connections share.
#[derive(Debug)]
pub struct Surroundings {
    /// The monotonic clock.
    pub monotonic: fn() -> Instant,
    /// What the operator says.
    pub settings: Settings,
    /// How often somebody may ask.
    pub limits: Limits,
    /// What happened so far.
    pub metrics: Metrics,
    /// Bytes of bodies in memory.
    pub bodies_bytes: AtomicUsize,
    /// Bytes of large answers in memory.
    pub answers_bytes: AtomicUsize,
    /// Lets few large bodies be unpacked and stored at once.
    pub large_bodies: Gate,
    /// Answers that go on as long as somebody listens.
    pub streams: Places,
    /// Lets few of them read the database at once: an append wakes all.
    pub stream_readers: Gate,
}

impl Surroundings {
    /// Nothing has happened yet.
    pub fn new(settings: Settings, monotonic: fn() -> Instant) -> Surroundings {
        Surroundings {
            monotonic,
            limits: Limits::new(&settings),
            metrics: Metrics::default(),
            large_bodies: Gate::new(settings.large_bodies_max),
            streams: Places::new(settings.streams_max, settings.reader_streams_max),
            stream_readers: Gate::new(STREAM_READERS_MAX),
            settings,
            bodies_bytes: AtomicUsize::new(0),
            answers_bytes: AtomicUsize::new(0),
        }
    }
}

/// A part of the memory for bodies, given back when dropped.
#[derive(Debug)]
pub struct Reservation<'a> {
    used: &'a AtomicUsize,
    bytes_max: usize,
    bytes: usize,
}

impl<'a> Reservation<'a> {
    fn new(used: &'a AtomicUsize, bytes_max: u64) -> Reservation<'a> {
        Reservation { used, bytes_max: size(bytes_max), bytes: 0 }
    }

    /// Makes it so large. False, and unchanged, when there is not as much left.
    pub fn resize(&mut self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_sub(self.bytes).saturating_add(bytes) <= self.bytes_max;
        let given_back = if fits { std::mem::replace(&mut self.bytes, bytes) } else { bytes };
        self.used.fetch_sub(given_back, Ordering::Relaxed);
        fits
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A connection and what was read from it ahead.
pub struct Connection<'a> {
    stream: Stream<'a>,
    surroundings: &'a Surroundings,
    buffer: Vec<u8>,
}

impl<'a> Connection<'a> {
    /// A fresh connection.
    pub fn new(stream: Stream<'a>, surroundings: &'a Surroundings) -> Connection<'a> {
        Connection { stream, surroundings, buffer: Vec::with_capacity(HEAD_PIECE_BYTES) }
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        self.stream.now()
    }

    /// True when nobody in between can read it.
    pub fn is_secure(&self) -> bool {
        self.stream.is_secure()
    }

    /// Waits for the first byte of a request. False when the client has closed or says nothing.
    pub fn wait(&mut self, deadline: Instant) -> bool {
        !self.buffer.is_empty() || matches!(self.fill(deadline), Ok(1..))
    }

    /// Reads a head.
    ///
    /// # Errors
    /// What to answer before closing; `None` when nobody is left to read it.
    pub fn head(&mut self, deadline: Instant) -> Result<Head, Option<Refusal>> {
        let bytes_max = size(self.surroundings.settings.head_bytes_max);
        loop {
            if let Some((head, length)) = Head::parse(&self.buffer, bytes_max)? {
                self.buffer.drain(..length);
                return Ok(head);
            }
            match self.fill(deadline) {
                Ok(1..) => {}
                Err(error) if is_timeout(&error) => {
                    return Err(Some(Refusal { status: 408, text: "408 request timeout\n" }));
                }
                Ok(_) | Err(_) => return Err(None),
            }
        }
    }

    /// Sends a response and returns how many bytes of its body that were. `with_body` is false for
    /// HEAD, which shows the head alone.
    ///
    /// # Errors
    /// When the client reads too slowly or has gone, or the body's source fails.
    pub fn send(
        &mut self,
        response: Response,
        keep_alive: bool,
        with_body: bool,
    ) -> crate::error::Result<u64> {
        let first = response.head(keep_alive).into_bytes();
        let what = || "send a response".to_owned();
        match response.payload {
            Payload::Bytes(bytes) if with_body => {
                let Ok(_memory) = self.answer_memory(bytes.len()) else {
                    return self.send_busy();
                };
                self.write_parts(&[&first, &bytes]).context(what).map(|()| bytes.len() as u64)
            }
            Payload::Stream(length, pieces) if with_body => {
                self.write(&first).context(what)?;
                self.send_pieces(length, pieces)
            }
            Payload::Endless(pieces) if with_body => {
                self.write(&first).context(what)?;
                // It may take long, and the next request is far away.
                self.buffer.shrink_to_fit();
                self.send_chunks(pieces)
            }
            _ => self.write(&first).context(what).map(|()| 0),
        }
    }

    fn send_pieces(&mut self, length: u64, mut pieces: Pieces) -> crate::error::Result<u64> {
        let mut left = length;
        while left > 0 {
            let Some(mut piece) = pieces()? else {
                return Err(Error::new("send a response: its source is short"));
            };
            let _memory = self.answer_memory(piece.len())?;
            piece.truncate(size(left));
            left -= piece.len() as u64;
            self.write(&piece).context(|| "send a response".into())?;
        }
        Ok(length)
    }

    fn send_chunks(&mut self, mut pieces: Pieces) -> crate::error::Result<u64> {
        let mut sent = 0;
        while let Some(piece) = pieces()? {
            // An empty chunk would be the end.
            if !piece.is_empty() {
                let _memory = self.answer_memory(piece.len())?;
                let size = format!("{:x}\r\n", piece.len());
                let chunk = [size.as_bytes(), &piece, b"\r\n"];
                self.write_parts(&chunk).context(|| "send a response".into())?;
                sent += piece.len() as u64;
            }
        }
        self.write(b"0\r\n\r\n").context(|| "send a response".into())?;
        Ok(sent)
    }

    /// Memory for an answer, or a piece of one, while the client reads it.
    fn answer_memory(&self, bytes: usize) -> crate::error::Result<Reservation<'a>> {
        let surroundings = self.surroundings;
        let bytes_max = surroundings.settings.bodies_bytes_max;
        let mut memory = Reservation::new(&surroundings.answers_bytes, bytes_max);
        match bytes <= SMALL_ANSWER_BYTES_MAX || memory.resize(bytes) {
            true => Ok(memory),
            false => Err(Error::new("send a response: too many large ones are being read")),
        }
    }

    /// Tells the client to come again, and fails.
    fn send_busy(&mut self) -> crate::error::Result<u64> {
        let text = "503 too many large answers are being read\n";
        let busy = Response::text(503, text).with_header("Retry-After", "10");
        let head = busy.head(false);
        let what = || "send a response".to_owned();
        self.write_parts(&[head.as_bytes(), text.as_bytes()]).context(what)?;
        self.linger();
        Err(Error::new("send a response: too many large ones are being read"))
    }

    /// True when everything that was received is used.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Reads and drops what the client may still be sending: closing with unread bytes would
    /// destroy the response on its way.
    pub fn linger(&mut self) {
        let settings = &self.surroundings.settings;
        let (deadline, bytes_max) = (self.unwanted_deadline(), settings.unwanted_bytes_max);
        let mut drained = 0;
        if self.stream.finish(deadline).is_err() {
            return;
        }
        while drained < bytes_max {
            self.buffer.clear();
            match self.fill(deadline) {
                Ok(count @ 1..) => drained += count as u64,
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Says that nothing more will be sent, before the connection is closed.
    pub fn close(&mut self) {
        // An error means that the client was faster.
        let _ = self.stream.finish(self.unwanted_deadline());
    }

    fn unwanted_deadline(&self) -> Instant {
        self.now() + Duration::from_secs(self.surroundings.settings.unwanted_seconds_max)
    }

    fn fill(&mut self, deadline: Instant) -> io::Result<usize> {
        let end = self.buffer.len();
        self.buffer.resize(end + HEAD_PIECE_BYTES, 0);
        let result = self.stream.read(&mut self.buffer[end..], deadline);
        self.buffer.truncate(end + *result.as_ref().unwrap_or(&0));
        result
    }

    /// Writes what belongs together: in one go when it is little, and large parts without a copy.
    fn write_parts(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        match length <= PIECE_BYTES {
            true => self.write(&parts.concat()),
            false => parts.iter().try_for_each(|part| self.write(part)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let time_max = Duration::from_secs(self.surroundings.settings.answer_seconds_max);
        for piece in bytes.chunks(PIECE_BYTES) {
            self.stream.write(piece, self.now() + time_max)?;
        }
        Ok(())
    }
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than allowed.
    TooLarge,
    /// Too much is in memory already.
    Busy,
    /// Its framing is broken.
    Malformed,
    /// It did not arrive in time, or the client has gone.
    Lost,
}

enum Left {
    Nothing,
    Bytes(u64),
    /// The next thing is a chunk's size.
    ChunkSize,
    ChunkBytes(u64),
}

/// The body of the request that a connection is at.
pub struct Body<'c, 'a> {
    connection: &'c mut Connection<'a>,
    left: Left,
    /// When a body that trickles in has to be there.
    deadline: Instant,
    /// Bytes so far. Who sends fast enough gets the time for more.
    received: u64,
    /// The client waits for leave to send.
    leave_due: bool,
    broken: bool,
}

impl<'c, 'a> Body<'c, 'a> {
    /// The body that follows `head`, to be read before `deadline` or at a decent rate.
    pub fn new(connection: &'c mut Connection<'a>, head: &Head, deadline: Instant) -> Self {
        let left = match head.framing {
            Framing::Bytes(0) => Left::Nothing,
            Framing::Bytes(count) => Left::Bytes(count),
            Framing::Chunked => Left::ChunkSize,
        };
        let leave_due = head.expects_continue && !matches!(left, Left::Nothing);
        Body { connection, left, deadline, received: 0, leave_due, broken: false }
    }

    /// Reads all of it. Memory grows with what has arrived, not with what is announced.
    ///
    /// # Errors
    /// [`BodyError`]; longer than `bytes_max` is one.
    pub fn read_all(&mut self, bytes_max: usize) -> Result<(Vec<u8>, Reservation<'a>), BodyError> {
        if let Left::Bytes(count) = self.left
            && count > bytes_max as u64
        {
            return Err(BodyError::TooLarge);
        }
        let mut reservation = self.reservation();
        let mut body = Vec::new();
        loop {
            if body.len() > bytes_max {
                return Err(BodyError::TooLarge);
            }
            if !reservation.resize(body.len() + PIECE_BYTES) {
                return Err(BodyError::Busy);
            }
            if self.next_piece(&mut body)? == 0 {
                return Ok((body, reservation));
            }
        }
    }

    fn reservation(&self) -> Reservation<'a> {
        let surroundings = self.connection.surroundings;
        Reservation::new(&surroundings.bodies_bytes, surroundings.settings.bodies_bytes_max)
    }

    /// When the next byte has to be there.
    fn due(&self) -> Instant {
        let rate = self.connection.surroundings.settings.bytes_per_second_min;
        self.deadline + Duration::from_secs(self.received / rate)
    }

    /// True when the next request begins right behind this body: reads what is left of it, within
    /// limits.
    pub fn finish(mut self) -> bool {
        if self.leave_due || self.broken {
            return false;
        }
        self.deadline = self.due().min(self.connection.unwanted_deadline());
        let (mut piece, mut drained) = (Vec::new(), 0);
        while drained <= self.connection.surroundings.settings.unwanted_bytes_max {
            piece.clear();
            // What nobody wants earns no time.
            self.received = 0;
            match self.next_piece(&mut piece) {
                Ok(0) => return true,
                Ok(count) => drained += count as u64,
                Err(_) => return false,
            }
        }
        false
    }

    /// Appends at most [`PIECE_BYTES`] of the body; 0 at its end.
    fn next_piece(&mut self, into: &mut Vec<u8>) -> Result<usize, BodyError> {
        let result = self.framed_piece(into);
        self.broken |= result.is_err();
        result
    }

    fn framed_piece(&mut self, into: &mut Vec<u8>) -> Result<usize, BodyError> {
        if std::mem::take(&mut self.leave_due) {
            let leave = self.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n");
            leave.map_err(|_| BodyError::Lost)?;
        }
        if let Left::ChunkSize = self.left {
            let size = chunk_size(&self.line()?).ok_or(BodyError::Malformed)?;
            if size == 0 {
                self.skip_trailers()?;
                self.left = Left::Nothing;
                return Ok(0);
            }
            self.left = Left::ChunkBytes(size);
        }
        let (Left::Bytes(left) | Left::ChunkBytes(left)) = self.left else { return Ok(0) };
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let count = self.take(into, wanted)?;
        let left = left - count as u64;
        self.left = match self.left {
            Left::Bytes(_) if left == 0 => Left::Nothing,
            Left::Bytes(_) => Left::Bytes(left),
            _ if left > 0 => Left::ChunkBytes(left),
            _ => {
                if !self.line()?.is_empty() {
                    return Err(BodyError::Malformed);
                }
                Left::ChunkSize
            }
        };
        Ok(count)
    }

    /// Appends up to `wanted` bytes, at least one.
    fn take(&mut self, into: &mut Vec<u8>, wanted: usize) -> Result<usize, BodyError> {
        let due = self.due();
        let connection = &mut *self.connection;
        if !connection.buffer.is_empty() {
            let count = wanted.min(connection.buffer.len());
            into.extend(connection.buffer.drain(..count));
            self.received += count as u64;
            return Ok(count);
        }
        let end = into.len();
        into.resize(end + wanted, 0);
        let result = connection.stream.read(&mut into[end..], due);
        into.truncate(end + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(count @ 1..) => {
                self.received += count as u64;
                Ok(count)
            }
            Ok(_) | Err(_) => Err(BodyError::Lost),
        }
    }

    /// The next line without its CRLF.
    fn line(&mut self) -> Result<Vec<u8>, BodyError> {
        loop {
            let buffer = &mut self.connection.buffer;
            let searched = &buffer[..buffer.len().min(CHUNK_LINE_BYTES_MAX)];
            if let Some(newline) = memchr::memchr(b'\n', searched) {
                let line: Vec<u8> = buffer.drain(..=newline).collect();
                let line = line.strip_suffix(b"\r\n").filter(|line| is_plain(line));
                return Ok(line.ok_or(BodyError::Malformed)?.to_vec());
            }
            if searched.len() == CHUNK_LINE_BYTES_MAX {
                return Err(BodyError::Malformed);
            }
            match self.connection.fill(self.due()) {
                Ok(1..) => {}
                Ok(_) | Err(_) => return Err(BodyError::Lost),
            }
        }
    }

    fn skip_trailers(&mut self) -> Result<(), BodyError> {
        for _ in 0..=TRAILERS_MAX {
            match self.line()? {
                line if line.is_empty() => return Ok(()),
                line if is_header(&line) => {}
                _ => break,
            }
        }
        Err(BodyError::Malformed)
    }
}

/// A limit as the size of something in memory.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const BODIES_BYTES_MAX: usize = 64 << 20;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn surroundings() -> Surroundings {
        let bodies_bytes_max = BODIES_BYTES_MAX as u64;
        Surroundings::new(Settings { bodies_bytes_max, ..Settings::default() }, Instant::now)
    }

    fn connection<'a>(socket: &'a TcpStream, surroundings: &'a Surroundings) -> Connection<'a> {
        let traffic = &surroundings.metrics.traffic;
        Connection::new(Stream::new(socket, None, Instant::now, traffic), surroundings)
    }

    /// Reads the body of a request that announces 8 bytes and sends `sent`.
    fn read_body(
        sent: &str,
        time: Duration,
        bytes_max: usize,
        surroundings: &Surroundings,
    ) -> Result<Vec<u8>, BodyError> {
        let (mut client, server) = pair();
        let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n";
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(sent.as_bytes()).unwrap();
        let mut connection = connection(&server, surroundings);
        let head = connection.head(Instant::now() + Duration::from_secs(60)).unwrap();
        let deadline = connection.now() + time;
        let mut body = Body::new(&mut connection, &head, deadline);
        body.read_all(bytes_max).map(|(body, _)| body)
    }

    #[test]
    fn a_body_is_read_whole_in_time_within_limits() {
        let minute = Duration::from_secs(60);
        let free = surroundings();
        assert_eq!(read_body("12345678", minute, 8, &free), Ok(b"12345678".to_vec()));
        assert_eq!(read_body("12345678", minute, 7, &free), Err(BodyError::TooLarge));
        // Half of it arrives, and the time is over.
        assert_eq!(read_body("1234", Duration::from_millis(50), 8, &free), Err(BodyError::Lost));
        assert_eq!(free.bodies_bytes.load(Ordering::Relaxed), 0, "all is given back");
        let full = surroundings();
        full.bodies_bytes.store(BODIES_BYTES_MAX, Ordering::Relaxed);
        assert_eq!(read_body("12345678", minute, 8, &full), Err(BodyError::Busy));
    }

    /// Each second's worth of bytes moves the deadline by a second, and nothing else does.
    #[test]
    fn who_sends_fast_enough_gets_the_time_for_more() {
        let (_client, server) = pair();
        let free = surroundings();
        let mut connection = connection(&server, &free);
        let text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n";
        let (head, _) = Head::parse(text.as_bytes(), 1 << 10).unwrap().unwrap();
        let deadline = connection.now() + Duration::from_secs(60);
        connection.buffer.extend([b'x'; 20_000]);
        let mut body = Body::new(&mut connection, &head, deadline);
        assert_eq!(body.due(), deadline);
        let mut piece = Vec::new();
        assert_eq!(body.next_piece(&mut piece), Ok(20_000));
        assert_eq!(body.due(), deadline + Duration::from_secs(2));
    }

    #[test]
    fn a_head_that_does_not_come_in_time_is_refused() {
        let (mut client, server) = pair();
        client.write_all(b"GET / HT").unwrap();
        let free = surroundings();
        let mut connection = connection(&server, &free);
        let refusal = connection.head(Instant::now()).unwrap_err().unwrap();
        assert_eq!(refusal.status, 408);
        drop(client);
        assert!(connection.head(Instant::now() + Duration::from_secs(60)).is_err());
    }

    #[test]
    fn reservations_never_exceed_the_whole_and_are_given_back() {
        let used = AtomicUsize::new(0);
        let whole = BODIES_BYTES_MAX as u64;
        let (mut one, mut two) = (Reservation::new(&used, whole), Reservation::new(&used, whole));
        assert!(one.resize(BODIES_BYTES_MAX - 1));
        assert!(two.resize(1));
        assert!(!two.resize(2));
        assert!(one.resize(5));
        assert!(two.resize(BODIES_BYTES_MAX - 5));
        assert!(!one.resize(6));
        assert_eq!(used.load(Ordering::Relaxed), BODIES_BYTES_MAX);
        drop(two);
        assert_eq!(used.load(Ordering::Relaxed), 5);
    }

    /// An answer that goes on: this piece, and then its end.
    fn endless(piece: Vec<u8>) -> Response {
        let mut pieces = Some(piece);
        Response {
            status: 200,
            headers: Vec::new(),
            payload: Payload::Endless(Box::new(move || Ok(pieces.take()))),
        }
    }

    #[test]
    fn large_answers_take_memory_while_they_are_read_and_are_refused_without() {
        // More than sockets hold, so that the server has to wait for its reader.
        const PIECE: usize = 48 << 20;
        let free = surroundings();
        let used = || free.answers_bytes.load(Ordering::Relaxed);
        let (mut client, server) = pair();
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| {
                let mut connection = connection(&server, &free);
                let sent = connection.send(endless(vec![b'x'; PIECE]), false, true);
                connection.close();
                drop(connection);
                sent
            });
            let mut answer = vec![0; 4096];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(used(), PIECE);
            // Meanwhile there is no room for another one, but for all that are small.
            let (mut other, refused) = pair();
            let mut connection = connection(&refused, &free);
            let large = Response { payload: Payload::Bytes(vec![0; PIECE]), ..endless(Vec::new()) };
            drop(other.shutdown(std::net::Shutdown::Write));
            assert!(connection.send(endless(vec![b'z'; 1000]), true, true).is_ok());
            assert!(connection.send(endless(vec![b'y'; PIECE]), true, true).is_err());
            assert!(connection.send(large, true, true).is_err());
            drop(connection);
            drop(refused);
            let mut text = String::new();
            other.read_to_string(&mut text).unwrap();
            assert!(text.contains("zzz") && !text.contains("yyy"), "{text}");
            assert!(text.contains("HTTP/1.1 503 "), "{text}");
            client.read_to_end(&mut answer).unwrap();
            assert_eq!(sent.join().unwrap().unwrap(), PIECE as u64);
            let body = answer.iter().position(|byte| *byte == b'x').unwrap();
            let (head, body) = answer.split_at(body);
            assert!(head.ends_with(b"\r\n\r\n3000000\r\n"));
            assert!(body[..PIECE].iter().all(|byte| *byte == b'x'));
            assert_eq!(&body[PIECE..], b"\r\n0\r\n\r\n");
        });
        assert_eq!(used(), 0, "all is given back");
    }
}
