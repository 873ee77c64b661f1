//! Claude's settings by example: every folder of `fixtures/settings` is what a file is before our
//! hooks are added, after it, and when they are removed again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use confab::settings::{self, Program, State};

use crate::support::parallel::each;
use crate::support::sandbox::{Outcome, Sandbox};

/// What the hooks of the examples start.
const PROGRAM: &str = "/opt/my tools/confab";

/// What `removed.json` says when nothing but our hooks was in the file.
const GONE: &str = "the file is gone\n";

/// `before.json` (absent when there is no file), `after.json`, and `removed.json` when that is not
/// what was before; or `error` when the file is left alone.
struct Case {
    folder: PathBuf,
    name: String,
}

impl Case {
    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(name)).ok()
    }

    /// With `CONFAB_BLESS` set, what came out becomes what is expected, to be looked at before it
    /// is committed.
    fn expect(&self, name: &str, found: Option<Vec<u8>>, or: Option<Vec<u8>>) {
        if std::env::var_os("CONFAB_BLESS").is_some() {
            match found {
                Some(bytes) if Some(&bytes) != or.as_ref() => {
                    fs::write(self.folder.join(name), bytes).unwrap();
                }
                _ => drop(fs::remove_file(self.folder.join(name))),
            }
            return;
        }
        let text = |bytes: Option<Vec<u8>>| {
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        assert_eq!(text(found), text(self.bytes(name).or(or)), "{}: {name}", self.name);
    }

    fn check(&self) {
        let program = Program::new(Path::new(PROGRAM)).unwrap();
        let sandbox = Sandbox::new(&format!("settings-{}", self.name));
        let folder = sandbox.root().join("claude");
        fs::create_dir(&folder).unwrap();
        let file = settings::settings_file(&folder);
        let before = self.bytes("before.json");
        if let Some(bytes) = &before {
            fs::write(&file, bytes).unwrap();
        }
        if self.name.starts_with("refused") {
            let error = settings::add_to(&folder, &program).unwrap_err();
            let told = format!("{error}\n").replace(file.to_str().unwrap(), "FILE");
            assert!(error.hint().is_some(), "{}: {error}", self.name);
            self.expect("error", Some(told.into()), None);
            assert_eq!(fs::read(&file).ok(), before, "{}", self.name);
            assert_eq!(names(&folder), ["settings.json"], "{}", self.name);
            return;
        }
        let report = settings::inspect_in(&folder, &program).unwrap();
        settings::add_to(&folder, &program).unwrap();
        self.expect("after.json", fs::read(&file).ok(), None);
        let again = settings::add_to(&folder, &program).unwrap();
        assert!(again.changes.is_empty() && again.backup.is_none(), "{}: {again:?}", self.name);
        let after = settings::inspect_in(&folder, &program).unwrap();
        assert!(after.states.iter().all(|state| *state == State::Present), "{}", self.name);
        assert!(after.surplus.is_empty(), "{}: {after:?}", self.name);

        settings::remove_from(&folder, &program).unwrap();
        let removed = fs::read(&file).ok().or(before.is_some().then(|| GONE.into()));
        self.expect("removed.json", removed, before.clone());
        if report.is_empty() {
            let there = if before.is_some() { vec!["settings.json"] } else { Vec::new() };
            assert_eq!(names(&folder), there, "{}: nothing is left behind", self.name);
            assert_eq!(fs::read(&file).ok(), before, "{}: as it was", self.name);
        }
        let gone = settings::remove_from(&folder, &program).unwrap();
        assert!(gone.changes.is_empty(), "{}: {gone:?}", self.name);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn settings_become_what_the_examples_say_and_are_given_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/settings");
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let cases = folders.map(|folder| {
        let name = folder.file_name().unwrap().to_str().unwrap().to_string();
        Case { folder, name }
    });
    each(cases.collect(), |case: Case| case.check());
}

const MODEL: &str = "{\n  \"model\": \"opus\"\n}\n";

#[track_caller]
fn run(sandbox: &Sandbox, verb: &str) -> Outcome {
    let outcome = sandbox.run(&["hooks", verb]);
    assert!(outcome.status.success(), "{outcome:?}");
    outcome
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_link_stays_and_so_do_mode_and_owner() {
    let sandbox = Sandbox::new("settings-link");
    let folder = sandbox.home().join(".claude");
    let real = sandbox.root().join("dotfiles/claude.json");
    fs::create_dir(real.parent().unwrap()).unwrap();
    fs::write(&real, MODEL).unwrap();
    set_mode(&real, 0o640);
    // Only root may give a file away; to everybody else it is a file of their own.
    let _ = std::os::unix::fs::chown(&real, Some(1234), Some(2345));
    let before = fs::metadata(&real).unwrap();
    let file = settings::settings_file(&folder);
    symlink("../../dotfiles/claude.json", &file).unwrap();
    let is_kept = |path: &Path| {
        let now = fs::metadata(path).unwrap();
        assert_eq!(now.permissions().mode() & 0o7777, 0o640, "{path:?}");
        assert_eq!((now.uid(), now.gid()), (before.uid(), before.gid()), "{path:?}");
    };

    run(&sandbox, "add");
    assert_eq!(fs::read_link(&file).unwrap(), Path::new("../../dotfiles/claude.json"));
    assert!(fs::read_to_string(&real).unwrap().contains("hook session-start"));
    is_kept(&real);
    is_kept(&folder.join("settings.json.confab-backup"));
    assert_eq!(names(real.parent().unwrap()), ["claude.json"]);
    run(&sandbox, "check");
    run(&sandbox, "remove");
    assert_eq!(fs::read_to_string(&real).unwrap(), MODEL);
    assert!(file.is_symlink());
    is_kept(&real);
    assert_eq!(names(&folder), ["projects", "settings.json"]);
}

/// A link whose target would be empty is no reason to let it dangle.
#[test]
fn a_linked_file_is_never_removed() {
    let sandbox = Sandbox::new("settings-link-bare");
    let file = settings::settings_file(&sandbox.home().join(".claude"));
    let real = sandbox.root().join("real.json");
    run(&sandbox, "add");
    fs::rename(&file, &real).unwrap();
    symlink(&real, &file).unwrap();
    run(&sandbox, "remove");
    assert_eq!(fs::read_to_string(&real).unwrap(), "{}\n");
    fs::remove_file(&real).unwrap();
    for verb in ["add", "remove", "check"] {
        let outcome = sandbox.run(&["hooks", verb]);
        assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
        assert!((outcome.stdout + &outcome.stderr).contains("a symbolic link to nothing"));
    }
    assert!(file.is_symlink() && !real.exists());
}

#[test]
fn what_is_read_only_is_left_alone() {
    let sandbox = Sandbox::new("settings-read-only");
    let folder = sandbox.home().join(".claude");
    let file = settings::settings_file(&folder);
    fs::write(&file, MODEL).unwrap();
    set_mode(&file, 0o444);
    let outcome = sandbox.run(&["hooks", "add"]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("read-only"), "{outcome:?}");
    assert!(outcome.stderr.contains("hint: "), "{outcome:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), MODEL);
    assert_eq!(names(&folder), ["projects", "settings.json"]);
}

/// Another program changes a key all the time, each time on what it finds. It never sees half a
/// file, and neither its keys nor our hooks are lost: whoever comes too late does it again.
#[test]
fn another_writer_is_noticed() {
    let sandbox = Sandbox::new("settings-writer");
    let file = settings::settings_file(&sandbox.home().join(".claude"));
    let other = file.with_extension("other");
    fs::write(&file, "{}\n").unwrap();
    let is_done = AtomicBool::new(false);
    let (rounds, outcomes) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut round = 0_u64;
            while !is_done.load(Ordering::Relaxed) {
                round += 1;
                let text = fs::read_to_string(&file).unwrap();
                let mut settings: Value = serde_json::from_str(&text).expect("a whole file");
                settings["round"] = round.into();
                fs::write(&other, format!("{settings:#}\n")).unwrap();
                // It looks as we do: what neither can see is the moment before the rename.
                if fs::read_to_string(&file).unwrap() == text {
                    fs::rename(&other, &file).unwrap();
                }
            }
            round
        });
        let outcomes: Vec<Outcome> =
            (0..20).map(|at| sandbox.run(&["hooks", ["add", "remove"][at % 2]])).collect();
        is_done.store(true, Ordering::Relaxed);
        (writer.join().unwrap(), outcomes)
    });
    for outcome in outcomes {
        let told = outcome.stderr.contains("another program keeps changing it")
            || outcome.stderr.contains("there are 9 already");
        assert!(outcome.status.success() || told, "{outcome:?}");
    }
    let settings: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert!(rounds > 0 && settings["round"].is_u64(), "{settings}");
}

/// Processes of confab's wait for each other.
#[test]
fn hooks_are_added_once_by_many() {
    let sandbox = Sandbox::new("settings-many");
    let folder = sandbox.home().join(".claude");
    let file = settings::settings_file(&folder);
    fs::write(&file, MODEL).unwrap();
    each((0..6).collect(), |_: usize| drop(run(&sandbox, "add")));
    run(&sandbox, "check");
    assert_eq!(names(&folder), ["projects", "settings.json", "settings.json.confab-backup"]);
    each((0..6).collect(), |_: usize| drop(run(&sandbox, "remove")));
    assert_eq!(fs::read_to_string(&file).unwrap(), MODEL);
    assert_eq!(names(&folder), ["projects", "settings.json"]);
}
