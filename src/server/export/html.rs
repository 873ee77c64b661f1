//! A session as one HTML page that needs nothing else: no script, no other file, no network.
//!
//! Everything from a transcript is text and is escaped as such; images are shown when they are
//! plain base64 of a picture format. The page's own policy forbids everything but its style and
//! these images, whatever a transcript may hold. Lines that are not part of the conversation are
//! folded, none is left out.

use std::io::{self, Write};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::server::auth::base64;
use crate::wire::{FileEntry, SessionDetail};

const STYLE: &str = include_str!("page.css");
/// Formats that hold pixels and nothing that runs.
const IMAGE_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// Characters of a fold's title.
const TITLE_CHARS_MAX: usize = 200;

/// What the lines of a file have opened so far.
#[derive(Default)]
pub struct Fold {
    is_open: bool,
}

impl Fold {
    /// Opens a fold for lines that nobody said, unless one is open.
    fn open(&mut self, out: &mut dyn Write, number: i64) -> io::Result<()> {
        if !std::mem::replace(&mut self.is_open, true) {
            writeln!(out, "<details><summary>further lines from {number} on</summary>")?;
        }
        Ok(())
    }

    fn close(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match std::mem::take(&mut self.is_open) {
            true => writeln!(out, "</details>"),
            false => Ok(()),
        }
    }
}

/// Everything before the first file.
pub fn begin(out: &mut dyn Write, detail: &SessionDetail) -> io::Result<()> {
    let named = detail.summary.as_deref().or(detail.first_user_message.as_deref());
    let title = named.filter(|text| !text.is_empty()).unwrap_or(&detail.external_id);
    let title = escaped(&shortened(title));
    let hash = base64(&Sha256::digest(STYLE.as_bytes()));
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         img-src data:; style-src 'sha256-{hash}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n<dl>\n"
    )?;
    let git = detail.git_info.as_ref();
    let known = [
        ("Session", Some(detail.external_id.as_str())),
        ("Agent", Some(detail.provider.as_str())),
        ("Folder", detail.cwd.as_deref()),
        ("Repository", git.and_then(|git| git.repo_url.as_deref())),
        ("Branch", git.and_then(|git| git.branch.as_deref())),
        ("Machine", detail.hostname.as_deref()),
        ("User", detail.username.as_deref()),
        ("First seen", Some(detail.first_seen.as_str())),
        ("Last synced", Some(detail.last_sync_at.as_str())),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escaped(value))?;
        }
    }
    writeln!(out, "</dl>\n</header>\n<main>")
}

/// What comes before the lines of a file.
pub fn begin_file(out: &mut dyn Write, index: usize, file: &FileEntry) -> io::Result<()> {
    let (name, lines) = (escaped(&file.file_name), file.last_synced_line);
    writeln!(out, "<section id=\"f{index}\">\n<h2>{name}</h2>\n<p class=\"who\">{lines} lines</p>")
}

/// A line of a file.
pub fn line(
    out: &mut dyn Write,
    fold: &mut Fold,
    (file, number): (usize, i64),
    line: &[u8],
) -> io::Result<()> {
    let id = format!("f{file}-L{number}");
    let value: Value = serde_json::from_slice(line).unwrap_or_default();
    let kind = value["type"].as_str().unwrap_or("line");
    let content = &value["message"]["content"];
    if !matches!(kind, "user" | "assistant") || content.is_null() {
        fold.open(out, number)?;
        return other(out, &id, number, kind, line);
    }
    fold.close(out)?;
    let is_meta = value["isMeta"] == true || value["isCompactSummary"] == true;
    let class = if is_meta { "meta" } else { kind };
    let time = escaped(value["timestamp"].as_str().unwrap_or(""));
    writeln!(
        out,
        "<article id=\"{id}\" class=\"{class}\">\n\
         <p class=\"who\">{kind} {time} <a href=\"#{id}\">{number}</a></p>"
    )?;
    match content {
        Value::Array(blocks) => blocks.iter().try_for_each(|part| block(out, part))?,
        other => text(out, other)?,
    }
    writeln!(out, "</article>")
}

