//! One size-capped log for all daemons and commands of a user, behind the `log` facade.
//!
//! A line is one write to a file that is open for appending, so lines of several processes do not
//! mix. Whoever finds the file too large renames it under a lock; the others notice that the name
//! belongs to another file and open it. Deliberately absent: content. Nothing that was said to or
//! by Claude, no key and no token is ever logged; that is up to the callers.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use log::LevelFilter;

use crate::files::{self, Paths};
use crate::sys;
use crate::time;

/// Size at which a log is put aside.
const LOG_BYTES_MAX: u64 = 1 << 20;
/// How many logs that were put aside are kept.
const LOGS_KEPT: usize = 4;
/// How long another process may take for putting a log aside.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(100);
/// Bytes of one line.
const LINE_BYTES_MAX: usize = 4096;

/// Sends log lines to `confab.log`, each with the name of who writes it. To be called once.
///
/// # Errors
/// When the folder or the file cannot be made.
pub fn start(
    paths: &Paths,
    level: LevelFilter,
    writer: &str,
    now: fn() -> SystemTime,
) -> io::Result<()> {
    // An existing folder that the user named is left as it is.
    files::make_folder(&paths.logs)?;
    let log = RollingFile::open(paths.logs.join("confab.log"))?;
    let writer = writer.to_owned();
    let started = env_logger::Builder::new()
        .filter_level(LevelFilter::Off)
        .filter_module("confab", level)
        .target(env_logger::Target::Pipe(Box::new(log)))
        .format(move |out, record| {
            let mut line = format!(
                "{} [{writer}] {}: {}",
                time::rfc3339(now()),
                record.level(),
                record.args()
            );
            line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
            // A line break in a path or an answer must not forge a line of the log.
            line.retain(|character| !character.is_control());
            writeln!(out, "{line}")
        })
        .try_init();
    started.map_err(io::Error::other)
}

/// A file that never grows far beyond its limit.
struct RollingFile {
    path: PathBuf,
    file: File,
}

impl RollingFile {
    fn open(path: PathBuf) -> io::Result<RollingFile> {
        let file = append_to(&path)?;
        Ok(RollingFile { path, file })
    }

    /// Puts a log that is too large aside, unless another process has just done so.
    fn roll(&mut self) -> io::Result<()> {
        let lock = append_to(&self.path.with_extension("lock"))?;
        sys::lock::within(&lock, LOCK_WAIT_MAX)?;
        if std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() >= LOG_BYTES_MAX) {
            let aside = |number: usize| self.path.with_extension(format!("log.{number}"));
            for number in (1..LOGS_KEPT).rev() {
                let _ = std::fs::rename(aside(number), aside(number + 1));
            }
            std::fs::rename(&self.path, aside(1))?;
        }
        self.file = append_to(&self.path)?;
        Ok(())
    }

    fn is_current(&self) -> bool {
        files::names(&self.path, &self.file)
            && self.file.metadata().is_ok_and(|metadata| metadata.len() < LOG_BYTES_MAX)
    }
}

impl Write for RollingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A log that cannot be rolled is still written to: losing lines would hide why.
        if !self.is_current() {
            let _ = self.roll();
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    files::private_file().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_share_a_log_that_stays_small() {
        let folder = std::env::temp_dir().join(format!("confab-log-{}", std::process::id()));
        files::private_folder(&folder).unwrap();
        let path = folder.join("confab.log");
        let mut writers: Vec<RollingFile> =
            (0..3).map(|_| RollingFile::open(path.clone()).unwrap()).collect();
        let line = [&b"x".repeat(999)[..], b"\n"].concat();
        for turn in 0..9000 {
            writers[turn % 3].write_all(&line).unwrap();
        }
        let names: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().collect();
        for entry in &names {
            assert!(entry.metadata().unwrap().len() <= LOG_BYTES_MAX + 3000);
        }
        // The log, its lock, and those put aside.
        assert_eq!(names.len(), 2 + LOGS_KEPT);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
