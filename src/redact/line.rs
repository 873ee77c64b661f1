//! One line or text: from its bytes to the spans of its secrets.
//!
//! A line of JSON is read string by string, decoded, and searched; a string that holds JSON itself
//! is read the same way. What was found is said in places of the line as it stands.

use std::ops::Range;

use memchr::memchr;

use super::escape::{raw_ranges, unescape, unescape_with};
use super::json::{Malformed, StringValue, Strings};
use super::labels::{PRIVATE_KEY, SENSITIVE_FIELD};
use super::names::{Names, announces};
use super::scan::{Scanner, Search, Suspicions};
use super::spans::{Span, settle};
use super::{context, jwk, private_key, splice};

/// Times that a text is searched again after a change. A removed secret can uncover another one
/// that had no boundary before; each round removes at least one byte that is not a marker.
const ROUNDS_MAX: usize = 8;
/// Bytes of a text that are searched at once.
const WINDOW_BYTES: usize = 1 << 20;
/// Bytes behind a window in which a secret that begins in it may end: a private key's.
const AHEAD_BYTES: usize = 80 << 10;
/// Bytes before a window in which what announces a secret in it may stand.
const BEHIND_BYTES: usize = 1 << 10;
/// Bytes in which a place that is not inside an escape is looked for.
const PLACE_BYTES_MAX: usize = 64;
/// Secrets of one line; with more of them it is withheld, so that memory stays bounded.
pub const SPANS_MAX: usize = 1 << 18;
/// How deep JSON in a string in JSON is read.
const NESTING_MAX: usize = 3;
/// How often the escapes of a line that is not JSON are undone.
const ESCAPES_MAX: usize = 4;

/// The secrets of a line, in order and disjoint. When there are more than [`SPANS_MAX`], only that
/// many and some more.
pub fn line_spans(scanner: &Scanner, line: &[u8]) -> Vec<Span> {
    let mut suspicions = scanner.suspicions(line);
    if !suspicions.any() {
        return Vec::new();
    }
    match json_spans(scanner, line, suspicions) {
        Ok(spans) => spans,
        Err(Malformed) => {
            let search = |text: &[u8]| damaged(scanner, text, ESCAPES_MAX);
            windows(line, |text| rounds(scanner, text, search(text), search))
        }
    }
}

/// The secrets of a text that may be a part of JSON: with its escapes undone, and theirs, since
/// nothing says how deep in strings within strings a part of it is. What is no escape stays as it
/// is, so that plain text loses nothing by it.
fn damaged(scanner: &Scanner, text: &[u8], levels: usize) -> Vec<Span> {
    if levels == 0 || memchr(b'\\', text).is_none() {
        return scanner.scan(text, None, None);
    }
    let mut spans = damaged(scanner, &unescape(text), levels - 1);
    raw_ranges(text, spans.iter_mut().map(|span| &mut span.range));
    settle(text, spans)
}

/// The secrets of a text that is not JSON.
pub fn text_spans(scanner: &Scanner, text: &[u8]) -> Vec<Span> {
    let search = |text: &[u8]| scanner.scan(text, None, None);
    windows(text, |text| rounds(scanner, text, search(text), search))
}

fn json_spans(
    scanner: &Scanner,
    line: &[u8],
    mut suspicions: Suspicions<'_>,
) -> Result<Vec<Span>, Malformed> {
    let mut spans = Vec::new();
    let mut strings = Strings::new(line);
    let mut neighbours = Neighbours::default();
    while let Some(string) = strings.next()? {
        if string.protected {
            continue;
        }
        if !string.is_key {
            neighbours.meet(string, line, &mut spans);
        }
        let field = string.key.and_then(|key| announces(&unescape(key), &[]));
        let search = suspicions.within(&string.range);
        if field.is_none() && matches!(search, Search::Nowhere) {
            continue;
        }
        let key = string.key.map(unescape);
        let raw = &line[string.range.clone()];
        let everywhere =
            |raw: &[u8]| escaped(scanner, raw, field, key.as_deref(), Search::Everywhere, 0);
        let found = if raw.len() <= WINDOW_BYTES {
            let first = escaped(scanner, raw, field, key.as_deref(), search, 0);
            rounds(scanner, raw, first, everywhere)
        } else {
            windows(raw, |raw| rounds(scanner, raw, everywhere(raw), everywhere))
        };
        let offset = string.range.start;
        spans.extend(found.into_iter().map(|span| shifted(span, offset)));
        if spans.len() > SPANS_MAX {
            break;
        }
    }
    Ok(settle(line, spans))
}

