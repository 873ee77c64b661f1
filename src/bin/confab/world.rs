//! What surrounds the program: clock, environment, standard streams, network, folders.

use std::env;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::{self, Stdio};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use confab::config::{self, Account, Config, MARKER_KEY_BYTES, Overrides};
use confab::daemon::{Redactors, SystemEvents, World};
use confab::error::{Context, Error, Result};
use confab::files::{self, Paths, Roots};
use confab::fleet::Base;
use confab::logging;
use confab::remote::{Backend, Client, Network};
use confab::settings::Program;
use confab::state::Launch;
use confab::sys::machine::Machine;
use confab::sys::process::Process;
use confab::time::Clock;

/// Bytes of a value that is read from standard input.
const VALUE_BYTES_MAX: u64 = 256 << 10;

/// Asks on the terminal; without one nobody can answer.
pub fn confirmed(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Error::new("nobody can be asked: standard input is no terminal")
            .with_hint("--yes does it without asking"));
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context(|| "read the answer".into())?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Folders that were named from the current one on.
pub fn absolute(folders: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let whole = |path: PathBuf| {
        std::path::absolute(&path).context(|| format!("find the folder {}", path.display()))
    };
    folders.into_iter().map(whole).collect()
}

/// The processes of this machine; a daemon gets a part of our environment.
pub fn machine() -> Machine {
    Machine { launching: || Ok((env::current_exe()?, Launch::environment(env::vars_os()))) }
}

pub fn this_program() -> Result<PathBuf> {
    env::current_exe().context(|| "find this program".into())
}

/// Whether there is a screen for a browser.
pub fn has_screen() -> bool {
    cfg!(target_os = "macos") || text("DISPLAY").is_some() || text("WAYLAND_DISPLAY").is_some()
}

/// Starts a browser and forgets it: whoever has none reads the address on the terminal.
pub fn browse(page: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let program = env::var_os("BROWSER").filter(|name| !name.is_empty());
    let mut command = process::Command::new(program.unwrap_or_else(|| opener.into()));
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = command.spawn();
}

pub fn client(account: &Account, network: &Network) -> Result<Client> {
    Client::new(account, network, Arc::new(SystemClock))
}

/// This program as hooks are to start it.
pub fn program() -> Result<Program> {
    Program::new(&this_program()?)
}

/// A value from standard input, where other users of the machine do not see it.
pub fn read_value(name: &str) -> Result<String> {
    if io::stdin().is_terminal() {
        let _ = write!(io::stderr(), "{name}, then Enter and Ctrl-D: ");
    }
    let mut text = String::new();
    let read = io::stdin().take(VALUE_BYTES_MAX + 1).read_to_string(&mut text);
    read.context(|| format!("read {name} from standard input"))?;
    if text.len() as u64 > VALUE_BYTES_MAX {
        return Err(Error::new(format!("{name} on standard input is too long")));
    }
    Ok(text)
}

/// Standard output. A reader that goes away early has what it wanted, and the work goes on.
pub struct Output(pub io::Stdout);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}

pub fn marked_config() -> Result<Config> {
    let paths = paths()?;
    with_marker_key(&paths, config::load(&paths)?)
}

pub fn with_world<T>(
    paths: &Paths,
    writer: &str,
    body: impl FnOnce(&World<'_>) -> Result<T>,
) -> Result<T> {
    with_base(paths, writer, |base| {
        let connect = |account: &Account| (base.connect)(account);
        body(&base.world(base.seed, &connect))
    })
}

pub fn with_base<T>(
    paths: &Paths,
    writer: &str,
    body: impl FnOnce(&Base<'_>) -> Result<T>,
) -> Result<T> {
    let config = config::load(paths).unwrap_or_default();
    let level = with_marker_key(paths, config)?.level();
    if let Err(error) = logging::start(paths, level, writer, SystemTime::now) {
        // A full disk must not keep lines from being sent.
        complain(&Error::new(format!("open the log in {}", paths.logs.display())).caused_by(error));
    }
    let clock: Arc<dyn Clock + Send + Sync> = Arc::new(SystemClock);
    let redactors: Arc<Redactors> = Arc::default();
    let network = network();
    let connect = |account: &Account| -> Result<Box<dyn Backend>> {
        Ok(Box::new(Client::new(account, &network, Arc::clone(&clock))?))
    };
    let nanos = clock.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    body(&Base {
        paths,
        clock: Arc::clone(&clock),
        seed: u64::from(std::process::id()) << 32 ^ nanos as u64,
        overrides: Overrides {
            interval_ms: text("CONFAB_SYNC_INTERVAL_MS"),
            jitter_ms: text("CONFAB_SYNC_JITTER_MS"),
        },
        connect: &connect,
        redactors: Arc::clone(&redactors),
        events: &|| {
            let events = SystemEvents::start(Arc::clone(&clock), Arc::clone(&redactors))?;
            Ok(Box::new(events))
        },
        processes: &machine(),
        process: Process::current(),
        give_up: &|| process::exit(0),
    })
}

/// The configuration, with the key that stable markers are tagged with, which is made when it is
/// not there yet.
pub fn with_marker_key(paths: &Paths, config: Config) -> Result<Config> {
    let path = paths.marker_key();
    if !config.redaction.stable_markers || path.exists() {
        return Ok(config);
    }
    let what = || format!("make {}", path.display());
    let mut key = [0; MARKER_KEY_BYTES];
    let random = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key));
    random.context(|| "read /dev/urandom".into())?;
    files::private_folder(&paths.root).context(what)?;
    files::replace(&path, &key).context(what)?;
    config::load(paths)
}

pub fn home() -> Result<PathBuf> {
    home::home_dir().ok_or_else(|| Error::new("find the home directory").with_hint("set HOME"))
}

pub fn paths() -> Result<Paths> {
    let home = home()?;
    let path = |name: &str| env::var_os(name).map(PathBuf::from);
    Ok(Paths::new(Roots {
        home,
        config_path: path("CONFAB_CONFIG_PATH"),
        log_dir: path("CONFAB_LOG_DIR"),
        claude_config_dir: path("CLAUDE_CONFIG_DIR"),
        confab_claude_dir: path("CONFAB_CLAUDE_DIR"),
    }))
}

pub fn network() -> Network {
    Network::of(&|name| env::var_os(name))
}

pub fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// One line for the error, one for the hint, whatever a library has put into its message.
pub fn complain(error: &Error) {
    let mut stderr = io::stderr();
    let text = error.to_string();
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    // Names of files and answers come from elsewhere: they must not move the cursor.
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    let _ = writeln!(stderr, "confab: error: {text}");
    if let Some(hint) = error.hint() {
        let _ = writeln!(stderr, "confab: hint: {hint}");
    }
}

/// The real clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}
