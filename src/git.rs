//! Branch, commit and remotes of a folder, read from `.git` without a subprocess.
//!
//! Understands work trees (`.git` as a file, `commondir`), packed references and sections of
//! `config`. Deliberately absent, because they would need git itself: whether the tree is dirty,
//! subject and author of the commit, `include` and `insteadOf`. All user info is cut out of URLs:
//! it may be a token.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::files;
use crate::github;
use crate::wire::{self, GitInfo, GitRemote};

/// Bytes read of a file of git's.
const GIT_FILE_BYTES_MAX: usize = 4 << 20;
/// Bytes read of the end of a log of references.
const LOG_BYTES_MAX: u64 = 64 << 10;
/// How far up a repository is looked for.
const PARENTS_MAX: usize = 64;
/// How often a reference may point to another.
const REFERENCES_MAX: usize = 5;

/// What is known of the repository that `folder` lies in; `None` when there is none.
pub fn inspect(folder: &Path) -> Option<GitInfo> {
    let (git, common) = find(folder)?;
    let head = read_line(&git.join("HEAD"))?;
    let reference = head.strip_prefix("ref: ");
    let branch = match reference {
        Some(reference) => reference.strip_prefix("refs/heads/").unwrap_or(reference).to_owned(),
        None => "HEAD".to_owned(),
    };
    let config = config(&common);
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

/// The repository on GitHub that the one in `folder` is a clone of: that of `origin`, else that of
/// any other remote. `ssh_config` is the text of `~/.ssh/config`.
pub fn on_github(folder: &Path, ssh_config: &str) -> Option<github::Repository> {
    let (_, common) = find(folder)?;
    let config = config(&common);
    let is_url = |key: &str| key.starts_with("remote.") && key.ends_with(".url");
    let others = config.iter().filter(|(key, _)| is_url(key)).map(|(_, value)| value.as_str());
    let mut remotes = value(&config, "remote.origin.url").into_iter().chain(others);
    remotes.find_map(|remote| github::Repository::of_remote(remote, ssh_config))
}

/// The whole hash of a commit that was made in `folder` or checked out there of late, of which the
/// first digits are known.
pub fn find_commit(folder: &Path, digits: &str) -> Option<String> {
    let (git, common) = find(folder)?;
    let head = read_line(&git.join("HEAD")).and_then(|head| resolve(&git, &common, &head));
    let log = read_log(&git).unwrap_or_default();
    let logged = log.lines().rev().filter_map(|line| line.split(' ').nth(1).map(str::to_owned));
    head.into_iter().chain(logged).find(|hash| hash.starts_with(digits))
}

/// The commit that was made last in `folder`, when nothing else has happened to its `HEAD` since
/// and it was not before `since`. Without a log of `HEAD`, the commit of `HEAD`.
pub fn last_commit(folder: &Path, since: SystemTime) -> Option<String> {
    let (git, common) = find(folder)?;
    let Ok(log) = read_log(&git) else {
        return resolve(&git, &common, &read_line(&git.join("HEAD"))?);
    };
    let modified = std::fs::metadata(log_path(&git)).and_then(|log| log.modified()).ok()?;
    let (entry, message) = log.lines().last()?.split_once('\t')?;
    let is_fresh = modified >= since && message.starts_with("commit");
    entry.split(' ').nth(1).filter(|_| is_fresh).map(str::to_owned)
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

/// Where git keeps what belongs to the work tree that `folder` lies in, and what belongs to all of
/// the repository's work trees.
fn find(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let git = folder.ancestors().take(PARENTS_MAX).find_map(git_folder)?;
    let common = read_line(&git.join("commondir")).map_or(git.clone(), |path| git.join(path));
    Some((git, common))
}

fn config(common: &Path) -> Vec<(String, String)> {
    let bytes = files::read_bounded(&common.join("config"), GIT_FILE_BYTES_MAX);
    parse_config(&String::from_utf8_lossy(&bytes.unwrap_or_default()))
}

fn log_path(git: &Path) -> PathBuf {
    git.join("logs").join("HEAD")
}

/// The newest entries of the log of `HEAD`.
fn read_log(git: &Path) -> io::Result<String> {
    let mut file = File::open(log_path(git))?;
    let start = file.metadata()?.len().saturating_sub(LOG_BYTES_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    let mut log = String::from_utf8_lossy(&bytes).into_owned();
    if start > 0 {
        // The first line is cut.
        log.drain(..log.find('\n').map_or(log.len(), |end| end + 1));
    }
    Ok(log)
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
