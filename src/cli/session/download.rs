//! `confab session download`: the lines that the backend has, to standard output or into a folder.
//!
//! A file appears under its name only when as many lines have come as the backend has told of
//! before: a backend, or something in between, that stops early makes no file that looks whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use crate::cli::Exit;
use crate::cli::account::plain;
use crate::error::{Context, Error, Result};
use crate::files::{self, NewFile};
use crate::remote::{Archive, PIECE_TIME_MAX};
use crate::wire::FileEntry;

use super::{Target, Tools, find_files, told, transcript_of};

/// Failures in a row behind which the backend is taken for gone.
const FAILURES_MAX: usize = 5;
/// Bytes that are handed on at once.
const COPY_BYTES: usize = 64 << 10;

/// What has become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It is there now.
    New,
    /// It was there, with this content.
    Same,
    /// Something else is there.
    Other,
}

/// What has come of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub lines: u64,
    pub bytes: u64,
}

/// Writes the transcript to standard output.
///
/// # Errors
/// When the session cannot be found, or not all of its transcript came.
pub fn to_output(tools: &mut Tools<'_>, id: &str) -> Result<Exit> {
    let (target, files) = find_files(tools, id)?;
    let transcript = transcript_of(&target, &files)
        .ok_or_else(|| Error::new(format!("session {id} has no transcript on the backend")))?;
    let mut writer = Counted { inner: &mut *tools.out, amount: Amount::default(), failed: None };
    let copied = copy(tools.archive, &target, transcript, id, &mut writer);
    match writer.failed {
        // Who reads has enough.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Some(error) => Err(error).context(|| "write to standard output".into()),
        None => {
            tools.out.flush().context(|| "write to standard output".into())?;
            copied.map(|_| Exit::Done)
        }
    }
}

/// Writes all files below a folder.
///
/// # Errors
/// When the session cannot be found, or the output not be written. That a file fails is told and
/// counted.
pub fn to_folder(tools: &mut Tools<'_>, id: &str, folder: &Path) -> Result<Exit> {
    let (target, files) = find_files(tools, id)?;
    if files.is_empty() {
        return Err(Error::new(format!("session {id} has no files on the backend")));
    }
    let (mut n_written, mut n_lines, mut n_failed, mut n_in_a_row) = (0, 0, 0, 0);
    for (index, file) in files.iter().enumerate() {
        let place = files::place(&file.file_name);
        match write_below(tools, &target, file, id, folder, &place) {
            Ok(amount) => {
                n_written += 1;
                n_lines += amount.lines;
                n_in_a_row = 0;
                let path = folder.join(&place);
                let written = writeln!(tools.out, "{}", plain(&path.display().to_string()));
                written.context(|| "write to standard output".into())?;
            }
            Err(error) => {
                n_failed += 1;
                n_in_a_row += 1;
                complain(tools.talk, &error);
            }
        }
        if n_in_a_row == FAILURES_MAX && index + 1 < files.len() {
            let n_left = files.len() - index - 1;
            n_failed += n_left;
            let _ = writeln!(tools.talk, "{n_in_a_row} have failed in a row: {n_left} are left");
            break;
        }
    }
    let _ = writeln!(tools.talk, "{n_written} files with {n_lines} lines, {n_failed} failed");
    Ok(if n_failed == 0 { Exit::Done } else { Exit::Failed })
}

fn write_below(
    tools: &Tools<'_>,
    target: &Target,
    file: &FileEntry,
    id: &str,
    folder: &Path,
    place: &Path,
) -> Result<Amount> {
    let path = folder.join(place);
    files::make_folders(folder, place)
        .context(|| format!("make the folder of {}", path.display()))?;
    match write_file(tools, target, file, id, &path)? {
        (Written::New, amount) => Ok(amount),
        _ => Err(Error::new(format!("{} is there already", path.display()))
            .with_hint("nothing is replaced: name another folder, or move it away")),
    }
}

