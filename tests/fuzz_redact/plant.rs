//! A secret of a known rule in a place where it must be found: the text of a value, as it is or in
//! JSON within JSON, with some of its characters escaped, among lines that are mutated elsewhere.

use confab::redact::Redactor;
use confab::redact::rules::samples::expand;
use fastrand::Rng;
use memchr::memmem;
use serde_json::Value;

use super::corpus::Corpus;
use super::mutate::{change, escaped, pick, quoted};

/// How deep JSON in strings is read.
const NESTING_MAX: usize = 3;
/// Tries at a secret that its rule finds: some rules want to see some digits, say.
const TRIES_MAX: usize = 20;
/// Changes behind the planted secret.
const CHANGES_MAX: usize = 3;

/// What was planted.
pub struct Planted {
    /// Its rule, or "context".
    pub rule: String,
    /// The text around it.
    pub text: String,
    /// The secret.
    pub secret: String,
    /// How many strings of JSON it is inside of.
    pub nesting: usize,
    /// Bytes at the beginning of the input that it takes.
    pub bytes: usize,
}

impl Planted {
    /// Whether the secret can be read from any line.
    pub fn is_shown_by(&self, output: &[u8]) -> bool {
        shows(output, &self.secret)
    }
}

/// A line with a secret in it, and what comes behind, which is mutated.
pub fn lines(corpus: &Corpus, redactor: &Redactor, random: &mut Rng) -> (Vec<u8>, Planted) {
    let (rule, template) = pick(&corpus.secrets, random).clone();
    let found = (0..TRIES_MAX).find_map(|_| {
        let (text, secret) = expand(&template, random.u64(..));
        let secret = text[secret].to_owned();
        (!redactor.text(&text).contains(&secret)).then_some((text, secret))
    });
    let (text, secret) = found.unwrap_or_else(|| panic!("{rule} does not find {template}"));
    let around = ["", "\n", "Grüße, \"so\":\n"];
    let (before, after) = (pick(&around, random), pick(&around[..2], random));
    let mut value = format!("{before}{text}{after}").into_bytes();
    let nesting = random.usize(..=NESTING_MAX);
    for _ in 0..nesting {
        let object = if random.bool() { "{\"text\":$}" } else { "[1,$,null]" };
        value = around_string(object, &value);
    }
    let mut string = quoted(&value);
    if random.bool() {
        string = escaped(&string, random);
    }
    let (open, close) = pick(
        &[
            ("{\"planted\":", ","),
            ("{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":", "}]},"),
            ("{ \"n\" : 1e400 , \"a\" : [ ", " ] ,"),
        ],
        random,
    );
    let mut input = [open.as_bytes(), &string, close.as_bytes()].concat();
    let bytes = input.len();
    let mut rest = pick(&corpus.lines, random)[1..].to_vec();
    for _ in 0..random.usize(..=CHANGES_MAX) {
        change(&mut rest, corpus, random);
    }
    input.extend(rest);
    (input, Planted { rule, text, secret, nesting, bytes })
}

/// A document that holds a text as a string.
fn around_string(document: &str, text: &[u8]) -> Vec<u8> {
    let (open, close) = document.split_once('$').unwrap();
    [open.as_bytes(), &quoted(text), close.as_bytes()].concat()
}

/// Whether a text can be read from any line of an output: as it stands, or in a string of whatever
/// is JSON, also within strings.
fn shows(output: &[u8], text: &str) -> bool {
    let plain = text.as_bytes();
    let inside = |line: &[u8]| serde_json::from_slice(line).is_ok_and(|value| holds(&value, text));
    memmem::find(output, plain).is_some() || output.split(|byte| *byte == b'\n').any(inside)
}

fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => {
            string.contains(text)
                || string.starts_with(['{', '['])
                    && serde_json::from_str(string).is_ok_and(|value| holds(&value, text))
        }
        Value::Array(values) => values.iter().any(|value| holds(value, text)),
        Value::Object(members) => {
            members.iter().any(|(key, value)| key.contains(text) || holds(value, text))
        }
        _ => false,
    }
}
