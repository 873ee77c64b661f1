//! The embedded backend's binary: arguments, environment, clock and randomness enter here.

mod commands;

use std::io::{self, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use confab::error::{Error, Result};
use confab::server::{Server, Store, World, command};
use confab::sys::signals::{self, Signal};
use confab::time::Clock;

/// For requests in flight when the server is told to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    // Before any thread: threads inherit the mask.
    signals::block();
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

fn serve(listen: &str, data: Option<PathBuf>) -> Result<()> {
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).init();
    let store = Store::open(&commands::data_folder(data)?)?;
    let listener = TcpListener::bind(listen).map_err(|error| {
        Error::new(format!("listen on {listen}"))
            .caused_by(error)
            .with_hint("`--listen 127.0.0.1:0` takes a free port")
    })?;
    let world = World { now: SystemTime::now, monotonic: Instant::now, random };
    let server = Server::start(listener, store, world)?;
    commands::say(&format!("listening on http://{}", server.address()))?;
    while signals::wait() == Signal::Wake {}
    server.stop(STOP_TIME_MAX)
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
