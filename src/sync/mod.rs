//! One pass over a session's files: what is new goes to the backend, in order, once.
//!
//! The backend's count of lines is the truth; the checkpoint in the state file only saves reading.
//! Which line of a file is which of the backend's is noted before it is sent, so that neither a
//! lost answer, a lost checkpoint nor a rewritten file leaves a doubt.
//! A position moves on acknowledgement alone, and is forgotten after every error but "gone", to be
//! asked of the backend again. Files are taken breadth first, each at most once a pass; what one
//! file cannot do does not keep the others from being sent.
//!
//! Deliberately absent: waiting. The daemon decides when a pass is made and how long it may take.

mod github;
mod links;
mod metadata;
mod prepare;
mod progress;
mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::{info, warn};

use crate::chunk::{Compressor, Contents, RequestSize};
use crate::error::{Error, Result};
use crate::files::{Paths, Stamp};
use crate::redact::Redactor;
use crate::remote::{Backend, Failure, Verdict};
use crate::session::{Session, Source, Workflows};
use crate::state::{FILE_LINES_MAX, FileRecord, HookInput, SentLines};
use crate::tail::{self, Tail};
use crate::time::Clock;
use crate::wire::{EVENT_SESSION_END, EventRequest, InitRequest, PROVIDER, TYPE_TRANSCRIPT};

pub use metadata::{Surroundings, machine_name};
use prepare::{Preparing, Sending};
use progress::Progress;
use standing::Standing;

/// The longest that one request may take; the backend's own limit is the same.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// The longest that a request with a single line may take, after timeouts.
const LINE_TIME_MAX: Duration = Duration::from_secs(480);
/// The shortest time in which a request is worth starting.
const REQUEST_TIME_MIN: Duration = Duration::from_millis(50);
/// Rounds of discovery in one pass.
const ROUNDS_MAX: usize = 10;
/// Refused requests for one file in one pass: enough to halve 8 MiB down to one line.
const REFUSALS_MAX: usize = 40;
/// Refusals of one line alone, two in a pass, behind which a stand-in takes its place: one line
/// must not keep all that follow it from being sent.
const REFUSALS_ALONE_MAX: u32 = 8;
/// Summaries of earlier sessions that are set for one chunk.
const LINKS_MAX: usize = 8;
/// Time between two checkpoints of a long pass.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);

/// What a pass works with; made for the pass and dropped after it, so that an idle daemon is small.
pub struct Tools<'a> {
    /// The backend.
    pub backend: &'a mut dyn Backend,
    /// What is cut out.
    pub redactor: &'a Redactor,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// No request is started or waited for behind this.
    pub deadline: Instant,
    /// True when the pass shall end early.
    pub interrupted: &'a mut dyn FnMut() -> bool,
    /// Called now and then with an engine whose records are worth saving.
    pub checkpoint: &'a mut dyn FnMut(&Engine),
}

/// What came of a pass.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines that the backend has acknowledged.
    pub n_lines: u64,
    /// The failure that policy must look at: the first of the most serious kind.
    pub failure: Option<Failure>,
    /// Files that could not be read, as text for people. They are tried again in the next pass.
    pub file_errors: Vec<Error>,
    /// The pass ended early.
    pub interrupted: bool,
}

/// Follows one session.
#[derive(Debug)]
pub struct Engine {
    paths: Paths,
    session: Session,
    surroundings: Surroundings,
    backend_id: Option<String>,
    /// The backend's id of the session that the files' records are of, when it is known.
    records_of: Option<String>,
    /// What the backend said of its capabilities.
    workflows: Option<Workflows>,
    files: BTreeMap<String, Progress>,
    /// The last look for news found a file.
    has_seen_files: bool,
    request_size: RequestSize,
    /// Time for a request with lines.
    request_time_max: Duration,
    standing: Standing,
}

impl Engine {
    /// An engine for a session, with what the state file remembers of its files.
    pub fn new(
        paths: &Paths,
        session: Session,
        surroundings: Surroundings,
        records: BTreeMap<String, FileRecord>,
    ) -> Engine {
        let files = records.into_iter().map(|(name, record)| (name, Progress::new(record)));
        Engine {
            paths: paths.clone(),
            session,
            surroundings,
            backend_id: None,
            records_of: None,
            workflows: None,
            files: files.collect(),
            has_seen_files: false,
            request_size: RequestSize::default(),
            request_time_max: REQUEST_TIME_MAX,
            standing: Standing::default(),
        }
    }

