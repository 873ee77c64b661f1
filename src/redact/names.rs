//! Which names announce a secret: `DB_PASSWORD`, `x-api-key`, `clientSecret`.
//!
//! A name is split into words as programmers join them. The head, the last word that is not a mere
//! addition such as `PROD` or `2`, says what the value is: `token` is, `token_type` is not.

use memchr::memmem;

use super::spans::MARKER_START;

/// Bytes of a name that is looked at.
pub const NAME_BYTES_MAX: usize = 96;
/// Bytes of a word of a sentence that qualifies a name.
const QUALIFIER_BYTES_MAX: usize = 24;
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
    /// `FASTLY_KEY`: the key of whoever has that name. Words are not enough.
    VendorKey,
}

/// Parts that names which announce something hold, for the keyword pass. In lower case; they are
/// found in any.
pub const PARTS: &[&str] = &[
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "auth",
    "cred",
    "cookie",
    "sess",
    "sid=",
    ".sid",
    "psk",
    "signature",
    "sig=",
    "jwt",
    "salt",
    "_pat",
    "-pat",
    "mnemonic",
    "seed",
    "_pw",
    "bearer",
    "otp",
    "bundle_",
    "login",
    "pw:",
    "pw=",
];

/// Judges a name, without quotes. `context` are words before it in a sentence, such as `API` before
/// `key`, nearest first.
pub fn announces(name: &[u8], context: &[&[u8]]) -> Option<Names> {
    // The marker of a secret that stood in a name says nothing about what follows.
    if !may_announce(name) || name.contains(&b'[') && memmem::find(name, MARKER_START).is_some() {
        return None;
    }
    let mut lower = [0; NAME_BYTES_MAX];
    let name = &name[name.len().saturating_sub(NAME_BYTES_MAX)..];
    lower[..name.len()].copy_from_slice(name);
    lower[..name.len()].make_ascii_lowercase();
    let words = Words::of(name, &lower[..name.len()]);
    let words = words.list();
    let head_at = words.iter().rposition(|word| !is_addition(word))?;
    let head = without_number(words[head_at]);
    if words[0] == b"bundle" && words.len() >= 3 {
        return Some(Names::Login);
    }
    let kind = head_of(head).or_else(|| end_of(head))?;
    let before = &words[..head_at];
    let mut qualifier = [0; QUALIFIER_BYTES_MAX];
    let nearest = before.last().copied().or_else(|| {
        let word = context.first()?;
        let copy = qualifier.get_mut(..word.len())?;
        copy.copy_from_slice(word);
        copy.make_ascii_lowercase();
        Some(&*copy)
    });
    if before.iter().any(|word| matches!(*word, b"public" | b"publishable" | b"pub" | b"anon"))
        || context.iter().any(|word| word.eq_ignore_ascii_case(b"public"))
    {
        return None;
    }
    match (kind, nearest) {
        (Head::Certain(Names::Key), Some(word)) if head == b"token" && is_position(word) => None,
        (Head::Certain(names), _) => Some(names),
        (Head::Key, Some(word)) if is_harmless_key(word) => None,
        (Head::Key, Some(word)) if is_secret_key(word) => Some(Names::Key),
        (Head::Key, Some(_)) if head_at > 0 => Some(Names::VendorKey),
        (Head::Key, _) => Some(Names::MaybeKey),
        (Head::Session, None | Some(b"connect" | b"session")) => Some(Names::MaybeKey),
        (Head::Session, _) => None,
        (Head::Tokens, Some(b"api" | b"access" | b"auth" | b"refresh" | b"secret" | b"bot")) => {
            Some(Names::MaybeKey)
        }
        (Head::Tokens, _) => None,
    }
}

/// A quick look at the last letters, which rules out most names of a document: those that end
/// neither like a head nor like an addition.
pub fn may_announce(name: &[u8]) -> bool {
    let number = name.iter().rev().take_while(|byte| !byte.is_ascii_alphabetic()).count();
    let end = &name[..name.len() - number];
    let Some(last) = end.last_chunk::<4>().filter(|_| !name.starts_with(b"BUNDLE_")) else {
        return true;
    };
    let [a, b, c, d] = last.map(|byte| byte.to_ascii_lowercase());
    match [c, d] {
        [b'i', b'd'] => matches!(b, b's' | b'n'),
        [b'n', b't'] => matches!(a, b'm' | b'r'),
        [b's', b's'] => b == b'a' || b == b'e',
        [b't', b'h'] => b == b'u',
        [b'n', b'e'] | [b'p', b'e'] | [b'l', b'e'] | [b'm', b'e'] | [b'g', b'e'] | [b't', b'e'] => {
            false
        }
        [b'c', b'e']
        | [b'r', b's']
        | [b'e', b's']
        | [b'm', b'd']
        | [b'n', b'd']
        | [b'c', b't']
        | [b'p', b't'] => false,
        _ => true,
    }
}

