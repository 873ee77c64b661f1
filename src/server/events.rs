//! What a line tells the index: who said it when, and what it cost. Pure.
//!
//! Nothing here fails: what is missing or of another type is not told, and a line that is no JSON
//! object tells nothing at all. Deliberately absent: the text that was said.

use std::time::UNIX_EPOCH;

use serde_json::value::RawValue;

use crate::time::parse_rfc3339;
use crate::transcript::{elements, members, string};

/// Bytes of a text in a row; what is longer is cut.
const TEXT_BYTES_MAX: usize = 128;
/// Tools of a line that are told.
const TOOLS_MAX: usize = 64;
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
    /// Names of the tools that are used, in order.
    pub tools: Vec<String>,
    /// What the message cost. All lines of a message tell the same.
    pub usage: Option<Usage>,
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
    const NAMES: [&str; 5] = ["type", "uuid", "parentUuid", "timestamp", "message"];
    let [kind, uuid, parent, timestamp, message] = members(line.as_bytes(), NAMES)?;
    let mut event = Event {
        kind: kind.and_then(text),
        uuid: uuid.and_then(id),
        parent: parent.and_then(id),
        timestamp: timestamp.and_then(micros),
        ..Event::default()
    };
    const PARTS: [&str; 5] = ["role", "id", "model", "usage", "content"];
    let message = message.and_then(|message| members(message.get().as_bytes(), PARTS));
    if let Some([role, message_id, model, tokens, content]) = message {
        event.role = role.and_then(text).filter(|role| event.kind.as_ref() != Some(role));
        event.usage = usage(message_id, model, tokens);
        for block in content.and_then(elements).unwrap_or_default() {
            add_block(&mut event, block);
        }
    }
    Some(event)
}

fn add_block(event: &mut Event, block: &RawValue) {
    let Some([kind, name, is_error]) =
        members(block.get().as_bytes(), ["type", "name", "is_error"])
    else {
        return;
    };
    match kind.and_then(string).as_deref() {
        Some("tool_use") if event.tools.len() < TOOLS_MAX => {
            event.tools.extend(name.and_then(text));
        }
        Some("tool_result") => {
            let failed = is_error.is_some_and(|value| value.get() == "true");
            event.is_error = Some(failed || event.is_error == Some(true));
        }
        _ => {}
    }
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
            {{"type":"tool_use","name":"Bash"}},{{"type":"tool_use","name":"Read"}}]}}}}"#
        );
        let uuid = [1, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x81, 0x23, 0x45, 0x67, 0x89];
        let uuid = [&uuid[..], &[0xab, 0xcd, 0xef]].concat().try_into().unwrap();
        let expected = Event {
            kind: Some("assistant".into()),
            uuid: Some(Id::Uuid(uuid)),
            timestamp: Some(1_500_000),
            tools: vec!["Bash".into(), "Read".into()],
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
                let expected = Event { kind, role: told, is_error, ..Event::default() };
                assert_eq!(event(&line), expected, "{line}");
            }
        }
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
