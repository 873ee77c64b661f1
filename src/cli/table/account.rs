//! Commands that set up, sign in, configure and check.

use super::commands::{CLAUDE_DIR, JSON, NONE, YES, flag, operand};
use super::{Entry, Flag, Verb};
use crate::config::keys;

/// In the order in which they are shown.
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
            YES,
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
            ("confab config set sync_interval live", "sends each line as it is written"),
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
];
