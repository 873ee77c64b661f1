//! Text of others on a terminal: without what would move its cursor, and cut where its line ends.
//!
//! How wide a character is, terminals do not agree on; where they differ the larger width counts
//! here, so that a cut line never wraps. Deliberately absent: a table of all scripts' marks. What
//! is missing counts as one column, and the line is cut a little earlier.

use std::borrow::Cow;

/// What takes two columns.
const WIDE: [(u32, u32); 16] = [
    (0x1100, 0x115f),
    (0x231a, 0x23ff),
    (0x25fd, 0x27bf),
    (0x2b1b, 0x2b55),
    (0x2e80, 0x303e),
    (0x3041, 0xa4cf),
    (0xa960, 0xa97f),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe10, 0xfe19),
    (0xfe30, 0xfe6f),
    (0xff01, 0xff60),
    (0xffe0, 0xffe6),
    (0x16fe0, 0x1b2ff),
    (0x1f000, 0x1faff),
    (0x20000, 0x3fffd),
];
/// What takes none: it joins or changes the character before it.
const MARKS: [(u32, u32); 22] = [
    (0x0300, 0x036f),
    (0x0483, 0x0489),
    (0x0591, 0x05bd),
    (0x0610, 0x061a),
    (0x064b, 0x065f),
    (0x06d6, 0x06dc),
    (0x0900, 0x0902),
    (0x0941, 0x0948),
    (0x094d, 0x094d),
    (0x0e31, 0x0e31),
    (0x0e34, 0x0e3a),
    (0x0e47, 0x0e4e),
    (0x1ab0, 0x1aff),
    (0x1dc0, 0x1dff),
    (0x200b, 0x200d),
    (0x2060, 0x2064),
    (0x20d0, 0x20f0),
    (0x302a, 0x302d),
    (0x3099, 0x309a),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
    (0xe0020, 0xe01ef),
];
/// What turns the direction of a line, or ends it.
const DIRECTIONS: [(u32, u32); 4] =
    [(0x200e, 0x200f), (0x2028, 0x202e), (0x2066, 0x2069), (0xfeff, 0xfeff)];
const ESCAPE: char = '\u{1b}';

/// The text on one line, without escape sequences, control characters and changes of direction;
/// white space of any kind is one blank.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            ESCAPE => skip_sequence(&mut rest),
            // The same as ESC and [, in one character.
            '\u{9b}' => skip_to_final(&mut rest),
            blank if blank.is_whitespace() => {
                if !plain.is_empty() && !plain.ends_with(' ') {
                    plain.push(' ');
                }
            }
            other if other.is_control() || is_in(&DIRECTIONS, other) => {}
            other => plain.push(other),
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
}

/// How many columns a text takes that is [`plain`].
pub fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// A text that is [`plain`], in at most so many columns; one that is cut ends in an ellipsis.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut left = columns.saturating_sub(1);
    let mut end = 0;
    for (at, character) in text.char_indices() {
        let width = width_of(character);
        if width > left {
            break;
        }
        left -= width;
        end = at + character.len_utf8();
    }
    let ellipsis = if columns == 0 { "" } else { "…" };
    Cow::Owned(format!("{}{ellipsis}", text[..end].trim_end()))
}

fn width_of(character: char) -> usize {
    match character {
        ' '..='~' => 1,
        mark if is_in(&MARKS, mark) => 0,
        wide if is_in(&WIDE, wide) => 2,
        _ => 1,
    }
}

fn is_in(ranges: &[(u32, u32)], character: char) -> bool {
    let code = u32::from(character);
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

/// Skips what an escape character begins (ECMA-48).
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => skip_to_final(rest),
        // A string, up to its terminator.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let mut before = ' ';
            for character in rest.by_ref() {
                let is_end = before == ESCAPE && character == '\\';
                if is_end || matches!(character, '\u{7}' | '\u{9c}') {
                    return;
                }
                before = character;
            }
        }
        // Which set of characters: its name follows.
        Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => drop(rest.next()),
        _ => {}
    }
}

fn skip_to_final(rest: &mut std::str::Chars<'_>) {
    let _ = rest.find(|character| !matches!(character, ' '..='?'));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_the_cursor_is_left() {
        let cases = [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("a\u{9b}2Jb", "ab"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}Pq never ends", ""),
            ("\u{1b}(0x\u{1b}cy\u{1b}", "xy"),
            ("a\r\nb\t c\u{b}d", "a b c d"),
            ("\u{0}\u{8}\u{7f}\u{85}x\u{90}", "x"),
            ("a\u{202e}b\u{2066}c\u{2028}d\u{feff}", "abc d"),
            ("  日本 \u{3000} e\u{301} ", "日本 e\u{301}"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn all_control_characters_are_taken_out() {
        for character in ('\0'..='\u{a0}').filter(|character| character.is_control()) {
            let text = plain(&format!("a{character}b"));
            assert!(text.chars().all(|left| !left.is_control()), "{character:?}");
        }
    }

    #[test]
    fn widths_and_cuts() {
        let cases = [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e\u{301}", 3, "e\u{301}e\u{301}e\u{301}"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("🎉🎉", 3, "🎉…"),
            ("👩\u{200d}💻x", 5, "👩\u{200d}💻x"),
            ("a bcd", 3, "a…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
            ("", 0, ""),
        ];
        for (text, columns, expected) in cases {
            let cut = cut(text, columns);
            assert_eq!(cut, expected, "{text} {columns}");
            assert!(width(&cut) <= columns, "{text} {columns}");
        }
    }
}
