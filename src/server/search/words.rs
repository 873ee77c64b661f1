//! The words of a line, each once, for the index.
//!
//! Next to the words of its text there are some that no text has, since they begin with `=`: whose
//! line it is, of which role, and which tools it is about.

use super::fold::folded;
use super::query::Role;
use super::said::texts;
use super::tokens::{Glue, PART_BYTES_MAX, Part, Piece, split};
use crate::server::events::Event;

/// Slots of the table of words at the beginning, a power of two.
const SLOTS_MIN: usize = 1 << 12;

/// Collects the words of one line after the other.
#[derive(Debug, Default)]
pub struct Words {
    seen: Seen,
    text: String,
    count: u32,
    before: String,
    pair: String,
}

/// What the index gets of a line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LineWords {
    /// The words, each behind a space.
    pub text: String,
    /// How many of them are of the line's text.
    pub count: u32,
}

impl Words {
    /// The words of a line of a user; empty for one that says nothing.
    pub fn of_line(&mut self, line: &str, event: &Event, user: i64) -> LineWords {
        self.seen.clear();
        self.text.clear();
        self.count = 0;
        texts(line, |text| self.add(text));
        if self.count > 0 {
            self.text.push(' ');
            self.text.push_str(&user_word(user));
            self.text.push(' ');
            self.text.push_str(role_word(role_of(event)));
            for tool in &event.tools {
                self.text.push(' ');
                self.text.push_str(&tool_word(&tool.name));
            }
        }
        LineWords { text: self.text.clone(), count: self.count }
    }

    fn add(&mut self, text: &str) {
        let Words { seen, text: all, count, before, pair: joined } = self;
        let mut before_is_sign = None;
        let mut put = |word: &str| {
            if seen.insert(word) {
                all.push(' ');
                all.push_str(word);
                *count += 1;
            }
        };
        split(text, |piece| match piece {
            Piece::Part(Part { folded, glue, is_sign, .. }) => {
                put(folded);
                if glue == Glue::Joined && before_is_sign == Some(is_sign) {
                    joined.clear();
                    joined.push_str(before);
                    joined.push_str(if is_sign { "" } else { "_" });
                    joined.push_str(folded);
                    put(joined);
                }
                before.clear();
                before.push_str(folded);
                before_is_sign = Some(is_sign);
            }
            Piece::Whole(folded, _) => put(folded),
        });
    }
}

/// Whom a line is of.
fn role_of(event: &Event) -> Role {
    match event.kind.as_deref() {
        _ if event.is_error.is_some() => Role::Tool,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => Role::System,
    }
}

/// The word of all lines of a user.
pub fn user_word(user: i64) -> String {
    format!("=u{user}")
}

/// The word of all lines of a role.
pub fn role_word(role: Role) -> &'static str {
    match role {
        Role::User => "=ru",
        Role::Assistant => "=ra",
        Role::Tool => "=rt",
        Role::System => "=rs",
    }
}

/// The word of all lines that are about a tool.
pub fn tool_word(name: &str) -> String {
    let mut word = String::from("=t");
    for c in folded(name).chars() {
        if word.len() < PART_BYTES_MAX {
            word.push(if c.is_alphanumeric() { c } else { '_' });
        }
    }
    word
}

/// The words of a line that were there already, by their hashes: of 64 bits, so that one word is
/// taken for another once in a trillion lines.
#[derive(Debug, Default)]
struct Seen {
    /// A hash and the round that it is of.
    slots: Vec<(u64, u32)>,
    round: u32,
    count: usize,
}

impl Seen {
    fn clear(&mut self) {
        if self.slots.len() != SLOTS_MIN || self.round == u32::MAX {
            self.slots = vec![(0, 0); SLOTS_MIN];
            self.round = 0;
        }
        self.round += 1;
        self.count = 0;
    }

    /// True when the word is new.
    fn insert(&mut self, word: &str) -> bool {
        if 2 * self.count >= self.slots.len() {
            self.grow();
        }
        let is_new = self.put(hash(word.as_bytes()));
        self.count += usize::from(is_new);
        is_new
    }

    fn put(&mut self, hash: u64) -> bool {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> 32) as usize & mask;
        while self.slots[at].1 == self.round {
            if self.slots[at].0 == hash {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = (hash, self.round);
        true
    }

    fn grow(&mut self) {
        let larger = vec![(0, 0); self.slots.len() * 2];
        let smaller = std::mem::replace(&mut self.slots, larger);
        for (hash, round) in smaller {
            if round == self.round {
                self.put(hash);
            }
        }
    }
}

/// Mixes eight bytes at a time.
fn hash(word: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = word.len() as u64;
    let mut mix = |value: u64| {
        hash = (hash ^ value).wrapping_mul(FACTOR);
        hash ^= hash >> 29;
    };
    let mut chunks = word.chunks_exact(8);
    for chunk in &mut chunks {
        mix(u64::from_le_bytes(chunk.try_into().expect("chunks are eight bytes")));
    }
    mix(chunks.remainder().iter().fold(0, |value, byte| value << 8 | u64::from(*byte)));
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::events::event;
    use crate::server::search::found::{Sequence, find};

    fn words_of(line: &str) -> Vec<String> {
        let LineWords { text, .. } = Words::default().of_line(line, &event(line), 7);
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn each_word_is_there_once_and_so_is_whose_line_it_is() {
        let line = r#"{"type":"assistant","message":{"content":[
            {"type":"text","text":"parse the parseLine, parse_line"},
            {"type":"tool_use","name":"mcp__x__Do It","input":{"a":"会议 the"}}]}}"#;
        let expected = [
            "parse",
            "the",
            "line",
            "parse_line",
            "parseline",
            "mcp",
            "x",
            "do",
            "it",
            "会",
            "议",
            "会议",
            "=u7",
            "=ra",
            "=tmcp__x__do_it",
        ];
        assert_eq!(words_of(line), expected);
        let result =
            r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"x"}]}}"#;
        assert_eq!(words_of(result), ["x", "=u7", "=rt"]);
        assert_eq!(words_of(r#"{"type":"mode","mode":"x"}"#), [""; 0]);
    }

    #[test]
    fn lines_of_many_words_keep_all_of_them() {
        let text: String = (0..20_000).map(|n| format!("w{n} w{n} ")).collect();
        let mut words = Words::default();
        for _ in 0..3 {
            let event = event(&text);
            let LineWords { text: all, count } = words.of_line(&text, &event, 1);
            // `w10` is also 10.
            assert_eq!(count as usize, 20_000 + 20_000 - 10);
            assert_eq!(all.matches(" w19999").count(), 1);
        }
    }

    /// Whatever is found in a text is found by the index as well.
    #[test]
    fn the_words_of_a_sequence_are_words_of_every_text_that_has_it() {
        let bits = ["parse", "Line", "_", " ", ".", "会", "议", "E08", "ö", "::"];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            texts = texts
                .iter()
                .flat_map(|text| bits.iter().map(move |bit| format!("{text}{bit}")))
                .collect();
        }
        for (index, text) in texts.iter().enumerate() {
            let line = format!("x {text} y");
            let words = words_of(&line);
            let wanted = Sequence::new(text, index % 2 == 0, false);
            if wanted.parts.is_empty() || !find(&line, std::slice::from_ref(&wanted)).has[0] {
                continue;
            }
            for word in wanted.index_words() {
                let is_there = words.iter().any(|other| match word.is_prefix {
                    true => other.starts_with(&word.word),
                    false => *other == word.word,
                });
                assert!(is_there, "{text}: {word:?} of {words:?}");
            }
        }
    }
}
