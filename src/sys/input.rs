//! Standard input with a deadline. Claude Code connects hooks by sockets, so `/dev/stdin` cannot be
//! opened again: descriptor 0 itself is read.

use std::fs::File;
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::time::Duration;

/// Reads what is there on descriptor 0, waiting at most `timeout` for the first byte. 0 is the end.
///
/// # Errors
/// `TimedOut`, or as `poll` and `read`.
pub fn read(buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
    let mut entry = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one valid entry.
    match unsafe { libc::poll(&raw mut entry, 1, millis) } {
        -1 => return Err(io::Error::last_os_error()),
        0 => return Err(io::ErrorKind::TimedOut.into()),
        _ => {}
    }
    // SAFETY: descriptor 0 belongs to the process for its whole life; ManuallyDrop leaves it open.
    let mut input = ManuallyDrop::new(unsafe { File::from_raw_fd(0) });
    input.read(buffer)
}
