//! The few pages of signing in and of confirming a program: plain HTML that needs no script.
//!
//! Every text that comes from elsewhere is escaped here, and the policy that goes with each page
//! lets nothing run and nothing be loaded but the style sheet.

use super::http::{Payload, Response};

/// The style sheet.
pub const STYLE: &str = include_str!("style.css");
/// What a page may do.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// A page, with the base path that all its links begin with.
pub struct Page<'a> {
    /// Where everything lies on the host.
    pub base: &'a str,
    /// What went wrong, or well.
    pub notice: Option<&'a str>,
}

impl Page<'_> {
    /// Asks who the user is; `next` is where to go then.
    pub fn sign_in(&self, status: u16, user: &str, next: &str) -> Response {
        let (user, next) = (escaped(user), escaped(next));
        self.response(
            status,
            "Sign in",
            &format!(
                "<form method=\"post\" action=\"{base}/auth/login\">\n\
                 <input type=\"hidden\" name=\"next\" value=\"{next}\">\n\
                 <label for=\"user\">User</label>\n\
                 <input id=\"user\" name=\"user\" value=\"{user}\" autocomplete=\"username\" \
                 required autofocus>\n\
                 <label for=\"password\">Password</label>\n\
                 <input id=\"password\" name=\"password\" type=\"password\" \
                 autocomplete=\"current-password\" required>\n\
                 <button>Sign in</button>\n</form>",
                base = self.base
            ),
        )
    }

    /// Asks for the code that a program shows.
    pub fn device_code(&self, status: u16, user: &str) -> Response {
        let form = format!(
            "<p>A program that wants to store sessions here shows a code.</p>\n\
             <form method=\"get\" action=\"{base}/auth/device\">\n\
             <label for=\"code\">Code</label>\n\
             <input id=\"code\" name=\"code\" placeholder=\"XXXX-XXXX\" autocomplete=\"off\" \
             required autofocus>\n<button>Go on</button>\n</form>\n{}",
            self.signed_in(user),
            base = self.base
        );
        self.response(status, "Confirm a program", &form)
    }

    /// Asks whether a program gets a key.
    pub fn device(&self, user: &str, code: &str, key_name: &str, address: &str) -> Response {
        let (code, name, address) = (escaped(code), escaped(key_name), escaped(address));
        let form = format!(
            "<p>Let this program store sessions as you? Go on only if it shows this code.</p>\n\
             <dl>\n<dt>Code</dt><dd>{code}</dd>\n<dt>Program</dt><dd>{name}</dd>\n\
             <dt>Asks from</dt><dd>{address}</dd>\n</dl>\n\
             <form method=\"post\" action=\"{base}/auth/device\">\n\
             <input type=\"hidden\" name=\"code\" value=\"{code}\">\n\
             <button name=\"answer\" value=\"confirm\">Confirm</button>\n\
             <button name=\"answer\" value=\"refuse\">Refuse</button>\n</form>\n{}",
            self.signed_in(user),
            base = self.base
        );
        self.response(200, "Confirm a program", &form)
    }

    /// Says something to a user.
    pub fn message(&self, status: u16, title: &str, text: &str, user: &str) -> Response {
        let body = format!("<p>{}</p>\n{}", escaped(text), self.signed_in(user));
        self.response(status, title, &body)
    }

    /// Where a user is who has signed in.
    pub fn home(&self, user: &str) -> Response {
        let body = format!(
            "<p><a href=\"{}/auth/device\">Confirm a program</a></p>\n{}",
            self.base,
            self.signed_in(user)
        );
        self.response(200, "confab", &body)
    }

    fn signed_in(&self, user: &str) -> String {
        format!(
            "<form method=\"post\" action=\"{}/auth/logout\">\n\
             <p class=\"quiet\">Signed in as {}.</p>\n<button>Sign out</button>\n</form>",
            self.base,
            escaped(user)
        )
    }

    fn response(&self, status: u16, title: &str, body: &str) -> Response {
        let title = escaped(title);
        let notice = self.notice.map(escaped);
        let notice = notice.map(|text| format!("<p role=\"alert\">{text}</p>\n"));
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <link rel=\"stylesheet\" href=\"{base}/assets/style.css\">\n</head>\n<body>\n\
             <main>\n<h1>{title}</h1>\n{notice}{body}\n</main>\n</body>\n</html>\n",
            base = self.base,
            notice = notice.unwrap_or_default(),
        );
        secured(Response {
            status,
            headers: vec![("Content-Type", "text/html; charset=utf-8".into())],
            payload: Payload::Bytes(html.into_bytes()),
        })
    }
}

/// A response of a page: never kept, never framed, and nothing in it runs.
pub fn secured(response: Response) -> Response {
    response
        .with_header("Content-Security-Policy", POLICY)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("Cache-Control", "no-store")
}

/// Text for an element or between double quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_elsewhere_becomes_an_element() {
        let page = Page { base: "/b", notice: Some("<i>") };
        let trick = "\"><script>alert(1)</script>\u{0}";
        let pages = [
            page.sign_in(200, trick, trick),
            page.device_code(200, trick),
            page.device(trick, trick, trick, trick),
            page.message(200, trick, trick, trick),
            page.home(trick),
        ];
        for response in pages {
            let Payload::Bytes(html) = &response.payload else { panic!("a page is bytes") };
            let html = std::str::from_utf8(html).unwrap();
            assert!(!html.contains("<script") && !html.contains("<i>"), "{html}");
            assert!(html.contains("&lt;script&gt;") && html.contains("/b/assets/style.css"));
            let policy =
                response.headers.iter().find(|(name, _)| *name == "Content-Security-Policy");
            assert_eq!(policy.unwrap().1, POLICY);
        }
    }
}
