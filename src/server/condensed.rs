//! What was said in a session, as XML: an element for each text and each use of a tool, in order.
//!
//! Memory is bounded by the wanted length: elements fall out at the beginning when there are too
//! many, and a note says so. Deliberately absent: results of tools, thoughts, sub-agents.

use std::collections::VecDeque;

use serde_json::Value;

/// Characters that are kept when nobody says how many.
const CHARS_MAX: usize = 8 << 20;
/// Characters of an element; what is longer is cut.
const ELEMENT_CHARS_MAX: usize = 64 << 10;

/// A transcript that is being condensed.
pub struct Condensed {
    elements: VecDeque<String>,
    /// Characters of all elements.
    n_chars: usize,
    chars_max: usize,
    n_left_out: u64,
}

impl Condensed {
    /// Nothing yet; the elements will have at most so many characters.
    pub fn new(chars_max: Option<usize>) -> Condensed {
        let chars_max = chars_max.unwrap_or(CHARS_MAX).min(CHARS_MAX);
        Condensed { elements: VecDeque::new(), n_chars: 0, chars_max, n_left_out: 0 }
    }

    /// Adds what a line says; most lines say nothing.
    pub fn add(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        let who = line["type"].as_str().unwrap_or_default();
        if !matches!(who, "user" | "assistant") {
            return;
        }
        match &line["message"]["content"] {
            Value::String(text) => self.push(who, "", text),
            Value::Array(blocks) => {
                for block in blocks {
                    match block["type"].as_str() {
                        Some("text") => self.push(who, "", text(&block["text"])),
                        Some("tool_use") => {
                            let input = block["input"].to_string();
                            self.push("tool", text(&block["name"]), &input);
                        }
                        _ => {}
                    }
                }
            }
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

    fn push(&mut self, element: &str, name: &str, content: &str) {
        if content.trim().is_empty() {
            return;
        }
        let end = content.char_indices().nth(ELEMENT_CHARS_MAX).map(|(at, _)| at);
        let cut = &content[..end.unwrap_or(content.len())];
        let mark = if end.is_some() { "…" } else { "" };
        let name = match name {
            "" => String::new(),
            name => format!(" name=\"{}\"", escaped(name)),
        };
        let xml = format!("<{element}{name}>{}{mark}</{element}>\n", escaped(cut));
        self.n_chars += xml.chars().count();
        self.elements.push_back(xml);
        while self.n_chars > self.chars_max {
            let Some(first) = self.elements.pop_front() else { break };
            self.n_chars -= first.chars().count();
            self.n_left_out += 1;
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no way to say these.
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 6] = [
        r#"{"type":"user","message":{"role":"user","content":"a <b> & \u0000"}}"#,
        r#"{"type":"assistant","message":{"content":[{"type":"thinking","thinking":"x"},{"type":"text","text":"yes"},{"type":"tool_use","name":"Ba\"sh","input":{"command":"ls"}}]}}"#,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"out"}]}}"#,
        r#"{"type":"summary","summary":"s"}"#,
        "",
        "no json",
    ];

    fn condensed(chars_max: Option<usize>) -> String {
        let mut condensed = Condensed::new(chars_max);
        LINES.iter().for_each(|line| condensed.add(line.as_bytes()));
        condensed.finish()
    }

    #[test]
    fn texts_and_tools_in_order() {
        let expected = "<transcript>\n<user>a &lt;b&gt; &amp; \u{fffd}</user>\n\
            <assistant>yes</assistant>\n\
            <tool name=\"Ba&quot;sh\">{&quot;command&quot;:&quot;ls&quot;}</tool>\n</transcript>";
        assert_eq!(condensed(None), expected);
    }

    #[test]
    fn the_beginning_is_left_out_by_whole_elements() {
        let short = condensed(Some(100));
        assert!(short.contains("1 earlier elements are left out"), "{short}");
        assert!(!short.contains("<user>") && short.contains("<assistant>yes"), "{short}");
        assert_eq!(
            condensed(Some(1)),
            "<transcript>\n<note>3 earlier elements are left out</note>\n</transcript>"
        );
    }
}
