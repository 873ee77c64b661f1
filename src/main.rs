//! The client: arguments and environment in, exit status out. Everything that is impure and not a
//! file enters here: clock, seed, environment, standard streams.

#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use confab::cli::finding::Finding;
use confab::cli::list::List;
use confab::cli::login::Login;
use confab::cli::save::Selection;
use confab::cli::{self, Command, Exit};
use confab::config::{self, Account, Config, MARKER_KEY_BYTES, Overrides};
use confab::daemon::{self, World};
use confab::error::{Context, Error, Result};
use confab::files::{self, Paths, Roots};
use confab::hook::{self, Event};
use confab::logging;
use confab::remote::{Backend, Client, Network};
use confab::state::Launch;
use confab::sys;
use confab::time::Clock;

/// Bytes that a filter writes at once.
const FILTER_BUFFER_BYTES: usize = 64 << 10;
/// How long a hook waits for its input. Claude Code grants all SessionEnd hooks 1.5 s together.
const END_INPUT_TIME_MAX: Duration = Duration::from_millis(700);
/// How long the other hooks wait for it: a prompt may be of megabytes.
const INPUT_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of a value that is read from standard input.
const VALUE_BYTES_MAX: u64 = 256 << 10;
/// Exit status of a usage error.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(tell_place));
    match cli::parse(env::args_os().skip(1).collect()) {
        Ok(Command::Hook(event)) => run_hook(event),
        Ok(command) => match run(command) {
            Ok(exit) => ExitCode::from(exit as u8),
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Answers first, so that nothing that goes wrong can keep Claude Code from its answer.
fn run_hook(event: Option<Event>) -> ExitCode {
    std::panic::set_hook(Box::new(|_| std::process::exit(0)));
    let Some(event) = event else { return ExitCode::SUCCESS };
    let mut stdout = io::stdout();
    let _ = stdout.write_all(event.answer().as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = try_hook(event)
        && io::stderr().is_terminal()
    {
        complain(&error);
    }
    ExitCode::SUCCESS
}

fn try_hook(event: Event) -> Result<()> {
    let time_max = if event == Event::SessionEnd { END_INPUT_TIME_MAX } else { INPUT_TIME_MAX };
    let deadline = Instant::now() + time_max;
    let read = |buffer: &mut [u8]| {
        sys::input::read(buffer, deadline.saturating_duration_since(Instant::now()))
    };
    let input = hook::read_input(read).context(|| "read hook input".into())?;
    let surroundings = hook::Surroundings {
        paths: &paths()?,
        executable: &env::current_exe().context(|| "find this program".into())?,
        environment: env::vars_os().collect(),
        claude_pid: text("CLAUDE_PID").and_then(|pid| pid.parse().ok()),
        now: SystemTime::now(),
    };
    hook::handle(event, &input, &surroundings)
}

fn run(command: Command) -> Result<Exit> {
    let mut stdout = io::stdout();
    match command {
        Command::Hook(_) => unreachable!("hooks are answered before anything else"),
        Command::Daemon(launch) => run_daemon(launch).map(done),
        Command::Print(text) => print(&text),
        Command::ConfigGet(key) => cli::config::get(&paths()?, key, &mut stdout).map(done),
        Command::ConfigSet { key, value } => {
            let value = if value == "-" { read_value(key.name)? } else { value };
            cli::config::set(&paths()?, key, &value, &mut stdout).map(done)
        }
        Command::ConfigList { json } => cli::config::list(&paths()?, json, &mut stdout).map(done),
        Command::Login(login) => run_login(login, &mut stdout).map(done),
        Command::Logout => cli::login::logout(&paths()?, &mut stdout).map(done),
        Command::Status { json } => {
            // What is missing only because nothing has run yet is no finding.
            let _ = marked_config();
            let network = network();
            let connect = |account: &Account| client(account, &network);
            cli::status::run(&paths()?, hook_findings(), &connect, json, &mut stdout).map(judged)
        }
        Command::Doctor { json } => {
            let _ = marked_config();
            let (paths, network) = (paths()?, network());
            let patient = cli::doctor::Patient {
                paths: &paths,
                now: SystemTime::now(),
                connect: &|account| client(account, &network),
                hooks: hook_findings(),
            };
            cli::doctor::run(patient, json, &mut stdout).map(judged)
        }
        Command::List(list) => run_list(list),
        Command::Save(selection) => run_save(&selection),
        Command::Redact { explain } => run_redact(explain),
        Command::RedactionTest { file, json } => run_redaction_test(&file, json),
        Command::SyncStatus { json } => {
            cli::sync_status::run(&paths()?, json, &mut stdout).map(done)
        }
        Command::SyncFlush => {
            let paths = paths()?;
            with_world(&paths, "flush", |world| {
                let mut stderr = io::stderr();
                let on_terminal = stderr.is_terminal();
                let progress = on_terminal.then_some(&mut stderr as &mut dyn Write);
                let all = cli::sync_flush::run(world, &mut stdout, progress)?;
                Ok(judged(all))
            })
        }
    }
}

fn run_login(mut login: Login, out: &mut dyn Write) -> Result<()> {
    if login.api_key.as_deref() == Some("-") {
        login.api_key = Some(read_value("api_key")?);
    }
    let user = sys::process::username().unwrap_or_else(|| "user".into());
    let host = sys::process::hostname().unwrap_or_else(|| "host".into());
    login.name.get_or_insert(format!("{user}@{host} (confab)"));
    let (network, mut talk) = (network(), io::stderr());
    let has_screen =
        cfg!(target_os = "macos") || text("DISPLAY").is_some() || text("WAYLAND_DISPLAY").is_some();
    let browse = (talk.is_terminal() && has_screen).then_some(&browse as &dyn Fn(&str));
    let mut console = cli::login::Console {
        out,
        talk: &mut talk,
        browse,
        wait: &std::thread::sleep,
        clock: &SystemClock,
    };
    let connect = |account: &Account| client(account, &network);
    cli::login::login(&paths()?, login, &connect, &mut console)
}

/// Starts a browser and forgets it: whoever has none reads the address on the terminal.
fn browse(page: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let program = env::var_os("BROWSER").filter(|name| !name.is_empty());
    let mut command = process::Command::new(program.unwrap_or_else(|| opener.into()));
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = command.spawn();
}

fn client(account: &Account, network: &Network) -> Result<Client> {
    Client::new(account, network, Arc::new(SystemClock))
}

/// What is the matter with the hooks in Claude Code's settings: nothing is known of them yet.
fn hook_findings() -> Vec<Finding> {
    Vec::new()
}

fn judged(is_well: bool) -> Exit {
    if is_well { Exit::Done } else { Exit::Failed }
}

fn done((): ()) -> Exit {
    Exit::Done
}

/// A value from standard input, where other users of the machine do not see it.
fn read_value(name: &str) -> Result<String> {
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

/// A reader that goes away early has what it wanted.
fn print(text: &str) -> Result<Exit> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new("write to standard output").caused_by(error))
        }
        _ => Ok(Exit::Done),
    }
}

