//! Requests for one file, the next one prepared while the last one is on its way.

use std::fs::File;
use std::time::Duration;

use crate::chunk::{Builder, Compressor, Contents, Header};
use crate::error::{Context, Error, Result};
use crate::redact::Redactor;
use crate::remote::Failure;
use crate::session::Source;
use crate::tail::Tail;
use crate::wire::{ChunkAnswer, TYPE_TRANSCRIPT};

use super::{Surroundings, Tools};

/// A request of this size is likely to be followed by another one, which is prepared meanwhile.
const AHEAD_BYTES_MIN: usize = 512 << 10;

/// Stack of the sending thread; TLS takes the most of it.
const SEND_STACK_BYTES: usize = 512 << 10;

/// What is to be sent of one file.
pub struct Sending<'a> {
    /// The file.
    pub source: &'a Source,
    /// Nothing will follow: a last line without newline is taken, too.
    pub last: bool,
    /// The next line was refused even alone.
    pub stand_in: bool,
    /// Refusals in this pass.
    pub n_refused: usize,
    /// Those of them that were of a single small line.
    pub n_refused_alone: usize,
}

/// A request, ready to be sent.
pub struct Chunk {
    /// Compressed.
    pub body: Vec<u8>,
    /// What its lines say.
    pub contents: Contents,
    /// What is told besides, to a backend that wants to know.
    pub report: Option<String>,
}

/// What requests for a file are made of.
#[derive(Clone, Copy)]
pub struct Preparing<'a> {
    /// The backend's id of the session.
    pub session_id: &'a str,
    /// What is told besides the lines.
    pub surroundings: &'a Surroundings,
    /// Size that a request is filled to.
    pub request_bytes: usize,
    /// The file.
    pub sending: &'a Sending<'a>,
}

impl Preparing<'_> {
    /// The request behind line `acknowledged`; `None` when there is no further line, or when the
    /// file is being rewritten.
    ///
    /// # Errors
    /// As reading the file.
    pub fn prepare(
        &self,
        acknowledged: u64,
        tail: &mut Tail<File>,
        compressor: &mut Compressor,
        redactor: &Redactor,
    ) -> Result<Option<Chunk>> {
        let Sending { source, last, stand_in, .. } = self.sending;
        let what = || format!("read {}", source.path.display());
        let header = Header {
            session_id: self.session_id,
            file_name: &source.name,
            file_type: source.file_type,
            first_line: acknowledged + 1,
        };
        if !tail.is_intact() {
            // The next pass will find out how far the file is what it was.
            return Ok(None);
        }
        let mut builder =
            Builder::new(header, redactor, compressor, self.request_bytes).context(what)?;
        builder.fill(tail, *stand_in).context(what)?;
        if *last && builder.contents().n_lines == 0 {
            builder.fill_unterminated(tail).context(what)?;
        }
        if builder.contents().n_lines == 0 {
            return Ok(None);
        }
        let metadata = (source.file_type == TYPE_TRANSCRIPT)
            .then(|| self.surroundings.chunk_metadata(builder.contents(), redactor));
        let (body, contents) = builder.finish(metadata.as_ref()).context(what)?;
        Ok(Some(Chunk { body, contents, report: None }))
    }

    /// Sends a request whose last line is `expected`. While a large one is on its way, the next one
    /// is prepared; it is good only if this one is acknowledged up to `expected`.
    pub fn exchange(
        &self,
        chunk: &Chunk,
        expected: u64,
        tail: &mut Tail<File>,
        compressor: &mut Compressor,
        tools: &mut Tools<'_>,
        time_max: Duration,
    ) -> (Result<ChunkAnswer, Failure>, Option<Result<Option<Chunk>>>) {
        let backend = &mut *tools.backend;
        if chunk.contents.bytes < AHEAD_BYTES_MIN || self.sending.stand_in {
            return (backend.append(&chunk.body, chunk.report.as_deref(), time_max), None);
        }
        let redactor = tools.redactor;
        std::thread::scope(|scope| {
            let started = std::thread::Builder::new()
                .name("send".to_owned())
                .stack_size(SEND_STACK_BYTES)
                .spawn_scoped(scope, || {
                    backend.append(&chunk.body, chunk.report.as_deref(), time_max)
                });
            let sending = match started {
                Ok(sending) => sending,
                Err(error) => {
                    let error = Error::new("start the sending thread").caused_by(error);
                    return (Err(Failure::retry(error)), None);
                }
            };
            let ahead = self.prepare(expected, tail, compressor, redactor);
            let answer = sending.join().unwrap_or_else(|_| {
                Err(Failure::retry(Error::new("the thread that sends has failed")))
            });
            (answer, Some(ahead))
        })
    }
}
