//! Stand-ins for Claude Code: processes that look like it in /proc, run hooks through a shell as it
//! does, and live until they are killed.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};

use serde_json::Value;

use super::eventually::{WAIT_MAX, eventually, within};
use super::processes;
use super::sandbox::{CONFAB, Sandbox};

/// What the stand-in looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// A native binary named `claude`.
    Native,
    /// A binary named `node` whose script is Claude Code's `cli.js`.
    Script,
    /// The real node, which calls itself `claude` as `cli.js` versions do.
    Node,
}

/// A running stand-in. It is killed when it is dropped.
pub struct Claude {
    child: Child,
    commands: ChildStdin,
    folder: PathBuf,
    calls: usize,
    /// `CLAUDE_PID` for hooks; versions from 2.1.329 on set it to their own.
    pub told_pid: Option<u32>,
}

/// Where a script version of Claude Code is installed.
const SCRIPT: &str = "lib/node_modules/@anthropic-ai/claude-code/cli.js";
/// Reads one shell command a line, as every stand-in does.
const SHELL_LOOP: &str = "while read -r line; do eval \"$line\"; done\n";
const NODE_LOOP: &str = "process.title = 'claude';
const run = (line) => require('child_process').spawnSync('/bin/sh', ['-c', line]);
require('readline').createInterface({ input: process.stdin }).on('line', run);
";

impl Claude {
    /// Starts a stand-in; `None` where the real node is wanted and the machine has none.
    pub fn start(sandbox: &Sandbox, looks: Looks) -> Option<Claude> {
        let folder = sandbox.root().join("claude");
        let script = folder.join(SCRIPT);
        fs::create_dir_all(script.parent().unwrap()).unwrap();
        let program = match looks {
            Looks::Native => folder.join("claude"),
            Looks::Script => folder.join("node"),
            Looks::Node => {
                let found = ["/usr/bin/node", "/usr/local/bin/node"].map(PathBuf::from);
                found.into_iter().find(|path| path.exists())?
            }
        };
        if looks != Looks::Node {
            fs::copy("/bin/sh", &program).unwrap();
        }
        fs::write(&script, if looks == Looks::Node { NODE_LOOP } else { SHELL_LOOP }).unwrap();
        let mut command = sandbox.command(&program);
        match looks {
            Looks::Native => command.args(["-c", SHELL_LOOP]),
            Looks::Script | Looks::Node => command.arg(&script),
        };
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let commands = child.stdin.take().expect("a pipe");
        Some(Claude { child, commands, folder, calls: 0, told_pid: None })
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a hook of the client and gives its answer.
    #[track_caller]
    pub fn hook(&mut self, event: &str, input: &Value) -> String {
        self.calls += 1;
        let name = format!("{}-{}", self.child.id(), self.calls);
        let path = |kind: &str| self.folder.join(format!("{name}.{kind}"));
        let (stdin, stdout, done) = (path("in"), path("out"), path("done"));
        fs::write(&stdin, format!("{input}\n")).unwrap();
        let pid = self.told_pid.map(|pid| format!("CLAUDE_PID={pid} ")).unwrap_or_default();
        // The inner shell stays the hook's parent: it still has something to do behind it.
        let hook =
            format!("{pid}{CONFAB} hook {event} < {} > {} 2>&1; true", show(&stdin), show(&stdout));
        self.run(&format!("/bin/sh -c '{hook}'; : > {}", show(&done)));
        eventually("the hook of the stand-in ends", || done.exists());
        fs::read_to_string(&stdout).unwrap()
    }

    /// Runs one line of shell.
    fn run(&mut self, line: &str) {
        writeln!(self.commands, "{line}").unwrap();
    }

    /// Ends it as the kernel does: `kill -9`.
    pub fn kill(&mut self) {
        processes::signal(self.pid(), "KILL");
        within(WAIT_MAX, "the stand-in ends", || self.child.try_wait().unwrap());
    }
}

impl Drop for Claude {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn show(path: &std::path::Path) -> std::path::Display<'_> {
    path.display()
}
