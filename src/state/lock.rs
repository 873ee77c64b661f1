//! The lock that makes a session's daemon the only one.
//!
//! The daemon holds it for life, so the kernel frees it however the process ends. The lock file is
//! removed by its holder; whoever opened it before that must not take the removed file for the
//! lock, hence the comparison of inodes after locking. The file names the daemon, for hooks to wake
//! it.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::files::{self, Paths, SessionId};
use crate::sys::process::Process;

/// Bytes of a lock file.
const LOCK_BYTES_MAX: u64 = 64;
/// How often a lock file may vanish under us before we give up.
const ATTEMPTS_MAX: usize = 16;

/// The lock of one session, held.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// What came of an attempt to take a lock.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours now.
    Taken(Lock),
    /// Somebody holds it.
    Busy,
}

/// Takes the lock of a session unless somebody holds it. Never waits.
///
/// # Errors
/// As `open` and `flock`.
pub fn try_lock(paths: &Paths, id: &SessionId) -> io::Result<Attempt> {
    let path = path(paths, id);
    for _ in 0..ATTEMPTS_MAX {
        let file = open(&path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(Attempt::Busy),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) if files::names(&path, &file) => return Ok(Attempt::Taken(Lock { file, path })),
            Ok(()) => {}
        }
    }
    Ok(Attempt::Busy)
}

/// The process that a session's lock file names, when it runs.
pub fn holder(paths: &Paths, id: &SessionId) -> Option<Process> {
    named_holder(paths, id).filter(|process| process.is_alive())
}

/// The process that a session's lock file names, whether it runs or not.
pub fn named_holder(paths: &Paths, id: &SessionId) -> Option<Process> {
    let mut text = String::new();
    File::open(path(paths, id)).ok()?.take(LOCK_BYTES_MAX).read_to_string(&mut text).ok()?;
    let (pid, start) = text.trim_end().split_once(' ')?;
    Some(Process { pid: pid.parse().ok()?, start: start.parse().ok()? })
}

impl Lock {
    /// The lock of this session that the parent process handed over as an open file; `None` when
    /// the file is something else.
    pub fn inherited(paths: &Paths, id: &SessionId, file: File) -> Option<Lock> {
        let path = path(paths, id);
        // Locking again what this open file has locked already succeeds.
        (files::names(&path, &file) && file.try_lock().is_ok()).then_some(Lock { file, path })
    }

    /// Writes the holder into the file, for hooks to wake it.
    ///
    /// # Errors
    /// As `write`.
    pub fn write_holder(&mut self, process: Process) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{} {}", process.pid, process.start)
    }

    /// True while the path names the file that is locked. A file of the same name that somebody
    /// else made is another lock.
    pub fn is_current(&self) -> bool {
        files::names(&self.path, &self.file)
    }

    /// Forgets an earlier holder.
    ///
    /// # Errors
    /// As `ftruncate`.
    pub fn clear_holder(&mut self) -> io::Result<()> {
        self.file.set_len(0)
    }

    /// The open file, to be handed over to another process together with the lock.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Removes the lock file and frees the lock.
    ///
    /// # Errors
    /// As `unlink`.
    pub fn remove(self) -> io::Result<()> {
        files::remove_if_present(&self.path)
    }
}

fn path(paths: &Paths, id: &SessionId) -> PathBuf {
    paths.sync.join(format!("{id}.lock"))
}

/// Opens the lock file; makes the folder only when it is missing, which is once in a lifetime.
fn open(path: &Path) -> io::Result<File> {
    let options = || {
        let mut options = files::private_file();
        options.read(true).write(true).create(true).truncate(false);
        options
    };
    match options().open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            files::private_folder(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
            options().open(path)
        }
        result => result,
    }
}
