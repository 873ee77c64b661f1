//! The server's log: one line of `key=value` for each thing that happened, to standard error or
//! into a file that can be opened again when somebody else has put it aside.
//!
//! A line never holds content, keys, ids of sessions or query strings; that is up to the callers.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use log::LevelFilter;

use crate::error::{Context, Result};
use crate::files::private_file;
use crate::time::rfc3339;

/// Whose lines are pairs already.
pub const REQUESTS: &str = "confab::request";
/// Bytes of one line.
const LINE_BYTES_MAX: usize = 4096;

/// Where the lines go. Copies write to the same place.
#[derive(Debug, Clone)]
pub struct LogFile(Option<Arc<Mutex<Open>>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl LogFile {
    /// A file, made private when it is new, which is put aside as `FILE.1` before it is larger than
    /// `bytes_max`; standard error without a path.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>, bytes_max: u64) -> Result<LogFile> {
        let Some(path) = path else { return Ok(LogFile(None)) };
        let (file, bytes) = append_to(path).context(|| format!("open log {}", path.display()))?;
        let open = Open { path: path.to_owned(), file, bytes, bytes_max };
        Ok(LogFile(Some(Arc::new(Mutex::new(open)))))
    }

    /// Sends everything that is logged here. To be called once.
    ///
    /// # Errors
    /// When something else has been told to take it.
    pub fn start(&self, now: fn() -> SystemTime) -> Result<()> {
        env_logger::Builder::new()
            .filter_level(LevelFilter::Warn)
            .filter_module("confab", LevelFilter::Info)
            .target(env_logger::Target::Pipe(Box::new(self.clone())))
            .format(move |out, record| {
                let level = record.level().as_str().to_ascii_lowercase();
                let text = match record.target() {
                    REQUESTS => record.args().to_string(),
                    _ => format!("message={:?}", record.args().to_string()),
                };
                let mut line = format!("time={} level={level} {text}", rfc3339(now()));
                line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
                line.retain(|character| !character.is_control());
                writeln!(out, "{line}")
            })
            .try_init()
            .context(|| "start the log".into())
    }

    /// Opens the file by its name again: the one that was open may have been renamed.
    ///
    /// # Errors
    /// When it cannot be opened; the old one stays in use.
    pub fn reopen(&self) -> Result<()> {
        let Some(open) = &self.0 else { return Ok(()) };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let what = || format!("open log {}", open.path.display());
        let (file, bytes) = append_to(&open.path).context(what)?;
        (open.file, open.bytes) = (file, bytes);
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(open) = &self.0 else { return io::stderr().write(bytes) };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.bytes > 0 && open.bytes + bytes.len() as u64 > open.bytes_max {
            // A log that cannot be put aside is still written to: losing lines would hide why.
            let _ = open.put_aside();
        }
        let count = open.file.write(bytes)?;
        open.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Open {
    fn put_aside(&mut self) -> io::Result<()> {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        std::fs::rename(&self.path, aside)?;
        (self.file, self.bytes) = append_to(&self.path)?;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = private_file().append(true).create(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_put_aside_when_it_is_full_and_opened_again_when_it_was_renamed() {
        let name = format!("confab-server-log-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        crate::files::private_folder(&folder).unwrap();
        let path = folder.join("a.log");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let mut log = LogFile::open(Some(&path), 10).unwrap();
        log.write_all(b"12345\n").unwrap();
        log.write_all(b"6789\n").unwrap();
        assert_eq!((read("a.log.1").as_str(), read("a.log").as_str()), ("12345\n", "6789\n"));
        std::fs::rename(&path, folder.join("b.log")).unwrap();
        log.write_all(b"x\n").unwrap();
        assert_eq!(read("b.log"), "6789\nx\n");
        log.reopen().unwrap();
        log.write_all(b"y\n").unwrap();
        assert_eq!((read("a.log").as_str(), read("b.log").as_str()), ("y\n", "6789\nx\n"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
