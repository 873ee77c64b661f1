//! What a backend that takes reports is told of all sessions of this machine: how many it lacks.
//! When that changes, at most some times a minute; at once when it has come to nothing.

use std::time::{Duration, Instant};

use log::info;

use crate::config;
use crate::daemon::World;
use crate::error::{Context, Error, Result};
use crate::sync::machine_name;
use crate::sys;
use crate::wire::MachineReport;

use super::keeper::Keeper;

/// Time between two words; it doubles while they do not arrive,
const INTERVAL: Duration = Duration::from_secs(20);
/// so many times.
const DOUBLINGS_MAX: u32 = 6;
/// Time for one.
const TIME_MAX: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Default)]
pub struct Telling {
    told: Option<MachineReport>,
    at: Option<Instant>,
    n_failed: u32,
}

impl Telling {
    /// When this is to be told; `None` when it is known.
    pub fn due(&self, report: &MachineReport, now: Instant) -> Option<Instant> {
        if self.told.as_ref() == Some(report) {
            return None;
        }
        let is_over = report.waiting_sessions == 0;
        // Whoever does not answer is not asked at once again, either.
        let has_heard = self.told.is_some();
        let pause = INTERVAL * 2_u32.pow(self.n_failed.min(DOUBLINGS_MAX));
        let next = self.at.map_or(now, |at| at + pause);
        Some(if is_over && has_heard { now } else { next })
    }

    /// It is on its way.
    pub fn begin(&mut self, report: MachineReport, now: Instant) {
        self.told = Some(report);
        self.at = Some(now);
    }

    /// It has arrived, or it has not.
    pub fn end(&mut self, has_arrived: bool) {
        if has_arrived {
            self.n_failed = 0;
        } else {
            self.told = None;
            self.n_failed += 1;
        }
    }
}

impl Keeper<'_, '_, '_> {
    /// Has the backend told what it lacks, when it wants to know and there is a thread for it.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn tell_backend(&mut self, now: Instant) -> Result<()> {
        let report = self.machine_report();
        if self.tell_at(&report, now).is_none_or(|at| now < at) {
            return Ok(());
        }
        self.telling.begin(report.clone(), now);
        self.pool.tell(report)
    }

    /// When that is to be done.
    pub fn tell_at(&self, report: &MachineReport, now: Instant) -> Option<Instant> {
        let is_well = self.stop_by.is_none() && !self.troubles.is_down();
        let can = is_well && self.pool.takes_reports() && self.pool.has_room();
        let at = can.then(|| self.telling.due(report, now)).flatten()?;
        Some(self.troubles.pause(now).map_or(at, |until| at.max(until)))
    }

    /// What there is to tell.
    pub fn machine_report(&self) -> MachineReport {
        let standing = &self.standing;
        MachineReport {
            waiting_sessions: standing.waiting,
            waiting_bytes: standing.bytes.saturating_sub(standing.bytes_done),
            failed_sessions: standing.failed,
            ..MachineReport::default()
        }
    }
}

/// Tells it; false when that has failed.
pub fn tell(report: MachineReport, world: &World<'_>) -> bool {
    let told = try_tell(report, world);
    if let Err(error) = &told {
        info!("the backend was not told what it lacks: {error}");
    }
    told.is_ok()
}

fn try_tell(mut report: MachineReport, world: &World<'_>) -> Result<()> {
    let config = config::load(world.paths)?;
    let redactor = world.redactors.get(&config.redaction);
    let name = sys::process::hostname().unwrap_or_default();
    report.hostname = machine_name(&name, &redactor).unwrap_or_default();
    let mut backend = (world.connect)(&config.account()?)?;
    let told = backend.tell(&report, TIME_MAX).map_err(|failure| Error::new(failure.to_string()));
    told.context(|| "tell how the sessions stand".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_it_changes_now_and_then_and_at_the_end() {
        let report = |waiting_sessions| MachineReport { waiting_sessions, ..Default::default() };
        let now = Instant::now();
        let mut telling = Telling::default();
        assert_eq!(telling.due(&report(0), now), Some(now), "an earlier one may have said more");
        telling.begin(report(9), now);
        assert_eq!(telling.due(&report(9), now), None);
        assert_eq!(telling.due(&report(8), now), Some(now + INTERVAL));
        assert_eq!(telling.due(&report(0), now), Some(now));
        telling.begin(report(0), now);
        for pause in [2, 4, 8, 16, 32, 64, 64] {
            telling.end(false);
            assert_eq!(telling.due(&report(0), now), Some(now + INTERVAL * pause));
            telling.begin(report(0), now);
        }
        telling.end(true);
        assert_eq!(telling.due(&report(0), now), None);
        assert_eq!(telling.due(&report(1), now), Some(now + INTERVAL));
    }
}
