//! The command line of `confab-server`, pure: arguments in, a command out.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::{Long, Short, Value};

use super::settings;
use crate::error::{Context, Error, Result};

/// The user of a key unless told otherwise.
const USER_DEFAULT: &str = "admin@local.dev";
/// The name of a key unless told otherwise.
const KEY_NAME_DEFAULT: &str = "default";
/// Bytes of a user's and of a key's name.
const NAME_BYTES_MAX: usize = 255;
/// Words of a command.
const WORDS_MAX: usize = 3;
/// Options that take a value.
const OPTIONS: [&str; 12] = [
    "data",
    "config",
    "user",
    "name",
    "session",
    "to",
    "from",
    "key",
    "ca-file",
    "dest",
    "watch-user",
    "claude-dir",
];
/// Options that take none.
const FLAGS: [&str; 3] = ["html", "system", "watch"];

/// How to use it.
pub const HELP: &str = "\
confab-server keeps Claude Code sessions that confab uploads

Usage:
  confab-server serve [--listen ADDRESS:PORT] [--SETTING VALUE]... [--config FILE] [--data DIR]
                      [--watch [--watch-user NAME] [--claude-dir DIR]...]
  confab-server config [--SETTING VALUE]... [--config FILE] [--data DIR]
  confab-server prices [--prices FILE] [--config FILE] [--data DIR]
  confab-server user add|list|password|disable|enable [--user NAME] [--data DIR]
  confab-server key create|list|revoke [--user NAME] [--name KEY] [--data DIR]
  confab-server check [--data DIR]
  confab-server backup FILE [--data DIR]
  confab-server restore FILE [--data DIR]
  confab-server export FOLDER [--session ID] [--html] [--data DIR]
  confab-server push --to URL --key KEY [--user NAME] [--ca-file FILE] [--data DIR]
  confab-server pull --from URL --key KEY [--user NAME] [--session ID]… [--ca-file FILE]
                     [--data DIR]
  confab-server delete session ID | user NAME [--data DIR]
  confab-server vacuum [--data DIR]
  confab-server reindex [--data DIR]
  confab-server install-service [--system] [--listen ADDRESS:PORT] [--dest DIR] [--data DIR]
                     [--watch [--watch-user NAME] [--claude-dir DIR]...]
  confab-server help | version

  serve        answers until SIGTERM; says `listening on http://ADDRESS:PORT` when it is ready
               SIGHUP opens the log and reads certificate, key and prices again
  config       prints all settings as JSON: value, where it comes from, what it is for
  prices       prints what tokens cost, in US dollars for a million, as JSON: to be checked, changed,
               and named by the setting prices
  user add     makes a user; key create does it as well
  user list    prints users, their keys, sessions and bytes
  user password
               sets the password for the web pages, asked for on the terminal or read as a line
               from standard input; the user is signed out everywhere
  user disable shuts a user out, with keys and browsers, and keeps everything; enable undoes it
  key create   prints a new API key, once; a key of the same user and name stops working
  key list     prints whose keys there are, without the keys
  key revoke   makes a key stop working at once
  check        reads everything that is stored; the exit status is 1 when something is damaged
  backup       writes a copy of everything into a new file, also while the server runs, and
               checks the copy
  restore      makes a data folder from such a copy; there must be none yet
  export       writes every file of every session, or of one, as it was uploaded, with what is
               known of it in session.json, and with --html a page that needs nothing else
  push         sends all sessions of a user to another backend; what it has already is not sent
               again, so that it can be stopped and begun again
  pull         fetches all sessions of a key from another backend, or those that are named, which
               the existing backend needs, as it lists none; as push in everything else
  delete       removes a session, or a user with keys and sessions, so that nothing of it is left
               in the data folder; backups keep what they have
  vacuum       compresses all lines as densely as old ones and gives back the space of what was
               removed, also while the server runs
  reindex      makes the index anew from the lines, also while the server runs; when it is
               stopped, the next one goes on from there
  install-service
               writes a systemd unit for this user, or with --system for the machine, and a start
               script for machines without systemd into the data folder; starts nothing; --watch
               is for a user's, as sessions lie in somebody's home

  --listen  where to listen (127.0.0.1:8787; port 0 takes a free one); elsewhere than on this
            machine only when somebody has a key or a password
  --watch   runs `confab watch` beside it: all sessions of this machine come in, without hooks,
            as those of --watch-user (the first user), from --claude-dir (~/.claude)
  --config  a JSON file of settings (server.json in the data folder, if there is one)
  --data    where everything is kept (~/.confab/server)
  --user    whose key it is: a mail address or a name (admin@local.dev)
  --name    what the key is for (default)
  --session the id of a session on the server; pull takes several
  --key     an API key of the other backend; - reads it from standard input
  --dest    the folder for the unit (~/.config/systemd/user, or /etc/systemd/system)
  --ca-file further certificate authorities for the other backend

