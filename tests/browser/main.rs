//! The page as people use it: in a real Chromium, driven over a pipe, against a real server.
//!
//! Every case ends with an account of the console, of the page's policy and of every address that
//! was asked for; pictures of what was seen are kept in `target/tmp/browser`. A machine without
//! Chromium says so and goes on, unless `CONFAB_BROWSER=required`. `cargo test --test browser NAME`
//! plays those cases whose names have `NAME` in them.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

mod access;
mod growth;
mod hostile;
mod lines;
mod order;
mod pipe;
mod reading;
mod sharing;
mod stage;
#[allow(dead_code, unused_imports)]
#[path = "../it/support/mod.rs"]
mod support;
mod tab;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use pipe::Browser;

/// What a case is called, and how it goes.
type Case = (&'static str, fn(&Browser));

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if std::env::args().any(|word| word == "--list") {
        return;
    }
    let Some(program) = pipe::program() else {
        let text =
            "browser: SKIPPED: there is no Chromium on this machine, the page was not tested";
        let is_required = std::env::var("CONFAB_BROWSER").is_ok_and(|value| value == "required");
        assert!(!is_required, "{text}");
        eprintln!("{text}");
        return;
    };
    let cases: Vec<Case> = [
        access::CASES,
        reading::CASES,
        growth::CASES,
        order::CASES,
        hostile::CASES,
        sharing::CASES,
    ]
    .concat();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word));
    let profile = std::env::temp_dir().join(format!("confab-browser-{}", std::process::id()));
    let mut failed = Vec::new();
    let started = Instant::now();
    for (name, play) in cases.into_iter().filter(|(name, _)| is_wanted(name)) {
        let started = Instant::now();
        // One for each case: what one breaks, no other one suffers from.
        let browser = Browser::start(&program, &profile);
        let played = catch_unwind(AssertUnwindSafe(|| play(&browser)));
        let how = if played.is_ok() { "ok" } else { "FAILED" };
        println!("browser: {name}: {how}, {} ms", started.elapsed().as_millis());
        if played.is_err() {
            failed.push(name);
        }
    }
    let pictures = tab::pictures();
    println!("browser: {} s, pictures in {}", started.elapsed().as_secs(), pictures.display());
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}
