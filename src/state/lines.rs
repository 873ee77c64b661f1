//! A hash for each acknowledged line of a file: entry `n` covers lines 1 to `n + 1`, so that the
//! line at which a rewritten file parts from what was acknowledged is found exactly.
//!
//! Eight bytes a line, appended behind each acknowledgement. The entries are a help, not a truth:
//! when the file is missing or shorter than the state says, the file counts as rewritten from
//! there.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;

use crate::files::{self, Paths, SessionId};

const ENTRY_BYTES: u64 = 8;

/// The line hashes of one file of one session.
#[derive(Debug, Clone)]
pub struct LineHashes {
    path: PathBuf,
}

impl LineHashes {
    /// The hashes of the file that the backend knows by `name`.
    pub fn new(paths: &Paths, id: &SessionId, name: &str) -> LineHashes {
        // The name may hold slashes and be too long for a file name, so its hash stands for it.
        let key = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        LineHashes { path: paths.sync.join(format!("{id}.{key:016x}.lines")) }
    }

    /// Appends the hashes of the lines behind line `line`, dropping what was there of those.
    ///
    /// # Errors
    /// As the system calls. A file that is too short is left alone: it covers no more than it does.
    pub fn append(&self, line: u64, hashes: &[u64]) -> io::Result<()> {
        let mut file = files::private_file().append(true).create(true).open(&self.path)?;
        let length = line * ENTRY_BYTES;
        match file.metadata()?.len() {
            there if there < length => return Ok(()),
            there if there > length => file.set_len(length)?,
            _ => {}
        }
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        file.write_all(&bytes)
    }

    /// How many lines have a hash.
    pub fn count(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len() / ENTRY_BYTES)
    }

    /// The hashes from line 1 on, as far as they can be read.
    pub fn read(&self) -> impl Iterator<Item = u64> + use<> {
        let mut reader = File::open(&self.path).ok().map(BufReader::new);
        std::iter::from_fn(move || {
            let mut entry = [0; ENTRY_BYTES as usize];
            reader.as_mut()?.read_exact(&mut entry).ok()?;
            Some(u64::from_le_bytes(entry))
        })
    }
}
