//! Where keywords stand in a text: all of them, overlapping ones too, in order of their ends.
//!
//! The automaton of Aho and Corasick as one table: from a state, each byte leads to another one, so
//! that a text is read once, whatever the number of words. It is the search that looks at every
//! byte, and it is made anew in each process, hence by hand: a library's is more general, takes ten
//! times as long to be made, and two times as long to search.
//!
//! A step cannot begin before the last one has ended, and so the processor waits most of the time.
//! Long texts are read in parts side by side: what a state knows is no more than what the bytes of
//! one word before it say, so that each part but the first begins that much earlier.

use std::collections::VecDeque;
use std::ops::Range;

/// The bit of a step that says that words end there.
const ENDS: u16 = 1;
/// Kinds of bytes that are told apart.
const CLASSES_MAX: usize = 64;
/// Parts of a text that are read side by side.
const LANES: usize = 4;
/// Bytes of a part.
const LANE_BYTES_MIN: usize = 64;
const LANE_BYTES_MAX: usize = 1 << 9;
/// In how many places words may end in each of the parts that are read side by side, some six times
/// as many as in most texts. Room for them is part of the search: a libc may take longer to find
/// memory for each line than the search takes.
const FOUND_MAX: usize = 48;

/// Finds words in any case of their ASCII letters.
#[derive(Debug)]
pub struct Automaton {
    /// Bytes that no word tells apart have one class.
    classes: [u8; 256],
    /// By state and class, of which there are [`CLASSES_MAX`]: the next state, times two, and
    /// [`ENDS`].
    steps: Vec<u16>,
    /// The words that end at each state, the longest first.
    ends: Vec<Vec<u32>>,
    lengths: Vec<usize>,
    /// Bytes of the longest word.
    length_max: usize,
}

impl Automaton {
    /// For some hundred short words of at least one byte.
    pub fn new(words: &[&str]) -> Automaton {
        let classes = classes_of(words);
        let lengths: Vec<usize> = words.iter().map(|word| word.len()).collect();
        let length_max = lengths.iter().copied().max().unwrap_or(0);
        assert!(length_max < LANE_BYTES_MIN, "words are shorter than a part of a text");
        let (steps, ends) = (vec![0; CLASSES_MAX], vec![Vec::new()]);
        let mut automaton = Automaton { classes, steps, ends, lengths, length_max };
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
            let at = state * CLASSES_MAX + usize::from(self.classes[usize::from(byte)]);
            if self.steps[at] == 0 {
                let next = u16::try_from(self.ends.len()).ok().filter(|next| next >> 15 == 0);
                self.steps[at] = next.expect("some hundred short words have few states");
                self.ends.push(Vec::new());
                self.steps.resize(self.ends.len() * CLASSES_MAX, 0);
            }
            state = usize::from(self.steps[at]);
        }
        self.ends[state].push(number);
    }

    /// Where a word does not go on, the longest end of what was read that begins a word does. Its
    /// state is nearer to the first, so states are taken in the order of their distance.
    fn lead_everywhere(&mut self) {
        let mut otherwise = vec![0_usize; self.ends.len()];
        let mut queue = VecDeque::from([0]);
        while let Some(state) = queue.pop_front() {
            let elsewhere = self.row(otherwise[state]);
            let row = self.row(state);
            for (class, next) in row.into_iter().enumerate().filter(|(_, next)| *next != 0) {
                let next = usize::from(next);
                otherwise[next] = if state == 0 { 0 } else { usize::from(elsewhere[class]) };
                let ends = self.ends[otherwise[next]].clone();
                self.ends[next].extend(ends);
                queue.push_back(next);
            }
            let steps = &mut self.steps[state * CLASSES_MAX..][..CLASSES_MAX];
            for (step, elsewhere) in steps.iter_mut().zip(elsewhere) {
                *step = if *step == 0 { elsewhere } else { *step };
            }
        }
        let end = |ends: &Vec<u32>| if ends.is_empty() { 0 } else { ENDS };
        let ends: Vec<u16> = self.ends.iter().map(end).collect();
        for step in &mut self.steps {
            *step = *step << 1 | ends[usize::from(*step)];
        }
    }

    fn row(&self, state: usize) -> [u16; CLASSES_MAX] {
        let row = self.steps[state * CLASSES_MAX..].first_chunk();
        *row.expect("every state has its steps")
    }

    /// Where a byte leads to from where the last one has led to.
    #[inline(always)]
    fn step(&self, step: u16, byte: u8) -> u16 {
        let state = usize::from(step >> 1);
        self.steps[state * CLASSES_MAX + usize::from(self.classes[usize::from(byte)])]
    }

    /// The words that end where a step leads to.
    fn words(&self, step: u16) -> &[u32] {
        &self.ends[usize::from(step >> 1)]
    }
}

