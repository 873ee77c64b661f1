//! For each line of a file that was sent: a hash, and the number under which the backend has it.
//!
//! Entry `n` covers lines 1 to `n + 1`, so that the line at which a rewritten file parts from what
//! was sent is found exactly; the numbers say what of it the backend has, whatever it says it has.
//! Sixteen bytes a line, written before the request: what the backend does not have in the end is
//! told by its own count. Once a session is delivered they are kept, beside the state that is
//! removed: the file may be rewritten before the session is taken up again.
//!
//! A journal, written in place at its end alone. Each entry carries its own check, and the first
//! one that is not sound ends what is believed: the entries are a help, not a truth. Where they are
//! missing, the state file is asked, and where that is missing, too, the backend's count.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::files::{self, Paths, SessionId};

/// More lines of one file than any backend has; numbers beyond it are not believed.
pub const FILE_LINES_MAX: u64 = 1 << 40;

/// What a file of this format begins with; as long as an entry.
const HEADER: [u8; ENTRY_BYTES as usize] = *b"confab sent 1\n\0\0";
const ENTRY_BYTES: u64 = 16;
/// Bits of an entry's second half that are the number; the others are the check.
const NUMBER_BITS: u32 = 48;
/// What the names of these files end with.
pub(super) const ENDING: &str = ".sent";
/// Files looked at in one folder.
const FILES_MAX: usize = 100_000;

/// A line that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentLine {
    /// Covers all lines up to this one.
    pub hash: u64,
    /// The backend's number of it.
    pub server_line: u64,
}

impl SentLine {
    /// As it is written for line `index`, counted from 0.
    fn bytes(self, index: u64) -> [u8; ENTRY_BYTES as usize] {
        let second = self.server_line | self.check(index) << NUMBER_BITS;
        let mut bytes = [0; ENTRY_BYTES as usize];
        bytes[..8].copy_from_slice(&self.hash.to_le_bytes());
        bytes[8..].copy_from_slice(&second.to_le_bytes());
        bytes
    }

    /// What was written for line `index`, when it is sound.
    fn read(bytes: [u8; ENTRY_BYTES as usize], index: u64) -> Option<SentLine> {
        let number = u128::from_le_bytes(bytes);
        let (hash, second) = (number as u64, (number >> 64) as u64);
        let line = SentLine { hash, server_line: second & ((1 << NUMBER_BITS) - 1) };
        (line.check(index) == second >> NUMBER_BITS).then_some(line)
    }

    /// Sixteen bits that damage is not likely to hit; not made against malice.
    fn check(self, index: u64) -> u64 {
        let mixed = self.hash ^ self.server_line.rotate_left(24) ^ (index + 1).rotate_left(48);
        mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> NUMBER_BITS
    }
}

/// What was sent of one file of one session to one backend.
#[derive(Debug, Clone)]
pub struct SentLines {
    path: PathBuf,
    kept: PathBuf,
}

impl SentLines {
    /// Those of the file that the backend knows by `name`, in the session that it knows by
    /// `backend_id`: what one backend has says nothing of what another one has.
    pub fn new(paths: &Paths, id: &SessionId, backend_id: &str, name: &str) -> SentLines {
        // Both may hold slashes and be too long for a file name, so their hash stands for them.
        let bytes = backend_id.bytes().chain([0]).chain(name.bytes());
        let key = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let file = format!("{id}.{key:016x}{ENDING}");
        SentLines { path: paths.sync.join(&file), kept: paths.kept.join(file) }
    }

    /// Takes up what was kept when the session was delivered, unless there is something newer.
    pub fn take_up(&self) {
        if !self.path.exists() {
            let _ = std::fs::rename(&self.kept, &self.path);
        }
    }

    /// Notes that the lines behind line `line` are sent, to be the backend's lines behind
    /// `server_line`; drops what was there of those.
    ///
    /// # Errors
    /// As the system calls. A file that is too short is left alone: it covers no more than it does,
    /// and so is a number beyond [`FILE_LINES_MAX`].
    pub fn append(&self, line: u64, server_line: u64, hashes: &[u64]) -> io::Result<()> {
        let numbers = server_line + 1..;
        let entries = hashes.iter().zip(numbers);
        self.replace(line, entries.map(|(hash, server_line)| SentLine { hash: *hash, server_line }))
    }

