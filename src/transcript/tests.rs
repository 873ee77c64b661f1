//! What lines of every shape tell, and that none of them stops anything.

use super::*;

fn facts_of(line: &str) -> Facts<'_> {
    inspect(line.as_bytes())
}

fn outline_of(line: &[u8], piece_bytes: usize) -> OutlineFacts {
    let mut outline = Outline::new();
    line.chunks(piece_bytes).for_each(|piece| outline.feed(piece));
    outline.finish()
}

fn recorded_lines() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/redact/clean");
    let files = std::fs::read_dir(folder).unwrap();
    let text: Vec<u8> = files.flat_map(|f| std::fs::read(f.unwrap().path()).unwrap()).collect();
    text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn a_line_tells_all_its_facts() {
    let facts = facts_of(
        r#" {"type":"summary","uuid":"u","timestamp":"t","sessionId":"s","cwd":"/é\n","gitBranch":"b",
        "summary":"a \"q\" \ud83d\ude00 \ud83d","leafUuid":"l","x":{"uuid":"no"},"l\u0065afUuid":"m"} "#,
    );
    let some = |text: &'static str| Some(Cow::Borrowed(text));
    let expected = Facts {
        kind: some("summary"),
        uuid: some("u"),
        timestamp: some("t"),
        session_id: some("s"),
        cwd: some("/é\n"),
        git_branch: some("b"),
        summary: some("a \"q\" 😀 \u{fffd}"),
        leaf_uuid: some("m"),
        agent_ids: Vec::new(),
    };
    assert_eq!(facts, expected);
    assert!(matches!(facts.uuid, Some(Cow::Borrowed(_))));
}

