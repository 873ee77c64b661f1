//! Everything that the backend remembers: one SQLite file.
//!
//! WAL with `synchronous=FULL`, so that what was answered survives a power cut. One connection
//! writes at a time, behind a mutex and in immediate transactions, which also hold against other
//! processes on the same file; readers have connections of their own and wait for nobody. Times are
//! microseconds since 1970.
//!
//! | part | what lives there |
//! |---|---|
//! | `files` | lines are appended and read |
//! | `sessions`, `links` | what else is known of a session |
//! | `shares` | who else may read it |
//! | `list`, `outline` | sessions in a list, and the way through one |
//! | `reports` | what machines say of what they have not sent |
//! | `figures`, `lineage` | what a session took, and what it is to others |
//! | `blocks` | lines at rest in the database |
//! | `index`, `rows` | a row per line |
//! | `words`, `search` | which lines hold which words, and the best of them |
//! | `merge`, `base` | small blocks become large ones, copies refer to their originals |
//! | `wal` | the write-ahead log stays small |
//! | `removal`, `upkeep` | removing, checking, copying |
//! | `expiry` | what is removed for its age |
//! | `arrivals` | how those who watch hear what is new |
//! | `wake` | how the threads behind the scenes hear of work |
//!
//! Deliberately absent: what a request or an answer looks like (`api`).

mod accounts;
mod arrivals;
mod base;
mod blocks;
mod devices;
mod expiry;
mod figures;
mod files;
mod health;
mod index;
mod lineage;
mod links;
mod list;
mod merge;
mod outline;
mod removal;
mod reports;
mod rows;
mod search;
mod sessions;
mod shares;
#[cfg(test)]
mod tests;
mod upkeep;
mod wake;
mod wal;
mod words;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

pub use self::accounts::SIGN_IN_TIME_MAX;
pub use self::arrivals::{Arrival, Arrivals, Heard, Kind as ArrivalKind};
pub use self::devices::{Added, CODE_TIME_MAX, Device, NewDevice, Redeemed};
pub use self::expiry::Retention;
pub use self::figures::By;
pub use self::files::{Append, Appended, Download, OpenFile};
pub use self::health::{Sizes, Trouble};
pub use self::index::{Reindexed, Step};
pub use self::list::Cursor;
pub use self::merge::{Found, QUIET_TIME};
pub use self::outline::Place;
pub use self::search::{Asked, SearchCursor};
pub use self::sessions::{Changed, Opening, SessionEvent, SessionUpdate, Stored};
pub use self::shares::{Share, Shared, With};
pub use self::upkeep::{KeyEntry, Report, UserEntry};
pub use self::wake::Wake;
use super::auth::{KeyHash, is_same};
use crate::error::{Context, Error, Result};
use crate::files::{private_file, private_folder};

/// The database's name in its folder.
const FILE_NAME: &str = "confab.db";
/// How long a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle reading connections that are kept.
const READERS_MAX: usize = 8;
/// Larger than the default: blocks are blobs of hundreds of KB.
const PAGE_BYTES: i64 = 8192;

/// Step N leads from schema version N to N + 1. Published steps never change.
const MIGRATIONS: [&str; 7] = [
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
];

/// What goes wrong within a transaction.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// Writes what may be made again, while `writer` is locked: it does not wait for the disk.
    later: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
    /// What is removed for its age.
    retention: Mutex<Option<Retention>>,
    /// Rings when lines were appended.
    pub(crate) wake: Wake,
    /// What those who watch are told.
    pub(crate) arrivals: Arrivals,
}

/// A user who has shown who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Number of the user.
    pub id: i64,
    /// Mail address or account name.
    pub email: String,
    /// Display name.
    pub name: String,
    /// They may not come in any more.
    pub is_disabled: bool,
}

impl User {
    /// Whoever holds a link, and is no user.
    pub fn is_guest(&self) -> bool {
        self.id < 0
    }
}

impl Store {
    /// Opens the database in a folder; makes both, private, when they are not there.
    ///
    /// # Errors
    /// When the file system refuses, or the database is damaged or of a newer version.
    pub fn open(folder: &Path) -> Result<Store> {
        private_folder(folder).context(|| format!("make folder {}", folder.display()))?;
        let path = folder.join(FILE_NAME);
        // SQLite would create it with the umask's mode; its log files take the mode of this one.
        private_file()
            .append(true)
            .create(true)
            .open(&path)
            .context(|| format!("open database {}", path.display()))?;
        let mut writer = connect(&path)?;
        migrate(&mut writer).context(|| format!("open database {}", path.display()))?;
        Ok(Store::of(path, writer))
    }

    /// As [`Store::open`], but makes nothing.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is no database.
    pub fn open_existing(folder: &Path) -> Result<Store> {
        if !folder.join(FILE_NAME).exists() {
            return Err(Error::new(format!("there is no database in {}", folder.display()))
                .with_hint("name the server's folder with --data"));
        }
        Store::open(folder)
    }

    fn of(path: PathBuf, writer: Connection) -> Store {
        Store {
            path,
            writer: Mutex::new(writer),
            later: Mutex::default(),
            readers: Mutex::default(),
            retention: Mutex::default(),
            wake: Wake::default(),
            arrivals: Arrivals::default(),
        }
    }

