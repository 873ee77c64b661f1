//! The embedded backend as a process: what it keeps, what it withstands.

mod accounts;
mod doors;
mod durability;
mod export;
mod finding;
mod full_disk;
mod hostile;
pub mod process;
mod removal;
mod rest;
mod service;
mod shares;
mod standing;
mod storage;
mod streams;
mod transfer;
mod upkeep;
mod users;
