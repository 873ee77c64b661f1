//! What a user can set: the part `redaction` of the configuration, in the format of the existing
//! client (reference §7.1 and §8) plus `disabled_rules`, `allow`, `rules_file` and
//! `stable_markers`.

use std::path::PathBuf;

use regex::bytes::Regex;
use serde::Deserialize;

use super::custom::{Custom, compile};
use super::labels::CONTEXT_RULES;
use super::rules;
use super::rules_file::FileRule;
use super::scan::Scanner;
use crate::error::Error;

/// What keys the tags of stable markers. It never leaves the machine.
pub type MarkerKey = [u8; 16];

/// What is redacted. Absent means on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether anything is redacted at all.
    pub enabled: bool,
    /// Whether the built-in rules run.
    pub use_default_patterns: bool,
    /// The user's own patterns, which run as well.
    pub patterns: Vec<Pattern>,
    /// Names of built-in rules that do not run.
    pub disabled_rules: Vec<String>,
    /// Expressions; a secret that one of them matches stays.
    pub allow: Vec<String>,
    /// A JSON file of further rules, which whoever reads the configuration reads as well.
    pub rules_file: Option<PathBuf>,
    /// Whether equal secrets get equal tags, so that a reader can tell two keys apart.
    pub stable_markers: bool,
    /// The rules of `rules_file`.
    #[serde(skip)]
    pub further_rules: Vec<FileRule>,
    /// What keys the tags of stable markers; without it there are none.
    #[serde(skip)]
    pub marker_key: Option<MarkerKey>,
    /// What went wrong while files were read that the settings name, and what to do.
    #[serde(skip)]
    pub problems: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            enabled: true,
            use_default_patterns: true,
            patterns: Vec::new(),
            disabled_rules: Vec::new(),
            allow: Vec::new(),
            rules_file: None,
            stable_markers: false,
            further_rules: Vec::new(),
            marker_key: None,
            problems: Vec::new(),
        }
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

impl Settings {
    /// All rules, ready to run, and what is wrong with those that are left out.
    pub fn prepare(&self) -> (Scanner, Vec<Error>) {
        let mut errors: Vec<Error> = self
            .problems
            .iter()
            .map(|(problem, hint)| Error::new(problem.clone()).with_hint(hint.clone()))
            .collect();
        let mut custom = Vec::new();
        let prepared = self.patterns.iter().map(prepare);
        for result in prepared.chain(self.further_rules.iter().map(FileRule::prepare)) {
            match result {
                Ok(prepared) => custom.push(prepared),
                Err(error) => errors.push(error),
            }
        }
        for name in &self.disabled_rules {
            let known = CONTEXT_RULES.iter().any(|(rule, _)| rule == name)
                || rules::DETECTORS.iter().any(|rule| rule.id == name);
            if !known {
                errors.push(
                    Error::new(format!("disabled_rules names {name:?}, which is no rule"))
                        .with_hint("confab redact --explain shows the names of the rules that hit"),
                );
            }
        }
        let mut allow = Vec::new();
        for expression in &self.allow {
            match expression_of(expression, "redaction allow-list") {
                Ok(compiled) => allow.push(compiled),
                Err(error) => errors.push(error),
            }
        }
        let key = self.marker_key.filter(|_| self.stable_markers);
        let scanner =
            Scanner::new(self.use_default_patterns, &self.disabled_rules, custom, allow, key);
        (scanner, errors)
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
        expression_of(expression, &format!("{what} of redaction pattern {name:?}")).map(Some)
    };
    let field = optional(&pattern.field_pattern, "field_pattern")?;
    let value = optional(&pattern.pattern, "pattern")?;
    let mut custom = Custom::new(name.clone(), pattern.kind.clone(), value);
    (custom.field, custom.group) = (field, pattern.capture_group);
    Ok(custom)
}

/// Compiles an expression of the user's.
pub fn expression_of(expression: &str, what: &str) -> Result<Regex, Error> {
    compile(expression).map_err(|error| {
        Error::new(format!("compile {what}"))
            .caused_by(error)
            .with_hint("the syntax is that of RE2: no look-around, no back-references")
    })
}
