//! The user's configuration, `~/.confab/config.json`, in the format of the existing client
//! (reference §7.1) plus `sync_interval`, `allow_insecure_http`, `ca_file`, `exclude` and what
//! `redact::Settings` adds.
//!
//! Read whole and checked on load; unknown keys are left to others. Absent `redaction` means on:
//! only an explicit `"enabled": false` turns it off. Deliberately absent: the environment, which
//! `main` hands in as [`Overrides`].
//!
//! It is written by [`edit`] alone: under a lock, whole, mode 0600, and with everything that was
//! not to be changed as it was.

mod document;
mod exclude;
pub mod keys;

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Context, Error, Result};
use crate::files::{self, Paths, SessionId};
use crate::redact;
use crate::schedule;
use crate::sys;
use keys::{Key, shown_address};

/// Bytes of a configuration file.
const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Bytes of the key of stable markers.
pub const MARKER_KEY_BYTES: usize = size_of::<redact::MarkerKey>();
/// Bytes of a file of further redaction rules.
const RULES_BYTES_MAX: usize = 4 << 20;
/// How long another process may take for its change of the file.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);
/// The interval that means file events.
const LIVE: &str = "live";
/// The shortest API key.
const API_KEY_BYTES_MIN: usize = 20;

/// The configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Address of the backend.
    pub backend_url: String,
    /// `cfb_…`.
    pub api_key: String,
    /// `debug`, `info`, `warn` or `error`.
    pub log_level: String,
    /// `"30s"`, `"500ms"`, or `"live"`.
    pub sync_interval: Option<String>,
    /// Plain http to a host that is not this machine.
    pub allow_insecure_http: bool,
    /// Commits and pull requests name the session, and the session names them; absent means yes.
    pub link_from_github: Option<bool>,
    /// PEM file with further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// What is cut out of what leaves the machine.
    pub redaction: redact::Settings,
    /// Folders, as globs, and sessions that are never uploaded at all.
    pub exclude: Vec<String>,
}

/// Where the backend is and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Without a slash at its end.
    pub url: String,
    /// API key. Not part of any debug output.
    pub key: String,
    /// Further certificate authorities.
    pub ca_file: Option<PathBuf>,
}

/// Environment variables that win over the file, as they were set.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `CONFAB_SYNC_INTERVAL_MS`.
    pub interval_ms: Option<String>,
    /// `CONFAB_SYNC_JITTER_MS`.
    pub jitter_ms: Option<String>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The text of a configuration file, which keeps what nobody changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    text: String,
}

/// Reads the configuration; a missing file is an empty one.
///
/// # Errors
/// When the file cannot be read or is not what it should be; the message names it.
pub fn load(paths: &Paths) -> Result<Config> {
    let document = Document::load(paths)?;
    let mut config = document.config().context(|| what(paths))?;
    config.read_rules(paths);
    read_marker_key(&mut config.redaction, paths);
    Ok(config)
}

/// Reads what keys the tags of stable markers; `main` has made it.
fn read_marker_key(settings: &mut redact::Settings, paths: &Paths) {
    if !settings.stable_markers {
        return;
    }
    let path = paths.marker_key();
    let read = files::read_bounded(&path, MARKER_KEY_BYTES);
    match read.map(|bytes| redact::MarkerKey::try_from(bytes.as_slice())) {
        Ok(Ok(key)) => settings.marker_key = Some(key),
        _ => settings.problems.push((
            format!("stable_markers: no key in {}", path.display()),
            "markers have no tags until it is there; confab makes it when it can write".to_owned(),
        )),
    }
}

/// Changes the configuration file; true when that made a difference. The folder is made when it is
/// missing, and a file that a symbolic link names is replaced where it lies. `change` may be called
/// twice: first without the lock, so that what is refused leaves nothing behind.
///
/// # Errors
/// Those of `change`, and when the file cannot be read or written or would not be what it should
/// be. The file is untouched then.
pub fn edit(paths: &Paths, change: impl Fn(&mut Document) -> Result<()>) -> Result<bool> {
    if changed(paths, &change)?.is_none() {
        return Ok(false);
    }
    let write = || format!("write config {}", paths.config.display());
    let folder = paths.config.parent().unwrap_or(&paths.root);
    match folder == paths.root {
        true => files::private_folder(folder),
        // A folder that the user named is left as it is.
        false => files::make_folder(folder),
    }
    .context(write)?;
    let lock = File::open(folder).context(write)?;
    sys::lock::within(&lock, LOCK_WAIT_MAX).context(write)?;
    let Some(text) = changed(paths, &change)? else { return Ok(false) };
    let target = std::fs::canonicalize(&paths.config).unwrap_or_else(|_| paths.config.clone());
    files::replace(&target, text.as_bytes()).context(write)?;
    Ok(true)
}

