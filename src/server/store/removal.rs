//! Removing so that nothing is left in the data folder.
//!
//! Blocks of other sessions that refer to lines of a removed one are encoded anew before: they lose
//! nothing, and keep nothing of it. The index of words is written anew without those of the removed
//! one, since what FTS5 removes stays in its pages. Every connection overwrites with zeros what it
//! deletes (`secure_delete`); what is left then are older copies in the write-ahead log, which is
//! emptied after that. Whoever asks a server waits for neither: a thread behind the scenes does
//! both at once, and after a crash with the next start (`Store::purge`).

use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, Transaction};

use super::{ArrivalKind, BUSY_TIMEOUT, Failure, Store, lock, merge, sessions, words};
use crate::error::{Context, Error, Result};

/// How long upkeep waits for the transactions of other processes.
const UPKEEP_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries to find that no other session refers to one any more.
const ROUNDS_MAX: usize = 100;
/// Blocks that are encoded anew before the next try.
const RELEASES_MAX: usize = 100_000;

impl Store {
    /// Removes a user's session with all that belongs to it; false when there is none. Nobody can
    /// read it any more then; what is still on the disk is left to a thread behind the scenes.
    ///
    /// # Errors
    /// When the database fails; nothing is removed then.
    pub fn delete_session(&self, user: i64, session: &str) -> Result<bool> {
        let find = |transaction: &Transaction<'_>| {
            Ok(sessions::owned(transaction, user, session)?.map(|(id, _)| id))
        };
        let was_there = self.remove_released("delete a session", &find, &|_, _| Ok(()))?;
        if was_there {
            self.tell(user, session, ArrivalKind::Gone);
            self.wake.wake();
        }
        Ok(was_there)
    }

    /// Takes what is left of removed sessions off the disk.
    ///
    /// # Errors
    /// When the database fails; it is gone on with the next time.
    pub(crate) fn purge(&self) -> Result<()> {
        if self.purge_words()? {
            self.log_is_old.store(true, Ordering::Relaxed);
            // Whoever tends the log.
            self.wake.wake();
        }
        Ok(())
    }

    /// Removes a session by its id, whoever owns it; false when there is none.
    ///
    /// # Errors
    /// When the database fails; nothing is removed then. When somebody reads all the time: it
    /// cannot be read any more then, but the write-ahead log still holds it.
    pub fn remove_session(&self, session: &str) -> Result<bool> {
        let find = |transaction: &Transaction<'_>| {
            Ok(sessions::found(transaction, session)?.map(|(id, ..)| id))
        };
        let was_there = self.remove_released("remove a session", &find, &|_, _| Ok(()))?;
        if was_there {
            self.purge_words()?;
            self.empty_log()?;
        }
        Ok(was_there)
    }

    /// Removes the session that `find` finds, once no block of another one refers to its blocks,
    /// together with what `also` does just before. Its words are left to [`Store::purge_words`].
    pub(super) fn remove_released(
        &self,
        what: &str,
        find: &dyn Fn(&Transaction<'_>) -> rusqlite::Result<Option<i64>>,
        also: &dyn Fn(&Transaction<'_>, i64) -> Result<(), Failure>,
    ) -> Result<bool> {
        for _ in 0..ROUNDS_MAX {
            let mut still_used = None;
            let removed = self.write(what, |transaction| {
                let Some(id) = find(transaction)? else { return Ok(false) };
                if merge::dependent_of(transaction, id)?.is_some() {
                    still_used = Some(id);
                    return Ok(false);
                }
                also(transaction, id)?;
                words::forget_session(transaction, id)?;
                transaction.execute("DELETE FROM sessions WHERE id = ?", [id])?;
                Ok(true)
            })?;
            let Some(id) = still_used else { return Ok(removed) };
            // New ones may come to it meanwhile, but hardly as fast as these go.
            for _ in 0..RELEASES_MAX {
                if !merge::release_one(self, id)? {
                    break;
                }
            }
        }
        Err(Error::new(format!("{what}: others refer to it all the time")))
    }

    /// Removes a user with their keys and sessions; false when there is none.
    ///
    /// # Errors
    /// As [`Store::remove_session`].
    pub fn remove_user(&self, email: &str) -> Result<bool> {
        // Blocks refer to those of the same user alone: all of them go together.
        let n_gone = self.write("remove a user", |transaction| {
            let mut sessions = transaction.prepare(
                "SELECT sessions.id FROM sessions JOIN users ON users.id = user_id WHERE email = ?",
            )?;
            for session in sessions.query_map([email], |row| row.get(0))? {
                words::forget_session(transaction, session?)?;
            }
            Ok(transaction.execute("DELETE FROM users WHERE email = ?", [email])?)
        })?;
        if n_gone > 0 {
            self.purge_words()?;
            self.empty_log()?;
        }
        Ok(n_gone > 0)
    }

    /// Writes index and database anew without free space, and empties the write-ahead log. Writers
    /// wait meanwhile, those of other processes for a few seconds.
    ///
    /// # Errors
    /// When there is no room for a second copy, or another process reads all the time.
    pub fn vacuum(&self) -> Result<()> {
        self.patiently("give back free space of the database", |writer| {
            // The index grows in pieces, whose words stand in each of them until they are merged.
            Ok(writer.execute_batch("INSERT INTO words (words) VALUES ('optimize'); VACUUM")?)
        })?;
        self.empty_log()
    }

    /// Runs a statement that waits longer for others than those that clients wait for.
    fn patiently<T>(
        &self,
        what: &str,
        act: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T> {
        let writer = lock(&self.writer);
        let run = || -> Result<T, Failure> {
            writer.busy_timeout(UPKEEP_TIMEOUT)?;
            let value = act(&writer);
            writer.busy_timeout(BUSY_TIMEOUT)?;
            value
        };
        run().context(|| what.into())
    }
}
