//! What addresses on GitHub look like: repositories in remotes, commits, pull requests.
//!
//! Pure. A host is GitHub's when it is github.com, below ghe.com, or says so in its name, as those
//! of GitHub Enterprise do (`github.example.com`); any other host is not taken for one.

use std::fmt;

/// Bytes of an address.
pub const URL_BYTES_MAX: usize = 2048;
/// Aliases of aliases in an ssh configuration are not a thing; entries looked at are bounded.
const SSH_CONFIG_LINES_MAX: usize = 10_000;

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Lower case, with a port where there is one.
    pub host: String,
    /// User or organisation.
    pub owner: String,
    /// Name, without `.git`.
    pub name: String,
}

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `…/pull/12`.
    PullRequest,
    /// `…/commit/0123abc`.
    Commit,
}

impl Kind {
    /// As it is called on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Kind::PullRequest => "pull_request",
            Kind::Commit => "commit",
        }
    }
}

/// A commit or a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Which of them.
    pub kind: Kind,
    /// Where.
    pub repository: Repository,
    /// Number of the pull request, or the commit's hash in lower case.
    pub reference: String,
}

impl Repository {
    /// The repository that a remote names, when it is on GitHub. `ssh_config` is the text of
    /// `~/.ssh/config`, for aliases of hosts.
    pub fn of_remote(remote: &str, ssh_config: &str) -> Option<Repository> {
        let (scheme, rest) = remote.split_once("://").unwrap_or(("", remote));
        let (authority, path, is_ssh) = match scheme {
            // user@host:path
            "" => {
                let (authority, path) = rest.split_once(':')?;
                (authority, path, !authority.contains('/'))
            }
            "https" | "http" => {
                let (authority, path) = rest.split_once('/')?;
                (authority, path, false)
            }
            "ssh" | "git+ssh" => {
                let (authority, path) = rest.split_once('/')?;
                (authority, path, true)
            }
            _ => return None,
        };
        if scheme.is_empty() && !is_ssh {
            return None;
        }
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match is_ssh {
            true => {
                // The port is that of ssh, not that of the pages.
                let alias = host.split_once(':').map_or(host, |(host, _)| host);
                host_name(alias, ssh_config).unwrap_or(alias).to_ascii_lowercase()
            }
            false => host.to_ascii_lowercase(),
        };
        let host = if host == "ssh.github.com" { "github.com".to_owned() } else { host };
        let path = path.trim_matches('/');
        let (owner, name) = path.strip_suffix(".git").unwrap_or(path).split_once('/')?;
        (is_github(&host) && is_name(owner) && is_name(name)).then(|| Repository {
            host,
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}/{}/{}", self.host, self.owner, self.name)
    }
}

impl Link {
    /// What an address that starts with `http://` or `https://` leads to; what follows a commit or
    /// a number behind `/`, `?` or `#` counts as part of it and is not kept.
    pub fn parse(url: &str) -> Option<Link> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let mut parts = rest.splitn(5, '/');
        let (host, owner, name) = (parts.next()?, parts.next()?, parts.next()?);
        let (kind, rest) = (parts.next()?, parts.next()?);
        let reference = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let kind = match kind {
            "pull" if reference.bytes().all(|byte| byte.is_ascii_digit()) => Kind::PullRequest,
            "commit" if reference.bytes().all(is_hash_digit) => Kind::Commit,
            _ => return None,
        };
        let host = host.to_ascii_lowercase();
        let is_whole = url.len() <= URL_BYTES_MAX && !reference.is_empty();
        (is_whole && is_github(&host) && is_name(owner) && is_name(name)).then(|| Link {
            kind,
            repository: Repository { host, owner: owner.to_owned(), name: name.to_owned() },
            reference: reference.to_owned(),
        })
    }

    /// A commit of a repository.
    pub fn commit(repository: Repository, hash: &str) -> Link {
        Link { kind: Kind::Commit, repository, reference: hash.to_owned() }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::PullRequest => "pull",
            Kind::Commit => "commit",
        };
        write!(f, "{}/{kind}/{}", self.repository, self.reference)
    }
}

