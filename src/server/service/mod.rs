//! Files that run the server as a service: a systemd unit, hardened as far as its kind of manager
//! can, and a plain script for machines without systemd. Texts in, texts out.
//!
//! Deliberately absent: starting anything. Whoever installs a service is told the next command.

use std::fs::{Permissions, set_permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::files::{make_folder, read_bounded, replace};

/// A line of everything that is written here: such a file may be replaced.
pub const MARK: &str =
    "# Written by `confab-server install-service`; changes are lost when it runs again.";
/// Name of the unit.
pub const UNIT_NAME: &str = "confab-server.service";
/// Name of the script.
pub const SCRIPT_NAME: &str = "confab-server.sh";

/// Bytes of a file that may be one of ours.
const FILE_BYTES_MAX: usize = 64 << 10;

const UNIT: &str = include_str!("unit.txt");
const OF_USER: &str = include_str!("unit_user.txt");
const OF_SYSTEM: &str = include_str!("unit_system.txt");
const SCRIPT: &str = include_str!("script.sh");

/// What is to run.
#[derive(Debug)]
pub struct Service<'a> {
    /// The server's binary.
    pub program: &'a Path,
    /// The data folder.
    pub data: &'a Path,
    /// Where to listen, unless the settings say it.
    pub listen: Option<&'a str>,
    /// For the whole machine and not for one user.
    pub is_system: bool,
    /// The sessions of this machine to follow, if any.
    pub watch: Option<Watch<'a>>,
}

/// What `--watch` runs.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    /// Whose sessions they are, unless those of the first user.
    pub user: Option<&'a str>,
    /// Claude's folders, unless the usual one.
    pub folders: &'a [PathBuf],
}

impl Service<'_> {
    /// The systemd unit.
    ///
    /// # Errors
    /// When a path cannot stand in a unit: not absolute, not UTF-8, or with a line break.
    pub fn unit(&self) -> Result<String> {
        let words = self.words()?;
        let command: Vec<String> = words.iter().map(|word| unit_word(word)).collect();
        let data = unit_path(absolute(self.data)?);
        let kind = match self.is_system {
            true => OF_SYSTEM.replace("{DATA}", &data),
            false => OF_USER.to_owned(),
        };
        let wanted_by = if self.is_system { "multi-user.target" } else { "default.target" };
        let text = UNIT
            .replace("{MARK}", MARK)
            .replace("{COMMAND}", &command.join(" "))
            .replace("{KIND}", kind.trim_end())
            .replace("{STOP_SECONDS}", self.stop_seconds())
            .replace("{WANTED_BY}", wanted_by);
        Ok(text)
    }

    /// The script, which takes `start`, `stop`, `restart` and `status`.
    ///
    /// # Errors
    /// As [`Service::unit`].
    pub fn script(&self) -> Result<String> {
        let words = self.words()?;
        let command: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
        let text = SCRIPT
            .replace("{MARK}", MARK)
            .replace("{STOP_SECONDS}", self.stop_seconds())
            .replace("{DATA}", &shell_word(absolute(self.data)?))
            .replace("{COMMAND}", &command.join(" "));
        Ok(text)
    }

    fn words(&self) -> Result<Vec<&str>> {
        let mut words = vec![absolute(self.program)?, "serve", "--data", absolute(self.data)?];
        if let Some(listen) = self.listen {
            words.extend(["--listen", listen]);
        }
        if let Some(Watch { user, folders }) = self.watch {
            words.push("--watch");
            words.extend(user.into_iter().flat_map(|user| ["--watch-user", user]));
            for folder in folders {
                words.extend(["--claude-dir", absolute(folder)?]);
            }
        }
        match words.iter().any(|word| word.contains(char::is_control)) {
            false => Ok(words),
            true => Err(Error::new("a path with control characters cannot stand in a service")),
        }
    }

    /// What is in flight is answered first, and a watch delivers the rest.
    fn stop_seconds(&self) -> &'static str {
        if self.watch.is_some() { "60" } else { "30" }
    }
}

fn absolute(path: &Path) -> Result<&str> {
    match path.to_str() {
        Some(text) if path.is_absolute() => Ok(text),
        _ => Err(Error::new(format!("{} is not an absolute path in UTF-8", path.display()))),
    }
}

