//! What the rules are called and what stands in the place of what they find.

use super::escape::unescape;
use super::names::Names;
use super::settings::MarkerKey;

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
/// Index of the rule for passwords.
pub const PASSWORD: usize = 0;
/// Index of the rule for user information.
pub const URL_PASSWORD: usize = 8;
/// Index of the rule for private keys.
pub const PRIVATE_KEY: usize = 9;
/// Index of the rule for command lines.
pub const COMMAND_PASSWORD: usize = 10;
/// Index of the rule for phrases.
pub const PHRASE: usize = 11;
/// Index of the rule for JSON strings whose key announces a secret.
pub const SENSITIVE_FIELD: usize = 12;
/// Index of the rule for web hooks.
pub const WEBHOOK: usize = 13;

/// What is said about a span.
pub struct Label {
    /// The rule's name.
    pub rule: String,
    /// `TYPE` of its marker, as it is written.
    pub kind: String,
    /// The marker of a secret that gets no tag.
    pub marker: String,
    /// It does not run.
    pub disabled: bool,
}

/// The rule that stands for what a name announces, as an index.
pub fn label_of(names: Names) -> usize {
    match names {
        Names::Password => PASSWORD,
        Names::Passphrase => 1,
        Names::Key => 2,
        Names::MaybeKey | Names::VendorKey => 3,
        Names::Login => 4,
        Names::Signature => 5,
        Names::Authorization => 6,
        Names::Cookie => 7,
    }
}

/// A keyed hash of a secret, short enough for a marker. Without the key nobody can try candidates.
pub fn tag(key: &MarkerKey, secret: &[u8]) -> u32 {
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
pub fn marker_type(kind: &str) -> String {
    let safe = |character: char| {
        let plain = character.is_ascii_graphic() && !matches!(character, '"' | '\\' | '[' | ']');
        if plain { character.to_ascii_uppercase() } else { '_' }
    };
    kind.chars().take(super::spans::KIND_BYTES_MAX).map(safe).collect()
}
