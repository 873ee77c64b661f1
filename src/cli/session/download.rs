//! `confab session download`: lines as the backend has them, to standard output or into a folder.
//!
//! In the folder, names of files become paths one to one, and none leads out of it. A file that is
//! there is left alone, and one that did not come whole never gets its name.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::{Found, Stored, copy};
use crate::error::{Context, Error, Result};
use crate::files::{self, NewFile};
use crate::wire::{FileEntry, TYPE_TRANSCRIPT};

/// Failures in a row behind which the backend is taken for gone.
const FAILURES_MAX: usize = 5;

/// Writes the session's transcript. A reader that goes away early has what it wanted.
///
/// # Errors
/// When there is none; as the network; when the output cannot be written; when fewer lines came
/// than the backend says it has.
pub fn download(stored: &Stored<'_>, session: &Found, out: &mut dyn Write) -> Result<()> {
    let file = transcript(session)?;
    let mut target = Target { inner: out, n_lines: 0, ends: true, failed: None };
    let received = receive(stored, session, file, &mut target);
    match target.failed {
        Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Some(error) => Err(error).context(|| "write to standard output".into()),
        None => received.context(|| format!("download {}", file.file_name)).map(drop),
    }
}

/// Writes all files of the session below a folder; what failed, one error a file.
///
/// # Errors
/// When there are no files, or the output cannot be written.
pub fn download_all(
    stored: &Stored<'_>,
    session: &Found,
    folder: &Path,
    out: &mut dyn Write,
) -> Result<Vec<Error>> {
    if session.files.is_empty() {
        return Err(Error::new(format!("session {} has no files", session.id)));
    }
    let (mut errors, mut n_in_a_row) = (Vec::new(), 0);
    for (index, file) in session.files.iter().enumerate() {
        let place = files::place(&file.file_name);
        let path = folder.join(&place);
        match download_to(stored, session, file, folder, &place) {
            Ok(bytes) => {
                n_in_a_row = 0;
                writeln!(out, "{}: {bytes} bytes", path.display())
                    .context(|| "write to standard output".into())?;
            }
            Err(error) => {
                n_in_a_row += 1;
                errors.push(error);
            }
        }
        let n_left = session.files.len() - index - 1;
        if n_in_a_row == FAILURES_MAX && n_left > 0 {
            let what = format!("{n_in_a_row} files have failed in a row: {n_left} are not tried");
            errors.push(Error::new(what).with_hint("confab doctor looks at the connection"));
            break;
        }
    }
    Ok(errors)
}

/// The file that is the session's transcript: the one that is called like it, where there are
/// several.
///
/// # Errors
/// When there is none.
pub(super) fn transcript(session: &Found) -> Result<&FileEntry> {
    let name = session.external_id.as_ref().map(|id| format!("{id}.jsonl"));
    let all = || session.files.iter().filter(|file| file.file_type == TYPE_TRANSCRIPT);
    let named = all().find(|file| Some(&file.file_name) == name.as_ref());
    let found = named.or_else(|| all().next());
    found.ok_or_else(|| Error::new(format!("session {} has no transcript", session.id)))
}

/// Downloads one file to its place below a folder, where nothing is yet; its size.
fn download_to(
    stored: &Stored<'_>,
    session: &Found,
    file: &FileEntry,
    folder: &Path,
    place: &Path,
) -> Result<u64> {
    let path = folder.join(place);
    let what = || format!("download {} to {}", file.file_name, path.display());
    let taken = |error: io::Error| {
        let is_taken = error.kind() == ErrorKind::AlreadyExists;
        let error = Error::new(what()).caused_by(error);
        if is_taken { error.with_hint("move it away, or name another folder") } else { error }
    };
    files::make_folders(folder, place).context(what)?;
    let mut new = NewFile::create(&path).map_err(taken)?;
    let n_bytes = receive_to(stored, session, file, &mut new).context(what)?;
    new.finish().map_err(taken)?;
    Ok(n_bytes)
}

/// Downloads one file; its size.
///
/// # Errors
/// As the network and the writer; when fewer lines came than the backend says it has.
pub(super) fn receive_to(
    stored: &Stored<'_>,
    session: &Found,
    file: &FileEntry,
    out: &mut dyn Write,
) -> Result<u64> {
    let mut target = Target { inner: out, n_lines: 0, ends: true, failed: None };
    let received = receive(stored, session, file, &mut target);
    match target.failed {
        Some(error) => Err(error).context(|| "write what has come".into()),
        None => received,
    }
}

fn receive(
    stored: &Stored<'_>,
    session: &Found,
    file: &FileEntry,
    target: &mut Target<'_>,
) -> Result<u64> {
    let mut stream = stored.download(session, &file.file_name)?;
    let n_bytes = copy(&mut stream, target).context(|| "read what the backend sends".into())?;
    check_whole(file, target.n_lines + u64::from(!target.ends))?;
    Ok(n_bytes)
}

/// Refuses fewer lines than the backend has told of: it, or something in between, has stopped
/// early. More are none: lines may have been added meanwhile.
pub(super) fn check_whole(file: &FileEntry, n_lines: u64) -> Result<()> {
    if n_lines >= file.last_synced_line {
        return Ok(());
    }
    let all = file.last_synced_line;
    Err(Error::new(format!("{n_lines} of {all} lines came"))
        .with_hint("try again: the connection may have been cut"))
}

/// Counts lines on their way, and keeps an error of the writer from being taken for one of the
/// backend.
struct Target<'a> {
    inner: &'a mut dyn Write,
    n_lines: u64,
    /// The last line has its newline.
    ends: bool,
    failed: Option<io::Error>,
}

impl Write for Target<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.inner.write_all(bytes) {
            let kind = error.kind();
            self.failed = Some(error);
            return Err(kind.into());
        }
        self.n_lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.ends = bytes.last().is_none_or(|last| *last == b'\n');
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        flushed.map_err(|error| {
            let kind = error.kind();
            self.failed = Some(error);
            kind.into()
        })
    }
}
