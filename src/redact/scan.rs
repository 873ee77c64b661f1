//! Finds the secrets in one text: a decoded string, or whatever is no JSON.
//!
//! One pass over the text finds every keyword of every rule; what a keyword stands for runs there
//! alone. Expressions are compiled when they are first needed, so that a process which meets no
//! secret pays for none.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;
use regex::bytes::Regex;

use super::custom::Custom;
use super::hits::{Automaton, Hit, Hits};
use super::labels::{
    COMMAND_PASSWORD, CONTEXT_RULES, Label, PASSWORD, PHRASE, PRIVATE_KEY, SENSITIVE_FIELD,
    URL_PASSWORD, WEBHOOK, label_of, marker_type, tag,
};
use super::names::{self, Names};
use super::rules;
use super::settings::MarkerKey;
use super::spans::{Span, settle};
use super::tokens::{Resume, Tokens};
use super::value::{Looks, looks};
use super::{commands, context, encoded, jwk, private_key, url};

/// Escapes behind which a keyword may hide in raw JSON: of printable ASCII characters, and `\/`.
/// Those of control characters, as in coloured terminal output, hide nothing.
const HIDING_ESCAPES: [&str; 7] =
    ["\\/", "\\u002", "\\u003", "\\u004", "\\u005", "\\u006", "\\u007"];
/// Bytes of a keyword that the automaton knows.
const KEYWORD_BYTES_MAX: usize = 5;
/// Suspicious keywords of a string that are kept in mind; one with more is searched everywhere.
const HITS_MAX: usize = 4096;
/// Bytes behind `://` in which an `@` makes it worth a look.
const USER_INFO_BYTES_MAX: usize = 512;
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

/// The automaton of the built-in rules.
struct Keywords {
    automaton: Automaton,
    /// By pattern of the automaton.
    meanings: Vec<Meaning>,
    tokens: Tokens,
}

