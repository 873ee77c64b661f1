//! The manual page, made from the table of commands.

use crate::cli::help::PURPOSE;
use crate::cli::table::{self, ENVIRONMENT, Entry, FILES, STATUSES};

/// The page in the language of man(7).
pub fn page() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(
        ".TH CONFAB 1 \"\" \"confab {version}\" \"User Commands\"\n\
         .SH NAME\nconfab \\- {PURPOSE}\n\
         .SH SYNOPSIS\n.B confab\n.I COMMAND\n.RI [ OPTIONS ]\n\
         .SH COMMANDS\n"
    );
    for entry in table::shown() {
        page += &command(entry);
    }
    for (title, rows) in [("FILES", FILES), ("ENVIRONMENT", ENVIRONMENT), ("EXIT STATUS", STATUSES)]
    {
        page += &format!(".SH {title}\n");
        for (name, meaning) in rows {
            page += &row(name, meaning);
        }
    }
    page
}

fn command(entry: &Entry) -> String {
    let mut text = format!(".SS confab {}\n", escaped(&entry.usage()));
    text += &line(&sentence(entry.summary));
    for paragraph in entry.text {
        text += ".PP\n";
        text += &line(paragraph);
    }
    for flag in entry.options {
        text += &row(&flag.usage(), flag.summary);
    }
    for (example, purpose) in entry.examples {
        text += &format!(".PP\n{}", line(&format!("{}:", sentence(purpose).trim_end_matches('.'))));
        text += &format!(".PP\n.RS\n.nf\n{}.fi\n.RE\n", line(example));
    }
    text
}

fn row(name: &str, meaning: &str) -> String {
    format!(".TP\n.B {}\n{}", escaped(name), line(&sentence(meaning)))
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

/// A line of text. A dot or a quote at its beginning would make it a request.
fn line(text: &str) -> String {
    let guard = if text.starts_with(['.', '\'']) { "\\&" } else { "" };
    format!("{guard}{}\n", escaped(text))
}

/// What is typed must not become another character of the same shape.
fn escaped(text: &str) -> String {
    let names = [("\\", "\\e"), ("-", "\\-"), ("\"", "\\(dq"), ("~", "\\(ti"), ("`", "\\(ga")];
    names.iter().fold(text.to_owned(), |text, (character, name)| text.replace(character, name))
}
