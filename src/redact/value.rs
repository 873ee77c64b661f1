//! What a value looks like: a secret, or the words, code, paths and placeholders that stand where a
//! secret could.
//!
//! Pure arithmetic on one bounded piece of text: which kinds of characters it has, how often the
//! kind changes, and how much of it could be words.

/// Bytes of a value that are looked at; a longer one is judged by its beginning.
const JUDGED_BYTES_MAX: usize = 1024;
/// Fewer bytes are never a secret.
const BYTES_MIN: usize = 4;

/// How much a value looks like a secret, from not at all on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Looks {
    /// A placeholder, a word, code, a path, a number, a date.
    Harmless,
    /// Words with digits: `hunter2`, or digits alone.
    Weak,
    /// What a person makes up when told to use all kinds of characters: `SummerRain68!`.
    MadeUp,
    /// Made by a machine, but maybe a hash or an id: hexadecimal, a UUID, letters and digits.
    Random,
    /// Long, of all kinds of characters, without a word in it.
    Strong,
}

/// Judges a value by itself.
pub fn looks(value: &[u8]) -> Looks {
    let value = &value[..value.len().min(JUDGED_BYTES_MAX)];
    if value.len() < BYTES_MIN || is_template(value) {
        return Looks::Harmless;
    }
    let looks = by_characters(value);
    if looks == Looks::Harmless || holds_placeholder(value) || is_public_key(value) {
        return Looks::Harmless;
    }
    // Code and paths have other characters than letters and digits.
    let plain = value.iter().all(u8::is_ascii_alphanumeric);
    if !plain && (is_code(value) || is_path(value)) { Looks::Harmless } else { looks }
}

fn by_characters(value: &[u8]) -> Looks {
    let mut census = Census::of(value);
    if census.spaces > 0 {
        return Looks::Harmless;
    }
    let letters = census.lower + census.upper;
    if letters == 0 {
        let plain = census.digits == value.len() && census.digits >= 6;
        let special = census.special > 0 && value.len() >= 8 && census.digits > 0;
        return if plain || special { Looks::Weak } else { Looks::Harmless };
    }
    (census.wordy, census.words) = wordy_letters(value);
    if census.digits == 0 {
        return letters_only(value, &census);
    }
    if census.foreign > 0 {
        return if value.len() >= 8 { Looks::MadeUp } else { Looks::Harmless };
    }
    let made_up = census.kinds() >= 3 && value.len() >= 8;
    if is_uuid(value) || is_hexadecimal(value, &census) {
        return Looks::Random;
    }
    if is_named_format(value) {
        return Looks::Harmless;
    }
    if census.wordy * 10 >= (letters + census.digits) * 6 {
        return if made_up { Looks::MadeUp } else { Looks::Weak };
    }
    let mixed = census.upper > 2 && census.lower > 2;
    if value.len() >= 20 && mixed && census.changes * 4 >= letters {
        return Looks::Strong;
    }
    let fewer = letters.min(census.digits);
    if value.len() >= 10 && fewer >= 2 && census.changes >= 3 && census.changes * 3 >= fewer {
        return Looks::Random;
    }
    let chopped = census.words * 3 >= letters || census.changes >= 3;
    if value.len() >= 12 && census.upper > 1 && census.lower > 1 && chopped {
        return Looks::Random;
    }
    if made_up { Looks::MadeUp } else { Looks::Weak }
}

/// Whether several lower-case words are a phrase to remember: `correct horse battery staple`.
pub fn is_passphrase(value: &[u8]) -> bool {
    let words = value.split(|byte| matches!(byte, b' ' | b'-' | b'_' | b'.'));
    let mut count = 0;
    for word in words {
        if word.len() < 3 || !word.iter().all(u8::is_ascii_alphabetic) {
            return false;
        }
        count += 1;
    }
    count >= 4
}

/// Whether words that could be a passphrase are rather the rest of a sentence.
pub fn is_sentence(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 9] =
        [b"the", b"for", b"and", b"you", b"your", b"this", b"that", b"with", b"from"];
    value.split(|byte| *byte == b' ').any(|word| WORDS.contains(&word))
}

/// Whether a value only says where a secret goes or that one was taken out.
pub fn is_placeholder(value: &[u8]) -> bool {
    let bytes = &value[..value.len().min(JUDGED_BYTES_MAX)];
    is_template(bytes) || holds_placeholder(bytes)
}