/// What comes behind the lines of a file.
pub fn end_file(out: &mut dyn Write, mut fold: Fold) -> io::Result<()> {
    fold.close(out)?;
    writeln!(out, "</section>")
}

/// Everything behind the last file.
pub fn end(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "</main>\n</body>\n</html>")
}

/// A line that nobody said.
fn other(out: &mut dyn Write, id: &str, number: i64, kind: &str, line: &[u8]) -> io::Result<()> {
    let (kind, line) = (escaped(kind), escaped(&String::from_utf8_lossy(line)));
    writeln!(
        out,
        "<details id=\"{id}\"><summary>{kind} {number}</summary><pre>{line}</pre></details>"
    )
}

/// A part of what was said.
fn block(out: &mut dyn Write, part: &Value) -> io::Result<()> {
    match part["type"].as_str() {
        Some("text") => text(out, &part["text"]),
        Some("thinking") => folded(out, "thinking", "", &plain(&part["thinking"])),
        Some("tool_use") => {
            let title = format!("uses {}", plain(&part["name"]));
            let input = serde_json::to_string_pretty(&part["input"]).unwrap_or_default();
            folded(out, &title, "", &input)
        }
        Some("tool_result") => result(out, part),
        Some("image") => image(out, &part["source"]),
        _ => folded(out, "other", "", &part.to_string()),
    }
}

fn result(out: &mut dyn Write, part: &Value) -> io::Result<()> {
    let (title, class) = match part["is_error"] == true {
        true => ("error", " class=\"error\""),
        false => ("result", ""),
    };
    let Value::Array(parts) = &part["content"] else {
        return folded(out, title, class, &plain(&part["content"]));
    };
    for part in parts {
        match part["type"].as_str() {
            Some("text") => folded(out, title, class, &plain(&part["text"]))?,
            Some("image") => image(out, &part["source"])?,
            _ => folded(out, title, class, &part.to_string())?,
        }
    }
    Ok(())
}

fn text(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    writeln!(out, "<div class=\"text\">{}</div>", escaped(&plain(value)))
}

fn folded(out: &mut dyn Write, title: &str, class: &str, content: &str) -> io::Result<()> {
    let (title, content) = (escaped(&shortened(title)), escaped(content));
    writeln!(out, "<details{class}><summary>{title}</summary><pre>{content}</pre></details>")
}

fn image(out: &mut dyn Write, source: &Value) -> io::Result<()> {
    let (kind, data) = (plain(&source["media_type"]), plain(&source["data"]));
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if !IMAGE_TYPES.contains(&kind.as_str()) || !data.bytes().all(is_base64) {
        return folded(out, "image", "", &source.to_string());
    }
    writeln!(out, "<img alt=\"image\" src=\"data:{kind};base64,{data}\">")
}

/// A text as it is, everything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    match line.char_indices().nth(TITLE_CHARS_MAX) {
        None => line.to_owned(),
        Some((at, _)) => format!("{}…", &line[..at]),
    }
}

/// Text for an element or between double quotes: without colours and other orders to a terminal,
/// and without characters that HTML does not have.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 16);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{1b}' => skip_order(&mut characters),
            '\n' | '\t' => escaped.push(character),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// Skips what follows an escape character: `[`, parameters, a final letter (ECMA-48, 5.4).
