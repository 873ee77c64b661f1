//! Sessions of other users are as if they were not there.

use serde_json::Value;

use super::super::process::{Folder, Server, create_key};
use super::super::rest::wait_for_rows;

/// What is asked for where there is nothing: the server's id of a session, the agent's, a word of
/// it, its owner.
const NOBODY: [&str; 4] = [NOBODYS, NOBODYS, "unsaid", "nobody@x"];
const NOBODYS: &str = "00000000-0000-4000-8000-000000000000";

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
    let known = |path: &str| !server.get(path, &owner).json()["hits"][0].is_null();
    wait_for_rows(&folder.0);
    assert!(known("/api/v1/search?q=a") && known("/api/v1/search?q=user:me@x%20role:system"));
    let cases = cases["requests"].as_array().unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let ask = |key: &str, [id, external, word, owner]: [&str; 4]| {
            let fill = |text: &str| {
                let text = text.replace("$SESSION", id).replace("$EXTERNAL", external);
                text.replace("$WORD", word).replace("$OWNER", owner)
            };
            let path = fill(case["path"].as_str().unwrap()).replace(' ', "%20");
            let body = case.get("body").map(|body| fill(&body.to_string())).unwrap_or_default();
            let bearer = format!("Bearer {key}");
            let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
            server.request(case["method"].as_str().unwrap(), &path, &headers, body.as_bytes())
        };
        let unknown = ask(&stranger, NOBODY);
        let mut foreign = ask(&stranger, [&session, "known to others", "a", "me@x"]);
        assert_eq!(foreign.status, case["status"].as_u64().unwrap_or(404) as u16, "{name}");
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
