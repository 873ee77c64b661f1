//! A command line as a shell would split it: which programs run, with which words, where.
//!
//! Understands quotes, escapes, expansions, `;` `&&` `||` `|` `&`, newlines, comments, groups,
//! subshells, command and process substitution, here-documents, assignments and what `cd` does.
//! Pure: nothing is run or looked up, and only `~`, `$HOME` and `$PWD` are expanded. Deliberately
//! absent: what only running it could tell (conditions, other variables, aliases, whether a
//! function is ever called: its body counts as run).

mod words;

use std::path::{Path, PathBuf};

/// Bytes of a command line; of a longer one nothing is told. The kernel takes no longer word.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Substitutions and groups within each other; what lies deeper is not told.
const NESTING_MAX: usize = 32;
/// Simple commands that are told of one line.
const COMMANDS_MAX: usize = 4096;
/// Words in front of a command that belong to the shell's grammar.
const RESERVED: [&str; 14] = [
    "!", "{", "}", "if", "then", "elif", "else", "fi", "while", "until", "do", "done", "esac",
    "function",
];

/// What a command line does, as far as reading it can tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The simple commands, each before those that come after it.
    pub commands: Vec<SimpleCommand>,
    /// Where the shell is when it is done.
    pub end: Folder,
}

/// One program with its words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SimpleCommand {
    /// Assignments in front of it.
    pub assignments: Vec<(String, Word)>,
    /// Program and arguments; never empty.
    pub words: Vec<Word>,
    /// What a here-document feeds it.
    pub input: Option<String>,
    /// Where it runs.
    pub folder: Folder,
}

/// A word after quotes are removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// Its text; what could not be expanded stands there as it was written.
    pub text: String,
    /// True when all of it could be expanded.
    pub known: bool,
}

/// A folder as seen from where the command line starts: empty for that one; `None` when nobody can
/// tell.
pub type Folder = Option<PathBuf>;

/// Reads a command line that starts in `folder`.
pub fn read(text: &str, folder: Folder, home: &Path) -> Script {
    let mut script = Script { commands: Vec::new(), end: folder.clone() };
    if text.len() > TEXT_BYTES_MAX {
        return script;
    }
    let mut reader = Reader { text, at: 0, home, commands: Vec::new(), pending: Vec::new() };
    let mut place = Place { folder, before: Vec::new() };
    // A `)` that nothing opened is a mistake; what follows it is read all the same.
    while reader.at < text.len() {
        reader.list(&mut place, 0, false);
    }
    script.commands = reader.commands;
    script.end = place.folder;
    script
}

/// A folder that is reached from another by a path.
pub fn enter(folder: &Folder, path: &Word) -> Folder {
    let known = path.known && !path.text.is_empty();
    match folder {
        _ if !known => None,
        Some(folder) => Some(folder.join(&path.text)),
        None if path.text.starts_with('/') => Some(PathBuf::from(&path.text)),
        None => None,
    }
}

/// Where the shell is, and where it was.
#[derive(Debug, Clone)]
struct Place {
    folder: Folder,
    /// For `cd -` and `popd`, the last one last.
    before: Vec<Folder>,
}

impl Place {
    /// Does what `cd`, `pushd` and `popd` do.
    fn follow(&mut self, command: &SimpleCommand, home: &Path) {
        let Some(program) = command.words.first() else { return };
        let is_cd = matches!(program.text.as_str(), "cd" | "pushd" | "popd");
        if !is_cd {
            return;
        }
        let options = |word: &&Word| word.text.len() > 1 && word.text.starts_with('-');
        let target = command.words.iter().skip(1).find(|word| !options(word));
        let new = match (program.text.as_str(), target) {
            ("popd", _) => self.before.pop().flatten(),
            (_, Some(word)) if word.text == "-" => self.before.last().cloned().flatten(),
            (_, Some(word)) => enter(&self.folder, word),
            ("cd", None) => Some(home.to_owned()),
            _ => None,
        };
        let old = std::mem::replace(&mut self.folder, new);
        if program.text != "popd" && self.before.len() < NESTING_MAX {
            self.before.push(old);
        }
    }
}

/// A here-document whose text is still to come.
struct Pending {
    delimiter: String,
    strips_tabs: bool,
    /// The command that reads it.
    command: usize,
}

/// How a command is joined to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    Sequence,
    Background,
    And,
    Or,
    Pipe,
    /// `)` or the end of the text.
    End,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    home: &'a Path,
    commands: Vec<SimpleCommand>,
    pending: Vec<Pending>,
}

