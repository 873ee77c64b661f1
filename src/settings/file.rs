//! `settings.json` on disk: read, changed, and replaced in one step, or left as it is.
//!
//! A file that a symbolic link names is replaced where it lies. Before the first change the file is
//! copied to `settings.json.confab-backup` beside it, or to the next free one of
//! `…-backup-2` to `…-backup-9`: an older backup is never overwritten. When our hooks are taken
//! out again and a backup is what the file was before they came, that backup becomes the file.
//!
//! Processes of confab's keep each other out by a lock on the folder. Others are noticed: the file
//! is read again right before the rename, and everything is done anew when it is another one. What
//! is written between that look and the rename is lost; there is no system call against it.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::files::{self, Stamp};
use crate::settings::Program;
use crate::settings::edit::{self, Change, Report, differs_in_ours_only, is_original};
use crate::sys;

/// Bytes of a `settings.json`.
const SETTINGS_BYTES_MAX: usize = 4 << 20;
/// How often a change is tried while another program changes the file.
const TRIES_MAX: usize = 10;
/// Backups of one file.
const BACKUPS_MAX: usize = 9;
/// How long another process of confab's may take for its change.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);

/// What was done to the settings of one of Claude's folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The settings file, as it was named.
    pub file: PathBuf,
    /// What was done; nothing when all was as it should be.
    pub changes: Vec<Change>,
    /// Where the file as it was before is now, when that was not kept already.
    pub backup: Option<PathBuf>,
    /// The file held nothing but our hooks, and is gone.
    pub is_gone: bool,
}

/// The settings file of one of Claude's folders.
pub fn settings_file(folder: &Path) -> PathBuf {
    folder.join("settings.json")
}

/// Puts our hooks into the settings of one of Claude's folders; makes what is missing.
///
/// # Errors
/// When the file cannot be read, is not what it should be, or cannot be replaced. It is untouched
/// then.
pub fn add_to(folder: &Path, program: &Program) -> Result<Outcome> {
    let file = settings_file(folder);
    let made = files::make_folder(folder).context(|| what(&file));
    made.map_err(|error| error.with_hint(format!("{} is to be a folder", folder.display())))?;
    change(folder, program, &|before| {
        let edit = edit::add(before.map_or(b"", |before| &before.bytes), program)?;
        Ok(Plan { changes: edit.changes, after: Some(edit.bytes), restored: None })
    })
}

/// Takes everything of confab's out of the settings of one of Claude's folders.
///
/// # Errors
/// As [`add_to`].
pub fn remove_from(folder: &Path, program: &Program) -> Result<Outcome> {
    let file = settings_file(folder);
    if fs::symlink_metadata(&file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(Outcome { file, changes: Vec::new(), backup: None, is_gone: false });
    }
    change(folder, program, &|before| {
        let Some(before) = before else { return Ok(Plan::default()) };
        let edit = edit::remove(&before.bytes, program)?;
        let original = backups(folder).into_iter().find_map(|path| {
            let bytes = files::read_bounded(&path, SETTINGS_BYTES_MAX).ok()?;
            is_original(&bytes, &before.bytes, program).then_some((path, bytes))
        });
        let (restored, after) = match original {
            Some((path, bytes)) => (Some(path), Some(bytes)),
            // Somebody's link may not dangle.
            None if edit.is_bare && !before.is_link => (None, None),
            None => (None, Some(edit.bytes)),
        };
        Ok(Plan { changes: edit.changes, after, restored })
    })
}

/// Looks for our hooks in the settings of one of Claude's folders; a missing file has none.
///
/// # Errors
/// When the file cannot be read or is not what it should be.
pub fn inspect_in(folder: &Path, program: &Program) -> Result<Report> {
    let file = settings_file(folder);
    let what = || format!("read {}", file.display());
    let found = Present::read(&file).context(what)?;
    edit::inspect(found.as_ref().map_or(b"", |found| &found.bytes), program).context(what)
}

/// What is to become of the file.
#[derive(Default)]
struct Plan {
    changes: Vec<Change>,
    /// `None` when it is to go.
    after: Option<Vec<u8>>,
    /// The backup that it comes from.
    restored: Option<PathBuf>,
}

fn what(file: &Path) -> String {
    format!("change {}", file.display())
}

fn change(
    folder: &Path,
    program: &Program,
    plan: &dyn Fn(Option<&Present>) -> Result<Plan>,
) -> Result<Outcome> {
    let file = settings_file(folder);
    let lock = File::open(folder).context(|| what(&file))?;
    sys::lock::within(&lock, LOCK_WAIT_MAX).context(|| what(&file))?;
    for _ in 0..TRIES_MAX {
        let before = Present::read(&file).context(|| what(&file))?;
        let Plan { changes, after, restored } = plan(before.as_ref()).context(|| what(&file))?;
        if changes.is_empty() {
            return Ok(Outcome { file, changes, backup: None, is_gone: false });
        }
        let backup = match &before {
            Some(before) if after.is_some() => back_up(folder, before, program)?,
            _ => None,
        };
        let written = write(&file, before.as_ref(), after.as_deref());
        let written = written.context(|| what(&file)).map_err(|error| {
            error.with_hint("it is as it was; look at the owner and mode of file and folder")
        });
        let is_gone = after.is_none();
        if written.as_ref().is_ok_and(|written| *written) {
            if let Some(restored) = restored {
                files::remove_if_present(&restored).context(|| what(&file))?;
            }
            return Ok(Outcome { file, changes, backup, is_gone });
        }
        if let Some(backup) = backup {
            files::remove_if_present(&backup).context(|| what(&file))?;
        }
        written?;
    }
    Err(Error::new(what(&file))
        .caused_by(Error::new("another program keeps changing it"))
        .with_hint("try again when it has finished"))
}

