//! What arrives, told while it arrives: server-sent events.
//!
//! Each stream can be taken up where it broke off by the id of its last event alone: a line's
//! number, or how many changes the server has heard of in this run. Those come in the order in
//! which they were stored, whatever clocks say, and an id stands behind all that it covers. So a
//! stream may be ended at any time, and is, when it has missed something, when what its reader has
//! shown does not hold any more, and now and then so that they show it again. Whose id is of
//! another run, or too old, is told to look at the list.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::access::Access;
use super::events::raw;
use super::sessions::transcript_of;
use super::{Answer, Api, Refused, error_response, refuse, session_not_found};
use crate::error::{Error, Result};
use crate::server::connection::Surroundings;
use crate::server::gate::Pass;
use crate::server::http::{Head, Payload, Pieces, Response, query_value};
use crate::server::store::{Arrival, ArrivalKind, Heard, Store, User};
use crate::time::parse_rfc3339;
use crate::wire::{LINE_NUMBER_MAX, SessionEntry};

/// Silence after which a reader, and whatever lies between, is told that the stream still lives.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// Who changes all the time is told as often as people look.
const SESSIONS_INTERVAL: Duration = Duration::from_millis(50);
/// Age of a stream at which its reader has to come again.
const STREAM_TIME_MAX: Duration = Duration::from_secs(10 * 60);
/// Sessions that are told at once to who comes back.
const SESSIONS_MAX: u32 = 1000;
/// Until it is a stream's turn to read the database.
const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a browser waits before it comes again.
const RETRY_MS: u64 = 500;

/// A reader's place among the streams, given back when dropped.
struct Place(Arc<Surroundings>, i64);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.give_back(self.1);
    }
}

/// What all streams have.
struct Stream {
    store: Arc<Store>,
    now: fn() -> SystemTime,
    monotonic: fn() -> Instant,
    user: i64,
    access: Access,
    ends_at: Instant,
    /// Arrivals that were heard.
    heard: u64,
    place: Place,
}

/// What a stream waited for.
enum Waited {
    /// These.
    News(Vec<Arrival>),
    /// Nothing happened for a while.
    Nothing,
    /// The stream is over; its reader may come again.
    Over,
}

/// From where on a reader wants to hear of sessions.
enum Since {
    /// What was heard of behind so many changes.
    Position(u64),
    /// What was synced after this time.
    Time(SystemTime),
    /// An id that says nothing here.
    Unknown,
}

/// A reader's sessions as they change.
struct SessionStream {
    stream: Stream,
    run: u64,
    /// Ids of the sessions of others that they may read.
    shared: HashSet<String>,
}

/// A session's lines as they arrive.
struct LineStream {
    stream: Stream,
    session: String,
    file_name: String,
    /// Number of the next line to tell.
    line: i64,
    /// That the session is gone was told.
    is_gone: bool,
}

impl Api {
    /// The sessions that a user may read as they change: what has changed since the last event that
    /// the browser has heard, or since `since`, and what changes from now on.
    pub(super) fn stream(&self, user: &User, head: &Head) -> Answer {
        let since = match (head.header("last-event-id"), query_value(&head.query, "since")) {
            (Some(id), _) => Some(self.since(id).unwrap_or(Since::Unknown)),
            (None, Some(text)) => {
                let what = "since must be a time (RFC 3339) or the id of an event";
                Some(self.since(&text).ok_or_else(|| refuse(400, what))?)
            }
            (None, None) => None,
        };
        let failed = |error| Refused::Failed("Failed to list sessions", error);
        let mut stream = self.open(user, head)?;
        let mut text = opening();
        let knows_all = match since {
            None => true,
            Some(Since::Position(heard)) if self.store.arrivals.remembers(heard) => {
                stream.heard = heard;
                true
            }
            Some(Since::Time(time)) => {
                let now = (self.world.now)();
                let due = self.store.sessions_since(user.id, time, SESSIONS_MAX, now);
                let due = due.map_err(failed)?;
                due.iter().for_each(|entry| add_session(&mut text, entry));
                due.len() < SESSIONS_MAX as usize
            }
            Some(Since::Position(_) | Since::Unknown) => false,
        };
        if !knows_all {
            add_event(&mut text, "reset", None, "{}");
        }
        add_position(&mut text, &self.position(stream.heard));
        let shared = self.store.shared_with(user.id).map_err(failed)?;
        let mut sessions =
            SessionStream { stream, run: self.run, shared: shared.into_iter().collect() };
        let mut first = Some(text.into_bytes());
        Ok(events(Box::new(move || match first.take() {
            Some(first) => Ok(Some(first)),
            None => sessions.next(),
        })))
    }

    /// The id of what so many changes lead to.
    pub(super) fn position(&self, heard: u64) -> String {
        position(self.run, heard)
    }

