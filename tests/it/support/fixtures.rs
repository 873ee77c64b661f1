//! The recorded sessions of `fixtures/transcripts`, put into a sandbox as Claude Code left them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::sandbox::Sandbox;

/// Where the fixtures lie.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The bytes of a fixture, decompressed if its name ends in `.zst`.
pub fn read(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    if path.extension().is_some_and(|extension| extension == "zst") {
        return zstd::decode_all(bytes.as_slice()).unwrap();
    }
    bytes
}

/// The names of all folders of recorded sessions.
pub fn recordings() -> Vec<String> {
    let mut names: Vec<String> = entries(&folder().join("transcripts"))
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_string())
        .collect();
    assert!(names.len() > 20, "the corpus is there: {names:?}");
    names.sort();
    names
}

/// Copies a recording's home directory to `home`.
pub fn install(recording: &str, home: &Path) {
    copy(&folder().join("transcripts").join(recording).join("home"), home);
}

/// The hook calls of a recording, oldest first, paths changed to those of the sandbox.
pub fn hooks(recording: &str, sandbox: &Sandbox) -> Vec<Value> {
    let path = folder().join("transcripts").join(recording).join("hooks.jsonl");
    let packed = path.with_extension("jsonl.zst");
    let bytes = read(if path.exists() { &path } else { &packed });
    let text = String::from_utf8(bytes).unwrap();
    let text = text.replace("/home/dev", sandbox.home().to_str().unwrap());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a backend must hold of one session: the bytes of each file by the name it is stored under.
pub type Expected = BTreeMap<String, Vec<u8>>;

/// The sessions that lie in a Claude folder, by session id, with all their files. Empty files are
/// left out: there is nothing to upload.
pub fn sessions(claude: &Path) -> BTreeMap<String, Expected> {
    let mut sessions: BTreeMap<String, Expected> = BTreeMap::new();
    let mut legacy = Vec::new();
    for project in entries(&claude.join("projects")) {
        for path in entries(&project) {
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            let Some(id) = name.strip_suffix(".jsonl") else { continue };
            let bytes = fs::read(&path).unwrap();
            if id.starts_with("agent-") {
                legacy.push((name.clone(), bytes));
                continue;
            }
            let files = sessions.entry(id.into()).or_default();
            files.insert(name.clone(), bytes);
            for side in entries(&project.join(id).join("subagents")) {
                let name = side.file_name().unwrap().to_str().unwrap().to_string();
                if name.starts_with("agent-") && name.ends_with(".jsonl") {
                    files.insert(name, fs::read(&side).unwrap());
                }
            }
        }
    }
    for (name, bytes) in legacy {
        for (id, files) in &mut sessions {
            if names_session(&bytes, id) {
                files.insert(name.clone(), bytes.clone());
            }
        }
    }
    for files in sessions.values_mut() {
        files.retain(|_, bytes| !bytes.is_empty());
    }
    sessions.retain(|_, files| !files.is_empty());
    sessions
}

fn names_session(bytes: &[u8], id: &str) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| {
        let line: Value = serde_json::from_slice(line).unwrap_or_default();
        line["sessionId"] == id
    })
}

/// Panics unless `stored` are the complete lines of `original`, in order, equal but for redaction.
#[track_caller]
pub fn check_lines(what: &str, original: &[u8], stored: &[String]) {
    let text = String::from_utf8_lossy(original);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(stored.len(), lines.len(), "{what}: number of lines");
    for (number, (line, stored)) in lines.iter().zip(stored).enumerate() {
        let position = number + 1;
        assert!(equal_but_for_redaction(line, stored), "{what}:{position}\n{line}\n{stored}");
    }
}

/// True when `stored` is `original` with some parts replaced by `[REDACTED:…]`.
pub fn equal_but_for_redaction(original: &str, stored: &str) -> bool {
    let mut kept = stored.split("[REDACTED:");
    let first = kept.next().unwrap_or_default();
    let mut kept: Vec<&str> =
        kept.map(|part| part.split_once(']').map_or("", |(_, rest)| rest)).collect();
    let Some(last) = kept.pop() else { return original == stored };
    let middle = original.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    let Some(mut rest) = middle else { return false };
    kept.into_iter().all(|part| {
        let found = rest.split_once(part);
        rest = found.map_or("", |(_, behind)| behind);
        found.is_some()
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in entries(from) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::write(to.join(name.trim_end_matches(".zst")), read(&path)).unwrap();
        }
    }
}

/// The entries of a folder in order; none when there is no such folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_stand_for_anything_and_nothing_else_may_differ() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "abd", false),
            ("a secret b", "a [REDACTED:X] b", true),
            ("a secret b secret", "a [REDACTED:X] b [REDACTED:Y]", true),
            ("a secret c", "a [REDACTED:X] b", false),
            ("a secret b c", "a [REDACTED:X] b", false),
            ("secret", "[REDACTED:X]", true),
            ("1 a 2 b 3", "[REDACTED:X] b [REDACTED:X] a [REDACTED:X]", false),
        ];
        for (original, stored, expected) in cases {
            assert_eq!(equal_but_for_redaction(original, stored), expected, "{stored}");
        }
    }

    /// The corpus holds what its README promises: all three layouts, all versions.
    #[test]
    fn the_corpus_has_sessions_of_all_layouts() {
        let mut agents_beside = 0;
        let mut agents_inside = 0;
        for recording in recordings() {
            let sandbox = Sandbox::new(&format!("corpus-{recording}"));
            install(&recording, &sandbox.home());
            for (id, files) in sessions(&sandbox.home().join(".claude")) {
                let agent = |name: &&String| name.starts_with("agent-");
                let agents = files.keys().filter(agent).count();
                let project = sandbox.home().join(".claude/projects/-home-dev-project");
                match project.join(&id).join("subagents").is_dir() {
                    true => agents_inside += agents,
                    false => agents_beside += agents,
                }
            }
        }
        assert!(agents_beside > 10 && agents_inside > 10, "{agents_beside} {agents_inside}");
    }
}
