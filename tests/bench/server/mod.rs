//! The embedded backend: what uploading, storing, reading back and looking for things costs.

pub mod finding;
mod growth;
mod ingest;
mod load;
#[path = "../../it/server/process.rs"]
#[allow(unused)]
pub mod process;
mod streams;

use std::fs;
use std::path::Path;
use std::time::Duration;

use self::process::{Folder, Server, create_key};
use crate::world::proc_number;

/// How often each thing is measured.
const RUNS: usize = 3;

pub fn run(lines: &[Vec<u8>]) {
    idle();
    ingest::run(lines);
    streams::run();
    growth::run();
}

/// A server that has just been started, and has answered something.
fn idle() {
    let (_folder, server, key) = started();
    server.session(&key, "e");
    let pid = server.pid();
    let private = proc_number(pid, "smaps_rollup", "Private_Dirty:")
        + proc_number(pid, "smaps_rollup", "Private_Clean:");
    let resident = resident(pid);
    println!("idle server");
    println!("  resident {} MB, private {}", megabytes(resident), megabytes(private));
}

/// A server with nothing stored, and a key.
fn started() -> (Folder, Server, String) {
    let folder = Folder::new();
    let key = create_key(&folder.0, "bench@x");
    let server = Server::start(&folder.0);
    (folder, server, key)
}

/// Memory that a process has now, in KiB.
fn resident(pid: u32) -> u64 {
    proc_number(pid, "status", "VmRSS:")
}

/// Bytes of all files in a folder.
fn bytes_in(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// kB as MB.
fn megabytes(kilobytes: u64) -> String {
    format!("{:.1}", kilobytes as f64 / 1024.0)
}

/// Megabytes a second.
fn rate(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64()
}
