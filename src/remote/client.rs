//! The backend over HTTP.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{Method, Request, Response, header};

use crate::config::Account;
use crate::error::{Error, Result};
use crate::remote::sessions::escaped;
use crate::remote::{Backend, Failure, Network, Verdict};
use crate::time::{self, Clock};
use crate::wire::{
    Capabilities, ChunkAnswer, EventAnswer, EventRequest, InitAnswer, InitRequest, LinkEntry,
    LinkRequest, MachineReport, REPORT_HEADER, SummaryRequest,
};

/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Bytes of the header of an answer.
const ANSWER_HEADER_BYTES_MAX: usize = 32 << 10;
/// Bytes of an error's text that are shown.
const ERROR_TEXT_BYTES_MAX: usize = 256;
/// Time for looking up a name, and for a connection with its TLS handshake.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Buffers of a connection.
const BUFFER_BYTES: usize = 16 << 10;

/// Speaks to one backend. Connections are kept while the client lives.
pub struct Client {
    pub(super) agent: Agent,
    pub(super) url: String,
    /// None while there is no key.
    pub(super) authorization: Option<String>,
    clock: Arc<dyn Clock + Send + Sync>,
}

/// What a request carries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    /// Nothing.
    Nothing,
    /// JSON as it is.
    Json(&'a [u8]),
    /// A chunk as zstd, which the backend takes on `/sync/*` alone, with what it is told besides.
    Chunk {
        /// The compressed JSON.
        bytes: &'a [u8],
        /// A [`crate::wire::SessionReport`] as JSON.
        report: Option<&'a str>,
    },
}

impl Client {
    /// A client for this account.
    ///
    /// # Errors
    /// A certificate file or a proxy address that cannot be used.
    pub fn new(
        account: &Account,
        network: &Network,
        clock: Arc<dyn Clock + Send + Sync>,
    ) -> Result<Client> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(network.proxy_for(&account.url)?)
            .user_agent(user_agent())
            .timeout_resolve(Some(CONNECT_TIME_MAX))
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .max_response_header_size(ANSWER_HEADER_BYTES_MAX)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1);
        #[cfg(feature = "tls")]
        let config = config.tls_config(super::roots::tls_config(account, network)?);
        Ok(Client {
            agent: config.build().new_agent(),
            url: account.url.clone(),
            authorization: (!account.key.is_empty()).then(|| format!("Bearer {}", account.key)),
            clock,
        })
    }

    /// Sends one request and reads the answer, whatever its status.
    pub(super) fn send(
        &self,
        method: &Method,
        path: &str,
        body: Body<'_>,
        time_max: Duration,
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if !matches!(body, Body::Nothing) {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Body::Chunk { report, .. } = body {
            request = request.header(header::CONTENT_ENCODING, "zstd");
            if let Some(report) = report {
                request = request.header(REPORT_HEADER, report);
            }
        }
        let response = match body {
            Body::Nothing => {
                let request = self.agent.configure_request(request.body(())?);
                self.agent.run(request.timeout_global(Some(time_max)).build())?
            }
            Body::Json(bytes) | Body::Chunk { bytes, .. } => {
                let request = self.agent.configure_request(request.body(bytes)?);
                self.agent.run(request.timeout_global(Some(time_max)).build())?
            }
        };
        Ok(self.answer(response))
    }

    /// Reads a bounded answer.
    pub(super) fn answer(&self, mut response: Response<ureq::Body>) -> Answer {
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let text = |name| response.headers().get(name)?.to_str().ok();
        let now = self.clock.wall();
        Answer {
            status: response.status().as_u16(),
            retry_after: text(header::RETRY_AFTER).and_then(|value| retry_after(value, now)),
            date: text(header::DATE).and_then(time::parse_http_date),
            body,
        }
    }

    /// One exchange; every answer but 2xx is a failure.
    pub(super) fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Body<'_>,
        time_max: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let what = format!("{method} {path}");
        let failed = |error: ureq::Error| Failure {
            timed_out: matches!(error, ureq::Error::Timeout(_)),
            ..Failure::retry(Error::new(what.clone()).caused_by(error))
        };
        let answer = self.send(&method, path, body, time_max).map_err(failed)?;
        if answer.is_success() {
            return answer.body.map_err(failed);
        }
        Err(refusal(&what, &answer))
    }

    fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        request: &Q,
        time_max: Duration,
    ) -> Result<A, Failure> {
        let body = serde_json::to_vec(request).map_err(|error| {
            Failure::retry(Error::new(format!("write {path}")).caused_by(error))
        })?;
        decode(path, &self.exchange(Method::POST, path, Body::Json(&body), time_max)?)
    }
}

impl Backend for Client {
    fn init(&mut self, request: &InitRequest, time_max: Duration) -> Result<InitAnswer, Failure> {
        self.post("/api/v1/sync/init", request, time_max)
    }

    fn append(
        &mut self,
        body: &[u8],
        report: Option<&str>,
        time_max: Duration,
    ) -> Result<ChunkAnswer, Failure> {
        let path = "/api/v1/sync/chunk";
        let body = Body::Chunk { bytes: body, report };
        decode(path, &self.exchange(Method::POST, path, body, time_max)?)
    }

