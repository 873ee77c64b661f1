//! Finds the secrets in one text: a decoded string, or whatever is no JSON.
//!
//! One pass over the text finds every keyword of every rule; what a keyword stands for runs there
//! alone. Expressions are compiled when they are first needed, so that a process which meets no
//! secret pays for none.

use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, FindOverlappingIter};
use memchr::memchr;
use regex::bytes::Regex;

use super::custom::{Custom, compile};
use super::escape::unescape;
use super::names::{self, Names};
use super::rules::{self, Begin, Left, Rule, is_token};
use super::settings::MarkerKey;
use super::spans::{Span, settle};
use super::value::{Looks, contains_ignoring_case, entropy, looks};
use super::{commands, context, encoded, private_key, url};

/// Escapes behind which a keyword may hide in raw JSON: of printable ASCII characters, and `\/`.
/// Those of control characters, as in coloured terminal output, hide nothing.
const HIDING_ESCAPES: [&str; 7] =
    ["\\/", "\\u002", "\\u003", "\\u004", "\\u005", "\\u006", "\\u007"];
/// Bytes of a terminal's colour sequence, `[1;38;5;200m`.
const COLOUR_BYTES_MAX: usize = 20;
/// Bytes behind `://` in which an `@` makes it worth a look.
const USER_INFO_BYTES_MAX: usize = 512;
/// Bytes behind its keyword that every token has.
const TOKEN_BYTES_MIN: usize = 10;
/// Lines over which a terminal may have wrapped one token.
const WRAPPED_LINES_MAX: usize = 16;
/// Bytes of a token from which on it may have been wrapped.
const WRAPPED_BYTES_MIN: usize = 40;

/// The rules that are code and not data: what they are called, and the `TYPE` of their markers.
pub const CONTEXT_RULES: [(&str, &str); 14] = [
    ("password", "password"),
    ("passphrase", "passphrase"),
    ("secret", "secret"),
    ("possible-secret", "secret"),
    ("login", "password"),
    ("signature", "signature"),
    ("authorization", "authorization"),
    ("cookie", "cookie"),
    ("url-password", "password"),
    ("private-key", "private_key"),
    ("command-password", "password"),
    ("phrase", "secret"),
    ("sensitive-field", "sensitive_field"),
    ("webhook", "webhook"),
];
const PASSWORD: usize = 0;
const URL_PASSWORD: usize = 8;
/// Index of the rule for private keys.
pub const PRIVATE_KEY: usize = 9;
const COMMAND_PASSWORD: usize = 10;
const PHRASE: usize = 11;
/// Index of the rule for JSON strings whose key announces a secret.
pub const SENSITIVE_FIELD: usize = 12;
const WEBHOOK: usize = 13;

/// Words of a sentence behind which a secret without a name may stand.
const PHRASES: [&str; 3] = ["authenticating with ", "authenticated with ", "login with "];

/// Words that announce a password as a literal.
const LITERALS: [&str; 1] = ["identified by "];

/// All rules of one configuration.
pub struct Scanner {
    keywords: Option<Keywords>,
    custom: Vec<Custom>,
    /// By the index that spans carry: first [`CONTEXT_RULES`], then token rules, then `custom`.
    labels: Vec<Label>,
    /// What is not a secret after all.
    allow: Vec<Regex>,
    /// What keys the tags of stable markers.
    key: Option<MarkerKey>,
}

/// What is said about a span.
pub struct Label {
    /// The rule's name.
    pub rule: String,
    /// `TYPE` of its marker, as it is written.
    pub kind: String,
    disabled: bool,
}

