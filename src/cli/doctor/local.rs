//! What can be wrong on this machine without any session: the configuration, its patterns, and the
//! folders that are written to.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::cli::finding::Finding;
use crate::cli::status::rules;
use crate::config::keys::KEYS;
use crate::config::{self, Config, Document};
use crate::files::{self, Paths};
use crate::redact::{Redactor, Settings};
use crate::watch::{Interest, Place, Watch};

/// Bytes that are written to see whether a folder can be written to.
const TRIAL_BYTES: usize = 4096;
/// Keys whose values other checks look at.
const CHECKED_ELSEWHERE: [&str; 4] = ["backend_url", "api_key", "allow_insecure_http", "redaction"];

/// The configuration; `None` when it cannot be read.
pub fn config(paths: &Paths, findings: &mut Vec<Finding>) -> Option<Config> {
    let path = &paths.config;
    let config = match config::load(paths) {
        Ok(config) => config,
        Err(error) => {
            findings.push(Finding::error("config", &error));
            return None;
        }
    };
    let Ok(metadata) = std::fs::metadata(path) else {
        let what = format!("there is no {}", path.display());
        findings.push(Finding::fail(
            "config",
            what,
            "confab setup --backend-url URL, or confab setup --local",
        ));
        return Some(config);
    };
    let mode = metadata.permissions().mode() & 0o777;
    let before = findings.len();
    if mode & 0o077 != 0 {
        let what = format!("{} is open to other users (mode {mode:o})", path.display());
        let hint = format!("chmod 600 {}", path.display());
        findings.push(Finding::fail("config", what, &hint));
    }
    let folder = path.parent().unwrap_or(&paths.root);
    let folder_mode = std::fs::metadata(folder).map_or(0, |found| found.permissions().mode());
    if folder_mode & 0o022 != 0 {
        let what = format!("{} can be changed by other users", folder.display());
        findings.push(Finding::fail("config", what, &format!("chmod 700 {}", folder.display())));
    }
    let document = Document::load(paths).ok();
    let set = |key| document.as_ref().is_some_and(|text| matches!(text.get(key), Ok(Some(_))));
    for key in KEYS.iter().filter(|key| set(key)) {
        if CHECKED_ELSEWHERE.contains(&key.path()[0]) {
            continue;
        }
        if let Err(error) = key.check(&config) {
            findings.push(Finding::error("config", &error));
        }
    }
    if findings.len() == before {
        findings.push(Finding::ok("config", format!("{} is private and right", path.display())));
    }
    Some(config)
}

/// All patterns, each that does not compile by itself.
pub fn redaction(settings: &Settings, findings: &mut Vec<Finding>) {
    let (redactor, errors) = Redactor::new(settings);
    let text = rules(settings.enabled, settings.use_default_patterns, redactor.own_rules());
    findings.push(match settings.enabled {
        true => Finding::ok("redaction", text),
        false => Finding::warn("redaction", text, "confab config set redaction.enabled true"),
    });
    findings.extend(errors.iter().map(|error| Finding::error("redaction", error)));
}

/// Whether file events tell of all changes, where the configuration asks for them.
pub fn live(config: &Config, paths: &Paths, findings: &mut Vec<Finding>) {
    if !config.is_live() {
        return;
    }
    let projects = paths.claude.iter().map(|folder| folder.join("projects"));
    let places = projects.map(|path| Place { path, interest: Interest::Names });
    let otherwise = "files are looked at every second instead";
    findings.push(match Watch::new().map(|watch| watch.set(places).missed) {
        Ok(false) => Finding::ok("live", "file events tell of each line as it is written"),
        Ok(true) => Finding::warn(
            "live",
            format!("not every change of Claude's files is told of: {otherwise}"),
            "keep Claude's folder on a disk of this machine, or raise fs.inotify.max_user_watches",
        ),
        Err(error) => Finding::warn(
            "live",
            format!("there are no file events ({error}): {otherwise}"),
            "raise fs.inotify.max_user_instances",
        ),
    });
}

/// Everything that is written to, tried out by writing.
pub fn disk(paths: &Paths, findings: &mut Vec<Finding>) {
    let before = findings.len();
    let mut found_any = false;
    for folder in [&paths.root, &paths.sync, &paths.kept, &paths.logs] {
        match try_out(folder) {
            Ok(()) => found_any = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => findings.push(Finding::fail(
                "disk",
                format!("{} cannot be written to: {error}", folder.display()),
                "check its owner and mode, and whether the disk is full or read-only",
            )),
        }
    }
    if findings.len() == before {
        let what = if found_any { "can be written to" } else { "is made when it is needed" };
        findings.push(Finding::ok("disk", format!("{} {what}", paths.root.display())));
    }
}

fn try_out(folder: &Path) -> io::Result<()> {
    let trial = folder.join(".doctor");
    files::replace(&trial, &[b'x'; TRIAL_BYTES])?;
    files::remove_if_present(&trial)
}
