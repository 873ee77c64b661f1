//! When to act next: interval plus jitter while all is well, exponential backoff with full jitter
//! while the backend fails. Pure: takes a seed and outcomes, returns durations.

use std::time::Duration;

/// Time between two passes.
pub const INTERVAL: Duration = Duration::from_secs(30);
/// Upper bound of the random part of each wait.
pub const JITTER_MAX: Duration = Duration::from_secs(5);
/// The longest interval and jitter that a user may set.
pub const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// Backoff ceiling after the first failure; it doubles with each further one.
pub const RETRY_DELAY_MIN: Duration = Duration::from_secs(1);
/// Backoff ceiling after many failures.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(300);

/// How the last pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The backend has everything.
    Success,
    /// The backend failed; `at_least` is what it asked for in `Retry-After`.
    Failure {
        /// Zero when nothing was asked for.
        at_least: Duration,
    },
}

/// Decides the waits of one daemon.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval: Duration,
    jitter_max: Duration,
    failures: u32,
    random: fastrand::Rng,
}

impl Schedule {
    /// `interval` and `jitter_max` are capped at [`INTERVAL_MAX`].
    pub fn new(interval: Duration, jitter_max: Duration, seed: u64) -> Schedule {
        Schedule {
            interval: interval.min(INTERVAL_MAX),
            jitter_max: jitter_max.min(INTERVAL_MAX),
            failures: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// How long to wait after a pass that ended with `outcome`.
    pub fn next(&mut self, outcome: Outcome) -> Duration {
        match outcome {
            Outcome::Success => {
                self.failures = 0;
                self.interval + self.random_up_to(self.jitter_max)
            }
            Outcome::Failure { at_least } => {
                let ceiling = RETRY_DELAY_MIN * 2_u32.saturating_pow(self.failures.min(16));
                self.failures = self.failures.saturating_add(1);
                let wait = self.random_up_to(ceiling.min(RETRY_DELAY_MAX));
                wait.max(at_least.min(INTERVAL_MAX))
            }
        }
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn random_up_to(&mut self, limit: Duration) -> Duration {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(self.random.u64(0..=millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: Outcome = Outcome::Failure { at_least: Duration::ZERO };

    #[test]
    fn jitter_is_applied_in_every_cycle() {
        for seed in 0..50 {
            let mut schedule = Schedule::new(INTERVAL, JITTER_MAX, seed);
            let waits: Vec<Duration> = (0..20).map(|_| schedule.next(Outcome::Success)).collect();
            assert!(waits.iter().all(|wait| (INTERVAL..=INTERVAL + JITTER_MAX).contains(wait)));
            assert!(waits.iter().any(|wait| *wait != waits[0]), "seed {seed}");
        }
    }

    #[test]
    fn backoff_doubles_up_to_five_minutes_and_success_resets_it() {
        for seed in 0..200 {
            let mut schedule = Schedule::new(INTERVAL, Duration::ZERO, seed);
            let mut ceiling = RETRY_DELAY_MIN;
            for _ in 0..40 {
                assert!(schedule.next(FAILURE) <= ceiling, "seed {seed}");
                ceiling = (ceiling * 2).min(RETRY_DELAY_MAX);
            }
            assert_eq!(schedule.failures(), 40);
            assert_eq!(schedule.next(Outcome::Success), INTERVAL);
            assert!(schedule.next(FAILURE) <= RETRY_DELAY_MIN);
        }
    }

    #[test]
    fn retry_after_is_honoured_up_to_a_limit() {
        let mut schedule = Schedule::new(INTERVAL, Duration::ZERO, 1);
        let asked = |seconds| Outcome::Failure { at_least: Duration::from_secs(seconds) };
        assert_eq!(schedule.next(asked(77)), Duration::from_secs(77));
        assert_eq!(schedule.next(asked(1_000_000)), INTERVAL_MAX);
    }
}
