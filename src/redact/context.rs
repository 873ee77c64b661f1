//! Secrets that only their surroundings give away: a name that announces one, an operator, and a
//! value that looks like one.
//!
//! Reads assignments as shells, configuration files, source code, markup, connection strings,
//! addresses, headers and sentences spell them. Quotes may be escaped any number of times, so that
//! JSON in a string in JSON is read as well. Everything is looked at within a bounded distance.

use std::ops::Range;

use memchr::memmem;

use super::escape::rest_of_escape;
use super::names::{NAME_BYTES_MAX, Names, announces, may_announce};
use super::spans::MARKER_START;
use super::value::{Looks, is_basic, is_passphrase, is_placeholder, is_sentence, looks};

/// Bytes of blanks between a name, its operator and its value.
const GAP_BYTES_MAX: usize = 64;
/// Bytes of a value that is read.
const VALUE_BYTES_MAX: usize = 8 << 10;
/// Bytes of a value that is not looked into for further names.
const LONG_BYTES_MIN: usize = 512;
/// Bytes before a name in which its sentence or line is looked at.
const BEFORE_BYTES_MAX: usize = 160;
/// Bytes of `as the staging`, between a value and the name behind it.
const BETWEEN_BYTES_MAX: usize = 36;
/// Pairs of a cookie that are read.
const COOKIE_PAIRS_MAX: usize = 32;

/// Where a name lies around a keyword hit, and what it announces.
pub struct Name {
    /// Its place.
    pub range: Range<usize>,
    /// What it announces.
    pub names: Names,
}

/// The name in a range that [`name_range`] has found, if it announces a secret.
pub fn name_in(text: &[u8], range: Range<usize>) -> Option<Name> {
    // The type in a marker is what a secret was, and announces none.
    if text[..range.start].ends_with(MARKER_START) {
        return None;
    }
    if range.len() > NAME_BYTES_MAX || !may_announce(&text[range.clone()]) {
        return None;
    }
    let mut context: [&[u8]; 3] = [&[]; 3];
    let mut count = 0;
    let mut at = range.start;
    // `the API key`: words of a sentence qualify the name as its own parts do.
    while count < context.len() && at > 1 && text[at - 1] == b' ' {
        let end = at - 1;
        let start = text[..end].iter().rposition(|byte| !byte.is_ascii_alphabetic());
        let start = start.map_or(0, |start| start + 1).max(end.saturating_sub(24));
        if start == end {
            break;
        }
        context[count] = &text[start..end];
        (count, at) = (count + 1, start);
    }
    let names = announces(&text[range.clone()], &context[..count])?;
    Some(Name { range, names })
}

/// The word around a keyword. Every keyword in it has the same one; of a word longer than any name,
/// only a part that is too long as well.
pub fn name_range(text: &[u8], hit: Range<usize>) -> Range<usize> {
    let left = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let right = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let window = &text[hit.start.saturating_sub(NAME_BYTES_MAX + 1)..hit.start];
    let mut start = hit.start - window.iter().rev().take_while(|byte| left(byte)).count();
    start += rest_of_escape(text, start).min(hit.start - start);
    // A keyword may end with the operator.
    let from = hit.end - usize::from(matches!(text[hit.end - 1], b'=' | b':'));
    let end = from + text[from..].iter().take(NAME_BYTES_MAX + 1).take_while(right).count();
    start..end
}

/// The values that an announcement has, and which look the part. Says how far no other name needs
/// to be looked for.
pub fn secrets_of(text: &[u8], name: &Name, found: &mut Vec<Range<usize>>) -> usize {
    if name.names == Names::Cookie {
        return cookie(text, name.range.end, found);
    }
    secret_of(text, name, found).unwrap_or(name.range.end)
}

/// Says how far a value was read that is too long for other names to be looked for in it.
fn secret_of(text: &[u8], name: &Name, found: &mut Vec<Range<usize>>) -> Option<usize> {
    let Some(mut value) = value_of(text, name) else {
        backwards(text, name, found);
        return None;
    };
    // `arn:aws:secretsmanager:…:secret:app/db`, `did:key:z6Mk…`: parts of one word.
    let listed = name.range.start > 0 && text[name.range.start - 1] == b':';
    if value.tight && listed {
        return None;
    }
    if value.bare && name.names == Names::Passphrase {
        let line = text[value.range.start..].iter().take(VALUE_BYTES_MAX);
        let words = line.take_while(|byte| byte.is_ascii_lowercase() || **byte == b' ').count();
        let phrase = text[value.range.start..value.range.start + words].trim_ascii_end();
        value.range.end = value.range.end.max(value.range.start + phrase.len());
    }
    let read = value.range.clone();
    found.extend(secret_in(text, value, name.names));
    (read.len() > LONG_BYTES_MIN).then_some(read.end)
}

