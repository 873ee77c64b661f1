//! Secrets out, every other byte untouched.
//!
//! Scans the decoded strings of a transcript line and splices markers `[REDACTED:TYPE]` into the
//! original bytes. Invariants: a line without a match is returned as it is; a line with a match
//! differs in the matched spans alone and is valid JSON if it was; redacting twice changes nothing
//! more; ids, times, signatures and base64 data of the transcript itself (`protect`) never change.
//! What is not JSON is redacted as text, never passed on unseen.
//!
//! Deliberately absent: redaction of object keys and of numbers, JSON or base64 inside of strings,
//! entropy.

mod escape;
mod json;
mod private_key;
mod protect;
mod rules;
mod scan;
mod spans;

use std::borrow::Cow;
use std::ops::Range;

use regex::bytes::Regex;
use serde::Deserialize;

use crate::error::Error;
use escape::{raw_ranges, unescape};
use json::{Malformed, Strings};
use scan::{Custom, Scanner, compile};

/// Times that a text is scanned again after a change. A removed secret can uncover another one that
/// had no boundary before; each round removes at least one byte that is not a marker.
const ROUNDS_MAX: usize = 8;

/// What is redacted; the part `redaction` of the configuration. Absent means on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether anything is redacted at all.
    pub enabled: bool,
    /// Whether the built-in rules run.
    pub use_default_patterns: bool,
    /// The user's own patterns, which run as well.
    pub patterns: Vec<Pattern>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { enabled: true, use_default_patterns: true, patterns: Vec::new() }
    }
}

/// A pattern of the user's own. It needs a `pattern` or a `field_pattern` or both.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Pattern {
    /// For messages.
    pub name: String,
    /// Expression for values in RE2 syntax; empty means the whole value of a matching field.
    pub pattern: String,
    /// `TYPE` of the marker, written in upper case.
    #[serde(rename = "type")]
    pub kind: String,
    /// Group of `pattern` that is replaced; 0 is the whole match.
    pub capture_group: usize,
    /// Expression for object keys; empty means all values.
    pub field_pattern: String,
}

/// Redacts lines and texts by one configuration. Construction is for once per process.
pub struct Redactor {
    /// `None` passes everything through.
    scanner: Option<Scanner>,
}

impl Redactor {
    /// Prepares all rules. A pattern that does not compile is left out and reported; the others
    /// run.
    pub fn new(settings: &Settings) -> (Redactor, Vec<Error>) {
        if !settings.enabled {
            return (Redactor { scanner: None }, Vec::new());
        }
        let mut errors = Vec::new();
        let mut custom = Vec::new();
        for pattern in &settings.patterns {
            match prepare(pattern) {
                Ok(prepared) => custom.push(prepared),
                Err(error) => errors.push(error),
            }
        }
        let scanner = Scanner::new(settings.use_default_patterns, custom);
        (Redactor { scanner: Some(scanner) }, errors)
    }

    /// Redacts one line of JSONL, given without its newline: any bytes, any size.
    pub fn line<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(scanner) = &self.scanner else { return Cow::Borrowed(line) };
        let Some(start) = scanner.first_suspicion(line) else { return Cow::Borrowed(line) };
        let edits = match string_edits(scanner, line, start) {
            Ok(edits) => edits,
            Err(Malformed) => {
                return redact_damaged(scanner, line).map_or(Cow::Borrowed(line), Cow::Owned);
            }
        };
        if edits.is_empty() {
            return Cow::Borrowed(line);
        }
        Cow::Owned(splice(line, edits.iter().map(|(range, text)| (range.clone(), &text[..]))))
    }

    /// Redacts one plain value, such as a title or a branch.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(scanner) = &self.scanner else { return Cow::Borrowed(text) };
        if scanner.first_suspicion(text.as_bytes()).is_none() {
            return Cow::Borrowed(text);
        }
        match redact_rounds(text.as_bytes(), |text| plain(scanner, text)) {
            None => Cow::Borrowed(text),
            Some(redacted) => Cow::Owned(String::from_utf8_lossy(&redacted).into_owned()),
        }
    }
}

fn prepare(pattern: &Pattern) -> Result<Custom, Error> {
    let name = &pattern.name;
    if pattern.pattern.is_empty() && pattern.field_pattern.is_empty() {
        return Err(Error::new(format!("redaction pattern {name:?} is empty"))
            .with_hint("give it a pattern, a field_pattern or both"));
    }
    let optional = |expression: &str, what: &str| -> Result<Option<Regex>, Error> {
        if expression.is_empty() {
            return Ok(None);
        }
        let compiled = compile(expression).map_err(|error| {
            Error::new(format!("compile {what} of redaction pattern {name:?}"))
                .caused_by(error)
                .with_hint("the syntax is that of RE2: no look-around, no back-references")
        })?;
        Ok(Some(compiled))
    };
    Ok(Custom {
        kind: pattern.kind.clone(),
        field: optional(&pattern.field_pattern, "field_pattern")?,
        value: optional(&pattern.pattern, "pattern")?,
        group: pattern.capture_group,
    })
}

/// A part of a line and what takes its place.
type Edit = (Range<usize>, Vec<u8>);

/// What to replace in a line of JSON: raw string contents by their redacted successors.
fn string_edits(scanner: &Scanner, line: &[u8], start: usize) -> Result<Vec<Edit>, Malformed> {
    let mut edits = Vec::new();
    let mut strings = Strings::new(line);
    while let Some(value) = strings.next()? {
        if value.protected || value.range.end <= start {
            continue;
        }
        let field = value.key.map(unescape);
        let redacted = redact_rounds(&line[value.range.clone()], |raw| {
            escaped(scanner, raw, field.as_deref())
        });
        edits.extend(redacted.map(|redacted| (value.range, redacted)));
    }
    Ok(edits)
}

/// A line that is not JSON, as text: as it stands, and with whatever escapes it has undone.
fn redact_damaged(scanner: &Scanner, line: &[u8]) -> Option<Vec<u8>> {
    let plainly = redact_rounds(line, |text| plain(scanner, text));
    let text = plainly.as_deref().unwrap_or(line);
    redact_rounds(text, |raw| escaped(scanner, raw, None)).or(plainly)
}

/// Applies a redaction until it changes nothing more; `None` when nothing changed at all.
fn redact_rounds(text: &[u8], redact: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut redacted = redact(text)?;
    for _ in 1..ROUNDS_MAX {
        match redact(&redacted) {
            Some(next) => redacted = next,
            None => break,
        }
    }
    Some(redacted)
}

fn plain(scanner: &Scanner, text: &[u8]) -> Option<Vec<u8>> {
    let spans = scanner.scan(text, None);
    if spans.is_empty() {
        return None;
    }
    Some(splice(text, spans.into_iter().map(|span| (span.range, scanner.marker(span.marker)))))
}

/// Redacts the raw content of a JSON string.
fn escaped(scanner: &Scanner, raw: &[u8], field: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut spans = scanner.scan(&unescape(raw), field);
    if spans.is_empty() {
        return None;
    }
    raw_ranges(raw, spans.iter_mut().map(|span| &mut span.range));
    Some(splice(raw, spans.into_iter().map(|span| (span.range, scanner.marker(span.marker)))))
}

/// Replaces sorted, disjoint ranges.
fn splice<'a>(text: &[u8], edits: impl Iterator<Item = (Range<usize>, &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut at = 0;
    for (range, replacement) in edits {
        out.extend_from_slice(&text[at..range.start]);
        out.extend_from_slice(replacement);
        at = range.end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

#[cfg(test)]
mod tests;
