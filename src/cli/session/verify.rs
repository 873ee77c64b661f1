//! `confab session verify`: proves line by line that what the backend has of a session is what is
//! on this machine, after redaction.
//!
//! Lines are redacted again as the configuration says now and compared with what the backend gives
//! back. A stand-in is compared by length and hash of the line that it stands for. Content is never
//! shown, only numbers of lines. A file that cannot be compared keeps none of the others from it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use serde::{Deserialize, Serialize};

use super::download::check_whole;
use super::{Found, Stored};
use crate::cli::account::plain;
use crate::cli::sessions;
use crate::error::{Context, Error, Result};
use crate::files::SessionId;
use crate::redact::Redactor;
use crate::session::{Session, Source, Workflows};
use crate::state::{self, FileRecord, Kept, Loaded};
use crate::tail::{self, Line, Position, Tail};
use crate::wire::FileEntry;

/// Bytes of a line that comes from the backend.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verified {
    /// Every line that the backend has is that of this machine, and it has all of them.
    Equal,
    /// The backend does not have all of it yet.
    Pending,
    /// Something differs.
    Different,
    /// A file could not be compared.
    Failed,
}

/// Where the outcome is told.
pub struct Report<'a> {
    /// As JSON.
    pub json: bool,
    /// The outcome.
    pub out: &'a mut dyn Write,
    /// Why a file could not be compared.
    pub talk: &'a mut dyn Write,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    session: &'a str,
    status: Verified,
    files: &'a [View],
}

/// What is told of a file.
#[derive(Debug, Serialize)]
struct View {
    file_name: String,
    status: Verified,
    /// It is on the backend alone.
    only_there: bool,
    #[serde(flatten)]
    comparison: Comparison,
}

/// How one file compares.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Comparison {
    /// Lines that are the same.
    #[serde(rename = "equal_lines")]
    n_equal: u64,
    /// Of these, lines that a stand-in stands for.
    #[serde(rename = "stand_in_lines")]
    n_replaced: u64,
    /// The first line of the backend that is another one here.
    first_difference: Option<u64>,
    /// Lines that are only here.
    #[serde(rename = "pending_lines")]
    n_pending: u64,
    /// Lines of the backend that were replaced here since, and are only there.
    #[serde(rename = "former_lines")]
    n_former: u64,
    /// Lines that the backend has sent.
    #[serde(skip)]
    n_there: u64,
}

/// Compares all files of a session.
///
/// # Errors
/// When there is nothing of it on this machine, or the output cannot be written.
pub fn verify(
    stored: &Stored<'_>,
    session: &Found,
    redactor: &Redactor,
    report: &mut Report<'_>,
) -> Result<Verified> {
    let (all, _) = sessions::discover(stored.paths);
    let id = session.external_id.as_deref().unwrap_or_default();
    let local = all.iter().find(|local| local.id.as_str() == id).ok_or_else(|| {
        let shown = session.external_id.as_ref().unwrap_or(&session.id);
        Error::new(format!("session {shown} has no transcript on this machine"))
            .with_hint(format!("confab session restore {shown} brings it here"))
    })?;
    let mut files = Session::new(local.id.clone(), local.transcript.clone());
    let sources = files.sources(Workflows::ALL);
    let records = records(stored, &local.id, &session.id);
    let mut views = Vec::new();
    for source in &sources {
        let there = session.files.iter().find(|file| file.file_name == source.name);
        let record = records.get(&source.name);
        let compared = match there {
            Some(file) => compare(stored, session, (source, file), record, redactor),
            None => only_here(source),
        };
        views.push(View::new(&source.name, compared, report.talk));
    }
    let known = |name: &str| sources.iter().any(|source| source.name == name);
    for file in session.files.iter().filter(|file| !known(&file.file_name)) {
        let comparison = Comparison::default();
        let (file_name, status) = (file.file_name.clone(), Verified::Different);
        views.push(View { file_name, status, only_there: true, comparison });
    }
    let status = views.iter().map(|view| view.status).max().unwrap_or(Verified::Equal);
    let document = Document { session: local.id.as_str(), status, files: &views };
    document.print(report).context(|| "write to standard output".into())?;
    Ok(status)
}

impl Document<'_> {
    fn print(&self, report: &mut Report<'_>) -> io::Result<()> {
        let out = &mut *report.out;
        if report.json {
            serde_json::to_writer_pretty(&mut *out, self)?;
            return writeln!(out);
        }
        for view in self.files {
            let name = plain(&view.file_name);
            match view.status {
                Verified::Failed => writeln!(out, "{name}: not compared")?,
                _ if view.only_there => writeln!(out, "{name}: only on the backend")?,
                _ => tell(&name, &view.comparison, out)?,
            }
        }
        if self.files.iter().any(|view| view.comparison.first_difference.is_some()) {
            let what =
                "what redaction takes out may have changed since; nothing else should differ";
            writeln!(out, "{what}")?;
        }
        Ok(())
    }
}

