//! Lines of transcripts that are made up.

use serde_json::{Value, json};

/// When the line of this number was written: one a second.
fn time(number: usize) -> String {
    let (hours, minutes, seconds) = (number / 3600 % 24, number / 60 % 60, number % 60);
    format!("2026-03-01T{hours:02}:{minutes:02}:{seconds:02}.000Z")
}

fn line(number: usize, kind: &str, message: Value) -> String {
    let timestamp = time(number);
    json!({"type": kind, "uuid": format!("u-{number}"), "timestamp": timestamp,
           "sessionId": "s", "cwd": "/home/dev/project", "version": "2.1.329", "message": message})
    .to_string()
}

/// What the user says at a time (RFC 3339).
pub fn prompt_at(time: &str, text: &str) -> String {
    json!({"type": "user", "timestamp": time, "sessionId": "s", "cwd": "/home/dev/project",
           "message": {"role": "user", "content": text}})
    .to_string()
}

/// What the user says.
pub fn prompt(number: usize, text: &str) -> String {
    line(number, "user", json!({"role": "user", "content": text}))
}

/// What the agent says.
pub fn said(number: usize, text: &str) -> String {
    blocks(number, json!([{"type": "text", "text": text}]))
}

/// Any blocks of the agent.
pub fn blocks(number: usize, blocks: Value) -> String {
    let usage = json!({"input_tokens": 12, "output_tokens": 345, "cache_read_input_tokens": 6789,
                       "cache_creation_input_tokens": 0});
    let message = json!({"role": "assistant", "model": "claude-sonnet-4-5", "usage": usage,
                         "id": format!("msg-{number}"), "content": blocks});
    line(number, "assistant", message)
}

/// A call of a tool.
pub fn call(number: usize, id: &str, name: &str, input: Value) -> String {
    blocks(number, json!([{"type": "tool_use", "id": id, "name": name, "input": input}]))
}

/// What a tool returned.
pub fn result(number: usize, id: &str, content: Value) -> String {
    let block = json!({"type": "tool_result", "tool_use_id": id, "content": content});
    line(number, "user", json!({"role": "user", "content": [block]}))
}

/// A long conversation: in every ten lines one prompt, calls and what is no part of it.
pub fn long(lines: usize) -> Vec<String> {
    let made = |number: usize| match number % 10 {
        0 => prompt(number, &format!("Prompt at {number}: please look at **part {number}**")),
        1 => said(
            number,
            &format!(
                "I look at part {number}.\n\n```rust\nfn part_{number}() {{}}\n```\n\n- one\n- two"
            ),
        ),
        3 | 6 => call(
            number,
            &format!("c{number}"),
            "Bash",
            json!({"command": format!("cat part-{number}")}),
        ),
        4 | 7 => result(
            number,
            &format!("c{}", number - 1),
            json!(format!("line of part {number}\n").repeat(number % 37 + 1)),
        ),
        9 => said(number, &"A longer answer, of several sentences. ".repeat(number % 13 + 1)),
        _ => json!({"type": "attachment", "uuid": format!("u-{number}"),
                    "attachment": {"type": "total_tokens_reminder", "text": "x".repeat(200)}})
        .to_string(),
    };
    (1..=lines).map(made).collect()
}
