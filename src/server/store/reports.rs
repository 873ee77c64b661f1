//! What machines say of their sessions besides lines, and of all machines what that comes to.

use std::time::SystemTime;

use rusqlite::{Connection, Transaction};

use super::list::live_since;
use super::{Appended, Failure, Store, line_number, micros, text_time};
use crate::error::Result;
use crate::time::parse_rfc3339;
use crate::wire::{FailureKind, MachineEntry, MachineReport, ReportedFailure, SessionReport};

/// More than any machine has: the sum over all sessions is a number, too.
const NUMBER_MAX: i64 = 1 << 40;

/// Machines of a user of which it is known how they stand, the last ones to say so.
const MACHINES_MAX: i64 = 1000;

impl Store {
    /// The machines that a user's sessions come from, the last one first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn machines(&self, user: i64, now: SystemTime) -> Result<Vec<MachineEntry>> {
        self.read("list machines", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sessions.hostname, max(last_sync_at), count(*),
                     sum(last_sync_at >= ?2 AND active_at >= ?3),
                     sum((SELECT coalesce(sum(last_line), 0) FROM files
                          WHERE session_id = sessions.id)),
                     coalesce(sum(pending_bytes > 0), 0), coalesce(sum(pending_bytes), 0),
                     coalesce(sum(withheld_lines), 0), coalesce(max(waiting_sessions), 0),
                     coalesce(max(waiting_bytes), 0), coalesce(max(failed_sessions), 0)
                 FROM sessions LEFT JOIN reports ON session_id = sessions.id
                 LEFT JOIN machines ON machines.user_id = sessions.user_id
                     AND machines.hostname = sessions.hostname
                 WHERE sessions.user_id = ?1
                 GROUP BY sessions.hostname ORDER BY max(last_sync_at) DESC",
            )?;
            let (arrived_since, said_since) = live_since(now);
            let machines = statement.query_map((user, arrived_since, said_since), |row| {
                Ok(MachineEntry {
                    machine: row.get(0)?,
                    last_contact: text_time(row.get(1)?),
                    sessions: line_number(row.get(2)?),
                    live_sessions: line_number(row.get(3)?),
                    lines: line_number(row.get(4)?),
                    behind_sessions: line_number(row.get(5)?),
                    pending_bytes: line_number(row.get(6)?),
                    withheld_lines: line_number(row.get(7)?),
                    last_failure: None,
                    waiting_sessions: line_number(row.get(8)?),
                    waiting_bytes: line_number(row.get(9)?),
                    failed_sessions: line_number(row.get(10)?),
                })
            })?;
            let mut machines: Vec<MachineEntry> = machines.collect::<rusqlite::Result<_>>()?;
            for machine in &mut machines {
                machine.last_failure = last_failure(connection, user, &machine.machine)?;
            }
            Ok(machines)
        })
    }

    /// Notes how all sessions of a user's machine stand.
    ///
    /// # Errors
    /// When the database fails.
    pub fn note_machine(&self, user: i64, report: &MachineReport, now: SystemTime) -> Result<()> {
        self.write("note how a machine stands", |transaction| {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO machines VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute((
                    user,
                    &report.hostname,
                    micros(now),
                    number(report.waiting_sessions),
                    number(report.waiting_bytes),
                    number(report.failed_sessions),
                ))?;
            // Names may be made up.
            transaction
                .prepare_cached(
                    "DELETE FROM machines WHERE user_id = ?1 AND hostname IN (
                         SELECT hostname FROM machines WHERE user_id = ?1
                         ORDER BY reported_at DESC LIMIT -1 OFFSET ?2)",
                )?
                .execute((user, MACHINES_MAX))?;
            Ok(())
        })
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(NUMBER_MAX).min(NUMBER_MAX)
}

fn last_failure(
    connection: &Connection,
    user: i64,
    machine: &str,
) -> rusqlite::Result<Option<ReportedFailure>> {
    let mut statement = connection.prepare_cached(
        "SELECT error, error_at FROM sessions JOIN reports ON session_id = sessions.id
         WHERE user_id = ? AND hostname = ? AND error_at IS NOT NULL
         ORDER BY error_at DESC LIMIT 1",
    )?;
    let mut rows = statement.query((user, machine))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let name: String = row.get(0)?;
    let kind = FailureKind::ALL.into_iter().find(|kind| kind.name() == name);
    Ok(Some(ReportedFailure { kind: kind.unwrap_or_default(), at: text_time(row.get(1)?) }))
}

/// Notes what came with a chunk of a session, and what became of that: a refused one is still where
/// it was. What went wrong last stays, as it is told once.
pub(super) fn note(
    transaction: &Transaction<'_>,
    session: i64,
    (report, appended): (&SessionReport, Appended),
    now: SystemTime,
) -> Result<(), Failure> {
    let told = report.failure.as_ref().map(|failure| {
        // A clock that is ahead says nothing of what is to come.
        (failure.kind, parse_rfc3339(&failure.at).map_or(now, |at| at.min(now)))
    });
    let failure = match appended {
        Appended::Stored(_) => told,
        Appended::TooManyChunks | Appended::TooManyFiles | Appended::TooManyLines => {
            Some((FailureKind::Refused, now))
        }
        // It only has to be sent from elsewhere on, or by somebody else.
        _ => return Ok(()),
    };
    let is_stored = matches!(appended, Appended::Stored(_));
    transaction
        .prepare_cached(
            "INSERT INTO reports VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (session_id) DO UPDATE SET
                 reported_at = excluded.reported_at,
                 pending_bytes = iif(?7, excluded.pending_bytes, max(pending_bytes, ?3)),
                 withheld_lines = max(withheld_lines, excluded.withheld_lines),
                 error = coalesce(excluded.error, error),
                 error_at = coalesce(excluded.error_at, error_at)",
        )?
        .execute((
            session,
            micros(now),
            number(report.pending_bytes),
            number(report.withheld_lines),
            failure.map(|(kind, _)| kind.name()),
            failure.map(|(_, at)| micros(at)),
            is_stored,
        ))?;
    Ok(())
}
