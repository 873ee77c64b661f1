//! `confab session restore`: from the backend back to where Claude Code looks for a session.
//!
//! | file | where |
//! |---|---|
//! | transcript | `projects/<folder>/<id>.jsonl` |
//! | agent | `projects/<folder>/<id>/subagents/agent-*.jsonl` |
//! | agent of a version before 2.1 | `projects/<folder>/agent-*.jsonl` |
//! | workflow run | `projects/<folder>/<id>/subagents/workflows/<run>/...` |
//!
//! `<folder>` is the real path of the project's folder with everything but letters and digits as
//! `-`. Lines stay as they are, so that the backend's numbers of lines go on counting; nothing that
//! was known of the session here does. The transcript comes last: a session without one is none,
//! and is restored by the same command again.
//!
//! Deliberately absent: rewriting `cwd` in lines, which `claude --resume` does not ask for, and
//! which would make another history of them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::Exit;
use crate::cli::account::plain;
use crate::error::{Context, Error, Result};
use crate::files::{self, SessionId};
use crate::remote::PIECE_TIME_MAX;
use crate::session;
use crate::state::{self, Attempt, Kept, Loaded};
use crate::transcript;
use crate::wire::FileEntry;

use super::download::{Written, write_file};
use super::{Target, Tools, find_files, told, transcript_of};

/// Bytes of the beginning of a transcript in which folder and version are looked for.
const START_BYTES_MAX: u64 = 4 << 20;
/// UTF-16 units of a project folder's name; what is longer ends in a hash that only Claude Code can
/// make.
const FOLDER_UNITS_MAX: usize = 200;
/// Project folders that are looked at for such a name.
const FOLDERS_MAX: usize = 100_000;
/// The first version that keeps agents' files in a folder of the session.
const SUBAGENTS_SINCE: (u32, u32) = (2, 1);

/// What the beginning of a transcript tells.
#[derive(Debug, Default, PartialEq, Eq)]
struct Start {
    cwd: Option<String>,
    version: Option<String>,
}

/// Brings a session back into one of Claude's folders.
///
/// # Errors
/// When the session cannot be found or is here already, its folder is not known, or not all of it
/// came.
pub fn run(tools: &mut Tools<'_>, id: &str, claude: &Path, cwd: Option<&Path>) -> Result<Exit> {
    let (target, files) = find_files(tools, id)?;
    let (file, external_id) = checked_transcript(&target, &files, id)?;
    let projects = claude.join("projects");
    if let Some(path) = session::find_in_projects(&projects, &external_id) {
        return Err(Error::new(format!("session {external_id} is here: {}", path.display()))
            .with_hint("nothing is replaced: move it away to have it restored"));
    }
    let what = || format!("lock session {external_id}");
    let Attempt::Taken(lock) = state::try_lock(tools.paths, &external_id).context(what)? else {
        return Err(Error::new(format!("session {external_id} is followed by a daemon"))
            .with_hint("end it in Claude Code first"));
    };
    let restored = restore(tools, &target, &files, file, id, (&projects, cwd));
    let restored = match restored {
        Ok(restored) => restored,
        Err(error) => {
            // An empty lock file that stays is taken again by whoever needs it.
            let _ = lock.remove();
            return Err(error);
        }
    };
    forget(tools, &external_id, &restored)?;
    lock.remove().context(|| format!("unlock session {external_id}"))?;
    let Restored { transcript, cwd, n_lines, n_agents, n_left_out, .. } = restored;
    let told = writeln!(tools.out, "{}", plain(&transcript.display().to_string()));
    told.context(|| "write to standard output".into())?;
    let _ = writeln!(
        tools.talk,
        "{n_lines} lines and {n_agents} further files are here, {n_left_out} left out; go on with: \
         cd {} && claude --resume {external_id}",
        quoted(&cwd)
    );
    Ok(if n_left_out == 0 { Exit::Done } else { Exit::Skipped })
}

/// What was restored.
struct Restored {
    transcript: PathBuf,
    cwd: PathBuf,
    n_lines: u64,
    n_bytes: u64,
    n_agents: u64,
    n_left_out: u64,
}

/// The transcript of a session of Claude Code, and its id.
fn checked_transcript<'a>(
    target: &Target,
    files: &'a [FileEntry],
    id: &str,
) -> Result<(&'a FileEntry, SessionId)> {
    let none = || Error::new(format!("session {id} has no transcript of Claude Code"));
    let file = transcript_of(target, files).ok_or_else(none)?;
    let external_id = target.external_id.clone().ok_or_else(none)?;
    if file.file_name != format!("{external_id}.jsonl") {
        return Err(none());
    }
    Ok((file, external_id))
}

