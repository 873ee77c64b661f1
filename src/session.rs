//! The files of a session: its transcript, its sub-agents' in all layouts that Claude Code has had,
//! and those of workflow runs.
//!
//! | layout | where | name for the backend |
//! |---|---|---|
//! | transcript | `<project>/<id>.jsonl` | base name |
//! | agents since 2.1 | `<project>/<id>/subagents/agent-*.jsonl`, nested ones too | base name |
//! | agents before | `<project>/agent-*.jsonl`, when its lines name this session | base name |
//! | workflow runs | `<project>/<id>/subagents/workflows/<run>/…` | `subagents/workflows/<run>/…` |
//!
//! A folder is listed again only when its modification time has changed. A file that is not there
//! is no error. Deliberately absent: reading lines, except the first few of an old agent file,
//! once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::files::{SessionId, Stamp};
use crate::transcript;
use crate::watch::{Interest, Place};
use crate::wire;

/// Entries looked at in one folder.
const FOLDER_ENTRIES_MAX: usize = 100_000;
/// Folders below one `subagents` folder.
const FOLDERS_MAX: usize = 1000;
/// How deep folders below `subagents` are looked into.
const DEPTH_MAX: usize = 4;
/// Bytes at the beginning of an old agent file in which a session must be named.
const OWNER_BYTES_MAX: u64 = 1 << 20;
/// Lines at the beginning of an old agent file in which a session must be named.
const OWNER_LINES_MAX: usize = 50;
/// Project folders searched for a transcript that has moved.
const PROJECTS_MAX: usize = 100_000;

/// One file of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The backend's name of it.
    pub name: String,
    /// The backend's type of it.
    pub file_type: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// Which files of workflow runs the backend takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Workflows {
    /// `agent-*.jsonl`.
    pub agents: bool,
    /// `journal.jsonl`.
    pub journals: bool,
}

impl Workflows {
    /// All files: what counts while the backend has not been asked.
    pub const ALL: Workflows = Workflows { agents: true, journals: true };
}

/// Finds the files of one session and remembers what it has seen.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    transcript: PathBuf,
    mentioned: BTreeSet<String>,
    folders: BTreeMap<PathBuf, Folder>,
    owners: BTreeMap<PathBuf, Owner>,
}

#[derive(Debug)]
struct Folder {
    stamp: Stamp,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

/// Whether an old agent file belongs to this session, as far as its first lines have told.
#[derive(Debug, Clone, Copy)]
struct Owner {
    bytes: u64,
    ours: Option<bool>,
}

impl Session {
    /// The session whose transcript is, was or will be at `transcript`.
    pub fn new(id: SessionId, transcript: PathBuf) -> Session {
        Session {
            id,
            transcript,
            mentioned: BTreeSet::new(),
            folders: BTreeMap::new(),
            owners: BTreeMap::new(),
        }
    }

    /// The session's id.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Where the transcript is, was or will be.
    pub fn transcript(&self) -> &Path {
        &self.transcript
    }

    /// The transcript has another path now.
    pub fn set_transcript(&mut self, path: PathBuf) {
        if path != self.transcript {
            self.transcript = path;
            self.folders.clear();
            self.owners.clear();
        }
    }

    /// Agents that lines of this session have named.
    pub fn mention(&mut self, agent_ids: impl IntoIterator<Item = String>) {
        self.mentioned.extend(agent_ids);
    }

    /// What was remembered of folders is not trusted any more.
    pub fn forget_listings(&mut self) {
        self.folders.clear();
    }

    /// Why files of this session may be there and not be seen: a folder that may not be entered,
    /// or, when files of the session `were_known`, a `projects` folder that is gone (not mounted,
    /// perhaps).
    pub fn trouble(&self, were_known: bool) -> Vec<Error> {
        let subagents = self.subagents();
        let mut errors = Vec::new();
        for folder in [self.project(), &subagents, &subagents.join("workflows")] {
            let listed = std::fs::read_dir(folder).map(|_| ());
            let Err(error) = listed else { continue };
            if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                let what = format!("look into {}", folder.display());
                errors.push(Error::new(what).caused_by(error));
            }
        }
        let projects = self.project().parent();
        if let Some(projects) = projects.filter(|projects| were_known && !projects.exists()) {
            errors.push(Error::new(format!("{} is not there", projects.display())));
        }
        errors
    }

