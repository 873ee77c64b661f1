//! A figure: the middle of its measurements, and where the middle half of them lies.

use std::fmt;
use std::time::{Duration, Instant};

/// Median and quartiles.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    pub median: Duration,
    pub low: Duration,
    pub high: Duration,
}

impl Figure {
    pub fn of(mut times: Vec<Duration>) -> Figure {
        times.sort();
        let at = |quarter: usize| times[(times.len() - 1) * quarter / 4];
        Figure { median: at(2), low: at(1), high: at(3) }
    }

    /// How many times as long as another one.
    pub fn over(&self, other: &Figure) -> f64 {
        self.median.as_secs_f64() / other.median.as_secs_f64()
    }

    /// Megabytes of this many bytes per second.
    pub fn rate(&self, bytes: u64) -> f64 {
        bytes as f64 / 1e6 / self.median.as_secs_f64()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3?} ({:.3?} to {:.3?})", self.median, self.low, self.high)
    }
}

pub fn time(run: impl FnOnce()) -> Duration {
    let started = Instant::now();
    run();
    started.elapsed()
}
