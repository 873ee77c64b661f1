//! Claude Code's `settings.json`: our hooks put in, taken out, and looked at.
//!
//! The file belongs to others. It is changed in place: order, layout, number spelling, unknown keys
//! and everybody else's hooks keep their bytes, and so do mode, owner and symbolic link. What is
//! not as it should be is left alone with an error. Only commands that certainly start confab are
//! taken for ours (`command`), those of the existing client among them.
//!
//! `edit` goes from text to text; `file` reads, keeps a backup, and writes in one
//! step that notices other writers.
//!
//! Only events are used that every Claude Code knows: until 2.1.20 one unknown name silently
//! switches off all hooks. Deliberately absent: comments and trailing commas, which Claude Code
//! does not take either; extended attributes and hard links of the file, which a new file cannot
//! keep.

mod command;
mod edit;
mod file;
mod plugin;

use crate::json_text::quoted;

pub use command::Program;
pub use edit::{Act, Change, Edit, Report, State, Surplus, add, inspect, is_original, remove};
pub use file::{Outcome, add_to, inspect_in, remove_from, settings_file};
pub use plugin::{PLUGIN_MANIFEST, plugin};

/// How long Claude Code waits for one of our hooks, in seconds; they take about a millisecond.
/// SessionEnd hooks have 1.5 s together unless one asks for more.
pub const HOOK_SECONDS_MAX: u32 = 10;

/// One hook that we want to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// What Claude Code calls the event.
    pub event: &'static str,
    /// What is told apart within the event; `None` where nothing is.
    pub matcher: Option<&'static str>,
    /// The word behind `confab hook`.
    pub verb: &'static str,
}

/// Claude Code's name of the tool by which it opens a pull request without a shell.
const PULL_REQUEST_TOOL: &str = "mcp__github__create_pull_request";

/// All our hooks: those of the existing client (reference §3.1).
pub const HOOKS: [Hook; 7] = [
    Hook { event: "SessionStart", matcher: Some("*"), verb: "session-start" },
    Hook { event: "SessionEnd", matcher: Some("*"), verb: "session-end" },
    Hook { event: "UserPromptSubmit", matcher: None, verb: "user-prompt-submit" },
    Hook { event: "PreToolUse", matcher: Some("Bash"), verb: "pre-tool-use" },
    Hook { event: "PreToolUse", matcher: Some(PULL_REQUEST_TOOL), verb: "pre-tool-use" },
    Hook { event: "PostToolUse", matcher: Some("Bash"), verb: "post-tool-use" },
    Hook { event: "PostToolUse", matcher: Some(PULL_REQUEST_TOOL), verb: "post-tool-use" },
];

impl Hook {
    /// For people: the event, with what is told apart where that is not everything.
    pub fn name(&self) -> String {
        match self.matcher {
            Some(matcher) if matcher != "*" => format!("{} of {matcher}", self.event),
            _ => self.event.to_owned(),
        }
    }

    /// The element that stands for this hook in the list of its event, without blanks.
    fn group(&self, program: &Program) -> String {
        let matcher = match self.matcher {
            Some(matcher) => format!("\"matcher\":{},", quoted(matcher)),
            None => String::new(),
        };
        let command = quoted(&program.command(self.verb));
        format!(
            "{{{matcher}\"hooks\":[{{\"type\":\"command\",\"command\":{command},\
             \"timeout\":{HOOK_SECONDS_MAX}}}]}}"
        )
    }
}
