//! The terminal behind standard output.

/// How many columns the terminal has; `None` when there is none or it does not say.
pub fn columns() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ fills in the structure that it is given, or fails and leaves it alone.
    let result = unsafe { libc::ioctl(1, libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}
