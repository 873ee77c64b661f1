//! All unsafe code and all libc: signals, process identity, detached daemons, descriptors.
//!
//! Every function here is safe to call; every unsafe block says why it is sound. What exists on
//! Linux alone (`/proc`, pidfd, `close_range`) sits behind `cfg` with a plain fallback.
//!
//! Deliberately absent: policy. Nothing here logs, retries or decides.

#![allow(unsafe_code)]

#[cfg(any(test, all(target_env = "musl", not(feature = "server"))))]
mod allocator;
pub mod daemon;
pub mod inotify;
pub mod input;
pub mod listener;
pub mod lock;
pub mod machine;
pub mod memory;
pub mod process;
pub mod signals;
pub mod terminal;
