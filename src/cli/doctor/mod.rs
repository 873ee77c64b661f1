//! `confab doctor`: checks what can be wrong, and says what to do. A check that fails does not keep
//! the others from running, reads are bounded, and there is one request with a deadline.

mod local;
mod sessions;

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::cli::account::{identity, name, plain};
use crate::cli::finding::{Finding, is_well, print};
use crate::config::keys::shown_address;
use crate::config::{Account, Config};
use crate::error::{Context, Result};
use crate::files::Paths;
use crate::remote::{Check, Client, Standing, Trouble};

/// Time for the one question to the backend.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(20);
/// How far clocks may be apart before times of sessions are misleading.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);
/// How far clocks may be apart before certificates are taken for expired.
const CLOCK_SKEW_HARMFUL: Duration = Duration::from_secs(24 * 60 * 60);

/// What the checks need of the world.
pub struct Patient<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// The time.
    pub now: SystemTime,
    /// Makes the connection to the backend.
    pub connect: &'a dyn Fn(&Account) -> Result<Client>,
    /// What the check of the hooks has found.
    pub hooks: Vec<Finding>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Diagnosis<'a> {
    well: bool,
    findings: &'a [Finding],
}

/// Writes all findings, as JSON or for people; true when nothing is wrong.
///
/// # Errors
/// When the output cannot be written.
pub fn run(patient: Patient<'_>, json: bool, out: &mut dyn Write) -> Result<bool> {
    let findings = examine(patient);
    let well = is_well(&findings);
    let written = match json {
        true => serde_json::to_writer_pretty(&mut *out, &Diagnosis { well, findings: &findings })
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
        false => print(&findings, out),
    };
    written.context(|| "write to standard output".into())?;
    Ok(well)
}

/// All checks.
pub fn examine(patient: Patient<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let config = local::config(patient.paths, &mut findings);
    if let Some(config) = &config {
        local::redaction(&config.redaction, &mut findings);
        local::live(config, patient.paths, &mut findings);
        backend(config, patient.connect, patient.now, &mut findings);
    }
    local::disk(patient.paths, &mut findings);
    findings.extend(patient.hooks);
    sessions::check(patient.paths, &config.unwrap_or_default(), patient.now, &mut findings);
    findings
}

/// Address, certificates, key and clock, by one question.
fn backend(
    config: &Config,
    connect: &dyn Fn(&Account) -> Result<Client>,
    now: SystemTime,
    findings: &mut Vec<Finding>,
) {
    let client = config.account().and_then(|account| Ok((connect(&account)?, account)));
    let (client, account) = match client {
        Ok(both) => both,
        Err(error) => return findings.push(Finding::error("backend", &error)),
    };
    let Check { date, standing } = client.check(REQUEST_TIME_MAX);
    let url = shown_address(&account.url);
    let is_encrypted = account.url.starts_with("https://");
    if is_encrypted && !matches!(standing, Standing::Unreachable(..)) {
        findings.push(Finding::ok("certificates", format!("that of {url} is trusted")));
    }
    if !is_encrypted && config.allow_insecure_http {
        let what = format!("{url} is plain http: key and transcripts may be read on the way");
        findings.push(Finding::warn("certificates", what, "use https, or an encrypted network"));
    }
    let check = match &standing {
        Standing::Refused(_) => "key",
        Standing::Unreachable(Trouble::Certificate, _) => "certificates",
        _ => "backend",
    };
    let is_unsure = matches!(standing, Standing::Unsure(_));
    let answers = Finding::ok("backend", format!("{url} answers"));
    match identity(standing) {
        Ok(identity) => {
            findings.push(answers);
            let user = plain(name(&identity));
            findings.push(Finding::ok("key", format!("is accepted; it belongs to {user}")));
        }
        Err(error) => {
            if check == "key" {
                findings.push(answers);
            }
            let finding = Finding::error(check, &error);
            let finding = Finding { what: format!("{url}: {}", finding.what), ..finding };
            findings.push(match is_unsure {
                true => Finding::warn(check, finding.what, "try again in a minute"),
                false => finding,
            });
        }
    }
    findings.extend(date.map(|date| clock(now, date)));
}

fn clock(now: SystemTime, backend: SystemTime) -> Finding {
    let (skew, direction) = match now.duration_since(backend) {
        Ok(skew) => (skew, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    let hint = "set the clock, or let NTP do it";
    let minutes = skew.as_secs() / 60;
    if skew < CLOCK_SKEW_MAX {
        return Finding::ok("clock", "agrees with the backend's");
    }
    if skew < CLOCK_SKEW_HARMFUL {
        let what = format!("is {minutes} minutes {direction} the backend's");
        return Finding::warn("clock", what, hint);
    }
    Finding::fail("clock", format!("is more than a day {direction} the backend's"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::finding::Level;

    #[test]
    fn clocks_may_differ_a_little() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let later = |seconds| now + Duration::from_secs(seconds);
        let cases = [
            (now, later(299), Level::Ok, "agrees"),
            (now, later(301), Level::Warn, "5 minutes behind"),
            (later(7200), now, Level::Warn, "120 minutes ahead of"),
            (later(86_400), now, Level::Fail, "more than a day ahead of"),
        ];
        for (here, there, level, text) in cases {
            let finding = clock(here, there);
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.what.contains(text), "{finding:?}");
        }
    }
}
