//! `confab session restore`: a session from the backend gets back into Claude's folder, on this
//! machine or another one, so that `claude --resume` finds it.
//!
//! | file | where |
//! |---|---|
//! | transcript | `projects/<folder>/<id>.jsonl` |
//! | agent | `projects/<folder>/<id>/subagents/agent-*.jsonl` |
//! | agent of a version before 2.1 | `projects/<folder>/agent-*.jsonl` |
//! | workflow run | `projects/<folder>/<id>/subagents/workflows/<run>/...` |
//!
//! Claude Code looks for a session in the folder that is named after the working directory, so a
//! session that is to go on elsewhere lies under another name there. Its lines stay as the backend
//! has them, redacted, so that what is added to them goes behind what the backend has; what was
//! noted here of positions in other files is forgotten. Nothing that exists is overwritten:
//! everything is fetched first, then named, the transcript last.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::download::{receive_to, transcript};
use super::{Found, Stored};
use crate::cli::account::plain;
use crate::cli::sessions;
use crate::error::{Context, Error, Result};
use crate::files::{self, NewFile, SessionId};
use crate::session;
use crate::state::{self, Attempt, Kept, Loaded, Lock};
use crate::transcript as lines;
use crate::wire::FileEntry;

/// Bytes of the beginning of a transcript in which its working directory is looked for.
const START_BYTES_MAX: u64 = 16 << 20;
/// Characters of a folder's name that Claude Code writes out; behind them is a hash of its own.
const FOLDER_CHARS_MAX: usize = 200;
/// Project folders that are looked at for such a name.
const FOLDERS_MAX: usize = 100_000;
/// The first version that keeps agents' files in a folder of the session.
const SUBAGENTS_SINCE: (u32, u32) = (2, 1);
/// Bytes that are compared at once.
const COMPARE_BYTES: usize = 64 << 10;

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
/// When the session is here or is followed, one of its files is there with other content, or
/// something cannot be fetched or written; nothing of the session is there then that was not
/// before.
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
    if let Some(path) = session::find_in_projects(&projects, &id) {
        return Err(Error::new(format!("{} exists already", path.display()))
            .with_hint("nothing was changed; confab session verify compares it with the backend"));
    }
    // No daemon may begin in the middle of it.
    let lock = lock(stored, &id)?;
    let placed = fetch(stored, session, restore, &id, talk);
    // An empty lock file that stays is taken again by whoever needs it.
    let _ = lock.remove();
    let Placed { cwd, transcript, n_bytes, n_files, n_left_out } = placed?;
    // A list that does not know it asks nobody, and shows a question mark.
    let _ = state::note_delivered(stored.paths, &id, n_bytes);
    if !cwd.is_dir() {
        let cwd = plain(&cwd.display().to_string());
        let _ = writeln!(talk, "confab: warning: there is no folder {cwd} on this machine");
        let _ = writeln!(talk, "confab: hint: make it, or restore with --cwd DIR");
    }
    let unit = if n_files == 1 { "file" } else { "files" };
    let text = format!(
        "{}: restored, {n_files} {unit}\nto go on: cd {} && claude --resume {id}",
        plain(&transcript.display().to_string()),
        quoted(&cwd)
    );
    writeln!(out, "{text}").context(|| "write to standard output".into())?;
    Ok(n_left_out == 0)
}

struct Placed {
    cwd: PathBuf,
    transcript: PathBuf,
    n_bytes: u64,
    n_files: usize,
    n_left_out: usize,
}

/// A file that was fetched, and where it belongs.
struct Placement {
    fetched: PathBuf,
    path: PathBuf,
}

fn lock(stored: &Stored<'_>, id: &SessionId) -> Result<Lock> {
    match state::try_lock(stored.paths, id).context(|| format!("lock session {id}"))? {
        Attempt::Taken(lock) => Ok(lock),
        Attempt::Busy => Err(Error::new(format!("session {id} is followed by a daemon"))
            .with_hint("end it in Claude Code first")),
    }
}

/// What was noted here of lines and positions belongs to files that are gone: the backend is asked
/// where it stands. Links and ends that wait for delivery stay.
fn forget(stored: &Stored<'_>, id: &SessionId, transcript: &Path) -> Result<()> {
    let loaded = state::load(stored.paths, id);
    let loaded = loaded.context(|| format!("read the state of session {id}"))?;
    state::remove(stored.paths, id).context(|| format!("remove the state of session {id}"))?;
    // It is of the lines as they were written here; those that come back are redacted.
    state::forget_sent(stored.paths, id).context(|| format!("forget the lines of session {id}"))?;
    if let Loaded::Ours(mut record) = loaded {
        record.files.clear();
        record.transcript_path = transcript.to_owned();
        state::save(stored.paths, id, &mut record)?;
    }
    // The backend has it: that it was deleted once is no longer true.
    Kept::default().save(stored.paths, id)
}