/// Whether what stands in raw JSON where a name may can have a value at all: most words of code and
/// prose are followed by a sign behind which none stands, however it is decoded.
pub fn may_have_value(raw: &[u8], name: Range<usize>) -> bool {
    let follows = match raw[name.end..] {
        [b':', b':', ..] => false,
        [byte, ..] => matches!(
            byte,
            b':' | b'=' | b'>' | b' ' | b'\t' | b'\n' | b'\r' | b'\\' | b'"' | b'\'' | b'`'
        ),
        [] => false,
    };
    follows || as_before(raw, name.start).is_some()
}

/// Whether a field's whole value, such as a JSON string, is the secret that its name announces.
pub fn secret_field(names: Names, value: &[u8]) -> Option<Range<usize>> {
    let value_range = Value { range: 0..value.len(), sure: true, bare: false, tight: false };
    if names == Names::Cookie {
        let mut found = Vec::new();
        pairs(value, 0..value.len().min(VALUE_BYTES_MAX), &mut found);
        return found.into_iter().next();
    }
    secret_in(value, value_range, names)
}

/// A value, and how it was found.
struct Value {
    range: Range<usize>,
    /// The spelling leaves no doubt that it belongs to the name; sentences do not.
    sure: bool,
    /// Not in quotes, so that it may be code.
    bare: bool,
    /// Not in quotes and right behind a colon, so that it may be a part of a longer word.
    tight: bool,
}

/// What of a value is the secret, if it is one.
fn secret_in(text: &[u8], value: Value, names: Names) -> Option<Range<usize>> {
    let mut range = value.range.clone();
    if names == Names::Authorization {
        range = if value.bare { next_word(text, range) } else { behind_scheme(text, range) };
        let credential = &text[range.clone()];
        let shown = looks(credential) >= Looks::Random || is_basic(credential);
        return shown.then_some(range);
    }
    if matches!(names, Names::Key | Names::MaybeKey | Names::VendorKey) {
        range = behind_scheme(text, range);
    }
    let content = &text[range.clone()];
    // What `looks` judges alone has been held against placeholders there.
    let judged_otherwise = matches!(names, Names::Login | Names::Passphrase);
    if content.is_empty() || judged_otherwise && is_placeholder(content) {
        return None;
    }
    if value.tight && matches!(names, Names::MaybeKey | Names::VendorKey) {
        return None;
    }
    let looks = looks(content);
    let doubtful = !value.sure;
    let accepted = match names {
        Names::Password if doubtful => looks >= Looks::MadeUp,
        Names::Password if value.bare => looks >= Looks::MadeUp || weak_but_bare(content, looks),
        Names::Password => looks >= Looks::Weak,
        Names::Passphrase if doubtful && is_sentence(content) => false,
        Names::Passphrase => looks >= Looks::Weak || is_passphrase(content),
        Names::Key if doubtful => looks >= Looks::Random,
        Names::Key => looks >= Looks::Random || looks == Looks::MadeUp && content.len() >= 10,
        Names::MaybeKey => looks >= Looks::Strong,
        Names::VendorKey => looks >= Looks::Strong || looks == Looks::Random && content.len() >= 20,
        Names::Signature => looks >= Looks::Strong || doubtful_signature(text, &range, looks),
        Names::Login => return login(text, range, doubtful),
        Names::Authorization | Names::Cookie => false,
    };
    accepted.then_some(range)
}

/// `hunter2` without quotes: a variable's name ends with a digit as well, so a bare value needs
/// more of them.
fn weak_but_bare(content: &[u8], looks: Looks) -> bool {
    looks == Looks::Weak
        && content.len() >= 6
        && content.iter().filter(|byte| byte.is_ascii_digit()).count() >= 2
}

/// A signature in hexadecimal is one in an address only; elsewhere it may be a digest.
fn doubtful_signature(text: &[u8], range: &Range<usize>, looks: Looks) -> bool {
    let before = &text[range.start.saturating_sub(24)..range.start];
    looks == Looks::Random && before.iter().any(|byte| matches!(byte, b'&' | b'?'))
}

