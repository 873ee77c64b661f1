//! The language of queries: words, `"phrases"`, `prefix*`, `-not`, and filters `name:value`.
//!
//! What a user typed reaches the index only as words of letters and digits, each in quotes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::filter::{Property, SessionFilter, Times};
use super::fold::folded;
use super::found::Sequence;
use crate::time::parse_rfc3339;

/// Bytes of a query.
pub const QUERY_BYTES_MAX: usize = 2000;
/// Words, phrases and filters of a query.
const TERMS_MAX: usize = 32;
/// Letters of a prefix: fewer would be half of all words.
const PREFIX_CHARS_MIN: usize = 2;

/// Who a line is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What a user typed.
    User,
    /// What the model said, thought and called.
    Assistant,
    /// What a tool returned.
    Tool,
    /// Everything else.
    System,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [Role::User, Role::Assistant, Role::Tool, Role::System];

    /// As it is written in queries and answers.
    pub fn name(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
            Role::System => "system",
        }
    }
}

/// What is asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Query {
    /// Words and phrases, which a line must have or must not have.
    pub sequences: Vec<Sequence>,
    /// Roles that a line may have; empty for any.
    pub roles: Vec<Role>,
    /// Roles that it must not have.
    pub not_roles: Vec<Role>,
    /// Tools that a line must be about, folded; of several, any.
    pub tools: Vec<String>,
    /// Tools that it must not be about.
    pub not_tools: Vec<String>,
    /// What the session must be.
    pub sessions: SessionFilter,
    /// When the line was written.
    pub times: Times,
}

/// A term as it is typed.
struct Term {
    is_negated: bool,
    name: Option<String>,
    value: String,
    is_quoted: bool,
}

impl Query {
    /// Reads a query. `now` is what ages are counted from.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str, now: SystemTime) -> Result<Query, String> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(format!("a query has at most {QUERY_BYTES_MAX} bytes"));
        }
        let terms = terms(text)?;
        if terms.len() > TERMS_MAX {
            return Err(format!("a query has at most {TERMS_MAX} words and filters"));
        }
        let mut query = Query::default();
        for term in terms {
            query.add(term, now)?;
        }
        query.sessions.times = query.times;
        Ok(query)
    }

    /// Whether it says what a line must have, and not only what it must not.
    pub fn has_positive(&self) -> bool {
        let sessions = self.sessions.wanted.iter().any(|(.., is_wanted)| *is_wanted);
        self.sequences.iter().any(|sequence| !sequence.is_negated)
            || !self.roles.is_empty()
            || !self.tools.is_empty()
            || self.times != Times::ALL
            || sessions
    }

    /// Whether the index is asked for words that begin somehow.
    pub fn has_prefix(&self) -> bool {
        let is_prefix = |tool: &String| tool.ends_with('*');
        self.sequences.iter().any(|sequence| sequence.is_prefix)
            || self.tools.iter().chain(&self.not_tools).any(is_prefix)
    }

    /// The query as a filter of sessions: words are looked for in title and first message. Filters
    /// of lines are left out.
    ///
    /// # Errors
    /// When it has filters of lines.
    pub fn into_session_filter(self) -> Result<SessionFilter, String> {
        if !(self.roles.is_empty() && self.not_roles.is_empty()) {
            return Err("role: is for lines, not for sessions".into());
        }
        if !(self.tools.is_empty() && self.not_tools.is_empty()) {
            return Err("tool: is for lines, not for sessions".into());
        }
        let mut filter = self.sessions;
        let words = self.sequences.into_iter();
        filter.wanted.extend(
            words.map(|sequence| (Property::Text, folded(&sequence.text), !sequence.is_negated)),
        );
        Ok(filter)
    }

    fn add(&mut self, term: Term, now: SystemTime) -> Result<(), String> {
        let Term { is_negated, name, value, is_quoted } = term;
        let Some(name) = name else {
            return self.add_words(&value, is_quoted, is_negated);
        };
        if value.is_empty() {
            return Err(format!("{name}: needs a value"));
        }
        let part = folded(&value);
        let property = match name.as_str() {
            "project" => Property::Project,
            "branch" => Property::Branch,
            "machine" => Property::Machine,
            "user" => Property::User,
            "model" => Property::Model,
            "role" => return self.add_role(&part, is_negated),
            "tool" => {
                let tools = if is_negated { &mut self.not_tools } else { &mut self.tools };
                tools.push(part);
                return Ok(());
            }
            _ if is_negated => return Err(format!("-{name}: is not possible")),
            "after" => {
                self.times.from = self.times.from.max(time(&name, &value, now)?);
                return Ok(());
            }
            _ => {
                self.times.until = self.times.until.min(time(&name, &value, now)?);
                return Ok(());
            }
        };
        let part = part.trim_end_matches('*').to_owned();
        self.sessions.wanted.push((property, part, !is_negated));
        Ok(())
    }

    fn add_words(&mut self, text: &str, is_quoted: bool, is_negated: bool) -> Result<(), String> {
        let (text, is_prefix) = match text.strip_suffix('*').filter(|_| !is_quoted) {
            Some(text) => (text, true),
            None => (text, false),
        };
        let sequence = Sequence::new(text, is_prefix, is_negated);
        let Some(last) = sequence.parts.last() else {
            // Only punctuation: there is nothing to look for.
            return Ok(());
        };
        if is_prefix && !last.is_sign && last.folded.chars().count() < PREFIX_CHARS_MIN {
            return Err(format!("{text}* needs {PREFIX_CHARS_MIN} letters before its *"));
        }
        self.sequences.push(sequence);
        Ok(())
    }

    fn add_role(&mut self, name: &str, is_negated: bool) -> Result<(), String> {
        let role = Role::ALL.into_iter().find(|role| role.name() == name);
        let role =
            role.ok_or_else(|| format!("role:{name} is none of user, assistant, tool and system"))?;
        if is_negated {
            self.not_roles.push(role)
        } else {
            self.roles.push(role)
        }
        Ok(())
    }
}

