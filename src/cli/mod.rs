//! The command line: parsing, which does nothing, and one file for each command.
//!
//! Commands and their options are data in [`table`]; what is typed is checked by it.

mod account;
mod columns;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod finding;
pub mod help;
pub mod hooks;
pub mod install;
pub mod lines;
pub mod list;
pub mod local_server;
pub mod login;
pub mod man;
pub mod redact;
pub mod redaction_test;
pub mod save;
pub mod session;
pub mod sessions;
pub mod setup;
pub mod status;
mod status_line;
pub mod sync_flush;
pub mod sync_status;
pub mod table;
pub mod uninstall;
pub mod watch;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::list::List;
use crate::cli::login::Login;
use crate::cli::save::Save;
use crate::cli::table::{Count, Entry, Verb};
use crate::config::{keys::Key, parse_duration};
use crate::error::{Error, Result};
use crate::files::SessionId;
use crate::fleet::Watched;
use crate::hook::Event;
use crate::state::Launch;

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Claude Code runs a hook. `None` for an event that is none of ours: nothing is done, and that
    /// is no error, since Claude Code must not be disturbed.
    Hook(Option<Event>),
    /// A hook has started this daemon.
    Daemon(Launch),
    /// Print this text: help, version, completions, the manual page.
    Print(String),
    /// `config get`.
    ConfigGet(&'static Key),
    /// `config set`.
    ConfigSet {
        /// Which value.
        key: &'static Key,
        /// As it was typed; `-` for standard input.
        value: String,
    },
    /// `config list`.
    ConfigList {
        /// As JSON.
        json: bool,
    },
    /// `status`.
    Status {
        /// As JSON.
        json: bool,
    },
    /// `doctor`.
    Doctor {
        /// As JSON.
        json: bool,
    },
    /// `hooks add`, with Claude's folders.
    HooksAdd(Vec<PathBuf>),
    /// `hooks check`.
    HooksCheck {
        /// Claude's folders.
        folders: Vec<PathBuf>,
        /// As JSON.
        json: bool,
    },
    /// `hooks export-plugin`, with the folder to write.
    HooksExportPlugin(PathBuf),
    /// `hooks remove`, with Claude's folders.
    HooksRemove(Vec<PathBuf>),
    /// `login`. The key may be `-` for standard input, and the name is for `main` to fill in.
    Login(Login),
    /// `logout`.
    Logout,
    /// `list`.
    List(List),
    /// `save`.
    Save(Save),
    /// `session …`.
    Session {
        /// The session, as the user names it.
        id: String,
        /// What to do with it.
        act: SessionAct,
    },
    /// `setup`.
    Setup {
        /// Address, key and name, as for `login`.
        login: Login,
        /// With the embedded backend on this machine.
        local: bool,
        /// Claude's folders, when not those of the environment.
        claude: Vec<PathBuf>,
    },
    /// `install`.
    Install {
        /// Where to, when not to the usual folder.
        folder: Option<PathBuf>,
    },
    /// `uninstall`.
    Uninstall {
        /// Do not ask.
        yes: bool,
        /// Also what is not delivered.
        force: bool,
        /// Claude's folders, when not those of the environment.
        claude: Vec<PathBuf>,
    },
    /// `sync status`.
    SyncStatus {
        /// As JSON.
        json: bool,
    },
    /// `sync flush`.
    SyncFlush,
    /// `watch`; the folders are for `main` to make absolute.
    Watch(Watched),
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
}

/// What to do with a session on the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionAct {
    /// `list-files`.
    ListFiles {
        /// As JSON.
        json: bool,
    },
    /// `download`.
    Download {
        /// Below this folder, instead of to standard output.
        folder: Option<PathBuf>,
    },
    /// `get-summary`.
    GetSummary {
        /// The most characters.
        chars_max: Option<u64>,
    },
    /// `open`.
    Open,
    /// `verify`.
    Verify {
        /// As JSON.
        json: bool,
    },
    /// `restore`.
    Restore {
        /// Claude's folders, of which the first counts.
        claude: Vec<PathBuf>,
        /// Where to go on.
        cwd: Option<PathBuf>,
    },
    /// `delete`.
    Delete {
        /// Do not ask.
        yes: bool,
    },
}

