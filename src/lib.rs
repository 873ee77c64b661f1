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
//! | 0 | [`time`] | RFC 3339 and HTTP dates, pure |
//! | 0 | [`schedule`] | when to act next: interval, jitter, backoff |
//! | 0 | [`wire`] | every JSON type exchanged with a backend |
//! | 0 | [`sys`] | all unsafe and libc |
//! | 1 | [`files`] | atomic replacement, bounded reads, where everything lies |
//! | 1 | [`redact`] | secrets out, every other byte untouched |
//! | 1 | [`transcript`] | what one line tells us |
//! | 2 | [`config`] | our configuration, read again after a refused key |
//! | 2 | [`state`] | a session's state, lock, inbox and what outlives them |
//! | 2 | [`tail`] | whole lines of a growing file |
//! | 2 | [`git`] | branch and remotes of a folder, without credentials |
//! | 2 | [`logging`] | the log, bounded |
//! | 3 | [`session`] | the files of a session; on this floor for the session id of `state` |
//! | 3 | [`remote`] | the backend as the client sees it, and its HTTP |
//! | 3 | [`chunk`] | lines to one bounded, redacted, compressed request |
//! | 4 | [`sync`] | one pass over a session's files |
//! | 5 | [`daemon`] | the event loop of one session |
//! | 5 | [`hook`] | what Claude Code runs: stdin, lock, spawn, stdout |
//! | 6 | [`cli`] | the command line, one file per command |
//! | s | `server` | the embedded backend, behind the feature `server` |

pub mod chunk;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod error;
pub mod files;
pub mod git;
pub mod hook;
pub mod logging;
pub mod redact;
pub mod remote;
pub mod schedule;
#[cfg(feature = "server")]
pub mod server;
pub mod session;
pub mod state;
pub mod sync;
pub mod sys;
pub mod tail;
pub mod time;
pub mod transcript;
pub mod wire;
