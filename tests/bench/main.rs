//! Benchmarks: `cargo bench --features server`. Figures are medians, each beside something measured
//! in the same run, so that they can be read on any machine. Nothing here fails for being slow.
//!
//! A name chooses: `cargo bench --features server -- redact`. `idle=600` is idle for 600 s, not 60.
//! `client=PATH` measures that client and not the one that was built for this run: `./build.sh
//! bench` measures the static one where it can be built.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

mod figure;
mod hook;
mod lines;
mod list;
mod live;
mod redact;
mod server;
mod sink;
mod sync;
mod watch;
mod world;

use std::path::Path;
use std::time::Duration;

fn main() {
    // `cargo test --benches` passes `--test`: then building was all that was wanted.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let names: Vec<String> = std::env::args().skip(1).filter(|n| !n.starts_with('-')).collect();
    let client = names.iter().find_map(|name| name.strip_prefix("client="));
    world::measure(client.map(Path::new));
    let is_all = names.iter().all(|name| name.starts_with("client="));
    let wanted = |name: &str| is_all || names.iter().any(|wanted| wanted == name);
    let written = || lines::recorded();
    if wanted("hook") {
        hook::run();
    }
    if wanted("sync") {
        sync::run();
    }
    if wanted("live") {
        live::run(&written());
    }
    if wanted("list") {
        list::run(&written());
    }
    let seconds = names.iter().find_map(|name| name.strip_prefix("idle=")?.parse().ok());
    if wanted("idle") || seconds.is_some() {
        live::idle(&written(), seconds.map_or(IDLE_TIME, Duration::from_secs));
    }
    if wanted("watch") {
        watch::run(&written());
    }
    if wanted("watch-idle") {
        watch::idle(seconds.map_or(IDLE_TIME, Duration::from_secs));
    }
    if wanted("redact") {
        redact::run(&written());
    }
    if wanted("finding") {
        server::finding::run();
    }
    if wanted("server") {
        server::run(&written());
    }
    world::clean_up();
}

/// How long nothing happens.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// The middle one.
fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}
