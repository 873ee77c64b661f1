//! Finds the tokens that `rules` describe, each where one of its keywords stands.
//!
//! Expressions are compiled when they are first needed, so that a process which meets no secret
//! pays for none.

use std::ops::Range;
use std::sync::OnceLock;

use memchr::memrchr;
use regex::bytes::Regex;

use super::custom::compile;
use super::escape::rest_of_escape;
use super::private_key;
use super::rules::{Begin, DETECTORS, Detector, Left, is_token};
use super::value::{Looks, contains_ignoring_case, entropy, looks};

/// Bytes of a terminal's colour sequence, `[1;38;5;200m`.
const COLOUR_BYTES_MAX: usize = 20;
/// Bytes behind its keyword that every token has.
const TOKEN_BYTES_MIN: usize = 10;
/// Lines over which a terminal may have wrapped one token.
const WRAPPED_LINES_MAX: usize = 16;
/// Bytes of a token from which on it may have been wrapped.
const WRAPPED_BYTES_MIN: usize = 40;

/// All token rules.
pub struct Tokens {
    /// By index.
    pub rules: &'static [Detector],
    compiled: Vec<OnceLock<Compiled>>,
}

/// Where each rule goes on in one text: nothing before it can be the beginning of another match.
/// Few rules ever meet a keyword in one text.
#[derive(Default)]
pub struct Resume {
    rules: Vec<(usize, usize)>,
    /// Where names have ended: nearly every text has some, and is to need no memory for that.
    pub names: usize,
}

/// The expressions of a rule, anchored.
struct Compiled {
    whole: Regex,
    before: Option<Regex>,
    after_bytes: usize,
}

impl Tokens {
    /// Prepares all rules.
    pub fn new() -> Tokens {
        let compiled = DETECTORS.iter().map(|_| OnceLock::new()).collect();
        Tokens { rules: &DETECTORS, compiled }
    }

    /// The secret of the rule with this index, whose keyword stands at `hit`.
    pub fn at(
        &self,
        index: usize,
        text: &[u8],
        hit: Range<usize>,
        resume: &mut Resume,
    ) -> Option<Range<usize>> {
        let rule = &self.rules[index];
        if matches!(rule.begin, Begin::Keyword) && !token_follows(&text[hit.end..]) {
            return None;
        }
        let start = match rule.begin {
            Begin::Keyword => hit.start,
            Begin::Before(bytes) => hit.start.checked_sub(bytes)?,
            Begin::Run(..) if resume.is_behind(index, hit.start) => return None,
            Begin::Run(bytes_max, of) => {
                let window = &text[hit.start.saturating_sub(bytes_max + 1)..hit.start];
                let run = window.iter().rev().take_while(|byte| of(**byte)).count();
                if run > bytes_max {
                    // Of a keyword further on in the same run, the same is true.
                    let rest = text[hit.start..].iter().take_while(|byte| of(**byte)).count();
                    resume.set(index, hit.start + rest);
                    return None;
                }
                let start = hit.start - run;
                start + rest_of_escape(text, start).min(run)
            }
        };
        if resume.is_behind(index, start) || !may_begin(rule.left, &text[..start]) {
            return None;
        }
        if rule.left == Left::OncePerRun {
            resume.set(index, start + run_length(&text[start..]));
        }
        let compiled = self.compiled[index].get_or_init(|| Compiled::new(rule));
        let rest = &text[start..];
        let whole = compiled.whole.find(rest)?.end();
        let secret = match &compiled.before {
            Some(before) => before.find(rest)?.end()..whole - compiled.after_bytes,
            None => 0..whole,
        };
        resume.set(index, start + whole);
        let secret = start + secret.start..start + secret.end;
        let content = &text[secret.clone()];
        let genuine = (rule.entropy_min == 0.0 || entropy(content) >= rule.entropy_min)
            && (rule.accept)(content)
            && !is_sample(content);
        genuine.then(|| secret.start..wrapped_end(text, secret))
    }
}

impl Resume {
    /// Whether a rule has been at this place before.
    pub fn is_behind(&self, rule: usize, at: usize) -> bool {
        self.rules.iter().any(|(index, end)| *index == rule && at < *end)
    }

    /// Notes where a rule goes on.
    pub fn set(&mut self, rule: usize, end: usize) {
        match self.rules.iter_mut().find(|(index, _)| *index == rule) {
            Some((_, known)) => *known = end.max(*known),
            None => self.rules.push((rule, end)),
        }
    }
}

impl Compiled {
    fn new(rule: &Detector) -> Compiled {
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
    // Looked at first: the beginning of the line may be far, with many tokens between.
    let is_at_line_end = matches!(text[end..], [b'\n', ..] | [b'\r', b'\n', ..]);
    if token.len() < WRAPPED_BYTES_MIN || !is_at_line_end {
        return end;
    }
    let line_start = memrchr(b'\n', &text[..token.start]).map_or(0, |line| line + 1);
    let width = token.end - line_start;
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
