//! How often somebody may ask: token buckets, one for each kind of request and who sends it.
//!
//! A bucket that is full again is the same as none, so only those that ask now are remembered, and
//! never more than [`BUCKETS_MAX`]. The time is handed in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::auth::hash;
use super::settings::{Rate, Settings};

/// Buckets that are remembered: about 1 MB.
const BUCKETS_MAX: usize = 16_384;
/// How many of them go when there are too many; forgetting one by one would cost a search each.
const BUCKETS_DROPPED: usize = BUCKETS_MAX / 4;

/// A kind of request with a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Any request.
    Request,
    /// Signs in.
    SignIn,
    /// Asks whether a key is valid.
    Validate,
    /// Stores.
    Sync,
    /// Reads stored lines.
    Read,
    /// Tries a password; of an address and of an account.
    Password,
    /// Tries the code that a machine shows.
    Code,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// An address, before it is known whose it is. Of IPv6, the network: a machine has all of it.
    Address(IpAddr),
    /// A user by number.
    User(i64),
    /// Somebody who says that they are this user; a hash of the name, which may be any.
    Account(u64),
}

/// Passwords for one account: whoever knows it needs a few, whoever guesses gets 1440 a day. Keys,
/// and browsers that are signed in, are not affected when a stranger uses them up.
const ACCOUNT_PASSWORDS: Rate = Rate { per_hour: 60, burst: 10 };
/// Passwords from one address, behind which there may be an office.
const ADDRESS_PASSWORDS: Rate = Rate { per_hour: 240, burst: 30 };
/// Codes of a user, each looked at and confirmed.
const USER_CODES: Rate = Rate { per_hour: 120, burst: 20 };

/// All buckets.
#[derive(Debug)]
pub struct Limits {
    requests: Rate,
    sign_in: Rate,
    validate: Rate,
    sync: Rate,
    read: Rate,
    buckets: Mutex<HashMap<(Kind, Who), Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Requests that it still holds.
    left: f64,
    /// When that was so.
    at: Instant,
}

impl Who {
    /// Somebody at an address.
    pub fn at(address: IpAddr) -> Who {
        Who::Address(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        })
    }

    /// Somebody who says that they are this user.
    pub fn account(name: &str) -> Who {
        let hash = hash(name);
        let first = hash.first_chunk().expect("a hash is longer");
        Who::Account(u64::from_be_bytes(*first))
    }
}

impl Limits {
    /// Full buckets of the sizes that are set.
    pub fn new(settings: &Settings) -> Limits {
        let Settings { requests, sign_in, validate, sync, read, .. } = *settings;
        Limits { requests, sign_in, validate, sync, read, buckets: Mutex::default() }
    }

    /// Takes one request out of a bucket.
    ///
    /// # Errors
    /// When it is empty, how long it takes until it is not.
    pub fn take(&self, kind: Kind, who: Who, now: Instant) -> Result<(), Duration> {
        let rate = self.rate(kind, who);
        if rate.per_hour == 0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&(kind, who)) {
            self.forget(&mut buckets, now);
        }
        let fresh = Bucket { left: rate.burst as f64, at: now };
        let bucket = buckets.entry((kind, who)).or_insert(fresh);
        *bucket = Bucket { left: bucket.filled(rate, now), at: now.max(bucket.at) };
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / per_second(rate)));
        }
        bucket.left -= 1.0;
        Ok(())
    }

    /// Forgets the buckets that are full, and the oldest ones when those are too few.
    fn forget(&self, buckets: &mut HashMap<(Kind, Who), Bucket>, now: Instant) {
        buckets.retain(|(kind, who), bucket| {
            let rate = self.rate(*kind, *who);
            bucket.filled(rate, now) < rate.burst as f64
        });
        let excess = (buckets.len() + BUCKETS_DROPPED).saturating_sub(BUCKETS_MAX);
        if excess > 0 {
            let mut times: Vec<Instant> = buckets.values().map(|bucket| bucket.at).collect();
            let (_, newest, _) = times.select_nth_unstable(excess - 1);
            let newest = *newest;
            let mut left = excess;
            buckets.retain(|_, bucket| {
                let goes = bucket.at <= newest && left > 0;
                left -= usize::from(goes);
                !goes
            });
        }
    }

    fn rate(&self, kind: Kind, who: Who) -> Rate {
        match kind {
            Kind::Request => self.requests,
            Kind::SignIn => self.sign_in,
            Kind::Validate => self.validate,
            Kind::Sync => self.sync,
            Kind::Read => self.read,
            Kind::Password if matches!(who, Who::Account(_)) => ACCOUNT_PASSWORDS,
            Kind::Password => ADDRESS_PASSWORDS,
            Kind::Code => USER_CODES,
        }
    }
}