    /// Replaces all entries behind those of the first `line` lines, unless they begin with these.
    ///
    /// # Errors
    /// As [`SentLines::append`].
    pub fn replace(&self, line: u64, entries: impl Iterator<Item = SentLine>) -> io::Result<()> {
        let mut options = files::private_file();
        let file = options.read(true).write(true).create(true).truncate(false).open(&self.path)?;
        let mut there = file.metadata()?.len();
        if !begins_well(&file) {
            // Nothing that is there can be read.
            file.set_len(0)?;
            file.write_all_at(&HEADER, 0)?;
            there = ENTRY_BYTES;
        }
        let at = line.saturating_add(1).saturating_mul(ENTRY_BYTES);
        if there < at {
            return Ok(());
        }
        let bytes: Vec<u8> = entries
            .zip(line..)
            .take_while(|(entry, _)| entry.server_line <= FILE_LINES_MAX)
            .flat_map(|(entry, index)| entry.bytes(index))
            .collect();
        let mut before = vec![0; bytes.len()];
        if file.read_exact_at(&mut before, at).is_ok() && before == bytes {
            // They are sent again. What was sent behind them may be there, too.
            return Ok(());
        }
        // Written before the rest is cut off: that a line of a higher number follows says that all
        // lines in front of it are known.
        file.write_all_at(&bytes, at)?;
        let end = at + bytes.len() as u64;
        if there > end { file.set_len(end) } else { Ok(()) }
    }

    /// Notes that the file parts from what was sent behind line `line`, and that the backend's
    /// lines up to `server_line` are no longer those that follow.
    ///
    /// # Errors
    /// As [`SentLines::append`].
    pub fn part(&self, line: u64, server_line: u64) -> io::Result<()> {
        // No line has this hash, and whatever is sent next takes its place.
        let entry = SentLine { hash: 0, server_line: server_line + 1 };
        self.replace(line, std::iter::once(entry))
    }

    /// How many lines have an entry.
    pub fn count(&self) -> u64 {
        self.entries().count() as u64
    }

    /// The hashes of the lines that a backend with `server_line` lines has, from line 1 on, as far
    /// as they can be read.
    pub fn hashes(&self, server_line: u64) -> impl Iterator<Item = u64> + use<> {
        let known = self.entries().take_while(move |entry| entry.server_line <= server_line);
        known.map(|entry| entry.hash)
    }

    /// How many lines of the file a backend with `server_line` lines has, and up to which of its
    /// lines that is known.
    pub fn known(&self, server_line: u64) -> (u64, u64) {
        let (mut line, mut covered) = (0, 0);
        for entry in self.entries() {
            if entry.server_line > server_line {
                // The backend had all lines in front of this one when it was sent. Those of them
                // that have no entry stand no longer in the file.
                return (line, server_line);
            }
            (line, covered) = (line + 1, entry.server_line);
        }
        (line, covered)
    }

    fn entries(&self) -> impl Iterator<Item = SentLine> + use<> {
        let file = File::open(&self.path).ok().filter(begins_well);
        let mut reader = file.map(BufReader::new);
        if let Some(reader) = &mut reader {
            // It has just been read.
            let _ = reader.read_exact(&mut [0; ENTRY_BYTES as usize]);
        }
        let (mut index, mut last) = (0, 0);
        std::iter::from_fn(move || {
            let mut bytes = [0; ENTRY_BYTES as usize];
            reader.as_mut()?.read_exact(&mut bytes).ok()?;
            // Numbers grow. Lower ones stand behind a place where writing ended too early.
            let entry = SentLine::read(bytes, index).filter(|entry| entry.server_line > last);
            (index, last) = (index + 1, entry.map_or(u64::MAX, |entry| entry.server_line));
            entry
        })
    }
}

fn begins_well(file: &File) -> bool {
    let mut header = [0; ENTRY_BYTES as usize];
    file.read_exact_at(&mut header, 0).is_ok() && header == HEADER
}

