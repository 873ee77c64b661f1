//! Lines are found by their words, by whom they are allowed to, until they are removed.

use serde_json::{Value, json};

use super::{World, escaped, said};
use crate::server::process::create_key;
use crate::server::upkeep::run;
use crate::support::eventually::eventually;

fn used(time: &str, id: &str, tool: &str, input: &str) -> Value {
    json!({"type": "assistant", "timestamp": time, "message": {"role": "assistant", "content":
        [{"type": "tool_use", "id": id, "name": tool, "input": {"command": input}}]}})
}

fn returned(time: &str, id: &str, text: &str) -> Value {
    json!({"type": "user", "timestamp": time, "message": {"role": "user", "content":
        [{"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": text}]}]}})
}

/// Two sessions about the same things.
fn seeded() -> World {
    let world = World::new();
    let git = json!({"repo_url": "https://h/o/confab.git", "branch": "main"});
    let one = world.session("one", json!({"git_info": git, "hostname": "laptop"}));
    let day = |time: &str| format!("2026-11-20T{time}Z");
    let lines = [
        said(&day("10:00:00"), "Why does parse_line fail with E0308?"),
        used(&day("10:00:01"), "t1", "Bash", "cargo check --package confab"),
        returned(&day("10:00:02"), "t1", "error[E0308]: mismatched types in src/server/mod.rs"),
        json!({"type": "assistant", "timestamp": day("10:00:03"), "message": {"role": "assistant",
            "content": [{"type": "thinking", "thinking": "The parseLine helper returns Option",
            "signature": "c2lnbmF0dXJl"}, {"type": "text", "text": "It is the return type."}]}}),
        said(&day("10:00:04"), "请修复会议记录的错误"),
        json!({"type": "user", "uuid": "uuid-that-nobody-said", "message": {"content":
            [{"type": "image", "source": {"type": "base64", "data": "aW1hZ2U="}}]}}),
        json!({"type": "summary", "summary": "Fixing the Café parser", "leafUuid": "x"}),
    ];
    world.send(&one, "one.jsonl", 1, &lines);
    let two = world.session("two", json!({"cwd": "/home/dev/other", "hostname": "desktop"}));
    let day = |time: &str| format!("2026-11-21T{time}Z");
    let lines = [
        said(&day("10:00:00"), "return the type of the line"),
        used(&day("10:00:01"), "t2", "mcp__files__read", "src/server/mod.rs.bak"),
        returned(&day("10:00:02"), "t2", "nothing"),
    ];
    world.send(&two, "two.jsonl", 1, &lines);
    world.indexed();
    world
}

#[test]
fn lines_are_found_by_words_phrases_and_filters() {
    let world = seeded();
    let cases: [(&str, &str); 40] = [
        ("parse_line", "1 4"),
        ("parseLine", "1 4"),
        ("parseline", "4"),
        ("parse", "1 4"),
        ("line", "1 4 b1"),
        ("lin*", "1 4 b1"),
        ("E0308", "1 3"),
        ("e0308", "1 3"),
        ("0308", "1 3"),
        ("E03*", "1 3"),
        ("src/server/mod.rs", "3 b2"),
        ("server/mod", "3 b2"),
        ("mod.rs.bak", "b2"),
        ("\"return type\"", "4"),
        ("return type", "4 b1"),
        ("\"mismatched types\"", "3"),
        ("\"types mismatched\"", ""),
        ("line -parse", "b1"),
        ("type -\"return type\"", "b1"),
        ("cargo confab", "2"),
        ("cafe", "7"),
        ("会议", "5"),
        ("会议记录", "5"),
        ("会记", ""),
        ("误", "5"),
        ("Option", "4"),
        ("c2lnbmF0dXJl", ""),
        ("aW1hZ2U", ""),
        ("uuid-that-nobody-said", ""),
        ("role:tool", "3 b3"),
        ("role:user", "1 5 6 b1"),
        ("-role:user line", "4"),
        ("tool:Bash", "2 3"),
        ("tool:bash role:tool", "3"),
        ("tool:mcp*", "b2 b3"),
        ("-tool:bash E0308", "1"),
        ("project:confab line", "1 4"),
        ("machine:desktop line", "b1"),
        ("after:2026-11-21 line", "b1"),
        ("before:2026-11-20T10:00:02Z line", "1"),
    ];
    for (query, expected) in cases {
        for limit in [1, 20] {
            let mut found: Vec<String> = world
                .hits(query, limit)
                .iter()
                .map(|hit| hit.replace("one.jsonl:", "").replace("two.jsonl:", "b"))
                .collect();
            found.sort_unstable();
            // The image's line holds no word.
            let expected: Vec<&str> =
                expected.split(' ').filter(|id| !id.is_empty() && *id != "6").collect();
            assert_eq!(found, expected, "{query} by {limit}");
        }
    }
}

