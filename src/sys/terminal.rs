//! How wide a terminal is, and what it shows of what is typed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Columns of the terminal that a stream is; `None` when it is none, or does not say.
pub fn columns(stream: impl AsFd) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    let descriptor = stream.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call, which writes one winsize that outlives it.
    let result = unsafe { libc::ioctl(descriptor, libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// While it lives, a terminal does not show what is typed.
pub struct Quiet(Option<(OwnedFd, libc::termios)>);

impl Quiet {
    /// Stops a terminal from showing what is typed; does nothing to what is none.
    pub fn start(stream: &impl AsFd) -> Quiet {
        Quiet(quiet(stream).ok())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some((terminal, before)) = &self.0 {
            // SAFETY: the descriptor is ours and open; the call reads one termios.
            unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, before) };
        }
    }
}

fn quiet(stream: &impl AsFd) -> io::Result<(OwnedFd, libc::termios)> {
    let terminal = stream.as_fd().try_clone_to_owned()?;
    // SAFETY: all zeros is a termios; it is overwritten before anybody reads it.
    let mut before: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is ours and open; the call writes one termios that outlives it.
    if unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut silent = before;
    silent.c_lflag &= !libc::ECHO;
    // SAFETY: the descriptor is ours and open; the call reads one termios.
    if unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSAFLUSH, &raw const silent) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((terminal, before))
}
