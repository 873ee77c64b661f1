//! `confab session`: one session as the backend has it: listed, read, opened, compared, brought
//! back, deleted.
//!
//! Files stream through: no command holds more than a line of one. What is shown of names that
//! others have given does not move a terminal's cursor.

mod compare;
pub mod delete;
pub mod download;
mod json;
pub mod restore;
pub mod verify;

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::account::plain;
use crate::cli::sessions;
use crate::cli::table::SessionVerb;
use crate::cli::{Exit, Line};
use crate::config::Config;
use crate::error::{Context, Error, Result};
use crate::files::{Paths, SessionId};
use crate::remote::{Archive, Failure, Verdict};
use crate::time;
use crate::wire::{FileEntry, TYPE_TRANSCRIPT};

/// Bytes of Claude's ids of sessions, and of the backend's.
const WHOLE_ID_BYTES: usize = 36;

/// What is to be done with a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// `session list-files`.
    ListFiles {
        /// As it was typed.
        id: String,
        /// As JSON.
        json: bool,
    },
    /// `session download`.
    Download {
        /// As it was typed.
        id: String,
        /// Where all files go; `None` for the transcript on standard output.
        folder: Option<PathBuf>,
    },
    /// `session get-summary`.
    GetSummary {
        /// As it was typed.
        id: String,
        /// Only the end, of so many characters.
        chars_max: Option<u64>,
    },
    /// `session open`.
    Open {
        /// As it was typed.
        id: String,
    },
    /// `session delete`.
    Delete {
        /// As it was typed.
        id: String,
        /// Do not ask.
        yes: bool,
    },
    /// `session restore`.
    Restore {
        /// As it was typed.
        id: String,
        /// Claude's folder, when not the usual one.
        claude: Option<PathBuf>,
        /// The folder of the project, when not that of the session.
        cwd: Option<PathBuf>,
    },
    /// `session verify`.
    Verify {
        /// As it was typed.
        id: String,
        /// As JSON.
        json: bool,
    },
}

/// What these commands work with.
pub struct Tools<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// The configuration.
    pub config: &'a Config,
    /// The backend's sessions.
    pub archive: &'a Archive<'a>,
    /// Data.
    pub out: &'a mut dyn Write,
    /// Talk.
    pub talk: &'a mut dyn Write,
}

/// A session that the backend may have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    /// The backend's id.
    session_id: String,
    /// Claude's id, when that was typed.
    external_id: Option<SessionId>,
}

/// Reads the options of a command.
pub(super) fn read(verb: SessionVerb, line: &Line, id: &str) -> Result<Session> {
    let id = id.to_owned();
    let json = line.option("json").is_some();
    Ok(match verb {
        SessionVerb::Delete => Session::Delete { id, yes: line.option("yes").is_some() },
        SessionVerb::Download => {
            Session::Download { id, folder: line.option("output-dir").map(PathBuf::from) }
        }
        SessionVerb::GetSummary => Session::GetSummary { id, chars_max: chars_max(line)? },
        SessionVerb::ListFiles => Session::ListFiles { id, json },
        SessionVerb::Open => Session::Open { id },
        SessionVerb::Restore => {
            let mut claude = line.paths("claude-dir");
            if claude.len() > 1 {
                return Err(Error::new("--claude-dir is given twice"));
            }
            Session::Restore { id, claude: claude.pop(), cwd: line.option("cwd").map(Into::into) }
        }
        SessionVerb::Verify => Session::Verify { id, json },
    })
}

fn chars_max(line: &Line) -> Result<Option<u64>> {
    let Some(text) = line.text("max-chars")? else { return Ok(None) };
    let number: u64 = text.parse().map_err(|_| {
        Error::new(format!("--max-chars is {text:?}, which is no number"))
            .with_hint("write 20000, or 0 for all")
    })?;
    Ok((number > 0).then_some(number))
}

/// Writes the files that the backend has of a session.
///
/// # Errors
/// When the session cannot be found, or the output not be written.
pub fn list_files(tools: &mut Tools<'_>, id: &str, json: bool) -> Result<Exit> {
    #[derive(Serialize)]
    struct Document<'a> {
        session_id: &'a str,
        files: &'a [FileEntry],
    }
    let (target, files) = find_files(tools, id)?;
    let written = match json {
        true => {
            let document = Document { session_id: &target.session_id, files: &files };
            let written = serde_json::to_writer_pretty(&mut *tools.out, &document);
            written.map_err(io::Error::from).and_then(|()| writeln!(tools.out))
        }
        false => print_files(&files, tools.out),
    };
    written.context(|| "write to standard output".into())?;
    Ok(Exit::Done)
}

