//! Formats that nobody has listed: a prefix that says that what follows is a secret, and a random
//! rest.

use crate::redact::value::{Looks, looks};

use super::{Begin, Left, Rule, is_random, is_token, token};

/// Bytes that the random part has at least.
const BODY_BYTES_MIN: usize = 20;
/// Parts of a prefix that say that a secret follows.
const HINTS: [&[u8]; 26] = [
    b"live",
    b"test",
    b"prod",
    b"production",
    b"sandbox",
    b"dev",
    b"sk",
    b"rk",
    b"pat",
    b"at",
    b"oat",
    b"sat",
    b"uat",
    b"sec",
    b"secret",
    b"private",
    b"token",
    b"api",
    b"apikey",
    b"key",
    b"auth",
    b"oauth",
    b"access",
    b"refresh",
    b"admin",
    b"server",
];
/// Parts that say that all of it is public, or only names something.
const PUBLIC: [&[u8]; 7] = [b"pk", b"pub", b"public", b"publishable", b"pubkey", b"id", b"anon"];

/// The rules of this family.
pub const RULES: &[Rule] = &[Rule {
    begin: Begin::Run(32, is_token),
    left: Left::Alone,
    entropy_min: 3.3,
    accept: is_secret_by_prefix,
    harmless: &[
        "test_api_key_rotation_keeps_old_tokens",
        "pk_live_{a32}",
        "acme_pub_live_{a32}",
        "my_api_key_that_is_used_for_everything",
        "test_ecdsa_prime256v1_sha512_using_rsa_algorithm",
        "payment-api-deployment-{l10}-{l5}",
        "registry.example.org/acme-api-{h40}",
        "user_api_key_id_{a24}",
        "target/debug/deps/secret_store-{h16}",
        "test_mm512_mask_cvtusepi16_storeu_epi8",
    ],
    ..token(
        "vendor-secret",
        "secret whose prefix says that it is one",
        "secret",
        &[
            "_live_",
            "_test_",
            "_prod_",
            "_production_",
            "_sandbox_",
            "_dev_",
            "_sk_",
            "_rk_",
            "pat_",
            "_at_",
            "_oat_",
            "_sat_",
            "_uat_",
            "_sec_",
            "secret_",
            "private_",
            "_token_",
            "_api_",
            "_apikey_",
            "_key_",
            "_auth_",
            "_oauth_",
            "_access_",
            "_refresh_",
            "_admin_",
            "_server_",
            "pat-",
            "-sk-",
            "-secret-",
            "-token-",
            "-api-",
            "-key-",
        ],
        r"[A-Za-z][A-Za-z0-9]{0,15}(?:[_-][A-Za-z0-9]{1,12}){0,5}[_-][A-Za-z0-9_-]{20,}",
        &[
            "acme_live_{a32}",
            "foo_sk_{a40}",
            "bar-pat-{a30}",
            "zed_api_v1_{a40}",
            "acmepat_{a36}",
            "secret_user_{a40}",
            "bb_live_{s40}",
            "acme_oat_{h40}",
        ],
    )
}];

/// Whether what follows the last hint is random, and no part before it says that it is public.
/// Behind a hyphen it must be beyond doubt: builds and branches are named like that.
fn is_secret_by_prefix(token: &[u8]) -> bool {
    let mut start = 0;
    let mut body = None;
    while let Some(length) = token[start..].iter().position(|byte| matches!(byte, b'_' | b'-')) {
        let end = start + length;
        let part = &token[start..end];
        if body.is_none_or(|(body, _)| start == body) && PUBLIC.contains(&part) {
            return false;
        }
        let hint = HINTS.contains(&part) || part.ends_with(b"pat");
        if hint && token.len() - end > BODY_BYTES_MIN {
            body = Some((end + 1, token[end]));
        }
        start = end + 1;
    }
    let Some((body, separator)) = body else { return false };
    is_random(&token[body..]) && (separator != b'-' || looks(&token[body..]) == Looks::Strong)
}