#[derive(Clone, Copy)]
enum Meaning {
    /// A keyword, in exactly this spelling, of the token rule with this index.
    Token(usize, &'static str),
    /// Part of a name that may announce a secret.
    Name,
    /// `://`.
    Address,
    /// What makes an object a JSON Web Key.
    Jwk,
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
            let kind = marker_type(kind);
            let marker = format!("[REDACTED:{kind}]");
            labels.push(Label { rule: rule.to_owned(), kind, marker, disabled });
        };
        CONTEXT_RULES.iter().for_each(|(rule, kind)| label(rule, kind));
        rules::DETECTORS.iter().for_each(|rule| label(rule.id, rule.kind));
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
    pub fn marker(&self, index: usize, secret: &[u8]) -> Cow<'_, [u8]> {
        let label = &self.labels[index];
        match &self.key {
            None => Cow::Borrowed(label.marker.as_bytes()),
            Some(key) => {
                let tag = tag(key, secret);
                Cow::Owned(format!("[REDACTED:{}:{tag:08x}]", label.kind).into_bytes())
            }
        }
    }

    /// Looks over raw JSON for what is worth decoding its strings.
    pub fn suspicions<'a>(&'a self, raw: &'a [u8]) -> Suspicions<'a> {
        Suspicions {
            raw,
            everywhere: !self.custom.is_empty(),
            keywords: self.keywords.as_ref(),
            matches: self.keywords.as_ref().map(|words| Hits::new(&words.automaton, raw)),
            resume: Resume::default(),
            runs_at: 0,
            keyword: None,
            run: None,
        }
    }

    /// The secrets in a text, in order and disjoint. `field` is what the object key that it belongs
    /// to announces, `key` that key itself.
    pub fn scan(&self, text: &[u8], field: Option<Names>, key: Option<&[u8]>) -> Vec<Span> {
        self.scan_for(text, field, key, &Search::Everywhere)
    }

    /// The same where it is known what is worth searching for.
    pub fn scan_for(
        &self,
        text: &[u8],
        field: Option<Names>,
        key: Option<&[u8]>,
        search: &Search,
    ) -> Vec<Span> {
        let mut spans = self.scan_custom(text, key);
        if let Some(keywords) = &self.keywords {
            if let Some(range) = field.and_then(|names| context::secret_field(names, text)) {
                spans.push(Span { range, label: SENSITIVE_FIELD });
            }
            match search {
                Search::Nowhere => {}
                Search::At { hits, .. } => {
                    keywords.scan(text, &mut hits.iter().cloned(), &mut spans)
                }
                Search::Everywhere => keywords.scan_all(text, &mut spans),
            }
            if matches!(search, Search::At { has_runs: true, .. } | Search::Everywhere) {
                for (run, decoded) in encoded::readable_runs(text) {
                    let mut inner = Vec::new();
                    keywords.scan_all(&decoded, &mut inner);
                    let label = inner.first().map(|first| first.label);
                    spans.extend(label.map(|label| Span { range: run, label }));
                }
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
}

/// What is suspicious in raw JSON, from its beginning to its end: keywords, and runs of base64.
pub struct Suspicions<'a> {
    raw: &'a [u8],
    everywhere: bool,
    keywords: Option<&'a Keywords>,
    matches: Option<Hits<'a>>,
    resume: Resume,
    runs_at: usize,
    /// The next one of each kind, once it has been looked for.
    keyword: Option<Hit>,
    run: Option<usize>,
}

/// Where a string has to be searched.
pub enum Search {
    /// Nowhere.
    Nowhere,
    /// For keywords at these places, and for runs of base64 if there are any.
    At {
        /// Keywords that were suspicious.
        hits: Vec<Hit>,
        /// Whether there are runs.
        has_runs: bool,
    },
    /// All of it: keywords may be hidden in it.
    Everywhere,
}

impl Suspicions<'_> {
    /// Whether there is anything at all.
    pub fn any(&mut self) -> bool {
        let range = 0..self.raw.len();
        self.everywhere || self.keyword_within(&range) || self.run_within(&range)
    }

    /// What there is in the raw content of a string. Ranges are asked for in order.
    pub fn within(&mut self, range: &Range<usize>) -> Search {
        let mut hits = Vec::new();
        while self.keyword_within(range) {
            let Some(Hit { word, range: its }) = self.keyword.take() else { break };
            let is_hiding = self.keywords.is_some_and(|keywords| keywords.is_hiding(word));
            if is_hiding || hits.len() == HITS_MAX {
                return Search::Everywhere;
            }
            hits.push(Hit { word, range: its.start - range.start..its.end - range.start });
        }
        let has_runs = self.run_within(range);
        let is_worth_it = self.everywhere || !hits.is_empty() || has_runs;
        if is_worth_it { Search::At { hits, has_runs } } else { Search::Nowhere }
    }

    /// Whether the next suspicious keyword is in a range.
    fn keyword_within(&mut self, range: &Range<usize>) -> bool {
        let (Some(keywords), Some(matches)) = (self.keywords, &mut self.matches) else {
            return false;
        };
        while self.keyword.as_ref().is_none_or(|hit| hit.range.start < range.start) {
            let (raw, resume) = (self.raw, &mut self.resume);
            self.keyword = matches.find(|found| keywords.is_suspicious(raw, found, resume));
            if self.keyword.is_none() {
                return false;
            }
        }
        self.keyword.as_ref().is_some_and(|hit| hit.range.start < range.end)
    }

    fn run_within(&mut self, range: &Range<usize>) -> bool {
        if self.keywords.is_none() {
            return false;
        }
        while self.run.is_none_or(|at| at < range.start) {
            self.runs_at = self.runs_at.max(range.start);
            let mut runs = encoded::raw_runs(&self.raw[self.runs_at..]);
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
        let tokens = Tokens::new();
        for (index, rule) in tokens.rules.iter().enumerate() {
            rule.keywords.iter().for_each(|word| add(beginning(word), Meaning::Token(index, word)));
        }
        names::PARTS.iter().for_each(|part| add(part, Meaning::Name));
        private_key::KEYWORDS.iter().for_each(|word| add(beginning(word), Meaning::Armour(word)));
        commands::keywords()
            .enumerate()
            .for_each(|(index, word)| add(beginning(word), Meaning::Command(index, word)));
        PHRASES.iter().for_each(|phrase| add(phrase, Meaning::Phrase));
        LITERALS.iter().for_each(|words| add(words, Meaning::Literal));
        HIDING_ESCAPES.iter().for_each(|escape| add(escape, Meaning::Escape));
        url::HOOKS.iter().for_each(|part| add(part, Meaning::Hook));
        add("://", Meaning::Address);
        add(jwk::KEYWORD, Meaning::Jwk);
        let automaton = Automaton::new(&patterns);
        Keywords { automaton, meanings, tokens }
    }

    /// Whether a keyword stands for one that is written otherwise.
    fn is_hiding(&self, word: usize) -> bool {
        matches!(self.meanings[word], Meaning::Escape)
    }

    /// Whether a keyword in raw JSON is worth decoding its string. What is not worth it there finds
    /// nothing in the string either.
    fn is_suspicious(&self, raw: &[u8], found: &Hit, resume: &mut Resume) -> bool {
        let hit = found.range.clone();
        match self.meanings[found.word] {
            Meaning::Token(index, word) => whole(raw, hit.start, word)
                .is_some_and(|hit| self.tokens.at(index, raw, hit, resume).is_some()),
            Meaning::Name if hit.start < resume.names => false,
            Meaning::Name => {
                let range = context::name_range(raw, hit);
                resume.names = resume.names.max(range.end);
                let end = range.end;
                context::may_have_value(raw, range.clone())
                    && !is_key_of_number(raw, end)
                    && context::name_in(raw, range).is_some()
            }
            Meaning::Address => has_at_sign(raw, hit.end),
            Meaning::Armour(word) | Meaning::Command(_, word) => {
                whole(raw, hit.start, word).is_some()
            }
            Meaning::Jwk | Meaning::Phrase | Meaning::Literal | Meaning::Hook | Meaning::Escape => {
                true
            }
        }
    }

    /// What keywords find in a text.
    fn scan_all(&self, text: &[u8], spans: &mut Vec<Span>) {
        self.scan(text, &mut Hits::new(&self.automaton, text), spans);
    }

    /// What keywords find where they stand in a text.
    fn scan(&self, text: &[u8], hits: &mut dyn Iterator<Item = Hit>, spans: &mut Vec<Span>) {
        // Where each rule goes on: nothing before it can be the beginning of another match.
        let mut resume = Resume::default();
        let (mut name_end, mut key_end, mut jwk_end, mut url_end, mut hook_end) = (0, 0, 0, 0, 0);
        let mut found = Vec::new();
        for hit in hits {
            let range = hit.range;
            match self.meanings[hit.word] {
                Meaning::Token(index, word) => {
                    if let Some(range) = whole(text, range.start, word)
                        && let Some(range) = self.tokens.at(index, text, range, &mut resume)
                    {
                        spans.push(Span { range, label: CONTEXT_RULES.len() + index });
                    }
                }
                Meaning::Name if range.start >= name_end => {
                    let range = context::name_range(text, range);
                    name_end = range.end;
                    let Some(name) = context::name_in(text, range) else { continue };
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
                    if range.start >= key_end && whole(text, range.start, word).is_some() =>
                {
                    if let Some(range) = private_key::block_at(text, range.start) {
                        key_end = range.end;
                        spans.push(Span { range, label: PRIVATE_KEY });
                    }
                }
                Meaning::Jwk if range.start >= jwk_end => {
                    jwk_end = jwk::secrets_at(text, range.start, jwk_end, &mut found);
                    let spans_of = found.drain(..);
                    spans.extend(spans_of.map(|range| Span { range, label: PRIVATE_KEY }));
                }
                Meaning::Command(index, word) => {
                    let Some(range) = whole(text, range.start, word) else { continue };
                    let index = self.tokens.rules.len() + index;
                    if resume.is_behind(index, range.start) {
                        continue;
                    }
                    let (secret, end) =
                        commands::secret_at(text, index - self.tokens.rules.len(), range);
                    resume.set(index, end);
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
}

/// What of a keyword the automaton knows: enough to tell most texts from it, and few states.
fn beginning(word: &'static str) -> &'static str {
    &word[..word.len().min(KEYWORD_BYTES_MAX)]
}

/// Where a keyword stands as a whole, in exactly this spelling.
fn whole(text: &[u8], start: usize, word: &str) -> Option<Range<usize>> {
    let word = word.as_bytes();
    // Most are told apart by the case of a letter, and comparing all of it costs a call.
    let is_whole = text[start] == word[0] && text[start..].starts_with(word);
    is_whole.then(|| start..start + word.len())
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
