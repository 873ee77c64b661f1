//! Files of our own: atomic replacement, bounded reads, private folders, names that are safe in a
//! path, and where everything lies.
//!
//! A file of ours is replaced whole (temporary file in the same folder, fsync, rename, fsync of the
//! folder), never written in place; what is read back is bounded. Folders are 0700, files 0600.
//!
//! Deliberately absent: reading the environment. `main` reads it and hands the roots to
//! [`Paths::new`].

mod id;
mod new_file;
mod place;

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

pub use id::SessionId;
pub use new_file::{NewFile, move_new};
pub use place::{make_folders, place};

/// Bytes for which there is room before a bounded file is read.
const FIRST_READ_BYTES: usize = 4096;

/// Where everything lies on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `~/.confab`: state, logs and the embedded backend's data.
    pub root: PathBuf,
    /// `~/.confab/config.json`, or `CONFAB_CONFIG_PATH`.
    pub config: PathBuf,
    /// `~/.confab/sync`: one state, lock and inbox a session.
    pub sync: PathBuf,
    /// `~/.confab/kept`: what must be remembered of a session once its state is gone.
    pub kept: PathBuf,
    /// `~/.confab`: where `confab watch` says what it does.
    pub watch: PathBuf,
    /// `~/.confab/logs`, or `CONFAB_LOG_DIR`.
    pub logs: PathBuf,
    /// Claude's folders, most specific first: `CLAUDE_CONFIG_DIR`, `CONFAB_CLAUDE_DIR`,
    /// `~/.claude`.
    pub claude: Vec<PathBuf>,
}

/// The parts of the environment that decide [`Paths`]; an empty value counts as unset.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    /// The user's home directory.
    pub home: PathBuf,
    /// `CONFAB_CONFIG_PATH`.
    pub config_path: Option<PathBuf>,
    /// `CONFAB_LOG_DIR`.
    pub log_dir: Option<PathBuf>,
    /// `CLAUDE_CONFIG_DIR`.
    pub claude_config_dir: Option<PathBuf>,
    /// `CONFAB_CLAUDE_DIR`.
    pub confab_claude_dir: Option<PathBuf>,
}

impl Paths {
    /// The user's home directory.
    pub fn home(&self) -> &Path {
        self.root.parent().unwrap_or(&self.root)
    }

    /// `~/.confab/redaction.key`: what keys the tags of stable markers.
    pub fn marker_key(&self) -> PathBuf {
        self.root.join("redaction.key")
    }

    /// As `confab watch` uses them. One with a configuration of its own keeps all that it knows of
    /// sessions to itself, in a folder below `~/.confab/watches`: hooks may send the same sessions
    /// to another backend, and what was sent to one, or is left to be sent to it, is no business of
    /// the other.
    pub fn of_watch(&self) -> Paths {
        if self.config == self.root.join("config.json") {
            return self.clone();
        }
        let bytes = self.config.as_os_str().as_bytes();
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.with_state_in(self.watches().join(format!("{hash:016x}")))
    }

    /// As hooks and their daemons use them.
    pub fn of_hooks(&self) -> Paths {
        self.with_state_in(self.root.clone())
    }

    /// True when these are not those of hooks.
    pub fn are_apart(&self) -> bool {
        self.watch != self.root
    }

    /// `~/.confab/watches`: a folder for each watch with a configuration of its own.
    pub fn watches(&self) -> PathBuf {
        self.root.join("watches")
    }

    fn with_state_in(&self, folder: PathBuf) -> Paths {
        let (sync, kept) = (folder.join("sync"), folder.join("kept"));
        Paths { sync, kept, watch: folder, ..self.clone() }
    }

    /// Derives all paths from the roots.
    pub fn new(roots: Roots) -> Paths {
        let set = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
        let root = roots.home.join(".confab");
        let mut claude: Vec<PathBuf> = [set(roots.claude_config_dir), set(roots.confab_claude_dir)]
            .into_iter()
            .flatten()
            .collect();
        claude.push(roots.home.join(".claude"));
        claude.dedup();
        Paths {
            config: set(roots.config_path).unwrap_or_else(|| root.join("config.json")),
            sync: root.join("sync"),
            kept: root.join("kept"),
            watch: root.clone(),
            logs: set(roots.log_dir).unwrap_or_else(|| root.join("logs")),
            claude,
            root,
        }
    }
}

/// What tells one file from another and one content from the next, as far as the file system knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// Modification time in nanoseconds since 1970.
    pub modified_nanos: i128,
}

