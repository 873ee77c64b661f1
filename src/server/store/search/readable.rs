//! The sessions that a search looks into: the reader's own, and those that others have shared with
//! them, for as long as they have.

use std::collections::HashSet;

use rusqlite::Connection;

use super::cursor::Place;

/// Shared sessions that are looked into, the newest.
const SHARED_MAX: i64 = 10_000;

/// What a reader may read, as of one state of the database.
pub struct Readable {
    reader: i64,
    /// Those of others, the newest first.
    shared: Vec<Place>,
    /// The numbers of the same.
    numbers: HashSet<i64>,
    /// Whose lines these are: the reader first, and then who shares.
    owners: Vec<i64>,
}

impl Readable {
    /// What a user may read at a time, in microseconds since 1970.
    pub fn load(connection: &Connection, reader: i64, now: i64) -> rusqlite::Result<Readable> {
        let mut statement = connection.prepare_cached(
            "SELECT sessions.id, coalesce(last_message_at, last_sync_at) AS at, sessions.user_id
             FROM shares JOIN sessions ON sessions.id = session_id
             WHERE shares.user_id = ?1 AND sessions.user_id <> ?1
                 AND (expires_at IS NULL OR expires_at > ?2)
             ORDER BY at DESC, sessions.id DESC LIMIT ?3",
        )?;
        let mut readable =
            Readable { reader, shared: Vec::new(), numbers: HashSet::new(), owners: vec![reader] };
        let mut rows = statement.query((reader, now, SHARED_MAX))?;
        while let Some(row) = rows.next()? {
            let (session, at, owner) = (row.get(0)?, row.get(1)?, row.get(2)?);
            readable.shared.push(Place { at, session });
            readable.numbers.insert(session);
            if !readable.owners.contains(&owner) {
                readable.owners.push(owner);
            }
        }
        Ok(readable)
    }

    /// Whose lines may be found.
    pub fn owners(&self) -> &[i64] {
        &self.owners
    }

    /// Whether lines of a session may be found.
    pub fn has(&self, session: i64, owner: i64) -> bool {
        owner == self.reader || self.numbers.contains(&session)
    }

    /// So many sessions from a place on, the newest first.
    pub fn newest(
        &self,
        connection: &Connection,
        from: Place,
        limit: usize,
    ) -> rusqlite::Result<Vec<Place>> {
        let mut statement = connection.prepare_cached(
            "SELECT id, coalesce(last_message_at, last_sync_at) AS at FROM sessions
             WHERE user_id = ?1 AND (coalesce(last_message_at, last_sync_at), id) <= (?2, ?3)
             ORDER BY coalesce(last_message_at, last_sync_at) DESC, id DESC LIMIT ?4",
        )?;
        let n_rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let own = statement.query_map((self.reader, from.at, from.session, n_rows), |row| {
            Ok(Place { session: row.get(0)?, at: row.get(1)? })
        })?;
        let mut places: Vec<Place> = own.collect::<rusqlite::Result<_>>()?;
        let first = self.shared.partition_point(|place| *place > from);
        places.extend(self.shared[first..].iter().take(limit));
        places.sort_unstable_by(|one, other| other.cmp(one));
        places.truncate(limit);
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{NOW, with_session};
    use super::super::super::{Shared, With, micros};
    use super::*;

    #[test]
    fn a_share_is_looked_into_until_it_ends() {
        let (_folder, store, user) = with_session();
        store.create_key("c@d", "k", &[9; 32], NOW).unwrap();
        let reader = store.user_by_email("c@d").unwrap().unwrap();
        let places = |now: i64| {
            store.read("look", |connection| {
                let readable = Readable::load(connection, reader, now)?;
                let from = super::super::cursor::Position::NEWEST.place;
                let places = readable.newest(connection, from, 9)?;
                let is_known = |place: &Place| readable.has(place.session, user);
                assert!(places.iter().all(is_known));
                Ok((places.len(), readable.owners().to_vec()))
            })
        };
        let now = micros(NOW);
        assert_eq!(places(now).unwrap(), (0, vec![reader]));
        let shared = store.share(user, "s", With::User("c@d"), NOW).unwrap();
        assert!(matches!(shared, Shared::Done(_)));
        assert_eq!(places(now).unwrap(), (1, vec![reader, user]));
        store
            .write("end it", |transaction| {
                transaction.execute("UPDATE shares SET expires_at = ?", [now + 60])?;
                Ok(())
            })
            .unwrap();
        assert_eq!(places(now + 59).unwrap(), (1, vec![reader, user]));
        assert_eq!(places(now + 60).unwrap(), (0, vec![reader]));
        // What one shares is no other's to oneself.
        store
            .read("look", |connection| {
                assert_eq!(Readable::load(connection, user, now)?.owners(), [user]);
                Ok(())
            })
            .unwrap();
    }
}