impl Bucket {
    /// What it holds by now.
    fn filled(&self, rate: Rate, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * per_second(rate);
        (self.left + gained).min(rate.burst as f64)
    }
}

fn per_second(rate: Rate) -> f64 {
    rate.per_hour as f64 / 3600.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rate: Rate) -> Limits {
        Limits::new(&Settings { sync: rate, ..Settings::default() })
    }

    #[test]
    fn a_burst_then_the_rate_for_each_user_and_kind_alone() {
        let limits = limits(Rate { per_hour: 7200, burst: 3 });
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let ask = |user, millis| limits.take(Kind::Sync, Who::User(user), after(millis));
        assert_eq!([ask(1, 0), ask(1, 0), ask(1, 0)], [Ok(()); 3]);
        assert_eq!(ask(1, 0), Err(Duration::from_millis(500)));
        assert_eq!(ask(1, 250), Err(Duration::from_millis(250)), "being refused costs nothing");
        assert_eq!(ask(2, 250), Ok(()), "another user");
        assert_eq!(limits.take(Kind::Read, Who::User(1), after(250)), Ok(()), "another kind");
        assert_eq!(ask(1, 500), Ok(()));
        assert!(ask(1, 500).is_err());
        // A clock that an earlier reading comes late of does not fill it.
        assert!(ask(1, 0).is_err());
        // It never holds more than the burst.
        assert_eq!([ask(1, 3_600_000), ask(1, 3_600_000), ask(1, 3_600_000)], [Ok(()); 3]);
        assert!(ask(1, 3_600_000).is_err());
    }

    #[test]
    fn no_rate_is_no_limit() {
        let limits = limits(Rate { per_hour: 0, burst: 1 });
        let now = Instant::now();
        assert!((0..10_000).all(|_| limits.take(Kind::Sync, Who::User(1), now).is_ok()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_and_mapped_ones_are_ipv4() {
        let who = |text: &str| Who::at(text.parse().unwrap());
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff:1"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
        assert_ne!(who("192.0.2.1"), who("192.0.2.2"));
    }

    /// A flood of addresses costs its own buckets first the oldest, and memory stays the same.
    #[test]
    fn buckets_are_bounded_and_the_oldest_go_first() {
        let limits = limits(Rate { per_hour: 1, burst: 2 });
        let start = Instant::now();
        let last = 3 * BUCKETS_MAX as i64;
        for user in 0..last {
            let now = start + Duration::from_micros(user.unsigned_abs());
            limits.take(Kind::Sync, Who::User(user), now).unwrap();
            assert!(limits.buckets.lock().unwrap().len() <= BUCKETS_MAX);
        }
        let buckets = limits.buckets.lock().unwrap();
        assert!(buckets.contains_key(&(Kind::Sync, Who::User(last - 1))));
        assert!(!buckets.contains_key(&(Kind::Sync, Who::User(0))));
    }

    #[test]
    fn full_buckets_are_forgotten_before_those_that_were_emptied() {
        let limits = limits(Rate { per_hour: 3600, burst: 2 });
        let start = Instant::now();
        let greedy = Who::User(-1);
        let later = start + Duration::from_secs(2);
        for user in 0..BUCKETS_MAX as i64 - 1 {
            limits.take(Kind::Sync, Who::User(user), start).unwrap();
        }
        for _ in 0..2 {
            limits.take(Kind::Sync, greedy, later).unwrap();
        }
        limits.take(Kind::Sync, Who::User(-2), later).unwrap();
        assert_eq!(limits.buckets.lock().unwrap().len(), 2);
        assert!(limits.take(Kind::Sync, greedy, later).is_err());
    }
}
