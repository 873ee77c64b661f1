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
    session: String,
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

    /// Figures of a user's own sessions that a filter lets through, of messages between its times.
    /// By day the last one comes first, otherwise those with the most tokens, then uses of tools.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stats(
        &self,
        user: i64,
        by: By,
        filter: &SessionFilter,
        cost: Cost<'_>,
    ) -> Result<Vec<StatsRow>> {
        self.read("read figures", |connection| {
            let mut rows = Rows { by, rows: BTreeMap::new() };
            let mut sessions = Vec::new();
            // The list has what others share as well: that is in their figures.
            let mut is_own = connection.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = ? AND user_id = ?)",
            )?;
            list::each(
                connection,
                user,
                filter.wants_models(),
                Cursor::START,
                &mut |at, facts| {
                    let mut own =
                        || is_own.query_row((at.row(), user), |row| row.get::<_, bool>(0));
                    if filter.matches(facts) && own()? {
                        sessions.push(at.row());
                    }
                    Ok(true)
                },
            )?;
            for session in sessions {
                if by != By::Tool {
                    add_tokens(connection, session, filter, cost, &mut rows)?;
                }
                if by != By::Model {
                    add_tools(connection, session, filter, &mut rows)?;
                }
            }
            Ok(rows.finish())
        })
    }
}

/// Rows while they are summed up, with the sessions that each one comes from.
struct Rows {
    by: By,
    rows: BTreeMap<Option<String>, (StatsRow, HashSet<String>)>,
}

impl Rows {
    /// The row of something.
    fn row(&mut self, source: &Source, own: Option<String>) -> &mut StatsRow {
        let key = match self.by {
            By::Day => source.day.map(day_name),
            By::Project => source.project.clone(),
            By::Session => Some(source.session.clone()),
            By::Model | By::Tool => own,
        };
        let (row, sessions) = self.rows.entry(key.clone()).or_default();
        row.key = key;
        if !sessions.contains(&source.session) {
            sessions.insert(source.session.clone());
            row.sessions += 1;
        }
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

fn add_tokens(
    connection: &Connection,
    session: i64,
    filter: &SessionFilter,
    cost: Cost<'_>,
    rows: &mut Rows,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT timestamp / ?2 AS day, project, uuid, usages.model, sum(input), sum(output),
             sum(cache_read), sum(cache_creation), count(*)
         FROM sessions JOIN files ON session_id = sessions.id JOIN usages ON file_id = files.id
         WHERE sessions.id = ?1 AND NOT is_copy
             AND coalesce(timestamp, last_sync_at) >= ?3 AND coalesce(timestamp, last_sync_at) < ?4
         GROUP BY day, usages.model",
    )?;
    let times = filter.times;
    let mut found = statement.query((session, DAY_MICROS, times.from, times.until))?;
    while let Some(found) = found.next()? {
        let source = read_source(found)?;
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

fn add_tools(
    connection: &Connection,
    session: i64,
    filter: &SessionFilter,
    rows: &mut Rows,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT timestamp / ?2 AS day, project, uuid_of_session, tool_uses.name, count(*),
             coalesce(sum(tool_uses.is_error), 0), count(DISTINCT messages.line)
         FROM (SELECT id, project, uuid AS uuid_of_session, last_sync_at FROM sessions
               WHERE id = ?1) AS session
         JOIN files ON session_id = session.id
         JOIN tool_uses ON tool_uses.file_id = files.id
         JOIN messages ON messages.file_id = files.id AND messages.line = tool_uses.line
         WHERE coalesce(timestamp, last_sync_at) >= ?3 AND coalesce(timestamp, last_sync_at) < ?4
         GROUP BY day, tool_uses.name",
    )?;
    let times = filter.times;
    let mut found = statement.query((session, DAY_MICROS, times.from, times.until))?;
    while let Some(found) = found.next()? {
        let source = read_source(found)?;
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

fn read_source(row: &Row<'_>) -> rusqlite::Result<Source> {
    Ok(Source { day: row.get(0)?, project: row.get(1)?, session: row.get(2)? })
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
