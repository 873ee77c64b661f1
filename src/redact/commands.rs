//! Passwords on command lines whose options do not name them: `-p`, `-u user:password`, and what is
//! piped into a command that reads a password.

use std::ops::Range;

use memchr::{memmem, memrchr};

use super::value::{Looks, looks};

/// Bytes of a command line that are read.
const COMMAND_BYTES_MAX: usize = 2 << 10;
/// Words of a command line that are read.
const WORDS_MAX: usize = 48;
/// Bytes before a command in which what is piped into it is looked for.
const PIPE_BYTES_MAX: usize = 512;

/// How an option holds its password.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// As the next word.
    Next,
    /// As the rest of its own word.
    Attached,
    /// The next word is `user:password`.
    Login,
    /// The next word is `user%password`.
    Percent,
    /// The next word is `pass:password`.
    Source,
    /// As the last of this many words behind the options.
    Last(usize),
}

/// Commands and their options; the empty one stands for none at all.
const COMMANDS: &[(&str, &[(&str, Form)])] = &[
    ("sshpass", &[("-p", Form::Next), ("-p", Form::Attached)]),
    ("mysql", &[("-p", Form::Attached)]),
    ("mysqldump", &[("-p", Form::Attached)]),
    ("mysqladmin", &[("-p", Form::Attached)]),
    ("mariadb", &[("-p", Form::Attached)]),
    ("mongo", &[("-p", Form::Next)]),
    ("mongosh", &[("-p", Form::Next)]),
    ("mongodump", &[("-p", Form::Next)]),
    ("mongorestore", &[("-p", Form::Next)]),
    ("redis-cli", &[("-a", Form::Next)]),
    (
        "curl",
        &[
            ("-u", Form::Login),
            ("--user", Form::Login),
            ("-U", Form::Login),
            ("--proxy-user", Form::Login),
            ("-u", Form::Attached),
        ],
    ),
    ("wget", &[("--user", Form::Login)]),
    ("lftp", &[("-u", Form::Login)]),
    ("login", &[("-p", Form::Next)]),
    ("docker", &[("-p", Form::Next)]),
    ("podman", &[("-p", Form::Next)]),
    ("unzip", &[("-P", Form::Next), ("-P", Form::Attached)]),
    ("zip", &[("-P", Form::Next)]),
    ("7z a", &[("-p", Form::Attached)]),
    ("7z x", &[("-p", Form::Attached)]),
    ("7z e", &[("-p", Form::Attached)]),
    ("7za", &[("-p", Form::Attached)]),
    ("unrar", &[("-p", Form::Attached)]),
    (
        "openssl",
        &[
            ("-k", Form::Next),
            ("-K", Form::Next),
            ("-pass", Form::Source),
            ("-passin", Form::Source),
            ("-passout", Form::Source),
        ],
    ),
    ("htpasswd", &[("", Form::Last(3))]),
    ("sqlcmd", &[("-P", Form::Next), ("-P", Form::Attached)]),
    ("bcp", &[("-P", Form::Next)]),
    ("ldapsearch", &[("-w", Form::Next)]),
    ("ldapadd", &[("-w", Form::Next)]),
    ("ldapmodify", &[("-w", Form::Next)]),
    ("ldapdelete", &[("-w", Form::Next)]),
    ("ldappasswd", &[("-w", Form::Next), ("-s", Form::Next)]),
    ("smbclient", &[("-U", Form::Percent)]),
    ("rpcclient", &[("-U", Form::Percent)]),
    ("ipmitool", &[("-P", Form::Next)]),
    ("influx", &[("-t", Form::Next), ("-p", Form::Next)]),
    ("ssh-keygen", &[("-N", Form::Next), ("-P", Form::Next)]),
    ("snmpwalk", &[("-A", Form::Next), ("-X", Form::Next)]),
    ("snmpget", &[("-A", Form::Next), ("-X", Form::Next)]),
    ("rabbitmqctl", &[("", Form::Last(3))]),
    ("wpa_passphrase", &[("", Form::Last(2))]),
    ("useradd", &[("-p", Form::Next)]),
    ("usermod", &[("-p", Form::Next)]),
    ("cqlsh", &[("-p", Form::Next)]),
    ("xfreerdp", &[("/p:", Form::Attached)]),
    ("cmdkey", &[("/pass:", Form::Attached)]),
    ("ncftp", &[("-p", Form::Next)]),
];

/// Commands and options that read a password from their input.
const READERS: [&str; 8] = [
    "-stdin",
    "sudo -S",
    "chpasswd",
    "--with-token",
    "--passphrase-fd",
    "smbpasswd -s",
    "cryptsetup",
    "secret set",
];

/// What [`secret_at`] looks for, by the index that it takes.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|(name, _)| *name).chain(READERS).chain(["send "])
}

/// The secret of the command line with the keyword of this index, and how far that was read.
pub fn secret_at(text: &[u8], index: usize, hit: Range<usize>) -> (Option<Range<usize>>, usize) {
    let Some((_, options)) = COMMANDS.get(index) else {
        let piped_into = index < COMMANDS.len() + READERS.len();
        let secret = if piped_into { piped(text, hit.start) } else { typed(text, hit.end) };
        return (secret, hit.end);
    };
    let joined = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    if hit.start > 0 && joined(&text[hit.start - 1]) || text.get(hit.end) != Some(&b' ') {
        return (None, hit.end);
    }
    let mut words = Words { text, at: hit.end, end: text.len().min(hit.end + COMMAND_BYTES_MAX) };
    let secret = option_in(text, options, &mut words);
    (secret, words.at)
}

