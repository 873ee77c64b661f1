//! Who asks, by which name, and for which path: what a reverse proxy says is believed only when it
//! is one of those that the operator trusts.
//!
//! A page of any web site may make a browser on this machine send requests here, under a name of
//! its own that it lets point to loopback (DNS rebinding). So whoever listens on loopback answers
//! to its own names alone. On other addresses the names are checked once some are set: what users
//! call the machine there cannot be known, and a key is needed in any case.

use std::net::{IpAddr, SocketAddr};

use super::http::{Head, Response};
use super::settings::Settings;

/// Hops of `X-Forwarded-For` that are looked at, from the last on.
const HOPS_MAX: usize = 32;
/// Bytes of a request's id that a proxy gave it.
const ID_BYTES_MAX: usize = 64;

/// Who sends a request, as far as that can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The address of the machine before the trusted proxies.
    pub address: IpAddr,
    /// The ends of the connection, the other one first; `None` when they are not known.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// Between it and the first of our own there is TLS.
    pub is_secure: bool,
    /// The authority that it asked for, `HOST` or `HOST:PORT`; empty when it names none.
    pub authority: String,
    /// What the request is called in answer and log.
    pub request_id: String,
}

/// What the operator says about names, paths and proxies.
#[derive(Debug)]
pub struct Names {
    /// None when all are ours.
    hosts: Option<Vec<String>>,
    proxies: Vec<IpAddr>,
    base_path: String,
}

impl Names {
    /// The names of a server that listens on `address`.
    pub fn new(settings: &Settings, address: SocketAddr) -> Names {
        let public = settings.public_url.as_deref().and_then(|url| {
            let (_, rest) = url.split_once("://")?;
            host_of(rest.split('/').next()?)
        });
        let is_checked =
            address.ip().is_loopback() || public.is_some() || !settings.hosts.is_empty();
        let own = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let hosts = is_checked.then(|| {
            let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
            let configured = settings.hosts.iter().cloned();
            let public = public.map(str::to_lowercase);
            loopback.into_iter().chain([own]).chain(configured).chain(public).collect()
        });
        let proxies = settings.trusted_proxies.iter().map(IpAddr::to_canonical).collect();
        Names { hosts, proxies, base_path: settings.base_path.clone() }
    }

    /// True for a proxy whose headers are believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.contains(&address.to_canonical())
    }

    /// Who sends a request that came from `peer`, and that `name` names unless a trusted proxy has.
    pub fn caller(
        &self,
        head: &Head,
        peer: IpAddr,
        is_secure: bool,
        name: impl FnOnce() -> String,
    ) -> Caller {
        let authority = head.header("host").unwrap_or("").to_owned();
        let address = peer.to_canonical();
        if !self.trusts(peer) {
            return Caller { address, ends: None, is_secure, authority, request_id: name() };
        }
        let hops = || head.all("x-forwarded-for").flat_map(|value| value.split(','));
        let skipped = hops().count().saturating_sub(HOPS_MAX);
        // From the right: what is left of the first hop that we do not trust, that hop invented.
        let mut address = address;
        for hop in hops().skip(skipped).collect::<Vec<_>>().into_iter().rev() {
            let Some(hop) = hop_address(hop.trim()) else { break };
            address = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        let last = |name| head.all(name).last()?.rsplit(',').next().map(str::trim);
        Caller {
            address,
            ends: None,
            is_secure: last("x-forwarded-proto")
                .map_or(is_secure, |proto| proto.eq_ignore_ascii_case("https")),
            authority: last("x-forwarded-host").map_or(authority, str::to_owned),
            request_id: last("x-request-id")
                .filter(|id| is_id(id))
                .map_or_else(name, str::to_owned),
        }
    }

    /// Refuses a request to a name that is not ours. HTTP/1.0 has no name, and no browser speaks
    /// it.
    ///
    /// # Errors
    /// What to answer.
    pub fn check(&self, caller: &Caller) -> Result<(), Response> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let host = host_of(&caller.authority).map(|host| host.trim_end_matches('.').to_lowercase());
        if caller.authority.is_empty() || host.is_some_and(|host| hosts.contains(&host)) {
            return Ok(());
        }
        let text = "421 this server has another name: `confab-server serve --host NAME` adds one\n";
        Err(Response::text(421, text))
    }

    /// The path behind the base path; `None` for what does not lie there.
    pub fn inner_path<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.base_path).filter(|path| path.starts_with('/'))
    }
}

/// The host of `HOST` or `HOST:PORT`, an IPv6 address with its brackets. `None` for anything else.
pub fn host_of(authority: &str) -> Option<&str> {
    let end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_port = port.is_empty() || digits.bytes().all(|byte| byte.is_ascii_digit());
    (!host.is_empty() && is_port && (port.is_empty() || port.starts_with(':'))).then_some(host)
}

/// An address as proxies write it: bare, with a port, in brackets.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    bare.or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

