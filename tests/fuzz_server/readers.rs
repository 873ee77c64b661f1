//! Other readers of HTTP, each lenient in a way of its own. What the server takes for a request
//! must be the same to every one of them that takes it for a request at all: then nobody in between
//! can be made to see another one.

/// What a reader makes of things that two readers may see differently.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// A line may end without CR.
    pub bare_newline: bool,
    /// A line may end without LF.
    pub bare_return: bool,
    /// What is no header behind the last chunk is the next request.
    pub needs_no_end: bool,
    /// A header line that begins with a space belongs to the one before.
    pub folds: bool,
    /// Spaces before a colon are not part of the name.
    pub trims_names: bool,
    /// What is trimmed off a value: spaces and tabs, or any white space of Unicode.
    pub trims_unicode: bool,
    /// Of two lengths the first counts.
    pub first_length: bool,
    /// Anything that mentions chunks is chunked.
    pub loose_chunked: bool,
    /// With both, the length counts.
    pub length_over_chunked: bool,
    /// A number is what its first digits are.
    pub loose_numbers: bool,
}

/// All that differ from a strict reader in one thing, and in two.
pub fn manners() -> Vec<Manner> {
    let of = |bits: u16| Manner {
        bare_return: bits & 256 != 0,
        needs_no_end: bits & 512 != 0,
        bare_newline: bits & 1 != 0,
        folds: bits & 2 != 0,
        trims_names: bits & 4 != 0,
        trims_unicode: bits & 8 != 0,
        first_length: bits & 16 != 0,
        loose_chunked: bits & 32 != 0,
        length_over_chunked: bits & 64 != 0,
        loose_numbers: bits & 128 != 0,
    };
    (0..1024).filter(|bits: &u16| bits.count_ones() <= 2).map(of).collect()
}

/// A request as a reader sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub body: Vec<u8>,
}

impl Manner {
    /// The request at the beginning of `bytes`, and what is behind it. `None` for what this reader
    /// refuses or does not see the end of.
    pub fn read<'a>(&self, bytes: &'a [u8]) -> Option<(Seen, &'a [u8])> {
        let mut rest = bytes;
        let mut first = self.line(&mut rest)?;
        // A reader skips empty lines before a request.
        while first.is_empty() {
            first = self.line(&mut rest)?;
        }
        let mut words = first.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let (method, target) = (words.next()?.to_vec(), words.next()?);
        // A query of nothing is none.
        let marks = target.iter().filter(|byte| **byte == b'?').count();
        let target = if marks == 1 { target.strip_suffix(b"?") } else { None }.unwrap_or(target);
        let target = target.to_vec();
        let headers = self.headers(&mut rest)?;
        let body = self.body(&headers, &mut rest)?;
        Some((Seen { method, target, body }, rest))
    }

    fn line<'a>(&self, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let all = *rest;
        for (at, byte) in all.iter().enumerate() {
            let is_pair = *byte == b'\r' && all.get(at + 1) == Some(&b'\n');
            let is_end = match byte {
                b'\n' => self.bare_newline,
                b'\r' => is_pair || self.bare_return,
                _ => false,
            };
            if is_end {
                *rest = &all[at + 1 + usize::from(is_pair)..];
                return Some(&all[..at]);
            }
        }
        None
    }

    /// Names in lower case, and values.
    fn headers(&self, rest: &mut &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        loop {
            let line = self.line(rest)?;
            if line.is_empty() {
                return Some(headers);
            }
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                match headers.last_mut() {
                    Some((_, value)) if self.folds => {
                        value.extend(line);
                        continue;
                    }
                    _ => {}
                }
            }
            // What is no header is passed over.
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (mut name, value) = (&line[..colon], &line[colon + 1..]);
            if self.trims_names {
                name = name.trim_ascii();
            }
            headers.push((name.to_ascii_lowercase(), self.trimmed(value)));
        }
    }

    fn trimmed(&self, value: &[u8]) -> Vec<u8> {
        if self.trims_unicode {
            return String::from_utf8_lossy(value).trim().as_bytes().to_vec();
        }
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
        let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
        value[start..end].to_vec()
    }

    fn body(&self, headers: &[(Vec<u8>, Vec<u8>)], rest: &mut &[u8]) -> Option<Vec<u8>> {
        let all = |wanted: &[u8]| -> Vec<&Vec<u8>> {
            headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value).collect()
        };
        let (lengths, codings) = (all(b"content-length"), all(b"transfer-encoding"));
        let is_chunked = codings.iter().any(|coding| {
            let coding = coding.to_ascii_lowercase();
            match self.loose_chunked {
                true => coding.windows(7).any(|window| window == b"chunked"),
                false => coding == b"chunked",
            }
        });
        if is_chunked && (lengths.is_empty() || !self.length_over_chunked) {
            return self.chunked(rest);
        }
        let length = if self.first_length { lengths.first() } else { lengths.last() };
        let length = match length {
            None => 0,
            Some(text) => self.number(text, 10)?,
        };
        self.take(length, rest)
    }

    fn chunked(&self, rest: &mut &[u8]) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line(rest)?;
            let digits = line.split(|byte| *byte == b';').next()?;
            let size = self.number(digits.trim_ascii_end(), 16)?;
            if size == 0 {
                loop {
                    let before = *rest;
                    let line = self.line(rest)?;
                    if self.needs_no_end && !line.is_empty() && !line.contains(&b':') {
                        *rest = before;
                        return Some(body);
                    }
                    if line.is_empty() {
                        return Some(body);
                    }
                }
            }
            body.extend(self.take(size, rest)?);
            if !self.line(rest)?.is_empty() {
                return None;
            }
        }
    }

    fn take(&self, length: usize, rest: &mut &[u8]) -> Option<Vec<u8>> {
        let (body, behind) = rest.split_at_checked(length)?;
        *rest = behind;
        Some(body.to_vec())
    }

    fn number(&self, text: &[u8], radix: u32) -> Option<usize> {
        let text = std::str::from_utf8(text).ok()?;
        if !self.loose_numbers {
            let is_digit = |c: char| c.is_digit(radix);
            return text.chars().all(is_digit).then(|| usize::from_str_radix(text, radix).ok())?;
        }
        let text = text.trim().trim_start_matches('+');
        let text = if radix == 16 { text.trim_start_matches("0x") } else { text };
        let end = text.find(|c: char| !c.is_digit(radix)).unwrap_or(text.len());
        usize::from_str_radix(&text[..end], radix).ok()
    }
}
