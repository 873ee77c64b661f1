//! `confab redact`: the filter that shows what leaves this machine. JSONL in, JSONL out, a line for
//! a line.

use std::io::{self, BufRead, Write};

use crate::config::Config;
use crate::error::{Context, Result};
use crate::redact::{Finding, Redactor, Withheld};

use super::Exit;
use super::lines::{Counts, LINE_BYTES_MAX, Lines, count, report, say};

/// What takes the place of a line that is withheld: no byte of it is known to be harmless.
const STAND_IN: &[u8] = br#"{"type":"confab-stand-in","confab":{"replaced":"line withheld"}}"#;

/// Copies `input` to `out`, redacted as the configuration says. Reports on `talk`: patterns that do
/// not compile, and with `explain` every secret, by rule, place and length, never itself.
///
/// # Errors
/// As reading and writing. A reader of `out` that has gone away is none.
pub fn run(
    config: &Config,
    explain: bool,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<Exit> {
    let (redactor, problems) = Redactor::new(&config.redaction);
    report(&problems, talk)?;
    if !config.redaction.enabled {
        say(talk, "redaction is off in the configuration: lines pass as they are")?;
    }
    let mut counts = Counts::default();
    let mut lines = Lines::new(input, LINE_BYTES_MAX);
    while let Some(line) = lines.next_line().context(|| "read standard input".into())? {
        let redacted = line.redact(&redactor);
        let (text, findings) = match &redacted {
            Ok((text, findings)) => (&text[..], Some(&findings[..])),
            Err(Withheld) => (STAND_IN, None),
        };
        counts.add(findings);
        for finding in findings.unwrap_or_default().iter().filter(|_| explain) {
            say(talk, &format!("line {}: {}", counts.lines, told(finding)))?;
        }
        let written = out.write_all(text).and_then(|()| out.write_all(line.ending));
        if !is_read(written)? {
            return Ok(Exit::Done);
        }
    }
    if !is_read(out.flush())? {
        return Ok(Exit::Done);
    }
    if explain {
        say(talk, &counts.to_string())?;
    }
    if counts.withheld > 0 {
        let withheld = count(counts.withheld, "line");
        say(talk, &format!("{withheld} withheld, with a stand-in in the place of each"))?;
    }
    let skipped = counts.withheld > 0 || !problems.is_empty();
    Ok(if skipped { Exit::Skipped } else { Exit::Done })
}

/// What can be said about a secret without telling it.
fn told(Finding { rule, kind, range }: &Finding) -> String {
    format!("rule {rule}, {} bytes at {}, [REDACTED:{kind}]", range.len(), range.start)
}

/// Whether somebody still reads what is written.
fn is_read(written: io::Result<()>) -> Result<bool> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.context(|| "write to standard output".into()).map(|()| true),
    }
}
