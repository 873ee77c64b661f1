//! The embedded backend: the protocol of [`crate::wire`] over HTTP/1.1, kept in one SQLite file.
//!
//! One thread a connection. Every phase of a request has an absolute deadline and every buffer a
//! limit, and connections and requests are limited in total and for each address: a slow, stuck or
//! hostile client costs its share and blocks nobody.
//!
//! | part | what lives there |
//! |---|---|
//! | [`settings`] | what an operator may set |
//! | `http` | bytes to requests and responses to bytes, pure |
//! | `ranges`, `encoding` | a part of a file; answers made smaller |
//! | `stream`, `tls` | a socket's bytes, plain or secret, with deadlines |
//! | `connection` | bodies, keep-alive |
//! | `caller`, `limits` | who asks, by which name, how often |
//! | `accept`, `serve` | connections taken in, and served to their end |
//! | `metrics`, [`LogFile`] | what happened |
//! | this file | starting and ending |
//! | `api` | what a request means |
//! | `gate` | few large bodies at once, and few streams of each reader |
//! | `json` | tolerant reading of bodies |
//! | `auth`, `password` | keys, tokens and codes; passwords |
//! | `background` | the threads that keep the index and bring lines to rest |
//! | `browser` | cookies, pages, and where a request comes from |
//! | `condensed` | what was said in a session |
//! | `events` | what a line tells the index |
//! | `export` | sessions as files and pages |
//! | `lines` | lines joined and compressed |
//! | `prices` | what tokens cost |
//! | `search` | lines as words, and queries |
//! | [`service`] | running as a service |
//! | [`Store`] | SQLite |
//! | `web` | the page of sessions: markup, style and modules |
//! | `transfer` | everything to another backend and back |
//! | [`watcher`] | `confab watch` as a child |
//! | [`command`] | the command line |

mod accept;
mod api;
mod auth;
mod background;
mod browser;
mod caller;
pub mod command;
mod condensed;
pub mod connection;
mod encoding;
mod events;
mod export;
mod gate;
pub mod http;
mod json;
mod limits;
mod lines;
mod log_file;
mod metrics;
mod password;
mod prices;
mod ranges;
mod search;
mod serve;
pub mod service;
pub mod settings;
mod store;
pub mod stream;
mod tls;
mod transfer;
pub mod watcher;
mod web;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use self::accept::Shared;
use self::api::Api;
pub use self::auth::{KeyHash, Random, hash, new_key};
use self::background::Background;
use self::caller::Names;
use self::connection::Surroundings;
pub use self::export::{Exported, export};
pub use self::log_file::LogFile;
pub use self::password::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, PasswordHash};
pub use self::prices::Prices;
use self::serve::RequestIds;
use self::settings::Settings;
pub use self::store::{KeyEntry, Reindexed, Report, Store, UserEntry};
use self::tls::Tls;
pub use self::transfer::{Moved, Peer, Pull, pull, push};
use self::watcher::{Plan, Watcher};
use crate::error::{Context, Error, Result};
use crate::sys::listener::queue;

/// Connections that may wait to be accepted: all daemons of a team may come back at once.
const QUEUE_MAX: u16 = 4096;

/// What only a binary may know.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// The wall clock.
    pub now: fn() -> SystemTime,
    /// The monotonic clock.
    pub monotonic: fn() -> Instant,
    /// Random bytes that nobody can guess.
    pub random: Random,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    shared: Arc<Shared>,
    background: Background,
}

impl Server {
    /// Starts serving on a bound listener, and the metrics where the settings want them.
    ///
    /// # Errors
    /// When the listener is not on loopback and nobody has a key or password; when certificate,
    /// key or prices cannot be used; when the metrics cannot be listened for, or no thread can
    /// be started.
    pub fn start(
        listener: TcpListener,
        store: Store,
        world: World,
        settings: Settings,
    ) -> Result<Server> {
        let address = listener.local_addr().context(|| "find the listening address".into())?;
        if !address.ip().is_loopback() {
            check_exposed(address, &store, &settings)?;
        }
        let tls = match (&settings.tls_cert, &settings.tls_key) {
            (Some(cert), Some(key)) => Some(Tls::load(cert, key)?),
            _ => None,
        };
        store.limit(settings.database_bytes_max)?;
        let metrics = settings.metrics.as_deref().map(bind).transpose()?;
        let prices = Prices::load(settings.prices.as_deref())?;
        let names = Names::new(&settings, address);
        let surroundings = Arc::new(Surroundings::new(settings, world.monotonic));
        let store = Arc::new(store);
        let background = Background::start(&store, world.now)?;
        let is_local = address.ip().is_loopback();
        let api = Api::new(store, world, Arc::clone(&surroundings), prices, is_local);
        let ids = RequestIds::new(world.random)?;
        let shared = Arc::new(Shared::new(api, surroundings, names, tls, ids));
        let mut server = Server { address, metrics: None, shared, background };
        if let Some(listener) = metrics {
            let address = listener.local_addr();
            server.metrics = Some(address.context(|| "find the metrics' address".into())?);
            server.spawn("metrics", move |shared| metrics::serve(&listener, shared))?;
        }
        server.spawn("accept", move |shared| accept::accept(&listener, shared))?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the metrics are, if anywhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// What it is reached at from this machine.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        let base_path = &self.shared.surroundings.settings.base_path;
        format!("{scheme}://{}{base_path}", self.address)
    }

