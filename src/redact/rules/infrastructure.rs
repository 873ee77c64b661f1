//! Infrastructure and secret managers.

use crate::redact::value::{Looks, looks};

use super::{Begin, Left, Rule, is_token, random, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    token(
        "vault-token",
        "token of Vault",
        "vault_token",
        &["hvs.", "hvb.", "hvr."],
        r"hv[sbr]\.[A-Za-z0-9_-]{20,}",
        &["hvs.{s90}", "hvb.{s140}"],
    ),
    Rule {
        begin: Begin::Run(16, is_token),
        ..token(
            "terraform-cloud-token",
            "token of Terraform Cloud",
            "infrastructure_token",
            &[".atlasv1."],
            r"[A-Za-z0-9]{10,16}\.atlasv1\.[A-Za-z0-9_=-]{40,}",
            &["{a14}.atlasv1.{s67}"],
        )
    },
    token(
        "doppler-token",
        "token of Doppler",
        "infrastructure_token",
        &["dp.pt.", "dp.ct.", "dp.st.", "dp.sa.", "dp.scim.", "dp.audit.", "dp.said."],
        r"dp\.(?:pt|ct|st|sa|scim|audit|said)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{36,}",
        &["dp.pt.{a43}", "dp.st.prd.{a43}"],
    ),
    token(
        "openshift-token",
        "token of OpenShift",
        "infrastructure_token",
        &["sha256~"],
        r"sha256~[A-Za-z0-9_-]{40,}",
        &["sha256~{s43}"],
    ),
    token(
        "age-key",
        "secret key of age",
        "private_key",
        &["AGE-SECRET-KEY-"],
        r"AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{50,}",
        &["AGE-SECRET-KEY-1{u58}", "AGE-SECRET-KEY-PQ-1{u58}"],
    ),
    shy(
        token(
            "laravel-key",
            "key of a Laravel application",
            "secret",
            &["base64:"],
            "base64:[A-Za-z0-9+/]{43}=",
            &["base64:{b43}="],
        ),
        4.0,
    ),
    token(
        "confab-key",
        "key of confab",
        "confab_key",
        &["cfb_"],
        r"cfb_[A-Za-z0-9_-]{36,}",
        &["cfb_{s40}"],
    ),
    Rule {
        harmless: &[
            "127.0.0.1:5432: connection refused",
            "https://x.org:5432:/a",
            "daemon:*:19000:0:99999:7:::",
        ],
        accept: |secret| looks(secret) >= Looks::Weak,
        before: r":(?:[0-9]{4,5}|\*):[^\s:/@]{1,64}:[^\s:/@]{1,64}:",
        ..token(
            "pgpass-password",
            "password of a line in .pgpass",
            "password",
            &[":5432:", ":5433:", ":6543:", ":26257:", ":*:"],
            r#"[^\s:"\x27\\]{4,}"#,
            &["{z6}.acme.io:5432:app:svc:«{a12}»"],
        )
    },
    token(
        "rancher-token",
        "token of Rancher",
        "infrastructure_token",
        &["token-", "kubeconfig-"],
        "(?:token|kubeconfig)-[a-z0-9-]{5,40}:[a-z0-9]{54}",
        &["token-{l5}:{l54}", "kubeconfig-user-{l10}:{l54}"],
    ),
    shy(
        token(
            "k3s-token",
            "token to join a K3s cluster",
            "infrastructure_token",
            &["K10"],
            "K10[0-9a-f]{64}::[A-Za-z0-9:._-]{16,}",
            &["K10{h64}::server:{h32}"],
        ),
        3.0,
    ),
    token(
        "docker-swarm-token",
        "token to join or key to unlock a Docker swarm",
        "infrastructure_token",
        &["SWMTKN-", "SWMKEY-"],
        "(?:SWMTKN-[0-9]-[a-z0-9]{40,}-[a-z0-9]{25}|SWMKEY-[0-9]-[A-Za-z0-9+/]{43})",
        &["SWMTKN-1-{l50}-{l25}", "SWMKEY-1-{b43}"],
    ),
    shy(
        token(
            "infisical-token",
            "service token of Infisical",
            "infrastructure_token",
            &["st."],
            r"st\.[0-9a-f]{24}\.[0-9a-f]{32}(?:\.[0-9a-f]{32})?",
            &["st.{h24}.{h32}.{h32}"],
        ),
        3.0,
    ),
    Rule {
        left: Left::Alone,
        ..shy(
            token(
                "fernet-token",
                "Fernet token, as of OpenStack",
                "infrastructure_token",
                &["gAAAAA"],
                "gAAAAA[A-Za-z0-9_-]{70,}={0,2}",
                &["gAAAAAB{s150}=="],
            ),
            4.5,
        )
    },
    shy(
        token(
            "netbird-token",
            "token of NetBird",
            "infrastructure_token",
            &["nbp_"],
            "nbp_[A-Za-z0-9]{36}",
            &["nbp_{a36}"],
        ),
        3.0,
    ),
    token(
        "defined-networking-key",
        "key of Defined Networking",
        "infrastructure_token",
        &["dnkey-"],
        "dnkey-[A-Za-z0-9_=-]{26}-[A-Za-z0-9_=-]{52}",
        &["dnkey-{s26}-{s52}"],
    ),
    token(
        "unkey-key",
        "key of Unkey",
        "infrastructure_token",
        &["unkey_"],
        "unkey_[A-Za-z0-9]{20,}",
        &["unkey_{a22}"],
    ),
    Rule {
        // The signs behind the keyword are not those of most tokens.
        begin: Begin::Before(0),
        ..token(
            "django-secret-key",
            "secret key that Django has made",
            "secret",
            &["django-insecure-"],
            "django-insecure-[a-z0-9!@#$%^&*(_=+)-]{40,}",
            &["django-insecure-{l30}#{l10}-{l9}"],
        )
    },
    shy(
        token(
            "localstack-token",
            "token of LocalStack",
            "infrastructure_token",
            &["ls-"],
            "ls-[A-Za-z0-9]{8}-[A-Za-z0-9]{4}-[A-Za-z0-9]{4}-[A-Za-z0-9]{4}-[A-Za-z0-9]{12}",
            &["ls-{a8}-{a4}-{a4}-{a4}-{a12}"],
        ),
        3.0,
    ),
    shy(
        token(
            "zuplo-key",
            "key of Zuplo",
            "infrastructure_token",
            &["zpka_", "zpcs_"],
            "zp(?:ka|cs)_[0-9a-f]{32}_[0-9a-f]{8}",
            &["zpka_{h32}_{h8}"],
        ),
        3.0,
    ),
    random(token(
        "pangea-token",
        "token of Pangea",
        "infrastructure_token",
        &["pts_", "ptp_"],
        "pt[sp]_[a-z0-9]{32}",
        &["pts_{l32}"],
    )),
    token(
        "apollo-key",
        "key of Apollo GraphOS",
        "infrastructure_token",
        &["service:", "user:gh."],
        r"(?:service:[A-Za-z0-9-]{1,64}|user:gh\.[A-Za-z0-9-]{1,64}):[A-Za-z0-9_-]{22}",
        &["service:acme:{s22}", "user:gh.{h8}:{s22}"],
    ),
];
