//! What is kept on disk of a session while it is followed: state, lock, inbox and what was sent.
//!
//! | file in `~/.confab/sync` | what for |
//! |---|---|
//! | `<id>.json` | where the session is and how far each file was acknowledged; for people, hooks and the next daemon |
//! | `<id>.lock` | single instance: an exclusive `flock` that the daemon holds for life; names its process |
//! | `<id>.inbox.jsonl` | notes from hooks to the daemon |
//! | `<id>.asked` | commands that were sent back for a link to the session |
//! | `<id>.<key>.sent` | for each line of a file that was sent, a hash and the backend's number of it |
//!
//! All of them go when everything was acknowledged. What must outlive them is in `~/.confab/kept`,
//! the last kind among it, for sixty days.
//! The state file is never a lock and is distrusted when read back: a damaged one costs a question
//! to the backend. The format is that of the existing client (reference §4.5, §4.6) plus `version`
//! and `files`, so that hooks and daemons of either respect each other.

mod asked;
mod delivered;
mod inbox;
mod kept;
mod launch;
mod lines;
mod lock;
mod record;

pub use asked::ask_once;
pub use delivered::{load as load_delivered, note as note_delivered};
pub use inbox::{
    HookInput, Note, NoteKind, append, append_foreign, consume, finish, has_notes, read,
};
pub use kept::{Kept, clear as clear_kept};
pub use launch::Launch;
pub use lines::{FILE_LINES_MAX, SentLine, SentLines, forget_sent, keep_sent};
pub use lock::{Attempt, Lock, holder, named_holder, try_lock};
pub use record::{FileRecord, LastError, Loaded, Record, Status, load, remove, save, sessions};

/// For serde: values that a reader would assume anyway are left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
