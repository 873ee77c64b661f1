//! Pieces of a file, redacted by two threads.
//!
//! Redaction is most of the work of a first sync. A piece is begun before the one in front of it is
//! finished, so that neither thread waits for the other: while the first one reads, hashes and
//! compresses, the second one redacts, and what it has not done by then they share.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, Scope, ScopedJoinHandle};

use crate::redact::Redactor;
use crate::tail::Piece;

use super::text::Texts;

/// Bytes of lines that are worth a thread: starting one takes as long as some ten thousand bytes.
pub const SHARED_BYTES_MIN: usize = 64 << 10;
/// Bytes of lines that a thread takes at once; its last line may be longer.
const BATCH_BYTES_MIN: usize = 8 << 10;

/// Nothing that can fail is done by who holds the queue.
const UNPOISONED: &str = "nobody fails with the queue in hand";

/// What the threads have in common.
#[derive(Default)]
pub struct Queue {
    shared: Mutex<Shared>,
    /// There are batches, or there will be none any more.
    added: Condvar,
    /// The other thread has done one, or has failed.
    finished: Condvar,
}

#[derive(Default)]
struct Shared {
    /// What is to be done.
    batches: VecDeque<Batch>,
    is_closed: bool,
    /// What the other thread has done.
    done: Vec<Done>,
    is_awaited: bool,
    has_failed: bool,
}

/// Some lines of a piece, in a row.
struct Batch {
    piece: Arc<Piece>,
    /// The piece's number.
    number: usize,
    /// Which of the piece's batches it is.
    index: usize,
    lines: Range<usize>,
    texts: Texts,
}

/// What has become of a batch.
struct Done {
    number: usize,
    index: usize,
    texts: Texts,
}

/// A piece, and the texts of its batches as far as they are made.
struct Begun {
    piece: Arc<Piece>,
    texts: Vec<Texts>,
    n_left: usize,
}

/// Redacts pieces in the order in which they are begun.
pub struct Workshop<'scope, 'env> {
    redactor: &'env Redactor,
    queue: &'env Queue,
    scope: &'scope Scope<'scope, 'env>,
    /// The other thread.
    helper: Option<ScopedJoinHandle<'scope, ()>>,
    begun: VecDeque<Begun>,
    n_finished: usize,
    spare: Vec<Texts>,
}

impl<'scope, 'env> Workshop<'scope, 'env> {
    /// One without work.
    pub fn new(
        redactor: &'env Redactor,
        queue: &'env Queue,
        scope: &'scope Scope<'scope, 'env>,
    ) -> Self {
        let (begun, spare) = (VecDeque::new(), Vec::new());
        Workshop { redactor, queue, scope, helper: None, begun, n_finished: 0, spare }
    }

    /// Begins a piece; the other thread is started when it is worth one.
    pub fn begin(&mut self, piece: Piece) {
        let piece = Arc::new(piece);
        let number = self.n_finished + self.begun.len();
        let batch = |(index, lines)| {
            let texts = self.spare.pop().unwrap_or_default();
            Batch { piece: Arc::clone(&piece), number, index, lines, texts }
        };
        let batches: Vec<Batch> = batches(&piece).enumerate().map(batch).collect();
        let n_left = batches.len();
        if n_left > 1 && piece.bytes() >= SHARED_BYTES_MIN && self.helper.is_none() {
            self.helper = self.start_helper();
        }
        let texts = batches.iter().map(|_| Texts::default()).collect();
        self.begun.push_back(Begun { piece, texts, n_left });
        self.queue.add(batches);
    }

    /// Lines and bytes of the pieces that are begun and not finished.
    pub fn size(&self) -> (usize, usize) {
        let pieces = self.begun.iter().map(|begun| &begun.piece);
        pieces.fold((0, 0), |size, piece| (size.0 + piece.n_lines(), size.1 + piece.bytes()))
    }

    /// The piece that was begun first, when all of its lines are redacted, and their texts.
    pub fn finish(&mut self) -> Option<(Arc<Piece>, Vec<Texts>)> {
        loop {
            self.queue.done().into_iter().for_each(|done| self.note(done));
            if self.begun.front()?.n_left == 0 {
                break;
            }
            match self.queue.take() {
                Some(batch) => self.note(batch.work(self.redactor)),
                None => self.wait_for_helper(),
            }
        }
        self.n_finished += 1;
        self.begun.pop_front().map(|begun| (begun.piece, begun.texts))
    }

    /// Gives up the pieces that were begun and not finished: the last one first.
    pub fn give_up(&mut self) -> impl Iterator<Item = Arc<Piece>> {
        self.queue.close();
        self.begun.drain(..).rev().map(|begun| begun.piece)
    }

    /// Takes the memory of texts for those to come.
    pub fn reuse(&mut self, texts: Vec<Texts>) {
        self.spare.extend(texts.into_iter().map(|mut texts| {
            texts.clear();
            texts
        }));
    }

    fn note(&mut self, done: Done) {
        let begun = &mut self.begun[done.number - self.n_finished];
        begun.texts[done.index] = done.texts;
        begun.n_left -= 1;
    }

