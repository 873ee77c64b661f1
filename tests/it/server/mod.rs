//! The embedded backend as a process.

pub mod process;
