//! What the compiler cannot check: who may use whom, where the world enters, how big things grow.
//!
//! Every rule is a function from text to complaints, so that the module `planted` can feed
//! it what it must refuse. Deliberately absent: a Rust parser. [`strip`] blanks comments and
//! strings, and what is left is simple enough to be read by words and braces.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The rooms of the house and their floors: the twin of the table in the docs of `src/lib.rs`. A
/// room may be planned here before it is built; what is built must be here.
const FLOORS: [(&str, u8); 27] = [
    ("error", 0),
    ("time", 0),
    ("schedule", 0),
    ("shell", 0),
    ("github", 0),
    ("wire", 0),
    ("sys", 0),
    ("files", 1),
    ("json_text", 1),
    ("redact", 1),
    ("transcript", 1),
    ("watch", 1),
    ("config", 2),
    ("state", 2),
    ("settings", 2),
    ("tail", 2),
    ("git", 2),
    ("logging", 2),
    ("session", 2),
    ("remote", 3),
    ("chunk", 3),
    ("sync", 4),
    ("daemon", 5),
    ("hook", 5),
    ("fleet", 6),
    ("cli", 7),
    ("server", SERVER_FLOOR),
];
/// Written `s` in the docs: outside the client's floors, with a list of its own.
const SERVER_FLOOR: u8 = u8::MAX;
/// `config` and `remote` are for `push` and `pull`: there, a server is another one's client; and
/// `config` is for the settings of the watch beside it.
const SERVER_MAY_USE: [&str; 10] =
    ["error", "time", "wire", "github", "sys", "files", "redact", "transcript", "config", "remote"];
/// What a hook may use: it answers within a millisecond and never touches network or transcript.
/// `shell` and `github` only read text; `git` reads a few small files, and only when a commit was
/// made: later, in the daemon, the folder may stand on another commit or be gone.
const HOOK_MAY_USE: [&str; 7] = ["error", "files", "state", "sys", "shell", "github", "git"];
/// Words that mean that a hook does what it must not.
const HOOK_MUST_NOT_NAME: [&str; 7] =
    ["ureq", "regex", "zstd", "rusqlite", "aho_corasick", "TcpStream", "Command"];

/// The clock, sleep, randomness and environment enter in `main` alone.
const WORLD: [&str; 10] = [
    "env::var",
    "env::vars",
    "env::var_os",
    "env::args",
    "env::current_dir",
    "env::home_dir",
    "env::temp_dir",
    "SystemTime::now",
    "Instant::now",
    "thread::sleep",
];
/// Where the world enters, next to `src/bin/` and `src/sys/`: file, word, reason.
const WORLD_ALLOWED: [(&str, &str, &str); 2] = [
    ("tests/it/support/eventually.rs", "thread::sleep", "the one bounded wait of all tests"),
    ("tests/chaos/pause.rs", "thread::sleep", "a slow network, and Claude Code's own speed"),
];

/// Direct dependencies: those of every client, then those behind `tls` and `server`.
const DEPENDENCIES: [&str; 12] = [
    "ureq",
    "serde",
    "serde_json",
    "lexopt",
    "libc",
    "fastrand",
    "regex",
    "memchr",
    "home",
    "log",
    "env_logger",
    "zstd",
];
const OPTIONAL_DEPENDENCIES: [&str; 6] =
    ["rustls", "rusqlite", "httparse", "sha2", "argon2", "flate2"];

/// What cargo-fuzz builds with, in a workspace of its own: what it needs, the package, and crates
/// of the package that the shared fuzzers name.
const FUZZ_DEPENDENCIES: &str = "confab libfuzzer-sys fastrand flate2 memchr serde serde_json zstd";
/// What is fuzzed at the least.
const FUZZ_TARGETS: &str = "hook settings transcript redact config state answers http";

const LINE_COLUMNS_MAX: usize = 100;
const FILE_CODE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// Stands for one character of a string in stripped text, so that no rule reads text as code.
const TEXT: char = '\u{1}';

