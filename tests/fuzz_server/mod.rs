//! The targets of the server, by name.

mod chunk;
mod corpus;
mod http;
mod mutate;
mod readers;
#[path = "../it/server/response.rs"]
#[allow(unused)]
mod response;

pub use corpus::Corpus;

use fastrand::Rng;

use crate::shared::targets::Check;

/// Something that is given inputs.
pub struct Target {
    pub name: &'static str,
    /// Makes an input.
    pub input: fn(&Corpus, &mut Rng) -> Vec<u8>,
    pub check: Check,
    /// What the counted things are called.
    pub counted: &'static str,
}

/// Makes a target.
pub type Make = fn() -> Target;

pub const TARGETS: [(&str, Make); 2] = [("http", http::target), ("chunk", chunk::target)];
