//! What a request means: routing, who asks, and which errors are answered how.
//!
//! Order of refusals, as the existing backend's: unknown path 404, wrong method 405, content type
//! 415, key 401, content encoding 415, body 400, then the endpoint's own.
//!
//! Who asks shows a key, or is a browser that is signed in; a browser changes something only from
//! our own pages. Sessions of others answer as those that do not exist.

mod access;
mod device;
mod events;
mod links;
mod owner;
mod pages;
mod route;
mod search;
mod sessions;
mod shares;
mod stats;
mod streams;
mod sync;
mod watch;
mod web;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::json;

use self::route::{Route, route};
use crate::error::Error;
use crate::server::World;
use crate::server::auth::{bearer, hash};
use crate::server::browser;
use crate::server::caller::Caller;
use crate::server::connection::{Body, BodyError, Reservation, Surroundings};
use crate::server::http::{Head, Payload, Response, query_value};
use crate::server::limits::{Kind, Who};
use crate::server::password::Passwords;
use crate::server::prices::Prices;
use crate::server::serve::too_many;
use crate::server::store::{Store, Trouble, User};
use crate::server::watcher::Watcher;
use crate::server::web::Web;
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
    prices: Mutex<Arc<Prices>>,
    web: Web,
    /// Tells this run of the server from others: what arrived is remembered for one run.
    run: u64,
    /// Other machines cannot reach it.
    is_local: bool,
    /// The watch on this machine, where there is one.
    pub watcher: OnceLock<Watcher>,
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
    /// An API on a database; `is_local` when it is asked on loopback alone.
    pub fn new(
        store: Arc<Store>,
        world: World,
        surroundings: Arc<Surroundings>,
        prices: Prices,
        is_local: bool,
    ) -> Api {
        let (health, passwords) = (Mutex::default(), Passwords::default());
        let prices = Mutex::new(Arc::new(prices));
        let (web, watcher) = (Web::new(), OnceLock::new());
        let since = (world.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        Api { store, world, surroundings, health, passwords, prices, web, run, is_local, watcher }
    }

    /// What tokens cost from now on.
    pub fn set_prices(&self, prices: Prices) {
        *self.prices.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(prices);
    }

    fn prices(&self) -> Arc<Prices> {
        Arc::clone(&self.prices.lock().unwrap_or_else(PoisonError::into_inner))
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
            Route::Shell(page) => return self.shell(*page, head, caller),
            Route::Asset(version, name) => return Ok(self.asset(version, name, head)),
            route if route.is_page() => return self.page(route, head, body, caller),
            _ => {}
        }
        check_content_type(head)?;
        if matches!(route, Route::Validate) {
            self.take(Kind::Validate, Who::at(caller.address))?;
        }
        let user = match query_value(&head.query, "share") {
            Some(token) => self.guest(&token, route, head)?,
            None => self.user(head, caller)?,
        };
        if let Some(kind) = route.kind()
            && !self.is_own(head, caller)
        {
            self.take(kind, Who::User(user.id))?;
        }
        let response = match route {
            Route::Validate => Ok(validated(user)),
            Route::Init => self.init(&user, head, body),
            Route::Chunk => self.chunk(&user, head, body),
            Route::Event => self.event(&user, head, body),
            Route::Standing => self.standing(&user, head, body),
            Route::Sessions => self.sessions(&user, head),
            Route::Session(id) if head.method == "DELETE" => self.delete_session(&user, id),
            Route::Session(id) => self.session(&user, id, head),
            Route::Files(id) => self.files(&user, id),
            Route::Links(id) if head.method == "GET" => self.links(&user, id),
            Route::Links(id) => self.link(&user, id, body),
            Route::Download(id) => self.download(&user, id, head),
            Route::Condensed(id) => self.condensed(&user, id, head),
            Route::Events(id) => self.events(&user, id, head),
            Route::Outline(id) => self.outline(&user, id, head),
            Route::ByExternalId(id) => self.by_external_id(&user, id),
            Route::Summary(id) => self.summary(&user, id, body),
            Route::Stream => self.stream(&user, head),
            Route::LineStream(id) => self.line_stream(&user, id, head),
            Route::Shares(id) if head.method == "GET" => self.shares(&user, id),
            Route::Shares(id) => self.share(&user, id, body),
            Route::Share(id, share) => self.unshare(&user, id, share),
            Route::Archive(id) => self.archive(&user, id, body),
            Route::Export(id) => self.export(&user, id, head),
            Route::Search => self.search(&user, head),
            Route::Stats => self.stats(&user, head),
            Route::Status => self.status(&user),
            Route::WatchSync => self.watch_sync(&user),
            Route::WatchSettings if head.method == "PUT" => {
                self.set_watch(&user, head, body, caller)
            }
            Route::WatchSettings => self.watch_settings(&user),
            _ => unreachable!("public routes are answered above"),
        };
        // It is this user's: no browser keeps it beyond their sign-in.
        response.map(|response| response.with_header("Cache-Control", "no-store"))
    }

    /// Whether it is our own watch that asks: it is not rationed, as it brings in years at once.
    pub fn is_own(&self, head: &Head, caller: &Caller) -> bool {
        let Some(watcher) = self.watcher.get().filter(|_| caller.address.is_loopback()) else {
            return false;
        };
        bearer(head.header("authorization")).is_ok_and(|key| watcher.is_key(&hash(key)))
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

    /// Who asks, by a key, by the cookie of a browser, or else by being the only one who can.
    fn user(&self, head: &Head, caller: &Caller) -> Result<User, Refused> {
        if head.header("authorization").is_none() {
            let is_own = browser::is_own(head, caller);
            if let Some(user) = self.browser_user(head)? {
                let is_allowed = head.method == "GET" || is_own;
                let refused = || refuse(403, "Not from our own page");
                return is_allowed.then_some(user).ok_or_else(refused);
            }
            // No cookie says that it is our page that asks: it must be seen, even for reading.
            if is_own && let Some(user) = self.owner(head, caller)? {
                return Ok(user);
            }
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

    /// Who holds a link, and may ask this.
    fn guest(&self, token: &str, route: &Route, head: &Head) -> Result<User, Refused> {
        let guest = self
            .store
            .guest(&hash(token), (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to look the link up", error))?;
        let guest = guest.filter(|_| route.is_for_guests() && head.method == "GET");
        guest.ok_or_else(|| refuse(404, "The link leads nowhere, or no more"))
    }

    /// Whose browser this is.
    fn browser_user(&self, head: &Head) -> Result<Option<User>, Refused> {
        let Some(token) = browser::token(head) else { return Ok(None) };
        self.store
            .signed_in(&hash(token), (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to look the sign-in up", error))
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

/// Refuses a body that is no JSON, of requests that have one.
fn check_content_type(head: &Head) -> Result<(), Refused> {
    if matches!(head.method.as_str(), "GET" | "DELETE") {
        return Ok(());
    }
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
