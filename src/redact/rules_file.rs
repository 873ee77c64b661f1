//! A file of further rules: JSON with the field names that gitleaks made common.
//!
//! `{"rules": [{"id", "description", "regex", "secretGroup", "keywords", "entropy", "allowlists":
//! [{"regexes", "stopwords", "regexTarget"}]}]}`, or only the list. Unknown fields are left alone.

use serde::Deserialize;

use super::custom::{Allowed, Custom, Target};
use super::settings::expression_of;
use crate::error::Error;

/// One rule of the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FileRule {
    /// Its name, which becomes the `TYPE` of its marker.
    pub id: String,
    /// For people.
    pub description: String,
    /// What it looks for, in RE2 syntax.
    pub regex: String,
    /// Group of `regex` that is the secret; 0 is the first one that took part, or the whole match.
    pub secret_group: usize,
    /// Words of which a text must hold one, in any letter case; none asks for none.
    pub keywords: Vec<String>,
    /// Shannon entropy of the secret in bits a byte, which it must exceed.
    pub entropy: f32,
    /// What is not a secret after all.
    pub allowlists: Vec<FileAllowList>,
    /// The older spelling of the same.
    pub allowlist: Option<FileAllowList>,
}

/// What is not a secret after all.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FileAllowList {
    /// Expressions.
    pub regexes: Vec<String>,
    /// Words that no secret holds, in any letter case.
    pub stopwords: Vec<String>,
    /// What `regexes` are held against: `secret` (or absent), `match` or `line`.
    pub regex_target: String,
}

/// The file, in both of its forms.
#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Object { rules: Vec<FileRule> },
    List(Vec<FileRule>),
}

/// Reads the text of a file of rules.
///
/// # Errors
/// Not JSON, or of another form.
pub fn parse(bytes: &[u8]) -> Result<Vec<FileRule>, Error> {
    match serde_json::from_slice(bytes) {
        Ok(File::Object { rules } | File::List(rules)) => Ok(rules),
        Err(error) => {
            let place = format!("not valid at line {}, column {}", error.line(), error.column());
            Err(Error::new(place).with_hint("the file must be {\"rules\": [{\"id\", \"regex\"}]}"))
        }
    }
}

impl FileRule {
    /// The rule, ready to run.
    ///
    /// # Errors
    /// An expression that does not compile, or none.
    pub fn prepare(&self) -> Result<Custom, Error> {
        let id = &self.id;
        if self.regex.is_empty() {
            return Err(Error::new(format!(
                "redaction rule {id:?} of the rules file has no regex"
            ))
            .with_hint("rules that only name paths say nothing about a transcript"));
        }
        let what = format!("redaction rule {id:?} of the rules file");
        let value = expression_of(&self.regex, &what)?;
        let group = match self.secret_group {
            0 => usize::from(value.captures_len() == 2),
            group => group,
        };
        let mut custom = Custom::new(id.clone(), id.replace('-', "_"), Some(value));
        custom.group = group;
        custom.keywords = self.keywords.iter().map(|word| word.to_ascii_lowercase()).collect();
        custom.entropy_min = self.entropy;
        for list in self.allowlists.iter().chain(&self.allowlist) {
            let mut regexes = Vec::new();
            for expression in &list.regexes {
                regexes.push(expression_of(expression, &format!("allow-list of {what}"))?);
            }
            let target = match list.regex_target.as_str() {
                "match" => Target::Match,
                "line" => Target::Line,
                _ => Target::Secret,
            };
            let stopwords = list.stopwords.iter().map(|word| word.to_ascii_lowercase()).collect();
            custom.allowed.push(Allowed { regexes, target, stopwords });
        }
        Ok(custom)
    }
}
