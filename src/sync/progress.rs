//! How far one file is sent, and where to go on: the checkpoint, checked against the file as it is
//! now, merged with what the backend says it has.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use log::{info, warn};

use crate::chunk::Contents;
use crate::error::{Context, Result};
use crate::files::Stamp;
use crate::state::{FileRecord, LineHashes};
use crate::tail::{self, Position, Tail};
use crate::wire;

/// Bytes in front of the position that are compared before a file that has grown is read on.
const WINDOW_BYTES: usize = tail::BEHIND_BYTES;

/// How far one file is sent.
#[derive(Debug, Default)]
pub struct Progress {
    /// What the state file says of it.
    pub record: FileRecord,
    /// How many lines the backend says it has; `None` until it is asked again.
    pub server_line: Option<u64>,
    /// What the file looked like when it was last sent whole.
    pub settled: Option<Stamp>,
    /// Lines of the request that was tried last.
    pub n_lines_tried: u64,
    /// Bytes of the request that was tried last.
    pub n_bytes_tried: usize,
    /// How often the next line was refused alone.
    pub n_refused_alone: u32,
    /// Hash of what stood in front of the position when the file was last sent whole; `None` until
    /// then.
    window: Option<u64>,
}

/// A file, open at the position from which it is to be sent.
#[derive(Debug)]
pub struct Located {
    /// The file.
    pub file: File,
    /// Where it stands.
    pub position: Position,
    /// What it looked like when it was opened.
    pub stamp: Stamp,
}

impl Progress {
    /// What the state file remembers of a file. It is not trusted until it was compared.
    pub fn new(record: FileRecord) -> Progress {
        Progress { record, ..Progress::default() }
    }

    /// True when the file looks as it did when it was last sent whole.
    pub fn is_settled(&self, now: Option<Stamp>) -> bool {
        // A file that is not there has nothing to send.
        now.is_none() || self.record.full || (self.settled.is_some() && self.settled == now)
    }

    /// A request was refused although the backend stands where we thought. True when that is
    /// because the file has as many chunks as a backend keeps: then no more is sent of it.
    pub fn is_full_now(&mut self) -> bool {
        self.record.full = self.record.chunks >= wire::FILE_CHUNKS_MAX;
        self.record.full
    }

    /// Opens the file at the first line that the backend does not have.
    ///
    /// # Errors
    /// As the system calls.
    pub fn locate(&mut self, path: &Path, hashes: &LineHashes) -> Result<Located> {
        let what = || format!("read {}", path.display());
        let mut file = File::open(path).context(what)?;
        let stamp = Stamp::of(&file.metadata().context(what)?);
        let checkpoint = self.record.clone();
        let is_behind = self.catch_up(hashes);
        if is_behind || (self.record.local_line > 0 && !self.is_prefix_intact(&file, &stamp)) {
            let compared = self.compare(&mut file, path, hashes);
            compared.inspect_err(|_| self.record = checkpoint).context(what)?;
        }
        if let Some(server_line) = self.server_line
            && server_line != self.record.last_synced_line
        {
            self.follow_server(&mut file, path, server_line, hashes).context(what)?;
        }
        self.record.inode = stamp.inode;
        let position = self.position();
        file.seek(SeekFrom::Start(position.offset)).context(what)?;
        Ok(Located { file, position, stamp })
    }

    /// The backend has acknowledged these lines.
    pub fn acknowledge(&mut self, contents: &Contents, hashes: &LineHashes) {
        if let Err(error) = hashes.append(self.record.local_line, &contents.hashes) {
            // Without them a rewritten file would be sent again from its start.
            warn!("the line hashes could not be written: {error}");
        }
        self.record.last_synced_line += contents.n_lines;
        self.server_line = Some(self.record.last_synced_line);
        self.record.stand_ins += contents.stand_ins;
        self.record.withheld += contents.withheld;
        self.record.chunks += 1;
        self.set_position(contents.end);
        self.n_refused_alone = 0;
        self.window = None;
    }

    /// The file was sent up to its last line as of `stamp`.
    pub fn settle(&mut self, tail: &Tail<File>, stamp: Stamp) {
        self.settled = Some(stamp);
        self.record.modified_nanos = stamp.modified_nanos;
        self.record.bytes_seen = stamp.bytes;
        // What was read counts, where it is known: the file may have been rewritten since.
        let behind = tail.behind();
        let is_known =
            behind.len() == WINDOW_BYTES && tail.position().offset == self.record.byte_offset;
        self.window = match is_known {
            true => Some(tail::hash(&behind)),
            false => window(tail.reader(), self.record.byte_offset),
        };
    }

    fn position(&self) -> Position {
        Position {
            line: self.record.local_line,
            offset: self.record.byte_offset,
            hash: u64::from_str_radix(&self.record.prefix_hash, 16).unwrap_or_default(),
            unterminated: self.record.unterminated,
        }
    }

