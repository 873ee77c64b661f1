//! Payments and trade.

use super::{Left, Rule, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        harmless: &["pk_live_{a24}", "sk_test_..."],
        ..token(
            "stripe-key",
            "secret or restricted key of Stripe, or webhook secret",
            "stripe_key",
            &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_prod_", "rk_prod_"],
            r"[sr]k_(?:live|test|prod)_[0-9a-zA-Z]{16,}",
            &["sk_live_{a24}", "rk_test_51{a97}", "sk_test_51{a97}"],
        )
    },
    token(
        "signing-secret",
        "signing secret of a web hook",
        "webhook",
        &["whsec_"],
        r"whsec_[A-Za-z0-9+/=_-]{24,}",
        &["whsec_{a32}"],
    ),
    token(
        "paypal-braintree-token",
        "access token of Braintree",
        "payment_token",
        &["access_token$"],
        r"access_token\$[a-z]+\$[0-9a-z]{16}\$[0-9a-f]{32}",
        &["access_token$production${l16}${h32}"],
    ),
    shy(
        token(
            "square-token",
            "token of Square",
            "payment_token",
            &["sq0atp-", "sq0csp-", "EAAA"],
            r"(?:sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{20,}|EAAA[A-Za-z0-9_-]{58,62})",
            &["sq0atp-{s22}", "sq0csp-{s43}", "EAAA{s60}"],
        ),
        3.2,
    ),
    token(
        "shopify-token",
        "token of Shopify",
        "payment_token",
        &["shpat_", "shpca_", "shppa_", "shpss_", "shptka_"],
        r"shp(?:at|ca|pa|ss|tka)_[0-9a-fA-F]{30,}",
        &["shpat_{h32}", "shpss_{h32}"],
    ),
    shy(
        token(
            "adyen-key",
            "key of Adyen",
            "payment_token",
            &["AQE"],
            r"AQE[A-Za-z0-9+/]{30,140}={0,2}-[A-Za-z0-9+/=]{20,}(?:-[A-Za-z0-9&({})<>=+/]{8,})?",
            &["AQEyhm{b80}-{b43}=-{a20}"],
        ),
        4.2,
    ),
    token(
        "plaid-token",
        "access token of Plaid",
        "payment_token",
        &["access-sandbox-", "access-development-", "access-production-"],
        r"access-(?:sandbox|development|production)-[0-9a-f]{8}-[0-9a-f-]{27}",
        &["access-sandbox-{h8}-{h4}-{h4}-{h4}-{h12}"],
    ),
    token(
        "razorpay-key",
        "key of Razorpay",
        "payment_token",
        &["rzp_live_", "rzp_test_"],
        r"rzp_(?:live|test)_[A-Za-z0-9]{14,}",
        &["rzp_live_{a14}"],
    ),
    token(
        "flutterwave-key",
        "secret key of Flutterwave",
        "payment_token",
        &["FLWSECK", "FLWPUBK_TEST-SECK"],
        r"FLWSECK(?:_TEST)?-[0-9a-zA-Z]{12,}(?:-X)?",
        &["FLWSECK_TEST-{h32}-X"],
    ),
    Rule {
        left: Left::Alone,
        accept: is_no_name_of_a_test,
        harmless: &[
            "test_password_reset_token_expires_after_one_hour2",
            "live_reload_of_pages_with_unsaved_changes",
            "test_ecdsa_prime256v1_sha512_spki_params_null",
        ],
        ..shy(
            token(
                "gocardless-token",
                "token of GoCardless, Lob or Mollie",
                "payment_token",
                &["live_", "test_"],
                r"(?:live|test)_[A-Za-z0-9_-]{30,}",
                &["live_{a40}", "test_{a30}"],
            ),
            4.1,
        )
    },
    token(
        "easypost-key",
        "key of EasyPost",
        "payment_token",
        &["EZAK", "EZTK"],
        r"EZ[AT]K[A-Za-z0-9]{50,}",
        &["EZAK{a54}"],
    ),
    token(
        "shippo-token",
        "token of Shippo",
        "payment_token",
        &["shippo_live_", "shippo_test_"],
        r"shippo_(?:live|test)_[0-9a-f]{40}",
        &["shippo_live_{h40}"],
    ),
    token(
        "duffel-token",
        "token of Duffel",
        "payment_token",
        &["duffel_live_", "duffel_test_"],
        r"duffel_(?:live|test)_[A-Za-z0-9_=-]{40,}",
        &["duffel_test_{s43}"],
    ),
];

/// `test_ed25519_from_seed_and_public_key` is the name of a function.
fn is_no_name_of_a_test(token: &[u8]) -> bool {
    let capitals = token.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    capitals >= 3 && digits >= 2
}
