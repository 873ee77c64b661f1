//! The commands that end by themselves: what they ask of the store, and what they say.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use confab::error::{Context, Error, Result};
use confab::files::read_bounded;
use confab::server::command::{self, Act, Command, Wishes};
use confab::server::settings::{Effective, FILE_BYTES_MAX};
use confab::server::{Exported, KeyEntry, Report, Store, UserEntry, export, hash, new_key};

/// Does what was asked for.
pub fn run(command: Command) -> Result<ExitCode> {
    let Command { act, data } = command;
    match act {
        Act::Help => say(command::HELP.trim_end())?,
        Act::Version => say(concat!("confab-server ", env!("CARGO_PKG_VERSION")))?,
        Act::Serve(wishes) => crate::serve(&wishes, data)?,
        Act::Config(wishes) => show(&effective(&wishes, &data_folder(data)?)?)?,
        Act::UserAdd(user) => {
            let is_new = made(data)?.add_user(&user, SystemTime::now())?;
            say(&format!("{user} {}", if is_new { "is a user now" } else { "is a user already" }))?;
        }
        Act::UserList => {
            for UserEntry { email, created_at, keys, sessions, bytes } in open(data)?.users()? {
                let stored = format!("{keys} keys, {sessions} sessions, {bytes} bytes");
                say(&format!("{email}  since {created_at}, {stored}"))?;
            }
        }
        Act::KeyCreate { user, name } => {
            let key = new_key(crate::random).context(|| "read /dev/urandom".into())?;
            made(data)?.create_key(&user, &name, &hash(&key), SystemTime::now())?;
            say(&key)?;
        }
        Act::KeyList => {
            for KeyEntry { user, name, created_at } in open(data)?.keys()? {
                say(&format!("{user}  {name}  since {created_at}"))?;
            }
        }
        Act::KeyRevoke { user, name } => match open(data)?.revoke_key(&user, &name)? {
            true => say(&format!("the key {name} of {user} does not work any more"))?,
            false => {
                return Err(Error::new(format!("{user} has no key {name}"))
                    .with_hint("`confab-server key list` shows all"));
            }
        },
        Act::Check => return tell(&open(data)?.check()?),
        Act::Backup(file) => {
            let Report { sessions, lines, .. } = open(data)?.backup(&file)?;
            say(&format!("{}: {sessions} sessions, {lines} lines, checked", file.display()))?;
        }
        Act::Restore(file) => {
            let folder = data_folder(data)?;
            let Report { sessions, lines, .. } = Store::restore(&file, &folder)?;
            let place = folder.display();
            say(&format!("{place}: {sessions} sessions, {lines} lines, checked"))?;
        }
        Act::Export { folder, session, html } => {
            let Exported { sessions, files, bytes } =
                export(&open(data)?, &folder, session.as_deref(), html)?;
            let place = folder.display();
            say(&format!("{place}: {sessions} sessions, {files} files, {bytes} bytes"))?;
        }
        Act::DeleteSession(id) => match open(data)?.remove_session(&id)? {
            true => say(&format!("nothing of session {id} is left here"))?,
            false => return Err(Error::new(format!("there is no session {id}"))),
        },
        Act::DeleteUser(user) => match open(data)?.remove_user(&user)? {
            true => say(&format!("nothing of {user} is left here"))?,
            false => {
                return Err(Error::new(format!("there is no user {user}"))
                    .with_hint("`confab-server user list` shows all"));
            }
        },
        Act::Vacuum => {
            open(data)?.vacuum()?;
            say("no free space is left in the database")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings: the defaults, the file, the command line.
pub fn effective(wishes: &Wishes, data: &Path) -> Result<Effective> {
    let path = wishes.config.clone().unwrap_or_else(|| data.join("server.json"));
    let bytes = match read_bounded(&path, FILE_BYTES_MAX) {
        Ok(bytes) => Some(bytes),
        // Only a file that was asked for must be there.
        Err(error) if error.kind() == ErrorKind::NotFound && wishes.config.is_none() => None,
        Err(error) => {
            return Err(Error::new(format!("read {}", path.display()))
                .caused_by(error)
                .with_hint("it is a JSON object; `confab-server config` shows its keys"));
        }
    };
    Effective::read(bytes.as_deref().map(|bytes| (path.as_path(), bytes)), &wishes.options)
}

fn show(settings: &Effective) -> Result<()> {
    let text = serde_json::to_string_pretty(settings);
    say(&text.context(|| "write the settings".into())?)
}

/// What a check has found.
fn tell(report: &Report) -> Result<ExitCode> {
    let Report { sessions, files, lines, problems } = report;
    for problem in problems {
        say(problem)?;
    }
    say(&format!(
        "{sessions} sessions, {files} files, {lines} lines, {} problems",
        problems.len()
    ))?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a first command may make.
fn made(data: Option<PathBuf>) -> Result<Store> {
    Store::open(&data_folder(data)?)
}

fn open(data: Option<PathBuf>) -> Result<Store> {
    Store::open_existing(&data_folder(data)?)
}

/// The folder with everything.
pub fn data_folder(data: Option<PathBuf>) -> Result<PathBuf> {
    match (data, home::home_dir()) {
        (Some(folder), _) => Ok(folder),
        (None, Some(home)) => Ok(home.join(".confab").join("server")),
        (None, None) => {
            Err(Error::new("find the home folder").with_hint("set HOME or use --data DIR"))
        }
    }
}

/// One line of data.
pub fn say(line: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context(|| "write to stdout".into())
}