/// Class 0 is for bytes of no word.
fn classes_of(words: &[&str]) -> [u8; 256] {
    let (mut classes, mut n_classes) = ([0; 256], 1_u8);
    for byte in words.iter().flat_map(|word| word.bytes()) {
        if classes[usize::from(byte)] == 0 {
            classes[usize::from(byte.to_ascii_lowercase())] = n_classes;
            classes[usize::from(byte.to_ascii_uppercase())] = n_classes;
            n_classes += 1;
        }
    }
    assert!(usize::from(n_classes) <= CLASSES_MAX, "words are of letters and little else");
    classes
}

/// One keyword in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its number among those that the automaton was made of.
    pub word: usize,
    /// Where it stands.
    pub range: Range<usize>,
}

/// Where words end in one of the parts that are read side by side.
#[derive(Clone, Copy, Default)]
struct Found {
    /// Behind the beginning of the first part.
    end: u16,
    /// What leads there.
    step: u16,
}

/// All hits in a text.
pub struct Hits<'a> {
    automaton: &'a Automaton,
    text: &'a [u8],
    /// What was read, and where that has led to.
    at: usize,
    step: u16,
    /// Up to here parts are not read side by side: more is found there than there is room for.
    alone_until: usize,
    /// Where words end in each of the parts that were read side by side from a place on.
    found: [[Found; FOUND_MAX]; LANES],
    n_found: [usize; LANES],
    found_from: usize,
    /// The part that is told of, and how many places of it were told.
    lane: usize,
    n_seen: usize,
    /// Words that were not told yet, and where they end.
    words: std::slice::Iter<'a, u32>,
    end: usize,
}

impl<'a> Hits<'a> {
    pub fn new(automaton: &'a Automaton, text: &'a [u8]) -> Hits<'a> {
        Hits {
            automaton,
            text,
            at: 0,
            step: 0,
            alone_until: 0,
            found: [[Found::default(); FOUND_MAX]; LANES],
            n_found: [0; LANES],
            found_from: 0,
            lane: LANES,
            n_seen: 0,
            words: [].iter(),
            end: 0,
        }
    }

    /// The next place where words end, with the step that leads there.
    fn next_end(&mut self) -> Option<(usize, u16)> {
        loop {
            while self.lane < LANES {
                if self.n_seen < self.n_found[self.lane] {
                    let found = self.found[self.lane][self.n_seen];
                    self.n_seen += 1;
                    return Some((self.found_from + usize::from(found.end), found.step));
                }
                (self.lane, self.n_seen) = (self.lane + 1, 0);
            }
            let left = self.text.len() - self.at;
            if left == 0 {
                return None;
            }
            if self.at >= self.alone_until && left >= LANES * LANE_BYTES_MIN {
                self.read_side_by_side();
                continue;
            }
            if let Some(found) = self.next_end_alone() {
                return Some(found);
            }
        }
    }

    /// The same in what is too short for parts, or too full of words.
    fn next_end_alone(&mut self) -> Option<(usize, u16)> {
        let until = if self.at < self.alone_until { self.alone_until } else { self.text.len() };
        let mut step = self.step;
        let length = self.text[self.at..until].iter().position(|byte| {
            step = self.automaton.step(step, *byte);
            step & ENDS != 0
        });
        self.step = step;
        self.at = length.map_or(until, |length| self.at + length + 1);
        length.map(|_| (self.at, step))
    }

    /// Reads parts, or finds that there is no room for what is in them.
    fn read_side_by_side(&mut self) {
        let (automaton, text) = (self.automaton, &self.text[self.at..]);
        let length = (text.len() / LANES).min(LANE_BYTES_MAX);
        let lane = |lane: usize| &text[lane * length..][..length];
        let before = |lane: usize| {
            let before = &text[lane * length - automaton.length_max..lane * length];
            before.iter().fold(0, |step, byte| automaton.step(step, *byte))
        };
        let lanes = [lane(0), lane(1), lane(2), lane(3)];
        let [mut first, mut second, mut third, mut fourth] =
            [self.step, before(1), before(2), before(3)];
        (self.n_found, self.found_from) = ([0; LANES], self.at);
        let mut index = 0;
        while index < length {
            // Written out: it is the innermost loop of all, and shall be fast however small the
            // rest is made.
            first = automaton.step(first, lanes[0][index]);
            second = automaton.step(second, lanes[1][index]);
            third = automaton.step(third, lanes[2][index]);
            fourth = automaton.step(fourth, lanes[3][index]);
            index += 1;
            if (first | second | third | fourth) & ENDS == 0 {
                continue;
            }
            for (lane, step) in [first, second, third, fourth].into_iter().enumerate() {
                if step & ENDS == 0 {
                    continue;
                }
                let n_found = &mut self.n_found[lane];
                let Some(found) = self.found[lane].get_mut(*n_found) else {
                    self.alone_until = self.at + LANES * length;
                    return;
                };
                *found = Found { end: (lane * length + index) as u16, step };
                *n_found += 1;
            }
        }
        self.step = fourth;
        self.at += LANES * length;
        (self.lane, self.n_seen) = (0, 0);
    }
}

