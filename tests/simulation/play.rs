//! One sequence, from its first action to the check when all is well again.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use confab::daemon::{Event, Redactors};
use confab::files::{Paths, Roots, SessionId};
use confab::hook::{self, Surroundings};
use confab::redact::Settings;
use confab::state::{self, Kept};
use confab::sys::process::Process;
use fastrand::Rng;

use crate::actions::{Action, FILES, Hook, SESSIONS, Step};
use crate::backend::Store;
use crate::disk::Disk;
use crate::hub::{Hub, Table};
use crate::model::Model;

const IDS: [&str; SESSIONS] =
    ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];
/// Longer than an interval, a backoff and the end of a session together.
const SETTLE_TIME: Duration = Duration::from_secs(2200);
/// Longer than the end of a session.
const END_TIME: Duration = Duration::from_secs(120);

struct Play {
    hub: Arc<Hub>,
    returned: Receiver<()>,
    disk: Disk,
    /// The Claude Code processes of each session, the one in use last.
    parents: Vec<Vec<Process>>,
}

/// Plays a sequence below `home`; what went wrong, if anything.
pub fn play(steps: &[Step], home: &Path, redactors: &Arc<Redactors>) -> Vec<String> {
    let secret = ["ghp_", "w7Kq2ZbX9mTn4RcV6yLp", "1sHdJ8gFe3aUoQ5x"].concat();
    let disk = Disk::new(home.to_owned(), &IDS, &secret);
    let paths = Paths::new(Roots { home: home.to_owned(), ..Roots::default() });
    let redactor = redactors.get(&Settings::default());
    let model = Model::new(redactor, vec![secret[4..].to_owned()]);
    let (hub, returned) = Hub::new(paths, Arc::clone(redactors), Store::new(model));
    let mut play = Play { hub, returned, disk, parents: vec![Vec::new(); SESSIONS] };
    for step in steps {
        play.run(Duration::from_millis(step.after));
        play.act(step.session, &step.action);
        if !play.hub.core().complaints.is_empty() {
            break;
        }
    }
    if play.hub.core().complaints.is_empty() {
        play.finish();
    }
    play.hub.kill_all(&play.returned);
    let _ = fs::remove_dir_all(home);
    std::mem::take(&mut play.hub.core().complaints)
}

impl Play {
    fn run(&self, time: Duration) {
        let until = self.hub.core().now + time;
        self.hub.run_until(until, &self.returned);
    }

    fn act(&mut self, session: usize, action: &Action) {
        match action {
            Action::Append { .. }
            | Action::AppendLarge { .. }
            | Action::Partial { .. }
            | Action::Unterminated { .. }
            | Action::Truncate { .. }
            | Action::CutLine { .. }
            | Action::Rewrite { .. }
            | Action::Copy { .. }
            | Action::Delete { .. }
            | Action::Swap { .. }
            | Action::Rename => {
                self.change_files(session, action);
                self.observe(session, action);
            }
            Action::Hook { event, times } => {
                for _ in 0..*times {
                    self.hook(session, *event, self.disk.path(session, 0));
                }
            }
            Action::OldHook { event } => {
                let name = format!(".claude/projects/-p0/{}.jsonl", IDS[session]);
                self.hook(session, *event, self.disk.home.join(name));
            }
            Action::ParentDies => {
                if let Some(parent) = self.parents[session].pop() {
                    self.hub.end_process(parent);
                }
            }
            Action::NewParent => {
                let parent = self.hub.core().new_process();
                self.parents[session].push(parent);
            }
            Action::Settle => self.settle(),
            Action::WallJump { seconds } => self.hub.core().wall_offset += seconds,
            Action::Kill { .. } | Action::KillAtEnd | Action::Stop | Action::SpawnFails { .. } => {
                self.disturb_daemon(session, action);
            }
            Action::Fault { .. }
            | Action::Slow { .. }
            | Action::Rollback { .. }
            | Action::Forget => self.disturb_backend(session, action),
            _ => self.damage_state(session, action),
        }
    }

