//! Benchmarks: `cargo bench --features server`. Figures are medians, each beside something measured
//! in the same run, so that they can be read on any machine. Nothing here fails for being slow.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

mod hook;
mod redact;
mod server;
mod sink;
mod sync;
mod world;

use std::time::Duration;

fn main() {
    // `cargo test --benches` passes `--test`: then building was all that was wanted.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    // A name chooses: `cargo bench --features server -- redact`.
    let names: Vec<String> = std::env::args().skip(1).filter(|n| !n.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    if wanted("hook") {
        hook::run();
    }
    if wanted("sync") {
        sync::run();
    }
    if wanted("redact") {
        redact::run(&sync::recorded_lines());
    }
    if wanted("server") {
        server::run(&sync::recorded_lines());
    }
}

/// The middle one.
fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}
