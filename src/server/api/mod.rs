//! What a request means: routing, who asks, and which errors are answered how.
//!
//! Order of refusals, as the existing backend's: unknown path 404, wrong method 405, content type
//! 415, key 401, content encoding 415, body 400, then the endpoint's own.
//!
//! Who asks shows a key, or is a browser that is signed in; a browser changes something only from
//! our own pages. Sessions of others answer as those that do not exist.

mod device;
mod events;
mod links;
mod pages;
mod search;
mod sessions;
mod stats;
mod streams;
mod sync;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::error::Error;
use crate::server::World;
use crate::server::auth::{bearer, hash};
use crate::server::browser;
use crate::server::caller::Caller;
use crate::server::connection::{Body, BodyError, Reservation, Surroundings};
use crate::server::http::{Head, Payload, Response, percent_decoded, query_value};
use crate::server::limits::{Kind, Who};
use crate::server::password::Passwords;
use crate::server::prices::Prices;
use crate::server::serve::too_many;
use crate::server::store::{Store, Trouble, User};
use crate::wire::{Capabilities, ErrorBody, Identity};

/// Where the health is told.
pub const HEALTH: &str = "/health";
/// What a path that names nothing is called.
pub const UNKNOWN: &str = "-";
/// How long the health that was found is told.
const HEALTH_TIME_MAX: Duration = Duration::from_secs(1);

