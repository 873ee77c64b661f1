//! One line on a terminal that is written over; nothing depends on it.

use std::io::Write;

use super::columns;

/// See the module.
#[derive(Debug)]
pub struct StatusLine {
    /// Columns of the terminal; `None` when there is none, and nothing is shown.
    columns: Option<usize>,
    /// Columns of the line that is there.
    shown: usize,
}

impl StatusLine {
    /// Shows nothing yet.
    pub fn new(columns: Option<usize>) -> StatusLine {
        StatusLine { columns, shown: 0 }
    }

    /// Shows a text in the place of the last one. Without escape sequences: blanks cover what the
    /// last line has left.
    pub fn draw(&mut self, text: &str, talk: &mut dyn Write) {
        let Some(columns) = self.columns else { return };
        let text = columns::cut(text, columns.saturating_sub(1));
        let width = columns::width(&text);
        let rest = " ".repeat(self.shown.saturating_sub(width));
        let back = if text.is_empty() { "\r" } else { "" };
        let _ = write!(talk, "\r{text}{rest}{back}");
        let _ = talk.flush();
        self.shown = width;
    }
}
