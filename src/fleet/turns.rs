//! Whose turn it is: which session a thread works on next.
//!
//! First those that have changed, the one that waits longest before the others, then those that
//! failed and have waited, then those that a daemon has let go, then engines that have rested, last
//! what is brought in, the newest first. What is sent whole never takes all threads, so that what
//! happens now does not wait for it.
//!
//! When it is told to stop, all engines are let go, and then what has changed and waits is sent.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::state;

use super::crew::{ENGINES_MAX, QUIET_TIME};
use super::keeper::{Keeper, LEFT_INTERVAL, Touch, seconds};
use super::scan::Key;
use super::work::{Job, Task};

/// Threads that send sessions whole: what is old, what failed, what was left.
const BRINGING_MAX: usize = 2;
/// Time for one session at a time.
const JOB_TIME_MAX: Duration = Duration::from_secs(6 * 3600);
/// Changes of one session that come together are sent together,
const QUIET: Duration = Duration::from_millis(10);
/// and those of one that never rests, this long after the first.
const RESTLESS_MAX: Duration = Duration::from_millis(500);

impl Touch {
    /// When it is time to send what has changed.
    pub fn due(&self, interval: Option<Duration>) -> Instant {
        match interval {
            Some(interval) => self.first + interval,
            None => (self.last + QUIET).min(self.first + RESTLESS_MAX),
        }
    }
}

