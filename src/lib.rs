//! confab uploads Claude Code sessions line by line, redacted, to a self-hosted backend.
//!
//! # The house
//!
//! A module uses modules of a strictly lower floor only; `tests/tidy.rs` holds this table and fails
//! when code and table differ.
//!
//! | floor | module | what lives there |
//! |---|---|---|
//! | 0 | [`error`] | the one error that a human reads |
//! | 0 | [`time`] | RFC 3339 and HTTP dates, pure; the clock that is handed in |
//! | 0 | [`schedule`] | when to act next: interval, jitter, backoff |
//! | 0 | [`shell`] | a command line as a shell would split it |
//! | 0 | [`github`] | what addresses on GitHub look like |
//! | 0 | [`wire`] | every JSON type exchanged with a backend |
//! | 0 | [`sys`] | all unsafe and libc |
//! | 1 | [`files`] | atomic replacement, bounded reads, where everything lies |
//! | 1 | [`json_text`] | JSON changed in place: what is not changed keeps its bytes |
//! | 1 | [`redact`] | secrets out, every other byte untouched |
//! | 1 | [`transcript`] | what one line tells us |
//! | 1 | [`watch`] | file events: which of these files and folders have changed |
//! | 2 | [`config`] | the user's configuration, checked on load |
//! | 2 | [`state`] | a session's state file, lock, inbox and line hashes |
//! | 2 | [`settings`] | Claude's `settings.json`: our hooks in, out, and looked at |
//! | 2 | [`tail`] | whole lines from a growing file, positions, chained hashes |
//! | 2 | [`session`] | the files of a session in every layout |
//! | 2 | [`git`] | branch, commits and remotes without a subprocess |
//! | 2 | [`logging`] | one size-capped log for all processes |
//! | 3 | [`remote`] | the `Backend` trait and its client over HTTP |
//! | 3 | [`chunk`] | lines to one bounded, redacted, compressed request |
//! | 4 | [`sync`] | the engine: one pass over a session's files |
//! | 5 | [`daemon`] | the loop of one session, and sessions left pending |
//! | 5 | [`hook`] | what Claude Code runs: stdin, lock, spawn or note, stdout |
//! | 6 | [`cli`] | the command line |
//! | s | `server` | the embedded backend, behind the feature `server` |
//!
//! `hook` has an allow-list of its own: `error files state sys`, and for commits and pull requests
//! `shell github git`: two that only read text, and one that reads a few small files once a commit
//! was made. `server` uses `error time wire github sys files redact transcript` and itself; client
//! and server meet in `wire` and `github` alone. Only where a server is the client of another one,
//! to push and to pull, it uses `config` and `remote` as well.
//!
//! # A line's way
//!
//! `session` (which files) → `tail` (complete lines, position, hash) → `transcript` (agents,
//! metadata) → `redact` (borrowed when clean) → `chunk` (escaped straight into the compressor) →
//! `remote::Backend::append` → acknowledgement → `state`. Only an acknowledgement moves a position;
//! after an error the backend is asked where it stands.
//!
//! # A session's way
//!
//! A hook takes the session's lock and hands it over to a daemon that it starts, or leaves a note
//! for the one that holds it. The daemon sends what is new until Claude Code or the session ends,
//! then the rest within 30 s, then removes what it kept; what it could not deliver stays *pending*
//! for the next daemon of any session.
//!
//! # Deliberately absent
//!
//! An async runtime; any host but the configured backend. File events are only for those who ask
//! for them (`"sync_interval": "live"`): a `stat` every interval costs next to nothing, and every
//! event that matters has a hook or a signal.

pub mod chunk;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod error;
pub mod files;
pub mod git;
pub mod github;
pub mod hook;
pub mod json_text;
pub mod logging;
pub mod redact;
pub mod remote;
pub mod schedule;
#[cfg(feature = "server")]
pub mod server;
pub mod session;
pub mod settings;
pub mod shell;
pub mod state;
pub mod sync;
pub mod sys;
pub mod tail;
pub mod time;
pub mod transcript;
pub mod watch;
pub mod wire;
