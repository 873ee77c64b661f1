//! Integration tests: real processes against a scripted backend.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

mod content;
mod corpus;
mod daemon;
mod delivery;
mod files;
mod hook;
mod support;
