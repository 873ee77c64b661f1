//! The redactor that was used last, for passes that follow soon: making one takes as long as many
//! lines do. Whoever rests forgets it, as it takes memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::warn;

use crate::redact::{Redactor, Settings};

/// See the module.
#[derive(Default)]
pub struct Redactors {
    last: Mutex<Option<(Settings, Arc<Redactor>)>>,
}

impl Redactors {
    /// The redactor for these settings. What is wrong with them is logged when it is made.
    pub fn get(&self, settings: &Settings) -> Arc<Redactor> {
        // Whoever waits here would otherwise make another one at the same time.
        let mut last = self.last();
        if let Some((known, redactor)) = &*last
            && known == settings
        {
            return Arc::clone(redactor);
        }
        let (redactor, problems) = Redactor::new(settings);
        for problem in problems {
            warn!("{problem}");
        }
        let redactor = Arc::new(redactor);
        *last = Some((settings.clone(), Arc::clone(&redactor)));
        redactor
    }

    /// Gives its memory back.
    pub fn forget(&self) {
        *self.last() = None;
    }

    /// Nothing is left half done by a panic while it is held.
    fn last(&self) -> MutexGuard<'_, Option<(Settings, Arc<Redactor>)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
