//! Integration tests: real processes against a scripted backend.

mod hook;
mod support;