fn option_in(text: &[u8], options: &[(&str, Form)], words: &mut Words<'_>) -> Option<Range<usize>> {
    let mut waiting: Option<Form> = None;
    let mut arguments = 0;
    for _ in 0..WORDS_MAX {
        let word = words.next()?;
        let content = &text[word.clone()];
        if let Some(form) = waiting.take()
            && let Some(secret) = in_form(text, word.clone(), form)
        {
            return Some(secret);
        }
        let option = content.first().is_some_and(|byte| matches!(byte, b'-' | b'/'));
        arguments += usize::from(!option);
        for (name, form) in options {
            let name = name.as_bytes();
            match form {
                Form::Last(count) if !option && arguments == *count => {
                    return accept(text, word, Looks::Weak);
                }
                Form::Last(_) => {}
                Form::Attached if content.len() > name.len() && content.starts_with(name) => {
                    return attached(text, word, name.len());
                }
                Form::Attached => {}
                _ if content == name => waiting = Some(*form),
                _ => {}
            }
        }
    }
    None
}

fn in_form(text: &[u8], word: Range<usize>, form: Form) -> Option<Range<usize>> {
    let behind = |separator: u8| {
        let at = text[word.clone()].iter().position(|byte| *byte == separator)?;
        Some(word.start + at + 1..word.end)
    };
    match form {
        Form::Login => accept(text, behind(b':')?, Looks::Weak),
        Form::Percent => accept(text, behind(b'%')?, Looks::Weak),
        Form::Source if text[word.clone()].starts_with(b"pass:") => {
            accept(text, behind(b':')?, Looks::Weak)
        }
        Form::Source => None,
        _ => accept(text, word, Looks::Weak),
    }
}

/// `-pPASSWORD`, `-p'PASSWORD'`, `-uuser:password`.
fn attached(text: &[u8], word: Range<usize>, name: usize) -> Option<Range<usize>> {
    let mut start = word.start + name;
    let mut end = word.end;
    if matches!(text[start], b'"' | b'\'') {
        start += 1;
        let is_quote = |byte: &u8| *byte == text[start - 1];
        end = start + text[start..].iter().take(COMMAND_BYTES_MAX).position(is_quote)?;
    }
    let login = text[word.start..].starts_with(b"-u");
    if login {
        start += text[start..end].iter().position(|byte| *byte == b':')? + 1;
    }
    accept(text, start..end, Looks::Weak)
}

/// `echo 'PASSWORD' | …`, `printf %s PASSWORD | …`, `echo "root:PASSWORD" | chpasswd`.
fn piped(text: &[u8], reader: usize) -> Option<Range<usize>> {
    let from = reader.saturating_sub(PIPE_BYTES_MAX);
    let before = &text[from..reader];
    let line = memrchr(b'\n', before).map_or(0, |line| line + 1);
    let pipe = line + memrchr(b'|', &before[line..])?;
    let command = &before[line..pipe];
    let find = |word: &[u8]| memmem::rfind(command, word);
    let (echo, skipped) = [(&b"echo "[..], 0), (b"printf ", 1)]
        .into_iter()
        .filter_map(|(word, skipped)| Some((find(word)? + word.len(), skipped)))
        .max()?;
    let mut words = Words { text, at: from + line + echo, end: from + pipe };
    let mut word = words.next()?;
    while text[word.clone()].starts_with(b"-") || skipped == 1 && text[word.clone()].contains(&b'%')
    {
        word = words.next()?;
    }
    if text[reader..].starts_with(b"chpasswd") {
        return in_form(text, word, Form::Login);
    }
    accept(text, word, Looks::Weak)
}

/// What `expect` types: `send "PASSWORD\r"`.
fn typed(text: &[u8], at: usize) -> Option<Range<usize>> {
    let mut words = Words { text, at, end: text.len().min(at + COMMAND_BYTES_MAX) };
    let word = words.next().filter(|word| word.start > at)?;
    let content = &text[word.clone()];
    let typed = content.iter().position(|byte| *byte == b'\\').unwrap_or(content.len());
    let entered = text[word.start + typed..].iter().take(6).any(|byte| matches!(byte, b'r' | b'n'));
    let secret = word.start..word.start + typed;
    (entered && text.get(word.start + typed) == Some(&b'\\'))
        .then(|| accept(text, secret, Looks::MadeUp))?
}

fn accept(text: &[u8], range: Range<usize>, least: Looks) -> Option<Range<usize>> {
    (looks(&text[range.clone()]) >= least).then_some(range)
}

/// The words of one command, as a shell would part them, without their quotes.
struct Words<'a> {
    text: &'a [u8],
    at: usize,
    end: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Option<Range<usize>> {
        let text = &self.text[..self.end];
        while matches!(text.get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let slashes = text[self.at..].iter().take(8).take_while(|byte| **byte == b'\\').count();
        let first = *text.get(self.at + slashes)?;
        if matches!(first, b'\n' | b'|' | b';' | b'&' | b')') {
            return None;
        }
        if matches!(first, b'"' | b'\'' | b'`') {
            let start = self.at + slashes + 1;
            let rest = &text[start..];
            let close = rest.iter().position(|byte| *byte == first || *byte == b'\n')?;
            let escaped = rest[..close].iter().rev().take_while(|byte| **byte == b'\\').count();
            self.at = start + close + 1;
            return Some(start..start + close - escaped.min(slashes));
        }
        if slashes > 0 {
            // A line that goes on, or an escaped line end.
            let line_end = matches!(first, b'n' | b'r');
            self.at += slashes;
            return if line_end { None } else { self.next_word(text) };
        }
        self.next_word(text)
    }

    fn next_word(&mut self, text: &[u8]) -> Option<Range<usize>> {
        let start = self.at;
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"`|;\\".contains(byte);
        let length = text[start..].iter().position(ends).unwrap_or(text.len() - start);
        self.at = start + length.max(1);
        (start < text.len()).then_some(start..start + length)
    }
}
