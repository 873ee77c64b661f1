//! Branch, commit and remotes of a folder, read from `.git` without a subprocess.
//!
//! Understands work trees (`.git` as a file, `commondir`), packed references and sections of
//! `config`. Deliberately absent, because they would need git itself: whether the tree is dirty,
//! subject and author of the commit, `include` and `insteadOf`. All user info is cut out of URLs:
//! it may be a token.

use std::path::{Path, PathBuf};

use crate::files;
use crate::wire::{self, GitInfo, GitRemote};

/// Bytes read of a file of git's.
const GIT_FILE_BYTES_MAX: usize = 4 << 20;
/// How far up a repository is looked for.
const PARENTS_MAX: usize = 64;
/// How often a reference may point to another.
const REFERENCES_MAX: usize = 5;

/// What is known of the repository that `folder` lies in; `None` when there is none.
pub fn inspect(folder: &Path) -> Option<GitInfo> {
    let git = folder.ancestors().take(PARENTS_MAX).find_map(git_folder)?;
    let common = read_line(&git.join("commondir")).map_or(git.clone(), |path| git.join(path));
    let head = read_line(&git.join("HEAD"))?;
    let reference = head.strip_prefix("ref: ");
    let branch = match reference {
        Some(reference) => reference.strip_prefix("refs/heads/").unwrap_or(reference).to_owned(),
        None => "HEAD".to_owned(),
    };
    let config =
        files::read_bounded(&common.join("config"), GIT_FILE_BYTES_MAX).unwrap_or_default();
    let config = parse_config(&String::from_utf8_lossy(&config));
    let remotes = remotes(&config);
    let tracking = format!("branch.{branch}.remote");
    Some(GitInfo {
        repo_url: value(&config, "remote.origin.url").map(without_user_info),
        commit_sha: resolve(&git, &common, &head),
        tracking_remote: value(&config, &tracking).map(without_user_info),
        branch: Some(branch),
        remotes,
        ..GitInfo::default()
    })
}

/// The URL without user name, password or token before its host. Forms such as `git@host:path`
/// keep their user name, which is part of the address and no secret.
pub fn without_user_info(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        // ssh://git@host names the account; without a password there is nothing to hide.
        Some(at) if scheme.ends_with("ssh") && !rest[..at].contains(':') => url.to_owned(),
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

/// `.git` of a folder, or where a `.git` file points.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let path = folder.join(".git");
    let kind = std::fs::metadata(&path).ok()?;
    if kind.is_dir() {
        return path.join("HEAD").is_file().then_some(path);
    }
    Some(folder.join(read_line(&path)?.strip_prefix("gitdir: ")?))
}

/// The commit that a line of `HEAD` names, following references.
fn resolve(git: &Path, common: &Path, head: &str) -> Option<String> {
    let mut line = head.to_owned();
    for _ in 0..REFERENCES_MAX {
        let Some(reference) = line.strip_prefix("ref: ") else {
            let is_hash = line.len() >= 40 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
            return is_hash.then_some(line);
        };
        if Path::new(reference).components().any(|part| part == std::path::Component::ParentDir) {
            return None;
        }
        line = read_line(&git.join(reference))
            .or_else(|| read_line(&common.join(reference)))
            .or_else(|| packed(common, reference))?;
    }
    None
}

fn packed(common: &Path, reference: &str) -> Option<String> {
    let bytes = files::read_bounded(&common.join("packed-refs"), GIT_FILE_BYTES_MAX).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().find_map(|line| {
        let (hash, name) = line.split_once(' ')?;
        (name == reference).then(|| hash.to_owned())
    })
}

fn read_line(path: &Path) -> Option<String> {
    let bytes = files::read_bounded(path, GIT_FILE_BYTES_MAX).ok()?;
    let line = String::from_utf8_lossy(&bytes).lines().next()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}

