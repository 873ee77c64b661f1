//! Figures: each message once, tools and their errors, and what sessions are to each other.

use serde_json::{Value, json};

use super::World;
use crate::server::process::{Folder, Server, create_key, log_of};
use crate::server::rest::{upload, wait_for_rows};
use crate::server::upkeep::run;
use crate::support::eventually::eventually;
use crate::support::fixtures;

/// A line of an answer: what it says, by number.
fn answer(n: u64, time: &str, content: Value) -> Value {
    json!({"type": "assistant", "uuid": format!("00000000-0000-4000-8000-{n:012}"),
        "timestamp": time, "message": {"role": "assistant", "id": format!("msg_{}", n / 2),
        "model": "claude-sonnet-4-5-20250929", "content": content,
        "usage": {"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 200}}})
}

fn text() -> Value {
    json!([{"type": "text", "text": "x"}])
}

/// What a message costs: 100 * 3 + 10 * 15 + 1000 * 0.3 + 200 * 3.75 millionths of a dollar.
const COST: f64 = 0.0015;

fn assert_cost(value: &Value, n_messages: f64) {
    let cost = value.as_f64().unwrap();
    assert!((cost - n_messages * COST).abs() < 1e-9, "{cost}");
}

#[test]
fn each_message_counts_once_where_it_was_first() {
    let world = World::new();
    let original: Vec<Value> = [
        vec![json!({"type": "mode", "timestamp": "2026-11-20T10:00:00Z"})],
        (0..8).map(|n| answer(n, "2026-11-20T10:00:10Z", text())).collect(),
    ]
    .concat();
    let fork: Vec<Value> = [
        vec![json!({"type": "mode", "timestamp": "2026-11-20T11:00:00Z"})],
        (0..10).map(|n| answer(n, "2026-11-20T10:00:10Z", text())).collect(),
    ]
    .concat();
    // The copy is there first, as it is when the newest sessions are brought in first.
    let forked = world.session("fork", json!({"cwd": "/p"}));
    world.send(&forked, "fork.jsonl", 1, &fork);
    world.indexed();
    let tokens = |session: &str| {
        let figures = world.get(&format!("/sessions/{session}"))["figures"].clone();
        (figures["tokens"][0]["input"].as_u64().unwrap_or(0), figures["cost"].clone())
    };
    assert_eq!(tokens(&forked).0, 500);
    let first = world.session("original", json!({"cwd": "/p"}));
    world.send(&first, "original.jsonl", 1, &original);
    world.indexed();
    assert_eq!((tokens(&first).0, tokens(&forked).0), (400, 100));
    assert_cost(&tokens(&first).1, 4.0);
    assert_cost(&tokens(&forked).1, 1.0);
    let relation = |session: &str| {
        let lineage = world.get(&format!("/sessions/{session}"))["lineage"].clone();
        assert_eq!(lineage.as_array().unwrap().len(), 1, "{lineage}");
        (lineage[0]["relation"].clone(), lineage[0]["external_id"].clone())
    };
    assert_eq!(relation(&first), (json!("forked_by"), json!("fork")));
    assert_eq!(relation(&forked), (json!("fork_of"), json!("original")));
    let rows = world.get("/stats?by=model")["rows"].clone();
    assert_eq!((&rows[0]["messages"], &rows[0]["sessions"]), (&json!(5), &json!(2)));
    let rows = world.get("/sessions")["sessions"].clone();
    let row = rows.as_array().unwrap().iter().find(|row| row["external_id"] == "original");
    assert_eq!(row.unwrap()["tokens"], 4 * 1310);
    // When the original goes, its messages count elsewhere.
    let bearer = format!("Bearer {}", world.key);
    let path = format!("/api/v1/sessions/{first}");
    world.server.request("DELETE", &path, &[("Authorization", bearer.as_str())], b"");
    assert_eq!(tokens(&forked).0, 500);
    assert_eq!(world.get(&format!("/sessions/{forked}"))["lineage"], json!([]));
}

#[test]
fn tools_prompts_changes_and_time_are_counted() {
    let world = World::new();
    let session = world.session("a", json!({"cwd": "/home/dev/p"}));
    let call = |n: u64, id: &str, name: &str| {
        let content = json!([{"type": "tool_use", "id": id, "name": name, "input": {}}]);
        answer(n, "2026-11-20T10:00:10Z", content)
    };
    let result = |id: &str, is_error: bool, result: Value| {
        json!({"type": "user", "timestamp": "2026-11-21T10:00:00Z", "toolUseResult": result,
            "message": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id,
            "is_error": is_error, "content": "x"}]}})
    };
    let patch = json!({"structuredPatch": [{"lines": [" a", "+b", "+c", "-d"]}]});
    let mut lines = vec![
        json!({"type": "user", "timestamp": "2026-11-20T10:00:00Z", "message": {"content": "do"}}),
        call(0, "t0", "Bash"),
        call(1, "t1", "Edit"),
        result("t1", false, patch),
        result("t0", true, json!("Error: x")),
    ];
    // An answer in a later step of the index, to an earlier one.
    lines.push(call(2, "t2", "Bash"));
    lines.extend((0..600).map(|n| json!({"type": "mode", "n": n})));
    lines.push(result("t2", true, json!({})));
    world.send(&session, "a.jsonl", 1, &lines);
    world.indexed();
    let figures = world.get(&format!("/sessions/{session}"))["figures"].clone();
    let tools =
        json!([{"name": "Bash", "uses": 2, "errors": 2}, {"name": "Edit", "uses": 1, "errors": 0}]);
    assert_eq!(figures["tools"], tools);
    let told = ["lines_added", "lines_removed", "prompts", "duration_seconds"];
    assert_eq!(told.map(|name| figures[name].as_u64().unwrap()), [2, 1, 1, 86_400]);
    assert_eq!(figures["tokens"][0]["output"], 20);
    // Whoever wants to read at once does without what looks at every line.
    let quick = world.get(&format!("/sessions/{session}?figures=false"));
    assert_eq!(quick["id"], session);
    assert_eq!((&quick["figures"], &quick["lineage"]), (&Value::Null, &json!([])));
    let rows = |query: &str| world.get(&format!("/stats?{query}"))["rows"].clone();
    let by_tool = rows("by=tool");
    assert_eq!(
        (&by_tool[0]["key"], &by_tool[0]["uses"], &by_tool[0]["errors"]),
        (&json!("Bash"), &json!(2), &json!(2))
    );
    let by_day = rows("by=day");
    assert_eq!(
        (&by_day[0]["key"], &by_day[0]["messages"], &by_day[0]["uses"]),
        (&json!("2026-11-20"), &json!(2), &json!(3))
    );
    assert_cost(&by_day[0]["cost"], 2.0);
    assert_eq!(rows("by=project")[0]["key"], "p");
    assert_eq!(rows("by=session")[0]["key"], json!(session));
    assert_eq!(rows("by=day&after=2026-11-21"), json!([]));
    assert_eq!(rows("by=day&q=project%3Aother"), json!([]));
    assert_eq!(rows("by=day&before=2026-11-21&q=project%3Ap")[0]["messages"], 2);
    for query in ["by=week", "q=role%3Auser", "after=x"] {
        assert_eq!(world.refused(&format!("/stats?{query}")).0, 400, "{query}");
    }
}

#[test]
fn prices_can_be_replaced() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let prices = folder.0.with_extension("prices");
    let table = r#"{"claude": {"input": 1e6, "output": 0, "cache_read": 0, "cache_creation": 0}}"#;
    std::fs::write(&prices, table).unwrap();
    let server =
        Server::start_with(&folder.0, &["--host", "x", "--prices", prices.to_str().unwrap()]);
    let session = server.session(&key, "a");
    let line = answer(0, "2026-11-20T10:00:00Z", text()).to_string();
    assert_eq!(server.append(&key, &session, 1, &[&line]).status, 200);
    wait_for_rows(&folder.0);
    let cost = || {
        let detail = server.get(&format!("/api/v1/sessions/{session}"), &key).json();
        detail["figures"]["cost"].as_f64().unwrap()
    };
    assert_eq!(cost(), 100.0);
    // They are read again when the server is told to, unless they cannot be used.
    std::fs::write(&prices, table.replace("1e6", "2e6")).unwrap();
    assert_eq!(cost(), 100.0);
    server.hang_up();
    eventually("the new prices count", || cost() == 200.0);
    std::fs::write(&prices, "{").unwrap();
    server.hang_up();
    let log = || std::fs::read_to_string(log_of(&folder.0)).unwrap();
    eventually("the error is logged", || log().contains("level=error message=\"read prices"));
    assert_eq!(cost(), 200.0);
    std::fs::remove_file(&prices).unwrap();
}