impl Stamp {
    /// The stamp of an open file or of what a path names.
    pub fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_nanos: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
        }
    }

    /// True when both stamps are of the same file, whatever it holds.
    pub fn same_file(&self, other: &Stamp) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// True while a path names this open file, and not another one that has taken its name.
pub fn names(path: &Path, file: &File) -> bool {
    match (std::fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => Stamp::of(&named).same_file(&Stamp::of(&open)),
        _ => false,
    }
}

/// Reads a whole file of at most `bytes_max` bytes.
///
/// # Errors
/// As `open` and `read`; `FileTooLarge` when the file is longer.
pub fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // Most files are read in one go: growing from nothing takes a system call for each doubling.
    let mut bytes = Vec::with_capacity(FIRST_READ_BYTES.min(bytes_max));
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Reads the first bytes of a file, at most `bytes_max`.
///
/// # Errors
/// As `open` and `read`.
pub fn read_start(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces `path` by a file with these bytes, mode 0600, so that a reader sees the old content or
/// the new one, also after a power cut. The folder must exist.
///
/// # Errors
/// As the system calls; the old file is then untouched and the temporary one removed.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_like(path, bytes, None, &|| true).map(drop)
}

/// As [`replace`], with what a reader gives to its end.
///
/// # Errors
/// As [`replace`], and as the reader.
pub fn replace_from(path: &Path, content: &mut dyn Read) -> io::Result<()> {
    put(path, content, None, &|| true).map(drop)
}

/// As [`replace`], with the mode and owner of `like` where that is given. `is_current` is asked
/// last; when it says no, nothing has happened, and this returns false.
///
/// # Errors
/// As [`replace`].
pub fn replace_like(
    path: &Path,
    bytes: &[u8],
    like: Option<&Metadata>,
    is_current: &dyn Fn() -> bool,
) -> io::Result<bool> {
    put(path, &mut &*bytes, like, is_current)
}

fn put(
    path: &Path,
    content: &mut dyn Read,
    like: Option<&Metadata>,
    is_current: &dyn Fn() -> bool,
) -> io::Result<bool> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // The process id makes the name unique among writers: a process writes a file from one thread.
    let temporary = folder.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = write_new(&temporary, content, like).and_then(|()| match is_current() {
        true => std::fs::rename(&temporary, path).map(|()| true),
        false => Ok(false),
    });
    if !matches!(written, Ok(true)) {
        let _ = std::fs::remove_file(&temporary);
        return written;
    }
    sync_folder(folder)?;
    Ok(true)
}

/// Makes a folder with mode 0700, and its parents. One that is there is left as it is.
///
/// # Errors
/// As `mkdir`.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a folder with mode 0700, and its parents. An existing one, which must be ours, is closed
/// to others.
///
/// # Errors
/// As `mkdir` and `chmod`.
pub fn private_folder(path: &Path) -> io::Result<()> {
    make_folder(path)?;
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Removes a file; one that is not there is as good as removed.
///
/// # Errors
/// As `unlink`, but for "not found".
pub fn remove_if_present(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Options that create a private file.
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn write_new(path: &Path, content: &mut dyn Read, like: Option<&Metadata>) -> io::Result<()> {
    let mut file = private_file().write(true).create(true).truncate(true).open(path)?;
    io::copy(content, &mut file)?;
    if let Some(like) = like {
        let mine = file.metadata()?;
        if (mine.uid(), mine.gid()) != (like.uid(), like.gid()) {
            fchown(&file, Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(like.permissions())?;
    }
    file.sync_all()
}

/// Makes a rename durable. Some file systems cannot sync a folder; that is no reason to fail.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_variables_count_as_unset() {
        let roots = Roots {
            home: "/h".into(),
            config_path: Some("".into()),
            claude_config_dir: Some("/c".into()),
            ..Roots::default()
        };
        let paths = Paths::new(roots);
        assert_eq!(paths.config, Path::new("/h/.confab/config.json"));
        assert_eq!(paths.claude, [Path::new("/c"), Path::new("/h/.claude")]);
    }

    #[test]
    fn replace_is_private_whole_and_leaves_no_temporary_file() {
        let folder = std::env::temp_dir().join(format!("confab-files-{}", std::process::id()));
        private_folder(&folder).unwrap();
        let path = folder.join("a.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read_bounded(&path, 3).unwrap(), b"two");
        let error = read_bounded(&path, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
