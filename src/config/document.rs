//! The text of a JSON object, changed in place: what is not changed keeps its bytes, order, and
//! layout, whether we know the key or not.
//!
//! The place of a member is where the JSON reader has found it, so there is no second reader here.

use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object as they are written.
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

impl<'a> Members<'a> {
    /// The last one of that name, which is the one that counts.
    fn position(&self, name: &str) -> Option<usize> {
        let is_it = |key: &RawValue| {
            serde_json::from_str::<String>(key.get()).is_ok_and(|written| written == name)
        };
        self.0.iter().rposition(|(key, _)| is_it(key))
    }
}

/// The names of all members of an object, in order.
///
/// # Errors
/// When the text is not a JSON object.
pub fn names(text: &str) -> serde_json::Result<Vec<String>> {
    let members: Members<'_> = serde_json::from_str(text)?;
    members.0.iter().map(|(key, _)| serde_json::from_str(key.get())).collect()
}

/// The JSON of the member at a path, as it is written.
///
/// # Errors
/// When the text, or what the path leads through, is not a JSON object.
pub fn get<'a>(text: &'a str, path: &[&str]) -> serde_json::Result<Option<&'a str>> {
    let mut found = text;
    for name in path {
        let members: Members<'_> = serde_json::from_str(found)?;
        match members.position(name) {
            Some(at) => found = members.0[at].1.get(),
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// The text with the member at a path set to this JSON, or without it.
///
/// # Errors
/// When the text, or what the path leads through, is not a JSON object.
pub fn set(text: &str, path: &[&str], json: Option<&str>) -> serde_json::Result<String> {
    set_below(text, path, json, 0)
}

fn set_below(
    text: &str,
    path: &[&str],
    json: Option<&str>,
    depth: usize,
) -> serde_json::Result<String> {
    let members: Members<'_> = serde_json::from_str(text)?;
    let (name, rest) = path.split_first().expect("a path is not empty");
    let Some(at) = members.position(name) else {
        let Some(json) = json else { return Ok(text.to_owned()) };
        let value = match rest {
            [] => json.to_owned(),
            rest => set_below("{}", rest, Some(json), depth + 1)?,
        };
        return Ok(insert(text, &members, name, &value, depth));
    };
    let value = members.0[at].1;
    match (rest, json) {
        ([], None) => Ok(splice(text, span_to_remove(text, &members, at), "")),
        ([], Some(json)) => Ok(splice(text, span(text, value), json)),
        (rest, json) => {
            let inside = set_below(value.get(), rest, json, depth + 1)?;
            Ok(splice(text, span(text, value), &inside))
        }
    }
}

/// Behind the last member, laid out like it.
fn insert(text: &str, members: &Members<'_>, name: &str, value: &str, depth: usize) -> String {
    let name = serde_json::Value::from(name);
    let Some((key, last)) = members.0.last() else {
        let (open, close) = inside(text);
        let empty = if depth == 0 { "\n" } else { "" };
        let indent = if depth == 0 { "  " } else { "" };
        return splice(text, open..close, &format!("{empty}{indent}{name}: {value}{empty}"));
    };
    let (key, last) = (span(text, key), span(text, last));
    let before = text[..key.start].rfind([',', '{']).map_or(0, |at| at + 1);
    let (gap, colon) = (&text[before..key.start], &text[key.end..last.start]);
    splice(text, last.end..last.end, &format!(",{gap}{name}{colon}{value}"))
}

/// A member with the comma that goes with it.
fn span_to_remove(text: &str, members: &Members<'_>, at: usize) -> Range<usize> {
    let (key, value) = members.0[at];
    if at > 0 {
        return span(text, members.0[at - 1].1).end..span(text, value).end;
    }
    match members.0.get(1) {
        Some((next, _)) => span(text, key).start..span(text, next).start,
        None => {
            let (open, close) = inside(text);
            open..close
        }
    }
}

/// What is between the outer braces.
fn inside(text: &str) -> (usize, usize) {
    let open = text.find('{').expect("an object has a brace");
    (open + 1, text.rfind('}').expect("an object has two"))
}

/// Where a borrowed part of the text lies in it.
fn span(text: &str, part: &RawValue) -> Range<usize> {
    let start = part.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + part.get().len()
}

fn splice(text: &str, range: Range<usize>, replacement: &str) -> String {
    [&text[..range.start], replacement, &text[range.end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_keeps_its_bytes() {
        let pretty = "{\n\t\"b\" : 1.50,\n\t\"a\" : {\"x\":1,\n \"y\":2}\n}\n";
        let cases: [(&str, &[&str], Option<&str>, &str); 15] = [
            ("{}", &["k"], Some("1"), "{\n  \"k\": 1\n}"),
            ("{ }\n", &["k"], Some("1"), "{\n  \"k\": 1\n}\n"),
            ("{}", &["r", "k"], Some("1"), "{\n  \"r\": {\"k\": 1}\n}"),
            ("{\"a\":1}", &["k"], Some("1"), "{\"a\":1,\"k\":1}"),
            ("{\"a\": 1, \"b\": 2}", &["a"], None, "{\"b\": 2}"),
            ("{\"a\": 1, \"b\": 2}", &["b"], None, "{\"a\": 1}"),
            ("{\n  \"a\": 1\n}", &["a"], None, "{}"),
            ("{\"a\": 1}", &["b"], None, "{\"a\": 1}"),
            ("{\"a\": 1}", &["b", "c"], None, "{\"a\": 1}"),
            ("{\"\\u0061\": 1}", &["a"], Some("2"), "{\"\\u0061\": 2}"),
            ("{\"a\": \"}\"}", &["b"], Some("2"), "{\"a\": \"}\",\"b\": 2}"),
            (pretty, &["b"], Some("2"), "{\n\t\"b\" : 2,\n\t\"a\" : {\"x\":1,\n \"y\":2}\n}\n"),
            (pretty, &["a", "y"], None, "{\n\t\"b\" : 1.50,\n\t\"a\" : {\"x\":1}\n}\n"),
            (
                pretty,
                &["a", "z"],
                Some("[]"),
                "{\n\t\"b\" : 1.50,\n\t\"a\" : {\"x\":1,\n \"y\":2,\n \"z\":[]}\n}\n",
            ),
            (
                pretty,
                &["c"],
                Some("\"\""),
                "{\n\t\"b\" : 1.50,\n\t\"a\" : {\"x\":1,\n \"y\":2},\n\t\"c\" : \"\"\n}\n",
            ),
        ];
        for (text, path, json, expected) in cases {
            assert_eq!(set(text, path, json).unwrap(), expected, "{text} {path:?}");
        }
    }

    #[test]
    fn what_is_set_is_read_back_and_what_is_no_object_is_refused() {
        let text = set("{\"x\": 1}", &["r", "k"], Some("[1, 2]")).unwrap();
        assert_eq!(get(&text, &["r", "k"]).unwrap(), Some("[1, 2]"));
        assert_eq!(get(&text, &["r", "z"]).unwrap(), None);
        assert_eq!(names(&text).unwrap(), ["x", "r"]);
        for (text, path) in [("", &["a"][..]), ("[]", &["a"]), ("{\"a\": 1}", &["a", "b"])] {
            assert!(get(text, path).is_err(), "{text}");
            assert!(set(text, path, Some("1")).is_err(), "{text}");
        }
    }
}
