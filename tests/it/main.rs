//! Integration tests: real processes against a scripted backend, and the engine against a model.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

mod cli;
mod commands;
mod content;
mod contract;
mod corpus;
mod daemon;
mod delivery;
mod dist;
mod exclude;
mod files;
mod filter;
mod fleet;
mod hook;
mod kills;
mod links;
mod live;
mod network;
mod recovery;
mod reports;
mod server;
mod sessions;
mod settings;
mod setup;
mod shell;
mod simulation;
mod stored;
mod support;
