//! What a backend must hold, told by what stood in the files, and by nothing that confab did.
//!
//! Each change of a file makes a new version of it. The lines of a version behind what it has in
//! common with the version before may be stored once more than until then: a line of a file that
//! only grew, once. When all is well, the lines of the last version are stored in their order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use confab::redact::Redactor;

/// A session and the backend's name of one of its files.
type Name<'a> = (&'a str, &'a str);

#[derive(Default)]
struct FileModel {
    /// The lines of the last version.
    raw: Vec<Vec<u8>>,
    /// The same as they are to be stored.
    lines: Vec<String>,
    /// How often each of them may be stored.
    allowed: HashMap<String, usize>,
    /// The same lines by the hash that a stand-in names.
    by_hash: HashMap<String, (String, bool)>,
    /// The last version does not begin with all of the one before.
    is_rewritten: bool,
    /// It has a last line without newline.
    has_tail: bool,
    /// A further rewrite costs what is known of it.
    is_fragile: bool,
    /// Too much was lost on both sides to say how often a line may be stored, or that none is
    /// missing.
    is_fogged: bool,
}

pub struct Model {
    files: BTreeMap<(String, String), FileModel>,
    redactor: Arc<Redactor>,
    /// Beginnings of the secrets that were written.
    secrets: Vec<String>,
}

impl Model {
    pub fn new(redactor: Arc<Redactor>, secrets: Vec<String>) -> Model {
        Model { files: BTreeMap::new(), redactor, secrets }
    }

    pub fn secret_in(&self, text: &str) -> Option<String> {
        self.secrets.iter().find(|secret| text.contains(secret.as_str())).cloned()
    }

    /// The file holds these bytes now.
    pub fn observe(&mut self, name: Name<'_>, bytes: &[u8]) {
        let redactor = Arc::clone(&self.redactor);
        let file = self.file(name);
        let (raw, has_tail) = lines_of(bytes);
        let redacted = |line: &[u8]| {
            let redacted = redactor.line(line).expect("no line is withheld");
            String::from_utf8_lossy(&redacted).into_owned()
        };
        // Lines that differ may be the same once they are redacted.
        let same = raw.iter().zip(&file.raw).take_while(|(new, old)| *new == old).count();
        let fresh: Vec<String> = raw[same..].iter().map(|line| redacted(line)).collect();
        let also = fresh.iter().zip(&file.lines[same..]).take_while(|(new, old)| new == old);
        let common = same + also.count();
        let is_cut = common < file.lines.len();
        file.lines.truncate(same);
        file.lines.extend(fresh);
        file.raw.truncate(same);
        file.raw.extend(raw[same..].iter().map(|line| line.to_vec()));
        for (line, raw) in file.lines.iter().zip(raw).skip(common) {
            *file.allowed.entry(line.clone()).or_default() += 1;
            let is_large = raw.len() > confab::chunk::REQUEST_BYTES_MAX / 2;
            let hash = format!("{:016x}", confab::tail::hash(raw));
            file.by_hash.insert(hash, (line.clone(), is_large));
        }
        file.is_rewritten |= is_cut;
        file.is_fogged |= is_cut && file.is_fragile;
        file.has_tail = has_tail;
    }

    /// The line hashes of a session were damaged: a file that is rewritten from now on may be sent
    /// again from its start.
    pub fn damage_hashes(&mut self, session: &str) {
        for ((owner, _), file) in &mut self.files {
            if owner == session {
                file.is_fragile = true;
                file.is_fogged |= file.is_rewritten;
            }
        }
    }

    /// The text by which a line that arrives behind `stored` is to be known, or what is wrong.
    pub fn accept(
        &mut self,
        name: Name<'_>,
        line: &str,
        stored: &[String],
        may_stand_in: bool,
    ) -> Result<String, String> {
        let file = self.file(name);
        let known = match file.allowed.contains_key(line) {
            true => line.to_owned(),
            false => match stood_for(line).and_then(|hash| file.by_hash.get(&hash)) {
                Some((text, is_large)) if *is_large || may_stand_in => text.clone(),
                Some(_) => return Err(format!("a stand-in without need in {name:?}: {line}")),
                None => return Err(format!("a line that never was in {name:?}: {line}")),
            },
        };
        let n_stored = stored.iter().filter(|other| **other == known).count();
        if n_stored >= file.allowed[&known] && !file.is_fogged {
            return Err(format!("{} times in {name:?}: {known}", n_stored + 1));
        }
        Ok(known)
    }

    /// What is missing of a file, or out of order.
    pub fn missing(&self, name: Name<'_>, stored: &[String], is_over: bool) -> Option<String> {
        let file = self.files.get(&(name.0.to_owned(), name.1.to_owned()))?;
        if file.is_fogged {
            return None;
        }
        let n_lines = file.lines.len() - usize::from(file.has_tail && !is_over);
        let mut rest = stored.iter();
        let lost =
            file.lines[..n_lines].iter().position(|line| !rest.any(|other| other == line))?;
        let line: String = file.lines[lost].chars().take(120).collect();
        Some(format!("line {} of {} of {name:?} is missing: {line}", lost + 1, file.lines.len()))
    }

    fn file(&mut self, name: Name<'_>) -> &mut FileModel {
        self.files.entry((name.0.to_owned(), name.1.to_owned())).or_default()
    }
}

/// The lines of a file, and whether the last one has no newline, which counts when it is a JSON
/// value.
fn lines_of(bytes: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let last = lines.pop().unwrap_or_default();
    let has_tail = !last.is_empty() && confab::transcript::is_json(last);
    if has_tail {
        lines.push(last);
    }
    (lines, has_tail)
}

/// The hash of the line that a stand-in stands for.
fn stood_for(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(value.get("confab")?.get("hash")?.as_str()?.to_owned())
}
