//! The commands that end by themselves: what they ask of the store, and what they say.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use confab::config::Account;
use confab::error::{Context, Error, Result};
use confab::files::read_bounded;
use confab::remote::{Client, Network};
use confab::server::command::{self, Act, Command, Other, Watching, Wishes};
use confab::server::service::{self, Service};
use confab::server::settings::{Effective, FILE_BYTES_MAX};
use confab::server::{Exported, KeyEntry, Report, Store, UserEntry, export, hash, new_key};
use confab::server::{Moved, PASSWORD_BYTES_MAX, PasswordHash, Peer, Pull, Random, Reindexed};
use confab::server::{Prices, pull, push};
use confab::sys::terminal;

use crate::SystemClock;

/// Data folder of a service of the whole machine.
const SYSTEM_DATA: &str = "/var/lib/confab-server";
const NEXT_OF_USER: &str = "\
next: systemctl --user daemon-reload
      systemctl --user enable --now confab-server
      loginctl enable-linger    # so that it goes on when you sign out
or, without systemd: {DATA}/confab-server.sh start
";
const NEXT_OF_SYSTEM: &str = "\
next: useradd --system --home-dir {DATA} --shell /usr/sbin/nologin confab
      chown -R confab: {DATA}
      systemctl daemon-reload
      systemctl enable --now confab-server
or, without systemd, as the user that the data belongs to: {DATA}/confab-server.sh start
";
/// Bytes of a key on standard input.
const KEY_BYTES_MAX: u64 = 1024;

