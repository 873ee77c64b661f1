//! The rules that are built in, as data. Adding a kind of secret is adding a line here.
//!
//! A rule runs only where one of its keywords stands, anchored there: a line without any keyword
//! costs one pass. Patterns are ASCII
//! and byte-wise, without look-around, and must fail within a bounded distance or at the end of a
//! run of their class, so that no input makes them quadratic.

/// What one rule detects and how.
pub struct Rule {
    /// Stable name, for messages.
    pub id: &'static str,
    /// `TYPE` of the marker, in lower case.
    pub kind: &'static str,
    /// Literal parts of every match, at least three bytes each. They hold no byte that JSON writes
    /// as an escape, except `/`.
    pub keywords: &'static [&'static str],
    /// Distance from the beginning of a match to its keyword, in bytes.
    pub keyword_offset: usize,
    /// Every match holds an `@` behind its keyword, which is cheap to look for.
    pub at_sign: bool,
    /// What may stand before a match.
    pub left: Left,
    /// Where the secret is.
    pub shape: Shape,
    /// A last look at the match.
    pub accept: fn(&[u8]) -> bool,
}

/// What may stand before a match.
#[derive(PartialEq)]
pub enum Left {
    /// Anything.
    Any,
    /// No letter, digit or hyphen, unless it ends an escape sequence.
    Boundary,
    /// Anything, but a run of the token's class `[A-Za-z0-9_-]` is tried only once, from the first
    /// keyword in it: what fails there fails at the later ones as well.
    OncePerRun,
}

/// Where the secret is.
pub enum Shape {
    /// Of a match of three expressions in a row, the middle one. The first one matches the same
    /// bytes alone as in the row, so that no capture groups are needed, which are much slower.
    Expression {
        /// What stands before the secret; may be empty.
        before: &'static str,
        /// The secret.
        secret: &'static str,
        /// What stands behind it, literally; may be empty.
        after: &'static str,
    },
    /// From a line `-----BEGIN … PRIVATE KEY-----` to the line that ends it, or to the end of the
    /// text when that is missing and something like a key follows.
    PrivateKeyBlock,
}

const RULE: Rule = Rule {
    id: "",
    kind: "",
    keywords: &[],
    keyword_offset: 0,
    at_sign: false,
    left: Left::Any,
    shape: Shape::PrivateKeyBlock,
    accept: |_| true,
};

/// A self-identifying token that begins with its keyword.
const fn token(
    id: &'static str,
    kind: &'static str,
    keywords: &'static [&'static str],
    secret: &'static str,
) -> Rule {
    Rule { id, kind, keywords, shape: Shape::Expression { before: "", secret, after: "" }, ..RULE }
}

/// The password of a URL. The user info ends at the first `/`; a `?` or `#` may be part of a
/// password, but not right behind what looks like a port.
const URL_PASSWORD: Shape = Shape::Expression {
    before: r#"://[^\s:/?#"'`<>\\]*:"#,
    secret: r#"[^\s/?#"'`<>\\]+|[0-9]{0,5}[^\s0-9/?#"'`<>\\][^\s/"'`<>\\]*"#,
    after: "@",
};
/// The same for databases, whose passwords may even hold a `/`.
const DATABASE_PASSWORD: Shape = Shape::Expression {
    before: r#"[A-Za-z+]{5,14}://[^\s:/?#"'`<>\\]*:"#,
    secret: r#"[^\s/?#"'`<>\\]+|[0-9]{0,5}[^\s0-9/?#"'`<>\\][^\s"'`<>\\]{0,200}"#,
    after: "@",
};
/// The value of a shell's or a configuration file's AWS secret key.
const AWS_SECRET_KEY: Shape = Shape::Expression {
    before: r#"(?:aws_secret_access_key|AWS_SECRET_ACCESS_KEY)\s*=\s*\\{0,3}["']?"#,
    secret: r"[A-Za-z0-9/+=]{40,}",
    after: "",
};

/// Object keys whose string values are secrets as a whole, in any letter case.
pub const SECRET_FIELDS: [&str; 13] = [
    "password",
    "passwd",
    "secret",
    "api_key",
    "apikey",
    "api_secret",
    "token",
    "auth_token",
    "access_token",
    "refresh_token",
    "private_key",
    "credential",
    "credentials",
];

/// Marker type of [`SECRET_FIELDS`].
pub const SECRET_FIELD_KIND: &str = "sensitive_field";

