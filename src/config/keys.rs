//! The keys that people set, how their values are written on a command line, and which are right.
//!
//! Deliberately absent: keys of the existing client that mean nothing here; they stay in the file.

use std::fs::File;
use std::path::Path;

use crate::config::{Config, check_key, check_url, parse_duration};
use crate::error::{Context, Error, Result};
use crate::redact::{self, Redactor};

/// Characters of an API key that are shown: its prefix and four that tell keys apart.
const API_KEY_SHOWN: usize = 8;

/// One key of the file; a dot leads into an object.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// As it is typed: `redaction.enabled`.
    pub name: &'static str,
    /// How its value is written.
    pub form: Form,
    /// What counts while it is not set; empty for nothing.
    pub default: &'static str,
}

/// How a value is written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is; a string in the file.
    Text,
    /// An address; a slash at its end is left out.
    Address,
    /// As it is, and never shown whole.
    Secret,
    /// `true` or `false`.
    Switch,
    /// JSON.
    Json,
}

const fn key(name: &'static str, form: Form, default: &'static str) -> Key {
    Key { name, form, default }
}

/// All keys, in the order in which they are shown.
pub const KEYS: [Key; 15] = [
    key("backend_url", Form::Address, ""),
    key("api_key", Form::Secret, ""),
    key("log_level", Form::Text, "info"),
    key("sync_interval", Form::Text, "30s"),
    key("allow_insecure_http", Form::Switch, "false"),
    key("ca_file", Form::Text, ""),
    key("link_from_github", Form::Switch, "true"),
    key("redaction.enabled", Form::Switch, "true"),
    key("redaction.use_default_patterns", Form::Switch, "true"),
    key("redaction.patterns", Form::Json, "[]"),
    key("redaction.disabled_rules", Form::Json, "[]"),
    key("redaction.allow", Form::Json, "[]"),
    key("redaction.rules_file", Form::Text, ""),
    key("redaction.stable_markers", Form::Switch, "false"),
    key("exclude", Form::Json, "[]"),
];

/// The names of all keys.
pub const NAMES: [&str; KEYS.len()] = {
    let mut names = [""; KEYS.len()];
    let mut at = 0;
    while at < KEYS.len() {
        names[at] = KEYS[at].name;
        at += 1;
    }
    names
};

impl Key {
    /// The key of this name.
    pub fn find(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The way into the file.
    pub fn path(&self) -> Vec<&'static str> {
        self.name.split('.').collect()
    }

    /// The JSON of a typed value; `None` when an empty value removes the key. Whether the value is
    /// right is for [`Key::check`].
    ///
    /// # Errors
    /// When it has not the form of a value of this key.
    pub fn json_of(&self, text: &str) -> Result<Option<String>> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let name = self.name;
        match self.form {
            Form::Text | Form::Secret => Ok(Some(quoted(text))),
            Form::Address => Ok(Some(quoted(text.trim_end_matches('/')))),
            Form::Switch if matches!(text, "true" | "false") => Ok(Some(text.to_owned())),
            Form::Switch => {
                Err(Error::new(format!("{name} is a switch")).with_hint("use true or false"))
            }
            Form::Json => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
                Ok(_) => Ok(Some(text.to_owned())),
                Err(error) => {
                    let place = format!("line {}, column {}", error.line(), error.column());
                    Err(Error::new(format!("{name}: the value is not JSON at {place}"))
                        .with_hint("put it into single quotes, or use - and standard input"))
                }
            },
        }
    }

    /// How the JSON of a value is shown to people.
    pub fn shown(&self, json: &str) -> String {
        let text = || serde_json::from_str::<String>(json).unwrap_or_default();
        match self.form {
            Form::Text => text(),
            Form::Address => shown_address(&text()),
            Form::Secret => shown_secret(&text()),
            Form::Switch | Form::Json => json.to_owned(),
        }
    }

    /// Checks the value of this key in a configuration that has it.
    ///
    /// # Errors
    /// What is wrong with it, with a hint.
    pub fn check(&self, config: &Config) -> Result<()> {
        match self.name {
            "backend_url" | "allow_insecure_http" if !config.backend_url.is_empty() => {
                check_url(&config.backend_url, config.allow_insecure_http)
            }
            "api_key" => check_key(&config.api_key),
            "log_level" => check_level(&config.log_level),
            "sync_interval" if config.is_live() => Ok(()),
            "sync_interval" => check_interval(config.sync_interval.as_deref().unwrap_or_default()),
            "ca_file" => check_ca_file(config),
            "exclude" => config.exclude_problems().into_iter().next().map_or(Ok(()), Err),
            name if name.starts_with("redaction.") => check_redaction(&config.redaction),
            _ => Ok(()),
        }
    }
}

