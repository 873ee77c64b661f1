//! Found spans, made fit to be replaced: on character boundaries, disjoint, and never a change to
//! what an earlier redaction has left.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::labels::CONTEXT_RULES;

/// Bytes of a marker's type.
pub const KIND_BYTES_MAX: usize = 64;
/// Bytes of `:` and the tag of a stable marker.
const TAG_BYTES: usize = 9;
/// How every marker begins.
pub const MARKER_START: &[u8] = b"[REDACTED:";

/// A found secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Where it lies in the text, in bytes.
    pub range: Range<usize>,
    /// Index of its rule.
    pub label: usize,
}

impl Span {
    /// Which rule is named where two find the same: tokens say more than contexts, earlier tokens
    /// more than later ones, and of contexts the later ones, which are narrower. The lower rank
    /// wins.
    fn rank(&self) -> (bool, usize) {
        let context = self.label < CONTEXT_RULES.len();
        (context, if context { CONTEXT_RULES.len() - self.label } else { self.label })
    }
}

/// Sorts and merges: where spans overlap, the union is replaced by the marker of the longest one.
pub fn settle(text: &[u8], mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| !span.range.is_empty());
    if spans.is_empty() {
        return spans;
    }
    for span in &mut spans {
        widen_to_characters(text, &mut span.range);
    }
    spans.sort_by_key(|span| (span.range.start, span.label));
    keep_markers_whole(text, &mut spans);
    merge(spans)
}

fn widen_to_characters(text: &[u8], range: &mut Range<usize>) {
    // A continuation byte behind ASCII is not UTF-8, and belongs to nothing before it.
    let inside = |at: usize| {
        at > 0 && text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) && !text[at - 1].is_ascii()
    };
    // A character has three continuation bytes at most; anything longer is not UTF-8.
    for _ in 0..3 {
        range.start -= usize::from(inside(range.start));
        range.end += usize::from(inside(range.end));
    }
}

/// A span inside a marker that is already there goes away; one that cuts a marker swallows it.
fn keep_markers_whole(text: &[u8], spans: &mut Vec<Span>) {
    let starts: Vec<usize> = memmem::find_iter(text, MARKER_START).collect();
    let markers = starts.into_iter().filter_map(|start| {
        let window = &text
            [start..text.len().min(start + MARKER_START.len() + KIND_BYTES_MAX + TAG_BYTES + 1)];
        let end = start + memchr(b']', window)? + 1;
        let solid = text[start..end].iter().all(|byte| byte.is_ascii_graphic());
        solid.then_some(start..end)
    });
    let markers: Vec<Range<usize>> = markers.collect();
    if markers.is_empty() {
        return;
    }
    spans.retain_mut(|span| {
        let first = markers.partition_point(|marker| marker.end <= span.range.start);
        if let Some(marker) = markers.get(first).filter(|marker| marker.start < span.range.end) {
            if marker.start <= span.range.start && span.range.end <= marker.end {
                return false;
            }
            span.range.start = span.range.start.min(marker.start);
        }
        let last = markers.partition_point(|marker| marker.start < span.range.end);
        if let Some(marker) = last.checked_sub(1).map(|last| &markers[last]) {
            let cut = marker.end > span.range.start;
            span.range.end = if cut { span.range.end.max(marker.end) } else { span.range.end };
        }
        true
    });
}

/// `spans` are sorted by their beginning.
fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.range.start, span.label));
    let mut merged: Vec<(Span, usize)> = Vec::with_capacity(spans.len());
    for span in spans {
        let bytes = span.range.len();
        match merged.last_mut() {
            Some((last, longest)) if span.range.start < last.range.end => {
                last.range.end = last.range.end.max(span.range.end);
                if (bytes, last.rank()) > (*longest, span.rank()) {
                    (last.label, *longest) = (span.label, bytes);
                }
            }
            _ => merged.push((span, bytes)),
        }
    }
    merged.into_iter().map(|(span, _)| span).collect()
}
