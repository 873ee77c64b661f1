//! Which commits and pull requests a command line makes.
//!
//! Pure: the line is read and not run. `git commit-tree`, `--dry-run` and the like make nothing,
//! and text in quotes is text; what `sh -c`, `eval` and `sudo` run counts.

use std::path::Path;

use crate::shell::{self, Folder, SimpleCommand, Word};

/// Scripts within scripts; what lies deeper is not told.
const NESTING_MAX: usize = 4;

/// One thing that a command line makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A commit.
    Commit {
        /// Where, seen from where the line starts; `None` when nobody can tell.
        folder: Folder,
        /// The message is a new one, not that of another commit.
        writes_message: bool,
    },
    /// A pull request.
    PullRequest,
}

/// Programs that run another one: name, their options with a value, operands before the program.
const WRAPPERS: [(&str, &str, usize); 15] = [
    ("builtin", "", 0),
    ("command", "", 0),
    ("doas", "Cu", 0),
    ("env", "uSC", 0),
    ("exec", "a", 0),
    ("gtimeout", "sk", 1),
    ("ionice", "cnp", 0),
    ("nice", "n", 0),
    ("nohup", "", 0),
    ("setsid", "", 0),
    ("stdbuf", "ioe", 0),
    ("sudo", "CDghpRrTtuU", 0),
    ("time", "of", 0),
    ("timeout", "sk", 1),
    ("xargs", "adEILnPs", 0),
];
const SHELLS: [&str; 5] = ["bash", "dash", "ksh", "sh", "zsh"];
/// Options of git whose value is the next word.
const GIT_VALUES: [&str; 8] = [
    "-C",
    "-c",
    "--git-dir",
    "--work-tree",
    "--namespace",
    "--super-prefix",
    "--config-env",
    "--attr-source",
];
/// Options of `git commit` whose value may be the next word.
const COMMIT_VALUES: [&str; 12] = [
    "--message",
    "--file",
    "--author",
    "--date",
    "--template",
    "--trailer",
    "--reuse-message",
    "--reedit-message",
    "--fixup",
    "--squash",
    "--cleanup",
    "--pathspec-from-file",
];
/// Options of `gh pr create` whose value may be the next word.
const PULL_REQUEST_VALUES: [&str; 12] = [
    "--title",
    "--body",
    "--body-file",
    "--base",
    "--head",
    "--assignee",
    "--label",
    "--milestone",
    "--project",
    "--reviewer",
    "--template",
    "--repo",
];

/// What a command line makes, in order, and where its shell is at its end.
pub fn actions(text: &str, home: &Path) -> (Vec<Action>, Folder) {
    let mut actions = Vec::new();
    let end = collect(text, Some(Default::default()), home, 0, &mut actions);
    (actions, end)
}

fn collect(
    text: &str,
    folder: Folder,
    home: &Path,
    depth: usize,
    actions: &mut Vec<Action>,
) -> Folder {
    let script = shell::read(text, folder, home);
    for command in &script.commands {
        let words = unwrapped(&command.words);
        let Some((program, arguments)) = words.split_first() else { continue };
        match program_name(program) {
            "git" => actions.extend(commit(command, arguments)),
            "gh" if creates_pull_request(arguments) => actions.push(Action::PullRequest),
            "eval" if depth < NESTING_MAX => {
                let text: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
                collect(&text.join(" "), command.folder.clone(), home, depth + 1, actions);
            }
            name if SHELLS.contains(&name) && depth < NESTING_MAX => {
                if let Some(text) = script_of(arguments, command.input.as_deref()) {
                    collect(text, command.folder.clone(), home, depth + 1, actions);
                }
            }
            _ => {}
        }
    }
    script.end
}

/// The name of a program without the folder that it lies in.
fn program_name(word: &Word) -> &str {
    word.text.rsplit('/').next().unwrap_or_default()
}

/// The words behind programs that only run another one.
fn unwrapped(words: &[Word]) -> &[Word] {
    let mut words = words;
    while let Some((first, rest)) = words.split_first() {
        let name = program_name(first);
        let Some((_, values, n_operands)) = WRAPPERS.iter().find(|(known, ..)| *known == name)
        else {
            return words;
        };
        let mut left = *n_operands;
        words = rest;
        while let Some((word, rest)) = words.split_first() {
            let is_option = word.text.starts_with('-') && word.text.len() > 1;
            if name == "command" && is_option && word.text.contains(['v', 'V']) {
                // It only asks where the program is.
                return &[];
            }
            if is_option {
                let takes = word.text.len() == 2 && word.text.ends_with(|c| values.contains(c));
                words = rest.get(usize::from(takes)..).unwrap_or_default();
            } else if name == "env" && word.text.contains('=') {
                words = rest;
            } else if left > 0 {
                left -= 1;
                words = rest;
            } else {
                break;
            }
        }
    }
    words
}

