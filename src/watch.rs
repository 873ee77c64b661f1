//! Which files and folders have changed, told by the system instead of asked for again and again.
//!
//! [`Watch::set`] says what is watched, [`Watch::wait`] what has changed; one thread may wait while
//! another sets. What is not there yet is watched through the nearest folder above it that is. No
//! change is lost: what is new to be watched must be looked at once after [`Watch::set`] said so,
//! and where the system has dropped events, [`Changes::Everything`] says so.
//!
//! Deliberately absent: what a change means, looking at files, and going down into folders: whoever
//! finds a new one names it the next time. Linux only; elsewhere [`Watch::new`] fails, and the
//! caller looks now and then, as it does where [`Set::missed`] is true.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::sys::inotify::{self, Inotify, Notice};
use crate::time::Clock;

pub use crate::sys::inotify::Interest;

/// Places watched by one [`Watch`]; a system's own limit for all of a user's is lower as a rule.
const PLACES_MAX: usize = 100_000;
/// Changed paths told of at once; more are everything.
const PATHS_MAX: usize = 10_000;

/// A file or folder that is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Where it is, or will be.
    pub path: PathBuf,
    /// What is told of it.
    pub interest: Interest,
}

/// How long changes are gathered before they are told.
#[derive(Debug, Clone, Copy)]
pub struct Debounce {
    /// They are told once there was none for so long,
    pub quiet: Duration,
    /// and at the latest so long after the first.
    pub longest: Duration,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These, where watched folders and files are, and entries of folders. None when the time was
    /// over first.
    Paths(BTreeSet<PathBuf>),
    /// Events were lost, or came too fast: anything may have.
    Everything,
}

/// What came of [`Watch::set`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// Something is watched that was not before: it may have changed in between, so look once more.
    pub is_new: bool,
    /// Something cannot be watched, or lies where not all changes are told of: look now and then.
    pub missed: bool,
}