/// Fetches everything into a folder of its own, then puts it in place.
fn fetch(
    stored: &Stored<'_>,
    session: &Found,
    restore: &Restore<'_>,
    id: &SessionId,
    talk: &mut dyn Write,
) -> Result<Placed> {
    let projects = restore.claude.join("projects");
    files::make_folder(&projects).context(|| format!("make {}", projects.display()))?;
    let waiting = projects.join(format!(".confab-restore-{}", std::process::id()));
    let _ = fs::remove_dir_all(&waiting);
    let placed = fetch_and_place(stored, session, restore, id, &waiting, talk);
    let _ = fs::remove_dir_all(&waiting);
    placed
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
    let (fetched, n_bytes) = fetch_file(stored, session, main, &waiting.join("transcript"))?;
    let start = read_start(&fetched).context(|| format!("read {}", main.file_name))?;
    let cwd = restore.cwd.clone().or(start.cwd.map(PathBuf::from)).ok_or_else(|| {
        Error::new("no line of the session says where it ran").with_hint("name a folder: --cwd DIR")
    })?;
    let projects = restore.claude.join("projects");
    let project = projects.join(folder_name(&projects, &cwd)?);
    let version = start.version.as_deref().and_then(numbers);
    let is_old = version.is_some_and(|version| version < SUBAGENTS_SINCE);
    let agents = (!is_old).then_some(id.as_str());
    let mut placements = Vec::new();
    let mut n_left_out = 0;
    for (number, file) in session.files.iter().filter(|file| *file != main).enumerate() {
        let Some(path) = side_path(&file.file_name, id.as_str(), agents) else {
            n_left_out += 1;
            let name = plain(&file.file_name);
            let _ = writeln!(talk, "confab: warning: {name} has no place in Claude's folder");
            continue;
        };
        let (fetched, _) = fetch_file(stored, session, file, &waiting.join(number.to_string()))?;
        placements.push(Placement { fetched, path: project.join(path) });
    }
    let transcript = project.join(format!("{id}.jsonl"));
    placements.push(Placement { fetched, path: transcript.clone() });
    let n_files = placements.len();
    let placements = only_new(placements)?;
    // Before the transcript is there: a daemon that saw both would take it for a rewritten one.
    forget(stored, id, &transcript)?;
    place_all(&placements)?;
    Ok(Placed { cwd, transcript, n_bytes, n_files, n_left_out })
}

fn fetch_file(
    stored: &Stored<'_>,
    session: &Found,
    file: &FileEntry,
    path: &Path,
) -> Result<(PathBuf, u64)> {
    let what = || format!("fetch {}", file.file_name);
    let mut new = NewFile::create(path).context(what)?;
    let n_bytes = receive_to(stored, session, file, &mut new).context(what)?;
    new.finish().context(what)?;
    Ok((path.to_owned(), n_bytes))
}

/// Those that are not there yet. What an earlier attempt has put in place is as it should be.
fn only_new(placements: Vec<Placement>) -> Result<Vec<Placement>> {
    let mut new = Vec::new();
    for placement in placements {
        let path = &placement.path;
        if path.symlink_metadata().is_err() {
            new.push(placement);
        } else if !is_same(&placement.fetched, path).unwrap_or(false) {
            return Err(Error::new(format!("{} exists already", path.display())).with_hint(
                "nothing was changed; confab session verify compares it with the backend",
            ));
        }
    }
    Ok(new)
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    if one.metadata()?.len() != other.metadata()?.len() || !other.is_file() {
        return Ok(false);
    }
    let mut one = BufReader::with_capacity(COMPARE_BYTES, File::open(one)?);
    let mut other = BufReader::with_capacity(COMPARE_BYTES, File::open(other)?);
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let n_bytes = left.len().min(right.len());
        if n_bytes == 0 || left[..n_bytes] != right[..n_bytes] {
            return Ok(left.is_empty() && right.is_empty());
        }
        one.consume(n_bytes);
        other.consume(n_bytes);
    }
}

