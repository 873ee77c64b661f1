//! File events of a daemon in live mode: a thread that waits for them and wakes the loop.
//!
//! The loop is woken once for any number of changes until it looks ([`Live::look`]), and a look is
//! always at everything, so that nothing depends on which events came, or whether some were lost.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use log::{info, warn};

use crate::config::Config;
use crate::error::Result;
use crate::time::Clock;
use crate::watch::{Changes, Debounce, Place, Watch};

use super::events::{Event, thread};

/// Lines that are written together are sent together; a file that never rests is sent all the same.
const DEBOUNCE: Debounce =
    Debounce { quiet: Duration::from_millis(10), longest: Duration::from_millis(50) };
/// Time between two looks where not all changes are told of.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long the thread sleeps at once when nothing happens.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// File events of one session.
#[derive(Debug)]
pub struct Live {
    /// `None` where there are no file events.
    watch: Option<Arc<Watch>>,
    /// The loop was told of a change and has not looked since.
    is_told: Arc<AtomicBool>,
    /// It was logged that looking now and then must do.
    is_missing: bool,
}

impl Live {
    /// Starts the thread when the configuration asks for file events.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        config: &Config,
        sender: Sender<Event>,
        clock: Arc<dyn Clock + Send + Sync>,
    ) -> Result<Option<Live>> {
        if !config.is_live() {
            return Ok(None);
        }
        let is_told = Arc::new(AtomicBool::new(false));
        let watch = Watch::new().inspect_err(|error| warn!("there are no file events: {error}"));
        let Ok(watch) = watch.map(Arc::new) else {
            return Ok(Some(Live { watch: None, is_told, is_missing: true }));
        };
        let (own_watch, own_told) = (Arc::clone(&watch), Arc::clone(&is_told));
        thread("files", move || {
            if let Err(error) = tell(&own_watch, &own_told, &sender, &*clock) {
                // The look at every interval goes on.
                warn!("file events have ended: {error}");
            }
        })?;
        Ok(Some(Live { watch: Some(watch), is_told, is_missing: false }))
    }

    /// From now on the loop is woken by the next change. To be called before looking.
    pub fn look(&self) {
        self.is_told.store(false, Ordering::SeqCst);
    }

    /// Watches these places; the longest wait until the next look, when it is to be shorter than
    /// the interval.
    pub fn follow(&mut self, places: Vec<Place>) -> Option<Duration> {
        let Some(watch) = &self.watch else { return Some(POLL_INTERVAL) };
        let set = watch.set(places);
        if set.is_new {
            // It may have changed between the look and now.
            return Some(DEBOUNCE.quiet);
        }
        if set.missed && !self.is_missing {
            info!("not every change is told of here: files are looked at every {POLL_INTERVAL:?}");
        }
        self.is_missing = set.missed;
        set.missed.then_some(POLL_INTERVAL)
    }
}

/// Tells the loop of changes, until nobody listens any more.
fn tell(
    watch: &Watch,
    is_told: &AtomicBool,
    sender: &Sender<Event>,
    clock: &dyn Clock,
) -> io::Result<()> {
    loop {
        let changes = watch.wait(WAIT_MAX, DEBOUNCE, clock)?;
        let is_any = !matches!(changes, Changes::Paths(paths) if paths.is_empty());
        if is_any && !is_told.swap(true, Ordering::SeqCst) && sender.send(Event::Files).is_err() {
            return Ok(());
        }
    }
}
