//! The shape of every request, and where no request goes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Backend, ID, Sandbox, append, arrives_whole, config, fails, lines};
use crate::support::backend::{Endpoint, Fault, Manner};
use crate::support::parallel::each;
use crate::support::sandbox::line;

const OTHER: &str = "22222222-2222-4222-8222-222222222222";

/// Every way to be sent elsewhere, at every request that carries something: nobody else ever gets a
/// request, and once the redirect is gone everything arrives where it belongs.
#[test]
fn redirects_are_not_followed() {
    let mut cases = Vec::new();
    for status in [301, 302, 303, 307, 308] {
        for endpoint in [Endpoint::Init, Endpoint::Chunk] {
            cases.push((status, endpoint));
        }
    }
    each(cases, |(status, endpoint)| {
        let name = format!("redirect-{status}-{endpoint:?}");
        let (backend, elsewhere) = (Backend::at_localhost(), Backend::at_localhost());
        elsewhere.set_key(&backend.key());
        let sandbox = Sandbox::with_backend(&name, &backend);
        let location = format!("{}/api/v1/sync/init", elsewhere.url());
        let redirect = Manner::Status(status, vec![("location".into(), location)]);
        backend.fail_always(endpoint, Fault::new(redirect));
        let error = fails(&sandbox);
        assert!(error.contains(&status.to_string()) && error.contains("redirect"), "{error}");
        backend.heal();
        arrives_whole(&sandbox, &backend);
        assert!(elsewhere.arrived().is_empty(), "{name}");
    });
}

/// A rich session: side files, a workflow run, a summary for an earlier session, and its end.
fn rich_session(name: &str, url: impl Fn(&Backend) -> String) -> Backend {
    let backend = Backend::at_localhost();
    let sandbox = Sandbox::new(name);
    sandbox.configure(&config(&backend, &url(&backend), &json!({})));
    append(&sandbox.transcript(OTHER), lines(OTHER, 1, 5));
    let leaf: Value = serde_json::from_str(&line(OTHER, 5)).unwrap();
    // Long enough for a client that compresses what is long.
    let summary =
        json!({ "type": "summary", "leafUuid": leaf["uuid"], "summary": "so ".repeat(500) });
    append(&sandbox.project(&format!("{ID}/subagents/agent-a1b2c3d.jsonl")), line(ID, 1));
    let run = format!("{ID}/subagents/workflows/run-1");
    append(&sandbox.project(&format!("{run}/agent-a1b2c3e.jsonl")), line(ID, 1));
    append(&sandbox.project(&format!("{run}/journal.jsonl")), line(ID, 1));
    append(&sandbox.transcript(ID), format!("{summary}\n{}", lines(ID, 1, 50)));
    sandbox.session_start(ID);
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID).lines().count(), 51);
    assert_eq!(backend.session(ID).unwrap().files.len(), 4);
    assert_eq!(backend.refused(), Vec::<String>::new());
    let endpoints = [
        Endpoint::Init,
        Endpoint::Chunk,
        Endpoint::Event,
        Endpoint::Summary,
        Endpoint::Capabilities,
    ];
    for endpoint in endpoints {
        assert!(backend.count(endpoint) > 0, "{endpoint:?}");
    }
    assert_eq!(backend.count(Endpoint::Other), 0);
    backend
}

/// Reference 6.1 and W-07: each header as the backend wants it, and no other header.
#[test]
fn every_header_is_as_the_backend_wants_it() {
    let backend = rich_session("headers", Backend::url);
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let agent = format!("confab/{} (linux; {machine})", env!("CARGO_PKG_VERSION"));
    let authorization = format!("Bearer {}", backend.key());
    let host = backend.url().replace("http://", "");
    let mut names = BTreeSet::new();
    for arrived in backend.arrived() {
        let request = &arrived.request;
        let what = format!("{} {}", request.method, request.path);
        assert_eq!(request.header("host"), Some(&host[..]), "{what}");
        assert_eq!(request.header("authorization"), Some(&authorization[..]), "{what}");
        assert_eq!(request.header("user-agent"), Some(&agent[..]), "{what}");
        let has_body = request.method != "GET";
        let json = has_body.then_some("application/json");
        assert_eq!(request.header("content-type"), json, "{what}");
        assert_eq!(request.body.is_empty(), !has_body, "{what}");
        if has_body {
            let length = request.body.len().to_string();
            assert_eq!(request.header("content-length"), Some(&length[..]), "{what}");
        }
        let zstd = (arrived.endpoint == Endpoint::Chunk).then_some("zstd");
        assert_eq!(request.header("content-encoding"), zstd, "{what}");
        for (name, _) in &request.headers {
            let n_times = request.headers.iter().filter(|(other, _)| other == name).count();
            assert_eq!(n_times, 1, "{what}: {name}");
            names.insert(name.clone());
        }
    }
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
}

/// W-27: slashes at the end of the address, and a folder in it, go where they should.
#[test]
fn slashes_at_the_end_of_the_address_are_harmless() {
    for (number, end) in ["/", "//", "///", " ", "/ "].into_iter().enumerate() {
        let name = format!("slashes-{number}");
        let backend = rich_session(&name, |backend| format!("{}{end}", backend.url()));
        for arrived in backend.arrived() {
            assert!(arrived.request.path.starts_with("/api/v1/"), "{end:?}");
        }
    }
}
