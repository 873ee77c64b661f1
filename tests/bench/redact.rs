//! Speed of redaction and of reading a line's facts, in MB/s of one core.

use std::hint::black_box;
use std::time::Instant;

use confab::redact::{Redactor, Settings};
use confab::transcript;

/// Bytes that are worked through for one figure.
const WORK_BYTES: usize = 100_000_000;

/// Prints one figure per kind of line. `lines` are those of an ordinary transcript.
pub fn run(lines: &[Vec<u8>]) {
    let started = Instant::now();
    let (redactor, _) = Redactor::new(&Settings::default());
    println!("redact: construction {:.2} ms", started.elapsed().as_secs_f64() * 1e3);
    let line = |line: &[u8]| redactor.line(line).map_or(0, |line| line.len());
    measure("redact: ordinary lines", lines, line);
    measure("redact: lines dense in secrets", &[dense_line()], line);
    for (name, adversarial) in adversarial_lines() {
        measure(&format!("redact: adversarial, {name}"), &[adversarial], line);
    }
    measure("transcript: inspect", lines, |line| {
        transcript::inspect(line).uuid.map_or(0, |uuid| uuid.len())
    });
    measure("transcript: is_json", lines, |line| usize::from(transcript::is_json(line)));
    measure("transcript: outline", lines, |line| {
        let mut outline = transcript::Outline::new();
        outline.feed(line);
        outline.finish().uuid.map_or(0, |uuid| uuid.len())
    });
}

fn measure(name: &str, lines: &[Vec<u8>], work: impl Fn(&[u8]) -> usize) {
    let bytes: usize = lines.iter().map(Vec::len).sum();
    let rounds = WORK_BYTES.div_ceil(bytes);
    let started = Instant::now();
    for _ in 0..rounds {
        for line in lines {
            black_box(work(black_box(line)));
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{name}: {:.0} MB/s", (rounds * bytes) as f64 / 1e6 / seconds);
}

/// A tool result of which every other line holds a secret.
fn dense_line() -> Vec<u8> {
    let letters = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ".repeat(4);
    let mut text = String::new();
    for index in 0..200 {
        let secret = match index % 5 {
            0 => ["gh", "p_", &letters[..36]].concat(),
            1 => ["https", "://user:", &letters[..12], "@example.com/path"].concat(),
            2 => ["sk", "-proj-", &letters[..48]].concat(),
            3 => ["Authorization: Bear", "er ", &letters[..64]].concat(),
            _ => ["AK", "IA", &letters[..16].to_uppercase()].concat(),
        };
        text += &format!("export SETTING_{index}={secret}\\n# what this setting does, {index}\\n");
    }
    format!(r#"{{"type":"user","message":{{"role":"user","content":"{text}"}}}}"#).into_bytes()
}

/// Lines of a megabyte that repeat what looks like the beginning of a secret.
fn adversarial_lines() -> Vec<(&'static str, Vec<u8>)> {
    let line = |unit: &str| {
        let content = unit.repeat((1 << 20) / unit.len());
        format!("{{\"content\":\"{content}\"}}").into_bytes()
    };
    vec![
        ("urls", line(&["@x", "://a:b"].concat())),
        ("database urls", line(&["@postgres", "://a:b"].concat())),
        ("tokens in words", line(&["_s", "k-a"].concat())),
        ("half tokens", line(&["ey", "J"].concat())),
        ("key beginnings", line(&["-----", "BEGIN PRIVATE KEY-----"].concat())),
        ("escapes", line(r"\u0061")),
        ("brackets", [vec![b'['; 1 << 20], vec![b']'; 1 << 20]].concat()),
        ("quotes", [b"[".to_vec(), b"\"\",".repeat(1 << 18), b"\"a://b:c@\"]".to_vec()].concat()),
    ]
}