    /// The records are of the session that a backend knew by this id. Where it turns out to be
    /// another one, they are not used.
    pub fn set_records_of(&mut self, backend_id: Option<String>) {
        self.records_of = backend_id;
    }

    /// The session's files.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The working directory that Claude Code named last.
    pub fn set_cwd(&mut self, cwd: &str) {
        if !cwd.is_empty() {
            self.surroundings.cwd = cwd.to_owned();
        }
    }

    /// The backend is another one now: what the last one said is forgotten, and so is what it
    /// acknowledged, unless the new one says that it has it.
    pub fn change_backend(&mut self) {
        self.backend_id = None;
        self.standing.is_wanted = false;
        self.workflows = None;
        for progress in self.files.values_mut() {
            progress.server_line = None;
            progress.record.full = false;
            progress.record.chunks = 0;
            progress.settled = None;
        }
    }

    /// The backend's id of the session, once it has told it.
    pub fn backend_id(&self) -> Option<&str> {
        self.backend_id.as_deref()
    }

    /// How far each file was acknowledged.
    pub fn records(&self) -> BTreeMap<String, FileRecord> {
        self.files.iter().map(|(name, progress)| (name.clone(), progress.record.clone())).collect()
    }

    /// True when a file exists that has changed since it was sent whole. Looks at names, sizes and
    /// times alone.
    pub fn has_news(&mut self) -> bool {
        self.session.find_transcript();
        let workflows = self.workflows.unwrap_or(Workflows::ALL);
        let sources = self.session.sources(workflows);
        self.has_seen_files = !sources.is_empty();
        sources.iter().any(|source| !self.is_settled(source))
    }

    /// True when [`has_news`](Self::has_news) found a file, new or not, at its last look.
    pub fn has_seen_files(&self) -> bool {
        self.has_seen_files
    }

    /// True when any file of the session exists.
    pub fn has_files(&mut self) -> bool {
        !self.session.sources(Workflows::ALL).is_empty()
    }

    /// What the files look like now, to find out when they have stopped changing.
    pub fn stamps(&mut self) -> Vec<(PathBuf, Option<Stamp>)> {
        self.session.find_transcript();
        let sources = self.session.sources(Workflows::ALL);
        sources
            .into_iter()
            .map(|source| {
                let stamp = stamp(&source);
                (source.path, stamp)
            })
            .collect()
    }

    /// Sends what is new. With `last`, also a last line without newline, when it is whole JSON.
    pub fn pass(&mut self, tools: &mut Tools<'_>, last: bool) -> Report {
        let report = self.send_all(tools, last);
        self.standing.end(&report, tools.clock.wall());
        report
    }

    fn send_all(&mut self, tools: &mut Tools<'_>, last: bool) -> Report {
        let mut report = Report::default();
        let mut done = BTreeSet::new();
        if last {
            // A file that was made in the same tick as another leaves its folder's time as it was.
            self.session.forget_listings();
        }
        self.session.find_transcript();
        for _ in 0..ROUNDS_MAX {
            let sources: Vec<Source> = self
                .session
                .sources(self.workflows.unwrap_or_default())
                .into_iter()
                .filter(|source| !done.contains(&source.name))
                .collect();
            let is_new = !sources.is_empty();
            self.standing.expect(&sources, &self.files, self.backend_id.is_some());
            for source in sources {
                done.insert(source.name.clone());
                let is_full =
                    self.files.get(&source.name).is_some_and(|progress| progress.record.full);
                if is_full || (self.is_settled(&source) && !last) {
                    continue;
                }
                if let Err(failure) = self.send_file(&source, tools, last, &mut report) {
                    report.failure = Some(failure);
                    return report;
                }
                if report.interrupted {
                    return report;
                }
            }
            let asked = match self.ask_capabilities(tools) {
                Ok(asked) => asked,
                Err(failure) => {
                    // Asked again in the next pass; all other files went through.
                    report.failure.get_or_insert(failure);
                    return report;
                }
            };
            if !is_new && !asked {
                break;
            }
        }
        let is_known = self.files.values().any(|progress| progress.record.local_line > 0);
        report.file_errors.extend(self.session.trouble(is_known));
        report
    }

