//! What is shown of a line that was found: what is around the first hit, with the hits marked.

use std::ops::Range;

use super::found::{Sequence, find};
use super::said::texts;
use crate::wire::SnippetPart;

/// Characters before the first hit.
const BEFORE_CHARS_MAX: usize = 60;
/// Characters of a snippet.
const CHARS_MAX: usize = 240;
/// What stands for text that was left out.
const LEFT_OUT: &str = "… ";
const LEFT_OUT_BEHIND: &str = " …";

/// A snippet of a line; `None` when the line does not have what is asked for.
pub fn snippet(line: &str, sequences: &[Sequence]) -> Option<Vec<SnippetPart>> {
    let mut has = vec![false; sequences.len()];
    // The text with the most of what is asked for, the first of those with the same.
    let mut best: Option<(usize, String, Vec<Range<usize>>)> = None;
    texts(line, |text| {
        let found = find(text, sequences);
        let n_found = (0..has.len()).filter(|index| found.has[*index]).count();
        found.has.iter().zip(&mut has).for_each(|(here, has)| *has |= here);
        if best.as_ref().is_none_or(|(most, ..)| n_found > *most) && !text.trim().is_empty() {
            best = Some((n_found, text.to_owned(), found.hits));
        }
    });
    let is_wanted = sequences.iter().zip(&has).all(|(sequence, has)| *has != sequence.is_negated);
    let (_, text, mut hits) = best.filter(|_| is_wanted)?;
    hits.sort_by_key(|hit| (hit.start, hit.end));
    Some(parts(&text, &hits))
}

/// The parts of a text around its first hit.
fn parts(text: &str, hits: &[Range<usize>]) -> Vec<SnippetPart> {
    let first = hits.first().map_or(0, |hit| hit.start);
    let start = back(text, first, BEFORE_CHARS_MAX);
    let mut parts: Vec<SnippetPart> = Vec::new();
    let mut push = |text: &str, hit: bool| {
        if text.is_empty() {
            return;
        }
        match parts.last_mut().filter(|part| part.hit == hit) {
            Some(part) => part.text.push_str(text),
            None => parts.push(SnippetPart { text: text.into(), hit }),
        }
    };
    if start > 0 {
        push(LEFT_OUT, false);
    }
    let (mut at, mut left) = (start, CHARS_MAX);
    for hit in hits {
        if hit.start < at {
            continue;
        }
        let (between, is_whole) = plain(&text[at..hit.start], &mut left);
        push(&between, false);
        if !is_whole || left == 0 {
            break;
        }
        push(&plain(&text[hit.clone()], &mut left).0, true);
        at = hit.end;
    }
    let (rest, is_whole) = plain(&text[at..], &mut left);
    if at >= start && !rest.is_empty() {
        push(&rest, false);
    }
    if !is_whole {
        push(LEFT_OUT_BEHIND, false);
    }
    parts
}

/// At most so many characters, every run of white space and control characters as one space; and
/// whether it is all.
fn plain(text: &str, left: &mut usize) -> (String, bool) {
    let mut plain = String::new();
    for c in text.chars() {
        if *left == 0 {
            return (plain, text.trim().is_empty());
        }
        if c.is_whitespace() || c.is_control() {
            if !plain.ends_with(' ') {
                plain.push(' ');
                *left -= 1;
            }
        } else {
            plain.push(c);
            *left -= 1;
        }
    }
    (plain, true)
}

/// So many characters before a place, at the beginning of a word where there is one.
fn back(text: &str, from: usize, chars: usize) -> usize {
    let before = text[..from].char_indices().rev().take(chars + 1);
    let Some((start, _)) = before.last() else { return 0 };
    if text[..start].is_empty() {
        return 0;
    }
    let word = text[start..from].find(char::is_whitespace);
    word.map_or(start, |space| {
        let next = text[start + space..from].char_indices().find(|(_, c)| !c.is_whitespace());
        next.map_or(from, |(offset, _)| start + space + offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::search::Query;
    use std::time::UNIX_EPOCH;

    /// Hits in brackets.
    fn shown(line: &str, query: &str) -> Option<String> {
        let query = Query::parse(query, UNIX_EPOCH).unwrap();
        let parts = snippet(line, &query.sequences)?;
        let shown = parts.into_iter().map(|part| match part.hit {
            true => format!("[{}]", part.text),
            false => part.text,
        });
        Some(shown.collect())
    }

    #[test]
    fn hits_are_marked_and_what_is_far_from_them_is_left_out() {
        let far = "word ".repeat(100);
        let cases = [
            ("a line of text", "line", Some("a [line] of text".into())),
            ("a\n\n  line\tof", "line", Some("a [line] of".into())),
            ("<b>line</b>", "b", Some("<[b]>line</[b]>".into())),
            ("one two one", "one -three", Some("[one] two [one]".into())),
            ("one two", "one three", None),
            ("one two", "one -two", None),
            ("one two", "\"two one\"", None),
            ("one two", "role:user", Some("one two".into())),
            (
                &format!("{far}needle {far}"),
                "needle",
                Some(format!(
                    "… {}[needle]{} …",
                    "word ".repeat(12),
                    &format!(" {far}")[..240 - 66]
                )),
            ),
        ];
        for (line, query, expected) in cases {
            assert_eq!(shown(line, query), expected, "{query}");
        }
    }

    #[test]
    fn the_text_with_the_most_hits_is_shown() {
        let line = r#"{"message":{"content":[{"type":"text","text":"one"},
            {"type":"text","text":"two one"},{"type":"text","text":"one two"}]}}"#;
        assert_eq!(shown(line, "one two").as_deref(), Some("[two] [one]"));
        assert_eq!(shown(line, "one").as_deref(), Some("[one]"));
    }
}
