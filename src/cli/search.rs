//! `confab search`: lines of all sessions on the backend that match.

use std::io::{self, Write};
use std::time::Duration;

use crate::cli::columns;
use crate::config::keys::shown_address;
use crate::error::{Context, Error, Result};
use crate::remote::{Client, Verdict};
use crate::wire::{Hit, SearchAnswer};

/// Time for one question.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// Lines that are shown unless the user says how many.
const SHOWN_DEFAULT: u64 = 20;
/// Lines that are asked for at once.
const PAGE_MAX: u64 = 100;
/// Questions for one search, so that a backend that always knows more cannot keep it busy.
const PAGES_MAX: usize = 200;
/// Characters of Claude's id that name a session, as in `confab list`.
const ID_CHARS: usize = 8;
/// How a terminal is told to show what was searched for, and to stop it.
const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// What is searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// In the backend's language.
    pub query: String,
    /// So many lines at most.
    pub limit: Option<u64>,
    /// As JSON.
    pub json: bool,
}

/// Where the answer goes.
pub struct Screen<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub talk: &'a mut dyn Write,
    /// Columns of the terminal, if it is one.
    pub columns: Option<usize>,
}

/// Writes the lines that match, the newest and best first; false when there are none.
///
/// # Errors
/// When the backend cannot be asked, does not search or does not understand the query; when the
/// output cannot be written.
pub fn run(search: &Search, client: &Client, url: &str, screen: Screen<'_>) -> Result<bool> {
    let found = ask(search, client, url)?;
    let written = match search.json {
        true => serde_json::to_writer_pretty(&mut *screen.out, &found)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(screen.out)),
        false => found.hits.iter().try_for_each(|hit| print(hit, screen.columns, screen.out)),
    };
    written.context(|| "write to standard output".into())?;
    if !search.json {
        let _ = match (&found.next_cursor, found.hits.is_empty()) {
            (None, true) => writeln!(screen.talk, "nothing was found"),
            (Some(_), true) => writeln!(
                screen.talk,
                "nothing was found in the newest sessions, and older ones were not looked into: \
                 before:DATE begins there"
            ),
            (Some(_), _) => writeln!(screen.talk, "there are more: --limit N shows N of them"),
            (None, _) => Ok(()),
        };
    }
    Ok(!found.hits.is_empty())
}

/// Asks page by page for as many as are wanted. A page may be empty and have one behind it.
fn ask(search: &Search, client: &Client, url: &str) -> Result<SearchAnswer> {
    let limit = search.limit.unwrap_or(SHOWN_DEFAULT);
    let mut found = SearchAnswer::default();
    for _ in 0..PAGES_MAX {
        let left = limit - found.hits.len() as u64;
        let cursor = found.next_cursor.as_deref();
        let page = client.search(&search.query, left.min(PAGE_MAX), cursor, REQUEST_TIME_MAX);
        let page = page.map_err(|failure| match failure.verdict {
            Verdict::Gone => Error::new(format!("{} does not search", shown_address(url)))
                .with_hint("confab-server does, from this version on"),
            Verdict::Reject => Error::new(format!("search {}", shown_address(url)))
                .caused_by(failure.error)
                .with_hint("confab help search tells what can be asked"),
            _ if failure.error.hint().is_some() => failure.error,
            _ => failure.error.with_hint("confab doctor looks at the connection"),
        })?;
        found.hits.extend(page.hits);
        found.hits.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        found.next_cursor = page.next_cursor;
        if found.next_cursor.is_none() || found.hits.len() as u64 >= limit {
            break;
        }
    }
    Ok(found)
}

/// A line about the line, and below it what was found in it.
fn print(hit: &Hit, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    let id: String = columns::plain(&hit.external_id).chars().take(ID_CHARS).collect();
    let time = columns::plain(hit.timestamp.as_deref().unwrap_or("-"));
    // Seconds are enough.
    let time = time.get(..19).unwrap_or(&time);
    let mut about = format!("{id}:{}  {time}", hit.line);
    let is_agent = hit.file_name != format!("{}.jsonl", hit.external_id);
    let parts = [
        hit.role.as_deref(),
        hit.tool.as_deref(),
        hit.project.as_deref(),
        is_agent.then_some(hit.file_name.as_str()),
        hit.title.as_deref(),
    ];
    for part in parts.into_iter().flatten() {
        about += "  ";
        about += &columns::plain(part);
    }
    writeln!(out, "{}", columns::cut(&about, width.unwrap_or(usize::MAX)))?;
    write!(out, "    ")?;
    for part in &hit.snippet {
        // A blank at an end separates it from the next part.
        let text: String = part.text.split_inclusive(char::is_whitespace).map(shown).collect();
        match part.hit && width.is_some() {
            true => write!(out, "{BOLD}{text}{PLAIN}")?,
            false => write!(out, "{text}")?,
        }
    }
    writeln!(out)
}

/// A word as a terminal may have it, with the blank behind it.
fn shown(word: &str) -> String {
    let blank = if word.ends_with(char::is_whitespace) { " " } else { "" };
    columns::plain(word).trim().to_owned() + blank
}
