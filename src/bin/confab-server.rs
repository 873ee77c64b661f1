//! The embedded backend's binary: arguments, environment, clock and randomness enter here.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use confab::error::{Context, Error, Result};
use confab::server::command::{self, Act, Command};
use confab::server::{KeyEntry, Report, Server, Store, UserEntry, World, hash, new_key};
use confab::sys::signals::{self, Signal};

/// For requests in flight when the server is told to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    // Before any thread: threads inherit the mask.
    signals::block();
    let command = match command::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => return fail(&error, ExitCode::from(2)),
    };
    match run(command) {
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

fn run(command: Command) -> Result<ExitCode> {
    let Command { act, data } = command;
    match act {
        Act::Help => say(command::HELP.trim_end())?,
        Act::Version => say(concat!("confab-server ", env!("CARGO_PKG_VERSION")))?,
        Act::Serve(listen) => serve(&listen, data)?,
        Act::UserAdd(user) => {
            let is_new = open(data)?.add_user(&user, SystemTime::now())?;
            say(&format!("{user} {}", if is_new { "is a user now" } else { "is a user already" }))?;
        }
        Act::UserList => {
            for UserEntry { email, created_at, keys, sessions, bytes } in open(data)?.users()? {
                let stored = format!("{keys} keys, {sessions} sessions, {bytes} bytes");
                say(&format!("{email}  since {created_at}, {stored}"))?;
            }
        }
        Act::KeyCreate { user, name } => {
            let key = new_key(random).context(|| "read /dev/urandom".into())?;
            open(data)?.create_key(&user, &name, &hash(&key), SystemTime::now())?;
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
    }
    Ok(ExitCode::SUCCESS)
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

fn open(data: Option<PathBuf>) -> Result<Store> {
    Store::open(&data_folder(data)?)
}

fn serve(listen: &str, data: Option<PathBuf>) -> Result<()> {
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).init();
    let store = Store::open(&data_folder(data)?)?;
    let listener = TcpListener::bind(listen).map_err(|error| {
        Error::new(format!("listen on {listen}"))
            .caused_by(error)
            .with_hint("`--listen 127.0.0.1:0` takes a free port")
    })?;
    let world = World { now: SystemTime::now, monotonic: Instant::now, random };
    let server = Server::start(listener, store, world)?;
    say(&format!("listening on http://{}", server.address()))?;
    while signals::wait() == Signal::Wake {}
    server.stop(STOP_TIME_MAX)
}

fn data_folder(data: Option<PathBuf>) -> Result<PathBuf> {
    match (data, home::home_dir()) {
        (Some(folder), _) => Ok(folder),
        (None, Some(home)) => Ok(home.join(".confab").join("server")),
        (None, None) => {
            Err(Error::new("find the home folder").with_hint("set HOME or use --data DIR"))
        }
    }
}

fn say(line: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context(|| "write to stdout".into())
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    std::fs::File::open("/dev/urandom")?.read_exact(bytes)
}