impl Keeper<'_, '_, '_> {
    /// Gives jobs to threads while there are both.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn give_jobs(&mut self, now: Instant) -> Result<()> {
        while self.pool.has_room() {
            let Some((key, task)) = self.turn(now) else { return Ok(()) };
            let hand = self.crew.take(key);
            let (folder, has_old_agents) = self.catalogue.folder_of(key).unwrap_or_default();
            let job = Job {
                key,
                transcript: self.catalogue.transcript(key),
                folder,
                has_old_agents,
                hand,
                task,
                deadline: self.stop_by.unwrap_or(now + JOB_TIME_MAX),
                heeds_stop: self.stop_by.is_none() && task != Task::Release,
            };
            self.busy.insert(key, task);
            self.pool.give(job)?;
        }
        Ok(())
    }

    /// When the next job is to be given that is not to be given now.
    pub fn next_job(&self, now: Instant) -> Option<Instant> {
        if self.stop_by.is_some() {
            return None;
        }
        let may = self.troubles.pause(now).unwrap_or(now);
        let is_free = |key: &Key| !self.busy.contains_key(key);
        // A new one may have to wait until another one's engine is let go.
        let has_place = |key: &Key| {
            self.crew.has(*key) || self.crew.len() < ENGINES_MAX || self.pool.n_busy() == 0
        };
        let touched = self.touched.iter().filter(|(key, _)| is_free(key) && has_place(key));
        let touched = touched.map(|(key, touch)| {
            touch.due(self.watched.interval).max(self.crew.not_before(*key).unwrap_or(now))
        });
        let may_deliver = self.n_bringing() < BRINGING_MAX;
        let failed = self.troubles.all();
        let failed = failed.filter(|(key, _)| is_free(key) && (may_deliver || self.crew.has(*key)));
        let failed = failed.map(|(_, at)| at);
        let left = self.left.iter().filter(|(key, _)| is_free(key) && may_deliver);
        let left = left.map(|(_, at)| *at);
        let rested = self.crew.most_rested().map(|(_, since)| since + QUIET_TIME);
        // Whoever is busy now says so when that is over.
        let is_waited_for =
            self.pool.n_busy() > 0 && (self.troubles.is_down() || !self.pool.has_room());
        if is_waited_for {
            return None;
        }
        let backlog = (!self.backlog.is_empty() && may_deliver).then_some(now);
        let all = touched.chain(failed).chain(left).chain(rested).chain(backlog);
        all.min().map(|at| at.max(may))
    }

    fn turn(&mut self, now: Instant) -> Option<(Key, Task)> {
        if let Some(stop_by) = self.stop_by {
            return (now < stop_by).then(|| self.last_turn()).flatten();
        }
        let is_waited_for = self.troubles.is_down() && self.pool.n_busy() > 0;
        if is_waited_for || self.troubles.pause(now).is_some() {
            return None;
        }
        self.touched_turn(now)
            .or_else(|| self.failed_turn(now))
            .or_else(|| self.left_turn(now))
            .or_else(|| self.rested_turn(now))
            .or_else(|| self.backlog_turn())
    }

    fn touched_turn(&mut self, now: Instant) -> Option<(Key, Task)> {
        loop {
            let free = self.touched.iter().filter(|(key, _)| !self.busy.contains_key(key));
            let due = free.map(|(key, touch)| {
                let due = touch.due(self.watched.interval);
                (*key, due.max(self.crew.not_before(*key).unwrap_or(due)))
            });
            let key = first_due(due, now)?;
            let touch = self.touched.remove(&key)?;
            let is_failed = self.troubles.at(key).is_some_and(|at| at > now);
            if is_failed || (self.left.contains_key(&key) && self.is_held(key)) {
                // It is looked at again by then, with all that has been added.
                continue;
            }
            if self.crew.has(key) {
                return Some((key, Task::Follow));
            }
            if !self.has_changed(key, &touch) {
                continue;
            }
            if let Some(other) = self.relieved() {
                self.touched.insert(key, touch);
                return other;
            }
            let task = self.task_for(key);
            if task == Task::Deliver && self.n_bringing() >= BRINGING_MAX {
                self.backlog.push(key);
                continue;
            }
            return Some((key, task));
        }
    }

    /// Whether a session that was left has still a daemon.
    fn is_held(&self, key: Key) -> bool {
        state::holder(&self.base.paths.of_hooks(), &key.id()).is_some()
    }

    /// Whether a session that was touched looks otherwise than when it was last sent whole.
    fn has_changed(&mut self, key: Key, touch: &Touch) -> bool {
        if let Some(folder) = &touch.folder {
            self.catalogue.appear(key, folder);
        }
        let Some(looks) = self.catalogue.look(key) else {
            self.catalogue.remove(key);
            return false;
        };
        self.catalogue.get(key).is_some_and(|known| known.settled != looks.hash)
    }

    /// Before the end: engines first, then what has changed and has none. What failed and what
    /// others follow is found again by the next watch.
    fn last_turn(&mut self) -> Option<(Key, Task)> {
        if let Some((key, _)) = self.crew.most_rested() {
            return Some((key, Task::Release));
        }
        if self.troubles.is_down() {
            return None;
        }
        loop {
            let is_free = |key: &&Key| !self.busy.contains_key(key) && !self.crew.has(**key);
            let key = *self.touched.keys().find(is_free)?;
            let touch = self.touched.remove(&key)?;
            let is_elsewhere = self.troubles.at(key).is_some() || self.left.contains_key(&key);
            if !is_elsewhere && self.has_changed(key, &touch) {
                return Some((key, Task::Deliver));
            }
        }
    }

    fn failed_turn(&self, now: Instant) -> Option<(Key, Task)> {
        let may_deliver = self.n_bringing() < BRINGING_MAX;
        let may = |key: Key| !self.busy.contains_key(&key) && (may_deliver || self.crew.has(key));
        let key = first_due(self.troubles.all().filter(|(key, _)| may(*key)), now)?;
        Some((key, if self.crew.has(key) { Task::Follow } else { Task::Deliver }))
    }

    fn left_turn(&mut self, now: Instant) -> Option<(Key, Task)> {
        if self.n_bringing() >= BRINGING_MAX {
            return None;
        }
        let left = self.left.iter().filter(|(key, _)| !self.busy.contains_key(key));
        let key = first_due(left.map(|(key, at)| (*key, *at)), now)?;
        self.left.insert(key, now + LEFT_INTERVAL);
        Some((key, Task::Deliver))
    }

    fn rested_turn(&mut self, now: Instant) -> Option<(Key, Task)> {
        let (key, since) = self.crew.most_rested()?;
        (now >= since + QUIET_TIME).then_some((key, Task::Release))
    }

    fn backlog_turn(&mut self) -> Option<(Key, Task)> {
        if self.n_bringing() >= BRINGING_MAX {
            return None;
        }
        while let Some(key) = self.backlog.pop() {
            let is_elsewhere = self.busy.contains_key(&key)
                || self.crew.has(key)
                || self.troubles.at(key).is_some()
                || self.catalogue.get(key).is_some_and(|known| known.settled == known.looks.hash);
            if !is_elsewhere {
                return Some((key, self.task_for(key)));
            }
        }
        None
    }

    /// Sessions that were written to a short while ago are followed; others will rest.
    fn task_for(&self, key: Key) -> Task {
        let Some(known) = self.catalogue.get(key) else { return Task::Deliver };
        let age = seconds(self.base.clock.wall()) - known.looks.modified;
        let is_recent = age < i64::try_from(QUIET_TIME.as_secs()).unwrap_or(i64::MAX);
        match is_recent && self.crew.len() < ENGINES_MAX {
            true => Task::Follow,
            false => Task::Deliver,
        }
    }

    /// When there are as many engines as may be: the one to be let go first, or `None` in the inner
    /// value while threads work with all.
    fn relieved(&self) -> Option<Option<(Key, Task)>> {
        if self.crew.len() < ENGINES_MAX {
            return None;
        }
        Some(self.crew.most_rested().map(|(key, _)| (key, Task::Release)))
    }

    fn n_bringing(&self) -> usize {
        self.busy.values().filter(|task| **task == Task::Deliver).count()
    }
}

/// The one that waits longest of those whose time has come.
fn first_due(all: impl Iterator<Item = (Key, Instant)>, now: Instant) -> Option<Key> {
    let due = all.filter(|(_, at)| *at <= now);
    due.min_by_key(|(_, at)| *at).map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_longest_is_first() {
        let now = Instant::now();
        let key = |n: u32| Key::of(&format!("{n:08}-1111-4111-8111-111111111111")).unwrap();
        let before = |seconds| now - Duration::from_secs(seconds);
        let all = [(key(1), before(1)), (key(2), before(3)), (key(3), before(2))];
        assert_eq!(first_due(all.into_iter(), now), Some(key(2)));
        assert_eq!(first_due(all.into_iter(), before(3)), Some(key(2)));
        assert_eq!(first_due(all.into_iter(), before(4)), None);
    }
}