Settings, as options that are stronger than the file (all of them: confab-server config):
  --tls-cert FILE --tls-key FILE  speak TLS, with certificate and key in PEM
  --base-path /PATH               where everything lies on the host
  --public-url URL                what users reach it at
  --host NAME                     a name of this server, repeated for more
  --trusted-proxy ADDRESS         whose X-Forwarded headers are believed, repeated for more
  --metrics ADDRESS:PORT          numbers for Prometheus, at /metrics
  --log-file FILE                 where the log goes instead of standard error
  --connections-max N, ...        any limit, named as in config with - for _
";

/// What to do, and with which data folder; `None` for the default one.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub act: Act,
    /// Data folder.
    pub data: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// Run the server, perhaps with a watch beside it.
    Serve(Wishes, Option<Watching>),
    /// Print the settings that it would run with.
    Config(Wishes),
    /// Print the table of prices that it would go by.
    Prices(Wishes),
    /// Make a user: mail address or account name.
    UserAdd(String),
    /// Print all users.
    UserList,
    /// Set a user's password.
    UserPassword(String),
    /// Shut a user out.
    UserDisable(String),
    /// Let a user in again.
    UserEnable(String),
    /// Print a new key.
    KeyCreate {
        /// Mail address or account name.
        user: String,
        /// Name of the key.
        name: String,
    },
    /// Print whose keys there are.
    KeyList,
    /// Make a key stop working.
    KeyRevoke {
        /// Mail address or account name.
        user: String,
        /// Name of the key.
        name: String,
    },
    /// Read everything.
    Check,
    /// Copy everything into this file.
    Backup(PathBuf),
    /// Make a data folder from this file.
    Restore(PathBuf),
    /// Write sessions as files.
    Export {
        /// Where to.
        folder: PathBuf,
        /// The only one that is wanted.
        session: Option<String>,
        /// With a page to read.
        html: bool,
    },
    /// Send everything to another backend.
    Push {
        /// Where to.
        other: Other,
        /// Whose sessions.
        user: Option<String>,
    },
    /// Fetch everything from another backend.
    Pull {
        /// Where from.
        other: Other,
        /// Whose the sessions are to be.
        user: String,
        /// The only ones that are wanted; all when empty.
        sessions: Vec<String>,
    },
    /// Remove a session by its id.
    DeleteSession(String),
    /// Remove a user by their mail address or account name.
    DeleteUser(String),
    /// Compress everything and give back free space.
    Vacuum,
    /// Make the index anew.
    Reindex,
    /// Write what runs the server as a service.
    InstallService {
        /// Where to listen.
        listen: Option<String>,
        /// For the whole machine.
        is_system: bool,
        /// Folder of the unit; `None` for the usual one.
        dest: Option<PathBuf>,
        /// Run a watch beside it.
        watching: Option<Watching>,
    },
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// What the command line says of the settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The file, when it is not the one in the data folder.
    pub config: Option<PathBuf>,
    /// Options of settings with their values, in their order.
    pub options: Vec<(&'static str, String)>,
}

/// The sessions of this machine are to come in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Watching {
    /// Whose they are.
    pub user: Option<String>,
    /// Claude's folders, when not the usual ones.
    pub folders: Vec<PathBuf>,
}

/// Another backend. The key is not part of any debug output.
#[derive(PartialEq, Eq)]
pub struct Other {
    /// Its address.
    pub url: String,
    /// A key there; `-` for one on standard input.
    pub key: String,
    /// Further certificate authorities.
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Other").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// When they do not make a command, with a hint.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let line = Line::read(lexopt::Parser::from_args(arguments));
    line.and_then(Line::command).map_err(|error| error.with_hint("see `confab-server help`"))
}

