//! What all fuzzers share, those of `./build.sh fuzz` and those for cargo-fuzz in `tests/fuzz`.

// Each program uses a part of it.
#![allow(dead_code)]

pub mod options;
pub mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;

/// Inputs that cargo-fuzz begins with, of each target.
const SEEDS: u64 = 400;
/// Choices under which an input that was found once is tried again.
pub const CHOICES: u64 = 16;

/// Where the fixtures are, for programs of the package and of the one in `tests/fuzz`.
pub fn fixtures() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = package.ancestors().map(|folder| folder.join("fixtures"));
    folders.find(|folder| folder.is_dir()).expect("fixtures")
}

/// Inputs that a target did not stand once, by name.
pub fn found(target: &str) -> Vec<(String, Vec<u8>)> {
    // Below `fixtures/fuzz`, which is there as soon as something was found.
    let folder = fixtures().join("fuzz").join(target);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let name = format!("{target}/{}", entry.file_name().to_string_lossy());
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// Where folders are made: in memory where that is possible, or as `CONFAB_FUZZ_FOLDER` says, for
/// whoever removes what a target leaves behind that was ended by force.
pub fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let usual = || if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    std::env::var_os("CONFAB_FUZZ_FOLDER").map_or_else(usual, PathBuf::from)
}

/// Writes what cargo-fuzz is to begin with into a folder. The last byte of its inputs says under
/// which choices they are tried.
pub fn write_seeds(folder: &Path, mut input: impl FnMut(&mut Rng) -> Vec<u8>) {
    fs::create_dir_all(folder).unwrap();
    for seed in 0..SEEDS {
        let mut input = input(&mut Rng::with_seed(seed));
        input.push((seed % CHOICES) as u8);
        fs::write(folder.join(format!("seed-{seed}")), input).unwrap();
    }
}
