//! Which sessions are never uploaded: those in folders that a list of path globs names, and those
//! that it names themselves.

use std::path::Path;

use crate::files::SessionId;

/// Bytes of one entry of the list; a longer one matches nothing.
const ENTRY_BYTES_MAX: usize = 4096;

/// Whether one of the entries names the session or the folder it runs in. An entry is the id of a
/// session, or a path: `~` is `home`, `*` and `?` stand for anything within a name, `**` across
/// names; a folder stands for all below it. The folder is compared as it is spelt and as it is with
/// all links resolved.
pub fn excludes(entries: &[String], id: &SessionId, cwd: &Path, home: &Path) -> bool {
    let resolved = cwd.canonicalize().ok();
    entries.iter().filter(|entry| entry.len() <= ENTRY_BYTES_MAX).any(|entry| {
        let entry = entry.trim();
        if entry == id.as_str() {
            return true;
        }
        let pattern = match entry.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                format!("{}{rest}", home.display())
            }
            _ => entry.to_owned(),
        };
        let pattern = pattern.trim_end_matches('/');
        let named = |folder: &Path| {
            folder.ancestors().any(|folder| {
                let path = folder.to_string_lossy();
                path.len() > 1 && matches(pattern.as_bytes(), path.as_bytes())
            })
        };
        pattern.starts_with(['/', '*']) && (named(cwd) || resolved.as_deref().is_some_and(named))
    })
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
            ("1234", "/anywhere", false),
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
}
