//! Who is who: process identity that survives the reuse of process ids, the Claude Code process
//! above a hook, and the end of a process.

use std::io;
use std::path::Path;
use std::time::Duration;

/// How far up the process tree Claude Code is looked for.
const ANCESTORS_MAX: usize = 16;
/// Bytes read of a process' status or command line.
const PROC_FILE_BYTES_MAX: usize = 4096;
/// How often a process is looked at where the kernel cannot tell of its end.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A process, told from a later one with the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Start in clock ticks since boot; 0 where the system does not tell.
    pub start: u64,
}

impl Process {
    /// This process.
    pub fn current() -> Process {
        let pid = std::process::id();
        Process { pid, start: status(pid).map_or(0, |status| status.start) }
    }

    /// The process with this number, unless it has ended.
    pub fn find(pid: u32) -> Option<Process> {
        if cfg!(target_os = "linux") {
            status(pid)
                .filter(|status| !status.ended)
                .map(|status| Process { pid, start: status.start })
        } else {
            exists(pid).then_some(Process { pid, start: 0 })
        }
    }

    /// True while this very process runs.
    pub fn is_alive(self) -> bool {
        Process::find(self.pid).is_some_and(|found| found.start == self.start || self.start == 0)
    }

    /// Waits until this process has ended or `limit` has passed; true when it has ended.
    pub fn wait_for_end(self, limit: Duration) -> bool {
        if !self.is_alive() {
            return true;
        }
        match wait_on_pidfd(self, limit) {
            Ok(()) => !self.is_alive(),
            Err(_) => {
                std::thread::sleep(limit.min(POLL_INTERVAL));
                !self.is_alive()
            }
        }
    }
}

/// The Claude Code process that called this one: `hint` (the value of `CLAUDE_PID`) when such a
/// process runs, else the nearest ancestor that really is Claude Code.
pub fn claude(hint: Option<u32>) -> Option<Process> {
    if let Some(process) = hint.filter(|pid| *pid > 1).and_then(Process::find) {
        return Some(process);
    }
    let mut pid = std::os::unix::process::parent_id();
    for _ in 0..ANCESTORS_MAX {
        if pid <= 1 {
            return None;
        }
        let status = status(pid)?;
        if is_claude(&status.name, &command_line(pid)) {
            return Process::find(pid);
        }
        pid = status.parent;
    }
    None
}

/// True when the process with this number runs and its command line has this argument.
pub fn has_argument(pid: u32, argument: &str) -> bool {
    if !cfg!(target_os = "linux") {
        return exists(pid);
    }
    Process::find(pid).is_some()
        && command_line(pid).split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
}

