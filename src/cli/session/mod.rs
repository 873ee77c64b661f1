//! `confab session …`: what the backend has of a session, looked at, brought here, compared,
//! deleted.

mod delete;
mod download;
mod files;
mod json;
mod restore;
mod verify;

use std::io::{self, Read, Write};
use std::time::Duration;

pub use delete::delete;
pub use download::{download, download_all};
pub use files::list_files;
pub use restore::{Restore, restore};
pub use verify::{Report, Verified, verify};

use crate::cli::sessions;
use crate::config::keys::shown_address;
use crate::error::{Context, Error, Result};
use crate::files::Paths;
use crate::remote::{Client, Failure, PAUSE_TIME_MAX, Stream, Verdict, escaped};
use crate::wire::{FileEntry, TYPE_TRANSCRIPT};

/// Time for one question.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// Times that a backend is asked again which says that it is asked too much.
const BUSY_RETRIES_MAX: u32 = 5;
/// The longest wait between two of these.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(60);
/// Bytes of a condensed transcript.
const CONDENSED_BYTES_MAX: u64 = 64 << 20;
/// Bytes that are copied at once.
const COPY_BYTES: usize = 64 << 10;

/// A backend and the place where local sessions are.
pub struct Stored<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// Speaks to the backend.
    pub client: &'a Client,
    /// The backend's address.
    pub url: &'a str,
    /// Sleeps.
    pub wait: &'a dyn Fn(Duration),
}

/// A session that the backend has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The backend's id.
    pub id: String,
    /// Claude's id, where that is known.
    pub external_id: Option<String>,
    /// Its files.
    pub files: Vec<FileEntry>,
}

impl Stored<'_> {
    /// The session that a word means: the beginning of the id of one on this machine, Claude's id
    /// or the backend's.
    ///
    /// # Errors
    /// When there is none, more than one, or the backend cannot be asked.
    pub fn find(&self, word: &str) -> Result<Found> {
        let (local, _) = sessions::discover(self.paths);
        let local = sessions::find(&local, word).map(|session| session.id.to_string());
        let external = match &local {
            Ok(id) => id.as_str(),
            Err(_) if sessions::is_uuid(word) => word,
            Err(_) => return Err(local.expect_err("it is one")),
        };
        let ask = || self.client.session_id(external, REQUEST_TIME_MAX);
        let id = self.patiently(&ask).map_err(told)?;
        let (id, external_id) = match id {
            Some(id) => (id, Some(external.to_owned())),
            // What no session of Claude's is called may be the backend's own id.
            None => (word.to_owned(), None),
        };
        let is_uuid = sessions::is_uuid(&id);
        let files = if is_uuid { self.files(&id)? } else { None };
        let Some(files) = files else {
            let what = format!("{} has no session {external}", shown_address(self.url));
            let hint = match local {
                Ok(_) => format!("confab save {external} uploads it"),
                Err(_) => "confab list --all shows those of this machine".to_owned(),
            };
            return Err(Error::new(what).with_hint(hint));
        };
        let external_id = external_id.or_else(|| named_by_transcript(&files));
        Ok(Found { id, external_id, files })
    }

    fn files(&self, id: &str) -> Result<Option<Vec<FileEntry>>> {
        self.patiently(&|| self.client.files(id)).map_err(told)
    }

    /// Opens a file of a session.
    ///
    /// # Errors
    /// As the network.
    fn download(&self, session: &Found, name: &str) -> Result<Stream> {
        let ask = || self.client.download(&session.id, name, PAUSE_TIME_MAX);
        self.patiently(&ask).map_err(told)
    }

    /// Asks again when the backend says that it is asked too much: a session may have more files
    /// than it answers for in one go.
    fn patiently<T>(&self, ask: &dyn Fn() -> Result<T, Failure>) -> Result<T, Failure> {
        for n_tried in 0..BUSY_RETRIES_MAX {
            let failure = match ask() {
                Err(failure) if failure.is_busy => failure,
                answered => return answered,
            };
            let told = match failure.verdict {
                Verdict::Retry(after) => after,
                _ => None,
            };
            let wait = told.unwrap_or(Duration::from_secs(1 << n_tried));
            (self.wait)(wait.min(BUSY_WAIT_MAX));
        }
        ask()
    }
}

/// What Claude Code calls a session, by the name of its transcript.
fn named_by_transcript(files: &[FileEntry]) -> Option<String> {
    let mut transcripts = files.iter().filter(|file| file.file_type == TYPE_TRANSCRIPT);
    let id = transcripts
        .find_map(|file| file.file_name.strip_suffix(".jsonl").filter(|id| sessions::is_uuid(id)));
    id.map(str::to_owned)
}

/// The page of a session on the backend's web site.
pub fn page(url: &str, session: &Found) -> String {
    format!("{url}/sessions/{}", escaped(&session.id))
}

/// Writes the session in short, as the backend's JSON, laid out for people.
///
/// # Errors
/// As the network; when the output cannot be written.
pub fn get_summary(
    stored: &Stored<'_>,
    session: &Found,
    chars_max: Option<u64>,
    out: &mut dyn Write,
) -> Result<()> {
    let what = || format!("get the summary of session {}", session.id);
    let ask = || stored.client.condensed(&session.id, chars_max);
    let stream = stored.patiently(&ask).map_err(|failure| match failure.verdict {
        Verdict::Gone => Error::new(what()).caused_by(failure.error).with_hint(
            "the backend makes none of it, or not at all; confab session download gets the lines",
        ),
        _ => told(failure),
    })?;
    let mut answer = Vec::new();
    stream.take(CONDENSED_BYTES_MAX + 1).read_to_end(&mut answer).context(what)?;
    if answer.len() as u64 > CONDENSED_BYTES_MAX {
        let why = format!("it has more than {} MiB", CONDENSED_BYTES_MAX >> 20);
        return Err(Error::new(why).with_hint("--max-chars N gets the end of it")).context(what);
    }
    let text = json::indented(&answer).ok_or_else(|| {
        Error::new("the answer is not that of a confab backend")
            .with_hint("check backend_url; a proxy or a login page may be in between")
    });
    out.write_all(&text.context(what)?).context(|| "write to standard output".into())
}

/// Copies to the end; how many bytes that were.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut n_copied = 0;
    loop {
        let n_bytes = from.read(&mut buffer)?;
        if n_bytes == 0 {
            to.flush()?;
            return Ok(n_copied);
        }
        to.write_all(&buffer[..n_bytes])?;
        n_copied += n_bytes as u64;
    }
}

/// A failure as an error for people.
fn told(failure: Failure) -> Error {
    match failure.error.hint() {
        Some(_) => failure.error,
        None => failure.error.with_hint("confab doctor looks at the connection"),
    }
}
