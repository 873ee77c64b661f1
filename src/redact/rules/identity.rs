//! Who somebody is: logins and identity checks.

use super::{Rule, random, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    token(
        "stytch-secret",
        "secret of Stytch",
        "business_token",
        &["secret-live-", "secret-test-"],
        r"secret-(?:live|test)-[A-Za-z0-9_=-]{30,}",
        &["secret-test-{s36}"],
    ),
    token(
        "persona-key",
        "key of Persona",
        "business_token",
        &["persona_"],
        r"persona_(?:production|sandbox)_[0-9a-f-]{36}",
        &["persona_sandbox_{h8}-{h4}-{h4}-{h4}-{h12}"],
    ),
    token(
        "one-password-service-token",
        "service account token of 1Password",
        "infrastructure_token",
        &["ops_eyJ"],
        r"ops_eyJ[A-Za-z0-9+/=_-]{100,}",
        &["ops_eyJ{b250}"],
    ),
    shy(
        token(
            "one-password-secret-key",
            "secret key of 1Password",
            "infrastructure_token",
            &["A3-"],
            r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{5,6}-[A-Z0-9]{5,6})-[A-Z0-9]{5}-[A-Z0-9]{5}(?:-[A-Z0-9]{5})?",
            &["A3-{u6}-{u6}-{u5}-{u5}-{u5}", "A3-{u6}-{u11}-{u5}-{u5}-{u5}"],
        ),
        3.0,
    ),
    shy(
        token(
            "salesforce-token",
            "access or refresh token of Salesforce",
            "identity_token",
            &["00D", "5Aep861"],
            "(?:00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{80,}|5Aep861[A-Za-z0-9._=]{60,})",
            &["00D{a15}!AQ{a94}", "5Aep861{a80}"],
        ),
        3.0,
    ),
    Rule {
        before: "SSWS ",
        ..token(
            "okta-token",
            "token of Okta, in its header",
            "identity_token",
            &["SSWS "],
            "[A-Za-z0-9_-]{30,}",
            &["SSWS «00{s40}»"],
        )
    },
    shy(
        token(
            "ory-token",
            "token of Ory",
            "identity_token",
            &["ory_"],
            r"ory_[a-z]{2,6}_[A-Za-z0-9_-]{30,}(?:\.[A-Za-z0-9_-]{30,})?",
            &["ory_pat_{a32}", "ory_at_{s43}.{s43}"],
        ),
        3.0,
    ),
    shy(
        token(
            "authress-key",
            "service key of Authress",
            "identity_token",
            &["sc_", "ext_", "scauth_", "authress_"],
            r"(?:sc|ext|scauth|authress)_[A-Za-z0-9]{5,30}\.[A-Za-z0-9]{4,6}\.acc[_-][A-Za-z0-9-]{10,32}\.[A-Za-z0-9+/_=-]{30,120}",
            &["sc_{l10}.{l4}.acc_{l12}.{b60}"],
        ),
        3.0,
    ),
    token(
        "onfido-token",
        "token of Onfido",
        "identity_token",
        &["api_live", "api_sandbox"],
        r"api_(?:live|sandbox)(?:_[a-z]{2})?\.[A-Za-z0-9_-]{11}\.[A-Za-z0-9_-]{32}",
        &["api_live.{s11}.{s32}", "api_sandbox_us.{s11}.{s32}"],
    ),
    shy(
        token(
            "sumsub-token",
            "app token of Sumsub",
            "identity_token",
            &["prd:", "sbx:"],
            r"(?:prd|sbx):[A-Za-z0-9]{24}\.[A-Za-z0-9]{32}",
            &["prd:{a24}.{a32}"],
        ),
        3.0,
    ),
    random(token(
        "jumpcloud-key",
        "key of JumpCloud",
        "identity_token",
        &["jca_"],
        "jca_[A-Za-z0-9]{36}",
        &["jca_{a36}"],
    )),
];
