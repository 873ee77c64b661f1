//! What a line tells the index: who said it when, what it cost and what it changed. Pure.
//!
//! Nothing here fails: what is missing or of another type is not told, and a line that is no JSON
//! object tells nothing at all. Deliberately absent: the text that was said (`search`).

use std::time::UNIX_EPOCH;

use serde_json::value::RawValue;

use crate::time::parse_rfc3339;
use crate::transcript::{elements, members, string};

/// Bytes of a text in a row; what is longer is cut.
const TEXT_BYTES_MAX: usize = 128;
/// Tools of a line that are told, and results of tools.
const TOOLS_MAX: usize = 64;
/// What Claude Code writes as a user's message though nobody typed it begins so.
const NOT_TYPED: [&str; 6] = [
    "<local-command-",
    "<bash-stdout",
    "<bash-stderr",
    "<task-notification",
    "[Request interrupted",
    "Caveat: The messages below",
];
/// Digits of a canonical uuid.
const UUID_DIGITS: usize = 32;

/// What a line tells.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Event {
    /// `type`.
    pub kind: Option<String>,
    /// `message.role`, only where it is not the type.
    pub role: Option<String>,
    /// `uuid`.
    pub uuid: Option<Id>,
    /// `parentUuid`.
    pub parent: Option<Id>,
    /// `timestamp`, microseconds since 1970.
    pub timestamp: Option<i64>,
    /// Whether a result of a tool is an error; `None` where there is no result.
    pub is_error: Option<bool>,
    /// What the line is to who looks for their way through a session.
    pub mark: Option<Mark>,
    /// Lines that a tool added to files and removed from them; `None` where it changed nothing.
    pub changed: Option<(i64, i64)>,
    /// The tools that are used, in order.
    pub tools: Vec<ToolUse>,
    /// Results of tools: the call, and whether it failed.
    pub results: Vec<(i64, bool)>,
    /// What the message cost. All lines of a message tell the same.
    pub usage: Option<Usage>,
    /// A line, perhaps of another session, that this one goes on from: `leafUuid` of a summary,
    /// `logicalParentUuid` of a compaction.
    pub origin: Option<Id>,
    /// `sessionId`.
    pub session: Option<String>,
}

/// What a line is to who looks for their way through a session. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A user typed it.
    Prompt = 1,
    /// A tool or the API has failed.
    Error = 2,
    /// What was said before was replaced by a summary.
    Compaction = 3,
}

/// A use of a tool.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ToolUse {
    /// The tool.
    pub name: String,
    /// A number made of the id of this use, which its result has as well.
    pub call: i64,
}

/// An id, in 16 bytes where it is a lower case uuid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// A uuid.
    Uuid([u8; UUID_DIGITS / 2]),
    /// Anything else.
    Text(String),
}

/// Tokens of a message of the model.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Usage {
    /// `message.id`.
    pub message_id: String,
    /// `message.model`.
    pub model: Option<String>,
    /// Tokens that were sent, without those of the cache.
    pub input: i64,
    /// Tokens that were answered.
    pub output: i64,
    /// Tokens that the cache had.
    pub cache_read: i64,
    /// Tokens that were put into the cache.
    pub cache_creation: i64,
}

/// Reads a line.
pub fn event(line: &str) -> Event {
    told(line).unwrap_or_default()
}