/// The automaton of the built-in rules.
struct Keywords {
    automaton: AhoCorasick,
    /// By pattern of the automaton.
    meanings: Vec<Meaning>,
    rules: Vec<&'static Rule>,
    /// By token rule.
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
    /// A keyword, in exactly this spelling, of the token rule with this index.
    Token(usize, &'static str),
    /// Part of a name that may announce a secret.
    Name,
    /// `://`.
    Address,
    /// Armour of a private key, in exactly this spelling.
    Armour(&'static str),
    /// The command with this index, in exactly this spelling.
    Command(usize, &'static str),
    /// The end of a phrase.
    Phrase,
    /// The end of words that announce a literal.
    Literal,
    /// Part of the address of a web hook.
    Hook,
    /// An escape behind which a keyword may hide.
    Escape,
}

impl Scanner {
    /// Prepares the built-in rules, if wanted, without those that are disabled, and `custom`. What
    /// `allow` matches is no secret. With a key, equal secrets get equal tags.
    pub fn new(
        builtin: bool,
        disabled: &[String],
        custom: Vec<Custom>,
        allow: Vec<Regex>,
        key: Option<MarkerKey>,
    ) -> Scanner {
        let mut labels = Vec::new();
        let mut label = |rule: &str, kind: &str| {
            let disabled = disabled.iter().any(|name| name == rule);
            labels.push(Label { rule: rule.to_owned(), kind: marker_type(kind), disabled });
        };
        CONTEXT_RULES.iter().for_each(|(rule, kind)| label(rule, kind));
        rules::all().for_each(|rule| label(rule.id, rule.kind));
        custom.iter().for_each(|custom| label(&custom.rule, &custom.kind));
        Scanner { keywords: builtin.then(Keywords::new), custom, labels, allow, key }
    }

    /// What the index of a span stands for.
    pub fn label(&self, index: usize) -> &Label {
        &self.labels[index]
    }

    /// How many rules of the user's own run.
    pub fn own_rules(&self) -> usize {
        self.custom.len()
    }

    /// The marker that takes the place of a secret.
    pub fn marker(&self, index: usize, secret: &[u8]) -> Vec<u8> {
        let kind = &self.labels[index].kind;
        match &self.key {
            None => format!("[REDACTED:{kind}]").into_bytes(),
            Some(key) => format!("[REDACTED:{kind}:{:08x}]", tag(key, secret)).into_bytes(),
        }
    }

    /// Looks over raw JSON for what is worth decoding its strings.
    pub fn suspicions<'a>(&'a self, raw: &'a [u8]) -> Suspicions<'a> {
        Suspicions {
            raw,
            everywhere: !self.custom.is_empty(),
            keywords: self.keywords.as_ref(),
            matches: self.keywords.as_ref().map(|words| words.automaton.find_overlapping_iter(raw)),
            resume: Vec::new(),
            runs_at: 0,
            keyword: None,
            run: None,
        }
    }

    /// The secrets in a text, in order and disjoint. `field` is what the object key that it belongs
    /// to announces, `key` that key itself.
    pub fn scan(&self, text: &[u8], field: Option<Names>, key: Option<&[u8]>) -> Vec<Span> {
        let mut spans = self.scan_custom(text, key);
        self.scan_into(text, field, &mut spans);
        if self.keywords.is_some() {
            for (run, decoded) in encoded::readable_runs(text) {
                let mut inner = Vec::new();
                self.scan_into(&decoded, None, &mut inner);
                spans.extend(inner.first().map(|first| Span { range: run, label: first.label }));
            }
        }
        spans.retain(|span| {
            let secret = &text[span.range.clone()];
            !self.labels[span.label].disabled
                && !self.allow.iter().any(|regex| regex.is_match(secret))
        });
        settle(text, spans)
    }

    /// What the patterns of the configuration match in a text.
    pub fn scan_custom(&self, text: &[u8], key: Option<&[u8]>) -> Vec<Span> {
        let mut spans = Vec::new();
        for (index, custom) in self.custom.iter().enumerate() {
            let label = self.labels.len() - self.custom.len() + index;
            custom.scan(text, key, |range| spans.push(Span { range, label }));
        }
        spans
    }

    fn scan_into(&self, text: &[u8], field: Option<Names>, spans: &mut Vec<Span>) {
        let Some(keywords) = &self.keywords else { return };
        if let Some(range) = field.and_then(|names| context::secret_field(names, text)) {
            spans.push(Span { range, label: SENSITIVE_FIELD });
        }
        keywords.scan(text, spans);
    }
}

/// What is suspicious in raw JSON, from its beginning to its end: keywords, and runs of base64.
pub struct Suspicions<'a> {
    raw: &'a [u8],
    everywhere: bool,
    keywords: Option<&'a Keywords>,
    matches: Option<FindOverlappingIter<'a, 'a>>,
    resume: Vec<(usize, usize)>,
    runs_at: usize,
    /// The next one of each kind, once it has been looked for.
    keyword: Option<usize>,
    run: Option<usize>,
}

impl Suspicions<'_> {
    /// Whether there is one in a range. Ranges are asked for in order.
    pub fn within(&mut self, range: &Range<usize>) -> bool {
        self.everywhere || self.keyword_within(range) || self.run_within(range)
    }

    fn keyword_within(&mut self, range: &Range<usize>) -> bool {
        let (Some(keywords), Some(matches)) = (self.keywords, &mut self.matches) else {
            return false;
        };
        while self.keyword.is_none_or(|at| at < range.start) {
            let (raw, resume) = (self.raw, &mut self.resume);
            let next = matches.find_map(|found| {
                keywords.is_suspicious(raw, found.pattern().as_usize(), found.range(), resume)
            });
            self.keyword = Some(next.unwrap_or(usize::MAX));
        }
        self.keyword.is_some_and(|at| at < range.end)
    }

    fn run_within(&mut self, range: &Range<usize>) -> bool {
        if self.keywords.is_none() {
            return false;
        }
        while self.run.is_none_or(|at| at < range.start) {
            self.runs_at = self.runs_at.max(range.start);
            let mut runs = encoded::readable_runs(&self.raw[self.runs_at..]);
            let next = runs.next().map(|(run, _)| run);
            self.run = Some(next.as_ref().map_or(usize::MAX, |run| self.runs_at + run.start));
            self.runs_at += next.map_or(0, |run| run.end);
        }
        self.run.is_some_and(|at| at < range.end)
    }
}

impl Keywords {
    fn new() -> Keywords {
        let mut patterns: Vec<&'static str> = Vec::new();
        let mut meanings = Vec::new();
        let mut add = |pattern, meaning| {
            patterns.push(pattern);
            meanings.push(meaning);
        };
        let rules: Vec<&'static Rule> = rules::all().collect();
        for (index, rule) in rules.iter().enumerate() {
            rule.keywords.iter().for_each(|word| add(word, Meaning::Token(index, word)));
        }
        names::PARTS.iter().for_each(|part| add(part, Meaning::Name));
        private_key::KEYWORDS.iter().for_each(|word| add(word, Meaning::Armour(word)));
        commands::keywords()
            .enumerate()
            .for_each(|(index, word)| add(word, Meaning::Command(index, word)));
        PHRASES.iter().for_each(|phrase| add(phrase, Meaning::Phrase));
        LITERALS.iter().for_each(|words| add(words, Meaning::Literal));
        HIDING_ESCAPES.iter().for_each(|escape| add(escape, Meaning::Escape));
        url::HOOKS.iter().for_each(|part| add(part, Meaning::Hook));
        add("://", Meaning::Address);
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .prefilter(false)
            .dense_depth(1)
            .kind(Some(AhoCorasickKind::DFA))
            .build(patterns)
            .expect("some hundred short keywords fit into an automaton");
        let compiled = rules.iter().map(|_| OnceLock::new()).collect();
        Keywords { automaton, meanings, rules, compiled }
    }

