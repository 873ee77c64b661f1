//! `confab uninstall`: what this program has put on the machine goes away again, and what stays is
//! listed.
//!
//! First the hooks, so that nothing new begins; then the daemons, which deliver what they have;
//! then, when nothing that is not delivered would be forgotten, config, key, state and logs.
//! Deliberately absent: deleting what is somebody's only copy, such as an embedded backend's data,
//! and deleting programs, which a package manager may own.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::sync_status::{self, Overview};
use crate::config;
use crate::error::{Context, Error, Result};
use crate::files::{self, Paths, SessionId};
use crate::fleet;
use crate::state::{self, Attempt};
use crate::sys::{self, process::Process};

/// How long a daemon may take for delivering the rest: a little more than it takes at most.
const DAEMON_TIME_MAX: Duration = Duration::from_secs(40);
/// How often, and how many times, a daemon that is being started is looked for.
const START_CHECK_INTERVAL: Duration = Duration::from_millis(20);
const START_CHECKS: usize = 150;
/// How many backups of settings are listed.
const BACKUPS_SHOWN_MAX: usize = 20;

/// What the user asked for, and what `main` lends.
pub struct Uninstall<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// This program.
    pub executable: &'a Path,
    /// Also when sessions are not fully delivered.
    pub force: bool,
    /// Lets time pass.
    pub wait: &'a dyn Fn(Duration),
    /// Takes the hooks out of all Claude folders and says so; false when one of them failed.
    pub remove_hooks: &'a dyn Fn(&mut dyn Write) -> Result<bool>,
}

/// Takes everything away. True when all of it worked.
///
/// # Errors
/// When something would be forgotten that is not delivered, or a file cannot be removed.
pub fn run(uninstall: &Uninstall<'_>, out: &mut dyn Write) -> Result<bool> {
    let paths = uninstall.paths;
    let backend = config::load(paths).map(|config| config.backend_url).unwrap_or_default();
    let hooks_gone = (uninstall.remove_hooks)(out)?;
    stop_daemons(uninstall, out)?;
    let n_waiting = undelivered(&sync_status::overview(paths)?);
    if n_waiting > 0 && !uninstall.force {
        let what = format!("{}: config and state stay", waiting(n_waiting));
        return Err(Error::new(what)
            .with_hint("confab sync flush delivers them; --force leaves them as they are"));
    }
    remove_files(paths, out)?;
    list_what_stays(uninstall, &backend, n_waiting, out)
        .context(|| "write to standard output".into())?;
    Ok(hooks_gone)
}

/// Ends all daemons, each with the time that it takes to deliver the rest.
fn stop_daemons(uninstall: &Uninstall<'_>, out: &mut dyn Write) -> Result<()> {
    let paths = uninstall.paths;
    let ids =
        state::sessions(paths).context(|| format!("list sessions in {}", paths.sync.display()))?;
    // First those that follow everything: they would take over what the others let go.
    let watches = fleet::standings(paths).into_iter();
    let watches = watches.filter_map(|standing| Process::find(standing.pid));
    let daemons = watches.chain(ids.iter().filter_map(|id| holder(uninstall, id)));
    let mut daemons: Vec<Process> = daemons.collect();
    daemons.dedup();
    for daemon in &daemons {
        // It may have ended in this moment.
        let _ = sys::signals::stop(daemon.pid);
    }
    for daemon in &daemons {
        if !daemon.wait_for_end(DAEMON_TIME_MAX) {
            let what = format!("the daemon {} does not end", daemon.pid);
            let hint = format!("kill -9 {}, then run it again", daemon.pid);
            return Err(Error::new(what).with_hint(hint));
        }
    }
    match daemons.len() {
        0 => Ok(()),
        1 => writeln!(out, "1 daemon has ended"),
        n => writeln!(out, "{n} daemons have ended"),
    }
    .context(|| "write to standard output".into())
}