fn skip_order(characters: &mut std::str::Chars<'_>) {
    let mut ahead = characters.clone();
    if ahead.next() != Some('[') {
        return;
    }
    for character in ahead.by_ref() {
        match character {
            '0'..='?' | ' '..='/' => {}
            '@'..='~' => break,
            // No order after all: what follows is text.
            _ => return,
        }
    }
    *characters = ahead;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = Vec::new();
        line(&mut out, &mut Fold::default(), (0, 7), text.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_said_can_be_read() {
        let cases = [
            (
                r#"{"type":"user","message":{"content":"a <b> & \"c\""}}"#,
                "a &lt;b&gt; &amp; &quot;c&quot;",
            ),
            (
                r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash","input":{"command":"ls"}}]}}"#,
                "<summary>uses Bash</summary><pre>{\n  &quot;command&quot;: &quot;ls&quot;\n}</pre>",
            ),
            (
                r#"{"type":"user","message":{"content":[{"type":"tool_result","is_error":true,"content":[{"type":"text","text":"\u001b[31mred\u001b[0m"}]}]}}"#,
                "<details class=\"error\"><summary>error</summary><pre>red</pre>",
            ),
            (
                r#"{"type":"user","message":{"content":[{"type":"image","source":{"media_type":"image/png","data":"AAAA"}}]}}"#,
                "<img alt=\"image\" src=\"data:image/png;base64,AAAA\">",
            ),
            (r#"{"type":"summary","summary":"s"}"#, "<summary>summary 7</summary>"),
            ("not json", "<details id=\"f0-L7\"><summary>line 7</summary><pre>not json</pre>"),
        ];
        for (text, expected) in cases {
            let html = shown(text);
            assert!(html.contains(expected), "{text}\n{html}");
        }
    }

    /// Wherever it stands, text stays text: the page has as many elements as with harmless text.
    #[test]
    fn nothing_in_a_line_becomes_an_element() {
        let tricks = [
            "<script>alert(1)</script>",
            "\" onmouseover=\"alert(1)",
            "</pre></details><img src=x onerror=alert(1)>",
            "<!--",
            "&lt;script&gt;",
            "AAAA\" onload=\"alert(1)",
            "image/svg+xml;x",
            "javascript:alert(1)",
        ];
        let elements = |html: &str| html.matches('<').count();
        let lines = |trick: &str| {
            let trick = serde_json::to_string(trick).unwrap();
            [
                format!(r#"{{"type":{trick}}}"#),
                format!(r#"{{"type":"user","timestamp":{trick},"message":{{"content":{trick}}}}}"#),
                format!(r#"{{"type":"user","message":{{"content":[{{"type":{trick}}}]}}}}"#),
                format!(
                    r#"{{"type":"assistant","message":{{"content":[
                    {{"type":"tool_use","name":{trick},"input":{trick}}},
                    {{"type":"thinking","thinking":{trick}}},
                    {{"type":"image","source":{{"media_type":"image/gif","data":{trick}}}}},
                    {{"type":"image","source":{{"media_type":{trick},"data":"AA"}}}}]}}}}"#
                ),
            ]
        };
        for trick in tricks {
            for (line, harmless) in lines(trick).iter().zip(lines("harm less")) {
                let html = shown(line);
                assert_eq!(elements(&html), elements(&shown(&harmless)), "{html}");
                assert!(!html.contains("\" on"), "{html}");
            }
        }
    }

    #[test]
    fn what_nobody_said_is_folded_together() {
        let said = r#"{"type":"user","message":{"content":"x"}}"#;
        let (mut out, mut fold) = (Vec::new(), Fold::default());
        for (number, text) in (1..).zip(["1", "2", said, "4"]) {
            line(&mut out, &mut fold, (0, number), text.as_bytes()).unwrap();
        }
        end_file(&mut out, fold).unwrap();
        let html = String::from_utf8(out).unwrap();
        assert_eq!(html.matches("further lines").count(), 2);
        assert_eq!(html.matches("<details").count(), html.matches("</details>").count());
        assert!(html.find("</details>\n<article").is_some() && html.ends_with("</section>\n"));
    }

    #[test]
    fn an_unfinished_order_to_a_terminal_takes_no_text_away() {
        let cases = [("\u{1b}[1;31mx\u{1b}[0m", "x"), ("\u{1b}[é", "[é"), ("\u{1b}c", "c")];
        for (text, expected) in cases {
            assert_eq!(escaped(text), expected);
        }
    }
}
