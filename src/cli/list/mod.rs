//! `confab list`: the sessions of this machine, newest first, and how much of each the backend has.
//!
//! Sizes and times are looked at first; of the sessions that are shown, both ends of the transcript
//! are read, and nothing is read whole. The title stands last, so that no text can spoil a column.

mod agents;
mod glance;
mod known;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::cli::sessions::{self, LocalSession};
use crate::cli::{Exit, age, columns, lines};
use crate::config::{self, Account, Config};
use crate::error::{Context, Error, Result};
use crate::files::Paths;
use crate::remote::{Client, Verdict};
use crate::time;

use glance::Glance;
use known::{Has, Known, Records, Remote};

/// How old a session may be when nothing else is said: what Claude Code keeps by default.
pub const AGE_DEFAULT: Duration = Duration::from_secs(30 * 86_400);
/// Time for the one question to the backend.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(3);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    /// How long ago a session may have been written to last; `None` for any time.
    pub age: Option<Duration>,
    /// As JSON.
    pub json: bool,
}

/// What surrounds the command; `main` fills it in.
pub struct Surroundings<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// The time.
    pub now: SystemTime,
    /// Opens a connection.
    pub connect: &'a dyn Fn(&Account) -> Result<Client>,
    /// Width of the terminal that the list is for; `None` when it is for no terminal.
    pub columns: Option<usize>,
}

/// All that there is to say.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// Newest first.
    pub sessions: Vec<Row>,
    /// Sessions that are older than was asked for.
    pub older: usize,
    /// Why it is not known how much the backend has.
    unknown_because: Option<Problem>,
    /// What could not be looked at.
    problems: Vec<Problem>,
    /// Bytes of transcripts that were read for this.
    #[serde(skip)]
    pub bytes_read: u64,
}

/// One session.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Claude's id.
    pub session: String,
    /// As much of it as means no other session of this machine.
    pub short_id: String,
    /// On one line, without control characters.
    pub title: Option<String>,
    /// The folder in which it began.
    pub cwd: Option<String>,
    /// Where its transcript is.
    pub transcript: String,
    /// When its transcript was written to last, RFC 3339.
    pub modified_at: String,
    /// Size of all its files.
    pub bytes: u64,
    /// How much of it the backend has.
    pub backend: Known,
    #[serde(skip)]
    age: Duration,
    #[serde(skip)]
    last_message: Option<SystemTime>,
}

#[derive(Debug, Serialize)]
struct Problem {
    what: String,
    hint: Option<String>,
}

impl Problem {
    fn of(error: &Error) -> Problem {
        Problem { what: error.to_string(), hint: error.hint().map(str::to_owned) }
    }
}

/// Writes the list to `out`, as JSON or for people, and what else there is to say to `talk`.
///
/// # Errors
/// When state cannot be read or the output not be written.
pub fn run(
    list: List,
    surroundings: &Surroundings<'_>,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<Exit> {
    let listing = listing(list, surroundings)?;
    let text = match list.json {
        true => serde_json::to_string_pretty(&listing)
            .map(|text| text + "\n")
            .context(|| "write the list as JSON".into())?,
        false => table(&listing, surroundings.columns),
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that goes away early has what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context(|| "write to standard output".into())?,
    }
    if !list.json {
        notes(list, &listing, talk)?;
    }
    Ok(if listing.problems.is_empty() { Exit::Done } else { Exit::Skipped })
}

/// Looks at the sessions.
///
/// # Errors
/// When state cannot be read.
pub fn listing(list: List, surroundings: &Surroundings<'_>) -> Result<Listing> {
    let Surroundings { paths, now, .. } = *surroundings;
    // What cannot be read tells nothing of the backend, and keeps nobody from a look at the disk.
    let (config, broken) = match config::load(paths) {
        Ok(config) => (config, None),
        Err(error) => (Config::default(), Some(Problem::of(&error))),
    };
    let records = Records::read(paths)?;
    let found = sessions::all(paths);
    let short_id_chars = found.short_id_chars();
    let is_shown = |session: &LocalSession| {
        let age = now.duration_since(session.modified).unwrap_or_default();
        list.age.is_none_or(|age_max| age < age_max)
    };
    let n_shown = found.sessions.iter().take_while(|session| is_shown(session)).count();
    let shown = &found.sessions[..n_shown];
    let agents = agents::bytes(shown.iter());
    let mut listing = Listing {
        sessions: Vec::with_capacity(n_shown),
        older: found.sessions.len() - n_shown,
        unknown_because: None,
        problems: found.errors.iter().map(Problem::of).collect(),
        bytes_read: 0,
    };
    for (session, short) in shown.iter().zip(short_id_chars) {
        let glance = look(session).unwrap_or_else(|error| {
            listing.problems.push(Problem::of(&error));
            Glance::default()
        });
        listing.bytes_read += glance.bytes_read;
        let bytes = session.bytes + agents.get(&session.id).copied().unwrap_or_default();
        let backend = records.of(paths, &session.id, bytes).unwrap_or(Known::NOTHING);
        listing.sessions.push(row(session, short, glance, bytes, backend, now));
    }
    ask(&mut listing, &config, surroundings, shown);
    listing.unknown_because = broken.or(listing.unknown_because);
    Ok(listing)
}