/// A file under `src` or `tests`, and what is left of it for the rules.
struct Source {
    /// Relative to the package, with forward slashes.
    path: String,
    raw: String,
    /// Without comments and strings.
    code: String,
    /// Without `#[cfg(test)]` items as well.
    production: String,
}

impl Source {
    fn new(path: &str, raw: &str) -> Source {
        let code = strip(raw);
        // A module of tests may lie in a file of its own.
        let is_tests = path.starts_with("src/") && path.ends_with("/tests.rs");
        let production = if is_tests { String::new() } else { without_tests(&code) };
        Source { path: path.into(), raw: raw.into(), code, production }
    }

    /// The room that the file belongs to; `None` for crate roots and tests.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let name = inside.split('/').next()?.trim_end_matches(".rs");
        (!matches!(name, "lib" | "main" | "bin")).then_some(name)
    }

    fn is_main(&self) -> bool {
        self.path.starts_with("src/bin/")
    }
}

#[test]
fn the_code_keeps_the_rules() {
    let mut complaints = Vec::new();
    for source in sources() {
        complaints.extend(rooms(&source));
        complaints.extend(world(&source));
        complaints.extend(unfinished(&source));
        complaints.extend(sizes(&source));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_documented_table_is_the_real_one() {
    let built: BTreeSet<String> =
        sources().iter().filter_map(Source::room).map(Into::into).collect();
    let complaints = documented_table(&read("src/lib.rs"), &built);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn dependencies_are_the_agreed_ones_with_reasons() {
    let complaints = dependencies(&read("Cargo.toml"));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_fuzz_targets_are_all_there_and_no_part_of_the_package() {
    let manifest = read("tests/fuzz/Cargo.toml");
    let mut complaints = fuzz_package(&manifest);
    for entry in fs::read_dir(root().join("tests/fuzz/fuzz_targets")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_built = manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\""));
        if !is_built || !fs::read_to_string(&path).unwrap().contains(&format!("\"{name}\"")) {
            complaints.push(format!("tests/fuzz: {name} is not built, or another target"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_fixture_folder_is_named_by_a_test() {
    let sources = sources();
    let Ok(entries) = fs::read_dir(root().join("fixtures")) else { return };
    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let named = |source: &Source| source.raw.contains(&format!("fixtures/{name}"));
        assert!(sources.iter().any(named), "fixtures/{name} is named by no test");
    }
}

/// Every exception in [`WORLD_ALLOWED`] is needed: a list that only grows guards nothing.
#[test]
fn no_exception_is_stale() {
    for (path, word, _) in WORLD_ALLOWED {
        let source = Source::new(path, &read(path));
        assert!(!words(&source.code, word).is_empty(), "{path} does not use {word} any more");
    }
}

/// A room uses lower floors only; hook and server have lists of their own.
fn rooms(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return Vec::new() };
    let Some(floor) = floor(room) else {
        return vec![format!("{}: the room {room} is not in the table of floors", source.path)];
    };
    let mut complaints = Vec::new();
    for used in rooms_used(source) {
        let allowed = match room {
            _ if used == room => true,
            "server" => SERVER_MAY_USE.contains(&used.as_str()),
            "hook" => HOOK_MAY_USE.contains(&used.as_str()),
            _ => self::floor(&used).is_some_and(|other| other < floor),
        };
        if !allowed {
            complaints.push(format!("{}: {room} must not use {used}", source.path));
        }
    }
    if room == "hook" {
        for word in HOOK_MUST_NOT_NAME {
            for line in words(&source.production, word) {
                complaints.push(format!("{}:{line}: a hook must not use {word}", source.path));
            }
        }
    }
    complaints
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// The rooms that production code names: behind `crate::`, in `crate::{…}`, behind the crate's own
/// name, and through more `super::` than the file is deep.
fn rooms_used(source: &Source) -> BTreeSet<String> {
    let text: String = source.production.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.replace(" ::", "::").replace(":: ", "::").replace("{ ", "{");
    let depth = source.path.trim_end_matches("/mod.rs").matches('/').count();
    let roots = ["crate::".to_string(), "confab::".to_string(), "super::".repeat(depth)];
    let mut used = BTreeSet::new();
    for root in &roots {
        for (start, _) in text.match_indices(root.as_str()) {
            let before = text[..start].chars().next_back();
            if before.is_none_or(|c| !is_word(c) && c != ':') {
                used.extend(first_names(&text[start + root.len()..]));
            }
        }
    }
    used
}

/// The first names of a path or of each path of a braced list.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String { text.trim().chars().take_while(|c| is_word(*c)).collect() };
    let Some(list) = rest.strip_prefix('{') else {
        let name = name(rest);
        return vec![if name.is_empty() { "everything".into() } else { name }];
    };
    let mut names = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&list[start..at]));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Clock, sleep, randomness, environment and system calls stay where they belong.
fn world(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let in_sys = source.path.starts_with("src/sys");
    let is_test = source.path.starts_with("tests/");
    // A benchmark may wait for time itself to pass: what being idle costs is a question of time.
    let is_benchmark = source.path.starts_with("tests/bench/");
    let mut complain = |line: usize, word: &str| {
        complaints.push(format!("{}:{line}: {word} does not belong here", source.path));
    };
    for word in ["unsafe", "libc"] {
        if !in_sys {
            words(&source.code, word).into_iter().for_each(|line| complain(line, word));
        }
    }
    for word in WORLD {
        let excepted = WORLD_ALLOWED.iter().any(|(path, w, _)| *path == source.path && *w == word);
        let banned = match is_test {
            true => word == "thread::sleep" && !is_benchmark,
            false => !in_sys && !source.is_main(),
        };
        if banned && !excepted {
            words(&source.production, word).into_iter().for_each(|line| complain(line, word));
        }
    }
    if !is_test && !source.is_main() {
        for line in words(&source.production, "fastrand") {
            let text = source.production.lines().nth(line - 1).unwrap_or_default();
            let seeded = !text.contains("fastrand::")
                || text.contains("fastrand::Rng") && !text.contains("Rng::new");
            if !seeded {
                complain(line, "unseeded fastrand");
            }
        }
    }
    complaints
}

/// Nothing unfinished, no test switched off.
fn unfinished(source: &Source) -> Vec<String> {
    let code = [["to", "do!"], ["unimple", "mented!"], ["db", "g!"], ["#[ig", "nore"]];
    let anywhere = [["FIX", "ME"], ["X", "XX"]];
    let mut complaints = Vec::new();
    let found = code.iter().map(|w| (w.concat(), &source.code));
    for (word, text) in found.chain(anywhere.iter().map(|w| (w.concat(), &source.raw))) {
        for line in words(text, &word) {
            complaints.push(format!("{}:{line}: {word} is left in the code", source.path));
        }
    }
    complaints
}

/// Lines, functions and files stay small. The text of strings does not count towards a line, and
/// unit tests, which are data as a rule, count towards neither function nor file.
fn sizes(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (at, (raw, code)) in source.raw.lines().zip(source.code.lines()).enumerate() {
        let columns = raw.chars().count() - code.matches(TEXT).count();
        // A row of a table in the docs cannot be wrapped.
        let is_row = raw.starts_with("//! |") || raw.trim_start().starts_with("/// |");
        if !is_row && columns > LINE_COLUMNS_MAX {
            complaints.push(format!("{}:{}: {columns} columns", source.path, at + 1));
        }
    }
    let lines = source.production.lines().filter(|line| !line.trim().is_empty()).count();
    if lines > FILE_CODE_LINES_MAX {
        complaints.push(format!("{}: {lines} lines of code", source.path));
    }
    for (start, _) in source.production.match_indices("fn ") {
        let before = source.production[..start].chars().next_back();
        let rest = &source.production[start..];
        let is_item = before.is_none_or(|c| !is_word(c)) && !rest.starts_with("fn (");
        let Some(open) = rest.find(['{', ';']).filter(|_| is_item) else { continue };
        let lines = 1 + rest[..item_end(rest, open)].matches('\n').count();
        if lines > FUNCTION_LINES_MAX {
            let name: String = rest[3..].chars().take_while(|c| is_word(*c)).collect();
            complaints.push(format!("{}: fn {name} has {lines} lines", source.path));
        }
    }
    complaints
}

/// The table in the docs of `lib.rs` lists what is built, on the floors of [`FLOORS`].
fn documented_table(lib: &str, built: &BTreeSet<String>) -> Vec<String> {
    let mut documented = BTreeSet::new();
    let mut complaints = Vec::new();
    for row in lib.lines().filter_map(|line| line.strip_prefix("//! |")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let number = if cells[0] == "s" { Some(SERVER_FLOOR) } else { cells[0].parse().ok() };
        let (Some(number), Some(names)) = (number, cells.get(1)) else { continue };
        for name in names.split(',').map(|name| name.trim_matches(['[', ']', '`', ' '])) {
            if floor(name) != Some(number) {
                complaints.push(format!("src/lib.rs: {name} is not on floor {}", cells[0]));
            }
            documented.insert(name.to_string());
        }
    }
    for name in documented.symmetric_difference(built) {
        complaints.push(format!("src/lib.rs: {name} is documented or built, but not both"));
    }
    complaints
}

/// Exactly the agreed crates, each without default features and below a comment with its reason.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut found = BTreeSet::new();
    let (mut section, mut previous) = ("", "");
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
            if line.contains("dependencies") && line != "[dependencies]" {
                complaints.push(format!("Cargo.toml: the section {line} is not agreed"));
            }
        } else if section == "[dependencies]" && !line.is_empty() && !line.starts_with('#') {
            let name = line.split([' ', '=']).next().unwrap_or_default();
            let optional = line.contains("optional = true");
            let agreed = match optional {
                true => OPTIONAL_DEPENDENCIES.contains(&name),
                false => DEPENDENCIES.contains(&name),
            };
            if !agreed || !line.contains("default-features = false") || !previous.starts_with("# ")
            {
                complaints
                    .push(format!("Cargo.toml: {name} is not agreed, or not as it should be"));
            }
            found.insert(name.to_string());
        }
        previous = line;
    }
    for name in DEPENDENCIES.iter().chain(&OPTIONAL_DEPENDENCIES) {
        if !found.contains(*name) {
            complaints.push(format!("Cargo.toml: {name} is missing"));
        }
    }
    complaints
}

/// A workspace of its own with the agreed crates and targets.
fn fuzz_package(manifest: &str) -> Vec<String> {
    let behind = manifest.split_once("[dependencies]\n").map_or("", |(_, rest)| rest);
    let lines = behind.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split([' ', '=']).next());
    let names = names.filter(|name| !name.is_empty() && *name != "#");
    let strange = names.filter(|name| FUZZ_DEPENDENCIES.split(' ').all(|agreed| agreed != *name));
    let is_missing = |name: &&str| !manifest.contains(&format!("name = \"{name}\"\n"));
    let missing = FUZZ_TARGETS.split(' ').filter(is_missing);
    let wanted = Some("[workspace]").filter(|line| !manifest.contains(&format!("\n{line}\n")));
    let complaint = |name: &str| format!("tests/fuzz/Cargo.toml: {name} is missing, or not agreed");
    strange.chain(missing).chain(wanted).map(complaint).collect()
}