    /// Reads an id, or a time; `None` for everything else.
    fn since(&self, text: &str) -> Option<Since> {
        if let Some(time) = parse_rfc3339(text) {
            return Some(Since::Time(time));
        }
        let (run, heard) = text.split_once('-')?;
        let (run, heard) = (u64::from_str_radix(run, 16).ok()?, heard.parse().ok()?);
        Some(if run == self.run { Since::Position(heard) } else { Since::Unknown })
    }

    /// The lines of a file of a session, `file` or the main transcript, from line `from` or behind
    /// the last event that the browser has heard, and what happens to its other files.
    pub(super) fn line_stream(&self, user: &User, id: &str, head: &Head) -> Answer {
        let not_a_line = || refuse(400, "from must be a line number");
        let line = match (head.header("last-event-id"), query_value(&head.query, "from")) {
            (Some(heard), _) => heard.parse::<i64>().ok().and_then(|heard| heard.checked_add(1)),
            (None, Some(text)) => text.parse().ok(),
            (None, None) => Some(1),
        };
        let line = line.filter(|line| (1..=LINE_NUMBER_MAX as i64 + 1).contains(line));
        let line = line.ok_or_else(not_a_line)?;
        let stream = self.open(user, head)?;
        let detail = self
            .store
            .session(user.id, id)
            .map_err(|error| Refused::Failed("Failed to get session", error))?
            .ok_or_else(session_not_found)?;
        let file_name = query_value(&head.query, "file").filter(|name| !name.is_empty());
        let file_name = file_name.unwrap_or_else(|| match transcript_of(&detail) {
            Some(file) => file.file_name.clone(),
            None => format!("{}.jsonl", detail.external_id),
        });
        let mut lines =
            LineStream { stream, session: id.to_owned(), file_name, line, is_gone: false };
        let mut first = Some(opening().into_bytes());
        Ok(events(Box::new(move || match first.take() {
            Some(first) => Ok(Some(first)),
            None => lines.next(),
        })))
    }

    fn open(&self, user: &User, head: &Head) -> std::result::Result<Stream, Refused> {
        let surroundings = Arc::clone(&self.surroundings);
        if !surroundings.streams.take(user.id) {
            let response = error_response(503, "Too many streams");
            return Err(Refused::With(response.with_header("Retry-After", "10")));
        }
        let place = Place(surroundings, user.id);
        Ok(Stream {
            store: Arc::clone(&self.store),
            now: self.world.now,
            monotonic: self.world.monotonic,
            user: user.id,
            access: self.access(user, head)?,
            ends_at: (self.world.monotonic)() + STREAM_TIME_MAX,
            heard: self.store.arrivals.count(),
            place,
        })
    }
}

impl Stream {
    fn wait(&mut self, wants: impl Fn(&Arrival) -> bool) -> Waited {
        if (self.monotonic)() >= self.ends_at {
            return Waited::Over;
        }
        match self.store.arrivals.wait(self.heard, HEARTBEAT_INTERVAL, wants) {
            Heard::News(news, heard) => {
                self.heard = heard;
                if news.is_empty() { Waited::Nothing } else { Waited::News(news) }
            }
            Heard::Missed(_) | Heard::Over => Waited::Over,
        }
    }

    /// Leave to read the database.
    fn reading(surroundings: &Surroundings) -> Result<Pass<'_>> {
        let pass = surroundings.stream_readers.enter(READ_TIME_MAX);
        pass.ok_or_else(|| Error::new("read what is new: others read all the time"))
    }
}

impl SessionStream {
    /// The sessions that have changed meanwhile, each once, in the order of their last changes.
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let SessionStream { stream, run, shared } = self;
        let (user, before) = (stream.user, stream.heard);
        let wants = |arrival: &Arrival| arrival.user == user || shared.contains(&arrival.session);
        let mut text = String::new();
        let mut news = match stream.wait(wants) {
            Waited::Over => return Ok(None),
            Waited::Nothing if !stream.access.holds()? => return Ok(None),
            Waited::Nothing if stream.heard == before => return Ok(Some(heartbeat())),
            Waited::Nothing => {
                // What others have changed is behind this reader, too.
                add_position(&mut text, &position(*run, stream.heard));
                return Ok(Some(text.into_bytes()));
            }
            Waited::News(news) => news,
        };
        stream.store.wake.pause(SESSIONS_INTERVAL);
        if let Heard::News(more, heard) =
            stream.store.arrivals.wait(stream.heard, Duration::ZERO, wants)
        {
            news.extend(more);
            stream.heard = heard;
        }
        let surroundings = Arc::clone(&stream.place.0);
        let _reading = Stream::reading(&surroundings)?;
        if !stream.access.holds()? {
            return Ok(None);
        }
        // Shares come and go like this, too.
        let shares = stream.store.shared_with(user)?;
        for Arrival { session, kind, .. } in last_of_each(news) {
            match stream.store.session_entry(user, &session, (stream.now)())? {
                Some(entry) => add_session(&mut text, &entry),
                None if kind == ArrivalKind::Gone => add_gone(&mut text, &session),
                None => {}
            }
        }
        add_position(&mut text, &position(*run, stream.heard));
        *shared = shares.into_iter().collect();
        Ok(Some(text.into_bytes()))
    }
}

