//! The embedded backend's binary: arguments, environment, clock and randomness enter here.

mod commands;

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use confab::error::{Error, Result};
use confab::server::command::{self, Wishes};
use confab::server::{self, LogFile, Server, Store, World};
use confab::sys::memory;
use confab::sys::signals::{self, Signal};
use confab::time::Clock;

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

fn serve(wishes: &Wishes, data: Option<PathBuf>) -> Result<()> {
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

/// Opens the log and reads the certificate again. What cannot be read is told, and the old one
/// stays.
fn again(log: &LogFile, server: &Server) {
    for result in [log.reopen(), server.reload()] {
        if let Err(error) = result {
            log::error!("{error}");
        }
    }
    log::info!("log, certificate and key are read again");
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
