//! What a request means: routing, who asks, and which errors are answered how.
//!
//! Order of refusals, as the existing backend's: unknown path 404, wrong method 405, content type
//! 415, key 401, content encoding 415, body 400, then the endpoint's own.

mod links;
mod sessions;
mod sync;

use std::sync::Arc;

use serde_json::json;

use crate::error::Error;
use crate::server::World;
use crate::server::auth::{bearer, hash};
use crate::server::connection::{Body, BodyError, Reservation};
use crate::server::http::{Head, Response, percent_decoded};
use crate::server::store::{Store, User};
use crate::wire::{Capabilities, ErrorBody, Identity};

/// Answers requests.
#[derive(Debug)]
pub struct Api {
    store: Arc<Store>,
    world: World,
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Health,
    Version,
    Capabilities,
    Validate,
    Init,
    Chunk,
    Event,
    Sessions,
    Session(String),
    Files(String),
    Links(String),
    Download(String),
    Condensed(String),
    ByExternalId(String),
    Summary(String),
}

/// Why a request is not answered as asked; becomes a [`Response`].
enum Refused {
    /// So.
    With(Response),
    /// Something of ours failed: what the client hears, what the log hears.
    Failed(&'static str, Error),
}

type Answer = Result<Response, Refused>;

impl Api {
    /// An API on a database.
    pub fn new(store: Arc<Store>, world: World) -> Api {
        Api { store, world }
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Answers a request. What is not read of its body is the caller's to drop.
    pub fn answer(&self, head: &Head, body: &mut Body<'_, '_>) -> Response {
        let Some(route) = route(&head.path) else {
            return Response::text(404, "404 page not found\n");
        };
        if !route.methods().contains(&head.method.as_str()) {
            return Response::empty(405).with_header("Allow", route.methods().join(", "));
        }
        match self.routed(&route, head, body) {
            Ok(response) | Err(Refused::With(response)) => response,
            Err(Refused::Failed(message, error)) => {
                log::error!("{} {}: {error}", head.method, head.path);
                error_response(500, message)
            }
        }
    }

    fn routed(&self, route: &Route, head: &Head, body: &mut Body<'_, '_>) -> Answer {
        match route {
            Route::Health => return Ok(Response::json(200, &json!({"status": "ok"}))),
            Route::Version => return Ok(version()),
            Route::Capabilities => return Ok(capabilities()),
            _ => {}
        }
        if !matches!(head.method.as_str(), "GET" | "DELETE") {
            check_content_type(head)?;
        }
        let user = self.user(head)?;
        match route {
            Route::Validate => Ok(validated(user)),
            Route::Init => self.init(&user, head, body),
            Route::Chunk => self.chunk(&user, head, body),
            Route::Event => self.event(&user, head, body),
            Route::Sessions => self.sessions(&user, head),
            Route::Session(id) if head.method == "DELETE" => self.delete_session(&user, id),
            Route::Session(id) => self.session(&user, id),
            Route::Files(id) => self.files(&user, id),
            Route::Links(id) if head.method == "GET" => self.links(&user, id),
            Route::Links(id) => self.link(&user, id, body),
            Route::Download(id) => self.download(&user, id, head),
            Route::Condensed(id) => self.condensed(&user, id, head),
            Route::ByExternalId(id) => self.by_external_id(&user, id),
            Route::Summary(id) => self.summary(&user, id, body),
            Route::Health | Route::Version | Route::Capabilities => {
                unreachable!("public routes are answered above")
            }
        }
    }

    fn user(&self, head: &Head) -> Result<User, Refused> {
        let key = bearer(head.header("authorization"))
            .map_err(|text| Refused::With(Response::text(401, text)))?;
        self.store
            .user_of_key(&hash(key))
            .map_err(|error| Refused::Failed("Failed to validate API key", error))?
            .ok_or_else(|| Refused::With(Response::text(401, "Invalid API key\n")))
    }
}

impl Route {
    fn methods(&self) -> &'static [&'static str] {
        match self {
            Route::Init | Route::Chunk | Route::Event => &["POST"],
            Route::Links(_) => &["GET", "POST"],
            Route::Summary(_) => &["PATCH"],
            Route::Session(_) => &["GET", "DELETE"],
            _ => &["GET"],
        }
    }
}

/// What a still encoded path names.
fn route(path: &str) -> Option<Route> {
    let segments: Option<Vec<String>> =
        path.strip_prefix('/')?.split('/').map(|part| percent_decoded(part, false)).collect();
    let segments = segments?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["api", "v1", rest @ ..] = segments.as_slice() else {
        return (segments == ["health"]).then_some(Route::Health);
    };
    match *rest {
        ["version"] => Some(Route::Version),
        ["capabilities"] => Some(Route::Capabilities),
        ["auth", "validate"] => Some(Route::Validate),
        ["sync", "init"] => Some(Route::Init),
        ["sync", "chunk"] => Some(Route::Chunk),
        ["sync", "event"] => Some(Route::Event),
        ["sessions"] => Some(Route::Sessions),
        ["sessions", "by-external-id", id] if !id.is_empty() => {
            Some(Route::ByExternalId(id.into()))
        }
        ["sessions", id] if !id.is_empty() => Some(Route::Session(id.into())),
        ["sessions", id, "files"] => Some(Route::Files(id.into())),
        ["sessions", id, "files", "download"] => Some(Route::Download(id.into())),
        ["sessions", id, "condensed-transcript"] => Some(Route::Condensed(id.into())),
        ["sessions", id, "github-links"] => Some(Route::Links(id.into())),
        ["sessions", id, "summary"] => Some(Route::Summary(id.into())),
        _ => None,
    }
}

fn version() -> Response {
    Response::json(200, &json!({"version": env!("CARGO_PKG_VERSION")}))
}

fn capabilities() -> Response {
    // Files are stored whatever they are.
    let all =
        Capabilities { workflow_files: true, workflow_journal: true, opencode_subagents: true };
    Response::json(200, &all)
}

fn validated(user: User) -> Response {
    let User { id, email, name } = user;
    Response::json(200, &Identity { valid: true, user_id: id, email, name: Some(name) })
}

fn check_content_type(head: &Head) -> Result<(), Refused> {
    let sent = head.header("content-type").unwrap_or("");
    let text = match sent.split(';').next().unwrap_or("").trim() {
        kind if kind.eq_ignore_ascii_case("application/json") => return Ok(()),
        "" => "Content-Type header required\n",
        _ => "Content-Type must be application/json\n",
    };
    Err(Refused::With(Response::text(415, text)))
}

/// An error as the protocol has it.
fn error_response(status: u16, message: impl Into<String>) -> Response {
    Response::json(status, &ErrorBody { error: message.into() })
}

fn refuse(status: u16, message: impl Into<String>) -> Refused {
    Refused::With(error_response(status, message))
}

fn session_not_found() -> Refused {
    refuse(404, "Session not found")
}

/// Refuses a text that is longer than allowed. The protocol says characters and counts bytes.
fn check_length(name: &str, text: &str, bytes_max: usize) -> Result<(), Refused> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    Err(refuse(400, format!("{name} exceeds maximum length of {bytes_max} characters")))
}

