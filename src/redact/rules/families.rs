//! The families, in the order in which they win.

use super::{Begin, Left, RULE, Rule};

/// One slice for each family.
pub const ALL: &[&[Rule]] = &[RULES];

const RULES: &[Rule] = &[
    Rule {
        id: "anthropic-api-key",
        detects: "API key of Anthropic",
        kind: "api_key",
        keywords: &["sk-ant-api"],
        secret: r"sk-ant-api[0-9]{2}-[A-Za-z0-9_-]{80,}",
        samples: &["sk-ant-api03-{s93}AA"],
        harmless: &["sk-ant-api03-XXXX...XXXX"],
        ..RULE
    },
    Rule {
        id: "openai-api-key",
        detects: "API key of OpenAI or of a service that spells its keys alike",
        kind: "api_key",
        keywords: &["sk-"],
        left: Left::Boundary,
        secret: r"sk-(?:proj-)?[A-Za-z0-9_-]{20,}",
        accept: is_not_words,
        samples: &["sk-{a48}", "sk-proj-{s74}"],
        harmless: &["sk-loading-spinner-indigo-container"],
        ..RULE
    },
    Rule {
        id: "mailchimp-api-key",
        detects: "API key of Mailchimp",
        kind: "mailchimp_key",
        keywords: &["-us0", "-us1", "-us2", "-us3", "-us4", "-us5", "-us6", "-us7", "-us8", "-us9"],
        begin: Begin::Before(32),
        secret: r"[0-9a-f]{32}-us[0-9]{1,2}",
        samples: &["{h32}-us12"],
        ..RULE
    },
];

/// `sk-container-and-other-lower-case-words` is the name of a thing.
fn is_not_words(token: &[u8]) -> bool {
    let body = token.strip_prefix(b"sk-").unwrap_or(token);
    let body = body.strip_prefix(b"proj-").unwrap_or(body);
    !body.contains(&b'-')
        || body.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}
