//! What commands say of the backend and of the key, in one place, and what to do about it.

use crate::error::{Error, Result};
use crate::remote::Standing;
use crate::wire::Identity;

/// Whose key it is.
///
/// # Errors
/// Why that is not known, with a hint.
pub(super) fn identity(standing: Standing) -> Result<Identity> {
    let because = |what: String, hint: &str| Err(Error::new(what).with_hint(hint));
    match standing {
        Standing::SignedIn(identity) => Ok(identity),
        Standing::Refused(why) => because(
            format!("the backend does not accept the key: {why}"),
            "sign in again with `confab login`, or with another key",
        ),
        Standing::Unsure(status) => because(
            format!("the backend cannot tell at present (status {status})"),
            "try again in a minute",
        ),
        Standing::Redirect(status) => because(
            format!("the address leads elsewhere (status {status}), and no key is sent there"),
            "use the address that it leads to, without www. as a rule, and with https",
        ),
        Standing::Other(status) => because(
            format!("what answers is no backend of confab (status {status})"),
            "check the address; a proxy or a login page may be in between",
        ),
        Standing::Unreachable(trouble, error) => {
            let error = Error::new("the backend cannot be reached").caused_by(error);
            Err(error.with_hint(trouble.hint()))
        }
    }
}

/// The name to call somebody by.
pub(super) fn name(identity: &Identity) -> &str {
    if identity.email.is_empty() { "an unnamed user" } else { &identity.email }
}

/// Text of another machine without what would move the cursor of a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}
