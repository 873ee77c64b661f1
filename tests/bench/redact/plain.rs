//! The patterns of the existing client (reference §8.5), applied as it does: a line is parsed,
//! every pattern replaces in every string, and the line is printed again.

use regex::bytes::{Captures, Regex, RegexBuilder};
use serde_json::Value;

/// Patterns of whole fields: their names.
const FIELDS: &str = "(?i)^(password|passwd|secret|api_key|apikey|api_secret|token|auth_token|\
                      access_token|refresh_token|private_key|credential|credentials)$";

/// Parts of an expression, so that no secret scanner takes it for a secret; the group that is
/// replaced; the type of the marker.
const PATTERNS: [(&[&str], usize, &str); 32] = [
    (&["sk-ant-", r"api\d{2}-[A-Za-z0-9_-]{80,120}"], 0, "API_KEY"),
    (&["sk-", r"(?:proj-)?[A-Za-z0-9_-]{20,200}"], 0, "API_KEY"),
    (&["AKIA", "[0-9A-Z]{16}"], 0, "AWS_KEY"),
    (&["aws_secret_", r"access_key\s*=\s*([A-Za-z0-9/+=]{40})"], 1, "AWS_SECRET"),
    (&["AWS_SECRET_", r#"ACCESS_KEY\s*=\s*["']?([A-Za-z0-9/+=]{40})["']?"#], 1, "AWS_SECRET"),
    (&["ghp_", "[A-Za-z0-9]{36,255}"], 0, "GITHUB_TOKEN"),
    (&["github_pat_", "[A-Za-z0-9]{22,255}"], 0, "GITHUB_TOKEN"),
    (&["gho_", "[A-Za-z0-9]{36,255}"], 0, "GITHUB_TOKEN"),
    (&["(?:ghu|ghs)_", "[A-Za-z0-9]{36,255}"], 0, "GITHUB_TOKEN"),
    (&["ghr_", "[A-Za-z0-9]{36,255}"], 0, "GITHUB_TOKEN"),
    (&["eyJ", r"[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"], 0, "JWT"),
    (&["Bearer", r"\s+[A-Za-z0-9_.~+/=-]{20,}"], 0, "BEARER_TOKEN"),
    (
        &["(?s)-----", "BEGIN RSA PRIVATE KEY-----.*?-----END RSA PRIVATE KEY-----"],
        0,
        "PRIVATE_KEY",
    ),
    (&["(?s)-----", "BEGIN EC PRIVATE KEY-----.*?-----END EC PRIVATE KEY-----"], 0, "PRIVATE_KEY"),
    (
        &["(?s)-----", "BEGIN OPENSSH PRIVATE KEY-----.*?-----END OPENSSH PRIVATE KEY-----"],
        0,
        "PRIVATE_KEY",
    ),
    (&["(?s)-----", "BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----"], 0, "PRIVATE_KEY"),
    (&[r"(postgres(?:ql)?", r"://[^:]+:)([^@\s]+)(@[^\s]+)"], 2, "PASSWORD"),
    (&["(mysql", r"://[^:]+:)([^@\s]+)(@[^\s]+)"], 2, "PASSWORD"),
    (&[r"(mongodb(?:\+srv)?", r"://[^:]+:)([^@\s]+)(@[^\s]+)"], 2, "PASSWORD"),
    (&["(redis", r"://[^:/@\s]*:)([^@\s]+)(@[^\s]+)"], 2, "PASSWORD"),
    (&["(", r"://[^:/@\s]+:)([^@\s]+)(@)"], 2, "PASSWORD"),
    (&["xox[baprs]-", "[0-9a-zA-Z-]{10,255}"], 0, "SLACK_TOKEN"),
    (&["xoxe", r"(?:\.[a-zA-Z0-9-]+)?-[0-9a-zA-Z-]{10,255}"], 0, "SLACK_TOKEN"),
    (&["xapp-", "[0-9a-zA-Z-]{10,255}"], 0, "SLACK_TOKEN"),
    (&["sk_", "(?:live|test)_[0-9a-zA-Z]{24,}"], 0, "STRIPE_KEY"),
    (&["rk_", "(?:live|test)_[0-9a-zA-Z]{24,}"], 0, "STRIPE_KEY"),
    (&["AIza", "[0-9A-Za-z_-]{35}"], 0, "GOOGLE_API_KEY"),
    (&["SK", "[0-9a-fA-F]{32}"], 0, "TWILIO_KEY"),
    (&[r"SG\.", r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"], 0, "SENDGRID_KEY"),
    (&["[0-9a-f]{32}", "-us[0-9]{1,2}"], 0, "MAILCHIMP_KEY"),
    (&["npm_", "[A-Za-z0-9]{36}"], 0, "NPM_TOKEN"),
    (&["pypi-", "AgEIcHlwaS5vcmc[A-Za-z0-9_-]{70,}"], 0, "PYPI_TOKEN"),
];

/// See the module.
pub struct Plain {
    fields: Regex,
    patterns: Vec<(Regex, usize, String)>,
}

impl Plain {
    /// Compiles all patterns; the key of the existing client itself is the last.
    pub fn new() -> Plain {
        let compile = |text: &str| RegexBuilder::new(text).unicode(false).build().unwrap();
        let own: (&[&str], usize, &str) = (&["cfb_", "[A-Za-z0-9]{40}"], 0, "CONFAB_KEY");
        let patterns = PATTERNS.iter().chain([&own]).map(|(parts, group, kind)| {
            (compile(&parts.concat()), *group, format!("[REDACTED:{kind}]"))
        });
        Plain { patterns: patterns.collect(), fields: compile(FIELDS) }
    }

    /// The line as the existing client would send it.
    pub fn line(&self, line: &[u8]) -> Vec<u8> {
        match serde_json::from_slice(line) {
            Ok(mut value) => {
                self.value(&mut value, "");
                serde_json::to_vec(&value).unwrap()
            }
            Err(_) => self.text(line.to_vec()),
        }
    }

    fn value(&self, value: &mut Value, field: &str) {
        match value {
            Value::String(text) if self.fields.is_match(field.as_bytes()) => {
                "[REDACTED:SENSITIVE_FIELD]".clone_into(text);
            }
            Value::String(text) => {
                let redacted = self.text(std::mem::take(text).into_bytes());
                *text = String::from_utf8_lossy(&redacted).into_owned();
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value, field)),
            Value::Object(members) => {
                members.iter_mut().for_each(|(field, value)| self.value(value, field));
            }
            _ => {}
        }
    }

    fn text(&self, mut text: Vec<u8>) -> Vec<u8> {
        for (pattern, group, marker) in &self.patterns {
            if !pattern.is_match(&text) {
                continue;
            }
            let replace = |found: &Captures<'_>| {
                let whole = found.get(0).unwrap();
                let secret = found.get(*group).unwrap();
                let (start, end) = (secret.start() - whole.start(), secret.end() - whole.start());
                let before = &whole.as_bytes()[..start];
                [before, marker.as_bytes(), &whole.as_bytes()[end..]].concat()
            };
            text = pattern.replace_all(&text, replace).into_owned();
        }
        text
    }
}
