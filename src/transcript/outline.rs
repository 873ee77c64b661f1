//! Who a line is that is too large for memory: read in pieces, remembering a few short strings.

use memchr::memchr2;

/// Bytes of a value that is remembered, before and after its escapes are undone.
const VALUE_BYTES_MAX: usize = 256;
const NAMES: [&[u8]; 5] = [b"type", b"uuid", b"parentUuid", b"timestamp", b"sessionId"];

/// Top-level strings of at most 256 bytes; the last one of each key counts.
#[derive(Debug, Default, PartialEq)]
pub struct OutlineFacts {
    /// `type`.
    pub kind: Option<String>,
    /// `uuid`.
    pub uuid: Option<String>,
    /// `parentUuid`.
    pub parent_uuid: Option<String>,
    /// `timestamp`.
    pub timestamp: Option<String>,
    /// `sessionId`.
    pub session_id: Option<String>,
}

/// Reads one line in pieces of any size, in bounded memory. What is not JSON tells what it told up
/// to the place where it went wrong, at most.
#[derive(Debug, Default)]
pub struct Outline {
    values: [Option<String>; NAMES.len()],
    /// Containers around the current byte.
    depth: u64,
    state: State,
    /// The string that is being read, unless it is too long or uninteresting.
    buffer: Vec<u8>,
    /// Which of the names the current member of the top-level object has.
    name: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum State {
    /// Before the first byte of the value.
    #[default]
    Start,
    /// Between strings.
    Outside { key_next: bool },
    /// In a string. `kept` is whether `buffer` holds it so far.
    Inside { key: bool, kept: bool, escaped: bool },
    /// The line is over, or it never was an object.
    Done,
}

impl Outline {
    /// Before the first byte of a line.
    pub fn new() -> Outline {
        Outline::default()
    }

    /// Reads the next piece of the line.
    pub fn feed(&mut self, piece: &[u8]) {
        let mut at = 0;
        while at < piece.len() {
            at += match self.state {
                State::Done => return,
                State::Inside { key, kept, escaped } => {
                    self.inside(&piece[at..], key, kept, escaped)
                }
                _ => {
                    self.outside(piece[at]);
                    1
                }
            };
        }
    }

    /// What the line said.
    pub fn finish(self) -> OutlineFacts {
        let [kind, uuid, parent_uuid, timestamp, session_id] = self.values;
        OutlineFacts { kind, uuid, parent_uuid, timestamp, session_id }
    }

    fn outside(&mut self, byte: u8) {
        let key_next = self.state == (State::Outside { key_next: true });
        self.state = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return,
            b'{' if self.state == State::Start => {
                self.depth = 1;
                State::Outside { key_next: true }
            }
            _ if self.state == State::Start => State::Done,
            b'"' => {
                self.buffer.clear();
                let top = self.depth == 1;
                let kept = top && (key_next || self.name.is_some());
                State::Inside { key: top && key_next, kept, escaped: false }
            }
            b'{' | b'[' => {
                self.depth += 1;
                State::Outside { key_next: false }
            }
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 { State::Done } else { State::Outside { key_next: false } }
            }
            b',' if self.depth == 1 => {
                self.name = None;
                State::Outside { key_next: true }
            }
            _ => State::Outside { key_next },
        };
    }

    /// Reads on in a string and says how many bytes that took.
    fn inside(&mut self, rest: &[u8], key: bool, kept: bool, escaped: bool) -> usize {
        let (bytes, ends, escapes) = if escaped {
            (1, false, false)
        } else {
            match memchr2(b'"', b'\\', rest) {
                Some(at) => (at + 1, rest[at] == b'"', rest[at] == b'\\'),
                None => (rest.len(), false, false),
            }
        };
        let kept = kept && self.buffer.len() + bytes <= VALUE_BYTES_MAX + 1;
        if kept {
            self.buffer.extend_from_slice(&rest[..bytes]);
        }
        self.state = State::Inside { key, kept, escaped: escapes };
        if ends {
            self.string_done(key, kept);
            self.state = State::Outside { key_next: false };
        }
        bytes
    }

    /// `buffer` holds a whole string with its closing quote, if it was kept.
    fn string_done(&mut self, key: bool, kept: bool) {
        self.buffer.pop();
        if key {
            let name = NAMES.iter().position(|name| *name == self.buffer);
            self.name = name.filter(|_| kept);
        } else if let Some(name) = self.name.take_if(|_| self.depth == 1) {
            let quoted = [b"\"", &self.buffer[..], b"\""].concat();
            self.values[name] = serde_json::from_slice(&quoted).ok().filter(|_| kept);
        }
    }
}

#[cfg(test)]
impl Outline {
    pub(super) fn buffer_bytes(&self) -> usize {
        self.buffer.capacity()
    }
}
