//! What was said in a session, as XML: an element for each line that says something, numbered. The
//! form is that of the existing backend, as recorded in `fixtures/wire/condensed`, which escapes
//! nothing and tells of results only that they were a success.
//!
//! Memory is bounded by the wanted length: elements fall out at the beginning when there are too
//! many, and a note says so. Deliberately absent: what tools were given and what they answered.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

/// Characters that are kept when nobody says how many.
const CHARS_MAX: usize = 8 << 20;
/// Uses of tools whose results have not come yet.
const TOOLS_MAX: usize = 10_000;

/// A session that is being condensed: its transcript, then its agents'.
pub struct Condensed {
    elements: VecDeque<String>,
    /// Number of the last element.
    n_elements: u64,
    /// Characters of the elements that are kept.
    n_chars: usize,
    chars_max: usize,
    n_left_out: u64,
    /// Names of tools by the id of their use.
    tools: HashMap<String, String>,
}

impl Condensed {
    /// Nothing yet; the elements will have at most so many characters.
    pub fn new(chars_max: Option<usize>) -> Condensed {
        Condensed {
            elements: VecDeque::new(),
            n_elements: 0,
            n_chars: 0,
            chars_max: chars_max.unwrap_or(CHARS_MAX).min(CHARS_MAX),
            n_left_out: 0,
            tools: HashMap::new(),
        }
    }

    /// Adds what a line says; most lines say nothing.
    pub fn add(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        let content = &line["message"]["content"];
        match line["type"].as_str() {
            Some("user") => self.add_user(content),
            Some("assistant") => self.add_assistant(content),
            _ => {}
        }
    }

    /// The XML.
    pub fn finish(self) -> String {
        let mut xml = String::from("<transcript>\n");
        if self.n_left_out > 0 {
            xml += &format!("<note>{} earlier elements are left out</note>\n", self.n_left_out);
        }
        xml.extend(self.elements);
        xml + "</transcript>"
    }

    fn add_user(&mut self, content: &Value) {
        let blocks = match content {
            Value::String(text) => return self.push("user", text),
            Value::Array(blocks) => blocks,
            _ => return,
        };
        let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        self.push("user", &texts.join("\n"));
        let mut results = Vec::new();
        for block in blocks.iter().filter(|block| block["type"] == "tool_result") {
            let tool = block["tool_use_id"].as_str().and_then(|id| self.tools.remove(id));
            if block["is_error"] != true {
                let tool = tool.unwrap_or_default().replace('"', "&quot;");
                results.push(format!("  <result tool=\"{tool}\" status=\"success\"/>"));
            }
        }
        self.push("tool_results", &results.join("\n"));
    }

    fn add_assistant(&mut self, content: &Value) {
        let blocks = match content {
            Value::String(text) => return self.push("assistant", text),
            Value::Array(blocks) => blocks,
            _ => return,
        };
        let (mut parts, mut tools) = (Vec::new(), Vec::new());
        for block in blocks {
            let text = |name: &str| block[name].as_str().unwrap_or_default();
            match text("type") {
                "thinking" => parts.push(format!("<thinking>{}</thinking>", text("thinking"))),
                "text" => parts.push(text("text").to_owned()),
                "tool_use" => {
                    if self.tools.len() < TOOLS_MAX {
                        self.tools.insert(text("id").to_owned(), text("name").to_owned());
                    }
                    tools.push(text("name").to_owned());
                }
                _ => {}
            }
        }
        if !tools.is_empty() {
            parts.push(format!("<tools_called>{}</tools_called>", tools.join(", ")));
        }
        self.push("assistant", &parts.join("\n"));
    }

    fn push(&mut self, element: &str, content: &str) {
        if content.trim().is_empty() {
            return;
        }
        self.n_elements += 1;
        let xml = format!("<{element} id=\"{}\">\n{content}\n</{element}>\n", self.n_elements);
        self.n_chars += xml.chars().count();
        self.elements.push_back(xml);
        while self.n_chars > self.chars_max {
            let Some(first) = self.elements.pop_front() else { break };
            self.n_chars -= first.chars().count();
            self.n_left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 6] = [
        r#"{"type":"user","message":{"content":"a <b>"}}"#,
        r#"{"type":"system","content":"not said"}"#,
        r#"{"type":"assistant","message":{"content":[{"type":"thinking","thinking":"t"},
            {"type":"text","text":"b"},{"type":"tool_use","id":"1","name":"X"},
            {"type":"tool_use","id":"2","name":"Y"}]}}"#,
        r#"{"type":"user","message":{"content":[{"type":"text","text":"c"},
            {"type":"tool_result","tool_use_id":"2","content":"r"},
            {"type":"tool_result","tool_use_id":"1","is_error":true}]}}"#,
        r#"{"type":"user","message":{"content":" "}}"#,
        "not json",
    ];

    fn condensed(chars_max: Option<usize>) -> String {
        let mut condensed = Condensed::new(chars_max);
        LINES.iter().for_each(|line| condensed.add(line.as_bytes()));
        condensed.finish()
    }

    #[test]
    fn what_was_said_stays_in_order() {
        let expected = "<transcript>\n<user id=\"1\">\na <b>\n</user>\n\
            <assistant id=\"2\">\n<thinking>t</thinking>\nb\n\
            <tools_called>X, Y</tools_called>\n</assistant>\n<user id=\"3\">\nc\n</user>\n\
            <tool_results id=\"4\">\n  <result tool=\"Y\" status=\"success\"/>\n\
            </tool_results>\n</transcript>";
        assert_eq!(condensed(None), expected);
    }

    #[test]
    fn the_beginning_is_left_out_at_an_element() {
        let text = condensed(Some(130));
        assert!(text.starts_with("<transcript>\n<note>2 earlier elements are left out</note>\n"));
        assert!(text.contains("<user id=\"3\">") && !text.contains("id=\"2\""), "{text}");
        let nothing = condensed(Some(1));
        assert!(nothing.ends_with("<note>4 earlier elements are left out</note>\n</transcript>"));
    }
}
