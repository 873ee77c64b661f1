//! The client: arguments and environment in, exit status out. Everything that is impure and not a
//! file enters here: clock, seed, environment, standard streams.

#![forbid(unsafe_code)]

mod commands;
mod world;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use confab::cli::{self, Command};
use confab::error::{Context, Error, Result};
use confab::hook::{self, Event};
use confab::sys;

use world::{complain, machine, paths, text};

/// How long a hook waits for its input. Claude Code grants all SessionEnd hooks 1.5 s together.
const END_INPUT_TIME_MAX: Duration = Duration::from_millis(700);
/// How long the other hooks wait for it: a prompt may be of megabytes.
const INPUT_TIME_MAX: Duration = Duration::from_secs(5);
/// Exit status of a usage error.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(tell_place));
    match cli::parse(env::args_os().skip(1).collect()) {
        Ok(Command::Hook(event)) => run_hook(event),
        Ok(command) => match commands::run(command) {
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
    match try_hook(event) {
        Ok(answer) => {
            let answer = answer.unwrap_or_default();
            let _ = stdout.write_all(answer.as_bytes()).and_then(|()| stdout.flush());
        }
        Err(error) if io::stderr().is_terminal() => complain(&error),
        Err(_) => {}
    }
    ExitCode::SUCCESS
}

fn try_hook(event: Event) -> Result<Option<String>> {
    let time_max = if event == Event::SessionEnd { END_INPUT_TIME_MAX } else { INPUT_TIME_MAX };
    let deadline = Instant::now() + time_max;
    let read = |buffer: &mut [u8]| {
        sys::input::read(buffer, deadline.saturating_duration_since(Instant::now()))
    };
    let input = hook::read_input(read).context(|| "read hook input".into())?;
    let surroundings = hook::Surroundings {
        paths: &paths()?,
        processes: &machine(),
        claude_pid: text("CLAUDE_PID").and_then(|pid| pid.parse().ok()),
        links_off: text("CONFAB_DISABLE_LINK_FROM_GITHUB")
            .is_some_and(|value| !matches!(value.to_lowercase().as_str(), "0" | "false")),
        now: SystemTime::now(),
    };
    hook::handle(event, &input, &surroundings)
}

/// The message of a panic may quote what was being worked on: only its place is told.
fn tell_place(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    let what = format!("internal failure{}", place.unwrap_or_default());
    log::error!("{what}");
    complain(&Error::new(what).with_hint("please report this: it is a defect of confab"));
}
