//! Whether the database works, how large it is, and why it does not.

use std::fs::Metadata;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, ErrorCode};

use super::{Failure, OpenFile, Store, connect, lock};
use crate::error::{Context, Error, Result};
use crate::files::{private_file, remove_if_present};

/// How long the probe waits for those that write.
const PROBE_TIME_MAX: Duration = Duration::from_millis(500);
/// What the probe writes: more than a file system puts where there is room anyway.
const PROBE_BYTES: usize = 64 << 10;
/// Pages of a database as far as SQLite can count.
const PAGES_MAX: i64 = (1 << 32) - 2;

/// How large everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Bytes of its write-ahead log.
    pub log_bytes: u64,
    /// Stored sessions.
    pub sessions: u64,
    /// When something was last moved from the log into the database.
    pub checkpointed_at: Option<SystemTime>,
}

/// What kind of thing went wrong, as far as whoever asked can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no space left.
    Full,
    /// Somebody else holds the database for too long; later it may work.
    Busy,
    /// Anything else.
    Other,
}

impl Trouble {
    /// Of an error of the store, by the types in its chain of causes.
    pub fn of(error: &Error) -> Trouble {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(rusqlite::Error::SqliteFailure(failure, _)) = error.downcast_ref() {
                match failure.code {
                    ErrorCode::DiskFull => return Trouble::Full,
                    ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => return Trouble::Busy,
                    _ => {}
                }
            }
            match error.downcast_ref().map(io::Error::kind) {
                Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                    return Trouble::Full;
                }
                Some(io::ErrorKind::ResourceBusy) => return Trouble::Busy,
                _ => {}
            }
            cause = error.source();
        }
        Trouble::Other
    }
}

impl Store {
    /// Reads, takes the lock that writing needs, and writes to the disk. Whoever holds the lock may
    /// do so as long as it gets on.
    ///
    /// # Errors
    /// When one of these fails.
    pub fn probe(&self) -> Result<()> {
        let connection = connect(&self.path)?;
        probe_lock(&connection).context(|| "lock the database".into())?;
        self.probe_disk().context(|| "write to the disk of the database".into())
    }

    fn probe_disk(&self) -> io::Result<()> {
        let path = self.path.with_extension("probe");
        let written =
            private_file().write(true).create(true).truncate(true).open(&path).and_then(
                |mut file| file.write_all(&[0; PROBE_BYTES]).and_then(|()| file.sync_all()),
            );
        written.and(remove_if_present(&path))
    }

    /// How large everything is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sizes(&self) -> Result<Sizes> {
        let sessions: i64 = self.read("count sessions", |connection| {
            Ok(connection.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0))?)
        })?;
        let database = std::fs::metadata(&self.path).context(|| "look at the database".into())?;
        let log = std::fs::metadata(self.log_path());
        Ok(Sizes {
            database_bytes: database.len(),
            log_bytes: log.map_or(0, |log: Metadata| log.len()),
            sessions: u64::try_from(sessions).unwrap_or(0),
            // With a write-ahead log, nothing else writes to the database's own file.
            checkpointed_at: database.modified().ok(),
        })
    }

    fn log_path(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        path.into()
    }

    /// True when somebody could come in from elsewhere: with a key or a password.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_keys(&self) -> Result<bool> {
        self.read("look for keys", |connection| {
            let query = "SELECT EXISTS (SELECT 1 FROM keys) OR EXISTS (SELECT 1 FROM passwords)";
            Ok(connection.query_row(query, [], |row| row.get(0))?)
        })
    }

    /// Lets the database grow to this size; what would need more fails as on a full disk. What is
    /// there stays. 0 is no limit.
    ///
    /// # Errors
    /// When the database fails.
    pub fn limit(&self, bytes_max: u64) -> Result<()> {
        let set = || -> rusqlite::Result<()> {
            let writer = lock(&self.writer);
            let page_bytes: i64 = writer.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
            let pages_max = match bytes_max {
                0 => PAGES_MAX,
                // Of a number smaller than there are pages SQLite makes that of the pages.
                _ => (bytes_max / page_bytes).clamp(1, PAGES_MAX),
            };
            writer.pragma_update(None, "max_page_count", pages_max)
        };
        set().context(|| "limit the database".into())
    }

    /// Where a byte of a file lies: the number of the line that its block begins with, and how
    /// many bytes are before that line; `None` as for [`Store::lines_from`]. Only the sizes of the
    /// blocks before it are read.
    ///
    /// # Errors
    /// When the database fails or is damaged.
    pub fn line_before(&self, file: &OpenFile, offset: u64) -> Result<Option<(i64, u64)>> {
        self.read("find a part of a file", |connection| {
            let Some(file) = file.found(connection)? else { return Ok(None) };
            let mut statement = connection.prepare_cached(
                "SELECT first_line, raw_bytes FROM blocks WHERE file_id = ? ORDER BY first_line",
            )?;
            let mut rows = statement.query([file])?;
            let mut before = 0;
            while let Some(row) = rows.next()? {
                let bytes = u64::try_from(row.get::<_, i64>(1)?)?;
                if before + bytes > offset {
                    return Ok(Some((row.get(0)?, before)));
                }
                before += bytes;
            }
            Err(Error::new(format!("byte {offset} of file {file} is missing")).into())
        })
    }
}