fn run_list(list: List) -> Result<Exit> {
    let (paths, network) = (paths()?, network());
    let surroundings = cli::list::Surroundings {
        paths: &paths,
        now: SystemTime::now(),
        connect: &|account| client(account, &network),
        columns: sys::terminal::columns(io::stdout()),
    };
    cli::list::run(list, &surroundings, &mut io::stdout(), &mut io::stderr())
}

fn run_save(selection: &Selection) -> Result<Exit> {
    let paths = paths()?;
    marked_config()?;
    let stderr = io::stderr();
    let is_dumb = text("TERM").is_none_or(|name| name == "dumb");
    let columns = sys::terminal::columns(&stderr).filter(|_| !is_dumb);
    with_world(&paths, "save", |world| {
        let mut desk = cli::save::Desk {
            world,
            wait: &std::thread::sleep,
            out: &mut io::stdout(),
            talk: &mut io::stderr(),
            columns,
        };
        cli::save::run(selection, &mut desk)
    })
}

fn run_redact(explain: bool) -> Result<Exit> {
    let config = marked_config()?;
    let (mut input, out) = (io::stdin().lock(), io::stdout().lock());
    let mut out = io::BufWriter::with_capacity(FILTER_BUFFER_BYTES, out);
    cli::redact::run(&config, explain, &mut input, &mut out, &mut io::stderr().lock())
}

