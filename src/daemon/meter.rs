//! One connection for many sessions, and a count of what goes through it: an upload of thousands
//! shakes hands once, and it can be told whether the backend still answers.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Account;
use crate::error::Result;
use crate::remote::{Backend, Failure};
use crate::wire::{
    Capabilities, ChunkAnswer, EventRequest, InitAnswer, InitRequest, LinkRequest, MachineReport,
};

use super::Connect;

/// What has gone through so far.
#[derive(Debug, Default)]
pub struct Meter {
    answers: AtomicU64,
    chunks: AtomicU64,
    bytes: AtomicU64,
    takes_reports: AtomicBool,
}

/// A reading of a [`Meter`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Requests that succeeded.
    pub answers: u64,
    /// Those with lines.
    pub chunks: u64,
    /// Bytes of those, compressed.
    pub bytes: u64,
}

type Line = Arc<Mutex<Box<dyn Backend>>>;

/// See the module.
pub struct Exchange<'a> {
    connect: Connect<'a>,
    meter: Arc<Meter>,
    open: RefCell<Option<(Account, Line)>>,
}

impl<'a> Exchange<'a> {
    /// Opens connections with `connect`.
    pub fn new(connect: Connect<'a>, meter: Arc<Meter>) -> Exchange<'a> {
        Exchange { connect, meter, open: RefCell::new(None) }
    }

    /// Closes the connection; the next one who needs it opens it anew.
    pub fn close(&self) {
        *self.open.borrow_mut() = None;
    }

    /// The connection to an account's backend, opened unless it is open.
    ///
    /// # Errors
    /// As opening it.
    pub fn connect(&self, account: &Account) -> Result<Box<dyn Backend>> {
        let mut open = self.open.borrow_mut();
        let line = match &*open {
            Some((known, line)) if known == account => Arc::clone(line),
            _ => Arc::new(Mutex::new((self.connect)(account)?)),
        };
        *open = Some((account.clone(), Arc::clone(&line)));
        Ok(Box::new(Metered { line, meter: Arc::clone(&self.meter) }))
    }
}

impl Meter {
    /// What it shows now.
    pub fn read(&self) -> Reading {
        Reading {
            answers: self.answers.load(Ordering::Relaxed),
            chunks: self.chunks.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// The backend said, when it was last asked, that it takes reports.
    pub fn takes_reports(&self) -> bool {
        self.takes_reports.load(Ordering::Relaxed)
    }

    /// It is another backend now.
    pub fn forget_reports(&self) {
        self.takes_reports.store(false, Ordering::Relaxed);
    }

    fn count<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.answers.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
        result
    }
}

impl Reading {
    /// What has gone through since `before`.
    pub fn since(self, before: Reading) -> Reading {
        Reading {
            answers: self.answers - before.answers,
            chunks: self.chunks - before.chunks,
            bytes: self.bytes - before.bytes,
        }
    }
}

struct Metered {
    line: Line,
    meter: Arc<Meter>,
}

impl Metered {
    fn line(&self) -> MutexGuard<'_, Box<dyn Backend>> {
        // A connection holds nothing between two requests that a panic could have left half.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Metered {
    fn init(&mut self, request: &InitRequest, time_max: Duration) -> Result<InitAnswer, Failure> {
        let answer = self.meter.count(self.line().init(request, time_max))?;
        self.meter.takes_reports.store(answer.reports, Ordering::Relaxed);
        Ok(answer)
    }

    fn append(
        &mut self,
        body: &[u8],
        report: Option<&str>,
        time_max: Duration,
    ) -> Result<ChunkAnswer, Failure> {
        let answer = self.meter.count(self.line().append(body, report, time_max))?;
        self.meter.chunks.fetch_add(1, Ordering::Relaxed);
        self.meter.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        Ok(answer)
    }

    fn tell(&mut self, report: &MachineReport, time_max: Duration) -> Result<(), Failure> {
        self.line().tell(report, time_max)
    }

    fn event(&mut self, request: &EventRequest, time_max: Duration) -> Result<(), Failure> {
        self.meter.count(self.line().event(request, time_max))
    }

    fn capabilities(&mut self, time_max: Duration) -> Result<Capabilities, Failure> {
        self.meter.count(self.line().capabilities(time_max))
    }

    fn summarise(
        &mut self,
        external_id: &str,
        summary: &str,
        time_max: Duration,
    ) -> Result<(), Failure> {
        self.meter.count(self.line().summarise(external_id, summary, time_max))
    }

    fn link(
        &mut self,
        session_id: &str,
        request: &LinkRequest,
        time_max: Duration,
    ) -> Result<(), Failure> {
        self.meter.count(self.line().link(session_id, request, time_max))
    }
}