impl View {
    fn new(name: &str, compared: Result<Comparison>, talk: &mut dyn Write) -> View {
        let (status, comparison) = match compared {
            Ok(comparison) => (comparison.verdict(), comparison),
            Err(error) => {
                let _ = writeln!(talk, "confab: error: {}", plain(&error.to_string()));
                if let Some(hint) = error.hint() {
                    let _ = writeln!(talk, "confab: hint: {hint}");
                }
                (Verified::Failed, Comparison::default())
            }
        };
        View { file_name: name.to_owned(), status, only_there: false, comparison }
    }
}

impl Comparison {
    fn verdict(&self) -> Verified {
        match (self.first_difference, self.n_pending) {
            (Some(_), _) => Verified::Different,
            (None, 0) => Verified::Equal,
            (None, _) => Verified::Pending,
        }
    }
}

fn tell(name: &str, comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let Comparison { n_equal, n_replaced, first_difference, n_pending, n_former, .. } = comparison;
    write!(out, "{name}: {n_equal} lines equal")?;
    if *n_replaced > 0 {
        write!(out, " ({n_replaced} by their hash)")?;
    }
    if *n_former > 0 {
        write!(out, ", {n_former} replaced here since")?;
    }
    if *n_pending > 0 {
        write!(out, ", {n_pending} only here")?;
    }
    match first_difference {
        Some(line) => writeln!(out, "; line {line} of the backend differs"),
        None => writeln!(out),
    }
}

/// What is remembered of files whose lines are numbered differently here and there; nothing when it
/// is of another backend.
fn records(stored: &Stored<'_>, id: &SessionId, there: &str) -> BTreeMap<String, FileRecord> {
    let (known_as, files) = match state::load(stored.paths, id) {
        Ok(Loaded::Ours(record)) => (record.confab_session_id, record.files),
        _ => {
            let kept = Kept::load(stored.paths, id);
            (kept.confab_session_id, kept.files)
        }
    };
    if known_as.is_none_or(|known_as| known_as == there) { files } else { BTreeMap::new() }
}

fn compare(
    stored: &Stored<'_>,
    session: &Found,
    (source, there): (&Source, &FileEntry),
    record: Option<&FileRecord>,
    redactor: &Redactor,
) -> Result<Comparison> {
    let what = || format!("compare {}", source.path.display());
    let stream = stored.download(session, &source.name)?;
    let file = File::open(&source.path).context(what)?;
    let (from_there, from_here) = record.map_or((0, 0), starts);
    let starts = (from_there, from_here);
    let compared = compare_lines(file, &mut BufReader::new(stream), starts, redactor);
    let comparison = compared.context(what)?;
    if comparison.first_difference.is_none() {
        // Otherwise lines that have not come would be taken for lines that are only here.
        check_whole(there, comparison.n_there).context(what)?;
    }
    Ok(comparison)
}

/// The lines behind which lines there and here run in parallel.
fn starts(record: &FileRecord) -> (u64, u64) {
    let shift = record.last_synced_line.saturating_sub(record.local_line);
    match shift {
        0 => (0, 0),
        shift => {
            let there = record.parallel_from.max(shift);
            (there, there - shift)
        }
    }
}

fn compare_lines(
    here: impl Read,
    there: &mut dyn BufRead,
    (from_there, from_here): (u64, u64),
    redactor: &Redactor,
) -> io::Result<Comparison> {
    let mut tail = Tail::new(here, Position::default(), tail::LINE_BYTES_MAX);
    let mut comparison = Comparison { n_former: from_there - from_here, ..Comparison::default() };
    let (mut line_there, mut number) = (Vec::new(), 0);
    while number < from_there && next_line(there, &mut line_there)? {
        number += 1;
    }
    for _ in 0..from_here {
        tail.next_line()?;
    }
    loop {
        let has_line = next_line(there, &mut line_there)?;
        number += u64::from(has_line);
        let mut same = None;
        let is_here = next_local(&mut tail, &mut |line| {
            same = has_line.then(|| equal(line, &line_there, redactor)).flatten();
        })?;
        match (is_here, has_line) {
            (false, false) => {
                comparison.n_there = number;
                return Ok(comparison);
            }
            (true, false) => {
                comparison.n_pending += 1;
                continue;
            }
            _ => {}
        }
        match same {
            Some(is_replaced) => {
                comparison.n_equal += 1;
                comparison.n_replaced += u64::from(is_replaced);
            }
            None => {
                comparison.first_difference = Some(number);
                return Ok(comparison);
            }
        }
    }
}

