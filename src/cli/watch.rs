//! `confab watch`: follows all sessions of this machine, and says what it does.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cli::lines;
use crate::cli::list::size;
use crate::cli::status_line::StatusLine;
use crate::error::Result;
use crate::fleet::{self, Base, Phase, Standing, Watched};

/// Time between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// What is brought in so far must be one of so many parts until the rest is estimated.
const ESTIMATE_PARTS: u64 = 50;

/// Follows all sessions until it is told to stop. `columns` are those of the terminal that `talk`
/// is, if it is one.
///
/// # Errors
/// As [`fleet::run`].
pub fn run(
    watched: &Watched,
    base: &Base<'_>,
    talk: &mut dyn Write,
    columns: Option<usize>,
) -> Result<()> {
    let mut teller = Teller::new(columns, base.clock.now());
    fleet::run(watched, base, &mut |standing| teller.tell(standing, base.clock.now(), talk))
}

struct Teller {
    line: StatusLine,
    is_terminal: bool,
    started: Instant,
    phase: Option<Phase>,
    /// When progress, a phase and an error were told last.
    told: [Option<Instant>; 3],
    error: Option<String>,
    /// Folders that were told of.
    empty_folders: BTreeSet<PathBuf>,
}

impl Teller {
    fn new(columns: Option<usize>, now: Instant) -> Teller {
        Teller {
            line: StatusLine::new(columns),
            is_terminal: columns.is_some(),
            started: now,
            phase: None,
            told: [None; 3],
            error: None,
            empty_folders: BTreeSet::new(),
        }
    }

    fn tell(&mut self, standing: &Standing, now: Instant, talk: &mut dyn Write) {
        let is_new = self.phase != Some(standing.phase);
        let error = standing.last_error.as_ref().map(|error| error.what.clone());
        if error.is_some() && error != self.error && self.is_time(2, now) {
            self.line.draw("", talk);
            let error = error.as_deref().unwrap_or_default();
            say(talk, &format!("{error}; it will be tried again"));
        }
        self.error = error;
        for folder in &standing.empty_folders {
            if self.empty_folders.insert(folder.clone()) {
                self.line.draw("", talk);
                let folder = folder.join("projects");
                say(
                    talk,
                    &format!("{} is not there, so nothing is followed in it yet", folder.display()),
                );
            }
        }
        let progress = progress(standing, now.saturating_duration_since(self.started));
        match standing.phase {
            Phase::BringingIn if self.is_terminal => self.line.draw(&progress, talk),
            Phase::BringingIn => {
                if self.is_time(0, now) {
                    say(talk, &progress);
                }
            }
            Phase::Following | Phase::Waiting | Phase::Stopping => {
                self.line.draw("", talk);
                // A backend that rations requests makes it wait again and again.
                if is_new && (standing.phase != Phase::Waiting || self.is_time(1, now)) {
                    say(talk, &plain(standing));
                }
            }
        }
        self.phase = Some(standing.phase);
    }

    /// Whether something may be told again.
    fn is_time(&mut self, what: usize, now: Instant) -> bool {
        let last = self.told[what];
        let is_time = last.is_none_or(|at| now.saturating_duration_since(at) >= LINE_INTERVAL);
        if is_time {
            self.told[what] = Some(now);
        }
        is_time
    }
}

