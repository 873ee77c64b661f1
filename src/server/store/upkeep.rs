//! Looking after the database: whether it is whole, a copy of it, who may use it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension};

use super::files::block_with;
use super::{FILE_NAME, Failure, Store, connect, micros, migrate, text_time};
use crate::error::{Context, Error, Result};
use crate::files::{move_new, private_file, private_folder, remove_if_present};

/// Problems that are told one by one.
const PROBLEMS_MAX: usize = 100;

/// What a check has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Stored sessions.
    pub sessions: u64,
    /// Their files.
    pub files: u64,
    /// Their lines, each of which was read.
    pub lines: u64,
    /// What is wrong, at most a hundred things.
    pub problems: Vec<String>,
}

/// A key, without the key itself.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Whose it is.
    pub user: String,
    /// What it is for.
    pub name: String,
    /// RFC 3339.
    pub created_at: String,
}

/// A user and what is stored of them.
#[derive(Debug, PartialEq, Eq)]
pub struct UserEntry {
    /// Mail address or account name.
    pub email: String,
    /// RFC 3339.
    pub created_at: String,
    /// Keys that work.
    pub keys: u64,
    /// Sessions.
    pub sessions: u64,
    /// Bytes of their files as they were uploaded.
    pub bytes: u64,
    /// They can sign in with a password.
    pub has_password: bool,
    /// RFC 3339; since when they may not come in any more.
    pub disabled_at: Option<String>,
}

impl Store {
    /// Reads everything: the database's own structures, every block of every file, and whether the
    /// blocks make up what is said of the file.
    ///
    /// # Errors
    /// When the database cannot be read at all.
    pub fn check(&self) -> Result<Report> {
        self.read("check the database", |connection| {
            let mut report = Report::default();
            integrity(connection, &mut report)?;
            report.sessions = count(connection, "SELECT count(*) FROM sessions")?;
            for (file, name, last_line, bytes) in files(connection)? {
                report.files += 1;
                match check_file(connection, file, last_line, bytes) {
                    Ok(lines) => report.lines += lines,
                    Err(error) => problem(&mut report, format!("file {file} ({name}): {error}")),
                }
            }
            Ok(report)
        })
    }

    /// Writes a copy of the whole database into a new file, consistent while others write, and
    /// checks the copy.
    ///
    /// # Errors
    /// When there is such a file already, it cannot be written, or the copy is not whole; there is
    /// no file then.
    pub fn backup(&self, path: &Path) -> Result<Report> {
        let what = || format!("write backup {}", path.display());
        let text = path.to_str().ok_or_else(|| Error::new(what()).caused_by("it is not UTF-8"))?;
        // SQLite takes an empty file, and would make one with the umask's mode.
        private_file().write(true).create_new(true).open(path).context(what)?;
        let copied = self.copy_to(text).and_then(|()| {
            let copy = Store::of(path.to_owned(), connect(path)?);
            let report = copy.check()?;
            match report.problems.first() {
                Some(problem) => Err(Error::new(format!("the copy is not whole: {problem}"))),
                None => Ok(report),
            }
        });
        if copied.is_err() {
            let _ = remove_if_present(path);
        }
        copied.context(what)
    }

    /// Makes a database in a folder from a backup, brought to the version of this program and
    /// checked.
    ///
    /// # Errors
    /// When there is a database already, or the backup cannot be read or is not whole; there is
    /// no database then.
    pub fn restore(backup: &Path, folder: &Path) -> Result<Report> {
        let what = || format!("restore {}", backup.display());
        private_folder(folder).context(|| format!("make folder {}", folder.display()))?;
        let path = folder.join(FILE_NAME);
        if path.symlink_metadata().is_ok() {
            let taken = Error::new(format!("{} is there already", path.display()));
            return Err(taken.with_hint("name another --data folder, or move that one away"));
        }
        let temporary = folder.join(format!(".{FILE_NAME}-{}.restoring", std::process::id()));
        let restored = restored_to(&temporary, backup);
        let moved = restored.and_then(|report| {
            move_new(&temporary, &path).context(|| format!("make {}", path.display()))?;
            Ok(report)
        });
        for suffix in ["", "-wal", "-shm"] {
            let mut name = temporary.clone().into_os_string();
            name.push(suffix);
            let _ = remove_if_present(Path::new(&name));
        }
        moved.context(what)
    }

    fn copy_to(&self, path: &str) -> Result<()> {
        // A transaction of its own would keep SQLite from it.
        let reader = connect(&self.path)?;
        reader.execute("VACUUM INTO ?", [path]).context(|| "copy the database".into())?;
        Ok(())
    }