    /// Stores a key of a user, who is created when new. A key of the same user and name is
    /// replaced. The part of `email` before an `@` is the display name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn create_key(
        &self,
        email: &str,
        key_name: &str,
        hash: &KeyHash,
        now: SystemTime,
    ) -> Result<()> {
        let name = email.split('@').next().unwrap_or(email);
        self.write("store a key", |transaction| {
            transaction.execute(
                "INSERT INTO users (email, name, created_at) VALUES (?, ?, ?)
                 ON CONFLICT (email) DO NOTHING",
                (email, name, micros(now)),
            )?;
            let user =
                transaction
                    .query_row("SELECT id FROM users WHERE email = ?", [email], |row| row.get(0))?;
            Ok(put_key(transaction, user, key_name, hash, now)?)
        })
    }

    /// Whose key this is, be they disabled or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn user_of_key(&self, hash: &KeyHash) -> Result<Option<User>> {
        self.read("look a key up", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT users.id, users.email, users.name, disabled_at IS NOT NULL, keys.hash
                 FROM keys JOIN users ON users.id = keys.user_id WHERE keys.hash = ?",
            )?;
            let found = statement
                .query_row([hash], |row| Ok((accounts::read_user(row)?, row.get(4)?)))
                .optional()?;
            let found: Option<(User, KeyHash)> = found;
            Ok(found.filter(|(_, stored)| is_same(stored, hash)).map(|(user, _)| user))
        })
    }

    /// The number of a user.
    ///
    /// # Errors
    /// When the database fails.
    pub fn user_by_email(&self, email: &str) -> Result<Option<i64>> {
        self.read("look a user up", |connection| {
            let id = connection
                .prepare_cached("SELECT id FROM users WHERE email = ?")?
                .query_row([email], |row| row.get(0));
            Ok(id.optional()?)
        })
    }

    /// Moves the write-ahead log into the database, so that one file holds everything.
    ///
    /// # Errors
    /// When the database fails.
    pub fn checkpoint(&self) -> Result<()> {
        lock(&self.readers).clear();
        lock(&self.writer)
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .context(|| "checkpoint the database".into())
    }

    /// Runs a transaction that may write. It is durable when this returns.
    fn write<T>(
        &self,
        what: &str,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T> {
        transacted(&mut lock(&self.writer), act).context(|| what.into())
    }

    /// Runs a transaction that writes what may be made again. It is durable with the next one of
    /// [`Store::write`] at the latest; until then a power cut may undo it.
    fn write_later<T>(
        &self,
        what: &str,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T> {
        self.make_room()?;
        // Other threads wait here and not within SQLite, which would sleep.
        let _writer = lock(&self.writer);
        let mut later = lock(&self.later);
        let connection = match later.take() {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.path)?;
                let set = connection.pragma_update(None, "synchronous", "normal");
                set.context(|| "open database".into())?;
                connection
            }
        };
        transacted(later.insert(connection), act).context(|| what.into())
    }

    /// Runs queries that see one state of the database.
    fn read<T>(
        &self,
        what: &str,
        act: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T> {
        let mut reader = self.reader()?;
        let run = || -> Result<T, Failure> {
            let transaction = reader.transaction_with_behavior(TransactionBehavior::Deferred)?;
            act(&transaction)
        };
        let value = run().context(|| what.into())?;
        self.put_back(reader);
        Ok(value)
    }

    fn reader(&self) -> Result<Connection> {
        let idle = lock(&self.readers).pop();
        idle.map_or_else(|| connect(&self.path), Ok)
    }

    fn put_back(&self, reader: Connection) {
        let mut readers = lock(&self.readers);
        if readers.len() < READERS_MAX {
            readers.push(reader);
        }
    }
}

/// Stores a key of a user; one of the same name stops working.
fn put_key(
    transaction: &Transaction<'_>,
    user: i64,
    name: &str,
    hash: &KeyHash,
    now: SystemTime,
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO keys (user_id, name, hash, created_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (user_id, name)
         DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at",
        (user, name, hash, micros(now)),
    )?;
    Ok(())
}

fn transacted<T>(
    connection: &mut Connection,
    act: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = act(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// A mutex whose holder panicked is used on: a transaction that did not commit is rolled back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What is deleted is overwritten: it was somebody's session.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "journal_size_limit", wal::KEPT_BYTES_MAX)?;
        let pages = wal::UNTENDED_BYTES_MAX / PAGE_BYTES;
        connection.pragma_update(None, "wal_autocheckpoint", pages)?;
        Ok(connection)
    };
    open().context(|| format!("open database {}", path.display()))
}

/// Brings the schema to the version of this program.
fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(steps) = MIGRATIONS.get(done..) else {
        let what = format!("its version {version} is newer than {}", MIGRATIONS.len());
        return Err(Error::new(what).with_hint("use a newer confab-server").into());
    };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    Ok(transaction.commit()?)
}

fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn text_time(micros: i64) -> String {
    let since = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    crate::time::rfc3339(UNIX_EPOCH + since)
}

/// Line numbers are at most [`crate::wire::LINE_NUMBER_MAX`].
fn line_number(line: i64) -> u64 {
    u64::try_from(line).unwrap_or(0)
}