    /// Whether a keyword in raw JSON is worth reading its strings, from where on.
    fn is_suspicious(
        &self,
        raw: &[u8],
        pattern: usize,
        hit: Range<usize>,
        resume: &mut Vec<(usize, usize)>,
    ) -> Option<usize> {
        let suspicious = match self.meanings[pattern] {
            Meaning::Token(index, word) => {
                raw[hit.clone()] == *word.as_bytes()
                    && self.token(index, raw, hit.clone(), resume).is_some()
            }
            Meaning::Name => context::name_at(raw, hit.clone())
                .is_some_and(|name| !is_key_of_number(raw, name.range.end)),
            Meaning::Address => has_at_sign(raw, hit.end),
            Meaning::Armour(word) | Meaning::Command(_, word) => {
                raw[hit.clone()] == *word.as_bytes()
            }
            Meaning::Phrase | Meaning::Literal | Meaning::Hook | Meaning::Escape => true,
        };
        suspicious.then_some(hit.start)
    }

    fn scan(&self, text: &[u8], spans: &mut Vec<Span>) {
        // Where each rule goes on: nothing before it can be the beginning of another match.
        let mut resume = Vec::new();
        let (mut name_end, mut key_end, mut url_end, mut hook_end) = (0, 0, 0, 0);
        let mut found = Vec::new();
        for hit in self.automaton.find_overlapping_iter(text) {
            let range = hit.range();
            match self.meanings[hit.pattern()] {
                Meaning::Token(index, word) => {
                    if text[range.clone()] == *word.as_bytes()
                        && let Some(span) = self.token(index, text, range, &mut resume)
                    {
                        spans.push(span);
                    }
                }
                Meaning::Name if range.start >= name_end => {
                    let Some(name) = context::name_at(text, range) else { continue };
                    name_end = context::secrets_of(text, &name, &mut found);
                    let label = label_of(name.names);
                    spans.extend(found.drain(..).map(|range| Span { range, label }));
                }
                Meaning::Address if range.start >= url_end && has_at_sign(text, range.end) => {
                    if let Some(range) = url::secret_at(text, range.start) {
                        url_end = range.end;
                        spans.push(Span { range, label: URL_PASSWORD });
                    }
                }
                Meaning::Armour(word)
                    if range.start >= key_end && text[range.clone()] == *word.as_bytes() =>
                {
                    if let Some(range) = private_key::block_at(text, range.start) {
                        key_end = range.end;
                        spans.push(Span { range, label: PRIVATE_KEY });
                    }
                }
                Meaning::Command(index, word) if text[range.clone()] == *word.as_bytes() => {
                    let index = self.rules.len() + index;
                    if is_behind(&resume, index, range.start) {
                        continue;
                    }
                    let (secret, end) = commands::secret_at(text, index - self.rules.len(), range);
                    set_resume(&mut resume, index, end);
                    spans.extend(secret.map(|range| Span { range, label: COMMAND_PASSWORD }));
                }
                Meaning::Phrase => {
                    let secret = phrase(text, range.end);
                    spans.extend(secret.map(|range| Span { range, label: PHRASE }));
                }
                Meaning::Literal => {
                    let secret = context::literal_at(text, range.end);
                    spans.extend(secret.map(|range| Span { range, label: PASSWORD }));
                }
                Meaning::Hook if range.start >= hook_end => {
                    let (secret, end) = url::hook_at(text, range.start);
                    hook_end = end;
                    spans.extend(secret.map(|range| Span { range, label: WEBHOOK }));
                }
                _ => {}
            }
        }
    }

