//! Sessions as files that need no server: what was uploaded, byte for byte, what else is known of
//! it as JSON, and a page to read it.
//!
//! | file | what it is |
//! |---|---|
//! | `USER/PROVIDER/ID/session.json` | the session, its links and its events |
//! | `USER/PROVIDER/ID/files/NAME` | a file as it was uploaded |
//! | `USER/PROVIDER/ID/session.html` | all of it on one page, if wanted |
//!
//! Names become paths by [`crate::files::place`], which leads nowhere else. One block of lines is
//! in memory at a time. Nothing is replaced.

mod exporter;
mod html;
mod markdown;

pub use self::exporter::{Exporter, Format};
pub use self::html::escaped;

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::store::{Download, SessionEvent, Store, Stored};
use crate::error::{Context, Error, Result};
use crate::files::{NewFile, make_folder, make_folders, place};
use crate::wire::{FileEntry, LinkEntry, SessionDetail};

/// Bytes that are written at once.
const WRITE_BYTES: usize = 256 << 10;

/// What an export has written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Sessions.
    pub sessions: u64,
    /// Their files.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
}

/// Everything about a session but its lines, as `session.json` has it.
#[derive(Debug, Serialize)]
struct About<'a> {
    #[serde(flatten)]
    detail: &'a SessionDetail,
    links: Vec<LinkEntry>,
    events: Vec<SessionEvent>,
}

/// Writes all sessions, or the one with this id, below a folder that is new or empty.
///
/// # Errors
/// When there is no such session, the folder holds something, it cannot be written, or the database
/// fails. What was written stays.
pub fn export(store: &Store, folder: &Path, only: Option<&str>, html: bool) -> Result<Exported> {
    let sessions = store.stored(only)?;
    if let (Some(id), true) = (only, sessions.is_empty()) {
        return Err(Error::new(format!("there is no session {id}")));
    }
    empty_folder(folder).context(|| format!("export to {}", folder.display()))?;
    let mut exported = Exported::default();
    for session in &sessions {
        export_session(store, session, folder, html, &mut exported)
            .context(|| format!("export session {}", session.id))?;
    }
    Ok(exported)
}

fn empty_folder(folder: &Path) -> Result<()> {
    make_folder(folder).context(|| "make the folder".into())?;
    let mut entries = fs::read_dir(folder).context(|| "read the folder".into())?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::new("it is not empty").with_hint("name a new folder")),
    }
}

fn export_session(
    store: &Store,
    session: &Stored,
    folder: &Path,
    html: bool,
    exported: &mut Exported,
) -> Result<()> {
    // It may have been deleted since it was listed.
    let Some(detail) = store.session(session.user, &session.id)? else { return Ok(()) };
    let links = store.links(session.user, &session.id)?.unwrap_or_default();
    let events = store.session_events(session.user, &session.id)?;
    let below =
        place(&session.email).join(place(&detail.provider)).join(place(&detail.external_id));
    let about = About { detail: &detail, links, events };
    let mut text = serde_json::to_vec_pretty(&about).context(|| "write session.json".into())?;
    text.push(b'\n');
    written(folder, &below.join("session.json"), |out| {
        out.write_all(&text).context(|| "write".into())
    })?;
    for file in &detail.files {
        let path = below.join("files").join(place(&file.file_name));
        let Some(download) = opened(store, session, file)? else { continue };
        written(folder, &path, |out| {
            let mut line = 1;
            while line <= download.last_line {
                let (text, next) = block(store, &download, line)?;
                out.write_all(&text).context(|| "write".into())?;
                line = next;
            }
            Ok(())
        })?;
        exported.files += 1;
        exported.bytes += download.bytes;
    }
    if html {
        written(folder, &below.join("session.html"), |out| page(store, session, &detail, out))?;
    }
    exported.sessions += 1;
    Ok(())
}

fn page(
    store: &Store,
    session: &Stored,
    detail: &SessionDetail,
    out: &mut dyn Write,
) -> Result<()> {
    let mut exporter = Exporter::new(session.user, detail.clone(), Format::Html);
    while let Some(piece) = exporter.next(store)? {
        out.write_all(&piece).context(|| "write".into())?;
    }
    Ok(())
}

fn opened(store: &Store, session: &Stored, file: &FileEntry) -> Result<Option<Download>> {
    Ok(store.download(session.user, &session.id, &file.file_name)?.flatten())
}

/// The lines of a block of a file from `line` on, and the number of the line behind them.
fn block(store: &Store, download: &Download, line: i64) -> Result<(Vec<u8>, i64)> {
    let lines = store.lines_from(&download.file, line)?;
    let (mut text, next) = lines.ok_or_else(|| Error::new("the session is gone"))?;
    // Lines may have come since the file was opened, in the same block.
    if next > download.last_line + 1 {
        let wanted = usize::try_from(download.last_line + 1 - line).unwrap_or(0);
        let end = memchr::memchr_iter(b'\n', &text).nth(wanted - 1).map_or(0, |at| at + 1);
        text.truncate(end);
    }
    Ok((text, next))
}

/// Writes a new file below the folder.
fn written(
    folder: &Path,
    below: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let path: PathBuf = folder.join(below);
    let what = || format!("write {}", path.display());
    make_folders(folder, below).context(what)?;
    let mut out = BufWriter::with_capacity(WRITE_BYTES, NewFile::create(&path).context(what)?);
    write(&mut out).context(what)?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error).context(what)?;
    file.finish().context(what)
}