/// The text of the file after a change; `None` when it is the same.
fn changed(paths: &Paths, change: impl Fn(&mut Document) -> Result<()>) -> Result<Option<String>> {
    let before = Document::load(paths)?;
    before.names().context(|| what(paths))?;
    let mut after = before.clone();
    change(&mut after)?;
    after.config().context(|| format!("change config {}", paths.config.display()))?;
    Ok((after != before).then_some(after.text))
}

fn what(paths: &Paths) -> String {
    format!("read config {}", paths.config.display())
}

impl Document {
    /// Reads the file; a missing one is an empty object.
    ///
    /// # Errors
    /// When it cannot be read, or is no text.
    pub fn load(paths: &Paths) -> Result<Document> {
        let bytes = match files::read_bounded(&paths.config, CONFIG_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"{}\n".to_vec(),
            result => result.context(|| what(paths))?,
        };
        let text = String::from_utf8(bytes).map_err(|_| not_valid("not UTF-8"));
        Ok(Document { text: text.context(|| what(paths))? })
    }

    /// What it means.
    ///
    /// # Errors
    /// As [`parse`].
    pub fn config(&self) -> Result<Config> {
        parse(self.text.as_bytes())
    }

    /// The JSON of a key's value; `None` when it is not set.
    ///
    /// # Errors
    /// When the text is no JSON object.
    pub fn get(&self, key: &Key) -> Result<Option<String>> {
        document::get(&self.text, &key.path()).map_err(|error| misplaced(&error))
    }

    /// Sets a key to this JSON, or removes it.
    ///
    /// # Errors
    /// When the text is no JSON object.
    pub fn set(&mut self, key: &Key, json: Option<&str>) -> Result<()> {
        self.text =
            document::set(&self.text, &key.path(), json).map_err(|error| misplaced(&error))?;
        Ok(())
    }

    /// The outermost keys, in order, ours or not.
    ///
    /// # Errors
    /// When the text is no JSON object.
    pub fn names(&self) -> Result<Vec<String>> {
        document::names(&self.text).map_err(|error| misplaced(&error))
    }
}

/// Reads the text of a configuration file.
///
/// # Errors
/// Not JSON, or a value of the wrong type.
pub fn parse(bytes: &[u8]) -> Result<Config> {
    // serde would take a list for an object whose keys are left out.
    match bytes.trim_ascii_start().first() {
        Some(b'[') => Err(not_valid("a list, not an object")),
        _ => serde_json::from_slice(bytes).map_err(|error| misplaced(&error)),
    }
}

/// serde's text quotes values, which may be secrets; the place is enough.
fn misplaced(error: &serde_json::Error) -> Error {
    not_valid(&format!("not valid at line {}, column {}", error.line(), error.column()))
}

fn not_valid(why: &str) -> Error {
    Error::new(why).with_hint("the file must be a JSON object as the README shows")
}

impl Config {
    /// The backend and the key for it.
    ///
    /// # Errors
    /// Missing or unusable address or key; each with a hint.
    pub fn account(&self) -> Result<Account> {
        let url = self.address()?;
        if self.api_key.is_empty() {
            return Err(Error::new(format!("nobody is signed in to {}", shown_address(&url)))
                .with_hint("sign in with `confab login`"));
        }
        check_key(&self.api_key)?;
        if let Some(path) = &self.ca_file {
            keys::check_absolute(path)?;
        }
        Ok(Account { url, key: self.api_key.clone(), ca_file: self.ca_file.clone() })
    }

    /// The address of the backend, without a slash at its end.
    ///
    /// # Errors
    /// A missing or unusable address, with a hint.
    pub fn address(&self) -> Result<String> {
        let url = self.backend_url.trim().trim_end_matches('/');
        if url.is_empty() {
            return Err(Error::new("no backend is configured")
                .with_hint("sign in with `confab login --backend-url URL`"));
        }
        check_url(url, self.allow_insecure_http)?;
        Ok(url.to_owned())
    }

