//! Lines in pages, the way through them, and sessions in filtered lists.

use serde_json::{Value, json};

use super::{World, escaped, said};
use crate::server::process::create_key;

#[test]
fn lines_come_in_pages_as_they_are_stored() {
    let world = World::new();
    let session = world.session("a", json!({}));
    let large = "x".repeat(700 << 10);
    let lines = [
        json!({"type": "mode", "b": 1, "a": 2}),
        json!("no json"),
        json!({"large": large}),
        json!({"large": large}),
        json!({"large": large}),
        json!(""),
        json!("12"),
    ];
    world.send(&session, "b.jsonl", 1, &[json!("other")]);
    world.send(&session, "a.jsonl", 1, &lines);
    world.send(&session, "agent-b.jsonl", 1, &lines[..2]);
    let mut from = 1;
    let mut all: Vec<Value> = Vec::new();
    let mut pages = Vec::new();
    loop {
        let page = world.get(&format!("/sessions/{session}/events?from={from}"));
        assert_eq!((page["file"].as_str(), page["last_line"].as_u64()), (Some("a.jsonl"), Some(7)));
        let events = page["events"].as_array().unwrap();
        pages.push(events.len());
        all.extend(events.iter().cloned());
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => break,
        }
    }
    // Beyond its first line, a page has a megabyte.
    assert_eq!(pages, [3, 4]);
    for (index, (event, line)) in all.iter().zip(&lines).enumerate() {
        assert_eq!(event["line"].as_u64(), Some(index as u64 + 1));
        let expected = if line == "12" { json!(12) } else { line.clone() };
        assert!(event["raw"] == expected, "line {}", index + 1);
    }
    let text = world.server.get(&format!("/api/v1/sessions/{session}/events?limit=1"), &world.key);
    assert!(text.text().contains(&lines[0].to_string()), "as it was sent");
    let page = world.get(&format!("/sessions/{session}/events?file=agent-b.jsonl&from=2&limit=1"));
    assert_eq!(page["events"], json!([{"line": 2, "raw": "no json"}]));
    let page = world.get(&format!("/sessions/{session}/events?from=8"));
    assert_eq!((&page["events"], &page["next"]), (&json!([]), &Value::Null));
    for (query, status) in [("from=0", 400), ("from=x", 400), ("limit=0", 400), ("file=c", 404)] {
        let path = format!("/sessions/{session}/events?{query}");
        assert_eq!(world.refused(&path).0, status, "{query}");
    }
    let other = create_key(&world.folder.0, "you@x");
    for part in ["events", "outline"] {
        let path = format!("/api/v1/sessions/{session}/{part}");
        assert_eq!(world.server.get(&path, &other).status, 404);
        assert_eq!(world.server.get(&path, "").status, 401);
    }
}

#[test]
fn an_outline_has_prompts_errors_and_compactions() {
    let world = World::new();
    let session = world.session("a", json!({}));
    let result = |is_error| {
        json!({"type": "user", "message": {"content":
            [{"type": "tool_result", "tool_use_id": "t", "is_error": is_error, "content": "x"}]}})
    };
    let lines = [
        said("2026-11-20T10:00:00Z", "first"),
        json!({"type": "assistant", "message": {"content": [{"type": "text", "text": "x"}]}}),
        result(true),
        result(false),
        json!({"type": "system", "subtype": "compact_boundary", "content": "x"}),
        said("2026-11-20T10:00:01Z", "second"),
    ];
    world.send(&session, "a.jsonl", 1, &lines);
    world.indexed();
    let outline = world.get(&format!("/sessions/{session}/outline"));
    let expected = json!({"file": "a.jsonl", "last_line": 6, "prompts": [1, 6], "errors": [3],
        "compactions": [5]});
    assert_eq!(outline, expected);
}

/// Sessions a, b, c and d, of different surroundings.
fn list_of_four(world: &World) {
    let git = |url: &str, branch: &str| json!({"repo_url": url, "branch": branch});
    let sessions = [
        (
            "a",
            json!({"cwd": "/home/dev/alpha", "hostname": "one", "username": "dev"}),
            "Fix the café",
        ),
        ("b", json!({"cwd": "/x/wt", "git_info": git("git@h:o/beta.git", "main")}), "second"),
        (
            "c",
            json!({"cwd": "C:\\work\\gamma\\", "git_info": git("https://h/o/gamma/", "x/y")}),
            "3",
        ),
        ("d", json!({}), "fourth"),
    ];
    for (id, metadata, text) in &sessions {
        let session = world.session(id, metadata.clone());
        let line = json!({"type": "assistant", "timestamp": "2026-11-20T10:00:00Z", "message":
            {"id": format!("m{id}"), "model": format!("claude-{id}"), "role": "assistant",
            "usage": {"input_tokens": 1, "output_tokens": 2}, "content": text}});
        world.send(&session, &format!("{id}.jsonl"), 1, &[line.clone(), line]);
        let body = json!({"summary": text}).to_string();
        let bearer = format!("Bearer {}", world.key);
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let path = format!("/api/v1/sessions/{id}/summary");
        assert_eq!(world.server.request("PATCH", &path, &headers, body.as_bytes()).status, 200);
    }
    world.indexed();
}