    fn tell(&mut self, report: &MachineReport, time_max: Duration) -> Result<(), Failure> {
        let path = "/api/v1/sync/standing";
        let body = serde_json::to_vec(report)
            .map_err(|error| Failure::retry(Error::new("write standing").caused_by(error)))?;
        self.exchange(Method::POST, path, Body::Json(&body), time_max).map(|_| ())
    }

    fn event(&mut self, request: &EventRequest, time_max: Duration) -> Result<(), Failure> {
        self.post("/api/v1/sync/event", request, time_max).map(|_: EventAnswer| ())
    }

    fn capabilities(&mut self, time_max: Duration) -> Result<Capabilities, Failure> {
        let path = "/api/v1/capabilities";
        match self.exchange(Method::GET, path, Body::Nothing, time_max) {
            Ok(answer) => decode(path, &answer),
            // An older backend does not know the question.
            Err(failure) if failure.verdict == Verdict::Gone => Ok(Capabilities::default()),
            Err(failure) => Err(failure),
        }
    }

    fn summarise(
        &mut self,
        external_id: &str,
        summary: &str,
        time_max: Duration,
    ) -> Result<(), Failure> {
        let path = format!("/api/v1/sessions/{}/summary", escaped(external_id));
        let body = serde_json::to_vec(&SummaryRequest { summary: summary.to_owned() })
            .map_err(|error| Failure::retry(Error::new("write summary").caused_by(error)))?;
        self.exchange(Method::PATCH, &path, Body::Json(&body), time_max).map(|_| ())
    }

    fn link(
        &mut self,
        session_id: &str,
        request: &LinkRequest,
        time_max: Duration,
    ) -> Result<(), Failure> {
        let path = format!("/api/v1/sessions/{session_id}/github-links");
        let body = serde_json::to_vec(request)
            .map_err(|error| Failure::retry(Error::new("write link").caused_by(error)))?;
        let what = format!("POST {path}");
        let failed = |error: ureq::Error| Failure {
            timed_out: matches!(error, ureq::Error::Timeout(_)),
            ..Failure::retry(Error::new(what.clone()).caused_by(error))
        };
        let answer =
            self.send(&Method::POST, &path, Body::Json(&body), time_max).map_err(failed)?;
        match answer.status {
            // How older backends say that they have it.
            409 => Ok(()),
            // How those say no that store no links.
            405 => Err(Failure { verdict: Verdict::Reject, ..refusal(&what, &answer) }),
            _ if answer.is_success() => {
                decode(&path, &answer.body.map_err(failed)?).map(|_: LinkEntry| ())
            }
            _ => Err(refusal(&what, &answer)),
        }
    }
}

/// An answer with what of it matters.
pub(super) struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub date: Option<SystemTime>,
    pub body: Result<Vec<u8>, ureq::Error>,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; `None` when it is none, or not of this kind.
    pub fn json<A: DeserializeOwned>(&self) -> Option<A> {
        serde_json::from_slice(self.body.as_ref().ok()?).ok()
    }

    /// The beginning of the body for people.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(self.body.as_deref().unwrap_or_default());
        let text = text.trim();
        let shown = &text[..text.floor_char_boundary(ERROR_TEXT_BYTES_MAX)];
        shown.chars().filter(|character| !character.is_control()).collect()
    }
}

pub(super) fn refusal(what: &str, answer: &Answer) -> Failure {
    let status = answer.status;
    let verdict = match status {
        401 | 403 => Verdict::SignIn,
        404 => Verdict::Gone,
        400 | 409 | 411 | 413..=415 | 422 => Verdict::Reject,
        _ => Verdict::Retry(answer.retry_after),
    };
    let shown = answer.text();
    let error = match status {
        300..=399 => Error::new(format!("{what}: status {status}, a redirect, which is refused"))
            .with_hint("set backend_url to the address that the redirect names"),
        401 | 403 => Error::new(format!("{what}: status {status}: {shown}"))
            .with_hint("check api_key in ~/.confab/config.json"),
        _ => Error::new(format!("{what}: status {status}: {shown}")),
    };
    Failure { verdict, timed_out: matches!(status, 408 | 504), is_busy: status == 429, error }
}

/// A 2xx answer that is not what was asked for comes from something else than a backend, a captive
/// portal perhaps: it acknowledges nothing.
pub(super) fn decode<A: DeserializeOwned>(path: &str, answer: &[u8]) -> Result<A, Failure> {
    serde_json::from_slice(answer).map_err(|_| {
        Failure::retry(
            Error::new(format!("{path}: the answer is not that of a confab backend"))
                .with_hint("check backend_url; a proxy or a login page may be in between"),
        )
    })
}

/// Seconds or an HTTP date (RFC 9110, 10.2.3).
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some(time::parse_http_date(value)?.duration_since(now).unwrap_or_default())
}

/// Names as the existing client writes them.
fn user_agent() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("confab/{} ({system}; {machine})", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn retry_after_in_both_forms() {
        let now = UNIX_EPOCH + Duration::from_secs(910_342_100);
        let cases = [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Fri, 06 Nov 1998 08:49:37 GMT", Some(77)),
            ("Fri, 06 Nov 1998 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ];
        for (value, expected) in cases {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value}");
        }
    }
}
