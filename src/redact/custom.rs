//! Patterns of the configuration and of rule files, ready to run.

use regex::bytes::{Regex, RegexBuilder};
use std::ops::Range;

/// Memory that one compiled expression may take, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;
/// Memory for the states that one expression has met, in bytes.
const EXPRESSION_CACHE_BYTES_MAX: usize = 256 << 10;

/// A pattern, ready to run.
pub struct Custom {
    /// What it is called.
    pub rule: String,
    /// `TYPE` of its marker.
    pub kind: String,
    /// Which object keys it applies to; `None` is all texts.
    pub field: Option<Regex>,
    /// What it looks for; `None` is the whole value.
    pub value: Option<Regex>,
    /// Capture group that is replaced; 0 is the whole match.
    pub group: usize,
}

impl Custom {
    /// Reports every place in a text that it matches. `key` is the object key of the text.
    pub fn scan(&self, text: &[u8], key: Option<&[u8]>, mut report: impl FnMut(Range<usize>)) {
        if let Some(name) = &self.field
            && !key.is_some_and(|key| name.is_match(key))
        {
            return;
        }
        let Some(value) = &self.value else { return report(0..text.len()) };
        if self.group == 0 {
            return value.find_iter(text).for_each(|found| report(found.range()));
        }
        let groups = value.captures_iter(text).filter_map(|groups| groups.get(self.group));
        groups.for_each(|found| report(found.range()));
    }
}

/// Compiles an expression: byte-wise with ASCII classes, or, when it needs more, with classes of any
/// characters.
///
/// # Errors
/// What is not RE2 syntax, or too large.
pub fn compile(expression: &str) -> Result<Regex, regex::Error> {
    let build = |unicode| {
        RegexBuilder::new(expression)
            .unicode(unicode)
            .size_limit(EXPRESSION_BYTES_MAX)
            .dfa_size_limit(EXPRESSION_CACHE_BYTES_MAX)
            .build()
    };
    build(false).or_else(|error| build(true).map_err(|_| error))
}