#[test]
fn a_list_is_filtered_and_tells_what_a_session_is() {
    let world = World::new();
    list_of_four(&world);
    let listed = |query: &str| -> String {
        let answer = world.get(&format!("/sessions?q={}", escaped(query)));
        let rows = answer["sessions"].as_array().unwrap().iter();
        rows.map(|row| row["external_id"].as_str().unwrap().to_owned()).collect()
    };
    let cases = [
        ("", "dcba"),
        ("project:alpha", "a"),
        ("project:beta", "b"),
        ("project:gam", "c"),
        ("-project:alpha", "dcb"),
        ("branch:main", "b"),
        ("branch:x/y", "c"),
        ("machine:one user:dev", "a"),
        ("machine:one user:root", ""),
        ("user:me@x", "dcba"),
        ("model:claude-c", "c"),
        ("CAFE", "a"),
        ("\"fix the\"", "a"),
        ("-second", "dca"),
        ("before:2026-11-19", ""),
        ("after:2026-11-20", "dcba"),
        ("after:2026-11-21", ""),
    ];
    for (query, expected) in cases {
        assert_eq!(listed(query), expected, "{query}");
    }
    let row = &world.get("/sessions?q=project:beta")["sessions"][0];
    let told = |name: &str| row[name].clone();
    assert_eq!(
        (told("project"), told("branch"), told("model")),
        (json!("beta"), json!("main"), json!("claude-b"))
    );
    // What was said long ago is not live when it arrives.
    assert_eq!((told("lines"), told("tokens"), told("live")), (json!(2), json!(3), json!(false)));
    assert_eq!(told("bytes").as_u64(), Some(2 * (row_bytes("b", "second"))));
    let (status, said) = world.refused("/sessions?q=role%3Auser");
    assert_eq!((status, said.as_str()), (400, "role: is for lines, not for sessions"));
    // Pages of a filtered list.
    let first = world.get("/sessions?limit=1&q=-project:beta");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = world.get(&format!("/sessions?limit=1&q=-project:beta&cursor={cursor}"));
    assert_eq!(first["sessions"][0]["external_id"], "d");
    assert_eq!(second["sessions"][0]["external_id"], "c");
}

/// Bytes of a line of the test above.
fn row_bytes(id: &str, text: &str) -> u64 {
    let line = json!({"type": "assistant", "timestamp": "2026-11-20T10:00:00Z", "message":
        {"id": format!("m{id}"), "model": format!("claude-{id}"), "role": "assistant",
        "usage": {"input_tokens": 1, "output_tokens": 2}, "content": text}});
    line.to_string().len() as u64 + 1
}

#[test]
fn the_status_tells_machines_and_sizes() {
    let world = World::new();
    for (id, host) in [("a", "one"), ("b", "two"), ("c", "one")] {
        let session = world.session(id, json!({"hostname": host}));
        world.send(&session, "t.jsonl", 1, &[json!("x"), json!("y")]);
    }
    world.indexed();
    let status = world.get("/status");
    let told = |name: &str| status[name].as_u64().unwrap();
    assert_eq!((told("sessions"), told("lines"), told("not_indexed_lines")), (3, 6, 0));
    assert!(told("database_bytes") > 0 && status["health"] == "ok");
    let machines = status["machines"].as_array().unwrap();
    let told: Vec<_> = machines
        .iter()
        .map(|machine| {
            let number = |name: &str| machine[name].as_u64().unwrap();
            (
                machine["machine"].as_str().unwrap(),
                number("sessions"),
                number("live_sessions"),
                number("lines"),
            )
        })
        .collect();
    assert_eq!(told, [("one", 2, 2, 4), ("two", 1, 1, 2)]);
    let other = create_key(&world.folder.0, "you@x");
    let status = world.server.get("/api/v1/status", &other).json();
    assert_eq!((&status["sessions"], &status["machines"]), (&json!(0), &json!([])));
}
