//! The commands on one session of the backend.

use super::commands::{CLAUDE_DIR, JSON, NONE, flag, operand};
use super::{Entry, Flag, Operand, SessionVerb, Verb};

const ID: Operand = operand("ID", &[]);
const SESSION_ID_TEXT: &str = "ID is the beginning of the id of a session on this machine, or the \
    whole id of any session, as Claude Code or as the backend has it.";

/// `session list-files`.
pub const LIST_FILES: Entry = Entry {
    verb: Verb::Session(SessionVerb::ListFiles),
    words: "session list-files",
    operands: &[ID],
    options: &[JSON],
    summary: "lists the files that the backend has of a session",
    text: &[SESSION_ID_TEXT],
    examples: &[("confab session list-files d380a1a0", "names, types, lines")],
    ..NONE
};

/// `session download`.
pub const DOWNLOAD: Entry = Entry {
    verb: Verb::Session(SessionVerb::Download),
    words: "session download",
    operands: &[ID],
    options: &[flag("output-dir", "DIR", "write all files below this folder")],
    summary: "writes what the backend has of a session",
    text: &[
        SESSION_ID_TEXT,
        "The transcript goes to standard output. With --output-dir, all files of the session go \
         below that folder, under the names that the backend has for them; what is not harmless \
         in a file name is written %XX. Nothing that is there is replaced, and a file appears \
         only once it is whole. The exit status is 1 when a file is missing.",
    ],
    examples: &[
        ("confab session download d380a1a0 >transcript.jsonl", "the transcript"),
        ("confab session download d380a1a0 --output-dir d380a1a0", "its agents' files too"),
    ],
    ..NONE
};

/// `session get-summary`.
pub const GET_SUMMARY: Entry = Entry {
    verb: Verb::Session(SessionVerb::GetSummary),
    words: "session get-summary",
    operands: &[ID],
    options: &[flag("max-chars", "N", "only the end, of so many characters; 0 for all")],
    summary: "writes a session, condensed by the backend, as JSON",
    text: &[SESSION_ID_TEXT],
    examples: &[("confab session get-summary d380a1a0 --max-chars 20000", "the end of it")],
    ..NONE
};

/// `session open`.
pub const OPEN: Entry = Entry {
    verb: Verb::Session(SessionVerb::Open),
    words: "session open",
    operands: &[ID],
    summary: "prints the address of a session's page, and opens it",
    text: &[
        SESSION_ID_TEXT,
        "A browser is started when there is one and standard output is a terminal.",
    ],
    examples: &[("confab session open d380a1a0", "in the browser")],
    ..NONE
};

/// `session verify`.
pub const VERIFY: Entry = Entry {
    verb: Verb::Session(SessionVerb::Verify),
    words: "session verify",
    operands: &[ID],
    options: &[JSON],
    summary: "compares what the backend has with what is here",
    text: &[
        SESSION_ID_TEXT,
        "Lines are compared as they are sent: redacted by the present configuration. What is \
         shown of a line is its number. A line that is too large to be sent counts as equal when \
         the backend has a stand-in with its length and hash.",
        "The exit status is 0 when all is equal, 1 when something differs, and 3 when lines are \
         only here yet.",
    ],
    examples: &[("confab session verify d380a1a0 && echo safe", "before removing the files")],
    ..NONE
};

/// `session restore`.
pub const RESTORE: Entry = Entry {
    verb: Verb::Session(SessionVerb::Restore),
    words: "session restore",
    operands: &[ID],
    options: &[
        flag(CLAUDE_DIR.name, "DIR", "Claude's folder; ~/.claude if left out"),
        flag("cwd", "DIR", "the folder of the project; that of the session if left out"),
    ],
    summary: "brings a session back, for claude --resume",
    text: &[
        SESSION_ID_TEXT,
        "Transcript and agents' files go where Claude Code looks for sessions of the project's \
         folder. Their lines stay as the backend has them: secrets that were redacted are \
         gone, and paths in them are those of the machine where they were written. Large outputs \
         that Claude Code keeps in files of their own are not on the backend.",
        "Nothing that is there is replaced: a session that has a transcript here is not restored. \
         What is added to it later is uploaded behind what the backend has. The exit status is 3 \
         when a file was left out, and 1 when the session is not restored; the same command goes \
         on then.",
    ],
    examples: &[
        ("confab session restore d380a1a0-a95f-417c-8c6e-6f4552758a8e", "on another machine"),
        ("confab session restore d380a1a0 --cwd ~/src/project", "into another folder"),
    ],
    ..NONE
};

/// `session delete`.
pub const DELETE: Entry = Entry {
    verb: Verb::Session(SessionVerb::Delete),
    words: "session delete",
    operands: &[ID],
    options: &[Flag { name: "yes", value: None, summary: "do not ask" }],
    summary: "deletes a session from the backend",
    text: &[
        SESSION_ID_TEXT,
        "Files on this machine are never touched. The session is not uploaded again, whatever \
         happens to it, until `confab save --deleted ID` does so.",
    ],
    examples: &[("confab session delete d380a1a0 --yes", "from a script")],
    ..NONE
};