#[test]
fn a_hit_tells_where_it_is_and_marks_what_was_found() {
    let world = seeded();
    let answer = world.get("/search?q=mismatched");
    let hit = &answer["hits"][0];
    let expected = json!({"external_id": "one", "title": null, "project": "confab",
        "machine": "laptop", "file_name": "one.jsonl", "line": 3,
        "timestamp": "2026-11-20T10:00:02Z", "role": "tool", "tool": "Bash",
        "snippet": [{"text": "error[E0308]: ", "hit": false}, {"text": "mismatched", "hit": true},
        {"text": " types in src/server/mod.rs", "hit": false}]});
    let mut told = hit.clone();
    told.as_object_mut().unwrap().remove("session_id");
    assert_eq!(told, expected);
    assert_eq!(
        (answer["hits"].as_array().unwrap().len(), &answer["next_cursor"]),
        (1, &Value::Null)
    );
    let session = hit["session_id"].as_str().unwrap();
    let line = world.get(&format!("/sessions/{session}/events?from=3&limit=1"));
    assert_eq!(line["events"][0]["line"], 3);
    // The newest of lines that are as good.
    assert_eq!(world.hits("line", 20)[0], "two.jsonl:1");
}

#[test]
fn what_is_no_query_is_refused_in_words() {
    let world = seeded();
    let cases = [
        ("", "a query needs a word or filter that lines must have"),
        ("-x", "a query needs a word or filter that lines must have"),
        ("\"open", "a quotation mark has no partner"),
        ("role:robot", "role:robot is none of user, assistant, tool and system"),
        ("after:soon", "after:soon is no time"),
    ];
    for (query, expected) in cases {
        let (status, said) = world.refused(&format!("/search?q={}", escaped(query)));
        assert!(status == 400 && said.contains(expected), "{query}: {status} {said}");
    }
    for other in ["q=x&limit=0", "q=x&cursor=1", "q=x&cursor=1.2.3.zz.4"] {
        assert_eq!(world.refused(&format!("/search?{other}")).0, 400, "{other}");
    }
    // Whatever means something to the index or to SQL means nothing here.
    let hostile = [
        "x AND y",
        "\"a\"b\"",
        "NEAR(a b)",
        "word:x",
        "^x",
        "a + b",
        "{a b}: c",
        "')--",
        "x\0y",
        "=u1",
        "*x",
    ];
    for query in hostile {
        let path = format!("/search?q={}", escaped(query));
        let status = world.server.get(&format!("/api/v1{path}"), &world.key).status;
        assert!(status == 200 || status == 400, "{query}: {status}");
    }
    assert_eq!(world.hits("=u1 =ru", 20), [""; 0], "marks of the index are no words");
}

