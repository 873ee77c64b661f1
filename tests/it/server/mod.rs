//! The embedded backend as a process: what it keeps, what it withstands.

mod accounts;
mod doors;
mod durability;
mod export;
mod full_disk;
mod hostile;
pub mod process;
mod removal;
mod rest;
mod service;
mod storage;
mod transfer;
mod upkeep;
mod users;
