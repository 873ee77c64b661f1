//! Secrets out, every other byte untouched.
//!
//! Searches the decoded strings and keys of a transcript line and splices markers `[REDACTED:TYPE]`
//! into the original bytes. Invariants: a line without a match is returned as it is; a line with a
//! match differs in the matched spans alone and is valid JSON if it was; redacting twice changes
//! nothing more; ids, times, signatures and base64 data of the transcript itself (`protect`) never
//! change. What is not JSON is redacted as text, never passed on unseen. What goes wrong inside
//! withholds the line.
//!
//! Two kinds of rules: `rules`, tokens that say themselves what they are, and `context`,
//! `commands`, `url` and `private_key`, secrets that their surroundings give away, judged by
//! `names` and `value`. `encoded` looks into base64, `line` into JSON in strings.
//!
//! Deliberately absent: redaction of numbers; the verification of a secret with whoever issued it.

mod commands;
mod context;
mod custom;
mod encoded;
mod escape;
mod hits;
mod json;
mod jwk;
mod labels;
mod line;
mod names;
mod private_key;
mod protect;
pub mod rules;
mod rules_file;
mod scan;
mod settings;
mod spans;
mod tokens;
mod url;
mod value;

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Error;
use scan::Scanner;
use spans::Span;

pub use line::SPANS_MAX;
pub use rules_file::{FileRule, parse as parse_rules};
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

/// Something inside of redaction went wrong, or a line has more secrets than are kept in mind: it
/// must not leave the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld;

/// What takes the place of a text that is withheld.
const WITHHELD: &str = "[REDACTED:WITHHELD]";

/// Redacts lines and texts by one configuration. Construction is for once per process.
pub struct Redactor {
    /// `None` passes everything through.
    scanner: Option<Scanner>,
}

impl Redactor {
    /// Prepares all rules. What is wrong in the settings is left out and reported, each with a
    /// hint; the rest runs.
    pub fn new(settings: &Settings) -> (Redactor, Vec<Error>) {
        if !settings.enabled {
            return (Redactor { scanner: None }, Vec::new());
        }
        let (scanner, errors) = settings.prepare();
        (Redactor { scanner: Some(scanner) }, errors)
    }

    /// How many rules of the user's own run.
    pub fn own_rules(&self) -> usize {
        self.scanner.as_ref().map_or(0, Scanner::own_rules)
    }

    /// Redacts one line of JSONL, given without its newline: any bytes, any size.
    ///
    /// # Errors
    /// When something inside goes wrong. The line must be withheld then.
    pub fn line<'a>(&self, line: &'a [u8]) -> Result<Cow<'a, [u8]>, Withheld> {
        guarded(|| match self.line_spans(line)? {
            Some((scanner, spans)) => checked(line, splice(scanner, line, &spans)).map(Cow::Owned),
            None => Ok(Cow::Borrowed(line)),
        })
    }

    /// Redacts one line and says what was found in it.
    ///
    /// # Errors
    /// As [`Redactor::line`].
    pub fn explain(&self, line: &[u8]) -> Result<(Vec<u8>, Vec<Finding>), Withheld> {
        guarded(|| {
            let Some((scanner, spans)) = self.line_spans(line)? else {
                return Ok((line.to_vec(), Vec::new()));
            };
            let finding = |span: &Span| {
                let label = scanner.label(span.label);
                let (rule, kind) = (label.rule.clone(), label.kind.clone());
                Finding { rule, kind, range: span.range.clone() }
            };
            let redacted = checked(line, splice(scanner, line, &spans))?;
            Ok((redacted, spans.iter().map(finding).collect()))
        })
    }

    /// Redacts one plain value, such as a title or a branch. When something inside goes wrong, all
    /// of it is replaced.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(scanner) = &self.scanner else { return Cow::Borrowed(text) };
        let redacted = guarded(|| {
            let spans = line::text_spans(scanner, text.as_bytes());
            if spans.len() > line::SPANS_MAX {
                return Err(Withheld);
            }
            let redacted = (!spans.is_empty()).then(|| splice(scanner, text.as_bytes(), &spans));
            Ok(redacted)
        });
        match redacted {
            Ok(None) => Cow::Borrowed(text),
            Ok(Some(redacted)) => Cow::Owned(String::from_utf8_lossy(&redacted).into_owned()),
            Err(Withheld) => Cow::Borrowed(WITHHELD),
        }
    }

    /// The secrets of a line, if there are any.
    fn line_spans(&self, line: &[u8]) -> Result<Option<(&Scanner, Vec<Span>)>, Withheld> {
        let Some(scanner) = &self.scanner else { return Ok(None) };
        let spans = line::line_spans(scanner, line);
        match spans.len() {
            0 => Ok(None),
            count if count > line::SPANS_MAX => Err(Withheld),
            _ => Ok(Some((scanner, spans))),
        }
    }
}

/// Does a piece of work whose panic means that the line is withheld, and not that the program ends.
fn guarded<T>(work: impl FnOnce() -> Result<T, Withheld>) -> Result<T, Withheld> {
    // Nothing is used again that a panic could have left half done: a redactor never changes.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(Err(Withheld))
}

/// What was JSON must still be: if not, a rule has cut where it must not.
fn checked(line: &[u8], redacted: Vec<u8>) -> Result<Vec<u8>, Withheld> {
    let kept = !json::is_whole(line) || json::is_whole(&redacted);
    if kept { Ok(redacted) } else { Err(Withheld) }
}

/// Puts markers in the place of sorted, disjoint spans.
fn splice(scanner: &Scanner, text: &[u8], spans: &[Span]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + spans.len() * 16);
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
