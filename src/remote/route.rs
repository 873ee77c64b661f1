//! Which proxy leads to the backend, if any.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use ureq::{Proxy, ProxyProtocol};

use crate::error::{Error, Result};

/// What the environment says of the network; `main` reads it.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// `https_proxy`, `HTTPS_PROXY`.
    pub https_proxy: Option<String>,
    /// `http_proxy`, `HTTP_PROXY`.
    pub http_proxy: Option<String>,
    /// `all_proxy`, `ALL_PROXY`.
    pub all_proxy: Option<String>,
    /// `no_proxy`, `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// `SSL_CERT_FILE`.
    pub certificate_file: Option<PathBuf>,
    /// `SSL_CERT_DIR`.
    pub certificate_folder: Option<PathBuf>,
}

impl Network {
    /// What the environment says, which is asked for variables by name.
    pub fn of(variable: &dyn Fn(&str) -> Option<OsString>) -> Network {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let either = |lower: &str, upper: &str| text(lower).or_else(|| text(upper));
        Network {
            https_proxy: either("https_proxy", "HTTPS_PROXY"),
            http_proxy: either("http_proxy", "HTTP_PROXY"),
            all_proxy: either("all_proxy", "ALL_PROXY"),
            no_proxy: either("no_proxy", "NO_PROXY"),
            certificate_file: set("SSL_CERT_FILE").map(PathBuf::from),
            certificate_folder: set("SSL_CERT_DIR").map(PathBuf::from),
        }
    }

    /// The proxy for an address, unless its host is this machine or excepted.
    ///
    /// # Errors
    /// A proxy address that cannot be used; it is not repeated, as it may hold a password.
    pub fn proxy_for(&self, url: &str) -> Result<Option<Proxy>> {
        let own = if url.starts_with("https://") { &self.https_proxy } else { &self.http_proxy };
        let set = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let Some(proxy) = set(own).or_else(|| set(&self.all_proxy)) else { return Ok(None) };
        if is_excepted(url, self.no_proxy.as_deref().unwrap_or_default()) {
            return Ok(None);
        }
        match Proxy::new(proxy.trim()) {
            Ok(proxy) if is_spoken(proxy.protocol()) => Ok(Some(proxy)),
            _ => Err(Error::new("the proxy of the environment cannot be used").with_hint(
                "set HTTPS_PROXY to an address such as http://proxy.example.org:3128; SOCKS is not \
                 spoken",
            )),
        }
    }
}

/// ureq panics when it meets a proxy of a kind that it was built without.
fn is_spoken(protocol: ProxyProtocol) -> bool {
    protocol == ProxyProtocol::Http || (protocol == ProxyProtocol::Https && cfg!(feature = "tls"))
}

/// `NO_PROXY` as curl and Go read it: `*`, a host with all below it, an address, a range.
fn is_excepted(url: &str, no_proxy: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        let (entry, port) = match entry.rsplit_once(':') {
            // An IPv6 address has colons of its own, unless it is in brackets.
            Some((name, _)) if name.contains(':') && !name.ends_with(']') => (entry.as_str(), ""),
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port),
            _ => (entry.as_str(), ""),
        };
        let entry = entry.trim_start_matches('[').trim_end_matches(']');
        if !port.is_empty() && !authority.ends_with(&format!(":{port}")) {
            return false;
        }
        let name = entry.trim_start_matches('*').trim_start_matches('.');
        match (entry, address) {
            ("", _) => false,
            ("*", _) => true,
            (range, Some(address)) if range.contains('/') => in_range(address, range),
            (entry, Some(address)) => entry.parse() == Ok(address),
            _ => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
        }
    })
}

fn in_range(address: IpAddr, range: &str) -> bool {
    let Some((network, bits)) = range.split_once('/') else { return false };
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (address, network.parse::<IpAddr>()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(network))) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(network))) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions() {
        let cases = [
            ("https://a.example.org/x", "example.org", true),
            ("https://example.org", ".example.org", true),
            ("https://example.org", "*.example.org", true),
            ("https://badexample.org", "example.org", false),
            ("https://example.org:8443", "example.org:8443", true),
            ("https://example.org:8443", "example.org:443", false),
            ("https://10.1.2.3", "192.168.0.0/16, 10.0.0.0/8", true),
            ("https://11.1.2.3", "10.0.0.0/8", false),
            ("https://10.1.2.3", "10.1.2.3", true),
            ("https://[fd00::1]:8443", "fd00::1", true),
            ("https://[fd00::1]:8443", "[fd00::1]", true),
            ("https://[fd00::1]:8443", "[fd00::1]:8443", true),
            ("https://[fd00::1]:8443", "[fd00::1]:443", false),
            ("https://[fd00::1]", "fd00::2", false),
            ("https://[fd00::1]", "fd00::/8, ::/129", true),
            ("https://[fc00::1]", "fd00::/8", false),
            ("https://[fc00::1]", "0.0.0.0/0", false),
            ("https://example.org", "*", true),
            ("https://example.org", "", false),
            ("http://127.0.0.1:1", "", true),
            ("http://[::1]:1", "", true),
            ("http://localhost", "", true),
        ];
        for (url, no_proxy, expected) in cases {
            assert_eq!(is_excepted(url, no_proxy), expected, "{url} {no_proxy}");
        }
    }

    #[test]
    fn the_scheme_decides_and_passwords_are_not_repeated() {
        let secret = ["se", "cret"].concat();
        let network = Network {
            https_proxy: Some(format!("http://u:{secret}@proxy:3128")),
            http_proxy: Some(format!("ftp://{secret}")),
            ..Network::default()
        };
        assert!(network.proxy_for("https://example.org").unwrap().is_some());
        let error = network.proxy_for("http://example.org").unwrap_err();
        assert!(!error.to_string().contains(&secret));
        assert!(network.proxy_for("http://localhost").unwrap().is_none());
        let network = Network { all_proxy: Some("socks5h://x:1".into()), ..Network::default() };
        let error = network.proxy_for("https://example.org").unwrap_err();
        assert!(error.hint().unwrap().contains("SOCKS"));
    }
}
