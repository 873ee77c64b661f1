//! Finding lines: what they say, which words that is, and what a query asks for. Pure.
//!
//! | part | what lives there |
//! |---|---|
//! | `said` | the text of a line: what was said, thought, called and returned |
//! | `tokens`, `fold` | a text as words |
//! | `words` | the words of a line for the index |
//! | `query` | the language of queries |
//! | `found` | whether a text has what is asked for, and where |
//! | `snippet` | what is shown of it |
//!
//! Deliberately absent: the index itself and its order (`store::search`).

mod filter;
mod fold;
mod found;
mod query;
mod said;
mod snippet;
mod tokens;
mod words;

pub use self::filter::{Property, SessionFacts, SessionFilter};
pub use self::query::{Query, Role};
pub use self::snippet::snippet;
pub use self::words::{LineWords, Words, role_word, tool_word, user_word};
