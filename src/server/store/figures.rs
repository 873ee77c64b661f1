//! Figures: tokens, tools, changed lines and time, of a session or of all of them.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, Row};

use super::list::{self, Cursor};
use super::{Failure, Store, line_number, sessions};
use crate::error::Result;
use crate::server::search::SessionFilter;
use crate::wire::{Figures, ModelTokens, StatsRow, TYPE_TRANSCRIPT, ToolFigures};

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;
/// Microseconds of a second.
const SECOND_MICROS: i64 = 1_000_000;
/// Rows of an answer, the first ones.
const ROWS_MAX: usize = 5000;
/// Sessions that figures of many are for, those that were synced last.
const SESSIONS_MAX: usize = 20_000;
/// Sessions whose figures are read at once: whoever writes can tidy up between two such reads.
const READ_SESSIONS_MAX: usize = 500;

/// What a row of figures is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A day of UTC.
    Day,
    /// A model.
    Model,
    /// A project.
    Project,
    /// A tool.
    Tool,
    /// A session.
    Session,
}

impl By {
    /// Reads a name.
    pub fn parse(name: &str) -> Option<By> {
        match name {
            "day" => Some(By::Day),
            "model" => Some(By::Model),
            "project" => Some(By::Project),
            "tool" => Some(By::Tool),
            "session" => Some(By::Session),
            _ => None,
        }
    }
}

/// What a number of tokens of a model costs in US dollars; `None` for a model without a price.
pub type Cost<'a> = &'a dyn Fn(&ModelTokens) -> Option<f64>;

/// Where a row comes from.
struct Source {
    day: Option<i64>,
    project: Option<String>,
    uuid: String,
    session: i64,
}

impl Store {
    /// What a user's session took and did; `None` when there is no such session.
    ///
    /// # Errors
    /// When the database fails.
    pub fn figures(&self, user: i64, session: &str, cost: Cost<'_>) -> Result<Option<Figures>> {
        self.read("read figures", |connection| {
            let Some((session, _)) = sessions::owned(connection, user, session)? else {
                return Ok(None);
            };
            let mut figures = Figures {
                tokens: tokens_of(connection, session)?,
                tools: tools_of(connection, session)?,
                ..counted(connection, session)?
            };
            for tokens in &mut figures.tokens {
                tokens.cost = cost(tokens);
                figures.cost += tokens.cost.unwrap_or_default();
            }
            Ok(Some(figures))
        })
    }

    /// Figures of a user's own sessions that a filter lets through, of messages between its times,
    /// and whether there are more sessions than were looked at. By day the last one comes first,
    /// otherwise those with the most tokens, then uses of tools.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stats(
        &self,
        user: i64,
        by: By,
        filter: &SessionFilter,
        cost: Cost<'_>,
    ) -> Result<(Vec<StatsRow>, bool)> {
        let mut rows = Rows { by, rows: BTreeMap::new() };
        let (mut sessions, mut n_seen) = (Vec::new(), 0);
        self.read("read figures", |connection| {
            // The list has what others share as well: that is in their figures.
            let mut is_own = connection.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = ? AND user_id = ?)",
            )?;
            list::each(connection, user, filter.wants_models(), Cursor::START, &mut |at, facts| {
                if !is_own.query_row((at.row(), user), |row| row.get::<_, bool>(0))? {
                    return Ok(true);
                }
                n_seen += 1;
                if n_seen <= SESSIONS_MAX && filter.matches(facts) {
                    sessions.push(at.row());
                }
                Ok(n_seen <= SESSIONS_MAX)
            })
        })?;
        for sessions in sessions.chunks(READ_SESSIONS_MAX) {
            let sessions = serde_json::json!(sessions).to_string();
            self.read("read figures", |connection| {
                if by != By::Tool {
                    add_tokens(connection, &sessions, filter, cost, &mut rows)?;
                }
                if by != By::Model {
                    add_tools(connection, &sessions, filter, &mut rows)?;
                }
                Ok(())
            })?;
        }
        Ok((rows.finish(), n_seen > SESSIONS_MAX))
    }
}

/// Rows while they are summed up, with the sessions that each one comes from.
struct Rows {
    by: By,
    rows: BTreeMap<Option<String>, (StatsRow, HashSet<i64>)>,
}