fn told(line: &str) -> Option<Event> {
    const NAMES: [&str; 14] = [
        "type",
        "uuid",
        "parentUuid",
        "timestamp",
        "message",
        "subtype",
        "isMeta",
        "isCompactSummary",
        "isSidechain",
        "isApiErrorMessage",
        "leafUuid",
        "logicalParentUuid",
        "sessionId",
        "toolUseResult",
    ];
    let [kind, uuid, parent, timestamp, message, rest @ ..] = members(line.as_bytes(), NAMES)?;
    let [subtype, meta, compact, sidechain, api_error, leaf, logical_parent, session, result] =
        rest;
    let is_true = |value: Option<&RawValue>| value.is_some_and(|value| value.get() == "true");
    let mut event = Event {
        kind: kind.and_then(text),
        uuid: uuid.and_then(id),
        parent: parent.and_then(id),
        timestamp: timestamp.and_then(micros),
        session: session.and_then(text),
        changed: result.and_then(changed),
        ..Event::default()
    };
    event.origin = match event.kind.as_deref() {
        Some("summary") => leaf.and_then(id),
        Some("system") => logical_parent.and_then(id),
        _ => None,
    };
    const PARTS: [&str; 5] = ["role", "id", "model", "usage", "content"];
    let message = message.and_then(|message| members(message.get().as_bytes(), PARTS));
    let mut is_typed = false;
    if let Some([role, message_id, model, tokens, content]) = message {
        event.role = role.and_then(text).filter(|role| event.kind.as_ref() != Some(role));
        event.usage = usage(message_id, model, tokens);
        is_typed = content.is_some_and(is_typed_text);
        for block in content.and_then(elements).unwrap_or_default() {
            is_typed |= add_block(&mut event, block);
        }
    }
    let is_hidden = is_true(meta) || is_true(compact) || is_true(sidechain);
    event.mark = match event.kind.as_deref() {
        Some("system") if subtype.and_then(string).as_deref() == Some("compact_boundary") => {
            Some(Mark::Compaction)
        }
        _ if event.is_error == Some(true) || is_true(api_error) => Some(Mark::Error),
        Some("user") if is_typed && event.is_error.is_none() && !is_hidden => Some(Mark::Prompt),
        _ => None,
    };
    Some(event)
}

/// Takes in a part of a message; true when a user may have typed it.
fn add_block(event: &mut Event, block: &RawValue) -> bool {
    const NAMES: [&str; 6] = ["type", "name", "is_error", "id", "tool_use_id", "text"];
    let Some([kind, name, is_error, id, use_id, said]) = members(block.get().as_bytes(), NAMES)
    else {
        return false;
    };
    match kind.and_then(string).as_deref() {
        Some("tool_use") if event.tools.len() < TOOLS_MAX => {
            let call = id.and_then(string).map_or(0, |id| call(&id));
            event.tools.extend(name.and_then(text).map(|name| ToolUse { name, call }));
            false
        }
        Some("tool_result") => {
            let failed = is_error.is_some_and(|value| value.get() == "true");
            event.is_error = Some(failed || event.is_error == Some(true));
            if let (Some(id), true) = (use_id.and_then(string), event.results.len() < TOOLS_MAX) {
                event.results.push((call(&id), failed));
            }
            false
        }
        Some("text") => said.is_some_and(is_typed_text),
        Some("image") => true,
        _ => false,
    }
}

/// Whether a value is a text that does not look as if Claude Code had written it.
fn is_typed_text(value: &RawValue) -> bool {
    // What nobody typed begins without escapes.
    let text = value.get().strip_prefix('"');
    text.is_some_and(|text| !NOT_TYPED.iter().any(|start| text.starts_with(start)))
}

/// A number for an id: the same on every machine and in every version (FNV-1a).
fn call(id: &str) -> i64 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}

/// Lines that were added and removed, as the result of a tool that edits files tells.
fn changed(result: &RawValue) -> Option<(i64, i64)> {
    const NAMES: [&str; 3] = ["structuredPatch", "type", "content"];
    let [patch, kind, content] = members(result.get().as_bytes(), NAMES)?;
    let (mut added, mut removed) = (0, 0);
    for hunk in patch.and_then(elements)? {
        let lines = members(hunk.get().as_bytes(), ["lines"]).and_then(|[lines]| lines);
        for line in lines.and_then(elements).unwrap_or_default() {
            match line.get().as_bytes().get(1) {
                Some(b'+') => added += 1,
                Some(b'-') => removed += 1,
                _ => {}
            }
        }
    }
    // A new file has no patch.
    if kind.and_then(string).as_deref() == Some("create") && added == 0 {
        added = content.and_then(string).map_or(0, |text| text.lines().count() as i64);
    }
    (added + removed > 0).then_some((added, removed))
}

fn usage(
    message_id: Option<&RawValue>,
    model: Option<&RawValue>,
    tokens: Option<&RawValue>,
) -> Option<Usage> {
    const NAMES: [&str; 4] =
        ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    let counts = members(tokens?.get().as_bytes(), NAMES)?;
    let [input, output, cache_read, cache_creation] =
        counts.map(|count| count.and_then(|count| count.get().parse().ok()).unwrap_or(0_u32));
    Some(Usage {
        message_id: text(message_id?)?,
        model: model.and_then(text),
        input: input.into(),
        output: output.into(),
        cache_read: cache_read.into(),
        cache_creation: cache_creation.into(),
    })
}