/// How a command ended; its number is the exit status. 2 is for usage errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed, wholly or in part, or something is wrong.
    Failed = 1,
    /// Done, with things skipped.
    Skipped = 3,
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// Usage errors, with a hint. Never for a hook: its caller would take the exit status for a veto.
pub fn parse(arguments: Vec<OsString>) -> Result<Command> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match words.as_slice() {
        // Whoever types this wants to read, and Claude Code never does.
        ["hook", "--help" | "-h"] if arguments.len() == 2 => {}
        ["hook", event, ..] => return Ok(Command::Hook(event_of(event))),
        ["hook"] => return Ok(Command::Hook(None)),
        ["sync", "start", ..] => return Ok(Command::Hook(Some(Event::SessionStart))),
        ["sync", "stop", ..] => return Ok(Command::Hook(Some(Event::SessionEnd))),
        _ => {}
    }
    let hint = |error: Error| match error.hint() {
        Some(_) => error,
        None => error.with_hint("confab help lists the commands"),
    };
    let line = Line::read(lexopt::Parser::from_args(arguments)).map_err(hint)?;
    command_of(line).map_err(hint)
}

/// A command line, taken apart.
#[derive(Default)]
struct Line {
    words: Vec<String>,
    /// Options with their values; those without one have an empty one.
    options: Vec<(&'static str, OsString)>,
    help: bool,
    version: bool,
}

impl Line {
    fn read(mut parser: lexopt::Parser) -> Result<Line> {
        use lexopt::Arg::{Long, Short, Value};
        let mut line = Line::default();
        while let Some(argument) = parser.next().map_err(usage)? {
            match argument {
                Value(word) => line.words.push(utf8(word, "an argument")?),
                Long("help") | Short('h') => line.help = true,
                Long("version") | Short('V') => line.version = true,
                Long(_) | Short(_) => {
                    let name = match argument {
                        Long(name) => Some(name),
                        Short(letter) => table::long_name(letter),
                        Value(_) => None,
                    };
                    let Some(flag) = name.and_then(table::any_option) else {
                        return Err(usage(argument.unexpected()));
                    };
                    let value = match flag.value {
                        Some(_) => parser.value().map_err(usage)?,
                        None => OsString::new(),
                    };
                    if line.option(flag.name).is_some() && !table::REPEATED.contains(&flag.name) {
                        return Err(Error::new(format!("--{} is given twice", flag.name)));
                    }
                    line.options.push((flag.name, value));
                }
            }
        }
        Ok(line)
    }

    fn option(&self, name: &str) -> Option<&OsStr> {
        let found = self.options.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_os_str())
    }

    fn paths(&self, name: &str) -> Vec<PathBuf> {
        let found = self.options.iter().filter(|(known, _)| *known == name);
        found.map(|(_, value)| PathBuf::from(value)).collect()
    }

    fn age(&self) -> Result<Option<Duration>> {
        let Some(text) = self.text("since")? else { return Ok(None) };
        let age = parse_age(&text).ok_or_else(|| {
            Error::new(format!("--since is {text:?}, which is no age"))
                .with_hint("write 30m, 12h, 5d or 8w")
        })?;
        Ok(Some(age))
    }

    fn interval(&self) -> Result<Option<Duration>> {
        let Some(text) = self.text("interval")? else { return Ok(None) };
        let interval = parse_duration(&text).ok_or_else(|| {
            Error::new(format!("--interval is {text:?}, which is no time"))
                .with_hint("write 500ms, 30s, 2m, at most 1h")
        })?;
        Ok(Some(interval))
    }

    fn list(&self) -> Result<List> {
        let (all, json) = (self.option("all").is_some(), self.option("json").is_some());
        Ok(List { since: self.age()?, all, json })
    }

    fn save(&self, ids: &[&str]) -> Result<Save> {
        let save = Save {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            all: self.option("all").is_some(),
            since: self.age()?,
            deleted: self.option("deleted").is_some(),
        };
        match save.ids.is_empty() && !save.all && save.since.is_none() {
            true => Err(save::nothing_chosen()),
            false => Ok(save),
        }
    }

