//! `confab save`: uploads sessions now, whether hooks have seen them or not.
//!
//! The same engine as a daemon's sends what the backend does not have, so that a run that was
//! stopped is taken up by the next one. A session that a daemon follows is left to it: the daemon
//! is woken and waited for. Sessions are taken oldest first, so that the backend's list of the most
//! recently synced ones ends in their order. One that fails does not keep the others from being
//! sent, but a backend that has stopped answering ends the run.
//!
//! Deliberately absent: an end of session, which only Claude Code can tell.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::cli::list::size;
use crate::cli::sessions::{self, LocalSession};
use crate::cli::status_line::StatusLine;
use crate::cli::{Exit, lines};
use crate::config::{self, Config};
use crate::daemon::{self, Delivery, Exchange, Meter, Reading, World, folders};
use crate::error::{Context, Error, Result};
use crate::files::Stamp;
use crate::schedule::{self, Schedule};
use crate::session::{Session, Source, Workflows};
use crate::state::{self, Kept, Launch, Loaded, Record};
use crate::sys;
use crate::time;

/// Time for one session.
const SESSION_TIME_MAX: Duration = Duration::from_secs(6 * 3600);
/// How long a daemon may take without any progress.
const DAEMON_TIME_MAX: Duration = Duration::from_secs(60);
/// How often a daemon's progress is looked at, and how often the daemon itself.
const DAEMON_CHECK_INTERVAL: Duration = Duration::from_millis(50);
const DAEMON_CHECKS: usize = 20;
/// Attempts at a session in a row of which none brought a line over.
const ATTEMPTS_MAX: u32 = 4;
/// The shortest time between two of them: backends ration requests and do not say for how long.
const ATTEMPT_WAIT_MIN: Duration = Duration::from_secs(1);
/// Sessions in a row that failed without any answer behind which the rest is left.
const SILENT_SESSIONS_MAX: u32 = 3;

/// Which sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Save {
    /// Beginnings of ids.
    pub ids: Vec<String>,
    /// All of them.
    pub all: bool,
    /// All that were written within this time.
    pub since: Option<Duration>,
    /// Also those that were deleted on the backend.
    pub deleted: bool,
}

/// What surrounds the command; `main` fills it in.
pub struct Desk<'a> {
    /// That of a daemon.
    pub world: &'a World<'a>,
    /// Sleeps.
    pub wait: &'a dyn Fn(Duration),
    /// For what was done.
    pub out: &'a mut dyn Write,
    /// For what went wrong.
    pub talk: &'a mut dyn Write,
    /// Columns of the terminal that `talk` is; `None` when it is none, and for no progress.
    pub columns: Option<usize>,
}

/// What became of one session.
#[derive(Debug)]
enum Ending {
    Uploaded,
    /// The backend had everything.
    Nothing,
    /// By its daemon.
    Followed,
    /// Why.
    Skipped(String),
    Failed(Error),
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    saved: u64,
    skipped: u64,
    failed: u64,
    /// Not tried, because the backend took nothing of those before.
    left: u64,
}

/// Uploads sessions.
///
/// # Errors
/// When nobody is signed in, or the output cannot be written.
pub fn run(save: &Save, desk: &mut Desk<'_>) -> Result<Exit> {
    let config = config::load(desk.world.paths)?;
    config.account()?;
    let mut counts = Counts::default();
    let sessions = select(save, desk, &mut counts)?;
    let meter = Arc::new(Meter::default());
    let exchange = Exchange::new(desk.world.connect, Arc::clone(&meter));
    let connect = |account: &_| exchange.connect(account);
    let world = World {
        connect: &connect,
        clock: Arc::clone(&desk.world.clock),
        redactors: Arc::clone(&desk.world.redactors),
        overrides: desk.world.overrides.clone(),
        ..*desk.world
    };
    let mut saver = Saver {
        world: &world,
        config: &config,
        meter: &meter,
        wait: desk.wait,
        deleted: save.deleted,
        retries: Schedule::new(Duration::ZERO, Duration::ZERO, world.seed),
        n_silent: 0,
        progress: Progress::new(&sessions, desk.columns),
    };
    for session in &sessions {
        if saver.n_silent >= SILENT_SESSIONS_MAX {
            counts.left += 1;
            continue;
        }
        let ending = saver.save(session, desk.talk);
        saver.progress.finish(session, desk.talk);
        counts.tell(session, ending, desk)?;
    }
    counts.sum_up(desk)
}

