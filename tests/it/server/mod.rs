//! The embedded backend as a process: what it keeps, what it withstands.

mod durability;
mod hostile;
pub mod process;
mod storage;
mod upkeep;
mod users;