/// What of all that there is the backend may not have although nothing failed.
pub fn left_out(standing: &Standing) -> Vec<String> {
    let Standing { older, unwanted, left, unreadable, .. } = *standing;
    let counts = [
        (older, "too old to be brought in"),
        (unwanted, "excluded or deleted"),
        (left, "left to daemons of hooks"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let mut all: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    match unreadable {
        0 => {}
        1 => all.push("1 file or folder that cannot be read".to_owned()),
        n => all.push(format!("{n} files or folders that cannot be read")),
    }
    all
}

/// What is said of a phase that has just begun.
fn plain(standing: &Standing) -> String {
    let sessions = lines::count(standing.sessions, "session");
    match standing.phase {
        Phase::Following if standing.failed > 0 => {
            format!("following {sessions}; {} failed, and will be tried again", standing.failed)
        }
        Phase::Following => match left_out(standing).join(", ") {
            none if none.is_empty() => format!("following {sessions}; the backend has everything"),
            some => format!("following {sessions}; the backend has all others than: {some}"),
        },
        Phase::Waiting => "the backend takes nothing; it will be asked again".to_owned(),
        Phase::Stopping | Phase::BringingIn => "stopping".to_owned(),
    }
}

/// `bringing in 12 of 340 sessions, 30 MB of 1.2 GB, about 14 s left`.
fn progress(standing: &Standing, elapsed: Duration) -> String {
    let Standing { brought, to_bring, bytes_done, bytes, .. } = *standing;
    let mut text = format!(
        "bringing in {} of {to_bring} sessions, {} of {} done",
        (brought + 1).min(to_bring),
        size(bytes_done),
        size(bytes)
    );
    if bytes_done > 0 && bytes_done >= bytes / ESTIMATE_PARTS {
        let left = elapsed.as_secs_f64() * (bytes - bytes_done) as f64 / bytes_done as f64;
        text += &format!(", about {} left", spoken(left.ceil() as u64));
    }
    text
}

/// `50 s`, `3 min`, `2 h`.
fn spoken(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// Nothing depends on what is said: whoever closes the terminal does not end the watch.
fn say(talk: &mut dyn Write, text: &str) {
    let _ = lines::say(talk, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::LastError;

    fn told(steps: &[(Standing, u64)], columns: Option<usize>) -> String {
        let start = Instant::now();
        let mut teller = Teller::new(columns, start);
        let mut talk = Vec::new();
        for (standing, seconds) in steps {
            teller.tell(standing, start + Duration::from_secs(*seconds), &mut talk);
        }
        String::from_utf8(talk).unwrap()
    }

    fn bringing(brought: u64) -> Standing {
        Standing {
            sessions: 5,
            to_bring: 4,
            brought,
            bytes: 4_000_000,
            bytes_done: brought * 1_000_000,
            ..Standing::default()
        }
    }

    #[test]
    fn without_a_terminal_a_line_is_told_now_and_then() {
        let error = Some(LastError { what: "it rains".into(), ..LastError::default() });
        let waiting = Standing { phase: Phase::Waiting, last_error: error.clone(), ..bringing(2) };
        let following = Standing { phase: Phase::Following, last_error: error, ..bringing(4) };
        let steps = [
            (bringing(0), 0),
            (bringing(1), 3),
            (bringing(2), 12),
            (waiting.clone(), 13),
            (waiting, 14),
            (following.clone(), 15),
            (following, 60),
        ];
        let expected = "confab: bringing in 1 of 4 sessions, 0 B of 4.0 MB done\n\
                        confab: bringing in 3 of 4 sessions, 2.0 MB of 4.0 MB done, about 12 s left\n\
                        confab: it rains; it will be tried again\n\
                        confab: the backend takes nothing; it will be asked again\n\
                        confab: following 5 sessions; the backend has everything\n";
        assert_eq!(told(&steps, None), expected);
    }

    #[test]
    fn what_the_backend_may_not_have_is_said() {
        let following = Standing {
            phase: Phase::Following,
            older: 3,
            unwanted: 2,
            left: 1,
            unreadable: 1,
            empty_folders: vec!["/typo".into()],
            ..bringing(4)
        };
        let other = Standing { phase: Phase::Waiting, ..following.clone() };
        let expected = "confab: /typo/projects is not there, so nothing is followed in it yet\n\
                        confab: following 5 sessions; the backend has all others than: 3 too old \
                        to be brought in, 2 excluded or deleted, 1 left to daemons of hooks, \
                        1 file or folder that cannot be read\n\
                        confab: the backend takes nothing; it will be asked again\n";
        assert_eq!(told(&[(following, 0), (other, 1)], None), expected);
    }

    #[test]
    fn on_a_terminal_progress_is_a_line_that_goes() {
        let following = Standing { phase: Phase::Following, ..bringing(4) };
        let text = told(&[(bringing(0), 0), (bringing(3), 90), (following, 91)], Some(100));
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(
            text.contains("4 of 4 sessions, 3.0 MB of 4.0 MB done, about 30 s left"),
            "{text:?}"
        );
    }

    #[test]
    fn times_are_rounded_up() {
        let cases = [(1, "1 s"), (119, "119 s"), (121, "3 min"), (7199, "120 min"), (7201, "3 h")];
        for (seconds, expected) in cases {
            assert_eq!(spoken(seconds), expected);
        }
    }
}
