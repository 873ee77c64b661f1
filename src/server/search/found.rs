//! Words and phrases in a text: whether they are there, and where.

use std::ops::Range;

use super::tokens::{Glue, Part, Piece, split};

/// Parts of a word or phrase; more are not looked for.
const PARTS_MAX: usize = 32;

/// A word or phrase that is asked for: parts that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// As it was typed, without quotes and star.
    pub text: String,
    /// Its parts, one at least for whatever is looked for.
    pub parts: Vec<Wanted>,
    /// The last part may go on.
    pub is_prefix: bool,
    /// Lines that have it are not wanted.
    pub is_negated: bool,
}

/// A part that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// As it is compared.
    pub folded: String,
    /// It must hang together with the part before.
    pub is_joined: bool,
    /// A character of a script without spaces.
    pub is_sign: bool,
}

/// A word of the index that lines must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexWord {
    /// The word.
    pub word: String,
    /// Or any word that begins so.
    pub is_prefix: bool,
}

impl Sequence {
    /// The parts of a text. What is between parts that do not hang together does not matter.
    pub fn new(text: &str, is_prefix: bool, is_negated: bool) -> Sequence {
        let mut parts: Vec<Wanted> = Vec::new();
        split(text, |piece| {
            let Piece::Part(Part { folded, glue, is_sign, .. }) = piece else { return };
            if parts.len() < PARTS_MAX {
                let is_joined = glue == Glue::Joined;
                parts.push(Wanted { folded: folded.into(), is_joined, is_sign });
            }
        });
        Sequence { text: text.into(), parts, is_prefix, is_negated }
    }

    /// The words of the index that a line with this sequence has: pairs where there are any.
    pub fn index_words(&self) -> Vec<IndexWord> {
        let mut words = Vec::new();
        let mut is_covered = false;
        for (index, part) in self.parts.iter().enumerate() {
            let is_last = index + 1 == self.parts.len();
            let is_prefix = self.is_prefix && is_last && !part.is_sign;
            let next = self.parts.get(index + 1).filter(|next| next.is_joined);
            let next = next.filter(|next| next.is_sign == part.is_sign);
            match next {
                Some(next) => {
                    let is_prefix = self.is_prefix && index + 2 == self.parts.len();
                    let is_prefix = is_prefix && !next.is_sign;
                    let word = pair(&part.folded, &next.folded, part.is_sign);
                    words.push(IndexWord { word, is_prefix });
                    is_covered = true;
                }
                None if is_covered => is_covered = false,
                None => words.push(IndexWord { word: part.folded.clone(), is_prefix }),
            }
        }
        words
    }

    /// Whether the index alone knows which lines have it.
    pub fn is_one_word(&self) -> bool {
        self.index_words().len() == 1
    }

    /// Whether a part at an index is the one that is wanted there.
    fn is_at(&self, index: usize, folded: &str, glue: Glue) -> bool {
        let wanted = &self.parts[index];
        let is_same = match self.is_prefix && index + 1 == self.parts.len() {
            true => folded.starts_with(&wanted.folded),
            false => folded == wanted.folded,
        };
        is_same && (!wanted.is_joined || glue == Glue::Joined)
    }
}

/// The word of the index for two glued parts.
pub fn pair(first: &str, second: &str, is_sign: bool) -> String {
    let between = if is_sign { "" } else { "_" };
    [first, second].join(between)
}

/// Where sequences are in a text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// For each sequence whether it is there.
    pub has: Vec<bool>,
    /// Bytes of what was found of those that are wanted, at most `HITS_MAX`, in the order of their
    /// ends.
    pub hits: Vec<Range<usize>>,
}

/// Hits of a text that are told.
const HITS_MAX: usize = 1000;

