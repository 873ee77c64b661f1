//! What wakes a daemon: signals, the end of Claude Code, changed files where they are asked for,
//! the clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::error::{Context, Result};
use crate::sys::{process::Process, signals, signals::Signal};
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

/// The one channel that a daemon waits on.
pub struct Events {
    clock: Arc<dyn Clock + Send + Sync>,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    watched: Option<Process>,
}

impl Events {
    /// Starts the signal thread. Signals must be blocked in this thread already.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(clock: Arc<dyn Clock + Send + Sync>) -> Result<Events> {
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
        Ok(Events { clock, sender, receiver, watched: None })
    }

    /// Starts a thread that reports the end of this process, unless one does already.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn watch(&mut self, parent: Option<Process>) -> Result<()> {
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

    /// Where further events are put in.
    pub fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// Waits for what happens next, at most for `limit`.
    pub fn wait(&self, limit: Duration) -> Event {
        match self.receiver.recv_timeout(limit) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Tick,
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("a sender is held beside the receiver")
            }
        }
    }

    /// What has happened already, if anything.
    pub fn poll(&self) -> Option<Event> {
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