    /// Reports the end of the session, once everything is sent.
    ///
    /// # Errors
    /// As the backend.
    pub fn send_end(
        &mut self,
        timestamp: &str,
        input: &HookInput,
        tools: &mut Tools<'_>,
    ) -> Result<(), Failure> {
        let session_id = self.open(tools)?;
        let payload = metadata::end_payload(input, tools.redactor)
            .map_err(|error| Failure::retry(Error::new("write session_end").caused_by(error)))?;
        let request = EventRequest {
            session_id,
            event_type: EVENT_SESSION_END.to_owned(),
            timestamp: timestamp.to_owned(),
            payload: Some(payload),
        };
        let time_max = time_left(tools)?;
        tools.backend.event(&request, time_max).inspect_err(|failure| self.forget(failure))
    }

    /// Lines of all files that others stand in for.
    fn withheld(&self) -> u64 {
        self.files.values().map(|file| file.record.withheld + file.record.stand_ins).sum()
    }

    fn is_settled(&self, source: &Source) -> bool {
        self.files.get(&source.name).is_some_and(|progress| progress.is_settled(stamp(source)))
    }

    /// Asks the backend where everything stands, unless that is known.
    fn open(&mut self, tools: &mut Tools<'_>) -> Result<String, Failure> {
        if let Some(id) = &self.backend_id {
            return Ok(id.clone());
        }
        let request = InitRequest {
            provider: Some(PROVIDER.to_owned()),
            external_id: self.session.id().to_string(),
            transcript_path: metadata::wire_path(self.session.transcript(), tools.redactor),
            metadata: Some(self.surroundings.init_metadata(tools.redactor)),
            ..InitRequest::default()
        };
        let time_max = time_left(tools)?;
        let answer = tools.backend.init(&request, time_max).map_err(|failure| Failure {
            // A session cannot be gone before it was opened: the address is wrong, perhaps.
            verdict: match failure.verdict {
                Verdict::Gone | Verdict::Reject => Verdict::Retry(None),
                verdict => verdict,
            },
            ..failure
        })?;
        let records_of = self.records_of.replace(answer.session_id.clone());
        let is_another = records_of.is_some_and(|id| id != answer.session_id);
        for progress in self.files.values_mut() {
            if is_another {
                progress.start_over();
            }
            progress.server_line = Some(0);
        }
        self.standing.is_wanted = answer.reports;
        for (name, position) in answer.files {
            let line = position.last_synced_line.min(FILE_LINES_MAX);
            self.files.entry(name).or_default().server_line = Some(line);
        }
        self.backend_id = Some(answer.session_id.clone());
        Ok(answer.session_id)
    }

    /// After an error the backend is asked where everything stands. Not when it does not know the
    /// session: opening it again would bring a deleted session back.
    fn forget(&mut self, failure: &Failure) {
        if failure.verdict == Verdict::Gone {
            return;
        }
        self.backend_id = None;
        for progress in self.files.values_mut() {
            progress.server_line = None;
            progress.settled = None;
        }
    }

    /// Asks what the backend can store when a workflow run has left files; true when it answered
    /// just now.
    fn ask_capabilities(&mut self, tools: &mut Tools<'_>) -> Result<bool, Failure> {
        if self.workflows.is_some() || !self.session.has_workflows() {
            return Ok(false);
        }
        let time_max = time_left(tools)?;
        let capabilities = tools.backend.capabilities(time_max)?;
        self.workflows = Some(Workflows {
            agents: capabilities.workflow_files,
            journals: capabilities.workflow_journal,
        });
        Ok(true)
    }