/// A settings file that is there.
struct Present {
    /// Where it lies.
    target: PathBuf,
    /// It was named by a symbolic link.
    is_link: bool,
    bytes: Vec<u8>,
    metadata: Metadata,
}

impl Present {
    /// Reads a file; `None` when it is missing.
    fn read(file: &Path) -> Result<Option<Present>> {
        let link = match fs::symlink_metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(|error| Error::new(error.to_string()))?,
        };
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::new("it is a symbolic link to nothing")
                .with_hint("make the file that it names, or remove the link"),
            _ => Error::new(error.to_string()),
        };
        let target = fs::canonicalize(file).map_err(failed)?;
        let metadata = fs::metadata(&target).map_err(failed)?;
        if !metadata.is_file() {
            return Err(Error::new("it is no file"));
        }
        let bytes = files::read_bounded(&target, SETTINGS_BYTES_MAX).map_err(failed)?;
        Ok(Some(Present { target, is_link: link.is_symlink(), bytes, metadata }))
    }

    fn is_same(&self, other: &Present) -> bool {
        self.target == other.target
            && self.bytes == other.bytes
            && Stamp::of(&self.metadata) == Stamp::of(&other.metadata)
    }
}

/// Writes the file, or removes it; false when it is not any more what was read.
fn write(file: &Path, before: Option<&Present>, after: Option<&[u8]>) -> io::Result<bool> {
    let is_current = || match (Present::read(file), before) {
        (Ok(Some(now)), Some(before)) => now.is_same(before),
        (Ok(None), None) => true,
        _ => false,
    };
    // Its owner wants it to stay as it is; the rename would not ask.
    if before.is_some_and(|before| before.metadata.permissions().readonly()) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only"));
    }
    match after {
        Some(bytes) => {
            let target = before.map_or(file, |before| &before.target);
            let like = before.map(|before| &before.metadata);
            files::replace_like(target, bytes, like, &is_current)
        }
        None if is_current() => fs::remove_file(file).map(|()| true),
        None => Ok(false),
    }
}

/// The backups that a file may have, in the order in which they are made.
fn backups(folder: &Path) -> Vec<PathBuf> {
    let path = |number| match number {
        1 => folder.join("settings.json.confab-backup"),
        number => folder.join(format!("settings.json.confab-backup-{number}")),
    };
    (1..=BACKUPS_MAX).map(path).collect()
}

/// Keeps what the file is, with its mode and owner, unless that is kept already; returns where.
/// With our hooks in it, it needs no backup beside one that has all the rest, or when there is no
/// rest.
fn back_up(folder: &Path, before: &Present, program: &Program) -> Result<Option<PathBuf>> {
    let others = edit::remove(&before.bytes, program)?;
    let has_ours = !others.changes.is_empty();
    if has_ours && others.is_bare {
        return Ok(None);
    }
    for path in backups(folder) {
        match files::read_bounded(&path, SETTINGS_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                files::replace_like(&path, &before.bytes, Some(&before.metadata), &|| true)
                    .context(|| format!("write the backup {}", path.display()))?;
                return Ok(Some(path));
            }
            Ok(kept) if kept == before.bytes => return Ok(None),
            Ok(kept) if has_ours && differs_in_ours_only(&kept, &before.bytes, program) => {
                return Ok(None);
            }
            _ => {}
        }
    }
    Err(Error::new(format!("keep a backup of {}", settings_file(folder).display()))
        .caused_by(Error::new(format!("there are {BACKUPS_MAX} already")))
        .with_hint("remove those that you do not need: settings.json.confab-backup…"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Another program writes between our look at the file and our rename, so many times.
    fn add_against(n_writes: usize) -> (Result<Outcome>, usize, String, Vec<String>) {
        let name = format!("confab-settings-{}-{n_writes}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        files::private_folder(&folder).unwrap();
        let file = settings_file(&folder);
        fs::write(&file, "{\"round\": 0}").unwrap();
        let program = Program::new(Path::new("/x/confab")).unwrap();
        let tries = Cell::new(0);
        let outcome = change(&folder, &program, &|before| {
            tries.set(tries.get() + 1);
            if tries.get() <= n_writes {
                fs::write(&file, format!("{{\"round\": {}}}", tries.get())).unwrap();
            }
            let edit = edit::add(&before.unwrap().bytes, &program)?;
            Ok(Plan { changes: edit.changes, after: Some(edit.bytes), restored: None })
        });
        let text = fs::read_to_string(&file).unwrap();
        let entries = fs::read_dir(&folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        fs::remove_dir_all(&folder).unwrap();
        (outcome, tries.get(), text, names)
    }

    #[test]
    fn a_change_is_made_to_what_another_program_has_written() {
        let (outcome, tries, text, names) = add_against(3);
        assert_eq!((outcome.unwrap().changes.len(), tries), (7, 4));
        assert!(text.starts_with("{\"round\": 3, \"hooks\": "), "{text}");
        assert_eq!(names, ["settings.json", "settings.json.confab-backup"]);
    }

    #[test]
    fn who_never_gets_a_turn_says_so_and_leaves_nothing_behind() {
        let (outcome, tries, text, names) = add_against(usize::MAX);
        assert!(outcome.unwrap_err().hint().is_some());
        assert_eq!((tries, text.as_str()), (TRIES_MAX, "{\"round\": 10}"));
        assert_eq!(names, ["settings.json"]);
    }
}
