//! Many cases of one test at the same time: they mostly wait.

use std::sync::Mutex;
use std::thread;

const THREADS: usize = 6;

/// Calls `check` with every case; a panic in one fails the test after all others have ended.
pub fn each<Case: Send>(cases: Vec<Case>, check: impl Fn(Case) + Sync) {
    let waiting = Mutex::new(cases.into_iter());
    let next = || waiting.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = next() {
                    check(case);
                }
            });
        }
    });
}
