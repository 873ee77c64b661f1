//! What a browser must show before it is believed, and what it is told: cookies, where a request
//! comes from, pages. Pure.
//!
//! A browser sends its cookie with whatever request any page makes it send. So a request that
//! changes something counts only when it comes from a page of this server: the browser says so in
//! `Sec-Fetch-Site`, or, where it speaks plain HTTP to another machine and sends none, in `Origin`.
//! Without either there is no proof, and the request is refused.
//!
//! Pages run no script, load nothing but one stylesheet of this server, and are shown in no frame.
//! Every value in them is escaped when it is filled in.

use super::caller::Caller;
use super::export::escaped;
use super::http::{Head, Payload, Response};

/// Holds the token of a signed in browser.
const COOKIE: &str = "confab_session";
/// Where a browser begins that wants nothing else.
pub const START: &str = "/";
/// Bytes of a path that a browser is sent on to.
const PATH_BYTES_MAX: usize = 2048;
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";
const PAGE: &str = include_str!("pages/page.html");

/// The token in a request's cookie.
pub fn token(head: &Head) -> Option<&str> {
    let mut pairs = head.all("cookie").flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// The header that gives a browser its token; with an empty one and no time, takes it away. Base
/// path and TLS as the browser sees them.
pub fn set_cookie(token: &str, seconds: u64, base_path: &str, is_secure: bool) -> String {
    let path = if base_path.is_empty() { "/" } else { base_path };
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// True when a request comes from a page of this server.
pub fn is_own(head: &Head, caller: &Caller) -> bool {
    if let Some(site) = head.header("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some((scheme, host)) = head.header("origin").and_then(|origin| origin.split_once("://"))
    else {
        return false;
    };
    let is_as_secret = scheme == "https" || !caller.is_secure;
    is_as_secret && !host.is_empty() && host.eq_ignore_ascii_case(&caller.authority)
}

/// A path of this server that a browser may be sent on to: nothing that it could take for another
/// server's address. Browsers read `\` as `/` and leave out tabs and newlines.
pub fn local_path(text: &str) -> Option<&str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_path = text.starts_with('/') && !text.starts_with("//");
    (is_plain && is_path && text.len() <= PATH_BYTES_MAX).then_some(text)
}

/// A page. The content is HTML, the title is text.
pub fn page(status: u16, base_path: &str, title: &str, content: &str) -> Response {
    let shell = filled(PAGE, &[("title", title), ("base", base_path)], &[("content", content)]);
    Response {
        status,
        headers: vec![
            ("Content-Type", "text/html; charset=utf-8".into()),
            ("Content-Security-Policy", POLICY.into()),
            ("X-Content-Type-Options", "nosniff".into()),
            // With `no-referrer`, browsers would hide the origin of our own forms from us.
            ("Referrer-Policy", "same-origin".into()),
            ("Cache-Control", "no-store".into()),
        ],
        payload: Payload::Bytes(shell.into_bytes()),
    }
}

/// Sends a browser on to a path of this server.
pub fn redirect(base_path: &str, path: &str) -> Response {
    let path = local_path(path).unwrap_or(START);
    Response::empty(303)
        .with_header("Location", format!("{base_path}{path}"))
        .with_header("Cache-Control", "no-store")
}

/// A template with its `{name}`s replaced: by texts, which are escaped, and by HTML. What is filled
/// in is not looked at again.
pub fn filled(template: &str, texts: &[(&str, &str)], html: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').expect("templates close their braces");
        out.push_str(before);
        let of = |values: &[(&str, &str)]| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let value = of(html).or_else(|| of(texts).map(|text| escaped(&text)));
        out.push_str(&value.expect("templates name values that there are"));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &str) -> Head {
        let text = format!("POST / HTTP/1.1\r\nHost: box.lan:8787\r\n{headers}\r\n");
        Head::parse(text.as_bytes(), 16 << 10).unwrap().unwrap().0
    }

    fn caller(is_secure: bool) -> Caller {
        Caller {
            address: "127.0.0.1".parse().unwrap(),
            ends: None,
            is_secure,
            authority: "box.lan:8787".into(),
            request_id: String::new(),
        }
    }

    #[test]
    fn only_requests_from_own_pages_change_anything() {
        let cases = [
            ("Sec-Fetch-Site: same-origin\r\n", true),
            ("Sec-Fetch-Site: same-origin\r\nOrigin: http://evil\r\n", true),
            ("Sec-Fetch-Site: same-site\r\nOrigin: http://box.lan:8787\r\n", false),
            ("Sec-Fetch-Site: cross-site\r\n", false),
            ("Sec-Fetch-Site: none\r\n", false),
            ("Sec-Fetch-Site:\r\n", false),
            ("Origin: http://box.lan:8787\r\n", true),
            ("Origin: https://BOX.lan:8787\r\n", true),
            ("Origin: http://box.lan\r\n", false),
            ("Origin: http://box.lan:8788\r\n", false),
            ("Origin: http://box.lan:8787.evil\r\n", false),
            ("Origin: http://evil/box.lan:8787\r\n", false),
            ("Origin: null\r\n", false),
            ("Origin:\r\n", false),
            ("Referer: http://box.lan:8787/\r\n", false),
            ("", false),
        ];
        for (headers, expected) in cases {
            assert_eq!(is_own(&head(headers), &caller(false)), expected, "{headers}");
        }
        assert!(!is_own(&head("Origin: http://box.lan:8787\r\n"), &caller(true)));
        assert!(is_own(&head("Origin: https://box.lan:8787\r\n"), &caller(true)));
        let nameless = Caller { authority: String::new(), ..caller(false) };
        assert!(!is_own(&head("Origin: http://\r\n"), &nameless));
    }

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let cases = [
            ("Cookie: confab_session=t\r\n", Some("t")),
            ("Cookie: a=b; confab_session=t; c=d\r\n", Some("t")),
            ("Cookie: a=b\r\nCookie: confab_session=t\r\n", Some("t")),
            ("Cookie: xconfab_session=t; confab_session2=u\r\n", None),
            ("Cookie: confab_session\r\n", None),
            ("", None),
        ];
        for (headers, expected) in cases {
            assert_eq!(token(&head(headers)), expected, "{headers}");
        }
        assert_eq!(
            set_cookie("t", 9, "", false),
            "confab_session=t; Path=/; Max-Age=9; HttpOnly; SameSite=Lax"
        );
        assert!(set_cookie("t", 9, "/a", true).contains("; Path=/a; "));
        assert!(set_cookie("t", 9, "/a", true).ends_with("; Secure"));
    }

    #[test]
    fn nobody_is_sent_to_another_server() {
        for path in ["/", "/a?b=c&d=%2F%2Fe", "/auth/device?code=A"] {
            assert_eq!(local_path(path), Some(path));
        }
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        let foreign = [
            "",
            "//evil",
            "/\\evil",
            "\\\\evil",
            "https://evil",
            "/\t/evil",
            "/\n/evil",
            " //evil",
            "evil",
            "javascript:x",
            "/a\r\nSet-Cookie: x",
            "/é",
            &long,
        ];
        for path in foreign {
            assert_eq!(local_path(path), None, "{path:?}");
            let location = redirect("", path);
            assert_eq!(location.header("Location"), Some(START), "{path:?}");
        }
    }

    #[test]
    fn values_are_escaped_and_not_filled_in_again() {
        let filled = filled(
            "<a b=\"{text}\">{html}</a>{text}",
            &[("text", "\"<&{html}>"), ("html", "not this")],
            &[("html", "<i>{text}</i>")],
        );
        let text = "&quot;&lt;&amp;{html}&gt;";
        assert_eq!(filled, format!("<a b=\"{text}\"><i>{{text}}</i></a>{text}"));
    }
}
