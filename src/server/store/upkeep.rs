//! Looking after the database: whether it is whole, a copy of it, who may use it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension};

use super::{FILE_NAME, Failure, Store, blocks, connect, micros, migrate, rows, text_time, words};
use crate::error::{Context, Error, Result};
use crate::files::{move_new, private_file, private_folder, remove_if_present};
use crate::server::events::event;
use crate::server::search::Words;

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
    /// Reads everything: the database's own structures, every block of every file with what it
    /// refers to, whether the blocks make up what is said of the file, and whether the rows of its
    /// lines are what the lines tell.
    ///
    /// # Errors
    /// When the database cannot be read at all.
    pub fn check(&self) -> Result<Report> {
        self.read("check the database", |connection| {
            let mut report = Report::default();
            integrity(connection, &mut report)?;
            report.sessions = count(connection, "SELECT count(*) FROM sessions")?;
            for claim in claims(connection)? {
                report.files += 1;
                match check_file(connection, &claim) {
                    Ok(lines) => report.lines += lines,
                    Err(error) => {
                        let Claim { file, name, .. } = claim;
                        problem(&mut report, format!("file {file} ({name}): {error}"));
                    }
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
    // FTS5 remembers the structure of its index from one question to the next, and looks whether it
    // is still true when it is asked for a word, but not for a check.
    connection.query_row("SELECT count(*) FROM words WHERE words MATCH '\"=\"'", [], |_| Ok(()))?;
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

/// What is said of every file.
fn claims(connection: &Connection) -> rusqlite::Result<Vec<Claim>> {
    connection
        .prepare(
            "SELECT files.id, name, user_id, last_line, raw_bytes, indexed_line FROM files
             JOIN sessions ON sessions.id = session_id ORDER BY files.id",
        )?
        .query_map([], |row| {
            Ok(Claim {
                file: row.get(0)?,
                name: row.get(1)?,
                user: row.get(2)?,
                last_line: row.get(3)?,
                bytes: row.get(4)?,
                indexed_line: row.get(5)?,
            })
        })?
        .collect()
}

/// A row of `files`, as far as it says what there must be.
struct Claim {
    file: i64,
    name: String,
    user: i64,
    last_line: i64,
    bytes: i64,
    indexed_line: i64,
}

/// Reads all blocks of a file, and its rows beside them; how many lines they hold.
fn check_file(connection: &Connection, claim: &Claim) -> Result<u64, Failure> {
    let (mut line, mut n_bytes) = (1, 0);
    while line <= claim.last_line {
        let stored = blocks::stored_with(connection, claim.file, line)?;
        let (first, last) = (stored.block.first_line, stored.block.last_line);
        if first != line {
            return Err(format!("a block begins at line {first} and not at {line}").into());
        }
        check_base(connection, claim.user, stored.base)?;
        let text = blocks::text(connection, &stored)?;
        let n_lines = memchr::memchr_iter(b'\n', &text).count();
        if n_lines != usize::try_from(last - first + 1)? {
            return Err(format!("lines {first} to {last} are {n_lines}").into());
        }
        check_rows(connection, claim, line, &text)?;
        n_bytes += i64::try_from(text.len())?;
        line = last + 1;
    }
    check_words(connection, claim)?;
    let further: Option<i64> = connection
        .prepare_cached("SELECT first_line FROM blocks WHERE file_id = ? AND last_line > ?")?
        .query_row((claim.file, claim.last_line), |row| row.get(0))
        .optional()?;
    if let Some(further) = further {
        return Err(format!("there is a block from line {further} on behind the last one").into());
    }
    match n_bytes == claim.bytes {
        true => Ok(unsigned(claim.last_line)),
        false => Err(format!("{n_bytes} bytes instead of {}", claim.bytes).into()),
    }
}

/// Whether the index holds words of each line that has some.
fn check_words(connection: &Connection, claim: &Claim) -> Result<(), Failure> {
    let wanted: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM messages WHERE file_id = ? AND line <= ? AND words > 0",
        )?
        .query_row((claim.file, claim.indexed_line), |row| row.get(0))?;
    match words::count(connection, claim.file, claim.indexed_line)? {
        found if found == wanted => Ok(()),
        found => Err(format!("the index has words of {found} lines instead of {wanted}").into()),
    }
}

/// Whether a base may be one: of the same user, so that it goes only with all that refers to it.
fn check_base(connection: &Connection, user: i64, base: Option<i64>) -> Result<(), Failure> {
    let Some(base) = base else { return Ok(()) };
    let owner: i64 = connection
        .prepare_cached(
            "SELECT user_id FROM blocks JOIN files ON files.id = file_id
             JOIN sessions ON sessions.id = session_id WHERE blocks.id = ?",
        )?
        .query_row([base], |row| row.get(0))?;
    match owner == user {
        true => Ok(()),
        false => Err(format!("the base {base} is of another user").into()),
    }
}

/// Whether the rows of lines from `first` on are what the lines tell.
fn check_rows(
    connection: &Connection,
    claim: &Claim,
    first: i64,
    text: &[u8],
) -> Result<(), Failure> {
    let n_lines = i64::try_from(memchr::memchr_iter(b'\n', text).count())?;
    // Rows behind the position are of an earlier version, and about to be made anew.
    let end = claim.indexed_line.min(first + n_lines - 1);
    let n_rows = usize::try_from(end + 1 - first).unwrap_or(0);
    let mut lines = (first..).zip(text.split(|byte| *byte == b'\n'));
    let (mut next, mut words) = (first, Words::default());
    rows::each(connection, claim.file, first, n_rows, &mut |line, row, n_words| {
        let told = lines.next().filter(|(number, _)| *number == line);
        let Some((_, bytes)) = told else { return Ok(()) };
        let text = String::from_utf8_lossy(bytes);
        let mut expected = event(&text);
        if words.of_line(&text, &expected, claim.user).count != n_words {
            return Err(format!("the words of line {line} are not counted").into());
        }
        // These are not in the row itself.
        (expected.origin, expected.session, expected.results) = Default::default();
        let is_counted = match expected.usage.take() {
            Some(usage) => rows::has_usage(connection, claim.file, &usage)?,
            None => true,
        };
        if !is_counted {
            return Err(format!("the tokens of line {line} are not counted").into());
        }
        if row != expected {
            return Err(format!("the row of line {line} is wrong").into());
        }
        next = line + 1;
        Ok(())
    })?;
    match next <= end {
        true => Err(format!("the row of line {next} is missing").into()),
        false => Ok(()),
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
