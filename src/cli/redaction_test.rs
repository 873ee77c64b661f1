//! `confab redaction-test FILE`: what would be cut out of a file, by rule, without telling it.
//!
//! It looks as if redaction was on, whatever the configuration says: that is what one wants to know
//! before switching it on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use serde::Serialize;

use crate::config::Config;
use crate::error::{Context, Result};
use crate::redact::{Redactor, Settings, Withheld};

use super::Exit;
use super::lines::{Counts, LINE_BYTES_MAX, Lines, count, report};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// What was found in a file.
#[derive(Debug, Serialize)]
struct Found<'a> {
    file: &'a str,
    /// Whether the configuration has redaction switched on.
    redaction_enabled: bool,
    lines: u64,
    lines_with_secrets: u64,
    secrets: u64,
    /// Lines that could not be redacted; a stand-in is sent for each.
    withheld: u64,
    /// Most frequent first.
    rules: Vec<Hits>,
}

/// What one rule has found.
#[derive(Debug, Serialize)]
struct Hits {
    rule: String,
    /// `TYPE` of its marker.
    kind: String,
    secrets: u64,
    /// The first line with one of them; the first line of the file is 1.
    first_line: u64,
}

/// Writes what would be redacted in a file, as JSON or for people. Reports on `talk` what is wrong
/// in the configuration.
///
/// # Errors
/// As reading the file and writing.
pub fn run(
    config: &Config,
    path: &Path,
    json: bool,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<Exit> {
    let settings = Settings { enabled: true, ..config.redaction.clone() };
    let (redactor, problems) = Redactor::new(&settings);
    report(&problems, talk)?;
    let what = || format!("read {}", path.display());
    let mut input = BufReader::with_capacity(READ_BYTES, File::open(path).context(what)?);
    let mut lines = Lines::new(&mut input, LINE_BYTES_MAX);
    let mut counts = Counts::default();
    let mut rules: BTreeMap<(String, String), Hits> = BTreeMap::new();
    while let Some(line) = lines.next_line().context(what)? {
        let findings = match line.redact(&redactor) {
            Ok((_, findings)) => Some(findings),
            Err(Withheld) => None,
        };
        counts.add(findings.as_deref());
        for finding in findings.unwrap_or_default() {
            let name = (finding.rule.clone(), finding.kind.clone());
            let hits = rules.entry(name).or_insert_with(|| Hits {
                rule: finding.rule,
                kind: finding.kind,
                secrets: 0,
                first_line: counts.lines,
            });
            hits.secrets += 1;
        }
    }
    let mut rules: Vec<Hits> = rules.into_values().collect();
    rules.sort_by_key(|hits| std::cmp::Reverse(hits.secrets));
    let found = Found {
        file: &path.to_string_lossy(),
        redaction_enabled: config.redaction.enabled,
        lines: counts.lines,
        lines_with_secrets: counts.lines_with_secrets,
        secrets: counts.secrets,
        withheld: counts.withheld,
        rules,
    };
    let written = if json { print_json(&found, out) } else { print(&found, &counts, out) };
    written.context(|| "write to standard output".into())?;
    let skipped = counts.withheld > 0 || !problems.is_empty();
    Ok(if skipped { Exit::Skipped } else { Exit::Done })
}

fn print_json(found: &Found<'_>, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, found)?;
    writeln!(out)
}

fn print(found: &Found<'_>, counts: &Counts, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {counts}", found.file)?;
    let width = found.rules.iter().map(|hits| hits.rule.len()).max().unwrap_or_default();
    for Hits { rule, kind, secrets, first_line } in &found.rules {
        let marker = format!("[REDACTED:{kind}]");
        writeln!(out, "  {secrets:>6}  {rule:width$}  {marker}, first in line {first_line}")?;
    }
    if found.withheld > 0 {
        let withheld = count(found.withheld, "line");
        writeln!(out, "{withheld} cannot be redacted: a stand-in is sent instead")?;
    }
    if !found.redaction_enabled {
        writeln!(out, "redaction is off in the configuration: all of this is sent as it is")?;
    }
    Ok(())
}