/// The names of filters.
const NAMES: [&str; 9] =
    ["project", "branch", "machine", "user", "model", "role", "tool", "after", "before"];

/// Divides a query at spaces outside of quotes.
fn terms(text: &str) -> Result<Vec<Term>, String> {
    let mut terms = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let is_negated = rest.len() > 1 && rest.starts_with('-') && !rest[1..].starts_with(' ');
        let (name, value) = name_of(if is_negated { &rest[1..] } else { rest });
        let is_quoted = value.starts_with('"');
        let (value, behind) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quotation mark has no partner")?,
            None => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
        };
        let name = name.map(str::to_owned);
        terms.push(Term { is_negated, name, value: value.into(), is_quoted });
        rest = behind.trim_start();
    }
    Ok(terms)
}

/// The filter that a term names, if it does: `std::vec` is a word.
fn name_of(term: &str) -> (Option<&str>, &str) {
    match term.split_once(':') {
        Some((name, value)) if NAMES.contains(&name) && !value.starts_with(':') => {
            (Some(name), value)
        }
        _ => (None, term),
    }
}

/// A day, a time, or an age.
fn time(name: &str, value: &str, now: SystemTime) -> Result<i64, String> {
    let day = || parse_rfc3339(&format!("{value}T00:00:00Z"));
    let age = || {
        let unit = value.chars().last()?;
        let n: u64 = value.strip_suffix(unit)?.parse().ok()?;
        let seconds = match unit {
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            'w' => 7 * 24 * 3600,
            _ => return None,
        };
        now.checked_sub(Duration::from_secs(n.checked_mul(seconds)?))
    };
    let time = parse_rfc3339(value).or_else(day).or_else(age).ok_or_else(|| {
        format!("{name}:{value} is no time: 2026-11-21, 2026-11-21T10:00:00Z, or an age as 30d")
    })?;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Query, String> {
        Query::parse(text, UNIX_EPOCH + Duration::from_secs(100 * 24 * 3600))
    }

    const DAY: i64 = 24 * 3600 * 1_000_000;

    #[test]
    fn words_phrases_prefixes_and_what_must_not_be() {
        let query =
            parse(r#"one "two three" pre* -four -"five six" std::vec a:b - * ..."#).unwrap();
        let told: Vec<_> = query
            .sequences
            .iter()
            .map(|one| (one.text.as_str(), one.parts.len(), one.is_prefix, one.is_negated))
            .collect();
        let expected = [
            ("one", 1, false, false),
            ("two three", 2, false, false),
            ("pre", 1, true, false),
            ("four", 1, false, true),
            ("five six", 2, false, true),
            ("std::vec", 2, false, false),
            ("a:b", 2, false, false),
        ];
        assert_eq!(told, expected);
        assert!(query.has_positive());
        for text in ["", "-one", "-project:x", "...", "-role:user"] {
            assert!(!parse(text).unwrap().has_positive(), "{text}");
        }
    }

    #[test]
    fn filters_are_read() {
        let query = parse(
            "project:Confab -branch:main machine:\"my laptop\" user:me@x model:opus* role:user \
             -role:tool tool:Bash tool:mcp* -tool:Read after:1970-02-01 before:2d x",
        )
        .unwrap();
        let wanted = vec![
            (Property::Project, "confab".into(), true),
            (Property::Branch, "main".into(), false),
            (Property::Machine, "my laptop".into(), true),
            (Property::User, "me@x".into(), true),
            (Property::Model, "opus".into(), true),
        ];
        let times = Times { from: 31 * DAY, until: 98 * DAY };
        assert_eq!(query.sessions, SessionFilter { wanted, times });
        assert_eq!((query.roles, query.not_roles), (vec![Role::User], vec![Role::Tool]));
        assert_eq!(query.tools, ["bash", "mcp*"]);
        assert_eq!((query.not_tools, query.times), (vec!["read".to_owned()], times));
        let times = [("after:2d", 98), ("after:48h", 98), ("after:1w", 93), ("after:2880m", 98)];
        for (text, day) in times {
            assert_eq!(parse(text).unwrap().times.from, day * DAY, "{text}");
        }
        assert_eq!(parse("after:1970-01-02T00:00:00+00:00").unwrap().times.from, DAY);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let long = "x".repeat(QUERY_BYTES_MAX + 1);
        let many = "x ".repeat(TERMS_MAX + 1);
        let cases = [
            ("\"open", "a quotation mark has no partner"),
            ("project:", "project: needs a value"),
            ("project:\"\"", "project: needs a value"),
            ("role:robot", "role:robot is none of user, assistant, tool and system"),
            ("after:soon", "after:soon is no time"),
            ("before:99999999999999999999d", "is no time"),
            ("-after:1d", "-after: is not possible"),
            ("a*", "a* needs 2 letters before its *"),
            (long.as_str(), "a query has at most 2000 bytes"),
            (many.as_str(), "a query has at most 32 words and filters"),
        ];
        for (text, expected) in cases {
            let said = parse(text).unwrap_err();
            assert!(said.contains(expected), "{text}: {said}");
        }
        for text in ["role:user", "tool:Bash", "-role:user"] {
            assert!(parse(text).unwrap().into_session_filter().is_err(), "{text}");
        }
        let filter = parse("Café -x project:p after:1d").unwrap().into_session_filter().unwrap();
        assert_eq!(filter.wanted.len(), 3);
        assert!(filter.wanted.contains(&(Property::Text, "cafe".into(), true)));
        assert_eq!(filter.times.from, 99 * DAY);
    }
}