/// Writes a file of a session, unless there is something of that name; then it is compared.
pub(super) fn write_file(
    tools: &Tools<'_>,
    target: &Target,
    file: &FileEntry,
    id: &str,
    path: &Path,
) -> Result<(Written, Amount)> {
    let what = || format!("write {}", path.display());
    let mut new = match NewFile::create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let same = is_same(tools, target, file, id, path)?;
            let written = if same { Written::Same } else { Written::Other };
            return Ok((written, Amount::default()));
        }
        new => new.context(what)?,
    };
    let mut writer = Counted { inner: &mut new, amount: Amount::default(), failed: None };
    let copied = copy(tools.archive, target, file, id, &mut writer);
    if let Some(error) = writer.failed {
        return Err(error).context(what);
    }
    let amount = copied?;
    match new.finish() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((Written::Other, amount)),
        finished => finished.context(what).map(|()| (Written::New, amount)),
    }
}

/// Hands a file on, all of it.
fn copy(
    archive: &Archive<'_>,
    target: &Target,
    file: &FileEntry,
    id: &str,
    writer: &mut Counted<'_>,
) -> Result<Amount> {
    let what = || format!("download {} of session {id}", plain(&file.file_name));
    let mut download = archive
        .download(&target.session_id, &file.file_name, PIECE_TIME_MAX)
        .map_err(|failure| told(failure, id))?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut last = b'\n';
    loop {
        let n_bytes = download.read(&mut buffer).context(what)?;
        let Some(byte) = buffer[..n_bytes].last() else { break };
        last = *byte;
        writer.write_all(&buffer[..n_bytes]).context(what)?;
    }
    writer.amount.lines += u64::from(last != b'\n');
    check_whole(file, writer.amount.lines).context(what)?;
    Ok(writer.amount)
}

/// A backend that has told of more lines than come has been cut off. Lines may have been added
/// meanwhile.
pub(super) fn check_whole(file: &FileEntry, n_lines: u64) -> Result<()> {
    if n_lines >= file.last_synced_line {
        return Ok(());
    }
    let all = file.last_synced_line;
    Err(Error::new(format!("only {n_lines} of {all} lines have come"))
        .with_hint("try again; a proxy may cut off long answers"))
}

fn is_same(
    tools: &Tools<'_>,
    target: &Target,
    file: &FileEntry,
    id: &str,
    path: &Path,
) -> Result<bool> {
    let what = || format!("compare {}", path.display());
    if !path.is_file() {
        return Ok(false);
    }
    let mut here = BufReader::with_capacity(COPY_BYTES, File::open(path).context(what)?);
    let there = tools
        .archive
        .download(&target.session_id, &file.file_name, PIECE_TIME_MAX)
        .map_err(|failure| told(failure, id))?;
    let mut there = BufReader::with_capacity(COPY_BYTES, there);
    loop {
        let (ours, theirs) = (here.fill_buf().context(what)?, there.fill_buf().context(what)?);
        let n_bytes = ours.len().min(theirs.len());
        if n_bytes == 0 {
            return Ok(ours.is_empty() && theirs.is_empty());
        }
        if ours[..n_bytes] != theirs[..n_bytes] {
            return Ok(false);
        }
        here.consume(n_bytes);
        there.consume(n_bytes);
    }
}

/// Counts what goes through, and keeps an error of its own from being taken for one of the
/// backend.
struct Counted<'a> {
    inner: &'a mut dyn Write,
    amount: Amount,
    failed: Option<io::Error>,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.inner.write_all(bytes) {
            let kind = error.kind();
            self.failed = Some(error);
            return Err(kind.into());
        }
        self.amount.bytes += bytes.len() as u64;
        self.amount.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// One line for the error, one for the hint.
pub(super) fn complain(talk: &mut dyn Write, error: &Error) {
    let _ = writeln!(talk, "confab: error: {}", plain(&error.to_string()));
    if let Some(hint) = error.hint() {
        let _ = writeln!(talk, "confab: hint: {hint}");
    }
}
