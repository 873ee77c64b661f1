//! The rules that are built in, as data. Adding a kind of secret is adding an entry to one of the
//! families below.
//!
//! A rule of this folder finds a self-identifying token: one whose own spelling says what it is.
//! What only its surroundings give away (a name, a header, a flag) is found by `context`.
//!
//! A rule runs only where one of its keywords stands, anchored there: a text without any keyword
//! costs one pass. Patterns are ASCII and byte-wise, without look-around, and must fail within a
//! bounded distance or at the end of a run of their class, so that no input makes them quadratic.
//!
//! Samples are templates, so that no secret scanner fires on this repository: `{a36}` stands for 36
//! random characters of the class `a`, see [`Rule::samples`].

mod ai;
mod azure;
mod business;
mod ci;
mod cloud;
mod communication;
mod databases;
mod general;
mod identity;
mod infrastructure;
mod key_material;
mod monitoring;
mod packages;
mod payment;
pub mod samples;
mod social;
mod source_hosting;
#[cfg(test)]
mod tests;

use crate::redact::value::{Looks, looks};

/// The families, in the order in which they win.
const FAMILIES: [&[Rule]; 16] = [
    ai::RULES,
    azure::RULES,
    business::RULES,
    ci::RULES,
    cloud::RULES,
    communication::RULES,
    databases::RULES,
    identity::RULES,
    infrastructure::RULES,
    key_material::RULES,
    monitoring::RULES,
    packages::RULES,
    payment::RULES,
    social::RULES,
    source_hosting::RULES,
    general::RULES,
];

/// Bytes of a part of a name from which on it can be random without doubt.
const PART_BYTES_MIN: usize = 20;

/// What one rule detects and how, and what shows that it does.
pub struct Rule {
    /// Stable name, for messages and for `disabled_rules`: lower case, with hyphens.
    pub id: &'static str,
    /// What it is, for people: "personal access token of GitHub".
    pub detects: &'static str,
    /// `TYPE` of the marker, in lower case.
    pub kind: &'static str,
    /// Literal parts of every match, at least three bytes each, in this very spelling. They hold no
    /// byte that JSON writes as an escape, except `/`.
    pub keywords: &'static [&'static str],
    /// Where a match begins, seen from its keyword.
    pub begin: Begin,
    /// What may stand before a match.
    pub left: Left,
    /// What stands before the secret, as an expression; may be empty. It matches the same bytes
    /// alone as in front of the secret, so that no capture groups are needed, which are slower.
    pub before: &'static str,
    /// The secret, as an expression.
    pub secret: &'static str,
    /// What stands behind the secret, literally; may be empty.
    pub after: &'static str,
    /// Shannon entropy that the secret has at least, in bits a byte; 0 asks for none.
    pub entropy_min: f32,
    /// A last look at the secret.
    pub accept: fn(&[u8]) -> bool,
    /// Texts in which the rule finds a secret. `{a36}` is expanded to random characters: `a`
    /// letters and digits, `l` lower-case letters and digits, `u` upper-case letters and digits,
    /// `h` and `H` hexadecimal digits, `d` digits, `z` and `Z` letters, `b` base64, `s` base64 for
    /// URLs. What stands between `«` and `»` is the secret; without them the whole text is.
    pub samples: &'static [&'static str],
    /// Texts that look like it and stay as they are.
    pub harmless: &'static [&'static str],
}

/// What of a [`Rule`] finds secrets. What tells people and tests about it is no part of the
/// program, which is 40 kB smaller for that.
pub struct Detector {
    /// As [`Rule::id`].
    pub id: &'static str,
    /// As [`Rule::kind`].
    pub kind: &'static str,
    /// As [`Rule::keywords`].
    pub keywords: &'static [&'static str],
    /// As [`Rule::begin`].
    pub begin: Begin,
    /// As [`Rule::left`].
    pub left: Left,
    /// As [`Rule::before`].
    pub before: &'static str,
    /// As [`Rule::secret`].
    pub secret: &'static str,
    /// As [`Rule::after`].
    pub after: &'static str,
    /// As [`Rule::entropy_min`].
    pub entropy_min: f32,
    /// As [`Rule::accept`].
    pub accept: fn(&[u8]) -> bool,
}

