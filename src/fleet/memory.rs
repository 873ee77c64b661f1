//! What is remembered of sessions that the backend has whole, from one run to the next: what they
//! looked like, so that thousands of them are not asked for again at each start.
//!
//! A hash a line, in a file that begins with the backend and the user it is about; another backend
//! knows nothing of what this one has. Lines are only added; at the start those of sessions that
//! look otherwise now are left out. Losing it all costs questions to the backend and no line.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::config::Account;
use crate::files::{self, Paths};

use super::scan::hash;

/// Bytes of the file that are read: more than a million sessions.
const FILE_BYTES_MAX: usize = 32 << 20;
/// What the first line begins with.
const HEAD: &str = "confab watch 1";

/// The file, open for adding to it.
#[derive(Debug)]
pub struct Memory {
    file: File,
}

/// The hashes that are remembered for this account. What cannot be read is as if it was not there.
pub fn load(paths: &Paths, account: &Account) -> BTreeSet<u64> {
    let bytes = files::read_bounded(&path(paths), FILE_BYTES_MAX).unwrap_or_default();
    let mut lines = bytes.split(|byte| *byte == b'\n');
    if lines.next() != Some(head(account).as_bytes()) {
        return BTreeSet::new();
    }
    let number = |line: &[u8]| {
        let text = std::str::from_utf8(line).ok().filter(|text| text.len() == 16)?;
        u64::from_str_radix(text, 16).ok()
    };
    lines.filter_map(number).collect()
}

impl Memory {
    /// Begins the file anew with these hashes.
    ///
    /// # Errors
    /// As the system calls.
    pub fn begin(
        paths: &Paths,
        account: &Account,
        known: impl Iterator<Item = u64>,
    ) -> io::Result<Memory> {
        let mut text = head(account);
        text.push('\n');
        for hash in known {
            text += &format!("{hash:016x}\n");
        }
        files::private_folder(&paths.watch)?;
        files::private_folder(&paths.kept)?;
        files::replace(&path(paths), text.as_bytes())?;
        let file = files::private_file().append(true).open(path(paths))?;
        Ok(Memory { file })
    }

    /// A session that looks like this is on the backend whole.
    ///
    /// # Errors
    /// As `write`.
    pub fn add(&mut self, hash: u64) -> io::Result<()> {
        self.file.write_all(format!("{hash:016x}\n").as_bytes())
    }
}

/// Names backend and user without telling the key.
fn head(account: &Account) -> String {
    let whose = account.url.bytes().chain([0]).chain(account.key.bytes());
    format!("{HEAD} {:016x}", hash(whose))
}

fn path(paths: &Paths) -> PathBuf {
    paths.kept.join("watched")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_kept_for_one_account_and_a_torn_line_is_skipped() {
        let home = std::env::temp_dir().join(format!("confab-memory-{}", std::process::id()));
        let paths = Paths::new(files::Roots { home: home.clone(), ..files::Roots::default() });
        std::fs::create_dir_all(&home).unwrap();
        let account = |key: &str| Account {
            url: "http://localhost:1".into(),
            key: key.into(),
            ca_file: None,
        };
        let mut memory = Memory::begin(&paths, &account("a"), [3].into_iter()).unwrap();
        memory.add(7).unwrap();
        memory.file.write_all(b"00000000000000").unwrap();
        assert_eq!(load(&paths, &account("a")), BTreeSet::from([3, 7]));
        assert_eq!(load(&paths, &account("b")), BTreeSet::new());
        std::fs::remove_dir_all(&home).unwrap();
    }
}
