//! Where source code is kept and checked.

use super::{Left, Rule, random, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        harmless: &["(ghp_[0-9a-zA-Z]{36})", "ghp_..."],
        ..token(
            "github-token",
            "personal access, OAuth, app or refresh token of GitHub",
            "github_token",
            &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
            r"gh[pousr]_(?:[A-Za-z0-9]{1,20}_eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}|[A-Za-z0-9]{36,})",
            &[
                "ghp_{a36}",
                "gho_{a36}",
                "ghu_{a36}",
                "ghs_{a36}",
                "ghr_{a76}",
                "ghs_{d6}_eyJ{s34}.{s200}.{s86}",
            ],
        )
    },
    token(
        "github-fine-grained-token",
        "fine-grained token of GitHub",
        "github_token",
        &["github_pat_"],
        r"github_pat_[A-Za-z0-9_]{22,}",
        &["github_pat_{a22}_{a59}"],
    ),
    Rule {
        harmless: &["glpat-XXXXXXXXXXXXXXXXXXXX"],
        ..token(
            "gitlab-token",
            "token of GitLab",
            "gitlab_token",
            &[
                "glpat-", "gldt-", "glcbt-", "glptt-", "glft-", "glffct-", "glimt-", "glagent-",
                "gloas-", "glrt-", "glrtr-", "glsoat-", "glwt-",
            ],
            r"gl(?:pat|dt|cbt|ptt|ft|ffct|imt|agent|oas|rt|rtr|soat|wt)-[A-Za-z0-9_=.-]{18,}",
            &[
                "glpat-{s20}",
                "glptt-{h40}",
                "glrt-t1_{s20}",
                "glcbt-{h2}_{s20}",
                "glpat-{s27}.01.{l9}",
            ],
        )
    },
    token(
        "gitlab-runner-registration",
        "registration token of GitLab runners",
        "gitlab_token",
        &["GR1348941"],
        r"GR1348941[A-Za-z0-9_-]{18,}",
        &["GR1348941{s20}"],
    ),
    token(
        "atlassian-token",
        "token of Atlassian",
        "atlassian_token",
        &["ATATT3", "ATCTT3", "ATSTT3"],
        r"AT[ACS]TT3[A-Za-z0-9_=-]{60,}",
        &["ATATT3xFfGF0{s170}={H8}"],
    ),
    Rule {
        left: Left::Alone,
        ..token(
            "bitbucket-app-password",
            "app password of Bitbucket",
            "atlassian_token",
            &["ATBB"],
            r"ATBB[A-Za-z0-9]{24,40}",
            &["ATBB{a24}{H8}"],
        )
    },
    token(
        "sourcegraph-token",
        "token of Sourcegraph or Segment",
        "source_token",
        &["sgp_", "slk_", "sgd_"],
        r"(?:sgp_[A-Za-z0-9]{64}|sgp_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}|slk_[0-9a-f]{64}|sgd_[0-9a-f]{64})",
        &["sgp_{h16}_{h40}", "sgp_{h40}", "sgp_{a64}"],
    ),
    shy(
        token(
            "gitea-secret",
            "OAuth client secret of Gitea or Forgejo",
            "source_token",
            &["gto_"],
            r"gto_[a-z0-9]{40,}",
            &["gto_{l52}"],
        ),
        3.4,
    ),
    token(
        "snyk-token",
        "token of Snyk",
        "source_token",
        &["snyk_"],
        r"snyk_[a-z0-9]{2,6}\.[A-Za-z0-9_.-]{40,}",
        &["snyk_uat.{s60}"],
    ),
    token(
        "sonar-token",
        "token of SonarQube",
        "source_token",
        &["squ_", "sqp_", "sqa_"],
        r"sq[upa]_[0-9a-f]{40}",
        &["squ_{h40}"],
    ),
    shy(
        token(
            "qlty-token",
            "token of Qlty",
            "source_token",
            &["qltp_"],
            r"qltp_[A-Za-z0-9]{24,}",
            &["qltp_{a40}"],
        ),
        3.4,
    ),
    shy(
        token(
            "github-copilot-token",
            "session token of GitHub Copilot",
            "github_token",
            &["tid="],
            "tid=[0-9a-f]{32};[A-Za-z0-9=;:._/-]{40,}",
            &["tid={h32};exp={d10};sku=free;8kp=1:{h64}"],
        ),
        3.0,
    ),
    shy(
        token(
            "trello-token",
            "token of Trello",
            "atlassian_token",
            &["ATTA"],
            "ATTA[0-9a-f]{64}[0-9A-Fa-f]{8}",
            &["ATTA{h64}{H8}"],
        ),
        3.0,
    ),
    token(
        "socket-token",
        "token of Socket",
        "source_token",
        &["sktsec_"],
        "sktsec_[A-Za-z0-9_-]{30,}",
        &["sktsec_{a40}_api"],
    ),
    shy(
        token(
            "deepsource-token",
            "token of DeepSource",
            "source_token",
            &["dsp_"],
            "dsp_[0-9a-f]{40}",
            &["dsp_{h40}"],
        ),
        3.0,
    ),
    shy(
        token(
            "endor-key",
            "key of Endor Labs",
            "source_token",
            &["endr+"],
            r"endr\+[A-Za-z0-9-]{16,}",
            &["endr+{a16}"],
        ),
        3.0,
    ),
    shy(
        token(
            "mergify-key",
            "key of Mergify",
            "source_token",
            &["mka_"],
            "mka_[A-Za-z0-9_-]{40,}",
            &["mka_{s52}"],
        ),
        3.0,
    ),
    random(token(
        "merge-freeze-token",
        "token of Merge Freeze",
        "source_token",
        &["mfb_", "mfo_"],
        "mf[bo]_[A-Za-z0-9]{24,}",
        &["mfo_{a24}"],
    )),
];
