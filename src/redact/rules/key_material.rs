//! Tokens that prove who somebody is, and private keys without armour.

use super::{Begin, Left, Rule, is_base64, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        left: Left::OncePerRun,
        ..token(
            "jwt",
            "JSON web token",
            "jwt",
            &["eyJ"],
            r"eyJ[A-Za-z0-9_-]{6,}\.(?:eyJ|[A-Za-z0-9_-]{10,}\.|\.[A-Za-z0-9_-]{16,}\.)[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]{6,})*",
            &[
                "eyJ{s34}.eyJ{s80}.{s43}",
                "eyJ{s60}.{s200}.{s16}.{s80}.{s22}",
                "eyJ{s40}..{s16}.{s80}.{s22}",
            ],
        )
    },
    token(
        "paseto",
        "PASETO token",
        "jwt",
        &[
            "v1.local.",
            "v2.local.",
            "v3.local.",
            "v4.local.",
            "v1.public.",
            "v2.public.",
            "v3.public.",
            "v4.public.",
        ],
        r"v[1-4]\.(?:local|public)\.[A-Za-z0-9_-]{32,}(?:\.[A-Za-z0-9_-]+)?",
        &["v4.local.{s120}"],
    ),
    token(
        "macaroon",
        "macaroon",
        "jwt",
        &["MDAxY", "AgEIb"],
        r"(?:MDAxY|AgEIb)[A-Za-z0-9+/=_-]{60,}",
        &["MDAxY{b120}"],
    ),
    Rule {
        begin: Begin::Before(6),
        ..token(
            "rsa-key-material",
            "RSA or DSA private key without armour",
            "private_key",
            &["IBAAKCA", "IBAAKBgQ", "IBADANBgkqhkiG9w0BAQEFAASC"],
            r"MI[A-Za-z0-9+/]{4}(?:IBAAKCA|IBAAKBgQ|IBADANBgkqhkiG9w0BAQEFAASC)[A-Za-z0-9+/=]{30,}",
            &["MIIEpAIBAAKCAQEA{b600}", "MIICXAIBAAKBgQ{b300}"],
        )
    },
    Rule {
        begin: Begin::Before(8),
        ..token(
            "encrypted-key-material",
            "encrypted private key without armour",
            "private_key",
            &["BgkqhkiG9w0BBQ"],
            r"MI[A-Za-z0-9+/]{6}BgkqhkiG9w0BBQ[A-Za-z0-9+/=]{60,}",
            &["MIIFHDBOBgkqhkiG9w0BBQ0wQTApBgkqhkiG9w0BBQwwHAQI{b600}"],
        )
    },
    token(
        "ec-key-material",
        "elliptic curve private key without armour",
        "private_key",
        &[
            "MHcCAQEEI",
            "MHQCAQEEI",
            "MIGkAgEBBD",
            "MIHcAgEBBE",
            "MC4CAQAwBQYDK2V",
            "MFECAQEwBQYDK2V",
            "MEcCAQAwBQYDK2V",
            "MIGHAgEAMBMGByqGSM49AgEG",
            "MIGEAgEAMBAGByqGSM49AgEG",
            "MIG2AgEAMBAGByqGSM49AgEG",
            "MIHuAgEAMBAGByqGSM49AgEG",
        ],
        r"M(?:H[cQ]CAQEEI|IGkAgEBBD|IHcAgEBBE|(?:C4CAQA|FECAQE|EcCAQA)wBQYDK2V|I(?:GH|GE|G2|Hu)AgEAMB[AM]GByqGSM49AgEG)[A-Za-z0-9+/=]{40,}",
        &[
            "MHcCAQEEI{b60}",
            "MIGkAgEBBD{b140}",
            "MC4CAQAwBQYDK2VwBCIEI{b43}",
            "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQ{b90}",
        ],
    ),
    token(
        "openssh-key-material",
        "OpenSSH private key without armour",
        "private_key",
        &["b3BlbnNzaC1rZXktdjE"],
        r"b3BlbnNzaC1rZXktdjE[A-Za-z0-9+/=]{30,}",
        &["b3BlbnNzaC1rZXktdjE{b60}"],
    ),
    Rule {
        begin: Begin::Run(64, is_base64),
        ..token(
            "encoded-private-key",
            "private key, encoded as base64 once more",
            "private_key",
            &["UFJJVkFURSBLRVktLS0t", "BSSVZBVEUgS0VZLS0tLS", "QUklWQVRFIEtFWS0tLS0"],
            r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]{4,44}(?:UFJJVkFURSBLRVktLS0t|BSSVZBVEUgS0VZLS0tLS|QUklWQVRFIEtFWS0tLS0)[A-Za-z0-9+/=_-]{20,}",
            &["LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ{b300}"],
        )
    },
    token(
        "bip32-key",
        "extended private key",
        "private_key",
        &["xprv", "yprv", "zprv", "tprv"],
        r"[xyzt]prv[A-Za-z0-9]{100,}",
        &["xprv{a107}"],
    ),
    token(
        "nostr-key",
        "secret key of Nostr",
        "private_key",
        &["nsec1"],
        r"nsec1[a-z0-9]{58}",
        &["nsec1{l58}"],
    ),
    token(
        "sui-key",
        "private key of Sui",
        "private_key",
        &["suiprivkey1"],
        r"suiprivkey1[a-z0-9]{50,}",
        &["suiprivkey1{l58}"],
    ),
    token(
        "encoded-service-account",
        "service account of Google, encoded as base64",
        "google_token",
        &[
            "eyJ0eXBlIjogInNlcnZpY2VfYWNjb3Vud",
            "eyJ0eXBlIjoic2VydmljZV9hY2NvdW50",
            "ewogICJ0eXBlIjogInNlcnZpY2VfYWNjb3Vud",
            "ewogICAgInR5cGUiOiAic2VydmljZV9hY2NvdW50",
        ],
        "(?:eyJ0eXBlIjogInNlcnZpY2VfYWNjb3Vud|eyJ0eXBlIjoic2VydmljZV9hY2NvdW50|ewogICJ0eXBlIjogInNlcnZpY2VfYWNjb3Vud|ewogICAgInR5cGUiOiAic2VydmljZV9hY2NvdW50)[A-Za-z0-9+/=_-]{60,}",
        &["eyJ0eXBlIjogInNlcnZpY2VfYWNjb3VudCIs{b400}", "eyJ0eXBlIjoic2VydmljZV9hY2NvdW50Ii{b400}"],
    ),
    token(
        "encoded-docker-config",
        "logins of Docker, encoded as base64",
        "secret",
        &["eyJhdXRocyI6", "ewogICJhdXRocyI6", "ewoJImF1dGhzIjog"],
        "(?:eyJhdXRocyI6|ewogICJhdXRocyI6|ewoJImF1dGhzIjog)[A-Za-z0-9+/=_-]{40,}",
        &["eyJhdXRocyI6{b120}"],
    ),
    token(
        "lightning-macaroon",
        "macaroon of a Lightning node",
        "jwt",
        &["AgEDbG5k", "0201036c6e64"],
        "(?:AgEDbG5k[A-Za-z0-9+/=_-]{60,}|0201036c6e64[0-9a-f]{80,})",
        &["AgEDbG5k{b120}", "0201036c6e64{h200}"],
    ),
];