/// Writes a file with this mode, unless somebody else's is there. False when it was there like
/// that.
///
/// # Errors
/// When a file is there that was not written here, or it cannot be written.
pub fn install(path: &Path, text: &str, mode: u32) -> Result<bool> {
    let what = || format!("write {}", path.display());
    match read_bounded(path, FILE_BYTES_MAX) {
        Ok(there) if there == text.as_bytes() => return Ok(false),
        Ok(there) if !there.windows(MARK.len()).any(|part| part == MARK.as_bytes()) => {
            let others = Error::new(what()).caused_by("another file has that name");
            return Err(others.with_hint("move it away, or name another folder with --dest"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(path.parent().unwrap_or(path)).context(what)?;
        }
        Err(error) => return Err(Error::new(what()).caused_by(error)),
    }
    replace(path, text.as_bytes()).context(what)?;
    set_permissions(path, Permissions::from_mode(mode)).context(what)?;
    Ok(true)
}

/// A word of a command line in a unit (systemd.service, "Command lines").
fn unit_word(word: &str) -> String {
    let mut quoted = String::from("\"");
    for character in word.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '%' => quoted.push_str("%%"),
            '$' => quoted.push_str("$$"),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

/// A path in a list of paths in a unit.
fn unit_path(path: &str) -> String {
    unit_word(path).replace("$$", "$")
}

/// A word of a shell command.
pub fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_stay_one_word() {
        let program = Path::new("/a b/$x/%h/\"q\"/'s'/\\/confab-server");
        let data = Path::new("/d$ %");
        let service =
            Service { program, data, listen: Some("[::1]:1"), is_system: true, watch: None };
        let unit = service.unit().unwrap();
        let expected = "ExecStart=\"/a b/$$x/%%h/\\\"q\\\"/'s'/\\\\/confab-server\" \"serve\" \
                        \"--data\" \"/d$$ %%\" \"--listen\" \"[::1]:1\"\n";
        assert!(unit.contains(expected), "{unit}");
        assert!(unit.contains("ReadWritePaths=\"/d$ %%\"\n"), "{unit}");
        let script = service.script().unwrap();
        assert!(script.contains("'/a b/$x/%h/\"q\"/'\\''s'\\''/\\/confab-server'"), "{script}");
        for text in [unit, script] {
            assert!(text.contains(MARK) && !text.contains("{DATA}") && !text.contains("{KIND}"));
        }
    }

    #[test]
    fn a_service_may_watch_and_takes_longer_to_end_then() {
        let good = Path::new("/s");
        let folders = ["/a b".into(), "/c".into()];
        let watch = Some(Watch { user: Some("me@x"), folders: &folders });
        let service = Service { program: good, data: good, listen: None, is_system: false, watch };
        let unit = service.unit().unwrap();
        let expected = "ExecStart=\"/s\" \"serve\" \"--data\" \"/s\" \"--watch\" \"--watch-user\" \
                        \"me@x\" \"--claude-dir\" \"/a b\" \"--claude-dir\" \"/c\"\n";
        assert!(unit.contains(expected) && unit.contains("TimeoutStopSec=60\n"), "{unit}");
        let script = service.script().unwrap();
        let expected = "/s serve --data /s --watch --watch-user 'me@x' --claude-dir '/a b' \
                        --claude-dir /c --log-file";
        assert!(script.contains(expected) && script.contains("-ge 60 "), "{script}");
        let unit = Service { watch: None, ..service }.unit().unwrap();
        assert!(unit.contains("TimeoutStopSec=30\n") && !unit.contains("{STOP"), "{unit}");
    }

    #[test]
    fn what_cannot_stand_in_a_service_is_refused() {
        for path in ["relative", "/a\nExecStartPre=/bin/sh"] {
            let path = Path::new(path);
            let good = Path::new("/good");
            for (program, data) in [(path, good), (good, path)] {
                let service =
                    Service { program, data, listen: None, is_system: false, watch: None };
                assert!(service.unit().is_err() && service.script().is_err());
            }
            let watch = Watch { user: None, folders: &[path.to_owned()] };
            let good = Path::new("/good");
            let service = Service {
                program: good,
                data: good,
                listen: None,
                is_system: false,
                watch: Some(watch),
            };
            assert!(service.unit().is_err() && service.script().is_err());
        }
    }
}
