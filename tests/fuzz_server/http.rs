//! Bytes as requests: whatever arrives, however it is cut, is read the same and as every other
//! reader would read it.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use confab::server::connection::{Body, BodyError, Connection, Surroundings};
use confab::server::http::Head;
use confab::server::settings::Settings;
use confab::server::stream::Stream;
use fastrand::Rng;

use super::Target;
use super::corpus::Corpus;
use super::mutate::{change, pick};
use super::readers::{Manner, Seen, manners};

/// Requests behind one another.
const REQUESTS_MAX: usize = 4;
const CHANGES_MAX: usize = 6;
/// Bytes of a body that is read.
const BODY_BYTES_MAX: usize = 64 << 10;
/// For anything; everything is there already.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pieces that an input arrives in.
const PIECES_MAX: usize = 6;

/// What heads and chunks are made of, and what only looks like it.
const TRICKY: [&[u8]; 58] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b":",
    b" ",
    b"\t",
    b" \r\n",
    b"\r\n ",
    b"\0",
    b"\x0b",
    b"\x0c",
    b"\x7f",
    b"\xc2\xa0",
    b"\xc2\x85",
    b"\xff",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"content-length:5\r\n",
    b"Content-Length : 5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5,5\r\n",
    b"Content-Length: 0x5\r\n",
    b"Content-Length: 99999999999\r\n",
    b"Content-Length: \xc2\xa05\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:chunked\r\n",
    b"Transfer-Encoding: \xc2\x85chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Host: a\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Upgrade: h2c\r\n",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b"5\r\nhello\r\n",
    b"5;a=b\r\nhello\r\n",
    b"5;a=\"\n\"\r\nhello\r\n",
    b"5;\r\nhello\r\n",
    b"5 \r\nhello\r\n",
    b"05\r\nhello\r\n",
    b"0x5\r\nhello\r\n",
    b"ffffffff\r\n",
    b"fffffffffffffffff\r\n",
    b"0\r\nTrailer: x\r\n\r\n",
    b"0\r\nGET / HTTP/1.1\r\n\r\n",
    b"0\r\nContent-Length: 5\r\n\r\n",
    b"hello",
    b";",
    b"0",
];

pub fn target() -> Target {
    let mut connections = Connections::start();
    let manners = manners();
    Target {
        name: "http",
        input,
        check: Box::new(move |input, seed| check(&mut connections, &manners, input, seed)),
        counted: "requests taken",
    }
}

/// A few requests, changed anywhere.
fn input(corpus: &Corpus, random: &mut Rng) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..random.usize(1..=REQUESTS_MAX) {
        let (method, path, headers, body) = pick(&corpus.requests, random);
        let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{headers}");
        input.extend_from_slice(head.as_bytes());
        let body = &body[..body.len().min(300)];
        if random.bool() {
            let length = format!("Content-Length: {}\r\n\r\n", body.len());
            input.extend_from_slice(length.as_bytes());
            input.extend_from_slice(body);
        } else {
            input.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(random.usize(1..200)) {
                input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\n");
        }
    }
    for _ in 0..random.usize(..=CHANGES_MAX) {
        change(&mut input, &TRICKY, random);
    }
    input
}

fn check(
    connections: &mut Connections,
    manners: &[Manner],
    input: &[u8],
    seed: u64,
) -> Result<usize, String> {
    check_prefixes(input)?;
    let whole = connections.read(&[input])?;
    let mut random = Rng::with_seed(seed);
    let mut ends: Vec<usize> =
        (0..random.usize(..PIECES_MAX)).map(|_| random.usize(..=input.len())).collect();
    ends.extend([0, input.len()]);
    ends.sort_unstable();
    let pieces: Vec<&[u8]> = ends.windows(2).map(|ends| &input[ends[0]..ends[1]]).collect();
    let cut = connections.read(&pieces)?;
    if cut != whole {
        return Err(format!("in pieces it is {cut:?}, whole {whole:?}"));
    }
    let mut n_taken = 0;
    for manner in manners {
        let mut rest = input;
        n_taken = 0;
        for taken in &whole {
            let Read::Request(taken) = taken else { break };
            n_taken += 1;
            let Some((seen, behind)) = manner.read(rest) else { break };
            if seen != *taken {
                return Err(format!("{taken:?} is {seen:?} to {manner:?}"));
            }
            rest = behind;
        }
    }
    Ok(n_taken)
}

