//! A file that appears whole or not at all, and never in the place of another one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{private_file, remove_if_present, sync_folder};

/// Marks an unfinished file: [`super::place`] never makes such a name.
const UNFINISHED: &str = "%.part";

/// A file with mode 0600 that is being written under another name. Dropped, it is gone; a process
/// that is killed leaves a file called `.confab-PID%.part`.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Starts to write `path`, whose folder must be there. A process writes one file of a folder at
    /// a time.
    ///
    /// # Errors
    /// `AlreadyExists` when there is something of that name; else as `open`.
    pub fn create(path: &Path) -> io::Result<NewFile> {
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let temporary = folder.join(format!(".confab-{}{UNFINISHED}", std::process::id()));
        // What a killed process of the same number has left.
        remove_if_present(&temporary)?;
        let file = private_file().write(true).create_new(true).open(&temporary)?;
        Ok(NewFile { file, temporary, path: path.to_owned() })
    }

    /// Gives the file its name, once it is on the disk.
    ///
    /// # Errors
    /// `AlreadyExists` when something of that name has come meanwhile; else as the system calls.
    /// There is no file then.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        move_new(&self.temporary, &self.path)
    }
}

/// Gives a file another name in the same file system, unless something has that name.
///
/// # Errors
/// `AlreadyExists` when something has it; else as the system calls.
pub fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    // Unlike a rename, a link never replaces anything.
    match fs::hard_link(from, to) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // A file system without links.
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)?;
        }
        linked => linked?,
    }
    remove_if_present(from)?;
    sync_folder(to.parent().ok_or(io::ErrorKind::InvalidInput)?)
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all_and_replaces_nothing() {
        let folder = std::env::temp_dir().join(format!("confab-new-file-{}", std::process::id()));
        super::super::private_folder(&folder).unwrap();
        let path = folder.join("a");
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"one").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);

        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"two").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let error = NewFile::create(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);

        // Somebody else was faster.
        let other = folder.join("b");
        let file = NewFile::create(&other).unwrap();
        fs::write(&other, "theirs").unwrap();
        assert_eq!(file.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&other).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }
}
