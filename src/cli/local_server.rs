//! The embedded backend on this machine, for `confab setup --local`: found, started if none
//! answers, and asked for a key.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cli::account::identity;
use crate::config::Account;
use crate::config::keys::shown_address;
use crate::error::{Context, Error, Result};
use crate::files::{self, Paths};
use crate::remote::{Client, Standing};
use crate::time::Clock;

/// Where the embedded backend listens unless told otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:8787";
/// How addresses of this machine begin.
const LOCAL_URLS: [&str; 3] = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
/// What it is called.
const PROGRAM: &str = "confab-server";
/// Time for one question.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// How long it may take to start.
const START_TIME_MAX: Duration = Duration::from_secs(15);
/// Between two questions whether it has started.
const START_INTERVAL: Duration = Duration::from_millis(50);
/// Bytes of a key.
const KEY_BYTES_MAX: usize = 1024;

/// What is needed of the world.
pub struct Machine<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// This program.
    pub executable: &'a Path,
    /// `PATH`.
    pub path: &'a OsStr,
    /// What a server is given of the environment.
    pub environment: &'a [(OsString, OsString)],
    /// Makes the connection to the backend.
    pub connect: &'a dyn Fn(&Account) -> Result<Client>,
    /// Lets time pass.
    pub wait: &'a dyn Fn(Duration),
    /// Tells the time.
    pub clock: &'a dyn Clock,
}

/// How the backend was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It ran already.
    Running,
    /// It was started.
    Started,
}

/// Where the embedded backend is or will be: what the user says, else what the configuration says
/// if that is on this machine.
///
/// # Errors
/// When the user's address is not one of this machine.
pub fn url(wanted: Option<&str>, configured: &str) -> Result<String> {
    let is_local = |url: &str| {
        let port = LOCAL_URLS.iter().find_map(|start| url.strip_prefix(start));
        port.is_some_and(|port| port.trim_end_matches('/').parse::<u16>().is_ok())
    };
    match wanted {
        Some(url) if is_local(url) => Ok(url.trim_end_matches('/').to_owned()),
        Some(url) => {
            let what = format!("--local cannot be used with {}", shown_address(url));
            Err(Error::new(what).with_hint("name an address like http://127.0.0.1:8787, or none"))
        }
        None if is_local(configured) => Ok(configured.to_owned()),
        None => Ok(URL_DEFAULT.to_owned()),
    }
}

/// Makes sure that a backend answers at an address of this machine.
///
/// # Errors
/// When there is no program, it does not start, or something else answers there.
pub fn ready(machine: &Machine<'_>, url: &str) -> Result<Found> {
    match standing(machine, url)? {
        Standing::Unreachable(..) => {}
        // Without a key, a backend refuses.
        Standing::Refused(_) => return Ok(Found::Running),
        other => {
            identity(other).context(|| format!("use the backend at {url}"))?;
            return Ok(Found::Running);
        }
    }
    let program = program(machine)?;
    let mut server = start(machine, &program, url)?;
    let deadline = machine.clock.now() + START_TIME_MAX;
    while machine.clock.now() < deadline {
        if matches!(standing(machine, url)?, Standing::Refused(_)) {
            return Ok(Found::Started);
        }
        if let Ok(Some(status)) = server.try_wait() {
            let what = format!("{} ended with {status}", program.display());
            return Err(
                Error::new(what).with_hint(format!("{} says why", log(machine.paths).display()))
            );
        }
        (machine.wait)(START_INTERVAL);
    }
    let what = format!("{} does not answer at {url}", program.display());
    Err(Error::new(what).with_hint(format!("{} may say why", log(machine.paths).display())))
}

/// A new key of the backend on this machine. An older one of the same name stops working.
///
/// # Errors
/// When the program cannot be run or makes no key.
pub fn create_key(machine: &Machine<'_>, name: &str) -> Result<String> {
    let program = program(machine)?;
    let what = || format!("make a key with {}", program.display());
    let output = Command::new(&program)
        .args(["key", "create", "--name", name])
        .env_clear()
        .envs(machine.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .context(what)?;
    let key = String::from_utf8(output.stdout).unwrap_or_default().trim().to_owned();
    let is_key =
        !key.is_empty() && key.len() <= KEY_BYTES_MAX && !key.contains(char::is_whitespace);
    if output.status.success() && is_key {
        return Ok(key);
    }
    let why = String::from_utf8_lossy(&output.stderr);
    let why = why.lines().next().unwrap_or("it says nothing").to_owned();
    Err(Error::new(what()).caused_by(Error::new(why)))
}

fn standing(machine: &Machine<'_>, url: &str) -> Result<Standing> {
    let nobody = Account { url: url.to_owned(), key: String::new(), ca_file: None };
    Ok((machine.connect)(&nobody)?.check(REQUEST_TIME_MAX).standing)
}

/// Beside this program, or in `PATH`.
fn program(machine: &Machine<'_>) -> Result<PathBuf> {
    let beside = machine.executable.with_file_name(PROGRAM);
    let in_path = std::env::split_paths(machine.path).map(|folder| folder.join(PROGRAM));
    std::iter::once(beside).chain(in_path).find(|path| path.is_file()).ok_or_else(|| {
        Error::new(format!("there is no {PROGRAM} beside this program or in PATH"))
            .with_hint("put it there, or name a backend elsewhere: confab setup --backend-url URL")
    })
}

/// Starts the backend in a process group of its own, so that Ctrl-C does not reach it.
fn start(machine: &Machine<'_>, program: &Path, url: &str) -> Result<Child> {
    let log = log(machine.paths);
    let what = || format!("start {}", program.display());
    files::private_folder(&machine.paths.root).context(what)?;
    files::private_folder(log.parent().unwrap_or(&machine.paths.root)).context(what)?;
    let errors = open_log(&log).context(|| format!("open {}", log.display()))?;
    Command::new(program)
        .args(["serve", "--listen", url.trim_start_matches("http://")])
        // It keeps this file small, which standard error cannot be.
        .arg("--log-file")
        .arg(&log)
        .env_clear()
        .envs(machine.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .context(what)
}

/// Emptied, and then only appended to: the server writes to it by its name as well.
fn open_log(path: &Path) -> std::io::Result<File> {
    files::private_file().write(true).create(true).truncate(true).open(path)?;
    files::private_file().append(true).open(path)
}

/// What the backend says while it runs.
fn log(paths: &Paths) -> PathBuf {
    paths.root.join("server/server.log")
}
