//! What is told besides lines: how a session stands, to a backend that wants to know, and to no
//! other.

use serde_json::{Value, json};

use crate::support::backend::{Backend, Endpoint, Fault};
use crate::support::eventually::eventually;
use crate::support::sandbox::{ID, Sandbox, append, line, lines};

/// File and report of each chunk, null where there is none.
fn reports(backend: &Backend) -> Vec<(String, Value)> {
    let chunks = backend.arrived().into_iter().filter(|one| one.endpoint == Endpoint::Chunk);
    let told = chunks.map(|chunk| {
        let mut headers = chunk.request.headers.iter();
        let report = headers.find(|(name, _)| name == "x-confab-report");
        let report =
            report.map_or(Value::Null, |(_, report)| serde_json::from_str(report).unwrap());
        (chunk.body["file_name"].as_str().unwrap().to_owned(), report)
    });
    told.collect()
}

#[test]
fn a_backend_that_takes_reports_hears_what_is_only_here_and_what_failed() {
    let backend = Backend::start();
    backend.take_reports();
    let sandbox = Sandbox::with_backend("reports", &backend);
    let agent = sandbox.project(&format!("{ID}/subagents/agent-a.jsonl"));
    append(&agent, lines("agent", 1, 5));
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    eventually("its agent is stored", || backend.lines(ID, "agent-a.jsonl").len() == 5);
    let transcript = format!("{ID}.jsonl");
    let report = |pending: usize| json!({"pending_bytes": pending, "withheld_lines": 0});
    let expected = [
        (transcript.clone(), report(lines("agent", 1, 5).len())),
        ("agent-a.jsonl".into(), report(0)),
    ];
    assert_eq!(reports(&backend), expected);

    // What failed is told with the next chunk, and once.
    backend.fail(Endpoint::Chunk, Fault::status(500));
    for number in 4..=5 {
        append(&sandbox.transcript(ID), line(ID, number));
        backend.eventually_holds(ID, &lines(ID, 1, number));
    }
    let told = reports(&backend).split_off(2);
    let kinds: Vec<&Value> = told.iter().map(|(_, report)| &report["failure"]["kind"]).collect();
    assert_eq!(kinds, [&Value::Null, &json!("unavailable"), &Value::Null]);
    let at = told[1].1["failure"]["at"].as_str().unwrap();
    assert!(confab::time::parse_rfc3339(at).is_some(), "{at}");
    assert!(told.iter().all(|(_, report)| report["pending_bytes"] == 0), "{told:?}");
    sandbox.session_end(ID);
    sandbox.daemons_end();
}

#[test]
fn other_backends_are_told_nothing_of_it() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("no-reports", &backend);
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    let told = |name: &String| name.starts_with("x-");
    let arrived = backend.arrived();
    assert!(arrived.len() > 2);
    for one in arrived {
        let names: Vec<&String> = one.request.headers.iter().map(|(name, _)| name).collect();
        assert!(!names.iter().any(|name| told(name)), "{names:?}");
    }
}