    fn change_files(&mut self, session: usize, action: &Action) {
        let now = self.hub.wall();
        let disk = &mut self.disk;
        match *action {
            Action::Append { file, lines, seed } => {
                let text = disk.lines(session, lines, &mut Rng::with_seed(seed));
                disk.append(session, file, &text, now);
            }
            Action::AppendLarge { file, bytes } => {
                let text = format!("{{\"large\":\"{}\"}}\n", "large text, ".repeat(bytes / 12));
                let numbered = text.replacen("large text", &format!("{now:?}"), 1);
                disk.append(session, file, numbered.as_bytes(), now);
            }
            Action::Partial { file, seed } => disk.begin(session, file, Some(seed), now),
            Action::Unterminated { file } => disk.begin(session, file, None, now),
            Action::Delete { file } => disk.delete(session, file, now),
            Action::Rename => disk.rename(session, now),
            Action::Swap { file, other } => {
                let (one, two) =
                    (disk.read(session, file).to_vec(), disk.read(session, other).to_vec());
                if !one.is_empty() && !two.is_empty() && file != other {
                    disk.replace(session, file, &two, false);
                    disk.replace(session, other, &one, false);
                    disk.stamp(session, other, now);
                    disk.stamp(session, file, now);
                }
            }
            Action::Truncate { file, seed }
            | Action::CutLine { file, seed }
            | Action::Rewrite { file, seed, .. } => {
                let text = disk.read(session, file).to_vec();
                let ends = memchr::memchr_iter(b'\n', &text).map(|end| end + 1);
                let ends: Vec<usize> = ends.collect();
                if ends.is_empty() {
                    return;
                }
                let kept = ends[seed as usize % ends.len()];
                let mut text = text[..kept].to_vec();
                match action {
                    Action::CutLine { .. } if text.len() > 3 => text.truncate(kept - 2),
                    Action::Rewrite { .. } => {
                        let mut random = Rng::with_seed(seed);
                        text.extend(disk.lines(session, 2, &mut random));
                    }
                    _ => {}
                }
                let in_place = !matches!(action, Action::Rewrite { in_place: false, .. });
                disk.replace(session, file, &text, in_place);
                disk.stamp(session, file, now);
            }
            Action::Copy { file } => {
                let text = disk.read(session, file).to_vec();
                if !text.is_empty() {
                    disk.replace(session, file, &text, false);
                    disk.stamp(session, file, now);
                }
            }
            _ => {}
        }
    }

    /// Tells the model what the files hold now that an action has changed.
    fn observe(&self, session: usize, action: &Action) {
        for file in action.files() {
            let name = self.disk.name(session, file);
            let bytes = self.disk.read(session, file);
            self.hub.core().store.model.observe((IDS[session], &name), bytes);
        }
    }

    fn hook(&mut self, session: usize, event: Hook, transcript: PathBuf) {
        let (event, name) = match event {
            Hook::Start => (hook::Event::SessionStart, "SessionStart"),
            Hook::Prompt => (hook::Event::UserPromptSubmit, "UserPromptSubmit"),
            Hook::End => (hook::Event::SessionEnd, "SessionEnd"),
        };
        if self.parents[session].is_empty() {
            let parent = self.hub.core().new_process();
            self.parents[session].push(parent);
        }
        let input = format!(
            "{{\"session_id\":\"{}\",\"transcript_path\":\"{}\",\"cwd\":\"/w\",\"hook_event_name\":\"{name}\"}}",
            IDS[session],
            transcript.display()
        );
        let claude = self.parents[session].last().copied();
        let processes = Table { hub: Arc::clone(&self.hub), seat: None, claude };
        let surroundings = Surroundings {
            paths: &self.hub.paths,
            processes: &processes,
            claude_pid: None,
            links_off: false,
            now: self.hub.wall(),
        };
        // What a hook cannot do, another one or the final check will.
        let _ = hook::handle(event, input.as_bytes(), &surroundings);
    }

