//! `confab session restore`: a session from the backend gets back into Claude's folder, on this
//! machine or another one, so that `claude --resume` finds it.
//!
//! Claude Code looks for a session in the folder that is named after the working directory, so a
//! session that is to go on elsewhere lies under another name there. Its lines stay as the backend
//! has them, redacted. Nothing that exists is overwritten: everything is fetched first, then named,
//! the transcript last.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::download::{place, receive, transcript};
use super::{Found, Stored};
use crate::cli::sessions;
use crate::error::{Context, Error, Result};
use crate::files::{self, SessionId};
use crate::transcript as lines;
use crate::wire::FileEntry;

/// Bytes of the beginning of a transcript in which its working directory is looked for.
const START_BYTES_MAX: u64 = 16 << 20;
/// Characters of a folder's name that Claude Code writes out; behind them is a hash of its own.
const FOLDER_CHARS_MAX: usize = 200;

/// Where to.
#[derive(Debug)]
pub struct Restore<'a> {
    /// Claude's folder.
    pub claude: &'a Path,
    /// The working directory to go on in; that of the session if left out.
    pub cwd: Option<PathBuf>,
}

/// Brings a session here. False when a file was left out, which is told.
///
/// # Errors
/// When one of the files exists already, or something cannot be fetched or written; nothing of the
/// session is there then.
pub fn restore(
    stored: &Stored<'_>,
    session: &Found,
    restore: &Restore<'_>,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<bool> {
    let main = transcript(session)?;
    let id = id_of(session, main)?;
    let projects = restore.claude.join("projects");
    files::make_folder(&projects).context(|| format!("make {}", projects.display()))?;
    let waiting = projects.join(format!(".confab-restore-{}", std::process::id()));
    let _ = fs::remove_dir_all(&waiting);
    let fetched = fetch_and_place(stored, session, restore, &id, &waiting, talk);
    let _ = fs::remove_dir_all(&waiting);
    let Placed { cwd, transcript, n_files, n_left_out } = fetched?;
    let unit = if n_files == 1 { "file" } else { "files" };
    let text = format!(
        "{}: restored, {n_files} {unit}\nto go on: cd {} && claude --resume {id}",
        transcript.display(),
        cwd.display()
    );
    writeln!(out, "{text}").context(|| "write to standard output".into())?;
    Ok(n_left_out == 0)
}

struct Placed {
    cwd: PathBuf,
    transcript: PathBuf,
    n_files: usize,
    n_left_out: usize,
}

fn fetch_and_place(
    stored: &Stored<'_>,
    session: &Found,
    restore: &Restore<'_>,
    id: &SessionId,
    waiting: &Path,
    talk: &mut dyn Write,
) -> Result<Placed> {
    let main = transcript(session)?;
    files::make_folder(waiting).context(|| "make a folder for what is fetched".into())?;
    let fetch = |file: &FileEntry, name: &str| -> Result<PathBuf> {
        let path = waiting.join(name);
        receive(stored, session, file, &path).context(|| format!("fetch {}", file.file_name))?;
        Ok(path)
    };
    let fetched = fetch(main, "transcript")?;
    let cwd = match &restore.cwd {
        Some(cwd) => cwd.clone(),
        None => cwd_of(&fetched)?,
    };
    let project = restore.claude.join("projects").join(folder_name(&cwd)?);
    let mut placements = Vec::new();
    let mut n_left_out = 0;
    for (number, file) in session.files.iter().filter(|file| *file != main).enumerate() {
        let Some(path) = side_path(&file.file_name) else {
            n_left_out += 1;
            let name = crate::cli::account::plain(&file.file_name);
            let _ = writeln!(talk, "confab: warning: {name} has no place in Claude's folder");
            continue;
        };
        let fetched = fetch(file, &number.to_string())?;
        placements.push((fetched, project.join(id.as_str()).join(path)));
    }
    let transcript = project.join(format!("{id}.jsonl"));
    placements.push((fetched, transcript.clone()));
    if let Some((_, path)) = placements.iter().find(|(_, path)| path.symlink_metadata().is_ok()) {
        return Err(Error::new(format!("{} exists already", path.display()))
            .with_hint("nothing was changed; confab session verify compares it with the backend"));
    }
    place_all(&placements)?;
    Ok(Placed { cwd, transcript, n_files: placements.len(), n_left_out })
}