    /// All keys, by user and name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keys(&self) -> Result<Vec<KeyEntry>> {
        self.read("list keys", |connection| {
            let mut statement = connection.prepare(
                "SELECT users.email, keys.name, keys.created_at FROM keys
                 JOIN users ON users.id = keys.user_id ORDER BY users.email, keys.name",
            )?;
            let keys = statement.query_map([], |row| {
                let created_at = text_time(row.get(2)?);
                Ok(KeyEntry { user: row.get(0)?, name: row.get(1)?, created_at })
            })?;
            Ok(keys.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Makes a key stop working; false when there is none of that user and name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn revoke_key(&self, user: &str, name: &str) -> Result<bool> {
        self.write("revoke a key", |transaction| {
            let n_gone = transaction.execute(
                "DELETE FROM keys WHERE name = ?
                 AND user_id = (SELECT id FROM users WHERE email = ?)",
                (name, user),
            )?;
            Ok(n_gone > 0)
        })
    }

    /// Makes sure that there is a user; false when there was one already.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_user(&self, email: &str, now: SystemTime) -> Result<bool> {
        let name = email.split('@').next().unwrap_or(email);
        self.write("add a user", |transaction| {
            let n_new = transaction.execute(
                "INSERT INTO users (email, name, created_at) VALUES (?, ?, ?)
                 ON CONFLICT (email) DO NOTHING",
                (email, name, micros(now)),
            )?;
            Ok(n_new > 0)
        })
    }

    /// All users, by address.
    ///
    /// # Errors
    /// When the database fails.
    pub fn users(&self) -> Result<Vec<UserEntry>> {
        self.read("list users", |connection| {
            let mut statement = connection.prepare(
                "SELECT email, created_at,
                     (SELECT count(*) FROM keys WHERE user_id = users.id),
                     (SELECT count(*) FROM sessions WHERE user_id = users.id),
                     (SELECT coalesce(sum(raw_bytes), 0) FROM files
                      JOIN sessions ON sessions.id = session_id WHERE user_id = users.id),
                     EXISTS (SELECT 1 FROM passwords WHERE user_id = users.id), disabled_at
                 FROM users ORDER BY email",
            )?;
            let users = statement.query_map([], |row| {
                Ok(UserEntry {
                    email: row.get(0)?,
                    created_at: text_time(row.get(1)?),
                    keys: unsigned(row.get(2)?),
                    sessions: unsigned(row.get(3)?),
                    bytes: unsigned(row.get(4)?),
                    has_password: row.get(5)?,
                    disabled_at: row.get::<_, Option<i64>>(6)?.map(text_time),
                })
            })?;
            Ok(users.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Copies a backup, and makes sure that it can be served.
fn restored_to(path: &Path, backup: &Path) -> Result<Report> {
    let mut from = File::open(backup).context(|| "open it".into())?;
    let new = private_file().write(true).create_new(true).open(path);
    let mut to = new.context(|| format!("make {}", path.display()))?;
    io::copy(&mut from, &mut to).context(|| format!("write {}", path.display()))?;
    to.sync_all().context(|| format!("write {}", path.display()))?;
    drop(to);
    let mut writer = connect(path)?;
    migrate(&mut writer).context(|| "read it as a database".into())?;
    let store = Store::of(path.to_owned(), writer);
    let report = store.check()?;
    store.checkpoint()?;
    match report.problems.first() {
        Some(problem) => Err(Error::new(format!("it is not whole: {problem}"))),
        None => Ok(report),
    }
}

/// What SQLite itself says of its structures.
fn integrity(connection: &Connection, report: &mut Report) -> Result<(), Failure> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let said = statement.query_map([], |row| row.get::<_, String>(0))?;
    for text in said {
        let text = text?;
        if text != "ok" {
            problem(report, format!("database: {text}"));
        }
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let orphans = statement.query_map([], |row| row.get::<_, String>(0))?;
    for table in orphans {
        problem(report, format!("table {}: a row belongs to nothing", table?));
    }
    Ok(())
}

/// Number, name, last line and bytes of every file.
fn files(connection: &Connection) -> rusqlite::Result<Vec<(i64, String, i64, i64)>> {
    connection
        .prepare("SELECT id, name, last_line, raw_bytes FROM files ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect()
}

/// Reads all blocks of a file; how many lines they hold.
fn check_file(
    connection: &Connection,
    file: i64,
    last_line: i64,
    bytes: i64,
) -> Result<u64, Failure> {
    let (mut line, mut n_bytes) = (1, 0);
    while line <= last_line {
        let block = block_with(connection, file, line)?;
        let (first, last) = (block.first_line, block.last_line);
        if first != line {
            return Err(format!("a block begins at line {first} and not at {line}").into());
        }
        let text = block.text_from(line)?;
        let n_lines = memchr::memchr_iter(b'\n', &text).count();
        if n_lines != usize::try_from(last - first + 1)? {
            return Err(format!("lines {first} to {last} are {n_lines}").into());
        }
        n_bytes += i64::try_from(text.len())?;
        line = last + 1;
    }
    let further: Option<i64> = connection
        .prepare_cached("SELECT first_line FROM blocks WHERE file_id = ? AND last_line > ?")?
        .query_row((file, last_line), |row| row.get(0))
        .optional()?;
    if let Some(further) = further {
        return Err(format!("there is a block from line {further} on behind the last one").into());
    }
    match n_bytes == bytes {
        true => Ok(unsigned(last_line)),
        false => Err(format!("{n_bytes} bytes instead of {bytes}").into()),
    }
}

fn problem(report: &mut Report, text: String) {
    if report.problems.len() < PROBLEMS_MAX {
        report.problems.push(text);
    }
}

fn count(connection: &Connection, query: &str) -> rusqlite::Result<u64> {
    connection.query_row(query, [], |row| row.get(0)).map(unsigned)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