impl Reader<'_> {
    /// Reads commands up to the end of the text or, `inside` of parentheses, behind the `)`.
    fn list(&mut self, place: &mut Place, depth: usize, inside: bool) {
        let outer = std::mem::take(&mut self.pending);
        let mut start = place.clone();
        let mut joined = Joint::Sequence;
        // Open `case`s: their patterns end with a `)` that closes nothing.
        let mut n_cases = 0;
        // Where the shell stays when the command before `||` succeeds.
        let mut on_success: Option<Place> = None;
        loop {
            let before = place.clone();
            self.command(place, depth, &mut n_cases);
            let joint = self.joint(inside, n_cases > 0);
            if joined == Joint::Pipe || joint == Joint::Pipe {
                // Each part of a pipe runs in a shell of its own.
                *place = before.clone();
            }
            if let Some(success) = on_success.take() {
                *place = success;
            }
            match joint {
                Joint::Or => {
                    on_success = Some(place.clone());
                    *place = before;
                }
                Joint::Background => *place = start.clone(),
                Joint::Sequence => start = place.clone(),
                Joint::And | Joint::Pipe => {}
                Joint::End => break,
            }
            joined = joint;
        }
        // What was announced on the line that the list ends on begins behind the next newline.
        let announced = std::mem::replace(&mut self.pending, outer);
        self.pending.extend(announced);
    }

    /// Reads one command, a group among them.
    fn command(&mut self, place: &mut Place, depth: usize, n_cases: &mut usize) {
        let mut command =
            SimpleCommand { folder: place.folder.clone(), ..SimpleCommand::default() };
        let mut here = Vec::new();
        loop {
            self.blanks();
            match self.byte() {
                b'#' => self.skip_to(b'\n'),
                b'<' | b'>' => self.redirection(place, depth, &mut here),
                b'&' if self.rest().starts_with("&>") => self.redirection(place, depth, &mut here),
                b'(' if self.rest().starts_with("((") => self.arithmetic(),
                b'(' if command.words.is_empty() => {
                    self.at += 1;
                    self.group(place, depth);
                }
                // The definition of a function.
                b'(' if self.rest().starts_with("()") => {
                    self.at += 2;
                    command.words.clear();
                }
                b'\0' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' => break,
                _ => {
                    let word_at = self.at;
                    let word = self.word(place, depth);
                    let is_bare = self.text.get(word_at..self.at) == Some(word.text.as_str());
                    let next = self.byte();
                    let is_number = word.text.bytes().all(|byte| byte.is_ascii_digit());
                    match (command.words.is_empty(), word.text.as_str()) {
                        _ if is_bare && is_number && matches!(next, b'<' | b'>') => {}
                        (true, "esac") if is_bare => *n_cases = n_cases.saturating_sub(1),
                        (true, text) if is_bare && RESERVED.contains(&text) => {}
                        (true, "case") if is_bare => {
                            *n_cases += 1;
                            command.words.push(word);
                        }
                        (true, text) if is_assignment(text) => {
                            if next == b'(' {
                                self.at += 1;
                                self.array(place, depth);
                            }
                            command.assignments.extend(assignment(&word));
                        }
                        _ => command.words.push(word),
                    }
                }
            }
        }
        if command.words.is_empty() || self.commands.len() >= COMMANDS_MAX {
            return;
        }
        place.follow(&command, self.home);
        // Substitutions in its words have been told before it, as they run before it.
        let own = self.commands.len();
        self.pending.extend(here.into_iter().map(|pending| Pending { command: own, ..pending }));
        self.commands.push(command);
    }

    /// Reads what stands between two commands; here-documents begin behind a newline.
    fn joint(&mut self, inside: bool, in_case: bool) -> Joint {
        self.blanks();
        let rest = self.rest();
        let (joint, length) = match rest.as_bytes() {
            [] => (Joint::End, 0),
            [b')', ..] if in_case => (Joint::Sequence, 1),
            [b')', ..] => (Joint::End, 1),
            [b'&', b'&', ..] => (Joint::And, 2),
            [b'|', b'|', ..] => (Joint::Or, 2),
            [b'|', b'&', ..] => (Joint::Pipe, 2),
            [b'|', ..] => (Joint::Pipe, 1),
            [b'&', ..] => (Joint::Background, 1),
            // `;`, a newline, or something that belongs nowhere.
            _ => (Joint::Sequence, 1),
        };
        let is_newline = rest.starts_with('\n');
        self.at += length;
        if is_newline {
            self.here_documents(inside);
        }
        if matches!(joint, Joint::And | Joint::Or | Joint::Pipe) {
            self.blank_lines(inside);
        }
        joint
    }

    /// A command may follow on another line.
    fn blank_lines(&mut self, inside: bool) {
        loop {
            self.blanks();
            match self.byte() {
                b'\n' => {
                    self.at += 1;
                    self.here_documents(inside);
                }
                b'#' => self.skip_to(b'\n'),
                _ => return,
            }
        }
    }

    /// Reads a subshell behind its parenthesis: what it does to the folder ends with it.
    fn group(&mut self, place: &Place, depth: usize) {
        if depth >= NESTING_MAX {
            self.at = self.text.len();
            return;
        }
        self.list(&mut place.clone(), depth + 1, true);
    }

    /// Skips `((…))`.
    fn arithmetic(&mut self) {
        let mut open = 0;
        while self.at < self.text.len() {
            match self.byte() {
                b'(' => open += 1,
                b')' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }

    /// Reads the words of an array behind its parenthesis.
    fn array(&mut self, place: &Place, depth: usize) {
        loop {
            self.blanks();
            match self.byte() {
                b'\0' => return,
                b')' => {
                    self.at += 1;
                    return;
                }
                b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' => self.at += 1,
                b'#' => self.skip_to(b'\n'),
                _ => drop(self.word(place, depth)),
            }
        }
    }

    /// Reads `>file`, `2>&1`, `<<EOF` and the like.
    fn redirection(&mut self, place: &Place, depth: usize, here: &mut Vec<Pending>) {
        let rest = self.rest();
        if rest.starts_with("<(") || rest.starts_with(">(") {
            self.at += 2;
            return self.group(place, depth);
        }
        let operators = ["&>>", "<<<", "<<-", "&>", "<<", ">>", ">&", "<&", ">|", "<>", "<", ">"];
        let operator = operators.iter().find(|operator| rest.starts_with(**operator));
        let operator = operator.copied().unwrap_or("<");
        self.at += operator.len();
        self.blanks();
        if matches!(self.byte(), b'\0' | b'\n' | b';' | b'&' | b'|' | b'(' | b')') {
            return;
        }
        if matches!(self.byte(), b'<' | b'>') {
            // `< <(…)` is read as the next redirection.
            return;
        }
        let word = self.word(place, depth);
        if matches!(operator, "<<" | "<<-") {
            let strips_tabs = operator == "<<-";
            here.push(Pending { delimiter: word.text, strips_tabs, command: 0 });
        }
    }

    /// Reads the here-documents that begin on this line.
    fn here_documents(&mut self, inside: bool) {
        for pending in std::mem::take(&mut self.pending) {
            let mut body = String::new();
            while self.at < self.text.len() {
                let line_end = self.rest().find('\n').map_or(self.text.len(), |end| self.at + end);
                let line = &self.text[self.at..line_end];
                let line = if pending.strips_tabs { line.trim_start_matches('\t') } else { line };
                if line == pending.delimiter {
                    self.at = (line_end + 1).min(self.text.len());
                    break;
                }
                // Within a substitution shells take `EOF)` too.
                let closes = line.strip_prefix(pending.delimiter.as_str());
                if inside && closes.is_some_and(|rest| rest.trim_start().starts_with(')')) {
                    self.at = line_end - closes.map_or(0, str::len);
                    break;
                }
                body.push_str(line);
                body.push('\n');
                self.at = (line_end + 1).min(self.text.len());
            }
            if let Some(command) = self.commands.get_mut(pending.command) {
                command.input = Some(body);
            }
        }
    }

    /// Skips spaces and line continuations.
    fn blanks(&mut self) {
        loop {
            match self.byte() {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\\' if self.rest().starts_with("\\\n") => self.at += 2,
                _ => return,
            }
        }
    }

    fn skip_to(&mut self, byte: u8) {
        let rest = self.rest().bytes();
        self.at += rest.take_while(|other| *other != byte).count();
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// The next byte, NUL at the end.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(b'\0')
    }
}

/// True for `name=…`.
fn is_assignment(text: &str) -> bool {
    let name = text.split_once('=').map_or("", |(name, _)| name);
    let name = name.strip_suffix('+').unwrap_or(name);
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn assignment(word: &Word) -> Option<(String, Word)> {
    let (name, value) = word.text.split_once('=')?;
    Some((name.to_owned(), Word { text: value.to_owned(), known: word.known }))
}
