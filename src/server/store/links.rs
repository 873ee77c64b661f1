//! Commits and pull requests of sessions.

use std::time::SystemTime;

use rusqlite::Row;

use super::{Store, micros, sessions, text_time};
use crate::error::Result;
use crate::github::Link;
use crate::wire::{LinkEntry, LinkRequest};

/// Links of one session that are listed.
const LINKS_MAX: usize = 10_000;
const COLUMNS: &str = "links.id, type, url, owner, repo, ref, title, source, created_at";

impl Store {
    /// Stores a link of a user's session; one that is there gets title and source anew. `None`
    /// when there is no such session.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_link(
        &self,
        user: i64,
        session: &str,
        request: &LinkRequest,
        link: &Link,
        now: SystemTime,
    ) -> Result<Option<LinkEntry>> {
        self.write("store a link", |transaction| {
            let Some((id, _)) = sessions::owned(transaction, user, session)? else {
                return Ok(None);
            };
            let repository = &link.repository;
            let entry = transaction
                .prepare_cached(&format!(
                    "INSERT INTO links (id, session_id, type, url, host, owner, repo, ref, title,
                         source, created_at)
                     VALUES ((SELECT coalesce(max(id), 0) + 1 FROM links),
                         ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                     ON CONFLICT (session_id, type, host, owner, repo, ref) DO UPDATE SET
                         url = excluded.url, title = excluded.title, source = excluded.source
                     RETURNING {COLUMNS}",
                ))?
                .query_row(
                    (
                        id,
                        link.kind.name(),
                        &request.url,
                        &repository.host,
                        &repository.owner,
                        &repository.name,
                        &link.reference,
                        &request.title,
                        &request.source,
                        micros(now),
                    ),
                    |row| read_entry(row, session),
                )?;
            Ok(Some(entry))
        })
    }

    /// The links of a session that a reader may read, the oldest first; `None` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn links(&self, reader: i64, session: &str) -> Result<Option<Vec<LinkEntry>>> {
        self.read("list links", |connection| {
            let Some(id) = sessions::readable(connection, reader, session)? else {
                return Ok(None);
            };
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM links WHERE session_id = ? ORDER BY id LIMIT {LINKS_MAX}",
            ))?;
            let entries = statement.query_map([id], |row| read_entry(row, session))?;
            Ok(Some(entries.collect::<rusqlite::Result<_>>()?))
        })
    }
}

fn read_entry(row: &Row<'_>, session: &str) -> rusqlite::Result<LinkEntry> {
    Ok(LinkEntry {
        id: row.get(0)?,
        session_id: session.to_owned(),
        link_type: row.get(1)?,
        url: row.get(2)?,
        owner: row.get(3)?,
        repo: row.get(4)?,
        reference: row.get(5)?,
        title: row.get(6)?,
        source: row.get(7)?,
        created_at: text_time(row.get(8)?),
    })
}