/// Looks for sequences in a text.
pub fn find(text: &str, sequences: &[Sequence]) -> Found {
    let mut found = Found { has: vec![false; sequences.len()], hits: Vec::new() };
    // For each sequence, how far it has come in each of the ways that are open: bit N says that
    // the last part was its part N.
    let mut open = vec![0_u32; sequences.len()];
    // Where the last parts begin, the last one first.
    let mut starts = [0_usize; PARTS_MAX];
    split(text, |piece| match piece {
        Piece::Part(Part { folded, range, glue, .. }) => {
            starts.rotate_right(1);
            starts[0] = range.start;
            for (index, sequence) in sequences.iter().enumerate() {
                let before = open[index] << 1 | 1;
                let mut now = 0;
                for at in 0..sequence.parts.len() {
                    if before & 1 << at != 0 && sequence.is_at(at, folded, glue) {
                        now |= 1 << at;
                    }
                }
                open[index] = now;
                let last = sequence.parts.len() - 1;
                if now & 1 << last != 0 {
                    note(&mut found, index, sequence, starts[last]..range.end);
                }
            }
        }
        Piece::Whole(folded, range) => {
            for (index, sequence) in sequences.iter().enumerate() {
                if sequence.parts.len() == 1 && sequence.is_at(0, folded, Glue::Apart) {
                    note(&mut found, index, sequence, range.clone());
                }
            }
        }
    });
    found
}

fn note(found: &mut Found, index: usize, sequence: &Sequence, range: Range<usize>) {
    found.has[index] = true;
    if !sequence.is_negated && found.hits.len() < HITS_MAX {
        found.hits.push(range);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(text: &str) -> Sequence {
        match text.strip_suffix('*') {
            Some(start) => Sequence::new(start, true, false),
            None => Sequence::new(text, false, false),
        }
    }

    #[test]
    fn a_sequence_is_found_where_its_parts_follow_each_other() {
        let cases: [(&str, &str, &[&str]); 26] = [
            ("line", "a line, two Lines", &["line"]),
            ("line", "parse_line parseLine", &["line", "Line"]),
            ("line*", "lines parseLine", &["lines", "Line"]),
            ("parse_line", "try_parse_line_now", &["parse_line"]),
            ("parse_line", "parseLine", &["parseLine"]),
            ("parse_line", "parse line", &[]),
            ("parse line", "parse line", &["parse line"]),
            ("parse line", "parse, then line", &[]),
            ("parse line", "Parse: line", &["Parse: line"]),
            ("parseLine", "parse_line parseline", &["parse_line"]),
            ("parseline", "parseLine", &["parseLine"]),
            ("parsel*", "parseLine", &["parseLine"]),
            ("server/mod.rs", "see src/server/mod.rs:7", &["server/mod.rs"]),
            ("mod.rs", "mod. rs", &[]),
            ("E0308", "error[E0308]: mismatched", &["E0308"]),
            ("0308", "error[E0308]", &["0308"]),
            ("café", "CAFE", &["CAFE"]),
            ("会议", "今天的会议记录", &["会议"]),
            ("会", "会议会", &["会", "会"]),
            ("会录", "会议记录", &[]),
            ("a b a c", "a b a b a c", &["a b a c"]),
            ("a a", "a a a", &["a a", "a a"]),
            ("foo->bar", "foo -> bar", &["foo -> bar"]),
            ("don't", "I don't", &["don't"]),
            ("parse_li*", "try parse_line", &["parse_line"]),
            ("parse_li*", "parse_l", &[]),
        ];
        for (wanted, text, hits) in cases {
            let found = find(text, &[sequence(wanted)]);
            let texts: Vec<&str> = found.hits.iter().map(|hit| &text[hit.clone()]).collect();
            assert_eq!(
                (texts.as_slice(), found.has[0]),
                (hits, !hits.is_empty()),
                "{wanted} {text}"
            );
        }
    }

    #[test]
    fn the_index_is_asked_for_pairs_where_there_are_any() {
        let cases: [(&str, &[&str]); 10] = [
            ("line", &["line"]),
            ("parse_line", &["parse_line"]),
            ("parseLine", &["parse_line"]),
            ("a_b_c", &["a_b", "b_c"]),
            ("parse the line", &["parse", "the", "line"]),
            ("the parse_line here", &["the", "parse_line", "here"]),
            ("会", &["会"]),
            ("会议记", &["会议", "议记"]),
            ("GPT模型", &["gpt", "模型"]),
            ("parse_li*", &["parse_li*"]),
        ];
        for (wanted, expected) in cases {
            let words = sequence(wanted).index_words().into_iter();
            let words: Vec<String> =
                words.map(|word| word.word + if word.is_prefix { "*" } else { "" }).collect();
            assert_eq!(words, expected, "{wanted}");
        }
    }
}