    fn set_position(&mut self, position: Position) {
        self.record.local_line = position.line;
        self.record.byte_offset = position.offset;
        self.record.prefix_hash = format!("{:016x}", position.hash);
        self.record.unterminated = position.unterminated;
    }

    /// A cheap look at whether the part that was sent is still what it was: same file, not shorter,
    /// and the same bytes in front of the position, or not modified since the checkpoint.
    fn is_prefix_intact(&self, file: &File, stamp: &Stamp) -> bool {
        let same = stamp.inode == self.record.inode && stamp.bytes >= self.record.byte_offset;
        same && match self.window {
            Some(before) => window(file, self.record.byte_offset) == Some(before),
            None => {
                self.settled.is_none()
                    && stamp.bytes == self.record.bytes_seen
                    && stamp.modified_nanos == self.record.modified_nanos
            }
        }
    }

    /// Compares the part that was sent line by line. Where the file parts from it, sending goes on
    /// behind the longest common prefix, as new lines behind what the backend has.
    fn compare(&mut self, file: &mut File, path: &Path, hashes: &LineHashes) -> io::Result<()> {
        file.rewind()?;
        let sent = self.position();
        let expected = hashes.read().take(usize::try_from(sent.line).unwrap_or(usize::MAX));
        let mut common = tail::common_prefix(&*file, expected)?;
        if common.line < sent.line && common.hash != sent.hash {
            // The hashes may be missing; the hash of the whole is in the state file.
            file.rewind()?;
            let (whole, passed) = tail::skip_to_line(&*file, Position::default(), sent.line)?;
            if (whole.line, whole.hash) == (sent.line, sent.hash) {
                common = whole;
                hashes.append(0, &passed)?;
            }
        }
        if (common.line, common.hash) != (sent.line, sent.hash) {
            warn!(
                "{} was rewritten: {} of {} lines are as they were sent; the others will be sent as \
                 new lines",
                path.display(),
                common.line,
                sent.line
            );
            self.record.rewrites += 1;
            self.record.parallel_from = self.record.last_synced_line;
            // The hashes of lines that are gone must not be taken for those of lines to come.
            hashes.append(common.line, &[])?;
        }
        self.set_position(common);
        Ok(())
    }

    /// A crash may have kept the state file from what was acknowledged; the line hashes are written
    /// before it. True when they know more, in step with the backend: then the file must be
    /// compared with them, as it may have been rewritten since.
    fn catch_up(&mut self, hashes: &LineHashes) -> bool {
        let known = self.record.last_synced_line;
        let Some(server_line) = self.server_line.filter(|server_line| *server_line > known) else {
            return false;
        };
        let line = self.record.local_line + (server_line - known);
        let last = usize::try_from(line - 1).unwrap_or(usize::MAX);
        if hashes.count() < line {
            return false;
        }
        let Some(hash) = hashes.read().nth(last) else { return false };
        self.record.last_synced_line = server_line;
        self.set_position(Position { line, hash, ..self.position() });
        true
    }

    /// Backend and checkpoint disagree: the backend wins. Lines that it has and we did not know of
    /// are gone over; lines that it has lost are sent again.
    fn follow_server(
        &mut self,
        file: &mut File,
        path: &Path,
        server_line: u64,
        hashes: &LineHashes,
    ) -> io::Result<()> {
        let known = self.record.last_synced_line;
        if known > 0 {
            warn!(
                "{}: the backend has {server_line} lines, {known} were acknowledged; it is believed",
                path.display()
            );
        } else {
            info!("{}: the backend has {server_line} lines", path.display());
        }
        let (from, line) = if server_line > known {
            (self.position(), self.record.local_line + (server_line - known))
        } else {
            let parallel = self
                .record
                .local_line
                .saturating_sub(known.saturating_sub(self.record.parallel_from));
            let lost = known.saturating_sub(server_line.max(self.record.parallel_from));
            let line = match server_line < self.record.parallel_from {
                true => parallel.min(server_line),
                false => self.record.local_line.saturating_sub(lost),
            };
            (Position::default(), line)
        };
        file.seek(SeekFrom::Start(from.offset))?;
        let (position, passed) = tail::skip_to_line(&*file, from, line)?;
        hashes.append(from.line, &passed)?;
        if position.line < line {
            warn!(
                "{} has {} lines and the backend has {server_line}: what is added will be sent as new \
                 lines",
                path.display(),
                position.line
            );
            self.record.rewrites += 1;
            self.record.parallel_from = server_line;
        }
        self.set_position(position);
        self.record.last_synced_line = server_line;
        self.window = None;
        Ok(())
    }
}

/// Hash of the bytes in front of a position.
fn window(file: &File, offset: u64) -> Option<u64> {
    let length = usize::try_from(offset).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
    let mut bytes = [0; WINDOW_BYTES];
    file.read_exact_at(&mut bytes[..length], offset - length as u64).ok()?;
    Some(tail::hash(&bytes[..length]))
}
