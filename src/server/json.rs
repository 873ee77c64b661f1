//! Request bodies, read with the tolerance that the protocol has.
//!
//! What follows the value is ignored, invalid UTF-8 and lone surrogate escapes become U+FFFD,
//! `null` leaves a field's default, of equal keys the last one counts, unknown keys are ignored.
//! What has the wrong type is [`Malformed`].

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess};
use serde::de::{SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::lines::Lines;
use crate::wire::ChunkMetadata;

/// The body is not a JSON object of the expected shape.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// A chunk request, its lines joined.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Session that the file belongs to.
    pub session_id: String,
    /// Key of the file.
    pub file_name: String,
    /// Type of the file.
    pub file_type: String,
    /// Number of the first line.
    pub first_line: i64,
    /// The lines.
    pub lines: Lines,
    /// What the lines say of the session.
    pub metadata: Option<ChunkMetadata>,
}

/// Reads a small object.
///
/// # Errors
/// [`Malformed`].
pub fn small<T: DeserializeOwned>(body: Vec<u8>) -> Result<T, Malformed> {
    tolerant(body, |text| {
        let mut values = serde_json::Deserializer::from_str(text);
        match Value::deserialize(&mut values)? {
            value @ Value::Object(_) => serde_json::from_value(without_nulls(value)),
            Value::Null => serde_json::from_value(Value::Object(serde_json::Map::new())),
            _ => Err(serde::de::Error::custom("not an object")),
        }
    })
}

/// Reads a chunk request; its lines are copied once, from the body into their joined text.
///
/// # Errors
/// [`Malformed`].
pub fn chunk(body: Vec<u8>) -> Result<Chunk, Malformed> {
    tolerant(body, |text| {
        let mut values = serde_json::Deserializer::from_str(text);
        values.deserialize_any(ChunkVisitor { body_bytes: text.len() })
    })
}

/// The text of the object's `payload`, as it was sent.
///
/// # Errors
/// [`Malformed`].
pub fn payload(body: &[u8]) -> Result<Option<Box<RawValue>>, Malformed> {
    #[derive(Deserialize)]
    struct Payload {
        #[serde(default)]
        payload: Option<Box<RawValue>>,
    }
    tolerant(body.to_vec(), |text| {
        let mut values = serde_json::Deserializer::from_str(text);
        Payload::deserialize(&mut values).map(|found| found.payload)
    })
}

/// Parses; what fails is tried once more with its lone surrogates replaced.
fn tolerant<T>(
    body: Vec<u8>,
    parse: impl Fn(&str) -> Result<T, serde_json::Error>,
) -> Result<T, Malformed> {
    let text = String::from_utf8(body)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    if let Ok(value) = parse(&text) {
        return Ok(value);
    }
    let mut bytes = text.into_bytes();
    if !replace_lone_surrogates(&mut bytes) {
        return Err(Malformed);
    }
    let text = String::from_utf8(bytes).expect("ASCII was replaced by ASCII");
    parse(&text).map_err(|_| Malformed)
}

/// Rewrites escapes of surrogates without a partner to `\ufffd`. True when there were any.
fn replace_lone_surrogates(bytes: &mut [u8]) -> bool {
    let mut replaced = false;
    let mut position = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[position..]) {
        let escape = position + found;
        match unit(&bytes[escape..]) {
            Some(0xD800..=0xDBFF)
                if matches!(unit(&bytes[escape + 6..]), Some(0xDC00..=0xDFFF)) =>
            {
                position = escape + 12;
            }
            Some(0xD800..=0xDFFF) => {
                bytes[escape + 2..escape + 6].copy_from_slice(b"fffd");
                replaced = true;
                position = escape + 6;
            }
            Some(_) => position = escape + 6,
            // A backslash and what it escapes; the text may end in between.
            None => position = (escape + 2).min(bytes.len()),
        }
    }
    replaced
}

/// The code unit of a `\uXXXX` at the beginning of `bytes`.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

/// Leaves out the keys of objects whose value is null, at every depth.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

struct ChunkVisitor {
    body_bytes: usize,
}

impl<'de> Visitor<'de> for ChunkVisitor {
    type Value = Chunk;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Chunk, E> {
        Ok(Chunk::default())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Chunk, M::Error> {
        let mut chunk = Chunk::default();
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            match &*key {
                "session_id" => set(&mut chunk.session_id, map.next_value()?),
                "file_name" => set(&mut chunk.file_name, map.next_value()?),
                "file_type" => set(&mut chunk.file_type, map.next_value()?),
                "first_line" => set(&mut chunk.first_line, map.next_value()?),
                "lines" => chunk.lines = map.next_value_seed(LinesSeed(self.body_bytes))?,
                "metadata" => chunk.metadata = metadata(map.next_value()?)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(chunk)
    }
}

/// Null leaves what the field has already.
fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn metadata<E: serde::de::Error>(value: Value) -> Result<Option<ChunkMetadata>, E> {
    match value {
        Value::Null => Ok(None),
        value @ Value::Object(_) => {
            serde_json::from_value(without_nulls(value)).map(Some).map_err(E::custom)
        }
        _ => Err(E::custom("metadata is not an object")),
    }
}

/// Reads an array of strings into room for so many bytes: lines are never longer than the body
/// that escapes them.
struct LinesSeed(usize);

impl<'de> DeserializeSeed<'de> for LinesSeed {
    type Value = Lines;

    fn deserialize<D: Deserializer<'de>>(self, values: D) -> Result<Lines, D::Error> {
        values.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LinesSeed {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings")
    }

    fn visit_unit<E>(self) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut values: S) -> Result<Lines, S::Error> {
        let mut lines = Lines::with_capacity(self.0);
        while values.next_element_seed(LineSeed(&mut lines))?.is_some() {}
        Ok(lines)
    }
}

struct LineSeed<'a>(&'a mut Lines);

