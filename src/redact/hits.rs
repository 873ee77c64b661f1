//! Where keywords stand in a text: all of them, overlapping ones too, in order of their ends.
//!
//! The automaton of Aho and Corasick as one table: from a state, each byte leads to another one, so
//! that a text is read once, whatever the number of words. It is the search that looks at every
//! byte, and it is made anew in each process, hence by hand: a library's is more general, takes ten
//! times as long to be made, and half as long again to search.

use std::collections::VecDeque;
use std::ops::Range;

/// The bit of a step that says that words end there.
const ENDS: u32 = 1;

/// Finds words in any case of their ASCII letters.
#[derive(Debug)]
pub struct Automaton {
    /// Bytes that no word tells apart have one class.
    classes: [u8; 256],
    /// The steps of one state are `1 << shift`.
    shift: u32,
    /// By state and class: where the steps of the next state begin, times two, and [`ENDS`].
    steps: Vec<u32>,
    /// The words that end at each state, the longest first.
    ends: Vec<Vec<u32>>,
    lengths: Vec<usize>,
}

impl Automaton {
    /// For words of at least one byte.
    pub fn new(words: &[&str]) -> Automaton {
        let (classes, n_classes) = classes_of(words);
        let shift = n_classes.next_power_of_two().trailing_zeros();
        let lengths = words.iter().map(|word| word.len()).collect();
        let steps = vec![0; 1 << shift];
        let mut automaton = Automaton { classes, shift, steps, ends: vec![Vec::new()], lengths };
        for (number, word) in (0..).zip(words) {
            automaton.add(number, word);
        }
        automaton.lead_everywhere();
        automaton
    }

    /// Adds the states of a word. No step leads back to the first state, number 0, yet.
    fn add(&mut self, number: u32, word: &str) {
        let mut state = 0;
        for byte in word.bytes() {
            let at = (state << self.shift) + usize::from(self.classes[usize::from(byte)]);
            if self.steps[at] == 0 {
                self.steps[at] = self.ends.len() as u32;
                self.ends.push(Vec::new());
                self.steps.resize(self.ends.len() << self.shift, 0);
            }
            state = self.steps[at] as usize;
        }
        self.ends[state].push(number);
    }

    /// Where a word does not go on, the longest end of what was read that begins a word does. Its
    /// state is nearer to the first, so states are taken in the order of their distance.
    fn lead_everywhere(&mut self) {
        let n_steps = 1 << self.shift;
        let mut otherwise = vec![0_usize; self.ends.len()];
        let mut queue = VecDeque::from([0]);
        while let Some(state) = queue.pop_front() {
            for class in 0..n_steps {
                let at = (state << self.shift) + class;
                let elsewhere = match state {
                    0 => 0,
                    _ => self.steps[(otherwise[state] << self.shift) + class],
                };
                let next = self.steps[at] as usize;
                if next == 0 {
                    self.steps[at] = elsewhere;
                    continue;
                }
                otherwise[next] = elsewhere as usize;
                let ends = self.ends[elsewhere as usize].clone();
                self.ends[next].extend(ends);
                queue.push_back(next);
            }
        }
        for step in &mut self.steps {
            let ends = if self.ends[*step as usize].is_empty() { 0 } else { ENDS };
            *step = *step << (self.shift + 1) | ends;
        }
    }
}

/// Class 0 is for bytes of no word.
fn classes_of(words: &[&str]) -> ([u8; 256], usize) {
    let (mut classes, mut n_classes) = ([0; 256], 1_u8);
    for byte in words.iter().flat_map(|word| word.bytes()) {
        if classes[usize::from(byte)] == 0 {
            classes[usize::from(byte.to_ascii_lowercase())] = n_classes;
            classes[usize::from(byte.to_ascii_uppercase())] = n_classes;
            n_classes += 1;
        }
    }
    (classes, usize::from(n_classes))
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
    automaton: &'a Automaton,
    text: &'a [u8],
    /// What was read.
    at: usize,
    step: u32,
    /// Words that end at `at` and were not told yet.
    words: std::slice::Iter<'a, u32>,
}

impl<'a> Hits<'a> {
    pub fn new(automaton: &'a Automaton, text: &'a [u8]) -> Hits<'a> {
        Hits { automaton, text, at: 0, step: 0, words: [].iter() }
    }
}

impl Iterator for Hits<'_> {
    type Item = Hit;

    fn next(&mut self) -> Option<Hit> {
        let Automaton { classes, shift, steps, ends, lengths } = self.automaton;
        loop {
            if let Some(word) = self.words.next() {
                let word = *word as usize;
                return Some(Hit { word, range: self.at - lengths[word]..self.at });
            }
            let mut step = self.step;
            let length = self.text[self.at..].iter().position(|byte| {
                step = steps[(step >> 1) as usize + usize::from(classes[usize::from(*byte)])];
                step & ENDS != 0
            });
            self.step = step;
            let Some(length) = length else {
                self.at = self.text.len();
                return None;
            };
            self.at += length + 1;
            self.words = ends[(step >> 1 >> shift) as usize].iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All texts of up to six letters against a search word by word.
    #[test]
    fn every_word_is_found_wherever_it_stands() {
        let words = ["a", "ab", "bab", "bb", "cAB", "abc"];
        let automaton = Automaton::new(&words);
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
