//! The embedded backend's binary: arguments, environment, clock and randomness enter here.

mod commands;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use confab::error::{Context, Error, Result};
use confab::files::{Paths, Roots};
use confab::server::command::{self, Watching, Wishes};
use confab::server::watcher::{self, Plan};
use confab::server::{self, LogFile, Server, Store, World};
use confab::sys::memory;
use confab::sys::signals::{self, Signal};
use confab::time::Clock;

/// What the watch is given of the environment: nothing that is secret, and no proxy, since its
/// backend is on this machine.
const WATCH_ENVIRONMENT: [&str; 11] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "CLAUDE_CONFIG_DIR",
    "CONFAB_CLAUDE_DIR",
    "CONFAB_LOG_DIR",
];

fn main() -> ExitCode {
    let command = match command::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => return fail(&error, ExitCode::from(2)),
    };
    match commands::run(command) {
        Ok(code) => code,
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

fn fail(error: &Error, code: ExitCode) -> ExitCode {
    eprintln!("confab-server: error: {error}");
    if let Some(hint) = error.hint() {
        eprintln!("hint: {hint}");
    }
    code
}

fn serve(wishes: &Wishes, watching: Option<Watching>, data: Option<PathBuf>) -> Result<()> {
    // Before any thread: threads inherit the mask. Other commands end as any program does.
    signals::block();
    memory::keep_nothing_large();
    let data = commands::data_folder(data)?;
    let settings = commands::effective(wishes, &data)?.settings;
    // First, because the log may be meant to lie in the folder that this makes.
    let store = Store::open(&data)?;
    let log = LogFile::open(settings.log_file.as_deref(), settings.log_bytes_max)?;
    log.start(SystemTime::now)?;
    let listener = server::bind(&settings.listen)?;
    let world = World { now: SystemTime::now, monotonic: Instant::now, random };
    let server = Server::start(listener, store, world, settings)?;
    if let Some(watching) = watching {
        server.watch(plan(watching, &data)?, world)?;
    }
    commands::say(&format!("listening on {}", server.url()))?;
    if let Some(address) = server.metrics_address() {
        commands::say(&format!("metrics on http://{address}/metrics"))?;
    }
    loop {
        match signals::wait() {
            Signal::Stop => return server.stop(),
            Signal::HangUp => again(&log, &server),
            Signal::Wake => {}
        }
    }
}

/// What is needed to run `confab watch`.
fn plan(watching: Watching, data: &Path) -> Result<Plan> {
    let absolute = |path: &Path| {
        std::path::absolute(path).context(|| format!("find the folder {}", path.display()))
    };
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = commands::home()?;
    let paths_by =
        |config_path| Paths::new(Roots { home: home.clone(), config_path, ..Roots::default() });
    let data = absolute(data)?;
    let own = paths_by(Some(watcher::config_path(&data))).of_watch();
    let folders = watching.folders.iter().map(|folder| absolute(folder));
    Ok(Plan {
        program: client()?,
        environment: std::env::vars_os()
            .filter(|(name, _)| WATCH_ENVIRONMENT.iter().any(|kept| name == kept))
            .collect(),
        data,
        state: own.watch.join("watch.json"),
        user_config: paths_by(set("CONFAB_CONFIG_PATH")).config,
        folders: folders.collect::<Result<_>>()?,
        user: watching.user,
    })
}

/// The client, beside this program or in `PATH`.
fn client() -> Result<PathBuf> {
    let own = std::env::current_exe().context(|| "find this program".into())?;
    let beside = own.with_file_name("confab");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let further = std::env::split_paths(&path).map(|folder| folder.join("confab"));
    let found = std::iter::once(beside.clone()).chain(further).find(|program| program.is_file());
    found.ok_or_else(|| {
        Error::new(format!("find confab: {} is not there, and none is in PATH", beside.display()))
            .with_hint("--watch needs the client on the same machine")
    })
}

/// Opens the log and reads certificate and prices again. What cannot be read is told, and the old
/// one stays.
fn again(log: &LogFile, server: &Server) {
    for result in [log.reopen(), server.reload(), server.reload_prices()] {
        if let Err(error) = result {
            log::error!("{error}");
        }
    }
    log::info!("log, certificate, key and prices are read again");
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    std::fs::File::open("/dev/urandom")?.read_exact(bytes)
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
