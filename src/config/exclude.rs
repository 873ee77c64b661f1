//! Which sessions are never uploaded: those in folders that a list of path globs names, and those
//! that it names themselves.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::files::SessionId;

/// Bytes of one entry of the list; a longer one excludes nothing.
const ENTRY_BYTES_MAX: usize = 4096;

/// What may stand before the id of a session.
const ID: &str = "session:";

/// Whether one of the entries names the session or the folder it runs in. An entry is the id of a
/// session, or a path: `~` is `home`, `*` and `?` stand for anything within a name, `**` across
/// names; a folder stands for all below it. Both are compared as they are spelt and with all links
/// resolved: Claude Code names a folder without links, a user often with them.
pub fn excludes(entries: &[String], id: &SessionId, cwd: &Path, home: &Path) -> bool {
    let folders: Vec<PathBuf> = [Some(cwd.to_owned()), cwd.canonicalize().ok()]
        .into_iter()
        .flatten()
        .filter(|folder| folder.is_absolute())
        .collect();
    let named = |pattern: &str| {
        folders.iter().flat_map(|folder| folder.ancestors()).any(|folder| {
            let path = folder.as_os_str().as_bytes();
            path.len() > 1 && matches(pattern.as_bytes(), path)
        })
    };
    entries.iter().map(|entry| entry.trim()).any(|entry| {
        let pattern = || pattern(entry, home);
        entry.strip_prefix(ID).unwrap_or(entry) == id.as_str()
            || pattern().is_some_and(|pattern| {
                named(&pattern) || resolved(&pattern).is_some_and(|pattern| named(&pattern))
            })
    })
}

/// What is wrong with an entry that can name nothing.
pub fn problem(entry: &str) -> Option<Error> {
    let id = entry.trim().trim_start_matches(ID);
    // A word alone is rather a folder's name than what identifies a session.
    let marked = entry.trim().starts_with(ID) || id.bytes().any(|byte| byte.is_ascii_digit());
    if marked && SessionId::new(id).is_some() || pattern(entry.trim(), Path::new("/home")).is_some()
    {
        return None;
    }
    let hint = "write a path from / or ~/ on, or the id of a session";
    Some(Error::new(format!("exclude names {entry:?}, which excludes nothing")).with_hint(hint))
}

/// The entry as a path from the root on; `None` when it is none.
fn pattern(entry: &str, home: &Path) -> Option<String> {
    let pattern = match entry.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            format!("{}{rest}", home.display())
        }
        _ => entry.to_owned(),
    };
    let pattern = pattern.trim_end_matches('/');
    let is_path = pattern.starts_with('/') || pattern.starts_with("**");
    (is_path && pattern.len() <= ENTRY_BYTES_MAX).then(|| pattern.to_owned())
}

/// The same pattern, with all links resolved in the folders before its first wildcard.
fn resolved(pattern: &str) -> Option<String> {
    let wildcard = pattern.find(['*', '?']).unwrap_or(pattern.len());
    let plain = match pattern[..wildcard].rfind('/') {
        Some(slash) if wildcard < pattern.len() => slash,
        _ => wildcard,
    };
    let folder = Path::new(&pattern[..plain]).canonicalize().ok()?;
    Some(format!("{}{}", folder.display(), &pattern[plain..]))
}

/// Whether a glob matches the whole of a path. It takes the product of both lengths at most.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    // For every prefix of the path: whether the pattern so far matches it.
    let mut ends = vec![false; path.len() + 1];
    ends[0] = true;
    let mut rest = pattern;
    while let [first, behind @ ..] = rest {
        let mut next = vec![false; path.len() + 1];
        rest = behind;
        if *first == b'*' {
            let across = rest.first() == Some(&b'*');
            rest = if across { &rest[1..] } else { rest };
            for at in 0..=path.len() {
                let goes_on = at > 0 && next[at - 1] && (across || path[at - 1] != b'/');
                next[at] = ends[at] || goes_on;
            }
        } else {
            for at in 1..=path.len() {
                let byte = path[at - 1];
                let same = byte == *first || *first == b'?' && byte != b'/';
                next[at] = ends[at - 1] && same;
            }
        }
        ends = next;
    }
    ends[path.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_and_folders() {
        let id = SessionId::new("1234-abcd").unwrap();
        let cases = [
            ("/work/secret", "/work/secret", true),
            ("/work/secret/", "/work/secret/deep/er", true),
            ("/work/secret", "/work/secrets", false),
            ("/work/*/private", "/work/a/private/x", true),
            ("/work/*/private", "/work/a/b/private", false),
            ("/work/**/private", "/work/a/b/private/c", true),
            ("**/client-?", "/x/y/client-7/z", true),
            ("**/client-?", "/x/y/client-77", false),
            ("~/clients", "/home/me/clients/acme", true),
            ("~other/clients", "/home/me/clients", false),
            ("~", "/home/me", true),
            ("1234-abcd", "/anywhere", true),
            ("session:1234-abcd", "/anywhere", true),
            ("session:1234", "/anywhere", false),
            ("1234", "/anywhere", false),
            ("/**", "/x", true),
            ("/x", "relative", false),
            ("relative", "/x/relative", false),
            ("", "/x", false),
            ("/", "/x", false),
        ];
        for (entry, cwd, expected) in cases {
            let home = Path::new("/home/me");
            let entries = [entry.to_owned()];
            assert_eq!(excludes(&entries, &id, Path::new(cwd), home), expected, "{entry} {cwd}");
        }
    }
    #[test]
    fn links_are_resolved_on_both_sides() {
        let id = SessionId::new("1234-abcd").unwrap();
        let root = std::env::temp_dir().canonicalize().unwrap();
        let root = root.join(format!("confab-exclude-{}", std::process::id()));
        std::fs::create_dir_all(root.join("real/acme/deep")).unwrap();
        std::os::unix::fs::symlink(root.join("real"), root.join("link")).unwrap();
        let cases = [
            ("link/acme", "real/acme/deep", true),
            ("link/a*e", "real/acme", true),
            ("link/*/deep", "real/acme/deep", true),
            ("real/acme", "link/acme/deep", true),
            ("link/acme", "link/acme", true),
            ("link/acme/deep", "real/acme", false),
            ("link/other", "real/acme", false),
        ];
        for (entry, cwd, expected) in cases {
            for (entry, home) in [
                (root.join(entry).display().to_string(), Path::new("/")),
                (format!("~/{entry}"), &root),
            ] {
                assert_eq!(excludes(&[entry], &id, &root.join(cwd), home), expected, "{cwd}");
            }
        }
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_can_exclude_nothing_is_told() {
        for entry in ["/work", "~/x", "~", "**/secret", " /x/*/ ", "1234-abcd", "session:1"] {
            assert!(problem(entry).is_none(), "{entry}");
        }
        for entry in
            ["private", "clients/acme", "./x", "~other/x", "*/x", "", "/", &"/x".repeat(3000)]
        {
            assert!(problem(entry).is_some(), "{entry}");
        }
    }
}
