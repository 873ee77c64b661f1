//! Sessions that are removed for their age, where their owner wants that.
//!
//! It is off unless it is set. A session goes when nothing was said in it for so many days, and
//! nothing arrived for [`QUIET_TIME`]: what is just being brought in is left alone. What was put
//! aside stays, and so does what others may read. It is removed as [`Store::delete_session`] does,
//! but for a row that holds its id and how many lines its files had: a client that still has the
//! file and asks is told that all of it is stored, and sends nothing. When the session goes on,
//! with the first new line, that row is forgotten and the client told to begin anew: the session
//! comes back, whole.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::sessions::Opened;
use super::{ArrivalKind, Failure, Store, files, lock, micros};
use crate::error::Result;
use crate::wire::FilePosition;

/// Nothing arrived for so long of a session that is removed.
const QUIET_TIME: Duration = Duration::from_secs(3600);
/// Sessions that are removed before others have their turn.
const REMOVED_MAX: usize = 200;
/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long a user wants to keep sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The user.
    pub user: i64,
    /// Days behind the last thing that was said; `None` is for ever.
    pub days: Option<u32>,
}

impl Retention {
    /// What was said before is too old, in microseconds since 1970.
    fn cutoff(&self, now: SystemTime) -> i64 {
        let age = self.days.map(|days| DAY * days);
        age.and_then(|age| now.checked_sub(age)).map_or(i64::MIN, micros)
    }
}

/// Sessions of a user that are too old, the oldest first. What is shared by a link that has ended
/// is not shared.
const TOO_OLD: &str = "SELECT id, uuid FROM sessions
     WHERE user_id = ?1 AND coalesce(last_message_at, last_sync_at) < ?2 AND last_sync_at < ?3
         AND archived_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM shares
             WHERE session_id = sessions.id AND (expires_at IS NULL OR expires_at > ?4))";

impl Store {
    /// Sets what a user wants; somebody behind the scenes sees to it soon.
    pub fn set_retention(&self, retention: Retention) {
        *lock(&self.retention) = Some(retention);
        self.wake.wake();
    }

    /// What was set.
    pub(crate) fn retention(&self) -> Option<Retention> {
        *lock(&self.retention)
    }

    /// Removes sessions that are too old, some at a time; how many there were. None means that
    /// none is left.
    ///
    /// # Errors
    /// When the database fails; what was removed until then stays removed.
    pub fn expire(&self, retention: Retention, now: SystemTime) -> Result<usize> {
        let cutoff = retention.cutoff(now);
        self.forget_younger(retention.user, cutoff)?;
        let too_old = self.too_old(retention.user, cutoff, now)?;
        let mut n_removed = 0;
        for session in &too_old {
            if self.wake.is_over() {
                break;
            }
            let find = |transaction: &Transaction<'_>| {
                let mut statement =
                    transaction.prepare_cached(&format!("{TOO_OLD} AND uuid = ?5"))?;
                let bounds = (retention.user, cutoff, quiet_since(now), micros(now), session);
                statement.query_row(bounds, |row| row.get(0)).optional()
            };
            if self.remove_released("remove a session for its age", &find, &remember)? {
                self.tell(retention.user, session, ArrivalKind::Gone);
                n_removed += 1;
            }
        }
        if n_removed > 0 {
            self.wake.wake();
            log::info!("{n_removed} sessions were removed for their age");
        }
        Ok(n_removed)
    }

    fn too_old(&self, user: i64, cutoff: i64, now: SystemTime) -> Result<Vec<String>> {
        self.read("look for old sessions", |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{TOO_OLD} ORDER BY coalesce(last_message_at, last_sync_at) LIMIT {REMOVED_MAX}"
            ))?;
            let bounds = (user, cutoff, quiet_since(now), micros(now));
            let sessions = statement.query_map(bounds, |row| row.get(1))?;
            Ok(sessions.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Sessions that would not be too old any more may come back.
    fn forget_younger(&self, user: i64, cutoff: i64) -> Result<()> {
        let is_there = self.read("look for removed sessions", |connection| {
            let found: bool = connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM expired WHERE user_id = ? AND active_at >= ?)",
                )?
                .query_row((user, cutoff), |row| row.get(0))?;
            Ok(found)
        })?;
        if !is_there {
            return Ok(());
        }
        self.write("forget removed sessions", |transaction| {
            transaction
                .prepare_cached("DELETE FROM expired WHERE user_id = ? AND active_at >= ?")?
                .execute((user, cutoff))?;
            Ok(())
        })
    }
}

