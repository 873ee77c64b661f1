//! Who is trusted: the authorities of the machine, those of the environment, and those of
//! `ca_file`; and what is spoken: TLS 1.2 and newer.

use std::fs;

use serde_json::json;

use super::port::Port;
use super::terminator::{Authority, skipped};
use super::{Backend, ID, Sandbox, arrives_whole, config, delivers_whole, fails, port_of};
use crate::support::eventually::eventually;
use crate::support::parallel::each;

const NOT_TRUSTED: &str = "certificate";

/// A backend with a TLS server before it, and a home that has no config yet.
struct Scene {
    backend: Backend,
    sandbox: Sandbox,
    authority: Authority,
    port: Port,
}

impl Scene {
    fn new(name: &str, options: &[&str]) -> Option<Scene> {
        let sandbox = Sandbox::new(name);
        let authority = Authority::of_all_names(sandbox.root())?;
        let backend = Backend::at_localhost();
        let port = authority.terminate(port_of(&backend), options);
        Some(Scene { backend, sandbox, authority, port })
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port.number())
    }

    /// Points the config at the TLS server, with its authority in `ca_file` or without.
    fn configure(&self, host: &str, ca_file: Option<&std::path::Path>) {
        let more = ca_file.map_or(json!({}), |path| json!({ "ca_file": path }));
        self.sandbox.configure(&config(&self.backend, &self.url(host), &more));
    }
}

#[test]
fn a_session_arrives_whole_when_ca_file_names_the_authority() {
    for host in ["127.0.0.1", "localhost"] {
        let Some(scene) = Scene::new(&format!("ca-file-{host}"), &[]) else { return };
        scene.configure(host, Some(&scene.authority.certificate()));
        delivers_whole(&scene.sandbox, &scene.backend);
        assert!(scene.port.n_connections() > 0);
    }
}

/// Nothing is sent to a server whose authority is unknown; once `ca_file` names it, the daemon that
/// is there already goes on.
#[test]
fn an_unknown_authority_is_not_trusted() {
    let Some(scene) = Scene::new("unknown-authority", &[]) else { return };
    scene.configure("localhost", None);
    let error = fails(&scene.sandbox);
    assert!(error.contains(NOT_TRUSTED), "{error}");
    assert!(scene.port.n_connections() > 0);
    assert!(scene.backend.arrived().is_empty());
    scene.configure("localhost", Some(&scene.authority.certificate()));
    arrives_whole(&scene.sandbox, &scene.backend);
}

/// The other authority of the same name is not the one.
#[test]
fn another_authority_of_the_same_name_is_not_trusted() {
    let Some(scene) = Scene::new("other-authority", &[]) else { return };
    let Some(other) = Authority::of_all_names(&scene.sandbox.root().join("work")) else { return };
    scene.configure("localhost", Some(&other.certificate()));
    let error = fails(&scene.sandbox);
    assert!(error.contains(NOT_TRUSTED), "{error}");
    assert!(scene.backend.arrived().is_empty());
}

/// The hook passes the variables on to the daemon.
#[test]
fn the_authorities_of_the_environment_are_trusted() {
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let Some(mut scene) = Scene::new(&format!("environment-{name}"), &[]) else { return };
        let folder = scene.sandbox.root().join("authorities");
        fs::create_dir(&folder).unwrap();
        let file = folder.join("authority.pem");
        fs::copy(scene.authority.certificate(), &file).unwrap();
        let path = if name == "SSL_CERT_FILE" { &file } else { &folder };
        scene.sandbox.set(name, path.to_str().unwrap());
        scene.configure("localhost", None);
        delivers_whole(&scene.sandbox, &scene.backend);
    }
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let sandbox = Sandbox::new("other-name");
    let Some(authority) = Authority::new(sandbox.root(), "DNS:elsewhere.test") else { return };
    let backend = Backend::at_localhost();
    let port = authority.terminate(port_of(&backend), &[]);
    let url = format!("https://localhost:{}", port.number());
    let more = json!({ "ca_file": authority.certificate() });
    sandbox.configure(&config(&backend, &url, &more));
    let error = fails(&sandbox);
    assert!(error.contains(NOT_TRUSTED), "{error}");
    assert!(backend.arrived().is_empty());
}

/// Servers of one version each. That the old ones would serve a client of their time is shown by
/// openssl's own, so that the refusal is ours.
#[test]
fn tls_is_1_2_or_newer() {
    let old = |version: &'static str| [version, "-cipher", "ALL:@SECLEVEL=0"];
    let cases = [
        ("tls-1.0", old("-tls1"), false),
        ("tls-1.1", old("-tls1_1"), false),
        ("tls-1.2", old("-tls1_2"), true),
        ("tls-1.3", old("-tls1_3"), true),
    ];
    each(cases.to_vec(), |(name, options, is_spoken)| {
        let Some(scene) = Scene::new(name, &options) else { return };
        if !scene.authority.shakes_hands(&scene.port, &options) {
            skipped(&format!("{name}, which this openssl does not speak itself"));
            return;
        }
        scene.configure("localhost", Some(&scene.authority.certificate()));
        if is_spoken {
            delivers_whole(&scene.sandbox, &scene.backend);
            return;
        }
        let error = fails(&scene.sandbox);
        assert!(error.to_lowercase().contains("version"), "{name}: {error}");
        assert!(scene.backend.arrived().is_empty(), "{name}");
    });
}

/// A `ca_file` that cannot be used is named, and nothing is sent without it.
#[test]
fn a_ca_file_that_cannot_be_used_is_named() {
    let sandbox = Sandbox::new("bad-ca-file");
    let begin = "-----BEGIN CERTIFICATE-----\n";
    let end = "-----END CERTIFICATE-----\n";
    let private = ["-----BEGIN PRIVATE", " KEY-----\nAAAA\n-----END PRIVATE", " KEY-----\n"];
    let texts = [
        ("empty", String::new()),
        ("no-pem", "this is not PEM".to_owned()),
        ("key-only", private.concat()),
        ("not-base64", format!("{begin}%%%%\n{end}")),
        ("not-a-certificate", format!("{begin}aGVsbG8gd29ybGQ=\n{end}")),
        ("cut", begin.to_owned()),
    ];
    let mut paths = vec![sandbox.root().join("missing.pem"), sandbox.work()];
    paths.push("relative.pem".into());
    for (name, text) in texts {
        let path = sandbox.root().join(format!("{name}.pem"));
        fs::write(&path, text).unwrap();
        paths.push(path);
    }
    for path in paths {
        let backend = Backend::at_localhost();
        let sandbox = Sandbox::new(&format!("bad-{}", path.file_stem().unwrap().display()));
        let more = json!({ "ca_file": path });
        sandbox.configure(&config(&backend, "https://localhost:1", &more));
        let error = fails(&sandbox);
        let name = path.display().to_string();
        let says = if path.is_absolute() { &name } else { "not an absolute path" };
        assert!(error.contains("ca_file") && error.contains(says), "{name}: {error}");
        sandbox.configure(&config(&backend, &backend.url(), &json!({})));
        eventually("the daemon goes on without it", || !backend.transcript(ID).is_empty());
    }
}
