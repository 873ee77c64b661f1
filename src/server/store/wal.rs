//! The write-ahead log stays small, and nobody waits for that.
//!
//! A thread behind the scenes moves the log into the database every second while something is
//! written ([`Store::tend_log`]). Writers begin the log anew by themselves when all of it was moved
//! and nobody reads it. Where readers follow each other without a gap they are waited for, a
//! moment; and while one of them reads on and on, the log grows up to a limit, at which appends are
//! refused until it is done: clients send them again.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{BUSY_TIMEOUT, PAGE_BYTES, Store, lock};
use crate::error::{Context, Error, Result};

/// What stays of the log's file when it is begun anew.
pub const KEPT_BYTES_MAX: i64 = 16 << 20;
/// At so many bytes the writer itself moves the log, where no thread does: in other commands.
pub const UNTENDED_BYTES_MAX: i64 = 32 << 20;
/// From here on writers are stopped for a moment, so that the log can be begun anew.
const CROWDED_BYTES: i64 = 64 << 20;
/// This moment: writers wait so long at most.
const CROWDED_TIME_MAX: Duration = Duration::from_millis(100);
/// How often emptying the log is tried: ten seconds when others move it all the time, a minute when
/// they read.
const EMPTYINGS_MAX: usize = 500;
/// How long whoever moves the log is waited for at once.
const EMPTYING_INTERVAL: Duration = Duration::from_millis(20);
/// The largest log.
pub const FULL_BYTES: u64 = 1 << 30;

/// The log cannot be begun anew now; later it can.
pub fn full() -> Error {
    let cause = io::Error::new(io::ErrorKind::ResourceBusy, "somebody reads all the time");
    Error::new("the write-ahead log is full").caused_by(cause)
}

impl Store {
    /// Whether the log is to be emptied, and could not be yet.
    pub(crate) fn is_log_old(&self) -> bool {
        self.log_is_old.load(Ordering::Relaxed)
    }

    /// Moves the log into the database as far as readers allow. One that may hold what was removed
    /// is emptied, once nobody reads it.
    pub(crate) fn tend_log(&self) -> Result<()> {
        if self.log_is_old.swap(false, Ordering::Relaxed) {
            let is_empty = self.begin_log_anew();
            if !matches!(is_empty, Ok(true)) {
                self.log_is_old.store(true, Ordering::Relaxed);
            }
            return is_empty.map(|_| ());
        }
        let reader = self.reader()?;
        let pages: i64 = reader
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
            .context(|| "checkpoint the database".into())?;
        self.put_back(reader);
        if pages * PAGE_BYTES > CROWDED_BYTES {
            self.begin_log_anew()?;
        }
        Ok(())
    }

    /// Refuses while the log is too large.
    pub(super) fn make_room(&self) -> Result<()> {
        if self.log_bytes() < FULL_BYTES {
            return Ok(());
        }
        self.begin_log_anew()?;
        match self.log_bytes() < FULL_BYTES {
            true => Ok(()),
            false => Err(full()),
        }
    }

    /// Empties the log. Waits for readers, and for whoever moves the log: SQLite waits for those
    /// alone who write or read.
    pub(super) fn empty_log(&self) -> Result<()> {
        lock(&self.readers).clear();
        for _ in 0..EMPTYINGS_MAX {
            if self.begin_log_anew()? {
                return Ok(());
            }
            self.wake.pause(EMPTYING_INTERVAL);
        }
        Err(Error::new("empty the write-ahead log: somebody reads the database")
            .with_hint("`confab-server vacuum` does it later"))
    }

    pub(super) fn log_bytes(&self) -> u64 {
        let mut name = self.path.clone().into_os_string();
        name.push("-wal");
        std::fs::metadata(name).map_or(0, |metadata| metadata.len())
    }

    /// Stops writers, waits a moment for readers, and empties the log when there is none; false
    /// when there is one.
    fn begin_log_anew(&self) -> Result<bool> {
        let writer = lock(&self.writer);
        let run = || -> rusqlite::Result<bool> {
            writer.busy_timeout(CROWDED_TIME_MAX)?;
            let is_busy: rusqlite::Result<i64> =
                writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
            writer.busy_timeout(BUSY_TIMEOUT)?;
            Ok(is_busy? == 0)
        };
        run().context(|| "checkpoint the database".into())
    }
}