    fn chars_max(&self) -> Result<Option<u64>> {
        let Some(text) = self.text("max-chars")? else { return Ok(None) };
        let number = text.parse().ok().filter(|number| *number > 0);
        let wrong = || Error::new(format!("--max-chars is {text:?}, which is no number above 0"));
        number.ok_or_else(wrong).map(Some)
    }

    fn login(&self) -> Result<Login> {
        Ok(Login {
            backend_url: self.text("backend-url")?,
            api_key: self.text("api-key")?,
            name: self.text("name")?,
        })
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        self.option(name).map(|value| utf8(value.to_owned(), &format!("--{name}"))).transpose()
    }
}

fn command_of(line: Line) -> Result<Command> {
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    if line.version {
        return Ok(Command::Print(version()));
    }
    if line.help || words.is_empty() && line.options.is_empty() {
        return help::topic(&words).map(Command::Print);
    }
    let Some((entry, length)) = table::find(&words) else { return Err(unknown(&words)) };
    check(entry, &line, &words[length..])
        .map_err(|error| error.with_hint(format!("usage: confab {}", entry.usage())))?;
    let operands = &words[length..];
    let json = line.option("json").is_some();
    Ok(match entry.verb {
        Verb::Completions => {
            let script = completions::script(operands[0]);
            Command::Print(script.expect("the operand is one of the table's"))
        }
        Verb::ConfigGet => Command::ConfigGet(key(operands[0])),
        Verb::ConfigList => Command::ConfigList { json },
        Verb::ConfigSet => {
            Command::ConfigSet { key: key(operands[0]), value: operands[1].to_owned() }
        }
        Verb::Daemon => Command::Daemon(launch(&line)?),
        Verb::Doctor => Command::Doctor { json },
        Verb::Help => Command::Print(help::topic(operands)?),
        Verb::Hook => Command::Hook(event_of(operands[0])),
        Verb::HooksAdd => Command::HooksAdd(line.paths("claude-dir")),
        Verb::HooksCheck => Command::HooksCheck { folders: line.paths("claude-dir"), json },
        Verb::HooksExportPlugin => Command::HooksExportPlugin(operands[0].into()),
        Verb::HooksRemove => Command::HooksRemove(line.paths("claude-dir")),
        Verb::Install => Command::Install { folder: line.option("dest").map(PathBuf::from) },
        Verb::List => Command::List(line.list()?),
        Verb::Login => Command::Login(line.login()?),
        Verb::Logout => Command::Logout,
        Verb::Man => Command::Print(man::page()),
        Verb::Redact => Command::Redact { explain: line.option("explain").is_some() },
        Verb::RedactionTest => Command::RedactionTest { file: operands[0].into(), json },
        Verb::Save => Command::Save(line.save(operands)?),
        Verb::SessionDelete
        | Verb::SessionDownload
        | Verb::SessionGetSummary
        | Verb::SessionListFiles
        | Verb::SessionOpen
        | Verb::SessionRestore
        | Verb::SessionVerify => {
            Command::Session { id: operands[0].to_owned(), act: session_act(entry.verb, &line)? }
        }
        Verb::Setup => Command::Setup {
            login: line.login()?,
            local: line.option("local").is_some(),
            claude: line.paths("claude-dir"),
        },
        Verb::Status => Command::Status { json },
        Verb::SyncFlush => Command::SyncFlush,
        Verb::SyncStatus => Command::SyncStatus { json },
        Verb::Uninstall => Command::Uninstall {
            yes: line.option("yes").is_some(),
            force: line.option("force").is_some(),
            claude: line.paths("claude-dir"),
        },
        Verb::Watch => {
            let folders = line.paths("claude-dir");
            let (since, interval) = (line.age()?, line.interval()?);
            Command::Watch(Watched { folders, since, interval, parent: None })
        }
        Verb::Version => Command::Print(version()),
    })
}

fn session_act(verb: Verb, line: &Line) -> Result<SessionAct> {
    let path = |name| line.option(name).map(PathBuf::from);
    Ok(match verb {
        Verb::SessionDelete => SessionAct::Delete { yes: line.option("yes").is_some() },
        Verb::SessionDownload => SessionAct::Download { folder: path("output-dir") },
        Verb::SessionGetSummary => SessionAct::GetSummary { chars_max: line.chars_max()? },
        Verb::SessionListFiles => SessionAct::ListFiles { json: line.option("json").is_some() },
        Verb::SessionOpen => SessionAct::Open,
        Verb::SessionRestore => {
            SessionAct::Restore { claude: line.paths("claude-dir"), cwd: path("cwd") }
        }
        Verb::SessionVerify => SessionAct::Verify { json: line.option("json").is_some() },
        _ => unreachable!("only commands of sessions come here"),
    })
}

