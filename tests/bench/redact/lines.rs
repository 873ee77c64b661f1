//! Lines to measure: full of secrets, or made to be slow.

use std::fs;

use confab::redact::rules;
use confab::redact::rules::samples::expand;

/// Bytes of an adversarial line.
const LINE_BYTES: usize = 1 << 20;
/// Bytes of one that is made for every keyword.
const KEYWORD_LINE_BYTES: usize = 256 << 10;

/// Makes a line of a keyword.
type OfKeyword = fn(&str) -> Vec<u8>;
/// Ways to make one, each with its name.
pub const OF_KEYWORDS: [(&str, OfKeyword); 3] = [
    ("repeated", repeated_keyword),
    ("before a long run", keyword_with_run),
    ("between short runs", keywords_with_runs),
];

/// A tool result of which every other line holds a secret.
pub fn dense() -> Vec<u8> {
    let templates = [
        "ghp_{a36}",
        "https://user:{a12}@example.com/path",
        "sk-proj-{s48}",
        "Authorization: Bearer {a64}",
        "AKIA{u16}",
    ];
    let mut text = String::new();
    for index in 0..200 {
        let (secret, _) = expand(templates[index % templates.len()], index as u64);
        text += &format!("export SETTING_{index}={secret}\\n# what this setting does, {index}\\n");
    }
    format!(r#"{{"type":"user","message":{{"role":"user","content":"{text}"}}}}"#).into_bytes()
}

/// A line for every sample of every rule and of every context, and nothing else in it.
pub fn samples() -> Vec<Vec<u8>> {
    let contexts = fs::read_to_string("fixtures/redact/contexts/secrets.txt").unwrap();
    let of_rules = rules::all().flat_map(|rule| rule.samples.iter().copied());
    let of_contexts = contexts.lines().filter(|line| !line.starts_with('#'));
    let text = |template: &str| expand(&template.replace("\\n", "\n"), 7).0;
    let line =
        |template| serde_json::to_vec(&serde_json::json!({ "content": text(template) })).unwrap();
    of_rules.chain(of_contexts).map(line).collect()
}

/// Lines of a megabyte, each with its name.
pub fn adversarial() -> Vec<(String, Vec<u8>)> {
    let of_units = UNITS.iter().map(|parts| {
        let unit = parts.concat();
        (format!("{:?} repeated", unit), string_of(&unit))
    });
    let runs = ["{z}", "{Z}", "{d}", "{h}", "{l}", "{a}", "{b}", "{s}"].into_iter().map(|class| {
        let template = class.replace('}', &format!("{LINE_BYTES}}}"));
        (format!("a run of {class}"), in_a_string(&expand(&template, 3).0))
    });
    let words = "{a11} {l7}-{z9}_{h8}.{d4}/".repeat(LINE_BYTES / 48);
    let tokens = expand(&"ghp_{a36} ".repeat(LINE_BYTES / 41), 3).0;
    let passwords = "pass: {a12}, ".repeat(LINE_BYTES / 20);
    let others = [
        ("words of all classes".to_owned(), in_a_string(&expand(&words, 3).0)),
        ("tokens".to_owned(), in_a_string(&tokens)),
        ("tokens in a torn line".to_owned(), format!("{{\"a\":\"{tokens}").into_bytes()),
        ("passwords".to_owned(), in_a_string(&expand(&passwords, 3).0)),
        ("base64 of a text".to_owned(), in_a_string(&base64_of_text())),
        ("brackets".to_owned(), [vec![b'['; LINE_BYTES], vec![b']'; LINE_BYTES]].concat()),
        ("one key in another".to_owned(), "{\"a\":".repeat(LINE_BYTES / 5).into_bytes()),
        ("strings".to_owned(), [b"[", &b"\"\",".repeat(LINE_BYTES / 3)[..], b"\"\"]"].concat()),
        ("names and values".to_owned(), pairs()),
        ("bytes that are no UTF-8".to_owned(), vec![0xff; LINE_BYTES]),
        ("a torn line of escapes".to_owned(), "\\".repeat(LINE_BYTES).into_bytes()),
    ];
    of_units.chain(runs).chain(others).collect()
}

/// What is repeated in a string, in parts that only together look like the beginning of a secret.
const UNITS: [&[&str]; 37] = [
    &["@x", "://a:b"],
    &["@postgres", "://a:b"],
    &["https", "://"],
    &["_s", "k-a"],
    &["ey", "J"],
    &["ey", "J."],
    &["-----", "BEGIN RSA PRIVATE KEY-----"],
    &["-----", "BEGIN RSA PRIVATE KEY-----", "\\nMII"],
    &["-----", "END RSA PRIVATE KEY-----"],
    &["-----"],
    &["M", "II"],
    &["="],
    &["=="],
    &["key: "],
    &["key:\\n"],
    &["pass", "word="],
    &["pass", "word=a "],
    &["pass", "word: \\\""],
    &["\\\"tok", "en\\\":\\\""],
    &["\\\"tok", "en\\\": [\\\"", "\\\"], "],
    &["Author", "ization: "],
    &["Bear", "er "],
    &["-p "],
    &["-u a:b "],
    &["ssh", "pass -p "],
    &["\\\"\\\\"],
    &["\\\""],
    &["\\\\"],
    &["\\\\\\\""],
    &["\\u0061"],
    &["\\u0070ass", "word="],
    &["\\n     1\u{2192}"],
    &["\\n+"],
    &["{\\\"a\\\":"],
    &["[REDACTED:"],
    &["[REDACTED:X]"],
    &["AKIA", "0"],
];

fn string_of(unit: &str) -> Vec<u8> {
    in_a_string(&unit.repeat(LINE_BYTES / unit.len()))
}

fn in_a_string(content: &str) -> Vec<u8> {
    format!("{{\"content\":\"{content}\"}}").into_bytes()
}

/// `"token":"x"` and the like, as keys and values of the line itself.
fn pairs() -> Vec<u8> {
    let pair = |index: usize| {
        let name = ["token", "password", "api_key", "name", "value"][index % 5];
        format!("\"{name}\":\"{index}\"")
    };
    let pairs: Vec<String> = (0..LINE_BYTES / 18).map(pair).collect();
    format!("{{{}}}", pairs.join(",")).into_bytes()
}

/// Base64 that decodes to text, line by line as `base64` writes it.
fn base64_of_text() -> String {
    // "Words about a to" and "ken without any." in groups of four.
    let line = "V29yZHMgYWJvdXQgYSB0b2tlbiB3aXRob3V0IGFueS4g".repeat(340) + "\\n";
    line.repeat(LINE_BYTES / line.len())
}

/// A keyword again and again.
fn repeated_keyword(word: &str) -> Vec<u8> {
    in_a_string(&word.repeat(KEYWORD_LINE_BYTES / word.len()))
}

/// A keyword, and behind it all that a token may consist of.
fn keyword_with_run(word: &str) -> Vec<u8> {
    in_a_string(&format!("{word}{}", "aB3_".repeat(KEYWORD_LINE_BYTES / 4)))
}

/// A keyword between runs that are too short for a secret, or nearly.
fn keywords_with_runs(word: &str) -> Vec<u8> {
    let unit = format!("{word}aB3dE5fG7 ");
    in_a_string(&unit.repeat(KEYWORD_LINE_BYTES / unit.len()))
}
