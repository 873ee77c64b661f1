//! A session piece by piece, to be read by people: as a page, or as Markdown.

use super::html::{self, Fold};
use super::markdown;
use crate::error::{Context, Result};
use crate::server::store::{Download, Store};
use crate::wire::{FileEntry, SessionDetail, TYPE_TRANSCRIPT};

/// What people read it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A browser.
    Html,
    /// Anything that shows text.
    Markdown,
}

/// A session that is being written out; one block of lines is in memory at a time.
pub struct Exporter {
    reader: i64,
    detail: SessionDetail,
    format: Format,
    /// The conversation, then what its helpers said.
    files: std::vec::IntoIter<FileEntry>,
    has_begun: bool,
    open: Option<Open>,
    /// Files so far.
    count: usize,
    is_over: bool,
}

/// A file of which lines are left.
struct Open {
    download: Download,
    line: i64,
    index: usize,
    fold: Fold,
}

impl Exporter {
    /// Everything of a session that a reader may read.
    pub fn new(reader: i64, mut detail: SessionDetail, format: Format) -> Exporter {
        let files = std::mem::take(&mut detail.files);
        let (mut ordered, others): (Vec<FileEntry>, Vec<FileEntry>) =
            files.into_iter().partition(|file| file.file_type == TYPE_TRANSCRIPT);
        ordered.extend(others);
        Exporter {
            reader,
            detail,
            format,
            files: ordered.into_iter(),
            has_begun: false,
            open: None,
            count: 0,
            is_over: false,
        }
    }

    /// The next piece; `None` behind the last one.
    ///
    /// # Errors
    /// When the database fails or is damaged.
    pub fn next(&mut self, store: &Store) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        let what = || "write a session".into();
        if !std::mem::replace(&mut self.has_begun, true) {
            match self.format {
                Format::Html => html::begin(&mut out, &self.detail).context(what)?,
                Format::Markdown => markdown::begin(&mut out, &self.detail),
            }
            return Ok(Some(out));
        }
        if let Some(open) = self.open.take() {
            self.open = self.write_block(store, open, &mut out)?;
            return Ok(Some(out));
        }
        for file in self.files.by_ref() {
            let found = store.download(self.reader, &self.detail.id, &file.file_name)?;
            // It may have been deleted since it was listed.
            let Some(download) = found.flatten() else { continue };
            match self.format {
                Format::Html => html::begin_file(&mut out, self.count, &file).context(what)?,
                Format::Markdown => markdown::begin_file(&mut out, &file),
            }
            self.open = Some(Open { download, line: 1, index: self.count, fold: Fold::default() });
            self.count += 1;
            return Ok(Some(out));
        }
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(None);
        }
        if self.format == Format::Html {
            html::end(&mut out).context(what)?;
        }
        Ok(Some(out))
    }

    /// Writes one block of a file's lines; what is left of the file.
    fn write_block(
        &self,
        store: &Store,
        mut open: Open,
        out: &mut Vec<u8>,
    ) -> Result<Option<Open>> {
        let what = || "write a session".into();
        if open.line > open.download.last_line {
            if self.format == Format::Html {
                html::end_file(out, open.fold).context(what)?;
            }
            return Ok(None);
        }
        let (text, next) = super::block(store, &open.download, open.line)?;
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        for (number, line) in (open.line..).zip(lines) {
            let line = line.trim_ascii_end();
            match self.format {
                Format::Html => {
                    html::line(out, &mut open.fold, (open.index, number), line).context(what)?;
                }
                Format::Markdown => markdown::line(out, line),
            }
        }
        open.line = next;
        Ok(Some(open))
    }
}
