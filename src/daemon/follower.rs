//! One session in the hands of its lock's holder: notes, passes, state, and the end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use log::{info, warn};

use crate::config::{self, Account};
use crate::error::{Context, Error, Result};
use crate::files::{SessionId, Stamp};
use crate::remote::{Failure, Verdict};
use crate::session::Session;
use crate::state::{self, Kept, LastError, Launch, Lock, Note, NoteKind, Record, Status};
use crate::sync::{Engine, Report, Surroundings, Tools};
use crate::sys::{self, process::Process};
use crate::time;
use crate::watch::Place;
use crate::wire::{self, PROVIDER};

use super::folders::is_excluded;
use super::known::{find_transcript, is_live, known_record, set_parent};
use super::{World, links};

/// "Session not found" in a row after which the backend is taken to have deleted the session.
const GONE_MAX: u32 = 3;
/// Requests for one file behind which file events are not heeded any more.
const LIVE_CHUNKS_MAX: u64 = wire::FILE_CHUNKS_MAX / 2;

/// How a pass ended.
#[derive(Debug)]
pub enum Outcome {
    /// The backend has all that there was.
    Complete,
    /// It was cut short by an event.
    Interrupted,
    /// Try again; not before this time has passed.
    Retry(Duration),
    /// All was sent but files that the backend refused or that could not be read.
    Rejected,
    /// The backend did not know the session; a few times in a row mean that it was deleted.
    Missing,
    /// The configuration must change first.
    SignIn,
    /// The backend has deleted the session.
    Deleted,
}

/// Follows one session, whose lock it holds.
#[derive(Debug)]
pub struct Follower {
    id: SessionId,
    lock: Lock,
    engine: Engine,
    record: Record,
    /// The lock file says who holds it.
    names_holder: bool,
    /// Ends of the session that the backend has not been told of.
    ends: Vec<Note>,
    /// The last note said that the session has ended.
    is_ended: bool,
    /// A note said that the session was taken up again while it was being ended.
    is_resumed: bool,
    n_notes: usize,
    n_inbox_bytes: u64,
    n_gone: u32,
    /// The account of the last pass.
    account: Option<Account>,
    /// The configuration of the last pass wants commits and pull requests linked.
    links: bool,
    /// All Claude Code processes that were seen to use the session.
    parents: Vec<Process>,
}

/// What became of a session that was to be finished.
#[derive(Debug)]
pub enum Finished {
    /// Nothing of it is left here.
    Gone,
    /// New notes have come; it goes on.
    Continues(Box<Follower>),
}

impl Follower {
    /// Takes up a session: what a hook has told, else what the state file or the inbox remembers.
    /// `None` when nobody knows where its transcript is, or when it is excluded; the lock file is
    /// removed then, unless a state is left for the case that the exclusion is taken back.
    ///
    /// # Errors
    /// As reading state and inbox.
    pub fn open(
        world: &World<'_>,
        id: SessionId,
        lock: Lock,
        launch: Option<Launch>,
    ) -> Result<Option<Follower>> {
        if Kept::load(world.paths, &id).deleted_at.is_some() {
            // What a crash has left of a session that the backend has deleted.
            state::finish(world.paths, &id, lock, u64::MAX)
                .and_then(|_| state::forget_sent(world.paths, &id))
                .context(|| format!("remove what is left of session {id}"))?;
            return Ok(None);
        }
        let Some(mut record) = known_record(world, &id, launch) else {
            state::finish(world.paths, &id, lock, u64::MAX)
                .context(|| format!("remove what is left of session {id}"))?;
            return Ok(None);
        };
        // A configuration that cannot be read is reported by the first pass.
        let config = config::load(world.paths).unwrap_or_default();
        for problem in config.exclude_problems() {
            warn!("{problem}");
        }
        if is_excluded(&config, &id, &record, world) {
            info!("session {id} is excluded by the configuration");
            if record.files.is_empty() {
                state::finish(world.paths, &id, lock, u64::MAX)
                    .context(|| format!("remove what is left of session {id}"))?;
            }
            return Ok(None);
        }
        let parent = Process { pid: record.parent_pid, start: record.parent_start };
        let parents = Some(parent).filter(|parent| parent.pid > 1).into_iter().collect();
        record.provider = PROVIDER.to_owned();
        record.external_id = id.to_string();
        record.inbox_path = world.paths.sync.join(format!("{id}.inbox.jsonl"));
        let session = Session::new(id.clone(), record.transcript_path.clone());
        let surroundings = Surroundings {
            cwd: record.cwd.clone(),
            hostname: sys::process::hostname(),
            username: sys::process::username(),
            is_live: is_live(&record, parent, world),
        };
        let mut engine = Engine::new(world.paths, session, surroundings, record.files.clone());
        engine.set_records_of(record.confab_session_id.clone());
        Ok(Some(Follower {
            id,
            lock,
            engine,
            record,
            names_holder: false,
            ends: Vec::new(),
            is_ended: false,
            is_resumed: false,
            n_notes: 0,
            n_inbox_bytes: 0,
            n_gone: 0,
            account: None,
            links: false,
            parents,
        }))
    }

