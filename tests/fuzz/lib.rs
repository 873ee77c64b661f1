//! The targets of the fuzzers of the package, for cargo-fuzz, which follows what an input reaches:
//! `./build.sh fuzz --coverage TARGET SECONDS`. It needs nightly Rust and stands in a workspace of
//! its own, so that nothing of it is part of the package.
//!
//! What must hold is in `tests/fuzz_client`, `tests/fuzz_server` and `tests/fuzz_redact`. What was
//! found, without its last byte, becomes a fixture in `fixtures/fuzz/TARGET`, which the fuzzers of
//! the package try first.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

#[path = "../fuzz_client/mod.rs"]
mod client;
#[path = "../fuzz_redact/mod.rs"]
mod redact;
#[path = "../fuzz_server/mod.rs"]
mod server;
#[path = "../fuzz_shared/mod.rs"]
mod shared;

use std::cell::RefCell;

use shared::targets::Check;

/// Gives an input to a target, which is made for the first one. The last byte says what else is to
/// be chosen.
///
/// # Panics
/// When what must hold does not.
pub fn check(target: &str, data: &[u8]) {
    thread_local! {
        static CHECK: RefCell<Option<Check>> = const { RefCell::new(None) };
    }
    let (choices, input) = data.split_last().unwrap_or((&0, data));
    CHECK.with_borrow_mut(|check| {
        let check = check.get_or_insert_with(|| check_of(target));
        if let Err(why) = check(input, u64::from(*choices)) {
            panic!("{target}: {why}");
        }
    });
}

fn check_of(target: &str) -> Check {
    let mut of_client = client::TARGETS.iter().filter(|(name, _)| *name == target);
    let mut of_server = server::TARGETS.iter().filter(|(name, _)| *name == target);
    match (of_client.next(), of_server.next()) {
        (Some((_, make)), _) => make(&client::Corpus::read()).check,
        (_, Some((_, make))) => make().check,
        _ => redact::check(),
    }
}
