//! Which names announce a secret: `DB_PASSWORD`, `x-api-key`, `clientSecret`.
//!
//! A name is split into words as programmers join them. The head, the last word that is not a mere
//! addition such as `PROD` or `2`, says what the value is: `token` is, `token_type` is not.

/// Bytes of a name that is looked at.
pub const NAME_BYTES_MAX: usize = 96;
/// Words of a name that are looked at, from its end.
const WORDS_MAX: usize = 12;

/// What a name announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// A password, which a person may have made up.
    Password,
    /// A passphrase: it may be words alone.
    Passphrase,
    /// A key or token, which a machine has made.
    Key,
    /// Possibly a key: what is there must look like one beyond doubt.
    MaybeKey,
    /// `user:password`.
    Login,
    /// The signature of an address or request.
    Signature,
    /// `Authorization` and its kin: a scheme, then a credential.
    Authorization,
    /// `Cookie`: pairs.
    Cookie,
}

/// Parts that names which announce something hold, for the keyword pass. In lower case; they are
/// found in any.
pub const PARTS: [&str; 27] = [
    "pass", "pwd", "secret", "token", "key", "auth", "cred", "cookie", "sess", "sid=", ".sid",
    "psk", "signature", "sig=", "jwt", "salt", "_pat", "-pat", "mnemonic", "seed", "_pw", "bearer",
    "otp", "bundle_", "login", "pw:", "pw=",
];

/// Judges a name, without quotes. `context` are words before it in a sentence, such as `API` before
/// `key`, nearest first.
pub fn announces(name: &[u8], context: &[&[u8]]) -> Option<Names> {
    let words = Words::of(name);
    let words = words.list();
    if words.first().is_some_and(|first| is(first, &["bundle"])) && words.len() >= 3 {
        return Some(Names::Login);
    }
    let head_at = words.iter().rposition(|word| !is_addition(word))?;
    let head = without_number(words[head_at]);
    let before = &words[..head_at];
    let nearest = before.last().copied().or(context.first().copied());
    let any = |list: &[&str]| before.iter().chain(context).any(|word| is(word, list));
    if any(HARMLESS_QUALIFIERS) {
        return None;
    }
    if is(head, PASSPHRASES) {
        return Some(Names::Passphrase);
    }
    if is(head, PASSWORDS) || ends(head, PASSWORD_ENDS) {
        return Some(Names::Password);
    }
    if is(head, &["key"]) {
        return match nearest {
            Some(qualifier) if is(qualifier, KEY_HARMLESS) => None,
            Some(qualifier) if is(qualifier, KEY_QUALIFIERS) => Some(Names::Key),
            _ => Some(Names::MaybeKey),
        };
    }
    if is(head, &["authorization"]) {
        return Some(Names::Authorization);
    }
    if is(head, &["cookie"]) {
        return Some(Names::Cookie);
    }
    if is(head, &["token"]) && nearest.is_some_and(|word| is(word, TOKEN_HARMLESS)) {
        return None;
    }
    if is(head, KEYS) || ends(head, KEY_ENDS) {
        return Some(Names::Key);
    }
    if is(head, LOGINS) {
        return Some(Names::Login);
    }
    if is(head, &["sid"]) && nearest.is_none_or(|word| is(word, &["connect", "session"])) {
        return Some(Names::MaybeKey);
    }
    if is(head, &["signature", "sig"]) {
        return Some(Names::Signature);
    }
    is(head, MAYBE_KEYS).then_some(Names::MaybeKey)
}

const PASSWORDS: &[&str] = &[
    "pass", "password", "passwd", "pwd", "pw", "passcode", "psk", "storepass", "keypass",
    "requirepass", "masterauth", "rootpw", "bindpw", "pgpassword", "passwort", "kennwort",
];
const PASSWORD_ENDS: &[&str] = &["password", "passwd", "passwort", "passcode", "pswd"];
const PASSPHRASES: &[&str] = &["passphrase", "mnemonic", "phrase"];
const KEYS: &[&str] = &[
    "token", "secret", "jwt", "pat", "apikey", "secrets", "authkey", "accesskey", "privatekey",
    "secretkey", "masterkey", "accountkey", "psk", "otp", "credential", "bearer",
];
const KEY_ENDS: &[&str] = &["token", "secret", "apikey", "secretkey", "accesskey", "authkey",
    "privatekey", "masterkey", "accountkey", "signingkey", "passkey", "sharedkey"];
const LOGINS: &[&str] = &["creds", "credentials", "auth", "login", "userpass", "userpwd"];
const MAYBE_KEYS: &[&str] = &[
    "keys", "tokens", "salt", "sess", "session", "sessionid", "seed", "jsessionid",
    "phpsessid", "basic",
];