/// The pull requests that the output of `n_created` commands names as new: `gh` prints the address
/// of each on a line of its own. Where nothing is so printed, a single address anywhere counts.
pub fn created_pull_requests(output: &str, n_created: usize) -> Vec<Link> {
    let mut found: Vec<Link> = Vec::new();
    for line in output.lines() {
        let link = Link::parse(line.trim()).filter(|link| link.kind == Kind::PullRequest);
        found.extend(link.filter(|link| !found.contains(link)));
    }
    if found.is_empty() {
        found = pull_requests(output);
        if found.len() > n_created {
            found.clear();
        }
    }
    found.truncate(n_created);
    found
}

/// All pull requests that a text names, each once, in order.
pub fn pull_requests(text: &str) -> Vec<Link> {
    let mut found: Vec<Link> = Vec::new();
    for (at, _) in text.match_indices("https://") {
        let is_end =
            |character: char| !character.is_ascii_graphic() || "\"'<>()\\".contains(character);
        let url = text[at..].split(is_end).next().unwrap_or_default();
        let url = url.trim_end_matches(['.', ',', ';', ':', '!']);
        let link = Link::parse(url).filter(|link| link.kind == Kind::PullRequest);
        found.extend(link.filter(|link| !found.contains(link)));
    }
    found
}

/// The abbreviated hashes that `git commit` names in its output: `[main 0123abc] Subject`.
pub fn committed(output: &str) -> Vec<&str> {
    let mut hashes = Vec::new();
    for line in output.lines() {
        let inside = line.strip_prefix('[').and_then(|line| line.split_once("] "));
        let Some((branch, hash)) = inside.and_then(|(inside, _)| inside.rsplit_once(' ')) else {
            continue;
        };
        let is_hash = (4..=64).contains(&hash.len()) && hash.bytes().all(is_hash_digit);
        if is_hash && !branch.is_empty() && !hashes.contains(&hash) {
            hashes.push(hash);
        }
    }
    hashes
}

/// True for a digit of a hash as git writes it.
fn is_hash_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// True for a host that says that it is GitHub.
fn is_github(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let says_so = name.ends_with(".ghe.com")
        || name.split('.').any(|label| label == "github" || label.starts_with("github-"));
    is_port && name.bytes().all(is_plain) && name.contains('.') && says_so
}

/// True for the name of an owner or a repository.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(is_plain) && !matches!(text, "." | "..")
}

/// The host that `alias` stands for (ssh_config(5): the first `HostName` of a `Host` that matches).
/// `Match` and `Include` are passed over.
fn host_name<'a>(alias: &str, config: &'a str) -> Option<&'a str> {
    let mut applies = false;
    for line in config.lines().take(SSH_CONFIG_LINES_MAX) {
        let line = line.trim();
        let split = line.find(|character: char| character.is_whitespace() || character == '=');
        let Some((keyword, value)) = split.map(|at| line.split_at(at)) else { continue };
        let value = value.trim_start().trim_start_matches('=').trim().trim_matches('"');
        if keyword.eq_ignore_ascii_case("host") {
            let mut patterns = value.split_whitespace();
            let is_excluded = value
                .split_whitespace()
                .filter_map(|pattern| pattern.strip_prefix('!'))
                .any(|pattern| matches_pattern(alias.as_bytes(), pattern.as_bytes()));
            let is_named =
                patterns.any(|pattern| matches_pattern(alias.as_bytes(), pattern.as_bytes()));
            applies = is_named && !is_excluded;
        } else if keyword.eq_ignore_ascii_case("match") {
            applies = false;
        } else if keyword.eq_ignore_ascii_case("hostname") && applies && value != "%h" {
            return Some(value);
        }
    }
    None
}