/// What the head of a name says by itself.
#[derive(Clone, Copy)]
enum Head {
    Certain(Names),
    /// `key`: what is before it decides.
    Key,
    /// `sid`.
    Session,
    /// `tokens`: mostly a number of them.
    Tokens,
}

fn head_of(head: &[u8]) -> Option<Head> {
    Some(Head::Certain(match head {
        b"pass" | b"password" | b"passwd" | b"pwd" | b"pw" | b"passcode" | b"psk"
        | b"storepass" | b"keypass" | b"requirepass" | b"masterauth" | b"rootpw" | b"bindpw"
        | b"pgpassword" | b"passwort" | b"kennwort" => Names::Password,
        b"passphrase" | b"mnemonic" | b"phrase" => Names::Passphrase,
        b"token" | b"secret" | b"jwt" | b"pat" | b"apikey" | b"secrets" | b"authkey"
        | b"accesskey" | b"privatekey" | b"secretkey" | b"masterkey" | b"accountkey" | b"otp"
        | b"credential" | b"bearer" => Names::Key,
        b"authorization" => Names::Authorization,
        b"cookie" => Names::Cookie,
        b"creds" | b"credentials" | b"auth" | b"login" | b"userpass" | b"userpwd" => Names::Login,
        b"signature" | b"sig" => Names::Signature,
        b"tokens" => return Some(Head::Tokens),
        b"keys" | b"salt" | b"sess" | b"session" | b"sessionid" | b"seed" | b"jsessionid"
        | b"phpsessid" => Names::MaybeKey,
        b"key" => return Some(Head::Key),
        b"sid" => return Some(Head::Session),
        _ => return None,
    }))
}

/// Words that are written together: `dbpassword`, `authtoken`.
fn end_of(head: &[u8]) -> Option<Head> {
    const PASSWORDS: [&[u8]; 5] = [b"password", b"passwd", b"passwort", b"passcode", b"pswd"];
    const KEYS: [&[u8]; 12] = [
        b"token",
        b"secret",
        b"apikey",
        b"secretkey",
        b"accesskey",
        b"authkey",
        b"privatekey",
        b"masterkey",
        b"accountkey",
        b"signingkey",
        b"passkey",
        b"sharedkey",
    ];
    let ends = |list: &[&[u8]]| list.iter().any(|end| head.ends_with(end));
    if !matches!(head.last(), Some(b'd' | b't' | b'e' | b'n' | b'y')) {
        return None;
    }
    if ends(&PASSWORDS) {
        return Some(Head::Certain(Names::Password));
    }
    ends(&KEYS).then_some(Head::Certain(Names::Key))
}

/// Words that, in front of `key`, make it a secret even when its value is hexadecimal or an UUID.
fn is_secret_key(word: &[u8]) -> bool {
    matches!(
        word,
        b"api"
            | b"access"
            | b"secret"
            | b"private"
            | b"auth"
            | b"account"
            | b"shared"
            | b"master"
            | b"encryption"
            | b"signing"
            | b"subscription"
            | b"license"
            | b"licence"
            | b"service"
            | b"deploy"
            | b"admin"
            | b"application"
            | b"app"
            | b"client"
            | b"storage"
            | b"server"
            | b"consumer"
            | b"integration"
            | b"ingest"
            | b"ingestion"
            | b"write"
            | b"root"
            | b"crypt"
            | b"encrypt"
            | b"hmac"
            | b"jwt"
            | b"aes"
            | b"ssh"
            | b"tls"
            | b"ssl"
            | b"age"
            | b"wallet"
            | b"security"
            | b"webhook"
            | b"bot"
            | b"management"
            | b"project"
            | b"org"
            | b"user"
            | b"rest"
            | b"data"
            | b"token"
            | b"preshared"
            | b"function"
            | b"functions"
    )
}