/// Looks at the next line here, also at the last one without its newline; false at the end.
fn next_local<R: Read>(tail: &mut Tail<R>, look: &mut dyn FnMut(Line<'_>)) -> io::Result<bool> {
    if let Some(line) = tail.next_line()? {
        look(line);
        return Ok(true);
    }
    if tail.unterminated().is_empty() {
        return Ok(false);
    }
    look(Line::Whole(tail.take_unterminated()));
    Ok(true)
}

/// Whether a line is what the backend has; with `true` when a stand-in says so.
fn equal(line: Line<'_>, there: &[u8], redactor: &Redactor) -> Option<bool> {
    let (bytes, hash) = match line {
        Line::Whole(line) => {
            let is_same = redactor.line(line).is_ok_and(|redacted| {
                // What is no UTF-8 cannot be sent as it is.
                redacted == there || String::from_utf8_lossy(&redacted).as_bytes() == there
            });
            if is_same {
                return Some(false);
            }
            (line.len() as u64, tail::hash(line))
        }
        Line::TooLarge(large) => (large.bytes, large.hash),
    };
    let stand_in: StandIn = serde_json::from_slice(there).ok()?;
    let is_it = stand_in.confab.bytes == bytes && stand_in.confab.hash == format!("{hash:016x}");
    is_it.then_some(true)
}

/// A line that stands for another one.
#[derive(Deserialize)]
struct StandIn {
    confab: Replaced,
}

#[derive(Deserialize)]
struct Replaced {
    bytes: u64,
    hash: String,
}

/// Reads a line of the backend without its newline; false at the end.
fn next_line(from: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let n_bytes = from.take(LINE_BYTES_MAX).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if n_bytes as u64 == LINE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(n_bytes > 0)
}

fn only_here(source: &Source) -> Result<Comparison> {
    let what = || format!("read {}", source.path.display());
    let mut tail = Tail::new(
        File::open(&source.path).context(what)?,
        Position::default(),
        tail::LINE_BYTES_MAX,
    );
    let mut n_pending = 0;
    while next_local(&mut tail, &mut |_| {}).context(what)? {
        n_pending += 1;
    }
    Ok(Comparison { n_pending, ..Comparison::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Settings;

    fn compared(here: &str, there: &str, starts: (u64, u64)) -> Comparison {
        let (redactor, _) = Redactor::new(&Settings::default());
        let mut there = there.as_bytes();
        compare_lines(here.as_bytes(), &mut there, starts, &redactor).unwrap()
    }

    #[test]
    fn lines_are_compared_one_by_one() {
        let equal = |n_equal, n_there| Comparison { n_equal, n_there, ..Comparison::default() };
        let same = compared("{\"a\":1}\n{\"b\":2}\n", "{\"a\":1}\n{\"b\":2}\n", (0, 0));
        assert_eq!(same, equal(2, 2));
        let pending = compared("1\n2\n3", "1\n", (0, 0));
        assert_eq!(pending, Comparison { n_pending: 2, ..equal(1, 1) });
        let other = compared("1\n2\n", "1\n3\n", (0, 0));
        assert_eq!((other.n_equal, other.first_difference), (1, Some(2)));
        for (here, there) in [("1\r\n", "1\n"), ("1\n", "1 \n"), ("", "1\n")] {
            assert_eq!(compared(here, there, (0, 0)).first_difference, Some(1));
        }
        let longer = compared("1\n", "1\n2\n", (0, 0));
        assert_eq!(longer.first_difference, Some(2));
        let rewritten = compared("1\nnew\n", "1\nold\nnew\n", (2, 1));
        assert_eq!((rewritten.n_equal, rewritten.n_former), (1, 1));
        assert_eq!(rewritten.verdict(), Verified::Equal);
    }

    #[test]
    fn lines_are_compared_as_they_are_sent() {
        let secret = ["ghp_", &"aB3dE6gH9".repeat(4)].concat();
        let here = format!("{{\"text\":\"{secret}\"}}");
        let (redactor, _) = Redactor::new(&Settings::default());
        let sent = redactor.line(here.as_bytes()).unwrap().into_owned();
        let sent = String::from_utf8(sent).unwrap();
        assert_ne!(sent, here);
        assert_eq!(compared(&here, &sent, (0, 0)).n_equal, 1);
        // That it is there as it is here is a difference; what was restored is redacted already.
        assert_eq!(compared(&here, &here, (0, 0)).first_difference, Some(1));
        assert_eq!(compared(&sent, &sent, (0, 0)).n_equal, 1);
    }

    #[test]
    fn a_stand_in_says_what_it_stands_for() {
        let line = "x".repeat(40);
        let hash = tail::hash(line.as_bytes());
        let stand_in = |bytes: usize| {
            format!("{{\"confab\":{{\"bytes\":{bytes},\"hash\":\"{hash:016x}\"}}}}\n")
        };
        let right = compared(&line, &stand_in(40), (0, 0));
        assert_eq!((right.n_equal, right.n_replaced), (1, 1));
        assert_eq!(compared(&line, &stand_in(41), (0, 0)).first_difference, Some(1));
    }
}