    /// Starts the other thread; none where none can be started, and then there is time.
    fn start_helper(&self) -> Option<ScopedJoinHandle<'scope, ()>> {
        let (queue, redactor) = (self.queue, self.redactor);
        let work = move || {
            let _failing = Failing(queue);
            let mut done = None;
            while let Some(batch) = queue.exchange(done.take()) {
                done = Some(batch.work(redactor));
            }
        };
        thread::Builder::new().name("redact".to_owned()).spawn_scoped(self.scope, work).ok()
    }

    /// Waits for the other thread, which has the last batches.
    fn wait_for_helper(&mut self) {
        if self.queue.has_done() {
            return;
        }
        let helper = self.helper.take().expect("what is not queued is with the other thread");
        if let Err(panic) = helper.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Workshop<'_, '_> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Batch {
    fn work(mut self, redactor: &Redactor) -> Done {
        let lines = self.lines.clone().map(|index| self.piece.line(index));
        self.texts.reserve(self.lines.len(), lines.clone().map(<[u8]>::len).sum());
        for line in lines {
            self.texts.add(redactor, line);
        }
        Done { number: self.number, index: self.index, texts: self.texts }
    }
}

/// Says so when the thread that has it fails: it would be waited for.
struct Failing<'a>(&'a Queue);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        self.0.shared().has_failed = thread::panicking();
        self.0.finished.notify_one();
    }
}

impl Queue {
    fn add(&self, batches: Vec<Batch>) {
        self.shared().batches.extend(batches);
        self.added.notify_one();
    }

    fn take(&self) -> Option<Batch> {
        self.shared().batches.pop_front()
    }

    /// What the other thread has done since this was asked last.
    fn done(&self) -> Vec<Done> {
        std::mem::take(&mut self.shared().done)
    }

    /// Waits until the other thread has done something; false when it has failed.
    fn has_done(&self) -> bool {
        let mut shared = self.shared();
        shared.is_awaited = true;
        let is_at_work = |shared: &mut Shared| shared.done.is_empty() && !shared.has_failed;
        let mut shared = self.finished.wait_while(shared, is_at_work).expect(UNPOISONED);
        shared.is_awaited = false;
        !shared.done.is_empty()
    }

    /// For the other thread: takes what it has done and waits for the next batch; none when there
    /// will be no further one.
    fn exchange(&self, done: Option<Done>) -> Option<Batch> {
        let mut shared = self.shared();
        shared.done.extend(done);
        if shared.is_awaited {
            self.finished.notify_one();
        }
        let is_idle = |shared: &mut Shared| shared.batches.is_empty() && !shared.is_closed;
        self.added.wait_while(shared, is_idle).expect(UNPOISONED).batches.pop_front()
    }

    /// There is nothing to be done any more.
    fn close(&self) {
        let mut shared = self.shared();
        shared.batches.clear();
        shared.is_closed = true;
        self.added.notify_one();
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect(UNPOISONED)
    }
}

/// The lines of a piece, as many as a thread takes at once.
fn batches(piece: &Piece) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let (start, mut bytes) = (from, 0);
        while from < piece.n_lines() && bytes < BATCH_BYTES_MIN {
            bytes += piece.line(from).len();
            from += 1;
        }
        (from > start).then_some(start..from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Settings;
    use crate::tail::{Held, Position, Tail};

    /// Two threads make of lines what one makes of them, in order, however many pieces are begun,
    /// and end with pieces that nobody waits for.
    #[test]
    fn what_two_threads_make_is_in_order() {
        let (redactor, _) = Redactor::new(&Settings::default());
        let secret = ["gh", "p_", "R7wq2LmX9vB4nK8sT1zY6cD3fG5hJ0aQpE2u"].concat();
        let line = |number: usize| match number % 3 {
            0 => format!("{{\"content\":\"{number} {secret}\"}}\n"),
            _ => format!("{{\"content\":\"{number} {}\"}}\n", "x".repeat(number % 700)),
        };
        let text: String = (0..3000).map(line).collect();
        for bytes in [1, 1000, 100_000, text.len()] {
            let mut tail = Tail::new(text.as_bytes(), Position::default(), 1 << 20);
            let mut lines = text.lines();
            let queue = Queue::default();
            thread::scope(|scope| {
                let mut workshop = Workshop::new(&redactor, &queue, scope);
                for n_ahead in [1, 2, 3] {
                    for _ in 0..n_ahead {
                        assert_eq!(tail.hold_line().unwrap(), Held::Lines);
                        workshop.begin(tail.take_piece(bytes, 700));
                    }
                    let (piece, texts) = workshop.finish().unwrap();
                    let texts: Vec<&[u8]> = texts
                        .iter()
                        .flat_map(|texts| texts.iter().map(Result::unwrap).collect::<Vec<_>>())
                        .collect();
                    assert_eq!(texts.len(), piece.n_lines());
                    for (index, text) in texts.into_iter().enumerate() {
                        let line = lines.next().unwrap().as_bytes();
                        assert_eq!(piece.line(index), line);
                        let text: String = serde_json::from_slice(&text[1..]).unwrap();
                        assert_eq!(text.as_bytes(), &*redactor.line(line).unwrap());
                    }
                }
            });
        }
    }
}