    /// Reads the file of further redaction rules that the configuration names, if it names one.
    /// What is wrong with it is noted in the settings.
    pub fn read_rules(&mut self, paths: &Paths) {
        let settings = &mut self.redaction;
        let Some(named) = &settings.rules_file else { return };
        let path = match named.strip_prefix("~") {
            Ok(rest) => paths.home().join(rest),
            Err(_) => named.clone(),
        };
        if !path.is_absolute() {
            let problem =
                format!("redaction.rules_file {} is not an absolute path", path.display());
            settings.problems.push((problem, "write it out from / or ~/ on".to_owned()));
            return;
        }
        let read = files::read_bounded(&path, RULES_BYTES_MAX).map_err(|error| {
            Error::new(error.to_string()).with_hint("the other redaction rules run without it")
        });
        match read.and_then(|bytes| redact::parse_rules(&bytes)) {
            Ok(rules) => settings.further_rules = rules,
            Err(error) => {
                let problem = format!("read redaction rules {}: {error}", path.display());
                settings.problems.push((problem, error.hint().unwrap_or_default().to_owned()));
            }
        }
    }

    /// What is wrong in the list of what is excluded.
    pub fn exclude_problems(&self) -> Vec<Error> {
        self.exclude.iter().filter_map(|entry| exclude::problem(entry)).collect()
    }

    /// Whether a session that runs in this folder is never uploaded.
    pub fn excludes(&self, id: &SessionId, cwd: &Path, paths: &Paths) -> bool {
        exclude::excludes(&self.exclude, id, cwd, paths.home())
    }

    /// Interval and jitter: the environment wins over the file, what cannot be read counts as
    /// unset.
    pub fn interval(&self, overrides: &Overrides) -> (Duration, Duration) {
        let milliseconds = |text: &Option<String>| {
            let value = text.as_deref()?.trim().parse().ok()?;
            let duration = Duration::from_millis(value);
            (duration <= schedule::INTERVAL_MAX).then_some(duration)
        };
        let from_file = || self.sync_interval.as_deref().and_then(parse_duration);
        let interval = milliseconds(&overrides.interval_ms)
            .filter(|interval| !interval.is_zero())
            .or_else(from_file)
            .unwrap_or(schedule::INTERVAL);
        (interval, milliseconds(&overrides.jitter_ms).unwrap_or(schedule::JITTER_MAX))
    }

    /// Whether files are sent as soon as they change. The interval counts beside it: a look at
    /// what no file event tells of.
    pub fn is_live(&self) -> bool {
        self.sync_interval.as_deref().is_some_and(|interval| interval.trim() == LIVE)
    }

    /// Whether commits and pull requests are linked with sessions.
    pub fn links(&self) -> bool {
        self.link_from_github.unwrap_or(true)
    }

    /// The log level; anything unknown is `info`.
    pub fn level(&self) -> log::LevelFilter {
        match self.log_level.trim().to_ascii_lowercase().as_str() {
            "debug" => log::LevelFilter::Debug,
            "warn" | "warning" => log::LevelFilter::Warn,
            "error" => log::LevelFilter::Error,
            _ => log::LevelFilter::Info,
        }
    }
}

/// `500ms`, `30s`, `2m`, `1h`: more than nothing and at most an hour.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|character: char| !character.is_ascii_digit())?;
    let number: u64 = text[..unit_at].parse().ok()?;
    let millis = match &text[unit_at..] {
        "ms" => number,
        "s" => number.checked_mul(1000)?,
        "m" => number.checked_mul(60_000)?,
        "h" => number.checked_mul(3_600_000)?,
        _ => return None,
    };
    let duration = Duration::from_millis(millis);
    (!duration.is_zero() && duration <= schedule::INTERVAL_MAX).then_some(duration)
}