/// `*` for any text, `?` for one character. Goes back to the last `*` alone, so that no pattern
/// takes long.
fn matches_pattern(text: &[u8], pattern: &[u8]) -> bool {
    let (mut t, mut p) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || byte.eq_ignore_ascii_case(&text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes() {
        let ssh_config = "# mine\nHost work gh-*\n  User git\n  HostName=github.com\n\
                          Host lab\n\tHostname gitlab.com\nMatch host x\n HostName github.com\n\
                          Host *.corp !no.corp\nHostName \"github.corp.example\"\nHost *\n HostName %h\n";
        let secret = ["pass", "word"].concat();
        let cases = [
            ("git@github.com:o/r.git", Some("https://github.com/o/r")),
            ("github.com:o/r", Some("https://github.com/o/r")),
            ("ssh://git@github.com/o/r.git", Some("https://github.com/o/r")),
            ("ssh://git@ssh.github.com:443/o/r.git", Some("https://github.com/o/r")),
            ("https://github.com/o/r/", Some("https://github.com/o/r")),
            ("http://GitHub.com/o/r.git", Some("https://github.com/o/r")),
            (&format!("https://u:{secret}@github.com/o/r"), Some("https://github.com/o/r")),
            ("git@work:o/r.git", Some("https://github.com/o/r")),
            ("ssh://git@gh-two:22/o/r.git", Some("https://github.com/o/r")),
            ("git@code.corp:o/r.git", Some("https://github.corp.example/o/r")),
            ("git@github.example.com:o/r.git", Some("https://github.example.com/o/r")),
            (
                "https://github.example.com:8443/o/r.git",
                Some("https://github.example.com:8443/o/r"),
            ),
            ("git@acme.ghe.com:o/r.git", Some("https://acme.ghe.com/o/r")),
            ("git@no.corp:o/r.git", None),
            ("git@lab:o/r.git", None),
            ("git@x:o/r.git", None),
            ("git@github-unknown:o/r.git", None),
            ("git@gitlab.com:o/r.git", None),
            ("https://notgithub.com/o/r", None),
            ("https://github.com/o", None),
            ("https://github.com/o/r/s", None),
            ("https://github.com/../r", None),
            ("/srv/github.com:o/r", None),
            ("file:///srv/github.com/o/r", None),
            ("../github.com/o/r", None),
            ("", None),
        ];
        for (remote, expected) in cases {
            let found = Repository::of_remote(remote, ssh_config).map(|found| found.to_string());
            assert_eq!(found.as_deref(), expected, "{remote}");
        }
    }

    #[test]
    fn links() {
        let good = [
            ("https://github.com/o/r/pull/12", "https://github.com/o/r/pull/12"),
            ("http://github.com/o/r/pull/12/files?w=1#a", "https://github.com/o/r/pull/12"),
            ("https://github.com/o/r.js/commit/0aF", ""),
            ("https://github.com/o/r.js/commit/0af", "https://github.com/o/r.js/commit/0af"),
            ("https://acme.ghe.com/o/r/pull/1", "https://acme.ghe.com/o/r/pull/1"),
            ("https://github.com/o/r/pull/", ""),
            ("https://github.com/o/r/pull/x", ""),
            ("https://github.com/o/r/pulls/1", ""),
            ("https://github.com@evil.org/o/r/pull/1", ""),
            ("https://evil.org/github.com/o/pull/1", ""),
            ("git@github.com:o/r/pull/1", ""),
        ];
        for (url, expected) in good {
            let found = Link::parse(url).map(|link| link.to_string()).unwrap_or_default();
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn new_pull_requests_stand_on_lines_of_their_own() {
        let one = "https://github.com/o/r/pull/1";
        let two = "https://github.com/o/r/pull/2";
        let cases = [
            (format!("Creating pull request\n\n{one}\n"), 1, vec![one]),
            (format!("see {two}\n{one}\n{one}\n"), 2, vec![one]),
            (format!("{one}\n{two}\n"), 1, vec![one]),
            (format!("{one}\n{two}\n"), 2, vec![one, two]),
            (format!("created ({one})."), 1, vec![one]),
            (format!("{one} and {two}"), 1, vec![]),
            ("nothing".to_owned(), 1, vec![]),
        ];
        for (output, n_created, expected) in cases {
            let found = created_pull_requests(&output, n_created);
            let found: Vec<String> = found.iter().map(Link::to_string).collect();
            assert_eq!(found, expected, "{output}");
        }
    }

    #[test]
    fn commits_in_the_output() {
        let output = "[main 0123abc] Fix [x] y\n 1 file changed\n[main (root-commit) 89abcdef] A\n\
                      [detached HEAD 1234567] B\n[0123abc] no branch\n[main 0123ABC] upper\n\
                      [INFO 12] short\n [main 7654321] indented\n[main abc1234]\n";
        assert_eq!(committed(output), ["0123abc", "89abcdef", "1234567"]);
    }
}
