//! A part of a file, as the `Range` header asks for it (RFC 9110, 14): one range of bytes.
//!
//! What is not understood is no range, and the whole file is the answer, as the standard has it:
//! other units, several ranges, and a range that an `If-Range` makes depend on a version.

use super::http::Head;

/// What to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// From this byte to that one, which is included; both exist.
    Part(u64, u64),
    /// A part that is not there.
    Nothing,
}

/// What a request wants of a file of `length` bytes.
pub fn wanted(head: &Head, length: u64) -> Wanted {
    let mut ranges = head.all("range");
    let (range, further) = (ranges.next(), ranges.next());
    let range = range.filter(|_| further.is_none() && head.header("if-range").is_none());
    range.and_then(|range| part(range, length)).unwrap_or(Wanted::Whole)
}

/// `None` when it is not one range of bytes.
fn part(range: &str, length: u64) -> Option<Wanted> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), Some(last)) => (first, last.min(length.saturating_sub(1))),
        (Some(first), None) if last.is_empty() => (first, length.saturating_sub(1)),
        // The last so many bytes.
        (None, Some(count)) if first.is_empty() => {
            let first = if count == 0 { length } else { length.saturating_sub(count) };
            (first, length.saturating_sub(1))
        }
        _ => return None,
    };
    Some(if part.0 < length { Wanted::Part(part.0, part.1) } else { Wanted::Nothing })
}

/// Digits and nothing else. A number that is too large is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_and_what_is_none() {
        let cases = [
            ("bytes=0-0", Wanted::Part(0, 0)),
            ("bytes=2-5", Wanted::Part(2, 5)),
            ("Bytes=2-", Wanted::Part(2, 9)),
            ("bytes=2-99999999999999999999999", Wanted::Part(2, 9)),
            ("bytes=-3", Wanted::Part(7, 9)),
            ("bytes=-99", Wanted::Part(0, 9)),
            ("bytes=9-", Wanted::Part(9, 9)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ];
        for (range, expected) in cases {
            let text = format!("GET / HTTP/1.1\r\nHost: x\r\nRange: {range}\r\n\r\n");
            let (head, _) = Head::parse(text.as_bytes(), 1 << 10).unwrap().unwrap();
            assert_eq!(wanted(&head, 10), expected, "{range}");
        }
        let text = "GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nIf-Range: \"x\"\r\n\r\n";
        let (head, _) = Head::parse(text.as_bytes(), 1 << 10).unwrap().unwrap();
        assert_eq!(wanted(&head, 10), Wanted::Whole);
        assert_eq!(part("bytes=0-", 0), Some(Wanted::Nothing), "of nothing there is no part");
        assert_eq!(part("bytes=-1", 0), Some(Wanted::Nothing));
    }
}
