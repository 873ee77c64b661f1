//! What browsers ask for: signing in and out, and confirming a program.
//!
//! Who is signed in is known by a cookie that no script can read and no other site can make a
//! browser send along. A request that changes something must come from a page of this server, which
//! the browser says; one that does not say it is refused.

use super::device::user_code_hash;
use super::{Answer, Api, Refused, read_body};
use crate::error::Context;
use crate::server::auth::{KeyHash, hash, new_key};
use crate::server::caller::Caller;
use crate::server::connection::Body;
use crate::server::http::{Head, Response, percent_decoded, query_value};
use crate::server::limits::{Kind, Who};
use crate::server::pages::{Page, STYLE, secured};
use crate::server::password;
use crate::server::store::{BROWSER_TIME_MAX, User};

/// Name of the cookie.
const COOKIE: &str = "confab_session";
/// Bytes of a form.
const FORM_BYTES_MAX: usize = 16 << 10;
/// Bytes of a path to go to after signing in.
const NEXT_BYTES_MAX: usize = 1024;

impl Api {
    pub(super) fn style(&self) -> Response {
        let text = Response::text(200, STYLE);
        let headers = vec![("Content-Type", "text/css; charset=utf-8".into())];
        Response { headers, ..text }
            .with_header("X-Content-Type-Options", "nosniff")
            .with_header("Cache-Control", "max-age=3600")
    }

    pub(super) fn home(&self, head: &Head) -> Answer {
        match self.browser(head)? {
            Some(user) => Ok(self.page(None).home(&user.email)),
            None => Ok(self.to("/auth/login")),
        }
    }

    pub(super) fn sign_in_page(&self, head: &Head) -> Answer {
        let next = next(query_value(&head.query, "next"));
        match self.browser(head)? {
            Some(_) => Ok(self.to(&next)),
            None => Ok(self.page(None).sign_in(200, "", &next)),
        }
    }

    pub(super) fn sign_in(&self, head: &Head, body: &mut Body<'_, '_>, caller: &Caller) -> Answer {
        same_origin(head, caller)?;
        let form = form(body)?;
        let field = |name| query_value(&form, name).unwrap_or_default();
        let (name, next) = (field("user"), next(query_value(&form, "next")));
        let failed = |error| Refused::Failed("Failed to sign in", error);
        // Guesses at one account come from many addresses.
        self.take(Kind::Guess, account(&name))?;
        let found = self.store.password_of(&name).map_err(failed)?;
        let stored = found.as_ref().and_then(|(_, stored)| stored.as_deref());
        let is_right = password::is_right(&field("password"), stored);
        let Some((user, _)) = found.filter(|(user, _)| is_right && !user.is_disabled) else {
            let page = self.page(Some("User or password is wrong."));
            return Ok(page.sign_in(401, &name, &next));
        };
        let token = new_key(self.world.random).context(|| "sign in".into()).map_err(failed)?;
        self.store.add_browser(user.id, &hash(&token), (self.world.now)()).map_err(failed)?;
        Ok(self.to(&next).with_header("Set-Cookie", self.cookie(&token, caller)))
    }

    pub(super) fn sign_out(&self, head: &Head, caller: &Caller) -> Answer {
        same_origin(head, caller)?;
        if let Some(hash) = cookie_hash(head) {
            let failed = |error| Refused::Failed("Failed to sign out", error);
            self.store.remove_browser(&hash).map_err(failed)?;
        }
        Ok(self.to("/auth/login").with_header("Set-Cookie", self.cookie("", caller)))
    }

    pub(super) fn device_page(&self, head: &Head) -> Answer {
        let code = query_value(&head.query, "code").unwrap_or_default();
        let Some(user) = self.browser(head)? else {
            let query = if code.is_empty() { String::new() } else { format!("?{}", head.query) };
            let next = escaped(&format!("/auth/device{query}"));
            return Ok(self.to(&format!("/auth/login?next={next}")));
        };
        if code.is_empty() {
            return Ok(self.page(None).device_code(200, &user.email));
        }
        // Codes are short: whoever tries many of them would meet somebody's.
        self.take(Kind::Guess, Who::User(user.id))?;
        let failed = |error| Refused::Failed("Failed to look the code up", error);
        let found = self.store.waiting_device(&user_code_hash(&code), (self.world.now)());
        match found.map_err(failed)? {
            Some(device) => {
                let (name, address) = (device.key_name, device.address);
                Ok(self.page(None).device(&user.email, &code, &name, &address))
            }
            None => {
                let notice = "No program waits under this code. It may have expired: start again.";
                Ok(self.page(Some(notice)).device_code(404, &user.email))
            }
        }
    }