impl Iterator for Hits<'_> {
    type Item = Hit;

    fn next(&mut self) -> Option<Hit> {
        loop {
            if let Some(word) = self.words.next() {
                let word = *word as usize;
                let start = self.end - self.automaton.lengths[word];
                return Some(Hit { word, range: start..self.end });
            }
            let (end, step) = self.next_end()?;
            self.end = end;
            self.words = self.automaton.words(step).iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 6] = ["a", "ab", "bab", "bb", "cAB", "abc"];

    /// All hits, word by word.
    fn expected(words: &[&str], text: &[u8]) -> Vec<Hit> {
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
        expected
    }

    fn found(automaton: &Automaton, text: &[u8]) -> Vec<Hit> {
        let mut found: Vec<Hit> = Hits::new(automaton, text).collect();
        assert!(found.is_sorted_by_key(|hit| hit.range.end));
        found.sort_by_key(|hit| (hit.range.end, hit.word));
        found
    }

    /// All texts of up to six letters.
    #[test]
    fn every_word_is_found_wherever_it_stands() {
        let automaton = Automaton::new(&WORDS);
        for number in 0..4_usize.pow(6) {
            let letter = |place: u32| b"aBc-"[number / 4_usize.pow(place) % 4];
            let text: Vec<u8> = (0..6).map(letter).collect();
            let shown = String::from_utf8_lossy(&text);
            assert_eq!(found(&automaton, &text), expected(&WORDS, &text), "{shown}");
        }
    }

    /// Texts that are read in parts, with words across all of their edges.
    #[test]
    fn reading_side_by_side_is_reading_one_after_the_other() {
        let long = ["authenticating with ", "cating", "with a", "h aut", "ab"];
        let automaton = Automaton::new(&long);
        let mut random = fastrand::Rng::with_seed(1);
        let edge = LANES * LANE_BYTES_MAX;
        for length in (0..600).chain(edge - 30..edge + 30).chain(2 * edge..2 * edge + 300) {
            let mut text = Vec::new();
            while text.len() < length {
                text.extend_from_slice(long[random.usize(..long.len())].as_bytes());
                text.extend((0..random.usize(..3)).map(|_| b"a wi"[random.usize(..4)]));
            }
            text.truncate(length);
            assert_eq!(found(&automaton, &text), expected(&long, &text), "{length} bytes");
        }
    }
}
