//! Other processes as /proc shows them. Everything is asked by pid and answered with what can be
//! read: a process that is gone has empty answers.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The one program whose start is waited for.
const CLIENT: &str = env!("CARGO_BIN_EXE_confab");
/// A start takes well below a millisecond.
const STARTING_LOOKS_MAX: usize = 10_000;

/// The pids of all live processes whose environment or arguments name something below `folder`.
pub fn naming(folder: &Path) -> Vec<u32> {
    let needle = [folder.as_os_str().as_encoded_bytes(), b"/"].concat();
    let names = |bytes: Vec<u8>| bytes.windows(needle.len()).any(|window| window == &needle[..]);
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    numbers
        .filter_map(|number| number.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| names(environment_bytes(*pid)) || names(read(*pid, "cmdline")))
        .collect()
}

/// The environment of a process. A zombie has none, and a process that is just being started does
/// not have it yet: that is waited for.
fn environment_bytes(pid: u32) -> Vec<u8> {
    for _ in 0..STARTING_LOOKS_MAX {
        let bytes = read(pid, "environ");
        let is_client =
            || fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == Path::new(CLIENT));
        if !bytes.is_empty() || !is_client() {
            return bytes;
        }
    }
    Vec::new()
}

fn read(pid: u32, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

/// The arguments of a process, without the program itself.
pub fn arguments(pid: u32) -> Vec<String> {
    let bytes = read(pid, "cmdline");
    let words = bytes.split(|byte| *byte == 0).skip(1).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The environment of a process, `NAME=value` each.
pub fn environment(pid: u32) -> Vec<String> {
    let bytes = environment_bytes(pid);
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// A field of `/proc/PID/stat` by its number in proc(5); 5 is the process group, 6 the session.
pub fn stat_field(pid: u32, number: usize) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = text.rsplit_once(") ")?.1;
    after_name.split_whitespace().nth(number - 3).map(Into::into)
}

/// Bytes that a process has read so far, from files and otherwise.
pub fn bytes_read(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}

/// The open descriptors of a process: number and what it names.
pub fn descriptors(pid: u32) -> Vec<(u32, String)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let target = |path: std::path::PathBuf| {
        let number = path.file_name()?.to_str()?.parse().ok()?;
        Some((number, fs::read_link(path).ok()?.to_string_lossy().into_owned()))
    };
    let mut found: Vec<_> = entries.filter_map(|entry| target(entry.ok()?.path())).collect();
    found.sort();
    found
}

/// Sends a signal by name (`TERM`, `KILL`, `USR1`); a process that is gone is no error.
pub fn signal(pid: u32, name: &str) {
    let command = format!("kill -{name} {pid}");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &command]).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().expect("run /bin/sh");
}