/// Gives all files their names, or none.
fn place_all(placements: &[Placement]) -> Result<()> {
    for (number, Placement { fetched, path }) in placements.iter().enumerate() {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let moved = files::make_folder(folder).and_then(|()| files::move_new(fetched, path));
        if let Err(error) = moved {
            for Placement { path, .. } in &placements[..number] {
                // What cannot be removed now is as it should be for the next attempt.
                let _ = files::remove_if_present(path);
            }
            let what = format!("put {} in place", path.display());
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

/// What the beginning of a transcript tells.
#[derive(Debug, Default, PartialEq, Eq)]
struct Start {
    cwd: Option<String>,
    version: Option<String>,
}

/// The first working directory and the first version that a transcript tells.
fn read_start(path: &Path) -> io::Result<Start> {
    #[derive(Deserialize)]
    struct Versioned {
        version: Option<String>,
    }
    let mut start = Start::default();
    for line in BufReader::new(File::open(path)?.take(START_BYTES_MAX)).split(b'\n') {
        let line = line?;
        start.cwd = start.cwd.or_else(|| lines::inspect(&line).cwd.map(Into::into));
        start.version = start.version.or_else(|| {
            let versioned: Option<Versioned> = serde_json::from_slice(&line).ok();
            versioned?.version
        });
        if start.cwd.is_some() && start.version.is_some() {
            break;
        }
    }
    Ok(start)
}

/// The first two numbers of a version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// What Claude Code calls the folder of a working directory: every UTF-16 unit but letters and
/// digits is a hyphen. Links are resolved, as far as the directory exists.
fn folder_name(projects: &Path, cwd: &Path) -> Result<String> {
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
    if name.len() <= FOLDER_CHARS_MAX {
        return Ok(name);
    }
    // Only Claude Code can make the hash; it may have done so before.
    let start = format!("{}-", &name[..FOLDER_CHARS_MAX]);
    let entries = fs::read_dir(projects).into_iter().flatten().take(FOLDERS_MAX).flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut fitting = names.filter(|name| name.starts_with(&start));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(Error::new(format!("{} is too long for a project's name", cwd.display()))
            .with_hint("start Claude Code there once, or name a shorter folder: --cwd DIR")),
    }
}

/// Where Claude Code keeps a file beside the transcript. `agents` is the folder that holds those of
/// agents; `None` for versions that kept them beside the transcript.
fn side_path(name: &str, id: &str, agents: Option<&str>) -> Option<PathBuf> {
    let is_plain = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(known)
    };
    let parts: Vec<&str> = name.split('/').collect();
    if !parts.iter().all(|part| is_plain(part)) || !name.ends_with(".jsonl") {
        return None;
    }
    match parts[..] {
        [file] if file.starts_with("agent-") => Some(match agents {
            Some(folder) => Path::new(folder).join("subagents").join(file),
            None => PathBuf::from(file),
        }),
        ["subagents", "workflows", _, _] => Some(Path::new(id).join(name)),
        _ => None,
    }
}

/// A path as it can be pasted into a shell.
fn quoted(path: &Path) -> String {
    let path = plain(&path.display().to_string());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@:,".contains(&byte);
    if path.bytes().all(is_plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_called_as_claude_code_calls_them() {
        let projects = Path::new("/nowhere");
        let name = |cwd: &str| folder_name(projects, Path::new(cwd));
        let cases = [("/nowhere/a b.c", "-nowhere-a-b-c"), ("/nowhere/é🎉", "-nowhere----")];
        for (cwd, expected) in cases {
            assert_eq!(name(cwd).unwrap(), expected);
        }
        assert!(name("relative").is_err());
        assert!(name(&format!("/{}", "x".repeat(300))).is_err());
    }

    #[test]
    fn a_long_path_needs_a_folder_that_claude_code_has_made() {
        let projects = std::env::temp_dir().join(format!("confab-long-{}", std::process::id()));
        let cwd = PathBuf::from(format!("/{}", "x".repeat(250)));
        let made = format!("-{}-k3j", "x".repeat(199));
        fs::create_dir_all(projects.join(&made)).unwrap();
        assert_eq!(folder_name(&projects, &cwd).unwrap(), made);
        fs::create_dir_all(projects.join(format!("-{}-zzz", "x".repeat(199)))).unwrap();
        assert!(folder_name(&projects, &cwd).is_err());
        fs::remove_dir_all(&projects).unwrap();
    }

    #[test]
    fn only_known_files_get_a_place() {
        let place = |name: &str, agents| {
            side_path(name, "s", agents).map(|path| path.display().to_string())
        };
        let agent = "agent-12ab.jsonl";
        assert_eq!(place(agent, Some("s")).unwrap(), "s/subagents/agent-12ab.jsonl");
        assert_eq!(place(agent, None).unwrap(), agent);
        let workflow = "subagents/workflows/run-1/journal.jsonl";
        assert_eq!(place(workflow, Some("s")).unwrap(), format!("s/{workflow}"));
        for name in [
            "",
            "x.jsonl",
            "agent-x",
            "../agent-x.jsonl",
            "agent-x/y.jsonl",
            "/agent-x.jsonl",
            "subagents/workflows/../journal.jsonl",
        ] {
            assert_eq!(place(name, Some("s")), None, "{name}");
        }
    }

    #[test]
    fn versions_decide_by_their_first_two_numbers() {
        for (version, is_new) in [("1.0.128", false), ("2.0.77", false), ("2.1.20", true)] {
            assert_eq!(numbers(version).unwrap() >= SUBAGENTS_SINCE, is_new, "{version}");
        }
        assert_eq!(numbers("x"), None);
    }

    #[test]
    fn a_command_can_be_pasted() {
        assert_eq!(quoted(Path::new("/a/b-c")), "/a/b-c");
        assert_eq!(quoted(Path::new("/a b/it's\u{1b}[2J")), "'/a b/it'\\''s[2J'");
    }
}