/// Whether a value begins as variables, templates and markers do.
fn is_template(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [b'$' | b'<' | b'{' | b'[', ..]
            | [b'%', b'(' | b's' | b'{', ..]
            | [b'@' | b'#', b'{', ..]
            | [b'%', .., b'%']
            | [b'&', b'#', ..]
            | [b'&', b'l', b't', ..]
    )
}

fn holds_placeholder(bytes: &[u8]) -> bool {
    let other = bytes.iter().find(|byte| **byte != bytes[0]);
    if bytes.iter().all(|byte| *byte == bytes[0] || Some(byte) == other) {
        return true;
    }
    bytes.windows(2).enumerate().any(|(at, pair)| {
        placeholder_parts(pair[0] | LOWER_BIT, pair[1] | LOWER_BIT).iter().any(|part| {
            let there = bytes.get(at..at + part.len());
            there.is_some_and(|there| there.eq_ignore_ascii_case(part.as_bytes()))
        })
    })
}

/// The bit that lower-case letters have and capitals have not. Some other characters are the same
/// with it, so that what is found by it must be compared.
const LOWER_BIT: u8 = 0x20;

/// Parts of placeholders that may begin with two bytes, both with [`LOWER_BIT`].
fn placeholder_parts(first: u8, second: u8) -> &'static [&'static str] {
    match [first, second] {
        [b'e', b'x'] => &["example"],
        [b'y', b'o'] => &["your"],
        [b'c', b'h'] => &["changeme", "change_me", "change-me"],
        [b'p', b'l'] => &["placeholder"],
        [b'r', b'e'] => &["redacted", "replace"],
        [b'd', b'u'] => &["dummy"],
        [b'i', b'n'] => &["insert"],
        [b't', b'o'] => &["todo"],
        [b'f', b'i'] => &["fixme"],
        [b'x', b'x'] => &["xxxx"],
        [b'*', b'*'] => &["****"],
        [b'.', b'.'] => &["..."],
        [b'$', _] => &["${", "$("],
        [b'<', b'%'] => &["<%"],
        // `[` and `{`, `_`.
        [b'{', _] => &["{{", "[hidden]"],
        [0x7f, b'h'] => &["_here"],
        [0xe2, _] => &["\u{2026}", "\u{2022}\u{2022}"],
        _ => &[],
    }
}

/// Whether `needle`, in lower case, occurs in any letter case.
pub fn contains_ignoring_case(haystack: &[u8], needle: &[u8]) -> bool {
    let [first, ..] = needle else { return true };
    let starts = |at: usize| haystack[at..].get(..needle.len());
    let there = |at| starts(at).is_some_and(|part: &[u8]| part.eq_ignore_ascii_case(needle));
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), haystack).any(there)
}

/// Shannon entropy in bits a byte.
pub fn entropy(content: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    let content = &content[..content.len().min(JUDGED_BYTES_MAX)];
    content.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    // Most characters occur once, and add nothing to the sum.
    let several = counts.iter().filter(|count| **count > 1).map(|count| f32::from(*count));
    let sum: f32 = several.map(|count| count * count.log2()).sum();
    let total = content.len().max(1) as f32;
    total.log2() - sum / total
}

/// Whether it is the form of an UUID.
pub fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether it is base64 whose content is `name:password`.
pub fn is_basic(value: &[u8]) -> bool {
    let Some(decoded) = super::encoded::decode(value) else { return false };
    let text = std::str::from_utf8(&decoded).unwrap_or_default();
    let printable = !text.chars().any(char::is_control);
    printable && text.len() >= 5 && text.find(':').is_some_and(|at| at + 1 < text.len())
}

/// Whether it is the base64 of a public key or certificate in DER: a sequence that begins with
/// another one. Private keys begin with a number, or with how they are encrypted.
fn is_public_key(value: &[u8]) -> bool {
    /// PKCS #5, whose schemes encrypt keys.
    const ENCRYPTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05";
    let head = value.get(..32).filter(|_| value.len() >= 40 && value[0] == b'M');
    let Some(head) = head.and_then(super::encoded::decode) else { return false };
    // The length takes one byte, or as many more as its first one says.
    let inner = match head[1] {
        0x81 => 3,
        0x82 => 4,
        _ => 2,
    };
    let is_encrypted = head.windows(ENCRYPTION.len()).any(|part| part == ENCRYPTION);
    head[0] == 0x30 && head[inner] == 0x30 && !is_encrypted
}

