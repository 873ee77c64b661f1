//! What the owner of a watch may set, kept in a file of its own in the data folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{self, Config};
use crate::error::{Context, Error, Result};
use crate::files;

/// Bytes of the file.
pub const SETTINGS_BYTES_MAX: usize = 64 << 10;
/// Folders, and exclusions.
const ENTRIES_MAX: usize = 1000;
/// Days that sessions are kept: a hundred years.
const RETENTION_DAYS_MAX: u32 = 36_500;

/// See the module. What is left out is as it is without it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchSettings {
    /// What has changed is sent this often at most: `500ms`, `30s`, `2m`, `1h`; at once when null.
    pub interval: Option<String>,
    /// Claude's folders; those of the server's user when there are none.
    pub folders: Vec<PathBuf>,
    /// Further folders and ids of sessions that are never sent, as `exclude` in the config.
    pub exclude: Vec<String>,
    /// Older sessions are brought in only when they change: `12h`, `30d`, `8w`; all when null.
    pub since: Option<String>,
    /// Days behind the last thing that was said, after which a session is removed from the server
    /// for good; `null` keeps all.
    pub retention_days: Option<u32>,
}

impl WatchSettings {
    /// What was set; nothing when there is no file.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub fn load(path: &Path) -> Result<WatchSettings> {
        let what = || format!("read {}", path.display());
        match files::read_bounded(path, SETTINGS_BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(WatchSettings::default()),
            bytes => serde_json::from_slice(&bytes.context(what)?).context(what),
        }
    }

    /// Keeps what was set.
    ///
    /// # Errors
    /// As the system calls.
    pub fn save(&self, path: &Path) -> Result<()> {
        let what = || format!("write {}", path.display());
        let text = serde_json::to_vec_pretty(self).context(what)?;
        files::replace(path, &text).context(what)
    }

    /// Says what is wrong with it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<()> {
        if let Some(interval) = &self.interval
            && config::parse_duration(interval).is_none()
        {
            return Err(Error::new("interval must be a time such as 500ms, 30s, 2m, at most 1h"));
        }
        if self.since.as_deref().is_some_and(|since| !is_age(since)) {
            return Err(Error::new("since must be an age such as 30m, 12h, 30d, 8w"));
        }
        if self.retention_days.is_some_and(|days| !(1..=RETENTION_DAYS_MAX).contains(&days)) {
            let what = format!("retention_days must be 1 to {RETENTION_DAYS_MAX}, or null");
            return Err(Error::new(what));
        }
        if self.folders.len() > ENTRIES_MAX || self.exclude.len() > ENTRIES_MAX {
            return Err(Error::new(format!("at most {ENTRIES_MAX} folders and exclusions")));
        }
        if let Some(folder) = self.folders.iter().find(|folder| !folder.is_absolute()) {
            return Err(Error::new(format!("{} is not an absolute path", folder.display())));
        }
        let config = Config { exclude: self.exclude.clone(), ..Config::default() };
        config.exclude_problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// The options of `confab watch`.
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments = Vec::new();
        for folder in &self.folders {
            arguments.extend(["--claude-dir".into(), folder.clone().into()]);
        }
        for (name, value) in [("--since", &self.since), ("--interval", &self.interval)] {
            if let Some(value) = value {
                arguments.extend([name.into(), value.into()]);
            }
        }
        arguments
    }
}

/// `30m`, `12h`, `5d`, `8w`: more than nothing.
fn is_age(text: &str) -> bool {
    let Some(number) = text.strip_suffix(['m', 'h', 'd', 'w']) else { return false };
    number.parse::<u32>().is_ok_and(|number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> bool {
        serde_json::from_str::<WatchSettings>(json).is_ok_and(|settings| settings.check().is_ok())
    }

    #[test]
    fn what_is_set_is_checked() {
        let good = [
            "{}",
            r#"{"interval":"2s","since":"30d","folders":["/a"],"exclude":["~/b","/c"]}"#,
            r#"{"interval":null,"since":null,"retention_days":null}"#,
            r#"{"retention_days":1}"#,
        ];
        for json in good {
            assert!(checked(json), "{json}");
        }
        let bad = [
            r#"{"interval":"2"}"#,
            r#"{"interval":"2h"}"#,
            r#"{"since":"0d"}"#,
            r#"{"since":"d"}"#,
            r#"{"since":"1y"}"#,
            r#"{"folders":["a"]}"#,
            r#"{"exclude":["a/b"]}"#,
            r#"{"key":"x"}"#,
            r#"{"retention_days":0}"#,
            r#"{"retention_days":-1}"#,
            r#"{"retention_days":1.5}"#,
            r#"{"retention_days":"30"}"#,
            r#"{"retention_days":36501}"#,
            r#"{"folders":"/a"}"#,
        ];
        for json in bad {
            assert!(!checked(json), "{json}");
        }
    }

    #[test]
    fn options_are_those_of_the_command() {
        let settings = WatchSettings {
            interval: Some("2s".into()),
            folders: vec!["/a".into(), "/b".into()],
            exclude: vec!["/c".into()],
            since: Some("30d".into()),
            // That is the server's business.
            retention_days: Some(90),
        };
        let expected = "--claude-dir /a --claude-dir /b --since 30d --interval 2s";
        let words: Vec<_> = expected.split(' ').map(std::ffi::OsString::from).collect();
        assert_eq!(settings.arguments(), words);
    }
}
