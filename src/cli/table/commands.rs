//! What is in the table: commands, files, variables, exit statuses.

use super::{Count, Entry, Flag, Operand, Verb, session};
use crate::config::keys;

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

/// All commands in the order in which they are shown.
pub const COMMANDS: &[Entry] = &[
    Entry {
        verb: Verb::Setup,
        words: "setup",
        options: &[
            flag("backend-url", "URL", "address of the backend; that of the config if left out"),
            Flag {
                name: "local",
                value: None,
                summary: "use the embedded backend on this machine; it is started if need be",
            },
            flag("api-key", "KEY", "sign in with this key; - reads it from standard input"),
            flag("name", "NAME", "name of the new key on the backend; USER@HOST if left out"),
            CLAUDE_DIR,
        ],
        summary: "signs in, turns redaction on, installs the hooks, checks all of it",
        text: &[
            "Who is signed in already stays so, and hooks that are right are left alone: running it \
             again changes nothing, and repairs the hooks after this program has moved. Address and \
             key are checked with the backend before anything is written.",
            "With --local, confab-server is looked for beside this program and in PATH, started if \
             none answers at 127.0.0.1:8787, and asked for a key. It keeps its data in \
             ~/.confab/server and runs until the machine stops; the same command starts it again.",
        ],
        examples: &[
            ("confab setup --backend-url https://confab.example.org", "with a backend of a team"),
            ("confab setup --local", "without any"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::Install,
        words: "install",
        options: &[flag("dest", "DIR", "the folder; ~/.local/bin if left out")],
        summary: "puts this program into a folder of PATH",
        text: &[
            "confab-server goes along when it lies beside this program. Programs that run go on \
             undisturbed. The shell's own files are left alone; what they still need is said.",
        ],
        examples: &[("confab install --dest ~/bin", "into another folder")],
        ..NONE
    },
    Entry {
        verb: Verb::Uninstall,
        words: "uninstall",
        options: &[
            Flag { name: "yes", value: None, summary: "do not ask" },
            Flag {
                name: "force",
                value: None,
                summary: "also when sessions are not fully delivered",
            },
            CLAUDE_DIR,
        ],
        summary: "takes hooks, daemons, config, key, state and logs away again",
        text: &[
            "Refuses while something exists only on this machine and is not delivered, unless \
             forced. Claude's transcripts stay, so does what the backend has, and so do the data of \
             an embedded backend and the programs: what is left is listed, with the command that \
             removes it.",
        ],
        examples: &[("confab uninstall --yes", "from a script")],
        ..NONE
    },
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
        verb: Verb::List,
        words: "list",
        options: &[
            flag(
                "since",
                "AGE",
                "only what was written within 5d, 12h, 30m, 8w; -d is short for it",
            ),
            Flag { name: "all", value: None, summary: "not only the latest 25" },
            JSON,
        ],
        summary: "the sessions on this machine, and how much of each the backend has",
        text: &[
            "The latest first. An id may be pasted wherever one is taken. With --since or --json \
             there is no limit to their number. Nobody is asked: the backend has `all` of what was \
             delivered from here, and ? stands for a session that this machine has not sent, or not \
             since it keeps note of it.",
        ],
        examples: &[("confab list -d 5d", "those of the last five days")],
        ..NONE
    },
    Entry {
        verb: Verb::Save,
        words: "save",
        operands: &[Operand { name: "ID", values: &[], count: Count::Any }],
        options: &[
            Flag { name: "all", value: None, summary: "all sessions on this machine" },
            flag("since", "AGE", "all that were written within 5d, 12h, 30m, 8w"),
            Flag {
                name: "deleted",
                value: None,
                summary: "also those that were deleted on the backend",
            },
        ],
        summary: "uploads sessions now",
        text: &[
            "The backend is asked what it has, and gets the rest, so that stopping it anywhere costs \
             nothing. A session that a daemon follows is left to it. The exit status is 1 when \
             something failed, 3 when something was skipped.",
        ],
        examples: &[
            ("confab save 3f2a91c0", "one session, by the beginning of its id"),
            ("confab save --all", "the history of years"),
        ],
        ..NONE
    },
    session::LIST_FILES,
    session::DOWNLOAD,
    session::GET_SUMMARY,
    session::OPEN,
    session::VERIFY,
    session::RESTORE,
    session::DELETE,
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
        verb: Verb::HooksAdd,
        words: "hooks add",
        options: &[CLAUDE_DIR],
        summary: "puts confab's hooks into Claude Code's settings",
        text: &[
            "settings.json is changed in place: order, layout, other hooks and unknown keys stay. As \
             it was before, it is kept beside it as settings.json.confab-backup. Old entries of \
             confab are replaced. Doing it twice changes nothing; doing it after the program was \
             moved repairs the hooks.",
            "Without --claude-dir, the folders are those of CLAUDE_CONFIG_DIR and \
             CONFAB_CLAUDE_DIR, or else ~/.claude.",
        ],
        examples: &[
            ("confab hooks add", "for ~/.claude"),
            ("confab hooks add --claude-dir ~/.claude --claude-dir ~/work/.claude", "for two"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::HooksRemove,
        words: "hooks remove",
        options: &[CLAUDE_DIR],
        summary: "takes confab's hooks out of Claude Code's settings",
        text: &[
            "Commands that start anything but confab stay. The file becomes what it was before \
             the hooks came, byte for byte, unless others have changed it since.",
        ],
        examples: &[("confab hooks remove", "sessions are not uploaded any more")],
        ..NONE
    },
    Entry {
        verb: Verb::HooksCheck,
        words: "hooks check",
        options: &[CLAUDE_DIR, JSON],
        summary: "says whether confab's hooks are there and start this program",
        text: &["The exit status is 1 when something is wrong."],
        examples: &[("confab hooks check", "one look")],
        ..NONE
    },
    Entry {
        verb: Verb::HooksExportPlugin,
        words: "hooks export-plugin",
        operands: &[operand("DIR", &[])],
        summary: "writes confab's hooks as a Claude Code plugin",
        text: &["In place of `hooks add`, for those who manage plugins. The hooks start this \
             program by its path: export again after it was moved."],
        examples: &[("confab hooks export-plugin ~/plugins/confab", "writes the plugin")],
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
