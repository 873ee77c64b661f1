//! What the client reads, as any bytes whatsoever: `cargo test --test fuzz_client` is a short run
//! that is always the same, `./build.sh fuzz SECONDS` a long one that is not.
//!
//! One target for each thing that comes from somebody else: hook input, Claude's settings, the
//! configuration, transcripts, what is stored of a session, the answers of a backend. Inputs are
//! the fixtures, mutated; what was found once is a fixture below `fixtures/fuzz`, tried first. A
//! failure is made small and printed; `--seed N` repeats it, `--only NAME` runs one target.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

#[path = "mod.rs"]
mod client;
#[path = "../fuzz_shared/mod.rs"]
mod shared;

use fastrand::Rng;

use client::{Corpus, Make, TARGETS, Target, mutate};
use shared::options::Options;
use shared::targets;

fn main() {
    let Some(options) = Options::read("fuzz_client") else { return };
    let corpus = &Corpus::read();
    let named = |(name, make): (&'static str, Make)| -> targets::Named<'_> {
        (name, Box::new(move || mutated(make(corpus))))
    };
    let targets = TARGETS.into_iter().map(named).collect();
    targets::run_all(&options, targets, "cargo test --test fuzz_client")
}

/// Inputs are samples, changed in a few places; now and then as they are.
fn mutated(target: Target) -> targets::Target<'static> {
    let Target { name, samples, tricky, check, counted, rounds } = target;
    let input = Box::new(move |random: &mut Rng| {
        let mut input = mutate::pick(&samples, random).clone();
        for _ in 0..random.usize(..6) {
            mutate::change(&mut input, tricky, random);
        }
        input
    });
    targets::Target { name, input, check, counted, rounds }
}
