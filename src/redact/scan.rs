//! Finds the secrets in one decoded text.
//!
//! One pass over the text finds every keyword; a rule runs at its own keywords only. Expressions
//! are compiled when they are first needed, so that a process which meets no secret pays for none.

use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Match};
use memchr::memrchr;
use regex::bytes::{Regex, RegexBuilder};

use super::private_key::{self, Ends};
use super::rules::{Left, RULES, Rule, SECRET_FIELD_KIND, SECRET_FIELDS, Shape};
use super::spans::{Span, settle};

/// Memory that one compiled expression may take, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;
/// Memory for the states that one expression has met, in bytes.
const EXPRESSION_CACHE_BYTES_MAX: usize = 256 << 10;
/// Escapes behind which a keyword may hide in raw JSON: of printable ASCII characters, and `\/`.
/// Those of control characters, as in coloured terminal output, hide nothing.
const HIDING_ESCAPES: [&str; 7] =
    ["\\/", "\\u002", "\\u003", "\\u004", "\\u005", "\\u006", "\\u007"];
/// Bytes of a terminal's colour sequence, `[1;38;5;200m`.
const COLOUR_BYTES_MAX: usize = 20;

/// A pattern of the configuration, ready to run.
pub struct Custom {
    /// `TYPE` of its marker.
    pub kind: String,
    /// Which object keys it applies to; `None` is all texts.
    pub field: Option<Regex>,
    /// What it looks for; `None` is the whole value.
    pub value: Option<Regex>,
    /// Capture group that is replaced; 0 is the whole match.
    pub group: usize,
}

/// All rules of one configuration.
pub struct Scanner {
    keywords: Option<Keywords>,
    custom: Vec<Custom>,
    /// Of [`RULES`], of the secret fields, then of `custom`.
    markers: Vec<Vec<u8>>,
}

/// The automaton of the built-in rules.
struct Keywords {
    automaton: AhoCorasick,
    /// By pattern of the automaton.
    meanings: Vec<Meaning>,
    /// By rule.
    compiled: Vec<OnceLock<Compiled>>,
}

/// The expressions of a rule, anchored.
struct Compiled {
    whole: Regex,
    before: Option<Regex>,
    after_bytes: usize,
}

#[derive(Clone, Copy)]
enum Meaning {
    /// A keyword, in exactly this spelling, of the rule with this index.
    Rule(usize, &'static str),
    /// An object key, in any letter case and with its quotes, whose value is a secret.
    Field,
    /// An escape behind which a keyword may hide.
    Escape,
}

impl Scanner {
    /// Prepares the built-in rules, if wanted, and those of the configuration.
    pub fn new(builtin: bool, custom: Vec<Custom>) -> Scanner {
        let kinds = RULES.iter().map(|rule| rule.kind).chain([SECRET_FIELD_KIND]);
        let markers = kinds.chain(custom.iter().map(|custom| custom.kind.as_str())).map(marker);
        let markers = markers.collect();
        Scanner { keywords: builtin.then(Keywords::new), custom, markers }
    }

    /// The marker of a span.
    pub fn marker(&self, index: usize) -> &[u8] {
        &self.markers[index]
    }

    /// A position in raw JSON before which no string holds anything to redact; `None` when the
    /// whole of it is clean.
    pub fn first_suspicion(&self, raw: &[u8]) -> Option<usize> {
        if !self.custom.is_empty() {
            return Some(0);
        }
        let keywords = self.keywords.as_ref()?;
        let mut hits = Hits::new(raw);
        let mut matches = keywords.automaton.find_overlapping_iter(raw);
        let suspicious = matches.find(|found| match keywords.meanings[found.pattern()] {
            Meaning::Rule(rule, keyword) => hits.plausible(&RULES[rule], keyword, found),
            Meaning::Field | Meaning::Escape => true,
        });
        suspicious.map(|found| found.start())
    }