    /// This process is the session's daemon from now on.
    ///
    /// # Errors
    /// When state or lock cannot be written.
    pub fn settle_in(&mut self, world: &World<'_>) -> Result<()> {
        self.record.pid = world.process.pid;
        self.record.pid_start = world.process.start;
        self.record.started_at = time::rfc3339(world.clock.wall());
        self.record.status = Status::Running;
        self.save(world)
    }

    /// The session's id.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The state as it would be saved.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The Claude Code process of the session.
    pub fn parent(&self) -> Option<Process> {
        let process = Process { pid: self.record.parent_pid, start: self.record.parent_start };
        (process.pid > 1).then_some(process)
    }

    /// True when the last note said that the session has ended.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// True when the session was taken up again since [`Follower::begin_end`].
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// What is said of the session from now on is said of one that is ending.
    pub fn begin_end(&mut self) {
        self.is_resumed = false;
    }

    /// True when the session was left by a daemon that could not deliver all of it.
    pub fn was_left(&self) -> bool {
        self.record.status == Status::Pending
    }

    /// True while the lock file is the one that we hold: false when somebody removed it, and
    /// another daemon may follow the session.
    pub fn holds_lock(&self) -> bool {
        self.lock.is_current()
    }

    /// True when somebody on this machine has deleted the session from the backend.
    pub fn is_deleted(&self, world: &World<'_>) -> bool {
        Kept::is_deleted(world.paths, &self.id)
    }

    /// True when a file of the session existed when news were last looked for.
    pub fn has_seen_files(&self) -> bool {
        self.engine.has_seen_files()
    }

    /// What the files look like now.
    pub fn stamps(&mut self) -> Vec<(PathBuf, Option<Stamp>)> {
        self.engine.stamps()
    }

    /// True when there may be something to send.
    pub fn has_news(&mut self) -> bool {
        let has_news = self.engine.has_news();
        has_news || (!self.record.links.is_empty() && self.has_seen_files())
    }

    /// Where a change of the session's files is seen.
    pub fn places(&mut self) -> Vec<Place> {
        self.engine.session().places()
    }

    /// True when a file was sent in so many requests that those left must not be spent on single
    /// lines: a backend keeps a limited number of them.
    pub fn has_many_chunks(&self) -> bool {
        self.record.files.values().any(|file| file.chunks >= LIVE_CHUNKS_MAX)
    }

    /// Acts upon new notes; true when there were any.
    ///
    /// # Errors
    /// As reading the inbox.
    pub fn read_notes(&mut self, world: &World<'_>) -> io::Result<bool> {
        let (notes, n_bytes) = state::read(world.paths, &self.id)?;
        let new: Vec<Note> = notes.into_iter().skip(self.n_notes).collect();
        let any = !new.is_empty();
        self.n_notes += new.len();
        self.n_inbox_bytes = n_bytes;
        for note in new {
            self.follow_note(note, world);
        }
        if any {
            if let Err(error) = self.save(world) {
                warn!("{error}");
            }
            if self.ends.is_empty() {
                self.consume_notes(world)?;
            }
        }
        Ok(any)
    }