/// `user:password`, or base64 of it.
fn login(text: &[u8], range: Range<usize>, doubtful: bool) -> Option<Range<usize>> {
    let content = &text[range.clone()];
    let Some(separator) = content.iter().position(|byte| *byte == b':') else {
        if let Some(start) = behind_slash(text, range.end) {
            let secret = bare(text, start);
            return (looks(&text[secret.clone()]) >= Looks::MadeUp).then_some(secret);
        }
        return (is_basic(content) || looks(content) >= Looks::Strong).then_some(range);
    };
    let secret = range.start + separator + 1..range.end;
    let user = &content[..separator];
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(byte);
    let least = if doubtful { Looks::MadeUp } else { Looks::Weak };
    let named = !user.is_empty() && user.iter().all(plain) && user[0].is_ascii_alphabetic();
    (named && looks(&text[secret.clone()]) >= least).then_some(secret)
}

/// Where the password of `user / password` begins.
fn behind_slash(text: &[u8], at: usize) -> Option<usize> {
    text[at..].starts_with(b" / ").then_some(at + 3)
}

/// The credential behind a scheme that stands without quotes: `Bearer …`, `token …`.
fn next_word(text: &[u8], scheme: Range<usize>) -> Range<usize> {
    let start = blanks(text, scheme.end);
    let alone = start == scheme.end || !text[scheme.clone()].iter().all(u8::is_ascii_alphabetic);
    if alone { scheme } else { bare(text, start) }
}

/// Skips `Bearer `, `Basic `, `Token token=` and their like in front of a credential.
fn behind_scheme(text: &[u8], range: Range<usize>) -> Range<usize> {
    let content = &text[range.clone()];
    let Some(blank) = content.iter().take(32).position(|byte| *byte == b' ') else { return range };
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    if blank == 0 || !content[..blank].iter().all(word) {
        return range;
    }
    let start = range.start + blank + content[blank..].iter().take_while(|b| **b == b' ').count();
    // What follows behind the credential, as in a sentence, is not part of it.
    let rest = &text[start..range.end];
    let end = start + rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    start..end
}

/// Finds the value behind a name.
fn value_of(text: &[u8], name: &Name) -> Option<Value> {
    let at = name.range.end;
    let (after_name, quoted) = close_name(text, at);
    let next = blanks(text, after_name);
    let byte = *text.get(next)?;
    let rest = &text[next..];
    match byte {
        b':' if rest.starts_with(b"::") => None,
        b':' if rest.starts_with(b":=") => value_at(text, next + 2, true),
        b':' => behind_colon(text, next + 1),
        b'=' if rest.starts_with(b"==") || rest.starts_with(b"=~") => None,
        b'=' if rest.starts_with(b"=>") => value_at(text, next + 2, true),
        b'=' => value_at(text, next + 1, true),
        b'|' if next > at => value_at(text, next + 1, false),
        b'>' => markup(text, next, name, quoted),
        b',' if quoted => behind_comma(text, next + 1),
        b'\n' | b'\r' => pair_value(text, next),
        b'\\' if rest.starts_with(b"\\n") => pair_value(text, next),
        _ if next == after_name => None,
        _ if quoted => pair_value(text, next),
        _ => behind_blank(text, name, next),
    }
}

/// Behind a quote, bracket or both that end a name: `"password":`, `env['TOKEN'] =`.
fn close_name(text: &[u8], at: usize) -> (usize, bool) {
    let slashes = text[at..].iter().take(8).take_while(|byte| **byte == b'\\').count();
    let mut end = at;
    let mut quoted = false;
    if matches!(text.get(at + slashes), Some(b'"' | b'\'' | b'`')) {
        (end, quoted) = (at + slashes + 1, true);
    }
    if matches!(text.get(end), Some(b']' | b')')) && quoted {
        end += 1;
    }
    (end, quoted)
}