    /// The secrets in a text, in order and disjoint. `field` is the object key that it belongs to.
    pub fn scan(&self, text: &[u8], field: Option<&[u8]>) -> Vec<Span> {
        let mut spans = Vec::new();
        if let Some(keywords) = &self.keywords {
            if field.is_some_and(is_secret_field) {
                spans.push(Span { range: 0..text.len(), marker: RULES.len() });
            }
            keywords.scan(text, &mut spans);
        }
        for (index, custom) in self.custom.iter().enumerate() {
            custom.scan(text, field, RULES.len() + 1 + index, &mut spans);
        }
        settle(text, spans)
    }
}

/// Compiles an expression of the configuration: byte-wise with ASCII classes, or, when it needs
/// more, with classes of any characters.
pub fn compile(expression: &str) -> Result<Regex, regex::Error> {
    let build = |unicode| {
        RegexBuilder::new(expression)
            .unicode(unicode)
            .size_limit(EXPRESSION_BYTES_MAX)
            .dfa_size_limit(EXPRESSION_CACHE_BYTES_MAX)
            .build()
    };
    build(false).or_else(|error| build(true).map_err(|_| error))
}

impl Keywords {
    fn new() -> Keywords {
        let mut patterns = Vec::new();
        let mut meanings = Vec::new();
        for (index, rule) in RULES.iter().enumerate() {
            for keyword in rule.keywords {
                patterns.push((*keyword).to_owned());
                meanings.push(Meaning::Rule(index, keyword));
            }
        }
        for field in SECRET_FIELDS {
            patterns.push(format!("\"{field}\""));
            meanings.push(Meaning::Field);
        }
        for escape in HIDING_ESCAPES {
            patterns.push(escape.to_owned());
            meanings.push(Meaning::Escape);
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(patterns)
            .expect("a few hundred short keywords fit into an automaton");
        Keywords { automaton, meanings, compiled: RULES.iter().map(|_| OnceLock::new()).collect() }
    }

    fn scan(&self, text: &[u8], spans: &mut Vec<Span>) {
        let mut hits = Hits::new(text);
        // Where each rule goes on: nothing before it can be the beginning of another match.
        let mut resume = [0; RULES.len()];
        for found in self.automaton.find_overlapping_iter(text) {
            let Meaning::Rule(index, keyword) = self.meanings[found.pattern()] else { continue };
            let rule = &RULES[index];
            let Some(start) = found.start().checked_sub(rule.keyword_offset) else { continue };
            if start < resume[index] || !hits.plausible(rule, keyword, &found) {
                continue;
            }
            if rule.left == Left::OncePerRun {
                resume[index] = run_end(text, start);
            }
            let Some((whole, secret)) = self.secret_at(index, text, start, &mut hits) else {
                continue;
            };
            resume[index] = whole.end.max(resume[index]);
            if (rule.accept)(&text[whole]) {
                spans.push(Span { range: secret, marker: index });
            }
        }
    }

    /// The whole match of a rule at a place, and the part of it that is the secret.
    fn secret_at(
        &self,
        index: usize,
        text: &[u8],
        start: usize,
        hits: &mut Hits<'_>,
    ) -> Option<(Range<usize>, Range<usize>)> {
        let compiled = match &RULES[index].shape {
            Shape::PrivateKeyBlock => {
                let block = private_key::block_at(text, start, &mut hits.key_ends)?;
                return Some((block.clone(), block));
            }
            Shape::Expression { before, secret, after } => self.compiled[index]
                .get_or_init(|| Compiled::new(RULES[index].id, before, secret, after)),
        };
        let rest = &text[start..];
        let whole = compiled.whole.find(rest)?.end();
        let secret = match &compiled.before {
            Some(before) => before.find(rest)?.end()..whole - compiled.after_bytes,
            None => 0..whole,
        };
        Some((start..start + whole, start + secret.start..start + secret.end))
    }
}

impl Compiled {
    fn new(id: &str, before: &str, secret: &str, after: &str) -> Compiled {
        let anchored = |expression: &str| match compile(&format!("^(?:{expression})")) {
            Ok(compiled) => compiled,
            Err(error) => unreachable!("a test compiles every rule, {id} too: {error}"),
        };
        Compiled {
            whole: anchored(&format!("{before}(?:{secret}){after}")),
            before: (!before.is_empty()).then(|| anchored(before)),
            after_bytes: after.len(),
        }
    }
}

/// What is remembered of a text while its keywords are visited.
struct Hits<'a> {
    text: &'a [u8],
    /// Where the last `@` is, once somebody has asked.
    last_at_sign: Option<Option<usize>>,
    key_ends: Ends<'a>,
}

impl<'a> Hits<'a> {
    fn new(text: &'a [u8]) -> Hits<'a> {
        Hits { text, last_at_sign: None, key_ends: Ends::new(text) }
    }

    /// What can be said about a keyword without its expression.
    fn plausible(&mut self, rule: &Rule, keyword: &str, found: &Match) -> bool {
        if self.text[found.range()] != *keyword.as_bytes() {
            return false;
        }
        if rule.left == Left::Boundary && !is_boundary(&self.text[..found.start()]) {
            return false;
        }
        let text = self.text;
        !rule.at_sign
            || *self.last_at_sign.get_or_insert_with(|| memrchr(b'@', text)) > Some(found.end())
    }
}

impl Custom {
    fn scan(&self, text: &[u8], field: Option<&[u8]>, marker: usize, spans: &mut Vec<Span>) {
        if let Some(name) = &self.field
            && !field.is_some_and(|field| name.is_match(field))
        {
            return;
        }
        let Some(value) = &self.value else {
            spans.push(Span { range: 0..text.len(), marker });
            return;
        };
        if self.group == 0 {
            let found = value.find_iter(text);
            spans.extend(found.map(|found| Span { range: found.range(), marker }));
            return;
        }
        let groups = value.captures_iter(text).filter_map(|groups| groups.get(self.group));
        spans.extend(groups.map(|found| Span { range: found.range(), marker }));
    }
}

/// `[REDACTED:TYPE]`; what JSON would have to escape and what would end the marker early becomes
/// `_`.
fn marker(kind: &str) -> Vec<u8> {
    let safe = |character: char| {
        let plain = character.is_ascii_graphic() && !matches!(character, '"' | '\\' | '[' | ']');
        if plain { character.to_ascii_uppercase() } else { '_' }
    };
    let kind: String = kind.chars().take(super::spans::KIND_BYTES_MAX).map(safe).collect();
    format!("[REDACTED:{kind}]").into_bytes()
}

fn is_secret_field(field: &[u8]) -> bool {
    SECRET_FIELDS.iter().any(|name| field.eq_ignore_ascii_case(name.as_bytes()))
}

/// The end of the run of `[A-Za-z0-9_-]` at a place.
fn run_end(text: &[u8], start: usize) -> usize {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    start + text[start..].iter().position(|byte| !inside(byte)).unwrap_or(text.len() - start)
}

/// Whether a token may begin here: no letter, digit or hyphen before it, except as the end of an
/// escape sequence of JSON inside a string, of a URL or of a terminal's colours.
fn is_boundary(before: &[u8]) -> bool {
    match before {
        [.., b'\\', b'b' | b'f' | b'n' | b'r' | b't'] => true,
        [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) => true,
        [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        [rest @ .., b'm'] => rest
            .iter()
            .rev()
            .take(COLOUR_BYTES_MAX)
            .find(|byte| !byte.is_ascii_digit() && **byte != b';')
            .is_some_and(|byte| *byte == b'['),
        [.., last] => !last.is_ascii_alphanumeric() && *last != b'-',
        [] => true,
    }
}
