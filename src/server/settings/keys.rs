//! The table of settings: one row each.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Settings;

/// Hosts and proxies of a list.
const LIST_MAX: usize = 64;
/// Bytes of a text.
const TEXT_BYTES_MAX: usize = 4096;
/// A size that nobody means to reach.
const BYTES_MAX: u64 = 1 << 50;
/// Requests in an hour that nobody means to reach.
const REQUESTS_MAX: u64 = 1 << 40;

/// A row.
pub struct Key {
    /// In the file.
    pub name: &'static str,
    /// On the command line, without its dashes.
    pub option: &'static str,
    /// What it is for.
    pub about: &'static str,
    slot: Slot,
}

/// Where a setting lies, and what it may be.
enum Slot {
    Number(fn(&mut Settings) -> &mut u64, u64, u64),
    Text(fn(&mut Settings) -> &mut String, Kind),
    Unset(fn(&mut Settings) -> &mut Option<String>, Kind),
    Path(fn(&mut Settings) -> &mut Option<PathBuf>),
    Names(fn(&mut Settings) -> &mut Vec<String>),
    Addresses(fn(&mut Settings) -> &mut Vec<IpAddr>),
}

/// What a text may be: whether it is, and how to say what is expected.
type Kind = (fn(&str) -> bool, &'static str);

const LISTENER: Kind = (is_listener, "ADDRESS:PORT, for example 127.0.0.1:8787");
const BASE: Kind = (is_base, "a path like /confab, or nothing");
const URL: Kind = (is_url, "an address like https://confab.example.org");

/// All settings, in the order in which they are shown.
pub const KEYS: [Key; 37] = [
    text("listen", "listen", "address and port to listen on", |s| &mut s.listen, LISTENER),
    path("tls_cert", "tls-cert", "certificates in PEM, the server's first", |s| &mut s.tls_cert),
    path("tls_key", "tls-key", "the certificate's private key in PEM", |s| &mut s.tls_key),
    text("base_path", "base-path", "where everything lies on the host", |s| &mut s.base_path, BASE),
    unset("public_url", "public-url", "what users reach it at", |s| &mut s.public_url, URL),
    Key {
        name: "hosts",
        option: "host",
        about: "its names, next to those of this machine and of public_url",
        slot: Slot::Names(|s| &mut s.hosts),
    },
    Key {
        name: "trusted_proxies",
        option: "trusted-proxy",
        about: "addresses whose X-Forwarded headers are believed",
        slot: Slot::Addresses(|s| &mut s.trusted_proxies),
    },
    unset("metrics", "metrics", "address and port of the metrics", |s| &mut s.metrics, LISTENER),
    path("prices", "prices", "table of what tokens cost, instead of its own", |s| &mut s.prices),
    path("log_file", "log-file", "where the log goes, instead of stderr", |s| &mut s.log_file),
    number(
        "log_bytes_max",
        "log-bytes-max",
        "bytes at which a log file is put aside as FILE.1",
        |s| &mut s.log_bytes_max,
        (1 << 16, BYTES_MAX),
    ),
    number(
        "database_bytes_max",
        "database-bytes-max",
        "bytes of the database, 0 for no limit; more is answered as a full disk is",
        |s| &mut s.database_bytes_max,
        (0, BYTES_MAX),
    ),
    number(
        "connections_max",
        "connections-max",
        "connections at once",
        |s| &mut s.connections_max,
        (1, 65_536),
    ),
    number(
        "address_connections_max",
        "address-connections-max",
        "connections at once from one address",
        |s| &mut s.address_connections_max,
        (1, 65_536),
    ),
    number(
        "streams_max",
        "streams-max",
        "pages at once that are told what is new",
        |s| &mut s.streams_max,
        (0, 65_536),
    ),
    number(
        "reader_streams_max",
        "reader-streams-max",
        "of these, for one user or one link",
        |s| &mut s.reader_streams_max,
        (0, 65_536),
    ),
    number(
        "head_bytes_max",
        "head-bytes-max",
        "bytes of a request's line and headers",
        |s| &mut s.head_bytes_max,
        (1 << 10, 1 << 20),
    ),
    number(
        "bodies_bytes_max",
        "bodies-bytes-max",
        "bytes of bodies in memory at once, over all connections, and of large answers",
        |s| &mut s.bodies_bytes_max,
        (64 << 20, BYTES_MAX),
    ),
    number(
        "large_bodies_max",
        "large-bodies-max",
        "large bodies that are unpacked and stored at once",
        |s| &mut s.large_bodies_max,
        (1, 1024),
    ),
    number(
        "unwanted_bytes_max",
        "unwanted-bytes-max",
        "bytes of a refused body that are read so that the answer arrives",
        |s| &mut s.unwanted_bytes_max,
        (0, 1 << 30),
    ),
    seconds(
        "head_seconds_max",
        "head-seconds-max",
        "seconds for a request's line and headers, and for the TLS handshake",
        |s| &mut s.head_seconds_max,
    ),
    seconds(
        "request_seconds_max",
        "request-seconds-max",
        "seconds for a whole request that arrives slower than bytes_per_second_min",
        |s| &mut s.request_seconds_max,
    ),
    seconds("idle_seconds_max", "idle-seconds-max", "seconds between two requests", |s| {
        &mut s.idle_seconds_max
    }),
    seconds(
        "answer_seconds_max",
        "answer-seconds-max",
        "seconds for each 256 KiB of an answer",
        |s| &mut s.answer_seconds_max,
    ),
    seconds("unwanted_seconds_max", "unwanted-seconds-max", "seconds for a refused body", |s| {
        &mut s.unwanted_seconds_max
    }),
    seconds(
        "stop_seconds_max",
        "stop-seconds-max",
        "seconds for requests in flight when it is told to stop",
        |s| &mut s.stop_seconds_max,
    ),
    number(
        "bytes_per_second_min",
        "bytes-per-second-min",
        "bytes per second that give a body more time",
        |s| &mut s.bytes_per_second_min,
        (1, 1 << 30),
    ),
    rate(
        "requests_per_hour",
        "requests-per-hour",
        "requests of one address; 0 for no limit",
        |s| &mut s.requests.per_hour,
    ),
    burst("requests_burst", "requests-burst", |s| &mut s.requests.burst),
    rate(
        "sign_in_per_hour",
        "sign-in-per-hour",
        "requests of one address that sign in; 0 for no limit",
        |s| &mut s.sign_in.per_hour,
    ),
    burst("sign_in_burst", "sign-in-burst", |s| &mut s.sign_in.burst),
    rate(
        "validate_per_hour",
        "validate-per-hour",
        "questions of one address whether a key is valid; 0 for no limit",
        |s| &mut s.validate.per_hour,
    ),
    burst("validate_burst", "validate-burst", |s| &mut s.validate.burst),
    rate(
        "sync_per_hour",
        "sync-per-hour",
        "requests of one user that store; 0 for no limit",
        |s| &mut s.sync.per_hour,
    ),
    burst("sync_burst", "sync-burst", |s| &mut s.sync.burst),
    rate(
        "read_per_hour",
        "read-per-hour",
        "requests of one user that read stored lines; 0 for no limit",
        |s| &mut s.read.per_hour,
    ),
    burst("read_burst", "read-burst", |s| &mut s.read.burst),
];

impl Key {
    /// The value as it would be in the file.
    pub fn value(&self, settings: &Settings) -> Value {
        // The rows know where a setting lies for writing; a copy is good enough for reading.
        let mut copy = settings.clone();
        match self.slot {
            Slot::Number(at, ..) => json!(*at(&mut copy)),
            Slot::Text(at, _) => json!(at(&mut copy)),
            Slot::Unset(at, _) => json!(at(&mut copy)),
            Slot::Path(at) => json!(at(&mut copy).as_ref().map(|path| path.to_string_lossy())),
            Slot::Names(at) => json!(at(&mut copy)),
            Slot::Addresses(at) => {
                let texts: Vec<String> = at(&mut copy).iter().map(ToString::to_string).collect();
                json!(texts)
            }
        }
    }

    /// Sets a value; a relative path begins in `folder`.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn set(&self, settings: &mut Settings, value: &Value, folder: &Path) -> Result<(), String> {
        let taken = match self.slot {
            Slot::Number(at, min, max) => {
                let number = value.as_u64().filter(|number| (min..=max).contains(number));
                number.map(|number| *at(settings) = number)
            }
            Slot::Text(at, kind) => text_of(value, kind).map(|text| *at(settings) = text),
            Slot::Unset(at, kind) => text_of(value, kind).map(|text| *at(settings) = Some(text)),
            Slot::Path(at) => text_of(value, (|text| !text.is_empty(), ""))
                .map(|text| *at(settings) = Some(folder.join(text))),
            Slot::Names(at) => list_of(value, |text| is_name(text).then(|| text.to_lowercase()))
                .map(|names| *at(settings) = names),
            Slot::Addresses(at) => {
                list_of(value, |text| text.parse().ok()).map(|addresses| *at(settings) = addresses)
            }
        };
        taken.ok_or_else(|| self.expected())
    }

    /// True for a setting that its option adds to.
    pub fn is_list(&self) -> bool {
        matches!(self.slot, Slot::Names(_) | Slot::Addresses(_))
    }

    /// True for a number.
    pub fn is_number(&self) -> bool {
        matches!(self.slot, Slot::Number(..))
    }

    fn expected(&self) -> String {
        match self.slot {
            Slot::Number(_, min, max) => format!("a number from {min} to {max}"),
            Slot::Text(_, (_, expected)) | Slot::Unset(_, (_, expected)) => expected.to_owned(),
            Slot::Path(_) => "the path of a file".to_owned(),
            Slot::Names(_) => format!("a list of at most {LIST_MAX} names without a port"),
            Slot::Addresses(_) => format!("a list of at most {LIST_MAX} IP addresses"),
        }
    }
}

