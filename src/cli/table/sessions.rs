//! Commands for sessions, on this machine and on the backend.

use super::commands::{CLAUDE_DIR, JSON, NONE, YES, flag, operand};
use super::{Count, Entry, Flag, Operand, Verb};

const ID: Operand = operand("ID", &[]);
const AN_ID: &str = "An id is Claude's or the backend's, or the beginning of one that confab list \
                     shows.";

/// In the order in which they are shown.
pub const COMMANDS: &[Entry] = &[
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
             nothing. A session that a daemon follows is sent by its daemon, which is waited for. \
             One that fails does not keep the others from being sent; when the backend takes \
             nothing, the rest is left for another time.",
            "The exit status is 1 when something failed, 3 when something was skipped: what \
             `exclude` names, by any folder in which the session has run, and what was deleted on \
             the backend.",
        ],
        examples: &[
            ("confab save 3f2a91c0", "one session, by the beginning of its id"),
            ("confab save --all", "the history of years"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::Watch,
        words: "watch",
        options: &[
            CLAUDE_DIR,
            flag("since", "AGE", "bring in only what was written within it"),
            flag(
                "interval",
                "TIME",
                "send what has changed at most this often: 30s, 2m; else at once",
            ),
        ],
        summary: "follows all sessions of this machine, without hooks",
        text: &[
            "Brings in what the backend lacks, the newest first, then sends what changes as soon as \
             it does, until it is stopped. Sessions older than --since are brought in when they \
             change. A session that a hook's daemon follows is left to it, and taken over when that \
             ends with something undelivered. One for all folders is enough; a second one does not \
             start.",
            "It goes on where the last one was stopped, however that was. SIGTERM and Ctrl-C deliver \
             the rest first, for 30 s at most; SIGUSR1 makes it look at everything now.",
        ],
        examples: &[
            ("confab watch", "everything, from now on"),
            ("confab watch --since 30d", "without what is older than a month"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::SessionListFiles,
        words: "session list-files",
        operands: &[ID],
        options: &[JSON],
        summary: "the files that the backend has of a session",
        text: &[AN_ID],
        examples: &[("confab session list-files 3f2a91c0", "a session of this machine")],
        ..NONE
    },
    Entry {
        verb: Verb::SessionDownload,
        words: "session download",
        operands: &[ID],
        options: &[flag("output-dir", "DIR", "write all files of the session below this folder")],
        summary: "writes a session's lines as the backend has them",
        text: &[
            "To standard output goes the transcript alone. Below a folder, each file gets the path \
             that its name says, and none that exists is overwritten.",
        ],
        examples: &[
            ("confab session download 3f2a91c0 >session.jsonl", "the transcript"),
            ("confab session download 3f2a91c0 --output-dir backup", "all files"),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::SessionGetSummary,
        words: "session get-summary",
        operands: &[ID],
        options: &[flag("max-chars", "N", "leave out the beginning beyond so many characters")],
        summary: "writes a session in short, as JSON of the backend",
        examples: &[("confab session get-summary 3f2a91c0 --max-chars 20000", "the end of it")],
        ..NONE
    },
    Entry {
        verb: Verb::SessionOpen,
        words: "session open",
        operands: &[ID],
        summary: "shows a session's page in the browser, or its address",
        examples: &[("confab session open 3f2a91c0", "in the browser")],
        ..NONE
    },
    Entry {
        verb: Verb::SessionVerify,
        words: "session verify",
        operands: &[ID],
        options: &[JSON],
        summary: "proves line by line that the backend has what is here",
        text: &[
            "Every line is redacted again and compared with that of the backend. The exit status is \
             1 when something differs, 3 when the backend lacks lines that are here.",
        ],
        examples: &[("confab session verify 3f2a91c0", "before the transcript is deleted here")],
        ..NONE
    },
    Entry {
        verb: Verb::SessionRestore,
        words: "session restore",
        operands: &[ID],
        options: &[
            CLAUDE_DIR,
            flag("cwd", "DIR", "where the session is to go on; where it ran if left out"),
        ],
        summary: "brings a session back into Claude's folder",
        text: &[
            "On this machine or another one, so that claude --resume finds it. The lines stay as the \
             backend has them, redacted, and what is added to them later is uploaded behind them. \
             Large outputs that Claude Code keeps in files of their own are not on the backend.",
            "Nothing that exists is overwritten: a session that is here is not restored. The exit \
             status is 3 when a file was left out.",
        ],
        examples: &[
            ("confab session restore 3f2a91c0-aaaa-4bbb-8ccc-1234567890ab", "where it ran"),
            (
                "confab session restore 3f2a91c0-aaaa-4bbb-8ccc-1234567890ab --cwd ~/work/project",
                "on a machine where the project lies elsewhere",
            ),
        ],
        ..NONE
    },
    Entry {
        verb: Verb::SessionDelete,
        words: "session delete",
        operands: &[ID],
        options: &[YES],
        summary: "deletes a session on the backend",
        text: &[
            "What is on this machine stays, and is not uploaded again: confab save --deleted does \
             that.",
        ],
        examples: &[("confab session delete 3f2a91c0 --yes", "from a script")],
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
];
