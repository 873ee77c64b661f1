//! What a few bytes at both ends of a transcript tell of a session: never a whole file.

use std::borrow::Cow;
use std::io::{self, Read, Seek, SeekFrom};

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::columns;
use crate::transcript::{self, Facts};

/// Bytes that are read at the beginning, and at the end when that is somewhere else.
const NEAR_BYTES: u64 = 16 << 10;
/// Bytes that are read at the beginning where the first ones did not tell.
const FAR_BYTES: u64 = 1 << 20;
/// Bytes of a title.
const TITLE_BYTES_MAX: usize = 1024;

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// The name that the user or Claude Code has given it, its summary, or else the first message.
    pub title: Option<String>,
    /// The folder in which it began.
    pub cwd: Option<String>,
    /// Bytes that were read.
    pub bytes_read: u64,
}

/// Looks at a transcript of so many bytes.
///
/// # Errors
/// As `read` and `seek`.
pub fn glance(file: &mut (impl Read + Seek), bytes: u64) -> io::Result<Glance> {
    let (mut start, mut end) = (Start::default(), End::default());
    let mut bytes_read = 0;
    let mut is_whole = false;
    for limit in [NEAR_BYTES, FAR_BYTES] {
        let text = read(file, 0, limit, &mut bytes_read)?;
        is_whole = bytes <= limit;
        start = Start::of(whole_lines(&text, true, is_whole));
        if is_whole {
            end = End::of(whole_lines(&text, true, true));
        }
        if is_whole || start.cwd.is_some() && start.message.is_some() {
            break;
        }
    }
    if !is_whole {
        // Claude Code repeats a title whenever it adds to the file.
        let text = read(file, bytes.saturating_sub(NEAR_BYTES), NEAR_BYTES, &mut bytes_read)?;
        end = End::of(whole_lines(&text, false, true));
    }
    let title = end.custom_title.or(end.own_title).or(end.summary).or(start.summary);
    let title = title.or(start.message);
    let title = title.map(|title| columns::plain(&title)).filter(|title| !title.is_empty());
    Ok(Glance { title, cwd: start.cwd, bytes_read })
}

fn read(
    file: &mut (impl Read + Seek),
    from: u64,
    limit: u64,
    bytes_read: &mut u64,
) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text)?;
    *bytes_read += text.len() as u64;
    Ok(text)
}

/// The lines of a piece of a file, without those that its edges may have cut.
fn whole_lines(piece: &[u8], is_start: bool, is_end: bool) -> impl Iterator<Item = &[u8]> {
    let first = match is_start {
        true => 0,
        false => memchr::memchr(b'\n', piece).map_or(piece.len(), |at| at + 1),
    };
    let last = match is_end {
        true => piece.len(),
        false => memchr::memrchr(b'\n', piece).map_or(0, |at| at + 1),
    };
    piece.get(first..last).unwrap_or_default().split(|byte| *byte == b'\n')
}

/// What stands at the beginning.
#[derive(Debug, Default)]
struct Start {
    cwd: Option<String>,
    summary: Option<String>,
    message: Option<String>,
}

impl Start {
    fn of<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Start {
        let mut start = Start::default();
        for line in lines {
            let facts = transcript::inspect(line);
            start.cwd = start
                .cwd
                .or_else(|| facts.cwd.as_deref().filter(|cwd| !cwd.is_empty()).map(str::to_owned));
            set(&mut start.summary, own_summary(facts));
            if start.message.is_none() {
                start.message = transcript::user_text(line).map(|text| shortened(&text));
            }
            if start.cwd.is_some() && start.message.is_some() {
                break;
            }
        }
        start
    }
}

/// What stands at the end; the last one of each counts.
#[derive(Debug, Default)]
struct End {
    custom_title: Option<String>,
    own_title: Option<String>,
    summary: Option<String>,
}

/// Lines that name a session.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TitleLine<'a> {
    #[serde(borrow)]
    custom_title: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ai_title: Option<Cow<'a, str>>,
}

impl End {
    fn of<'a>(lines: impl Iterator<Item = &'a [u8]>) -> End {
        let mut end = End::default();
        for line in lines {
            let facts = transcript::inspect(line);
            set(&mut end.summary, own_summary(facts));
            if memmem::find(line, b"-title\"").is_some()
                && let Ok(titles) = serde_json::from_slice::<TitleLine<'_>>(line)
            {
                set(&mut end.custom_title, titles.custom_title);
                set(&mut end.own_title, titles.ai_title);
            }
        }
        end
    }
}