/// Does what was asked for.
pub fn run(command: Command) -> Result<ExitCode> {
    let Command { act, data } = command;
    match act {
        Act::Help => say(command::HELP.trim_end())?,
        Act::Version => say(concat!("confab-server ", env!("CARGO_PKG_VERSION")))?,
        Act::Serve(wishes, watching) => crate::serve(&wishes, watching, data)?,
        Act::Config(wishes) => show(&effective(&wishes, &data_folder(data)?)?)?,
        Act::Prices(wishes) => show_prices(&effective(&wishes, &data_folder(data)?)?)?,
        Act::UserAdd(user) => {
            let is_new = made(data)?.add_user(&user, SystemTime::now())?;
            say(&format!("{user} {}", if is_new { "is a user now" } else { "is a user already" }))?;
        }
        Act::UserList => list_users(&open(data)?)?,
        Act::UserPassword(user) => set_password(&open(data)?, &user)?,
        Act::UserDisable(user) => match open(data)?.disable_user(&user, SystemTime::now())? {
            true => say(&format!("{user} is shut out; keys and sessions are kept"))?,
            false => return Err(no_user(&user)),
        },
        Act::UserEnable(user) => match open(data)?.enable_user(&user)? {
            true => say(&format!("{user} may come in"))?,
            false => return Err(no_user(&user)),
        },
        Act::KeyCreate { user, name } => {
            let key = new_key(crate::random).context(|| "read /dev/urandom".into())?;
            made(data)?.create_key(&user, &name, &hash(&key), SystemTime::now())?;
            say(&key)?;
        }
        Act::KeyList => list_keys(&open(data)?)?,
        Act::KeyRevoke { user, name } => revoke(&open(data)?, &user, &name)?,
        Act::Check => return tell(&open(data)?.check()?),
        Act::Backup(file) => tell_copy(&file, &open(data)?.backup(&file)?)?,
        Act::Restore(file) => {
            let folder = data_folder(data)?;
            tell_copy(&folder, &Store::restore(&file, &folder)?)?;
        }
        Act::Export { folder, session, html } => {
            let exported = export(&open(data)?, &folder, session.as_deref(), html)?;
            tell_export(&folder, exported)?;
        }
        Act::Push { other, user } => {
            let store = open(data)?;
            let mut peer = peer(&other)?;
            return moved(push(&store, user.as_deref(), &mut peer, &mut tell_line)?, "there");
        }
        Act::Pull { other, user, sessions } => {
            let store = made(data)?;
            let mut peer = peer(&other)?;
            let (now, random) = (SystemTime::now(), crate::random as Random);
            let wanted = Pull { user: &user, only: &sessions, now, random };
            return moved(pull(&store, &wanted, &mut peer, &mut tell_line)?, "here");
        }
        Act::DeleteSession(id) => delete_session(&open(data)?, &id)?,
        Act::DeleteUser(user) => delete_user(&open(data)?, &user)?,
        Act::Vacuum => {
            let store = open(data)?;
            let merged = store.merge_all(SystemTime::now());
            store.vacuum()?;
            merged?;
            say("no free space is left in the database")?;
        }
        Act::Reindex => return reindex(&open(data)?),
        Act::InstallService { listen, is_system, dest, watching } => {
            install_service(data, (listen.as_deref(), is_system), dest, watching)?;
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

fn show_prices(settings: &Effective) -> Result<()> {
    let prices = Prices::load(settings.settings.prices.as_deref())?;
    let text = serde_json::to_string_pretty(&prices);
    say(&text.context(|| "write the prices".into())?)
}

/// Makes the index anew; who watches sees how far it is.
fn reindex(store: &Store) -> Result<ExitCode> {
    let is_watched = io::stderr().is_terminal();
    let mut told = String::new();
    let Reindexed { files, lines, damaged } = store.reindex(&mut |done, total| {
        let percent = done * 100 / total.max(1);
        let text = format!("\r{percent} % of {total} lines");
        if is_watched && text != told {
            eprint!("{text}");
            told = text;
        }
    })?;
    if is_watched {
        eprintln!();
    }
    say(&format!("{files} files, {lines} lines indexed, {damaged} damaged files"))?;
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn install_service(
    data: Option<PathBuf>,
    (listen, is_system): (Option<&str>, bool),
    dest: Option<PathBuf>,
    watching: Option<Watching>,
) -> Result<()> {
    let absolute =
        |path: PathBuf| std::path::absolute(&path).context(|| format!("find {}", path.display()));
    let program = std::env::current_exe().context(|| "find this program".into())?;
    let (data, folder, next) = match is_system {
        true => (
            data.unwrap_or_else(|| PathBuf::from(SYSTEM_DATA)),
            PathBuf::from("/etc/systemd/system"),
            NEXT_OF_SYSTEM,
        ),
        false => {
            (data_folder(data)?, home()?.join(".config").join("systemd").join("user"), NEXT_OF_USER)
        }
    };
    let data = absolute(data)?;
    let watching = watching.map(settled).transpose()?;
    let watch = watching.as_ref().map(|watching| service::Watch {
        user: watching.user.as_deref(),
        folders: &watching.folders,
    });
    let service = Service { program: &program, data: &data, listen, is_system, watch };
    let unit = absolute(dest.unwrap_or(folder))?.join(service::UNIT_NAME);
    let script = data.join(service::SCRIPT_NAME);
    let texts = [(unit, service.unit()?, 0o644), (script, service.script()?, 0o755)];
    for (path, text, mode) in texts {
        let is_new = service::install(&path, &text, mode)?;
        let state = if is_new { "written" } else { "as it was" };
        say(&format!("{}: {state}", path.display()))?;
    }
    say(next.replace("{DATA}", &service::shell_word(&data.display().to_string())).trim_end())
}

/// What a service is told to watch: it has another folder and environment than who installs it.
fn settled(mut watching: Watching) -> Result<Watching> {
    crate::client()?;
    if watching.folders.is_empty() {
        let named = ["CLAUDE_CONFIG_DIR", "CONFAB_CLAUDE_DIR"].into_iter();
        let named = named.filter_map(std::env::var_os).filter(|folder| !folder.is_empty());
        watching.folders = named.map(PathBuf::from).collect();
    }
    for folder in &mut watching.folders {
        *folder = std::path::absolute(&*folder)
            .context(|| format!("find the folder {}", folder.display()))?;
    }
    Ok(watching)
}

fn list_users(store: &Store) -> Result<()> {
    for user in store.users()? {
        let UserEntry { email, created_at, keys, sessions, bytes, .. } = &user;
        let mut text = format!("{keys} keys, {sessions} sessions, {bytes} bytes");
        if user.has_password {
            text.push_str(", with a password");
        }
        if let Some(time) = &user.disabled_at {
            text.push_str(&format!(", shut out since {time}"));
        }
        say(&format!("{email}  since {created_at}, {text}"))?;
    }
    Ok(())
}

fn set_password(store: &Store, user: &str) -> Result<()> {
    // Nobody shall think of a password for a user that there is not.
    store.user_by_email(user)?.ok_or_else(|| no_user(user))?;
    let password = PasswordHash::new(&new_password(user)?, crate::random)?;
    if !store.set_password(user, &password, SystemTime::now())? {
        return Err(no_user(user));
    }
    say(&format!("{user} has a new password, and is signed out everywhere"))
}

/// Asked for twice on a terminal, where nobody sees it; else the first line of standard input.
fn new_password(user: &str) -> Result<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let mut line = Vec::new();
        stdin
            .lock()
            .take(PASSWORD_BYTES_MAX as u64 + 2)
            .read_until(b'\n', &mut line)
            .context(|| "read the password from standard input".into())?;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        return text(line.strip_suffix(b"\r").unwrap_or(line).to_vec());
    }
    let hidden = terminal::Hidden::new(&stdin).context(|| "hide the password".into())?;
    let ask = |prompt: &str| -> Result<String> {
        eprint!("{prompt}: ");
        text(hidden.line().context(|| "read the password".into())?)
    };
    let password = ask(&format!("new password of {user}"))?;
    match ask("once more")? == password {
        true => Ok(password),
        false => Err(Error::new("the two passwords differ").with_hint("try again")),
    }
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).context(|| "read the password as UTF-8".into())
}

fn list_keys(store: &Store) -> Result<()> {
    for KeyEntry { user, name, created_at } in store.keys()? {
        say(&format!("{user}  {name}  since {created_at}"))?;
    }
    Ok(())
}

fn revoke(store: &Store, user: &str, name: &str) -> Result<()> {
    if !store.revoke_key(user, name)? {
        return Err(Error::new(format!("{user} has no key {name}"))
            .with_hint("`confab-server key list` shows all"));
    }
    say(&format!("the key {name} of {user} does not work any more"))
}

fn no_user(user: &str) -> Error {
    Error::new(format!("there is no user {user}")).with_hint("`confab-server user list` shows all")
}

fn delete_session(store: &Store, id: &str) -> Result<()> {
    match store.remove_session(id)? {
        true => say(&format!("nothing of session {id} is left here")),
        false => Err(Error::new(format!("there is no session {id}"))),
    }
}

fn delete_user(store: &Store, user: &str) -> Result<()> {
    match store.remove_user(user)? {
        true => say(&format!("nothing of {user} is left here")),
        false => Err(no_user(user)),
    }
}

fn tell_export(folder: &Path, exported: Exported) -> Result<()> {
    let Exported { sessions, files, bytes } = exported;
    say(&format!("{}: {sessions} sessions, {files} files, {bytes} bytes", folder.display()))
}

/// A copy that was made and checked.
fn tell_copy(place: &Path, report: &Report) -> Result<()> {
    let Report { sessions, lines, .. } = report;
    say(&format!("{}: {sessions} sessions, {lines} lines, checked", place.display()))
}

/// The backend of `push` and `pull`.
fn peer(other: &Other) -> Result<Peer<'static>> {
    let mut key = other.key.clone();
    if key == "-" {
        key.clear();
        io::stdin()
            .lock()
            .take(KEY_BYTES_MAX)
            .read_line(&mut key)
            .context(|| "read the key from standard input".into())?;
    }
    let account = Account {
        url: other.url.trim_end_matches('/').to_owned(),
        key: key.trim().to_owned(),
        ca_file: other.ca_file.clone(),
    };
    let network = Network::of(&|name| std::env::var_os(name));
    let client = Client::new(&account, &network, Arc::new(SystemClock))?;
    Ok(Peer { client, wait: &std::thread::sleep })
}

fn tell_line(line: &str) {
    // Whoever does not listen any more does not keep sessions from being moved.
    let _ = say(line);
}

/// What was moved; failure when a session was not.
fn moved(moved: Moved, place: &str) -> Result<ExitCode> {
    let Moved { sessions, lines, failed } = moved;
    say(&format!("{sessions} sessions are {place}, {lines} lines were moved, {failed} failed"))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    match data {
        Some(folder) => Ok(folder),
        None => Ok(home()?.join(".confab").join("server")),
    }
}

/// The user's home folder.
pub fn home() -> Result<PathBuf> {
    let unknown = || Error::new("find the home folder").with_hint("set HOME or use --data DIR");
    home::home_dir().ok_or_else(unknown)
}

/// One line of data.
pub fn say(line: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context(|| "write to stdout".into())
}