const fn number(
    name: &'static str,
    option: &'static str,
    about: &'static str,
    at: fn(&mut Settings) -> &mut u64,
    (min, max): (u64, u64),
) -> Key {
    Key { name, option, about, slot: Slot::Number(at, min, max) }
}

const fn seconds(
    name: &'static str,
    option: &'static str,
    about: &'static str,
    at: fn(&mut Settings) -> &mut u64,
) -> Key {
    number(name, option, about, at, (1, 3600))
}

const fn rate(
    name: &'static str,
    option: &'static str,
    about: &'static str,
    at: fn(&mut Settings) -> &mut u64,
) -> Key {
    number(name, option, about, at, (0, REQUESTS_MAX))
}

const fn burst(name: &'static str, option: &'static str, at: fn(&mut Settings) -> &mut u64) -> Key {
    number(name, option, "how many of them at once after a pause", at, (1, REQUESTS_MAX))
}

const fn text(
    name: &'static str,
    option: &'static str,
    about: &'static str,
    at: fn(&mut Settings) -> &mut String,
    kind: Kind,
) -> Key {
    Key { name, option, about, slot: Slot::Text(at, kind) }
}

const fn unset(
    name: &'static str,
    option: &'static str,
    about: &'static str,
    at: fn(&mut Settings) -> &mut Option<String>,
    kind: Kind,
) -> Key {
    Key { name, option, about, slot: Slot::Unset(at, kind) }
}