    /// Sends what is new in one file. A file that cannot be read is reported and left for later.
    fn send_file(
        &mut self,
        source: &Source,
        tools: &mut Tools<'_>,
        last: bool,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let mut sending =
            Sending { source, last, stand_in: false, n_refused: 0, n_refused_alone: 0 };
        loop {
            match self.send_chunks(&mut sending, tools, report) {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => {
                    warn!("{error}");
                    report.file_errors.push(error);
                    return Ok(());
                }
                Err(failure) => {
                    self.forget(&failure);
                    if failure.timed_out {
                        self.after_timeout(source);
                    }
                    sending.n_refused += 1;
                    if failure.verdict != Verdict::Reject {
                        return Err(failure);
                    }
                    let is_hopeless = sending.n_refused > REFUSALS_MAX;
                    if is_hopeless || !self.shrink_after_refusal(&mut sending, tools)? {
                        // The others go on; this one is tried again in the next pass.
                        let what = format!("send {}", source.name);
                        report.file_errors.push(Error::new(what).caused_by(failure.error));
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Smaller requests are made after a timeout; a single line, which cannot be made smaller, gets
    /// more time.
    fn after_timeout(&mut self, source: &Source) {
        let tried = self.files.get(&source.name);
        let (n_lines, bytes) =
            tried.map_or((0, 0), |progress| (progress.n_lines_tried, progress.n_bytes_tried));
        if n_lines == 1 {
            self.request_time_max = (self.request_time_max * 2).min(LINE_TIME_MAX);
        }
        self.request_size.was_late(bytes);
    }

    /// A request was refused. Either the backend stands elsewhere than we thought: then we go on
    /// from there. Or it stands where we thought: then the body was the reason, and a smaller one
    /// is tried, down to a stand-in for a single line that was refused again and again. False
    /// when there is nothing more to try.
    fn shrink_after_refusal(
        &mut self,
        sending: &mut Sending<'_>,
        tools: &mut Tools<'_>,
    ) -> Result<bool, Failure> {
        let progress = self.files.entry(sending.source.name.clone()).or_default();
        let before = progress.record.last_synced_line;
        let n_lines = std::mem::take(&mut progress.n_lines_tried);
        self.open(tools)?;
        let progress = self.files.entry(sending.source.name.clone()).or_default();
        if progress.server_line != Some(before) {
            return Ok(true);
        }
        if progress.is_full_now() {
            warn!("{}: the backend has as many chunks of it as it keeps", sending.source.name);
            return Ok(false);
        }
        if n_lines > 1 {
            self.request_size.was_refused(progress.n_bytes_tried);
            return Ok(true);
        }
        if sending.stand_in {
            return Ok(false);
        }
        progress.n_refused_alone += 1;
        sending.n_refused_alone += 1;
        sending.stand_in = progress.n_refused_alone >= REFUSALS_ALONE_MAX;
        // A second chance at once: whatever was wrong may have passed.
        Ok(sending.stand_in || sending.n_refused_alone == 1)
    }

    /// Sends chunk after chunk. The inner result is about the file, the outer about the backend.
    fn send_chunks(
        &mut self,
        sending: &mut Sending<'_>,
        tools: &mut Tools<'_>,
        report: &mut Report,
    ) -> Result<Result<()>, Failure> {
        let source = sending.source;
        self.standing.begin(source);
        // Noted before the backend is asked, so that `sync status` shows what exists only here.
        let progress = self.files.entry(source.name.clone()).or_default();
        progress.record.path.clone_from(&source.path);
        progress.record.file_type = source.file_type.to_owned();
        let session_id = self.open(tools)?;
        let sent_lines = SentLines::new(&self.paths, self.session.id(), &session_id, &source.name);
        let progress = self.files.entry(source.name.clone()).or_default();
        let located = match progress.locate(&source.path, &sent_lines) {
            Ok(located) => located,
            Err(error) => return Ok(Err(error)),
        };
        let tail = Tail::new(located.file, located.position, tail::LINE_BYTES_MAX);
        let mut tail = tail.behind_these(&located.behind);
        let sent = self.send_tail(&session_id, &mut tail, &sent_lines, sending, tools, report);
        if matches!(sent, Ok(Ok(()))) && !report.interrupted {
            let progress = self.files.entry(source.name.clone()).or_default();
            progress.settle(&tail, located.stamp);
        }
        sent
    }

    fn send_tail(
        &mut self,
        session_id: &str,
        tail: &mut Tail<File>,
        sent_lines: &SentLines,
        sending: &mut Sending<'_>,
        tools: &mut Tools<'_>,
        report: &mut Report,
    ) -> Result<Result<()>, Failure> {
        let source = sending.source;
        let mut checkpoint_at = tools.clock.now() + CHECKPOINT_INTERVAL;
        let mut compressor = Compressor::default();
        let mut prepared = None;
        loop {
            let progress = self.files.entry(source.name.clone()).or_default();
            let acknowledged = progress.record.last_synced_line;
            let preparing = Preparing {
                session_id,
                surroundings: &self.surroundings,
                request_bytes: self.request_size.bytes(),
                sending,
            };
            let chunk = prepared.take().unwrap_or_else(|| {
                preparing.prepare(acknowledged, tail, &mut compressor, tools.redactor)
            });
            let mut chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            };
            progress.n_lines_tried = chunk.contents.n_lines;
            progress.n_bytes_tried = chunk.contents.bytes;
            progress.announce(&chunk.contents, sent_lines);
            let withheld = self.withheld() + chunk.contents.withheld + chunk.contents.stand_ins;
            chunk.report = self.standing.report(source, chunk.contents.end.offset, withheld);
            let time_max = time_left_of(self.request_time_max, tools)?;
            let expected = acknowledged + chunk.contents.n_lines;
            let started = tools.clock.now();
            let answer;
            (answer, prepared) =
                preparing.exchange(&chunk, expected, tail, &mut compressor, tools, time_max);
            if answer?.last_synced_line != expected {
                let what = format!("{}: the backend acknowledged another line", source.name);
                let error = Error::new(what);
                return Err(Failure { verdict: Verdict::Reject, ..Failure::retry(error) });
            }
            let progress = self.files.entry(source.name.clone()).or_default();
            progress.acknowledge(&chunk.contents);
            self.standing.was_heard();
            report.n_lines += chunk.contents.n_lines;
            let took = tools.clock.now() - started;
            self.request_size.was_acknowledged(chunk.contents.bytes, took);
            self.request_time_max = REQUEST_TIME_MAX;
            sending.stand_in = false;
            self.after_chunk(source, chunk.contents, tools);
            if tools.clock.now() >= checkpoint_at {
                (tools.checkpoint)(self);
                checkpoint_at = tools.clock.now() + CHECKPOINT_INTERVAL;
            }
            if (tools.interrupted)() {
                report.interrupted = true;
                return Ok(Ok(()));
            }
        }
    }

    /// What the lines of an acknowledged chunk lead to.
    fn after_chunk(&mut self, source: &Source, contents: Contents, tools: &mut Tools<'_>) {
        self.session.mention(contents.agent_ids);
        if source.file_type != TYPE_TRANSCRIPT {
            return;
        }
        let (leaves, summaries): (Vec<_>, Vec<_>) =
            contents.links.into_iter().take(LINKS_MAX).unzip();
        let sessions = links::sessions_of_lines(&source.path, &leaves);
        for (id, summary) in sessions.into_iter().zip(summaries) {
            let Some(id) = id else { continue };
            let Ok(time_max) = time_left(tools) else { return };
            // A lost link costs a title, and the line itself is stored.
            match tools.backend.summarise(&id, metadata::summary(&summary).as_ref(), time_max) {
                Ok(()) => info!("the summary of session {id} was set"),
                Err(failure) => warn!("the summary of session {id} could not be set: {failure}"),
            }
        }
    }
}

fn time_left(tools: &Tools<'_>) -> Result<Duration, Failure> {
    time_left_of(REQUEST_TIME_MAX, tools)
}

fn time_left_of(time_max: Duration, tools: &Tools<'_>) -> Result<Duration, Failure> {
    let left = tools.deadline.saturating_duration_since(tools.clock.now());
    if left < REQUEST_TIME_MIN {
        let error = Error::new("the time for this pass is over");
        return Err(Failure { timed_out: false, ..Failure::retry(error) });
    }
    Ok(left.min(time_max))
}

fn stamp(source: &Source) -> Option<Stamp> {
    std::fs::metadata(&source.path).ok().map(|metadata| Stamp::of(&metadata))
}