    /// Looks for the transcript in the other project folders when it is not where it was: Claude
    /// Code renames it on entering a worktree. True when it is somewhere.
    pub fn find_transcript(&mut self) -> bool {
        if self.transcript.exists() {
            return true;
        }
        let Some(projects) = self.transcript.parent().and_then(Path::parent) else { return false };
        match find_in_projects(projects, &self.id) {
            Some(path) => {
                self.set_transcript(path);
                true
            }
            None => false,
        }
    }

    /// All files of the session that exist now, the transcript first, then by name.
    pub fn sources(&mut self, workflows: Workflows) -> Vec<Source> {
        let mut sources = BTreeMap::new();
        for path in self.agent_files() {
            if let Some(name) = base_name(&path) {
                sources.insert(
                    name.to_owned(),
                    Source { name: name.to_owned(), file_type: wire::TYPE_AGENT, path },
                );
            }
        }
        for source in self.workflow_files() {
            let taken = match source.file_type {
                wire::TYPE_WORKFLOW_JOURNAL => workflows.journals,
                _ => workflows.agents,
            };
            if taken {
                sources.insert(source.name.clone(), source);
            }
        }
        let transcript = self.transcript.is_file().then(|| Source {
            name: format!("{}.jsonl", self.id),
            file_type: wire::TYPE_TRANSCRIPT,
            path: self.transcript.clone(),
        });
        transcript.into_iter().chain(sources.into_values()).collect()
    }

    /// Where a change of these files is seen, and the appearance of others: the folders as far as
    /// they are known from the last look.
    pub fn places(&self) -> Vec<Place> {
        let own = self.project().join(self.id.as_str());
        let below = self.folders.keys().filter(|folder| folder.starts_with(&own));
        let place = |path: &Path, interest| Place { path: path.to_owned(), interest };
        let old_agents = self.owners.iter().filter(|(_, owner)| owner.ours != Some(false));
        [place(&self.transcript, Interest::File), place(self.project(), Interest::Names)]
            .into_iter()
            .chain([place(&own, Interest::Names), place(&self.subagents(), Interest::Contents)])
            .chain(below.map(|folder| place(folder, Interest::Contents)))
            .chain(old_agents.map(|(path, _)| place(path, Interest::File)))
            .collect()
    }

    /// True when a workflow run has left files: only then is it worth asking what the backend
    /// takes.
    pub fn has_workflows(&mut self) -> bool {
        !self.workflow_files().is_empty()
    }

    fn project(&self) -> &Path {
        self.transcript.parent().unwrap_or(Path::new("/"))
    }

    fn subagents(&self) -> PathBuf {
        self.project().join(self.id.as_str()).join("subagents")
    }

    /// Agent files of both layouts; one that is in both is taken from the newer.
    fn agent_files(&mut self) -> Vec<PathBuf> {
        let project = self.project().to_owned();
        let subagents = self.subagents();
        let mut files: Vec<PathBuf> = Vec::new();
        for path in self.list(&project).0 {
            if is_agent_file(&path) && self.is_ours(&path) {
                files.push(path);
            }
        }
        let mut folders = vec![(subagents.clone(), 0)];
        let mut n_folders = 0;
        while let Some((folder, depth)) = folders.pop() {
            n_folders += 1;
            if n_folders > FOLDERS_MAX || folder == subagents.join("workflows") {
                continue;
            }
            let (inside, deeper) = self.list(&folder);
            files.extend(inside.into_iter().filter(|path| is_agent_file(path)));
            if depth < DEPTH_MAX {
                folders.extend(deeper.into_iter().map(|folder| (folder, depth + 1)));
            }
        }
        // A folder that cannot be listed may still let its files be opened by name.
        for agent in &self.mentioned {
            let path = subagents.join(format!("agent-{agent}.jsonl"));
            if !files.contains(&path) && path.is_file() {
                files.push(path);
            }
        }
        files
    }

