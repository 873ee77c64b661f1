//! The page of sessions, for whoever is signed in, or needs not be.

use super::{Answer, Api, Refused};
use crate::server::auth::hash;
use crate::server::browser::redirect;
use crate::server::caller::Caller;
use crate::server::http::{Head, Response};
use crate::server::web::Page;

impl Api {
    /// The page that loads everything else. It holds nothing of anybody's sessions.
    pub(super) fn shell(&self, page: Page, head: &Head, caller: &Caller) -> Answer {
        if page == Page::Shared {
            return self.shared(head);
        }
        let signed_in = self.browser_user(head)?;
        let is_signed_in = signed_in.is_some();
        let user = match signed_in {
            Some(user) => Some(user),
            None => self.owner(head, caller)?,
        };
        let base_path = &self.surroundings.settings.base_path;
        let Some(user) = user else {
            let here = match head.query.as_str() {
                "" => head.path.clone(),
                query => format!("{}?{query}", head.path),
            };
            let next = encoded(&here);
            return Ok(redirect(base_path, &format!("/auth/login?next={next}")));
        };
        Ok(self.web.shell(base_path, page, &user.email, is_signed_in))
    }

    /// The page for whoever has a link, which is the whole path. It asks with it for the rest.
    fn shared(&self, head: &Head) -> Answer {
        let token = head.path.rsplit('/').next().unwrap_or_default();
        let guest = self
            .store
            .guest(&hash(token), (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to look the link up", error))?;
        if guest.is_none() {
            let text = "The link leads nowhere, or no more. Whoever sent it can make another one.";
            return Ok(self.message(404, "Nothing here", text));
        }
        let base_path = &self.surroundings.settings.base_path;
        Ok(self.web.shell(base_path, Page::Shared, "", false))
    }

    /// A part of the page.
    pub(super) fn asset(&self, version: &str, name: &str, head: &Head) -> Response {
        let asset = self.web.asset(version, name, head);
        asset.unwrap_or_else(|| Response::text(404, "404 page not found\n"))
    }
}

/// A text as the value of a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_value() {
        assert_eq!(encoded("/sessions/a?file=b&c#d"), "/sessions/a%3Ffile%3Db%26c%23d");
    }
}
