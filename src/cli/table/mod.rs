//! All commands as data. Options are checked by this table, and usage, help, completions and the
//! manual page are made from it: what is not here does not exist, and what is here is shown.
//!
//! Deliberately absent: abbreviated options, options without a long name, defaults (they are said
//! in the text, and set by the command).

mod account;
mod commands;
mod sessions;

pub use commands::{ENVIRONMENT, FILES, REPEATED, SHELLS, SHORT, STATUSES};

/// One command.
#[derive(Debug)]
pub struct Entry {
    /// Which one it is, for the code that carries it out.
    pub verb: Verb,
    /// What is typed behind `confab`: `sync status`.
    pub words: &'static str,
    /// What follows, in order.
    pub operands: &'static [Operand],
    /// Options of this command alone.
    pub options: &'static [Flag],
    /// One line, lower case, no full stop.
    pub summary: &'static str,
    /// More, as paragraphs of plain text.
    pub text: &'static [&'static str],
    /// Command lines and what they are for.
    pub examples: &'static [(&'static str, &'static str)],
    /// Not for people: shown nowhere.
    pub hidden: bool,
}

/// What a command is called in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `completions SHELL`.
    Completions,
    /// `config get KEY`.
    ConfigGet,
    /// `config list`.
    ConfigList,
    /// `config set KEY VALUE`.
    ConfigSet,
    /// What a hook starts.
    Daemon,
    /// `doctor`.
    Doctor,
    /// `help`.
    Help,
    /// `hook EVENT`; is answered before any option is looked at.
    Hook,
    /// `list`.
    List,
    /// `hooks add`.
    HooksAdd,
    /// `hooks check`.
    HooksCheck,
    /// `hooks export-plugin DIR`.
    HooksExportPlugin,
    /// `hooks remove`.
    HooksRemove,
    /// `login`.
    Login,
    /// `logout`.
    Logout,
    /// `man`.
    Man,
    /// `redact`.
    Redact,
    /// `redaction-test FILE`.
    RedactionTest,
    /// `status`.
    Status,
    /// `install`.
    Install,
    /// `save ID...`.
    Save,
    /// `search WORD...`.
    Search,
    /// `session delete ID`.
    SessionDelete,
    /// `session download ID`.
    SessionDownload,
    /// `session get-summary ID`.
    SessionGetSummary,
    /// `session list-files ID`.
    SessionListFiles,
    /// `session open ID`.
    SessionOpen,
    /// `session restore ID`.
    SessionRestore,
    /// `session verify ID`.
    SessionVerify,
    /// `setup`.
    Setup,
    /// `sync flush`.
    SyncFlush,
    /// `sync status`.
    SyncStatus,
    /// `uninstall`.
    Uninstall,
    /// `version`.
    Version,
    /// `watch`.
    Watch,
}

/// A word behind a command that is no option.
#[derive(Debug)]
pub struct Operand {
    /// As it is written in a usage line: `KEY`.
    pub name: &'static str,
    /// What it may be; empty when it may be anything.
    pub values: &'static [&'static str],
    /// How often it may be given.
    pub count: Count,
}

/// How often an operand is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Once.
    One,
    /// Any number of times, also never. Only the last operand of a command may be this.
    Any,
}

/// An option. One name takes a value in all commands or in none.
#[derive(Debug)]
pub struct Flag {
    /// Without the two hyphens.
    pub name: &'static str,
    /// Name of its value as it is written in a usage line: `URL`.
    pub value: Option<&'static str>,
    /// One line, lower case, no full stop.
    pub summary: &'static str,
}

impl Entry {
    /// The command line in short: `completions SHELL`, `status [--json]`.
    pub fn usage(&self) -> String {
        let mut usage = self.words.to_owned();
        for operand in self.operands {
            usage += " ";
            usage += &match operand.count {
                Count::One => operand.name.to_owned(),
                Count::Any => format!("[{}]...", operand.name),
            };
        }
        for flag in self.options {
            usage += &format!(" [{}]", flag.usage());
        }
        usage
    }

    /// The option of this name, when the command has it.
    pub fn option(&self, name: &str) -> Option<&'static Flag> {
        self.options.iter().find(|flag| flag.name == name)
    }
}

impl Flag {
    /// `--json`, `--backend-url URL`.
    pub fn usage(&self) -> String {
        match self.value {
            None => format!("--{}", self.name),
            Some(value) => format!("--{} {value}", self.name),
        }
    }
}

/// All commands in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    [account::COMMANDS, sessions::COMMANDS, commands::COMMANDS].into_iter().flatten()
}

/// The commands that people see.
pub fn shown() -> impl Iterator<Item = &'static Entry> {
    all().filter(|entry| !entry.hidden)
}

/// The option of this name, whichever command it belongs to.
pub fn any_option(name: &str) -> Option<&'static Flag> {
    all().find_map(|entry| entry.option(name))
}

/// The long name of an option by its short one.
pub fn long_name(letter: char) -> Option<&'static str> {
    SHORT.iter().find(|(short, _)| *short == letter).map(|(_, long)| *long)
}

/// The command that `words` begin with, and how many of them are its name.
pub fn find(words: &[&str]) -> Option<(&'static Entry, usize)> {
    all().find_map(|entry| {
        let name: Vec<&str> = entry.words.split(' ').collect();
        words.starts_with(&name).then_some((entry, name.len()))
    })
}

/// The shown commands whose names begin with these words: `config` has three.
pub fn group(words: &[&str]) -> Vec<&'static Entry> {
    shown()
        .filter(|entry| entry.words.split(' ').take(words.len()).eq(words.iter().copied()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The parser relies on it: it learns of the command after the options.
    #[test]
    fn an_option_takes_a_value_everywhere_or_nowhere() {
        let mut takes_value = BTreeMap::new();
        for entry in all() {
            for flag in entry.options {
                let known = takes_value.entry(flag.name).or_insert(flag.value.is_some());
                assert_eq!(*known, flag.value.is_some(), "{} --{}", entry.words, flag.name);
            }
        }
    }

    #[test]
    fn every_command_is_described_once() {
        let mut verbs = Vec::new();
        for entry in all() {
            assert!(!verbs.contains(&entry.verb), "{}", entry.words);
            verbs.push(entry.verb);
            assert!(entry.hidden || !entry.examples.is_empty(), "{}", entry.words);
            for (line, _) in entry.examples {
                assert!(line.starts_with(&format!("confab {}", entry.words)), "{line}");
            }
            let summaries = entry.options.iter().map(|flag| flag.summary).chain([entry.summary]);
            for summary in summaries {
                assert!(!summary.is_empty() && !summary.ends_with('.'), "{summary}");
            }
            let any = entry.operands.iter().rev().skip(1).find(|one| one.count == Count::Any);
            assert!(any.is_none(), "{}: only the last operand repeats", entry.words);
        }
    }

    #[test]
    fn commands_are_found_by_their_first_words() {
        let found = |words: &[&str]| find(words).map(|(entry, length)| (entry.verb, length));
        assert_eq!(found(&["sync", "flush", "x"]), Some((Verb::SyncFlush, 2)));
        assert_eq!(found(&["sync"]), None);
        assert_eq!(found(&[]), None);
        assert_eq!(group(&["config"]).len(), 3);
        assert!(group(&["daemon"]).is_empty());
    }
}
