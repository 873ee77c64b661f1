//! What Claude Code runs: stdin, lock, spawn or note, stdout, in about a millisecond.
//!
//! A hook never fails towards Claude Code: whatever happens, the answer is the same and the exit
//! status 0. It never waits for the daemon, and touches no network, regex, TLS, transcript,
//! configuration or log; a few small files of git's are read when a commit was made.
//!
//! Two paths reach a daemon. Nobody holds the session's lock: the hook takes it and hands it over
//! to a new daemon. Somebody holds it: the hook leaves a note in the inbox, which is read before
//! the holder lets go.

mod actions;
mod tool;

use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Context, Error, Result};
use crate::files::{Paths, SessionId};
use crate::state::{self, Attempt, HookInput, Kept, Launch, Loaded, Lock, Note, NoteKind};
use crate::sys::{machine::Processes, process::Process};

/// Bytes of one hook input: the largest seen carried a 12 MB prompt.
const INPUT_BYTES_MAX: usize = 64 << 20;
/// Bytes read at once: few at first, since memory that is not touched costs nothing, and more of an
/// input that proves to be large.
const READ_BYTES_MIN: usize = 4 << 10;
const READ_BYTES_MAX: usize = 64 << 10;

/// The hooks that this program answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A session was started or resumed.
    SessionStart,
    /// A session has ended.
    SessionEnd,
    /// The user sent a prompt.
    UserPromptSubmit,
    /// A tool is about to be used.
    PreToolUse,
    /// A tool was used.
    PostToolUse,
}

impl Event {
    fn note_kind(self) -> NoteKind {
        match self {
            Event::SessionEnd => NoteKind::SessionEnd,
            _ => NoteKind::Start,
        }
    }

    /// What goes to standard output first, whatever happens.
    pub fn answer(self) -> &'static str {
        match self {
            Event::SessionStart | Event::SessionEnd => {
                "{\"continue\":true,\"stopReason\":\"\",\"suppressOutput\":false}\n"
            }
            Event::UserPromptSubmit => {
                "{\"continue\":true,\"stopReason\":\"\",\"suppressOutput\":true}\n"
            }
            Event::PreToolUse | Event::PostToolUse => "",
        }
    }
}

/// What surrounds a hook; `main` fills it in.
pub struct Surroundings<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// Who runs, and how a daemon is started.
    pub processes: &'a dyn Processes,
    /// `CLAUDE_PID`.
    pub claude_pid: Option<u32>,
    /// Commits and pull requests are not linked, says the environment.
    pub links_off: bool,
    /// The time of the event.
    pub now: SystemTime,
}

