//! How many connections may wait to be accepted.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

/// Lets so many connections wait, or as many as the system allows. The standard library lets 128:
/// whoever comes to a full queue tries again a second later.
///
/// # Errors
/// As `listen`.
pub fn queue(listener: &TcpListener, count: u16) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as the listener; a listener may listen again.
    match unsafe { libc::listen(listener.as_raw_fd(), i32::from(count)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
