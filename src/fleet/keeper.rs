//! The loop: what has happened, what is to be done next, and how long nothing is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use log::{info, warn};

use crate::config::{self, Account};
use crate::error::{Context, Result};
use crate::state::{self, LastError};
use crate::sys;
use crate::time;
use crate::watch::Changes;

use super::catalogue::Catalogue;
use super::crew::Crew;
use super::files::Files;
use super::memory::{self, Memory};
use super::pool::Pool;
use super::scan::Key;
use super::standing::{Phase, Standing};
use super::telling::Telling;
use super::troubles::Troubles;
use super::work::{Done, Ending, Task};
use super::{Base, Event, Watched};

/// Time between two looks at everything, in case that a change was not told of.
const SCAN_INTERVAL: Duration = Duration::from_secs(3600);
/// The shortest time between two such looks where changes are not told of,
const POLL_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// the longest,
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// and how much longer the pause is than the look.
const POLL_PAUSE: u32 = 50;
/// Looks that new folders may ask for, one after the other.
const LOOKS_MAX: usize = 8;
/// Time between two looks at whether a daemon still follows its session.
pub const LEFT_INTERVAL: Duration = Duration::from_secs(30);
/// How long threads wait for further work.
const REST_TIME: Duration = Duration::from_secs(2);
/// How long they take to go.
const GOING_TIME: Duration = Duration::from_millis(200);
/// Time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(200);
/// Time between two writings of what is reported.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);
/// Time from being told to end to the end.
const STOP_TIME_MAX: Duration = Duration::from_secs(29);
/// How long threads may take then to give back what they have.
const END_TIME_MAX: Duration = Duration::from_secs(1);
/// How long the loop sleeps at once when nothing happens.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// A session that has changed.
#[derive(Debug, Clone)]
pub struct Touch {
    pub first: Instant,
    pub last: Instant,
    /// The project folder in which it was seen; `None` when it is where it was.
    pub folder: Option<PathBuf>,
}

/// See the module.
pub struct Keeper<'scope, 'env, 'run> {
    pub watched: &'run Watched,
    pub base: &'env Base<'env>,
    pub account: Account,
    pub catalogue: Catalogue,
    pub crew: Crew,
    pub troubles: Troubles,
    pub pool: Pool<'scope, 'env>,
    files: Files,
    events: Receiver<Event>,
    report: &'run mut dyn FnMut(&Standing),
    memory: Option<Memory>,
    pub touched: BTreeMap<Key, Touch>,
    /// Sessions to be brought in, the newest last.
    pub backlog: Vec<Key>,
    /// Those of them that are not done, with their bytes.
    bringing: BTreeMap<Key, u64>,
    /// Sessions with which threads work.
    pub busy: BTreeMap<Key, Task>,
    /// Sessions that are excluded, or deleted from the backend.
    unwanted: BTreeSet<Key>,
    /// Sessions that are not brought in for their age.
    older: BTreeSet<Key>,
    /// Sessions that others follow, and when they are looked at again.
    pub left: BTreeMap<Key, Instant>,
    scan_at: Instant,
    rest_at: Option<Instant>,
    /// Other folders are to be watched.
    is_elsewhere: bool,
    /// It was told to stop, and must have ended by then.
    pub stop_by: Option<Instant>,
    pub standing: Standing,
    reported: (Standing, Instant),
    saved: (Standing, Instant),
    pub telling: Telling,
}