fn run_redaction_test(file: &Path, json: bool) -> Result<Exit> {
    let config = marked_config()?;
    cli::redaction_test::run(&config, file, json, &mut io::stdout(), &mut io::stderr())
}

fn marked_config() -> Result<Config> {
    let paths = paths()?;
    with_marker_key(&paths, config::load(&paths)?)
}

/// Detaches at once: until then the daemon belongs to the session and terminal of Claude Code.
fn run_daemon(launch: Launch) -> Result<()> {
    sys::signals::block();
    sys::memory::keep_small();
    let lock = sys::daemon::detach().context(|| "detach the daemon".into())?;
    let writer: String = launch.id.as_str().chars().take(8).collect();
    let paths = paths()?;
    with_world(&paths, &writer, |world| {
        daemon::run(launch, Some(lock), world).inspect_err(|error| log::error!("{error}"))
    })
}

fn with_world<T>(
    paths: &Paths,
    writer: &str,
    body: impl FnOnce(&World<'_>) -> Result<T>,
) -> Result<T> {
    let config = config::load(paths).unwrap_or_default();
    let level = with_marker_key(paths, config)?.level();
    if let Err(error) = logging::start(paths, level, writer, SystemTime::now) {
        // A full disk must not keep lines from being sent.
        complain(&Error::new(format!("open the log in {}", paths.logs.display())).caused_by(error));
    }
    let clock: Arc<dyn Clock + Send + Sync> = Arc::new(SystemClock);
    let network = network();
    let connect = |account: &Account| -> Result<Box<dyn Backend>> {
        Ok(Box::new(Client::new(account, &network, Arc::clone(&clock))?))
    };
    let nanos = clock.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    body(&World {
        paths,
        clock: Arc::clone(&clock),
        seed: u64::from(std::process::id()) << 32 ^ nanos as u64,
        overrides: Overrides {
            interval_ms: text("CONFAB_SYNC_INTERVAL_MS"),
            jitter_ms: text("CONFAB_SYNC_JITTER_MS"),
        },
        connect: &connect,
        executable: env::current_exe().context(|| "find this program".into())?,
        environment: Launch::environment(env::vars_os()),
    })
}

/// The configuration, with the key that stable markers are tagged with, which is made when it is
/// not there yet.
fn with_marker_key(paths: &Paths, config: Config) -> Result<Config> {
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

fn paths() -> Result<Paths> {
    let home = home::home_dir()
        .ok_or_else(|| Error::new("find the home directory").with_hint("set HOME"))?;
    let path = |name: &str| env::var_os(name).map(PathBuf::from);
    Ok(Paths::new(Roots {
        home,
        config_path: path("CONFAB_CONFIG_PATH"),
        log_dir: path("CONFAB_LOG_DIR"),
        claude_config_dir: path("CLAUDE_CONFIG_DIR"),
        confab_claude_dir: path("CONFAB_CLAUDE_DIR"),
    }))
}

fn network() -> Network {
    let either = |lower: &str, upper: &str| text(lower).or_else(|| text(upper));
    let path = |name: &str| {
        env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from)
    };
    Network {
        https_proxy: either("https_proxy", "HTTPS_PROXY"),
        http_proxy: either("http_proxy", "HTTP_PROXY"),
        all_proxy: either("all_proxy", "ALL_PROXY"),
        no_proxy: either("no_proxy", "NO_PROXY"),
        certificate_file: path("SSL_CERT_FILE"),
        certificate_folder: path("SSL_CERT_DIR"),
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// One line for the error, one for the hint, whatever a library has put into its message.
fn complain(error: &Error) {
    let mut stderr = io::stderr();
    let text = error.to_string();
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let _ = writeln!(stderr, "confab: error: {text}");
    if let Some(hint) = error.hint() {
        let _ = writeln!(stderr, "confab: hint: {hint}");
    }
}

/// The message of a panic may quote what was being worked on: only its place is told.
fn tell_place(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    let what = format!("internal failure{}", place.unwrap_or_default());
    log::error!("{what}");
    complain(&Error::new(what).with_hint("please report this: it is a defect of confab"));
}

/// The real clock.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}