/// What a shell is given to run: the text behind `-c`, or its input when no file is named.
fn script_of<'a>(arguments: &'a [Word], input: Option<&'a str>) -> Option<&'a str> {
    let is_option = |word: &&Word| word.text.starts_with(['-', '+']);
    let n_options = arguments.iter().take_while(is_option).count();
    let runs_text = arguments[..n_options]
        .iter()
        .any(|word| !word.text.starts_with("--") && word.text.contains('c'));
    match arguments.get(n_options) {
        Some(text) if runs_text => Some(&text.text),
        Some(_) => None,
        None => input,
    }
}

fn commit(command: &SimpleCommand, arguments: &[Word]) -> Option<Action> {
    let mut folder = command.folder.clone();
    let variable = command.assignments.iter().rev().find(|(name, _)| name == "GIT_DIR");
    if let Some((_, path)) = variable {
        folder = shell::enter(&command.folder, path);
    }
    let mut rest = arguments;
    loop {
        let (word, behind) = rest.split_first()?;
        rest = behind;
        let text = word.text.as_str();
        if !text.starts_with('-') {
            break;
        }
        if let Some(path) = text.strip_prefix("--git-dir=") {
            let path = Word { text: path.to_owned(), known: word.known };
            folder = shell::enter(&folder, &path);
        } else if GIT_VALUES.contains(&text) {
            let (value, behind) = rest.split_first()?;
            rest = behind;
            if matches!(text, "-C" | "--git-dir") && !value.text.is_empty() {
                folder = shell::enter(&folder, value);
            }
        } else if matches!(text, "-h" | "--help" | "-v" | "--version") {
            return None;
        }
    }
    let subcommand = &arguments[arguments.len() - rest.len() - 1];
    if subcommand.text != "commit" {
        return None;
    }
    let options = options(rest, "mFCct", &COMMIT_VALUES);
    let has = |names: &[&str]| options.iter().any(|option| names.contains(&option.as_str()));
    let is_dry = options.iter().any(|option| option.starts_with("--dry"));
    if is_dry || has(&["--short", "--porcelain", "--long", "-h", "--help"]) {
        return None;
    }
    let reuses = has(&["-C", "--reuse-message", "--fixup", "--squash"])
        || (has(&["--amend"]) && has(&["--no-edit"]) && !has(&["-m", "--message", "-F", "--file"]));
    Some(Action::Commit { folder, writes_message: !reuses })
}

fn creates_pull_request(arguments: &[Word]) -> bool {
    let mut operands = Vec::new();
    let mut at = 0;
    while let (Some(word), true) = (arguments.get(at), operands.len() < 2) {
        let text = word.text.as_str();
        at += 1;
        if !text.starts_with('-') {
            operands.push(text);
        } else if matches!(text, "-R" | "--repo" | "--hostname") {
            at += 1;
        } else if matches!(text, "-h" | "--help") {
            return false;
        }
    }
    if !matches!(operands[..], ["pr", "create" | "new"]) {
        return false;
    }
    let behind = arguments.get(at..).unwrap_or_default();
    let options = options(behind, "tbFBHalmprTR", &PULL_REQUEST_VALUES);
    !options.iter().any(|option| matches!(option.as_str(), "--dry-run" | "-h" | "--help"))
}

/// The names of the options among words, without their values; letters that are joined behind one
/// hyphen are told one by one. `letters` are those that take a value, `names` the long ones.
fn options(words: &[Word], letters: &str, names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let text = word.text.as_str();
        at += 1;
        if text == "--" {
            break;
        }
        if text.starts_with("--") {
            found.push(text.split('=').next().unwrap_or(text).to_owned());
            at += usize::from(names.contains(&text));
        } else if let Some(cluster) = text.strip_prefix('-') {
            for (index, letter) in cluster.char_indices() {
                found.push(format!("-{letter}"));
                if letters.contains(letter) {
                    // The value is the rest of the word or, behind its end, the next one.
                    at += usize::from(index + letter.len_utf8() == cluster.len());
                    break;
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        command: String,
        makes: Vec<String>,
    }

    fn written(action: &Action) -> String {
        let Action::Commit { folder, writes_message } = action else {
            return "pull request".to_owned();
        };
        let place = match folder {
            None => "?".to_owned(),
            Some(folder) if folder.as_os_str().is_empty() => ".".to_owned(),
            Some(folder) => folder.display().to_string(),
        };
        format!("commit {place}{}", if *writes_message { "" } else { " reused" })
    }

    #[test]
    fn every_recorded_command_line_makes_what_it_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/links/actions.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        for line in text.lines() {
            let case: Case = serde_json::from_str(line).unwrap();
            let (actions, _) = actions(&case.command, Path::new("/home/dev"));
            let found: Vec<String> = actions.iter().map(written).collect();
            assert_eq!(found, case.makes, "{}", case.command);
        }
    }
}