/// Reads one JSON object by `read`, which fills a buffer and returns 0 at the end. Stops behind the
/// object: Claude Code may leave the stream open.
///
/// # Errors
/// As `read`; `FileTooLarge` behind 64 MiB.
pub fn read_input(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut scanner = ObjectEnd::default();
    loop {
        let start = bytes.len();
        if start >= INPUT_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        bytes.resize(start + start.clamp(READ_BYTES_MIN, READ_BYTES_MAX), 0);
        let n_bytes = match read(&mut bytes[start..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Ok(0) => {
                bytes.truncate(start);
                return Ok(bytes);
            }
            result => result?,
        };
        bytes.truncate(start + n_bytes);
        if let Some(end) = scanner.feed(&bytes[start..]) {
            bytes.truncate(start + end);
            return Ok(bytes);
        }
    }
}

/// Does what the event asks for. Returns what goes to standard output behind [`Event::answer`].
///
/// # Errors
/// Input that cannot be used, or a system call that failed. The caller answers all the same.
pub fn handle(
    event: Event,
    bytes: &[u8],
    surroundings: &Surroundings<'_>,
) -> Result<Option<String>> {
    let paths = surroundings.paths;
    let input: HookInput = serde_json::from_slice(bytes).context(|| "read hook input".into())?;
    let id = SessionId::new(&input.session_id)
        .ok_or_else(|| Error::new("session_id of the hook input is not a session id"))?;
    check_transcript_path(Path::new(&input.transcript_path), paths)?;
    if Kept::is_deleted(paths, &id) {
        return Ok(None);
    }
    match event {
        Event::PreToolUse | Event::PostToolUse if surroundings.links_off => Ok(None),
        Event::PreToolUse => tool::before(bytes, &id, paths),
        Event::PostToolUse => {
            tool::after(bytes, &input, &id, paths, surroundings.now).map(|()| None)
        }
        _ => reach_daemon(event, &input, &id, surroundings).map(|()| None),
    }
}

/// Tells the session's daemon, or starts one.
fn reach_daemon(
    event: Event,
    input: &HookInput,
    id: &SessionId,
    surroundings: &Surroundings<'_>,
) -> Result<()> {
    let paths = surroundings.paths;
    let parent = surroundings.processes.claude(surroundings.claude_pid);
    let what = || format!("reach the daemon of session {id}");
    if let Attempt::Taken(lock) = state::try_lock(paths, id).context(what)? {
        return start(lock, id, input, parent, event, surroundings);
    }
    let kind = event.note_kind();
    state::append(paths, id, &Note::new(kind, input, parent, surroundings.now)).context(what)?;
    match state::try_lock(paths, id).context(what)? {
        Attempt::Busy if event == Event::SessionEnd => {
            let daemon = state::named_holder(paths, id)
                .filter(|daemon| surroundings.processes.is_alive(*daemon));
            if let Some(daemon) = daemon {
                // A daemon that ends in this moment has read the note or left it for the next.
                surroundings.processes.wake(daemon);
            }
            Ok(())
        }
        Attempt::Busy => Ok(()),
        // The holder has read the note, delivered everything and ended: nothing is left to do.
        Attempt::Taken(lock) if event == Event::SessionEnd && !state::has_notes(paths, id) => {
            lock.remove().context(what)
        }
        // The holder let go before it could read the note.
        Attempt::Taken(lock) => spawn(lock, id, input, parent, surroundings),
    }
}

/// Accepts an absolute path of a `.jsonl` file without `..` below a `projects` folder of Claude's.
fn check_transcript_path(path: &Path, paths: &Paths) -> Result<()> {
    let refuse = |why: &str| {
        let what = format!("transcript_path {} of the hook input {why}", path.display());
        Err(Error::new(what).with_hint(
            "set CLAUDE_CONFIG_DIR or CONFAB_CLAUDE_DIR when Claude's folder is not ~/.claude",
        ))
    };
    if path.as_os_str().is_empty() || !path.is_absolute() {
        return refuse("is not absolute");
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return refuse("goes through a parent folder");
    }
    if path.extension().is_none_or(|extension| extension != "jsonl") {
        return refuse("is not a .jsonl file");
    }
    let projects: Vec<PathBuf> = paths.claude.iter().map(|root| root.join("projects")).collect();
    if projects.iter().any(|folder| path.starts_with(folder)) {
        return Ok(());
    }
    // The same folder may be named through a link.
    let resolved = path.ancestors().skip(1).find_map(|folder| folder.canonicalize().ok());
    let below = |folder: &PathBuf| match (&resolved, folder.canonicalize()) {
        (Some(resolved), Ok(folder)) => resolved.starts_with(folder),
        _ => false,
    };
    if projects.iter().any(below) {
        Ok(())
    } else {
        refuse("is not below Claude's projects folder")
    }
}

/// Starts a daemon for a session that nobody follows, unless one of the existing client does.
fn start(
    lock: Lock,
    id: &SessionId,
    input: &HookInput,
    parent: Option<Process>,
    event: Event,
    surroundings: &Surroundings<'_>,
) -> Result<()> {
    let paths = surroundings.paths;
    let note = Note::new(event.note_kind(), input, parent, surroundings.now);
    let loaded = state::load(paths, id).unwrap_or(Loaded::Damaged);
    if let Loaded::Foreign { daemon, inbox } = loaded {
        if event == Event::SessionEnd {
            state::append_foreign(&inbox, &note).context(|| format!("end session {id}"))?;
            surroundings.processes.stop(daemon);
        }
        return lock.remove().context(|| format!("leave session {id} to its daemon"));
    }
    // An end is written before the daemon starts, so that the session is pending even if it cannot
    // start. A start is written behind an end that is still to be delivered.
    if event == Event::SessionEnd || state::has_notes(paths, id) {
        state::append(paths, id, &note).context(|| format!("note for session {id}"))?;
    }
    spawn(lock, id, input, parent, surroundings)
}

/// Starts a daemon and hands the lock over to it.
fn spawn(
    mut lock: Lock,
    id: &SessionId,
    input: &HookInput,
    parent: Option<Process>,
    surroundings: &Surroundings<'_>,
) -> Result<()> {
    // No stale name of an earlier holder may be left: hooks would wake a stranger.
    lock.clear_holder().context(|| format!("lock session {id}"))?;
    let launch = Launch {
        id: id.clone(),
        transcript: PathBuf::from(&input.transcript_path),
        cwd: input.cwd.clone(),
        parent,
    };
    surroundings
        .processes
        .start(&launch.arguments(), lock.into_file())
        .context(|| format!("start the daemon of session {id}"))
}

/// Finds the end of a JSON object in a stream of bytes.
#[derive(Debug, Default)]
struct ObjectEnd {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl ObjectEnd {
    /// How many of these bytes belong to the object, once its end is among them. Bytes that begin
    /// something else than an object end it at once, to be refused by the parser.
    fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' if self.depth > 0 => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                }
                _ if self.depth == 0 && !byte.is_ascii_whitespace() => return Some(index + 1),
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `text` in pieces of `size` and returns what was taken and how much was left unread.
    fn read_in_pieces(text: &str, size: usize) -> (String, usize) {
        let mut rest = text.as_bytes();
        let input = read_input(|buffer| {
            let n_bytes = size.min(rest.len()).min(buffer.len());
            buffer[..n_bytes].copy_from_slice(&rest[..n_bytes]);
            rest = &rest[n_bytes..];
            Ok(n_bytes)
        });
        (String::from_utf8(input.unwrap()).unwrap(), rest.len())
    }

    #[test]
    fn input_ends_with_the_object_and_not_with_the_stream() {
        let object = r#" {"a":"}\"{","b":[{},"\\"],"c":{"d":1}}"#;
        for size in 1..object.len() + 4 {
            let (input, left) = read_in_pieces(&format!("{object}\n{{}}"), size);
            assert_eq!(input, object, "pieces of {size}");
            assert!(left + size >= 3, "read on behind the object");
        }
    }

    #[test]
    fn what_is_no_object_ends_at_once() {
        for text in ["x", "12", "\"a\"", "]", "  null"] {
            assert!(read_in_pieces(text, 1).0.len() <= text.len());
        }
        assert_eq!(read_in_pieces("", 1).0, "");
        assert_eq!(read_in_pieces("{\"cut", 2).0, "{\"cut");
    }

    #[test]
    fn transcript_paths() {
        let roots = crate::files::Roots {
            home: "/h".into(),
            claude_config_dir: Some("/work/claude".into()),
            ..Default::default()
        };
        let paths = Paths::new(roots);
        let cases = [
            ("/h/.claude/projects/-x/a.jsonl", true),
            ("/work/claude/projects/-x/a.jsonl", true),
            ("/h/.claude/projects/-x/../../a.jsonl", false),
            ("/h/.claude/projects/-x/a.txt", false),
            ("/h/.claude/projects/-x/jsonl", false),
            ("/h/.claude/other/a.jsonl", false),
            ("/h/.claude/projectsx/a.jsonl", false),
            (".claude/projects/-x/a.jsonl", false),
            ("/etc/passwd", false),
            ("", false),
        ];
        for (path, expected) in cases {
            assert_eq!(check_transcript_path(Path::new(path), &paths).is_ok(), expected, "{path}");
        }
    }
}
