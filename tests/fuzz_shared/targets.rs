//! Targets that are given inputs, one after the other, until the end or a failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fastrand::Rng;

use super::options::{Options, shrink};
use super::{CHOICES, found, write_seeds};

/// Attempts at making a failing input smaller.
const SHRINK_ROUNDS_MAX: usize = 3000;
/// Peak memory of a fuzzer, far below what inputs announce.
const PEAK_KIB_MAX: u64 = 256 << 10;

/// Panics of any thread so far.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Checks what must hold of an input, under choices that follow from a seed; says how much there
/// was to check, or what is wrong.
pub type Check = Box<dyn FnMut(&[u8], u64) -> Result<usize, String>>;

/// Makes an input.
pub type Input<'a> = Box<dyn Fn(&mut Rng) -> Vec<u8> + 'a>;

/// Something that is given inputs.
pub struct Target<'a> {
    pub name: &'static str,
    pub input: Input<'a>,
    pub check: Check,
    /// What the counted things are called.
    pub counted: &'static str,
    /// Inputs of the short run.
    pub rounds: u64,
}

/// A target by name, and what makes it when it is wanted.
pub type Named<'a> = (&'static str, Box<dyn FnOnce() -> Target<'a> + 'a>);

/// Runs the targets that are wanted and ends the program. `again` is how this one is called.
pub fn run_all(options: &Options, targets: Vec<Named<'_>>, again: &str) -> ! {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(panic);
    }));
    let n_failed: u64 = targets
        .into_iter()
        .filter(|(name, _)| options.only.as_deref().is_none_or(|only| only == *name))
        .map(|(_, target)| run(&mut target(), options, again))
        .sum();
    let peak = peak_kib();
    println!("fuzz: peak memory {peak} KiB");
    assert!(peak < PEAK_KIB_MAX, "memory is bounded by what arrives");
    std::process::exit(i32::from(n_failed > 0));
}

/// Gives inputs to a target until the end or the first failure; the number of failures.
fn run(target: &mut Target<'_>, options: &Options, again: &str) -> u64 {
    if let Some(folder) = &options.seeds {
        write_seeds(&folder.join(target.name), &target.input);
        return 0;
    }
    for (name, input) in found(target.name) {
        for seed in 0..CHOICES {
            if let Err(why) = checked(target, &input, seed) {
                println!("fuzz {}: {name} failed: {why}", target.name);
                return 1;
            }
        }
    }
    let (started, mut round, mut n_bytes, mut n_counted) = (Instant::now(), 0, 0, 0);
    let mut n_failed = 0;
    while options.goes_on(round, target.rounds, started) && n_failed == 0 {
        let seed = options.seed.wrapping_add(round);
        let input = (target.input)(&mut Rng::with_seed(seed));
        n_bytes += input.len();
        match checked(target, &input, seed) {
            Ok(count) => n_counted += count,
            Err(why) => {
                n_failed += 1;
                tell(target, input, seed, &why, again);
            }
        }
        round += 1;
    }
    let (name, counted, seed) = (target.name, target.counted, options.seed);
    let seconds = started.elapsed().as_secs();
    println!("fuzz {name}: {round} inputs of {n_bytes} bytes, {n_counted} {counted}");
    println!("fuzz {name}: {n_failed} failed, from seed {seed}, {seconds} s");
    n_failed
}

/// Checks an input; a panic anywhere is a failure, too.
fn checked(target: &mut Target<'_>, input: &[u8], seed: u64) -> Result<usize, String> {
    let before = PANICS.load(Ordering::SeqCst);
    let result = catch_unwind(AssertUnwindSafe(|| (target.check)(input, seed)));
    match PANICS.load(Ordering::SeqCst) == before {
        true => result.unwrap_or_else(|_| Err("it was left".into())),
        false => Err("a thread has panicked".into()),
    }
}

/// Says what went wrong, with as small an input as can be found.
fn tell(target: &mut Target<'_>, input: Vec<u8>, seed: u64, why: &str, again: &str) {
    println!("fuzz {}: failed: {why}", target.name);
    println!("  input: b\"{}\"", input.escape_ascii());
    let still_fails = |input: &[u8]| checked(target, input, seed).is_err();
    let small = shrink(input, SHRINK_ROUNDS_MAX, still_fails);
    let why = checked(target, &small, seed).err().unwrap_or_default();
    println!("  small: b\"{}\"", small.escape_ascii());
    println!("  there: {why}");
    println!("  again: {again} -- --only {} --rounds 1 --seed {seed}", target.name);
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
