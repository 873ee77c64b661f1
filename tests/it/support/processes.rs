//! Other processes as /proc shows them. Everything is asked by pid and answered with what can be
//! read: a process that is gone has empty answers.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The pids of all live processes whose environment or arguments name `path`. A zombie has neither.
pub fn naming(path: &Path) -> Vec<u32> {
    let needle = path.as_os_str().as_encoded_bytes();
    let mentions = |file: String| {
        let bytes = fs::read(file).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter_map(|name| name.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid: &u32| {
            mentions(format!("/proc/{pid}/environ")) || mentions(format!("/proc/{pid}/cmdline"))
        })
        .collect()
}

/// The arguments of a process, without the program itself.
pub fn arguments(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).skip(1).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The environment of a process, `NAME=value` each.
pub fn environment(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
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