/// Words that, in front of `key`, make it a secret even when its value is hexadecimal or an UUID.
const KEY_QUALIFIERS: &[&str] = &[
    "api", "access", "secret", "private", "auth", "account", "shared", "master", "encryption",
    "signing", "subscription", "license", "licence", "service", "deploy", "admin", "application",
    "app", "client", "storage", "server", "consumer", "integration", "ingest", "ingestion", "write",
    "root", "crypt", "encrypt", "hmac", "jwt", "aes", "ssh", "tls", "ssl", "age", "wallet",
    "security", "webhook", "bot", "management", "project", "org", "user", "rest", "data", "token",
];
/// Words that, in front of `key`, make it something else.
const KEY_HARMLESS: &[&str] = &[
    "primary", "foreign", "sort", "partition", "cache", "i18n", "translation", "locale", "message",
    "object", "row", "hash", "index", "group", "unique", "composite", "natural", "surrogate",
    "dict", "map", "lookup", "query", "json", "xml", "meta", "event", "error", "press", "arrow",
    "hot", "short", "s3", "bucket", "registry", "idempotency", "routing", "dedup", "site", "host",
    "instrumentation", "item", "field", "config", "state", "storage_key", "sub", "range", "shift",
    "ctrl", "alt", "option", "setting", "column", "metric", "feature", "label", "react", "list",
];
/// Words that, in front of `token`, make it a position in a list or a word of a language.
const TOKEN_HARMLESS: &[&str] = &[
    "next", "page", "pagination", "continuation", "cursor", "cancellation", "bos", "eos", "pad",
    "unk", "special", "first", "last", "stop", "input", "output", "prompt", "previous", "prev",
];
/// Words that make any name harmless.
const HARMLESS_QUALIFIERS: &[&str] = &["public", "publishable", "pub", "anon"];
/// Words behind the head that do not change what it is.
const ADDITIONS: &[&str] = &[
    "base", "value", "val", "string", "str", "text", "plain", "hex", "b64", "base64", "data", "env",
    "prod", "production", "dev", "development", "staging", "stage", "test", "testing", "live",
    "sandbox", "old", "new", "current", "prev", "previous", "backup", "default", "local", "main",
    "confirm", "confirmation", "raw", "v1", "v2", "v3", "us", "eu", "primary", "secondary",
];

fn is_addition(word: &[u8]) -> bool {
    word.iter().all(u8::is_ascii_digit) || is(word, ADDITIONS)
}

/// `KEY2` is one more `KEY`.
fn without_number(word: &[u8]) -> &[u8] {
    let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    &word[..word.len() - digits]
}

fn is(word: &[u8], list: &[&str]) -> bool {
    list.iter().any(|entry| word.eq_ignore_ascii_case(entry.as_bytes()))
}

fn ends(word: &[u8], list: &[&str]) -> bool {
    list.iter().any(|entry| {
        word.len() > entry.len()
            && word[word.len() - entry.len()..].eq_ignore_ascii_case(entry.as_bytes())
    })
}

/// The last words of a name.
struct Words<'a> {
    words: [&'a [u8]; WORDS_MAX],
    count: usize,
}

impl<'a> Words<'a> {
    fn of(name: &'a [u8]) -> Words<'a> {
        let mut words = Words { words: [&[]; WORDS_MAX], count: 0 };
        let mut end = name.len();
        while end > 0 && words.count < WORDS_MAX {
            if !name[end - 1].is_ascii_alphanumeric() {
                end -= 1;
                continue;
            }
            let mut start = end - 1;
            while start > 0 && joins(name, start) {
                start -= 1;
            }
            words.count += 1;
            words.words[WORDS_MAX - words.count] = &name[start..end];
            end = start;
        }
        words
    }

    /// In the order of the name.
    fn list(&self) -> &[&'a [u8]] {
        &self.words[WORDS_MAX - self.count..]
    }
}

/// Whether the character at `at` is part of the same word as the one before it.
fn joins(name: &[u8], at: usize) -> bool {
    let (before, here, after) = (name[at - 1], name[at], name.get(at + 1));
    if !before.is_ascii_alphanumeric() {
        return false;
    }
    let capital = here.is_ascii_uppercase();
    let starts = capital && before.is_ascii_lowercase()
        || capital && before.is_ascii_uppercase() && after.is_some_and(u8::is_ascii_lowercase);
    !starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_they_announce() {
        let cases = [
            (Some(Names::Password), "password DB_PASSWORD dbPassword smtp_pass ansible_become_pass"),
            (Some(Names::Password), "DB_PASSWORD_2 Pwd mysqlpassword ClearTextPassword wifi-psk"),
            (Some(Names::Passphrase), "passphrase SSH_KEY_PASSPHRASE mnemonic"),
            (Some(Names::Key), "token api_key apiKey AWS_SECRET_ACCESS_KEY X-Api-Key clientSecret"),
            (Some(Names::Key), "SECRET_KEY_BASE AccountKey SharedAccessKey client-key-data authtoken"),
            (Some(Names::Key), "API_KEY_PROD GITHUB_PAT OPENAI_APIKEY PRIVATE-TOKEN _authToken"),
            (Some(Names::MaybeKey), "key MAPS_KEY tokens session salt"),
            (Some(Names::Login), "auth creds BUNDLE_GEMS__ACME__IO"),
            (Some(Names::Authorization), "Authorization proxy-authorization"),
            (Some(Names::Signature), "X-Amz-Signature sig"),
            (None, "token_type api_key_id password_hash keyboard tokenizer bypass compass monkey"),
            (None, "STRIPE_PUBLISHABLE_KEY public_key primaryKey sort_key foreign_key next_token"),
            (None, "KEY_FILE auth_method auth_provider secret_id key_name accessTokenLifetime"),
        ];
        for (expected, names) in cases {
            for name in names.split(' ') {
                assert_eq!(announces(name.as_bytes(), &[]), expected, "{name}");
            }
        }
        assert_eq!(announces(b"key", &[b"API"]), Some(Names::Key));
    }
}