/// Name of this machine, or nothing where the system does not tell.
pub fn hostname() -> Option<String> {
    let mut buffer = [0_u8; 256];
    // SAFETY: the buffer is valid for the length given, one byte is left for the final NUL.
    let result = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    let name = buffer.split(|byte| *byte == 0).next().unwrap_or_default();
    (result == 0 && !name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

/// Account name of the user that this process runs as.
pub fn username() -> Option<String> {
    let mut buffer = [0_u8; 4096];
    let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call, and the length is the buffer's.
    let result = unsafe {
        libc::getpwuid_r(
            libc::geteuid(),
            entry.as_mut_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &raw mut found,
        )
    };
    if result != 0 || found.is_null() {
        return None;
    }
    // SAFETY: getpwuid_r succeeded, so `found` points to `entry`, whose name lies in `buffer`.
    let name = unsafe { std::ffi::CStr::from_ptr((*found).pw_name) };
    Some(name.to_string_lossy().into_owned())
}

/// Decides by name, never by a word somewhere in the command line: a shell that runs
/// `/home/claude/bin/confab hook …` is not Claude Code.
fn is_claude(name: &[u8], command_line: &[u8]) -> bool {
    let mut words = command_line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let program = base_name(words.next().unwrap_or_default());
    if name == b"claude" || matches!(program, b"claude" | b"claude.exe") {
        return true;
    }
    if !matches!(program, b"node" | b"nodejs" | b"bun" | b"deno" | b"node.exe") {
        return false;
    }
    let script = words.find(|word| !word.starts_with(b"-")).unwrap_or_default();
    let of_package = script
        .split(|byte| *byte == b'/')
        .any(|part| matches!(part, b"claude-code" | b"claude" | b".claude-code"));
    matches!(base_name(script), b"claude" | b"claude.js" | b"claude.mjs")
        || (of_package && base_name(script).starts_with(b"cli."))
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

struct Status {
    name: Vec<u8>,
    parent: u32,
    start: u64,
    ended: bool,
}

/// `/proc/<pid>/stat` (proc_pid_stat(5)): the name in parentheses may hold anything, so fields are
/// counted behind the last one.
fn status(pid: u32) -> Option<Status> {
    let bytes = proc_file(pid, "stat")?;
    // memchr would ask the processor first what it can do, which in a virtual machine takes longer
    // than all that a hook computes.
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let name = bytes.get(open + 1..close)?.to_vec();
    let rest = std::str::from_utf8(bytes.get(close + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some(Status { name, parent, start, ended: matches!(state, "Z" | "X" | "x") })
}

fn command_line(pid: u32) -> Vec<u8> {
    proc_file(pid, "cmdline").unwrap_or_default()
}

fn proc_file(pid: u32, name: &str) -> Option<Vec<u8>> {
    use std::io::Read;
    let file = std::fs::File::open(Path::new("/proc").join(pid.to_string()).join(name)).ok()?;
    let mut bytes = Vec::with_capacity(512);
    file.take(PROC_FILE_BYTES_MAX as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// True when a process with this number exists, ours or not.
fn exists(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    // SAFETY: signal 0 only asks.
    let result = unsafe { libc::kill(pid, 0) };
    pid > 0 && (result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM))
}

#[cfg(target_os = "linux")]
fn wait_on_pidfd(process: Process, limit: Duration) -> io::Result<()> {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    // SAFETY: pidfd_open takes two numbers and returns a descriptor or -1.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, process.pid, 0) };
    let Some(number) = i32::try_from(result).ok().filter(|number| *number >= 0) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    // The number may have passed to another process before the descriptor was opened.
    if !process.is_alive() {
        return Ok(());
    }
    let mut entry = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one valid entry.
    match unsafe { libc::poll(&raw mut entry, 1, millis) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn wait_on_pidfd(_: Process, _: Duration) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claude_is_known_by_its_name_and_not_by_a_word() {
        let cases: [(&str, &str, bool); 18] = [
            ("claude", "claude\0--resume\0", true),
            ("claude", "claude                     \0", true),
            ("claude.exe", "/opt/x/claude.exe\0-p\0", true),
            ("MainThread", "/usr/bin/claude\0", true),
            ("node", "node\0/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js\0", true),
            ("node", "node\0--max-old-space-size=4096\0/x/.bin/claude\0-p\0", true),
            ("bun", "/x/bun\0/x/claude-code/cli.mjs\0", true),
            ("sh", "/bin/sh\0-c\0/home/claude/bin/confab hook session-start\0", false),
            ("sh", "sh\0-c\0confab hook session-start --provider claude-code\0", false),
            ("bash", "/home/u/.claude/bin/confab\0hook\0", false),
            ("claudette", "claudette\0", false),
            ("preclaude", "preclaude\0", false),
            ("node", "node\0/srv/app/server.js\0claude\0", false),
            ("node", "node\0/home/claude/app/server.js\0", false),
            ("node", "node\0/opt/claude-code/tools/other.js\0", false),
            ("node", "node\0", false),
            ("vim", "vim\0claude\0", false),
            ("", "", false),
        ];
        for (name, line, expected) in cases {
            assert_eq!(is_claude(name.as_bytes(), line.as_bytes()), expected, "{name} {line}");
        }
    }

    #[test]
    fn a_reused_number_is_another_process() {
        let own = Process::current();
        assert!(own.is_alive());
        let other = Process { start: own.start + 1, ..own };
        assert_eq!(other.is_alive(), !cfg!(target_os = "linux"));
    }

    #[test]
    fn the_end_of_a_process_is_seen_also_before_it_is_reaped() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let process = Process::find(child.id()).unwrap();
        assert!(!process.wait_for_end(Duration::from_millis(1)));
        child.kill().unwrap();
        assert!(process.wait_for_end(Duration::from_secs(20)));
        child.wait().unwrap();
        assert!(process.wait_for_end(Duration::from_secs(20)));
    }
}
