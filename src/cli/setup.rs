//! `confab setup`: from nothing to sessions that are followed, by one command.
//!
//! Each step looks first at what is there already, so that running it again changes nothing, and
//! repairs what has broken since. Nothing is written before the backend has accepted the key.

use std::io::Write;
use std::time::Duration;

use crate::cli::account::{identity, name, plain};
use crate::cli::finding::{self, Finding, Level};
use crate::cli::local_server::{self, Found, Machine};
use crate::cli::login::{self, Console, Login};
use crate::config::keys::shown_address;
use crate::config::{self, Account, Config};
use crate::error::{Context, Error, Result};
use crate::files::Paths;
use crate::remote::{Client, Standing};

/// Time for the question whether a key is still good.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(15);

/// What the user asked for, and what `main` lends.
pub struct Setup<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// Address, key and key's name.
    pub login: Login,
    /// The embedded backend on this machine is to be used.
    pub local: Option<Machine<'a>>,
    /// Makes the connection to the backend.
    pub connect: &'a dyn Fn(&Account) -> Result<Client>,
    /// Installs the hooks in all Claude folders and says so; false when one of them failed.
    pub add_hooks: &'a dyn Fn(&mut dyn Write) -> Result<bool>,
    /// Checks everything.
    pub examine: &'a dyn Fn() -> Vec<Finding>,
}

/// Signs in, installs the hooks, checks. True when all is well.
///
/// # Errors
/// When signing in fails; nothing is written then.
pub fn run(mut setup: Setup<'_>, console: &mut Console<'_>) -> Result<bool> {
    let config = config::load(setup.paths)?;
    if let Some(machine) = &setup.local {
        let url = local_server::url(setup.login.backend_url.as_deref(), &config.backend_url)?;
        if local_server::ready(machine, &url)? == Found::Started {
            say(console.out, &format!("confab-server is started and answers at {url}"))?;
        }
        setup.login.backend_url = Some(url);
    }
    if setup.login.backend_url.is_none() && config.backend_url.is_empty() {
        return Err(Error::new("no backend is named").with_hint(
            "confab setup --backend-url URL, or confab setup --local to use this machine",
        ));
    }
    sign_in(&mut setup, &config, console)?;
    let hooks_are_in = (setup.add_hooks)(console.out)?;
    let findings = (setup.examine)();
    let is_well = hooks_are_in && finding::is_well(&findings);
    tell(&findings, is_well, console.out).context(|| "write to standard output".into())?;
    Ok(is_well)
}

/// Signs in unless that is done already.
fn sign_in(setup: &mut Setup<'_>, config: &Config, console: &mut Console<'_>) -> Result<()> {
    if setup.login.api_key.is_none() && is_signed_in(setup, config, console)? {
        return Ok(());
    }
    if let (Some(machine), None) = (&setup.local, &setup.login.api_key) {
        let name = setup.login.name.clone().unwrap_or_default();
        setup.login.api_key = Some(local_server::create_key(machine, &name)?);
    }
    login::login(setup.paths, setup.login.clone(), setup.connect, console).map_err(|error| {
        match setup.local {
            Some(_) if error.hint().is_none() => error.with_hint(
                "the backend that answers there may keep its data elsewhere: sign in with a key \
                 of it, --api-key",
            ),
            _ => error,
        }
    })
}

/// Whether the key of the configuration is one of this backend and still good.
fn is_signed_in(setup: &Setup<'_>, config: &Config, console: &mut Console<'_>) -> Result<bool> {
    let wanted = match &setup.login.backend_url {
        Some(url) => Config { backend_url: url.clone(), ..config.clone() }.address()?,
        None => config.address()?,
    };
    if config.api_key.is_empty() || config.address().is_ok_and(|url| url != wanted) {
        return Ok(false);
    }
    let Ok(account) = config.account() else { return Ok(false) };
    let standing = (setup.connect)(&account)?.check(REQUEST_TIME_MAX).standing;
    let url = shown_address(&account.url);
    if let Standing::Refused(why) = &standing {
        let why = plain(why);
        let _ = writeln!(console.talk, "{url} does not accept the key any more: {why}");
        return Ok(false);
    }
    let identity = identity(standing).context(|| format!("ask {url}"))?;
    login::turn_redaction_on(setup.paths)?;
    say(console.out, &format!("signed in to {url} already, as {}", plain(name(&identity))))?;
    Ok(true)
}

/// What was found to be wrong, and what comes next.
fn tell(findings: &[Finding], is_well: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let remarks: Vec<Finding> =
        findings.iter().filter(|finding| finding.level != Level::Ok).cloned().collect();
    match remarks.len() {
        0 => writeln!(out, "all {} checks are well", findings.len())?,
        _ => finding::print(&remarks, out)?,
    }
    if !is_well {
        return writeln!(out, "\nput right what is wrong; confab doctor checks again");
    }
    writeln!(
        out,
        "\nfrom the next session of Claude Code on, every line is uploaded\n\
         confab list         what is on this machine, and how much of it the backend has\n\
         confab save --all   brings in the history"
    )
}

fn say(out: &mut dyn Write, line: &str) -> Result<()> {
    writeln!(out, "{line}").context(|| "write to standard output".into())
}
