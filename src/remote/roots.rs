//! Which certificate authorities are trusted: the machine's own, and those of `ca_file`.

use std::path::Path;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::config::Account;
use crate::error::{Context, Error, Result};
use crate::files;
use crate::remote::Network;

/// Bytes of one bundle of certificates.
const BUNDLE_BYTES_MAX: usize = 8 << 20;
/// What every certificate begins with; ureq passes over what is none, and says nothing.
const DER_SEQUENCE: u8 = 0x30;
/// Files in a folder of certificates.
const FOLDER_FILES_MAX: usize = 2000;
/// Where systems keep their bundle (the places that Go looks at, and macOS' own).
const BUNDLES: [&str; 7] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// TLS settings for an account; reads no certificate when the address is plain http.
///
/// # Errors
/// A named file that cannot be read or holds no certificate.
pub fn tls_config(account: &Account, network: &Network) -> Result<TlsConfig> {
    let mut roots = Vec::new();
    if account.url.starts_with("https://") {
        roots = system_roots(network)?;
        if let Some(path) = &account.ca_file {
            let own = read_bundle(path).context(|| format!("read ca_file {}", path.display()))?;
            if own.is_empty() {
                return Err(Error::new(format!("ca_file {} holds no certificate", path.display()))
                    .with_hint("it must be a PEM file with CERTIFICATE sections"));
            }
            roots.extend(own);
        }
        if roots.is_empty() {
            return Err(Error::new("no certificate authorities were found on this machine")
                .with_hint("install ca-certificates, or name a PEM file in ca_file"));
        }
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(super::cryptography::provider())
        .build())
}

fn system_roots(network: &Network) -> Result<Vec<Certificate<'static>>> {
    if let Some(path) = &network.certificate_file {
        return read_bundle(path).context(|| format!("read SSL_CERT_FILE {}", path.display()));
    }
    if let Some(folder) = &network.certificate_folder {
        let what = || format!("read SSL_CERT_DIR {}", folder.display());
        let mut roots = Vec::new();
        for entry in std::fs::read_dir(folder).context(what)?.take(FOLDER_FILES_MAX).flatten() {
            roots.extend(read_bundle(&entry.path()).unwrap_or_default());
        }
        return Ok(roots);
    }
    Ok(BUNDLES.iter().find_map(|path| read_bundle(Path::new(path)).ok()).unwrap_or_default())
}

/// The certificates of a PEM file. One that cannot be decoded is left out: bundles hold old ones.
fn read_bundle(path: &Path) -> std::io::Result<Vec<Certificate<'static>>> {
    let bytes = files::read_bounded(path, BUNDLE_BYTES_MAX)?;
    let certificates = parse_pem(&bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => {
            (certificate.der().first() == Some(&DER_SEQUENCE)).then_some(certificate)
        }
        _ => None,
    });
    Ok(certificates.collect())
}
