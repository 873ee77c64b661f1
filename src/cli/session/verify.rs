//! `confab session verify`: whether what the backend has of a session is what is here.
//!
//! Shows numbers of lines, never what is in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use serde::Serialize;

use crate::cli::Exit;
use crate::cli::account::plain;
use crate::cli::sessions;
use crate::error::{Context, Error, Result};
use crate::redact::Redactor;
use crate::remote::PIECE_TIME_MAX;
use crate::session::{Session, Source, Workflows};
use crate::wire::FileEntry;

use super::compare::{Compared, compare, count};
use super::download::{check_whole, complain};
use super::{Target, Tools, find_files, told};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document {
    session: String,
    session_id: String,
    status: Status,
    files: Vec<View>,
}

/// How a file here and on the backend relate; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Equal,
    /// Lines are only here yet.
    Pending,
    Different,
    /// It could not be compared.
    Failed,
}

/// What is told of a file.
#[derive(Debug, Serialize)]
struct View {
    file_name: String,
    status: Status,
    /// Lines from the first one on that are equal.
    equal_lines: u64,
    /// How many of these have a stand-in on the backend.
    stand_in_lines: u64,
    /// Number of the first line that differs, or that only the backend has.
    first_difference: Option<u64>,
    /// Lines that are only here.
    pending_lines: u64,
}

/// Compares all files of a session.
///
/// # Errors
/// When the session cannot be found here and there, or the output not be written.
pub fn run(tools: &mut Tools<'_>, id: &str, json: bool) -> Result<Exit> {
    let (target, files) = find_files(tools, id)?;
    let no_transcript = || {
        Error::new(format!("session {id} has no transcript on this machine"))
            .with_hint(format!("confab session restore {id} brings it back"))
    };
    let external_id = target.external_id.clone().ok_or_else(no_transcript)?;
    let (all, _) = sessions::discover(tools.paths);
    let local = all.iter().find(|session| session.id == external_id).ok_or_else(no_transcript)?;
    let mut session = Session::new(external_id.clone(), local.transcript.clone());
    let mut sources: BTreeMap<String, Source> = session
        .sources(Workflows::ALL)
        .into_iter()
        .map(|source| (source.name.clone(), source))
        .collect();
    let (redactor, problems) = Redactor::new(&tools.config.redaction);
    for problem in &problems {
        let _ = writeln!(tools.talk, "confab: warning: {problem}");
    }
    let mut views = Vec::new();
    for file in &files {
        let source = sources.remove(&file.file_name);
        let compared = compare_file(tools, &target, file, source.as_ref(), id, &redactor);
        views.push(view(&file.file_name, compared, tools));
    }
    for (name, source) in sources {
        let counted = File::open(&source.path).and_then(count);
        let compared = counted
            .map(|pending| Compared { pending, ..Compared::default() })
            .context(|| format!("read {}", source.path.display()));
        views.push(view(&name, compared, tools));
    }
    let status = views.iter().map(|view| view.status).max().unwrap_or(Status::Equal);
    let session = external_id.to_string();
    let document = Document { session, session_id: target.session_id, status, files: views };
    print(&document, json, tools).context(|| "write to standard output".into())?;
    Ok(match status {
        Status::Equal => Exit::Done,
        Status::Pending => Exit::Skipped,
        Status::Different | Status::Failed => Exit::Failed,
    })
}

fn compare_file(
    tools: &Tools<'_>,
    target: &Target,
    file: &FileEntry,
    source: Option<&Source>,
    id: &str,
    redactor: &Redactor,
) -> Result<Compared> {
    let Some(source) = source else {
        let different = (file.last_synced_line > 0).then_some(1);
        return Ok(Compared { different, ..Compared::default() });
    };
    let what = || format!("compare {}", plain(&file.file_name));
    let here = File::open(&source.path).context(what)?;
    let sent = tools
        .archive
        .download(&target.session_id, &file.file_name, PIECE_TIME_MAX)
        .map_err(|failure| told(failure, id))?;
    let compared = compare(here, sent, redactor).context(what)?;
    if compared.different.is_none() {
        check_whole(file, compared.sent).context(what)?;
    }
    Ok(compared)
}

fn view(name: &str, compared: Result<Compared>, tools: &mut Tools<'_>) -> View {
    let (status, compared) = match compared {
        Ok(compared) if compared.different.is_some() => (Status::Different, compared),
        Ok(compared) if compared.pending > 0 => (Status::Pending, compared),
        Ok(compared) => (Status::Equal, compared),
        Err(error) => {
            complain(tools.talk, &error);
            (Status::Failed, Compared::default())
        }
    };
    View {
        file_name: name.to_owned(),
        status,
        equal_lines: compared.equal,
        stand_in_lines: compared.stand_ins,
        first_difference: compared.different,
        pending_lines: compared.pending,
    }
}

fn print(document: &Document, json: bool, tools: &mut Tools<'_>) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *tools.out, document)?;
        return writeln!(tools.out);
    }
    for view in &document.files {
        let View { equal_lines, stand_in_lines, pending_lines, .. } = view;
        let stand_ins = match stand_in_lines {
            0 => String::new(),
            n_lines => format!(", {n_lines} of them as stand-ins"),
        };
        let what = match (view.status, view.first_difference) {
            (Status::Failed, _) => "not compared".to_owned(),
            (Status::Different, Some(line)) => format!("different from line {line} on"),
            (Status::Pending, _) => {
                format!("{equal_lines} lines equal{stand_ins}, {pending_lines} only here")
            }
            _ => format!("{equal_lines} lines equal{stand_ins}"),
        };
        writeln!(tools.out, "{}: {what}", plain(&view.file_name))?;
    }
    let all = match document.status {
        Status::Equal => "all equal",
        Status::Pending => "equal but for what is only here",
        Status::Different => "different",
        Status::Failed => "not all of it could be compared",
    };
    writeln!(tools.out, "{all}")
}
