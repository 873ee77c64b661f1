//! Secrets out, every other byte untouched.
//!
//! Searches the decoded strings and keys of a transcript line and splices markers `[REDACTED:TYPE]`
//! into the original bytes. Invariants: a line without a match is returned as it is; a line with a
//! match differs in the matched spans alone and is valid JSON if it was; redacting twice changes
//! nothing more; ids, times, signatures and base64 data of the transcript itself (`protect`) never
//! change. What is not JSON is redacted as text, never passed on unseen. What goes wrong inside
//! withholds the line.
//!
//! Two kinds of rules: `rules`, tokens that say themselves what they are, and `context`, `commands`,
//! `url` and `private_key`, secrets that their surroundings give away, judged by `names` and
//! `value`. `encoded` looks into base64, `line` into JSON in strings.
//!
//! Deliberately absent: redaction of numbers; the verification of a secret with whoever issued it.

mod commands;
mod context;
mod custom;
mod encoded;
mod escape;
mod json;
mod line;
mod names;
mod private_key;
mod protect;
pub mod rules;
mod rules_file;
mod scan;
mod settings;
mod spans;
mod url;
mod value;

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Error;
use scan::Scanner;
use spans::Span;

pub use rules_file::FileRule;
pub use settings::{MarkerKey, Pattern, Settings};

/// One secret of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: String,
    /// `TYPE` of its marker.
    pub kind: String,
    /// What was replaced, in bytes of the line as it was.
    pub range: Range<usize>,
}

/// Redacts lines and texts by one configuration. Construction is for once per process.
pub struct Redactor {
    /// `None` passes everything through.
    scanner: Option<Scanner>,
}

impl Redactor {
    /// Prepares all rules. What is wrong in the settings is left out and reported, each with a hint;
    /// the rest runs.
    pub fn new(settings: &Settings) -> (Redactor, Vec<Error>) {
        if !settings.enabled {
            return (Redactor { scanner: None }, Vec::new());
        }
        let (scanner, errors) = settings.prepare();
        (Redactor { scanner: Some(scanner) }, errors)
    }

    /// How many rules run: built-in ones and those of the configuration.
    pub fn rule_count(&self) -> usize {
        self.scanner.as_ref().map_or(0, Scanner::rule_count)
    }

    /// Redacts one line of JSONL, given without its newline: any bytes, any size.
    pub fn line<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        match self.line_spans(line) {
            Some((scanner, spans)) => Cow::Owned(splice(scanner, line, &spans)),
            None => Cow::Borrowed(line),
        }
    }

    /// Redacts one line and says what was found in it.
    pub fn explain(&self, line: &[u8]) -> (Vec<u8>, Vec<Finding>) {
        let Some((scanner, spans)) = self.line_spans(line) else {
            return (line.to_vec(), Vec::new());
        };
        let finding = |span: &Span| {
            let label = scanner.label(span.label);
            let (rule, kind) = (label.rule.clone(), label.kind.clone());
            Finding { rule, kind, range: span.range.clone() }
        };
        (splice(scanner, line, &spans), spans.iter().map(finding).collect())
    }

    /// Redacts one plain value, such as a title or a branch.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(scanner) = &self.scanner else { return Cow::Borrowed(text) };
        let spans = line::text_spans(scanner, text.as_bytes());
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        let redacted = splice(scanner, text.as_bytes(), &spans);
        Cow::Owned(String::from_utf8_lossy(&redacted).into_owned())
    }

    /// The secrets of a line, if there are any.
    fn line_spans(&self, line: &[u8]) -> Option<(&Scanner, Vec<Span>)> {
        let scanner = self.scanner.as_ref()?;
        let spans = line::line_spans(scanner, line);
        (!spans.is_empty()).then_some((scanner, spans))
    }
}

/// Puts markers in the place of sorted, disjoint spans.
fn splice(scanner: &Scanner, text: &[u8], spans: &[Span]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut at = 0;
    for span in spans {
        out.extend_from_slice(&text[at..span.range.start]);
        out.extend_from_slice(&scanner.marker(span.label, &text[span.range.clone()]));
        at = span.range.end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

#[cfg(test)]
mod tests;