fn blanks(text: &[u8], at: usize) -> usize {
    at + text[at..]
        .iter()
        .take(GAP_BYTES_MAX)
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

/// A YAML or JSON value, a header's, or the type of a declaration: `key: &str = "…"`.
fn behind_colon(text: &[u8], at: usize) -> Option<Value> {
    let start = blanks(text, at);
    let declared = text[start..]
        .iter()
        .take(GAP_BYTES_MAX)
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"_&<>'[]?.| ".contains(byte))
        .count();
    let equals = start + declared;
    let assigned = declared > 0
        && text[start].is_ascii_alphabetic() | (text[start] == b'&')
        && text.get(equals) == Some(&b'=')
        && text[equals - 1] == b' '
        && text.get(equals + 1) == Some(&b' ');
    if assigned {
        return value_at(text, equals + 1, true);
    }
    // A block of YAML: the value stands on the next line.
    if matches!(text.get(start), Some(b'|' | b'>')) {
        let line = text[start..].iter().take(4).position(|byte| *byte == b'\n')? + start + 1;
        return value_at(text, blanks(text, line), true);
    }
    value_at(text, start, true)
}

/// `<password>…</password>`, `<string name="api_key">…</string>`.
fn markup(text: &[u8], at: usize, name: &Name, quoted: bool) -> Option<Value> {
    let opened = name.range.start > 0 && text[name.range.start - 1] == b'<';
    if !opened && !quoted {
        return None;
    }
    let start = at + 1;
    let window = &text[start..text.len().min(start + VALUE_BYTES_MAX)];
    let end = start + window.iter().position(|byte| matches!(byte, b'<' | b'\n' | b'\\'))?;
    Some(Value { range: start..end, sure: true, bare: false, tight: false })
}

/// `define('DB_PASSWORD', '…')`, `("token", "…")`, or the second half of a pair.
fn behind_comma(text: &[u8], at: usize) -> Option<Value> {
    pair_value(text, at).or_else(|| {
        let start = blanks(text, at);
        let slashes = text[start..].iter().take(8).take_while(|byte| **byte == b'\\').count();
        matches!(text.get(start + slashes), Some(b'"' | b'\'')).then(|| quoted(text, start))?
    })
}

/// The `value: …` that follows `name: DB_PASSWORD`, in JSON, YAML, XML or HCL.
fn pair_value(text: &[u8], at: usize) -> Option<Value> {
    let window = &text[at..text.len().min(at + GAP_BYTES_MAX)];
    let glue = |byte: &&u8| byte.is_ascii_whitespace() || b",\\\"'-".contains(byte);
    let mut skipped = window.iter().take_while(glue).count();
    // The letter of an escaped line end.
    if window.get(skipped) == Some(&b'n') && skipped > 0 && window[skipped - 1] == b'\\' {
        skipped += 1 + window[skipped + 1..].iter().take_while(glue).count();
    }
    let word = window.get(skipped..skipped + 5)?;
    if !word.eq_ignore_ascii_case(b"value") {
        return None;
    }
    let (closed, _) = close_name(text, at + skipped + 5);
    let operator = blanks(text, closed);
    matches!(text.get(operator), Some(b':' | b'=')).then(|| value_at(text, operator + 1, true))?
}

/// Names that are followed by a blank: options, `set NAME value`, netrc, SQL, sentences.
fn behind_blank(text: &[u8], name: &Name, next: usize) -> Option<Value> {
    let before = &text[name.range.start.saturating_sub(BEFORE_BYTES_MAX)..name.range.start];
    let own = &text[name.range.clone()];
    if own.starts_with(b"-") {
        return value_at(text, next, true).filter(|value| text[value.range.start] != b'-');
    }
    const FLAGS: [&[u8]; 6] =
        [b"--body", b"--value", b"--secret-string", b"--data", b"-b", b"--string"];
    for flag in FLAGS {
        if text[next..].starts_with(flag)
            && matches!(text.get(next + flag.len()), Some(b' ' | b'='))
        {
            return value_at(text, next + flag.len() + 1, true);
        }
    }
    const VERBS: [&[u8]; 6] = [b"is ", b"was ", b"to ", b"provided: ", b"is: ", b"will be "];
    for verb in VERBS {
        if text[next..].starts_with(verb) {
            return value_at(text, blanks(text, next + verb.len()), false);
        }
    }
    if name.names != Names::Login
        && let Some(value) = later_colon(text, next)
    {
        return Some(value);
    }
    let set = [&b"set "[..], b"setx ", b"put ", b"set \"", b"ENV ", b"add "];
    if set.iter().any(|verb| before.ends_with(verb)) {
        return value_at(text, next, false);
    }
    let quoted_next = matches!(text.get(next), Some(b'"' | b'\'' | b'`'));
    if own.eq_ignore_ascii_case(b"bearer") {
        return (!quoted_next).then(|| value_at(text, next, true))?;
    }
    if quoted_next || own.eq_ignore_ascii_case(b"password") && is_netrc(before) {
        return value_at(text, next, quoted_next);
    }
    // `requirepass …`, `API key …`: nothing joins the two but that they are neighbours.
    let value = value_at(text, next, false)?;
    let alone = matches!(text.get(value.range.end), None | Some(b'\n' | b'\r' | b'\\' | b'"'));
    let directive = alone && is_indented(before);
    let least = if directive { Looks::Random } else { Looks::Strong };
    (looks(&text[value.range.clone()]) >= least).then_some(value)
}