#[test]
fn nobody_finds_lines_of_others_and_new_ones_are_found_at_once() {
    let world = seeded();
    let other = create_key(&world.folder.0, "you@x");
    let of_other = |query: &str| {
        let answer = world.server.get(&format!("/api/v1/search?q={query}"), &other).json();
        answer["hits"].as_array().unwrap().len()
    };
    assert_eq!((of_other("line"), of_other("role:user"), of_other("after:2020-01-01")), (0, 0, 0));
    let session = world.server.session(&other, "one");
    assert_eq!(world.server.append(&other, &session, 1, &["line of another"]).status, 200);
    world.indexed();
    assert_eq!((of_other("line"), of_other("parse_line")), (1, 0));
    assert_eq!(world.hits("another", 20), [""; 0]);
    assert_eq!(world.server.get("/api/v1/search?q=line", "").status, 401);
}

#[test]
fn every_line_of_a_common_word_is_reached_page_by_page() {
    let world = World::new();
    let mut expected = Vec::new();
    for number in 0..12 {
        let id = format!("s{number:02}");
        let session = world.session(&id, json!({}));
        let lines: Vec<Value> = (1..=60)
            .map(|line| {
                let time = format!("2026-11-{:02}T10:{line:02}:00Z", number + 1);
                said(&time, if line % 3 == 0 { "needle in hay" } else { "hay" })
            })
            .collect();
        world.send(&session, &format!("{id}.jsonl"), 1, &lines);
        expected
            .extend((1..=60).filter(|line| line % 3 == 0).map(|line| format!("{id}.jsonl:{line}")));
    }
    expected.sort_unstable();
    world.indexed();
    for (query, limit) in [("needle", 7), ("needle hay", 100), ("needle role:user", 33)] {
        let mut found = world.hits(query, limit);
        assert!(found[0].starts_with("s11"), "the newest first");
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
    assert_eq!(world.hits("hay", 100).len(), 720);
}

#[test]
fn an_index_that_is_lost_is_made_again() {
    let world = seeded();
    let before = world.hits("line", 20);
    let (said, status) = run(&["reindex"], &world.folder);
    assert_eq!(status, 0, "{said}");
    assert_eq!(world.hits("line", 20), before);
    let (said, status) = run(&["check"], &world.folder);
    assert!(status == 0 && said.ends_with(" 0 problems\n"), "{said}");
}

#[test]
fn words_of_a_deleted_session_are_nowhere_any_more() {
    let world = seeded();
    // In the index they are in lower case, and in the lines they are not.
    let needles = ["QUXNEEDLEOFTHEINDEX", "WUGPINOFTHEHAYSTACK"];
    let sessions = needles.map(|needle| {
        let session = world.session(needle, json!({}));
        let lines: Vec<Value> = (0..300)
            .map(|n| said("2026-11-22T10:00:00Z", &format!("the {needle} of line {n}")))
            .collect();
        world.send(&session, "gone.jsonl", 1, &lines);
        world.indexed();
        session
    });
    let holding = |needle: &str| {
        // What a word has in common with the one before it is left out.
        let needle = needle[3..].to_lowercase();
        let files = std::fs::read_dir(&world.folder.0).unwrap();
        let files = files.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        files.filter(|bytes| memchr::memmem::find(bytes, needle.as_bytes()).is_some()).count()
    };
    let bearer = format!("Bearer {}", world.key);
    // The first one leaves an index in one piece, of which the second one takes its part.
    for (session, needle) in sessions.iter().zip(needles) {
        assert_eq!(world.hits(needle, 100).len(), 300);
        assert!(holding(needle) > 0);
        let path = format!("/api/v1/sessions/{session}");
        let headers = [("Authorization", bearer.as_str())];
        assert_eq!(world.server.request("DELETE", &path, &headers, b"").status, 204);
        assert_eq!(world.hits(needle, 20), [""; 0]);
        eventually("its words are not on the disk", || holding(needle) == 0);
        let (said, status) = run(&["check"], &world.folder);
        assert!(status == 0 && said.ends_with(" 0 problems\n"), "{said}");
    }
    assert_eq!(world.hits("line", 20).len(), 3, "others are still found");
}
