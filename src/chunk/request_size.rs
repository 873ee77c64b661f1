//! How large requests are to be, as answers and refusals teach.

use std::time::Duration;

/// Size that a request is filled to.
pub const REQUEST_BYTES_TARGET: usize = 4 << 20;
/// Size that a request is filled to on a quick way: between two of them, threads wait.
const REQUEST_BYTES_QUICK: usize = 8 << 20;
/// Size that a request is never filled to less than, after timeouts.
const REQUEST_BYTES_MIN: usize = 64 << 10;
/// A way is quick on which a request of at least half the usual size takes no longer, far from what
/// the backend allows.
const QUICK_TIME_MAX: Duration = Duration::from_secs(3);

/// Size that the next request is to be filled to.
#[derive(Debug, Clone, Copy)]
pub struct RequestSize {
    bytes: usize,
    bytes_max: usize,
}

impl Default for RequestSize {
    fn default() -> RequestSize {
        RequestSize { bytes: REQUEST_BYTES_TARGET, bytes_max: REQUEST_BYTES_QUICK }
    }
}

impl RequestSize {
    /// In bytes of JSON text.
    pub fn bytes(self) -> usize {
        self.bytes
    }

    /// A request of so many bytes was acknowledged: the next ones are larger again, and larger than
    /// usual on a quick way.
    pub fn was_acknowledged(&mut self, bytes: usize, took: Duration) {
        let is_quick = bytes >= REQUEST_BYTES_TARGET / 2 && took <= QUICK_TIME_MAX;
        let bytes_max = if is_quick { self.bytes_max } else { REQUEST_BYTES_TARGET };
        self.bytes = (self.bytes * 2).min(bytes_max);
    }

    /// A request of so many bytes took too long.
    pub fn was_late(&mut self, bytes: usize) {
        self.note_failed(bytes);
        self.bytes = (self.bytes / 2).max(REQUEST_BYTES_MIN);
    }

    /// A request of so many bytes was refused: something between here and there may take less.
    pub fn was_refused(&mut self, bytes: usize) {
        self.note_failed(bytes);
        self.bytes = (bytes / 2).max(1);
    }

    /// What failed once because it was larger than usual is not tried for ever.
    fn note_failed(&mut self, bytes: usize) {
        if bytes > REQUEST_BYTES_TARGET {
            self.bytes_max = REQUEST_BYTES_TARGET;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: usize = REQUEST_BYTES_TARGET;

    /// A slow link does not meet a request that it cannot carry in time.
    #[test]
    fn requests_are_large_on_a_quick_way_alone() {
        let (quick, slow) = (Duration::from_millis(40), Duration::from_secs(9));
        for (before, bytes, took, after) in [
            (TARGET, TARGET, quick, 2 * TARGET),
            (2 * TARGET, 2 * TARGET, quick, 2 * TARGET),
            (TARGET, 1000, quick, TARGET),
            (TARGET, TARGET, slow, TARGET),
            (2 * TARGET, 2 * TARGET, slow, TARGET),
            (2 * TARGET, 1000, quick, TARGET),
            (100_000, 100_000, slow, 200_000),
            (1, 700, quick, 2),
        ] {
            let mut size = RequestSize { bytes: before, ..RequestSize::default() };
            size.was_acknowledged(bytes, took);
            assert_eq!(size.bytes(), after, "{before} {bytes} {took:?}");
        }
    }

    /// Something in between that takes less is met once, not with every other request.
    #[test]
    fn what_was_too_large_once_is_not_tried_again() {
        let quick = Duration::from_millis(40);
        let fail: [fn(&mut RequestSize); 2] =
            [|size| size.was_refused(2 * TARGET), |size| size.was_late(2 * TARGET)];
        for fail in fail {
            let mut size = RequestSize::default();
            size.was_acknowledged(TARGET, quick);
            assert_eq!(size.bytes(), 2 * TARGET);
            fail(&mut size);
            for _ in 0..3 {
                assert_eq!(size.bytes(), TARGET);
                size.was_acknowledged(TARGET, quick);
            }
            size.was_refused(TARGET);
            assert_eq!(size.bytes(), TARGET / 2);
            (0..9).for_each(|_| size.was_late(TARGET));
            assert_eq!(size.bytes(), REQUEST_BYTES_MIN);
        }
    }
}
