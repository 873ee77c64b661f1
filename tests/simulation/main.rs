//! Simulated disasters: hooks, daemons and the engine against a simulated clock, process table and
//! backend, and real files in memory. `cargo test --test simulation` plays the same sequences each
//! time, optimised by `./build.sh test` ten times as many; `./build.sh soak [HOURS]` plays others,
//! for as long as is wanted.
//!
//! A sequence follows from its seed. What must hold is in `model`. A failure is made small and
//! printed; `--seed N --sequences 1` repeats it.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

mod actions;
mod backend;
mod disk;
mod hub;
mod model;
mod play;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use confab::daemon::Redactors;

use actions::Step;

/// Sequences of the short run: without optimisation one costs several times as much.
const SEQUENCES: u64 = if cfg!(debug_assertions) { 2000 } else { 20_000 };
/// Sequences at a time: while one hands the baton from thread to thread, another one works.
const SEQUENCES_PER_CORE: usize = 3;
/// Attempts at making a failing sequence shorter.
const SHRINK_ROUNDS_MAX: usize = 2000;

/// How long to run.
#[derive(Clone, Copy)]
struct Options {
    seed: u64,
    sequences: u64,
    time: Option<Duration>,
    all: bool,
}

fn main() {
    let Some(options) = options() else { return };
    let started = Instant::now();
    let (next, n_failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let redactors: Arc<Redactors> = Arc::default();
    std::thread::scope(|scope| {
        let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
        for number in 0..n_cores * SEQUENCES_PER_CORE {
            let (next, n_failed, redactors) = (&next, &n_failed, &redactors);
            scope.spawn(move || {
                let home = home(number);
                let goes_on = |n| match options.time {
                    Some(time) if started.elapsed() >= time => false,
                    _ => n < options.sequences,
                };
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let may_go_on = options.all || n_failed.load(Ordering::Relaxed) == 0;
                    if !goes_on(n) || !may_go_on {
                        return;
                    }
                    let seed = options.seed.wrapping_add(n);
                    let steps = actions::sequence(seed);
                    let complaints = play::play(&steps, &home, redactors);
                    if !complaints.is_empty() {
                        n_failed.fetch_add(1, Ordering::Relaxed);
                        tell(seed, &steps, &home, redactors);
                    }
                }
            });
        }
    });
    let n_failed = n_failed.into_inner();
    let n_played = next.into_inner().min(options.sequences);
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "simulation: {n_played} sequences from seed {}, {n_failed} failed, {seconds:.1} s",
        options.seed
    );
    std::process::exit(i32::from(n_failed > 0));
}

/// Reads the command line; `None` when other tests were asked for.
fn options() -> Option<Options> {
    let mut options = Options { seed: 1, sequences: SEQUENCES, time: None, all: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        match word.as_str() {
            "--seed" => options.seed = number(),
            "--sequences" => options.sequences = number(),
            "--endless" => {
                let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                options.seed = now.as_nanos() as u64;
                options.sequences = u64::MAX;
            }
            "--seconds" => options.time = Some(Duration::from_secs(number())),
            "--all" => options.all = true,
            // `cargo test NAME` gives the name to every test program, this one too.
            word if !word.starts_with('-') && !"simulation".contains(word) => return None,
            "--list" => return None,
            _ => {}
        }
    }
    Some(options)
}

/// A folder in memory where there is one.
fn home(number: usize) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    folder.join(format!("confab-simulation-{}-{number}", std::process::id()))
}

/// Says what went wrong, with as short a sequence as can be found.
fn tell(seed: u64, steps: &[Step], home: &Path, redactors: &Arc<Redactors>) {
    let fails = |steps: &[Step]| !play::play(steps, home, redactors).is_empty();
    let short = shrink(steps.to_vec(), fails);
    let complaints = play::play(&short, home, redactors);
    let mut text = format!("simulation: seed {seed} failed: {}\n", complaints.join("\n  "));
    for step in &short {
        text += &format!("  +{} ms, session {}: {:?}\n", step.after, step.session, step.action);
    }
    text += &format!("  again: cargo test --test simulation -- --sequences 1 --seed {seed}");
    println!("{text}");
}

/// Leaves out what can be left out, in pieces of half the length and smaller, and waits less.
fn shrink(mut steps: Vec<Step>, fails: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    let (mut piece, mut rounds) = (steps.len() / 2, 0);
    while piece > 0 && rounds < SHRINK_ROUNDS_MAX {
        let (mut at, before) = (0, steps.len());
        while at < steps.len() && rounds < SHRINK_ROUNDS_MAX {
            rounds += 1;
            let end = steps.len().min(at + piece);
            let shorter = [&steps[..at], &steps[end..]].concat();
            if fails(&shorter) {
                steps = shorter;
            } else {
                at += piece;
            }
        }
        // One may be left out once another one is.
        piece = if piece == 1 && steps.len() < before { 1 } else { piece / 2 };
    }
    for index in 0..steps.len() {
        for after in [0, 100, 1000] {
            let mut sooner = steps.clone();
            sooner[index].after = after;
            if after < steps[index].after && fails(&sooner) {
                steps = sooner;
                break;
            }
        }
    }
    steps
}