fn look(session: &LocalSession) -> Result<Glance> {
    let what = || format!("read {}", session.transcript.display());
    let mut file = File::open(&session.transcript).context(what)?;
    glance::glance(&mut file, session.bytes).context(what)
}

fn row(
    session: &LocalSession,
    short: usize,
    glance: Glance,
    bytes: u64,
    backend: Known,
    now: SystemTime,
) -> Row {
    let title = glance.title.map(|title| columns::plain(&title));
    let id = session.id.as_str();
    Row {
        session: id.to_owned(),
        short_id: id[..short.min(id.len())].to_owned(),
        title: title.filter(|title| !title.is_empty()),
        cwd: glance.cwd,
        transcript: session.transcript.display().to_string(),
        modified_at: time::rfc3339(session.modified),
        bytes,
        backend,
        age: now.duration_since(session.modified).unwrap_or_default(),
        last_message: glance.last_message,
    }
}

/// Asks the backend of those of which nothing is remembered, and the configuration of those of
/// which nothing was sent.
fn ask(
    listing: &mut Listing,
    config: &Config,
    surroundings: &Surroundings<'_>,
    shown: &[LocalSession],
) {
    let is_open = |row: &Row| row.backend == Known::NOTHING;
    if listing.sessions.iter().any(is_open) {
        let answer = config.account().and_then(|account| {
            let answer = (surroundings.connect)(&account)?.sessions(REQUEST_TIME_MAX);
            answer.map_err(|failure| match failure.verdict {
                Verdict::Retry(_) => failure.error,
                // Some show lists in a browser alone.
                _ => Error::new("the backend does not list sessions for this key")
                    .with_hint("confab status says whether the key is valid"),
            })
        });
        match answer {
            Ok(answer) => {
                let remote = Remote::new(answer.sessions);
                for (row, session) in listing.sessions.iter_mut().zip(shown) {
                    if row.backend == Known::NOTHING {
                        row.backend = remote.of(&session.id, row.last_message);
                    }
                }
            }
            Err(error) => listing.unknown_because = Some(Problem::of(&error)),
        }
    }
    for (row, session) in listing.sessions.iter_mut().zip(shown) {
        let cwd = Path::new(row.cwd.as_deref().unwrap_or_default());
        if matches!(row.backend.has, Has::None | Has::Unknown)
            && config.excludes(&session.id, cwd, surroundings.paths)
        {
            row.backend.has = Has::Excluded;
        }
    }
}

fn table(listing: &Listing, width: Option<usize>) -> String {
    let widest_id = listing.sessions.iter().map(|row| row.short_id.len()).max().unwrap_or(0);
    let line = |id: &str, age: &str, size: &str, backend: &str, title: &str| {
        let text = format!("{id:<widest_id$}  {age:>8}  {size:>7}  {backend:<8}  {title}");
        let text = text.trim_end();
        match width {
            Some(width) => format!("{}\n", columns::cut(text, width)),
            None => format!("{text}\n"),
        }
    };
    let mut text = String::new();
    if !listing.sessions.is_empty() {
        text += &line("ID", "ACTIVITY", "SIZE", "BACKEND", "TITLE");
    }
    for row in &listing.sessions {
        let age = format!("{} ago", age::shown(row.age));
        let title = row.title.as_deref().unwrap_or("-");
        text += &line(&row.short_id, &age, &columns::size(row.bytes), &share(row), title);
    }
    text
}

fn share(row: &Row) -> String {
    match (row.backend.has, row.backend.bytes) {
        (Has::All, _) => "all".to_owned(),
        (Has::Part, Some(bytes)) => {
            // Neither nothing nor everything.
            let percent = u128::from(bytes) * 100 / u128::from(row.bytes.max(1));
            format!("{}%", percent.clamp(1, 99))
        }
        (Has::Part, None) => "part".to_owned(),
        (Has::Some, _) => "some".to_owned(),
        (Has::None, _) => "none".to_owned(),
        (Has::Deleted, _) => "deleted".to_owned(),
        (Has::Excluded, _) => "excluded".to_owned(),
        (Has::Unknown, _) => "?".to_owned(),
    }
}

/// What does not belong into the table.
fn notes(list: List, listing: &Listing, talk: &mut dyn Write) -> Result<()> {
    let n_shown = listing.sessions.len() as u64;
    let mut summary = match (n_shown, list.age) {
        (0, _) => "no session".to_owned(),
        (n, _) => lines::count(n, "session"),
    };
    match list.age {
        Some(age) => summary += &format!(" of the last {}", age::shown(age)),
        None => summary += " on this machine",
    }
    if listing.older > 0 {
        summary += &format!("; {} older, which confab list --all shows", listing.older);
    }
    lines::say(talk, &summary)?;
    for problem in &listing.problems {
        lines::say(talk, &format!("error: {}", columns::plain(&problem.what)))?;
    }
    if let Some(problem) = &listing.unknown_because {
        let what = columns::plain(&problem.what);
        lines::say(talk, &format!("? is not known: {what}"))?;
        if let Some(hint) = &problem.hint {
            lines::say(talk, &format!("hint: {hint}"))?;
        }
    }
    Ok(())
}
