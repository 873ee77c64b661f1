//! The sessions that there are, some bytes for each: all that is kept of one while nothing happens
//! in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::Error;

use super::scan::{self, Found, Key, Looks};

/// What is known of a session.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// What it looked like when it was last looked at.
    pub looks: Looks,
    /// What it looked like when the backend last had all of it; 0 when it never had.
    pub settled: u64,
    folder: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Claude's folders of projects.
    roots: Vec<PathBuf>,
    folders: Vec<Folder>,
    sessions: BTreeMap<Key, Known>,
    /// What could not be looked at the last time.
    errors: Vec<Error>,
}

/// A project folder. It keeps its place in the list when it is gone.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    has_old_agents: bool,
}

impl Catalogue {
    /// An empty one of what lies below these folders of projects.
    pub fn new(roots: Vec<PathBuf>) -> Catalogue {
        Catalogue { roots, ..Catalogue::default() }
    }

    /// Looks at everything anew. Returns the sessions that look otherwise than they did, or are
    /// new.
    pub fn scan(&mut self) -> Vec<Key> {
        let (projects, errors) = scan::projects(&self.roots);
        self.errors = errors;
        // All numbers of folders are given anew.
        self.folders.clear();
        let mut all = BTreeMap::new();
        for path in projects {
            let Found { sessions, has_old_agents, errors } = scan::project(&path);
            self.errors.extend(errors);
            let folder = self.folder(&path, has_old_agents);
            for (key, looks) in sessions {
                merge(&mut all, key, folder, looks);
            }
        }
        self.sessions.retain(|key, _| all.contains_key(key));
        all.into_iter().filter_map(|(key, seen)| self.note(key, seen)).collect()
    }

    /// Looks at one session again, where it was or where it was moved to; what it looks like now.
    pub fn look(&mut self, key: Key) -> Option<Looks> {
        let known = self.sessions.get_mut(&key)?;
        let folder = &self.folders[known.folder as usize];
        if let Some(looks) = scan::session(&folder.path, key, folder.has_old_agents) {
            known.looks = looks;
            return Some(looks);
        }
        let name = format!("{}.jsonl", key.id());
        let at = self.folders.iter().position(|folder| folder.path.join(&name).exists())?;
        let folder = &self.folders[at];
        let looks = scan::session(&folder.path, key, folder.has_old_agents)?;
        known.folder = u32::try_from(at).expect("folders are numbered");
        known.looks = looks;
        Some(looks)
    }

    /// Forgets a session.
    pub fn remove(&mut self, key: Key) {
        self.sessions.remove(&key);
    }

    /// The session that a changed path belongs to, and its project folder.
    pub fn session_of(&mut self, path: &Path) -> Option<(Key, PathBuf)> {
        let root = self.roots.iter().find(|root| path.starts_with(root))?;
        let mut below = path.strip_prefix(root).ok()?.components();
        let folder = root.join(below.next()?);
        let key = scan::session_of(&folder, below.as_path())?;
        Some((key, folder))
    }

    /// True for a project folder, and for all that lies above one.
    pub fn is_above_sessions(&self, path: &Path) -> bool {
        let is_project = |root: &PathBuf| path.parent() == Some(root);
        self.roots.iter().any(|root| is_project(root) || root.starts_with(path))
    }

    /// A session has shown itself in this project folder.
    pub fn appear(&mut self, key: Key, folder: &Path) {
        let is_old_agent = !folder.join(format!("{}.jsonl", key.id())).exists();
        let number = self.folder(folder, is_old_agent);
        let has_old_agents = self.folders[number as usize].has_old_agents;
        let Some(looks) = scan::session(folder, key, has_old_agents) else { return };
        let elsewhere = self.sessions.get(&key).filter(|known| known.folder != number);
        let stays = elsewhere.is_some_and(|known| {
            let old = &self.folders[known.folder as usize];
            scan::session(&old.path, key, old.has_old_agents)
                .is_some_and(|other| !is_better(&looks, &other))
        });
        if !stays {
            let _ = self.note(key, (number, looks));
        }
    }

    /// What is known of a session.
    pub fn get(&self, key: Key) -> Option<&Known> {
        self.sessions.get(&key)
    }

    /// Where the transcript of a session is, or would be.
    pub fn transcript(&self, key: Key) -> Option<PathBuf> {
        let folder = &self.folders[self.sessions.get(&key)?.folder as usize];
        Some(folder.path.join(format!("{}.jsonl", key.id())))
    }

    /// The project folder of a session, and whether there are agent files of the old layout in it.
    pub fn folder_of(&self, key: Key) -> Option<(PathBuf, bool)> {
        let folder = &self.folders[self.sessions.get(&key)?.folder as usize];
        Some((folder.path.clone(), folder.has_old_agents))
    }

    /// The backend has all of a session that looks like this.
    pub fn settle(&mut self, key: Key, looks: u64) {
        if let Some(known) = self.sessions.get_mut(&key) {
            known.settled = looks;
        }
    }

    /// Which sessions are settled is another matter now: those that look like one of these.
    pub fn settle_by(&mut self, known: &BTreeSet<u64>) {
        for session in self.sessions.values_mut() {
            let hash = session.looks.hash;
            session.settled = if known.contains(&hash) { hash } else { 0 };
        }
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = (Key, &Known)> {
        self.sessions.iter().map(|(key, known)| (*key, known))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The folders of projects, and the project folders that there are.
    pub fn folders(&self) -> (&[PathBuf], impl Iterator<Item = &Path>) {
        (&self.roots, self.folders.iter().map(|folder| folder.path.as_path()))
    }

    /// What could not be looked at in the last scan.
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    fn folder(&mut self, path: &Path, has_old_agents: bool) -> u32 {
        let at = match self
            .folders
            .iter()
            .position(|folder| folder.path.as_os_str() == path.as_os_str())
        {
            Some(at) => {
                self.folders[at].has_old_agents |= has_old_agents;
                at
            }
            None => {
                self.folders.push(Folder { path: path.to_owned(), has_old_agents });
                self.folders.len() - 1
            }
        };
        u32::try_from(at).expect("fewer folders than a file system has inodes")
    }

    fn note(&mut self, key: Key, (folder, looks): (u32, Looks)) -> Option<Key> {
        let known =
            self.sessions.entry(key).or_insert(Known { looks: Looks::NONE, settled: 0, folder });
        let is_changed = known.looks.hash != looks.hash;
        known.looks = looks;
        known.folder = folder;
        is_changed.then_some(key)
    }
}

/// Puts a session in, unless it is better where it was found before.
fn merge(all: &mut BTreeMap<Key, (u32, Looks)>, key: Key, folder: u32, looks: Looks) {
    match all.get(&key) {
        Some((_, other)) if !is_better(&looks, other) => {}
        _ => drop(all.insert(key, (folder, looks))),
    }
}

fn is_better(looks: &Looks, other: &Looks) -> bool {
    (looks.has_transcript, looks.modified) > (other.has_transcript, other.modified)
}
