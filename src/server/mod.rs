//! The embedded backend: the protocol of [`crate::wire`] over HTTP/1.1, kept in one SQLite file.
//!
//! One thread a connection. Every phase of a request has an absolute deadline and every buffer a
//! limit, and connections are limited in total and per address: a slow, stuck or hostile client
//! costs its share and blocks nobody.
//!
//! | part | what lives there |
//! |---|---|
//! | `http` | bytes to requests and responses to bytes, pure |
//! | `connection` | a socket's deadlines, bodies, keep-alive |
//! | this file | accepting, limits, ending |
//! | `api` | what a request means |
//! | `json` | tolerant reading of bodies |
//! | `auth` | keys |
//! | `background` | the threads that keep the index and bring lines to rest |
//! | `condensed` | what was said in a session |
//! | `events` | what a line tells the index |
//! | `export` | sessions as files and pages |
//! | `lines` | lines joined and compressed |
//! | [`service`] | running as a service |
//! | [`Store`] | SQLite |
//! | `transfer` | everything to another backend and back |
//! | [`command`] | the command line |
//!
//! Deliberately absent: TLS (a reverse proxy does it), rate limits, device login.

mod api;
mod auth;
mod background;
pub mod command;
mod condensed;
mod connection;
mod events;
mod export;
mod http;
mod json;
mod lines;
pub mod service;
mod store;
mod transfer;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use self::api::Api;
pub use self::auth::{KeyHash, Random, hash, new_key};
use self::background::Background;
use self::connection::{Body, Connection, HEAD_TIME_MAX, IDLE_TIME_MAX, REQUEST_TIME_MAX};
pub use self::export::{Exported, export};
use self::http::Response;
pub use self::store::{KeyEntry, Reindexed, Report, Store, UsageEntry, UserEntry};
pub use self::transfer::{Moved, Peer, Pull, pull, push};
use crate::error::{Context, Result};

/// Connections at once.
pub const CONNECTIONS_MAX: usize = 512;
/// Connections at once from one address.
pub const ADDRESS_CONNECTIONS_MAX: usize = 128;
/// Pause after the system refused to accept, unless a connection ends before.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// A connection's stack; nothing of ours recurses deeper than JSON may nest.
const STACK_BYTES: usize = 1 << 20;

/// What only a binary may know.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// The wall clock.
    pub now: fn() -> SystemTime,
    /// The monotonic clock.
    pub monotonic: fn() -> Instant,
    /// Random bytes that nobody can guess.
    pub random: Random,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    background: Background,
}

struct Shared {
    api: Api,
    surroundings: connection::Surroundings,
    connections: Mutex<Connections>,
    ended: Condvar,
}

#[derive(Default)]
struct Connections {
    stopping: bool,
    next_id: u64,
    open: HashMap<u64, Open>,
}

struct Open {
    stream: Arc<TcpStream>,
    address: IpAddr,
    /// Between two requests.
    idle: bool,
}

impl Server {
    /// Starts serving on a bound listener.
    ///
    /// # Errors
    /// When the listener has no address, or no thread can be started.
    pub fn start(listener: TcpListener, store: Store, world: World) -> Result<Server> {
        let address = listener.local_addr().context(|| "find the listening address".into())?;
        let store = Arc::new(store);
        let background = Background::start(&store, world.now)?;
        let shared = Arc::new(Shared {
            api: Api::new(store, world),
            surroundings: connection::Surroundings {
                monotonic: world.monotonic,
                bodies_bytes: AtomicUsize::new(0),
            },
            connections: Mutex::default(),
            ended: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("accept".into())
            .spawn(move || accept(&listener, &accepting))
            .context(|| "start a thread".into())?;
        Ok(Server { address, shared, background })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, waits until those in flight are answered, at most `time_max`, and
    /// moves the write-ahead log into the database.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stop(self, time_max: Duration) -> Result<()> {
        let mut connections = self.shared.connections();
        connections.stopping = true;
        for open in connections.open.values().filter(|open| open.idle) {
            // Wakes the thread that reads it; an error means that the client was faster.
            let _ = open.stream.shutdown(Shutdown::Both);
        }
        let busy = |connections: &mut Connections| !connections.open.is_empty();
        let (connections, _) = self
            .shared
            .ended
            .wait_timeout_while(connections, time_max, busy)
            .unwrap_or_else(PoisonError::into_inner);
        if !connections.open.is_empty() {
            log::warn!("{} requests were cut off", connections.open.len());
        }
        drop(connections);
        drop(self.background);
        self.shared.api.store().checkpoint()
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in; `None` when there are too many.
    fn admit(&self, stream: &Arc<TcpStream>, address: IpAddr) -> Option<u64> {
        let mut connections = self.connections();
        let (total, of_address) = connections.load(address);
        let full = total >= CONNECTIONS_MAX || of_address >= ADDRESS_CONNECTIONS_MAX;
        if connections.stopping || full {
            return None;
        }
        let id = connections.next_id;
        connections.next_id += 1;
        let open = Open { stream: Arc::clone(stream), address, idle: false };
        connections.open.insert(id, open);
        Some(id)
    }

    /// Marks a connection as between two requests or not. False when it is to end.
    fn set_idle(&self, id: u64, idle: bool) -> bool {
        let mut connections = self.connections();
        let stopping = connections.stopping;
        if let Some(open) = connections.open.get_mut(&id) {
            open.idle = idle;
        }
        !stopping
    }

    /// True when a connection may stay open for another request. When half of all places are taken,
    /// none may be held by silence.
    fn may_stay(&self, id: u64) -> bool {
        let connections = self.connections();
        let Some(open) = connections.open.get(&id) else { return false };
        let (total, of_address) = connections.load(open.address);
        let crowded = total > CONNECTIONS_MAX / 2 || of_address > ADDRESS_CONNECTIONS_MAX / 2;
        !connections.stopping && !crowded
    }
}

impl Connections {
    /// Open connections in total and from one address.
    fn load(&self, address: IpAddr) -> (usize, usize) {
        let same = self.open.values().filter(|open| open.address == address).count();
        (self.open.len(), same)
    }
}

/// Takes a connection out again however its thread ends.
struct Leave<'a>(&'a Shared, u64);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.connections().open.remove(&self.1);
        self.0.ended.notify_all();
    }
}

