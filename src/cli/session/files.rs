//! `confab session list-files`.

use std::io::{self, Write};

use serde::Serialize;

use super::Found;
use crate::cli::account::plain;
use crate::error::{Context, Result};
use crate::wire::FileEntry;

#[derive(Debug, Serialize)]
struct Document<'a> {
    session: &'a str,
    files: &'a [FileEntry],
}

/// Writes the files of a session, as JSON or for people. The name stands last, so that its width
/// moves nothing.
///
/// # Errors
/// When the output cannot be written.
pub fn list_files(session: &Found, json: bool, out: &mut dyn Write) -> Result<()> {
    let written = match json {
        true => {
            let document = Document { session: &session.id, files: &session.files };
            serde_json::to_writer_pretty(&mut *out, &document)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(out))
        }
        false => print(&session.files, out),
    };
    written.context(|| "write to standard output".into())
}

fn print(files: &[FileEntry], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:>9}  {:<16}  {:<20}  FILE", "LINES", "TYPE", "UPDATED")?;
    for file in files {
        let (kind, name) = (plain(&file.file_type), plain(&file.file_name));
        let updated = plain(&file.updated_at);
        // Seconds are enough, and always in the same columns.
        let updated = updated.get(..19).unwrap_or(&updated);
        writeln!(out, "{:>9}  {kind:<16}  {updated:<20}  {name}", file.last_synced_line)?;
    }
    Ok(())
}
