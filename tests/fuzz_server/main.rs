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
#[path = "../fuzz/options.rs"]
mod options;
#[path = "../it/server/process.rs"]
#[allow(unused)]
mod process;
mod readers;
#[path = "../fuzz/targets.rs"]
mod targets;

use fastrand::Rng;

use corpus::Corpus;
use options::Options;
use targets::Check;

/// Inputs of the short run, of each target.
const ROUNDS: u64 = 1000;

/// Something that is given inputs.
struct Target {
    name: &'static str,
    /// Makes an input.
    input: fn(&Corpus, &mut Rng) -> Vec<u8>,
    check: Check,
    /// What the counted things are called.
    counted: &'static str,
}

/// Makes a target.
type Make = fn() -> Target;

const TARGETS: [(&str, Make); 2] = [("http", http::target), ("chunk", chunk::target)];

fn main() {
    let Some(options) = Options::read("fuzz_server") else { return };
    let corpus = &Corpus::read();
    let named = |(name, make): (&'static str, Make)| -> targets::Named<'_> {
        let target = move || {
            let Target { name, input, check, counted } = make();
            let input = Box::new(move |random: &mut Rng| input(corpus, random));
            targets::Target { name, found: Vec::new(), input, check, counted, rounds: ROUNDS }
        };
        (name, Box::new(target))
    };
    let targets = TARGETS.into_iter().map(named).collect();
    targets::run_all(&options, targets, "cargo test --features server --test fuzz_server")
}