fn quiet_since(now: SystemTime) -> i64 {
    now.checked_sub(QUIET_TIME).map_or(0, micros)
}

/// Keeps what is to be known of a session that is being removed.
fn remember(transaction: &Transaction<'_>, session: i64) -> Result<(), Failure> {
    let positions = files::positions(transaction, session)?;
    let lines: BTreeMap<String, u64> =
        positions.into_iter().map(|(name, position)| (name, position.last_synced_line)).collect();
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO expired
             SELECT user_id, provider, external_id, uuid, ?2,
                 coalesce(last_message_at, last_sync_at)
             FROM sessions WHERE id = ?1",
        )?
        .execute((session, serde_json::to_string(&lines)?))?;
    Ok(())
}

/// A user's session that was removed for its age, as who opens it is told.
pub(super) fn remembered(
    connection: &Connection,
    user: i64,
    (external_id, provider): (&str, &str),
) -> Result<Option<Opened>, Failure> {
    let found: Option<(String, String)> = connection
        .prepare_cached(
            "SELECT uuid, files FROM expired
             WHERE user_id = ? AND external_id = ? AND provider = ?",
        )?
        .query_row((user, external_id, provider), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((session_id, lines)) = found else { return Ok(None) };
    let lines: BTreeMap<String, u64> = serde_json::from_str(&lines)?;
    let position = |last_synced_line| FilePosition { last_synced_line };
    let files = lines.into_iter().map(|(name, line)| (name, position(line))).collect();
    Ok(Some(Opened { session_id, files }))
}

/// True when this is a user's session that was removed for its age.
pub(super) fn is_remembered(
    connection: &Connection,
    user: i64,
    session: &str,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM expired WHERE user_id = ? AND uuid = ?)")?
        .query_row((user, session), |row| row.get(0))
}

