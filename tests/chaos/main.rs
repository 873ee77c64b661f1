//! Real programs in a bad world: `confab` and `confab-server` with a network between them that
//! delays, cuts, doubles and throttles, while daemons, server and Claude are killed and transcripts
//! grow in torn pieces. `cargo test --test chaos` plays a few rounds that are always the same,
//! `./build.sh chaos ROUNDS` others each time.
//!
//! Behind each round every line must be on the server once, in order, redacted; no daemon and no
//! state file may be left, and the server's database must be whole. A round that fails prints its
//! seed; `--seed N` plays it again (what the system decides, as the order of threads, may differ).

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

mod pause;
mod proxy;
mod round;
#[allow(dead_code, unused_imports)]
#[path = "../it/support/mod.rs"]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Instant, SystemTime};

/// Rounds of the short run.
const ROUNDS: u64 = 4;

fn main() {
    let Some((seed, rounds)) = options() else { return };
    let started = Instant::now();
    let mut total = round::Tally::default();
    let mut failed = Vec::new();
    for seed in seed..seed + rounds {
        match catch_unwind(AssertUnwindSafe(|| round::play(seed))) {
            Ok(tally) => total.add(&tally),
            Err(_) => {
                eprintln!("chaos: seed {seed} failed: cargo test --test chaos -- --seed {seed}");
                failed.push(seed);
            }
        }
    }
    let seconds = started.elapsed().as_secs();
    println!("chaos: {rounds} rounds from seed {seed}, {seconds} s: {total}");
    assert!(failed.is_empty(), "seeds {failed:?} failed");
}

/// The first seed and the number of rounds; `None` when a test runner only asks for a list.
fn options() -> Option<(u64, u64)> {
    let (mut seed, mut rounds) = (1, ROUNDS);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        match word.as_str() {
            "--list" => return None,
            "--seed" => (seed, rounds) = (number(), 1),
            "--rounds" => {
                rounds = number();
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
                seed = now.as_secs() * 1000;
            }
            _ => {}
        }
    }
    Some((seed, rounds))
}
