//! The text of a line: what was said, thought, called and returned, titles and summaries.
//!
//! Left out are images, signatures and ids, what Claude Code records of its own requests, which
//! repeats everything, and `toolUseResult`, which repeats the result. A line that is no JSON object
//! is its own text. Nothing here fails.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::transcript::{elements, members, string};

/// Types of lines that say nothing, or nothing new.
const NOT_SAID: [&str; 12] = [
    "api-request",
    "api-request-blob",
    "api-request-shape",
    "atis-latch",
    "cost-state",
    "file-history-delta",
    "file-history-snapshot",
    "last-prompt",
    "mode",
    "permission-mode",
    "progress",
    "queue-operation",
];
/// Types of attachments that say something of this session.
const ATTACHED: [&str; 9] = [
    "directory",
    "edited_text_file",
    "file",
    "hook_additional_context",
    "hook_blocking_error",
    "hook_non_blocking_error",
    "hook_success",
    "hook_system_message",
    "queued_command",
];
/// Members that are no text, wherever they are.
const NOT_TEXT: [&str; 12] = [
    "call_id",
    "data",
    "encrypted_content",
    "hookEvent",
    "hookName",
    "id",
    "media_type",
    "signature",
    "toolUseID",
    "tool_use_id",
    "type",
    "uuid",
];

/// Hands over the texts of a line, in order.
pub fn texts(line: &str, mut act: impl FnMut(&str)) {
    const NAMES: [&str; 10] = [
        "type",
        "message",
        "summary",
        "content",
        "customTitle",
        "aiTitle",
        "agentName",
        "attachment",
        "payload",
        "parts",
    ];
    let Some([kind, message, rest @ ..]) = members(line.as_bytes(), NAMES) else {
        return act(line);
    };
    let kind = kind.and_then(string);
    if kind.as_deref().is_some_and(|kind| NOT_SAID.contains(&kind)) {
        return;
    }
    let [summary, content, custom_title, ai_title, agent_name, attachment, payload, parts] = rest;
    for title in [summary, content, custom_title, ai_title, agent_name] {
        if let Some(text) = title.and_then(string) {
            act(&text);
        }
    }
    if let Some(message) = message {
        said(message, &mut act);
    }
    if let Some(attachment) = attachment.filter(|attachment| is_said(attachment)) {
        strings(attachment, &mut act);
    }
    for other in [payload, parts].into_iter().flatten() {
        strings(other, &mut act);
    }
}

/// Whether an attachment is of this session, and not what every session begins with.
fn is_said(attachment: &RawValue) -> bool {
    let kind = members(attachment.get().as_bytes(), ["type"]).and_then(|[kind]| kind);
    kind.and_then(string).is_some_and(|kind| ATTACHED.contains(&&*kind))
}

/// The texts of a message.
fn said(message: &RawValue, act: &mut impl FnMut(&str)) {
    if let Some(text) = string(message) {
        return act(&text);
    }
    let Some([Some(content)]) = members(message.get().as_bytes(), ["content"]) else { return };
    content_of(content, act);
}

/// A text, or the texts of parts.
fn content_of(content: &RawValue, act: &mut impl FnMut(&str)) {
    if let Some(text) = string(content) {
        return act(&text);
    }
    const NAMES: [&str; 6] = ["type", "text", "thinking", "name", "input", "content"];
    for block in elements(content).unwrap_or_default() {
        let Some([kind, text, thinking, name, input, inner]) =
            members(block.get().as_bytes(), NAMES)
        else {
            continue;
        };
        if kind.and_then(string).is_some_and(|kind| matches!(&*kind, "image" | "document")) {
            continue;
        }
        for text in [text, thinking, name].into_iter().flatten().filter_map(string) {
            act(&text);
        }
        if let Some(input) = input {
            strings(input, act);
        }
        if let Some(text) = inner.and_then(string) {
            act(&text);
        } else if let Some(inner) = inner {
            for part in elements(inner).unwrap_or_default() {
                let text = members(part.get().as_bytes(), ["text"]).and_then(|[text]| text);
                if let Some(text) = text.and_then(string) {
                    act(&text);
                }
            }
        }
    }
}

/// Every string of a value, at any depth that is worth reading.
fn strings(value: &RawValue, act: &mut impl FnMut(&str)) {
    if !value.get().starts_with(['{', '[', '"']) {
        return;
    }
    let mut deserializer = serde_json::Deserializer::from_str(value.get());
    if Strings(act).deserialize(&mut deserializer).is_err() {
        // Half of a surrogate pair, or too deep: better with escapes than not at all.
        act(value.get());
    }
}

struct Strings<'a, F>(&'a mut F);

impl<'de, F: FnMut(&str)> DeserializeSeed<'de> for Strings<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str)> Visitor<'de> for Strings<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        (self.0)(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values.next_element_seed(Strings(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            match NOT_TEXT.contains(&&*key) {
                true => drop(map.next_value::<IgnoredAny>()?),
                false => map.next_value_seed(Strings(&mut *self.0))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts_of(line: &str) -> Vec<String> {
        let mut all = Vec::new();
        texts(line, |text| all.push(text.to_owned()));
        all
    }

    #[test]
    fn what_is_said_thought_called_and_returned_is_text() {
        let cases: [(&str, &[&str]); 16] = [
            (r#"{"type":"user","uuid":"u","message":{"content":"a\nb"}}"#, &["a\nb"]),
            (r#"{"type":"user","message":{"content":[{"type":"text","text":"a"}]}}"#, &["a"]),
            (
                r#"{"message":{"id":"m","content":[{"type":"thinking","thinking":"a","signature":"s"}]}}"#,
                &["a"],
            ),
            (
                r#"{"message":{"content":[{"type":"tool_use","id":"i","name":"Bash",
                   "input":{"command":"ls","n":1,"list":["x",{"deep":"y"}],"id":"no"}}]}}"#,
                &["Bash", "ls", "x", "y"],
            ),
            (
                r#"{"message":{"content":[{"type":"tool_result","tool_use_id":"i","content":"a"}]},
                   "toolUseResult":{"stdout":"a"}}"#,
                &["a"],
            ),
            (
                r#"{"message":{"content":[{"type":"tool_result","content":[
                   {"type":"text","text":"a"},{"type":"image","source":{"data":"AAAA"}}]}]}}"#,
                &["a"],
            ),
            (r#"{"message":{"content":[{"type":"image","source":{"data":"AAAA"}}]}}"#, &[]),
            (r#"{"type":"summary","summary":"a","leafUuid":"u"}"#, &["a"]),
            (r#"{"type":"custom-title","customTitle":"a","sessionId":"s"}"#, &["a"]),
            (r#"{"type":"system","content":"a"}"#, &["a"]),
            (r#"{"type":"api-request-blob","message":{"content":"a"}}"#, &[]),
            (r#"{"type":"attachment","attachment":{"type":"prompt_snapshot","text":"a"}}"#, &[]),
            (
                r#"{"type":"attachment","attachment":{"type":"file","filename":"f",
                   "content":{"type":"text","file":{"content":"a"}}}}"#,
                &["f", "a"],
            ),
            (r#"{"type":"response_item","payload":{"type":"message","text":"a"}}"#, &["a"]),
            ("no json", &["no json"]),
            (r#"{"message":{"content":[{"input":{"a":"\ud800 b"}}]}}"#, &[r#"{"a":"\ud800 b"}"#]),
        ];
        for (line, expected) in cases {
            assert_eq!(texts_of(line), expected, "{line}");
        }
    }
}
