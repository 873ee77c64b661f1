//! One word: quotes, escapes and expansions.

use std::path::Path;

use super::{NESTING_MAX, Place, Reader, Word};

impl Reader<'_> {
    /// Reads one word; at least one byte of it is there.
    pub(super) fn word(&mut self, place: &Place, depth: usize) -> Word {
        let mut word = Word { text: String::new(), known: true };
        if self.tilde() {
            word.text.push_str(&self.home.to_string_lossy());
        } else if self.byte() == b'~' {
            // The home of somebody else.
            word.known = false;
        }
        while let Some(character) = self.rest().chars().next() {
            match character {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                '\'' => {
                    self.at += 1;
                    let text = self.text;
                    let end = text[self.at..].find('\'').map_or(text.len(), |end| self.at + end);
                    word.text.push_str(&text[self.at..end]);
                    self.at = (end + 1).min(text.len());
                }
                '"' => {
                    self.at += 1;
                    self.double_quoted(&mut word, place, depth);
                }
                '\\' => self.escape(&mut word),
                '$' | '`' => self.expansion(&mut word, place, depth, false),
                '*' | '?' | '[' => {
                    // Which files a pattern names is nobody's knowledge here.
                    word.known = false;
                    word.text.push(character);
                    self.at += 1;
                }
                _ => {
                    word.text.push(character);
                    self.at += character.len_utf8();
                }
            }
        }
        word
    }

    fn double_quoted(&mut self, word: &mut Word, place: &Place, depth: usize) {
        while let Some(character) = self.rest().chars().next() {
            match character {
                '"' => {
                    self.at += 1;
                    return;
                }
                '\\' => {
                    let escaped = self.rest()[1..].chars().next();
                    self.at += 1 + escaped.map_or(0, char::len_utf8);
                    match escaped {
                        Some('\n') | None => {}
                        Some(escaped @ ('$' | '`' | '"' | '\\')) => word.text.push(escaped),
                        Some(escaped) => word.text.extend(['\\', escaped]),
                    }
                }
                '$' | '`' => self.expansion(word, place, depth, true),
                _ => {
                    word.text.push(character);
                    self.at += character.len_utf8();
                }
            }
        }
    }

    /// Reads a backslash outside of quotes and what it protects.
    fn escape(&mut self, word: &mut Word) {
        let escaped = self.rest()[1..].chars().next();
        self.at += 1 + escaped.map_or(0, char::len_utf8);
        word.text.extend(escaped.filter(|escaped| *escaped != '\n'));
    }

    /// Reads what begins with `$` or a backquote.
    fn expansion(&mut self, word: &mut Word, place: &Place, depth: usize, quoted: bool) {
        let start = self.at;
        let rest = self.rest();
        if rest.starts_with("$((") {
            self.at += 1;
            self.arithmetic();
        } else if rest.starts_with("$(") {
            self.at += 2;
            self.group(place, depth);
        } else if rest.starts_with("${") {
            self.braced(place, depth);
        } else if rest.starts_with("$'") && !quoted {
            return self.ansi_quoted(word);
        } else if rest.starts_with('`') {
            self.backquoted(place, depth);
        } else {
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let length = rest.bytes().skip(1).take_while(|byte| is_name(byte)).count();
            self.at += 1 + length;
            if length == 0 {
                // `$` alone, or `$?`, `$@` and the like.
                word.known &= !matches!(self.byte(), b'?' | b'@' | b'*' | b'#' | b'!' | b'-');
                word.text.push('$');
                return;
            }
        }
        let source = &self.text[start..self.at];
        match source {
            "$HOME" | "${HOME}" => word.text.push_str(&self.home.to_string_lossy()),
            "$PWD" | "${PWD}" if place.folder.is_some() => {
                let folder = place.folder.as_deref().unwrap_or(Path::new(""));
                let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                word.text.push_str(&here.to_string_lossy());
            }
            _ => {
                word.known = false;
                word.text.push_str(source);
            }
        }
    }

    /// Reads `${…}`; what is substituted within is run.
    fn braced(&mut self, place: &Place, depth: usize) {
        if depth >= NESTING_MAX {
            self.at = self.text.len();
            return;
        }
        self.at += 2;
        let mut scratch = Word::default();
        while let Some(character) = self.rest().chars().next() {
            match character {
                '}' => {
                    self.at += 1;
                    return;
                }
                '\\' => self.escape(&mut scratch),
                '"' => {
                    self.at += 1;
                    self.double_quoted(&mut scratch, place, depth + 1);
                }
                '$' | '`' => self.expansion(&mut scratch, place, depth + 1, true),
                _ => self.at += character.len_utf8(),
            }
        }
    }

    /// Reads `$'…'`.
    fn ansi_quoted(&mut self, word: &mut Word) {
        self.at += 2;
        while let Some(character) = self.rest().chars().next() {
            self.at += character.len_utf8();
            match character {
                '\'' => return,
                '\\' => {
                    let Some(escaped) = self.rest().chars().next() else { return };
                    self.at += escaped.len_utf8();
                    word.text.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        '\\' | '\'' | '"' | '?' => escaped,
                        // The others name characters by numbers.
                        _ => {
                            word.known = false;
                            escaped
                        }
                    });
                }
                _ => word.text.push(character),
            }
        }
    }

    /// Reads a substitution between backquotes.
    fn backquoted(&mut self, place: &Place, depth: usize) {
        self.at += 1;
        let mut source = String::new();
        while let Some(character) = self.rest().chars().next() {
            self.at += character.len_utf8();
            match character {
                '`' => break,
                '\\' => {
                    let escaped = self.rest().chars().next();
                    self.at += escaped.map_or(0, char::len_utf8);
                    match escaped {
                        Some(escaped @ ('`' | '\\' | '$')) => source.push(escaped),
                        Some(escaped) => source.extend(['\\', escaped]),
                        None => {}
                    }
                }
                _ => source.push(character),
            }
        }
        if depth >= NESTING_MAX {
            return;
        }
        let commands = std::mem::take(&mut self.commands);
        let (text, home) = (source.as_str(), self.home);
        let mut reader = Reader { text, at: 0, home, commands, pending: Vec::new() };
        reader.list(&mut place.clone(), depth + 1, false);
        self.commands = reader.commands;
    }

    /// Takes `~` in front of a path, when it means the user's own home.
    fn tilde(&mut self) -> bool {
        let mut bytes = self.rest().bytes();
        let is_home = bytes.next() == Some(b'~')
            && matches!(
                bytes.next(),
                None | Some(b'/' | b' ' | b'\t' | b'\n' | b';' | b'&' | b')')
            );
        self.at += usize::from(is_home);
        is_home
    }
}