/// Forgets what was sent of a delivered session: the backend does not have it any more, or has it
/// from elsewhere.
///
/// # Errors
/// As the system calls.
pub fn forget_sent(paths: &Paths, id: &SessionId) -> io::Result<()> {
    for folder in [&paths.sync, &paths.kept] {
        for name in names(folder).filter(|name| is_of(name, id)) {
            files::remove_if_present(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Keeps what was sent of a session whose state is being removed.
///
/// # Errors
/// As the system calls.
pub fn keep_sent(paths: &Paths, id: &SessionId) -> io::Result<()> {
    for name in names(&paths.sync).filter(|name| is_of(name, id)) {
        files::private_folder(&paths.kept)?;
        std::fs::rename(paths.sync.join(&name), paths.kept.join(&name))?;
    }
    Ok(())
}

fn is_of(name: &str, id: &SessionId) -> bool {
    let rest = name.strip_prefix(id.as_str()).and_then(|rest| rest.strip_prefix('.'));
    rest.is_some_and(|rest| rest.ends_with(ENDING))
}

pub(super) fn names(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(FILES_MAX).flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> (Folder, SentLines) {
            let home =
                std::env::temp_dir().join(format!("confab-lines-{}-{name}", std::process::id()));
            let paths = Paths::new(files::Roots { home: home.clone(), ..files::Roots::default() });
            std::fs::create_dir_all(&paths.sync).unwrap();
            let id = SessionId::new("a").unwrap();
            (Folder(home), SentLines::new(&paths, &id, "b", "a.jsonl"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn hashes(sent: &SentLines) -> Vec<u64> {
        sent.hashes(u64::MAX).collect()
    }

    #[test]
    fn nothing_behind_damage_is_believed() {
        let (_folder, sent) = Folder::new("damage");
        let all = [7, 8, 9, 0];
        sent.append(0, 100, &all).unwrap();
        let sound = std::fs::read(&sent.path).unwrap();
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut damaged = sound.clone();
                damaged[at] ^= 1 << bit;
                std::fs::write(&sent.path, damaged).unwrap();
                let entry = at / ENTRY_BYTES as usize;
                assert_eq!(hashes(&sent), all[..entry.saturating_sub(1)], "bit {bit} of byte {at}");
            }
            let mut zeroed = sound.clone();
            zeroed[at..].fill(0);
            std::fs::write(&sent.path, zeroed).unwrap();
            assert!(all.starts_with(&hashes(&sent)), "zeros from byte {at} on");
            std::fs::write(&sent.path, &sound[..at]).unwrap();
            assert!(all.starts_with(&hashes(&sent)), "cut at byte {at}");
        }
    }

    #[test]
    fn what_is_of_another_format_is_replaced() {
        let (_folder, sent) = Folder::new("format");
        std::fs::write(&sent.path, [7; 160]).unwrap();
        assert!(hashes(&sent).is_empty());
        sent.append(3, 3, &[9]).unwrap();
        assert!(hashes(&sent).is_empty());
        sent.append(0, 0, &[7]).unwrap();
        sent.append(1, 1, &[8]).unwrap();
        assert_eq!(hashes(&sent), [7, 8]);
    }

    #[test]
    fn a_rewrite_that_is_torn_leaves_no_old_line_behind_a_new_one() {
        let (_folder, sent) = Folder::new("torn");
        sent.append(0, 0, &[1, 2, 3, 4, 5]).unwrap();
        let old = std::fs::read(&sent.path).unwrap();
        sent.append(2, 5, &[13, 14]).unwrap();
        let new = std::fs::read(&sent.path).unwrap();
        assert_eq!(hashes(&sent), [1, 2, 13, 14]);
        for written in 48..new.len() {
            std::fs::write(&sent.path, [&new[..written], &old[written..]].concat()).unwrap();
            let n_new = (written - 48) / 16;
            let found = hashes(&sent);
            let expected = [&[1, 2][..], &[13, 14][..n_new]].concat();
            let is_untouched = written == 48 && found == [1, 2, 3, 4, 5];
            assert!(is_untouched || found == expected, "{written}: {found:?}");
        }
    }

    #[test]
    fn the_backends_count_tells_which_lines_it_has() {
        let (_folder, sent) = Folder::new("known");
        sent.append(0, 0, &[1, 2, 3]).unwrap();
        // Rewritten behind line 1: the backend keeps its lines 2 and 3.
        sent.append(1, 3, &[12, 13]).unwrap();
        let known: Vec<(u64, u64)> = (0..=6).map(|line| sent.known(line)).collect();
        assert_eq!(known, [(0, 0), (1, 1), (1, 2), (1, 3), (2, 4), (3, 5), (3, 5)]);
    }

    #[test]
    fn numbers_that_no_backend_has_are_not_noted() {
        let (_folder, sent) = Folder::new("numbers");
        sent.append(0, FILE_LINES_MAX - 1, &[1, 2]).unwrap();
        assert_eq!(hashes(&sent), [1]);
        sent.append(u64::MAX, 1, &[3]).unwrap();
        assert_eq!(hashes(&sent), [1]);
    }
}
