//! The lines of a file, in pages, and where in it something happens.

use serde_json::value::RawValue;

use super::{Answer, Api, Refused, limit_of, refuse, session_not_found};
use crate::server::http::{Head, Response, query_value};
use crate::server::store::{Place, User};
use crate::wire::{EventEntry, EventsAnswer};

/// Lines of a page when the request names no limit.
const EVENTS_DEFAULT: usize = 500;
/// Lines of a page.
const EVENTS_MAX: usize = 2000;
/// Bytes of the lines of a page behind its first one.
const EVENTS_BYTES_MAX: usize = 1 << 20;

impl Api {
    pub(super) fn events(&self, user: &User, id: &str, head: &Head) -> Answer {
        let limit = limit_of(head, EVENTS_DEFAULT, EVENTS_MAX)?;
        let from = match query_value(&head.query, "from") {
            None => 1,
            Some(text) => match text.parse::<i64>() {
                Ok(from @ 1..) => from,
                _ => return Err(refuse(400, "from must be a positive integer")),
            },
        };
        let place = self.place(user, id, head)?;
        let answer = self.page_of(place, from, limit);
        let answer = answer.map_err(|error| Refused::Failed("Failed to read lines", error))?;
        Ok(Response::json(200, &answer.ok_or_else(session_not_found)?))
    }

    pub(super) fn outline(&self, user: &User, id: &str, head: &Head) -> Answer {
        let place = self.place(user, id, head)?;
        let outline = self.store.outline(place);
        let outline = outline.map_err(|error| Refused::Failed("Failed to read outline", error))?;
        Ok(Response::json(200, &outline.ok_or_else(session_not_found)?))
    }

    /// The file that a request names, or the main transcript.
    fn place(&self, user: &User, id: &str, head: &Head) -> Result<Place, Refused> {
        let name = query_value(&head.query, "file").filter(|name| !name.is_empty());
        self.store
            .place(user.id, id, name.as_deref())
            .map_err(|error| Refused::Failed("Failed to look up file", error))?
            .ok_or_else(session_not_found)?
            .ok_or_else(|| refuse(404, "File not found"))
    }

    /// Some lines from a line on, read block by block; `None` when they are gone.
    fn page_of(
        &self,
        place: Place,
        from: i64,
        limit: usize,
    ) -> Result<Option<EventsAnswer>, crate::error::Error> {
        let (mut events, mut n_bytes, mut line) = (Vec::new(), 0, from);
        'blocks: while line <= place.last_line {
            let Some((text, next)) = self.store.lines_from(&place.file, line)? else {
                return Ok(None);
            };
            let text = text.strip_suffix(b"\n").unwrap_or(&text);
            for bytes in text.split(|byte| *byte == b'\n') {
                n_bytes += if events.is_empty() { 0 } else { bytes.len() };
                let is_full = n_bytes > EVENTS_BYTES_MAX;
                if is_full || events.len() == limit || line > place.last_line {
                    break 'blocks;
                }
                events.push(EventEntry { line: line.unsigned_abs(), raw: raw(bytes) });
                line += 1;
            }
            line = line.max(next.min(place.last_line + 1));
        }
        Ok(Some(EventsAnswer {
            file: place.name,
            last_line: place.last_line.unsigned_abs(),
            next: (line <= place.last_line).then(|| line.unsigned_abs()),
            events,
        }))
    }
}

/// A line as JSON: itself, or as a string.
pub(super) fn raw(line: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(line);
    RawValue::from_string(text.trim().to_owned()).unwrap_or_else(|_| {
        serde_json::value::to_raw_value(&text).expect("a string is always JSON")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_as_it_is_or_as_a_string() {
        let cases: [(&[u8], &str); 6] = [
            (br#"{"a": 1.0,  "a":"\ud800"}"#, r#"{"a": 1.0,  "a":"\ud800"}"#),
            (b"{\"a\":1}\r", "{\"a\":1}"),
            (b"12345678901234567890123", "12345678901234567890123"),
            (b"{\"a\":", r#""{\"a\":""#),
            (b"", r#""""#),
            (b"\xff\x1b[0m", "\"\u{fffd}\\u001b[0m\""),
        ];
        for (line, expected) in cases {
            assert_eq!(raw(line).get(), expected);
        }
    }
}