impl<'de> DeserializeSeed<'de> for LineSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LineSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.push("");
        Ok(())
    }

    fn visit_str<E>(self, line: &str) -> Result<(), E> {
        self.0.push(line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{InitRequest, SummaryRequest};

    fn lines_of(body: &[u8]) -> Result<Vec<String>, Malformed> {
        chunk(body.to_vec()).map(|chunk| chunk.lines.iter().map(str::to_owned).collect())
    }

    #[test]
    fn lone_surrogates_become_replacement_characters_and_pairs_stay() {
        let cases: [(&str, &str); 8] = [
            (r"\ud800", "\u{fffd}"),
            (r"\udc00\ud800", "\u{fffd}\u{fffd}"),
            (r"\ud800\ud83c\udf89", "\u{fffd}🎉"),
            (r"\uD83C\uDF89\ud800", "🎉\u{fffd}"),
            (r"\\ud800\ud800", "\\ud800\u{fffd}"),
            (r"\ud800\t", "\u{fffd}\t"),
            (r"\ud800\u0041", "\u{fffd}A"),
            (r"\ud800x", "\u{fffd}x"),
        ];
        for (escaped, expected) in cases {
            let body = format!(r#"{{"lines":["{escaped}"]}}"#);
            assert_eq!(lines_of(body.as_bytes()).unwrap(), [expected], "{escaped}");
        }
        assert_eq!(lines_of(br#"{"lines":["\ud8"]}"#), Err(Malformed));
        assert_eq!(lines_of(br#"{"lines":["\ud800\"#), Err(Malformed));
    }

    #[test]
    fn what_the_protocol_forgives() {
        assert_eq!(lines_of(b"{\"lines\":[\"a\xff\"]} tail").unwrap(), ["a\u{fffd}"]);
        assert_eq!(lines_of(br#"{"lines":["\u0000", null]}"#).unwrap(), ["\u{0}", ""]);
        assert_eq!(lines_of(br#"{"x":{"y":[1]},"lines":["1"],"lines":["2"]}"#).unwrap(), ["2"]);
        let all_null = br#"{"session_id":null,"first_line":null,"lines":null,"metadata":null}"#;
        let read = chunk(all_null.to_vec()).unwrap();
        assert_eq!((read.session_id.as_str(), read.first_line, read.lines.count()), ("", 0, 0));
        assert_eq!(chunk(b"null".to_vec()).unwrap().lines.count(), 0);
        let read: InitRequest = small(
            br#"{"external_id":null,"metadata":{"cwd":null,"git_info":{"is_dirty":null}}}"#
                .to_vec(),
        )
        .unwrap();
        assert_eq!(read.external_id, "");
        assert!(!read.metadata.unwrap().git_info.unwrap().is_dirty);
        let read: SummaryRequest = small(br#"{"summary":"a","summary":"b"}"#.to_vec()).unwrap();
        assert_eq!(read.summary, "b");
    }

    #[test]
    fn what_it_does_not() {
        for body in ["", "{", "[]", "1", "\"\"", r#"{"external_id":1}"#, r#"{"metadata":1}"#] {
            assert_eq!(small::<InitRequest>(body.into()), Err(Malformed), "{body}");
        }
        let bodies = [
            r#"{"lines":[1]}"#,
            r#"{"lines":"a"}"#,
            r#"{"lines":{}}"#,
            r#"{"first_line":"1"}"#,
            r#"{"first_line":1.5}"#,
            r#"{"metadata":[]}"#,
            r#"{"metadata":{"summary":1}}"#,
            "[]",
        ];
        for body in bodies {
            assert_eq!(chunk(body.into()).err(), Some(Malformed), "{body}");
        }
    }

    #[test]
    fn a_payload_is_kept_byte_for_byte() {
        let body = br#"{"payload": {"b": 1.0, "a": 12345678901234567890123}, "x": 1}"#;
        let text = payload(body).unwrap().unwrap();
        assert_eq!(text.get(), r#"{"b": 1.0, "a": 12345678901234567890123}"#);
        assert!(payload(br#"{"payload":null}"#).unwrap().is_none());
    }
}
