//! Redaction: what it is given, and what must hold of it.

pub mod corpus;
pub mod mutate;
pub mod plant;
pub mod properties;

use confab::redact::{Redactor, Settings};

use crate::shared::targets::Check;

/// What must hold of any input, in which nothing is known to be a secret.
pub fn check() -> Check {
    let (redactor, problems) = Redactor::new(&Settings::default());
    assert!(problems.is_empty());
    Box::new(move |input, _| {
        properties::check(&redactor, input, None)?;
        properties::check_filter(&redactor, input);
        Ok(1)
    })
}
