//! The targets of the client, by name.

mod answers;
mod config;
mod corpus;
mod hook;
#[path = "../fuzz_server/mutate.rs"]
pub mod mutate;
mod settings;
mod stored;
mod transcript;
mod world;

pub use corpus::Corpus;

use crate::shared::targets::Check;

/// What is mutated, and what must hold of it.
pub struct Target {
    pub name: &'static str,
    /// What is mutated.
    pub samples: Vec<Vec<u8>>,
    /// What is put in between.
    pub tricky: &'static [&'static [u8]],
    pub check: Check,
    /// What the counted things are called.
    pub counted: &'static str,
    /// Inputs of the short run.
    pub rounds: u64,
}

/// Makes a target.
pub type Make = fn(&Corpus) -> Target;

pub const TARGETS: [(&str, Make); 8] = [
    ("hook", hook::target),
    ("settings", settings::target),
    ("config", config::target),
    ("transcript", transcript::target),
    ("state", stored::state),
    ("inbox", stored::inbox),
    ("sent", stored::sent),
    ("answers", answers::target),
];
