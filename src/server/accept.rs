//! Connections taken in, counted, turned away and ended.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::api::Api;
use super::caller::Names;
use super::connection::Surroundings;
use super::http::Response;
use super::serve::{RequestIds, serve};
use super::store::Store;
use super::tls::Tls;

/// Pause after the system refused to accept, unless a connection ends before.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// A connection's stack; nothing of ours recurses deeper than JSON may nest.
const STACK_BYTES: usize = 1 << 20;

/// What all threads of a server share.
pub struct Shared {
    /// Answers requests.
    pub api: Api,
    /// Limits, clocks and counters.
    pub surroundings: Arc<Surroundings>,
    /// Our names, and the proxies before us.
    pub names: Names,
    /// None when plain HTTP is spoken.
    pub tls: Option<Tls>,
    /// Names requests.
    pub ids: RequestIds,
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

impl Shared {
    /// Without connections.
    pub fn new(
        api: Api,
        surroundings: Arc<Surroundings>,
        names: Names,
        tls: Option<Tls>,
        ids: RequestIds,
    ) -> Shared {
        let connections = Mutex::default();
        Shared { api, surroundings, names, tls, ids, connections, ended: Condvar::new() }
    }

    /// The database.
    pub fn store(&self) -> &Store {
        self.api.store()
    }

    /// Limits, clocks and counters.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.connections().open.len()
    }

    /// Lets some time pass, or a connection end.
    pub fn pause(&self) {
        let connections = self.connections();
        let _ = self.ended.wait_timeout(connections, ACCEPT_RETRY_DELAY);
    }

    /// Turns everybody away from now on, and waits at most `time_max` until all others are gone;
    /// how many are not.
    pub fn end(&self, time_max: Duration) -> usize {
        let mut connections = self.connections();
        connections.stopping = true;
        for open in connections.open.values().filter(|open| open.idle) {
            // Wakes the thread that reads it; an error means that the client was faster.
            let _ = open.stream.shutdown(Shutdown::Both);
        }
        let busy = |connections: &mut Connections| !connections.open.is_empty();
        let (connections, _) = self
            .ended
            .wait_timeout_while(connections, time_max, busy)
            .unwrap_or_else(PoisonError::into_inner);
        connections.open.len()
    }

    /// Marks a connection as between two requests or not. False when it is to end.
    pub fn set_idle(&self, id: u64, idle: bool) -> bool {
        let mut connections = self.connections();
        let stopping = connections.stopping;
        if let Some(open) = connections.open.get_mut(&id) {
            open.idle = idle;
        }
        !stopping
    }

    /// True when a connection may stay open for another request. When half of all places are taken,
    /// none may be held by silence.
    pub fn may_stay(&self, id: u64) -> bool {
        let connections = self.connections();
        let Some(open) = connections.open.get(&id) else { return false };
        let (total_max, of_address_max) = self.places(open.address);
        let (total, of_address) = connections.load(open.address);
        let crowded = total > total_max / 2 || of_address > of_address_max / 2;
        !connections.stopping && !crowded
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in; `None` when there are too many.
    fn admit(&self, stream: &Arc<TcpStream>, address: IpAddr) -> Option<u64> {
        let mut connections = self.connections();
        let (total_max, of_address_max) = self.places(address);
        let (total, of_address) = connections.load(address);
        if connections.stopping || total >= total_max || of_address >= of_address_max {
            return None;
        }
        let id = connections.next_id;
        connections.next_id += 1;
        let open = Open { stream: Arc::clone(stream), address, idle: false };
        connections.open.insert(id, open);
        Some(id)
    }

    /// Places in total and for one address. A proxy that we trust speaks for everybody.
    fn places(&self, address: IpAddr) -> (usize, usize) {
        let settings = &self.surroundings.settings;
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let total = size(settings.connections_max);
        let of_address = size(settings.address_connections_max);
        (total, if self.names.trusts(address) { total } else { of_address })
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

/// Accepts until the process ends; after [`Shared::end`] everyone is turned away.
pub fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => start_connection(stream, peer.ip(), shared),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log::warn!("accept a connection: {error}");
                shared.pause();
            }
        }
    }
}

fn start_connection(stream: TcpStream, address: IpAddr, shared: &Arc<Shared>) {
    let stream = Arc::new(stream);
    let Some(id) = shared.admit(&stream, address) else { return turn_away(&stream, shared) };
    let of_thread = Arc::clone(shared);
    let started = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let _leave = Leave(&of_thread, id);
        serve(&stream, id, address, &of_thread);
    });
    if let Err(error) = started {
        log::warn!("start a thread: {error}");
        drop(Leave(shared, id));
    }
}

/// Says that there are too many connections, if that can be said without waiting; through TLS it
/// cannot.
fn turn_away(stream: &TcpStream, shared: &Shared) {
    shared.surroundings.metrics.refused.fetch_add(1, Ordering::Relaxed);
    let response = Response::empty(503).with_header("Retry-After", "1");
    if shared.tls.is_none() && stream.set_nonblocking(true).is_ok() {
        let _ = (&mut &*stream).write(response.head(false).as_bytes());
    }
}
