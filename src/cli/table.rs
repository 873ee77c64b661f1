//! All commands as data. Options are checked by this table, and usage, help, completions and the
//! manual page are made from it: what is not here does not exist, and what is here is shown.
//!
//! Deliberately absent: abbreviated options, options without a long name, defaults (they are said
//! in the text, and set by the command).

use crate::config::keys;

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
    /// `list`.
    List,
    /// `save ID...`.
    Save,
    /// `hook EVENT`; is answered before any option is looked at.
    Hook,
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
    /// `sync flush`.
    SyncFlush,
    /// `sync status`.
    SyncStatus,
    /// `version`.
    Version,
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
    /// One letter that means the same.
    pub short: Option<char>,
    /// Name of its value as it is written in a usage line: `URL`.
    pub value: Option<&'static str>,
    /// One line, lower case, no full stop.
    pub summary: &'static str,
}

/// The shells that completions are made for.
pub const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

const JSON: Flag = switch("json", "write JSON, for scripts");

const fn operand(name: &'static str, values: &'static [&'static str]) -> Operand {
    Operand { name, values, count: Count::One }
}

const fn flag(name: &'static str, value: &'static str, summary: &'static str) -> Flag {
    Flag { name, short: None, value: Some(value), summary }
}

const fn switch(name: &'static str, summary: &'static str) -> Flag {
    Flag { name, short: None, value: None, summary }
}

const fn since(summary: &'static str) -> Flag {
    Flag { name: "since", short: Some('d'), value: Some("AGE"), summary }
}

/// What commands have in common, to be named with `..`.
const NONE: Entry = Entry {
    verb: Verb::Help,
    words: "",
    operands: &[],
    options: &[],
    summary: "",
    text: &[],
    examples: &[],
    hidden: false,
};

/// All commands in the order in which they are shown.
pub const COMMANDS: &[Entry] = &[
    Entry {
        verb: Verb::Login,
        words: "login",
        options: &[
            flag("backend-url", "URL", "address of the backend; that of the config if left out"),
            flag("api-key", "KEY", "sign in with this key; - reads it from standard input"),
            flag("name", "NAME", "name of the new key on the backend; USER@HOST if left out"),
        ],
        summary: "signs in to a backend",
        text: &[
            "Without a key, a code is shown that you confirm on the backend's web page; the new \
             key comes from there. Address and key are checked with the backend before anything is \
             written. Signing in turns redaction on unless the config has switched it off.",
            "A key on the command line can be seen by other users of this machine while the \
             command runs: prefer --api-key - and standard input.",
            "The backend replaces a key of the same name: give machines whose user and host names \
             are equal names of their own.",
        ],
        examples: &[
            ("confab login --backend-url https://confab.example.org", "with the browser"),
            ("confab login --backend-url http://127.0.0.1:8787 --api-key - <key", "with a key"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::Logout,
        words: "logout",
        summary: "removes the API key from the config",
        text: &["Everything else in the config stays, and so do hooks and sessions that wait for \
             delivery. The key stays valid until it is deleted on the backend."],
        examples: &[("confab logout", "signs out")],
        ..NONE
    },
    Entry {
        verb: Verb::Status,
        words: "status",
        options: &[JSON],
        summary: "who is signed in where, what is redacted, followed and pending",
        text: &[
            "Asks the backend once whether the key is valid. The exit status is 1 when something \
             needs to be done.",
        ],
        examples: &[("confab status", "one look")],
        ..NONE
    },
    Entry {
        verb: Verb::Doctor,
        words: "doctor",
        options: &[JSON],
        summary: "checks everything and says what to do",
        text: &[
            "Checks config, redaction patterns, backend, certificates, key, clock, disk, daemons, \
             sessions that are not fully delivered, and when Claude's own clean-up deletes what \
             exists only here. Takes at most half a minute. The exit status is 1 when something is \
             wrong; a warning alone leaves it 0.",
        ],
        examples: &[("confab doctor --json", "for a monitoring system")],
        ..NONE
    },
    Entry {
        verb: Verb::ConfigGet,
        words: "config get",
        operands: &[operand("KEY", &keys::NAMES)],
        summary: "prints a value of the config",
        text: &["An API key is never printed whole."],
        examples: &[("confab config get backend_url", "prints the address")],
        ..NONE
    },
    Entry {
        verb: Verb::ConfigSet,
        words: "config set",
        operands: &[operand("KEY", &keys::NAMES), operand("VALUE", &[])],
        summary: "checks a value and writes it into the config",
        text: &[
            "The rest of the file stays as it is, unknown keys too. An empty value removes the \
             key, and - reads the value from standard input. Lists are given as JSON.",
        ],
        examples: &[
            ("confab config set sync_interval 10s", "looks more often"),
            ("confab config set api_key - <key", "reads the key from a file"),
            (
                "confab config set redaction.patterns '[{\"name\": \"x\", \"pattern\": \"x-[0-9]+\", \
                 \"type\": \"x\"}]'",
                "a pattern of your own",
            ),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::ConfigList,
        words: "config list",
        options: &[JSON],
        summary: "prints all values of the config",
        text: &["What is not set is shown with what counts instead."],
        examples: &[("confab config list", "all values")],
        ..NONE
    },
    Entry {
        verb: Verb::SyncStatus,
        words: "sync status",
        options: &[JSON],
        summary: "what is followed, what is pending, what exists only here",
        examples: &[("confab sync status --json", "for scripts")],
        ..NONE
    },
    Entry {
        verb: Verb::SyncFlush,
        words: "sync flush",
        summary: "delivers now what is pending",
        text: &[
            "Sessions that a daemon follows are left to it; it is woken. The exit status is 1 when \
             something could not be delivered.",
        ],
        examples: &[("confab sync flush", "before the machine goes away")],
        ..NONE
    },
    Entry {
        verb: Verb::List,
        words: "list",
        options: &[
            since("sessions written to within 90m, 12h, 5d or 2w; 30d if left out"),
            switch("all", "all sessions, however old"),
            JSON,
        ],
        summary: "sessions on this machine, and how much the backend has",
        text: &[
            "The newest first: an id that can be pasted wherever one is taken, the last activity, \
             the size with all agents, how much of it the backend has, and the title.",
            "Of a session that is not fully delivered, confab knows the share itself. Of all others \
             it asks the backend, once and for at most three seconds: `all` and `part` go by the \
             last message, `some` means that the backend does not say how much, and a question mark \
             that it could not be asked, or that the session is none of its last 1000. The exit \
             status is 3 when something here could not be looked at.",
        ],
        examples: &[
            ("confab list", "the last 30 days"),
            ("confab list -d 5d", "the last five days"),
            ("confab list --all --json", "everything, for scripts"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::Save,
        words: "save",
        operands: &[Operand { name: "ID", values: &[], count: Count::Any }],
        options: &[
            switch("all", "all sessions of this machine"),
            since("sessions written to within 90m, 12h, 5d or 2w"),
        ],
        summary: "uploads sessions now, whether hooks have seen them or not",
        text: &[
            "ID is the id of a session, or as much of it as `confab list` shows. What the backend \
             has is not sent again, so that this can be stopped at any point and started anew. A \
             session that a daemon follows is sent by its daemon. One session that fails does not \
             keep the others from being sent; when the backend takes nothing, the rest is left.",
            "The exit status is 1 when a session failed, and 3 when none did and some were skipped: \
             those that `exclude` names, and those that were deleted on the backend.",
        ],
        examples: &[
            ("confab save 0f4b2a1c", "one session"),
            ("confab save --all", "brings in a history of years"),
            ("confab save --since 30d", "what the last month has left"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::Redact,
        words: "redact",
        options: &[switch(
            "explain",
            "say on standard error what was found by which rule, and where",
        )],
        summary: "copies JSONL from standard input to standard output, redacted",
        text: &[
            "A line for a line, as the config says and as it would leave this machine. A secret \
             itself is never shown. The exit status is 3 when a line had to be withheld or a \
             pattern of the config was left out.",
        ],
        examples: &[
            ("confab redact <session.jsonl >safe.jsonl", "a copy to show around"),
            ("confab redact --explain <session.jsonl >/dev/null", "what would be taken out"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::RedactionTest,
        words: "redaction-test",
        operands: &[operand("FILE", &[])],
        options: &[JSON],
        summary: "says what would be cut out of a file, by rule",
        text: &[
            "Looks as if redaction was on, whatever the config says, and never shows a secret. The \
             exit status is 3 when a line could not be redacted or a pattern was left out.",
        ],
        examples: &[("confab redaction-test session.jsonl", "before switching it on")],
        ..NONE
    },
    Entry {
        verb: Verb::Hook,
        words: "hook",
        operands: &[operand("EVENT", &["session-start", "session-end", "user-prompt-submit"])],
        summary: "answers Claude Code; reads the hook's JSON on standard input",
        text: &[
            "Always exits with 0 and never waits for anything but its input. `sync start` and \
             `sync stop` are old names of `hook session-start` and `hook session-end`.",
        ],
        examples: &[("confab hook session-start <input.json", "what Claude Code runs")],
        ..NONE
    },
    Entry {
        verb: Verb::Completions,
        words: "completions",
        operands: &[operand("SHELL", &SHELLS)],
        summary: "prints completions for a shell",
        examples: &[
            (
                "confab completions bash >~/.local/share/bash-completion/completions/confab",
                "bash, from the next shell on",
            ),
            ("confab completions zsh >~/.zfunc/_confab", "zsh, in a folder of $fpath"),
            ("confab completions fish >~/.config/fish/completions/confab.fish", "fish"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::Man,
        words: "man",
        summary: "prints the manual page",
        examples: &[
            ("confab man | man -l -", "reads it"),
            ("confab man >~/.local/share/man/man1/confab.1", "installs it"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::Version,
        words: "version",
        summary: "prints the version",
        examples: &[("confab version", "prints the version")],
        ..NONE
    },
    Entry {
        verb: Verb::Help,
        words: "help",
        operands: &[Operand { name: "COMMAND", values: &[], count: Count::Any }],
        summary: "prints the list of commands, or how to use one",
        examples: &[("confab help config set", "how to use one command")],
        ..NONE
    },
    Entry {
        verb: Verb::Daemon,
        words: "daemon",
        options: &[
            flag("session", "ID", "Claude's id of the session"),
            flag("transcript", "PATH", "absolute path of the transcript"),
            flag("cwd", "PATH", "working directory of the session"),
            flag("parent", "PROCESS", "the Claude Code process"),
        ],
        summary: "follows one session; a hook starts it",
        hidden: true,
        ..NONE
    },
];

/// Files that the user may want to know of, with what they are.
pub const FILES: &[(&str, &str)] = &[
    ("~/.confab/config.json", "backend_url, api_key and more: `confab config list`"),
    ("~/.confab/sync", "state of sessions that are not fully delivered"),
    ("~/.confab/kept", "what is remembered of sessions that are"),
    ("~/.confab/redaction.key", "what keys the tags of stable markers; made when needed"),
    ("~/.confab/logs", "log of daemons and commands; never holds content"),
];

/// Environment variables that people set, with what they do.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("CLAUDE_CONFIG_DIR, CONFAB_CLAUDE_DIR", "Claude's folder where it is not ~/.claude"),
    ("CONFAB_CONFIG_PATH", "the config file"),
    ("CONFAB_LOG_DIR", "folder of the log"),
    ("CONFAB_SYNC_INTERVAL_MS, CONFAB_SYNC_JITTER_MS", "win over sync_interval"),
    ("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "proxy on the way to the backend"),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "certificate authorities in place of the system's"),
];

/// Exit statuses with what they mean.
pub const STATUSES: &[(&str, &str)] = &[
    ("0", "done"),
    ("1", "failed, or something is wrong"),
    ("2", "the command line is wrong"),
    ("3", "done, with things skipped"),
];

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
            usage += &format!(" [{}]", flag.usage().replace(", ", " | "));
        }
        usage
    }

    /// The option of this name, when the command has it.
    pub fn option(&self, name: &str) -> Option<&'static Flag> {
        self.options.iter().find(|flag| flag.name == name)
    }
}

impl Flag {
    /// `--json`, `--backend-url URL`, `-d, --since AGE`.
    pub fn usage(&self) -> String {
        let short = self.short.map_or(String::new(), |short| format!("-{short}, "));
        let value = self.value.map_or(String::new(), |value| format!(" {value}"));
        format!("{short}--{}{value}", self.name)
    }
}

/// The commands that people see.
pub fn shown() -> impl Iterator<Item = &'static Entry> {
    COMMANDS.iter().filter(|entry| !entry.hidden)
}

/// The option of this name, whichever command it belongs to.
pub fn any_option(name: &str) -> Option<&'static Flag> {
    COMMANDS.iter().find_map(|entry| entry.option(name))
}

/// The option of this letter, whichever command it belongs to.
pub fn any_letter(letter: char) -> Option<&'static Flag> {
    let mut options = COMMANDS.iter().flat_map(|entry| entry.options);
    options.find(|flag| flag.short == Some(letter))
}

/// The command that `words` begin with, and how many of them are its name.
pub fn find(words: &[&str]) -> Option<(&'static Entry, usize)> {
    COMMANDS.iter().find_map(|entry| {
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
        for entry in COMMANDS {
            for flag in entry.options {
                let known = takes_value.entry(flag.name).or_insert(flag.value.is_some());
                assert_eq!(*known, flag.value.is_some(), "{} --{}", entry.words, flag.name);
            }
        }
    }

    #[test]
    fn a_letter_means_the_same_everywhere() {
        let options = || COMMANDS.iter().flat_map(|entry| entry.options);
        for flag in options() {
            let Some(letter) = flag.short else { continue };
            assert!(!['h', 'V'].contains(&letter), "-{letter}");
            for other in options() {
                assert_eq!(other.name == flag.name, other.short == flag.short, "-{letter}");
            }
        }
    }

    #[test]
    fn every_command_is_described_once() {
        let mut verbs = Vec::new();
        for entry in COMMANDS {
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