/// The same, and it is forgotten: it may begin anew.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    user: i64,
    session: &str,
) -> rusqlite::Result<bool> {
    let n_gone = transaction
        .prepare_cached("DELETE FROM expired WHERE user_id = ? AND uuid = ?")?
        .execute((user, session))?;
    Ok(n_gone > 0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_session;
    use super::super::{Append, Appended, Changed, Opening, SessionUpdate, With};
    use super::*;
    use crate::server::lines::Lines;
    use crate::server::search::SessionFilter;

    const BEGIN: SystemTime = SystemTime::UNIX_EPOCH;

    fn day(n: u32) -> SystemTime {
        BEGIN + DAY * n
    }

    fn opening(external_id: &str) -> Opening {
        let provider = "claude-code".into();
        Opening { provider, external_id: external_id.into(), ..Opening::default() }
    }

    /// A line of a session that was said at one time and arrives at another.
    fn arrive(store: &Store, user: i64, id: &str, said: SystemTime, now: SystemTime) -> Appended {
        let opened = store.open_session(user, &opening(id), id, now).unwrap();
        let first_line = opened.files.get("f").map_or(1, |file| file.last_synced_line as i64 + 1);
        let mut lines = Lines::default();
        lines.push("{}");
        let append = Append {
            session: &opened.session_id,
            file_name: "f",
            file_type: "transcript",
            first_line,
            lines: &lines,
            codex_metadata: false,
            report: None,
            update: SessionUpdate { last_message_at: Some(said), ..SessionUpdate::default() },
        };
        store.append(user, &append, now).unwrap()
    }

    fn left(store: &Store, user: i64, now: SystemTime) -> Vec<String> {
        let filter = SessionFilter::default();
        let (mut entries, _) = store.sessions(user, &filter, None, 100, now).unwrap();
        entries.sort_by(|one, other| one.id.cmp(&other.id));
        entries.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn what_is_too_old_goes_and_nothing_else() {
        let (_folder, store, user) = with_session();
        assert!(store.delete_session(user, "s").unwrap());
        store.create_key("c@d", "k", &[9; 32], BEGIN).unwrap();
        let other = store.user_by_email("c@d").unwrap().unwrap();
        let now = day(100);
        let days = |days| Retention { user, days };
        for (id, said) in [("old", 69), ("border", 70), ("young", 99), ("put-aside", 1)] {
            arrive(&store, user, id, day(said), day(said));
        }
        for id in ["lent", "lent-until-now"] {
            arrive(&store, user, id, day(1), day(1));
        }
        arrive(&store, other, "other", day(1), day(1));
        // Old, but just brought in.
        arrive(&store, user, "arriving", day(1), now - QUIET_TIME);
        let archived = store.set_archived(user, "put-aside", true, now).unwrap();
        assert_eq!(archived, Changed::Done);
        for (id, ends) in [("lent", now + DAY), ("lent-until-now", now)] {
            store.share(user, id, With::Link(&[id.len() as u8; 32], ends), day(1)).unwrap();
        }
        // Off unless it is set.
        assert_eq!(store.expire(days(None), now).unwrap(), 0);
        assert_eq!(store.expire(days(Some(36_500)), now).unwrap(), 0);
        assert_eq!(left(&store, user, now).len(), 7);
        assert_eq!(store.expire(days(Some(30)), now).unwrap(), 2);
        assert_eq!(left(&store, user, now), ["arriving", "border", "lent", "put-aside", "young"]);
        assert_eq!(left(&store, other, now), ["other"]);
        assert_eq!(store.expire(days(Some(30)), now).unwrap(), 0);
        // In time the others follow.
        let later = now + QUIET_TIME;
        assert_eq!(store.expire(days(Some(30)), later).unwrap(), 2);
        assert_eq!(left(&store, user, later), ["lent", "put-aside", "young"]);
        assert_eq!(store.check().unwrap().problems, [""; 0]);
    }

    #[test]
    fn it_stays_away_until_it_goes_on_or_would_be_kept() {
        let (_folder, store, user) = with_session();
        let now = day(100);
        let retention = Retention { user, days: Some(30) };
        for id in ["old", "older"] {
            arrive(&store, user, id, day(50), day(50));
            arrive(&store, user, id, day(50), day(50));
        }
        store.expire(retention, now).unwrap();
        assert_eq!(left(&store, user, now), [""; 0]);
        // Whoever has it is told that nothing is missing, and its end is taken.
        let opened = store.open_session(user, &opening("old"), "new-id", now).unwrap();
        assert_eq!((&*opened.session_id, opened.files["f"].last_synced_line), ("old", 2));
        let event = ("session_end", now, None);
        assert_eq!(store.record_event(user, "old", event, now).unwrap(), Changed::Done);
        assert_eq!(store.record_event(user + 1, "old", event, now).unwrap(), Changed::NoSession);
        assert!(store.session(user, "old").unwrap().is_none());
        assert_eq!(left(&store, user, now), [""; 0]);
        // Another user's session of this id is none of it.
        store.create_key("c@d", "k", &[9; 32], BEGIN).unwrap();
        let other = store.user_by_email("c@d").unwrap().unwrap();
        assert_eq!(arrive(&store, other, "old", now, now), Appended::Stored(1));
        assert!(store.delete_session(other, "old").unwrap());
        // With the first new line it begins anew.
        assert_eq!(arrive(&store, user, "old", now, now), Appended::Anew);
        let opened = store.open_session(user, &opening("old"), "new-id", now).unwrap();
        assert_eq!((&*opened.session_id, opened.files.len()), ("new-id", 0));
        assert_eq!(arrive(&store, user, "old", now, now), Appended::Stored(1));
        store.expire(retention, now + QUIET_TIME + DAY).unwrap();
        assert_eq!(left(&store, user, now), ["new-id"]);
        // What would be kept now may come again.
        store.expire(Retention { user, days: Some(51) }, now).unwrap();
        let opened = store.open_session(user, &opening("older"), "third", now).unwrap();
        assert_eq!(opened.session_id, "third");
    }
}
