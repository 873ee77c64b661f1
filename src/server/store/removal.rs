//! Removing so that nothing is left in the data folder.
//!
//! Every connection overwrites with zeros what it deletes (`secure_delete`); what is left then are
//! older copies in the write-ahead log, which is emptied after each removal.

use super::{Store, lock, sessions};
use crate::error::{Context, Error, Result};

impl Store {
    /// Removes a user's session with all that belongs to it; false when there is none.
    ///
    /// # Errors
    /// When the database fails; nothing is removed then.
    pub fn delete_session(&self, user: i64, session: &str) -> Result<bool> {
        let was_there = self.write("delete a session", |transaction| {
            let Some((id, _)) = sessions::owned(transaction, user, session)? else {
                return Ok(false);
            };
            transaction.execute("DELETE FROM sessions WHERE id = ?", [id])?;
            Ok(true)
        })?;
        if was_there {
            // A reader that keeps it from being emptied does so until the next checkpoint.
            self.checkpoint()?;
        }
        Ok(was_there)
    }

    /// Removes a session by its id, whoever owns it; false when there is none.
    ///
    /// # Errors
    /// When the database fails; nothing is removed then. When somebody reads all the time: it
    /// cannot be read any more then, but the write-ahead log still holds it.
    pub fn remove_session(&self, session: &str) -> Result<bool> {
        self.remove("remove a session", "DELETE FROM sessions WHERE uuid = ?", session)
    }

    /// Removes a user with their keys and sessions; false when there is none.
    ///
    /// # Errors
    /// As [`Store::remove_session`].
    pub fn remove_user(&self, email: &str) -> Result<bool> {
        self.remove("remove a user", "DELETE FROM users WHERE email = ?", email)
    }

    fn remove(&self, what: &str, statement: &str, name: &str) -> Result<bool> {
        let n_gone = self.write(what, |transaction| Ok(transaction.execute(statement, [name])?))?;
        if n_gone > 0 {
            self.empty_log()?;
        }
        Ok(n_gone > 0)
    }

    /// Writes the database anew without free space, and empties the write-ahead log. Writers wait
    /// meanwhile, those of other processes for five seconds.
    ///
    /// # Errors
    /// When there is no room for a second copy, or another process reads all the time.
    pub fn vacuum(&self) -> Result<()> {
        lock(&self.writer)
            .execute_batch("VACUUM")
            .context(|| "give back free space of the database".into())?;
        self.empty_log()
    }

    fn empty_log(&self) -> Result<()> {
        lock(&self.readers).clear();
        let what = || "empty the write-ahead log".into();
        let is_busy: i64 = lock(&self.writer)
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .context(what)?;
        match is_busy {
            0 => Ok(()),
            _ => Err(Error::new("empty the write-ahead log: somebody reads the database")
                .with_hint("`confab-server vacuum` does it later")),
        }
    }
}
