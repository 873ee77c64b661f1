//! Signals as values: masked in every thread, waited for by one.

use std::io;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: finish and end.
    Stop,
    /// SIGHUP: the terminal was closed.
    HangUp,
    /// SIGUSR1: something new is waiting.
    Wake,
}

/// Masks SIGTERM, SIGINT, SIGHUP and SIGUSR1 in the calling thread and in all threads that it
/// starts later. To be called before the first thread; from then on [`wait`] gets them.
pub fn block() {
    let set = handled();
    // SAFETY: the set is initialised and outlives the call; a null third argument is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Waits for one of the masked signals. The only wait of this program without an end: its thread
/// has nothing else to do.
pub fn wait() -> Signal {
    let set = handled();
    loop {
        let mut number = 0;
        // SAFETY: both pointers are valid for the call.
        let result = unsafe { libc::sigwait(&raw const set, &raw mut number) };
        match (result, number) {
            (0, libc::SIGUSR1) => return Signal::Wake,
            (0, libc::SIGHUP) => return Signal::HangUp,
            (0, _) => return Signal::Stop,
            // An interrupted wait is begun again.
            _ => {}
        }
    }
}

/// Sends SIGUSR1 to a process.
///
/// # Errors
/// As `kill`: no such process, or not ours.
pub fn wake(pid: u32) -> io::Result<()> {
    send(pid, libc::SIGUSR1)
}

/// Sends SIGTERM to a process.
///
/// # Errors
/// As `kill`: no such process, or not ours.
pub fn stop(pid: u32) -> io::Result<()> {
    send(pid, libc::SIGTERM)
}

fn send(pid: u32, signal: i32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    if pid <= 1 {
        // Zero and negative numbers name process groups, one is init.
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: kill takes two numbers.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn handled() -> libc::sigset_t {
    // SAFETY: sigset_t is plain data, sigemptyset initialises it, and the numbers are valid.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for number in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1] {
            libc::sigaddset(&raw mut set, number);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_signal_reaches_the_waiting_thread() {
        // The mask is the thread's own, so the test runs in one of its own.
        let thread = std::thread::spawn(|| {
            block();
            // SAFETY: raise takes a number; the signal is masked, so it stays pending here.
            unsafe { libc::raise(libc::SIGUSR1) };
            wait()
        });
        assert_eq!(thread.join().unwrap(), Signal::Wake);
    }

    #[test]
    fn init_and_groups_are_never_signalled() {
        assert!(wake(0).is_err());
        assert!(wake(1).is_err());
        assert!(wake(u32::MAX).is_err());
    }
}
