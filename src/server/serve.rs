//! One connection served to its end: request after request, each checked at the door, answered,
//! counted and logged.
//!
//! Order at the door: a head that is one, a name that is ours, a path behind the base path, and not
//! too often. Only then anybody looks at what is asked for.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::accept::Shared;
use super::api::{HEALTH, UNKNOWN};
use super::auth::Random;
use super::caller::Caller;
use super::connection::{Body, Connection};
use super::encoding::encoded;
use super::http::{Head, Refusal, Response, percent_decoded};
use super::limits::{Kind, Who};
use super::log_file::REQUESTS;
use super::stream::Stream;
use crate::error::{Context, Result};

/// Methods that are logged as they are; others are the client's invention.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Names requests: unique among those of all runs, short, and of no use to anybody.
#[derive(Debug)]
pub struct RequestIds {
    start: u32,
    next: AtomicU64,
}

impl RequestIds {
    /// For one run.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new(random: Random) -> Result<RequestIds> {
        let mut bytes = [0; 4];
        random(&mut bytes).context(|| "name requests".into())?;
        Ok(RequestIds { start: u32::from_be_bytes(bytes), next: AtomicU64::new(0) })
    }

    fn next(&self) -> String {
        format!("{:08x}-{:x}", self.start, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Serves one connection to its end.
pub fn serve(socket: &TcpStream, id: u64, peer: IpAddr, shared: &Shared) {
    // Responses are written whole; waiting for more to send would only delay them.
    let _ = socket.set_nodelay(true);
    let tls = match shared.tls.as_ref().map(super::tls::Tls::connection).transpose() {
        Ok(tls) => tls,
        Err(error) => return log::error!("start TLS: {error}"),
    };
    let peer = Peer { address: peer, ends: socket.peer_addr().ok().zip(socket.local_addr().ok()) };
    let surroundings = &*shared.surroundings;
    let stream = Stream::new(socket, tls, surroundings.monotonic, &surroundings.metrics.traffic);
    let mut connection = Connection::new(stream, surroundings);
    let settings = &surroundings.settings;
    let mut patience = settings.head_seconds_max;
    loop {
        let deadline = connection.now() + Duration::from_secs(patience);
        if !shared.set_idle(id, true) || !connection.wait(deadline) {
            return connection.close();
        }
        shared.set_idle(id, false);
        match serve_request(&mut connection, id, peer, shared) {
            After::Next => patience = settings.idle_seconds_max,
            After::Close => return connection.close(),
            After::Linger => {
                shared.set_idle(id, true);
                return connection.linger();
            }
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy)]
struct Peer {
    address: IpAddr,
    /// As [`Caller::ends`].
    ends: Option<(SocketAddr, SocketAddr)>,
}

/// What becomes of a connection after a request.
enum After {
    Next,
    /// Nothing is left to say or to hear.
    Close,
    /// The client may still be sending.
    Linger,
}

fn serve_request(connection: &mut Connection<'_>, id: u64, peer: Peer, shared: &Shared) -> After {
    let start = connection.now();
    let settings = &shared.surroundings.settings;
    let seconds = |count| start + Duration::from_secs(count);
    let mut head = match connection.head(seconds(settings.head_seconds_max)) {
        Ok(head) => head,
        Err(None) => return After::Close,
        Err(Some(refusal)) => return refuse(connection, refusal, start, shared),
    };
    let is_secure = connection.is_secure();
    let mut caller = shared.names.caller(&head, peer.address, is_secure, || shared.ids.next());
    caller.ends = peer.ends;
    let at_door = door(&mut head, &caller, start, shared);
    let mut body = Body::new(connection, &head, seconds(settings.request_seconds_max));
    let (response, route) = match at_door {
        Ok(()) => shared.api.answer(&head, &mut body, &caller),
        Err(response) => (response, UNKNOWN),
    };
    let in_step = body.finish();
    let keep_alive = in_step && head.keep_alive && shared.may_stay(id);
    let response = encoded(response, &head).with_header("X-Request-Id", caller.request_id.as_str());
    let status = response.status;
    let sent = connection.send(response, keep_alive, head.method != "HEAD");
    let done = Done { id: &caller.request_id, method: &head.method, route, status, start };
    done.tell(sent.as_ref().copied().ok(), connection.now(), shared);
    match (sent, keep_alive) {
        (Err(error), _) => {
            log::info!("request {} was cut off: {error}", caller.request_id);
            After::Close
        }
        (Ok(_), true) => After::Next,
        (Ok(_), false) if in_step && connection.is_empty() => After::Close,
        (Ok(_), false) => After::Linger,
    }
}

/// Answers what is no request.
fn refuse(
    connection: &mut Connection<'_>,
    refusal: Refusal,
    start: Instant,
    shared: &Shared,
) -> After {
    let id = shared.ids.next();
    let response = Response::from(refusal).with_header("X-Request-Id", id.as_str());
    let sent = connection.send(response, false, true);
    let done = Done { id: &id, method: "-", route: UNKNOWN, status: refusal.status, start };
    done.tell(sent.as_ref().copied().ok(), connection.now(), shared);
    if sent.is_ok() { After::Linger } else { After::Close }
}

/// Lets a request in, its path without the base path.
fn door(head: &mut Head, caller: &Caller, now: Instant, shared: &Shared) -> Result<(), Response> {
    shared.names.check(caller)?;
    let Some(path) = shared.names.inner_path(&head.path) else {
        return Err(Response::text(404, "404 page not found\n"));
    };
    head.path = path.to_owned();
    // Whoever watches over the server must get an answer when it is busy, too.
    if head.path != HEALTH {
        let limits = &shared.surroundings.limits;
        let who = Who::at(caller.address);
        if !shared.api.is_own(head, caller) {
            limits.take(Kind::Request, who, now).map_err(too_many)?;
        }
        if signs_in(&head.path) {
            limits.take(Kind::SignIn, who, now).map_err(too_many)?;
        }
    }
    Ok(())
}

/// Pages and questions of those who have no key yet.
fn signs_in(path: &str) -> bool {
    let path = percent_decoded(path, false).unwrap_or_default();
    ["/auth/", "/api/v1/auth/device/"].iter().any(|start| path.starts_with(start))
}

/// The answer to who asks too often: when to ask again.
pub fn too_many(wait: Duration) -> Response {
    Response::text(429, "429 too many requests\n").with_header("Retry-After", retry_after(wait))
}

/// A time to wait in whole seconds.
pub fn retry_after(wait: Duration) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    seconds.max(1).to_string()
}

/// A request that was answered.
struct Done<'a> {
    id: &'a str,
    method: &'a str,
    route: &'static str,
    status: u16,
    start: Instant,
}

impl Done<'_> {
    /// Counts and logs it; without `bytes`, the answer was cut off.
    fn tell(&self, bytes: Option<u64>, now: Instant, shared: &Shared) {
        let Done { id, route, status, .. } = *self;
        let time = now.saturating_duration_since(self.start);
        shared.surroundings.metrics.count(route, status, time);
        let method = METHODS.into_iter().find(|method| *method == self.method).unwrap_or("-");
        let bytes = bytes.map_or("cut".to_owned(), |bytes| bytes.to_string());
        let milliseconds = time.as_millis();
        log::info!(
            target: REQUESTS,
            "id={id} method={method} route={route} status={status} bytes={bytes} ms={milliseconds}"
        );
    }
}
