//! Infrastructure, monitoring and secret managers.

use crate::redact::value::{Looks, looks};

use super::{Begin, Rule, is_token, shy, token};

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
            r"A3-[A-Z0-9]{6}-[A-Z0-9]{5,6}-[A-Z0-9]{5,6}-[A-Z0-9]{5}-[A-Z0-9]{5}(?:-[A-Z0-9]{5})?",
            &["A3-{u6}-{u6}-{u5}-{u5}-{u5}"],
        ),
        3.0,
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
        "grafana-token",
        "token of Grafana",
        "monitoring_token",
        &["glsa_", "glc_", "eyJrIjoi"],
        r"(?:glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}|glc_[A-Za-z0-9+/=_-]{32,}|eyJrIjoi[A-Za-z0-9+/=_-]{60,})",
        &["glsa_{a32}_{h8}", "glc_{b60}", "eyJrIjoi{b70}"],
    ),
    token(
        "new-relic-key",
        "key of New Relic",
        "monitoring_token",
        &["NRAK-", "NRAL-", "NRII-", "NRIQ-", "NRJS-", "NRSP-", "NRRA-", "NRAA-", "NRBR-"],
        r"NR(?:AK|AL|II|IQ|JS|SP|RA|AA|BR)-[A-Za-z0-9_-]{19,}",
        &["NRAK-{u27}", "NRII-{s32}"],
    ),
    token(
        "sentry-token",
        "token of Sentry",
        "monitoring_token",
        &["sntrys_", "sntryu_", "sntrya_"],
        r"sntry[sua]_[A-Za-z0-9+/=_-]{60,}",
        &["sntryu_{h64}", "sntrys_eyJ{b120}_{b43}"],
    ),
    token(
        "dynatrace-token",
        "token of Dynatrace",
        "monitoring_token",
        &["dt0"],
        r"dt0[a-z][0-9]{2}\.[A-Z0-9]{8,24}\.[A-Z0-9]{60,}",
        &["dt0c01.{u24}.{u64}"],
    ),
    token(
        "honeycomb-key",
        "key of Honeycomb",
        "monitoring_token",
        &["hcaik_", "hcbik_", "hcalk_", "hcamk_"],
        r"hc[ab][a-z]k_[A-Za-z0-9]{40,}",
        &["hcaik_{l58}"],
    ),
    shy(
        token(
            "posthog-key",
            "personal key of PostHog",
            "monitoring_token",
            &["phx_", "phs_"],
            r"ph[xs]_[A-Za-z0-9]{40,}",
            &["phx_{a43}"],
        ),
        3.6,
    ),
    token(
        "axiom-token",
        "token of Axiom or Logfire",
        "monitoring_token",
        &["xaat-", "xapt-", "pylf_v1_"],
        r"(?:xa[ap]t-[0-9a-f-]{36}|pylf_v1_[a-z]{2}_[A-Za-z0-9]{40,})",
        &["xaat-{h8}-{h4}-{h4}-{h4}-{h12}", "pylf_v1_us_{a43}"],
    ),
    shy(
        token(
            "statsig-key",
            "server secret of Statsig",
            "monitoring_token",
            &["secret-"],
            r"secret-[A-Za-z0-9]{30,}",
            &["secret-{a48}"],
        ),
        3.8,
    ),
    shy(
        token(
            "infracost-key",
            "key of Infracost",
            "infrastructure_token",
            &["ico-"],
            r"ico-[A-Za-z0-9]{32}",
            &["ico-{a32}"],
        ),
        3.6,
    ),
    token(
        "age-key",
        "secret key of age",
        "private_key",
        &["AGE-SECRET-KEY-1"],
        r"AGE-SECRET-KEY-1[A-Z0-9]{50,}",
        &["AGE-SECRET-KEY-1{u58}"],
    ),
    token(
        "confab-key",
        "key of confab",
        "confab_key",
        &["cfb_"],
        r"cfb_[A-Za-z0-9_-]{36,}",
        &["cfb_{s40}"],
    ),
    shy(
        token(
            "launchdarkly-key",
            "key of LaunchDarkly",
            "infrastructure_token",
            &["sdk-", "api-", "mob-"],
            r"(?:sdk|api|mob)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            &["sdk-{h8}-{h4}-{h4}-{h4}-{h12}"],
        ),
        3.0,
    ),
    shy(
        token(
            "flagsmith-key",
            "server key of Flagsmith",
            "infrastructure_token",
            &["ser."],
            r"ser\.[A-Za-z0-9]{20,}",
            &["ser.{a22}"],
        ),
        3.6,
    ),
    token(
        "devcycle-key",
        "server key of DevCycle",
        "infrastructure_token",
        &["dvc_server_"],
        r"dvc_server_[A-Za-z0-9_]{30,}",
        &["dvc_server_{a40}"],
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
];
