//! File events of Claude's folders: a thread that waits for them and tells the loop which paths
//! have changed.
//!
//! Folders are watched, and no single file but the configuration, so that a session costs nothing
//! of the system's limit. The thread tells of the next changes once the last ones were taken, so
//! that what waits is bounded: behind that the kernel says that events were lost, and everything is
//! looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use log::{info, warn};

use crate::daemon::thread;
use crate::error::Result;
use crate::time::Clock;
use crate::watch::{Changes, Debounce, Interest, Place, Watch};

use super::Event;

/// Changes that come together are told together; each session has a quiet time of its own besides.
const GATHER: Debounce =
    Debounce { quiet: Duration::from_millis(1), longest: Duration::from_millis(5) };
/// How long the thread sleeps at once when nothing happens.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// File events, where there are any.
#[derive(Debug)]
pub struct Files {
    /// `None` where there are no file events.
    watch: Option<Arc<Watch>>,
    /// Not all changes are told of: files must be looked at now and then.
    is_blind: bool,
}

impl Files {
    /// Starts the thread, which watches nothing yet.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(sender: SyncSender<Event>, clock: Arc<dyn Clock + Send + Sync>) -> Result<Files> {
        let watch = Watch::new().inspect_err(|error| warn!("there are no file events: {error}"));
        let Ok(watch) = watch.map(Arc::new) else {
            return Ok(Files { watch: None, is_blind: true });
        };
        let own = Arc::clone(&watch);
        thread("files", move || {
            loop {
                match own.wait(WAIT_MAX, GATHER, &*clock) {
                    Ok(Changes::Paths(paths)) if paths.is_empty() => {}
                    Ok(changes) => {
                        if sender.send(Event::Files(changes)).is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        warn!("file events have ended: {error}");
                        let _ = sender.send(Event::Blind);
                        return;
                    }
                }
            }
        })?;
        Ok(Files { watch: Some(watch), is_blind: false })
    }

    /// Watches these folders and this file and no others. True when some of them were not watched
    /// before: they must be looked at once more.
    pub fn set(&mut self, names: &[PathBuf], contents: BTreeSet<PathBuf>, file: &Path) -> bool {
        let Some(watch) = &self.watch else { return false };
        let places = names.iter().cloned().map(|path| Place { path, interest: Interest::Names });
        let further = contents.into_iter();
        let further = further.map(|path| Place { path, interest: Interest::Contents });
        let file = Place { path: file.to_owned(), interest: Interest::File };
        let set = watch.set(places.chain(further).chain([file]));
        if set.missed && !self.is_blind {
            info!("not every change is told of here: files are looked at now and then");
        }
        self.is_blind = set.missed;
        set.is_new
    }

    /// Files must be looked at now and then.
    pub fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// There are no file events any more.
    pub fn lose(&mut self) {
        self.watch = None;
        self.is_blind = true;
    }
}
