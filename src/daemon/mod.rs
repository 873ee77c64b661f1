//! The background daemon of one session: a plain loop on one channel.
//!
//! Who wakes it is in `events`, what it does with a session in `follower`, when it acts next in
//! `schedule`. It ends when Claude Code ends, when the session ends, when it is told to, or when
//! nobody has needed it for a day. What it could not deliver by then stays *pending*, for the next
//! daemon of any session.

mod events;
mod follower;
mod links;
mod live;
mod pending;
mod strays;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};

use crate::config::{self, Account, Overrides};
use crate::error::{Error, Result};
use crate::files::Paths;
use crate::remote::Backend;
use crate::schedule::{self, Schedule};
use crate::state::{Attempt, Launch, Lock, try_lock};
use crate::sys::{self, process::Process};
use crate::time::Clock;

use live::Live;

pub use events::{Event, Events};
pub use follower::{Finished, Follower, Outcome};
pub use pending::{DELIVERY_TIME_MAX, Delivery, deliver, deliver_launch};

/// The longest that a pass may take before events are looked at again.
const PASS_TIME_MAX: Duration = Duration::from_secs(600);
/// First wait for a transcript that is not there yet; it doubles.
const APPEAR_WAIT_MIN: Duration = Duration::from_millis(50);
/// Longest wait for a transcript that is expected.
const APPEAR_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a transcript is expected any moment. Behind that it is looked for once an interval.
const APPEAR_TIME_MAX: Duration = Duration::from_secs(60);
/// Time from being told to end to the end.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(30);
/// How long the files must not change before they are taken for final.
const QUIET_TIME: Duration = Duration::from_millis(500);
/// The longest that files are waited for to become quiet.
const QUIET_TIME_MAX: Duration = Duration::from_secs(5);
/// Time between two questions near the end for a session that the backend did not know.
const MISSING_WAIT: Duration = Duration::from_secs(2);
/// How often files are looked at while they are waited for to become quiet.
const QUIET_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// How long a file that never appeared is waited for at the end while Claude Code still runs.
const LATE_FILE_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a daemon without a known parent lives after the last change.
const IDLE_TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// A wait for which it is worth giving memory back.
const LONG_WAIT_MIN: Duration = Duration::from_millis(100);
/// How long a live daemon keeps its memory after it has sent something.
const LIVE_REST: Duration = Duration::from_secs(2);
/// Time between two looks at sessions that others have left pending.
const PENDING_INTERVAL: Duration = Duration::from_secs(60);

/// Opens a connection to an account's backend.
pub type Connect<'a> = &'a dyn Fn(&Account) -> Result<Box<dyn Backend>>;

/// What surrounds a daemon; `main` fills it in.
pub struct World<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// Tells the time.
    pub clock: Arc<dyn Clock + Send + Sync>,
    /// For jitter.
    pub seed: u64,
    /// Intervals from the environment.
    pub overrides: Overrides,
    /// Opens a connection.
    pub connect: Connect<'a>,
    /// This program, to hand a session over to a new daemon.
    pub executable: PathBuf,
    /// The environment of such a daemon.
    pub environment: Vec<(OsString, OsString)>,
}

/// Follows a session to its end. `lock` is the lock that the hook has taken, when it was handed
/// over. Signals must be blocked.
///
/// # Errors
/// When the lock cannot be had or a thread not be started. Everything else is retried.
pub fn run(launch: Launch, lock: Option<File>, world: &World<'_>) -> Result<()> {
    let id = launch.id.clone();
    let inherited = lock.and_then(|file| Lock::inherited(world.paths, &id, file));
    let lock = match inherited {
        Some(lock) => lock,
        None => match try_lock(world.paths, &id) {
            Ok(Attempt::Taken(lock)) => lock,
            Ok(Attempt::Busy) => {
                info!("session {id} is followed already");
                return Ok(());
            }
            Err(error) => return Err(Error::new(format!("lock session {id}")).caused_by(error)),
        },
    };
    let events = Events::start(Arc::clone(&world.clock))?;
    let Some(mut follower) = Follower::open(world, id, lock, Some(launch))? else {
        return Ok(());
    };
    // A full disk must not keep lines from being sent: the state is tried again with each pass.
    if let Err(error) = follower.settle_in(world) {
        warn!("{error}");
    }
    info!("following {}", follower.record().transcript_path.display());
    Daemon::new(world, events)?.follow(follower)
}

