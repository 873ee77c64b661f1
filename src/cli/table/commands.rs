//! What is in the table: commands, files, variables, exit statuses.

use super::{Count, Entry, Flag, Operand, Verb};

/// The events of Claude Code that are answered.
const HOOK_EVENTS: [&str; 5] =
    ["session-start", "session-end", "user-prompt-submit", "pre-tool-use", "post-tool-use"];

/// The shells that completions are made for.
pub const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

pub(super) const JSON: Flag =
    Flag { name: "json", value: None, summary: "write JSON, for scripts" };

pub(super) const CLAUDE_DIR: Flag = flag(
    "claude-dir",
    "DIR",
    "a folder of Claude's; may be given more than once; ~/.claude if left out",
);
/// Options that may be given more than once.
pub const REPEATED: [&str; 1] = [CLAUDE_DIR.name];

pub(super) const fn operand(name: &'static str, values: &'static [&'static str]) -> Operand {
    Operand { name, values, count: Count::One }
}

pub(super) const fn flag(name: &'static str, value: &'static str, summary: &'static str) -> Flag {
    Flag { name, value: Some(value), summary }
}

pub(super) const YES: Flag = Flag { name: "yes", value: None, summary: "do not ask" };

/// Options that also have a short name.
pub const SHORT: [(char, &str); 1] = [('d', "since")];

/// What commands have in common, to be named with `..`.
pub(super) const NONE: Entry = Entry {
    verb: Verb::Help,
    words: "",
    operands: &[],
    options: &[],
    summary: "",
    text: &[],
    examples: &[],
    hidden: false,
};

/// Commands for everything else, in the order in which they are shown.
pub const COMMANDS: &[Entry] = &[
    Entry {
        verb: Verb::Redact,
        words: "redact",
        options: &[Flag {
            name: "explain",
            value: None,
            summary: "say on standard error what was found by which rule, and where",
        }],
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
        operands: &[operand("EVENT", &HOOK_EVENTS)],
        summary: "answers Claude Code; reads the hook's JSON on standard input",
        text: &[
            "Always exits with 0 and never waits for anything but its input. `sync start` and \
             `sync stop` are old names of `hook session-start` and `hook session-end`.",
            "Before a commit or a pull request is made, the agent is asked once to name the \
             session in it; afterwards the backend is told of it. Both are off while \
             CONFAB_DISABLE_LINK_FROM_GITHUB is set (but to 0 or false), or link_from_github is \
             false in the config.",
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
    ("~/.confab/watch.json", "what confab watch says of itself"),
    ("~/.confab/redaction.key", "what keys the tags of stable markers; made when needed"),
    ("~/.claude/settings.json.confab-backup", "Claude Code's settings before the hooks came"),
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
