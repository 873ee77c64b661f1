//! Starting a process that outlives its parent, and what that process does first.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// The first descriptor that a daemon does not keep.
const DESCRIPTORS_KEPT: u32 = 3;
/// How many descriptors are closed one by one where the kernel cannot close a range.
const DESCRIPTORS_CLOSED_MAX: u32 = 4096;

/// Starts `executable` with `lock` as its standard input, the null device as output, and this
/// environment alone; returns its process id without waiting for anything but its start.
///
/// An `flock` belongs to the open file, so a lock on `lock` passes to the new process and is never
/// free in between. Only std's posix_spawn path is used: no closure before exec, which would fork.
///
/// # Errors
/// As `posix_spawn`.
pub fn spawn(
    executable: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    lock: File,
) -> io::Result<u32> {
    let child = Command::new(executable)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(lock))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(child.id())
}

/// Leaves the session, the terminal, the folder and the descriptors of the parent, and returns
/// standard input, which is the lock that the parent held.
///
/// # Errors
/// When standard input cannot be duplicated. A failing `setsid` means that this process leads a
/// group already, which is what was wanted.
pub fn detach() -> io::Result<File> {
    close_descriptors();
    // SAFETY: setsid takes nothing and changes only this process.
    unsafe { libc::setsid() };
    std::env::set_current_dir("/")?;
    // SAFETY: fcntl duplicates descriptor 0 or fails; the new descriptor is ours alone.
    unsafe {
        match libc::fcntl(0, libc::F_DUPFD_CLOEXEC, DESCRIPTORS_KEPT) {
            -1 => Err(io::Error::last_os_error()),
            number => Ok(File::from_raw_fd(number)),
        }
    }
}

fn close_descriptors() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: std keeps no descriptor above 2 open at this point of the program, so nothing
        // that owns one is left behind.
        let result = unsafe { libc::syscall(libc::SYS_close_range, DESCRIPTORS_KEPT, u32::MAX, 0) };
        if result == 0 {
            return;
        }
    }
    for number in DESCRIPTORS_KEPT..DESCRIPTORS_CLOSED_MAX {
        // SAFETY: as above; closing a number that is not open does nothing.
        unsafe { libc::close(number.cast_signed()) };
    }
}