/// Whether only blanks stand before, on the same line or in the same quotes.
fn is_indented(before: &[u8]) -> bool {
    let blanks = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    before[..before.len() - blanks].last().is_none_or(|byte| matches!(byte, b'\n' | b'"'))
}

/// `key for the staging server: …`: the colon of a sentence may stand some words later.
fn later_colon(text: &[u8], next: usize) -> Option<Value> {
    let window = &text[next..text.len().min(next + 40)];
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || b" ()".contains(byte);
    let colon = window.iter().position(|byte| !word(byte))?;
    let sentence = window.get(colon..colon + 2) == Some(b": ");
    sentence.then(|| value_at(text, next + colon + 2, false))?
}

/// Whether what stands before is `machine … login …`.
fn is_netrc(before: &[u8]) -> bool {
    let contains = |needle: &[u8]| memmem::find(before, needle).is_some();
    contains(b"login ") || contains(b"machine ") || contains(b"user ")
}

/// The literal behind words that announce a password, such as SQL's `IDENTIFIED BY`.
pub fn literal_at(text: &[u8], at: usize) -> Option<Range<usize>> {
    let value = value_at(text, at, true).filter(|value| !value.bare)?;
    secret_in(text, value, Names::Password)
}

/// `use … as the password`: the value stands before the name.
fn backwards(text: &[u8], name: &Name, found: &mut Vec<Range<usize>>) {
    if !matches!(name.names, Names::Password | Names::Passphrase | Names::Key) {
        return;
    }
    let Some(end) = as_before(text, name.range.start) else { return };
    let start = name.range.start.saturating_sub(BEFORE_BYTES_MAX);
    let head = &text[start..end];
    let blank = head.iter().rposition(u8::is_ascii_whitespace).map_or(0, |blank| blank + 1);
    let range = unquoted(text, start + blank..end);
    let least = if name.names == Names::Key { Looks::Random } else { Looks::MadeUp };
    if looks(&text[range.clone()]) >= least {
        found.push(range);
    }
}

/// Where ` as ` and words stand before a name.
fn as_before(text: &[u8], name_start: usize) -> Option<usize> {
    let near = name_start.saturating_sub(BETWEEN_BYTES_MAX);
    let between = &text[near..name_start];
    // Before most names of code stands no blank, and the search costs more than this look.
    let as_at = between.ends_with(b" ").then(|| memmem::rfind(between, b" as "))??;
    let is_between = between[as_at + 4..].iter().all(|b| b.is_ascii_alphabetic() || *b == b' ');
    is_between.then_some(near + as_at)
}

fn unquoted(text: &[u8], range: Range<usize>) -> Range<usize> {
    let is_quote = |byte: u8| matches!(byte, b'"' | b'\'' | b'`');
    let cut = range.len() >= 2 && is_quote(text[range.start]) && is_quote(text[range.end - 1]);
    if cut { range.start + 1..range.end - 1 } else { range }
}