/// What is printed says of each price that it is a default, and can be used as it is.
#[test]
fn the_table_of_the_program_is_to_be_checked() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let (said, status) = run(&["prices"], &folder);
    assert_eq!(status, 0, "{said}");
    let printed: Value = serde_json::from_str(&said).unwrap();
    let rows = printed.as_object().unwrap();
    let about = "default of this version; check it against the price list";
    assert!(rows.len() > 5 && rows.values().all(|row| row["about"] == about), "{said}");
    let mine = folder.0.join("mine.json");
    std::fs::write(&mine, said.replace(about, "mine")).unwrap();
    let own = ["--prices", mine.to_str().unwrap()];
    for (settings, expected) in [(&[][..], about), (&own, "mine")] {
        let server = Server::start_with(&folder.0, &[&["--host", "x"], settings].concat());
        let told = server.get("/api/v1/status", &key).json()["prices"].clone();
        assert!(told.as_array().unwrap().iter().all(|row| row["about"] == expected), "{told}");
        assert_eq!(told.as_array().unwrap().len(), rows.len());
    }
}

/// Sessions that Claude Code itself has forked, resumed and compacted.
#[test]
fn recorded_sessions_know_their_relatives() {
    let (folder, scratch) = (Folder::new(), Folder::new());
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    for recording in ["forked", "old-1.0.128"] {
        let home = scratch.0.join(recording);
        fixtures::install(recording, &home);
        for (id, files) in fixtures::sessions(&home.join(".claude")) {
            let session = server.session(&key, &id);
            for (name, text) in files {
                upload(&server, &key, &session, &name, &text, 50);
            }
        }
    }
    wait_for_rows(&folder.0);
    let list = server.get("/api/v1/sessions", &key).json();
    let mut related: Vec<String> = Vec::new();
    for row in list["sessions"].as_array().unwrap() {
        let path = format!("/api/v1/sessions/{}", row["id"].as_str().unwrap());
        let detail = server.get(&path, &key).json();
        for other in detail["lineage"].as_array().unwrap() {
            let short = |id: &Value| id.as_str().unwrap()[..8].to_owned();
            related.push(format!(
                "{} {} {}",
                short(&row["external_id"]),
                other["relation"].as_str().unwrap(),
                short(&other["external_id"])
            ));
        }
    }
    related.sort_unstable();
    let expected = [
        "11111111 forked_by 96ae1ed6",
        "2eae9a74 continues 55555555",
        "419fa413 continues 55555555",
        "419fa413 continues ab07f547",
        "419fa413 forked_by dfa4d450",
        "55555555 continued_by 2eae9a74",
        "55555555 continued_by 419fa413",
        "55555555 forked_by ab07f547",
        "55555555 forked_by dfa4d450",
        "96ae1ed6 fork_of 11111111",
        "ab07f547 continued_by 419fa413",
        "ab07f547 fork_of 55555555",
        "dfa4d450 fork_of 419fa413",
        "dfa4d450 fork_of 55555555",
    ];
    assert_eq!(related, expected);
}