/// Blanks comments and the text of strings and characters; every line keeps its length.
fn strip(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        let (length, open, close, filler) = if rest.starts_with(&['/', '/']) {
            (rest.iter().take_while(|c| **c != '\n').count(), 0, 0, ' ')
        } else if rest.starts_with(&['/', '*']) {
            (block_comment(rest), 0, 0, ' ')
        } else if let Some((length, frame)) =
            raw_string(rest, at.checked_sub(1).map(|i| characters[i]))
        {
            (length, frame, frame - 1, TEXT)
        } else if rest[0] == '"' {
            (quoted(rest, '"'), 1, 1, TEXT)
        } else if rest[0] == '\'' && is_character(rest) {
            (quoted(rest, '\''), 1, 1, TEXT)
        } else {
            (1, 1, 0, ' ')
        };
        for (offset, character) in rest[..length].iter().enumerate() {
            let frame = offset < open || offset >= length - close;
            out.push(if frame || *character == '\n' { *character } else { filler });
        }
        at += length;
    }
    out
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => depth += 1,
            ['*', '/', ..] => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length and opening frame of `r"…"`, `r#"…"#` and so on; the closing frame lacks the `r`.
fn raw_string(rest: &[char], before: Option<char>) -> Option<(usize, usize)> {
    let after_word = before.is_some_and(|c| is_word(c) && c != 'b');
    if rest[0] != 'r' || after_word {
        return None;
    }
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let frame = hashes + 2;
    let mut close = vec!['"'];
    close.resize(hashes + 1, '#');
    let end = rest[frame..].windows(hashes + 1).position(|window| window == close)?;
    Some((frame + end + hashes + 1, frame))
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Tells `'a'` from the lifetime `'a`.
fn is_character(rest: &[char]) -> bool {
    rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'')
}