    /// The secret of a token rule whose keyword stands at `hit`.
    fn token(
        &self,
        index: usize,
        text: &[u8],
        hit: Range<usize>,
        resume: &mut Vec<(usize, usize)>,
    ) -> Option<Span> {
        let rule = self.rules[index];
        if matches!(rule.begin, Begin::Keyword) && !token_follows(&text[hit.end..]) {
            return None;
        }
        let start = match rule.begin {
            Begin::Keyword => hit.start,
            Begin::Before(bytes) => hit.start.checked_sub(bytes)?,
            Begin::Run(bytes_max, of) => {
                let window = &text[hit.start.saturating_sub(bytes_max)..hit.start];
                let start = hit.start - window.iter().rev().take_while(|byte| of(**byte)).count();
                // The letter of an escaped line end is not part of what follows it.
                let escaped = start > 0 && start < hit.start && text[start - 1] == b'\\';
                start + usize::from(escaped)
            }
        };
        if is_behind(resume, index, start) || !may_begin(rule.left, &text[..start]) {
            return None;
        }
        if rule.left == Left::OncePerRun {
            set_resume(resume, index, start + run_length(&text[start..]));
        }
        let compiled = self.compiled[index].get_or_init(|| Compiled::new(rule));
        let rest = &text[start..];
        let whole = compiled.whole.find(rest)?.end();
        let secret = match &compiled.before {
            Some(before) => before.find(rest)?.end()..whole - compiled.after_bytes,
            None => 0..whole,
        };
        set_resume(resume, index, start + whole);
        let secret = start + secret.start..start + secret.end;
        let content = &text[secret.clone()];
        let genuine = (rule.entropy_min == 0.0 || entropy(content) >= rule.entropy_min)
            && (rule.accept)(content)
            && !is_sample(content);
        genuine.then(|| Span {
            range: secret.start..wrapped_end(text, secret),
            label: CONTEXT_RULES.len() + index,
        })
    }
}

impl Compiled {
    fn new(rule: &Rule) -> Compiled {
        let anchored = |expression: &str| match compile(&format!("^(?:{expression})")) {
            Ok(compiled) => compiled,
            Err(error) => unreachable!("a test compiles every rule, {} too: {error}", rule.id),
        };
        Compiled {
            whole: anchored(&format!("{}(?:{}){}", rule.before, rule.secret, rule.after)),
            before: (!rule.before.is_empty()).then(|| anchored(rule.before)),
            after_bytes: rule.after.len(),
        }
    }
}

/// Whether a rule has been at this place before.
fn is_behind(resume: &[(usize, usize)], rule: usize, at: usize) -> bool {
    resume.iter().any(|(index, end)| *index == rule && at < *end)
}

/// Notes where a rule goes on; few rules ever meet a keyword in one text.
fn set_resume(resume: &mut Vec<(usize, usize)>, rule: usize, end: usize) {
    match resume.iter_mut().find(|(index, _)| *index == rule) {
        Some((_, known)) => *known = end.max(*known),
        None => resume.push((rule, end)),
    }
}

/// The rule that stands for what a name announces.
fn label_of(names: Names) -> usize {
    let rule = match names {
        Names::Password => "password",
        Names::Passphrase => "passphrase",
        Names::Key => "secret",
        Names::MaybeKey | Names::VendorKey => "possible-secret",
        Names::Login => "login",
        Names::Signature => "signature",
        Names::Authorization => "authorization",
        Names::Cookie => "cookie",
    };
    let label = CONTEXT_RULES.iter().position(|(name, _)| *name == rule);
    label.expect("every name has a rule of the table")
}

/// A secret behind a phrase: nothing says what it is, so it must look like one beyond doubt.
fn phrase(text: &[u8], at: usize) -> Option<Range<usize>> {
    let window = &text[at..text.len().min(at + USER_INFO_BYTES_MAX)];
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>;,".contains(byte);
    let word = |from: usize| window[from..].iter().position(ends).unwrap_or(window.len() - from);
    let length = word(0);
    if looks(&window[..length]) >= Looks::Strong {
        return Some(at..at + length);
    }
    // `login with user / password`
    let separator = [&b" / "[..], b" and ", b":"]
        .into_iter()
        .find(|separator| window[length..].starts_with(separator))?;
    let start = length + separator.len();
    let end = start + word(start);
    (looks(&window[start..end]) >= Looks::MadeUp).then_some(at + start..at + end)
}

/// `ghp_xxxxxxxx…` and `AKIAIOSFODNN7EXAMPLE` show what a token looks like.
fn is_sample(token: &[u8]) -> bool {
    let (mut run, mut last) = (0, 0);
    for byte in token.iter().map(u8::to_ascii_lowercase) {
        run = if byte == last && matches!(byte, b'x' | b'.' | b'*') { run + 1 } else { 1 };
        last = byte;
        if run == 4 {
            return true;
        }
    }
    contains_ignoring_case(token, b"example")
}

/// Where a token really ends that a terminal has wrapped: full lines of nothing but its characters
/// follow.
fn wrapped_end(text: &[u8], token: Range<usize>) -> usize {
    let mut end = token.end;
    let line_start = memchr::memrchr(b'\n', &text[..token.start]).map_or(0, |line| line + 1);
    let width = token.end - line_start;
    if token.len() < WRAPPED_BYTES_MIN {
        return end;
    }
    for _ in 0..WRAPPED_LINES_MAX {
        if !matches!(text[end..], [b'\n', ..] | [b'\r', b'\n', ..]) {
            break;
        }
        // An editor may have put a line number in front.
        let gap = private_key::skip_glue(text, end) - end;
        let line = run_length(&text[end + gap..]);
        let next = end + gap + line;
        let closed = text.get(next).is_none_or(|byte| byte.is_ascii_whitespace());
        let random = looks(&text[end + gap..next]) >= Looks::MadeUp;
        if line < 8 || line > width || !closed || !random {
            break;
        }
        end = next;
        if line < width {
            break;
        }
    }
    end
}

/// A keyed hash of a secret, short enough for a marker. Without the key nobody can try candidates.
fn tag(key: &MarkerKey, secret: &[u8]) -> u32 {
    let half = |at: usize| {
        let bytes = key[at..at + 8].try_into().expect("a key has two halves of eight bytes");
        u64::from_le_bytes(bytes)
    };
    // SipHash with a key of one's own: what replaces it in the standard library takes none.
    #[allow(deprecated)]
    let mut hasher = std::hash::SipHasher::new_with_keys(half(0), half(8));
    #[allow(deprecated)]
    std::hash::Hasher::write(&mut hasher, &unescape(secret));
    (std::hash::Hasher::finish(&hasher) >> 32) as u32
}

/// `TYPE` as it stands in markers: what JSON would have to escape and what would end the marker
/// early becomes `_`.
fn marker_type(kind: &str) -> String {
    let safe = |character: char| {
        let plain = character.is_ascii_graphic() && !matches!(character, '"' | '\\' | '[' | ']');
        if plain { character.to_ascii_uppercase() } else { '_' }
    };
    kind.chars().take(super::spans::KIND_BYTES_MAX).map(safe).collect()
}

/// Whether raw JSON goes on with a value that is no text: `"token":3`.
fn is_key_of_number(raw: &[u8], end: usize) -> bool {
    let value = match raw.get(end..) {
        Some([b'"', b':', b' ', value @ ..] | [b'"', b':', value @ ..]) => value,
        _ => return false,
    };
    let number = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let word = [&b"true"[..], b"false", b"null"].into_iter().find(|word| value.starts_with(word));
    let length = word.map_or_else(|| value.iter().take(32).take_while(number).count(), <[u8]>::len);
    length > 0 && matches!(value.get(length), Some(b',' | b'}' | b']'))
}

fn has_at_sign(text: &[u8], from: usize) -> bool {
    memchr(b'@', &text[from..text.len().min(from + USER_INFO_BYTES_MAX)]).is_some()
}

/// Length of the run of `[A-Za-z0-9_-]` at the beginning.
fn run_length(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_token(**byte)).count()
}

/// Whether a keyword is followed by what could be the rest of a token: most are not, and an
/// expression costs more than this look.
fn token_follows(rest: &[u8]) -> bool {
    let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.~=+%:$/".contains(byte);
    rest.get(..TOKEN_BYTES_MIN).is_some_and(|rest| rest.iter().all(of_token))
}

/// Whether a match may stand behind this.
fn may_begin(left: Left, before: &[u8]) -> bool {
    match left {
        Left::Any | Left::OncePerRun => true,
        Left::Boundary => is_boundary(before),
        Left::Alone => is_boundary(before) && !matches!(before.last(), Some(b'_' | b'+' | b'/')),
    }
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