/// The summary that a line gives this session; one with a `leafUuid` is that of an earlier one.
/// Some versions write `{"title": "…"}` as the text.
fn own_summary(facts: Facts<'_>) -> Option<Cow<'_, str>> {
    let is_own = facts.kind.as_deref() == Some("summary") && facts.leaf_uuid.is_none();
    let text = facts.summary.filter(|_| is_own)?;
    let value: Option<Value> = serde_json::from_str(&text).ok();
    let title = value.as_ref().and_then(|value| value.get("title")?.as_str());
    Some(title.map(|title| Cow::Owned(title.to_owned())).unwrap_or(text))
}

fn set(title: &mut Option<String>, found: Option<Cow<'_, str>>) {
    let found = found.map(|text| shortened(&transcript::sanitise(&text)));
    if let Some(text) = found.filter(|text| !text.is_empty()) {
        *title = Some(text);
    }
}

fn shortened(text: &str) -> String {
    transcript::truncate(text, TITLE_BYTES_MAX).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Counts what is really read.
    struct Counted(Cursor<Vec<u8>>, u64);

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.0.read(buffer)?;
            self.1 += n as u64;
            Ok(n)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    fn of(text: &str) -> Glance {
        let mut file = Counted(Cursor::new(text.as_bytes().to_vec()), 0);
        let glance = glance(&mut file, text.len() as u64).unwrap();
        assert_eq!(glance.bytes_read, file.1);
        assert!(file.1 <= 2 * NEAR_BYTES + FAR_BYTES, "{}", file.1);
        glance
    }

    fn user(text: &str) -> String {
        let time = "2026-02-01T10:00:00Z";
        format!(
            "{{\"type\":\"user\",\"cwd\":\"/w\",\"timestamp\":\"{time}\",\"message\":{{\"content\":\"{text}\"}}}}\n"
        )
    }

    /// A line that tells nothing.
    fn filler(bytes: usize) -> String {
        format!("{{\"x\":\"{}\"}}\n", "y".repeat(bytes))
    }

    #[test]
    fn the_best_title_wins() {
        let custom = "{\"type\":\"custom-title\",\"customTitle\":\"mine\"}\n";
        let renamed = "{\"type\":\"custom-title\",\"customTitle\":\"renamed\"}\n";
        let own = "{\"type\":\"ai-title\",\"aiTitle\":\"its\"}\n";
        let summary = "{\"type\":\"summary\",\"summary\":\"sum\"}\n";
        let foreign = "{\"type\":\"summary\",\"summary\":\"other\",\"leafUuid\":\"x\"}\n";
        let quoted = user("say \\\"custom-title\\\"");
        let cases = [
            (user("first") + &user("second"), Some("first")),
            (user("first") + custom + renamed + own, Some("renamed")),
            (summary.to_owned() + &user("first") + own, Some("its")),
            (user("first") + summary, Some("sum")),
            (
                summary.replace("sum\"}", "{\\\"title\\\": \\\"t\\\"}\"}") + &user("first"),
                Some("t"),
            ),
            (foreign.to_owned() + &user("first"), Some("first")),
            (quoted, Some("say \"custom-title\"")),
            (user("  <b>a</b>\\n &amp; b "), Some("a & b")),
            (filler(5), None),
            ("not JSON\n".to_owned(), None),
            (user("no newline").trim_end().to_owned(), Some("no newline")),
            (String::new(), None),
        ];
        for (text, expected) in cases {
            assert_eq!(of(&text).title.as_deref(), expected, "{text}");
        }
    }

    /// Files of every size around the limits: what stands at both ends is found, and no more than
    /// the limits is read.
    #[test]
    fn both_ends_of_files_of_any_size() {
        let title = "{\"type\":\"custom-title\",\"customTitle\":\"mine\"}\n";
        let near = NEAR_BYTES as usize;
        for bytes in [0, near / 2, near - 300, near, near + 300, 2 * near, 5 * near, 3 << 20] {
            let text = user("first") + &filler(bytes) + &user("last") + title;
            let glance = of(&text);
            assert_eq!(glance.title.as_deref(), Some("mine"), "{bytes}");
            assert_eq!(glance.cwd.as_deref(), Some("/w"), "{bytes}");
            assert!(glance.bytes_read <= 2 * NEAR_BYTES, "{bytes}");
        }
    }

    /// New transcripts begin with tens of kilobytes that are no message.
    #[test]
    fn what_is_not_near_is_looked_for_further_away() {
        let text = filler(200_000) + &user("first") + &filler(200_000);
        let glance = of(&text);
        assert_eq!(glance.title.as_deref(), Some("first"));
        let far = filler(2 << 20) + &user("first") + &filler(2 << 20);
        assert_eq!(of(&far), Glance { bytes_read: of(&far).bytes_read, ..Glance::default() });
    }

    #[test]
    fn a_title_is_bounded() {
        let title = of(&user(&"x".repeat(9000))).title.unwrap();
        assert!(title.len() == TITLE_BYTES_MAX && title.ends_with("..."));
    }
}