/// A command line, taken apart.
#[derive(Default)]
struct Line {
    words: Vec<OsString>,
    /// Options with their values.
    options: Vec<(&'static str, OsString)>,
    /// Options without one.
    flags: Vec<&'static str>,
    /// Asked for instead of anything else.
    instead: Option<Act>,
}

impl Line {
    fn read(mut parser: lexopt::Parser) -> Result<Line> {
        let mut line = Line::default();
        while let Some(argument) = parser.next().context(|| "read the command line".into())? {
            match argument {
                Long("help") | Short('h') => line.instead = Some(Act::Help),
                Long("version") | Short('V') => line.instead = Some(Act::Version),
                Value(word) if line.words.len() < WORDS_MAX => line.words.push(word),
                Long(name) if known(name).is_some() => {
                    let known = known(name).expect("it was just found");
                    let value = parser.value().context(|| format!("read --{known}"))?;
                    line.options.push((known, value));
                }
                Long(name) if FLAGS.contains(&name) => {
                    let known = FLAGS.into_iter().find(|flag| *flag == name);
                    line.flags.push(known.expect("it was just found"));
                }
                other => return Err(other.unexpected()).context(|| "read the command line".into()),
            }
        }
        Ok(line)
    }

    fn command(self) -> Result<Command> {
        let data = self.option("data").map(PathBuf::from);
        let words: Vec<&str> = self.words.iter().map(|word| word.to_str().unwrap_or("")).collect();
        let (act, options): (Act, &[&str]) = match (&self.instead, &words[..]) {
            (Some(Act::Help), _) | (None, ["help"]) => return Ok(Command { act: Act::Help, data }),
            (Some(_), _) | (None, ["version"]) => {
                return Ok(Command { act: Act::Version, data });
            }
            (_, ["serve"]) => {
                let options: &[&str] = match self.flags.contains(&"watch") {
                    true => &["config", "watch", "watch-user", "claude-dir"],
                    false => &["config"],
                };
                (Act::Serve(self.wishes()?, self.watching()?), options)
            }
            (_, ["config"]) => (Act::Config(self.wishes()?), &["config"]),
            (_, ["prices"]) => (Act::Prices(self.wishes()?), &["config"]),
            (_, ["user", "add"]) => (Act::UserAdd(self.user()?), &["user"]),
            (_, ["user", "list"]) => (Act::UserList, &[]),
            (_, ["user", "password"]) => (Act::UserPassword(self.user()?), &["user"]),
            (_, ["user", "disable"]) => (Act::UserDisable(self.user()?), &["user"]),
            (_, ["user", "enable"]) => (Act::UserEnable(self.user()?), &["user"]),
            (_, ["key", "create"]) => {
                (Act::KeyCreate { user: self.user()?, name: self.name()? }, &["user", "name"])
            }
            (_, ["key", "list"]) => (Act::KeyList, &[]),
            (_, ["key", "revoke"]) => {
                (Act::KeyRevoke { user: self.user()?, name: self.name()? }, &["user", "name"])
            }
            (_, ["check"]) => (Act::Check, &[]),
            (_, ["push"]) => {
                let act = Act::Push { other: self.other("to")?, user: self.optional("user")? };
                (act, &["to", "key", "ca-file", "user"])
            }
            (_, ["pull"]) => {
                let (other, user) = (self.other("from")?, self.user()?);
                let act = Act::Pull { other, user, sessions: self.all("session")? };
                (act, &["from", "key", "ca-file", "user", "session"])
            }
            (_, ["delete", "session", id]) => (Act::DeleteSession((*id).to_owned()), &[]),
            (_, ["delete", "user", name]) => (Act::DeleteUser((*name).to_owned()), &[]),
            (_, ["vacuum"]) => (Act::Vacuum, &[]),
            (_, ["reindex"]) => (Act::Reindex, &[]),
            (_, ["install-service"]) => self.install_service()?,
            (_, ["export", _]) => {
                let folder = PathBuf::from(&self.words[1]);
                let session = self.optional("session")?;
                let html = self.flags.contains(&"html");
                (Act::Export { folder, session, html }, &["session", "html"])
            }
            (_, ["backup", _]) => (Act::Backup(PathBuf::from(&self.words[1])), &[]),
            (_, ["restore", _]) => (Act::Restore(PathBuf::from(&self.words[1])), &[]),
            (_, []) => return Err(Error::new("no command")),
            _ => return Err(Error::new(format!("unknown command `{}`", words.join(" ")))),
        };
        let mut given = self.options.iter().map(|(name, _)| name).chain(&self.flags);
        let of_settings = matches!(act, Act::Serve(..) | Act::Config(_) | Act::Prices(_));
        let belongs = |name: &str| {
            let is_setting = of_settings && settings::option(name).is_some();
            name == "data" || is_setting || options.contains(&name)
        };
        match given.find(|name| !belongs(name)) {
            None => Ok(Command { act, data }),
            Some(name) => Err(Error::new(format!("--{name} does not belong to this command"))),
        }
    }

