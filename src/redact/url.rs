//! Secrets in addresses: the user information, `scheme://user:password@host`, of any scheme, and
//! the addresses of web hooks, which are secrets themselves.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::value::{Looks, is_placeholder, looks};

/// Bytes of user information that is read.
const USER_INFO_BYTES_MAX: usize = 512;
/// Bytes of scheme and host before what says that an address is that of a web hook.
const HOST_BYTES_MAX: usize = 128;
/// What says so.
pub const HOOKS: [&str; 3] = ["hooks.", "/hooks/", "webhook"];
/// Schemes whose passwords may hold a `/`, since their addresses are rarely written by machines.
const DATABASES: [&str; 12] = [
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongodb",
    "srv",
    "redis",
    "rediss",
    "amqp",
    "amqps",
    "clickhouse",
    "mssql",
];
/// Words that documents use where a password goes.
const PLACEHOLDERS: [&str; 10] =
    ["password", "passwd", "pass", "pwd", "pw", "secret", "token", "key", "credentials", "apikey"];

/// The secret of the address whose `://` is at `colon`.
pub fn secret_at(text: &[u8], colon: usize) -> Option<Range<usize>> {
    let start = colon + 3;
    let window = &text[start..text.len().min(start + USER_INFO_BYTES_MAX)];
    let info = &window[..info_length(window)];
    let first_at = memchr(b'@', info)?;
    let path = info.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let Some(separator) = info[..first_at].iter().position(|byte| *byte == b':') else {
        // A token alone, where the user's name would be.
        let alone = path.is_none_or(|path| first_at < path) && first_at >= 16;
        let random = alone && looks(&info[..first_at]) >= Looks::Random;
        return random.then_some(start..start + first_at);
    };
    if path.is_some_and(|path| path < separator) {
        return None;
    }
    let end = match path {
        Some(path) if path < first_at => odd_password_end(text, colon, info, separator, path)?,
        Some(path) => last_at(&info[..path])?,
        None => last_at(info)?,
    };
    let password = &info[separator + 1..end];
    let word = PLACEHOLDERS.iter().any(|word| password.eq_ignore_ascii_case(word.as_bytes()));
    let harmless = password.is_empty() || word || is_reference(password);
    (!harmless).then_some(start + separator + 1..start + end)
}

/// What makes an address of a web hook a secret: all behind its host. `hit` is a place in it that
/// says that it is one. Also says where the address ends.
pub fn hook_at(text: &[u8], hit: usize) -> (Option<Range<usize>>, usize) {
    let from = hit.saturating_sub(HOST_BYTES_MAX);
    let before = &text[from..hit];
    let scheme = memmem::rfind(before, b"://").map(|at| at + 3);
    let Some(host) = scheme.filter(|host| !before[*host..].iter().any(u8::is_ascii_whitespace))
    else {
        return (None, hit);
    };
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>\\)]},;".contains(byte);
    let window = &text[hit..text.len().min(hit + USER_INFO_BYTES_MAX)];
    let end = hit + window.iter().position(ends).unwrap_or(window.len());
    (hook_path(text, from + host..end, hit), end)
}

/// The path of the address of a web hook, if a part of it is random. Where only the path, and not
/// the host, says that it is one, a hash or an id is not enough: it may be that of a commit.
fn hook_path(text: &[u8], address: Range<usize>, hit: usize) -> Option<Range<usize>> {
    let Range { start, end } = address;
    let path = start + text[start..end].iter().position(|byte| *byte == b'/')?;
    let hosted = hit < path;
    let mut random = false;
    for part in text[path..end].split(|byte| matches!(byte, b'/' | b'?' | b'=' | b'&' | b'@')) {
        if part.len() >= 4 && is_placeholder(part) {
            return None;
        }
        let least = match (hosted, part.len()) {
            (false, _) => Looks::Strong,
            (true, 7) => Looks::Weak,
            (true, _) => Looks::MadeUp,
        };
        random |= looks(part) >= least;
    }
    random.then_some(path + 1..end)
}

/// How far user information may reach: to what ends an address, or to the path behind an `@`.
fn info_length(window: &[u8]) -> usize {
    let mut at_seen = false;
    let end = window.iter().position(|byte| match byte {
        b'@' => {
            at_seen = true;
            false
        }
        b'/' | b'?' | b'#' => at_seen,
        b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' => true,
        byte => byte.is_ascii_whitespace(),
    });
    end.unwrap_or(window.len())
}

/// The end of a password that holds `?` or `#` itself, or in a database's address `/`. What looks
/// like a port is followed by a path.
fn odd_password_end(
    text: &[u8],
    colon: usize,
    info: &[u8],
    separator: usize,
    path: usize,
) -> Option<usize> {
    let port = &info[separator + 1..path];
    if port.len() <= 5 && port.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let scheme = text[..colon].rsplit(|byte| !byte.is_ascii_alphanumeric()).next()?;
    let database = DATABASES.iter().any(|name| scheme.eq_ignore_ascii_case(name.as_bytes()));
    if database {
        return last_at(info);
    }
    let slash = info.iter().position(|byte| *byte == b'/').unwrap_or(info.len());
    last_at(&info[..slash]).filter(|end| *end > separator)
}

fn last_at(info: &[u8]) -> Option<usize> {
    info.iter().rposition(|byte| *byte == b'@')
}

/// A variable, a placeholder or a regular expression instead of a password. Signs that only end a
/// sentence elsewhere are part of a password here.
fn is_reference(password: &[u8]) -> bool {
    let expression = [&b"[^"[..], b")(", b"(?:"];
    password.len() >= 2 && is_placeholder(password)
        || expression.iter().any(|part| password.windows(part.len()).any(|window| window == *part))
        || password.iter().all(|byte| matches!(byte, b'*' | b'x' | b'X' | b'.'))
}
