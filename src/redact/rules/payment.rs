//! Payments and trade.

use super::{Begin, Left, Rule, is_token, random, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        harmless: &["pk_live_{a24}", "sk_test_..."],
        ..token(
            "stripe-key",
            "secret or restricted key of Stripe",
            "stripe_key",
            &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_prod_", "rk_prod_", "sk_org_"],
            r"[sr]k_(?:org_)?(?:live|test|prod)_[0-9a-zA-Z]{16,}[0-9a-zA-Z_-]*",
            &["sk_live_{a24}", "rk_test_51{a97}", "sk_test_51{a97}", "sk_org_live_{a60}"],
        )
    },
    Rule {
        begin: Begin::Run(40, is_token),
        left: Left::Alone,
        harmless: &["reset_the_client_secret_of_the_application_on_request"],
        ..token(
            "stripe-client-secret",
            "client secret of a payment of Stripe",
            "stripe_key",
            &["_secret_"],
            r"[a-z]{2,10}_[A-Za-z0-9]{14,}_secret_[A-Za-z0-9]{20,}",
            &["pi_{a24}_secret_{a25}", "seti_{a24}_secret_{a25}"],
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
    token(
        "square-token",
        "token of Square",
        "payment_token",
        &["sq0atp-", "sq0csp-", "sq0idp-"],
        r"sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{20,}",
        &["sq0atp-{s22}", "sq0csp-{s43}"],
    ),
    Rule {
        left: Left::Alone,
        ..shy(
            token(
                "square-access-token",
                "access token of Square",
                "payment_token",
                &["EAAA"],
                r"EAAA[A-Za-z0-9_-]{58,62}",
                &["EAAA{s60}"],
            ),
            4.5,
        )
    },
    token(
        "shopify-token",
        "token of Shopify",
        "payment_token",
        &["shpat_", "shpca_", "shppa_", "shpss_", "shptka_", "shpua_", "shpsa_"],
        r"shp(?:at|ca|pa|ss|tka|ua|sa)_[0-9a-fA-F]{30,}",
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
        &["FLWSECK"],
        r"FLWSECK(?:_TEST)?-[0-9a-zA-Z]{12,}(?:-X)?",
        &["FLWSECK_TEST-{h32}-X"],
    ),
    Rule {
        left: Left::Alone,
        harmless: &[
            "test_password_reset_token_expires_after_one_hour2",
            "live_reload_of_pages_with_unsaved_changes",
            "test_ecdsa_prime256v1_sha512_using_rsa_algorithm",
            "test_mm512_mask_cvtusepi16_storeu_epi8",
            "test_ecdsa_prime256v1_sha512_spki_params_null",
        ],
        ..random(token(
            "gocardless-token",
            "token of GoCardless, Lob or Mollie",
            "payment_token",
            &["live_", "test_", "sandbox_"],
            r"(?:live|test|sandbox)_[A-Za-z0-9_-]{30,}",
            &["live_{s40}", "test_{a30}", "live_{h35}", "sandbox_{s40}"],
        ))
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
    shy(
        token(
            "paddle-key",
            "key of Paddle",
            "payment_token",
            &["pdl_"],
            "pdl_(?:live_|sdbx_|ntfset_)?[A-Za-z0-9_]{40,}",
            &["pdl_live_apikey_{l26}_{a22}_{a3}", "pdl_ntfset_{l26}_{a32}"],
        ),
        3.0,
    ),
    token(
        "midtrans-key",
        "server key of Midtrans",
        "payment_token",
        &["Mid-server-"],
        "Mid-server-[A-Za-z0-9_-]{20,}",
        &["Mid-server-{s24}"],
    ),
    Rule {
        harmless: &["xnd_public_production_{a60}"],
        ..shy(
            token(
                "xendit-key",
                "key of Xendit",
                "payment_token",
                &["xnd_"],
                "xnd_(?:production|development)_[A-Za-z0-9]{40,}",
                &["xnd_production_{a60}"],
            ),
            3.0,
        )
    },
    Rule {
        harmless: &["TEST-1234567890123456-123456"],
        ..shy(
            token(
                "mercado-pago-token",
                "access token of Mercado Pago",
                "payment_token",
                &["APP_USR-", "TEST-"],
                "(?:APP_USR|TEST)-[0-9]{10,18}-[0-9]{6}-[0-9a-f]{32}-[0-9]{6,12}",
                &["APP_USR-{d16}-{d6}-{h32}-{d9}"],
            ),
            3.0,
        )
    },
    shy(
        token(
            "asaas-key",
            "key of Asaas",
            "payment_token",
            &["aact_"],
            "aact_[A-Za-z0-9_+/=:$-]{60,}",
            &["aact_prod_{b150}"],
        ),
        3.0,
    ),
    shy(
        token(
            "rapyd-key",
            "secret key of Rapyd",
            "payment_token",
            &["rsk_"],
            "rsk_[0-9a-f]{60,}",
            &["rsk_{h96}"],
        ),
        3.0,
    ),
    shy(
        token(
            "klaviyo-key",
            "private key of Klaviyo",
            "payment_token",
            &["pk_"],
            "pk_[0-9a-f]{34}",
            &["pk_{h34}"],
        ),
        3.0,
    ),
    shy(
        token(
            "woocommerce-key",
            "key of WooCommerce",
            "payment_token",
            &["ck_", "cs_"],
            "c[ks]_[0-9a-f]{40}",
            &["ck_{h40}", "cs_{h40}"],
        ),
        3.0,
    ),
    shy(
        token(
            "ebay-key",
            "key of eBay",
            "payment_token",
            &["PRD-", "SBX-"],
            r"(?:PRD|SBX)-[0-9a-f]{12}(?:-[0-9a-f]{4}){4}",
            &["PRD-{h12}-{h4}-{h4}-{h4}-{h4}"],
        ),
        2.6,
    ),
    Rule {
        // A keyword of its own spelling: the signs behind it are not those of most tokens.
        begin: Begin::Before(0),
        ..token(
            "ebay-token",
            "token of eBay",
            "payment_token",
            &["v^1.1#"],
            r"v\^1\.1#[A-Za-z0-9#^+/=]{60,}",
            &["v^1.1#i^1#r^0#{b160}"],
        )
    },
];