    /// Runs `confab watch` on this machine, for as long as the server runs.
    ///
    /// # Errors
    /// As [`Watcher::start`]; with TLS, when nothing says by which name the server is reached.
    pub fn watch(&self, plan: Plan, world: World) -> Result<()> {
        let watcher = Watcher::start(plan, self.own_url()?, self.shared.store(), world)?;
        self.shared.store().set_retention(watcher.retention());
        assert!(self.shared.api.watcher.set(watcher).is_ok(), "there is one watch");
        Ok(())
    }

    /// What a program on this machine reaches it at.
    fn own_url(&self) -> Result<String> {
        let settings = &self.shared.surroundings.settings;
        if self.shared.tls.is_some() {
            // The certificate is for that name.
            return settings.public_url.clone().ok_or_else(|| {
                Error::new("watch sessions of this machine over TLS")
                    .with_hint("set public_url to an address that the certificate is for")
            });
        }
        let mut address = self.address;
        if address.ip().is_unspecified() {
            let is_old = address.is_ipv4();
            address.set_ip(if is_old {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        Ok(format!("http://{address}{}", settings.base_path))
    }

    /// Reads certificate and key again, for the connections to come.
    ///
    /// # Errors
    /// When they cannot be used; the old ones stay in use.
    pub fn reload(&self) -> Result<()> {
        self.shared.tls.as_ref().map_or(Ok(()), Tls::reload)
    }

    /// Reads the table of prices again.
    ///
    /// # Errors
    /// When it cannot be used; the old one stays in use.
    pub fn reload_prices(&self) -> Result<()> {
        let prices = Prices::load(self.shared.surroundings.settings.prices.as_deref())?;
        self.shared.api.set_prices(prices);
        Ok(())
    }

    /// Takes no more requests, waits until those in flight are answered, at most as long as the
    /// settings say, and moves the write-ahead log into the database.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stop(self) -> Result<()> {
        // It still has something to deliver.
        if let Some(watcher) = self.shared.api.watcher.get() {
            watcher.stop();
        }
        let time_max = self.shared.surroundings.settings.stop_seconds_max;
        self.shared.store().arrivals.stop();
        let left = self.shared.end(Duration::from_secs(time_max));
        if left > 0 {
            log::warn!("{left} requests were cut off");
        }
        drop(self.background);
        self.shared.store().checkpoint()
    }

    fn spawn(&self, name: &str, act: impl FnOnce(&Arc<Shared>) + Send + 'static) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(name.into());
        thread.spawn(move || act(&shared)).context(|| "start a thread".into()).map(drop)
    }
}

/// Listens on an address and port of the settings.
///
/// # Errors
/// When that is not possible.
pub fn bind(listen: &str) -> Result<TcpListener> {
    let listening = TcpListener::bind(listen)
        .and_then(|listener| queue(&listener, QUEUE_MAX).map(|()| listener));
    listening.map_err(|error| {
        Error::new(format!("listen on {listen}"))
            .caused_by(error)
            .with_hint("`--listen 127.0.0.1:0` takes a free port")
    })
}

/// Others can reach it: somebody must be able to prove who they are.
fn check_exposed(address: SocketAddr, store: &Store, settings: &Settings) -> Result<()> {
    if !store.has_keys()? {
        let what = format!(
            "{address} can be reached from other machines, and nobody has a key or password yet"
        );
        return Err(Error::new(what).with_hint(
            "`confab-server key create --user NAME` makes one; or listen on 127.0.0.1",
        ));
    }
    if settings.tls_cert.is_none() && settings.trusted_proxies.is_empty() {
        log::warn!("keys and content travel readable for others: set tls_cert and tls_key");
    }
    Ok(())
}
