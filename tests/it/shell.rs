//! How command lines are split.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use confab::shell::{self, Folder, Script, Word};

use crate::support::fixtures;

#[test]
fn command_lines_are_split_as_a_shell_does() {
    let folder = fixtures::folder().join("shell");
    let mut n_cases = 0;
    let mut failures = Vec::new();
    for entry in fs::read_dir(fixtures::folder().join("shell")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sh") {
            continue;
        }
        n_cases += 1;
        let text = fs::read_to_string(&path).unwrap();
        let script = shell::read(&text, Some("".into()), Path::new("/home/dev"));
        let found = written(&script);
        let expected = path.with_extension("commands");
        if std::env::var_os("CONFAB_BLESS").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        let expected = fs::read_to_string(expected).unwrap_or_default();
        if found != expected {
            failures.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(n_cases > 0, "no case in {}, fixtures/shell", folder.display());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Every beginning of every case ends in time and without a panic.
#[test]
fn nothing_that_is_cut_off_confuses_the_reader() {
    for entry in fs::read_dir(fixtures::folder().join("shell")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for (at, _) in text.char_indices() {
            for text in [&text[..at], &text[at..]] {
                shell::read(text, None, Path::new("/home/dev"));
            }
        }
    }
}

#[test]
fn what_is_too_long_or_too_deep_is_not_told() {
    let home = Path::new("/home/dev");
    let openings = [
        "$(",
        "(",
        "`",
        "\"$(",
        "${a:-",
        "${a:-\"",
        "\"${a:-`",
        "<(",
        "{ ",
        "((",
        "case x in a) ",
        "a <<E $(",
        "a=(",
    ];
    for opening in openings {
        let deep = opening.repeat((1 << 19) / opening.len());
        shell::read(&deep, None, home);
    }
    let long = "pwd;".repeat(1 << 20);
    assert!(shell::read(&long, None, home).commands.is_empty());
    let many = "pwd;".repeat(1 << 17);
    assert!(shell::read(&many, None, home).commands.len() < 1 << 17);
}

fn written(script: &Script) -> String {
    let mut text = String::new();
    for command in &script.commands {
        let _ = write!(text, "{}:", place(&command.folder));
        for (name, value) in &command.assignments {
            let _ = write!(text, " {name}={}", word(value));
        }
        for part in &command.words {
            let _ = write!(text, " {}", word(part));
        }
        if let Some(input) = &command.input {
            let _ = write!(text, " << {input:?}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "end: {}", place(&script.end));
    text
}

fn word(word: &Word) -> String {
    format!("{:?}{}", word.text, if word.known { "" } else { "?" })
}

fn place(folder: &Folder) -> String {
    folder.as_ref().map_or("?".to_owned(), |folder| format!("<{}>", folder.display()))
}