/// Code that a reader mistakes for a value: calls, member access, templates.
fn is_code(value: &[u8]) -> bool {
    let code = |pair: &[u8]| {
        matches!(pair, b"::" | b"->" | b"=>" | b"()" | b"[\"" | b"['" | b"![" | b"!(")
    };
    if value.windows(2).any(code) || value.starts_with(b"(?") {
        return true;
    }
    // `&PrivateKey`, `*key_new(…`: a type, a reference.
    if let [b'&' | b'*', rest @ ..] = value
        && rest.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'(' | b'*'))
    {
        return true;
    }
    let identifier = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    // `(char*)&pNew[1`
    let cast = value.strip_prefix(b"(").and_then(|rest| {
        let end = rest.iter().position(|byte| *byte == b')')?;
        Some(
            end > 0
                && rest[..end].iter().all(|byte| identifier(byte) || matches!(byte, b' ' | b'*')),
        )
    });
    if cast == Some(true) {
        return true;
    }
    // `required|string|min:8`
    let listed = value.iter().position(|byte| *byte == b'|').filter(|at| *at > 2);
    if listed.is_some_and(|at| value[..at].iter().all(u8::is_ascii_lowercase)) {
        return true;
    }
    if let Some(at) = value.iter().position(|byte| *byte == b'(') {
        return at > 0 && value[..at].iter().all(identifier);
    }
    // `process.env.TOKEN`, `settings.account.password`: words with dots.
    let dots = value.iter().filter(|byte| **byte == b'.').count();
    dots > 0
        && value.iter().all(identifier)
        && value.split(|byte| *byte == b'.').all(|part| {
            let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
            part.first().is_some_and(|first| !first.is_ascii_digit())
                && (digits <= 1 || digits == 2 && wordy_letters(part).0 >= 10)
        })
}

/// Paths and addresses. A random value may hold slashes as well, so the parts must be words.
fn is_path(value: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 8] =
        [b"./", b"../", b"~/", b"http://", b"https://", b"file:", b"s3://", b"C:\\"];
    if BEGINNINGS.iter().any(|beginning| value.starts_with(beginning)) {
        return true;
    }
    let slashes = value.iter().filter(|byte| **byte == b'/').count();
    if slashes == 0 {
        return false;
    }
    const ROOTS: [&str; 20] = [
        "home",
        "usr",
        "etc",
        "var",
        "tmp",
        "opt",
        "root",
        "users",
        "mnt",
        "srv",
        "run",
        "dev",
        "app",
        "data",
        "private",
        "workspace",
        "bin",
        "lib",
        "proc",
        "work",
    ];
    let mut parts = value.split(|byte| *byte == b'/');
    let root = parts.next().is_some_and(<[u8]>::is_empty).then(|| parts.next()).flatten();
    if root.is_some_and(|root| ROOTS.iter().any(|name| root.eq_ignore_ascii_case(name.as_bytes())))
    {
        return true;
    }
    let counted = value.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    counted > 0 && wordy_letters(value).0 * 10 >= counted * 7
}

