//! `confab session download`: lines as the backend has them, to standard output or into a folder.
//!
//! In the folder, names of files become paths one to one, and none leads out of it. A file that is
//! there is left alone, and one that did not come whole never gets its name.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{Found, Stored, copy, told};
use crate::error::{Context, Error, Result};
use crate::files;
use crate::wire::{FileEntry, TYPE_TRANSCRIPT};

/// Writes the session's transcript.
///
/// # Errors
/// When there is none; as the network; when the output cannot be written.
pub fn download(stored: &Stored<'_>, session: &Found, out: &mut dyn Write) -> Result<()> {
    let file = transcript(session)?;
    let what = || format!("download {}", file.file_name);
    let mut stream = stored.client.download(&session.id, &file.file_name).map_err(told)?;
    copy(&mut stream, out).context(what).map(|_| ())
}

/// Writes all files of the session below a folder; what failed, one error a file.
///
/// # Errors
/// When there are no files, or the folder cannot be made.
pub fn download_all(
    stored: &Stored<'_>,
    session: &Found,
    folder: &Path,
    out: &mut dyn Write,
) -> Result<Vec<Error>> {
    transcript_or_any(session)?;
    fs::create_dir_all(folder).context(|| format!("make the folder {}", folder.display()))?;
    let mut errors = Vec::new();
    for file in &session.files {
        let path = folder.join(local_path(&file.file_name));
        match download_to(stored, session, file, &path) {
            Ok(bytes) => writeln!(out, "{}: {bytes} bytes", path.display())
                .context(|| "write to standard output".into())?,
            Err(error) => errors.push(error),
        }
    }
    Ok(errors)
}

/// The file that is the session's transcript.
///
/// # Errors
/// When there is none.
pub(super) fn transcript(session: &Found) -> Result<&FileEntry> {
    let found = session.files.iter().find(|file| file.file_type == TYPE_TRANSCRIPT);
    found.ok_or_else(|| Error::new(format!("session {} has no transcript", session.id)))
}

fn transcript_or_any(session: &Found) -> Result<()> {
    match session.files.is_empty() {
        true => Err(Error::new(format!("session {} has no files", session.id))),
        false => Ok(()),
    }
}

/// Downloads one file to a path where none is yet; its size. The bytes go to a temporary file
/// beside it first.
///
/// # Errors
/// As the network and the system calls; when fewer lines came than the backend says it has.
pub(super) fn download_to(
    stored: &Stored<'_>,
    session: &Found,
    file: &FileEntry,
    path: &Path,
) -> Result<u64> {
    let what = || format!("download {} to {}", file.file_name, path.display());
    if path.symlink_metadata().is_ok() {
        let error = Error::new(what()).caused_by(io::Error::from(ErrorKind::AlreadyExists));
        return Err(error.with_hint("move it away, or name another folder"));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).context(what)?;
    let temporary = temporary(path);
    let received = receive(stored, session, file, &temporary).context(what);
    let placed = received.and_then(|bytes| place(&temporary, path).context(what).map(|()| bytes));
    let _ = files::remove_if_present(&temporary);
    placed
}

/// Downloads one file under a name that nothing has; its size.
///
/// # Errors
/// As [`download_to`].
pub(super) fn receive(
    stored: &Stored<'_>,
    session: &Found,
    file: &FileEntry,
    temporary: &Path,
) -> Result<u64> {
    let mut stream = stored.client.download(&session.id, &file.file_name).map_err(told)?;
    let what = || format!("write {}", temporary.display());
    let mut target = LineCounter {
        file: files::private_file().write(true).create_new(true).open(temporary).context(what)?,
        n_lines: 0,
    };
    let n_bytes = copy(&mut stream, &mut target).context(what)?;
    // The backend may have got more lines since it was asked, but never fewer.
    if target.n_lines < file.last_synced_line {
        let (came, all) = (target.n_lines, file.last_synced_line);
        return Err(Error::new(format!("{came} of {all} lines came"))
            .with_hint("try again: the connection may have been cut"));
    }
    target.file.sync_all().context(what)?;
    Ok(n_bytes)
}

/// Gives a file its name unless something has it already.
pub(super) fn place(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Ok(()) => fs::remove_file(temporary),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // A file system without links: nobody but us writes there at this moment.
        Err(_) if path.symlink_metadata().is_err() => fs::rename(temporary, path),
        Err(error) => Err(error),
    }
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

/// Counts lines on their way into a file.
struct LineCounter {
    file: File,
    n_lines: u64,
}

impl Write for LineCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_bytes = self.file.write(bytes)?;
        self.n_lines += memchr::memchr_iter(b'\n', &bytes[..n_bytes]).count() as u64;
        Ok(n_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The path below a folder that stands for a name. Different names have different paths, and every
/// one stays inside.
fn local_path(name: &str) -> PathBuf {
    name.split('/').map(component).collect()
}

fn component(part: &str) -> String {
    match part {
        "" => return "%".to_owned(),
        "." => return "%2E".to_owned(),
        ".." => return "%2E%2E".to_owned(),
        _ => {}
    }
    let escape = |character: char| match character {
        '%' | '\\' | ':' | '\0'..='\u{1f}' | '\u{7f}' => format!("%{:02X}", character as u32),
        character => character.to_string(),
    };
    part.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Component;

    #[test]
    fn names_become_paths_one_to_one_and_stay_inside() {
        let names = [
            "a.jsonl",
            "x/a.jsonl",
            "x//a.jsonl",
            "/etc/passwd",
            "../up",
            "x/../../up",
            ".",
            "",
            "%2E",
            "%",
            "a\\b",
            "a\nb",
            "c:d",
        ];
        let paths: BTreeSet<PathBuf> = names.iter().map(|name| local_path(name)).collect();
        assert_eq!(paths.len(), names.len());
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
        assert!(paths.iter().all(|path| path.components().all(inside)));
        assert_eq!(local_path("subagents/x.jsonl"), Path::new("subagents/x.jsonl"));
    }
}