/// `30m`, `12h`, `5d`, `8w`: more than nothing.
fn parse_age(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().ok().filter(|n| *n > 0)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

fn key(name: &str) -> &'static Key {
    Key::find(name).expect("the operand is one of the table's")
}

/// Options and operands are those of the table.
fn check(entry: &Entry, line: &Line, operands: &[&str]) -> Result<()> {
    if let Some((name, _)) = line.options.iter().find(|(name, _)| entry.option(name).is_none()) {
        return Err(Error::new(format!("--{name} does not belong to confab {}", entry.words)));
    }
    let mut given = operands.iter();
    for operand in entry.operands.iter().filter(|operand| operand.count == Count::One) {
        let Some(word) = given.next() else {
            return Err(Error::new(format!("{} is missing", operand.name)));
        };
        if !operand.values.is_empty() && !operand.values.contains(word) {
            let values = operand.values.join(", ");
            let name = operand.name;
            return Err(Error::new(format!("{name} is {word:?}, and must be one of {values}")));
        }
    }
    let takes_more = entry.operands.iter().any(|operand| operand.count == Count::Any);
    match given.next() {
        Some(word) if !takes_more => Err(Error::new(format!("{word:?} is too much"))),
        _ => Ok(()),
    }
}

fn unknown(words: &[&str]) -> Error {
    match words.first() {
        None => Error::new("no command is given"),
        Some(first) if words.len() == 1 && !table::group(words).is_empty() => {
            Error::new(format!("{first} is a group of commands"))
                .with_hint(format!("confab help {first} lists them"))
        }
        Some(_) => Error::new(format!("there is no command {}", words.join(" "))),
    }
}

/// What a hook has told the daemon that it starts.
fn launch(line: &Line) -> Result<Launch> {
    let id = line.option("session").and_then(OsStr::to_str).and_then(SessionId::new);
    let transcript = line.option("transcript").map(PathBuf::from).filter(|path| path.is_absolute());
    let (Some(id), Some(transcript)) = (id, transcript) else {
        return Err(Error::new("a daemon needs a session and the path of its transcript"));
    };
    let lossy = |name| line.option(name).unwrap_or_default().to_string_lossy().into_owned();
    Ok(Launch { id, transcript, cwd: lossy("cwd"), parent: Launch::parent_of(&lossy("parent")) })
}

fn event_of(word: &str) -> Option<Event> {
    match word {
        "session-start" => Some(Event::SessionStart),
        "session-end" => Some(Event::SessionEnd),
        "user-prompt-submit" => Some(Event::UserPromptSubmit),
        "pre-tool-use" => Some(Event::PreToolUse),
        "post-tool-use" => Some(Event::PostToolUse),
        _ => None,
    }
}

fn version() -> String {
    concat!("confab ", env!("CARGO_PKG_VERSION"), "\n").to_owned()
}

fn utf8(word: OsString, what: &str) -> Result<String> {
    word.into_string().map_err(|_| Error::new(format!("{what} is not UTF-8")))
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
        let cases: [(&[&str], Option<Event>); 11] = [
            (&["--", "hook", "session-start"], Some(Event::SessionStart)),
            (&["hook", "session-start"], Some(Event::SessionStart)),
            (&["hook", "session-end", "--provider", "claude-code"], Some(Event::SessionEnd)),
            (&["hook", "user-prompt-submit", "--nonsense"], Some(Event::UserPromptSubmit)),
            (&["hook", "session-start", "--provider", "other"], Some(Event::SessionStart)),
            (&["hook", "pre-tool-use"], Some(Event::PreToolUse)),
            (&["hook", "post-tool-use", "x"], Some(Event::PostToolUse)),
            (&["hook", "stop"], None),
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
        assert_eq!(parse_words(&[]).unwrap(), Command::Print(help::overview()));
        assert_eq!(parse_words(&["--version"]).unwrap(), Command::Print(version()));
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
