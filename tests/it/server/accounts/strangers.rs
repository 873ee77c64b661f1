//! Sessions of other users are as if they were not there.

use serde_json::Value;

use super::super::process::{Folder, Server, create_key};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn a_strangers_session_answers_as_one_that_does_not_exist() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/wire/strangers.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let folder = Folder::new();
    let owner = create_key(&folder.0, "me@x");
    let stranger = create_key(&folder.0, "stranger@x");
    let server = Server::start(&folder.0);
    let session = server.session(&owner, "known to others");
    assert_eq!(server.append(&owner, &session, 1, &["a"]).status, 200);
    let cases = cases["requests"].as_array().unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let ask = |key: &str, id: &str, external: &str| {
            let fill = |text: &str| text.replace("$SESSION", id).replace("$EXTERNAL", external);
            let path = fill(case["path"].as_str().unwrap()).replace(' ', "%20");
            let body = case.get("body").map(|body| fill(&body.to_string())).unwrap_or_default();
            let bearer = format!("Bearer {key}");
            let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
            server.request(case["method"].as_str().unwrap(), &path, &headers, body.as_bytes())
        };
        let unknown = ask(&stranger, NOBODY, NOBODY);
        let mut foreign = ask(&stranger, &session, "known to others");
        assert_eq!(foreign.status, 404, "{name}");
        assert_ne!(case["recorded"], 404, "{name}");
        // Each request has a number of its own.
        let is_number = |(name, _): &(String, String)| name == "x-request-id";
        foreign.headers.retain(|header| !is_number(header));
        let unknown_headers: Vec<_> =
            unknown.headers.iter().filter(|header| !is_number(header)).cloned().collect();
        assert_eq!((foreign.status, foreign.text()), (unknown.status, unknown.text()), "{name}");
        assert_eq!(foreign.headers, unknown_headers, "{name}");
    }
    // Nothing of it has had an effect.
    assert_eq!(server.download(&owner, &session), "a\n");
    let detail = server.get(&format!("/api/v1/sessions/{session}"), &owner).json();
    assert_eq!(detail["summary"], Value::Null);
}
