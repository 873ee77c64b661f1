//! How wide a terminal is.

use std::os::fd::{AsFd, AsRawFd};

/// Columns of the terminal that a stream is; `None` when it is none, or does not say.
pub fn columns(stream: impl AsFd) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    let descriptor = stream.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call, which writes one winsize that outlives it.
    let result = unsafe { libc::ioctl(descriptor, libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}