    fn follow_note(&mut self, note: Note, world: &World<'_>) {
        let is_alive = |process: &Process| world.processes.is_alive(*process);
        if note.kind == NoteKind::Link {
            self.record.add_links(note.links);
            return;
        }
        if !matches!(note.kind, NoteKind::Start | NoteKind::SessionEnd) {
            return;
        }
        let input = &note.hook_input;
        let path = Path::new(&input.transcript_path);
        if path.is_absolute() && path != self.engine.session().transcript() {
            info!("the transcript is at {} now", path.display());
            self.engine.session().set_transcript(path.to_owned());
            self.record.transcript_path = path.to_owned();
        }
        if !input.cwd.is_empty() {
            self.engine.set_cwd(&input.cwd);
            self.record.move_to(&input.cwd);
        }
        match note.kind {
            NoteKind::SessionEnd => {
                let ended = note.parent();
                self.parents.retain(|parent| Some(*parent) != ended && is_alive(parent));
                // Two processes may use one session; it goes on while one of them does.
                let other = ended.and_then(|_| self.parents.last().copied());
                self.is_ended = other.is_none();
                self.is_resumed = other.is_some();
                if other.is_some() {
                    set_parent(&mut self.record, other);
                }
                self.ends.push(note);
            }
            _ => {
                self.is_ended = false;
                self.is_resumed = true;
                let known = self.parent().filter(is_alive);
                set_parent(&mut self.record, note.parent().or(known));
                self.parents.extend(note.parent().filter(|parent| !self.parents.contains(parent)));
            }
        }
    }

    /// The process of the session has ended. True when another one still uses the session.
    pub fn has_other_parent(&mut self, world: &World<'_>) -> bool {
        self.parents.retain(|parent| world.processes.is_alive(*parent));
        let other = self.parents.last().copied();
        if other.is_some() {
            set_parent(&mut self.record, other);
        }
        other.is_some()
    }

    /// True when the configuration says that the session is never uploaded.
    pub fn is_excluded(&self, world: &World<'_>) -> bool {
        let config = config::load(world.paths).unwrap_or_default();
        is_excluded(&config, &self.id, &self.record, world)
    }

    /// The session runs in this folder now, by what its lines say.
    pub fn move_to(&mut self, cwd: &str) {
        self.record.move_to(cwd);
    }

    fn consume_notes(&mut self, world: &World<'_>) -> io::Result<()> {
        // What waits must stand in one of the two at any time.
        if !self.record.links.is_empty()
            && let Err(error) = self.save(world)
        {
            warn!("{error}");
            return Ok(());
        }
        state::consume(world.paths, &self.id, self.n_inbox_bytes)?;
        self.n_notes = 0;
        self.n_inbox_bytes = 0;
        Ok(())
    }

