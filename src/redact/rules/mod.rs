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

mod families;

/// What one rule detects and how.
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
    /// Texts in which the rule finds a secret. `{a36}` is expanded to random characters: `a` letters
    /// and digits, `l` lower-case letters and digits, `u` upper-case letters and digits, `h` and `H`
    /// hexadecimal digits, `d` digits, `z` and `Z` letters, `b` base64, `s` base64 for URLs. What
    /// stands between `«` and `»` is the secret; without them the whole text is.
    pub samples: &'static [&'static str],
    /// Texts that look like it and stay as they are.
    pub harmless: &'static [&'static str],
}

/// Where a match begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Begin {
    /// At the keyword.
    Keyword,
    /// This many bytes before the keyword.
    Before(usize),
    /// At the beginning of the run of `[A-Za-z0-9_-]` that ends at the keyword, which is no longer
    /// than this, in bytes.
    Run(usize),
}

/// What may stand before a match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Left {
    /// Anything.
    Any,
    /// No letter, digit or hyphen, unless it ends an escape sequence.
    Boundary,
    /// Anything, but a run of the token's class `[A-Za-z0-9_-]` is tried only once, from the first
    /// keyword in it: what fails there fails at the later ones as well.
    OncePerRun,
}

/// What most rules have in common.
pub const RULE: Rule = Rule {
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

/// All built-in rules. Those of earlier position win where two find the same span.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    families::ALL.iter().copied().flatten()
}