/// The last change of each session, in their order.
fn last_of_each(news: Vec<Arrival>) -> Vec<Arrival> {
    let mut known = HashSet::new();
    let mut last: Vec<Arrival> =
        news.into_iter().rev().filter(|arrival| known.insert(arrival.session.clone())).collect();
    last.reverse();
    last
}

impl LineStream {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let LineStream { stream, session, file_name, .. } = self;
        let surroundings = Arc::clone(&stream.place.0);
        let reading = Stream::reading(&surroundings)?;
        if !stream.access.holds()? {
            return Ok(None);
        }
        let Some(download) = stream.store.download(stream.user, session, file_name)? else {
            // It is deleted, or not theirs any more.
            let mut text = String::new();
            add_gone(&mut text, session);
            let is_told = std::mem::replace(&mut self.is_gone, true);
            return Ok((!is_told).then(|| text.into_bytes()));
        };
        if let Some(download) = download
            && self.line <= download.last_line
        {
            let Some((lines, next)) = stream.store.lines_from(&download.file, self.line)? else {
                return Ok(None);
            };
            let text = told_lines(&lines, self.line);
            self.line = next;
            return Ok(Some(text));
        }
        drop(reading);
        let news = match stream.wait(|arrival| arrival.session == *session) {
            Waited::Over => return Ok(None),
            Waited::Nothing => return Ok(Some(heartbeat())),
            Waited::News(news) => news,
        };
        if news.iter().any(|arrival| arrival.kind == ArrivalKind::Gone) {
            // Somebody else may have lost it alone: it is looked for.
            return Ok(Some(Vec::new()));
        }
        let mut text = String::new();
        let is_of_news = |name: &str| {
            news.iter().any(|arrival| matches!(&arrival.kind, ArrivalKind::Lines(of) if of == name))
        };
        let has_others = news
            .iter()
            .any(|arrival| matches!(&arrival.kind, ArrivalKind::Lines(of) if of != file_name));
        if has_others {
            let _reading = Stream::reading(&surroundings)?;
            if !stream.access.holds()? {
                return Ok(None);
            }
            let files = stream.store.files(stream.user, session)?.unwrap_or_default();
            for file in files.iter().filter(|file| file.file_name != *file_name) {
                if is_of_news(&file.file_name) {
                    add_event(&mut text, "file", None, &json_text(file));
                }
            }
        }
        Ok(Some(text.into_bytes()))
    }
}

/// An answer of events.
fn events(pieces: Pieces) -> Response {
    Response {
        status: 200,
        headers: vec![
            ("Content-Type", "text/event-stream".into()),
            ("X-Content-Type-Options", "nosniff".into()),
            // A proxy that collects answers would hold events back.
            ("X-Accel-Buffering", "no".into()),
        ],
        payload: Payload::Endless(pieces),
    }
}

/// What a stream begins with.
fn opening() -> String {
    format!("retry: {RETRY_MS}\n\n")
}

/// The id of what so many changes of a run of the server lead to.
fn position(run: u64, heard: u64) -> String {
    format!("{run:x}-{heard}")
}

fn heartbeat() -> Vec<u8> {
    b":\n\n".to_vec()
}

fn add_session(text: &mut String, entry: &SessionEntry) {
    add_event(text, "session", None, &json_text(entry));
}

/// Everything until here was told.
fn add_position(text: &mut String, position: &str) {
    add_event(text, "position", Some(position), "{}");
}

fn add_gone(text: &mut String, session: &str) {
    add_event(text, "gone", None, &json!({ "id": session }).to_string());
}

fn add_event(text: &mut String, kind: &str, id: Option<&str>, data: &str) {
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    let _ = write!(text, "event: {kind}\ndata: {data}\n\n");
}

fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("our answers have string keys")
}

/// Lines as events, the first with this number.
fn told_lines(lines: &[u8], first: i64) -> Vec<u8> {
    let mut text = String::with_capacity(lines.len() + lines.len() / 8);
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    for (index, line) in lines.split(|byte| *byte == b'\n').enumerate() {
        let number = first + index as i64;
        // What would end a line of a stream is white space in JSON.
        let raw = raw(line).get().replace('\r', " ");
        let data = format!("{{\"line\":{number},\"raw\":{raw}}}");
        add_event(&mut text, "line", Some(&number.to_string()), &data);
    }
    text.into_bytes()
}