const fn path(
    name: &'static str,
    option: &'static str,
    about: &'static str,
    at: fn(&mut Settings) -> &mut Option<PathBuf>,
) -> Key {
    Key { name, option, about, slot: Slot::Path(at) }
}

fn text_of(value: &Value, (is_kind, _): Kind) -> Option<String> {
    let text = value.as_str()?;
    let is_plain = text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control);
    (is_plain && is_kind(text)).then(|| text.trim_end_matches('/').to_owned())
}

fn list_of<T>(value: &Value, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let values = value.as_array().filter(|values| values.len() <= LIST_MAX)?;
    values.iter().map(|value| item(value.as_str()?)).collect()
}

/// A numeric address, or a name, which is looked up when it is bound to.
fn is_listener(text: &str) -> bool {
    let is_named = || {
        let (name, port) = text.rsplit_once(':')?;
        Some(is_name(name) && port.parse::<u16>().is_ok())
    };
    text.parse::<SocketAddr>().is_ok() || is_named() == Some(true)
}

/// A host's name or address without a port.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !text.is_empty() && text.len() <= 253 && text.bytes().all(is_plain),
    }
}

/// A path whose parts need no escapes and lead nowhere else.
fn is_base(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(is_plain) && part.bytes().any(|byte| byte != b'.')
    };
    let path = text.strip_suffix('/').unwrap_or(text);
    path.is_empty() || path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_part))
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest)) else { return false };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    is_base(path) && crate::server::caller::host_of(authority).is_some_and(is_name)
}
