//! One case of `fixtures/commands`: a folder with what there is before a command, what is typed,
//! and what there must be afterwards. Its README says which files it may hold.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use confab::sys::process;
use confab::time::parse_rfc3339;

use super::script::Script;
use crate::support::sandbox::{CONFAB, Sandbox};

const DAY: Duration = Duration::from_secs(86_400);
/// The files of a case, so that a misspelt one is noticed.
const FILES: [&str; 12] = [
    "after",
    "ages",
    "backend",
    "command",
    "environment",
    "gone",
    "home",
    "modes",
    "status",
    "stderr",
    "stdin",
    "stdout",
];

/// See the module.
pub struct Case {
    folder: PathBuf,
    pub name: String,
    /// The words behind `confab`.
    pub words: Vec<String>,
    /// The exit status.
    pub status: i32,
}

impl Case {
    pub fn read(folder: &Path) -> Case {
        let name = folder.file_name().unwrap().to_str().unwrap().to_string();
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            assert!(FILES.contains(&file.as_str()), "{name}: {file} is no file of a case");
        }
        let case = Case { folder: folder.into(), name, words: Vec::new(), status: 0 };
        let mut words = split(case.text("command").trim_end());
        assert_eq!(words.remove(0), "confab", "{}", case.name);
        let status = case.text("status").trim().parse().unwrap_or(0);
        Case { words, status, ..case }
    }

    /// A file of the case; empty when there is none.
    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Runs the command and compares everything. With `CONFAB_BLESS` set, what it printed becomes
    /// what is expected, to be looked at before it is committed.
    pub fn check(&self) {
        let mut sandbox = Sandbox::new(&format!("case-{}", self.name));
        let script = Script::open();
        let marks = Marks::new(&sandbox, &script);
        let before = self.prepare(&sandbox, &marks);
        script.set(&marks.fill(&self.text("backend")));
        for line in marks.fill(&self.text("environment")).lines() {
            let (name, value) = line.split_once('=').expect("NAME=value");
            sandbox.set(name, value);
        }
        let stdin = sandbox.root().join("tmp/stdin");
        fs::write(&stdin, marks.fill(&self.text("stdin"))).unwrap();
        let mut command = sandbox.command(CONFAB);
        command.args(self.words.iter().map(|word| marks.fill(word)));
        let output = command.stdin(Stdio::from(File::open(&stdin).unwrap())).output().unwrap();
        let text = |bytes| marks.empty(&String::from_utf8(bytes).unwrap());
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        let status = output.status.code().unwrap();
        if std::env::var_os("CONFAB_BLESS").is_some() {
            self.bless("stdout", &stdout);
            self.bless("stderr", &stderr);
            self.bless("status", &if status == 0 { String::new() } else { format!("{status}\n") });
            return;
        }
        let name = &self.name;
        assert_eq!(stdout, self.text("stdout"), "{name}: stdout\n{stderr}");
        assert_eq!(stderr, self.text("stderr"), "{name}: stderr");
        assert_eq!(status, self.status, "{name}: exit status");
        assert_eq!(script.complaints(), [""; 0], "{name}: requests");
        self.check_files(&sandbox.home(), before, &marks);
    }

    fn bless(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        match text {
            "" => drop(fs::remove_file(path)),
            text => fs::write(path, text).unwrap(),
        }
    }

    /// Puts everything in place; returns all files of the home.
    fn prepare(&self, sandbox: &Sandbox, marks: &Marks) -> BTreeMap<String, String> {
        let home = sandbox.home();
        for (path, text) in files(&self.folder.join("home")) {
            let path = home.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, marks.fill(&text)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        for folder in [".confab", ".confab/sync"] {
            if home.join(folder).is_dir() {
                fs::set_permissions(home.join(folder), fs::Permissions::from_mode(0o700)).unwrap();
            }
        }
        for line in self.text("modes").lines() {
            let (mode, path) = line.split_once(' ').expect("a mode and a path");
            let mode = u32::from_str_radix(mode, 8).unwrap();
            fs::set_permissions(home.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        for line in self.text("ages").lines() {
            let (when, path) = line.split_once(' ').expect("days or a time, and a path");
            let file = File::options().append(true).open(home.join(path)).unwrap();
            let days_ago = || SystemTime::now() - DAY * when.parse::<u32>().unwrap();
            file.set_modified(parse_rfc3339(when).unwrap_or_else(days_ago)).unwrap();
        }
        files(&home)
    }

    /// Nothing but what the case says has come, gone or changed.
    fn check_files(&self, home: &Path, before: BTreeMap<String, String>, marks: &Marks) {
        let mut expected = before;
        let after = files(&self.folder.join("after"));
        for (path, text) in &after {
            expected.insert(path.clone(), marks.fill(text));
            let mode = fs::metadata(home.join(path)).map(|found| found.permissions().mode());
            assert_eq!(mode.unwrap_or(0) & 0o777, 0o600, "{}: mode of {path}", self.name);
        }
        for path in self.text("gone").lines() {
            assert!(expected.remove(path).is_some(), "{}: {path} was not there", self.name);
        }
        assert_eq!(files(home), expected, "{}: files", self.name);
    }
}

/// What differs from run to run, by the marks that stand for it in the files of a case.
struct Marks(Vec<(&'static str, String)>);

impl Marks {
    fn new(sandbox: &Sandbox, script: &Script) -> Marks {
        let key = |letter: &str| ["cfb_", &letter.repeat(40)].concat();
        let url = script.url();
        Marks(vec![
            ("{ADDRESS}", url.trim_start_matches("http://").to_string()),
            ("{HOME}", sandbox.home().to_str().unwrap().to_string()),
            ("{KEY}", key("k")),
            ("{NEW_KEY}", key("n")),
            ("{NOW}", http_date(SystemTime::now())),
            ("{PROGRAMS}", Path::new(CONFAB).parent().unwrap().to_str().unwrap().to_string()),
            ("{VERSION}", env!("CARGO_PKG_VERSION").to_string()),
            ("{HOST}", process::hostname().unwrap_or_default()),
            ("{USER}", process::username().unwrap_or_default()),
        ])
    }

    fn fill(&self, text: &str) -> String {
        let replace = |text: String, (mark, value): &(&str, String)| text.replace(mark, value);
        self.0.iter().fold(text.to_string(), replace)
    }

    fn empty(&self, text: &str) -> String {
        // Names of people and machines are words that may stand for themselves.
        let is_rare = |(mark, _): &&(&str, String)| !["{HOST}", "{USER}"].contains(mark);
        let replace = |text: String, (mark, value): &(&str, String)| text.replace(value, mark);
        self.0.iter().filter(is_rare).fold(text.to_string(), replace)
    }
}

/// All files below a folder but logs and the hashes of what was sent, by their paths in it.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if !name.starts_with(".confab/logs/") && !name.ends_with(".sent") {
                let bytes = fs::read(&path).unwrap();
                files.insert(name, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    files
}

/// Splits a command line at blanks; what is between single quotes stays together.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (at, part) in line.split('\'').enumerate() {
        let last = words.last_mut().expect("there is a first word");
        if at % 2 == 1 {
            last.push_str(part);
            continue;
        }
        let mut parts = part.split(' ');
        last.push_str(parts.next().unwrap_or_default());
        words.extend(parts.map(str::to_string));
    }
    words
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let text = confab::time::rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
    let number = |range: std::ops::Range<usize>| text[range].parse::<usize>().unwrap();
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let day = days[(seconds / DAY.as_secs() % 7) as usize];
    let month = months[number(5..7) - 1];
    format!("{day}, {} {month} {} {} GMT", &text[8..10], &text[..4], &text[11..19])
}

#[test]
fn command_lines_are_split_as_written() {
    assert_eq!(split("confab set a '[1, 2]'x ''"), ["confab", "set", "a", "[1, 2]x", ""]);
    let time = UNIX_EPOCH + Duration::from_secs(784_111_777);
    assert_eq!(http_date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
}
