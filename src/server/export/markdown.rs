//! A session as Markdown: what was said as it is, what tools were given and returned in fences.
//!
//! What was said is Markdown already, and is not changed. Everything else is fenced, with more
//! backticks than it holds. Lines that nobody said are left out: the other formats have them.

use serde_json::Value;

use super::html::plain;
use crate::wire::{FileEntry, SessionDetail};

/// Backticks of a fence, at least.
const FENCE_MIN: usize = 3;

/// Everything before the first file.
pub fn begin(out: &mut Vec<u8>, detail: &SessionDetail) {
    let named = detail.summary.as_deref().or(detail.first_user_message.as_deref());
    let title = named.filter(|text| !text.is_empty()).unwrap_or(&detail.external_id);
    add(out, &format!("# {}\n\n", one_line(title)));
    let git = detail.git_info.as_ref();
    let known = [
        ("Session", Some(detail.external_id.as_str())),
        ("Folder", detail.cwd.as_deref()),
        ("Repository", git.and_then(|git| git.repo_url.as_deref())),
        ("Branch", git.and_then(|git| git.branch.as_deref())),
        ("Machine", detail.hostname.as_deref()),
        ("First seen", Some(detail.first_seen.as_str())),
        ("Last synced", Some(detail.last_sync_at.as_str())),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            add(out, &format!("- {name}: {}\n", code(&one_line(value))));
        }
    }
    add(out, "\n");
}

/// What comes before the lines of a file.
pub fn begin_file(out: &mut Vec<u8>, file: &FileEntry) {
    add(out, &format!("---\n\n{}\n\n", code(&one_line(&file.file_name))));
}

/// A line of a file.
pub fn line(out: &mut Vec<u8>, line: &[u8]) {
    let value: Value = serde_json::from_slice(line).unwrap_or_default();
    let who = match value["type"].as_str() {
        Some("user") => "User",
        Some("assistant") => "Assistant",
        _ => return,
    };
    let mut said = Vec::new();
    match &value["message"]["content"] {
        Value::Array(parts) => parts.iter().for_each(|part| block(&mut said, part)),
        Value::String(text) => text_of(&mut said, text),
        _ => {}
    }
    if said.is_empty() {
        return;
    }
    let is_from_tools = said.starts_with(RESULT.as_bytes()) || said.starts_with(ERROR.as_bytes());
    if !is_from_tools {
        let time = value["timestamp"].as_str().map(|time| format!(" · {}", one_line(time)));
        add(out, &format!("## {who}{}\n\n", time.unwrap_or_default()));
    }
    out.extend(said);
}

const RESULT: &str = "Result:\n\n";
const ERROR: &str = "Error:\n\n";

/// A part of what was said.
fn block(out: &mut Vec<u8>, part: &Value) {
    match part["type"].as_str() {
        Some("text") => text_of(out, &plain(&part["text"])),
        Some("thinking") => {
            let thought = plain(&part["thinking"]);
            if !thought.trim().is_empty() {
                let quoted: String = thought.lines().map(|line| format!("> {line}\n")).collect();
                add(out, &format!("{quoted}\n"));
            }
        }
        Some("tool_use") => {
            add(out, &format!("Uses {}:\n\n", code(&one_line(&plain(&part["name"])))));
            let input = serde_json::to_string_pretty(&part["input"]).unwrap_or_default();
            fenced(out, "json", &input);
        }
        Some("tool_result") => result(out, part),
        Some("image") => add(out, "*An image.*\n\n"),
        _ => fenced(out, "json", &part.to_string()),
    }
}

fn result(out: &mut Vec<u8>, part: &Value) {
    add(out, if part["is_error"] == true { ERROR } else { RESULT });
    let Value::Array(parts) = &part["content"] else {
        return fenced(out, "", &plain(&part["content"]));
    };
    for part in parts {
        match part["type"].as_str() {
            Some("text") => fenced(out, "", &plain(&part["text"])),
            Some("image") => add(out, "*An image.*\n\n"),
            _ => fenced(out, "json", &part.to_string()),
        }
    }
}

fn text_of(out: &mut Vec<u8>, text: &str) {
    if !text.trim().is_empty() {
        add(out, text.trim_end());
        add(out, "\n\n");
    }
}

/// Text between fences that it does not hold.
fn fenced(out: &mut Vec<u8>, language: &str, text: &str) {
    let fence = "`".repeat(longest_run(text).max(FENCE_MIN - 1) + 1);
    add(out, &format!("{fence}{language}\n{}\n{fence}\n\n", text.trim_end_matches('\n')));
}

/// A few words as code.
fn code(text: &str) -> String {
    let ticks = "`".repeat(longest_run(text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{space}{text}{space}{ticks}")
}

/// The most backticks in a row.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or("").trim().to_owned()
}

fn add(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = Vec::new();
        line(&mut out, text.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_said_is_as_it_was_and_everything_else_is_fenced() {
        let cases = [
            (
                r##"{"type":"user","timestamp":"t","message":{"content":"# a *b*\n"}}"##,
                "## User · t\n\n# a *b*\n\n",
            ),
            (
                r#"{"type":"assistant","message":{"content":[{"type":"thinking","thinking":"a\nb"}]}}"#,
                "## Assistant\n\n> a\n> b\n\n",
            ),
            (
                r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"B`","input":{}}]}}"#,
                "## Assistant\n\nUses `` B` ``:\n\n```json\n{}\n```\n\n",
            ),
            (
                r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"x\n````\ny"}]}}"#,
                "Result:\n\n`````\nx\n````\ny\n`````\n\n",
            ),
            (
                r#"{"type":"user","message":{"content":[{"type":"tool_result","is_error":true,"content":[{"type":"text","text":"no"},{"type":"image"}]}]}}"#,
                "Error:\n\n```\nno\n```\n\n*An image.*\n\n",
            ),
            (r#"{"type":"system","content":"x"}"#, ""),
            (r#"{"type":"user","message":{"content":" "}}"#, ""),
            ("not json", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
