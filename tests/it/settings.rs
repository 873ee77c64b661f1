//! Claude's settings by example: every folder of `fixtures/settings` is what a file is before our
//! hooks are added, after it, and when they are removed again.

use std::fs;
use std::path::{Path, PathBuf};

use confab::settings::{self, Program, State};

use crate::support::parallel::each;
use crate::support::sandbox::Sandbox;

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
