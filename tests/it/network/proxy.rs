//! The proxies of the environment, and the machines that are reached without one.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::port::{Port, join};
use super::terminator::Authority;
use super::{Backend, HOST, Sandbox, arrives_whole, config, delivers_whole, fails, port_of};
use crate::support::http::read_request;
use crate::support::parallel::each;

/// A proxy that knows the one method CONNECT and leads every tunnel to the same port.
struct Proxy {
    port: Port,
    heads: Arc<Mutex<Vec<Head>>>,
}

/// What the proxy was asked, and with which headers.
#[derive(Debug, Clone)]
struct Head {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl Proxy {
    /// A proxy that leads to a port, or refuses with this status line.
    fn start(target: Result<u16, &'static str>) -> Proxy {
        let heads: Arc<Mutex<Vec<Head>>> = Arc::default();
        let seen = Arc::clone(&heads);
        let port = Port::open(move |client| serve(client, target, &seen));
        Proxy { port, heads }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    fn heads(&self) -> Vec<Head> {
        self.heads.lock().unwrap().clone()
    }

    /// Checks that it was asked for this target alone and was told no secret.
    #[track_caller]
    fn was_asked_for(&self, target: &str, backend: &Backend) {
        let heads = self.heads();
        assert!(!heads.is_empty(), "the proxy was used");
        for head in heads {
            assert_eq!((head.method.as_str(), head.target.as_str()), ("CONNECT", target));
            assert!(!format!("{head:?}").contains(&backend.key()), "{head:?}");
            let agent = head.headers.iter().find(|(name, _)| name == "user-agent");
            assert!(agent.unwrap().1.starts_with("confab/"), "{head:?}");
        }
    }
}

fn serve(mut client: TcpStream, target: Result<u16, &str>, seen: &Mutex<Vec<Head>>) {
    // CONNECT has no body, and the client says nothing more before it is answered.
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let Ok(Some(request)) = read_request(&mut reader) else { return };
    let head = Head { method: request.method, target: request.path, headers: request.headers };
    seen.lock().unwrap().push(head);
    match target {
        Ok(port) => {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            join(client, TcpStream::connect(("127.0.0.1", port)).unwrap());
        }
        Err(status) => {
            let _ = write!(client, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        }
    }
}

/// Each of the variables reaches the daemon by way of the hook and is used for https.
#[test]
fn https_goes_through_the_proxy_of_the_environment() {
    let variables = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    each(variables.to_vec(), |variable| {
        let mut sandbox = Sandbox::new(&format!("proxy-{variable}"));
        let Some(authority) = Authority::of_all_names(sandbox.root()) else { return };
        let backend = Backend::at_localhost();
        let port = authority.terminate(port_of(&backend), &[]);
        let proxy = Proxy::start(Ok(port.number()));
        sandbox.set(variable, &proxy.url());
        let more = json!({ "ca_file": authority.certificate() });
        sandbox.configure(&config(&backend, &format!("https://{HOST}"), &more));
        delivers_whole(&sandbox, &backend);
        proxy.was_asked_for(&format!("{HOST}:443"), &backend);
    });
}

/// The user name of a proxy goes to the proxy and nowhere else.
#[test]
fn a_proxy_is_told_its_own_user_and_password() {
    let mut sandbox = Sandbox::new("proxy-password");
    let Some(authority) = Authority::of_all_names(sandbox.root()) else { return };
    let backend = Backend::at_localhost();
    let port = authority.terminate(port_of(&backend), &[]);
    let proxy = Proxy::start(Ok(port.number()));
    let password = ["open", "sesame"].concat();
    sandbox.set("https_proxy", &proxy.url().replace("//", &format!("//someone:{password}@")));
    let more = json!({ "ca_file": authority.certificate() });
    sandbox.configure(&config(&backend, &format!("https://{HOST}:8443/"), &more));
    delivers_whole(&sandbox, &backend);
    proxy.was_asked_for(&format!("{HOST}:8443"), &backend);
    for head in proxy.heads() {
        let given = head.headers.iter().find(|(name, _)| name == "proxy-authorization");
        // "someone:opensesame" in base64.
        assert_eq!(given.unwrap().1, "Basic c29tZW9uZTpvcGVuc2VzYW1l");
    }
    for arrived in backend.arrived() {
        assert!(arrived.request.header("proxy-authorization").is_none());
    }
    assert!(!sandbox.log().contains(&password));
}

/// What is excepted is looked up here, which fails for a name that does not exist.
#[test]
fn no_proxy_is_honoured() {
    let cases = [("NO_PROXY", HOST), ("no_proxy", ".test"), ("NO_PROXY", "a.example, *")];
    each(cases.into_iter().enumerate().collect(), |(number, (variable, value))| {
        let mut sandbox = Sandbox::new(&format!("no-proxy-{number}"));
        let backend = Backend::at_localhost();
        let proxy = Proxy::start(Ok(port_of(&backend)));
        for name in ["HTTPS_PROXY", "ALL_PROXY"] {
            sandbox.set(name, &proxy.url());
        }
        sandbox.set(variable, value);
        sandbox.configure(&config(&backend, &format!("https://{HOST}"), &json!({})));
        let error = fails(&sandbox);
        assert!(error.contains("/api/v1/sync/init: "), "{variable}={value}: {error}");
        assert_eq!(proxy.port.n_connections(), 0, "{variable}={value}");
    });
}

#[test]
fn this_machine_is_reached_without_a_proxy() {
    let with_proxy = |name: &str| {
        let mut sandbox = Sandbox::new(name);
        let proxy = Proxy::start(Err("502 Bad Gateway"));
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy"] {
            sandbox.set(name, &proxy.url());
        }
        (sandbox, proxy)
    };
    for host in ["127.0.0.1", "localhost", "LocalHost"] {
        let backend = Backend::at_localhost();
        let (sandbox, proxy) = with_proxy(&format!("loopback-{host}"));
        let url = format!("http://{host}:{}", port_of(&backend));
        sandbox.configure(&config(&backend, &url, &json!({})));
        delivers_whole(&sandbox, &backend);
        assert_eq!(proxy.port.n_connections(), 0, "{host}");
    }
    let (sandbox, proxy) = with_proxy("loopback-tls");
    let Some(authority) = Authority::of_all_names(sandbox.root()) else { return };
    let backend = Backend::at_localhost();
    let port = authority.terminate(port_of(&backend), &[]);
    let more = json!({ "ca_file": authority.certificate() });
    let url = format!("https://localhost:{}", port.number());
    sandbox.configure(&config(&backend, &url, &more));
    delivers_whole(&sandbox, &backend);
    assert_eq!(proxy.port.n_connections(), 0);
}

/// W-50: key and lines do not travel in clear text to another machine, not to a proxy either,
/// unless the config allows it; then they go through the proxy for http, not through that for
/// https.
#[test]
fn plain_http_to_another_machine_needs_permission() {
    let backend = Backend::at_localhost();
    let proxy = Proxy::start(Ok(port_of(&backend)));
    let other_proxy = Proxy::start(Err("502 Bad Gateway"));
    let mut sandbox = Sandbox::new("plain-http");
    sandbox.set("http_proxy", &proxy.url());
    sandbox.set("https_proxy", &other_proxy.url());
    let url = format!("http://{HOST}/");
    let refused = config(&backend, &url, &json!({}));
    sandbox.configure(&refused);
    let error = fails(&sandbox);
    assert!(error.contains("backend_url is plain http to another machine"), "{error}");
    assert_eq!(proxy.port.n_connections(), 0);
    let parsed = confab::config::parse(refused.to_string().as_bytes()).unwrap();
    let hint = parsed.account().unwrap_err().hint().unwrap().to_owned();
    assert!(hint.contains("https") && hint.contains("allow_insecure_http"), "{hint}");

    sandbox.configure(&config(&backend, &url, &json!({ "allow_insecure_http": true })));
    arrives_whole(&sandbox, &backend);
    proxy.was_asked_for(&format!("{HOST}:80"), &backend);
    assert_eq!(other_proxy.port.n_connections(), 0);
}

/// A proxy that says no is shown as such, and the session waits.
#[test]
fn a_proxy_that_refuses_is_shown() {
    let refusals = [
        ("403", "403 Forbidden"),
        ("407", "407 Proxy Authentication Required"),
        ("302", "302 Found\r\nlocation: http://login.test/"),
    ];
    each(refusals.to_vec(), |(name, refusal)| {
        let backend = Backend::at_localhost();
        let proxy = Proxy::start(Err(refusal));
        let mut sandbox = Sandbox::new(&format!("proxy-refuses-{name}"));
        sandbox.set("HTTPS_PROXY", &proxy.url());
        sandbox.configure(&config(&backend, &format!("https://{HOST}"), &json!({})));
        let error = fails(&sandbox);
        assert!(error.contains("proxy") && error.contains(name), "{error}");
        // The daemon reads the config again.
        sandbox.configure(&config(&backend, &backend.url(), &json!({})));
        arrives_whole(&sandbox, &backend);
    });
}

/// Not only the way to the backend but also the way to the proxy may be TLS.
#[test]
fn a_proxy_may_speak_tls_itself() {
    let mut sandbox = Sandbox::new("proxy-tls");
    let Some(authority) = Authority::of_all_names(sandbox.root()) else { return };
    let backend = Backend::at_localhost();
    let port = authority.terminate(port_of(&backend), &[]);
    let proxy = Proxy::start(Ok(port.number()));
    let secure_proxy = authority.terminate(proxy.port.number(), &[]);
    sandbox.set("https_proxy", &format!("https://localhost:{}", secure_proxy.number()));
    let more = json!({ "ca_file": authority.certificate() });
    sandbox.configure(&config(&backend, &format!("https://{HOST}"), &more));
    delivers_whole(&sandbox, &backend);
    proxy.was_asked_for(&format!("{HOST}:443"), &backend);
}

/// A proxy that cannot be used is an error that the status shows; nothing goes past it, and the
/// daemon goes on.
#[test]
fn a_proxy_of_an_unknown_kind_is_an_error() {
    let values = ["ftp://proxy.test", "http://", "socks5://127.0.0.1:1", "socks4a://127.0.0.1:1"];
    each(values.into_iter().enumerate().collect(), |(number, value)| {
        let backend = Backend::at_localhost();
        let mut sandbox = Sandbox::new(&format!("proxy-unknown-{number}"));
        sandbox.set("ALL_PROXY", value);
        let more = json!({ "allow_insecure_http": true });
        // An address of this machine that does not count as loopback: without a proxy the backend
        // would be reached.
        let url = format!("http://0.0.0.0:{}", port_of(&backend));
        sandbox.configure(&config(&backend, &url, &more));
        let error = fails(&sandbox);
        assert!(error.contains("proxy of the environment"), "{value}: {error}");
        assert!(backend.arrived().is_empty(), "{value}: nothing goes past the proxy");
        sandbox.configure(&config(&backend, &backend.url(), &json!({})));
        arrives_whole(&sandbox, &backend);
    });
}