fn restore(
    tools: &mut Tools<'_>,
    target: &Target,
    files: &[FileEntry],
    transcript: &FileEntry,
    id: &str,
    (projects, cwd): (&Path, Option<&Path>),
) -> Result<Restored> {
    let start = read_start(tools, target, transcript, id)?;
    let cwd = real_cwd(cwd, &start)?;
    let project = projects.join(project_folder(projects, &cwd)?);
    let session = transcript.file_name.trim_end_matches(".jsonl");
    let agents = match start.version.as_deref().and_then(numbers) {
        Some(version) if version < SUBAGENTS_SINCE => PathBuf::new(),
        _ => Path::new(session).join("subagents"),
    };
    let (mut n_agents, mut n_left_out) = (0, 0);
    for file in files.iter().filter(|file| file.file_name != transcript.file_name) {
        let name = plain(&file.file_name);
        let Some(place) = place(&file.file_name, session, &agents) else {
            let _ = writeln!(tools.talk, "{name}: left out, it has no place in Claude's folder");
            n_left_out += 1;
            continue;
        };
        let path = project.join(&place);
        make_folder_of(&path)?;
        match write_file(tools, target, file, id, &path)?.0 {
            Written::New | Written::Same => n_agents += 1,
            Written::Other => {
                let shown = plain(&path.display().to_string());
                let _ = writeln!(tools.talk, "{name}: left out, {shown} is another file");
                n_left_out += 1;
            }
        }
    }
    let path = project.join(&transcript.file_name);
    make_folder_of(&path)?;
    match write_file(tools, target, transcript, id, &path)? {
        (Written::New, amount) => Ok(Restored {
            transcript: path,
            cwd,
            n_lines: amount.lines,
            n_bytes: amount.bytes,
            n_agents,
            n_left_out,
        }),
        _ => Err(Error::new(format!("{} has come meanwhile", path.display()))
            .with_hint("nothing is replaced: move it away to have it restored")),
    }
}

fn make_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    files::make_folder(folder).context(|| format!("make {}", folder.display()))
}

/// What was known here of lines and positions belongs to files that are gone: the backend is asked
/// where it stands. Links and ends that still wait stay.
fn forget(tools: &Tools<'_>, id: &SessionId, restored: &Restored) -> Result<()> {
    let loaded = state::load(tools.paths, id);
    let loaded = loaded.context(|| format!("read the state of session {id}"))?;
    state::remove(tools.paths, id).context(|| format!("remove the state of session {id}"))?;
    if let Loaded::Ours(mut record) = loaded {
        record.files.clear();
        record.transcript_path.clone_from(&restored.transcript);
        state::save(tools.paths, id, &mut record)?;
    }
    // The backend has it: that it was deleted once is no longer true.
    Kept::default().save(tools.paths, id)?;
    state::note_delivered(tools.paths, id, restored.n_bytes)
        .context(|| format!("note what is delivered of session {id}"))
}

fn read_start(
    tools: &Tools<'_>,
    target: &Target,
    transcript: &FileEntry,
    id: &str,
) -> Result<Start> {
    let what = || format!("download {}", plain(&transcript.file_name));
    let download = tools
        .archive
        .download(&target.session_id, &transcript.file_name, PIECE_TIME_MAX)
        .map_err(|failure| told(failure, id))?;
    let mut bytes = Vec::new();
    download.take(START_BYTES_MAX).read_to_end(&mut bytes).context(what)?;
    Ok(start_of(&bytes))
}

fn start_of(bytes: &[u8]) -> Start {
    #[derive(Deserialize)]
    struct Versioned {
        version: Option<String>,
    }
    let mut start = Start::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        start.cwd = start.cwd.or_else(|| transcript::inspect(line).cwd.map(Into::into));
        start.version = start.version.or_else(|| {
            let versioned: Option<Versioned> = serde_json::from_slice(line).ok();
            versioned?.version
        });
        if start.cwd.is_some() && start.version.is_some() {
            break;
        }
    }
    start
}

/// The real path of the project's folder, which must be there: Claude Code names its own folder
/// after it, and finds a session only from there.
fn real_cwd(named: Option<&Path>, start: &Start) -> Result<PathBuf> {
    let known = named.or(start.cwd.as_deref().map(Path::new)).ok_or_else(|| {
        Error::new("the transcript does not tell the folder of its project")
            .with_hint("--cwd DIR names it")
    })?;
    let real = fs::canonicalize(known).and_then(|path| match path.is_dir() {
        true => Ok(path),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    });
    real.map_err(|error| {
        let shown = plain(&known.display().to_string());
        Error::new(format!("find the folder {shown} of the project"))
            .caused_by(error)
            .with_hint("--cwd DIR names the folder of the project on this machine")
    })
}

/// The name of Claude's folder for a project.
fn project_folder(projects: &Path, cwd: &Path) -> Result<String> {
    let name = munged(&cwd.to_string_lossy());
    if name.len() <= FOLDER_UNITS_MAX {
        return Ok(name);
    }
    let start = format!("{}-", &name[..FOLDER_UNITS_MAX]);
    let entries = fs::read_dir(projects).into_iter().flatten().take(FOLDERS_MAX).flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut fitting = names.filter(|name| name.starts_with(&start));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(Error::new(format!("Claude's folder for {} is not known", cwd.display()))
            .with_hint(
                "its path is very long: start Claude Code there once, or use a shorter one",
            )),
    }
}

