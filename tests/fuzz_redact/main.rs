//! Redaction against any input whatsoever: `cargo test --test fuzz_redact` is a short run
//! that is always the same, `./build.sh fuzz SECONDS` a long one that is not.
//!
//! Inputs are the recorded transcripts, mutated; every other one has a secret planted in it. What
//! must hold is in `properties`. A failure is made small and printed so that it can be pasted into
//! a unit test; `--seed N` repeats a run, and `--all` goes on after a failure.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

#[path = "mod.rs"]
mod redact;
#[path = "../fuzz_shared/mod.rs"]
mod shared;

use std::time::Instant;

use confab::redact::{Redactor, Settings};
use fastrand::Rng;

use redact::corpus::Corpus;
use redact::plant::Planted;
use redact::{mutate, plant, properties};
use shared::options::{Options, shrink};

/// Inputs of the short run.
const ROUNDS: u64 = 2000;
/// Inputs that go through the filter together.
const FILTER_ROUNDS: usize = 500;
/// Attempts at making a failing input smaller.
const SHRINK_ROUNDS_MAX: usize = 20_000;

fn main() {
    let Some(options) = Options::read("fuzz_redact") else { return };
    if options.only.as_deref().is_some_and(|only| only != "redact") {
        return;
    }
    let corpus = Corpus::read();
    let (redactor, problems) = Redactor::new(&Settings::default());
    assert!(problems.is_empty());
    if let Some(folder) = options.seeds {
        let made = |random: &mut Rng| input(&corpus, &redactor, random).0;
        return shared::write_seeds(&folder.join("redact"), made);
    }
    for (name, input) in shared::found("redact") {
        redact::check()(&input, 0).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    let (started, mut round, mut n_bytes, mut n_planted) = (Instant::now(), 0, 0, 0);
    let mut n_failed = 0;
    let mut batch = Vec::new();
    while options.goes_on(round, ROUNDS, started) && (n_failed == 0 || options.all) {
        let seed = options.seed.wrapping_add(round);
        let (input, planted) = input(&corpus, &redactor, &mut Rng::with_seed(seed));
        n_bytes += input.len();
        n_planted += usize::from(planted.is_some());
        if properties::check(&redactor, &input, planted.as_ref()).is_err() {
            n_failed += 1;
            tell(&redactor, &input, planted.as_ref(), seed);
        }
        batch.push(input);
        if batch.len() == FILTER_ROUNDS {
            properties::check_filter(&redactor, &batch.concat());
            batch.clear();
        }
        round += 1;
    }
    properties::check_filter(&redactor, &batch.concat());
    let (seed, seconds) = (options.seed, started.elapsed().as_secs());
    println!("fuzz: {round} inputs of {n_bytes} bytes, {n_planted} of them with a secret planted");
    println!("fuzz: {n_failed} failed, from seed {seed}, {seconds} s");
    std::process::exit(i32::from(n_failed > 0));
}

/// Some lines, and what is planted in one of them.
fn input(corpus: &Corpus, redactor: &Redactor, random: &mut Rng) -> (Vec<u8>, Option<Planted>) {
    if random.bool() {
        return (mutate::lines(corpus, random), None);
    }
    let (input, planted) = plant::lines(corpus, redactor, random);
    (input, Some(planted))
}

/// Says what went wrong with as small an input as can be found.
fn tell(redactor: &Redactor, input: &[u8], planted: Option<&Planted>, seed: u64) {
    // What was planted is taken apart as well, unless it is what the failure is about.
    let planted = planted.filter(|_| properties::check(redactor, input, None).is_ok());
    let (kept, rest) = input.split_at(planted.map_or(0, |planted| planted.bytes));
    let whole = |rest: &[u8]| [kept, rest].concat();
    let still_fails = |rest: &[u8]| properties::check(redactor, &whole(rest), planted).is_err();
    let small = whole(&shrink(rest.to_vec(), SHRINK_ROUNDS_MAX, still_fails));
    let why = properties::check(redactor, &small, planted).err().unwrap_or_default();
    println!("fuzz: failed: {why}");
    if let Some(planted) = planted {
        let Planted { rule, text, nesting, .. } = planted;
        println!("  planted: {text:?} of {rule} within {nesting} strings");
    }
    println!("  input:   b\"{}\"", small.escape_ascii());
    println!("  output:  b\"{}\"", redactor.line(&small).unwrap_or_default().escape_ascii());
    println!("  again:   cargo test --test fuzz_redact -- --rounds 1 --seed {seed}");
}
