//! By what somebody may read, for answers that take long: whether it still holds is asked again
//! while they are sent.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Api, Refused};
use crate::error::{Error, Result};
use crate::server::auth::{KeyHash, bearer, hash};
use crate::server::browser;
use crate::server::http::{Head, query_value};
use crate::server::store::{Store, User};

/// What a request has shown.
enum Credential {
    /// A link that was shared.
    Link(KeyHash),
    Key(KeyHash),
    /// The cookie of a browser that is signed in.
    SignIn(KeyHash),
    /// Nothing: they are the only one who can be asking.
    Owner,
}

/// See the module.
pub(super) struct Access {
    store: Arc<Store>,
    now: fn() -> SystemTime,
    reader: i64,
    credential: Credential,
}

impl Api {
    /// By what a reader was let in with this request.
    pub(super) fn access(
        &self,
        reader: &User,
        head: &Head,
    ) -> std::result::Result<Access, Refused> {
        let key = head.header("authorization").and_then(|value| bearer(Some(value)).ok());
        let credential = match (query_value(&head.query, "share"), key) {
            (Some(token), _) => Credential::Link(hash(&token)),
            (None, Some(key)) => Credential::Key(hash(key)),
            (None, None) => match (self.browser_user(head)?, browser::token(head)) {
                (Some(_), Some(token)) => Credential::SignIn(hash(token)),
                _ => Credential::Owner,
            },
        };
        let (store, now) = (Arc::clone(&self.store), self.world.now);
        Ok(Access { store, now, reader: reader.id, credential })
    }
}

impl Access {
    /// Whether it still lets the same reader in.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) fn holds(&self) -> Result<bool> {
        let now = (self.now)();
        let user = match &self.credential {
            Credential::Link(token) => self.store.guest(token, now)?,
            Credential::Key(key) => self.store.user_of_key(key)?.filter(|user| !user.is_disabled),
            Credential::SignIn(token) => self.store.signed_in(token, now)?,
            Credential::Owner => self.store.only_user()?,
        };
        Ok(user.is_some_and(|user| user.id == self.reader))
    }

    /// Fails when it does not: what was begun is cut off.
    pub(super) fn check(&self) -> Result<()> {
        match self.holds()? {
            true => Ok(()),
            false => Err(Error::new("go on with an answer: its reader may not read it any more")),
        }
    }
}