/// Names of algorithms and formats that have digits in them.
fn is_named_format(value: &[u8]) -> bool {
    const NAMES: [&str; 18] = [
        "base64", "base32", "sha1", "sha2", "sha3", "sha5", "md5", "utf", "oauth", "ed25519",
        "x509", "argon2", "bcrypt", "aes", "rsa", "pbkdf2", "http", "scram",
    ];
    let first = value[0].to_ascii_lowercase();
    let begins = |name: &&str| {
        name.as_bytes()[0] == first
            && value
                .get(..name.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
    };
    value.len() < 20 && NAMES.iter().any(begins)
}

fn is_hexadecimal(value: &[u8], census: &Census) -> bool {
    value.len() >= 16
        && census.digits + census.lower.max(census.upper) == value.len()
        && value.iter().all(u8::is_ascii_hexdigit)
}

/// Values without a digit: a random one needs length and letters that are no words.
fn letters_only(value: &[u8], census: &Census) -> Looks {
    let letters = census.lower + census.upper;
    let mixed = census.upper > 1 && census.lower > 1;
    // Words joined by capitals have four letters and more on the average.
    let joined = letters + census.special == value.len();
    let chopped = mixed && joined && letters >= 10 && census.words * 3 >= letters;
    let wordy = census.wordy * 10 >= letters * 5 && !chopped;
    if census.foreign > 0 || wordy || letters < 8 {
        let mixed = census.kinds() >= 3 && value.len() >= 8 && census.foreign == 0;
        // `spec=True` is an argument.
        let marked =
            value.iter().any(|byte| b"!@#$%^&*+?~".contains(byte)) && !value.starts_with(b"-");
        return if mixed && marked { Looks::MadeUp } else { Looks::Harmless };
    }
    match (value.len(), mixed) {
        (24.., true) => Looks::Strong,
        (10.., true) if chopped => Looks::Random,
        (12.., true) | (24.., false) => Looks::Random,
        (_, true) if census.changes >= 2 => Looks::MadeUp,
        _ if census.special > 0 => Looks::MadeUp,
        _ => Looks::Harmless,
    }
}

/// How many characters of each kind a value has.
struct Census {
    lower: usize,
    upper: usize,
    digits: usize,
    /// `!@#$%^&*+=?~` and their like; not what separates words.
    special: usize,
    spaces: usize,
    /// Bytes of other alphabets.
    foreign: usize,
    /// Letters and digits next to each other that are of different kinds, the capital letter at the
    /// beginning of a word not counted.
    changes: usize,
    /// Letters that are part of what could be a word; counted when there is need.
    wordy: usize,
    /// What could be words, and what would be if its letters went together.
    words: usize,
}

impl Census {
    fn of(value: &[u8]) -> Census {
        let mut counts = [0; CLASSES];
        let mut changes = 0;
        let mut last = OTHER;
        for byte in value {
            let class = CLASS_OF[usize::from(*byte)];
            counts[usize::from(class)] += 1;
            changes += usize::from(CHANGES[usize::from(last)] >> class & 1);
            last = class;
        }
        let count = |class: u8| counts[usize::from(class)];
        Census {
            lower: count(LOWER),
            upper: count(UPPER),
            digits: count(DIGIT),
            special: count(SPECIAL),
            spaces: count(SPACE),
            foreign: count(FOREIGN),
            changes,
            wordy: 0,
            words: 0,
        }
    }

    fn kinds(&self) -> usize {
        [self.lower, self.upper, self.digits, self.special].iter().filter(|n| **n > 0).count()
    }
}

/// Kinds of characters, in [`CLASS_OF`].
const CLASSES: usize = 7;
const OTHER: u8 = 0;
const LOWER: u8 = 1;
const UPPER: u8 = 2;
const DIGIT: u8 = 3;
const SPACE: u8 = 4;
const SPECIAL: u8 = 5;
const FOREIGN: u8 = 6;

/// By class, the classes that are a change behind it, as bits.
const CHANGES: [u8; CLASSES] =
    [0, 1 << UPPER | 1 << DIGIT, 1 << DIGIT, 1 << LOWER | 1 << UPPER, 0, 0, 0];

/// The class of every byte.
const CLASS_OF: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' => LOWER,
            b'A'..=b'Z' => UPPER,
            b'0'..=b'9' => DIGIT,
            b' ' | b'\t' | b'\r' | b'\n' => SPACE,
            b'!' | b'@' | b'#' | b'$' | b'%' | b'^' | b'&' | b'*' | b'+' | b'=' | b'?' | b'~' => {
                SPECIAL
            }
            0x80.. => FOREIGN,
            _ => OTHER,
        };
        byte += 1;
    }
    classes
}

