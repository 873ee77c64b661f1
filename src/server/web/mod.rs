//! The page of sessions: plain HTML, CSS and JavaScript modules, embedded and served as they are.
//!
//! Every asset lies below a folder that is named after the content of all of them: what a browser
//! has once, it need not ask for again, and modules of two versions never meet. What a transcript
//! holds enters the page as text of nodes that the modules make; the policy forbids everything
//! else, and with it whatever a module might do wrong.

use sha2::{Digest, Sha256};

use super::auth::hex;
use super::browser::filled;
use super::http::{Head, Payload, Response};

/// Nothing but our own modules, styles and answers; pictures also out of the lines themselves. No
/// text ever becomes code or HTML.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";
const SHELL: &str = include_str!("index.html");
/// Signing out of what was signed in to.
const SIGN_OUT: &str = "<form method=\"post\" action=\"{base}/auth/logout\">\
                        <button type=\"submit\">Sign out</button></form>";
/// Hexadecimal digits of the version: enough that two never have the same.
const VERSION_CHARS: usize = 16;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// Name, type and content of every asset.
const ASSETS: [(&str, &str, &str); 20] = [
    ("about.js", SCRIPT, include_str!("about.js")),
    ("agents.js", SCRIPT, include_str!("agents.js")),
    ("ansi.js", SCRIPT, include_str!("ansi.js")),
    ("api.js", SCRIPT, include_str!("api.js")),
    ("dialogs.js", SCRIPT, include_str!("dialogs.js")),
    ("diff.js", SCRIPT, include_str!("diff.js")),
    ("dom.js", SCRIPT, include_str!("dom.js")),
    ("events.js", SCRIPT, include_str!("events.js")),
    ("format.js", SCRIPT, include_str!("format.js")),
    ("icon.svg", IMAGE, include_str!("icon.svg")),
    ("list.js", SCRIPT, include_str!("list.js")),
    ("main.js", SCRIPT, include_str!("main.js")),
    ("markdown.js", SCRIPT, include_str!("markdown.js")),
    ("rows.js", SCRIPT, include_str!("rows.js")),
    ("session.js", SCRIPT, include_str!("session.js")),
    ("stats.js", SCRIPT, include_str!("stats.js")),
    ("status.js", SCRIPT, include_str!("status.js")),
    ("style.css", STYLE, include_str!("style.css")),
    ("tools.js", SCRIPT, include_str!("tools.js")),
    ("transcript.js", SCRIPT, include_str!("transcript.js")),
];
/// What the list needs, fetched side by side.
const LIST_MODULES: [&str; 5] = ["main.js", "api.js", "dom.js", "format.js", "list.js"];
/// What a session needs.
const SESSION_MODULES: [&str; 15] = [
    "main.js",
    "api.js",
    "dom.js",
    "format.js",
    "session.js",
    "about.js",
    "agents.js",
    "transcript.js",
    "rows.js",
    "tools.js",
    "events.js",
    "markdown.js",
    "ansi.js",
    "diff.js",
    "dialogs.js",
];

/// Everything that is the same for everybody.
#[derive(Debug)]
pub struct Web {
    version: String,
}

/// What a shell is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// All sessions, and what is found in them.
    List,
    /// One session.
    Session,
    /// One session, for whoever has a link to it.
    Shared,
    /// Tokens, cost, tools.
    Stats,
    /// The server and the machines.
    Status,
}

impl Web {
    /// Names the version.
    pub fn new() -> Web {
        let mut digest = Sha256::new();
        for (name, _, content) in ASSETS {
            digest.update(name);
            digest.update([0]);
            digest.update(content);
            digest.update([0]);
        }
        let mut version = hex(&digest.finalize());
        version.truncate(VERSION_CHARS);
        Web { version }
    }

    /// The page that loads everything else, for a user; with a way out where they have come in.
    pub fn shell(&self, base_path: &str, page: Page, user: &str, is_signed_in: bool) -> Response {
        let modules: &[&str] = match page {
            Page::Session | Page::Shared => &SESSION_MODULES,
            _ => &LIST_MODULES,
        };
        let texts = [("base", base_path), ("version", self.version.as_str()), ("user", user)];
        let link = |module: &&str| {
            let link = "<link rel=\"modulepreload\" href=\"{base}/assets/{version}/{module}\">\n";
            filled(link, &[&texts[..], &[("module", module)]].concat(), &[])
        };
        let links: String = modules.iter().map(link).collect();
        let script = "<script type=\"module\" src=\"{base}/assets/{version}/main.js\"></script>";
        let links = links + &filled(script, &texts, &[]);
        let sign_out = if is_signed_in { filled(SIGN_OUT, &texts, &[]) } else { String::new() };
        let html = [("modules", links.as_str()), ("sign_out", sign_out.as_str())];
        Response {
            status: 200,
            headers: vec![
                ("Content-Type", "text/html; charset=utf-8".into()),
                ("Content-Security-Policy", POLICY.into()),
                ("X-Content-Type-Options", "nosniff".into()),
                ("Referrer-Policy", "same-origin".into()),
                ("Cross-Origin-Opener-Policy", "same-origin".into()),
                ("Cache-Control", "no-store".into()),
            ],
            payload: Payload::Bytes(filled(SHELL, &texts, &html).into_bytes()),
        }
    }