    fn workflow_files(&mut self) -> Vec<Source> {
        let mut sources = Vec::new();
        let folder = self.subagents().join("workflows");
        for run in self.list(&folder).1.into_iter().take(FOLDERS_MAX) {
            for path in self.list(&run).0 {
                let file_type = match base_name(&path) {
                    Some("journal.jsonl") => wire::TYPE_WORKFLOW_JOURNAL,
                    _ if is_agent_file(&path) => wire::TYPE_AGENT,
                    _ => continue,
                };
                if let (Some(run), Some(file)) = (base_name(&run), base_name(&path)) {
                    let name = format!("subagents/workflows/{run}/{file}");
                    sources.push(Source { name, file_type, path });
                }
            }
        }
        sources
    }

    /// Files and folders in a folder, from memory when the folder has not changed. A folder that
    /// cannot be read is empty.
    fn list(&mut self, path: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let Ok(stamp) = std::fs::metadata(path).map(|metadata| Stamp::of(&metadata)) else {
            return (Vec::new(), Vec::new());
        };
        if let Some(folder) = self.folders.get(path)
            && folder.stamp == stamp
        {
            return (folder.files.clone(), folder.folders.clone());
        }
        // A folder that cannot be read now may be readable later, without a new time.
        let Ok(entries) = std::fs::read_dir(path) else { return (Vec::new(), Vec::new()) };
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for entry in entries.take(FOLDER_ENTRIES_MAX).flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                // Only what may hold files of a session is worth memory.
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "jsonl") {
                files.push(path);
            }
        }
        files.sort();
        folders.sort();
        let in_project = path == self.project();
        let listing = if in_project {
            // A project folder may hold thousands of other sessions.
            (files.into_iter().filter(|path| is_agent_file(path)).collect(), Vec::new())
        } else {
            (files, folders)
        };
        let folder = Folder { stamp, files: listing.0.clone(), folders: listing.1.clone() };
        self.folders.insert(path.to_owned(), folder);
        listing
    }

    /// Decides once whether an old agent file names this session; asks again while its first lines
    /// are not there yet.
    fn is_ours(&mut self, path: &Path) -> bool {
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        match self.owners.get(path) {
            Some(Owner { ours: Some(ours), .. }) => return *ours,
            Some(owner) if owner.bytes == bytes => return false,
            _ => {}
        }
        let ours = File::open(path).and_then(|file| names_session(file, &self.id)).ok().flatten();
        self.owners.insert(path.to_owned(), Owner { bytes, ours });
        ours == Some(true)
    }
}

/// The transcript of a session in any of the project folders below `projects`.
pub fn find_in_projects(projects: &Path, id: &SessionId) -> Option<PathBuf> {
    let name = format!("{id}.jsonl");
    std::fs::read_dir(projects)
        .ok()?
        .take(PROJECTS_MAX)
        .filter_map(|entry| Some(entry.ok()?.path().join(&name)))
        .find(|path| path.is_file())
}

/// Whether the first lines name this session; `None` while more may follow.
fn names_session(reader: impl Read, id: &SessionId) -> io::Result<Option<bool>> {
    let mut reader = BufReader::new(reader.take(OWNER_BYTES_MAX));
    let mut line = Vec::new();
    for _ in 0..OWNER_LINES_MAX {
        line.clear();
        reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(None);
        }
        // One file may hold lines of two sessions (seen in 2.0.30), so the search goes on.
        if transcript::inspect(&line).session_id.is_some_and(|session| session == id.as_str()) {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}

fn is_agent_file(path: &Path) -> bool {
    let name = base_name(path).unwrap_or_default();
    name.strip_prefix("agent-").and_then(|name| name.strip_suffix(".jsonl")).is_some()
}

fn base_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}