    fn disturb_daemon(&mut self, session: usize, action: &Action) {
        let mut core = self.hub.core();
        if let Action::SpawnFails { times } = action {
            core.starts_to_fail = *times;
            return;
        }
        let Some(daemon) = core.daemon_of(IDS[session]) else { return };
        match action {
            Action::Kill { steps } => core.kill(daemon, *steps),
            Action::KillAtEnd => {
                core.kill(daemon, 0);
                drop(core);
                self.run(Duration::ZERO);
                state::keep_sent(&self.hub.paths, &SessionId::new(IDS[session]).unwrap()).unwrap();
            }
            _ => {
                drop(core);
                let at = self.hub.instant();
                self.hub.core().tell(daemon, Event::Stop(at));
            }
        }
    }

    fn disturb_backend(&mut self, session: usize, action: &Action) {
        let mut core = self.hub.core();
        match *action {
            Action::Fault { fault, times } => {
                core.store.faults.extend(std::iter::repeat_n(fault, times));
            }
            Action::Slow { millis, times } => {
                let delay = Duration::from_millis(millis);
                core.store.delays.extend(std::iter::repeat_n(delay, times));
            }
            Action::Rollback { lines } => core.store.roll_back(IDS[session], lines),
            _ => core.store.forget(IDS[session]),
        }
    }

    fn damage_state(&mut self, session: usize, action: &Action) {
        let sync = self.hub.paths.sync.clone();
        let state = sync.join(format!("{}.json", IDS[session]));
        let saved = self.disk.home.join(format!("saved-{session}"));
        match action {
            Action::DiskFull { is_full } => self.fill_disk(session, *is_full),
            Action::StateLost => drop(fs::remove_file(state)),
            Action::StateZeroed if state.exists() => fs::write(state, [0; 300]).unwrap(),
            Action::StateSaved => drop(fs::copy(state, saved)),
            Action::StateOld => drop(fs::copy(saved, state)),
            Action::HashesLost | Action::HashesTorn { .. } | Action::HashesDamaged { .. } => {
                self.hub.core().store.model.damage_hashes(IDS[session]);
                for path in self.kept_files(session, ".sent") {
                    damage_hashes(&path, action);
                }
            }
            Action::TornNote => {
                for path in self.kept_files(session, ".inbox.jsonl") {
                    let mut out = OpenOptions::new().append(true).open(path).unwrap();
                    out.write_all(b"{\"type\":\"start\",\"times").unwrap();
                }
            }
            _ => {}
        }
    }

    /// A state cannot be written while a folder has the name under which it would be.
    fn fill_disk(&self, session: usize, is_full: bool) {
        let name = format!(".{}.json.{}.tmp", IDS[session], std::process::id());
        let blocked = self.hub.paths.sync.join(name);
        let _ = match is_full {
            true => fs::create_dir(blocked),
            false => fs::remove_dir(blocked),
        };
    }