/// The sessions that are meant, oldest first; what cannot be found is told and counted as failed.
fn select(save: &Save, desk: &mut Desk<'_>, counts: &mut Counts) -> Result<Vec<LocalSession>> {
    let (found, errors) = sessions::discover(desk.world.paths);
    let is_general = save.all || save.since.is_some();
    if is_general {
        counts.failed += errors.len() as u64;
        lines::report(&errors, desk.talk)?;
    }
    let mut named = BTreeSet::new();
    for word in &save.ids {
        match sessions::find(&found, word) {
            Ok(session) => drop(named.insert(session.id.clone())),
            Err(error) => {
                counts.failed += 1;
                lines::report(&[error], desk.talk)?;
            }
        }
    }
    let since = save.since.and_then(|age| desk.world.clock.wall().checked_sub(age));
    let is_meant = |session: &LocalSession| {
        let is_recent = is_general && since.is_none_or(|since| session.modified >= since);
        is_recent || named.contains(&session.id)
    };
    Ok(found.into_iter().rev().filter(is_meant).collect())
}

/// When nothing says which sessions are meant.
pub fn nothing_chosen() -> Error {
    Error::new("no session is named").with_hint("name sessions, or use --all or --since 30d")
}

struct Saver<'a> {
    world: &'a World<'a>,
    config: &'a Config,
    meter: &'a Meter,
    wait: &'a dyn Fn(Duration),
    /// Also those that were deleted on the backend.
    deleted: bool,
    retries: Schedule,
    /// Sessions in a row that the backend took nothing of, and gave no answer to.
    n_silent: u32,
    progress: Progress,
}

impl Saver<'_> {
    fn save(&mut self, session: &LocalSession, talk: &mut dyn Write) -> Ending {
        let world = self.world;
        let is_deleted = Kept::is_deleted(world.paths, &session.id);
        if is_deleted && !self.deleted {
            let why = "it was deleted on the backend; --deleted uploads it again";
            return Ending::Skipped(why.to_owned());
        }
        // With exclusions, all folders count: once in a folder that is excluded means never.
        let read_all = !self.config.exclude.is_empty();
        let folders = match folders::of(&session.transcript, read_all) {
            Ok(folders) => folders,
            Err(error) => return Ending::Failed(error),
        };
        let is_excluded =
            |folder: &String| self.config.excludes(&session.id, Path::new(folder), world.paths);
        if folders.iter().chain([&String::new()]).any(is_excluded) {
            return Ending::Skipped("the configuration excludes it".to_owned());
        }
        if is_deleted && let Err(error) = Kept::default().save(world.paths, &session.id) {
            return Ending::Failed(error);
        }
        let launch = match state::load(world.paths, &session.id) {
            Ok(Loaded::Foreign { daemon, .. }) => {
                let what = "a daemon of the existing client follows it, process";
                return Ending::Skipped(format!("{what} {}", daemon.pid));
            }
            // It knows where it is, and which process uses it.
            Ok(Loaded::Ours(_)) => None,
            _ => Some(Launch {
                id: session.id.clone(),
                transcript: session.transcript.clone(),
                cwd: folders.into_iter().next().unwrap_or_default(),
                parent: None,
            }),
        };
        let before = self.meter.read();
        match self.deliver(session, launch.as_ref(), talk) {
            Delivery::Busy => self.wait_for_daemon(session, talk),
            Delivery::Done | Delivery::Kept if self.meter.read().chunks == before.chunks => {
                Ending::Nothing
            }
            Delivery::Done | Delivery::Kept => Ending::Uploaded,
            Delivery::Nothing => Ending::Skipped("the configuration excludes it".to_owned()),
            Delivery::Failed { why, .. } | Delivery::Rejected(why) => {
                Ending::Failed(Error::new(why))
            }
            Delivery::Interrupted => Ending::Failed(Error::new("was interrupted")),
        }
    }

    /// Delivers a session that nobody follows, again and again while that may help.
    fn deliver(
        &mut self,
        session: &LocalSession,
        launch: Option<&Launch>,
        talk: &mut dyn Write,
    ) -> Delivery {
        let deadline = self.world.clock.now() + SESSION_TIME_MAX;
        let start = self.meter.read();
        let mut n_attempts = 0;
        loop {
            let before = self.meter.read();
            let Saver { progress, meter, .. } = self;
            progress.show(session, Reading::default(), talk);
            let mut tick = || {
                progress.show(session, meter.read().since(start), talk);
                false
            };
            let delivery = match launch {
                Some(launch) => daemon::deliver_launch(self.world, launch, deadline, &mut tick),
                None => daemon::deliver(self.world, session.id.clone(), deadline, &mut tick),
            };
            let new = self.meter.read().since(before);
            if new.answers > 0 {
                let _ = self.retries.next(schedule::Outcome::Success);
                self.n_silent = 0;
            }
            n_attempts = if new.chunks > 0 { 1 } else { n_attempts + 1 };
            let Delivery::Failed { again_in, .. } = &delivery else { return delivery };
            let at_least = again_in.unwrap_or_default().max(ATTEMPT_WAIT_MIN);
            let wait = self.retries.next(schedule::Outcome::Failure { at_least });
            let is_hopeless = again_in.is_none()
                || n_attempts >= ATTEMPTS_MAX
                || self.retries.failures() >= ATTEMPTS_MAX
                || self.world.clock.now() + wait >= deadline;
            if is_hopeless {
                self.n_silent += u32::from(self.meter.read() == start);
                return delivery;
            }
            (self.wait)(wait);
        }
    }

    /// Wakes the daemon of a session and waits until it has sent what is there now. Takes over when
    /// the daemon ends.
    fn wait_for_daemon(&mut self, session: &LocalSession, talk: &mut dyn Write) -> Ending {
        let (paths, clock) = (self.world.paths, Arc::clone(&self.world.clock));
        let mut files = Session::new(session.id.clone(), session.transcript.clone());
        let due: Vec<(Source, Stamp)> = files
            .sources(Workflows::default())
            .into_iter()
            .filter_map(|source| {
                let metadata = std::fs::metadata(&source.path).ok()?;
                Some((source, Stamp::of(&metadata)))
            })
            .collect();
        let started = clock.wall();
        let mut deadline = clock.now() + DAEMON_TIME_MAX;
        let mut last = None;
        while clock.now() < deadline {
            if let Some(daemon) = state::holder(paths, &session.id) {
                // It may have ended just now; then its session is delivered or pending.
                let _ = sys::signals::wake(daemon.pid);
            }
            for _ in 0..DAEMON_CHECKS {
                (self.wait)(DAEMON_CHECK_INTERVAL);
                let Ok(Loaded::Ours(record)) = state::load(paths, &session.id) else { break };
                if let Some(ending) = judge(&record, &due, started) {
                    return ending;
                }
                let acknowledged: u64 = record.files.values().map(|file| file.byte_offset).sum();
                if last.replace(acknowledged).is_some_and(|before| before != acknowledged) {
                    deadline = clock.now() + DAEMON_TIME_MAX;
                }
            }
            match self.deliver(session, None, talk) {
                Delivery::Busy => {}
                Delivery::Done | Delivery::Kept | Delivery::Nothing => return Ending::Followed,
                Delivery::Failed { why, .. } | Delivery::Rejected(why) => {
                    return Ending::Failed(Error::new(why));
                }
                Delivery::Interrupted => break,
            }
        }
        let error = Error::new("its daemon does not send what is new");
        Ending::Failed(error.with_hint("confab doctor looks closer"))
    }
}