impl Rows {
    /// The row of something.
    fn row(&mut self, source: &Source, own: Option<String>) -> &mut StatsRow {
        let key = match self.by {
            By::Day => source.day.map(day_name),
            By::Project => source.project.clone(),
            By::Session => Some(source.uuid.clone()),
            By::Model | By::Tool => own,
        };
        let (row, sessions) = self.rows.entry(key.clone()).or_default();
        row.key = key;
        row.sessions += u64::from(sessions.insert(source.session));
        row
    }

    fn finish(self) -> Vec<StatsRow> {
        let mut rows: Vec<StatsRow> = self.rows.into_values().map(|(row, _)| row).collect();
        if self.by == By::Day {
            rows.reverse();
        } else {
            let tokens = |row: &StatsRow| {
                (row.input + row.output + row.cache_read + row.cache_creation, row.uses)
            };
            rows.sort_by_key(|row| std::cmp::Reverse(tokens(row)));
        }
        rows.truncate(ROWS_MAX);
        rows
    }
}

/// Adds what some sessions, a list of numbers in JSON, took.
fn add_tokens(
    connection: &Connection,
    sessions: &str,
    filter: &SessionFilter,
    cost: Cost<'_>,
    rows: &mut Rows,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT timestamp / ?2 AS day, project, uuid, usages.model, sum(input), sum(output),
             sum(cache_read), sum(cache_creation), count(*), sessions.id
         FROM json_each(?1) AS wanted CROSS JOIN sessions ON sessions.id = wanted.value
         CROSS JOIN files ON session_id = sessions.id CROSS JOIN usages ON file_id = files.id
         WHERE NOT is_copy
             AND coalesce(timestamp, last_sync_at) >= ?3 AND coalesce(timestamp, last_sync_at) < ?4
         GROUP BY sessions.id, day, usages.model",
    )?;
    let times = filter.times;
    let mut found = statement.query((sessions, DAY_MICROS, times.from, times.until))?;
    while let Some(found) = found.next()? {
        let source = read_source(found, 9)?;
        let tokens = read_tokens(found)?;
        let row = rows.row(&source, tokens.model.clone());
        row.messages += line_number(found.get(8)?);
        row.input += tokens.input;
        row.output += tokens.output;
        row.cache_read += tokens.cache_read;
        row.cache_creation += tokens.cache_creation;
        if let Some(dollars) = cost(&tokens) {
            row.cost = Some(row.cost.unwrap_or_default() + dollars);
        }
    }
    Ok(())
}

/// Adds which tools some sessions, a list of numbers in JSON, used.
fn add_tools(
    connection: &Connection,
    sessions: &str,
    filter: &SessionFilter,
    rows: &mut Rows,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT timestamp / ?2 AS day, project, uuid_of_session, tool_uses.name, count(*),
             coalesce(sum(tool_uses.is_error), 0), count(DISTINCT messages.line), session.id
         FROM json_each(?1) AS wanted
         CROSS JOIN (SELECT id, project, uuid AS uuid_of_session, last_sync_at FROM sessions)
             AS session ON session.id = wanted.value
         CROSS JOIN files ON session_id = session.id
         CROSS JOIN tool_uses ON tool_uses.file_id = files.id
         CROSS JOIN messages
             ON messages.file_id = files.id AND messages.line = tool_uses.line
         WHERE coalesce(timestamp, last_sync_at) >= ?3 AND coalesce(timestamp, last_sync_at) < ?4
         GROUP BY session.id, day, tool_uses.name",
    )?;
    let times = filter.times;
    let mut found = statement.query((sessions, DAY_MICROS, times.from, times.until))?;
    while let Some(found) = found.next()? {
        let source = read_source(found, 7)?;
        let is_by_tool = rows.by == By::Tool;
        let row = rows.row(&source, found.get(3)?);
        row.uses += line_number(found.get(4)?);
        row.errors += line_number(found.get(5)?);
        if is_by_tool {
            row.messages += line_number(found.get(6)?);
        }
    }
    Ok(())
}

/// The first columns, and one with the session's number.
fn read_source(row: &Row<'_>, session: usize) -> rusqlite::Result<Source> {
    let (day, project, uuid) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(Source { day, project, uuid, session: row.get(session)? })
}

/// From the fourth column on.
fn read_tokens(row: &Row<'_>) -> rusqlite::Result<ModelTokens> {
    Ok(ModelTokens {
        model: row.get(3)?,
        input: line_number(row.get(4)?),
        output: line_number(row.get(5)?),
        cache_read: line_number(row.get(6)?),
        cache_creation: line_number(row.get(7)?),
        cost: None,
    })
}