/// Gives all files their names, or none.
fn place_all(placements: &[(PathBuf, PathBuf)]) -> Result<()> {
    for (number, (from, to)) in placements.iter().enumerate() {
        let folder = to.parent().unwrap_or(Path::new("/"));
        if let Err(error) = files::make_folder(folder).and_then(|()| place(from, to)) {
            for (_, placed) in &placements[..number] {
                // What cannot be removed now is found by the next attempt, which says so.
                let _ = files::remove_if_present(placed);
            }
            let what = format!("put {} in place", to.display());
            return Err(Error::new(what).caused_by(error));
        }
    }
    Ok(())
}

/// Claude's id, as it is known here or as the transcript is called.
fn id_of(session: &Found, main: &FileEntry) -> Result<SessionId> {
    let stem = main.file_name.rsplit('/').next().and_then(|name| name.strip_suffix(".jsonl"));
    let known = session.external_id.as_deref().or(stem).filter(|id| sessions::is_uuid(id));
    known.and_then(SessionId::new).ok_or_else(|| {
        Error::new(format!("nothing says what Claude Code calls session {}", session.id))
            .with_hint("name the session by Claude's id")
    })
}

/// The first working directory that a transcript tells.
fn cwd_of(path: &Path) -> Result<PathBuf> {
    let what = || format!("read {}", path.display());
    let file = fs::File::open(path).context(what)?;
    for line in BufReader::new(file.take(START_BYTES_MAX)).split(b'\n') {
        if let Some(cwd) = lines::inspect(&line.context(what)?).cwd {
            return Ok(PathBuf::from(cwd.into_owned()));
        }
    }
    Err(Error::new("no line of the session says where it ran")
        .with_hint("name a folder: --cwd DIR"))
}

/// What Claude Code calls the folder of a working directory: every UTF-16 unit but letters and
/// digits is a hyphen. Links are resolved, as far as the directory exists.
fn folder_name(cwd: &Path) -> Result<String> {
    let cwd = cwd.canonicalize().unwrap_or_else(|_| cwd.to_owned());
    let text = cwd.to_str().filter(|_| cwd.is_absolute()).ok_or_else(|| {
        Error::new(format!("{} is no absolute path in UTF-8", cwd.display()))
            .with_hint("name another folder: --cwd DIR")
    })?;
    let mut units = text.encode_utf16();
    let name: String = units
        .by_ref()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() => char::from(byte),
            _ => '-',
        })
        .collect();
    match name.len() > FOLDER_CHARS_MAX {
        true => Err(Error::new(format!("{} is too long for a project's name", cwd.display()))
            .with_hint("name a shorter folder: --cwd DIR")),
        false => Ok(name),
    }
}

/// Where Claude Code keeps a file beside the transcript, below the folder of the session.
fn side_path(name: &str) -> Option<PathBuf> {
    let is_plain = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(known)
    };
    let parts: Vec<&str> = name.split('/').collect();
    if !parts.iter().all(|part| is_plain(part)) || !name.ends_with(".jsonl") {
        return None;
    }
    match parts[..] {
        [file] if file.starts_with("agent-") => Some(Path::new("subagents").join(file)),
        ["subagents", "workflows", _, _] => Some(PathBuf::from(name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_called_as_claude_code_calls_them() {
        let cases = [("/nowhere/a b.c", "-nowhere-a-b-c"), ("/nowhere/é🎉", "-nowhere----")];
        for (cwd, expected) in cases {
            assert_eq!(folder_name(Path::new(cwd)).unwrap(), expected);
        }
        assert!(folder_name(Path::new("relative")).is_err());
        assert!(folder_name(Path::new(&format!("/{}", "x".repeat(300)))).is_err());
    }

    #[test]
    fn only_known_files_get_a_place() {
        let place = |name: &str| side_path(name).map(|path| path.display().to_string());
        assert_eq!(place("agent-12ab.jsonl").unwrap(), "subagents/agent-12ab.jsonl");
        let workflow = "subagents/workflows/run-1/journal.jsonl";
        assert_eq!(place(workflow).unwrap(), workflow);
        for name in
            ["", "x.jsonl", "agent-x", "../agent-x.jsonl", "agent-x/y.jsonl", "/agent-x.jsonl"]
        {
            assert_eq!(place(name), None, "{name}");
        }
    }
}
