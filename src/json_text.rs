//! The text of a JSON object or list, member by member, with everything that stands between them:
//! what is not changed is printed as it was read, byte for byte.
//!
//! Places are where the JSON reader has found them, so there is no second reader here. A member
//! that is added is laid out like its neighbours, and taking it away again leaves the text that was
//! there before it came.
//!
//! Deliberately absent: a tree. A value is text until somebody reads it as a container of its own.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    is_object: bool,
    /// In the order of the text.
    pub members: Vec<Member>,
    /// What stands between the brackets while there are no members.
    blank: String,
    /// The blanks in front and behind.
    around: (String, String),
}

/// A value in a container, and the blanks around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    before: String,
    /// As it is written, with its quotes; empty in a list.
    key: String,
    /// The colon with the blanks around it; empty in a list.
    colon: String,
    /// As it is written.
    pub value: String,
    after: String,
}

/// How a text is laid out, for what is added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    newline: &'static str,
    /// What a level is indented by.
    unit: String,
    /// Between a key and its value.
    colon: String,
    /// Behind a comma on the same line.
    gap: &'static str,
    /// Members stand on lines of their own.
    is_tall: bool,
}

impl Container {
    /// Reads an object.
    ///
    /// # Errors
    /// When the text is no JSON object.
    pub fn object(text: &str) -> serde_json::Result<Container> {
        let Members(members) = serde_json::from_str(text)?;
        let members = members.into_iter().map(|(key, value)| (Some(key), value)).collect();
        Ok(Container::new(text, true, members))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// When the text is no JSON list.
    pub fn list(text: &str) -> serde_json::Result<Container> {
        let values: Vec<&RawValue> = serde_json::from_str(text)?;
        let members = values.into_iter().map(|value| (None, value)).collect();
        Ok(Container::new(text, false, members))
    }

    fn new(text: &str, is_object: bool, found: Vec<(Option<&RawValue>, &RawValue)>) -> Container {
        let place = |part: &RawValue| {
            let start = part.get().as_ptr().addr() - text.as_ptr().addr();
            (start, start + part.get().len())
        };
        let brackets: [char; 2] = if is_object { ['{', '}'] } else { ['[', ']'] };
        let open = text.find(brackets[0]).expect("the reader has found it");
        let close = text.rfind(brackets[1]).expect("the reader has found it");
        let mut members: Vec<Member> = Vec::with_capacity(found.len());
        let mut end = open + 1;
        for (key, value) in found {
            let (value_start, value_end) = place(value);
            let (key_start, key_end) = key.map_or((value_start, value_start), place);
            let mut before = &text[end..key_start];
            if let Some(previous) = members.last_mut() {
                let (after, rest) = before.split_once(',').expect("members have commas between");
                previous.after = after.to_owned();
                before = rest;
            }
            members.push(Member {
                before: before.to_owned(),
                key: text[key_start..key_end].to_owned(),
                colon: text[key_end..value_start].to_owned(),
                value: text[value_start..value_end].to_owned(),
                after: String::new(),
            });
            end = value_end;
        }
        let rest = text[end..close].to_owned();
        let blank = match members.last_mut() {
            Some(last) => {
                last.after = rest;
                String::new()
            }
            None => rest,
        };
        let around = (text[..open].to_owned(), text[close + 1..].to_owned());
        Container { is_object, members, blank, around }
    }

    /// The place of the last member of that name, which is the one that counts.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.members.iter().rposition(|member| member.name().as_deref() == Some(name))
    }

