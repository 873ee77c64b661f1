//! `confab redact`: the filter that shows what leaves this machine. JSONL in, JSONL out, a line for
//! a line.

use std::io::{self, BufRead, Write};

use crate::cli::Exit;
use crate::config::Config;
use crate::error::{Context, Error, Result};
use crate::redact::{Finding, Redactor};

/// Bytes of a line; a longer one is withheld.
const LINE_BYTES_MAX: u64 = 256 << 20;
/// What takes the place of a line that is withheld: no byte of it is known to be harmless.
const STAND_IN: &[u8] = br#"{"type":"confab-stand-in","confab":{"replaced":"line withheld"}}"#;

/// Copies `input` to `out`, redacted as the configuration says. Reports on `talk`: patterns that do
/// not compile, and with `explain` every secret, by rule, place and length, never itself.
///
/// # Errors
/// As reading and writing.
pub fn run(
    config: &Config,
    explain: bool,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<Exit> {
    let (redactor, problems) = Redactor::new(&config.redaction);
    let say = |talk: &mut dyn Write, text: String| {
        writeln!(talk, "confab: {text}").context(|| "write to standard error".into())
    };
    for problem in &problems {
        report(problem, talk).context(|| "write to standard error".into())?;
    }
    if !config.redaction.enabled {
        say(talk, "redaction is off in the configuration: lines pass as they are".into())?;
    }
    let (mut n_lines, mut n_hit, mut n_secrets, mut n_withheld) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut line = Vec::new();
    while read_line(input, &mut line).context(|| "read standard input".into())? {
        n_lines += 1;
        let ended = line.last() == Some(&b'\n');
        let content = &line[..line.len() - usize::from(ended)];
        let whole = content.len() as u64 <= LINE_BYTES_MAX;
        let redacted = whole.then(|| redactor.explain(content).ok()).flatten();
        let (redacted, findings) = redacted.unwrap_or_else(|| {
            n_withheld += 1;
            (STAND_IN.to_vec(), Vec::new())
        });
        n_hit += u64::from(!findings.is_empty());
        n_secrets += findings.len() as u64;
        if explain {
            for Finding { rule, kind, range } in findings {
                let (bytes, at) = (range.len(), range.start);
                let text = format!(
                    "line {n_lines}: {rule}: {bytes} bytes at {at} became [REDACTED:{kind}]"
                );
                say(talk, text)?;
            }
        }
        let mut redacted = redacted;
        redacted.extend_from_slice(if ended { b"\n" } else { b"" });
        if !is_read(out.write_all(&redacted))? {
            return Ok(Exit::Done);
        }
    }
    is_read(out.flush())?;
    if explain {
        say(talk, format!("{n_secrets} secrets in {n_hit} of {n_lines} lines"))?;
    }
    if n_withheld > 0 {
        say(talk, format!("{n_withheld} lines were withheld, a stand-in is in the place of each"))?;
    }
    let skipped = n_withheld > 0 || !problems.is_empty();
    Ok(if skipped { Exit::Skipped } else { Exit::Done })
}

/// Whether somebody still reads what is written.
fn is_read(written: io::Result<()>) -> Result<bool> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.context(|| "write to standard output".into()).map(|()| true),
    }
}

fn report(problem: &Error, talk: &mut dyn Write) -> io::Result<()> {
    writeln!(talk, "confab: error: {problem}")?;
    problem.hint().map_or(Ok(()), |hint| writeln!(talk, "confab: hint: {hint}"))
}

/// Reads a line with its newline, at most one byte more than is allowed; what is beyond is dropped.
fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut limited = io::Read::take(&mut *input, LINE_BYTES_MAX + 2);
    limited.read_until(b'\n', line)?;
    let beyond = limited.limit() == 0 && line.last() != Some(&b'\n');
    if beyond && skip_line(input)? {
        line.push(b'\n');
    }
    Ok(!line.is_empty())
}

/// Skips to behind the next newline; false when there is none.
fn skip_line(input: &mut dyn BufRead) -> io::Result<bool> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let newline = memchr::memchr(b'\n', buffer);
        let used = newline.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if newline.is_some() {
            return Ok(true);
        }
    }
}