fn text(value: &RawValue) -> Option<String> {
    let text = string(value)?;
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(text[..end].to_owned())
}

fn id(value: &RawValue) -> Option<Id> {
    let whole = string(value)?;
    match uuid(&whole) {
        Some(bytes) => Some(Id::Uuid(bytes)),
        None => text(value).map(Id::Text),
    }
}

/// The bytes of a uuid as every version of Claude Code writes it.
fn uuid(text: &str) -> Option<[u8; UUID_DIGITS / 2]> {
    let bytes = text.as_bytes();
    if bytes.len() != UUID_DIGITS + 4 {
        return None;
    }
    let mut digits = [0; UUID_DIGITS];
    let mut n_digits = 0;
    for (index, byte) in bytes.iter().enumerate() {
        match (index, byte) {
            (8 | 13 | 18 | 23, b'-') => {}
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => digits[n_digits] = byte - b'0',
            (_, b'a'..=b'f') => digits[n_digits] = byte - b'a' + 10,
            _ => return None,
        }
        n_digits += usize::from(*byte != b'-');
    }
    let mut uuid = [0; UUID_DIGITS / 2];
    for (byte, pair) in uuid.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(uuid)
}

fn micros(value: &RawValue) -> Option<i64> {
    let since = parse_rfc3339(&string(value)?)?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "01234567-89ab-4def-8123-456789abcdef";

    #[test]
    fn a_line_of_an_answer_tells_tools_and_tokens() {
        let line = format!(
            r#"{{"type":"assistant","uuid":"{UUID}","parentUuid":null,
            "timestamp":"1970-01-01T00:00:01.5Z","message":{{"role":"assistant","id":"msg_1",
            "model":"m","usage":{{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3,
            "cache_creation_input_tokens":-4}},"content":[{{"type":"text","text":"tool_use"}},
            {{"type":"tool_use","name":"Bash","id":"a"}},{{"type":"tool_use","name":"Read"}}]}}}}"#
        );
        let uuid = [1, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x81, 0x23, 0x45, 0x67, 0x89];
        let uuid = [&uuid[..], &[0xab, 0xcd, 0xef]].concat().try_into().unwrap();
        let expected = Event {
            kind: Some("assistant".into()),
            uuid: Some(Id::Uuid(uuid)),
            timestamp: Some(1_500_000),
            tools: vec![
                ToolUse { name: "Bash".into(), call: 0xaf63_dc4c_8601_ec8c_u64.cast_signed() },
                ToolUse { name: "Read".into(), call: 0 },
            ],
            usage: Some(Usage {
                message_id: "msg_1".into(),
                model: Some("m".into()),
                input: 1,
                output: 2,
                cache_read: 3,
                cache_creation: 0,
            }),
            ..Event::default()
        };
        assert_eq!(event(&line), expected);
    }

    #[test]
    fn results_of_tools_tell_errors_and_roles_only_where_they_differ() {
        let cases = [
            (r#"[{"type":"tool_result"}]"#, Some(false)),
            (r#"[{"type":"tool_result","is_error":true},{"type":"tool_result"}]"#, Some(true)),
            (r#"[{"type":"tool_result","is_error":"true"}]"#, Some(false)),
            (r#"[{"type":"text","is_error":true}]"#, None),
            (r#""text""#, None),
        ];
        for (content, is_error) in cases {
            for (role, told) in [("user", None), ("system", Some("system".to_owned()))] {
                let line = format!(
                    r#"{{"type":"user","message":{{"role":"{role}","content":{content}}}}}"#
                );
                let kind = Some("user".into());
                let mark = match is_error {
                    Some(true) => Some(Mark::Error),
                    Some(false) => None,
                    // A text without words is no prompt.
                    None if content.starts_with('[') => None,
                    None => Some(Mark::Prompt),
                };
                let expected = Event { kind, role: told, is_error, mark, ..Event::default() };
                assert_eq!(event(&line), expected, "{line}");
            }
        }
    }

    #[test]
    fn prompts_errors_and_compactions_are_marked() {
        let cases = [
            (r#"{"type":"user","message":{"content":"do it"}}"#, Some(Mark::Prompt)),
            (
                r#"{"type":"user","message":{"content":[{"type":"text","text":"x"}]}}"#,
                Some(Mark::Prompt),
            ),
            (r#"{"type":"user","message":{"content":[{"type":"image"}]}}"#, Some(Mark::Prompt)),
            (r#"{"type":"user","isMeta":true,"message":{"content":"do it"}}"#, None),
            (r#"{"type":"user","isCompactSummary":true,"message":{"content":"do it"}}"#, None),
            (r#"{"type":"user","isSidechain":true,"message":{"content":"do it"}}"#, None),
            (r#"{"type":"user","message":{"content":"<local-command-stdout>x"}}"#, None),
            (r#"{"type":"user","message":{"content":"[Request interrupted by user]"}}"#, None),
            (r#"{"type":"user","message":{"content":[{"type":"tool_result"}]}}"#, None),
            (
                r#"{"type":"user","message":{"content":[{"type":"tool_result","is_error":true}]}}"#,
                Some(Mark::Error),
            ),
            (r#"{"type":"assistant","isApiErrorMessage":true}"#, Some(Mark::Error)),
            (r#"{"type":"assistant","message":{"content":"hello"}}"#, None),
            (r#"{"type":"system","subtype":"compact_boundary"}"#, Some(Mark::Compaction)),
            (r#"{"type":"system","subtype":"turn_duration"}"#, None),
        ];
        for (line, mark) in cases {
            assert_eq!(event(line).mark, mark, "{line}");
        }
    }

    #[test]
    fn results_name_their_call_and_what_they_changed() {
        let cases = [
            (
                r#"{"structuredPatch":[{"lines":[" a","+b","-c","+d"]},{"lines":["-e"]}]}"#,
                Some((2, 2)),
            ),
            (r#"{"type":"create","content":"a\nb\n","structuredPatch":[]}"#, Some((2, 0))),
            (r#"{"type":"update","content":"a\nb\n","structuredPatch":[]}"#, None),
            (r#"{"structuredPatch":[1,{"lines":[1]}]}"#, None),
            (r#""text""#, None),
        ];
        for (result, changed) in cases {
            let line = format!(r#"{{"type":"user","toolUseResult":{result}}}"#);
            assert_eq!(event(&line).changed, changed, "{line}");
        }
        let line = r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"a"},
            {"type":"tool_result","tool_use_id":"b","is_error":true}]}}"#;
        assert_eq!(event(line).results, [(call("a"), false), (call("b"), true)]);
    }

    #[test]
    fn a_line_names_the_line_and_session_that_it_comes_from() {
        let cases = [
            (r#"{"type":"summary","leafUuid":"a"}"#, Some("a")),
            (r#"{"type":"last-prompt","leafUuid":"a"}"#, None),
            (r#"{"type":"system","logicalParentUuid":"b"}"#, Some("b")),
        ];
        for (line, origin) in cases {
            assert_eq!(event(line).origin, origin.map(|id| Id::Text(id.into())), "{line}");
        }
        assert_eq!(event(r#"{"sessionId":"s"}"#).session.as_deref(), Some("s"));
    }

    #[test]
    fn what_is_odd_is_not_told() {
        let long = "ü".repeat(TEXT_BYTES_MAX);
        let nested = format!(r#"{{"a":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
        let cases = [
            ("".to_owned(), Event::default()),
            ("null".into(), Event::default()),
            ("[1]".into(), Event::default()),
            (r#"{"type":"user""#.into(), Event::default()),
            (r#"{"type":1,"uuid":{},"timestamp":"soon","message":[]}"#.into(), Event::default()),
            (nested, Event::default()),
            (
                r#"{"message":{"usage":{"input_tokens":1},"content":[1,"a",[]]}}"#.into(),
                Event::default(),
            ),
            (
                format!(r#"{{"type":"{long}"}}"#),
                Event { kind: Some("ü".repeat(TEXT_BYTES_MAX / 2)), ..Event::default() },
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(event(&line), expected, "{line}");
        }
    }

    #[test]
    fn only_a_canonical_uuid_becomes_bytes() {
        let others = [
            UUID.to_uppercase(),
            UUID.replace('-', ""),
            UUID.replacen('-', "_", 1),
            UUID.replace('0', "g"),
            format!("{UUID}0"),
            UUID.replacen("67-", "6-7", 1),
        ];
        for other in others {
            let line = format!(r#"{{"uuid":"{other}"}}"#);
            assert_eq!(event(&line).uuid, Some(Id::Text(other)));
        }
    }
}
