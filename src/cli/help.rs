//! What `help` prints, made from the table of commands.

use crate::cli::table::{self, ENVIRONMENT, Entry, FILES, STATUSES};
use crate::error::{Error, Result};

/// Columns of help texts.
const COLUMNS: usize = 80;
/// Where the second column of a list begins.
const SECOND_COLUMN: usize = 29;
/// What the program is for, in one line.
pub const PURPOSE: &str = "uploads Claude Code sessions, redacted, to a self-hosted backend";

/// The list of all commands.
pub fn overview() -> String {
    let mut text = format!("confab {PURPOSE}\n\nusage: confab COMMAND [OPTIONS]\n");
    text += "\ncommands\n";
    for entry in table::shown() {
        let operands = entry.operands.iter().map(|operand| operand.name);
        let name = [entry.words].into_iter().chain(operands).collect::<Vec<_>>().join(" ");
        text += &row(&name, entry.summary);
    }
    text += "\n`confab help COMMAND` shows options and examples of one command.\n";
    for (title, rows) in [("files", FILES), ("environment", ENVIRONMENT), ("exit status", STATUSES)]
    {
        text += &format!("\n{title}\n");
        for (name, meaning) in rows {
            text += &row(name, meaning);
        }
    }
    text
}

/// How to use the command of this name, or the list of those whose names begin so.
///
/// # Errors
/// When there is no such command.
pub fn topic(words: &[&str]) -> Result<String> {
    if words.is_empty() {
        return Ok(overview());
    }
    if let Some((entry, length)) = table::find(words)
        && !entry.hidden
        && length == words.len()
    {
        return Ok(command(entry));
    }
    let group = table::group(words);
    if group.is_empty() {
        return Err(Error::new(format!("there is no command {}", words.join(" ")))
            .with_hint("confab help lists the commands"));
    }
    let rows = group.iter().map(|entry| row(&entry.usage(), entry.summary));
    Ok(format!("confab {}\n\n{}", words.join(" "), rows.collect::<String>()))
}

fn command(entry: &Entry) -> String {
    let mut text = format!("confab {}: {}\n\n", entry.words, entry.summary);
    text += &hanging(&format!("usage: confab {}", entry.usage()), 2);
    for paragraph in entry.text {
        text += "\n";
        text += &hanging(paragraph, 0);
    }
    let choices = entry.operands.iter().filter(|operand| !operand.values.is_empty());
    for operand in choices {
        let values = operand.values.join(", ");
        text += "\n";
        text += &hanging(&format!("{} is one of {values}", operand.name), 2);
    }
    if !entry.options.is_empty() {
        text += "\noptions\n";
        for flag in entry.options {
            text += &row(&flag.usage(), flag.summary);
        }
    }
    text += "\nexamples\n";
    for (line, purpose) in entry.examples {
        text += &format!("  {line}\n      {purpose}\n");
    }
    text
}

/// A name and what it means; a name that is too wide has a line of its own.
fn row(name: &str, meaning: &str) -> String {
    let indent = " ".repeat(SECOND_COLUMN);
    let lines = wrapped(meaning, COLUMNS - SECOND_COLUMN);
    let meaning = lines.join(&format!("\n{indent}"));
    match name.len() + 4 <= SECOND_COLUMN {
        true => format!("  {name:<width$}{meaning}\n", width = SECOND_COLUMN - 2),
        false => format!("  {name}\n{indent}{meaning}\n"),
    }
}

/// A paragraph whose lines but the first are indented.
fn hanging(text: &str, indent: usize) -> String {
    let lines = wrapped(text, COLUMNS - indent);
    lines.join(&format!("\n{}", " ".repeat(indent))) + "\n"
}

fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a first line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command, option, file and variable is shown somewhere, within the columns.
    #[test]
    fn help_shows_the_whole_table() {
        let overview = overview();
        let mut texts = vec![overview.clone()];
        for entry in table::shown() {
            assert!(overview.contains(&format!("\n  {}", entry.words)), "{}", entry.words);
            let words: Vec<&str> = entry.words.split(' ').collect();
            let text = topic(&words).unwrap();
            for flag in entry.options {
                assert!(text.contains(&format!("\n  {}", flag.usage())), "{text}");
            }
            texts.push(text);
        }
        for line in texts.iter().flat_map(|text| text.lines()) {
            let is_example = line.starts_with("  confab ");
            assert!(is_example || line.chars().count() <= COLUMNS, "{line}");
            assert_eq!(line.trim_end(), line);
        }
    }

    #[test]
    fn groups_have_topics_and_hidden_commands_none() {
        assert!(topic(&["sync"]).unwrap().contains("sync status [--json]"));
        for words in [&["daemon"][..], &["nonsense"], &["sync", "nonsense"], &["man", "x"]] {
            assert!(topic(words).unwrap_err().hint().is_some(), "{words:?}");
        }
    }
}