/// Writes what the backend makes of a session.
///
/// # Errors
/// When the session cannot be found, or the output not be written.
pub fn get_summary(tools: &mut Tools<'_>, id: &str, chars_max: Option<u64>) -> Result<Exit> {
    let target = find(tools, id)?;
    let answer = tools.archive.condensed(&target.session_id, chars_max);
    let answer = answer.map_err(|failure| told(failure, id))?;
    let text = json::indented(&answer).ok_or_else(|| {
        Error::new("the answer is not that of a confab backend")
            .with_hint("check backend_url; a proxy or a login page may be in between")
    })?;
    tools.out.write_all(&text).context(|| "write to standard output".into())?;
    Ok(Exit::Done)
}

/// Writes the address of a session's page, and opens it with `browse` if there is that.
///
/// # Errors
/// When the session cannot be found, or the output not be written.
pub fn open(tools: &mut Tools<'_>, id: &str, browse: Option<&dyn Fn(&str)>) -> Result<Exit> {
    let (target, _) = find_files(tools, id)?;
    let page = format!("{}/sessions/{}", tools.config.account()?.url, target.session_id);
    writeln!(tools.out, "{page}").context(|| "write to standard output".into())?;
    if let Some(browse) = browse {
        browse(&page);
    }
    Ok(Exit::Done)
}

/// The session that is meant: one of this machine by the beginning of its id, else any by a whole
/// id, Claude's or the backend's.
fn find(tools: &Tools<'_>, id: &str) -> Result<Target> {
    let (all, _) = sessions::discover(tools.paths);
    let is_local = all.iter().any(|session| session.id.as_str().starts_with(id));
    let external_id = match is_local && !id.is_empty() {
        true => sessions::find(&all, id)?.id.clone(),
        false => SessionId::new(id).filter(|_| id.len() == WHOLE_ID_BYTES).ok_or_else(|| {
            Error::new(format!("there is no session {id} on this machine"))
                .with_hint("a session of another machine is named by its whole id")
        })?,
    };
    match tools.archive.session_of(external_id.as_str()) {
        Ok(session_id) if SessionId::new(&session_id).is_some() => {
            Ok(Target { session_id, external_id: Some(external_id) })
        }
        Ok(_) => Err(Error::new("the backend's id of the session is none")),
        Err(failure) if failure.verdict != Verdict::Gone => Err(told(failure, id)),
        Err(_) if is_local => Err(Error::new(format!("the backend has no session {external_id}"))
            .with_hint(format!("confab save {external_id} uploads it"))),
        // Then it is the backend's own id, or wrong.
        Err(_) => Ok(Target { session_id: external_id.to_string(), external_id: None }),
    }
}

/// The session that is meant, with its files; Claude's id of it is told by its transcript's name.
fn find_files(tools: &Tools<'_>, id: &str) -> Result<(Target, Vec<FileEntry>)> {
    let mut target = find(tools, id)?;
    let files = tools.archive.files(&target.session_id).map_err(|failure| told(failure, id))?;
    if target.external_id.is_none() {
        let mut transcripts = files.iter().filter(|file| file.file_type == TYPE_TRANSCRIPT);
        target.external_id =
            transcripts.find_map(|file| SessionId::new(file.file_name.strip_suffix(".jsonl")?));
    }
    Ok((target, files))
}

/// The main transcript among the files of a session.
fn transcript_of<'a>(target: &Target, files: &'a [FileEntry]) -> Option<&'a FileEntry> {
    let name = target.external_id.as_ref().map(|id| format!("{id}.jsonl"));
    let transcripts = || files.iter().filter(|file| file.file_type == TYPE_TRANSCRIPT);
    let named = transcripts().find(|file| Some(&file.file_name) == name.as_ref());
    named.or_else(|| transcripts().next())
}

/// Why the backend did not answer as asked.
fn told(failure: Failure, id: &str) -> Error {
    match failure.verdict {
        Verdict::Gone => Error::new(format!("the backend has no session {id}")),
        _ => failure.error,
    }
}

fn print_files(files: &[FileEntry], out: &mut dyn Write) -> io::Result<()> {
    let mut rows = vec![["FILE_NAME", "FILE_TYPE", "LINES", "UPDATED (UTC)"].map(str::to_owned)];
    rows.extend(files.iter().map(|file| {
        let lines = file.last_synced_line.to_string();
        [plain(&file.file_name), plain(&file.file_type), lines, minute(&file.updated_at)]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2].map(|column| width(column).unwrap_or_default());
    for [name, kind, lines, updated] in &rows {
        let [first, second, third] = widths;
        writeln!(out, "{name:first$}  {kind:second$}  {lines:>third$}  {updated}")?;
    }
    Ok(())
}

/// `2026-02-01 10:00`.
fn minute(time: &str) -> String {
    match time::parse_rfc3339(time) {
        Some(time) => time::rfc3339(time)[..16].replace('T', " "),
        None => "-".to_owned(),
    }
}