/// Whether a daemon has sent what was due, or has failed since.
fn judge(record: &Record, due: &[(Source, Stamp)], started: SystemTime) -> Option<Ending> {
    let is_sent = |(source, stamp): &(Source, Stamp)| {
        record.files.get(&source.name).is_some_and(|file| {
            let is_later = file.modified_nanos >= stamp.modified_nanos;
            file.full || file.bytes_seen >= stamp.bytes && is_later
        })
    };
    if due.iter().all(is_sent) {
        return Some(Ending::Followed);
    }
    let error = record.last_error.as_ref()?;
    let is_new = time::parse_rfc3339(&error.at).is_some_and(|at| at >= started);
    is_new.then(|| {
        let failed = Error::new(error.what.clone());
        Ending::Failed(match &error.hint {
            Some(hint) => failed.with_hint(hint.clone()),
            None => failed,
        })
    })
}

impl Counts {
    fn tell(&mut self, session: &LocalSession, ending: Ending, desk: &mut Desk<'_>) -> Result<()> {
        let id = &session.id;
        let text = match ending {
            Ending::Skipped(why) => {
                self.skipped += 1;
                return lines::say(desk.talk, &format!("{id}: skipped: {why}"));
            }
            Ending::Failed(error) => {
                self.failed += 1;
                let mut told = Error::new(format!("{id}: {error}"));
                if let Some(hint) = error.hint() {
                    told = told.with_hint(hint);
                }
                return lines::report(&[told], desk.talk);
            }
            Ending::Uploaded => "uploaded",
            Ending::Nothing => "the backend has everything",
            Ending::Followed => "sent by its daemon",
        };
        self.saved += 1;
        writeln!(desk.out, "{id}: {text}").context(|| "write to standard output".into())
    }