fn probe_lock(connection: &Connection) -> Result<(), Failure> {
    connection.busy_timeout(PROBE_TIME_MAX)?;
    let version = || connection.pragma_query_value(None, "data_version", |row| row.get(0));
    let before: i64 = version()?;
    match connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
        // Others have written in the meantime: it is only busy.
        Err(error) if is_busy(&error) && version()? != before => Ok(()),
        result => Ok(result?),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("confab-health-{name}-{}", std::process::id());
            Folder(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_database_that_is_held_too_long_is_not_healthy_and_is_busy() {
        let folder = Folder::new("busy");
        let store = Store::open(&folder.0).unwrap();
        store.probe().unwrap();
        let other = connect(&store.path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(Trouble::of(&store.probe().unwrap_err()), Trouble::Busy);
        other.execute_batch("COMMIT").unwrap();
        store.probe().unwrap();
        assert!(!store.path.with_extension("probe").exists());
    }

    #[test]
    fn a_full_database_is_told_from_other_errors_by_type() {
        let folder = Folder::new("full");
        let store = Store::open(&folder.0).unwrap();
        store.limit(1).unwrap();
        let error = store
            .write("fill", |transaction| {
                let n_bytes = 10 << 20;
                transaction.execute(
                    "INSERT INTO users (email, name, created_at) VALUES ('u', hex(zeroblob(?)), 0)",
                    [n_bytes],
                )?;
                Ok(())
            })
            .unwrap_err();
        assert_eq!(Trouble::of(&error), Trouble::Full);
        store.limit(0).unwrap();
        assert!(store.add_user("u", SystemTime::UNIX_EPOCH).unwrap());
        assert_eq!(Trouble::of(&Error::new("database or disk is full")), Trouble::Other);
        let full = Error::new("x").caused_by(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(Trouble::of(&Error::new("y").caused_by(full)), Trouble::Full);
        let error = Error::new("append lines").caused_by(super::super::wal::full());
        assert_eq!(Trouble::of(&error), Trouble::Busy);
    }

    #[test]
    fn sizes_are_those_of_the_files() {
        let folder = Folder::new("sizes");
        let store = Store::open(&folder.0).unwrap();
        assert!(!store.has_keys().unwrap());
        store.create_key("u", "k", &[0; 32], SystemTime::UNIX_EPOCH).unwrap();
        assert!(store.has_keys().unwrap());
        let sizes = store.sizes().unwrap();
        assert!(sizes.log_bytes > 0 && sizes.checkpointed_at.is_some());
        store.checkpoint().unwrap();
        let sizes = store.sizes().unwrap();
        assert!(sizes.database_bytes >= 8192 && sizes.log_bytes == 0);
    }
}
