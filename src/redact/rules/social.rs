//! Social networks and games.

use super::{Rule, random, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    shy(
        token(
            "facebook-token",
            "access token of Facebook",
            "social_token",
            &["EAA"],
            r"EAA[A-Za-z0-9]{80,}",
            &["EAA{a150}"],
        ),
        4.0,
    ),
    shy(
        token(
            "instagram-token",
            "access token of Instagram or Threads",
            "social_token",
            &["IGQ", "IGAA", "THAA"],
            r"(?:IGQ|IGAA|THAA)[A-Za-z0-9_-]{80,}",
            &["IGQ{a130}"],
        ),
        4.0,
    ),
    shy(
        token(
            "twitter-bearer-token",
            "bearer token of Twitter",
            "social_token",
            &["AAAAAAAAAAAAAAAAAAAA"],
            r"A{20,22}[A-Za-z0-9%_-]{70,}",
            &["AAAAAAAAAAAAAAAAAAAAA{a25}%3D{a50}"],
        ),
        3.8,
    ),
    shy(
        token(
            "thunderstore-token",
            "token of Thunderstore",
            "business_token",
            &["tss_"],
            r"tss_[A-Za-z0-9]{30,}",
            &["tss_{a40}"],
        ),
        3.6,
    ),
    token(
        "roblox-cookie",
        "session cookie of Roblox",
        "cookie",
        &["_|WARNING:-DO-NOT-SHARE-THIS"],
        r"_\|[A-Za-z:. -]{30,140}\|_[A-Za-z0-9_.-]{100,}",
        &[
            "_|WARNING:-DO-NOT-SHARE-THIS.--Sharing-this-will-allow-someone-to-log-in-as-you.|_{u300}",
        ],
    ),
    token(
        "riot-key",
        "key of Riot Games",
        "identity_token",
        &["RGAPI-"],
        "RGAPI-[0-9a-f]{8}-[0-9a-f-]{27}",
        &["RGAPI-{h8}-{h4}-{h4}-{h4}-{h12}"],
    ),
    random(token(
        "lichess-token",
        "token of Lichess",
        "business_token",
        &["lip_", "lio_"],
        "li[po]_[A-Za-z0-9]{20,32}",
        &["lip_{a20}"],
    )),
    token(
        "linkedin-secret",
        "client secret of LinkedIn",
        "social_token",
        &["WPL_AP"],
        r"WPL_AP[0-9]\.[A-Za-z0-9+/=.]{16,}",
        &["WPL_AP1.{a16}.{a8}=="],
    ),
    shy(
        token(
            "pinterest-token",
            "token of Pinterest",
            "social_token",
            &["pina_"],
            "pina_[A-Z0-9]{60,}",
            &["pina_{u80}"],
        ),
        3.0,
    ),
    token(
        "intra42-secret",
        "client secret of Intra 42",
        "business_token",
        &["s-s4t2"],
        "s-s4t2(?:ud|af)-[0-9a-f]{64}",
        &["s-s4t2ud-{h64}"],
    ),
];
