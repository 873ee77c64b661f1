//! Patterns of the configuration and of rule files, ready to run.

use std::ops::Range;

use memchr::{memchr, memrchr};
use regex::bytes::{Regex, RegexBuilder};

use super::value::{contains_ignoring_case, entropy};

/// Memory that one compiled expression may take, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;
/// Memory for the states that one expression has met, in bytes.
const EXPRESSION_CACHE_BYTES_MAX: usize = 256 << 10;

/// Bytes of a line on either side of a match that an allow-list is held against.
const LINE_BYTES_MAX: usize = 4 << 10;

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
    /// Words in lower case of which a text must hold one; none asks for none.
    pub keywords: Vec<String>,
    /// Bits a byte that the secret must exceed; 0 asks for none.
    pub entropy_min: f32,
    /// What is not a secret after all.
    pub allowed: Vec<Allowed>,
}

/// What is not a secret after all.
pub struct Allowed {
    /// Expressions.
    pub regexes: Vec<Regex>,
    /// What they are held against.
    pub target: Target,
    /// Words in lower case that no secret holds.
    pub stopwords: Vec<String>,
}

/// What an expression of an allow-list is held against.
pub enum Target {
    /// The secret.
    Secret,
    /// The whole match.
    Match,
    /// The line that it stands on.
    Line,
}

impl Custom {
    /// A pattern without conditions.
    pub fn new(rule: String, kind: String, value: Option<Regex>) -> Custom {
        Custom {
            rule,
            kind,
            field: None,
            value,
            group: 0,
            keywords: Vec::new(),
            entropy_min: 0.0,
            allowed: Vec::new(),
        }
    }

    /// Reports every place in a text that it matches. `key` is the object key of the text.
    pub fn scan(&self, text: &[u8], key: Option<&[u8]>, mut report: impl FnMut(Range<usize>)) {
        if let Some(name) = &self.field
            && !key.is_some_and(|key| name.is_match(key))
        {
            return;
        }
        let there = |word: &String| contains_ignoring_case(text, word.as_bytes());
        if !self.keywords.is_empty() && !self.keywords.iter().any(there) {
            return;
        }
        let Some(value) = &self.value else { return report(0..text.len()) };
        let mut judge = |whole: Range<usize>, secret: Range<usize>| {
            let random =
                self.entropy_min == 0.0 || entropy(&text[secret.clone()]) > self.entropy_min;
            if random && !self.allowed.iter().any(|list| list.allows(text, &whole, &secret)) {
                report(secret);
            }
        };
        if self.group == 0 {
            return value.find_iter(text).for_each(|found| judge(found.range(), found.range()));
        }
        for groups in value.captures_iter(text) {
            if let (Some(whole), Some(secret)) = (groups.get(0), groups.get(self.group)) {
                judge(whole.range(), secret.range());
            }
        }
    }
}

impl Allowed {
    fn allows(&self, text: &[u8], whole: &Range<usize>, secret: &Range<usize>) -> bool {
        let target = match self.target {
            Target::Secret => secret.clone(),
            Target::Match => whole.clone(),
            Target::Line => {
                let from = whole.start.saturating_sub(LINE_BYTES_MAX);
                let to = text.len().min(whole.end + LINE_BYTES_MAX);
                let start =
                    memrchr(b'\n', &text[from..whole.start]).map_or(from, |at| from + at + 1);
                let end = memchr(b'\n', &text[whole.end..to]).map_or(to, |at| whole.end + at);
                start..end
            }
        };
        let stops = |word: &String| contains_ignoring_case(&text[secret.clone()], word.as_bytes());
        self.regexes.iter().any(|regex| regex.is_match(&text[target.clone()]))
            || self.stopwords.iter().any(stops)
    }
}

/// Compiles an expression: byte-wise with ASCII classes, or, when it needs more, with classes of
/// any characters.
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