/// Rules of earlier position win where two find the same span.
pub static RULES: [Rule; 26] = [
    token(
        "anthropic-api-key",
        "api_key",
        &["sk-ant-api"],
        r"sk-ant-api[0-9]{2}-[A-Za-z0-9_-]{80,}",
    ),
    Rule {
        left: Left::Boundary,
        accept: is_not_words,
        ..token("openai-api-key", "api_key", &["sk-"], r"sk-(?:proj-)?[A-Za-z0-9_-]{20,}")
    },
    token("aws-access-key", "aws_key", &["AKIA"], r"AKIA[0-9A-Z]{16,}"),
    Rule {
        id: "aws-secret-key",
        kind: "aws_secret",
        keywords: &["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"],
        shape: AWS_SECRET_KEY,
        ..RULE
    },
    token("github-pat", "github_token", &["ghp_"], r"ghp_[A-Za-z0-9]{36,}"),
    token(
        "github-fine-grained-pat",
        "github_token",
        &["github_pat_"],
        r"github_pat_[A-Za-z0-9_]{22,}",
    ),
    token("github-oauth", "github_token", &["gho_"], r"gho_[A-Za-z0-9]{36,}"),
    token("github-app", "github_token", &["ghu_", "ghs_"], r"gh[us]_[A-Za-z0-9]{36,}"),
    token("github-refresh", "github_token", &["ghr_"], r"ghr_[A-Za-z0-9]{36,}"),
    Rule {
        left: Left::OncePerRun,
        ..token("jwt", "jwt", &["eyJ"], r"eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
    },
    token("bearer", "bearer_token", &["Bearer"], r"Bearer\s+[A-Za-z0-9_.~+/=-]{20,}"),
    Rule {
        id: "private-key",
        kind: "private_key",
        keywords: &["-----BEGIN"],
        shape: Shape::PrivateKeyBlock,
        ..RULE
    },
    Rule {
        id: "database-url-password",
        kind: "password",
        keywords: &[
            "postgres://",
            "postgresql://",
            "mysql://",
            "mongodb://",
            "mongodb+srv://",
            "redis://",
        ],
        at_sign: true,
        shape: DATABASE_PASSWORD,
        ..RULE
    },
    Rule {
        id: "url-password",
        kind: "password",
        keywords: &["://"],
        at_sign: true,
        shape: URL_PASSWORD,
        ..RULE
    },
    token(
        "slack-token",
        "slack_token",
        &["xoxb-", "xoxa-", "xoxp-", "xoxr-", "xoxs-"],
        r"xox[baprs]-[0-9a-zA-Z-]{10,}",
    ),
    token(
        "slack-rotating-token",
        "slack_token",
        &["xoxe-", "xoxe."],
        r"xoxe(?:\.[a-zA-Z0-9-]+)?-[0-9a-zA-Z-]{10,}",
    ),
    token("slack-app-token", "slack_token", &["xapp-"], r"xapp-[0-9a-zA-Z-]{10,}"),
    token(
        "stripe-secret-key",
        "stripe_key",
        &["sk_live_", "sk_test_"],
        r"sk_(?:live|test)_[0-9a-zA-Z]{24,}",
    ),
    token(
        "stripe-restricted-key",
        "stripe_key",
        &["rk_live_", "rk_test_"],
        r"rk_(?:live|test)_[0-9a-zA-Z]{24,}",
    ),
    token("google-api-key", "google_api_key", &["AIza"], r"AIza[0-9A-Za-z_-]{35,}"),
    token(
        "twilio-api-key",
        "twilio_key",
        &[
            "SK0", "SK1", "SK2", "SK3", "SK4", "SK5", "SK6", "SK7", "SK8", "SK9", "SKa", "SKb",
            "SKc", "SKd", "SKe", "SKf", "SKA", "SKB", "SKC", "SKD", "SKE", "SKF",
        ],
        r"SK[0-9a-fA-F]{32,}",
    ),
    token(
        "sendgrid-api-key",
        "sendgrid_key",
        &["SG."],
        r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43,}",
    ),
    Rule {
        keyword_offset: 32,
        ..token(
            "mailchimp-api-key",
            "mailchimp_key",
            &["-us0", "-us1", "-us2", "-us3", "-us4", "-us5", "-us6", "-us7", "-us8", "-us9"],
            r"[0-9a-f]{32}-us[0-9]{1,2}",
        )
    },
    token("npm-token", "npm_token", &["npm_"], r"npm_[A-Za-z0-9]{36,}"),
    token(
        "pypi-token",
        "pypi_token",
        &["pypi-AgEIcHlwaS5vcmc"],
        r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{70,}",
    ),
    token("confab-api-key", "confab_key", &["cfb_"], r"cfb_[A-Za-z0-9_-]{40,}"),
];

/// `sk-container-and-other-lower-case-words` is the name of a thing.
fn is_not_words(token: &[u8]) -> bool {
    let body = token.strip_prefix(b"sk-").unwrap_or(token);
    let body = body.strip_prefix(b"proj-").unwrap_or(body);
    !body.contains(&b'-')
        || body.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}
