//! Before a session can be sent: who the key belongs to, and how a machine gets one (the device
//! flow, reference §6.5). What comes back is a typed value for each way in which it can end, since
//! all of them are shown to people.

use std::io;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use ureq::http::Method;

use crate::error::{Context, Error, Result};
use crate::remote::client::{Body, Client};
use crate::wire::{
    DeviceCode, DeviceCodeRequest, DeviceError, DeviceTokenRequest, Identity, Token,
};

const VALIDATE: &str = "/api/v1/auth/validate";
const DEVICE_CODE: &str = "/auth/device/code";
const DEVICE_TOKEN: &str = "/auth/device/token";

/// What one question to the backend has shown.
#[derive(Debug)]
pub struct Check {
    /// The backend's clock, when it told.
    pub date: Option<SystemTime>,
    /// Where we stand with it.
    pub standing: Standing,
}

/// Where we stand with the backend.
#[derive(Debug)]
pub enum Standing {
    /// The key is accepted.
    SignedIn(Identity),
    /// The backend does not accept the key; why, in its own words.
    Refused(String),
    /// It cannot say at present: too many questions, or a fault of its own. The status.
    Unsure(u16),
    /// The address leads elsewhere, where no key is sent. The status.
    Redirect(u16),
    /// Something answers that is no backend of confab. The status.
    Other(u16),
    /// Nothing answers.
    Unreachable(Trouble, Error),
}

/// Why nothing answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The host has no address.
    Name,
    /// The host is there, and nobody listens.
    NobodyListens,
    /// TLS failed: the certificate is not trusted, as a rule.
    Certificate,
    /// No answer in time.
    Timeout,
    /// Something else.
    Other,
}

/// What asking for the new key has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Poll {
    /// The new key.
    Key(String),
    /// The code is not confirmed yet, or there was no proper answer: later.
    Pending,
    /// Later, and less often.
    SlowDown,
    /// It will never come, for this reason.
    Never(DeviceError),
}

impl Client {
    /// Asks whose key it is. One request, no redirect, any status is an answer.
    pub fn check(&self, time_max: Duration) -> Check {
        let answer = match self.send(&Method::GET, VALIDATE, Body::Nothing, time_max) {
            Ok(answer) => answer,
            Err(error) => {
                let trouble = trouble(&error);
                let error = Error::new(format!("GET {VALIDATE}")).caused_by(error);
                return Check { date: None, standing: Standing::Unreachable(trouble, error) };
            }
        };
        let status = answer.status;
        let standing = match status {
            200..300 => match answer.json::<Identity>() {
                Some(identity) if identity.valid => Standing::SignedIn(identity),
                _ => Standing::Other(status),
            },
            401 | 403 => Standing::Refused(answer.text()),
            300..=399 => Standing::Redirect(status),
            408 | 429 | 500.. => Standing::Unsure(status),
            _ => Standing::Other(status),
        };
        Check { date: answer.date, standing }
    }

    /// Asks for a code that a person confirms in a browser; `None` when the backend is busy.
    ///
    /// # Errors
    /// When the backend cannot be reached or does not sign in this way; with a hint.
    pub fn device_code(&self, key_name: &str, time_max: Duration) -> Result<Option<DeviceCode>> {
        let what = || format!("POST {DEVICE_CODE}");
        let request = DeviceCodeRequest { key_name: key_name.to_owned() };
        let answer = self
            .send(&Method::POST, DEVICE_CODE, Body::Json(&json(&request)?), time_max)
            .map_err(|error| {
                let hint = trouble(&error).hint();
                Error::new(what()).caused_by(error).with_hint(hint)
            })?;
        let with_key = "make a key on the backend, and sign in with `confab login --api-key -`";
        match answer.status {
            200..300 => match answer.json() {
                Some(code) => Ok(Some(code)),
                None => Err(Error::new("the answer is not that of a confab backend")
                    .with_hint("check backend_url; a proxy or a login page may be in between"))
                .context(what),
            },
            408 | 429 | 500.. => Ok(None),
            300..400 => Err(Error::new("a redirect, which is refused")
                .with_hint("use the address that the redirect names"))
            .context(what),
            404 | 405 => {
                Err(Error::new("this backend does not sign in with a browser").with_hint(with_key))
            }
            status => {
                let text = answer.text();
                Err(Error::new(format!("status {status}: {text}")).with_hint(with_key))
                    .context(what)
            }
        }
    }

    /// Asks whether the code has been confirmed. Nothing but the backend's own refusal ends the
    /// matter: a login page or a proxy in between may go away.
    pub fn device_token(&self, code: &DeviceCode, time_max: Duration) -> Poll {
        let request = DeviceTokenRequest { device_code: code.device_code.clone() };
        let Ok(body) = json(&request) else { return Poll::Pending };
        let Ok(answer) = self.send(&Method::POST, DEVICE_TOKEN, Body::Json(&body), time_max) else {
            return Poll::Pending;
        };
        match (answer.status, answer.json::<Token>()) {
            (429, _) => Poll::SlowDown,
            (_, Some(Token { error: Some(error), .. })) if error != DeviceError::Unset => {
                match error {
                    DeviceError::AuthorizationPending | DeviceError::ServerError => Poll::Pending,
                    DeviceError::SlowDown => Poll::SlowDown,
                    error => Poll::Never(error),
                }
            }
            (200, Some(Token { access_token: Some(key), .. })) if !key.is_empty() => Poll::Key(key),
            _ => Poll::Pending,
        }
    }
}

impl Trouble {
    /// What the user can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Trouble::Name => "check the host name, and the network",
            Trouble::NobodyListens => "check the port, and whether the backend runs",
            Trouble::Certificate => {
                "name a PEM file with the backend's authority with `confab config set ca_file \
                 PATH`, or install the authority; a wrong clock looks the same"
            }
            Trouble::Timeout => "check the network; a firewall may swallow what is sent",
            Trouble::Other => "check address, network and proxy",
        }
    }
}

fn json(request: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(request).context(|| "write a request".into())
}

fn trouble(error: &ureq::Error) -> Trouble {
    match error {
        ureq::Error::HostNotFound => Trouble::Name,
        ureq::Error::Timeout(_) => Trouble::Timeout,
        ureq::Error::Tls(_) => Trouble::Certificate,
        #[cfg(feature = "tls")]
        ureq::Error::Rustls(_) => Trouble::Certificate,
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Trouble::NobodyListens,
            // rustls hands its refusals through the reading of the stream.
            io::ErrorKind::InvalidData => Trouble::Certificate,
            io::ErrorKind::TimedOut => Trouble::Timeout,
            _ => Trouble::Other,
        },
        _ => Trouble::Other,
    }
}