/// The beginning of a key, which tells it from others and is of no use without the rest.
pub fn shown_secret(key: &str) -> String {
    match check_key(key) {
        Ok(()) => format!("{}…", &key[..API_KEY_SHOWN]),
        Err(_) => "…".to_owned(),
    }
}

/// An address without the password that somebody may have put into it.
pub fn shown_address(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) if scheme.is_empty() => format!("…{}", &rest[at..]),
        Some(at) => format!("{scheme}://…{}", &rest[at..]),
        None => url.to_owned(),
    }
}

fn check_level(level: &str) -> Result<()> {
    let levels = ["debug", "info", "warn", "warning", "error"];
    if levels.contains(&level.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Error::new(format!("log_level {level:?} is unknown"))
        .with_hint("use debug, info, warn or error"))
}

fn check_interval(interval: &str) -> Result<()> {
    match parse_duration(interval) {
        Some(_) => Ok(()),
        None => Err(Error::new(format!("sync_interval {interval:?} is not a time up to an hour"))
            .with_hint("use a number with its unit: 500ms, 30s, 2m, 1h; or live")),
    }
}

fn check_ca_file(config: &Config) -> Result<()> {
    let Some(path) = &config.ca_file else { return Ok(()) };
    check_absolute(path)?;
    File::open(path).context(|| format!("read ca_file {}", path.display()))?;
    Ok(())
}

pub(super) fn check_absolute(path: &Path) -> Result<()> {
    match path.is_absolute() {
        true => Ok(()),
        false => Err(Error::new("ca_file is not an absolute path")
            .with_hint("write it out from / on: the daemon has no folder of yours, and no ~")),
    }
}

/// Also while redaction is off: it may be switched on later.
fn check_redaction(settings: &redact::Settings) -> Result<()> {
    let settings =
        redact::Settings { enabled: true, use_default_patterns: false, ..settings.clone() };
    let (_, errors) = Redactor::new(&settings);
    errors.into_iter().next().map_or(Ok(()), Err)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown_whole() {
        let key = ["cfb_", &"abcdefgh".repeat(5)].concat();
        assert_eq!(shown_secret(&key), "cfb_abcd…");
        assert_eq!(shown_secret(&key[..19]), "…");
        assert_eq!(shown_secret(&key[4..]), "…");
        for (url, shown) in [
            ("https://u:p@x.org/a@b", "https://…@x.org/a@b"),
            ("u:p@x.org", "…@x.org"),
            ("https://x.org/a@b", "https://x.org/a@b"),
        ] {
            assert_eq!(shown_address(url), shown);
        }
    }

    /// What is shown as default is what counts in an empty configuration.
    #[test]
    fn defaults_are_the_real_ones() {
        let config = Config::default();
        let default = |name| Key::find(name).unwrap().default;
        assert_eq!(config.level().as_str().to_lowercase(), default("log_level"));
        let (interval, _) = config.interval(&crate::config::Overrides::default());
        assert_eq!(parse_duration(default("sync_interval")), Some(interval));
        let parsed = |name| default(name).parse::<bool>().unwrap();
        assert_eq!(config.allow_insecure_http, parsed("allow_insecure_http"));
        assert_eq!(config.links(), parsed("link_from_github"));
        assert_eq!(config.redaction.enabled, parsed("redaction.enabled"));
        let defaults = parsed("redaction.use_default_patterns");
        assert_eq!(config.redaction.use_default_patterns, defaults);
        assert!(config.redaction.patterns.is_empty());
    }
}
