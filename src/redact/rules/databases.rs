//! Databases and queues.

use super::{Begin, Left, Rule, random, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    token(
        "supabase-token",
        "token of Supabase",
        "cloud_token",
        &["sbp_", "sb_secret_"],
        r"(?:sbp_(?:v0_|oauth_)?[0-9a-f]{40,}|sb_secret_[A-Za-z0-9_-]{22,})",
        &["sbp_{h40}", "sb_secret_{s31}"],
    ),
    shy(
        token(
            "neon-token",
            "key or password of Neon",
            "cloud_token",
            &["napi_", "npg_"],
            r"(?:napi_[a-z0-9]{40,}|npg_[A-Za-z0-9]{12,})",
            &["napi_{l64}", "npg_{a12}"],
        ),
        2.8,
    ),
    token(
        "planetscale-token",
        "token or password of PlanetScale",
        "cloud_token",
        &["pscale_tkn_", "pscale_oauth_", "pscale_pw_"],
        r"pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_.=-]{32,}",
        &["pscale_tkn_{s43}", "pscale_pw_{s43}"],
    ),
    shy(
        token(
            "xata-key",
            "key of Xata",
            "cloud_token",
            &["xau_"],
            r"xau_[A-Za-z0-9]{30,}",
            &["xau_{a36}"],
        ),
        3.4,
    ),
    shy(
        token(
            "fauna-key",
            "key of Fauna",
            "cloud_token",
            &["fnAE", "fnAF"],
            r"fnA[EF][A-Za-z0-9_-]{34,}",
            &["fnAE{s36}"],
        ),
        3.6,
    ),
    token(
        "mongodb-atlas-secret",
        "service account secret of MongoDB Atlas",
        "cloud_token",
        &["mdb_sa_sk_"],
        r"mdb_sa_sk_[A-Za-z0-9_-]{36,}",
        &["mdb_sa_sk_{s40}"],
    ),
    shy(
        token(
            "aiven-password",
            "password of an Aiven service",
            "password",
            &["AVNS_"],
            r"AVNS_[A-Za-z0-9_-]{16,}",
            &["AVNS_{s19}"],
        ),
        3.2,
    ),
    token(
        "cockroach-key",
        "key of CockroachDB Cloud",
        "database_token",
        &["CCDB1_"],
        "CCDB1_[A-Za-z0-9]{20,}_[A-Za-z0-9]{36,}",
        &["CCDB1_{a22}_{a40}"],
    ),
    token(
        "astra-token",
        "token of Astra DB",
        "database_token",
        &["AstraCS:"],
        "AstraCS:[A-Za-z0-9]{20,}:[0-9a-f]{64}",
        &["AstraCS:{a24}:{h64}"],
    ),
    shy(
        token(
            "tinybird-token",
            "token of Tinybird",
            "database_token",
            &["p.eyJ"],
            r"p\.eyJ[A-Za-z0-9_-]{30,}\.[A-Za-z0-9_-]{30,}",
            &["p.eyJ{s80}.{s43}"],
        ),
        3.0,
    ),
    shy(
        token(
            "clickhouse-cloud-secret",
            "key secret of ClickHouse Cloud",
            "database_token",
            &["4b1d"],
            "4b1d[A-Za-z0-9]{38}",
            &["4b1d{a38}"],
        ),
        4.2,
    ),
    shy(
        token(
            "convex-key",
            "deploy key of Convex",
            "database_token",
            &["prod:", "dev:", "preview:"],
            r"(?:prod|dev|preview):[a-z0-9-]{3,60}(?::[a-z0-9-]{3,60})?\|[A-Za-z0-9+/=]{40,}",
            &["prod:happy-animal-123|{a60}", "dev:small-bird-7|eyJ2MiI6I{b60}=="],
        ),
        3.0,
    ),
    token(
        "appwrite-key",
        "key of Appwrite",
        "database_token",
        &["standard_"],
        "standard_[0-9a-f]{64,}",
        &["standard_{h128}"],
    ),
    shy(
        token(
            "confluent-secret",
            "key secret of Confluent",
            "database_token",
            &["cflt"],
            "cflt[A-Za-z0-9+/]{60}",
            &["cflt{b60}"],
        ),
        3.0,
    ),
    Rule {
        begin: Begin::Before(4),
        left: Left::Alone,
        ..token(
            "upstash-token",
            "token of Upstash",
            "database_token",
            &["ASQg", "AAIjcD", "AAIncD"],
            "A[A-Za-z0-9_-]{3}(?:ASQg|AAI[jn]cD)[A-Za-z0-9+/=_-]{40,}",
            &["A{a3}ASQg{b60}"],
        )
    },
    token(
        "qstash-token",
        "token of QStash",
        "database_token",
        &["eyJVc2VySUQi"],
        "eyJVc2VySUQi[A-Za-z0-9+/=_-]{40,}",
        &["eyJVc2VySUQiOi{b90}="],
    ),
    random(token(
        "qstash-signing-key",
        "signing key of QStash",
        "database_token",
        &["sig_"],
        "sig_[A-Za-z0-9]{28,36}",
        &["sig_{a28}"],
    )),
    token(
        "aiven-token",
        "token of Aiven",
        "database_token",
        &["aivenv1"],
        "aivenv1[A-Za-z0-9+/=_-]{100,}",
        &["aivenv1{b200}"],
    ),
];
