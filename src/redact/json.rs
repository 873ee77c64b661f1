//! The strings of one JSON line, where they lie and what they belong to.
//!
//! Iterative and lenient inside strings and scalars (invalid UTF-8, control characters, lone
//! surrogates and misspelt numbers pass): only the structure must hold, so that the string that is
//! redacted is the string that a reader will see. Deliberately absent: values; nothing is decoded.

use std::ops::Range;

use memchr::memchr2;

use super::escape::{WORD_BYTES, first_in};
use super::protect::Node;

/// Nesting beyond this is treated as text. One level costs 40 bytes of memory.
pub const DEPTH_MAX: usize = 1 << 20;

/// Words in which the end of a string or an escape is near.
const NEAR_WORDS: usize = 6;

/// The line's structure is not that of exactly one JSON value.
#[derive(Debug, PartialEq)]
pub struct Malformed;

/// One string: a value or an object key.
#[derive(Debug, Default, PartialEq)]
pub struct StringValue<'a> {
    /// Where its raw content lies in the line, without the quotes.
    pub range: Range<usize>,
    /// Raw content of the nearest enclosing object key; the elements of an array inherit the key of
    /// the array.
    pub key: Option<&'a [u8]>,
    /// Its path is one that must never change.
    pub protected: bool,
    /// It is an object key itself.
    pub is_key: bool,
    /// The object that it belongs to, by the place where that begins.
    pub object: usize,
}

/// Whether the structure of a line is that of one JSON value.
pub fn is_whole(line: &[u8]) -> bool {
    let mut strings = Strings::new(line);
    loop {
        match strings.next() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(Malformed) => return false,
        }
    }
}

/// Reads the strings of a line in order.
pub struct Strings<'a> {
    line: &'a [u8],
    at: usize,
    expect: Expect,
    /// The containers around the current position.
    stack: Vec<Frame<'a>>,
    /// Key and node of the value that comes next or is being read.
    key: Option<&'a [u8]>,
    node: Node,
    /// The last string. It stays here, since it would be copied more than once on its way out.
    string: StringValue<'a>,
}

struct Frame<'a> {
    object: bool,
    start: usize,
    key: Option<&'a [u8]>,
    node: Node,
}

#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    Colon,
    CommaOrClose,
    End,
}

impl<'a> Strings<'a> {
    /// Starts at the beginning of a line.
    pub fn new(line: &'a [u8]) -> Strings<'a> {
        Strings {
            line,
            at: 0,
            expect: Expect::Value,
            stack: Vec::new(),
            key: None,
            node: Node::LINE,
            string: StringValue::default(),
        }
    }

    /// The next string, or `None` after the whole line has proved well-formed.
    pub fn next(&mut self) -> Result<Option<&StringValue<'a>>, Malformed> {
        while let Some(&byte) = self.line.get(self.at) {
            self.at += 1;
            match (self.expect, byte) {
                (_, b' ' | b'\t' | b'\r' | b'\n') => {}
                (Expect::Value | Expect::ValueOrClose, b'"') => {
                    let range = self.string()?;
                    self.value_done();
                    let protected = self.node == Node::PROTECTED;
                    let (key, object) = (self.key, self.object());
                    self.string = StringValue { range, key, protected, is_key: false, object };
                    return Ok(Some(&self.string));
                }
                (Expect::Value | Expect::ValueOrClose, b'{' | b'[') => self.open(byte == b'{')?,
                (Expect::ValueOrClose | Expect::CommaOrClose, b']') => self.close(false)?,
                (Expect::KeyOrClose | Expect::CommaOrClose, b'}') => self.close(true)?,
                (Expect::Value | Expect::ValueOrClose, byte) if byte.is_ascii_graphic() => {
                    self.at += scalar(&self.line[self.at - 1..]).ok_or(Malformed)? - 1;
                    self.value_done();
                }
                (Expect::Key | Expect::KeyOrClose, b'"') => {
                    let range = self.object_key()?;
                    let (key, object) = (None, self.object());
                    self.string =
                        StringValue { range, key, protected: false, is_key: true, object };
                    return Ok(Some(&self.string));
                }
                (Expect::Colon, b':') => self.expect = Expect::Value,
                (Expect::CommaOrClose, b',') => self.comma(),
                _ => return Err(Malformed),
            }
        }
        if self.expect == Expect::End { Ok(None) } else { Err(Malformed) }
    }

    /// Consumes a string up to its closing quote; the opening one is behind us.
    fn string(&mut self) -> Result<Range<usize>, Malformed> {
        let start = self.at;
        loop {
            let rest = self.line.get(self.at..).ok_or(Malformed)?;
            let found = quote_or_backslash(rest).ok_or(Malformed)?;
            self.at += found + 1;
            if rest[found] == b'"' {
                return Ok(start..self.at - 1);
            }
            self.at += 1;
        }
    }