impl<'scope, 'env, 'run> Keeper<'scope, 'env, 'run> {
    pub fn new(
        watched: &'run Watched,
        base: &'env Base<'env>,
        account: Account,
        pool: Pool<'scope, 'env>,
        files: Files,
        events: Receiver<Event>,
        report: &'run mut dyn FnMut(&Standing),
    ) -> Keeper<'scope, 'env, 'run> {
        let folders = match watched.folders.is_empty() {
            true => base.paths.claude.clone(),
            false => watched.folders.clone(),
        };
        let roots = folders.iter().map(|folder| folder.join("projects")).collect();
        let now = base.clock.now();
        let standing = Standing {
            pid: std::process::id(),
            started_at: time::rfc3339(base.clock.wall()),
            folders,
            ..Standing::default()
        };
        Keeper {
            watched,
            base,
            account,
            catalogue: Catalogue::new(roots),
            crew: Crew::default(),
            troubles: Troubles::new(base.seed),
            pool,
            files,
            events,
            report,
            memory: None,
            touched: BTreeMap::new(),
            backlog: Vec::new(),
            bringing: BTreeMap::new(),
            busy: BTreeMap::new(),
            unwanted: BTreeSet::new(),
            older: BTreeSet::new(),
            left: BTreeMap::new(),
            scan_at: now + SCAN_INTERVAL,
            rest_at: None,
            is_elsewhere: false,
            stop_by: None,
            reported: (Standing::default(), now),
            saved: (Standing::default(), now),
            telling: Telling::default(),
            standing,
        }
    }

    /// Follows all sessions until it is told to stop.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn run(mut self) -> Result<()> {
        self.begin();
        loop {
            let now = self.base.clock.now();
            if now >= self.scan_at && self.stop_by.is_none() {
                self.scan();
            }
            self.give_jobs(now)?;
            self.watch_folders(now);
            self.tell(now);
            self.tell_backend(now)?;
            if self.stop_by.is_some() && self.pool.n_busy() == 0 {
                return Ok(());
            }
            if self.stop_by.is_some_and(|by| now >= by + END_TIME_MAX) {
                // A request hangs. It is as if we were killed in the middle of it.
                warn!("ending without what is still being sent");
                (self.base.give_up)();
            }
            let wait = self.wait(now);
            match self.events.recv_timeout(wait) {
                Ok(event) => self.heed(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("a sender is held beside the receiver")
                }
            }
            while let Ok(event) = self.events.try_recv() {
                self.heed(event);
            }
            self.rest();
        }
    }

    /// Finds out what there is, and what of it the backend lacks.
    fn begin(&mut self) {
        let known = memory::load(self.base.paths, &self.account);
        let since = self.watched.since.and_then(|age| self.base.clock.wall().checked_sub(age));
        let since = since.map_or(i64::MIN, seconds);
        self.look();
        let mut settled: Vec<(Key, u64)> = Vec::new();
        for (key, session) in self.catalogue.sessions() {
            let hash = session.looks.hash;
            let is_known = known.contains(&hash);
            if is_known || session.looks.modified < since {
                settled.push((key, hash));
            }
            if !is_known && session.looks.modified < since {
                self.older.insert(key);
            }
        }
        for (key, hash) in &settled {
            self.catalogue.settle(*key, *hash);
        }
        let remembered = settled.iter().map(|(_, hash)| *hash).filter(|hash| known.contains(hash));
        self.begin_memory(remembered.collect::<BTreeSet<u64>>());
        // What an earlier process has left undone, wherever it is.
        let pending = state::sessions(self.base.paths).unwrap_or_default();
        let pending = pending.iter().filter_map(|id| Key::of(id.as_str()));
        let mut queue: Vec<(i64, Key)> = Vec::new();
        for key in pending {
            match self.catalogue.get(key) {
                Some(_) => {
                    self.catalogue.settle(key, 0);
                    self.older.remove(&key);
                }
                None => queue.push((i64::MIN, key)),
            }
        }
        let sessions = self.catalogue.sessions();
        let lacking = sessions.filter(|(_, session)| session.settled != session.looks.hash);
        queue.extend(lacking.map(|(key, session)| (session.looks.modified, key)));
        queue.sort_unstable();
        for (_, key) in &queue {
            let bytes = self.catalogue.get(*key).map_or(0, |session| session.looks.bytes);
            self.bringing.insert(*key, bytes);
        }
        self.standing.to_bring = queue.len() as u64;
        self.standing.bytes = self.bringing.values().sum();
        self.backlog = queue.into_iter().map(|(_, key)| key).collect();
        info!("{} of {} sessions are to be brought in", self.backlog.len(), self.catalogue.len());
    }

    fn begin_memory(&mut self, hashes: BTreeSet<u64>) {
        let memory = Memory::begin(self.base.paths, &self.account, hashes.into_iter());
        let memory = memory.inspect_err(|error| warn!("what is delivered is not noted: {error}"));
        self.memory = memory.ok();
    }

    /// Looks at everything, and watches all folders that there are. Returns the sessions that look
    /// otherwise.
    fn look(&mut self) -> BTreeSet<Key> {
        let started = self.base.clock.now();
        let mut changed = BTreeSet::new();
        for _ in 0..LOOKS_MAX {
            changed.extend(self.catalogue.scan());
            self.is_elsewhere = false;
            if !self.set_folders() {
                break;
            }
        }
        for error in self.catalogue.errors() {
            warn!("{error}");
        }
        let named = self.watched.folders.iter();
        let is_empty = |folder: &&PathBuf| !folder.join("projects").is_dir();
        self.standing.empty_folders = named.filter(is_empty).cloned().collect();
        let now = self.base.clock.now();
        let took = now.saturating_duration_since(started);
        let pause = (took * POLL_PAUSE).clamp(POLL_INTERVAL_MIN, POLL_INTERVAL_MAX);
        self.scan_at = now + if self.files.is_blind() { pause } else { SCAN_INTERVAL };
        changed
    }

    /// Looks at everything once more, for what no event has told of.
    fn scan(&mut self) {
        self.take_account();
        let changed = self.look();
        let sessions = self.catalogue.sessions();
        let lacking = sessions.filter(|(key, session)| match self.crew.has(*key) {
            true => changed.contains(key),
            false => session.settled != session.looks.hash,
        });
        let lacking: Vec<Key> = lacking.map(|(key, _)| key).collect();
        let waiting: BTreeSet<Key> = self.backlog.iter().copied().collect();
        let now = self.base.clock.now();
        for key in lacking {
            let is_waiting = waiting.contains(&key)
                || self.busy.contains_key(&key)
                || self.left.contains_key(&key) && !changed.contains(&key)
                || self.troubles.at(key).is_some();
            if !is_waiting {
                self.touch(key, None, now);
            }
        }
    }

    /// Another backend, or another user of it, knows nothing of what the last one has.
    fn take_account(&mut self) {
        let account = config::load(self.base.paths).and_then(|config| config.account());
        let Ok(account) = account else { return };
        if account != self.account {
            self.account = account;
            self.pool.forget_reports();
            self.telling = Telling::default();
            let known = memory::load(self.base.paths, &self.account);
            self.catalogue.settle_by(&known);
            self.begin_memory(known);
            let now = self.base.clock.now();
            self.scan_at = now;
            self.crew.keys().into_iter().for_each(|key| self.touch(key, None, now));
        }
    }

    /// What was not wanted is asked about again.
    fn reconsider(&mut self) {
        for key in std::mem::take(&mut self.unwanted) {
            self.catalogue.settle(key, 0);
        }
    }

    fn set_folders(&mut self) -> bool {
        let (roots, projects) = self.catalogue.folders();
        let mut contents = self.crew.folders();
        contents.extend(projects.map(Path::to_owned));
        let mut names = roots.to_vec();
        // A configuration that is changed counts at once.
        names.extend(self.base.paths.config.parent().map(Path::to_owned));
        self.files.set(&names, contents, &self.base.paths.config)
    }

    /// Watches folders of agents that have come. What is in them by then is looked at.
    fn watch_folders(&mut self, now: Instant) {
        if std::mem::take(&mut self.is_elsewhere) && self.set_folders() {
            for key in self.crew.keys() {
                self.touch(key, None, now);
            }
        }
    }

    fn heed(&mut self, event: Event) {
        let now = self.base.clock.now();
        match event {
            Event::Stop(at) => {
                info!("stopping");
                let stop_by = *self.stop_by.get_or_insert(at + STOP_TIME_MAX);
                self.pool.stop.get_or_init(|| stop_by);
            }
            Event::Wake => self.hurry(now),
            Event::Files(Changes::Everything) => self.scan_at = now,
            Event::Files(Changes::Paths(paths)) => {
                paths.iter().for_each(|path| self.changed(path, now));
            }
            Event::Blind => {
                self.files.lose();
                self.scan_at = now;
            }
            Event::Done(number, done) => {
                self.pool.finished(number);
                self.done(*done, now);
            }
            Event::Told(number, has_arrived) => {
                self.pool.finished(number);
                self.rest_at = Some(now + REST_TIME);
                self.telling.end(has_arrived);
            }
        }
    }

    /// Somebody wants everything to be looked at now.
    fn hurry(&mut self, now: Instant) {
        self.troubles.relent(now);
        self.reconsider();
        self.scan_at = now;
        for key in self.crew.with_notes(self.base.paths) {
            self.touch(key, None, now);
        }
        self.left.values_mut().for_each(|at| *at = now);
    }

    fn changed(&mut self, path: &Path, now: Instant) {
        if let Some((key, folder)) = self.catalogue.session_of(path) {
            self.touch(key, Some(folder), now);
            // A folder of agents, perhaps, which is to be watched as well.
            self.is_elsewhere |=
                self.crew.has(key) && path.extension().is_none_or(|ending| ending != "jsonl");
        } else if path == self.base.paths.config {
            self.hurry(now);
        } else if self.catalogue.is_above_sessions(path) {
            self.scan_at = now;
        }
    }

    fn touch(&mut self, key: Key, folder: Option<PathBuf>, now: Instant) {
        self.crew.stir(key, now);
        let touch =
            self.touched.entry(key).or_insert(Touch { first: now, last: now, folder: None });
        touch.last = now;
        touch.folder = folder.or(touch.folder.take());
    }

    fn done(&mut self, done: Done, now: Instant) {
        let Done { key, task, hand, ending, looks, account } = done;
        self.busy.remove(&key);
        self.rest_at = Some(now + REST_TIME);
        self.unwanted.remove(&key);
        self.older.remove(&key);
        let is_frugal = matches!(ending, Ending::Complete { is_frugal: true });
        let is_kept = hand.is_some();
        match hand {
            Some(hand) => {
                if hand.has_new_notes(self.base.paths) {
                    // They have come while the thread was at work, as did their signal.
                    self.touch(key, None, now);
                }
                self.is_elsewhere |= self.crew.put(key, hand, is_frugal, now);
            }
            None => self.crew.remove(key),
        }
        match ending {
            Ending::Complete { .. } => {
                self.troubles.success(key);
                self.left.remove(&key);
                if !self.is_of_account(account) {
                    self.touch(key, None, now);
                } else if !is_kept {
                    self.settle(key, looks);
                }
                self.brought(key);
            }
            Ending::Left => {
                self.troubles.forget(key);
                self.left.insert(key, now + LEFT_INTERVAL);
                self.brought(key);
            }
            Ending::Unwanted => {
                self.troubles.forget(key);
                self.left.remove(&key);
                self.catalogue.settle(key, looks);
                self.unwanted.insert(key);
                self.brought(key);
            }
            // What is brought in goes on with the next watch.
            Ending::Interrupted if self.stop_by.is_some() && self.bringing.contains_key(&key) => {}
            Ending::Interrupted => {
                self.left.remove(&key);
                self.touch(key, None, now);
            }
            Ending::Failed(at_least, why) => {
                self.troubles.failure(key, at_least, now);
                self.failed(key, why);
            }
            Ending::Refused(wait, why) => {
                self.troubles.refusal(key, wait, now);
                self.failed(key, why);
            }
        }
        if task == Task::Release && self.stop_by.is_some() {
            self.crew.remove(key);
        }
    }

    /// Whether what was asked says something of the backend that is used now; nobody may have been.
    fn is_of_account(&mut self, asked: Option<Account>) -> bool {
        let Some(asked) = asked.filter(|asked| *asked != self.account) else { return true };
        self.take_account();
        asked == self.account
    }

    /// The backend has all of a session that looks like this.
    fn settle(&mut self, key: Key, looks: u64) {
        if looks == 0 {
            return;
        }
        self.catalogue.settle(key, looks);
        let noted = self.memory.as_mut().map_or(Ok(()), |memory| memory.add(looks));
        if let Err(error) = noted {
            warn!("what is delivered cannot be noted: {error}");
        }
    }

    fn brought(&mut self, key: Key) {
        if let Some(bytes) = self.bringing.remove(&key) {
            self.standing.brought += 1;
            self.standing.bytes_done += bytes;
        }
    }

    fn failed(&mut self, key: Key, why: String) {
        warn!("session {}: {why}", key.id());
        let at = time::rfc3339(self.base.clock.wall());
        self.standing.last_error = Some(LastError { at, what: why, hint: None });
    }

    /// Says what is being done, when that has changed.
    fn tell(&mut self, now: Instant) {
        let is_bringing = self.bringing.keys().any(|key| self.troubles.at(*key).is_none());
        let is_waiting = self.troubles.is_down() || self.troubles.pause(now).is_some();
        let standing = &mut self.standing;
        standing.phase = match is_waiting {
            _ if self.stop_by.is_some() => Phase::Stopping,
            true => Phase::Waiting,
            false if is_bringing => Phase::BringingIn,
            false => Phase::Following,
        };
        standing.sessions = self.catalogue.len() as u64;
        standing.followed = self.crew.len() as u64;
        standing.left = self.left.len() as u64;
        standing.unwanted = self.unwanted.len() as u64;
        standing.older = self.older.len() as u64;
        standing.unreadable = self.catalogue.errors().len() as u64;
        standing.failed = self.troubles.len() as u64;
        standing.waiting = (self.bringing.len().max(self.troubles.len())) as u64;
        let is_new = |before: &(Standing, Instant), interval| {
            let is_other = before.0.phase != standing.phase;
            let interval = if is_other { REPORT_INTERVAL } else { interval };
            before.0 != *standing && (before.0.pid == 0 || now >= before.1 + interval)
        };
        if is_new(&self.reported, REPORT_INTERVAL) {
            self.reported = (standing.clone(), now);
            (self.report)(standing);
        }
        if is_new(&self.saved, SAVE_INTERVAL) {
            self.saved = (standing.clone(), now);
            // Writing it has cost memory, which is given back when nothing follows.
            self.rest_at.get_or_insert(now + REST_TIME);
            let updated_at = time::rfc3339(self.base.clock.wall());
            let written = Standing { updated_at, ..standing.clone() }.save(self.base.paths);
            if let Err(error) = written.context(|| "write watch.json".into()) {
                warn!("{error}");
            }
        }
    }

    /// How long nothing is to be done.
    fn wait(&self, now: Instant) -> Duration {
        let mut next = self.next_job(now).unwrap_or(now + WAIT_MAX);
        if self.stop_by.is_none() {
            next = next.min(self.scan_at);
        }
        if self.reported.0 != self.standing {
            next = next.min(self.reported.1 + REPORT_INTERVAL);
        }
        if self.saved.0 != self.standing {
            let is_other = self.saved.0.phase != self.standing.phase;
            next = next.min(self.saved.1 + if is_other { REPORT_INTERVAL } else { SAVE_INTERVAL });
        }
        next = next.min(self.tell_at(&self.machine_report(), now).unwrap_or(next));
        let ends = self.stop_by.map(|by| [by, by + END_TIME_MAX]).into_iter().flatten();
        // What is over needs no waiting for.
        next = next.min(ends.filter(|at| *at > now).min().unwrap_or(next));
        next = next.min(self.rest_at.unwrap_or(next));
        next.saturating_duration_since(now)
    }

    /// Lets the threads go when nothing has been done for a while, and gives memory back.
    fn rest(&mut self) {
        let now = self.base.clock.now();
        if self.rest_at.is_none_or(|at| now < at) {
            return;
        }
        if self.pool.n_busy() > 0 {
            self.rest_at = Some(now + REST_TIME);
        } else if self.pool.is_awake() {
            // What the threads leave is given back once they have gone.
            self.pool.rest();
            self.base.redactors.forget();
            self.backlog.shrink_to_fit();
            self.rest_at = Some(now + GOING_TIME);
        } else {
            self.rest_at = None;
            sys::memory::release();
        }
    }
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