/// Letters in runs of one word's spelling (`word`, `Word`, `WORD`), and how many such runs there
/// are. Only those letters count whose pairs are all common but
/// for one in six.
fn wordy_letters(value: &[u8]) -> (usize, usize) {
    let (mut wordy, mut words) = (0, 0);
    let mut at = 0;
    while at < value.len() {
        let start = at;
        let capitals = run(value, at, u8::is_ascii_uppercase);
        at += capitals;
        if capitals <= 1 {
            at += run(value, at, u8::is_ascii_lowercase);
        } else if value.get(at).is_some_and(u8::is_ascii_lowercase) {
            // `HTTPServer`: the last capital begins the next word.
            at -= 1;
        }
        if at == start {
            at += 1;
            continue;
        }
        words += 1;
        let word = &value[start..at];
        let pairs = word.len() - 1;
        let common = word.windows(2).filter(|pair| is_common(pair[0], pair[1])).count();
        if word.len() >= 3 && (pairs - common) * 6 <= pairs {
            wordy += word.len();
        }
    }
    (wordy, words)
}

fn run(value: &[u8], from: usize, of: impl Fn(&u8) -> bool) -> usize {
    value[from..].iter().take_while(|byte| of(byte)).count()
}

/// Letters that follow each letter in words and identifiers: the pairs that make up 98 % of those
/// in the Python standard library's sources.
const FOLLOWERS: [&str; 26] = [
    "abcdefgiklmnprstuvwxy",
    "abcdeijlorstuy",
    "acdefhiklmnoprstuy",
    "abcdefilmnoprstuy",
    "abcdefghiklmnopqrstuvwxy",
    "acdefilorstuy",
    "aeghilmnorstu",
    "aeilmorstuy",
    "abcdefgklmnoprstvxz",
    "aeou",
    "adegilosw",
    "abcdefgiklmnopstuvy",
    "abdeilmopstu",
    "abcdefghiklmnoprstuvy",
    "abcdefgiklmnoprstuvwx",
    "acdefhikloprstuy",
    "lu",
    "abcdefgiklmnoprstuvwy",
    "acdefghiklmnopqrstuvwy",
    "abcdefhilmnoprstuvwy",
    "abcdefgilmnoprst",
    "aeio",
    "adehinors",
    "aceipt",
    "ceilmnopst",
    "aei",
];

/// [`FOLLOWERS`] as bits, the lowest for `a`.
const FOLLOWER_BITS: [u32; 26] = follower_bits();

const fn follower_bits() -> [u32; 26] {
    let mut bits = [0; 26];
    let mut row = 0;
    while row < 26 {
        let followers = FOLLOWERS[row].as_bytes();
        let mut at = 0;
        while at < followers.len() {
            bits[row] |= 1 << (followers[at] - b'a');
            at += 1;
        }
        row += 1;
    }
    bits
}

/// Both are letters.
fn is_common(first: u8, second: u8) -> bool {
    let row = usize::from(first.to_ascii_lowercase() - b'a');
    FOLLOWER_BITS[row] >> (second.to_ascii_lowercase() - b'a') & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_what_they_look_like() {
        let cases = [
            (Looks::Harmless, "Passwort|Contraseña|semicolon|IDENTIFIER|true|current-password"),
            (Looks::Harmless, "$TOKEN|${{ secrets.X }}|<token>|YOUR_API_KEY|xxxxxxxxxxxx|ghp_..."),
            (Looks::Harmless, "process.env.API_KEY|hash_password(form.x)|e.password|[REDACTED:A]"),
            (Looks::Harmless, "/etc/ssl/private/basil.key|projects/123456/secrets/db/versions/1"),
            (Looks::Harmless, "2026-03-02|3600|1.2.3.4|client_secret_basic|New password"),
            (
                Looks::Harmless,
                "base64|scram-sha-256|spec=True|Token![struct]|&PrivateKey|*key_new(CTX",
            ),
            (Looks::Weak, "hunter2|amber-deploy-key-2026|password1|12345678"),
            (Looks::MadeUp, "SummerAmber1844!|RocketYarrow68|Sup3rSecret|WelcomeVelvet5765#"),
            (Looks::Random, "5326851b53c7ec8da550bc5cd6379d29605d7854"),
            (Looks::Random, "628a1db5-5f90-4c60-b519-6f5f3f0f5a11|52wecb9dw8byp73p71cvdo0len"),
            (Looks::Strong, "t5DOUZzd6anbUnHGmy9zIt8n|lJC7pqs8+gLCmECRhxgcCzEJCRzD+PmhU5dM10Dh"),
        ];
        for (expected, values) in cases {
            for value in values.split('|') {
                assert_eq!(looks(value.as_bytes()), expected, "{value}");
            }
        }
    }
}
