//! `confab sync status`: what is followed, what is pending, and what exists only on this machine.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::{Context, Result};
use crate::files::{Paths, SessionId};
use crate::state::{self, FileRecord, Kept, LastError, Loaded, Record};

/// All sessions that have state on this machine.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    pub(super) sessions: Vec<SessionView>,
    /// Sessions that the backend has deleted; they are not sent any more.
    pub(super) deleted: Vec<String>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct SessionView {
    pub(super) session: String,
    /// `following`, `pending`, `existing-client` or `damaged`.
    pub(super) status: &'static str,
    pub(super) pid: Option<u32>,
    backend_session: Option<String>,
    transcript: String,
    pub(super) started_at: Option<String>,
    synced_at: Option<String>,
    pub(super) last_error: Option<LastError>,
    pub(super) files: Vec<FileView>,
}

/// One file of a session.
#[derive(Debug, Serialize)]
pub(super) struct FileView {
    name: String,
    pub(super) path: String,
    /// The last line that the backend has acknowledged.
    acknowledged_line: u64,
    /// Bytes that exist only here; `null` when the file is not where it was.
    pub(super) only_here_bytes: Option<u64>,
    /// How often the file was found rewritten or shrunk, and sent on behind what was common.
    rewritten: u64,
    /// Lines that were too large and are represented by a stand-in.
    too_large_lines: u64,
    /// Lines that could not be redacted and are represented by a stand-in.
    withheld_lines: u64,
    /// The backend takes no more of it.
    pub(super) full: bool,
}

/// Writes the overview, as JSON or for people.
///
/// # Errors
/// When sessions cannot be listed or the output not be written.
pub fn run(paths: &Paths, json: bool, out: &mut dyn Write) -> Result<()> {
    let overview = overview(paths)?;
    let written = if json {
        serde_json::to_writer_pretty(&mut *out, &overview)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        print(&overview, out)
    };
    written.context(|| "write to standard output".into())
}

/// Looks at all state files.
///
/// # Errors
/// When sessions cannot be listed.
pub(super) fn overview(paths: &Paths) -> Result<Overview> {
    let ids =
        state::sessions(paths).context(|| format!("list sessions in {}", paths.sync.display()))?;
    Ok(Overview {
        sessions: ids.iter().map(|id| view(paths, id)).collect(),
        deleted: Kept::deleted(paths).iter().map(ToString::to_string).collect(),
    })
}

fn view(paths: &Paths, id: &SessionId) -> SessionView {
    let holder = state::holder(paths, id);
    let mut view = SessionView {
        session: id.to_string(),
        status: if holder.is_some() { "following" } else { "pending" },
        pid: holder.map(|process| process.pid),
        backend_session: None,
        transcript: String::new(),
        started_at: None,
        synced_at: None,
        last_error: None,
        files: Vec::new(),
    };
    match state::load(paths, id) {
        Ok(Loaded::Ours(record)) => fill(&mut view, *record),
        Ok(Loaded::Foreign { daemon, .. }) => {
            view.status = "existing-client";
            view.pid = Some(daemon.pid);
        }
        Ok(Loaded::Absent) => {}
        Ok(Loaded::Damaged) | Err(_) if holder.is_none() => view.status = "damaged",
        Ok(Loaded::Damaged) | Err(_) => {}
    }
    view
}

fn fill(view: &mut SessionView, record: Record) {
    let set = |text: String| Some(text).filter(|text| !text.is_empty());
    view.backend_session = record.confab_session_id;
    view.transcript = record.transcript_path.display().to_string();
    view.started_at = set(record.started_at);
    view.synced_at = record.synced_at;
    view.last_error = record.last_error;
    view.files = record.files.into_iter().map(|(name, file)| file_view(name, &file)).collect();
}

fn file_view(name: String, file: &FileRecord) -> FileView {
    let metadata = std::fs::metadata(&file.path).ok();
    FileView {
        name,
        path: file.path.display().to_string(),
        acknowledged_line: file.last_synced_line,
        only_here_bytes: metadata.map(|metadata| metadata.len().saturating_sub(file.byte_offset)),
        rewritten: file.rewrites,
        too_large_lines: file.stand_ins,
        withheld_lines: file.withheld,
        full: file.full,
    }
}

fn print(overview: &Overview, out: &mut dyn Write) -> io::Result<()> {
    if overview.sessions.is_empty() {
        writeln!(out, "no session is followed and none is pending")?;
    }
    for id in &overview.deleted {
        writeln!(out, "{id}: was deleted on the backend and is not sent any more")?;
    }
    for session in &overview.sessions {
        let pid = session.pid.map_or(String::new(), |pid| format!(", process {pid}"));
        let status = match session.status {
            "existing-client" => "followed by a daemon of the existing client",
            "damaged" => "its state file is damaged; the backend will be asked",
            status => status,
        };
        writeln!(out, "{}: {status}{pid}", session.session)?;
        if !session.transcript.is_empty() {
            writeln!(out, "  transcript {}", session.transcript)?;
        }
        if let Some(synced_at) = &session.synced_at {
            writeln!(out, "  backend had everything at {synced_at}")?;
        }
        if let Some(error) = &session.last_error {
            writeln!(out, "  last error at {}: {}", error.at, error.what)?;
            if let Some(hint) = &error.hint {
                writeln!(out, "  hint: {hint}")?;
            }
        }
        for file in &session.files {
            print_file(file, out)?;
        }
    }
    Ok(())
}

fn print_file(file: &FileView, out: &mut dyn Write) -> io::Result<()> {
    let rest = match file.only_here_bytes {
        None => "file not found".to_owned(),
        Some(0) => "nothing only here".to_owned(),
        Some(bytes) => format!("{bytes} bytes only here"),
    };
    writeln!(out, "  {}: {} lines acknowledged, {rest}", file.name, file.acknowledged_line)?;
    if file.rewritten > 0 {
        let times = if file.rewritten == 1 { "once" } else { "several times" };
        writeln!(
            out,
            "    was rewritten or shrunk {times}; what followed the common lines was sent as new lines"
        )?;
    }
    if file.full {
        writeln!(out, "    the backend keeps no more of it; what is added exists only here")?;
    }
    if file.too_large_lines > 0 {
        let lines = file.too_large_lines;
        writeln!(out, "    {lines} lines were too large; the backend has a stand-in for each")?;
    }
    if file.withheld_lines > 0 {
        let lines = file.withheld_lines;
        writeln!(out, "    {lines} lines could not be redacted; they exist only here")?;
    }
    Ok(())
}