    /// The last value of an option.
    fn option(&self, name: &str) -> Option<&OsString> {
        self.options.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str, default: &str) -> Result<String> {
        Ok(self.optional(name)?.unwrap_or_else(|| default.to_owned()))
    }

    fn optional(&self, name: &str) -> Result<Option<String>> {
        match self.option(name).map(|value| value.to_str()) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text.to_owned())),
            Some(None) => Err(not_utf8(name)),
        }
    }

    fn wishes(&self) -> Result<Wishes> {
        let given = self.options.iter().filter(|(name, _)| settings::option(name).is_some());
        let options = given.map(|(name, value)| match value.to_str() {
            Some(text) => Ok((*name, text.to_owned())),
            None => Err(Error::new(format!("--{name} is not UTF-8"))),
        });
        let config = self.option("config").map(PathBuf::from);
        Ok(Wishes { config, options: options.collect::<Result<_>>()? })
    }

    /// A service, and the options that it may have.
    fn install_service(&self) -> Result<(Act, &'static [&'static str])> {
        let is_system = self.flags.contains(&"system");
        let dest = self.option("dest").map(PathBuf::from);
        let listen = self.optional("listen")?;
        let watching = self.watching()?;
        // Sessions lie in somebody's home.
        let options: &[&str] = match (is_system, &watching) {
            (false, Some(_)) => &["listen", "dest", "watch", "watch-user", "claude-dir"],
            _ => &["listen", "system", "dest"],
        };
        Ok((Act::InstallService { listen, is_system, dest, watching }, options))
    }

    fn watching(&self) -> Result<Option<Watching>> {
        if !self.flags.contains(&"watch") {
            return Ok(None);
        }
        let folders = self.options.iter().filter(|(name, _)| *name == "claude-dir");
        let folders = folders.map(|(_, folder)| PathBuf::from(folder)).collect();
        let user = self.optional("watch-user")?;
        let user = user.map(|user| checked_name("--watch-user", user)).transpose()?;
        Ok(Some(Watching { user, folders }))
    }

    fn all(&self, name: &str) -> Result<Vec<String>> {
        let values = self.options.iter().filter(|(known, _)| *known == name);
        let text = |(_, value): &(&str, OsString)| {
            value.to_str().map(str::to_owned).ok_or_else(|| not_utf8(name))
        };
        values.map(text).collect()
    }

    fn required(&self, name: &str) -> Result<String> {
        self.optional(name)?.ok_or_else(|| Error::new(format!("--{name} is missing")))
    }

    fn other(&self, address: &str) -> Result<Other> {
        Ok(Other {
            url: self.required(address)?,
            key: self.required("key")?,
            ca_file: self.option("ca-file").map(PathBuf::from),
        })
    }

    fn user(&self) -> Result<String> {
        checked_name("--user", self.text("user", USER_DEFAULT)?)
    }

    fn name(&self) -> Result<String> {
        checked_name("--name", self.text("name", KEY_NAME_DEFAULT)?)
    }
}

/// The option of this name that takes a value.
fn known(name: &str) -> Option<&'static str> {
    OPTIONS.into_iter().find(|option| *option == name).or_else(|| settings::option(name))
}

