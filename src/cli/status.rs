//! `confab status`: one look at account, redaction, hooks and sessions. `doctor` looks closer.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::cli::account::{identity, name, plain};
use crate::cli::finding::{Finding, Level};
use crate::cli::lines::count;
use crate::cli::sync_status::{self, Overview};
use crate::cli::watch::left_out;
use crate::config::keys::shown_address;
use crate::config::{self, Account};
use crate::error::{Context, Result};
use crate::files::Paths;
use crate::fleet::{self, Phase, Standing};
use crate::redact::{self, Redactor};
use crate::remote::Client;

/// Time for the one question to the backend.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Status {
    /// Null while there is none.
    backend_url: Option<String>,
    /// Null while nobody is signed in, or the backend does not say.
    user: Option<String>,
    redaction: Redaction,
    /// As `doctor` has them.
    hooks: Vec<Finding>,
    sessions: Sessions,
    /// What `confab watch` says of itself, that of this configuration before others; null when none
    /// runs.
    watch: Option<Standing>,
    /// What further ones say, which have other configurations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_watches: Vec<Standing>,
    /// What needs to be done.
    problems: Vec<Problem>,
}

#[derive(Debug, Default, Serialize)]
struct Redaction {
    enabled: bool,
    use_default_patterns: bool,
    /// The user's own patterns that work.
    patterns: usize,
}

#[derive(Debug, Default, Serialize)]
struct Sessions {
    followed: usize,
    pending: usize,
    /// Whose state file cannot be read.
    damaged: usize,
    /// On the backend; they are not sent any more.
    deleted: usize,
    only_here_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Problem {
    what: String,
    hint: Option<String>,
}

/// Writes the status, as JSON or for people; true when nothing needs to be done. `hooks` is what
/// the check of the hooks has found.
///
/// # Errors
/// When the configuration or the sessions cannot be read or the output not be written.
pub fn run(
    paths: &Paths,
    hooks: Vec<Finding>,
    connect: &dyn Fn(&Account) -> Result<Client>,
    json: bool,
    out: &mut dyn Write,
) -> Result<bool> {
    let config = config::load(paths)?;
    let mut problems = Vec::new();
    let user = config.account().and_then(|account| {
        let standing = connect(&account)?.check(REQUEST_TIME_MAX).standing;
        Ok(plain(name(&identity(standing)?)))
    });
    let user = user.map_err(|error| problems.push(Finding::error("backend", &error))).ok();
    let redaction = redaction(&config.redaction, &mut problems);
    problems.extend(config.exclude_problems().iter().map(|error| Finding::error("exclude", error)));
    problems.extend(hooks.iter().filter(|finding| finding.level == Level::Fail).cloned());
    let mut watches = fleet::standings(paths).into_iter();
    let status = Status {
        backend_url: Some(shown_address(config.backend_url.trim())).filter(|url| !url.is_empty()),
        user,
        redaction,
        hooks,
        sessions: sessions(&sync_status::overview(paths)?),
        watch: watches.next(),
        other_watches: watches.collect(),
        problems: problems
            .into_iter()
            .map(|Finding { what, hint, .. }| Problem { what, hint })
            .collect(),
    };
    let written = match json {
        true => serde_json::to_writer_pretty(&mut *out, &status)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
        false => print(&status, out),
    };
    written.context(|| "write to standard output".into())?;
    Ok(status.problems.is_empty())
}

fn redaction(settings: &redact::Settings, problems: &mut Vec<Finding>) -> Redaction {
    let (redactor, errors) = Redactor::new(settings);
    problems.extend(errors.iter().map(|error| Finding::error("redaction", error)));
    Redaction {
        enabled: settings.enabled,
        use_default_patterns: settings.use_default_patterns,
        patterns: redactor.own_rules(),
    }
}

fn sessions(overview: &Overview) -> Sessions {
    let count = |status| overview.sessions.iter().filter(|one| one.status == status).count();
    let files = overview.sessions.iter().flat_map(|session| &session.files);
    Sessions {
        followed: count("following") + count("existing-client"),
        pending: count("pending"),
        damaged: count("damaged"),
        deleted: overview.deleted.len(),
        only_here_bytes: files.filter_map(|file| file.only_here_bytes).sum(),
    }
}

/// `on: built-in rules and 2 patterns of your own`.
pub(super) fn rules(enabled: bool, built_in: bool, n_patterns: usize) -> String {
    let own = match n_patterns {
        1 => "1 pattern of your own".to_owned(),
        n => format!("{n} patterns of your own"),
    };
    match (enabled, built_in, n_patterns) {
        (false, ..) => "off: secrets leave this machine".to_owned(),
        (true, true, 0) => "on: built-in rules".to_owned(),
        (true, true, _) => format!("on: built-in rules and {own}"),
        (true, false, _) => format!("on, without the built-in rules: {own}"),
    }
}

fn print(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let url = status.backend_url.as_deref().unwrap_or("none");
    match &status.user {
        Some(user) => writeln!(out, "backend    {url}, signed in as {user}")?,
        None => writeln!(out, "backend    {url}")?,
    }
    let Redaction { enabled, use_default_patterns, patterns } = status.redaction;
    writeln!(out, "redaction  {}", rules(enabled, use_default_patterns, patterns))?;
    for finding in &status.hooks {
        writeln!(out, "hooks      {}", finding.what)?;
    }
    let Sessions { followed, pending, damaged, deleted, only_here_bytes } = status.sessions;
    write!(out, "sessions   {followed} followed, {pending} pending")?;
    for (n, what) in [(damaged, "damaged"), (deleted, "deleted on the backend")] {
        if n > 0 {
            write!(out, ", {n} {what}")?;
        }
    }
    match only_here_bytes {
        0 => writeln!(out)?,
        bytes => writeln!(out, "; {bytes} bytes exist only here")?,
    }
    for standing in status.watch.iter().chain(&status.other_watches) {
        writeln!(out, "watch      {}, process {}", doing(standing), standing.pid)?;
        if let Some(error) = standing.last_error.as_ref().filter(|_| standing.failed > 0) {
            writeln!(out, "           last error at {}: {}", error.at, error.what)?;
        }
    }
    for Problem { what, hint } in &status.problems {
        writeln!(out, "problem    {what}")?;
        if let Some(hint) = hint {
            writeln!(out, "           hint: {hint}")?;
        }
    }
    Ok(())
}

/// `following 12 sessions, 1 failed and will be tried again`.
fn doing(standing: &Standing) -> String {
    let Standing { sessions, to_bring, brought, failed, .. } = *standing;
    let mut text = match standing.phase {
        Phase::BringingIn => {
            format!("bringing in {}, {brought} of them done", count(to_bring, "session"))
        }
        Phase::Following => format!("following {}", count(sessions, "session")),
        Phase::Waiting => "waiting for the backend, which takes nothing".to_owned(),
        Phase::Stopping => "stopping".to_owned(),
    };
    if failed > 0 {
        text += &format!(", {failed} failed and will be tried again");
    }
    for some in left_out(standing) {
        text += &format!(", {some}");
    }
    for folder in &standing.empty_folders {
        text += &format!(", {} has no projects", folder.display());
    }
    text
}