/// Blanks every item below `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut out = code.to_string();
    while let Some(start) = out.find("#[cfg(test)]") {
        let rest = &out[start..];
        let end = rest.find(['{', ';']).map_or(rest.len(), |open| item_end(rest, open));
        let blank: String = rest[..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        out.replace_range(start..start + end, &blank);
    }
    out
}

/// Where an item ends whose body or semicolon is at `open`.
fn item_end(text: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, character) in text[open..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + at + 1;
        }
    }
    text.len()
}

/// The lines, from 1, on which a word stands.
fn words(text: &str, word: &str) -> Vec<usize> {
    let whole = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
    };
    text.lines().enumerate().filter(|(_, line)| whole(line)).map(|(at, _)| at + 1).collect()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// All Rust files of the package.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    let mut folders = vec![root().join("src"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // What cargo-fuzz builds is not ours.
            if path.is_dir() && !path.ends_with("tests/fuzz/target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_string();
    paths
        .iter()
        .map(|path| Source::new(&relative(path), &fs::read_to_string(path).unwrap()))
        .collect()
}

/// The rules themselves, held against what they must refuse.
#[cfg(test)]
mod planted {
    use super::*;

    #[test]
    fn planted_violations_are_found() {
        let room_violations = [
            ("src/error.rs", "use crate::time;"),
            ("src/files.rs", "fn f() { crate::redact::line(b\"\") }"),
            ("src/state.rs", "use crate::{\n    error::Error,\n    config::{Config, path},\n};"),
            ("src/wire.rs", "use crate::*;"),
            ("src/hook.rs", "use crate::remote::Client;"),
            ("src/hook.rs", "use std::net::TcpStream;"),
            ("src/server/http.rs", "use crate::sync::Engine;"),
            ("src/sync.rs", "use crate::server;"),
            ("src/sync/pass.rs", "use super::super::daemon::Event;"),
            ("src/sync.rs", "use confab::daemon;"),
            ("src/attic.rs", "fn f() {}"),
        ];
        for (path, text) in room_violations {
            assert!(!rooms(&Source::new(path, text)).is_empty(), "{path}: {text}");
        }
        let world_violations = [
            ("src/sync.rs", "let now = SystemTime::now();"),
            ("src/sync.rs", "let now = std::time::Instant::now();"),
            ("src/cli/status.rs", "std::env::var(\"HOME\")"),
            ("src/daemon.rs", "use std::thread;\nfn f() { thread::sleep(d) }"),
            ("src/chunk.rs", "let x = fastrand::u64(..);"),
            ("src/chunk.rs", "let x = fastrand::Rng::new();"),
            ("src/files.rs", "extern crate libc;"),
            ("src/files.rs", "unsafe { f() }"),
            ("src/bin/confab/main.rs", "unsafe { f() }"),
            ("tests/it/x.rs", "std::thread::sleep(d)"),
        ];
        for (path, text) in world_violations {
            assert!(!world(&Source::new(path, text)).is_empty(), "{path}: {text}");
        }
        for word in [["to", "do!()"], ["unimple", "mented!()"], ["db", "g!(x)"], ["#[ig", "nore]"]]
        {
            let source = Source::new("src/a.rs", &word.concat());
            assert!(!unfinished(&source).is_empty(), "{word:?}");
        }
        let note = Source::new("src/a.rs", &["// FIX", "ME: later"].concat());
        assert!(!unfinished(&note).is_empty());
    }

