//! What must hold for any input.

use confab::cli;
use confab::config::Config;
use confab::redact::Redactor;
use confab::transcript;

use super::plant::Planted;

/// Checks an input line by line.
pub fn check(redactor: &Redactor, input: &[u8], planted: Option<&Planted>) -> Result<(), String> {
    let lines = input.split(|byte| *byte == b'\n');
    let output: Result<Vec<Vec<u8>>, String> =
        lines.map(|line| check_line(redactor, line)).collect();
    let output = output?.join(&b'\n');
    let Some(planted) = planted else { return Ok(()) };
    // A change may have copied the secret to where nothing says what it is.
    let copied = planted.is_shown_by(&input[planted.bytes..]);
    match planted.is_shown_by(&output) && !copied {
        true => Err("the planted secret is shown".into()),
        false => Ok(()),
    }
}

/// Checks a line and gives what is made of it.
fn check_line(redactor: &Redactor, line: &[u8]) -> Result<Vec<u8>, String> {
    let Ok((redacted, findings)) = redactor.explain(line) else {
        return Err("a line is withheld".into());
    };
    if redactor.line(line).as_deref() != Ok(&redacted[..]) {
        return Err("line and explain differ".into());
    }
    if redacted.contains(&b'\n') {
        return Err("one line has become two".into());
    }
    let mut rebuilt = Vec::new();
    let mut at = 0;
    for finding in &findings {
        if finding.range.start < at || finding.range.is_empty() || finding.range.end > line.len() {
            return Err(format!("{finding:?} behind {at} is no part of the line"));
        }
        rebuilt.extend_from_slice(&line[at..finding.range.start]);
        rebuilt.extend_from_slice(format!("[REDACTED:{}]", finding.kind).as_bytes());
        at = finding.range.end;
    }
    rebuilt.extend_from_slice(&line[at..]);
    if rebuilt != redacted {
        return Err("something else than the findings has changed".into());
    }
    if transcript::is_json(line) && !transcript::is_json(&redacted) {
        return Err("what was JSON is none any more".into());
    }
    match redactor.line(&redacted) {
        Ok(twice) if *twice == redacted => Ok(redacted),
        Ok(twice) => Err(format!("twice is not once: {}", twice.escape_ascii())),
        Err(_) => Err("a redacted line is withheld".into()),
    }
}

/// The command makes of many lines what redaction makes of each.
pub fn check_filter(redactor: &Redactor, input: &[u8]) {
    let (mut output, mut talk) = (Vec::new(), Vec::new());
    let config = Config::default();
    let exit = cli::redact::run(&config, true, &mut &input[..], &mut output, &mut talk).unwrap();
    assert_eq!(exit, cli::Exit::Done);
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines(&output), lines(input), "lines of the filter's output");
    let mut rest = &output[..];
    for line in input.split(|byte| *byte == b'\n') {
        let redacted = redactor.line(line).unwrap();
        rest = rest.strip_prefix(&*redacted).expect("the filter's line is the redacted one");
        rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    }
    assert!(rest.is_empty());
}
