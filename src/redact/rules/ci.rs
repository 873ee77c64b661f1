//! What builds, deploys and runs jobs.

use super::{Rule, random, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
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
        "circleci-token",
        "token of CircleCI",
        "ci_token",
        &["CCIPAT_", "CCIPRJ_"],
        r"CCIP(?:AT|RJ)_[A-Za-z0-9]{16,}_[0-9a-f]{40,}",
        &["CCIPAT_{a22}_{h40}"],
    ),
    shy(
        token(
            "buildkite-token",
            "token of Buildkite",
            "ci_token",
            &["bkua_", "bkct_", "bkaj_", "bkpt_", "bkat_", "bkpi_"],
            r"bk(?:ua|ct|aj|pt|at|pi)_[A-Za-z0-9]{32,}",
            &["bkua_{h40}"],
        ),
        3.0,
    ),
    shy(
        token(
            "harness-token",
            "token of Harness",
            "ci_token",
            &["pat.", "sat."],
            r"[ps]at\.[A-Za-z0-9_-]{22}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}",
            &["pat.{s22}.{h24}.{a20}"],
        ),
        3.6,
    ),
    shy(
        token(
            "octopus-key",
            "key of Octopus Deploy",
            "ci_token",
            &["API-"],
            r"API-[A-Z0-9]{25,40}",
            &["API-{u26}"],
        ),
        3.5,
    ),
    token(
        "teamcity-token",
        "token of TeamCity",
        "ci_token",
        &["eyJ0eXAiOiAiVENWMiJ9"],
        r"eyJ0eXAiOiAiVENWMiJ9\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{30,}",
        &["eyJ0eXAiOiAiVENWMiJ9.{s36}.{s48}"],
    ),
    shy(
        token(
            "pulumi-token",
            "token of Pulumi",
            "ci_token",
            &["pul-"],
            r"pul-[0-9a-f]{40}",
            &["pul-{h40}"],
        ),
        3.0,
    ),
    shy(
        token(
            "prefect-key",
            "key of Prefect",
            "ci_token",
            &["pnu_", "pnb_"],
            r"pn[ub]_[A-Za-z0-9]{36}",
            &["pnu_{a36}"],
        ),
        3.4,
    ),
    token(
        "scalingo-token",
        "token of Scalingo",
        "ci_token",
        &["tk-us-"],
        r"tk-us-[A-Za-z0-9_-]{40,}",
        &["tk-us-{s48}"],
    ),
    Rule {
        harmless: &["depot_tools_revision"],
        ..token(
            "depot-token",
            "token of Depot",
            "ci_token",
            &["depot_"],
            "depot_[a-z]{2,10}_[0-9a-f]{40,}",
            &["depot_org_{h64}", "depot_project_{h64}"],
        )
    },
    token(
        "inngest-key",
        "signing or event key of Inngest",
        "ci_token",
        &["signkey-"],
        "signkey-[a-z]{2,8}-[0-9a-f]{32,}",
        &["signkey-prod-{h64}"],
    ),
    shy(
        token(
            "trigger-key",
            "key of Trigger.dev",
            "ci_token",
            &["tr_dev_", "tr_prod_", "tr_stg_", "tr_preview_", "tr_pat_"],
            "tr_(?:dev|prod|stg|preview|pat)_[A-Za-z0-9]{20,}",
            &["tr_dev_{a20}", "tr_pat_{l40}"],
        ),
        3.4,
    ),
    token(
        "retool-token",
        "token of Retool",
        "ci_token",
        &["retool_"],
        "retool_[A-Za-z0-9]{24,}",
        &["retool_01{l28}"],
    ),
    random(token(
        "dbt-token",
        "token of dbt",
        "ci_token",
        &["dbtc_", "dbtu_", "dbts_"],
        "dbt[cus]_[A-Za-z0-9_=-]{36,}",
        &["dbtc_{s43}"],
    )),
    Rule {
        harmless: &["ptr_to_the_first_element_of_the_array_of_16_bytes"],
        ..random(token(
            "portainer-token",
            "token of Portainer",
            "ci_token",
            &["ptr_"],
            "ptr_[A-Za-z0-9+/]{40,}=?",
            &["ptr_{a43}="],
        ))
    },
];
