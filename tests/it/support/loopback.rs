//! Addresses of loopback.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

/// An address that nothing else of these tests listens at: nobody takes the port of a backend that
/// has stopped and is to come back, not even a connection, which comes from 127.0.0.1.
pub fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % (1 << 10);
    let process = std::process::id() % (1 << 13);
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + (process << 10) + number)
}