/// The daemon of a session. One that is just being started says in a moment who it is.
fn holder(uninstall: &Uninstall<'_>, id: &SessionId) -> Option<Process> {
    for _ in 0..START_CHECKS {
        if let Some(daemon) = state::holder(uninstall.paths, id) {
            return Some(daemon);
        }
        match state::try_lock(uninstall.paths, id) {
            Ok(Attempt::Busy) => (uninstall.wait)(START_CHECK_INTERVAL),
            Ok(Attempt::Taken(lock)) => {
                // Nobody holds it; a file that stays does no harm.
                let _ = lock.remove();
                return None;
            }
            Err(_) => return None,
        }
    }
    None
}

/// Sessions with bytes that exist only here, or of which nobody knows.
fn undelivered(overview: &Overview) -> usize {
    let waits = |session: &&sync_status::SessionView| {
        let has_rest = |file: &sync_status::FileView| file.only_here_bytes.is_none_or(|n| n > 0);
        session.status != "existing-client"
            && (session.last_error.is_some()
                || session.files.is_empty()
                || session.files.iter().any(has_rest))
    };
    overview.sessions.iter().filter(waits).count()
}

fn waiting(n_sessions: usize) -> String {
    match n_sessions {
        1 => "1 session is not fully delivered".to_owned(),
        n => format!("{n} sessions are not fully delivered"),
    }
}

/// Config, key, state and logs. A folder that holds something else stays.
fn remove_files(paths: &Paths, out: &mut dyn Write) -> Result<()> {
    for file in [&paths.config, &paths.marker_key()] {
        if file.symlink_metadata().is_ok() {
            files::remove_if_present(file).context(|| format!("remove {}", file.display()))?;
            removed(file, out)?;
        }
    }
    for folder in [&paths.sync, &paths.kept, &paths.watches()] {
        if folder.is_dir() {
            fs::remove_dir_all(folder).context(|| format!("remove {}", folder.display()))?;
            removed(folder, out)?;
        }
    }
    for name in ["watch.json", "watch.lock"] {
        let file = paths.root.join(name);
        files::remove_if_present(&file).context(|| format!("remove {}", file.display()))?;
    }
    for log in logs(&paths.logs) {
        files::remove_if_present(&log).context(|| format!("remove {}", log.display()))?;
        removed(&log, out)?;
    }
    // What still holds something is not ours, or is listed as what stays.
    let _ = fs::remove_dir(&paths.logs);
    let _ = fs::remove_dir(&paths.root);
    Ok(())
}

/// The log and those that were put aside; the folder may be somebody else's.
fn logs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_log = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name == "confab.log" || name == "confab.lock" || name.starts_with("confab.log.")
    };
    let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_log).collect();
    logs.sort();
    logs
}

fn removed(path: &Path, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "removed {}", path.display()).context(|| "write to standard output".into())
}

fn list_what_stays(
    uninstall: &Uninstall<'_>,
    backend: &str,
    n_waiting: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let paths = uninstall.paths;
    writeln!(out, "\nwhat stays:")?;
    if n_waiting > 0 {
        writeln!(out, "- {}; Claude's folders have them", waiting(n_waiting))?;
    }
    for folder in paths.claude.iter().filter(|folder| folder.join("projects").is_dir()) {
        writeln!(out, "- Claude's own transcripts: {}", folder.join("projects").display())?;
    }
    for backup in backups(&paths.claude) {
        writeln!(out, "- settings as they were: rm {}", shell_word(&backup))?;
    }
    if !backend.is_empty() {
        let url = config::keys::shown_address(backend);
        writeln!(out, "- what {url} has, and the key there, until you delete them on it")?;
    }
    let server = paths.root.join("server");
    if server.is_dir() {
        writeln!(out, "- data of the embedded backend: rm -r {}", shell_word(&server))?;
    }
    for name in ["confab", "confab-server"] {
        let program = uninstall.executable.with_file_name(name);
        if program.is_file() {
            writeln!(out, "- the program: rm {}", shell_word(&program))?;
        }
    }
    Ok(())
}

/// Backups that `hooks add` and `hooks remove` have made.
fn backups(claude: &[PathBuf]) -> Vec<PathBuf> {
    let mut backups: Vec<PathBuf> = claude
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("settings.json.confab-backup")
        })
        .collect();
    backups.sort();
    backups.truncate(BACKUPS_SHOWN_MAX);
    backups
}

/// A path as a shell takes it.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%".contains(&byte);
    if text.bytes().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
