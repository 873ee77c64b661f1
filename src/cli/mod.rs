//! The command line: parsing, which does nothing, and one file for each command.

pub mod lines;
pub mod redact;
pub mod redaction_test;
pub mod sync_flush;
pub mod sync_status;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::files::SessionId;
use crate::hook::Event;
use crate::state::Launch;

/// What `help` prints.
pub const HELP: &str = "\
confab uploads Claude Code sessions, redacted, to a self-hosted backend

usage: confab COMMAND [OPTIONS]

commands
  hook session-start | session-end | user-prompt-submit
                       answers Claude Code; reads the hook's JSON on standard input
  sync start | stop    the same as hook session-start and hook session-end
  sync status [--json] what is followed, what is pending, what exists only here
  sync flush           delivers now what is pending
  redact [--explain]   copies JSONL from standard input to standard output, redacted, a line for
                       a line; --explain says on standard error what was found by which rule
  redaction-test FILE [--json]
                       what would be cut out of a file, by rule
  version              prints the version
  help                 prints this

files
  ~/.confab/config.json   backend_url, api_key and more, see the README
  ~/.confab/sync          state of sessions that are not fully delivered
  ~/.confab/logs          log of daemons and commands; never holds content
";

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Claude Code runs a hook. `None` for an event that is none of ours: nothing is done, and that
    /// is no error, since Claude Code must not be disturbed.
    Hook(Option<Event>),
    /// A hook has started this daemon.
    Daemon(Launch),
    /// `sync status`.
    SyncStatus {
        /// As JSON.
        json: bool,
    },
    /// `sync flush`.
    SyncFlush,
    /// `redact`.
    Redact {
        /// Says what was found.
        explain: bool,
    },
    /// `redaction-test`.
    RedactionTest {
        /// The file to look into.
        file: PathBuf,
        /// As JSON.
        json: bool,
    },
    /// `version`.
    Version,
    /// `help`, or nothing at all.
    Help,
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// Usage errors, with a hint. Never for a hook: its caller would take the exit status for a veto.
pub fn parse(arguments: Vec<OsString>) -> Result<Command> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match words.as_slice() {
        ["hook", event, ..] => return Ok(Command::Hook(event_of(event))),
        ["hook"] => return Ok(Command::Hook(None)),
        ["sync", "start", ..] => return Ok(Command::Hook(Some(Event::SessionStart))),
        ["sync", "stop", ..] => return Ok(Command::Hook(Some(Event::SessionEnd))),
        _ => {}
    }
    parse_options(lexopt::Parser::from_args(arguments))
        .map_err(|error| error.with_hint("confab help lists the commands"))
}

