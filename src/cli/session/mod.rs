//! `confab session …`: what the backend has of a session, looked at, brought here, compared,
//! deleted.

mod delete;
mod download;
mod files;
mod restore;
mod verify;

use std::io::{self, Read, Write};
use std::time::Duration;

pub use delete::delete;
pub use download::{download, download_all};
pub use files::list_files;
pub use restore::{Restore, restore};
pub use verify::{Verified, verify};

use crate::cli::sessions;
use crate::config::keys::shown_address;
use crate::error::{Context, Error, Result};
use crate::files::Paths;
use crate::remote::{Client, Failure, Verdict, escaped};
use crate::wire::FileEntry;

/// Time for one question.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
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
        let id = self.client.session_id(external, REQUEST_TIME_MAX).map_err(told)?;
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
        Ok(Found { id, external_id, files })
    }

    fn files(&self, id: &str) -> Result<Option<Vec<FileEntry>>> {
        self.client.files(id, REQUEST_TIME_MAX).map_err(told)
    }
}

/// The page of a session on the backend's web site.
pub fn page(url: &str, session: &Found) -> String {
    format!("{url}/sessions/{}", escaped(&session.id))
}

/// Writes the session in short, as the backend's JSON.
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
    let mut stream = stored.client.condensed(&session.id, chars_max).map_err(|failure| {
        match failure.verdict {
            Verdict::Gone => Error::new(what()).caused_by(failure.error).with_hint(
                "the backend makes none of it, or not at all; confab session download gets the lines",
            ),
            _ => told(failure),
        }
    })?;
    copy(&mut stream, out).context(what)?;
    writeln!(out).context(|| "write to standard output".into())
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
