//! What the existing backend refuses in a body, as the scripted one does.

use serde_json::{Value, json};

use super::http::Answer;

/// Limits of what an init says of its session's surroundings.
pub fn init_limits(body: &Value) -> Result<(), Answer> {
    let refusal = |why: String| Err(Answer::json(400, &json!({ "error": why })));
    let metadata = &body["metadata"];
    for field in ["hostname", "username"] {
        if metadata[field].as_str().is_some_and(|text| text.len() > 255) {
            return refusal(format!("{field} is too long"));
        }
    }
    let remotes = metadata["git_info"]["remotes"].as_array().map_or(&[][..], Vec::as_slice);
    let has_url = |remote: &Value| !remote["fetch_url"].is_null() || !remote["push_url"].is_null();
    match remotes.len() <= 50 && remotes.iter().all(has_url) {
        true => Ok(()),
        false => refusal("git_info.remotes is not as it must be".into()),
    }
}

/// A field that must be a string of 1 to `bytes_max` bytes.
pub fn text<'a>(body: &'a Value, field: &str, bytes_max: usize) -> Result<&'a str, Answer> {
    let refusal = |why: String| Answer::json(400, &json!({ "error": why }));
    match body[field].as_str() {
        None | Some("") => Err(refusal(format!("{field} is required"))),
        Some(text) if text.len() > bytes_max => {
            Err(refusal(format!("{field} exceeds maximum length of {bytes_max} characters")))
        }
        Some(text) => Ok(text),
    }
}
