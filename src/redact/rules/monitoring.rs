//! Monitoring, feature flags and incidents.

use super::{Begin, Left, Rule, is_token, random, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    token(
        "grafana-token",
        "token of Grafana",
        "monitoring_token",
        &["glsa_", "glc_", "eyJrIjoi"],
        r"(?:glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}|glc_[A-Za-z0-9+/=_-]{32,}|eyJrIjoi[A-Za-z0-9+/=_-]{60,})",
        &["glsa_{a32}_{h8}", "glc_{b60}", "eyJrIjoi{b70}"],
    ),
    Rule {
        begin: Begin::Before(36),
        left: Left::Alone,
        ..token(
            "new-relic-license",
            "license key of New Relic",
            "monitoring_token",
            &["NRAL"],
            "[0-9a-zA-Z]{36}NRAL",
            &["{h36}NRAL", "eu01xx{h30}NRAL", "{h32}FFFFNRAL"],
        )
    },
    token(
        "new-relic-key",
        "key of New Relic",
        "monitoring_token",
        &["NRAK-", "NRAL-", "NRII-", "NRIQ-", "NRJS-", "NRSP-", "NRRA-", "NRAA-", "NRBR-"],
        r"NR(?:AK|AL|II|IQ|JS|SP|RA|AA|BR)-[A-Za-z0-9_-]{19,}",
        &["NRAK-{u27}", "NRII-{s32}"],
    ),
    Rule {
        begin: Begin::Run(40, is_token),
        ..token(
            "unleash-token",
            "token of Unleash",
            "monitoring_token",
            &[":production.", ":development.", ":staging.", ":test.", "*:*."],
            r"[A-Za-z0-9_-]*(?:\*:\*|:(?:production|development|staging|test))\.[0-9a-f]{50,}",
            &["default:production.{h56}", "*:*.{h56}"],
        )
    },
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
            &["secret-", "console-"],
            r"(?:secret|console)-[A-Za-z0-9]{30,}",
            &["secret-{a48}"],
        ),
        3.8,
    ),
    shy(
        token(
            "launchdarkly-key",
            "key of LaunchDarkly",
            "infrastructure_token",
            &["sdk-", "api-", "rel-"],
            r"(?:sdk|api|rel)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
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
    random(token(
        "configcat-key",
        "SDK key of ConfigCat",
        "infrastructure_token",
        &["configcat-sdk-"],
        "configcat-sdk-[0-9]/[A-Za-z0-9_-]{22}/[A-Za-z0-9_-]{22}",
        &["configcat-sdk-1/{a22}/{a22}"],
    )),
    shy(
        token(
            "datadog-key",
            "key or token of Datadog",
            "monitoring_token",
            &["ddpat_", "ddap_", "ddsat_"],
            "dd(?:pat|ap|sat)_[A-Za-z0-9_]{30,}",
            &["ddpat_{a22}_{a40}", "ddap_{a40}"],
        ),
        3.0,
    ),
    shy(
        token(
            "elastic-token",
            "key or token of Elastic",
            "monitoring_token",
            &["essu_", "AAEAAWVsYXN0aWM"],
            "(?:essu_[A-Za-z0-9+/_-]{40,}={0,2}|AAEAAWVsYXN0aWM[A-Za-z0-9+/_-]{30,}={0,2})",
            &["essu_{b80}==", "AAEAAWVsYXN0aWMv{b60}"],
        ),
        3.0,
    ),
    token(
        "rootly-key",
        "key of Rootly",
        "monitoring_token",
        &["rootly_"],
        "rootly_[0-9a-f]{60,}",
        &["rootly_{h64}"],
    ),
    shy(
        token(
            "firehydrant-key",
            "key of FireHydrant",
            "monitoring_token",
            &["fhb-"],
            "fhb-[0-9a-f]{32,}",
            &["fhb-{h40}"],
        ),
        3.0,
    ),
    shy(
        token(
            "checkly-key",
            "key of Checkly",
            "monitoring_token",
            &["cu_"],
            "cu_[0-9a-f]{32}",
            &["cu_{h32}"],
        ),
        3.0,
    ),
    random(token(
        "coralogix-key",
        "key of Coralogix",
        "monitoring_token",
        &["cxth_", "cxtp_", "cxup_"],
        "cx(?:th|tp|up)_[A-Za-z0-9]{28,}",
        &["cxtp_{a30}"],
    )),
    shy(
        token(
            "wakatime-key",
            "key of WakaTime",
            "monitoring_token",
            &["waka_"],
            "waka_[0-9a-f]{8}-[0-9a-f-]{27}",
            &["waka_{h8}-{h4}-{h4}-{h4}-{h12}"],
        ),
        3.0,
    ),
];