    #[test]
    fn planted_sizes_are_found() {
        let line = "x".repeat(LINE_COLUMNS_MAX + 1);
        let function = format!("fn f() {{\n{}}}", "g();\n".repeat(FUNCTION_LINES_MAX));
        let file = "g();\n".repeat(FILE_CODE_LINES_MAX + 1);
        for text in [line, function, file] {
            assert_eq!(sizes(&Source::new("src/error.rs", &text)).len(), 1, "{text}");
        }
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "g();\n".repeat(501));
        let long_text = format!("const A: &str = \"{}\";", "x".repeat(200));
        for text in [tests, long_text] {
            assert!(sizes(&Source::new("src/error.rs", &text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn planted_tables_and_dependencies_are_found() {
        let built = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let table = "//! | 0 | [`error`] | x |\n//! | 0 | [`time`] | x |";
        assert!(documented_table(table, &built(&["error", "time"])).is_empty());
        assert!(!documented_table(table, &built(&["error"])).is_empty());
        assert!(!documented_table(table, &built(&["error", "time", "wire"])).is_empty());
        let wrong = "//! | 1 | [`error`] | x |\n//! | 0 | [`time`] | x |";
        assert!(!documented_table(wrong, &built(&["error", "time"])).is_empty());

        let manifest = read("Cargo.toml");
        let planted = [
            manifest.replace("[dependencies]", "[dependencies]\n# Async.\ntokio = \"1\""),
            manifest.replacen("default-features = false", "default-features = true", 1),
            manifest.replace("lexopt = ", "\nlexopt = "),
            manifest.replace("sha2 = ", "# sha2 = "),
            format!("{manifest}\n[dev-dependencies]\nproptest = \"1\"\n"),
        ];
        for manifest in planted {
            assert!(!dependencies(&manifest).is_empty(), "{manifest}");
        }
    }

    #[test]
    fn planted_fuzz_packages_are_found() {
        let manifest = read("tests/fuzz/Cargo.toml");
        let planted = [
            manifest.replace("[workspace]\n", ""),
            manifest.replace("[dependencies]\n", "[dependencies]\ntokio = \"1\"\n"),
            manifest.replace("name = \"hook\"\n", "name = \"hooks\"\n"),
        ];
        for manifest in planted {
            assert_eq!(fuzz_package(&manifest).len(), 1, "{manifest}");
        }
    }

    #[test]
    fn stripping_keeps_code_and_lines_only() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"x\\\"y\") + g", "f(\"####\") + g"),
            ("r#\"a\"b\"# c", "r#\"###\"# c"),
            ("b'\"' 'a 'b'", "b'#' 'a '#'"),
            ("'\\'' x", "'##' x"),
        ];
        for (text, expected) in cases {
            assert_eq!(strip(text).replace(TEXT, "#"), expected, "{text}");
        }
        let text = "a\n#[cfg(test)]\nmod tests {\n  use crate::cli;\n}\nb";
        assert_eq!(without_tests(text).replace(' ', ""), "a\n\n\n\n\nb");
        let text = "#[cfg(test)]\nuse crate::cli;\nb";
        assert_eq!(without_tests(text).trim(), "b");
    }
}
