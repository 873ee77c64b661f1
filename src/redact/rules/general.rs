//! Formats that nobody has listed: a prefix that says that what follows is a secret, and a random
//! rest.

use crate::redact::value::{Looks, looks};

use super::{Begin, Left, Rule, is_token, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[Rule {
    harmless: &[
        "test_api_key_rotation_keeps_old_tokens",
        "pk_live_{a32}",
        "my_api_key_that_is_used_for_everything",
    ],
    begin: Begin::Run(48, is_token),
    left: Left::Alone,
    entropy_min: 3.6,
    accept: is_secret_by_prefix,
    ..token(
        "vendor-secret",
        "secret whose prefix says that it is one",
        "secret",
        &[
            "_live_", "_test_", "_prod_", "_sk_", "_pat_", "-pat-", "_secret_", "_token_", "_api_",
            "-api-", "_apikey_", "_key_", "_rk_", "_at_", "_sat_", "_uat_",
        ],
        r"[A-Za-z][A-Za-z0-9]{0,15}(?:[_-][A-Za-z0-9]{1,12}){0,3}[_-](?:live|test|prod|sk|pat|secret|token|api|apikey|key|rk|at|sat|uat)[_-](?:[A-Za-z0-9]{1,12}[_-]){0,2}[A-Za-z0-9]{20,}",
        &["acme_live_{a32}", "foo_sk_{a40}", "bar-pat-{a30}", "zed_api_v1_{a40}"],
    )
}];

/// Whether the last part is random, and no part says that all of it is public.
fn is_secret_by_prefix(token: &[u8]) -> bool {
    let mut parts = token.split(|byte| matches!(byte, b'_' | b'-'));
    let public = |part: &[u8]| matches!(part, b"pk" | b"pub" | b"public" | b"publishable" | b"id");
    if parts.clone().any(public) {
        return false;
    }
    let body = parts.next_back().unwrap_or_default();
    looks(body) >= Looks::Random
}
