//! The pages of accounts: signing in and out, and confirming the code of a machine.
//!
//! They work without script. Whatever is posted must come from one of them.

use super::{Answer, Api, Refused, Route, read_body};
use crate::error::Context;
use crate::server::auth::{hash, new_token, user_code};
use crate::server::browser::{self, START, filled, local_path, redirect};
use crate::server::caller::Caller;
use crate::server::connection::Body;
use crate::server::http::{Head, Payload, Response, query_value};
use crate::server::limits::{Kind, Who};
use crate::server::serve::retry_after;
use crate::server::store::{Device, SIGN_IN_TIME_MAX, User};

const SIGN_IN: &str = include_str!("../pages/sign_in.html");
const CODE: &str = include_str!("../pages/code.html");
const CONFIRM: &str = include_str!("../pages/confirm.html");
const ACCOUNT: &str = include_str!("../pages/account.html");
const STYLE: &str = include_str!("../pages/account.css");
/// Bytes of a form.
const FORM_BYTES_MAX: usize = 16 << 10;

/// What somebody has entered who wants to sign in, and what was wrong with it.
#[derive(Default)]
struct Entered {
    user: String,
    next: String,
    problem: &'static str,
}

impl Api {
    /// Answers with a page, or sends the browser on to one.
    pub(super) fn page(
        &self,
        route: &Route,
        head: &Head,
        body: &mut Body<'_, '_>,
        caller: &Caller,
    ) -> Answer {
        let is_post = head.method == "POST";
        if is_post && !browser::is_own(head, caller) {
            let text = "What was sent does not come from a page of this server, so nothing was \
                        done. Go back, load the page again, and try once more.";
            return Err(Refused::With(self.message(403, "Not from here", text)));
        }
        match (route, is_post) {
            (Route::SignIn, false) => self.sign_in_page(head),
            (Route::SignIn, true) => self.sign_in(head, body, caller),
            (Route::SignOut, _) => self.sign_out(head, caller),
            (Route::Device, false) => self.device_page(head),
            (Route::Device, true) => self.answer_device(head, body),
            _ => Ok(style()),
        }
    }

    /// Something of ours failed; the log says what.
    pub(super) fn failed_page(&self) -> Response {
        self.message(500, "Something failed", "The server's log says what. Try again later.")
    }

    fn sign_in_page(&self, head: &Head) -> Answer {
        let next = query_value(&head.query, "next").unwrap_or_default();
        if self.browser_user(head)?.is_some() {
            return Ok(self.redirect(&next));
        }
        Ok(self.sign_in_form(200, &Entered { next, ..Entered::default() }))
    }

    fn sign_in(&self, head: &Head, body: &mut Body<'_, '_>, caller: &Caller) -> Answer {
        let form = self.form(head, body)?;
        let entered =
            |problem| Entered { user: value(&form, "user"), next: value(&form, "next"), problem };
        let user = value(&form, "user");
        for who in [Who::at(caller.address), Who::account(&user)] {
            let now = (self.world.monotonic)();
            if let Err(wait) = self.surroundings.limits.take(Kind::Password, who, now) {
                let page = self.sign_in_form(429, &entered("Too many attempts. Try again later."));
                return Ok(page.with_header("Retry-After", retry_after(wait)));
            }
        }
        let failed = |error| Refused::Failed("Failed to sign in", error);
        let known = self.store.password(&user).map_err(failed)?;
        let stored = known.as_ref().map(|(_, password)| password);
        let checked = self.passwords.check(stored, &value(&form, "password")).map_err(failed)?;
        let Some(is_right) = checked else {
            let page = self.sign_in_form(503, &entered("Too many sign in at once. Try again."));
            return Ok(page.with_header("Retry-After", "1"));
        };
        if let (true, Some((id, password))) = (is_right, &known) {
            let token = new_token(self.world.random).context(|| "make a token".into());
            let token = token.map_err(failed)?;
            let now = (self.world.now)();
            if self.store.sign_in((*id, password), &hash(&token), now).map_err(failed)? {
                // Whoever knew the token from before must not be signed in with it.
                self.forget(head)?;
                let cookie = self.cookie(&token, SIGN_IN_TIME_MAX.as_secs(), caller);
                let next = value(&form, "next");
                return Ok(self.redirect(&next).with_header("Set-Cookie", cookie));
            }
        }
        Ok(self.sign_in_form(401, &entered("User or password is not right.")))
    }

    fn sign_out(&self, head: &Head, caller: &Caller) -> Answer {
        self.forget(head)?;
        let cookie = self.cookie("", 0, caller);
        Ok(self.redirect("/auth/login").with_header("Set-Cookie", cookie))
    }

