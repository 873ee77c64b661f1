//! Package registries.

use super::{Rule, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    token(
        "npm-token",
        "token of npm",
        "npm_token",
        &["npm_"],
        r"npm_[A-Za-z0-9]{36,}",
        &["npm_{a36}"],
    ),
    token(
        "pypi-token",
        "token of PyPI",
        "pypi_token",
        &["pypi-AgE"],
        r"pypi-AgE[A-Za-z0-9_-]{60,}",
        &["pypi-AgEIcHlwaS5vcmc{s140}", "pypi-AgENdGVzdC5weXBpLm9yZw{s140}"],
    ),
    token(
        "rubygems-key",
        "key of RubyGems",
        "package_token",
        &["rubygems_"],
        r"rubygems_[0-9a-f]{40,}",
        &["rubygems_{h48}"],
    ),
    shy(
        token(
            "crates-io-token",
            "token of crates.io",
            "package_token",
            &["cio"],
            r"cio[A-Za-z0-9]{32}",
            &["cio{a32}"],
        ),
        3.8,
    ),
    shy(
        token(
            "nuget-key",
            "key of NuGet",
            "package_token",
            &["oy2"],
            r"oy2[a-z0-9]{43}",
            &["oy2{l43}"],
        ),
        3.4,
    ),
    token(
        "docker-token",
        "token of Docker Hub",
        "package_token",
        &["dckr_pat_", "dckr_oat_"],
        r"dckr_[po]at_[A-Za-z0-9_-]{24,}",
        &["dckr_pat_{s27}"],
    ),
    token(
        "clojars-token",
        "token of Clojars",
        "package_token",
        &["CLOJARS_"],
        r"(?i:CLOJARS_)[0-9a-z]{50,}",
        &["CLOJARS_{h60}"],
    ),
    shy(
        token(
            "artifactory-key",
            "key or token of Artifactory",
            "package_token",
            &["AKCp", "cmVmdGtu"],
            r"(?:AKCp[A-Za-z0-9]{50,}|cmVmdGtu[A-Za-z0-9+/=_-]{40,})",
            &["AKCp{a69}", "cmVmdGtu{a56}"],
        ),
        3.6,
    ),
    shy(
        token(
            "jsr-token",
            "token of JSR or Deno Deploy",
            "package_token",
            &["jsrp_", "jsrd_", "ddp_", "ddw_"],
            r"(?:jsr[pd]|dd[pw])_[A-Za-z0-9]{36,}",
            &["ddp_{a36}"],
        ),
        3.4,
    ),
    token(
        "packagist-token",
        "token of Private Packagist",
        "package_token",
        &["packagist_"],
        "packagist_(?:[a-z]{3}_)?[0-9a-f]{60,}",
        &["packagist_ort_{h68}", "packagist_{h60}"],
    ),
    token(
        "nexus-token",
        "token of Nexus",
        "package_token",
        &["NpmToken."],
        r"NpmToken\.[0-9a-f]{8}-[0-9a-f-]{27}",
        &["NpmToken.{h8}-{h4}-{h4}-{h4}-{h12}"],
    ),
];