fn tokens_of(connection: &Connection, session: i64) -> rusqlite::Result<Vec<ModelTokens>> {
    connection
        .prepare_cached(
            "SELECT NULL, NULL, NULL, usages.model, sum(input), sum(output), sum(cache_read),
                 sum(cache_creation)
             FROM files JOIN usages ON file_id = files.id
             WHERE session_id = ? AND NOT is_copy GROUP BY usages.model
             ORDER BY sum(input + output + cache_read + cache_creation) DESC",
        )?
        .query_map([session], read_tokens)?
        .collect()
}

fn tools_of(connection: &Connection, session: i64) -> rusqlite::Result<Vec<ToolFigures>> {
    connection
        .prepare_cached(
            "SELECT tool_uses.name, count(*), coalesce(sum(is_error), 0)
             FROM files JOIN tool_uses ON file_id = files.id
             WHERE session_id = ? GROUP BY tool_uses.name ORDER BY count(*) DESC, tool_uses.name",
        )?
        .query_map([session], |row| {
            let (uses, errors) = (line_number(row.get(1)?), line_number(row.get(2)?));
            Ok(ToolFigures { name: row.get(0)?, uses, errors })
        })?
        .collect()
}

/// What is counted line by line. Prompts are those of transcripts: what an agent is asked, nobody
/// typed.
fn counted(connection: &Connection, session: i64) -> rusqlite::Result<Figures> {
    connection
        .prepare_cached(
            "SELECT coalesce(sum(added), 0), coalesce(sum(removed), 0),
                 coalesce(sum(mark = 1 AND files.type = ?2), 0), max(timestamp) - min(timestamp)
             FROM files JOIN messages ON file_id = files.id WHERE session_id = ?1",
        )?
        .query_row((session, TYPE_TRANSCRIPT), |row| {
            let micros: Option<i64> = row.get(3)?;
            Ok(Figures {
                lines_added: line_number(row.get(0)?),
                lines_removed: line_number(row.get(1)?),
                prompts: line_number(row.get(2)?),
                duration_seconds: line_number(micros.unwrap_or_default() / SECOND_MICROS),
                ..Figures::default()
            })
        })
}

/// `YYYY-MM-DD`.
fn day_name(day: i64) -> String {
    let mut name = super::text_time(day.saturating_mul(DAY_MICROS));
    name.truncate("YYYY-MM-DD".len());
    name
}

#[cfg(test)]
mod tests {
    use super::super::tests::{execute, with_session};
    use super::*;

    /// Sessions `n1`, `n2` … of a user, the first one synced last, each with one message.
    fn with_sessions(store: &Store, user: i64, count: usize) {
        execute(
            store,
            &format!(
                "DELETE FROM sessions;
                 CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS
                     (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n;
                 INSERT INTO sessions (id, uuid, user_id, provider, external_id, transcript_path,
                     cwd, hostname, username, first_seen, last_sync_at)
                     SELECT i, 'n' || i, {user}, 'claude-code', 'n' || i, '', '/p', '', '', 0,
                     1000000 - i FROM n;
                 INSERT INTO files (id, session_id, name, type, last_line, raw_bytes, chunks,
                     updated_at)
                     SELECT i, i, 'f', 'transcript', 1, 0, 1, 0 FROM n;
                 INSERT INTO usages (file_id, message_id, line, timestamp, model, input, output,
                     cache_read, cache_creation, user_id)
                     SELECT i, 'm' || i, 1, 0, 'm', 1, 0, 0, 0, {user} FROM n;"
            ),
        );
    }

    #[test]
    fn figures_are_of_so_many_sessions_and_it_is_told_when_there_are_more() {
        let (_folder, store, user) = with_session();
        with_sessions(&store, user, SESSIONS_MAX + 1);
        let stats = |by| {
            store.stats(user, by, &SessionFilter::default(), &|tokens| Some(tokens.input as f64))
        };
        let whole = SESSIONS_MAX as u64;
        for by in [By::Model, By::Project, By::Day] {
            let (rows, has_more) = stats(by).unwrap();
            assert_eq!((rows.len(), has_more), (1, true), "{by:?}");
            let row = &rows[0];
            assert_eq!((row.sessions, row.messages, row.input), (whole, whole, whole));
            assert_eq!(row.cost, Some(whole as f64));
        }
        execute(&store, "DELETE FROM sessions WHERE id = 7");
        let (rows, has_more) = stats(By::Session).unwrap();
        assert_eq!((rows.len(), has_more), (ROWS_MAX, false));
        assert!(rows.iter().all(|row| row.sessions == 1 && row.input == 1));
    }
}
