//! What a check has found, for people and for scripts.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::Error;

/// How good or bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// May be meant so, and may become worse.
    Warn,
    /// Something does not work, or is about to be lost.
    Fail,
}

/// One result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked: `config`, `backend`.
    pub check: &'static str,
    /// How good or bad it is.
    pub level: Level,
    /// The object and what is the matter with it; one line.
    pub what: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, what: impl Into<String>) -> Finding {
        Finding { check, level: Level::Ok, what: one_line(&what.into()), hint: None }
    }

    /// Something to know of.
    pub fn warn(check: &'static str, what: impl Into<String>, hint: &str) -> Finding {
        Finding { level: Level::Warn, hint: Some(hint.into()), ..Finding::ok(check, what) }
    }

    /// Something to act on.
    pub fn fail(check: &'static str, what: impl Into<String>, hint: &str) -> Finding {
        Finding { level: Level::Fail, hint: Some(hint.into()), ..Finding::ok(check, what) }
    }

    /// An error that the check has met.
    pub fn error(check: &'static str, error: &Error) -> Finding {
        let hint = error.hint().map(str::to_owned);
        Finding { level: Level::Fail, hint, ..Finding::ok(check, error.to_string()) }
    }
}

/// True when none of them is a failure.
pub fn is_well(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Fail)
}

/// Writes findings for people, each with what to do below it.
///
/// # Errors
/// As `write`.
pub fn print(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for Finding { check, level, what, hint } in findings {
        let level = match level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        writeln!(out, "{level:<4}  {check:<12}  {what}")?;
        if let Some(hint) = hint {
            writeln!(out, "{:20}hint: {hint}", "")?;
        }
    }
    Ok(())
}

/// Libraries draw pictures into their messages, and other machines may send anything.
fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    line.chars().filter(|character| !character.is_control()).collect()
}
