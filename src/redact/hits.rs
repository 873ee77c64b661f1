//! Where keywords stand in a text: all of them, overlapping ones too, in order of their ends.
//!
//! It is the search that looks at every byte, so the automaton is driven by hand: one state, one
//! table, and nothing that only a general search needs.

use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::nfa::noncontiguous;
use aho_corasick::{Anchored, dfa};

/// The automaton of some hundred short words, in any case of their letters.
pub fn automaton(words: &[&str]) -> DFA {
    let states = noncontiguous::Builder::new()
        .ascii_case_insensitive(true)
        .prefilter(false)
        .dense_depth(1)
        .build(words)
        .expect("some hundred short keywords fit into an automaton");
    let automaton = dfa::Builder::new().prefilter(false).build_from_noncontiguous(&states);
    automaton.expect("an automaton of short keywords fits into memory")
}

/// One keyword in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its number among those that the automaton was made of.
    pub word: usize,
    /// Where it stands.
    pub range: Range<usize>,
}

/// All hits in a text.
pub struct Hits<'a> {
    automaton: &'a DFA,
    text: &'a [u8],
    /// What was read.
    at: usize,
    state: StateID,
    /// Words that end at `at`, and how many of them were told.
    n_words: usize,
    n_told: usize,
}

impl<'a> Hits<'a> {
    pub fn new(automaton: &'a DFA, text: &'a [u8]) -> Hits<'a> {
        let state = automaton.start_state(Anchored::No).expect("it is made to start anywhere");
        Hits { automaton, text, at: 0, state, n_words: 0, n_told: 0 }
    }
}

impl Iterator for Hits<'_> {
    type Item = Hit;

    fn next(&mut self) -> Option<Hit> {
        let automaton = self.automaton;
        if self.n_told == self.n_words {
            let mut state = self.state;
            let length = self.text[self.at..].iter().position(|byte| {
                state = automaton.next_state(Anchored::No, state, *byte);
                automaton.is_special(state) && automaton.is_match(state)
            });
            self.state = state;
            let Some(length) = length else {
                self.at = self.text.len();
                (self.n_words, self.n_told) = (0, 0);
                return None;
            };
            self.at += length + 1;
            (self.n_words, self.n_told) = (automaton.match_len(state), 0);
        }
        let word = automaton.match_pattern(self.state, self.n_told);
        self.n_told += 1;
        let start = self.at - automaton.pattern_len(word);
        Some(Hit { word: word.as_usize(), range: start..self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All texts of up to six letters against a search word by word.
    #[test]
    fn every_word_is_found_wherever_it_stands() {
        let words = ["a", "ab", "bab", "bb", "cAB", "abc"];
        let automaton = automaton(&words);
        for number in 0..4_usize.pow(6) {
            let letter = |place: u32| b"aBc-"[number / 4_usize.pow(place) % 4];
            let text: Vec<u8> = (0..6).map(letter).collect();
            let mut expected = Vec::new();
            for end in 0..=text.len() {
                for (word, letters) in words.iter().enumerate() {
                    let start = end.wrapping_sub(letters.len());
                    let found = text.get(start..end);
                    if found.is_some_and(|f| f.eq_ignore_ascii_case(letters.as_bytes())) {
                        expected.push(Hit { word, range: start..end });
                    }
                }
            }
            let mut found: Vec<Hit> = Hits::new(&automaton, &text).collect();
            assert!(found.is_sorted_by_key(|hit| hit.range.end));
            found.sort_by_key(|hit| (hit.range.end, hit.word));
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(&text));
        }
    }
}
