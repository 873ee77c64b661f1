//! What a chunk tells besides its lines, to a backend that wants to know: how much of the session
//! is still only here, how much was left out, and what failed in the pass before.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::{Progress, Report};
use crate::remote::{Failure, Verdict};
use crate::session::Source;
use crate::time;
use crate::wire::{FailureKind, ReportedFailure, SessionReport};

/// See the module.
#[derive(Debug, Default)]
pub struct Standing {
    /// The backend said that it wants to know.
    pub is_wanted: bool,
    /// Bytes of files of which nothing was sent yet in this pass.
    ahead: BTreeMap<String, u64>,
    failure: Option<ReportedFailure>,
}

impl Standing {
    /// These files are looked at next, unless nobody wants to know. `is_open` says that the backend
    /// had its chance to say so.
    pub fn expect(
        &mut self,
        sources: &[Source],
        files: &BTreeMap<String, Progress>,
        is_open: bool,
    ) {
        for source in sources.iter().filter(|_| self.is_wanted || !is_open) {
            let sent = files.get(&source.name).map_or(0, |progress| progress.record.byte_offset);
            let left = bytes_behind(source, sent);
            if left > 0 {
                self.ahead.insert(source.name.clone(), left);
            }
        }
    }

    /// It is this one's turn.
    pub fn begin(&mut self, source: &Source) {
        self.ahead.remove(&source.name);
    }

    /// For a chunk of a file that ends at an offset of it; `None` for a backend that does not ask.
    pub fn report(&self, source: &Source, end: u64, withheld_lines: u64) -> Option<String> {
        let ahead: u64 = self.ahead.values().sum();
        let report = SessionReport {
            pending_bytes: bytes_behind(source, end).saturating_add(ahead),
            withheld_lines,
            failure: self.failure.clone(),
        };
        self.is_wanted.then(|| serde_json::to_string(&report).ok()).flatten()
    }

    /// A chunk has arrived: what failed before it is known by now.
    pub fn was_heard(&mut self) {
        self.failure = None;
    }

    /// What came of a pass is told with the next chunk.
    pub fn end(&mut self, report: &Report, now: SystemTime) {
        self.ahead.clear();
        let of_file = (!report.file_errors.is_empty()).then_some(FailureKind::File);
        let kind = report.failure.as_ref().map(kind).or(of_file);
        self.failure = kind.map(|kind| ReportedFailure { kind, at: time::rfc3339(now) });
    }
}

fn bytes_behind(source: &Source, offset: u64) -> u64 {
    std::fs::metadata(&source.path).map_or(0, |file| file.len().saturating_sub(offset))
}

fn kind(failure: &Failure) -> FailureKind {
    match failure.verdict {
        _ if failure.timed_out => FailureKind::TimedOut,
        _ if failure.is_busy => FailureKind::Busy,
        Verdict::Retry(_) => FailureKind::Unavailable,
        Verdict::SignIn => FailureKind::SignIn,
        Verdict::Gone | Verdict::Reject => FailureKind::Refused,
    }
}