    fn device_page(&self, head: &Head) -> Answer {
        let typed = query_value(&head.query, "code").unwrap_or_default();
        let code = user_code(&typed);
        let Some(user) = self.browser_user(head)? else {
            return Ok(self.to_sign_in(code.as_deref()));
        };
        let Some(code) = code else {
            return Ok(match typed.trim() {
                "" => self.code_form(200, &user, "", ""),
                typed => self.code_form(404, &user, typed, "A code looks like ABCD-EFGH."),
            });
        };
        self.count_code(&user)?;
        let device = self
            .store
            .device(user.id, &hash(&code), (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to look a code up", error))?;
        Ok(match device {
            Some(device) => self.confirmation(&user, &code, &device),
            None => self.unknown_code(&user, &code),
        })
    }

    fn answer_device(&self, head: &Head, body: &mut Body<'_, '_>) -> Answer {
        let form = self.form(head, body)?;
        let code = user_code(&value(&form, "code"));
        let Some(user) = self.browser_user(head)? else {
            return Ok(self.to_sign_in(code.as_deref()));
        };
        let answer = value(&form, "answer");
        let (Some(code), true) = (code, matches!(answer.as_str(), "confirm" | "deny")) else {
            return Ok(self.code_form(400, &user, "", "Enter the code again."));
        };
        self.count_code(&user)?;
        let is_confirmed = answer == "confirm";
        let is_answered = self
            .store
            .answer_device(user.id, &hash(&code), is_confirmed, (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to answer a code", error))?;
        Ok(match (is_answered, is_confirmed) {
            (false, _) => self.unknown_code(&user, &code),
            (true, true) => {
                let text = "The machine fetches its key within a few seconds. You can close this \
                            page.";
                self.message(200, "Confirmed", text)
            }
            (true, false) => {
                self.message(200, "Denied", "The machine gets no key. You can close this page.")
            }
        })
    }

    /// Takes a code out of those that a user may try.
    fn count_code(&self, user: &User) -> Result<(), Refused> {
        let now = (self.world.monotonic)();
        let taken = self.surroundings.limits.take(Kind::Code, Who::User(user.id), now);
        taken.map_err(|wait| {
            let page = self.code_form(429, user, "", "Too many codes. Try again later.");
            Refused::With(page.with_header("Retry-After", retry_after(wait)))
        })
    }

    /// Signs the browser out, if it is in.
    fn forget(&self, head: &Head) -> Result<(), Refused> {
        let Some(token) = browser::token(head) else { return Ok(()) };
        let signed_out = self.store.sign_out(&hash(token));
        signed_out.map_err(|error| Refused::Failed("Failed to sign out", error))
    }

    /// A form as it was sent.
    fn form(&self, head: &Head, body: &mut Body<'_, '_>) -> Result<String, Refused> {
        let kind = head.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refused::With(self.message(415, "Not a form", "Nothing was done.")));
        }
        let (body, _reservation) = read_body(body, FORM_BYTES_MAX)?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn sign_in_form(&self, status: u16, entered: &Entered) -> Response {
        let Entered { user, next, problem } = entered;
        let next = local_path(next).unwrap_or(START);
        let texts = [("base", self.base_path()), ("user", user), ("next", next)];
        let content = filled(SIGN_IN, &texts, &[("problem", &alert(problem))]);
        browser::page(status, self.base_path(), "Sign in", &content)
    }

    fn code_form(&self, status: u16, user: &User, code: &str, problem: &str) -> Response {
        let texts = [("base", self.base_path()), ("code", code)];
        let html = [("problem", &*alert(problem)), ("account", &*self.account(user))];
        let content = filled(CODE, &texts, &html);
        browser::page(status, self.base_path(), "Sign in a machine", &content)
    }

    fn unknown_code(&self, user: &User, code: &str) -> Response {
        let problem = "No machine waits with this code. It may have taken too long, or the code \
                       was answered already: start again on the machine.";
        self.code_form(404, user, code, problem)
    }

    fn confirmation(&self, user: &User, code: &str, device: &Device) -> Response {
        let Device { key_name, address, replaces } = device;
        let replaced = match replaces {
            true => alert("You have a key of this name. It stops working, wherever it is used."),
            false => String::new(),
        };
        let texts =
            [("base", self.base_path()), ("code", code), ("name", key_name), ("address", address)];
        let html = [("replaces", &*replaced), ("account", &*self.account(user))];
        let content = filled(CONFIRM, &texts, &html);
        browser::page(200, self.base_path(), "Sign in a machine", &content)
    }

    /// Who is signed in, and the way out.
    fn account(&self, user: &User) -> String {
        filled(ACCOUNT, &[("base", self.base_path()), ("user", &user.email)], &[])
    }

    fn message(&self, status: u16, title: &str, text: &str) -> Response {
        let content = filled("<p>{text}</p>", &[("text", text)], &[]);
        browser::page(status, self.base_path(), title, &content)
    }

    fn to_sign_in(&self, code: Option<&str>) -> Response {
        match code {
            // A code has no character that would have to be escaped.
            Some(code) => self.redirect(&format!("/auth/login?next=/auth/device%3Fcode%3D{code}")),
            None => self.redirect("/auth/login?next=/auth/device"),
        }
    }

    fn redirect(&self, path: &str) -> Response {
        redirect(self.base_path(), path)
    }

    fn cookie(&self, token: &str, seconds: u64, caller: &Caller) -> String {
        let settings = &self.surroundings.settings;
        let is_public_secret =
            settings.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
        let is_secure = caller.is_secure || is_public_secret;
        browser::set_cookie(token, seconds, self.base_path(), is_secure)
    }

    fn base_path(&self) -> &str {
        &self.surroundings.settings.base_path
    }
}

/// What a form says about what was entered.
fn alert(problem: &str) -> String {
    match problem {
        "" => String::new(),
        text => filled("<p class=\"problem\" role=\"alert\">{text}</p>", &[("text", text)], &[]),
    }
}

/// A value of a form, empty when there is none.
fn value(form: &str, name: &str) -> String {
    query_value(form, name).unwrap_or_default()
}

fn style() -> Response {
    Response {
        status: 200,
        headers: vec![
            ("Content-Type", "text/css; charset=utf-8".into()),
            ("X-Content-Type-Options", "nosniff".into()),
            ("Cache-Control", "max-age=3600".into()),
        ],
        payload: Payload::Bytes(STYLE.into()),
    }
}