/// What may stand in a log line as it is.
fn is_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listen: &str, change: impl FnOnce(&mut Settings)) -> Names {
        let mut settings = Settings::default();
        change(&mut settings);
        Names::new(&settings, listen.parse().unwrap())
    }

    fn head(headers: &str) -> Head {
        let text = format!("GET / HTTP/1.1\r\n{headers}\r\n");
        Head::parse(text.as_bytes(), 16 << 10).unwrap().unwrap().0
    }

    fn status_of(names: &Names, host: &str) -> u16 {
        let head = head(&format!("Host: {host}\r\n"));
        let caller = names.caller(&head, "127.0.0.1".parse().unwrap(), false, String::new);
        names.check(&caller).map_or_else(|response| response.status, |()| 200)
    }

    #[test]
    fn on_loopback_only_own_names_are_answered() {
        let plain = names("127.0.0.1:80", |_| {});
        let named = names("127.0.0.2:80", |settings| {
            settings.hosts = vec!["box.lan".into()];
            settings.public_url = Some("https://Confab.example.org:8443/x".into());
        });
        let open = names("0.0.0.0:80", |_| {});
        let narrow = names("0.0.0.0:80", |settings| settings.hosts = vec!["box.lan".into()]);
        let cases = [
            ("localhost", [200, 200, 200, 200]),
            ("LOCALHOST:8787", [200, 200, 200, 200]),
            ("localhost.", [200, 200, 200, 200]),
            ("127.0.0.1:1", [200, 200, 200, 200]),
            ("[::1]:8787", [200, 200, 200, 200]),
            ("127.0.0.2", [421, 200, 200, 421]),
            ("box.lan", [421, 200, 200, 200]),
            ("confab.example.org", [421, 200, 200, 421]),
            ("evil.example", [421, 421, 200, 421]),
            ("localhost.evil.example", [421, 421, 200, 421]),
            ("localhost:1@evil.example", [421, 421, 200, 421]),
            ("127.0.0.1.evil.example:80", [421, 421, 200, 421]),
            ("[::1", [421, 421, 200, 421]),
        ];
        for (host, expected) in cases {
            let found = [&plain, &named, &open, &narrow].map(|names| status_of(names, host));
            assert_eq!(found, expected, "{host}");
        }
    }

    #[test]
    fn forwarded_headers_count_from_trusted_proxies_alone() {
        let names = names("127.0.0.1:80", |settings| {
            settings.trusted_proxies =
                ["127.0.0.1", "10.0.0.1"].map(|text| text.parse().unwrap()).to_vec();
        });
        let head = |value: &str| {
            head(&format!(
                "Host: inner\r\n{value}X-Forwarded-Proto: https\r\nX-Forwarded-Host: a, outer:1\r\n\
                 X-Request-Id: id-1\r\n"
            ))
        };
        let cases = [
            ("", "127.0.0.1"),
            ("X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
            ("X-Forwarded-For: 1.1.1.1, 192.0.2.7:5555\r\n", "192.0.2.7"),
            ("X-Forwarded-For: 1.1.1.1, 192.0.2.7, 10.0.0.1\r\n", "192.0.2.7"),
            ("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 192.0.2.7, 10.0.0.1\r\n", "192.0.2.7"),
            ("X-Forwarded-For: 10.0.0.1\r\n", "10.0.0.1"),
            ("X-Forwarded-For: 1.1.1.1, unknown\r\n", "127.0.0.1"),
            ("X-Forwarded-For: [2001:db8::1]:80\r\n", "2001:db8::1"),
        ];
        for (value, address) in cases {
            let peer = "::ffff:127.0.0.1".parse().unwrap();
            let caller = names.caller(&head(value), peer, false, String::new);
            assert_eq!(caller.address, address.parse::<IpAddr>().unwrap(), "{value}");
            assert!(caller.is_secure);
            assert_eq!(caller.authority, "outer:1");
            assert_eq!(caller.request_id, "id-1");
        }
        let stranger = names.caller(
            &head("X-Forwarded-For: 10.9.9.9\r\n"),
            "192.0.2.1".parse().unwrap(),
            false,
            || "own".into(),
        );
        assert_eq!(stranger.address, "192.0.2.1".parse::<IpAddr>().unwrap());
        assert!(!stranger.is_secure);
        let named = (stranger.authority.as_str(), stranger.request_id.as_str());
        assert_eq!(named, ("inner", "own"));
    }

    #[test]
    fn what_does_not_lie_behind_the_base_path_is_not_there() {
        let names = names("127.0.0.1:80", |settings| settings.base_path = "/a/b".into());
        let cases = [
            ("/a/b/health", Some("/health")),
            ("/a/b/", Some("/")),
            ("/a/b", None),
            ("/a/bc/health", None),
            ("/health", None),
            ("/A/B/health", None),
        ];
        for (path, inner) in cases {
            assert_eq!(names.inner_path(path), inner, "{path}");
        }
    }

    #[test]
    fn only_harmless_ids_are_taken_over() {
        for (id, taken) in [("a-B_9.x", true), ("", false), ("a b", false), ("a=b", false)] {
            assert_eq!(is_id(id), taken, "{id}");
        }
        assert!(!is_id(&"a".repeat(65)));
    }
}