/// Searches a long text piece by piece, so that memory does not grow with it. Every piece is seen
/// together with what surrounds it, as far as any rule looks.
fn windows(text: &[u8], search: impl Fn(&[u8]) -> Vec<Span>) -> Vec<Span> {
    if text.len() <= WINDOW_BYTES + AHEAD_BYTES {
        return search(text);
    }
    let mut spans: Vec<Span> = Vec::new();
    let mut from = 0;
    while from < text.len() && spans.len() <= SPANS_MAX {
        let start = whole_place(text, from.saturating_sub(BEHIND_BYTES));
        let end = whole_place(text, text.len().min(from + WINDOW_BYTES + AHEAD_BYTES));
        let next = text.len().min(from + WINDOW_BYTES);
        let found = search(&text[start..end]).into_iter().map(|span| shifted(span, start));
        spans.extend(found.filter(|span| (from..next).contains(&span.range.start)));
        from = spans.last().map_or(next, |span| span.range.end.max(next));
    }
    spans
}

/// A place at or a little before this one that is not inside an escape or a character.
fn whole_place(text: &[u8], at: usize) -> usize {
    if at == 0 || at >= text.len() {
        return at;
    }
    let lowest = at.saturating_sub(PLACE_BYTES_MAX);
    let whole = |place: &usize| {
        let before = &text[place.saturating_sub(6)..*place];
        !before.contains(&b'\\') && text[*place].is_ascii()
    };
    (lowest..=at).rev().find(whole).unwrap_or(at)
}

/// The secrets in the raw content of a JSON string, as places in it. `search` says where in it.
fn escaped(
    scanner: &Scanner,
    raw: &[u8],
    field: Option<Names>,
    key: Option<&[u8]>,
    mut search: Search,
    nesting: usize,
) -> Vec<Span> {
    let text = match &mut search {
        Search::At { hits, .. } => unescape_with(raw, hits),
        Search::Nowhere | Search::Everywhere => unescape(raw),
    };
    let document = nesting < NESTING_MAX && is_document(&text);
    let inner = document.then(|| nested(scanner, &text, nesting + 1));
    let mut spans = match inner {
        Some(Ok(mut inner)) => {
            inner.extend(scanner.scan_custom(&text, key));
            settle(&text, inner)
        }
        _ => scanner.scan_for(&text, field, key, &search),
    };
    raw_ranges(raw, spans.iter_mut().map(|span| &mut span.range));
    spans
}

/// The secrets in the strings of a document that is itself the content of a string.
fn nested(scanner: &Scanner, text: &[u8], nesting: usize) -> Result<Vec<Span>, Malformed> {
    let mut spans = Vec::new();
    let mut strings = Strings::new(text);
    let mut neighbours = Neighbours::default();
    while let Some(string) = strings.next()? {
        if !string.is_key {
            neighbours.meet(string, text, &mut spans);
        }
        let key = string.key.map(unescape);
        let field = key.as_deref().and_then(|key| announces(key, &[]));
        let raw = &text[string.range.clone()];
        let found = escaped(scanner, raw, field, key.as_deref(), Search::Everywhere, nesting);
        spans.extend(found.into_iter().map(|span| shifted(span, string.range.start)));
    }
    Ok(spans)
}

fn is_document(text: &[u8]) -> bool {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'['))
}

fn shifted(span: Span, offset: usize) -> Span {
    Span { range: span.range.start + offset..span.range.end + offset, ..span }
}

/// What only several strings of a document together tell.
#[derive(Default)]
struct Neighbours {
    pair: Pair,
    armour: Armour,
    jwk: jwk::Members,
}

