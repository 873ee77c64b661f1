//! The engines that are kept: those of sessions in which something happened a short while ago.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::files::Paths;

use super::scan::Key;
use super::work::Hand;

/// Engines at once. When more sessions are active, those that have rested longest are let go.
pub const ENGINES_MAX: usize = 64;
/// How long a session must rest until its engine is let go.
pub const QUIET_TIME: Duration = Duration::from_secs(300);
/// Time between two requests for a file that has used up most of those that a backend keeps.
const FRUGAL_INTERVAL: Duration = Duration::from_secs(30);
/// Sessions whose folders are watched although their engine was let go: an agent in the background
/// may go on later.
const RECENT_MAX: usize = 128;

/// See the module.
#[derive(Debug, Default)]
pub struct Crew {
    members: BTreeMap<Key, Member>,
    recent: VecDeque<Vec<PathBuf>>,
}

#[derive(Debug)]
struct Member {
    /// `None` while a thread works with it.
    hand: Option<Box<Hand>>,
    /// When something happened last.
    active_at: Instant,
    not_before: Option<Instant>,
    folders: Vec<PathBuf>,
}

impl Crew {
    /// True when a session's engine is kept.
    pub fn has(&self, key: Key) -> bool {
        self.members.contains_key(&key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Something has happened in a session.
    pub fn stir(&mut self, key: Key, now: Instant) {
        if let Some(member) = self.members.get_mut(&key) {
            member.active_at = now;
        }
    }

    /// The engine of a session, for a thread to work with.
    pub fn take(&mut self, key: Key) -> Option<Box<Hand>> {
        self.members.get_mut(&key)?.hand.take()
    }

    /// A thread gives an engine back. True when other folders are to be watched now.
    pub fn put(&mut self, key: Key, mut hand: Box<Hand>, is_frugal: bool, now: Instant) -> bool {
        let folders = hand.folders();
        let member = self.members.entry(key).or_insert(Member {
            hand: None,
            active_at: now,
            not_before: None,
            folders: Vec::new(),
        });
        member.hand = Some(hand);
        member.not_before = is_frugal.then(|| now + FRUGAL_INTERVAL);
        let is_other = member.folders != folders;
        member.folders = folders;
        is_other
    }

    /// A session is no longer followed.
    pub fn remove(&mut self, key: Key) {
        let Some(member) = self.members.remove(&key) else { return };
        if member.folders.iter().any(|folder| folder.exists()) {
            self.recent.push_back(member.folders);
        }
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    /// Before this, nothing of a session is to be sent.
    pub fn not_before(&self, key: Key) -> Option<Instant> {
        self.members.get(&key)?.not_before
    }

    /// The session that has rested longest, of those with which no thread works, and since when.
    pub fn most_rested(&self) -> Option<(Key, Instant)> {
        let idle = self.members.iter().filter(|(_, member)| member.hand.is_some());
        let rested = idle.min_by_key(|(_, member)| member.active_at);
        rested.map(|(key, member)| (*key, member.active_at))
    }

    /// The folders of sessions that are to be watched.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let members = self.members.values().map(|member| &member.folders);
        members.chain(&self.recent).flatten().cloned().collect()
    }

    /// The sessions for which hooks have left notes.
    pub fn with_notes(&self, paths: &Paths) -> Vec<Key> {
        let has_notes =
            |member: &Member| member.hand.as_ref().is_some_and(|hand| hand.has_notes(paths));
        let noted = self.members.iter().filter(|(_, member)| has_notes(member));
        noted.map(|(key, _)| *key).collect()
    }

    /// All sessions.
    pub fn keys(&self) -> Vec<Key> {
        self.members.keys().copied().collect()
    }
}
