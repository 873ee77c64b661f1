//! `confab login` and `confab logout`: a key gets into the configuration, and out of it.
//!
//! A key is taken only after the backend has accepted it, and until then nothing is written.
//! Without one, the backend makes one while a person confirms a code in a browser (the device
//! flow): the code is shown as plain text, the browser is a convenience.

use std::io::Write;
use std::time::Duration;

use crate::cli::account::{identity, name, plain};
use crate::config::keys::{Key, shown_address};
use crate::config::{self, Account, Config};
use crate::error::{Context, Error, Result};
use crate::files::Paths;
use crate::remote::{Client, Poll, escaped};
use crate::time::Clock;
use crate::wire::{DeviceCode, DeviceError};

/// Time for one question.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(15);
/// How often a busy backend is asked for a code.
const CODE_ATTEMPTS_MAX: u32 = 4;
/// Between the first two attempts; doubled each time.
const CODE_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Between two polls, when the backend does not say.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The most that is waited between two polls.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// What is added to the interval when the backend asks for patience (RFC 8628, 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest that a code is waited for.
const CODE_TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// Bytes of a key's name.
const NAME_BYTES_MAX: usize = 255;

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// Another backend than that of the configuration.
    pub backend_url: Option<String>,
    /// The key; without one it comes from the device flow.
    pub api_key: Option<String>,
    /// Name of the new key.
    pub name: Option<String>,
}

/// The terminal and the time, as `main` has them.
pub struct Console<'a> {
    /// Results.
    pub out: &'a mut dyn Write,
    /// Talk.
    pub talk: &'a mut dyn Write,
    /// Shows an address in a browser, where there is one.
    pub browse: Option<&'a dyn Fn(&str)>,
    /// Lets time pass.
    pub wait: &'a dyn Fn(Duration),
    /// Tells the time.
    pub clock: &'a dyn Clock,
}

/// Signs in and writes address and key.
///
/// # Errors
/// When the address, the key or the backend is not right; nothing is written then.
pub fn login(
    paths: &Paths,
    login: Login,
    connect: &dyn Fn(&Account) -> Result<Client>,
    console: &mut Console<'_>,
) -> Result<()> {
    let mut config = config::load(paths)?;
    if let Some(url) = login.backend_url {
        config.backend_url = url;
    }
    let url = config.address()?;
    let api_key = match login.api_key {
        Some(key) => key.trim().to_owned(),
        None => {
            let key_name = login.name.unwrap_or_default();
            if key_name.is_empty() || key_name.len() > NAME_BYTES_MAX {
                let what = format!("--name must have 1 to {NAME_BYTES_MAX} bytes");
                return Err(Error::new(what));
            }
            let nobody = Account { url: url.clone(), key: String::new(), ca_file: config.ca_file };
            device_flow(&connect(&nobody)?, &key_name, &url, console)?
        }
    };
    let config = Config { backend_url: url, api_key, ..config::load(paths)? };
    key("api_key").check(&config)?;
    let account = config.account()?;
    let identity = identity(connect(&account)?.check(REQUEST_TIME_MAX).standing)
        .context(|| format!("sign in to {}", shown_address(&account.url)))?;
    write(paths, &account)?;
    let (url, name) = (shown_address(&account.url), plain(name(&identity)));
    let told = writeln!(console.out, "signed in to {url} as {name}").and_then(|()| {
        match config.redaction.enabled {
            true => Ok(()),
            false => writeln!(
                console.talk,
                "confab: warning: redaction is off: secrets leave this machine\nconfab: hint: \
                 confab config set redaction.enabled true"
            ),
        }
    });
    told.context(|| "write to standard output".into())
}

/// Removes the key; everything else stays.
///
/// # Errors
/// When the configuration cannot be read or written.
pub fn logout(paths: &Paths, out: &mut dyn Write) -> Result<()> {
    let config = config::load(paths)?;
    let changed = config::edit(paths, |document| document.set(key("api_key"), None))?;
    let url = shown_address(&config.backend_url);
    match (changed && !config.api_key.is_empty(), url.as_str()) {
        (false, _) => writeln!(out, "nobody is signed in"),
        (true, "") => writeln!(out, "signed out; the key stays valid until it is deleted"),
        (true, url) => {
            writeln!(out, "signed out of {url}; the key stays valid until it is deleted there")
        }
    }
    .context(|| "write to standard output".into())
}

