//! Two streams of lines side by side: a file as it is here, and what the backend has of it.

use std::io::{self, Read};

use crate::chunk;
use crate::error::{Context, Result};
use crate::redact::Redactor;
use crate::tail::{self, LINE_BYTES_MAX, Line, Position, Tail};

/// Bytes of a line that comes from the backend: more than any request can hold.
const SENT_LINE_BYTES_MAX: usize = 32 << 20;

/// What the comparison has shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Lines from the first one on that are equal.
    pub equal: u64,
    /// How many of these have a stand-in on the backend.
    pub stand_ins: u64,
    /// Number of the first line that differs, or that only the backend has.
    pub different: Option<u64>,
    /// Lines that are only here, behind the equal ones.
    pub pending: u64,
    /// Lines that the backend has sent; up to the first difference, if there is one.
    pub sent: u64,
}

/// A line, held for the comparison.
enum Held {
    Whole,
    TooLarge { bytes: u64, hash: u64 },
}

/// Compares line by line: what would be sent of a line here with what the backend has.
///
/// # Errors
/// As reading either of them; which one is told.
pub fn compare(here: impl Read, sent: impl Read, redactor: &Redactor) -> Result<Compared> {
    let of_here = || "read what is here".to_owned();
    let of_backend = || "read what the backend has".to_owned();
    let mut here = Tail::new(here, Position::default(), LINE_BYTES_MAX);
    let mut sent = Tail::new(sent, Position::default(), SENT_LINE_BYTES_MAX);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut compared = Compared::default();
    loop {
        let their = next(&mut sent, &mut theirs).context(of_backend)?;
        compared.sent += u64::from(their.is_some());
        let our = next(&mut here, &mut ours).context(of_here)?;
        let (our, their) = match (our, their) {
            (None, None) => return Ok(compared),
            (Some(our), Some(their)) => (our, their),
            (None, Some(_)) => {
                compared.different = Some(compared.equal + 1);
                return Ok(compared);
            }
            (Some(_), None) => {
                compared.pending = 1;
                while next(&mut here, &mut ours).context(of_here)?.is_some() {
                    compared.pending += 1;
                }
                return Ok(compared);
            }
        };
        let (bytes, hash) = match our {
            Held::Whole => (ours.len() as u64, None),
            Held::TooLarge { bytes, hash } => (bytes, Some(hash)),
        };
        let is_whole = matches!((our, their), (Held::Whole, Held::Whole));
        if is_whole && is_sent_as(&ours, &theirs, redactor) {
            compared.equal += 1;
        } else if chunk::is_stand_in_for(&theirs, bytes, hash.unwrap_or_else(|| tail::hash(&ours)))
        {
            compared.equal += 1;
            compared.stand_ins += 1;
        } else {
            compared.different = Some(compared.equal + 1);
            return Ok(compared);
        }
    }
}

/// How many lines a file has.
///
/// # Errors
/// As reading it.
pub fn count(reader: impl Read) -> io::Result<u64> {
    let mut tail = Tail::new(reader, Position::default(), LINE_BYTES_MAX);
    let mut line = Vec::new();
    let mut n_lines = 0;
    while next(&mut tail, &mut line)?.is_some() {
        n_lines += 1;
    }
    Ok(n_lines)
}

/// The next line, also a last one without newline; a whole one is put into `line`.
fn next<R: Read>(tail: &mut Tail<R>, line: &mut Vec<u8>) -> io::Result<Option<Held>> {
    line.clear();
    if let Some(next) = tail.next_line()? {
        match next {
            Line::Whole(bytes) => line.extend_from_slice(bytes),
            Line::TooLarge(large) => {
                return Ok(Some(Held::TooLarge { bytes: large.bytes, hash: large.hash }));
            }
        }
    } else if tail.unterminated().is_empty() {
        return Ok(None);
    } else {
        line.extend_from_slice(tail.take_unterminated());
    }
    Ok(Some(Held::Whole))
}

/// Whether a line here is sent as this. JSON carries no invalid UTF-8.
fn is_sent_as(ours: &[u8], theirs: &[u8], redactor: &Redactor) -> bool {
    let Ok(redacted) = redactor.line(ours) else { return false };
    redacted == theirs || String::from_utf8_lossy(&redacted).as_bytes() == theirs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Settings;

    fn compared(here: &[u8], sent: &[u8]) -> Compared {
        let (redactor, _) = Redactor::new(&Settings::default());
        let compared = compare(here, sent, &redactor).unwrap();
        assert!(count(here).unwrap() >= compared.equal + compared.pending);
        compared
    }

    #[test]
    fn every_way_in_which_two_files_can_relate() {
        let equal = |equal, sent| Compared { equal, sent, ..Compared::default() };
        let cases: [(&[u8], &[u8], Compared); 12] = [
            (b"", b"", equal(0, 0)),
            (b"a\nb\n", b"a\nb\n", equal(2, 2)),
            (b"a\n\nb", b"a\n\nb\n", equal(3, 3)),
            (b"\xff\n", "\u{fffd}\n".as_bytes(), equal(1, 1)),
            (b"a\r\n", b"a\r\n", equal(1, 1)),
            (b"a\nb\nc", b"a\n", Compared { pending: 2, ..equal(1, 1) }),
            (b"a\n", b"", Compared { pending: 1, ..equal(0, 0) }),
            (b"a\n", b"a\nb\n", Compared { different: Some(2), ..equal(1, 2) }),
            (b"", b"b\n", Compared { different: Some(1), ..equal(0, 1) }),
            (b"a\nb\nc\n", b"a\nx\nc\n", Compared { different: Some(2), ..equal(1, 2) }),
            (b"a\n", b"a \n", Compared { different: Some(1), ..equal(0, 1) }),
            (b"a\r\n", b"a\n", Compared { different: Some(1), ..equal(0, 1) }),
        ];
        for (here, sent, expected) in cases {
            assert_eq!(compared(here, sent), expected, "{}", String::from_utf8_lossy(here));
        }
    }

    #[test]
    fn lines_are_compared_as_they_are_sent() {
        let secret = ["AKIA", "Z7QX2WVU5TSR3PON"].concat();
        let here = format!("{{\"text\":\"key {secret}\"}}\n");
        let (redactor, _) = Redactor::new(&Settings::default());
        let sent = redactor.line(here.trim_end().as_bytes()).unwrap().into_owned();
        assert_ne!(sent, here.trim_end().as_bytes());
        assert_eq!(compared(here.as_bytes(), &sent).different, None);
        // That it was sent as it is is a difference.
        assert_eq!(compared(here.as_bytes(), here.as_bytes()).different, Some(1));
        // What was restored is redacted already.
        assert_eq!(compared(&sent, &sent).different, None);
    }

    #[test]
    fn a_stand_in_counts_for_its_own_line_alone() {
        let large = "x".repeat(LINE_BYTES_MAX + 1);
        let sent = |text: &str| {
            let hash = tail::hash(text.as_bytes());
            let bytes = text.len();
            format!("{{\"confab\":{{\"bytes\":{bytes},\"hash\":\"{hash:016x}\"}}}}\n")
        };
        for text in [large.as_str(), "short"] {
            let outcome = compared(format!("{text}\n").as_bytes(), sent(text).as_bytes());
            assert_eq!((outcome.equal, outcome.stand_ins), (1, 1));
            let outcome = compared(format!("{text}\n").as_bytes(), sent("other").as_bytes());
            assert_eq!(outcome.different, Some(1));
        }
    }
}