/// Answers requests.
#[derive(Debug)]
pub struct Api {
    store: Arc<Store>,
    world: World,
    surroundings: Arc<Surroundings>,
    /// When the database was last looked at, and what was wrong with it.
    health: Mutex<Option<(Instant, Option<Trouble>)>>,
    passwords: Passwords,
    prices: Prices,
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
    Events(String),
    Outline(String),
    ByExternalId(String),
    Summary(String),
    Search,
    Stats,
    Status,
    OpenApi,
    Stream,
    LineStream(String),
    DeviceCode,
    DeviceToken,
    SignIn,
    SignOut,
    Device,
    Style,
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
    pub fn new(
        store: Arc<Store>,
        world: World,
        surroundings: Arc<Surroundings>,
        prices: Prices,
    ) -> Api {
        let (health, passwords) = (Mutex::default(), Passwords::default());
        Api { store, world, surroundings, health, passwords, prices }
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Answers a request, and says by which route. What is not read of its body is the caller's to
    /// drop.
    pub fn answer(
        &self,
        head: &Head,
        body: &mut Body<'_, '_>,
        caller: &Caller,
    ) -> (Response, &'static str) {
        let Some(route) = route(&head.path) else {
            return (Response::text(404, "404 page not found\n"), UNKNOWN);
        };
        let template = route.template();
        if !route.methods().contains(&head.method.as_str()) {
            let allowed = route.methods().join(", ");
            return (Response::empty(405).with_header("Allow", allowed), template);
        }
        let response = match self.routed(&route, head, body, caller) {
            Ok(response) | Err(Refused::With(response)) => response,
            Err(Refused::Failed(message, error)) => {
                let Caller { request_id, .. } = caller;
                log::error!("request {request_id}: {} {template}: {error}", head.method);
                match route.is_page() {
                    true => self.failed_page(),
                    false => failure(message, &error),
                }
            }
        };
        (response, template)
    }

    fn routed(
        &self,
        route: &Route,
        head: &Head,
        body: &mut Body<'_, '_>,
        caller: &Caller,
    ) -> Answer {
        match route {
            Route::Health => return Ok(self.health()),
            Route::Version => return Ok(version()),
            Route::Capabilities => return Ok(capabilities()),
            Route::OpenApi => return Ok(openapi()),
            Route::DeviceCode => return self.device_code(body, caller),
            Route::DeviceToken => return self.device_token(body),
            route if route.is_page() => return self.page(route, head, body, caller),
            _ => {}
        }
        if !matches!(head.method.as_str(), "GET" | "DELETE") {
            check_content_type(head)?;
        }
        if matches!(route, Route::Validate) {
            self.take(Kind::Validate, Who::at(caller.address))?;
        }
        let user = self.user(head, caller)?;
        if let Some(kind) = route.kind() {
            self.take(kind, Who::User(user.id))?;
        }
        let response = match route {
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
            Route::Events(id) => self.events(&user, id, head),
            Route::Outline(id) => self.outline(&user, id, head),
            Route::ByExternalId(id) => self.by_external_id(&user, id),
            Route::Summary(id) => self.summary(&user, id, body),
            Route::Search => self.search(&user, head),
            Route::Stats => self.stats(&user, head),
            Route::Status => self.status(&user),
            Route::Stream => self.stream(&user, head),
            Route::LineStream(id) => self.line_stream(&user, id, head),
            _ => unreachable!("public routes are answered above"),
        };
        // It is this user's: no browser keeps it beyond their sign-in.
        response.map(|response| response.with_header("Cache-Control", "no-store"))
    }

    /// Takes a request out of somebody's bucket.
    fn take(&self, kind: Kind, who: Who) -> Result<(), Refused> {
        let now = (self.world.monotonic)();
        let taken = self.surroundings.limits.take(kind, who, now);
        taken.map_err(|wait| Refused::With(too_many(wait)))
    }

    /// Whether the database can be read and written.
    fn health(&self) -> Response {
        match self.trouble() {
            None => Response::json(200, &json!({"status": "ok"})),
            Some(trouble) => {
                let why = match trouble {
                    Trouble::Full => "the disk is full",
                    Trouble::Busy => "the database is busy",
                    Trouble::Other => "the database fails",
                };
                Response::json(503, &json!({"status": "failing", "error": why}))
            }
        }
    }

    /// What is wrong with the database. Those who ask at the same time wait for one look at it.
    fn trouble(&self) -> Option<Trouble> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.world.monotonic)();
        let known = health.filter(|(at, _)| now.saturating_duration_since(*at) < HEALTH_TIME_MAX);
        if let Some((_, trouble)) = known {
            return trouble;
        }
        let trouble = self.store.probe().err().map(|error| {
            log::error!("the database is not healthy: {error}");
            Trouble::of(&error)
        });
        *health = Some(((self.world.monotonic)(), trouble));
        trouble
    }

    /// Who asks, by a key or else by the cookie of a browser.
    fn user(&self, head: &Head, caller: &Caller) -> Result<User, Refused> {
        if head.header("authorization").is_none()
            && let Some(user) = self.browser_user(head)?
        {
            let is_allowed = head.method == "GET" || browser::is_own(head, caller);
            return is_allowed.then_some(user).ok_or_else(|| refuse(403, "Not from our own page"));
        }
        let text = |status, text| Refused::With(Response::text(status, text));
        let key = bearer(head.header("authorization")).map_err(|why| text(401, why))?;
        let user = self
            .store
            .user_of_key(&hash(key))
            .map_err(|error| Refused::Failed("Failed to validate API key", error))?
            .ok_or_else(|| text(401, "Invalid API key\n"))?;
        if user.is_disabled {
            return Err(text(403, "Account deactivated\n"));
        }
        Ok(user)
    }

    /// Whose browser this is.
    fn browser_user(&self, head: &Head) -> Result<Option<User>, Refused> {
        let Some(token) = browser::token(head) else { return Ok(None) };
        self.store
            .signed_in(&hash(token), (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to look the sign-in up", error))
    }
}

impl Route {
    /// Its path with names in place of what differs: for logs and metrics.
    fn template(&self) -> &'static str {
        match self {
            Route::Health => HEALTH,
            Route::Version => "/api/v1/version",
            Route::Capabilities => "/api/v1/capabilities",
            Route::Validate => "/api/v1/auth/validate",
            Route::Init => "/api/v1/sync/init",
            Route::Chunk => "/api/v1/sync/chunk",
            Route::Event => "/api/v1/sync/event",
            Route::Sessions => "/api/v1/sessions",
            Route::Session(_) => "/api/v1/sessions/{id}",
            Route::Files(_) => "/api/v1/sessions/{id}/files",
            Route::Links(_) => "/api/v1/sessions/{id}/github-links",
            Route::Download(_) => "/api/v1/sessions/{id}/files/download",
            Route::Condensed(_) => "/api/v1/sessions/{id}/condensed-transcript",
            Route::Events(_) => "/api/v1/sessions/{id}/events",
            Route::Outline(_) => "/api/v1/sessions/{id}/outline",
            Route::Search => "/api/v1/search",
            Route::Stats => "/api/v1/stats",
            Route::Status => "/api/v1/status",
            Route::OpenApi => "/api/v1/openapi.json",
            Route::ByExternalId(_) => "/api/v1/sessions/by-external-id/{id}",
            Route::Summary(_) => "/api/v1/sessions/{id}/summary",
            Route::Stream => "/api/v1/stream",
            Route::LineStream(_) => "/api/v1/sessions/{id}/stream",
            Route::DeviceCode => "/auth/device/code",
            Route::DeviceToken => "/auth/device/token",
            Route::SignIn => "/auth/login",
            Route::SignOut => "/auth/logout",
            Route::Device => "/auth/device",
            Route::Style => "/assets/account.css",
        }
    }

    /// What a user's requests of this route count as, next to any request of an address.
    fn kind(&self) -> Option<Kind> {
        match self {
            Route::Init | Route::Chunk | Route::Event => Some(Kind::Sync),
            Route::Files(_) | Route::Download(_) | Route::Condensed(_) => Some(Kind::Read),
            Route::Events(_) | Route::Outline(_) | Route::Search | Route::Stats => Some(Kind::Read),
            Route::Stream | Route::LineStream(_) => Some(Kind::Read),
            _ => None,
        }
    }

    /// True for what people see.
    fn is_page(&self) -> bool {
        matches!(self, Route::SignIn | Route::SignOut | Route::Device | Route::Style)
    }

    fn methods(&self) -> &'static [&'static str] {
        match self {
            Route::Init | Route::Chunk | Route::Event => &["POST"],
            Route::DeviceCode | Route::DeviceToken | Route::SignOut => &["POST"],
            Route::Links(_) | Route::SignIn | Route::Device => &["GET", "POST"],
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
    let rest = match *segments.as_slice() {
        ["api", "v1", ref rest @ ..] => rest,
        ["health"] => return Some(Route::Health),
        ["auth", "login"] => return Some(Route::SignIn),
        ["auth", "logout"] => return Some(Route::SignOut),
        ["auth", "device"] => return Some(Route::Device),
        ["auth", "device", "code"] => return Some(Route::DeviceCode),
        ["auth", "device", "token"] => return Some(Route::DeviceToken),
        ["assets", "account.css"] => return Some(Route::Style),
        _ => return None,
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
        ["sessions", id, "events"] => Some(Route::Events(id.into())),
        ["sessions", id, "outline"] => Some(Route::Outline(id.into())),
        ["search"] => Some(Route::Search),
        ["stats"] => Some(Route::Stats),
        ["status"] => Some(Route::Status),
        ["openapi.json"] => Some(Route::OpenApi),
        ["sessions", id, "condensed-transcript"] => Some(Route::Condensed(id.into())),
        ["sessions", id, "github-links"] => Some(Route::Links(id.into())),
        ["stream"] => Some(Route::Stream),
        ["sessions", id, "stream"] => Some(Route::LineStream(id.into())),
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

fn openapi() -> Response {
    let text = include_str!("../openapi.json");
    let headers = vec![("Content-Type", "application/json".into())];
    Response { status: 200, headers, payload: Payload::Bytes(text.into()) }
}

/// How many of something a request wants.
fn limit_of(head: &Head, default: usize, max: usize) -> Result<usize, Refused> {
    match query_value(&head.query, "limit") {
        None => Ok(default),
        Some(text) => match text.parse::<usize>() {
            Ok(limit @ 1..) => Ok(limit.min(max)),
            _ => Err(refuse(400, "limit must be a positive integer")),
        },
    }
}

fn validated(user: User) -> Response {
    let User { id, email, name, .. } = user;
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

/// What a client hears when something of ours failed. What it can wait for has a status of its own.
fn failure(message: &'static str, error: &Error) -> Response {
    match Trouble::of(error) {
        Trouble::Full => error_response(507, "The disk of the server is full"),
        Trouble::Busy => {
            error_response(503, "The database is busy").with_header("Retry-After", "1")
        }
        Trouble::Other => error_response(500, message),
    }
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

    /// All routes; a new one does not compile before it is among them.
    fn routes() -> Vec<Route> {
        let next = |route: &Route| match route {
            Route::Health => Some(Route::Version),
            Route::Version => Some(Route::Capabilities),
            Route::Capabilities => Some(Route::Validate),
            Route::Validate => Some(Route::Init),
            Route::Init => Some(Route::Chunk),
            Route::Chunk => Some(Route::Event),
            Route::Event => Some(Route::Sessions),
            Route::Sessions => Some(Route::Session("x".into())),
            Route::Session(_) => Some(Route::Files("x".into())),
            Route::Files(_) => Some(Route::Links("x".into())),
            Route::Links(_) => Some(Route::Download("x".into())),
            Route::Download(_) => Some(Route::Condensed("x".into())),
            Route::Condensed(_) => Some(Route::Events("x".into())),
            Route::Events(_) => Some(Route::Outline("x".into())),
            Route::Outline(_) => Some(Route::ByExternalId("x".into())),
            Route::ByExternalId(_) => Some(Route::Summary("x".into())),
            Route::Summary(_) => Some(Route::Search),
            Route::Search => Some(Route::Stats),
            Route::Stats => Some(Route::Status),
            Route::Status => Some(Route::Stream),
            Route::Stream => Some(Route::LineStream("x".into())),
            Route::LineStream(_) => Some(Route::OpenApi),
            Route::OpenApi => Some(Route::DeviceCode),
            Route::DeviceCode => Some(Route::DeviceToken),
            Route::DeviceToken => Some(Route::SignIn),
            Route::SignIn => Some(Route::SignOut),
            Route::SignOut => Some(Route::Device),
            Route::Device => Some(Route::Style),
            Route::Style => None,
        };
        std::iter::successors(Some(Route::Health), next).collect()
    }

    /// `METHOD PATH` of all that is answered, and of all that is described.
    #[test]
    fn the_description_has_exactly_the_routes_of_the_server() {
        let answered = routes().into_iter().flat_map(|route| {
            let template = route.template();
            assert_eq!(super::route(&template.replace("{id}", "x")), Some(route), "{template}");
            let methods = super::route(&template.replace("{id}", "x")).unwrap().methods();
            methods.iter().map(move |method| format!("{method} {template}"))
        });
        let description: serde_json::Value =
            serde_json::from_str(include_str!("../openapi.json")).unwrap();
        let paths = description["paths"].as_object().unwrap();
        let described = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        let answered: std::collections::BTreeSet<String> = answered.collect();
        let described: std::collections::BTreeSet<String> = described.collect();
        assert_eq!(answered, described);
    }
}
