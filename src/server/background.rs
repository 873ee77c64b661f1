//! The threads behind the scenes: one keeps the index, one brings blocks to rest and tends the log.
//!
//! They hear of appends by the store's bell and take one bounded step after the other, so that they
//! end promptly. What they do can always be done later or again: an error is logged, and the file
//! that it was about is left alone until the next start.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::store::{Found, QUIET_TIME, Retention, Step, Store};
use crate::error::{Context, Result};

/// Pause between two steps of the index: while appends come without a gap, it costs them little.
const INDEX_INTERVAL: Duration = Duration::from_millis(10);
/// Pause while history is brought in: uuids lie all over the index, so that a step of eight times
/// the lines writes less than four times the pages.
const HISTORY_INTERVAL: Duration = Duration::from_millis(200);
/// Pause between two steps when there is more to index than a step takes.
const TURN_INTERVAL: Duration = Duration::from_millis(1);
/// Pause between two looks at the log and at blocks while lines arrive.
const TEND_INTERVAL: Duration = Duration::from_secs(1);
/// Nobody rings for what another process has stored: it is found after this time.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// How often it is looked whether sessions have become too old.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(3600);
/// Damaged files that are remembered.
const DAMAGED_MAX: usize = 1000;

/// The running threads.
#[derive(Debug)]
pub struct Background {
    store: Arc<Store>,
    threads: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts the threads.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(store: &Arc<Store>, now: fn() -> SystemTime) -> Result<Background> {
        let mut background = Background { store: Arc::clone(store), threads: Vec::new() };
        let (indexer, merger) = (Arc::clone(store), Arc::clone(store));
        background.spawn("index", move || index(&indexer))?;
        background.spawn("merge", move || merge(&merger, now))?;
        Ok(background)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        self.threads.push(thread.context(|| "start a thread".into())?);
        Ok(())
    }
}

impl Drop for Background {
    /// Ends the threads: each is at most one step away from it.
    fn drop(&mut self) {
        self.store.wake.stop();
        for thread in self.threads.drain(..) {
            // A panic was told when it happened.
            let _ = thread.join();
        }
    }
}

fn index(store: &Store) {
    let (mut damaged, mut is_tidy) = (HashSet::new(), false);
    while !store.wake.is_over() {
        let rings = store.wake.rings();
        match next_step(store, &mut damaged, &mut is_tidy) {
            // Whatever comes meanwhile is written together.
            Ok(Step::Some) => store.wake.pause(INDEX_INTERVAL),
            Ok(Step::Many) => store.wake.pause(HISTORY_INTERVAL),
            // Whoever waits to append gets their turn.
            Ok(Step::Full) => store.wake.pause(TURN_INTERVAL),
            Ok(Step::Nothing) => store.wake.wait(rings, LOOK_INTERVAL),
            Err(error) => {
                log::warn!("{error}");
                store.wake.pause(LOOK_INTERVAL);
            }
        }
        bound(&mut damaged);
    }
}

/// Indexes some lines, or tidies the index when there are none. What was removed goes first, also
/// when a removal was cut off.
fn next_step(store: &Store, damaged: &mut HashSet<i64>, is_tidy: &mut bool) -> Result<Step> {
    store.purge()?;
    match store.index_step(damaged)? {
        Step::Nothing if *is_tidy => Ok(Step::Nothing),
        Step::Nothing => {
            *is_tidy = !store.tidy_words()?;
            Ok(Step::Full)
        }
        step => {
            *is_tidy = false;
            Ok(step)
        }
    }
}

fn merge(store: &Store, now: fn() -> SystemTime) {
    let mut damaged = HashSet::new();
    let mut looked = None;
    while !store.wake.is_over() {
        let rings = store.wake.rings();
        let wait = merge_what_is_due(store, now, &mut damaged);
        if let Err(error) = expire_what_is_due(store, now(), &mut looked) {
            log::warn!("{error}");
        }
        if let Err(error) = store.tend_log() {
            log::warn!("{error}");
        }
        // Whoever reads the log does not do so for long.
        let wait = if store.is_log_old() { wait.min(TEND_INTERVAL) } else { wait };
        store.wake.wait(rings, wait);
        store.wake.pause(TEND_INTERVAL);
    }
}

/// How long it may take until there is something to do again, unless lines arrive.
fn merge_what_is_due(
    store: &Store,
    now: fn() -> SystemTime,
    damaged: &mut HashSet<i64>,
) -> Duration {
    // What others are faster with, or what was appended to again, is looked at the next time.
    let mut missed = HashSet::new();
    while !store.wake.is_over() {
        let quiet_since = now() - QUIET_TIME;
        let except: HashSet<i64> = damaged.union(&missed).copied().collect();
        match store.next_to_merge(quiet_since, &except) {
            Ok(Found::File(file)) => match store.merge_blocks(file, quiet_since) {
                Ok(true) => {
                    // Large steps make a large log.
                    if let Err(error) = store.tend_log() {
                        log::warn!("{error}");
                    }
                }
                Ok(false) => {
                    missed.insert(file);
                }
                Err(error) => {
                    log::warn!("merge file {file}: {error}");
                    damaged.insert(file);
                    bound(damaged);
                }
            },
            Ok(Found::Later(updated_at)) => {
                let updated_at = Duration::from_micros(u64::try_from(updated_at).unwrap_or(0));
                let due = (UNIX_EPOCH + updated_at).duration_since(quiet_since);
                return due.unwrap_or_default().clamp(TEND_INTERVAL, LOOK_INTERVAL);
            }
            Ok(Found::Nothing) => return LOOK_INTERVAL,
            Err(error) => {
                log::warn!("{error}");
                return LOOK_INTERVAL;
            }
        }
    }
    Duration::ZERO
}

/// Removes sessions that have become too old, when that was set anew, or not looked after for a
/// while: `looked` is what was set then, and when that was.
fn expire_what_is_due(
    store: &Store,
    now: SystemTime,
    looked: &mut Option<(Retention, SystemTime)>,
) -> Result<()> {
    let Some(retention) = store.retention() else { return Ok(()) };
    let is_recent = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age < EXPIRY_INTERVAL);
    if looked.is_some_and(|(before, at)| before == retention && is_recent(at)) {
        return Ok(());
    }
    // What fails now is tried again with the next look, not at once.
    *looked = Some((retention, now));
    while store.retention() == Some(retention) && !store.wake.is_over() {
        if store.expire(retention, now)? == 0 {
            break;
        }
    }
    Ok(())
}

/// Damaged files are left alone; `confab-server check` tells what is wrong with them.
fn bound(damaged: &mut HashSet<i64>) {
    if damaged.len() > DAMAGED_MAX {
        damaged.clear();
    }
}