/// Reads a body as it was sent.
fn read_body<'a>(
    body: &mut Body<'_, 'a>,
    bytes_max: usize,
) -> Result<(Vec<u8>, Reservation<'a>), Refused> {
    body.read_all(bytes_max).map_err(|error| match error {
        BodyError::TooLarge | BodyError::Malformed => refuse(400, INVALID_BODY),
        BodyError::Busy => busy(),
        BodyError::Lost => Refused::With(Response::text(408, "408 request timeout\n")),
    })
}

fn busy() -> Refused {
    let response = error_response(503, "Too many requests are being read");
    Refused::With(response.with_header("Retry-After", "1"))
}

const INVALID_BODY: &str = "Invalid request body";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_before_they_are_decoded() {
        assert_eq!(route("/api/v1/sessions/a%2Fb/files"), Some(Route::Files("a/b".into())));
        assert_eq!(route("/api/v1/sessions/x/summary"), Some(Route::Summary("x".into())));
        let by_external_id = Some(Route::ByExternalId("files".into()));
        assert_eq!(route("/api/v1/sessions/by-external-id/files"), by_external_id);
        let nowhere = ["/", "", "*", "//api/v1/version", "/api/v1/version/", "/api/v1/sessions/"];
        for path in nowhere {
            assert_eq!(route(path), None, "{path}");
        }
        assert_eq!(route("/api/v1/sessions/%zz"), None);
    }
}