/// All built-in rules. Those of earlier position win where two find the same span.
pub static DETECTORS: [Detector; count()] = detectors();

/// Where a match begins.
#[derive(Clone, Copy)]
pub enum Begin {
    /// At the keyword.
    Keyword,
    /// This many bytes before the keyword.
    Before(usize),
    /// At the beginning of the run of such bytes that ends at the keyword, which is no longer than
    /// this, in bytes.
    Run(usize, fn(u8) -> bool),
}

/// What may stand before a match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Left {
    /// Anything.
    Any,
    /// No letter, digit or hyphen, unless it ends an escape sequence.
    Boundary,
    /// As [`Left::Boundary`], and no underscore, plus or slash.
    Alone,
    /// Anything, but a run of the token's class `[A-Za-z0-9_-]` is tried only once, from the first
    /// keyword in it: what fails there fails at the later ones as well.
    OncePerRun,
}

/// What most rules have in common.
const RULE: Rule = Rule {
    id: "",
    detects: "",
    kind: "",
    keywords: &[],
    begin: Begin::Keyword,
    left: Left::Any,
    before: "",
    secret: "",
    after: "",
    entropy_min: 0.0,
    accept: |_| true,
    samples: &[],
    harmless: &[],
};

/// A token that begins with its keyword: name, what it is, `TYPE`, keywords, expression, samples.
const fn token(
    id: &'static str,
    detects: &'static str,
    kind: &'static str,
    keywords: &'static [&'static str],
    secret: &'static str,
    samples: &'static [&'static str],
) -> Rule {
    Rule { id, detects, kind, keywords, secret, samples, ..RULE }
}

/// A token whose keyword is short or common: it must stand alone and be random.
const fn shy(rule: Rule, entropy_min: f32) -> Rule {
    Rule { left: Left::Boundary, entropy_min, ..rule }
}

/// A token whose prefix could begin a name as well: it must stand alone, and what follows must have
/// been made by a machine.
const fn random(rule: Rule) -> Rule {
    Rule { left: Left::Boundary, accept: is_random_behind_prefix, ..rule }
}

/// Whether a machine has made what follows the first sign that is no letter or digit; all of it, if
/// there is none.
fn is_random_behind_prefix(token: &[u8]) -> bool {
    let prefix = token.iter().position(|byte| !byte.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
    is_random(&token[prefix..])
}

/// Whether a machine has made it: a long part of it, or beyond doubt the whole of it. Names of many
/// short parts look random together, as `mm512_mask_cvtepi16_storeu_epi8` does.
fn is_random(body: &[u8]) -> bool {
    let parts = body.split(|byte| matches!(byte, b'_' | b'-'));
    let longest = parts.max_by_key(|part| part.len()).unwrap_or_default();
    longest.len() >= PART_BYTES_MIN && looks(longest) >= Looks::Random
        || looks(body) == Looks::Strong
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// What most tokens consist of.
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Base64 of either alphabet.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-')
}

/// All built-in rules with their samples: for tests alone, the program has [`DETECTORS`].
pub fn all() -> impl Iterator<Item = &'static Rule> {
    FAMILIES.into_iter().flatten()
}

impl Detector {
    const fn of(rule: &Rule) -> Detector {
        Detector {
            id: rule.id,
            kind: rule.kind,
            keywords: rule.keywords,
            begin: rule.begin,
            left: rule.left,
            before: rule.before,
            secret: rule.secret,
            after: rule.after,
            entropy_min: rule.entropy_min,
            accept: rule.accept,
        }
    }
}

const fn count() -> usize {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
}

/// The families one after the other. Iterators are not for constants.
const fn detectors() -> [Detector; count()] {
    let mut detectors = [const { Detector::of(&RULE) }; count()];
    let (mut at, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let mut index = 0;
        while index < FAMILIES[family].len() {
            detectors[at] = Detector::of(&FAMILIES[family][index]);
            at += 1;
            index += 1;
        }
        family += 1;
    }
    detectors
}
