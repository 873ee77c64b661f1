//! A terminal: how wide it is, and a line that nobody sees.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Bytes of a line that is typed; terminals take no longer ones (termios(3)).
const LINE_BYTES_MAX: usize = 4096;
/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

/// Columns of the terminal that a stream is; `None` when it is none, or does not say.
pub fn columns(stream: impl AsFd) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    let descriptor = stream.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call, which writes one winsize that outlives it.
    let result = unsafe { libc::ioctl(descriptor, libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// A terminal that shows nothing but ends of lines, and on which Ctrl-C ends a line: a signal would
/// end the program before the terminal is as it was. That it is when this is dropped.
pub struct Hidden<'a> {
    terminal: BorrowedFd<'a>,
    before: libc::termios,
}

impl Hidden<'_> {
    /// Hides what is typed from now on, and forgets what was typed before.
    ///
    /// # Errors
    /// When it is no terminal.
    pub fn new(terminal: &impl AsFd) -> io::Result<Hidden<'_>> {
        let terminal = terminal.as_fd();
        let before = attributes(terminal)?;
        let mut hidden = before;
        hidden.c_lflag &= !(libc::ECHO | libc::ISIG);
        hidden.c_lflag |= libc::ICANON | libc::ECHONL;
        hidden.c_cc[libc::VEOL] = INTERRUPT;
        set_attributes(terminal, &hidden)?;
        Ok(Hidden { terminal, before })
    }

    /// Reads a line, without its end. Waits as long as it takes: a person is asked.
    ///
    /// # Errors
    /// `Interrupted` for Ctrl-C, `UnexpectedEof` for Ctrl-D, and what the terminal says.
    pub fn line(&self) -> io::Result<Vec<u8>> {
        let mut line = vec![0; LINE_BYTES_MAX];
        let count = loop {
            let descriptor = self.terminal.as_raw_fd();
            // SAFETY: the descriptor is borrowed for the call, which writes at most as many bytes
            // as the buffer has.
            let result = unsafe { libc::read(descriptor, line.as_mut_ptr().cast(), line.len()) };
            match usize::try_from(result) {
                Ok(count) => break count,
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(io::Error::last_os_error()),
            }
        };
        line.truncate(count);
        match line.pop() {
            None => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(INTERRUPT) => Err(io::ErrorKind::Interrupted.into()),
            Some(b'\n') => Ok(line),
            // Ctrl-D behind other characters, or a line that was cut off.
            Some(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // It was possible a moment ago; there is nobody to tell when it is not any more.
        let _ = set_attributes(self.terminal, &self.before);
    }
}

fn attributes(terminal: BorrowedFd<'_>) -> io::Result<libc::termios> {
    let mut attributes = std::mem::MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the descriptor is borrowed for the call, which writes one termios when it succeeds.
    match unsafe { libc::tcgetattr(terminal.as_raw_fd(), attributes.as_mut_ptr()) } {
        // SAFETY: tcgetattr has succeeded, so that all of it is written.
        0 => Ok(unsafe { attributes.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Also drops what was typed before it was asked for.
fn set_attributes(terminal: BorrowedFd<'_>, attributes: &libc::termios) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed for the call, which reads one termios.
    let result =
        unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSAFLUSH, &raw const *attributes) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::FromRawFd;

    use super::*;

    /// A terminal and the person before it.
    fn pair() -> (File, File) {
        let (mut person, mut terminal) = (0, 0);
        let null = std::ptr::null_mut();
        // SAFETY: both numbers outlive the call; name, attributes and size may be null.
        let result = unsafe {
            libc::openpty(&raw mut person, &raw mut terminal, null, null.cast(), null.cast())
        };
        assert_eq!(result, 0);
        // SAFETY: openpty has just given us these two; nobody else owns them.
        unsafe { (File::from_raw_fd(terminal), File::from_raw_fd(person)) }
    }

    fn shows(terminal: &File) -> bool {
        attributes(terminal.as_fd()).unwrap().c_lflag & libc::ECHO != 0
    }

    /// What is read when a person types this, and what was shown.
    fn typed(keys: &[u8]) -> (io::Result<Vec<u8>>, String) {
        let (terminal, mut person) = pair();
        let hidden = Hidden::new(&terminal).unwrap();
        assert!(!shows(&terminal));
        person.write_all(keys).unwrap();
        let line = hidden.line();
        drop(hidden);
        assert!(shows(&terminal), "the terminal is as it was");
        (&terminal).write_all(b".").unwrap();
        let mut shown = [0; 256];
        let mut text = String::new();
        while !text.ends_with('.') {
            let count = person.read(&mut shown).unwrap();
            text.push_str(std::str::from_utf8(&shown[..count]).unwrap());
        }
        (line, text)
    }

    #[test]
    fn a_hidden_line_is_read_and_not_shown() {
        let (line, shown) = typed("sécret\n".as_bytes());
        assert_eq!((line.unwrap(), shown.as_str()), ("sécret".into(), "\r\n."));
        // The erase character of a fresh terminal.
        assert_eq!(typed(b"ab\x7f\x7f\x7fc\n").0.unwrap(), b"c");
        assert_eq!(typed(b"\n").0.unwrap(), b"");
    }

    #[test]
    fn what_is_no_line_is_an_error() {
        let kind = |keys| typed(keys).0.unwrap_err().kind();
        assert_eq!(kind(b"abc\x03"), io::ErrorKind::Interrupted);
        assert_eq!(kind(b"\x04"), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(b"abc\x04"), io::ErrorKind::InvalidInput);
        assert!(Hidden::new(&File::open("/dev/null").unwrap()).is_err());
    }
}