#[test]
fn wrong_types_and_strange_lines_tell_nothing() {
    let lines = [
        r#"{"type":1,"uuid":null,"timestamp":["t"],"sessionId":{"s":"s"},"cwd":true,"summary":-1e400}"#,
        r#"{"type":"user"}{"type":"user"}"#,
        r#"{"type":"user""#,
        r#"["type","user"]"#,
        r#""user""#,
        "{}",
        "null",
        "",
        "\0",
        "plain",
    ];
    for line in lines {
        assert_eq!(facts_of(line), Facts::default(), "{line}");
        assert_eq!(user_text(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn what_is_beside_the_facts_does_not_matter() {
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    let others = [
        deep.as_str(),
        r#""\ud800""#,
        r#"{"\udead":{"a":1,"a":2}}"#,
        "123456789012345678901234567890",
        "1e999",
    ];
    for other in others {
        let line = format!(r#"{{"x":{other},"type":"user","toolUseResult":{other},"uuid":"u"}}"#);
        assert_eq!(facts_of(&line).uuid.as_deref(), Some("u"));
        assert_eq!(facts_of(&line).kind.as_deref(), Some("user"));
        assert!(is_json(line.as_bytes()));
        assert_eq!(outline_of(line.as_bytes(), 7).uuid.as_deref(), Some("u"));
    }
    let broken = b"{\"x\":\"\xff\",\"uuid\":\"u\",\"summary\":\"a\xffb\",\"cwd\":\"/\"}";
    let facts = inspect(broken);
    assert_eq!(facts.uuid.as_deref(), Some("u"));
    assert_eq!(facts.summary.as_deref(), Some("a\u{fffd}b"));
}

#[test]
fn agent_ids_of_user_lines() {
    let root = |id: &str| format!(r#"{{"type":"user","toolUseResult":{{"agentId":{id}}}}}"#);
    let valid = [
        "abcd1234",
        "a0074ac",
        "a3eaf63159a07953f",
        "acompact-2aaa241e456ebc94",
        "aprompt_suggestion-ba74af",
        "abcdef",
    ];
    for id in valid {
        assert_eq!(facts_of(&root(&format!("\"{id}\""))).agent_ids, [id]);
    }
    let long = "a".repeat(129);
    for id in ["\"abcde\"", "\"../../etc\"", "\"abc def\"", "1234567", "null", "\"agené7\"", &long]
    {
        assert!(facts_of(&root(id)).agent_ids.is_empty(), "{id}");
    }
    assert!(facts_of(&root("\"abcd1234\"").replace("user", "assistant")).agent_ids.is_empty());
    let nested = r#"{"toolUseResult":{"agentId":"first1"},"message":{"content":[
        {"type":"tool_result","content":{"toolUseResult":{"agentId":"second"}}},
        {"type":"tool_result","content":{"toolUseResult":{"agentId":"first1"}}},
        {"type":"tool_result","content":[{"toolUseResult":{"agentId":"inlist"}}]},
        {"type":"text","content":{"toolUseResult":{"agentId":"nottool"}}},
        "agentId", 1, {"type":"tool_result","content":"agentId"},
        {"type":"tool_result","content":{"toolUseResult":{"agentId":"third3"}}}]},"type":"user"}"#;
    assert_eq!(facts_of(nested).agent_ids, ["first1", "second", "third3"]);
}

#[test]
fn the_text_of_a_user() {
    let user = |content: &str| format!(r#"{{"type":"user","message":{{"content":{content}}}}}"#);
    let cases = [
        (user(r#""  fix <b>the</b>\n bug &amp; go ""#), Some("fix the bug & go")),
        (
            user(r#"[{"type":"image"},{"type":"text","text":""},{"type":"text","text":"a"}]"#),
            Some("a"),
        ),
        (user(r#"[{"type":"tool_result","content":"x"}]"#), None),
        (
            user(
                r#"[{"text":"x"},3,"text",{"type":"text","text":7},{"type":"text","text":"\ud800b"}]"#,
            ),
            Some("\u{fffd}b"),
        ),
        (user(r#""<only-tags/> &nbsp;""#), None),
        (user("{}"), None),
        (user(r#""a""#).replace("user", "assistant"), None),
        (r#"{"type":"user","message":"a"}"#.to_owned(), None),
        (r#"{"type":"user"}"#.to_owned(), None),
    ];
    for (line, expected) in cases {
        assert_eq!(user_text(line.as_bytes()).as_deref(), expected, "{line}");
    }
    let broken = b"{\"type\":\"user\",\"message\":{\"content\":\"a\xffb\"}}";
    assert_eq!(user_text(broken).as_deref(), Some("a\u{fffd}b"));
}

#[test]
fn one_whole_value_is_json() {
    for whole in
        ["1", " {} ", "\t[\"a\"]\r\n", "\"\\ud800\"", "null", "{\"a\":1,\"a\":1}", "-1.5e300"]
    {
        assert!(is_json(whole.as_bytes()), "{whole}");
    }
    for part in ["", " ", "{", "{}{}", "1 2", "nul", "\"a", "[1,]", "{\"a\"}", "\0", "[1]]", "01"] {
        assert!(!is_json(part.as_bytes()), "{part}");
    }
}

#[test]
fn the_outline_agrees_with_the_whole_line_in_pieces_of_any_size() {
    let own = |value: Option<Cow<'_, str>>| value.map(Cow::into_owned);
    for line in recorded_lines() {
        let facts = inspect(&line);
        let [parent] = members::members(&line, ["parentUuid"]).unwrap_or_default();
        let expected = OutlineFacts {
            kind: own(facts.kind),
            uuid: own(facts.uuid),
            parent_uuid: own(parent.and_then(string)),
            timestamp: own(facts.timestamp),
            session_id: own(facts.session_id),
        };
        if !is_json(&line) {
            continue;
        }
        for piece_bytes in [1, 2, 7, 64, line.len().max(1)] {
            assert_eq!(outline_of(&line, piece_bytes), expected);
        }
    }
}

#[test]
fn the_outline_keeps_short_top_level_strings_only() {
    let cases = [
        (r#"{"uuid":"a\"\\\u00e9"}"#.to_owned(), Some("a\"\\é")),
        (r#"{"uuid":"a","uuid":"b"}"#.to_owned(), Some("b")),
        (r#"{"x":{"uuid":"a"},"y":[{"uuid":"b"}],"z":"uuid"}"#.to_owned(), None),
        (r#"{"uuid":["a"],"x":"b"}"#.to_owned(), None),
        (r#"{"uuid":1,"x":"b"}"#.to_owned(), None),
        (format!(r#"{{"uuid":"{}"}}"#, "a".repeat(257)), None),
        (r#"["uuid","a"]"#.to_owned(), None),
        (r#"{"uuid":"a"}{"uuid":"b"}"#.to_owned(), Some("a")),
        (r#"{"uuid":"a","x":"cut"#.to_owned(), Some("a")),
        (r#"{"uuid":"cut"#.to_owned(), None),
        (r#"}{"uuid":"a"}"#.to_owned(), None),
        (r#"{"uuid":"a"]]]]}}}"#.to_owned(), Some("a")),
    ];
    for (line, expected) in cases {
        for piece_bytes in 1..=line.len() {
            let facts = outline_of(line.as_bytes(), piece_bytes);
            assert_eq!(facts.uuid.as_deref(), expected, "{line}");
        }
    }
    let longest = "a".repeat(256);
    let line = format!(r#"{{"uuid":"{longest}","{}":"b"}}"#, "uuid".repeat(100));
    assert_eq!(outline_of(line.as_bytes(), 5).uuid, Some(longest));
}

#[test]
fn the_outline_survives_anything_in_bounded_memory() {
    let mut random = fastrand::Rng::with_seed(11);
    let alphabet = b"{}[]\",:\\u0a \xff\0";
    for _ in 0..20_000 {
        let bytes: Vec<u8> =
            (0..random.usize(..40)).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
        let mut outline = Outline::new();
        bytes.chunks(random.usize(1..5)).for_each(|piece| outline.feed(piece));
        outline.finish();
        inspect(&bytes);
        user_text(&bytes);
    }
    let mut outline = Outline::new();
    outline.feed(b"{\"uuid\":\"a\",\"message\":\"");
    for _ in 0..1000 {
        outline.feed(&[b'x'; 4096]);
        assert!(outline.buffer_bytes() <= 1024);
    }
    outline.feed(b"\",\"timestamp\":\"t\"}");
    assert_eq!(outline.finish().timestamp.as_deref(), Some("t"));
}
