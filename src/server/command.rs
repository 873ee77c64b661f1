//! The command line of `confab-server`, pure: arguments in, a command out.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::ValueExt;
use lexopt::prelude::{Long, Short, Value};

use crate::error::{Context, Error, Result};

/// Where the server listens unless told otherwise: this machine alone.
const LISTEN_DEFAULT: &str = "127.0.0.1:8787";
/// The user of a key unless told otherwise.
const USER_DEFAULT: &str = "admin@local.dev";
/// The name of a key unless told otherwise.
const KEY_NAME_DEFAULT: &str = "default";
/// Bytes of a user's and of a key's name.
const NAME_BYTES_MAX: usize = 255;

/// How to use it.
pub const HELP: &str = "\
confab-server keeps Claude Code sessions that confab uploads

Usage:
  confab-server serve [--listen ADDRESS:PORT] [--data DIR]
  confab-server key create [--user NAME] [--name KEY] [--data DIR]
  confab-server help | version

  serve        answers until SIGTERM; says `listening on http://ADDRESS:PORT` when it is ready
  key create   prints a new API key, once; a key of the same user and name stops working

  --listen  where to listen (127.0.0.1:8787; port 0 takes a free one)
  --data    where everything is kept (~/.confab/server)
  --user    whose key it is: a mail address or a name (admin@local.dev)
  --name    what the key is for (default)
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the server.
    Serve {
        /// Address and port.
        listen: String,
        /// Data folder; `None` for the default.
        data: Option<PathBuf>,
    },
    /// Print a new key.
    KeyCreate {
        /// Mail address or account name.
        user: String,
        /// Name of the key.
        name: String,
        /// Data folder; `None` for the default.
        data: Option<PathBuf>,
    },
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// When they do not make a command, with a hint.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command> {
    read(lexopt::Parser::from_args(arguments))
        .map_err(|error| error.with_hint("see `confab-server help`"))
}

fn read(mut parser: lexopt::Parser) -> Result<Command> {
    let (mut words, mut listen, mut data) = (Vec::new(), None, None);
    let (mut user, mut name) = (None, None);
    while let Some(argument) = parser.next().context(|| "read the command line".into())? {
        let place = match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Value(word) if words.len() < 2 => {
                words.push(word.string().context(|| "read the command line".into())?);
                continue;
            }
            Long("data") => {
                let folder = parser.value().context(|| "read --data".into())?;
                data = Some(PathBuf::from(folder));
                continue;
            }
            Long("listen") => &mut listen,
            Long("user") => &mut user,
            Long("name") => &mut name,
            other => return Err(other.unexpected()).context(|| "read the command line".into()),
        };
        let value = parser.value().and_then(|value| value.string());
        *place = Some(value.context(|| "read the command line".into())?);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let none = |option: &str, value: &Option<String>| match value {
        None => Ok(()),
        Some(_) => Err(Error::new(format!("--{option} does not belong to this command"))),
    };
    match words[..] {
        ["serve"] => {
            none("user", &user)?;
            none("name", &name)?;
            Ok(Command::Serve { listen: listen.unwrap_or(LISTEN_DEFAULT.into()), data })
        }
        ["key", "create"] => {
            none("listen", &listen)?;
            let user = checked_name("--user", user.unwrap_or(USER_DEFAULT.into()))?;
            let name = checked_name("--name", name.unwrap_or(KEY_NAME_DEFAULT.into()))?;
            Ok(Command::KeyCreate { user, name, data })
        }
        ["help"] => Ok(Command::Help),
        ["version"] => Ok(Command::Version),
        [] => Err(Error::new("no command")),
        _ => Err(Error::new(format!("unknown command `{}`", words.join(" ")))),
    }
}

fn checked_name(option: &str, name: String) -> Result<String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        let what =
            format!("{option} must be 1 to {NAME_BYTES_MAX} bytes without control characters");
        return Err(Error::new(what));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands() {
        let serve = |listen: &str, data: Option<&str>| Command::Serve {
            listen: listen.into(),
            data: data.map(PathBuf::from),
        };
        let key = |user: &str, name: &str| Command::KeyCreate {
            user: user.into(),
            name: name.into(),
            data: None,
        };
        let cases = [
            ("serve", serve(LISTEN_DEFAULT, None)),
            ("serve --listen=[::1]:0 --data d", serve("[::1]:0", Some("d"))),
            ("key create", key(USER_DEFAULT, KEY_NAME_DEFAULT)),
            ("key --user a@b create --name c", key("a@b", "c")),
            ("help", Command::Help),
            ("serve --help", Command::Help),
            ("version", Command::Version),
            ("-V", Command::Version),
        ];
        for (line, command) in cases {
            assert_eq!(parsed(line).unwrap(), command, "{line}");
        }
    }

    #[test]
    fn what_is_no_command_comes_with_a_hint() {
        let lines = [
            "",
            "run",
            "key",
            "key delete",
            "serve now",
            "serve a b c",
            "serve --user x",
            "key create --listen x",
            "key create --user=",
            "serve --listen",
            "serve --what",
        ];
        for line in lines {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.hint(), Some("see `confab-server help`"), "{line}: {error}");
        }
    }
}
