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
use crate::state::{FILE_LINES_MAX, FileRecord, SentLine, SentLines};
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
    /// The bytes in front of the position, at most [`tail::BEHIND_BYTES`].
    pub behind: Vec<u8>,
}

impl Progress {
    /// What the state file remembers of a file. It is not trusted until it was compared.
    pub fn new(record: FileRecord) -> Progress {
        let numbers = [record.last_synced_line, record.local_line, record.parallel_from];
        if numbers.into_iter().any(|number| number > FILE_LINES_MAX) {
            // The backend tells how much it has, and the notes of what was sent tell what that is.
            return Progress::default();
        }
        Progress { record, ..Progress::default() }
    }

    /// The backend knows the session by another id than the one that the record is of: it is
    /// another backend, or has forgotten what it had.
    pub fn start_over(&mut self) {
        let FileRecord { path, file_type, .. } = std::mem::take(&mut self.record);
        *self = Progress::new(FileRecord { path, file_type, ..FileRecord::default() });
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
    pub fn locate(&mut self, path: &Path, sent: &SentLines) -> Result<Located> {
        let what = || format!("read {}", path.display());
        let mut file = File::open(path).context(what)?;
        let stamp = Stamp::of(&file.metadata().context(what)?);
        sent.take_up();
        let server_line = self.server_line.unwrap_or(self.record.last_synced_line);
        let is_in_step = server_line == self.record.last_synced_line;
        if !is_in_step || (self.record.local_line > 0 && !self.is_prefix_intact(&file, &stamp)) {
            let checkpoint = self.record.clone();
            let compared = self.compare(&mut file, path, server_line, sent);
            compared.inspect_err(|_| self.record = checkpoint).context(what)?;
        }
        self.record.inode = stamp.inode;
        let position = self.position();
        file.seek(SeekFrom::Start(position.offset)).context(what)?;
        let behind = bytes_behind(&file, position.offset).context(what)?;
        Ok(Located { file, position, stamp, behind })
    }

    /// These lines are about to be sent. Noted before, so that whatever happens on the way, the
    /// backend's count tells which lines it has.
    pub fn announce(&self, contents: &Contents, sent: &SentLines) {
        let Position { line, .. } = self.position();
        if let Err(error) = sent.append(line, self.record.last_synced_line, &contents.hashes) {
            // Without them a rewritten file would be sent again from its start.
            warn!("what is sent could not be noted: {error}");
        }
    }

    /// The backend has acknowledged these lines.
    pub fn acknowledge(&mut self, contents: &Contents) {
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
        // What was read counts: the file may have been rewritten since.
        let is_known = tail.position().offset == self.record.byte_offset;
        self.window = is_known.then(|| tail::hash(&tail.behind()));
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

    /// Finds out how much of the file a backend with `server_line` lines has. Where the file parts
    /// from what was sent, sending goes on behind the longest common prefix, as new lines behind
    /// what the backend has.
    fn compare(
        &mut self,
        file: &mut File,
        path: &Path,
        server_line: u64,
        sent: &SentLines,
    ) -> io::Result<()> {
        let known = self.record.last_synced_line;
        if server_line != known {
            info!("{}: the backend has {server_line} lines, known are {known}", path.display());
        }
        let is_complete = sent.count() >= self.record.local_line || self.restore(file, sent)?;
        let (n_lines, covered) = sent.known(server_line);
        file.rewind()?;
        let mut position = tail::common_prefix(&*file, sent.hashes(server_line))?;
        let mut is_rewritten = position.line < n_lines || !is_complete;
        if !is_rewritten && covered < server_line {
            // Of these nothing is known here, and so they are the next ones.
            let wanted = n_lines + (server_line - covered);
            file.seek(SeekFrom::Start(position.offset))?;
            let (end, passed) = tail::skip_to_line(&*file, position, wanted)?;
            sent.append(n_lines, covered, &passed)?;
            position = end;
            is_rewritten = end.line < wanted;
        }
        if is_rewritten {
            warn!(
                "{} was rewritten: {} of its lines are as they were sent, and the backend has \
                 {server_line}; the others will be sent as new lines",
                path.display(),
                position.line
            );
            self.record.rewrites += 1;
            self.record.parallel_from = server_line;
            sent.part(position.line, server_line)?;
        }
        self.set_position(position);
        self.record.last_synced_line = server_line;
        self.window = None;
        Ok(())
    }

    /// What was noted of the lines is missing. Makes it anew from the file, when that still begins
    /// with all that was sent as the state file remembers it; else returns false.
    fn restore(&self, file: &mut File, sent: &SentLines) -> io::Result<bool> {
        file.rewind()?;
        let before = self.position();
        let (whole, hashes) = tail::skip_to_line(&*file, Position::default(), before.line)?;
        if (whole.line, whole.hash) != (before.line, before.hash) {
            return Ok(false);
        }
        let (known, parallel) = (self.record.last_synced_line, self.record.parallel_from);
        let entry = |(index, hash): (usize, u64)| {
            // Behind the last rewrite the numbers are known, before it they are guessed.
            let line = index as u64 + 1;
            let server_line = (known + line).saturating_sub(before.line);
            let server_line = if server_line > parallel { server_line } else { line };
            SentLine { hash, server_line }
        };
        sent.replace(0, hashes.into_iter().enumerate().map(entry))?;
        Ok(true)
    }
}

/// Hash of the bytes in front of a position.
fn window(file: &File, offset: u64) -> Option<u64> {
    bytes_behind(file, offset).ok().map(|bytes| tail::hash(&bytes))
}

/// The bytes in front of a position.
fn bytes_behind(file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(offset).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset - length as u64)?;
    Ok(bytes)
}
