//! How a daemon is started: one table for those who start it and for those who read it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::files::SessionId;
use crate::sys::process::Process;

/// What a daemon is told on its command line: nothing that is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The session to follow.
    pub id: SessionId,
    /// Where its transcript is or will be.
    pub transcript: PathBuf,
    /// Its working directory.
    pub cwd: String,
    /// The Claude Code process.
    pub parent: Option<Process>,
}

/// What a daemon keeps of the environment. All else stays behind: Claude's holds keys and tokens.
const ENVIRONMENT_KEPT: [&str; 28] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "CLAUDE_CONFIG_DIR",
    "CONFAB_CLAUDE_DIR",
    "CONFAB_CONFIG_PATH",
    "CONFAB_LOG_DIR",
    "CONFAB_SYNC_INTERVAL_MS",
    "CONFAB_SYNC_JITTER_MS",
    "CONFAB_DISABLE_LINK_FROM_GITHUB",
    "RUST_BACKTRACE",
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
];

impl Launch {
    /// The part of an environment that a daemon is given.
    pub fn environment(
        all: impl Iterator<Item = (OsString, OsString)>,
    ) -> Vec<(OsString, OsString)> {
        all.filter(|(name, _)| ENVIRONMENT_KEPT.iter().any(|kept| name == kept)).collect()
    }

    /// The hidden command that these arguments belong to.
    pub const COMMAND: &str = "daemon";

    /// The command line behind the program's name.
    pub fn arguments(&self) -> Vec<OsString> {
        let parent = self
            .parent
            .map_or("0:0".to_owned(), |parent| format!("{}:{}", parent.pid, parent.start));
        vec![
            Launch::COMMAND.into(),
            "--session".into(),
            self.id.as_str().into(),
            "--transcript".into(),
            self.transcript.clone().into(),
            "--cwd".into(),
            self.cwd.clone().into(),
            "--parent".into(),
            parent.into(),
        ]
    }

    /// The process that the value of `--parent` names.
    pub fn parent_of(text: &str) -> Option<Process> {
        let (pid, start) = text.split_once(':')?;
        let process = Process { pid: pid.parse().ok()?, start: start.parse().ok()? };
        (process.pid > 1).then_some(process)
    }
}