/// Accepts until the process ends; after [`Server::stop`] everyone is turned away.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => start_connection(stream, peer.ip(), shared),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log::warn!("accept a connection: {error}");
                let connections = shared.connections();
                let _ = shared.ended.wait_timeout(connections, ACCEPT_RETRY_DELAY);
            }
        }
    }
}

fn start_connection(stream: TcpStream, address: IpAddr, shared: &Arc<Shared>) {
    let stream = Arc::new(stream);
    let Some(id) = shared.admit(&stream, address) else { return turn_away(&stream) };
    let of_thread = Arc::clone(shared);
    let started = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let _leave = Leave(&of_thread, id);
        serve(&stream, id, &of_thread);
    });
    if let Err(error) = started {
        log::warn!("start a thread: {error}");
        drop(Leave(shared, id));
    }
}

/// Says that there are too many connections, if that can be said without waiting.
fn turn_away(stream: &TcpStream) {
    let response = Response::empty(503).with_header("Retry-After", "1");
    if stream.set_nonblocking(true).is_ok() {
        let _ = (&mut &*stream).write(response.head(false).as_bytes());
    }
}

/// Serves one connection to its end.
fn serve(stream: &TcpStream, id: u64, shared: &Shared) {
    // Responses are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let mut connection = Connection::new(stream, &shared.surroundings);
    let mut patience = HEAD_TIME_MAX;
    loop {
        let deadline = connection.now() + patience;
        if !shared.set_idle(id, true) || !connection.wait(deadline) {
            return;
        }
        shared.set_idle(id, false);
        match serve_request(&mut connection, id, shared) {
            After::Next => patience = IDLE_TIME_MAX,
            After::Close => return,
            After::Linger => {
                shared.set_idle(id, true);
                return connection.linger();
            }
        }
    }
}

/// What becomes of a connection after a request.
enum After {
    Next,
    /// Nothing is left to say or to hear.
    Close,
    /// The client may still be sending.
    Linger,
}

fn serve_request(connection: &mut Connection<'_>, id: u64, shared: &Shared) -> After {
    let start = connection.now();
    let head = match connection.head(start + HEAD_TIME_MAX) {
        Ok(head) => head,
        Err(None) => return After::Close,
        Err(Some(refusal)) => {
            let sent = connection.send(refusal.into(), false, true);
            return if sent.is_ok() { After::Linger } else { After::Close };
        }
    };
    let mut body = Body::new(connection, &head, start + REQUEST_TIME_MAX);
    let response = shared.api.answer(&head, &mut body);
    let in_step = body.finish();
    let keep_alive = in_step && head.keep_alive && shared.may_stay(id);
    if let Err(error) = connection.send(response, keep_alive, head.method != "HEAD") {
        log::info!("{} {}: {error}", head.method, head.path);
        return After::Close;
    }
    match keep_alive {
        true => After::Next,
        false if in_step && connection.is_empty() => After::Close,
        false => After::Linger,
    }
}
