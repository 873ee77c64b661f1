//! The server against any bytes whatsoever: `cargo test --test fuzz_server` is a short run that is
//! always the same, `./build.sh fuzz SECONDS` a long one that is not.
//!
//! `http` takes bytes for requests as a connection does, `chunk` a body through the real handler
//! into a database. Inputs are the recorded exchanges, mutated. A failure is made small and
//! printed; `--seed N` repeats it, `--only NAME` runs one of the two.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

mod chunk;
mod corpus;
mod http;
mod mutate;
#[path = "../it/server/process.rs"]
#[allow(unused)]
mod process;
mod readers;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;

use corpus::Corpus;

/// Inputs of the short run, of each target.
const ROUNDS: u64 = 1000;
/// Attempts at making a failing input smaller.
const SHRINK_ROUNDS_MAX: usize = 3000;
/// Peak memory of this program, far below what inputs announce.
const PEAK_KIB_MAX: u64 = 256 << 10;

/// Panics of any thread so far.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Says how much there was to check of an input, or what is wrong.
type Check = Box<dyn FnMut(&[u8], u64) -> Result<usize, String>>;

/// A target by name, and what makes it.
type Named = (&'static str, fn() -> Target);

/// Something that is given inputs.
struct Target {
    name: &'static str,
    /// Makes an input.
    input: fn(&Corpus, &mut Rng) -> Vec<u8>,
    /// Checks what must hold, under choices that follow from a seed; says how much there was to
    /// check, or what is wrong.
    check: Check,
    /// What the counted things are called.
    counted: &'static str,
}

/// How long to run.
struct Options {
    seed: u64,
    rounds: u64,
    time: Option<Duration>,
    only: Option<String>,
}

fn main() {
    let Some(options) = options() else { return };
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(panic);
    }));
    let corpus = Corpus::read();
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let targets: [Named; 2] = [("http", http::target), ("chunk", chunk::target)];
    let n_failed: u64 = targets
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(_, target)| run(&mut target(), &corpus, &options))
        .sum();
    let peak = peak_kib();
    println!("fuzz: peak memory {peak} KiB");
    assert!(peak < PEAK_KIB_MAX, "memory is bounded by what arrives");
    std::process::exit(i32::from(n_failed > 0));
}

/// Gives inputs to a target until the end or the first failure; the number of failures.
fn run(target: &mut Target, corpus: &Corpus, options: &Options) -> u64 {
    let name = target.name;
    let (started, mut round, mut n_bytes, mut n_counted) = (Instant::now(), 0, 0, 0);
    let goes_on = |round| match options.time {
        Some(time) => started.elapsed() < time,
        None => round < options.rounds,
    };
    let mut n_failed = 0;
    while goes_on(round) && n_failed == 0 {
        let seed = options.seed.wrapping_add(round);
        let input = (target.input)(corpus, &mut Rng::with_seed(seed));
        n_bytes += input.len();
        match checked(target, &input, seed) {
            Ok(count) => n_counted += count,
            Err(why) => {
                n_failed += 1;
                tell(target, input, seed, &why);
            }
        }
        round += 1;
    }
    let (seed, seconds) = (options.seed, started.elapsed().as_secs());
    let counted = target.counted;
    println!("fuzz {name}: {round} inputs of {n_bytes} bytes, {n_counted} {counted}");
    println!("fuzz {name}: {n_failed} failed, from seed {seed}, {seconds} s");
    n_failed
}

/// Checks an input; a panic anywhere is a failure, too.
fn checked(target: &mut Target, input: &[u8], seed: u64) -> Result<usize, String> {
    let before = PANICS.load(Ordering::SeqCst);
    let result = (target.check)(input, seed);
    match PANICS.load(Ordering::SeqCst) == before {
        true => result,
        false => Err("a thread has panicked".into()),
    }
}

/// Says what went wrong, with as small an input as can be found.
fn tell(target: &mut Target, input: Vec<u8>, seed: u64, why: &str) {
    println!("fuzz {}: failed: {why}", target.name);
    println!("  input: b\"{}\"", input.escape_ascii());
    let small = shrink(input, |input| checked(target, input, seed).is_err());
    let why = checked(target, &small, seed).err().unwrap_or_default();
    println!("  small: b\"{}\"", small.escape_ascii());
    println!("  there: {why}");
    println!(
        "  again: cargo test --features server --test fuzz_server -- --only {} --rounds 1 --seed {seed}",
        target.name
    );
}

/// Leaves out what can be left out, in pieces of half the length and smaller.
fn shrink(mut input: Vec<u8>, mut still_fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let (mut piece, mut rounds) = (input.len() / 2, 0);
    while piece > 0 && rounds < SHRINK_ROUNDS_MAX {
        let mut at = 0;
        while at < input.len() && rounds < SHRINK_ROUNDS_MAX {
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

/// Reads the command line; `None` when other tests were asked for.
fn options() -> Option<Options> {
    let mut options = Options { seed: 1, rounds: ROUNDS, time: None, only: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("a value");
        let number = |word: String| word.parse().expect("a number");
        match word.as_str() {
            "--seed" => options.seed = number(value()),
            "--rounds" => options.rounds = number(value()),
            "--only" => options.only = Some(value()),
            "--seconds" => {
                let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                options.seed = now.as_nanos() as u64;
                options.time = Some(Duration::from_secs(number(value())));
            }
            // `cargo test NAME` gives the name to every test program, this one too.
            word if !word.starts_with('-') && !"fuzz_server".contains(word) => return None,
            "--list" => return None,
            _ => {}
        }
    }
    Some(options)
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