    /// Sends what is new; with `last`, also the ends of the session, once all lines are there.
    pub fn pass(
        &mut self,
        world: &World<'_>,
        deadline: Instant,
        last: bool,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Outcome {
        if self.is_deleted(world) {
            return Outcome::Deleted;
        }
        let failure = match self.try_pass(world, deadline, last, interrupted) {
            Ok(report) => match report.failure {
                None if report.interrupted => return Outcome::Interrupted,
                None => {
                    let error = report.file_errors.into_iter().next();
                    return self.after_success(world, error, last);
                }
                Some(failure) => failure,
            },
            Err(error) => Failure { verdict: Verdict::SignIn, ..Failure::retry(error) },
        };
        self.after_failure(world, &failure)
    }

    fn try_pass(
        &mut self,
        world: &World<'_>,
        deadline: Instant,
        last: bool,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Report> {
        let config = config::load(world.paths)?;
        if is_excluded(&config, &self.id, &self.record, world) {
            return Err(Error::new("this session is excluded by the configuration")
                .with_hint("take its folder or id out of exclude to have it uploaded"));
        }
        let account: Account = config.account()?;
        let redactor = world.redactors.get(&config.redaction);
        let mut backend = (world.connect)(&account)?;
        self.links = config.links();
        self.take_account(account);
        let Follower { id, engine, record, ends, account, links, .. } = self;
        let mut waiting = record.links.clone();
        let mut checkpoint = |engine: &Engine| {
            record.files = engine.records();
            if let Some(id) = engine.backend_id() {
                record.confab_session_id = Some(id.to_owned());
            }
            record.session_url = links::session_url(record, account.as_ref(), *links);
            if let Err(error) = state::save(world.paths, id, record) {
                warn!("{error}");
            }
        };
        let mut tools = Tools {
            backend: &mut *backend,
            redactor: &redactor,
            clock: &*world.clock,
            deadline,
            interrupted,
            checkpoint: &mut checkpoint,
        };
        let mut report = engine.pass(&mut tools, last);
        if report.failure.is_none() && !report.interrupted && engine.has_files() {
            report.failure = links::send(&mut waiting, *links, engine, &mut tools).err();
        }
        let sent_all = report.failure.is_none() && !report.interrupted;
        // A session that never wrote anything is not made known to the backend.
        if last && sent_all && engine.has_files() {
            while let Some(end) = ends.first() {
                match engine.send_end(&end.timestamp, &end.hook_input, &mut tools) {
                    Ok(()) => drop(ends.remove(0)),
                    Err(failure) => {
                        report.failure = Some(failure);
                        break;
                    }
                }
            }
        }
        record.links = waiting;
        if report.n_lines > 0 {
            info!("{} lines were acknowledged", report.n_lines);
        }
        if self.ends.is_empty() && self.n_notes > 0 {
            // At once: an end that was reported must not be reported again.
            if let Err(error) = self.consume_notes(world) {
                warn!("the inbox cannot be cleared: {error}");
            }
        }
        Ok(report)
    }

    fn take_account(&mut self, account: Account) {
        if self.account.as_ref().is_some_and(|last| *last != account) {
            info!("the backend or the key is another one now");
            self.engine.change_backend();
            self.n_gone = 0;
        }
        self.account = Some(account);
    }

    fn after_success(&mut self, world: &World<'_>, error: Option<Error>, last: bool) -> Outcome {
        self.n_gone = 0;
        let now = time::rfc3339(world.clock.wall());
        if self.record.last_error.is_some() && error.is_none() {
            info!("the backend has everything again");
        }
        let failed = error.is_some();
        if !failed {
            self.record.synced_at = Some(now.clone());
        }
        self.record.last_error = error.map(|error| last_error(now, &error));
        // Behind the last pass all of it is removed: with thousands of sessions, writing it to the
        // disk just before that would take the most of the time.
        if failed || !last {
            self.save_or_warn(world);
        }
        if failed { Outcome::Rejected } else { Outcome::Complete }
    }

    fn after_failure(&mut self, world: &World<'_>, failure: &Failure) -> Outcome {
        let now = time::rfc3339(world.clock.wall());
        let last = last_error(now, &failure.error);
        // The same failure again and again is logged once.
        if self.record.last_error.as_ref().is_none_or(|before| before.what != last.what) {
            warn!("{}; it will be tried again", last.what);
        }
        self.record.last_error = Some(last);
        self.n_gone = if failure.verdict == Verdict::Gone { self.n_gone + 1 } else { 0 };
        self.save_or_warn(world);
        match failure.verdict {
            Verdict::SignIn => Outcome::SignIn,
            Verdict::Gone if self.n_gone >= GONE_MAX => Outcome::Deleted,
            Verdict::Gone => Outcome::Missing,
            Verdict::Reject => Outcome::Retry(Duration::ZERO),
            Verdict::Retry(after) => Outcome::Retry(after.unwrap_or_default()),
        }
    }

    /// Writes the state file.
    ///
    /// # Errors
    /// As the system calls.
    pub fn save(&mut self, world: &World<'_>) -> Result<()> {
        self.record.files = self.engine.records();
        if let Some(id) = self.engine.backend_id() {
            self.record.confab_session_id = Some(id.to_owned());
        }
        if self.account.is_some() {
            self.record.session_url =
                links::session_url(&self.record, self.account.as_ref(), self.links);
        }
        self.record.transcript_path = self.engine.session().transcript().to_owned();
        if self.record.pid == world.process.pid && !self.names_holder {
            // Hooks wake who is named there. On a full disk it may take more than one attempt.
            let holder = Process { pid: self.record.pid, start: self.record.pid_start };
            self.names_holder = self.lock.write_holder(holder).is_ok();
        }
        state::save(world.paths, &self.id, &mut self.record)
    }

    fn save_or_warn(&mut self, world: &World<'_>) {
        if let Err(error) = self.save(world) {
            warn!("{error}");
        }
    }

    /// Leaves the session for a later delivery.
    pub fn leave_pending(mut self, world: &World<'_>) {
        self.record.status = Status::Pending;
        self.save_or_warn(world);
    }

    /// Goes on following although the session had ended: it was resumed in the meantime.
    pub fn go_on(&mut self, world: &World<'_>) {
        if self.ends.is_empty()
            && let Err(error) = self.consume_notes(world)
        {
            warn!("the inbox cannot be cleared: {error}");
        }
    }

    /// The backend deleted the session: that is remembered, so that the next prompt does not bring
    /// it back.
    pub fn bury(self, world: &World<'_>) {
        warn!("session {} was deleted from the backend; it is not sent any more", self.id);
        let kept = Kept {
            deleted_at: Some(time::rfc3339(world.clock.wall())),
            transcript_path: self.record.transcript_path.clone(),
            ..Kept::default()
        };
        if let Err(error) = kept.save(world.paths, &self.id) {
            warn!("{error}");
            return;
        }
        let finished = state::finish(world.paths, &self.id, self.lock, u64::MAX);
        let forgotten = state::forget_sent(world.paths, &self.id);
        if let Err(error) = finished.and(forgotten) {
            warn!("the state of session {} cannot be removed: {error}", self.id);
        }
    }

    /// Removes all that is kept of the session here, unless new notes have come.
    ///
    /// # Errors
    /// As the system calls; the lock is then free and the session is looked at again later.
    pub fn finish(mut self, world: &World<'_>) -> io::Result<Finished> {
        let mut kept = Kept::load(world.paths, &self.id);
        let backend_id = self.engine.backend_id().map(str::to_owned);
        kept.confab_session_id = backend_id.or_else(|| self.record.confab_session_id.clone());
        kept.files = self.engine.records();
        kept.files.retain(|_, file| {
            file.local_line != file.last_synced_line || file.unterminated || file.full
        });
        if let Err(error) = kept.save(world.paths, &self.id) {
            warn!("{error}");
        }
        let transcript = self.engine.session().transcript().to_owned();
        let sent = self.engine.records().into_values().find(|file| file.path == transcript);
        let Follower { id, lock, n_inbox_bytes, .. } = self;
        let has_transcript = |id: &SessionId| find_transcript(world, id).is_some();
        if let Err(error) = state::clear_kept(world.paths, world.clock.wall(), &has_transcript) {
            warn!("what was kept for too long cannot be removed: {error}");
        }
        match state::finish(world.paths, &id, lock, n_inbox_bytes)? {
            None => {
                let noted =
                    sent.map(|file| state::note_delivered(world.paths, &id, file.byte_offset));
                if let Some(Err(error)) = noted {
                    warn!("what is delivered of session {id} cannot be noted: {error}");
                }
                Ok(Finished::Gone)
            }
            Some(lock) => Ok(Finished::Continues(Box::new(Follower { id, lock, ..self }))),
        }
    }

    /// The lock, to hand the session over to another process.
    pub fn into_lock(self) -> Lock {
        self.lock
    }
}

fn last_error(at: String, error: &Error) -> LastError {
    LastError { at, what: error.to_string(), hint: error.hint().map(str::to_owned) }
}