    /// An asset of this version; `None` when there is none.
    pub fn asset(&self, version: &str, name: &str, head: &Head) -> Option<Response> {
        let (_, kind, content) = ASSETS.iter().find(|(known, ..)| *known == name)?;
        if version != self.version {
            return None;
        }
        let tag = format!("\"{version}\"");
        let is_known = head
            .all("if-none-match")
            .flat_map(|value| value.split(','))
            .any(|known| known.trim().trim_start_matches("W/") == tag);
        let (status, content) = if is_known { (304, "") } else { (200, *content) };
        Some(Response {
            status,
            headers: vec![
                ("Content-Type", (*kind).into()),
                ("ETag", tag),
                ("Cache-Control", "public, max-age=31536000, immutable".into()),
                ("X-Content-Type-Options", "nosniff".into()),
                ("Cross-Origin-Resource-Policy", "same-origin".into()),
            ],
            payload: Payload::Bytes(content.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST_BYTES_MAX: usize = 100_000;

    fn head(headers: &str) -> Head {
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        Head::parse(text.as_bytes(), 16 << 10).unwrap().unwrap().0
    }

    fn text(response: Response) -> String {
        let Payload::Bytes(bytes) = response.payload else { panic!("a page is whole") };
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_first_page_is_small() {
        let all = ASSETS.iter().filter(|(name, kind, _)| {
            LIST_MODULES.contains(name) || *kind == STYLE || *kind == IMAGE
        });
        let bytes = SHELL.len() + all.map(|(.., content)| content.len()).sum::<usize>();
        assert!(bytes <= LIST_BYTES_MAX, "{bytes} bytes before they are compressed");
    }

    #[test]
    fn every_module_that_is_named_is_there() {
        for name in LIST_MODULES.iter().chain(&SESSION_MODULES) {
            assert!(ASSETS.iter().any(|(known, ..)| known == name), "{name}");
        }
        for (name, _, content) in ASSETS {
            for named in content.split("\"./").skip(1) {
                let named = named.split('"').next().unwrap();
                assert!(ASSETS.iter().any(|(known, ..)| *known == named), "{named} of {name}");
            }
        }
    }

    /// What makes HTML or code of a text is forbidden by the policy as well; no module tries.
    #[test]
    fn no_module_makes_html_or_code_of_a_text() {
        let words = [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "new Function",
            "createContextualFragment",
            "DOMParser",
            "setHTML",
            "srcdoc",
            "javascript:",
            "http://",
            "https://",
        ];
        for (name, kind, content) in ASSETS {
            for word in words {
                // The names of drawings' elements, and what links may begin with, load nothing.
                let known = content.matches("http://www.w3.org/2000/svg").count();
                let found = content.matches(word).count();
                let allowed = if word == "http://" { known } else { 0 };
                assert!(found == allowed || kind == IMAGE, "{word} in {name}");
            }
        }
    }

    #[test]
    fn a_shell_names_its_base_path_and_who_reads() {
        let page = text(Web::new().shell("/a\"b", Page::List, "<me>", true));
        assert!(page.contains("src=\"/a&quot;b/assets/"), "{page}");
        assert!(page.contains("&lt;me&gt;") && page.contains("/auth/logout"), "{page}");
        let page = text(Web::new().shell("", Page::Session, "me", false));
        assert!(page.contains("transcript.js") && !page.contains("/auth/logout"), "{page}");
    }

    #[test]
    fn assets_are_of_one_version_and_kept() {
        let web = Web::new();
        let version = web.version.clone();
        let asset = web.asset(&version, "main.js", &head("")).unwrap();
        assert_eq!(asset.header("Content-Type"), Some(SCRIPT));
        let known = format!("If-None-Match: \"x\", W/\"{version}\"\r\n");
        assert_eq!(web.asset(&version, "main.js", &head(&known)).unwrap().status, 304);
        let missing = [("", "main.js"), ("0", "main.js"), (version.as_str(), "mod.rs")];
        for (version, name) in missing {
            assert!(web.asset(version, name, &head("")).is_none(), "{version}/{name}");
        }
    }
}
