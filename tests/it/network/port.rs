//! A port of loopback that hands every connection to a function.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// The port; it is closed when it is dropped.
pub struct Port {
    number: u16,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    is_closing: AtomicBool,
    n_connections: AtomicUsize,
}

impl Port {
    /// Opens a free port; `serve` runs in a thread of its own for each connection.
    pub fn open(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Port {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let number = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let serve = Arc::new(serve);
        let accept = move || {
            for connection in listener.incoming().flatten() {
                if shared.is_closing.load(Ordering::SeqCst) {
                    break;
                }
                shared.n_connections.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(connection));
            }
        };
        Port { number, state, listener: Some(thread::spawn(accept)) }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// How many connections there have been.
    pub fn n_connections(&self) -> usize {
        self.state.n_connections.load(Ordering::SeqCst)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.state.is_closing.store(true, Ordering::SeqCst);
        // The listener looks whether it is to close when someone knocks.
        let _ = TcpStream::connect(("127.0.0.1", self.number));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// Passes bytes between two connections, both ways, until both directions have ended.
pub fn join(one: TcpStream, other: TcpStream) {
    let (from_one, to_other) = (one.try_clone().unwrap(), other.try_clone().unwrap());
    let there = thread::spawn(move || {
        pass(&from_one, &to_other);
        let _ = to_other.shutdown(Shutdown::Write);
    });
    pass(&other, &one);
    let _ = one.shutdown(Shutdown::Write);
    let _ = there.join();
}

/// Passes bytes on until one side has ended. Not `io::copy`: between a socket and a pipe that is
/// `splice`, which keeps the pipe locked, for its reader as well, while it waits for the socket.
pub fn pass(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 8192];
    while let Ok(n_bytes @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..n_bytes]).is_err() {
            return;
        }
    }
}
