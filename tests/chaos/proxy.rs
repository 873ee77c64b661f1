//! A bad network: a proxy on loopback that spoils some of the connections through it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::pause::pause;

/// Bytes that are taken over at once.
const PIECE_BYTES: usize = 16 << 10;

/// What happens to a connection.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Good,
    /// Nobody answers.
    Refused,
    /// Each piece comes later.
    Slow(Duration),
    /// Few bytes at a time.
    Thin,
    /// It ends after so many bytes to the server.
    RequestCut(usize),
    /// It ends after so many bytes to the client: the server has done its work.
    AnswerCut(usize),
    /// All that the client says is said twice, on another connection as well.
    Doubled,
}

/// The proxy; it ends with the process.
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    rng: Mutex<Rng>,
    calm: AtomicBool,
    spoilt: AtomicU64,
}

impl Proxy {
    /// Starts a bad network in front of a server.
    pub fn start(server: &str, seed: u64) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            rng: Mutex::new(Rng::with_seed(seed)),
            calm: AtomicBool::new(false),
            spoilt: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.carry(client));
            }
        });
        Proxy { address, shared }
    }

    /// For `backend_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections are good from now on.
    pub fn calm(&self) {
        self.shared.calm.store(true, Ordering::Relaxed);
    }

    /// How many connections were spoilt.
    pub fn spoilt(&self) -> u64 {
        self.shared.spoilt.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn fate(&self) -> Fate {
        if self.calm.load(Ordering::Relaxed) {
            return Fate::Good;
        }
        let mut rng = self.rng.lock().unwrap();
        let fate = match rng.u32(0..14) {
            0 => Fate::Refused,
            1 | 2 => Fate::Slow(Duration::from_millis(rng.u64(1..200))),
            3 => Fate::Thin,
            4 | 5 => Fate::RequestCut(rng.usize(0..40_000)),
            6 | 7 => Fate::AnswerCut(rng.usize(0..600)),
            8 | 9 => Fate::Doubled,
            _ => return Fate::Good,
        };
        self.spoilt.fetch_add(1, Ordering::Relaxed);
        fate
    }

    fn carry(&self, client: TcpStream) {
        let fate = self.fate();
        if matches!(fate, Fate::Refused) {
            return;
        }
        // While the server is down, connections end at once, as a proxy would end them.
        let Ok(server) = TcpStream::connect(&self.server) else { return };
        let second = match fate {
            Fate::Doubled => TcpStream::connect(&self.server).ok(),
            _ => None,
        };
        let up = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let mirror = second.as_ref().map(|second| second.try_clone().unwrap());
        if let Some(mut second) = second {
            // What the server says to the double is heard by nobody.
            thread::spawn(move || std::io::copy(&mut second, &mut std::io::sink()));
        }
        let upwards = thread::spawn(move || {
            let limit = match fate {
                Fate::RequestCut(limit) => limit,
                _ => usize::MAX,
            };
            pump(up.0, up.1, mirror, limit, fate);
        });
        let limit = match fate {
            Fate::AnswerCut(limit) => limit,
            _ => usize::MAX,
        };
        pump(server, client, None, limit, fate);
        let _ = upwards.join();
    }
}

/// Takes bytes over until one side ends or the limit is reached; then both sides are closed.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    mut mirror: Option<TcpStream>,
    limit: usize,
    fate: Fate,
) {
    let (piece_bytes, wait) = match fate {
        Fate::Slow(wait) => (PIECE_BYTES, wait),
        Fate::Thin => (97, Duration::from_micros(200)),
        _ => (PIECE_BYTES, Duration::ZERO),
    };
    let mut piece = vec![0; piece_bytes];
    let mut n_carried = 0;
    while let Ok(n_read @ 1..) = from.read(&mut piece) {
        let n_kept = n_read.min(limit - n_carried);
        pause(wait);
        if let Some(mirror) = &mut mirror {
            let _ = mirror.write_all(&piece[..n_kept]);
        }
        if to.write_all(&piece[..n_kept]).is_err() || n_kept < n_read {
            break;
        }
        n_carried += n_kept;
    }
    for stream in [Some(&from), Some(&to), mirror.as_ref()].into_iter().flatten() {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
