//! What inputs are made of: recorded lines, texts with secrets, and tokens that are tricky.

use std::fs;
use std::path::{Path, PathBuf};

use confab::redact::rules;

use crate::shared::fixtures;

/// Bytes of a recorded line; longer ones only take time.
const LINE_BYTES_MAX: usize = 8 << 10;
/// Lines of one recorded file.
const FILE_LINES_MAX: usize = 40;

/// Bytes that mean something to JSON, to a rule or to a terminal.
pub const TRICKY: [&[u8]; 46] = [
    b"\"",
    b"\\",
    b"\\\"",
    b"\\\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\\u",
    b"\\u00",
    b"\\ud83d",
    b"\\udc00",
    b"\\n",
    b"\\/",
    b"\n",
    b"\r\n",
    b"\t",
    b"\0",
    b"\x1b[31m",
    b"\xff",
    b"\xc3",
    b"\xe2\x82",
    "é".as_bytes(),
    "\u{2192}".as_bytes(),
    "\u{1f600}".as_bytes(),
    b"=",
    b"==",
    b"://",
    b"@",
    b"%2F",
    b"${",
    b"-----",
    b" PRIVATE KEY-----",
    b"password",
    b"token\": \"",
    b"Bearer ",
    b"-p",
    b"eyJ",
    b"MII",
    b"sk-",
    b"ghp_",
    b"[REDACTED:",
    b"[REDACTED:X]",
    b"null",
];

/// See the module.
pub struct Corpus {
    /// Lines of recorded transcripts.
    pub lines: Vec<Vec<u8>>,
    /// Texts in which something is a secret, as templates: the rule or context, and the text.
    pub secrets: Vec<(String, String)>,
}

impl Corpus {
    /// Reads the fixtures.
    pub fn read() -> Corpus {
        let fixtures = fixtures();
        let mut lines = Vec::new();
        for path in files(&fixtures.join("transcripts")) {
            if path.extension().is_some_and(|ending| ending == "jsonl") {
                let bytes = fs::read(path).unwrap();
                let all = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                let short = all.filter(|line| line.len() <= LINE_BYTES_MAX);
                lines.extend(short.take(FILE_LINES_MAX).map(<[u8]>::to_vec));
            }
        }
        let of_rules = rules::all().flat_map(|rule| {
            rule.samples.iter().map(|sample| (rule.id.to_owned(), (*sample).to_owned()))
        });
        let contexts = fs::read_to_string(fixtures.join("redact/contexts/secrets.txt")).unwrap();
        let of_contexts = contexts
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| ("context".to_owned(), line.replace("\\n", "\n")));
        let secrets: Vec<_> = of_rules.chain(of_contexts).chain(private_keys()).collect();
        assert!(lines.len() > 500 && secrets.len() > 200, "the fixtures are there");
        Corpus { lines, secrets }
    }
}

/// Private keys in armour, whole and cut off; the secret is a line of theirs.
fn private_keys() -> impl Iterator<Item = (String, String)> {
    ["RSA ", "OPENSSH ", "", "PGP "].into_iter().flat_map(|label| {
        let block = if label == "PGP " { " BLOCK" } else { "" };
        let begin = format!("-----{} {label}PRIVATE KEY{block}-----", "BEGIN");
        let end = format!("-----{} {label}PRIVATE KEY{block}-----", "END");
        let whole = format!("{begin}\n\n{{b64}}\n«{{b64}}»\n{{b20}}==\n{end}");
        let cut = format!("{begin}\n\n«{{b64}}»\n{{b30}}");
        [("private key, whole".to_owned(), whole), ("private key, cut off".to_owned(), cut)]
    })
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    paths.into_iter().flat_map(below).collect()
}