    /// What is kept of a session here.
    fn kept_files(&self, session: usize, ending: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.hub.paths.sync).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> =
            names.filter(|name| name.starts_with(IDS[session]) && name.ends_with(ending)).collect();
        names.sort();
        names.iter().map(|name| self.hub.paths.sync.join(name)).collect()
    }

    fn heal(&self) {
        {
            let mut core = self.hub.core();
            core.store.faults.clear();
            core.store.delays.clear();
            core.starts_to_fail = 0;
        }
        for session in 0..SESSIONS {
            self.fill_disk(session, false);
        }
    }

    /// Whoever has a daemon is complete after a while.
    fn settle(&self) {
        self.heal();
        self.run(SETTLE_TIME);
        for (session, id) in IDS.iter().enumerate() {
            let has_daemon = self.hub.core().daemon_of(id).is_some();
            // Where files without a transcript are, only a hook can tell.
            let is_found = self.disk.path(session, 0).exists();
            if has_daemon && is_found && !self.is_lied_of(session) {
                self.check(session, false, "settled");
            }
        }
    }

    fn is_lied_of(&self, session: usize) -> bool {
        self.hub.core().store.lied.contains_key(IDS[session])
    }

    fn check(&self, session: usize, is_over: bool, when: &str) {
        let mut core = self.hub.core();
        for file in 0..FILES {
            if !self.disk.is_reachable(session, file) {
                continue;
            }
            let name = self.disk.name(session, file);
            let stored = core.store.sessions.get(IDS[session]);
            let stored = stored.and_then(|stored| stored.files.get(&name));
            let stored = stored.map_or(&[][..], Vec::as_slice);
            let missing = core.store.model.missing((IDS[session], &name), stored, is_over);
            if let Some(what) = missing {
                core.complaints.push(format!("{when}: {what}"));
            }
        }
    }

    /// Everything is well again, everybody is told once more, and everything ends.
    fn finish(&mut self) {
        self.heal();
        // What was on its way may still be a lie.
        self.run(END_TIME);
        let now = self.hub.wall();
        let sessions: Vec<usize> = (0..SESSIONS).filter(|it| self.is_in_use(*it)).collect();
        for session in sessions.iter().copied() {
            self.hub.core().tasks.iter_mut().for_each(|task| task.spare());
            for file in 0..FILES {
                // What the backend was wrong about comes to light with the next lines, once they
                // are more than it has lied about.
                if self.is_lied_of(session) && !self.disk.read(session, file).is_empty() {
                    let text = self.disk.lines(session, 5, &mut Rng::with_seed(7));
                    self.disk.append(session, file, &text, now);
                }
            }
            self.observe(session, &Action::Rename);
            self.hook(session, Hook::Prompt, self.disk.path(session, 0));
        }
        self.run(SETTLE_TIME);
        let buried: Vec<bool> = IDS.iter().map(|id| self.is_buried(id)).collect();
        for session in sessions.iter().copied().filter(|session| !buried[*session]) {
            self.check(session, false, "in the end");
        }
        for session in sessions.iter().copied() {
            self.hook(session, Hook::End, self.disk.path(session, 0));
        }
        for parent in self.parents.concat() {
            self.hub.end_process(parent);
        }
        self.run(END_TIME);
        for session in sessions.into_iter().filter(|session| !buried[*session]) {
            self.check(session, true, "after the end");
        }
        if !buried.contains(&true) {
            self.check_nothing_is_left();
        }
        for (session, id) in IDS.iter().enumerate() {
            if (0..FILES).any(|file| !self.disk.is_untouched(session, file)) {
                self.hub.complain(format!("a file of session {id} was touched"));
            }
        }
    }

    /// A session of which there is nothing needs no daemon.
    fn is_in_use(&self, session: usize) -> bool {
        let has_files = (0..FILES).any(|file| !self.disk.read(session, file).is_empty());
        has_files || !self.kept_files(session, "").is_empty()
    }

    fn is_buried(&self, id: &str) -> bool {
        let is_buried = Kept::is_deleted(&self.hub.paths, &SessionId::new(id).unwrap());
        let mut core = self.hub.core();
        if is_buried && !core.store.may_be_buried() {
            core.complaints.push(format!("session {id} was taken for deleted"));
        }
        is_buried
    }

    fn check_nothing_is_left(&self) {
        let entries = fs::read_dir(&self.hub.paths.sync).unwrap().flatten();
        let mut left: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        left.sort();
        let mut core = self.hub.core();
        if !left.is_empty() {
            core.complaints.push(format!("left over: {left:?}"));
        }
        let n_daemons = core.tasks.iter().filter(|task| !task.is_over).count();
        if n_daemons > 0 {
            core.complaints.push(format!("{n_daemons} daemons are left over"));
        }
    }
}

fn damage_hashes(path: &Path, action: &Action) {
    let mut bytes = fs::read(path).unwrap();
    match action {
        Action::HashesTorn { bytes: cut } => {
            bytes.truncate(bytes.len().saturating_sub(*cut as usize));
        }
        Action::HashesDamaged { seed } if !bytes.is_empty() => {
            let at = *seed as usize % bytes.len();
            bytes[at] ^= 1 << (seed >> 61);
        }
        _ => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, bytes).unwrap();
}
