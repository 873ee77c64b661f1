//! Names that others have given, as paths below a folder: never outside of it, and never two names
//! for one file.
//!
//! A name is split at `/`. What is not harmless in a file name is written `%XX`, a byte each; an
//! empty part is `%_`, and a part too long for a file name becomes folders whose names end in `%-`.
//! All of that can be undone, so that different names have different paths. (Where a file system
//! takes different paths for one file, as one that ignores case does, the second is refused when it
//! is written: [`super::NewFile`] replaces nothing.)

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::make_folder;

/// Bytes of a part of a path; all file systems take 255.
const PART_BYTES_MAX: usize = 200;

/// The path for a name, relative.
pub fn place(name: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in name.split('/') {
        let part = harmless(part);
        let mut rest = part.as_str();
        while rest.len() > PART_BYTES_MAX {
            // All of it is ASCII; an escape must not be torn.
            let mut at = PART_BYTES_MAX;
            while rest[at - 2..at].contains('%') {
                at -= 1;
            }
            path.push(format!("{}%-", &rest[..at]));
            rest = &rest[at..];
        }
        path.push(rest);
    }
    path
}

/// Makes the folders of a relative path below `root`.
///
/// # Errors
/// As `mkdir`, and when one of them is there and no folder: a symbolic link might lead out of
/// `root`.
pub fn make_folders(root: &Path, path: &Path) -> io::Result<()> {
    make_folder(root)?;
    let mut folder = root.to_owned();
    for part in path.parent().into_iter().flat_map(Path::iter) {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(_) => make_folder(&folder)?,
        }
    }
    Ok(())
}

fn harmless(part: &str) -> String {
    if part.is_empty() {
        return "%_".to_owned();
    }
    let mut text = String::with_capacity(part.len());
    for (at, byte) in part.bytes().enumerate() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(byte)),
            // Neither hidden nor `.` or `..`, nor a dot at the end, which some systems drop.
            b'.' if at > 0 && at + 1 < part.len() => text.push('.'),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Component;

    #[test]
    fn usual_names_stay_as_they_are() {
        for name in ["a-1.jsonl", "subagents/workflows/wf_1/journal.jsonl"] {
            assert_eq!(place(name), Path::new(name));
        }
        assert_eq!(place("../../etc/passwd"), Path::new("%2E%2E/%2E%2E/etc/passwd"));
        assert_eq!(place("/etc"), Path::new("%_/etc"));
    }

    /// All names of up to five of these, and some that are long.
    #[test]
    fn every_name_has_a_path_of_its_own_and_none_leads_out() {
        let pieces = ["a", ".", "/", "%", "é", "%2E"];
        let mut names = vec![String::new()];
        let mut last = names.clone();
        for _ in 0..5 {
            last = last
                .iter()
                .flat_map(|name| pieces.iter().map(move |piece| format!("{name}{piece}")))
                .collect();
            names.extend(last.iter().cloned());
        }
        for length in 195..210 {
            names.push("b".repeat(length));
            names.push("é".repeat(length));
            names.push(format!("{}/b", "b".repeat(length)));
            names.push(format!("{}%-/b", "b".repeat(length)));
        }
        names.sort();
        names.dedup();
        let mut paths: BTreeMap<PathBuf, &str> = BTreeMap::new();
        for name in &names {
            let path = place(name);
            assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{name}");
            assert!(path.iter().all(|part| part.len() <= 255 && part != "%."), "{name}");
            if let Some(other) = paths.insert(path, name) {
                assert_eq!(other, name);
            }
        }
        assert_eq!(paths.len(), names.len());
    }

    #[test]
    fn a_link_in_the_way_is_no_folder() {
        let root = std::env::temp_dir().join(format!("confab-place-{}", std::process::id()));
        fs::create_dir_all(root.join("real")).unwrap();
        std::os::unix::fs::symlink("/tmp", root.join("link")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        assert!(make_folders(&root, Path::new("real/new/a")).is_ok());
        assert!(root.join("real/new").is_dir());
        for path in ["link/a", "file/a"] {
            let error = make_folders(&root, Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{path}");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
