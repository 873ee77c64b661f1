//! A gate that lets a bounded number of large bodies through at once.
//!
//! What a large body unpacks to is many times its size, and no more of them are stored at a time
//! than there is a disk to write to: the others wait as they came, packed.
//!
//! And places, so many for all and so many for each reader, which nobody waits for.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bodies below this size pass without waiting, so that daemons do not wait for a first sync.
pub const LARGE_BODY_BYTES_MIN: usize = 64 << 10;

/// The gate, and how many more may pass.
#[derive(Debug)]
pub struct Gate {
    free: Mutex<u64>,
    left: Condvar,
}

/// Leave to be inside, given back when dropped.
#[derive(Debug)]
pub struct Pass<'a>(&'a Gate);

impl Gate {
    /// For so many at once.
    pub fn new(at_once_max: u64) -> Gate {
        Gate { free: Mutex::new(at_once_max), left: Condvar::new() }
    }

    /// Waits until there is room inside, at most `time_max`; `None` when there is none then.
    pub fn enter(&self, time_max: Duration) -> Option<Pass<'_>> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |free: &mut u64| *free == 0;
        let waited = self.left.wait_timeout_while(free, time_max, is_full);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Pass(self))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.left.notify_one();
    }
}

/// Places, and who has how many.
#[derive(Debug)]
pub struct Places {
    all_max: u64,
    each_max: u64,
    taken: Mutex<HashMap<i64, u64>>,
}

impl Places {
    /// So many, of which one reader may have so many.
    pub fn new(all_max: u64, each_max: u64) -> Places {
        Places { all_max, each_max, taken: Mutex::default() }
    }

    /// Takes one for a reader; false when there is none left for them.
    pub fn take(&self, reader: i64) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_reader = taken.get(&reader).copied().unwrap_or_default();
        if of_reader >= self.each_max || taken.values().sum::<u64>() >= self.all_max {
            return false;
        }
        taken.insert(reader, of_reader + 1);
        true
    }

    /// Gives one of a reader's back.
    pub fn give_back(&self, reader: i64) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&reader) {
            Some(of_reader @ 2..) => *of_reader -= 1,
            _ => {
                taken.remove(&reader);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn no_more_than_wanted_are_inside_and_who_leaves_lets_the_next_one_in() {
        let gate = Gate::new(2);
        let (one, _two) = (gate.enter(Duration::ZERO), gate.enter(Duration::ZERO));
        assert!(one.is_some());
        assert!(gate.enter(Duration::ZERO).is_none());
        thread::scope(|scope| {
            let (entered, hear) = channel();
            let gate = &gate;
            scope.spawn(move || {
                let pass = gate.enter(Duration::from_secs(60));
                entered.send(pass.is_some()).unwrap();
            });
            drop(one);
            assert!(hear.recv().unwrap());
        });
        assert!(gate.enter(Duration::ZERO).is_some());
    }

    #[test]
    fn nobody_takes_the_places_of_others() {
        let places = Places::new(3, 2);
        assert!(places.take(-1) && places.take(-1));
        assert!(!places.take(-1), "they have theirs");
        assert!(places.take(2));
        assert!(!places.take(3), "there are no more");
        places.give_back(-1);
        assert!(places.take(3));
        [2, 3, -1].iter().for_each(|reader| places.give_back(*reader));
        assert!(places.taken.lock().unwrap().is_empty(), "nobody is remembered");
    }
}
