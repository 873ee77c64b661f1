//! Integration tests.

mod contract;
mod server;
