//! The server against any bytes whatsoever: `cargo test --test fuzz_server` is a short run that is
//! always the same, `./build.sh fuzz SECONDS` a long one that is not.
//!
//! `http` takes bytes for requests as a connection does, `chunk` a body through the real handler
//! into a database. Inputs are the recorded exchanges, mutated. A failure is made small and
//! printed; `--seed N` repeats it, `--only NAME` runs one of the two.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

#[path = "mod.rs"]
mod server;
#[path = "../fuzz_shared/mod.rs"]
mod shared;

use fastrand::Rng;

use server::{Corpus, Make, TARGETS, Target};
use shared::options::Options;
use shared::targets;

/// Inputs of the short run, of each target.
const ROUNDS: u64 = 1000;

fn main() {
    let Some(options) = Options::read("fuzz_server") else { return };
    let corpus = &Corpus::read();
    let named = |(name, make): (&'static str, Make)| -> targets::Named<'_> {
        let target = move || {
            let Target { name, input, check, counted } = make();
            let input = Box::new(move |random: &mut Rng| input(corpus, random));
            targets::Target { name, input, check, counted, rounds: ROUNDS }
        };
        (name, Box::new(target))
    };
    let targets = TARGETS.into_iter().map(named).collect();
    targets::run_all(&options, targets, "cargo test --features server --test fuzz_server")
}