/// A head is complete at one place, however much of what follows is there.
fn check_prefixes(input: &[u8]) -> Result<(), String> {
    let bytes_max = 16 << 10;
    let whole = Head::parse(input, bytes_max).map(|head| head.map(|(_, length)| length));
    let limit = input.len().min(2 << 10);
    for end in 0..limit {
        let part = Head::parse(&input[..end], bytes_max).map(|head| head.map(|(_, length)| length));
        let fits = match (&part, &whole) {
            (Ok(None), _) => true,
            (Ok(Some(length)), Ok(Some(of_whole))) => length == of_whole && *length <= end,
            (Err(refusal), Err(of_whole)) => refusal == of_whole,
            _ => false,
        };
        if !fits {
            return Err(format!("{part:?} after {end} bytes, {whole:?} after all"));
        }
    }
    Ok(())
}

/// What a connection has read.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Request(Seen),
    /// A request whose body was not.
    Broken(BodyError),
    /// No request.
    Refused(u16),
}

/// Real connections, one after the other, read by another thread.
struct Connections {
    listener: TcpListener,
    sockets: Sender<TcpStream>,
    read: Receiver<Vec<Read>>,
}

impl Connections {
    fn start() -> Connections {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (sockets, taken) = channel::<TcpStream>();
        let (results, read) = channel();
        thread::spawn(move || {
            let surroundings = Surroundings::new(Settings::default(), Instant::now);
            for socket in taken {
                let read = read_all(&socket, &surroundings);
                drop(socket);
                if results.send(read).is_err() {
                    return;
                }
            }
        });
        Connections { listener, sockets, read }
    }

    /// What is read when these pieces arrive.
    fn read(&mut self, pieces: &[&[u8]]) -> Result<Vec<Read>, String> {
        let mut client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        client.set_nodelay(true).unwrap();
        let (socket, _) = self.listener.accept().unwrap();
        self.sockets.send(socket).map_err(|_| "the reader is gone")?;
        for piece in pieces {
            // Whoever has refused something reads no further.
            if client.write_all(piece).is_err() {
                break;
            }
            thread::yield_now();
        }
        let _ = client.shutdown(Shutdown::Write);
        self.read.recv_timeout(PATIENCE).map_err(|error| format!("the reader: {error}"))
    }
}

/// Reads requests as a server's connection does, until one that nothing may follow.
fn read_all(socket: &TcpStream, surroundings: &Surroundings) -> Vec<Read> {
    let stream = Stream::new(socket, None, Instant::now, &surroundings.metrics.traffic);
    let mut connection = Connection::new(stream, surroundings);
    let mut all = Vec::new();
    loop {
        let deadline = connection.now() + PATIENCE;
        if !connection.wait(deadline) {
            return all;
        }
        let head = match connection.head(deadline) {
            Ok(head) => head,
            Err(refusal) => {
                all.extend(refusal.map(|refusal| Read::Refused(refusal.status)));
                return all;
            }
        };
        let mut body = Body::new(&mut connection, &head, deadline);
        let read = body.read_all(BODY_BYTES_MAX).map(|(bytes, _)| bytes);
        let in_step = body.finish();
        let is_last = !in_step || !head.keep_alive;
        all.push(match read {
            Ok(body) => {
                let query =
                    if head.query.is_empty() { String::new() } else { format!("?{}", head.query) };
                let target = format!("{}{query}", head.path).into_bytes();
                Read::Request(Seen { method: head.method.into_bytes(), target, body })
            }
            Err(error) => Read::Broken(error),
        });
        if is_last {
            return all;
        }
    }
}
