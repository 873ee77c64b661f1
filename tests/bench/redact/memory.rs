//! What redaction of one very long line takes of memory, beside the line itself and its successor.

use std::fs;

use confab::redact::rules::samples::expand;
use confab::redact::{Redactor, SPANS_MAX};

/// Bytes of the line.
const LINE_BYTES: usize = 64 << 20;

/// Prints by how much the resident memory grows at its peak. Linux tells.
pub fn run(redactor: &Redactor) {
    let words = "what somebody said about something, ";
    let secret = expand("ghp_{a36} ", 1).0;
    let many = format!("{secret}{}", ". ".repeat((LINE_BYTES / SPANS_MAX - secret.len()) / 2));
    let megabyte = words.repeat((1 << 20) / words.len());
    let lines = [
        ("without secrets", words.repeat(LINE_BYTES / words.len())),
        ("with a secret a megabyte", (secret + &megabyte).repeat(LINE_BYTES >> 20)),
        ("of escapes", "\\u0061\\n".repeat(LINE_BYTES / 8)),
        ("with as many secrets as a line may have", many.repeat(SPANS_MAX)),
    ];
    println!("redact: growth of memory at a line of {} MB", LINE_BYTES >> 20);
    for (name, text) in lines {
        let line = format!("{{\"content\":\"{text}\"}}").into_bytes();
        drop(text);
        // What earlier figures have left free would hide what this one takes.
        confab::sys::memory::release();
        // 5 makes the kernel begin a new peak.
        if fs::write("/proc/self/clear_refs", "5").is_err() {
            return println!("  not told by this system");
        }
        let before = status("VmRSS:");
        let redacted = redactor.line(&line).expect("as many secrets as a line may have");
        let output = if redacted.len() == line.len() { 0 } else { redacted.len() };
        let growth = status("VmHWM:").saturating_sub(before);
        println!("  {name}: {:.1} MB, {:.1} MB of it the redacted line", mb(growth), mb(output));
    }
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A number of `/proc/self/status`, in bytes.
fn status(name: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kilobytes: usize = value.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    kilobytes << 10
}