/// Words that, in front of `key`, make it something else.
fn is_harmless_key(word: &[u8]) -> bool {
    matches!(
        word,
        b"primary"
            | b"foreign"
            | b"sort"
            | b"partition"
            | b"cache"
            | b"i18n"
            | b"translation"
            | b"locale"
            | b"message"
            | b"object"
            | b"row"
            | b"hash"
            | b"index"
            | b"group"
            | b"unique"
            | b"composite"
            | b"natural"
            | b"surrogate"
            | b"dict"
            | b"map"
            | b"lookup"
            | b"query"
            | b"json"
            | b"xml"
            | b"meta"
            | b"event"
            | b"error"
            | b"press"
            | b"arrow"
            | b"hot"
            | b"short"
            | b"s3"
            | b"bucket"
            | b"registry"
            | b"idempotency"
            | b"routing"
            | b"dedup"
            | b"site"
            | b"host"
            | b"instrumentation"
            | b"item"
            | b"field"
            | b"config"
            | b"state"
            | b"sub"
            | b"range"
            | b"shift"
            | b"ctrl"
            | b"alt"
            | b"option"
            | b"setting"
            | b"column"
            | b"metric"
            | b"feature"
            | b"label"
            | b"react"
            | b"list"
    )
}

/// Words that, in front of `token`, make it a position in a list or a word of a language.
fn is_position(word: &[u8]) -> bool {
    matches!(
        word,
        b"next"
            | b"page"
            | b"pagination"
            | b"continuation"
            | b"cursor"
            | b"cancellation"
            | b"bos"
            | b"eos"
            | b"pad"
            | b"unk"
            | b"special"
            | b"first"
            | b"last"
            | b"stop"
            | b"input"
            | b"output"
            | b"prompt"
            | b"previous"
            | b"prev"
    )
}

/// Words behind the head that do not change what it is.
fn is_addition(word: &[u8]) -> bool {
    word.iter().all(u8::is_ascii_digit)
        || matches!(
            word,
            b"base"
                | b"value"
                | b"val"
                | b"string"
                | b"str"
                | b"text"
                | b"plain"
                | b"hex"
                | b"b64"
                | b"base64"
                | b"data"
                | b"env"
                | b"prod"
                | b"production"
                | b"dev"
                | b"development"
                | b"staging"
                | b"stage"
                | b"test"
                | b"testing"
                | b"live"
                | b"sandbox"
                | b"old"
                | b"new"
                | b"current"
                | b"prev"
                | b"previous"
                | b"backup"
                | b"default"
                | b"local"
                | b"main"
                | b"confirm"
                | b"confirmation"
                | b"raw"
                | b"v1"
                | b"v2"
                | b"v3"
                | b"us"
                | b"eu"
                | b"primary"
                | b"secondary"
        )
}

/// `key2` is one more `key`.
fn without_number(word: &[u8]) -> &[u8] {
    let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    &word[..word.len() - digits]
}

/// The last words of a name.
struct Words<'a> {
    words: [&'a [u8]; WORDS_MAX],
    count: usize,
}

impl<'a> Words<'a> {
    /// Parts `name`; the words are those of `lower`, which is the same in lower case.
    fn of(name: &[u8], lower: &'a [u8]) -> Words<'a> {
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
            words.words[WORDS_MAX - words.count] = &lower[start..end];
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
            (
                Some(Names::Password),
                "password DB_PASSWORD dbPassword smtp_pass ansible_become_pass",
            ),
            (Some(Names::Password), "DB_PASSWORD_2 Pwd mysqlpassword ClearTextPassword wifi-psk"),
            (Some(Names::Passphrase), "passphrase SSH_KEY_PASSPHRASE mnemonic"),
            (Some(Names::Key), "token api_key apiKey AWS_SECRET_ACCESS_KEY X-Api-Key clientSecret"),
            (
                Some(Names::Key),
                "SECRET_KEY_BASE AccountKey SharedAccessKey client-key-data authtoken",
            ),
            (Some(Names::Key), "API_KEY_PROD GITHUB_PAT OPENAI_APIKEY PRIVATE-TOKEN _authToken"),
            (Some(Names::MaybeKey), "key api_tokens session salt"),
            (Some(Names::VendorKey), "MAPS_KEY fastlyKey"),
            (Some(Names::Login), "auth creds BUNDLE_GEMS__ACME__IO"),
            (Some(Names::Authorization), "Authorization proxy-authorization"),
            (Some(Names::Signature), "X-Amz-Signature sig"),
            (
                None,
                "token_type input_tokens tokens api_key_id password_hash keyboard tokenizer bypass compass monkey",
            ),
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