fn parse_options(mut parser: lexopt::Parser) -> Result<Command> {
    use lexopt::Arg::{Long, Short, Value};
    let mut words: Vec<String> = Vec::new();
    let (mut json, mut explain) = (false, false);
    let mut launch = LaunchOptions::default();
    while let Some(argument) = parser.next().map_err(usage)? {
        let is_daemon = words.first().is_some_and(|word| word == Launch::COMMAND);
        match argument {
            Value(word) => words.push(word.to_string_lossy().into_owned()),
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Long("json") => json = true,
            Long("explain") => explain = true,
            Long("session") if is_daemon => launch.session = Some(value(&mut parser)?),
            Long("transcript") if is_daemon => launch.transcript = Some(value(&mut parser)?),
            Long("cwd") if is_daemon => launch.cwd = Some(value(&mut parser)?),
            Long("parent") if is_daemon => launch.parent = Some(value(&mut parser)?),
            other => return Err(usage(other.unexpected())),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (words.as_slice(), json, explain) {
        (["sync", "status"], json, false) => Ok(Command::SyncStatus { json }),
        (["redaction-test", file], json, false) => {
            Ok(Command::RedactionTest { file: PathBuf::from(file), json })
        }
        (["redaction-test", ..], _, false) => {
            Err(Error::new("redaction-test needs the name of one file"))
        }
        (["redact"], false, explain) => Ok(Command::Redact { explain }),
        (_, true, _) => Err(Error::new("--json does not belong to this command")),
        (_, _, true) => Err(Error::new("--explain does not belong to this command")),
        ([] | ["help"], ..) => Ok(Command::Help),
        (["version"], ..) => Ok(Command::Version),
        (["sync", "flush"], ..) => Ok(Command::SyncFlush),
        ([Launch::COMMAND], ..) => launch.finish().map(Command::Daemon),
        (words, ..) => Err(Error::new(format!("there is no command {}", words.join(" ")))),
    }
}

/// Options of the hidden command that starts a daemon.
#[derive(Default)]
struct LaunchOptions {
    session: Option<OsString>,
    transcript: Option<OsString>,
    cwd: Option<OsString>,
    parent: Option<OsString>,
}

impl LaunchOptions {
    fn finish(self) -> Result<Launch> {
        let id = self.session.as_deref().and_then(|id| id.to_str()).and_then(SessionId::new);
        let transcript = self.transcript.map(PathBuf::from).filter(|path| path.is_absolute());
        let (Some(id), Some(transcript)) = (id, transcript) else {
            return Err(Error::new("a daemon needs a session and the path of its transcript"));
        };
        let parent = self.parent.unwrap_or_default();
        Ok(Launch {
            id,
            transcript,
            cwd: self.cwd.unwrap_or_default().to_string_lossy().into_owned(),
            parent: Launch::parent_of(&parent.to_string_lossy()),
        })
    }
}

fn event_of(word: &str) -> Option<Event> {
    match word {
        "session-start" => Some(Event::SessionStart),
        "session-end" => Some(Event::SessionEnd),
        "user-prompt-submit" => Some(Event::UserPromptSubmit),
        _ => None,
    }
}

fn value(parser: &mut lexopt::Parser) -> Result<OsString> {
    parser.value().map_err(usage)
}

fn usage(error: lexopt::Error) -> Error {
    Error::new(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::Process;

    fn parse_words(words: &[&str]) -> Result<Command> {
        parse(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn a_hook_is_never_a_usage_error() {
        let cases: [(&[&str], Option<Event>); 8] = [
            (&["hook", "session-start"], Some(Event::SessionStart)),
            (&["hook", "session-end", "--provider", "claude-code"], Some(Event::SessionEnd)),
            (&["hook", "user-prompt-submit", "--nonsense"], Some(Event::UserPromptSubmit)),
            (&["hook", "session-start", "--provider", "other"], Some(Event::SessionStart)),
            (&["hook", "pre-tool-use"], None),
            (&["hook"], None),
            (&["sync", "start"], Some(Event::SessionStart)),
            (&["sync", "stop", "--help"], Some(Event::SessionEnd)),
        ];
        for (words, expected) in cases {
            assert_eq!(parse_words(words).unwrap(), Command::Hook(expected), "{words:?}");
        }
    }

    #[test]
    fn commands_and_usage_errors() {
        assert_eq!(parse_words(&[]).unwrap(), Command::Help);
        assert_eq!(parse_words(&["--version"]).unwrap(), Command::Version);
        let status = parse_words(&["sync", "status", "--json"]).unwrap();
        assert_eq!(status, Command::SyncStatus { json: true });
        let bad: [&[&str]; 6] = [
            &["sync"],
            &["nope"],
            &["sync", "flush", "--json"],
            &["version", "x"],
            &["-x"],
            &["daemon"],
        ];
        for words in bad {
            assert!(parse_words(words).unwrap_err().hint().is_some(), "{words:?}");
        }
    }

    #[test]
    fn a_daemon_reads_what_a_hook_writes() {
        for parent in [None, Some(Process { pid: 7, start: 9 })] {
            let launch = Launch {
                id: SessionId::new("--abc").unwrap(),
                transcript: "/x/--y.jsonl".into(),
                cwd: "--weird".into(),
                parent,
            };
            assert_eq!(parse(launch.arguments()).unwrap(), Command::Daemon(launch));
        }
    }
}
