//! `confab list`: the sessions on this machine, the latest first, and how much of each the backend
//! has. Asks nobody: what was delivered is known here.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::cli::columns;
use crate::cli::sessions::{self, Delivered, LocalSession};
use crate::config::{self, Config};
use crate::error::{Context, Error, Result};
use crate::files::Paths;
use crate::state;
use crate::time;

/// Sessions that are shown unless more are asked for.
const SHOWN_MAX: usize = 25;
/// Columns of a title at least, however narrow the terminal is.
const TITLE_COLUMNS_MIN: usize = 20;
/// Columns in front of the title, behind the id.
const OTHER_COLUMNS: usize = 37;

/// Which sessions, and how they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// Written within this time.
    pub since: Option<Duration>,
    /// Without a limit to their number.
    pub all: bool,
    /// As JSON, and then without that limit.
    pub json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    sessions: &'a [View],
}

/// What is told of a session.
#[derive(Debug, Serialize)]
struct View {
    session: String,
    title: Option<String>,
    /// Folder in which it began.
    cwd: Option<String>,
    transcript: String,
    /// When it was last written, RFC 3339.
    modified: String,
    bytes: u64,
    /// Bytes of it that the backend has; null when that is not known.
    delivered_bytes: Option<u64>,
    /// `delivered`, `partly`, `waiting`, `unknown`, `deleted` or `excluded`.
    status: &'static str,
}

/// Writes the list. False when something could not be read, which is then told.
///
/// # Errors
/// When the output cannot be written.
pub fn run(
    list: &List,
    paths: &Paths,
    now: SystemTime,
    width: Option<usize>,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<bool> {
    let (all, mut problems) = sessions::discover(paths);
    let id_bytes = sessions::id_bytes(&all);
    let since = list.since.and_then(|age| now.checked_sub(age));
    let wanted: Vec<&LocalSession> =
        all.iter().filter(|one| since.is_none_or(|since| one.modified >= since)).collect();
    let is_limited = !list.all && !list.json && list.since.is_none();
    let n_shown = if is_limited { SHOWN_MAX.min(wanted.len()) } else { wanted.len() };
    let config = config::load(paths).unwrap_or_default();
    let noted = state::load_delivered(paths);
    let views: Vec<View> = wanted[..n_shown]
        .iter()
        .map(|one| {
            let delivered = sessions::delivered(paths, one, &noted);
            view(one, delivered, &config, paths, &mut problems)
        })
        .collect();
    let written = match list.json {
        true => serde_json::to_writer_pretty(&mut *out, &Document { sessions: &views })
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
        false => print(&views, &wanted, id_bytes, now, width, out),
    };
    written.context(|| "write to standard output".into())?;
    tell(&problems, wanted.len(), n_shown, list, talk);
    Ok(problems.is_empty())
}

fn view(
    session: &LocalSession,
    delivered: Delivered,
    config: &Config,
    paths: &Paths,
    problems: &mut Vec<Error>,
) -> View {
    let glance = sessions::glance(session).unwrap_or_else(|error| {
        let what = format!("read {}", session.transcript.display());
        problems.push(Error::new(what).caused_by(error));
        sessions::Glance::default()
    });
    let cwd = glance.cwd.as_deref().unwrap_or_default();
    let (status, bytes) = match delivered {
        Delivered::Deleted => ("deleted", None),
        _ if config.excludes(&session.id, Path::new(cwd), paths) => ("excluded", None),
        Delivered::Bytes(0) => ("waiting", Some(0)),
        Delivered::Bytes(bytes) if bytes < session.bytes => ("partly", Some(bytes)),
        Delivered::Bytes(bytes) => ("delivered", Some(bytes)),
        Delivered::Unknown => ("unknown", None),
    };
    View {
        session: session.id.to_string(),
        title: glance.title,
        cwd: glance.cwd,
        transcript: session.transcript.display().to_string(),
        modified: time::rfc3339(session.modified),
        bytes: session.bytes,
        delivered_bytes: bytes,
        status,
    }
}

/// The title stands last, so that its width moves nothing.
fn print(
    views: &[View],
    sessions: &[&LocalSession],
    id_bytes: usize,
    now: SystemTime,
    width: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    if views.is_empty() {
        return writeln!(out, "no sessions");
    }
    let title_columns =
        width.map(|all| all.saturating_sub(id_bytes + OTHER_COLUMNS).max(TITLE_COLUMNS_MIN));
    writeln!(
        out,
        "{:id_bytes$}  {:<12}  {:>9}  {:<8}  TITLE",
        "ID", "LAST WRITTEN", "SIZE", "BACKEND"
    )?;
    for (view, session) in views.iter().zip(sessions) {
        let title = view.title.as_deref().unwrap_or("-");
        writeln!(
            out,
            "{:.id_bytes$}  {:<12}  {:>9}  {:<8}  {}",
            view.session,
            ago(now, session.modified),
            size(view.bytes),
            backend(view),
            columns::cut(title, title_columns.unwrap_or(usize::MAX)),
        )?;
    }
    Ok(())
}

fn backend(view: &View) -> String {
    match (view.status, view.delivered_bytes) {
        ("delivered", _) => "all".into(),
        ("waiting", _) => "nothing".into(),
        ("unknown", _) => "?".into(),
        ("partly", Some(bytes)) => format!("{} %", bytes * 100 / view.bytes.max(1)),
        (status, _) => status.into(),
    }
}

fn tell(problems: &[Error], n_wanted: usize, n_shown: usize, list: &List, talk: &mut dyn Write) {
    for problem in problems {
        let _ = writeln!(talk, "confab: warning: {problem}");
    }
    if n_shown < n_wanted {
        let n_more = n_wanted - n_shown;
        let _ = writeln!(talk, "and {n_more} more: confab list --all");
    } else if n_wanted == 0 && list.since.is_some() {
        let _ = writeln!(talk, "confab: hint: confab list --all shows older ones");
    }
}

/// `5 min ago`.
fn ago(now: SystemTime, then: SystemTime) -> String {
    let seconds = now.duration_since(then).unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        86_400..172_800 => "1 day ago".to_owned(),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// `1.2 MB`, in powers of a thousand.
pub(super) fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages() {
        let sizes = [(0, "0 B"), (999, "999 B"), (1_250, "1.2 kB"), (5_000_000_000, "5.0 GB")];
        for (bytes, expected) in sizes {
            assert_eq!(size(bytes), expected);
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000);
        let ages =
            [(59, "59 s ago"), (60, "1 min ago"), (7_200, "2 h ago"), (200_000, "2 days ago")];
        for (seconds, expected) in ages {
            assert_eq!(ago(now, now - Duration::from_secs(seconds)), expected);
        }
        assert_eq!(ago(now, now + Duration::from_secs(5)), "0 s ago");
    }
}
