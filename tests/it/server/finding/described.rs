//! The description of the API holds: every answer is of the shape that it gives.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{World, escaped, said};
use crate::server::process::Folder;
use crate::server::rest::upload_recordings;

/// What is wrong with a value, by the part of JSON Schema that the description uses. What is not
/// described is wrong as well.
fn complaints(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(path) = schema["$ref"].as_str() {
        let schema = document.pointer(path.strip_prefix('#').unwrap()).unwrap();
        return complaints(document, schema, value, at);
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not of JSON"),
    };
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        other => panic!("{at}: the type {other} is none"),
    };
    let mut wrong = Vec::new();
    if !fits {
        wrong.push(format!("{at}: {value} is not of type {}", schema["type"]));
    }
    let allowed = schema["enum"].as_array().filter(|_| !value.is_null());
    if let Some(allowed) = allowed.filter(|allowed| !allowed.contains(value)) {
        wrong.push(format!("{at}: {value} is none of {allowed:?}"));
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (index, value) in values.iter().enumerate() {
            wrong.extend(complaints(document, items, value, &format!("{at}[{index}]")));
        }
    }
    let Some(members) = value.as_object() else { return wrong };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !members.contains_key(name.as_str().unwrap()) {
            wrong.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, member) in members {
        let described = schema["properties"].get(name).or(schema.get("additionalProperties"));
        match described {
            Some(schema) => {
                wrong.extend(complaints(document, schema, member, &format!("{at}.{name}")));
            }
            None if schema.get("properties").is_some() => {
                wrong.push(format!("{at}.{name} is not described"));
            }
            None => {}
        }
    }
    wrong
}

#[test]
fn what_is_not_as_described_is_found() {
    let document = json!({"components": {"schemas": {"A": {"type": "object", "required": ["n"],
        "properties": {"n": {"type": "integer"}, "s": {"type": ["string", "null"]},
        "e": {"type": "string", "enum": ["x"]},
        "l": {"type": "array", "items": {"type": "boolean"}}}}}}});
    let cases = [
        (json!({"n": 1, "s": null, "e": "x", "l": [true]}), 0),
        (json!({}), 1),
        (json!({"n": 1.5}), 1),
        (json!({"n": 1, "s": 1}), 1),
        (json!({"n": 1, "e": "y"}), 1),
        (json!({"n": 1, "l": [true, 1, 2]}), 2),
        (json!({"n": 1, "other": 1}), 1),
        (json!([]), 1),
    ];
    let schema = json!({"$ref": "#/components/schemas/A"});
    for (value, n_wrong) in cases {
        let wrong = complaints(&document, &schema, &value, "");
        assert_eq!(wrong.len(), n_wrong, "{value}: {wrong:?}");
    }
}

/// What is asked of every session.
const OF_SESSION: [&str; 6] = [
    "/api/v1/sessions/{id}",
    "/api/v1/sessions/{id}/files",
    "/api/v1/sessions/{id}/events",
    "/api/v1/sessions/{id}/outline",
    "/api/v1/sessions/{id}/github-links",
    "/api/v1/sessions/{id}/condensed-transcript",
];

#[test]
fn every_answer_is_as_described() {
    let (world, scratch) = (World::new(), Folder::new());
    let stored = upload_recordings(&world.server, &world.key, &scratch);
    let git_info = json!({"repo_url": "https://x/o/r.git", "branch": "main", "is_dirty": false});
    let session = world.session(
        "whole",
        json!({"cwd": "/home/dev/p", "hostname": "h", "username": "u", "git_info": git_info}),
    );
    world.send(&session, "whole.jsonl", 1, &[said("2026-11-20T10:00:00Z", "needle"), json!("x")]);
    let link = json!({"url": "https://github.com/o/r/pull/1", "source": "cli_hook"});
    let path = format!("/api/v1/sessions/{session}/github-links");
    assert_eq!(world.server.post(&path, &world.key, &link).status, 201);
    world.indexed();
    let document = world.get("/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    // Each description is used at least once with an answer that is not empty.
    let mut answers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut sessions: Vec<&String> = stored.keys().map(|(session, _)| session).collect();
    sessions.push(&session);
    sessions.dedup();
    let mut add = |template, path: String| answers.entry(template).or_default().push(path);
    for id in sessions {
        for template in OF_SESSION {
            add(template, template.replace("{id}", id));
        }
    }
    for query in ["needle", "the", "error", "role:tool", "会", "project:r needle"] {
        add("/api/v1/search", format!("/api/v1/search?q={}", escaped(query)));
    }
    for by in ["day", "model", "project", "tool", "session"] {
        add("/api/v1/stats", format!("/api/v1/stats?by={by}"));
    }
    let by_id = "/api/v1/sessions/by-external-id/{id}";
    add(by_id, by_id.replace("{id}", "whole"));
    for path in ["/health", "/api/v1/version", "/api/v1/capabilities", "/api/v1/auth/validate"] {
        add(path, path.into());
    }
    add("/api/v1/sessions", "/api/v1/sessions?limit=3".into());
    add("/api/v1/sessions", "/api/v1/sessions?q=-needle".into());
    add("/api/v1/status", "/api/v1/status".into());
    let mut n_answers = 0;
    for (template, paths) in answers {
        let schema = format!("/paths/{}/get/responses/200", template.replace('/', "~1"));
        let schema = document.pointer(&schema).expect(template);
        let schema = &schema["content"]["application/json"]["schema"];
        for path in paths {
            let answer = world.server.get(&path, &world.key);
            // Some recordings have agents alone.
            if answer.status == 404 {
                continue;
            }
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let wrong = complaints(&document, schema, &answer.json(), &path);
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
            n_answers += 1;
        }
    }
    assert!(n_answers > 100, "{n_answers}");
    let described = &document["paths"]["/api/v1/search"]["get"]["responses"]["400"];
    let schema = &described["content"]["application/json"]["schema"];
    let answer = world.server.get("/api/v1/search?q=%22", &world.key);
    assert_eq!(answer.status, 400);
    assert_eq!(complaints(&document, schema, &answer.json(), "error"), [""; 0]);
}