/// Turns redaction on in writing, unless it is off in writing.
///
/// # Errors
/// When the configuration cannot be read or written.
pub fn turn_redaction_on(paths: &Paths) -> Result<()> {
    config::edit(paths, switch_on).map(|_| ())
}

fn switch_on(document: &mut config::Document) -> Result<()> {
    for switch in ["redaction.enabled", "redaction.use_default_patterns"] {
        if document.get(key(switch))?.is_none() {
            document.set(key(switch), Some("true"))?;
        }
    }
    Ok(())
}

fn write(paths: &Paths, account: &Account) -> Result<()> {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let (url, api_key) = (text(&account.url), text(&account.key));
    config::edit(paths, |document| {
        document.set(key("backend_url"), Some(&url))?;
        document.set(key("api_key"), Some(&api_key))?;
        switch_on(document)
    })?;
    Ok(())
}

fn key(name: &str) -> &'static Key {
    Key::find(name).expect("the key is one of the table's")
}

fn device_flow(
    client: &Client,
    key_name: &str,
    url: &str,
    console: &mut Console<'_>,
) -> Result<String> {
    let ask = || client.device_code(key_name, REQUEST_TIME_MAX);
    let code =
        first_code(&ask, console).context(|| format!("sign in to {}", shown_address(url)))?;
    let asked_at = console.clock.now();
    let (page, user_code) = (page(&code), plain(&code.user_code));
    let minutes = lifetime(&code).as_secs().div_ceil(60);
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    let _ = match &page {
        Some(page) => writeln!(console.talk, "open {page}\nand confirm the code {user_code}"),
        None => writeln!(console.talk, "confirm the code {user_code} on the backend's web page"),
    };
    let _ = writeln!(console.talk, "it is valid for {minutes} {unit}; waiting");
    if let (Some(browse), Some(page)) = (console.browse, &page) {
        browse(page);
    }
    let poll = || client.device_token(&code, REQUEST_TIME_MAX);
    let mut interval = match code.interval {
        0 => POLL_INTERVAL,
        seconds => Duration::from_secs(seconds).min(POLL_INTERVAL_MAX),
    };
    let deadline = asked_at + lifetime(&code);
    await_key(&poll, &mut interval, deadline, console)
}

/// A busy backend is asked again a few times.
fn first_code(
    ask: &dyn Fn() -> Result<Option<DeviceCode>>,
    console: &Console<'_>,
) -> Result<DeviceCode> {
    for attempt in 0..CODE_ATTEMPTS_MAX {
        if attempt > 0 {
            (console.wait)(CODE_RETRY_DELAY * 2_u32.pow(attempt - 1));
        }
        if let Some(code) = ask()? {
            return Ok(code);
        }
    }
    Err(Error::new("the backend is busy").with_hint("try again in a minute"))
}

/// Asks until there is a key or there will be none. A poll takes at least the interval, so their
/// number is bounded by the deadline.
fn await_key(
    poll: &dyn Fn() -> Poll,
    interval: &mut Duration,
    deadline: std::time::Instant,
    console: &Console<'_>,
) -> Result<String> {
    let again = "run `confab login` again";
    let never = |what: &str, hint: &str| Err(Error::new(what).with_hint(hint));
    while console.clock.now() + *interval < deadline {
        (console.wait)(*interval);
        match poll() {
            Poll::Key(key) => return Ok(key),
            Poll::Pending => {}
            Poll::SlowDown => *interval = (*interval + SLOW_DOWN).min(POLL_INTERVAL_MAX),
            Poll::Never(DeviceError::AccessDenied) => {
                return never("the backend does not let this user in", "ask who runs it");
            }
            Poll::Never(DeviceError::ApiKeyLimitExceeded) => {
                let hint =
                    "delete some on the backend's page of keys, and run `confab login` again";
                return never("this user has as many keys as one may have", hint);
            }
            Poll::Never(DeviceError::ExpiredToken) => {
                return never("the code was not confirmed in time", again);
            }
            Poll::Never(_) => return never("the backend does not know the code any more", again),
        }
    }
    never("the code was not confirmed in time", again)
}