    fn sum_up(&self, desk: &mut Desk<'_>) -> Result<Exit> {
        let Counts { saved, skipped, failed, left } = *self;
        if left > 0 {
            let error = Error::new(format!(
                "the backend took nothing of the last {SILENT_SESSIONS_MAX}; {} not tried",
                lines::count(left, "session") + if left == 1 { " was" } else { " were" }
            ));
            let hint = "run the same command again; what was sent is not sent again";
            lines::report(&[error.with_hint(hint)], desk.talk)?;
        }
        if *self == Counts::default() {
            return writeln!(desk.out, "there is nothing to save")
                .context(|| "write to standard output".into())
                .map(|()| Exit::Done);
        }
        let mut text = lines::count(saved, "session") + " on the backend";
        for (n, what) in [(skipped, "skipped"), (failed, "failed"), (left, "not tried")] {
            if n > 0 {
                text += &format!(", {n} {what}");
            }
        }
        writeln!(desk.out, "{text}").context(|| "write to standard output".into())?;
        Ok(match (failed + left, skipped) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Skipped,
            _ => Exit::Failed,
        })
    }
}

/// What is shown on a terminal.
struct Progress {
    line: StatusLine,
    n_sessions: usize,
    n_done: usize,
    bytes: u64,
    bytes_done: u64,
}

impl Progress {
    fn new(sessions: &[LocalSession], columns: Option<usize>) -> Progress {
        let bytes = sessions.iter().map(|session| session.bytes).sum();
        Progress {
            line: StatusLine::new(columns),
            n_sessions: sessions.len(),
            n_done: 0,
            bytes,
            bytes_done: 0,
        }
    }

    fn show(&mut self, session: &LocalSession, sent: Reading, talk: &mut dyn Write) {
        let mut text = format!(
            "saving {} of {}, {} of {} done: {}",
            self.n_done + 1,
            self.n_sessions,
            size(self.bytes_done),
            size(self.bytes),
            session.id
        );
        if sent.chunks > 0 {
            text += &format!(", {} sent", size(sent.bytes));
        }
        self.line.draw(&text, talk);
    }

    /// The session is done; its line goes.
    fn finish(&mut self, session: &LocalSession, talk: &mut dyn Write) {
        self.n_done += 1;
        self.bytes_done += session.bytes;
        self.line.draw("", talk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::columns;
    use crate::files::SessionId;

    fn session(id: &str) -> LocalSession {
        LocalSession {
            id: SessionId::new(id).expect("an id"),
            transcript: "/x".into(),
            bytes: 2_000_000,
            modified: SystemTime::UNIX_EPOCH,
        }
    }

    /// The last line that a terminal would show.
    fn screen(bytes: &[u8]) -> String {
        let mut cells: Vec<char> = Vec::new();
        let mut at = 0;
        for character in std::str::from_utf8(bytes).expect("UTF-8").chars() {
            assert!(character == '\r' || !character.is_control(), "{character:?}");
            if character == '\r' {
                at = 0;
                continue;
            }
            cells.resize(cells.len().max(at + 1), ' ');
            cells[at] = character;
            at += 1;
        }
        cells.into_iter().collect::<String>().trim_end().to_owned()
    }

    #[test]
    fn progress_is_one_line_that_goes() {
        let sessions = [session("a-long-id"), session("b")];
        let mut progress = Progress::new(&sessions, Some(70));
        let mut talk = Vec::new();
        progress.show(&sessions[0], Reading::default(), &mut talk);
        assert_eq!(screen(&talk), "saving 1 of 2, 0 B of 4.0 MB done: a-long-id");
        let sent = Reading { answers: 2, chunks: 1, bytes: 1234 };
        progress.show(&sessions[0], sent, &mut talk);
        assert_eq!(screen(&talk), "saving 1 of 2, 0 B of 4.0 MB done: a-long-id, 1.2 kB sent");
        progress.finish(&sessions[0], &mut talk);
        assert_eq!(screen(&talk), "");
        progress.show(&sessions[1], Reading::default(), &mut talk);
        assert_eq!(screen(&talk), "saving 2 of 2, 2.0 MB of 4.0 MB done: b");
    }

    #[test]
    fn progress_fits_the_terminal_and_needs_one() {
        let sessions = [session("a-long-id")];
        for columns in 0..80 {
            let mut talk = Vec::new();
            let mut progress = Progress::new(&sessions, Some(columns));
            progress.show(&sessions[0], Reading::default(), &mut talk);
            assert!(columns::width(&screen(&talk)) <= columns.saturating_sub(1), "{columns}");
        }
        let mut talk = Vec::new();
        Progress::new(&sessions, None).show(&sessions[0], Reading::default(), &mut talk);
        assert!(talk.is_empty());
    }
}
