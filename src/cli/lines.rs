//! What the commands that redact have in common: lines one at a time, and what they count.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use crate::error::{Context, Error, Result};
use crate::redact::{Finding, Redactor, Withheld};

/// Bytes of a line; a longer one is withheld.
pub const LINE_BYTES_MAX: usize = 256 << 20;

/// Reads lines, of which it holds one.
pub struct Lines<'a> {
    input: &'a mut dyn BufRead,
    bytes_max: usize,
    line: Vec<u8>,
}

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Without its end; `None` when it is longer than allowed.
    content: Option<&'a [u8]>,
    /// A newline, or nothing at the end of an input that does not end in one.
    pub ending: &'static [u8],
}

/// Lines, and what was found in them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// All lines.
    pub lines: u64,
    /// Those with secrets.
    pub lines_with_secrets: u64,
    /// All secrets.
    pub secrets: u64,
    /// Lines that could not be redacted.
    pub withheld: u64,
}

impl<'a> Lines<'a> {
    /// Reads from `input`; lines of more than `bytes_max` bytes are not told.
    pub fn new(input: &'a mut dyn BufRead, bytes_max: usize) -> Lines<'a> {
        Lines { input, bytes_max, line: Vec::new() }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// As `read`.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let limit = self.bytes_max as u64 + 1;
        (&mut *self.input).take(limit).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let ended = self.line.pop_if(|last| *last == b'\n').is_some();
        if !ended && self.line.len() > self.bytes_max {
            let ending: &[u8] = if skip_line(self.input)? { b"\n" } else { b"" };
            return Ok(Some(Line { content: None, ending }));
        }
        Ok(Some(Line { content: Some(&self.line), ending: if ended { b"\n" } else { b"" } }))
    }
}

impl Line<'_> {
    /// The line, redacted, and what was found in it.
    ///
    /// # Errors
    /// When it is too long, or cannot be redacted.
    pub fn redact(&self, redactor: &Redactor) -> Result<(Vec<u8>, Vec<Finding>), Withheld> {
        self.content.map_or(Err(Withheld), |line| redactor.explain(line))
    }
}

impl Counts {
    /// Counts a line; `None` is one that was withheld.
    pub fn add(&mut self, findings: Option<&[Finding]>) {
        self.lines += 1;
        match findings {
            None => self.withheld += 1,
            Some(findings) => {
                self.lines_with_secrets += u64::from(!findings.is_empty());
                self.secrets += findings.len() as u64;
            }
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secrets, lines) = (count(self.secrets, "secret"), count(self.lines, "line"));
        write!(f, "{secrets} in {} of {lines}", self.lines_with_secrets)
    }
}

/// `1 line`, `2 lines`.
pub fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Writes a line for people.
///
/// # Errors
/// As `write`.
pub fn say(talk: &mut dyn Write, text: &str) -> Result<()> {
    writeln!(talk, "confab: {text}").context(|| "write to standard error".into())
}

/// Writes what is wrong with the configuration, for people.
///
/// # Errors
/// As `write`.
pub fn report(problems: &[Error], talk: &mut dyn Write) -> Result<()> {
    for problem in problems {
        // A library may have put several lines into its message.
        let problem_text = problem.to_string();
        let text = problem_text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        say(talk, &format!("error: {text}"))?;
        if let Some(hint) = problem.hint() {
            say(talk, &format!("hint: {hint}"))?;
        }
    }
    Ok(())
}

/// Skips to behind the next newline; false when there is none.
fn skip_line(input: &mut dyn BufRead) -> io::Result<bool> {
    loop {
        let buffer = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            buffer => buffer?,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as their lengths, `None` for those that are too long; a `.` stands for a missing end.
    fn lengths(input: &str, buffer_bytes: usize) -> Vec<String> {
        let mut input = io::BufReader::with_capacity(buffer_bytes, input.as_bytes());
        let mut lines = Lines::new(&mut input, 3);
        let mut lengths = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let length = line.content.map_or("-".to_owned(), |line| line.len().to_string());
            lengths.push(if line.ending.is_empty() { length + "." } else { length });
        }
        lengths
    }

    #[test]
    fn every_line_is_told_once_however_long_it_is() {
        let cases: [(&str, &[&str]); 10] = [
            ("", &[]),
            ("\n", &["0"]),
            ("\n\n", &["0", "0"]),
            ("a", &["1."]),
            ("abc\nabc", &["3", "3."]),
            ("abcd\nab\n", &["-", "2"]),
            ("abcd", &["-."]),
            ("abc\n\nabcdefghijkl\n\r\n", &["3", "0", "-", "1"]),
            ("abcdefgh\nabcdefgh", &["-", "-."]),
            ("abcd\n\nabcd\n", &["-", "0", "-"]),
        ];
        for (input, expected) in cases {
            for buffer_bytes in 1..10 {
                assert_eq!(lengths(input, buffer_bytes), expected, "{input:?} by {buffer_bytes}");
            }
        }
    }
}
