//! Integration tests.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

mod contract;
mod server;