    /// The value of that name, as it is written.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.position(name).map(|at| self.members[at].value.as_str())
    }

    /// The value of that name where it is a string.
    pub fn string(&self, name: &str) -> Option<String> {
        self.value(name).and_then(string)
    }

    /// What the line of a member is indented by, when that of the container is by `indent`.
    pub fn indent_at(&self, at: usize, indent: &str) -> String {
        line_indent(&self.members[at].before).unwrap_or(indent).to_owned()
    }

    /// Adds a member at the end. `json` is written without blanks and gets the layout of its new
    /// surroundings; the line of the container is indented by `indent`.
    pub fn push(&mut self, name: Option<&str>, json: &str, layout: &Layout, indent: &str) {
        let first_line = layout.is_tall.then(|| format!("{indent}{}", layout.unit));
        let line = match self.members.last() {
            Some(last) => line_indent(&last.before).map(str::to_owned),
            None => first_line,
        };
        let before = match (&line, &self.members[..]) {
            (Some(line), _) => format!("{}{line}", layout.newline),
            (None, []) => String::new(),
            (None, [_]) => layout.gap.to_owned(),
            (None, [.., last]) => last.before.clone(),
        };
        let neighbour = self.members.last().filter(|_| self.is_object);
        let colon = neighbour.map_or(&layout.colon, |last| &last.colon).clone();
        let after = match self.members.last_mut() {
            Some(last) => std::mem::take(&mut last.after),
            None if layout.is_tall => format!("{}{indent}", layout.newline),
            None => String::new(),
        };
        self.members.push(Member {
            before,
            key: name.map(quoted).unwrap_or_default(),
            colon: if name.is_some() { colon } else { String::new() },
            value: layout.lay_out(json, line.as_deref()),
            after,
        });
    }

    /// Takes a member away, with the comma that goes with it.
    pub fn remove(&mut self, at: usize) {
        let removed = self.members.remove(at);
        if at == 0
            && let Some(first) = self.members.first_mut()
        {
            first.before = removed.before;
        } else if at == self.members.len()
            && let Some(last) = self.members.last_mut()
        {
            last.after = removed.after;
        }
    }

    /// The text again.
    pub fn text(&self) -> String {
        let mut text = self.around.0.clone();
        text.push(if self.is_object { '{' } else { '[' });
        for (at, member) in self.members.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let Member { before, key, colon, value, after } = member;
            for part in [comma, before, key, colon, value, after] {
                text += part;
            }
        }
        if self.members.is_empty() {
            text += &self.blank;
        }
        text.push(if self.is_object { '}' } else { ']' });
        text + &self.around.1
    }
}

impl Member {
    /// The key, read; `None` in a list.
    pub fn name(&self) -> Option<String> {
        string(&self.key)
    }
}

impl Layout {
    /// The layout of a text whose outermost object is `root`. What does not show it gets two
    /// blanks a level.
    pub fn of(text: &str, root: &Container) -> Layout {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let first = root.members.first();
        let indent = first.and_then(|first| line_indent(&first.before));
        let colon = first.map_or(": ", |first| &first.colon);
        Layout {
            newline,
            unit: indent.unwrap_or("  ").to_owned(),
            colon: colon.to_owned(),
            gap: if colon.ends_with(' ') { " " } else { "" },
            is_tall: first.is_none() || indent.is_some(),
        }
    }

    /// Lays out JSON that has no blanks: on lines of their own below a line that is indented by
    /// `indent`, or all on one line.
    fn lay_out(&self, json: &str, indent: Option<&str>) -> String {
        let container = Container::object(json).or_else(|_| Container::list(json));
        let Ok(mut container) = container else { return json.to_owned() };
        let inner = indent.map(|indent| format!("{indent}{}", self.unit));
        let n_members = container.members.len();
        for (at, member) in container.members.iter_mut().enumerate() {
            member.before = match &inner {
                Some(inner) => format!("{}{inner}", self.newline),
                None if at > 0 => self.gap.to_owned(),
                None => String::new(),
            };
            if container.is_object {
                member.colon.clone_from(&self.colon);
            }
            member.value = self.lay_out(&member.value, inner.as_deref());
            if let Some(indent) = indent.filter(|_| at + 1 == n_members) {
                member.after = format!("{}{indent}", self.newline);
            }
        }
        container.text()
    }
}

/// A string as JSON.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON as a string; `None` for any other JSON.
pub fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// What a line is indented by that begins in these blanks.
fn line_indent(blanks: &str) -> Option<&str> {
    blanks.rsplit_once('\n').map(|(_, indent)| indent)
}