/// Watches places.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    watched: Mutex<BTreeMap<i32, Watched>>,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    interest: Interest,
    is_told_of_all: bool,
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Where there are no file events, or no more of them for this user.
    pub fn new() -> io::Result<Watch> {
        Ok(Watch { inotify: Inotify::new()?, watched: Mutex::default() })
    }

    /// Watches these places from now on and no others. A file that has taken the place of another
    /// one under its name is a new one.
    pub fn set(&self, places: impl IntoIterator<Item = Place>) -> Set {
        let mut wanted = BTreeMap::new();
        let mut set = Set { is_new: false, missed: false };
        for place in places {
            set.missed |= wanted.len() >= PLACES_MAX;
            if !set.missed {
                let interest = wanted.entry(place.path).or_insert(place.interest);
                *interest = place.interest.max(*interest);
            }
        }
        let mut watched = self.watched();
        let mut before = std::mem::take(&mut *watched);
        for (path, interest) in wanted {
            let Ok((watch, path, interest)) = self.add(&path, interest) else {
                set.missed = true;
                continue;
            };
            let known = before.remove(&watch).or_else(|| watched.remove(&watch));
            set.is_new |= known.as_ref().is_none_or(|known| known.interest < interest);
            let now = match known {
                Some(known) => Watched { path, interest: interest.max(known.interest), ..known },
                None => {
                    let is_told_of_all = inotify::is_told_of_all(&path);
                    Watched { path, interest, is_told_of_all }
                }
            };
            set.missed |= !now.is_told_of_all;
            watched.insert(watch, now);
        }
        before.into_keys().for_each(|watch| self.inotify.remove(watch));
        set
    }

    /// Waits until something changes, at most for `limit`, and gathers what changes with it.
    ///
    /// # Errors
    /// As the system calls.
    pub fn wait(
        &self,
        limit: Duration,
        debounce: Debounce,
        clock: &dyn Clock,
    ) -> io::Result<Changes> {
        let mut paths = BTreeSet::new();
        let mut is_lost = false;
        let mut deadline = clock.now() + limit;
        let mut is_first = true;
        loop {
            let left = deadline.saturating_duration_since(clock.now());
            let wait = if is_first { left } else { left.min(debounce.quiet) };
            if !self.inotify.wait(wait)? {
                break;
            }
            if is_first {
                deadline = clock.now() + debounce.longest;
                is_first = false;
            }
            for notice in self.inotify.read()? {
                is_lost |= notice == Notice::Overflow || paths.len() >= PATHS_MAX;
                let path = self.path_of(notice);
                paths.extend(path.filter(|_| !is_lost));
            }
            if clock.now() >= deadline {
                break;
            }
        }
        Ok(if is_lost { Changes::Everything } else { Changes::Paths(paths) })
    }

    /// Watches what is there of a path: itself, or the nearest folder above it.
    fn add(&self, path: &Path, interest: Interest) -> io::Result<(i32, PathBuf, Interest)> {
        let mut error = match self.inotify.add(path, interest) {
            Ok(watch) => return Ok((watch, path.to_owned(), interest)),
            Err(error) => error,
        };
        for folder in path.ancestors().skip(1) {
            if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                break;
            }
            match self.inotify.add(folder, Interest::Names) {
                Ok(watch) => return Ok((watch, folder.to_owned(), Interest::Names)),
                Err(above) => error = above,
            }
        }
        Err(error)
    }

    fn path_of(&self, notice: Notice) -> Option<PathBuf> {
        let mut watched = self.watched();
        match notice {
            Notice::Changed { watch, name } => {
                let path = &watched.get(&watch)?.path;
                Some(name.map_or_else(|| path.clone(), |name| path.join(name)))
            }
            Notice::Ended { watch } => watched.remove(&watch).map(|watched| watched.path),
            Notice::Overflow => None,
        }
    }

    /// Nothing is left half done by a panic while the map is held.
    fn watched(&self) -> MutexGuard<'_, BTreeMap<i32, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::time::{Instant, SystemTime};

    const LIMIT: Duration = Duration::from_secs(20);
    const DEBOUNCE: Debounce =
        Debounce { quiet: Duration::from_millis(5), longest: Duration::from_millis(50) };

    struct RealClock;

    impl Clock for RealClock {
        fn now(&self) -> Instant {
            Instant::now()
        }

        fn wall(&self) -> SystemTime {
            SystemTime::now()
        }
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("confab-watch-{}", std::process::id()));
            let path = path.join(name);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn place(&self, name: &str, interest: Interest) -> Place {
            Place { path: self.0.join(name), interest }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn append(path: &Path) {
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"x").unwrap();
    }

    /// Waits until one of the changes is this path.
    fn told(watch: &Watch, path: &Path) {
        for _ in 0..100 {
            match watch.wait(LIMIT, DEBOUNCE, &RealClock).unwrap() {
                Changes::Paths(paths) if paths.contains(path) => return,
                Changes::Paths(paths) => assert!(!paths.is_empty(), "{} never", path.display()),
                Changes::Everything => panic!("nothing was lost"),
            }
        }
        panic!("{} never", path.display());
    }

    fn nothing_told(watch: &Watch) {
        let changes = watch.wait(Duration::ZERO, DEBOUNCE, &RealClock).unwrap();
        assert_eq!(changes, Changes::Paths(BTreeSet::new()));
    }

    const NEW: Set = Set { is_new: true, missed: false };
    const SAME: Set = Set { is_new: false, missed: false };

    #[test]
    fn a_file_is_followed_through_appends_replacement_and_its_end() {
        let folder = Folder::new("file");
        let file = folder.place("a", Interest::File);
        fs::write(&file.path, "1").unwrap();
        fs::write(folder.0.join("other"), "1").unwrap();
        let watch = Watch::new().unwrap();
        assert_eq!(watch.set([file.clone()]), NEW);
        assert_eq!(watch.set([file.clone()]), SAME);
        append(&folder.0.join("other"));
        nothing_told(&watch);
        append(&file.path);
        told(&watch, &file.path);
        fs::rename(folder.0.join("other"), &file.path).unwrap();
        told(&watch, &file.path);
        assert_eq!(watch.set([file.clone()]), NEW, "another file has its name");
        append(&file.path);
        told(&watch, &file.path);
        fs::remove_file(&file.path).unwrap();
        told(&watch, &file.path);
        assert_eq!(watch.set([file.clone()]), NEW, "its folder is watched instead");
        fs::write(&file.path, "1").unwrap();
        told(&watch, &file.path);
        assert_eq!(watch.set([file.clone()]), NEW);
        assert_eq!(watch.set([]), SAME);
        append(&file.path);
        nothing_told(&watch);
    }

    #[test]
    fn what_is_not_there_yet_is_found_level_by_level() {
        let folder = Folder::new("later");
        let file = folder.place("b/c/d", Interest::File);
        let watch = Watch::new().unwrap();
        assert_eq!(watch.set([file.clone()]), NEW);
        for path in ["b", "b/c"].map(|name| folder.0.join(name)) {
            fs::create_dir(&path).unwrap();
            told(&watch, &path);
            assert_eq!(watch.set([file.clone()]), NEW);
        }
        fs::write(&file.path, "1").unwrap();
        told(&watch, &file.path);
    }

    #[test]
    fn a_folder_tells_of_names_or_of_contents() {
        let folder = Folder::new("folder");
        let file = folder.0.join("a");
        fs::write(&file, "1").unwrap();
        let watch = Watch::new().unwrap();
        assert_eq!(watch.set([folder.place("", Interest::Names)]), NEW);
        append(&file);
        nothing_told(&watch);
        assert_eq!(watch.set([folder.place("", Interest::Contents)]), NEW);
        append(&file);
        told(&watch, &file);
        fs::remove_file(&file).unwrap();
        told(&watch, &file);
    }

    #[test]
    fn many_changes_are_told_as_one_and_lost_ones_as_everything() {
        let folder = Folder::new("many");
        let watch = Watch::new().unwrap();
        assert_eq!(watch.set([folder.place("", Interest::Names)]), NEW);
        for name in 0..100 {
            fs::write(folder.0.join(name.to_string()), "").unwrap();
        }
        let changes = watch.wait(LIMIT, DEBOUNCE, &RealClock).unwrap();
        assert!(matches!(changes, Changes::Paths(paths) if paths.len() == 100));
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let path = folder.0.join("x");
        for _ in 0..=limit.trim().parse::<u32>().unwrap() / 2 {
            fs::write(&path, "").unwrap();
            fs::remove_file(&path).unwrap();
        }
        let mut is_lost = false;
        while !is_lost {
            match watch.wait(LIMIT, DEBOUNCE, &RealClock).unwrap() {
                Changes::Everything => is_lost = true,
                Changes::Paths(paths) => assert!(!paths.is_empty(), "the queue did not overflow"),
            }
        }
    }

    #[test]
    fn what_cannot_be_watched_is_said() {
        let folder = Folder::new("not");
        let watch = Watch::new().unwrap();
        let inside_a_file = folder.place("a/b", Interest::Names);
        fs::write(folder.0.join("a"), "1").unwrap();
        // The nearest folder above it does.
        assert_eq!(watch.set([inside_a_file]), NEW);
        let nul = Place { path: "/a\0b".into(), interest: Interest::File };
        assert!(watch.set([nul]).missed);
    }
}