/// Why following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The session has ended, or its process.
    Session,
    /// This daemon was told to stop.
    Stop,
    /// The backend has deleted the session.
    Deleted,
    /// Somebody removed the lock.
    LockLost,
}

/// A transcript that is expected any moment.
struct Appearing {
    wait: Duration,
    until: Instant,
}

/// What is between two looks.
#[derive(Debug, Clone, Copy)]
struct Pause {
    wait: Duration,
    /// Something was sent, or tried to be.
    after_work: bool,
    /// File events end it.
    heeds_files: bool,
}

struct Daemon<'a> {
    world: &'a World<'a>,
    events: Events,
    schedule: Schedule,
    /// File events, where the configuration asks for them.
    live: Option<Live>,
    /// Events that came while a pass was made.
    waiting: VecDeque<Event>,
    /// This daemon was told to stop while it was ending a session.
    is_stopped: bool,
    /// When the event came that led to the end.
    end_at: Instant,
    pending_at: Instant,
    active_at: Instant,
}

impl<'a> Daemon<'a> {
    fn new(world: &'a World<'a>, events: Events) -> Result<Daemon<'a>> {
        let config = config::load(world.paths).unwrap_or_default();
        let (interval, jitter_max) = config.interval(&world.overrides);
        let live = Live::start(&config, events.sender(), Arc::clone(&world.clock))?;
        let now = world.clock.now();
        Ok(Daemon {
            world,
            events,
            schedule: Schedule::new(interval, jitter_max, world.seed),
            live,
            waiting: VecDeque::new(),
            is_stopped: false,
            end_at: now,
            pending_at: now,
            active_at: now,
        })
    }

    fn follow(mut self, mut follower: Follower) -> Result<()> {
        loop {
            self.events.watch(follower.parent())?;
            let end = self.follow_to_end(&mut follower);
            info!("ending: {end:?}");
            match end {
                End::LockLost => return Ok(()),
                End::Deleted => {
                    follower.bury(self.world);
                    return Ok(());
                }
                End::Session | End::Stop => {}
            }
            match self.shut_down(follower, end) {
                Some(resumed) => follower = resumed,
                None => return Ok(()),
            }
        }
    }

    /// Why the session is no longer this daemon's to follow.
    fn taken_away(&self, follower: &Follower) -> Option<End> {
        if !follower.holds_lock() {
            warn!("the lock file was removed; another daemon may follow this session");
            return Some(End::LockLost);
        }
        follower.is_deleted(self.world).then_some(End::Deleted)
    }

    /// Sends what is new, again and again, until there is a reason to end.
    fn follow_to_end(&mut self, follower: &mut Follower) -> End {
        let until = self.world.clock.now() + APPEAR_TIME_MAX;
        let mut appearing = Appearing { wait: APPEAR_WAIT_MIN, until };
        let mut woken_at = None;
        loop {
            if let Some(end) = self.taken_away(follower) {
                return end;
            }
            match follower.read_notes(self.world) {
                Ok(true) => self.active_at = self.world.clock.now(),
                Ok(false) => {}
                Err(error) => warn!("the inbox cannot be read: {error}"),
            }
            if let Err(error) = self.events.watch(follower.parent()) {
                warn!("{error}");
            }
            // The event may have been spent on ending the session before it was resumed.
            let parent_is_gone = follower.parent().is_some_and(|parent| !parent.is_alive())
                && !follower.has_other_parent();
            if follower.is_ended() || parent_is_gone {
                let woken_at = woken_at.or_else(|| self.waiting.front().and_then(Event::at));
                self.end_at = woken_at.unwrap_or_else(|| self.world.clock.now());
                return End::Session;
            }
            let Some(pause) = self.round(follower, &mut appearing) else { return End::Deleted };
            self.deliver_pending(follower);
            let event = self.next_event(pause);
            match event {
                Event::Stop(at) => {
                    self.end_at = at;
                    return End::Stop;
                }
                Event::ParentGone(process, at)
                    if Some(process) == follower.parent() && !follower.has_other_parent() =>
                {
                    self.end_at = at;
                    return End::Session;
                }
                // It may say that the session has ended.
                Event::Wake(at) => woken_at = Some(at),
                Event::ParentGone(..) | Event::Files | Event::Tick => woken_at = None,
            }
            let idle = self.world.clock.now().saturating_duration_since(self.active_at);
            if follower.parent().is_none() && idle >= IDLE_TIME_MAX {
                self.end_at = self.world.clock.now();
                return End::Stop;
            }
        }
    }

    /// Looks, and sends what is new. `None` when the backend has deleted the session.
    fn round(&mut self, follower: &mut Follower, appearing: &mut Appearing) -> Option<Pause> {
        if let Some(live) = &self.live {
            live.look();
        }
        let mut pause = Pause { wait: Duration::ZERO, after_work: false, heeds_files: true };
        if follower.has_news() {
            self.active_at = self.world.clock.now();
            let outcome = self.pass(follower, PASS_TIME_MAX, false);
            if matches!(outcome, Outcome::Deleted) {
                return None;
            }
            pause.after_work = true;
            // A file that grows is no reason to ask a backend sooner that is not well.
            pause.heeds_files = matches!(outcome, Outcome::Complete | Outcome::Interrupted);
            pause.wait = self.wait_after(&outcome);
        } else if follower.has_files()
            || self.live.is_some()
            || self.world.clock.now() >= appearing.until
        {
            pause.wait = self.wait_after(&Outcome::Complete);
        } else {
            pause.wait = appearing.wait;
            appearing.wait = (appearing.wait * 2).min(APPEAR_WAIT_MAX);
        }
        pause.heeds_files &= !follower.has_many_chunks();
        if let Some(live) = self.live.as_mut().filter(|_| pause.heeds_files) {
            let wait = live.follow(follower.places());
            pause.wait = wait.map_or(pause.wait, |wait| wait.min(pause.wait));
        }
        Some(pause)
    }

    /// What happens next.
    fn next_event(&mut self, pause: Pause) -> Event {
        let clock = Arc::clone(&self.world.clock);
        let deadline = clock.now() + pause.wait;
        // While work follows upon work, memory that is given back would only be asked for again.
        let mut keep_until = match pause.after_work && self.live.is_some() {
            true => Some(clock.now() + LIVE_REST),
            false => None,
        };
        loop {
            let until = keep_until.unwrap_or(deadline).min(deadline);
            let left = until.saturating_duration_since(clock.now());
            if keep_until.is_none() && left >= LONG_WAIT_MIN {
                sys::memory::release();
            }
            match self.waiting.pop_front().unwrap_or_else(|| self.events.wait(left)) {
                Event::Files if !pause.heeds_files => {}
                Event::Tick if keep_until.take().is_some() && until < deadline => {}
                event => return event,
            }
        }
    }

    /// One pass. It ends early when something happens that may mean the end.
    fn pass(&mut self, follower: &mut Follower, time_max: Duration, last: bool) -> Outcome {
        let deadline = self.world.clock.now() + time_max;
        let (events, waiting) = (&self.events, &mut self.waiting);
        follower.pass(self.world, deadline, last, &mut || {
            waiting.extend(events.poll());
            !last && waiting.iter().any(|event| *event != Event::Files)
        })
    }

    fn wait_after(&mut self, outcome: &Outcome) -> Duration {
        match outcome {
            // Whatever interrupted is waiting already.
            Outcome::Interrupted => Duration::ZERO,
            // What is wrong with one file must not slow down the others.
            Outcome::Complete
            | Outcome::Rejected
            | Outcome::Missing
            | Outcome::SignIn
            | Outcome::Deleted => self.schedule.next(schedule::Outcome::Success),
            Outcome::Retry(at_least) => {
                self.schedule.next(schedule::Outcome::Failure { at_least: *at_least })
            }
        }
    }

    /// Delivers sessions that others have left, one after the other, while the own one is well.
    fn deliver_pending(&mut self, follower: &mut Follower) {
        let now = self.world.clock.now();
        // One that has nothing to send yet cannot tell how the backend is, and finds out this way.
        let is_well = follower.record().synced_at.is_some() || !follower.has_files();
        let well = self.schedule.failures() == 0 && is_well;
        let is_called = self.waiting.iter().any(|event| *event != Event::Files);
        if !well || now < self.pending_at || is_called {
            return;
        }
        let (events, waiting) = (&self.events, &mut self.waiting);
        let mut interrupted = || {
            waiting.extend(events.poll());
            waiting.iter().any(|event| *event != Event::Files)
        };
        pending::deliver_all(self.world, Some(follower.id()), &mut interrupted);
        self.pending_at = self.world.clock.now() + PENDING_INTERVAL;
    }

    /// Sends the rest within the time that is left, and removes what is kept of the session when
    /// all of it was acknowledged. Returns the session when it was resumed in the meantime.
    fn shut_down(&mut self, mut follower: Follower, end: End) -> Option<Follower> {
        let deadline = self.end_at + SHUTDOWN_TIME_MAX;
        follower.begin_end();
        self.wait_until_quiet(&mut follower, deadline.min(self.world.clock.now() + QUIET_TIME_MAX));
        let mut retries = Schedule::new(Duration::ZERO, Duration::ZERO, self.world.seed);
        loop {
            if let Err(error) = follower.read_notes(self.world) {
                warn!("the inbox cannot be read: {error}");
            }
            let left = deadline.saturating_duration_since(self.world.clock.now());
            let outcome = self.pass(&mut follower, left, true);
            let wait = match outcome {
                Outcome::Deleted => {
                    follower.bury(self.world);
                    return None;
                }
                Outcome::Complete if follower.has_news() => Duration::ZERO,
                Outcome::Complete if self.is_to_go_on(&follower, end) => {
                    return Some(self.go_on(follower));
                }
                Outcome::Complete => {
                    strays::deliver(self.world, &follower, deadline);
                    return self.finish(follower, end);
                }
                Outcome::Interrupted => Duration::ZERO,
                // The backend has said no; asking again at once would not change that.
                Outcome::SignIn | Outcome::Rejected => left,
                Outcome::Missing => MISSING_WAIT,
                Outcome::Retry(at_least) => retries.next(schedule::Outcome::Failure { at_least }),
            };
            let left = deadline.saturating_duration_since(self.world.clock.now());
            if wait >= left {
                // Who came during a long last attempt took this daemon for one that goes on.
                let _ = follower.read_notes(self.world);
            }
            if wait >= left && self.is_to_go_on(&follower, end) {
                return Some(self.go_on(follower));
            }
            if wait >= left {
                warn!("not everything could be delivered; the session stays pending");
                follower.leave_pending(self.world);
                return None;
            }
            self.wait_at_end(wait);
        }
    }

    fn finish(&mut self, follower: Follower, end: End) -> Option<Follower> {
        match follower.finish(self.world) {
            Ok(Finished::Gone) => {
                info!("everything was delivered");
                None
            }
            Ok(Finished::Continues(mut follower)) => {
                if let Err(error) = follower.read_notes(self.world) {
                    warn!("the inbox cannot be read: {error}");
                }
                if end == End::Stop || self.is_stopped {
                    follower.leave_pending(self.world);
                    return None;
                }
                Some(self.go_on(*follower))
            }
            Err(error) => {
                warn!("the state cannot be removed: {error}");
                None
            }
        }
    }

    /// True when the session was resumed while it was being ended, by a process that still runs.
    fn is_to_go_on(&self, follower: &Follower, end: End) -> bool {
        let parent_runs = follower.parent().is_none_or(Process::is_alive);
        follower.is_resumed() && parent_runs && end == End::Session && !self.is_stopped
    }

    /// Waits near the end, when only one event matters any more.
    fn wait_at_end(&mut self, limit: Duration) {
        self.is_stopped |= matches!(self.events.wait(limit), Event::Stop(_));
    }

    fn go_on(&mut self, mut follower: Follower) -> Follower {
        info!("the session goes on");
        follower.go_on(self.world);
        follower
    }

    /// Claude Code writes lines for up to a tenth of a second after it has said that the session is
    /// over; a process that is gone writes nothing any more.
    fn wait_until_quiet(&mut self, follower: &mut Follower, deadline: Instant) {
        let clock = Arc::clone(&self.world.clock);
        let started = clock.now();
        let mut quiet_since = started;
        let mut stamps = follower.stamps();
        loop {
            let now = clock.now();
            let parent_runs = follower.parent().is_none_or(|parent| parent.is_alive());
            let needed = match (parent_runs, stamps.is_empty()) {
                (false, _) => Duration::ZERO,
                (true, true) => LATE_FILE_TIME_MAX,
                (true, false) => QUIET_TIME,
            };
            if now.saturating_duration_since(quiet_since) >= needed || now >= deadline {
                return;
            }
            self.wait_at_end(QUIET_CHECK_INTERVAL);
            let new = follower.stamps();
            if new != stamps {
                stamps = new;
                quiet_since = clock.now();
            }
        }
    }
}