/// The members of an object as they are written, doubled keys and all.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: [&str; 12] = [
        "{}",
        "{ \n }",
        "{\"a\":1}",
        "{\"a\": 1, \"b\" :2 }",
        "{\"a\": 1.50e+3 ,\"a\": \"\\u0041,\\ud800\"}",
        "{\n  \"a\": {\"x\": [1, 2]},\n  \"b\": []\n}",
        "{\r\n\t\"a\": null,\r\n\t\"b\": [\r\n\t\t1\r\n\t]\r\n}",
        "{\"a\": 1\n, \"b\": 2\n}",
        "{\n\n    \"a\": 1,\n\n    \"b\": 2\n\n}",
        "{ \"a\" : 1 }",
        "{\n\"a\": 1\n}",
        " \n{\"a\": {}}\r\n",
    ];

    #[test]
    fn a_text_is_printed_as_it_was_read() {
        for text in OBJECTS {
            assert_eq!(Container::object(text).unwrap().text(), text);
        }
        for text in ["[]", "[ ]", "[1,2]", "[ {} , [] ]", "[\n 1,\n 2 ]"] {
            assert_eq!(Container::list(text).unwrap().text(), text);
            assert!(Container::object(text).is_err(), "{text}");
        }
        for text in ["", "{", "{} {}", "[{}]", "{\"a\":1,}", "// x\n{}", "1", "[]", "null"] {
            assert!(Container::object(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_added_and_taken_away_again_leaves_no_trace() {
        for text in OBJECTS {
            let mut container = Container::object(text).unwrap();
            let layout = Layout::of(text, &container);
            container.push(Some("new"), "{\"x\":[1,{}]}", &layout, "");
            let mut again = Container::object(&container.text()).unwrap();
            assert!(again.value("new").is_some(), "{text}");
            again.remove(again.position("new").unwrap());
            // What stood between the brackets of an empty object is not known any more.
            let is_empty = again.members.is_empty();
            let expected: String =
                if is_empty { text.split_whitespace().collect() } else { text.into() };
            assert_eq!(again.text(), expected);
        }
    }

    #[test]
    fn what_is_added_looks_like_its_neighbours() {
        let cases = [
            ("{}", "{\n  \"k\": {\n    \"x\": [\n      1,\n      2\n    ]\n  }\n}"),
            ("{\"a\":1}", "{\"a\":1,\"k\":{\"x\":[1,2]}}"),
            ("{\"a\": 1}", "{\"a\": 1, \"k\": {\"x\": [1, 2]}}"),
            ("{ \"a\" : 1 }", "{ \"a\" : 1, \"k\" : {\"x\" : [1, 2]} }"),
            (
                "{\n\t\"a\":1\n}",
                "{\n\t\"a\":1,\n\t\"k\":{\n\t\t\"x\":[\n\t\t\t1,\n\t\t\t2\n\t\t]\n\t}\n}",
            ),
            (
                "{\r\n \"a\": 1}",
                "{\r\n \"a\": 1,\r\n \"k\": {\r\n  \"x\": [\r\n   1,\r\n   2\r\n  ]\r\n }}",
            ),
        ];
        for (text, expected) in cases {
            let mut container = Container::object(text).unwrap();
            let layout = Layout::of(text, &container);
            container.push(Some("k"), "{\"x\":[1,2]}", &layout, "");
            assert_eq!(container.text(), expected);
        }
    }

    #[test]
    fn the_first_the_middle_and_the_last_can_go() {
        let text = "[\n  1,\n  2,\n  3\n]";
        let cases = [(0, "[\n  2,\n  3\n]"), (1, "[\n  1,\n  3\n]"), (2, "[\n  1,\n  2\n]")];
        for (at, expected) in cases {
            let mut container = Container::list(text).unwrap();
            container.remove(at);
            assert_eq!(container.text(), expected);
        }
    }
}
