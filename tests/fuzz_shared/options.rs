//! What all fuzzers share: their command line, and making a failing input small.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// How long to run, and from where.
pub struct Options {
    pub seed: u64,
    /// Those of the short run when not named.
    pub rounds: Option<u64>,
    pub time: Option<Duration>,
    /// One target of several.
    pub only: Option<String>,
    /// On after a failure.
    pub all: bool,
    /// Where inputs for cargo-fuzz are to be written, instead of trying any.
    pub seeds: Option<PathBuf>,
}

impl Options {
    /// Reads the command line of a test program; `None` when other tests were asked for.
    pub fn read(program: &str) -> Option<Options> {
        let mut options =
            Options { seed: 1, rounds: None, time: None, only: None, all: false, seeds: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("a value");
            let number = |word: String| word.parse().expect("a number");
            match word.as_str() {
                "--seed" => options.seed = number(value()),
                "--rounds" => options.rounds = Some(number(value())),
                "--only" => options.only = Some(value()),
                "--seeds" => options.seeds = Some(value().into()),
                "--all" => options.all = true,
                "--seconds" => {
                    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                    options.seed = now.as_nanos() as u64;
                    options.time = Some(Duration::from_secs(number(value())));
                }
                // `cargo test NAME` gives the name to every test program, this one too.
                word if !word.starts_with('-') && !program.contains(word) => return None,
                "--list" => return None,
                _ => {}
            }
        }
        Some(options)
    }

    /// Whether there is another round, where the short run has so many.
    pub fn goes_on(&self, round: u64, rounds: u64, started: Instant) -> bool {
        match self.time {
            Some(time) => started.elapsed() < time,
            None => round < self.rounds.unwrap_or(rounds),
        }
    }
}

/// Leaves out what can be left out, in pieces of half the length and smaller.
pub fn shrink(
    mut input: Vec<u8>,
    rounds_max: usize,
    mut still_fails: impl FnMut(&[u8]) -> bool,
) -> Vec<u8> {
    let (mut piece, mut rounds) = (input.len() / 2, 0);
    while piece > 0 && rounds < rounds_max {
        let mut at = 0;
        while at < input.len() && rounds < rounds_max {
            rounds += 1;
            let end = input.len().min(at + piece);
            let shorter = [&input[..at], &input[end..]].concat();
            if still_fails(&shorter) {
                input = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    input
}
