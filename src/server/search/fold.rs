//! Letters as they are compared: lower case, without accents, of ordinary width.

/// The letters from U+00C0 on without their accents; a dot where that is no letter of ASCII.
#[rustfmt::skip]
const LATIN: &[u8; 400] = b"\
    aaaaaa.ceeeeiiiidnooooo.ouuuuy..aaaaaa.ceeeeiiiidnooooo.ouuuuy.y\
    aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkk.llllll.\
    .llnnnnnn.nnoooooo..rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzz.\
    .b...............ff.............oo.............uu...............\
    .............aaiioouuuuuuuuuu.aaaa....ggkkoooo..j...gg..nnaa..oo\
    aaaaeeeeiiiioooorrrruuuusstt..hh......aaeeooooooooyy............\
    ................";
/// The same from U+1E00 on.
#[rustfmt::skip]
const LATIN_ADDITIONAL: &[u8; 256] = b"\
    aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm\
    mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv\
    wwwwwwwwwwxxxxyyzzzzzzhtwy......aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee\
    eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......";
/// Where the tables begin.
const LATIN_START: u32 = 0xC0;
const LATIN_ADDITIONAL_START: u32 = 0x1E00;
/// What lies between the forms of full width and those of ASCII.
const FULL_WIDTH: u32 = 0xFEE0;

/// Appends a character as it is compared; accents of their own are left out.
pub fn push_folded(c: char, folded: &mut String) {
    let code = u32::from(c);
    match c {
        '\0'..='\u{7f}' => folded.push(c.to_ascii_lowercase()),
        '\u{ff01}'..='\u{ff5e}' => {
            let narrow = char::from_u32(code - FULL_WIDTH).unwrap_or(c);
            folded.push(narrow.to_ascii_lowercase());
        }
        '\u{300}'..='\u{36f}' => {}
        'ß' | 'ẞ' => folded.push_str("ss"),
        'æ' | 'Æ' => folded.push_str("ae"),
        'œ' | 'Œ' => folded.push_str("oe"),
        _ => match letter(LATIN, LATIN_START, code)
            .or_else(|| letter(LATIN_ADDITIONAL, LATIN_ADDITIONAL_START, code))
        {
            Some(letter) => folded.push(letter),
            None => c.to_lowercase().for_each(|lower| folded.push(without_accent(lower))),
        },
    }
}

/// A text as it is compared.
pub fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    text.chars().for_each(|c| push_folded(c, &mut folded));
    folded
}

fn letter(table: &[u8], start: u32, code: u32) -> Option<char> {
    let index = usize::try_from(code.checked_sub(start)?).ok()?;
    table.get(index).filter(|letter| **letter != b'.').map(|letter| char::from(*letter))
}

/// Of small Greek and Cyrillic letters.
fn without_accent(c: char) -> char {
    match c {
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' | 'ϊ' | 'ΐ' => 'ι',
        'ό' => 'ο',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        'ς' => 'σ',
        'ё' => 'е',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_lose_case_accents_and_width() {
        let cases = [
            ("Naïve CAFÉ", "naive cafe"),
            ("Straße ŒUVRE Æther", "strasse oeuvre aether"),
            ("Łódź Đà Nẵng", "lodz da nang"),
            ("Ünïcödé ñ Ç ø", "unicode n c o"),
            ("e\u{301}", "e"),
            ("ΆΣΤΥ ναύς", "αστυ ναυσ"),
            ("Ёлка", "елка"),
            ("ＡＢＣ１２", "abc12"),
            ("会议 かな 한국", "会议 かな 한국"),
            ("× ÷", "× ÷"),
        ];
        for (text, expected) in cases {
            assert_eq!(folded(text), expected, "{text}");
        }
    }
}