fn not_utf8(name: &str) -> Error {
    Error::new(format!("--{name} is not UTF-8"))
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
        let user = || USER_DEFAULT.to_owned();
        let name = || KEY_NAME_DEFAULT.to_owned();
        let other = |url: &str, ca_file: Option<&str>| Other {
            url: url.into(),
            key: "k".into(),
            ca_file: ca_file.map(PathBuf::from),
        };
        let cases = [
            ("serve", Act::Serve(Wishes::default(), None), None),
            (
                "serve --watch --claude-dir /a --claude-dir b --watch-user c",
                Act::Serve(
                    Wishes::default(),
                    Some(Watching {
                        user: Some("c".into()),
                        folders: vec!["/a".into(), "b".into()],
                    }),
                ),
                None,
            ),
            (
                "serve --listen=[::1]:0 --data d --host a --host b --config c",
                Act::Serve(
                    Wishes {
                        config: Some("c".into()),
                        options: [("listen", "[::1]:0"), ("host", "a"), ("host", "b")]
                            .map(|(name, text)| (name, text.to_owned()))
                            .to_vec(),
                    },
                    None,
                ),
                Some("d"),
            ),
            ("config", Act::Config(Wishes::default()), None),
            ("key create", Act::KeyCreate { user: user(), name: name() }, None),
            (
                "key --user a@b create --name c",
                Act::KeyCreate { user: "a@b".into(), name: "c".into() },
                None,
            ),
            ("key revoke --name c", Act::KeyRevoke { user: user(), name: "c".into() }, None),
            ("key list", Act::KeyList, None),
            ("user add --user x", Act::UserAdd("x".into()), None),
            ("user list --data=d", Act::UserList, Some("d")),
            ("user password --user x", Act::UserPassword("x".into()), None),
            ("user disable", Act::UserDisable(user()), None),
            ("user enable --user x", Act::UserEnable("x".into()), None),
            (
                "prices --prices p",
                Act::Prices(Wishes { config: None, options: vec![("prices", "p".to_owned())] }),
                None,
            ),
            ("check", Act::Check, None),
            ("backup /b/c.db", Act::Backup("/b/c.db".into()), None),
            ("export f", Act::Export { folder: "f".into(), session: None, html: false }, None),
            (
                "export --html f --session s",
                Act::Export { folder: "f".into(), session: Some("s".into()), html: true },
                None,
            ),
            ("restore b", Act::Restore("b".into()), None),
            (
                "push --to http://b --key k",
                Act::Push { other: other("http://b", None), user: None },
                None,
            ),
            (
                "pull --from http://b --key k --ca-file c --session 1 --session 2 --user u",
                Act::Pull {
                    other: other("http://b", Some("c")),
                    user: "u".into(),
                    sessions: vec!["1".into(), "2".into()],
                },
                None,
            ),
            ("delete session x", Act::DeleteSession("x".into()), None),
            ("delete user a@b --data d", Act::DeleteUser("a@b".into()), Some("d")),
            ("vacuum", Act::Vacuum, None),
            ("reindex --data d", Act::Reindex, Some("d")),
            (
                "install-service --system --dest d --listen [::1]:2",
                Act::InstallService {
                    listen: Some("[::1]:2".into()),
                    is_system: true,
                    dest: Some("d".into()),
                    watching: None,
                },
                None,
            ),
            (
                "install-service --watch --watch-user c --claude-dir /a",
                Act::InstallService {
                    listen: None,
                    is_system: false,
                    dest: None,
                    watching: Some(Watching { user: Some("c".into()), folders: vec!["/a".into()] }),
                },
                None,
            ),
            ("help", Act::Help, None),
            ("serve --help", Act::Help, None),
            ("version", Act::Version, None),
            ("-V", Act::Version, None),
        ];
        for (line, act, data) in cases {
            let command = Command { act, data: data.map(PathBuf::from) };
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
            "config x",
            "check --config x",
            "check --connections-max 1",
            "check --user x",
            "user",
            "user list --user x",
            "user password x",
            "user password --name x",
            "user disable x",
            "backup",
            "backup a b",
            "delete session",
            "delete x y",
            "export",
            "restore",
            "push --to http://b",
            "push --key k",
            "pull --to http://b --key k",
            "push --to http://b --key k --session x",
            "check --html",
            "export f --html=yes",
            "key list --name x",
            "install-service --watch-user x",
            "install-service --system --watch",
        ];
        for line in lines {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.hint(), Some("see `confab-server help`"), "{line}: {error}");
        }
    }
}
