//! The command line of a hook: ours as it is written, and those of which it can be said for sure
//! that they start confab and nothing else.
//!
//! A command that is more than one plain command, or that starts another program, is somebody
//! else's, whatever it mentions: `foo && confab sync start`, `echo confab sync start`,
//! `my-confab-wrapper hook session-start`.

use std::path::Path;

use crate::error::{Error, Result};

/// What this program is called in a hook, whatever its folder.
const NAME: &str = "confab";
/// What the existing client's hooks say behind `confab hook`.
const VERBS: [&str; 5] =
    ["session-start", "session-end", "user-prompt-submit", "pre-tool-use", "post-tool-use"];

/// The program that hooks are to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: String,
}

/// A command that starts confab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The program, without quotes.
    pub program: String,
    /// The word behind `hook`, where that is all there is.
    pub verb: Option<String>,
}

impl Program {
    /// A program by its absolute path.
    ///
    /// # Errors
    /// When a JSON text cannot name it.
    pub fn new(path: &Path) -> Result<Program> {
        let what = || format!("use {} in hooks", path.display());
        match path.to_str() {
            Some(text) if path.is_absolute() => Ok(Program { path: text.to_owned() }),
            Some(_) => Err(Error::new(what()).caused_by(Error::new("the path is not absolute"))),
            None => Err(Error::new(what())
                .caused_by(Error::new("the path is not UTF-8"))
                .with_hint("put the program into another folder")),
        }
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The command line of a hook, for a shell.
    pub fn command(&self, verb: &str) -> String {
        format!("{} hook {verb}", quoted(&self.path))
    }

    /// A word that begins a command and stands for confab. `X=/x/confab` sets a variable.
    fn is_called(&self, word: &str) -> bool {
        let name = word.rsplit('/').next().unwrap_or_default();
        word == self.path || name == NAME && !word.contains('=')
    }
}

/// Reads the command of a hook; `None` when it is somebody else's.
pub fn parse(command: &str, program: &Program) -> Option<Parsed> {
    // The existing client writes its path without quotes, also where there are blanks in it.
    let (first, rest) = match command.strip_prefix(&program.path) {
        Some(rest) if rest.starts_with(' ') => (program.path.clone(), words(rest)?),
        _ => {
            let mut words = words(command)?;
            let rest = words.split_off(1.min(words.len()));
            (words.pop()?, rest)
        }
    };
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    if !program.is_called(&first) || !asks_for_hook(&rest) {
        return None;
    }
    let verb = match rest[..] {
        ["hook", verb] => Some(verb.to_owned()),
        _ => None,
    };
    Some(Parsed { program: first, verb })
}

/// The path for a shell: as it is where nothing in it means anything there.
fn quoted(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,@:%=".contains(&byte);
    match path.bytes().all(plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

/// `sync start`, `sync stop`, `save` and `hook EVENT`, with `--provider` or without.
fn asks_for_hook(words: &[&str]) -> bool {
    let words = match words {
        [words @ .., "--provider", _] => words,
        [words @ .., last] if last.starts_with("--provider=") => words,
        words => words,
    };
    match words {
        ["save"] | ["sync", "start" | "stop"] => true,
        ["hook", verb] => VERBS.contains(verb),
        _ => false,
    }
}

/// The words of one plain command as a shell splits them; `None` for anything that is more. A
/// variable stays as it is written.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut left = command.trim().chars().peekable();
    while let Some(character) = left.next() {
        match character {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match left.next()? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => double_quoted(&mut left, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(left.next().filter(|next| *next != '\n')?),
            '$' if !is_variable(left.peek()) => return None,
            '#' if word.is_none() => return None,
            '\n' | '\r' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`' | '*' | '?' | '[' | '!' => {
                return None;
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

fn double_quoted(
    left: &mut std::iter::Peekable<std::str::Chars<'_>>,
    word: &mut String,
) -> Option<()> {
    loop {
        match left.next()? {
            '"' => return Some(()),
            '`' => return None,
            '$' if !is_variable(left.peek()) => return None,
            '\\' => match left.next()? {
                escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

/// `$NAME` and `${NAME}`, but not `$(…)`.
fn is_variable(next: Option<&char>) -> bool {
    next.is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '_' | '{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program::new(Path::new("/my tools/confab")).unwrap()
    }

    #[test]
    fn ours_is_ours_and_nobody_elses() {
        let ours = [
            "confab save",
            "confab sync start",
            "confab sync stop",
            "confab hook session-start",
            " confab  hook\tsession-end ",
            "/usr/local/bin/confab hook session-start --provider claude-code",
            "/x/confab hook pre-tool-use --provider=claude-code",
            "\"/x y/confab\" hook post-tool-use",
            "'/x y/confab' hook user-prompt-submit",
            "/x\\ y/confab hook session-start",
            "~/.local/bin/confab hook session-start",
            "$HOME/bin/confab hook session-start",
            "\"${HOME}/bin/confab\" sync start",
            "/my tools/confab hook session-start",
            "/my tools/confab sync start",
        ];
        for command in ours {
            assert!(parse(command, &program()).is_some(), "{command}");
        }
        let others = [
            "",
            "   ",
            "confab",
            "confab list",
            "confab save 1234",
            "confab sync flush",
            "confab sync status",
            "confab hook",
            "confab hook nonsense",
            "confab hook session-start extra",
            "my-confab-wrapper hook session-start",
            "confab-old hook session-start",
            "/x/confab.sh hook session-start",
            "/x/confab/run hook session-start",
            "echo confab sync start",
            "foo && confab sync start",
            "confab sync start && foo",
            "confab sync start; foo",
            "confab sync start &",
            "confab hook session-start >/dev/null",
            "confab hook session-start | tee x",
            "(confab sync start)",
            "$(confab sync start)",
            "`confab sync start`",
            "$(which confab) sync start",
            "\"$(which confab)\" sync start",
            "sh -c 'confab sync start'",
            "X=1 confab sync start",
            "X=/x/confab sync start",
            "env confab sync start",
            "rsync start-job.sh",
            "# confab sync start",
            "confab sync start\nfoo",
            "confab 'sync start'",
            "confab sync 'start",
            "\"confab sync start",
            "/usr/bin/time /opt/confab hook session-start",
            "/usr/bin/nice bin/confab hook session-start",
            "/usr/bin/env confab hook session-start",
            "/x/run -p /y/confab hook session-start",
            "/x/run -p y/confab hook session-start",
            "/your tools/confab hook session-start",
            "/my tools/confab.sh hook session-start",
            "/my tools/confab hook session-start; foo",
        ];
        for command in others {
            assert_eq!(parse(command, &program()), None, "{command}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_whatever_the_path() {
        let paths = [
            "/confab",
            "/a b/confab",
            "/it's/confab",
            "/a\"b\\$c`d/confab",
            "/ü/my-tool",
            "/X=/run",
        ];
        for path in paths {
            let program = Program::new(Path::new(path)).unwrap();
            let parsed = parse(&program.command("session-end"), &program).unwrap();
            assert_eq!(parsed.program, path);
            assert_eq!(parsed.verb.as_deref(), Some("session-end"));
        }
        assert_eq!(program().command("x"), "'/my tools/confab' hook x");
        assert!(Program::new(Path::new("confab")).is_err());
    }
}
