//! Bytes of one connection, plain or through TLS, each read and write with an absolute deadline.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::ServerConnection;

/// Bytes that went over the network, over all connections.
#[derive(Debug, Default)]
pub struct Traffic {
    /// From clients.
    pub received: AtomicU64,
    /// To clients.
    pub sent: AtomicU64,
}

/// A connection's bytes. The TLS handshake happens within the first read.
pub struct Stream<'a> {
    socket: &'a TcpStream,
    tls: Option<Box<ServerConnection>>,
    monotonic: fn() -> Instant,
    traffic: &'a Traffic,
}

impl<'a> Stream<'a> {
    /// Over an accepted socket, with TLS or without.
    pub fn new(
        socket: &'a TcpStream,
        tls: Option<Box<ServerConnection>>,
        monotonic: fn() -> Instant,
        traffic: &'a Traffic,
    ) -> Stream<'a> {
        Stream { socket, tls, monotonic, traffic }
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        (self.monotonic)()
    }

    /// True when nobody in between can read it.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads what there is, at least one byte; 0 at the end.
    ///
    /// # Errors
    /// `TimedOut` or `WouldBlock` at the deadline; as the socket; what is no TLS.
    pub fn read(&mut self, into: &mut [u8], deadline: Instant) -> io::Result<usize> {
        let Some(mut tls) = self.tls.take() else { return self.receive(into, deadline) };
        let read = self.read_secure(&mut tls, into, deadline);
        self.tls = Some(tls);
        read
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// As [`Stream::read`].
    pub fn write(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let Some(mut tls) = self.tls.take() else { return self.send(bytes, deadline) };
        let written = self.write_secure(&mut tls, bytes, deadline);
        self.tls = Some(tls);
        written
    }

    /// Says that nothing more will be written.
    ///
    /// # Errors
    /// As the socket.
    pub fn finish(&mut self, deadline: Instant) -> io::Result<()> {
        if let Some(mut tls) = self.tls.take() {
            tls.send_close_notify();
            let sent = self.flush(&mut tls, deadline);
            self.tls = Some(tls);
            sent?;
        }
        self.socket.shutdown(Shutdown::Write)
    }

    fn read_secure(
        &mut self,
        tls: &mut ServerConnection,
        into: &mut [u8],
        deadline: Instant,
    ) -> io::Result<usize> {
        loop {
            match tls.reader().read(into) {
                // Cut off without a farewell: framing tells whether something is missing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            tls.read_tls(&mut Incoming(self, deadline))?;
            let processed = tls.process_new_packets();
            // The handshake's answer, or the alert that says what was wrong.
            self.flush(tls, deadline)?;
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    fn write_secure(
        &mut self,
        tls: &mut ServerConnection,
        mut bytes: &[u8],
        deadline: Instant,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = tls.writer().write(bytes)?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[count..];
            self.flush(tls, deadline)?;
        }
        Ok(())
    }

    fn flush(&mut self, tls: &mut ServerConnection, deadline: Instant) -> io::Result<()> {
        while tls.wants_write() {
            tls.write_tls(&mut Outgoing(self, deadline))?;
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            self.socket.set_read_timeout(Some(self.remaining(deadline)?))?;
            match (&mut &*self.socket).read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.traffic.received.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.socket.set_write_timeout(Some(self.remaining(deadline)?))?;
            match (&mut &*self.socket).write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.traffic.sent.fetch_add(count as u64, Ordering::Relaxed);
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The time left; none is an error.
    fn remaining(&self, deadline: Instant) -> io::Result<Duration> {
        let left = deadline.saturating_duration_since(self.now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// What rustls reads from.
struct Incoming<'s, 'a>(&'s mut Stream<'a>, Instant);

impl Read for Incoming<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.receive(into, self.1)
    }
}

/// What rustls writes to.
struct Outgoing<'s, 'a>(&'s mut Stream<'a>, Instant);

impl Write for Outgoing<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes, self.1).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