fn check_url(url: &str, allow_insecure_http: bool) -> Result<()> {
    let refuse = |why: &str, hint: &str| {
        // The address may carry a password, so it is not repeated.
        Err(Error::new(format!("backend_url {why}")).with_hint(hint))
    };
    let example = "use an address such as https://confab.example.org";
    let Some((scheme, rest)) = url.split_once("://") else {
        return refuse("has no scheme", example);
    };
    if !matches!(scheme, "http" | "https") {
        return refuse("is neither http nor https", example);
    }
    if rest.contains(['?', '#']) || rest.contains(char::is_whitespace) {
        return refuse("is not a plain address", example);
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return refuse("has a user name in it", "put the key into api_key");
    }
    let host = host_of(authority);
    if host.is_empty() {
        return refuse("has no host", example);
    }
    if scheme == "https" && !cfg!(feature = "tls") {
        return refuse("is https, and this build has no TLS", "use a build with the feature `tls`");
    }
    if scheme == "http" && !is_loopback(host) && !allow_insecure_http {
        return refuse(
            "is plain http to another machine: key and transcripts could be read on the way",
            "use https, or allow it with `confab config set allow_insecure_http true`",
        );
    }
    Ok(())
}

fn check_key(key: &str) -> Result<()> {
    let plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.starts_with("cfb_") && key.len() >= API_KEY_BYTES_MIN && plain {
        return Ok(());
    }
    Err(Error::new("api_key is not a key of confab")
        .with_hint("a key starts with cfb_ and has at least 20 characters, without spaces"))
}

/// Host of `host:port` or `[v6]:port`.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(url: &str, extra: &str) -> Result<Account> {
        let key = ["cfb_", &"a".repeat(40)].concat();
        let text = format!(r#"{{"backend_url":"{url}","api_key":"{key}"{extra}}}"#);
        parse(text.as_bytes()).unwrap().account()
    }

    #[test]
    fn plain_http_stays_on_this_machine_unless_allowed() {
        let good =
            ["http://localhost:8787/", "http://127.1.2.3", "http://[::1]:1//", "https://x.org/"];
        for url in good {
            let account = account(url, "").unwrap();
            assert!(!account.url.ends_with('/'), "{url}");
        }
        let bad = [
            "http://localhost.example.com",
            "http://example.org",
            "http://localhost@evil.org",
            "http://127.0.0.1.evil.org",
            "ftp://x",
            "x.org",
            "http://",
            "https://x y",
            "https://x?a",
        ];
        for url in bad {
            let error = account(url, "").unwrap_err();
            assert!(error.hint().is_some(), "{url}");
        }
        assert!(account("http://example.org", r#","allow_insecure_http":true"#).is_ok());
    }

    #[test]
    fn redaction_is_on_unless_switched_off() {
        assert!(parse(b"{}").unwrap().redaction.enabled);
        assert!(parse(br#"{"redaction":{}}"#).unwrap().redaction.enabled);
        assert!(!parse(br#"{"redaction":{"enabled":false}}"#).unwrap().redaction.enabled);
        assert!(parse(b" [\"https://x.org\"]").is_err());
    }

    #[test]
    fn errors_never_quote_values() {
        let secret = ["hunter", "2"].concat();
        let error =
            parse(format!(r#"{{"allow_insecure_http":"{secret}"}}"#).as_bytes()).unwrap_err();
        assert!(!error.to_string().contains(&secret));
    }

    #[test]
    fn intervals() {
        let cases = [
            ("30s", None, None, 30_000, 5000),
            ("500ms", None, Some("0"), 500, 0),
            ("500ms", Some("70"), Some("x"), 70, 5000),
            ("0s", Some("0"), Some("-1"), 30_000, 5000),
            ("2 s", Some("3600001"), Some("3600001"), 30_000, 5000),
            ("2h", Some(""), None, 30_000, 5000),
            ("1h", None, Some("7"), 3_600_000, 7),
            ("live", None, None, 30_000, 5000),
            ("live", Some("70"), None, 70, 5000),
        ];
        for (file, interval_ms, jitter_ms, interval, jitter) in cases {
            let config = Config { sync_interval: Some(file.into()), ..Config::default() };
            let overrides = Overrides {
                interval_ms: interval_ms.map(str::to_owned),
                jitter_ms: jitter_ms.map(str::to_owned),
            };
            let expected = (Duration::from_millis(interval), Duration::from_millis(jitter));
            assert_eq!(config.interval(&overrides), expected, "{file} {interval_ms:?}");
            assert_eq!(config.is_live(), file == "live");
        }
    }
}
