//! The text of the configuration, changed in place by path: what is not changed keeps its bytes,
//! order, and layout, whether we know the key or not.

use crate::json_text::{Container, Layout, quoted};

/// The names of all members of an object, in order.
///
/// # Errors
/// When the text is not a JSON object.
pub fn names(text: &str) -> serde_json::Result<Vec<String>> {
    let members = Container::object(text)?.members;
    Ok(members.iter().filter_map(|member| member.name()).collect())
}

/// The JSON of the member at a path, as it is written.
///
/// # Errors
/// When the text, or what the path leads through, is not a JSON object.
pub fn get(text: &str, path: &[&str]) -> serde_json::Result<Option<String>> {
    let mut found = text.to_owned();
    for name in path {
        match Container::object(&found)?.value(name) {
            Some(value) => found = value.to_owned(),
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
    let mut root = Container::object(text)?;
    let layout = Layout::of(text, &root);
    set_below(&mut root, path, json, &layout, "")?;
    Ok(root.text())
}

fn set_below(
    object: &mut Container,
    path: &[&str],
    json: Option<&str>,
    layout: &Layout,
    indent: &str,
) -> serde_json::Result<()> {
    let (name, rest) = path.split_first().expect("a path is not empty");
    let Some(at) = object.position(name) else {
        let Some(json) = json else { return Ok(()) };
        let nest = |inner, name: &&str| format!("{{{}: {inner}}}", quoted(name));
        object.push(Some(name), "null", layout, indent);
        // As it was given, not laid out.
        let last = object.members.last_mut().expect("it was pushed");
        last.value = rest.iter().rev().fold(json.to_owned(), nest);
        return Ok(());
    };
    match (rest, json) {
        ([], None) => object.remove(at),
        ([], Some(json)) => object.members[at].value = json.to_owned(),
        (rest, json) => {
            let mut inner = Container::object(&object.members[at].value)?;
            set_below(&mut inner, rest, json, layout, &object.indent_at(at, indent))?;
            object.members[at].value = inner.text();
        }
    }
    Ok(())
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
            ("{\"a\": \"}\"}", &["b"], Some("2"), "{\"a\": \"}\", \"b\": 2}"),
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
        assert_eq!(get(&text, &["r", "k"]).unwrap(), Some("[1, 2]".into()));
        assert_eq!(get(&text, &["r", "z"]).unwrap(), None);
        assert_eq!(names(&text).unwrap(), ["x", "r"]);
        for (text, path) in [("", &["a"][..]), ("[]", &["a"]), ("{\"a\": 1}", &["a", "b"])] {
            assert!(get(text, path).is_err(), "{text}");
            assert!(set(text, path, Some("1")).is_err(), "{text}");
        }
    }
}
