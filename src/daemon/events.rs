//! What wakes a daemon: signals, the end of Claude Code, changed files where they are asked for,
//! the clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::Redactors;
use crate::error::{Context, Result};
use crate::sys::{memory, process::Process, signals, signals::Signal};
use crate::time::Clock;

/// Stack of a waiting thread, which calls next to nothing.
const STACK_BYTES: usize = 64 << 10;
/// How long the kernel is asked at once to wait for a process' end.
const PARENT_WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// What happened. The time is that of the event, not that of its being looked at: the time for
/// ending runs from it, also when an upload was hanging just then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Finish and end.
    Stop(Instant),
    /// This Claude Code process has ended.
    ParentGone(Process, Instant),
    /// Look at inbox and files now.
    Wake(Instant),
    /// Files of the session have changed.
    Files,
    /// Nothing, for as long as was to be waited.
    Tick,
}

impl Event {
    /// When it happened.
    pub fn at(&self) -> Option<Instant> {
        match self {
            Event::Stop(at) | Event::ParentGone(_, at) | Event::Wake(at) => Some(*at),
            Event::Files | Event::Tick => None,
        }
    }
}

/// What a daemon waits on: the kernel's news, or those of a test.
pub trait Events {
    /// From now on the end of this process is an event, too.
    ///
    /// # Errors
    /// When no thread can be started.
    fn watch(&mut self, parent: Option<Process>) -> Result<()>;
    /// Waits for what happens next, at most for `limit`.
    fn wait(&self, limit: Duration) -> Event;
    /// What has happened already, if anything.
    fn poll(&self) -> Option<Event>;
    /// Where further events are put in, if anywhere.
    fn sender(&self) -> Option<Sender<Event>>;
    /// Makes this process small before a long wait.
    fn rest(&self);
}

/// One channel, with a thread for signals and one for each process that is watched.
pub struct SystemEvents {
    clock: Arc<dyn Clock + Send + Sync>,
    redactors: Arc<Redactors>,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    watched: Option<Process>,
}

impl SystemEvents {
    /// Starts the signal thread; `redactors` are forgotten at rest. Signals must be blocked in this
    /// thread already.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        clock: Arc<dyn Clock + Send + Sync>,
        redactors: Arc<Redactors>,
    ) -> Result<SystemEvents> {
        let (sender, receiver) = mpsc::channel();
        let signals = sender.clone();
        let own_clock = Arc::clone(&clock);
        let wait = move || loop {
            let event = match signals::wait() {
                Signal::Stop => Event::Stop(own_clock.now()),
                Signal::Wake => Event::Wake(own_clock.now()),
                // The terminal is not ours, and the session may go on without it.
                Signal::HangUp => continue,
            };
            if signals.send(event).is_err() {
                return;
            }
        };
        thread("signals", wait)?;
        Ok(SystemEvents { clock, redactors, sender, receiver, watched: None })
    }
}

impl Events for SystemEvents {
    /// Starts a thread that reports the end of this process, unless one does already.
    fn watch(&mut self, parent: Option<Process>) -> Result<()> {
        let Some(process) = parent.filter(|parent| Some(*parent) != self.watched) else {
            return Ok(());
        };
        let (sender, clock) = (self.sender.clone(), Arc::clone(&self.clock));
        thread("parent", move || {
            while !process.wait_for_end(PARENT_WAIT_MAX) {}
            // The daemon may be gone by now.
            let _ = sender.send(Event::ParentGone(process, clock.now()));
        })?;
        self.watched = Some(process);
        Ok(())
    }

    fn sender(&self) -> Option<Sender<Event>> {
        Some(self.sender.clone())
    }

    fn rest(&self) {
        self.redactors.forget();
        memory::release();
    }

    fn wait(&self, limit: Duration) -> Event {
        match self.receiver.recv_timeout(limit) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Tick,
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("a sender is held beside the receiver")
            }
        }
    }

    fn poll(&self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }
}

/// Starts a thread whose failure ends the process.
pub fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(|| {
            // A daemon that hears nothing any more would live for ever; the next hook starts one.
            if catch_unwind(AssertUnwindSafe(body)).is_err() {
                std::process::abort();
            }
        })
        .map(|_| ())
        .context(|| format!("start the {name} thread"))
}