/// A path as Claude Code writes it in one name.
fn munged(path: &str) -> String {
    let is_kept = |unit: &u16| u8::try_from(*unit).is_ok_and(|byte| byte.is_ascii_alphanumeric());
    path.encode_utf16()
        .map(|unit| if is_kept(&unit) { char::from(unit as u8) } else { '-' })
        .collect()
}

/// Where a file belongs in a project's folder; `None` for what Claude Code does not keep there.
fn place(name: &str, session: &str, agents: &Path) -> Option<PathBuf> {
    let is_agent = |name: &str| {
        let id = name.strip_prefix("agent-").and_then(|name| name.strip_suffix(".jsonl"));
        id.is_some_and(|id| SessionId::new(id).is_some())
    };
    if is_agent(name) {
        return Some(agents.join(name));
    }
    let (run, file) = name.strip_prefix("subagents/workflows/")?.split_once('/')?;
    let is_run = SessionId::new(&run.replace('.', "_")).is_some() && !run.starts_with('.');
    (is_run && (file == "journal.jsonl" || is_agent(file))).then(|| Path::new(session).join(name))
}

/// The first two numbers of a version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// A path for a shell.
fn quoted(path: &Path) -> String {
    let path = plain(&path.display().to_string());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@:,".contains(&byte);
    if path.bytes().all(is_plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_one_name() {
        let cases =
            [("/home/me/my.project_1", "-home-me-my-project-1"), ("/w/🎉é", "-w----"), ("/", "-")];
        for (path, expected) in cases {
            assert_eq!(munged(path), expected, "{path}");
        }
    }

    #[test]
    fn only_what_claude_code_keeps_has_a_place() {
        let agents = Path::new("s/subagents");
        let cases = [
            ("agent-a1.jsonl", Some("s/subagents/agent-a1.jsonl")),
            (
                "subagents/workflows/wf_1/journal.jsonl",
                Some("s/subagents/workflows/wf_1/journal.jsonl"),
            ),
            (
                "subagents/workflows/w.1/agent-b.jsonl",
                Some("s/subagents/workflows/w.1/agent-b.jsonl"),
            ),
            ("../../etc/passwd", None),
            ("agent-../x.jsonl", None),
            ("agent-.jsonl", None),
            ("subagents/workflows/../journal.jsonl", None),
            ("subagents/workflows/a/../agent-b.jsonl", None),
            ("subagents/workflows/a/other.jsonl", None),
            ("other.jsonl", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(place(name, "s", agents).as_deref(), expected.map(Path::new), "{name}");
        }
        assert_eq!(place("agent-a1.jsonl", "s", Path::new("")), Some("agent-a1.jsonl".into()));
    }

    #[test]
    fn versions_decide_by_their_first_two_numbers() {
        for (version, is_new) in [("1.0.128", false), ("2.0.77", false), ("2.1.20", true)] {
            assert_eq!(numbers(version).unwrap() >= SUBAGENTS_SINCE, is_new, "{version}");
        }
        assert_eq!(numbers("x"), None);
    }

    #[test]
    fn folder_and_version_are_those_that_are_told_first() {
        let text = b"{\"type\":\"mode\"}\nno json\n{\"cwd\":\"/a\"}\n\
            {\"cwd\":\"/b\",\"version\":\"2.1.3\"}\n{\"version\":\"3.0.0\"}\n";
        let expected = Start { cwd: Some("/a".into()), version: Some("2.1.3".into()) };
        assert_eq!(start_of(text), expected);
        assert_eq!(start_of(b"{\"cwd\":1,\"version\":2}"), Start::default());
    }

    #[test]
    fn a_command_can_be_pasted() {
        assert_eq!(quoted(Path::new("/a/b-c")), "/a/b-c");
        assert_eq!(quoted(Path::new("/a b/it's")), "'/a b/it'\\''s'");
    }

    #[test]
    fn a_long_path_needs_a_folder_that_is_there() {
        let projects = std::env::temp_dir().join(format!("confab-munge-{}", std::process::id()));
        let cwd = PathBuf::from(format!("/{}", "x".repeat(250)));
        assert!(project_folder(&projects, &cwd).unwrap_err().hint().is_some());
        let name = format!("-{}-k3j", "x".repeat(199));
        fs::create_dir_all(projects.join(&name)).unwrap();
        assert_eq!(project_folder(&projects, &cwd).unwrap(), name);
        fs::create_dir_all(projects.join(format!("-{}-zzz", "x".repeat(199)))).unwrap();
        assert!(project_folder(&projects, &cwd).is_err());
        fs::remove_dir_all(&projects).unwrap();
    }
}