/// The value at a place: quoted, the quoted argument of a call, or bare.
fn value_at(text: &[u8], at: usize, sure: bool) -> Option<Value> {
    let mut start = blanks(text, at);
    let slashes = text[start..].iter().take(8).take_while(|byte| **byte == b'\\').count();
    if matches!(text.get(start + slashes), Some(b'"' | b'\'' | b'`')) {
        return quoted(text, start).map(|value| Value { sure, ..value });
    }
    // The first of a list.
    if text.get(start) == Some(&b'[') && matches!(text.get(start + 1), Some(b'"' | b'\'')) {
        return quoted(text, start + 1).map(|value| Value { sure, ..value });
    }
    // Prefixes of literals: `b"…"`, `r'…'`, `@"…"`, and calls: `SecretStr("…")`.
    let word = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.:@&".contains(byte);
    let prefix = text[start..].iter().take(GAP_BYTES_MAX).take_while(word).count();
    match text.get(start + prefix) {
        Some(b'"' | b'\'') if prefix <= 2 => {
            return quoted(text, start + prefix).map(|value| Value { sure, ..value });
        }
        Some(b'(') if prefix > 0 => {
            let inner = start + prefix + 1;
            let is_quote = matches!(text.get(inner), Some(b'"' | b'\''));
            return quoted(text, inner).filter(|_| is_quote).map(|v| Value { sure: false, ..v });
        }
        _ => {}
    }
    let bold = text[start..].starts_with(b"**");
    start += if bold { 2 } else { 0 };
    let mut range = bare(text, start);
    if bold && text[range.clone()].ends_with(b"**") {
        range.end -= 2;
    }
    let tight = start > 0 && text[start - 1] == b':';
    (!range.is_empty()).then_some(Value { range, sure, bare: true, tight })
}

/// What stands between a quote, escaped or not, and its partner on the same line.
fn quoted(text: &[u8], at: usize) -> Option<Value> {
    let slashes = text[at..].iter().take(8).take_while(|byte| **byte == b'\\').count();
    let quote = *text.get(at + slashes)?;
    let start = at + slashes + 1;
    let window = &text[start..text.len().min(start + VALUE_BYTES_MAX)];
    let mut run = 0;
    for (offset, byte) in window.iter().enumerate() {
        match *byte {
            b'\\' => run += 1,
            b'\n' => return None,
            byte if byte == quote && (run <= slashes || slashes == 0 && run % 2 == 0) => {
                return Some(Value {
                    range: start..start + offset - run.min(slashes),
                    sure: true,
                    bare: false,
                    tight: false,
                });
            }
            _ => run = 0,
        }
    }
    None
}

/// What stands up to a blank, a quote, or a sign that ends values where they stand in lists, calls,
/// addresses and commands.
fn bare(text: &[u8], start: usize) -> Range<usize> {
    let window = &text[start.min(text.len())..text.len().min(start + VALUE_BYTES_MAX)];
    let mut end = window.len();
    for (at, byte) in window.iter().enumerate() {
        let rest = &window[at + 1..];
        let stops = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' | b'`' | b'<' | b'>' | b';' | b'\\'
            | b'|' | b']' | b'}' => true,
            b')' => !window[..at].contains(&b'('),
            b',' => {
                rest.first().is_none_or(|next| !next.is_ascii_graphic() || b"\"'".contains(next))
                    || is_pair(rest)
            }
            b'&' => rest.first() == Some(&b'&') || is_pair(rest),
            _ => false,
        };
        if stops {
            end = at;
            break;
        }
    }
    while end > 0 && matches!(window[end - 1], b'.' | b',' | b':' | b'?') {
        end -= 1;
    }
    start..start + end
}

/// Whether `name=` follows.
fn is_pair(rest: &[u8]) -> bool {
    let name = rest
        .iter()
        .take(NAME_BYTES_MAX)
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"_-.[]%$".contains(byte))
        .count();
    name > 0 && matches!(rest.get(name), Some(b'='))
}

/// `Cookie: a=b; c=d`, `cookie = "…"`.
fn cookie(text: &[u8], at: usize, found: &mut Vec<Range<usize>>) -> usize {
    let (after, _) = close_name(text, at);
    let operator = blanks(text, after);
    if !matches!(text.get(operator), Some(b':' | b'=')) {
        return at;
    }
    let start = blanks(text, operator + 1);
    let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`' | b'\\');
    let start = start + text[start..].iter().take(4).take_while(|byte| is_quote(byte)).count();
    let window = &text[start..text.len().min(start + VALUE_BYTES_MAX)];
    let end = window.iter().position(|byte| matches!(byte, b'\n' | b'"' | b'\'' | b'`' | b'\\'));
    let end = start + end.unwrap_or(window.len());
    pairs(text, start..end, found);
    end
}

fn pairs(text: &[u8], range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let mut at = range.start;
    for pair in text[range].split(|byte| *byte == b';').take(COOKIE_PAIRS_MAX) {
        if let Some(equals) = pair.iter().position(|byte| *byte == b'=') {
            let value = &pair[equals + 1..];
            let length = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
            if length >= 16 && looks(&value[..length]) >= Looks::Random {
                found.push(at + equals + 1..at + equals + 1 + length);
            }
        }
        at += pair.len() + 1;
    }
}