    fn object_key(&mut self) -> Result<Range<usize>, Malformed> {
        let range = self.string()?;
        let key = &self.line[range.clone()];
        let parent = self.stack.last().map_or(Node::FREE, |frame| frame.node);
        (self.key, self.node) = (Some(key), parent.child(key));
        self.expect = Expect::Colon;
        Ok(range)
    }

    fn object(&self) -> usize {
        self.stack.last().map_or(0, |frame| frame.start)
    }

    fn open(&mut self, object: bool) -> Result<(), Malformed> {
        if self.stack.len() == DEPTH_MAX {
            return Err(Malformed);
        }
        self.stack.push(Frame { object, start: self.at, key: self.key, node: self.node });
        self.expect = if object { Expect::KeyOrClose } else { Expect::ValueOrClose };
        Ok(())
    }

    fn close(&mut self, object: bool) -> Result<(), Malformed> {
        let frame = self.stack.pop().ok_or(Malformed)?;
        if frame.object != object {
            return Err(Malformed);
        }
        self.value_done();
        Ok(())
    }

    fn comma(&mut self) {
        if let Some(frame) = self.stack.last() {
            (self.key, self.node) = (frame.key, frame.node);
            self.expect = if frame.object { Expect::Key } else { Expect::Value };
        }
    }

    fn value_done(&mut self) {
        self.expect = if self.stack.is_empty() { Expect::End } else { Expect::CommaOrClose };
    }
}

/// Most strings are short, and in long ones escapes stand close to each other: a library's search
/// is the faster one for what is far away.
fn quote_or_backslash(text: &[u8]) -> Option<usize> {
    let (words, _) = text.as_chunks::<WORD_BYTES>();
    let near = &words[..words.len().min(NEAR_WORDS)];
    for (index, word) in near.iter().enumerate() {
        if let Some(found) = first_in(*word, b"\"\\") {
            return Some(index * WORD_BYTES + found);
        }
    }
    let near = near.len() * WORD_BYTES;
    Some(near + memchr2(b'"', b'\\', &text[near..])?)
}

/// Length of a number, however misspelt, or a word of JSON at the beginning.
fn scalar(rest: &[u8]) -> Option<usize> {
    const WORDS: [&[u8]; 5] = [b"true", b"false", b"null", b"NaN", b"Infinity"];
    if let Some(word) = WORDS.into_iter().find(|word| rest.starts_with(word)) {
        return Some(word.len());
    }
    let digit = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let length = rest.iter().position(|byte| !digit(byte)).unwrap_or(rest.len());
    let number = rest.first().is_some_and(|first| first.is_ascii_digit() || *first == b'-');
    (number && length > 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<String, Malformed> {
        let mut strings = Strings::new(line.as_bytes());
        let mut out = String::new();
        while let Some(value) = strings.next()? {
            if value.is_key {
                continue;
            }
            let key = value.key.map_or("-".into(), String::from_utf8_lossy);
            let mark = if value.protected { "!" } else { "" };
            out += &format!("{key}={}{mark} ", &line[value.range.clone()]);
        }
        Ok(out)
    }

    #[test]
    fn values_with_their_nearest_key() {
        let cases = [
            (r#""a""#, "-=a "),
            (r#" ["a",1,["b"],{"k":"c"},"d"] "#, "-=a -=b k=c -=d "),
            (r#"{"a":["x",["y"],{"b":"z"},"w"],"c":"v"}"#, "a=x a=y b=z a=w c=v "),
            (r#"{"a":{},"b":[],"c":null,"d":-1.5e+3,"a":"dup"}"#, "a=dup "),
            (r#"{"q\"":"\\\"}","\\":"x"}"#, r#"q\"=\\\"} \\=x "#),
            (r#"{"s":"\ud800"}"#, r"s=\ud800 "),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn anything_but_one_whole_value_is_malformed() {
        let lines = [
            "",
            " ",
            "{",
            "[",
            "]",
            "}",
            "\"a",
            "\"a\\\"",
            "{]",
            "[}",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{1:2}",
            "{\"a\" 1}",
            "{}{}",
            "1 2",
            "{}x",
            "\"a\"\"b\"",
            "[\"a\"",
            ":",
            ",",
            "\0",
            "{\"a\":\"b\"",
            "plain text",
            "word",
            "a-token",
            "12ab",
        ];
        for line in lines {
            assert_eq!(read(line), Err(Malformed), "{line}");
        }
    }

    #[test]
    fn a_million_levels_do_not_overflow_the_stack() {
        let nested = |depth: usize| "[".repeat(depth) + "\"x\"" + &"]".repeat(depth);
        assert_eq!(read(&nested(1_000_000)).as_deref(), Ok("-=x "));
        assert_eq!(read(&nested(DEPTH_MAX + 1)), Err(Malformed));
        assert_eq!(read(&"{\"a\":".repeat(1_000_000)), Err(Malformed));
    }
}