    pub(super) fn decide(&self, head: &Head, body: &mut Body<'_, '_>, caller: &Caller) -> Answer {
        same_origin(head, caller)?;
        let Some(user) = self.browser(head)? else { return Ok(self.to("/auth/login")) };
        self.take(Kind::Guess, Who::User(user.id))?;
        let form = form(body)?;
        let field = |name| query_value(&form, name).unwrap_or_default();
        let is_confirmed = match field("answer").as_str() {
            "confirm" => true,
            "refuse" => false,
            _ => return Err(Refused::With(Response::text(400, "400 bad request\n"))),
        };
        let failed = |error| Refused::Failed("Failed to confirm", error);
        let (code, now) = (user_code_hash(&field("code")), (self.world.now)());
        let decided = self.store.decide_device(user.id, &code, is_confirmed, now);
        let (page, email) = (self.page(None), user.email.as_str());
        Ok(match (decided.map_err(failed)?, is_confirmed) {
            (false, _) => {
                let notice = "No program waits under this code. It may have expired: start again.";
                self.page(Some(notice)).device_code(404, email)
            }
            (true, true) => page.message(
                200,
                "Confirmed",
                "The program gets its key now. Go back to it.",
                email,
            ),
            (true, false) => page.message(200, "Refused", "The program gets no key.", email),
        })
    }

    /// Who is signed in in this browser.
    pub(super) fn browser(&self, head: &Head) -> Result<Option<User>, Refused> {
        let Some(hash) = cookie_hash(head) else { return Ok(None) };
        self.store
            .user_of_browser(&hash, (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to look the browser up", error))
    }

    fn page<'a>(&'a self, notice: Option<&'a str>) -> Page<'a> {
        Page { base: &self.surroundings.settings.base_path, notice }
    }

    /// Sends a browser to another page of this server.
    fn to(&self, path: &str) -> Response {
        let location = format!("{}{path}", self.surroundings.settings.base_path);
        secured(Response::empty(303)).with_header("Location", location)
    }

    /// The cookie, or with an empty token its end.
    fn cookie(&self, token: &str, caller: &Caller) -> String {
        let base = &self.surroundings.settings.base_path;
        let seconds = if token.is_empty() { 0 } else { BROWSER_TIME_MAX.as_secs() };
        let secure = if caller.is_secure { "; Secure" } else { "" };
        format!("{COOKIE}={token}; Path={base}/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}

/// Refuses what another site has made a browser send. Browsers say where a request comes from in
/// `Sec-Fetch-Site`; those that are older say it in `Origin`.
pub(super) fn same_origin(head: &Head, caller: &Caller) -> Result<(), Refused> {
    let is_own = match (head.header("sec-fetch-site"), head.header("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let scheme = if caller.is_secure { "https" } else { "http" };
            !caller.authority.is_empty() && origin == format!("{scheme}://{}", caller.authority)
        }
        (None, None) => false,
    };
    match is_own {
        true => Ok(()),
        false => Err(Refused::With(Response::text(403, "403 not from a page of this server\n"))),
    }
}

/// An account by its name.
fn account(name: &str) -> Who {
    let hash = hash(name);
    let start = hash.first_chunk::<16>().expect("a hash has 32 bytes");
    Who::Account(u128::from_be_bytes(*start))
}

/// The hash of what the cookie holds.
fn cookie_hash(head: &Head) -> Option<KeyHash> {
    let mut cookies = head.all("cookie").flat_map(|value| value.split(';'));
    let found = cookies.find_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    found.filter(|token| !token.is_empty()).map(hash)
}

fn form(body: &mut Body<'_, '_>) -> Result<String, Refused> {
    let (bytes, _reservation) = read_body(body, FORM_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| Refused::With(Response::text(400, "400 bad request\n")))
}

/// A path of this server to go to; the home page for anything else.
fn next(wanted: Option<String>) -> String {
    let is_own = |path: &String| {
        let rest = path.strip_prefix('/').unwrap_or("/");
        let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        path.len() <= NEXT_BYTES_MAX && is_plain && !rest.starts_with('/')
    };
    wanted.filter(is_own).unwrap_or_else(|| "/".to_owned())
}

/// Text for a query.
fn escaped(text: &str) -> String {
    crate::remote::escaped(&percent_decoded(text, false).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for path in ["/", "/auth/device?code=A-1", "/a/b#c"] {
            assert_eq!(next(Some(path.into())), path);
        }
        let elsewhere = [
            "",
            "auth",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nb",
            "/ a",
            "/é",
            "javascript:alert(1)",
        ];
        for path in elsewhere {
            assert_eq!(next(Some(path.into())), "/", "{path}");
        }
        assert_eq!(next(Some(format!("/{}", "x".repeat(2000)))), "/");
    }
}