/// `section.subsection.key` and value, in order (git-config(1), "Syntax").
fn parse_config(text: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut entries = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            section = match header.0.split_once(' ') {
                Some((name, sub)) => {
                    let sub =
                        sub.trim().trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\");
                    format!("{}.{sub}", name.to_lowercase())
                }
                None => header.0.to_lowercase(),
            };
        } else if let Some((key, value)) = line.split_once('=')
            && !line.starts_with(['#', ';'])
        {
            entries
                .push((format!("{section}.{}", key.trim().to_lowercase()), unquoted(value.trim())));
        }
    }
    entries
}

/// A value without its quotes and a comment behind it.
fn unquoted(value: &str) -> String {
    let mut text = String::new();
    let mut quoted = false;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' => text.extend(characters.next()),
            '#' | ';' if !quoted => break,
            _ => text.push(character),
        }
    }
    text.trim_end().to_owned()
}

fn value<'a>(config: &'a [(String, String)], name: &str) -> Option<&'a str> {
    config.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn remotes(config: &[(String, String)]) -> Vec<GitRemote> {
    let mut remotes: Vec<GitRemote> = Vec::new();
    for (key, value) in config {
        let Some((name, key)) = key.strip_prefix("remote.").and_then(|key| key.rsplit_once('.'))
        else {
            continue;
        };
        if !matches!(key, "url" | "pushurl") || name.len() > wire::REMOTE_NAME_BYTES_MAX {
            continue;
        }
        let url = without_user_info(value);
        if url.is_empty() || name.is_empty() || url.len() > wire::REMOTE_URL_BYTES_MAX {
            continue;
        }
        let index = remotes.iter().position(|remote| remote.name == name).unwrap_or_else(|| {
            remotes.push(GitRemote { name: name.to_owned(), ..GitRemote::default() });
            remotes.len() - 1
        });
        let remote = &mut remotes[index];
        match key {
            "pushurl" => remote.push_url = Some(url),
            _ => {
                remote.push_url.get_or_insert_with(|| url.clone());
                remote.fetch_url = Some(url);
            }
        }
    }
    remotes.truncate(wire::REMOTES_MAX);
    remotes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_never_leaves_in_a_url() {
        let secret = ["pass", "word"].concat();
        let cases = [
            (format!("https://user:{secret}@host/o/r.git"), "https://host/o/r.git"),
            (format!("https://{secret}@host/o/r@v1"), "https://host/o/r@v1"),
            (format!("ssh://git:{secret}@host/o/r"), "ssh://host/o/r"),
            ("ssh://git@host:22/o/r".into(), "ssh://git@host:22/o/r"),
            ("git@host:o/r.git".into(), "git@host:o/r.git"),
            ("https://host/users/@me".into(), "https://host/users/@me"),
            (format!("https://a@b:{secret}@host"), "https://host"),
        ];
        for (url, expected) in cases {
            assert_eq!(without_user_info(&url), expected);
        }
    }

    #[test]
    fn config_syntax() {
        let text = "[core]\n\tbare = false ; no\n[remote \"origin\"]\n  URL = \"https://h/o/r\" # x\n\
                    \tfetch = +refs/heads/*:refs/remotes/origin/*\n# [remote \"gone\"]\n\
                    [branch \"feature/a.b\"]\n\tremote = up\\\\x\n[remote \"up\"]\n\tpushurl=git@h:o/r\n";
        let config = parse_config(text);
        assert_eq!(value(&config, "core.bare"), Some("false"));
        assert_eq!(value(&config, "remote.origin.url"), Some("https://h/o/r"));
        assert_eq!(value(&config, "branch.feature/a.b.remote"), Some("up\\x"));
        let remotes = remotes(&config);
        assert_eq!(remotes.len(), 2);
        assert_eq!(remotes[0].push_url.as_deref(), Some("https://h/o/r"));
        assert_eq!(remotes[1].fetch_url, None);
    }
}