fn lifetime(code: &DeviceCode) -> Duration {
    Duration::from_secs(code.expires_in).min(CODE_TIME_MAX)
}

/// The web page with the code in its address; `None` when it is no address to be opened.
fn page(code: &DeviceCode) -> Option<String> {
    let page = &code.verification_uri;
    let is_page = page.starts_with("https://") || page.starts_with("http://");
    let is_clean = page.bytes().all(|byte| byte.is_ascii_graphic());
    let separator = if page.contains('?') { '&' } else { '?' };
    (is_page && is_clean).then(|| format!("{page}{separator}code={}", escaped(&code.user_code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::time::{Instant, SystemTime};

    /// Time passes only when somebody waits.
    struct Turned {
        start: Instant,
        passed: Cell<Duration>,
    }

    impl Clock for Turned {
        fn now(&self) -> Instant {
            self.start + self.passed.get()
        }

        fn wall(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }
    }

    /// Polls a backend that answers so, one after the other, and then nothing new; what came of it
    /// and after how many seconds.
    fn polled(interval: u64, lifetime: u64, answers: Vec<Poll>) -> (Result<String>, u64) {
        let clock = Turned { start: Instant::now(), passed: Cell::default() };
        let answers = RefCell::new(answers.into_iter());
        let poll = || answers.borrow_mut().next().unwrap_or(Poll::Pending);
        let wait = |time: Duration| clock.passed.set(clock.passed.get() + time);
        let deadline = clock.now() + Duration::from_secs(lifetime);
        let (mut out, mut talk) = (Vec::new(), Vec::new());
        let console =
            Console { out: &mut out, talk: &mut talk, browse: None, wait: &wait, clock: &clock };
        let key = await_key(&poll, &mut Duration::from_secs(interval), deadline, &console);
        (key, clock.passed.get().as_secs())
    }

    #[test]
    fn polling_is_patient_and_ends_with_the_code() {
        let key = || Poll::Key("k".into());
        let (found, seconds) = polled(5, 300, vec![Poll::Pending, Poll::Pending, key()]);
        assert_eq!((found.unwrap().as_str(), seconds), ("k", 15));
        let (found, seconds) = polled(5, 300, vec![Poll::SlowDown, Poll::SlowDown, key()]);
        assert_eq!((found.unwrap().as_str(), seconds), ("k", 5 + 10 + 15));
        let (found, seconds) = polled(5, 300, Vec::new());
        assert!(found.unwrap_err().hint().is_some());
        assert!((290..300).contains(&seconds), "{seconds}");
        let slow = (0..100).map(|_| Poll::SlowDown).collect();
        let (found, seconds) = polled(60, 1800, slow);
        assert!(found.is_err() && seconds < 1800, "{seconds}");
        for reason in
            [DeviceError::AccessDenied, DeviceError::ApiKeyLimitExceeded, DeviceError::InvalidGrant]
        {
            let (found, seconds) = polled(5, 300, vec![Poll::Never(reason), key()]);
            assert_eq!((found.is_err(), seconds), (true, 5), "{reason:?}");
        }
    }

    #[test]
    fn a_page_is_opened_only_when_it_is_one() {
        let page = |uri: &str| {
            let code = DeviceCode {
                verification_uri: uri.into(),
                user_code: "AB-C D".into(),
                ..DeviceCode::default()
            };
            page(&code)
        };
        assert_eq!(page("https://x.org/d").unwrap(), "https://x.org/d?code=AB-C%20D");
        assert_eq!(page("http://x.org/d?a=b").unwrap(), "http://x.org/d?a=b&code=AB-C%20D");
        for uri in ["", "file:///etc/passwd", "https://x.org/\u{1b}[2J", "-flag", "https://x y"] {
            assert_eq!(page(uri), None, "{uri}");
        }
    }
}
