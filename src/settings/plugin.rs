//! Our hooks as a Claude Code plugin: for those who manage plugins rather than settings.
//!
//! The commands are those of the settings, with the same path of the program: Claude Code runs
//! equal commands once, so that both at a time do no harm.

use crate::error::Result;
use crate::settings::{Program, add};

/// The file that makes a folder a plugin.
pub const PLUGIN_MANIFEST: &str = ".claude-plugin/plugin.json";

/// Claude Code finds `hooks/hooks.json` by itself; naming it here would load it twice.
const MANIFEST: &str = concat!(
    "{\n  \"name\": \"confab\",\n  \"version\": \"",
    env!("CARGO_PKG_VERSION"),
    "\",\n  \"description\": \"Uploads sessions, redacted, to your own backend\"\n}\n"
);
/// What the hooks are put into.
const HOOKS_FILE: &str = "{\n  \"description\": \"Hooks of confab\"\n}\n";

/// The files of the plugin: path in its folder, and text.
///
/// # Errors
/// None that a program could bring about: the text is ours.
pub fn plugin(program: &Program) -> Result<[(&'static str, Vec<u8>); 2]> {
    let hooks = add(HOOKS_FILE.as_bytes(), program)?.bytes;
    Ok([(PLUGIN_MANIFEST, MANIFEST.into()), ("hooks/hooks.json", hooks)])
}
