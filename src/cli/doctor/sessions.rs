//! Daemons that live and do nothing, sessions that wait for delivery, and the day on which Claude
//! Code deletes what exists only here.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::cli::finding::Finding;
use crate::cli::sync_status::{self, FileView, SessionView};
use crate::config::Config;
use crate::files::{self, Paths};
use crate::time;

/// Sessions that are named one by one; of the rest there is a count.
const SESSIONS_SHOWN_MAX: usize = 20;
/// How long a daemon may have bytes that it has not delivered, while nothing fails: more than its
/// longest interval would be.
const STUCK_AFTER: Duration = Duration::from_secs(2 * 60 * 60);
/// Claude Code's default of `cleanupPeriodDays`.
const CLEANUP_DAYS: u64 = 30;
/// From here on there is no time to lose.
const CLEANUP_DAYS_CRITICAL: u64 = 7;
/// Bytes of Claude Code's settings.
const SETTINGS_BYTES_MAX: usize = 8 << 20;
const DAY: Duration = Duration::from_secs(86_400);

/// What matters here of Claude Code's `settings.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClaudeSettings {
    cleanup_period_days: Option<u64>,
}

/// Looks at everything that has state on this machine.
pub fn check(paths: &Paths, config: &Config, now: SystemTime, findings: &mut Vec<Finding>) {
    let overview = match sync_status::overview(paths) {
        Ok(overview) => overview,
        Err(error) => return findings.push(Finding::error("sessions", &error)),
    };
    let following: Vec<&SessionView> =
        overview.sessions.iter().filter(|session| session.status == "following").collect();
    let before = findings.len();
    findings.extend(following.iter().filter_map(|session| stuck(session, now)));
    findings.extend(silent(paths, config, &following));
    if findings.len() == before {
        let text = match following.len() {
            0 => "none runs".to_owned(),
            1 => "1 runs, and its log grows".to_owned(),
            n => format!("{n} run, and their log grows"),
        };
        findings.push(Finding::ok("daemons", text));
    }
    let waiting: Vec<Finding> = overview
        .sessions
        .iter()
        .filter(|session| session.status != "existing-client")
        .filter_map(|session| waiting(paths, session, now))
        .collect();
    let n_more = waiting.len().saturating_sub(SESSIONS_SHOWN_MAX);
    if waiting.is_empty() {
        findings.push(Finding::ok("sessions", "everything that was followed is delivered"));
    }
    findings.extend(waiting.into_iter().take(SESSIONS_SHOWN_MAX));
    if n_more > 0 {
        let what = format!("{n_more} more are not fully delivered");
        findings.push(Finding::warn("sessions", what, "confab sync status shows all"));
    }
}

/// A daemon that lives, meets no error, and has not delivered what is there for long.
fn stuck(session: &SessionView, now: SystemTime) -> Option<Finding> {
    let is_old = |file: &FileView| {
        let modified = std::fs::metadata(&file.path).and_then(|found| found.modified()).ok();
        let age = modified.and_then(|modified| now.duration_since(modified).ok());
        file.only_here_bytes > Some(0) && !file.full && age > Some(STUCK_AFTER)
    };
    let pid = session.pid?;
    if session.last_error.is_some() || !session.files.iter().any(is_old) {
        return None;
    }
    let what = format!("the one of {} (process {pid}) does not deliver", session.session);
    let hint = format!("kill {pid}, then confab sync flush; the log may say why");
    Some(Finding::fail("daemons", what, &hint))
}

/// A daemon writes a line when it starts: a log that is older than the daemon is not written to.
fn silent(paths: &Paths, config: &Config, following: &[&SessionView]) -> Option<Finding> {
    let starts = following.iter().filter_map(|session| session.started_at.as_deref());
    let started = starts.filter_map(time::parse_rfc3339).max()?;
    if config.level() < log::LevelFilter::Info {
        return None;
    }
    let log = paths.logs.join("confab.log");
    let written = std::fs::metadata(&log).and_then(|found| found.modified()).ok();
    // File systems keep times less finely than the clock does.
    if written.is_some_and(|written| written + Duration::from_secs(2) >= started) {
        return None;
    }
    let what = format!("{} is not written to", log.display());
    Some(Finding::warn("daemons", what, "check owner and mode of the folder, and the disk"))
}

/// What a session has that the backend has not; nothing to say when that is nothing, or a daemon is
/// at work on it without errors.
fn waiting(paths: &Paths, session: &SessionView, now: SystemTime) -> Option<Finding> {
    let id = &session.session;
    if session.status == "damaged" {
        let what = format!("{id}: its state file is damaged");
        return Some(Finding::fail("sessions", what, "confab sync flush asks the backend instead"));
    }
    let error = session.last_error.as_ref();
    if session.status == "following" && error.is_none() {
        return None;
    }
    let bytes: u64 = session.files.iter().filter_map(|file| file.only_here_bytes).sum();
    let missing = session.files.iter().any(|file| file.only_here_bytes.is_none());
    let mut what = match (session.status, bytes) {
        ("following", _) => format!("{id} is followed, and cannot be delivered"),
        (_, 0) => format!("{id} is pending"),
        (_, bytes) => format!("{id} is pending, {bytes} bytes exist only here"),
    };
    if missing {
        what += "; a file of it is gone";
    }
    let hint = error.and_then(|error| error.hint.as_deref()).unwrap_or("confab sync flush");
    if let Some(error) = error {
        what += &format!("; last error: {}", error.what);
    }
    let Some(days) = days_left(paths, session, now) else {
        return Some(Finding::warn("sessions", what, hint));
    };
    let what = match days {
        0 => format!("{what}; Claude Code deletes it at its next start"),
        1 => format!("{what}; Claude Code deletes it in a day"),
        days => format!("{what}; Claude Code deletes it in {days} days"),
    };
    Some(match days < CLEANUP_DAYS_CRITICAL {
        true => Finding::fail("sessions", what, hint),
        false => Finding::warn("sessions", what, hint),
    })
}

/// Days until Claude Code deletes the first file with bytes that exist only here.
fn days_left(paths: &Paths, session: &SessionView, now: SystemTime) -> Option<u64> {
    let files = session.files.iter().filter(|file| file.only_here_bytes > Some(0));
    files
        .filter_map(|file| {
            let path = Path::new(&file.path);
            let folder = paths.claude.iter().find(|folder| path.starts_with(folder))?;
            let modified = std::fs::metadata(path).and_then(|found| found.modified()).ok()?;
            let age = now.duration_since(modified).unwrap_or_default();
            Some(cleanup_days(folder).saturating_sub(age.as_secs() / DAY.as_secs()))
        })
        .min()
}

/// How long Claude Code keeps transcripts in this folder. Settings that cannot be read are the
/// hooks' affair.
fn cleanup_days(claude: &Path) -> u64 {
    let bytes = files::read_bounded(&claude.join("settings.json"), SETTINGS_BYTES_MAX);
    let settings = serde_json::from_slice::<ClaudeSettings>(&bytes.unwrap_or_default());
    settings.unwrap_or_default().cleanup_period_days.unwrap_or(CLEANUP_DAYS)
}