impl Neighbours {
    /// Takes the next string value of a document; adds the secrets that are now known.
    fn meet(&mut self, string: &StringValue<'_>, document: &[u8], spans: &mut Vec<Span>) {
        if let Some(span) = self.pair.meet(string, document) {
            spans.push(span);
        }
        if let Some(span) = self.armour.meet(string, document) {
            spans.push(span);
        }
        self.jwk.meet(string, document, spans);
    }
}

/// `{"name": "DB_PASSWORD", "value": "…"}`, in either order.
#[derive(Default)]
struct Pair {
    object: usize,
    names: Option<Names>,
    value: Option<Range<usize>>,
}

impl Pair {
    /// Takes the next string value of a document; the secret when it completes a pair.
    fn meet(&mut self, string: &StringValue<'_>, document: &[u8]) -> Option<Span> {
        if string.object != self.object {
            *self = Pair { object: string.object, ..Pair::default() };
        }
        match string.key? {
            b"name" | b"key" | b"field" | b"variable" | b"Name" | b"Key" | b"id" => {
                self.names = announces(&unescape(&document[string.range.clone()]), &[]);
            }
            b"value" | b"Value" | b"val" | b"secret_value" => {
                self.value = Some(string.range.clone());
            }
            _ => return None,
        }
        let range = self.value.clone()?;
        let secret = context::secret_field(self.names?, &unescape(&document[range.clone()]))?;
        // The places of an escaped value are not those of its text.
        let plain = !document[range.clone()].contains(&b'\\');
        let range =
            if plain { range.start + secret.start..range.start + secret.end } else { range };
        self.value = None;
        Some(Span { range, label: SENSITIVE_FIELD })
    }
}

/// The lines of a private key as the strings of a list.
#[derive(Default)]
struct Armour {
    open: bool,
}

impl Armour {
    /// Takes the next string value of a document; the secret when it is a line of an open key.
    fn meet(&mut self, string: &StringValue<'_>, document: &[u8]) -> Option<Span> {
        let content = &document[string.range.clone()];
        if self.open && private_key::is_line(content) {
            return Some(Span { range: string.range.clone(), label: PRIVATE_KEY });
        }
        self.open = private_key::opens(content);
        None
    }
}

/// Searches a text, in which `spans` were found, until its redacted form holds nothing more, and
/// says everything that was found in places of the text itself.
fn rounds(
    scanner: &Scanner,
    text: &[u8],
    mut spans: Vec<Span>,
    search: impl Fn(&[u8]) -> Vec<Span>,
) -> Vec<Span> {
    for _ in 1..ROUNDS_MAX {
        // Nothing is left to search behind a marker that stands for all of it.
        if spans.is_empty() || spans[0].range == (0..text.len()) {
            break;
        }
        let redacted = splice(scanner, text, &spans);
        let more = search(&redacted);
        if more.is_empty() {
            break;
        }
        let more = places_before(scanner, text, &spans, more);
        spans.extend(more);
        spans = settle(text, spans);
    }
    spans
}

/// Turns places in the redacted text into places in the text that it was made from. What cuts a
/// marker takes in all that the marker stands for.
fn places_before(
    scanner: &Scanner,
    text: &[u8],
    spans: &[Span],
    mut found: Vec<Span>,
) -> Vec<Span> {
    // Of every span: where its marker begins and ends in the redacted text.
    let mut markers = Vec::with_capacity(spans.len());
    let (mut at, mut from) = (0, 0);
    for span in spans {
        let start = at + span.range.start - from;
        let end = start + scanner.marker(span.label, &text[span.range.clone()]).len();
        markers.push(start..end);
        (at, from) = (end, span.range.end);
    }
    let before = |place: usize, end: bool| {
        let index = markers.partition_point(|marker| marker.start < place + usize::from(!end));
        let Some(last) = index.checked_sub(1) else { return place };
        match (place < markers[last].end, end) {
            (true, false) => spans[last].range.start,
            (true, true) => spans[last].range.end,
            _ => spans[last].range.end + (place - markers[last].end),
        }
    };
    for span in &mut found {
        span.range = before(span.range.start, false)..before(span.range.end, true);
    }
    found
}
