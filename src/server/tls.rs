//! Our side of TLS: certificate and key from two PEM files, read again when that is asked for.
//!
//! Versions 1.2 and newer, with the cipher suites that rustls thinks safe. A key that others on
//! this machine may read is refused: it is theirs by now.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::error::{Context, Error, Result};
use crate::files::read_bounded;

/// Bytes of a file of certificates, and of a key.
const PEM_BYTES_MAX: usize = 1 << 20;

/// A certificate with its key, for all connections.
#[derive(Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    config: Mutex<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// When one cannot be read or holds no PEM of its kind, the two do not belong together, or
    /// others may read the key.
    pub fn load(cert: &Path, key: &Path) -> Result<Tls> {
        let config = Mutex::new(Arc::new(load(cert, key)?));
        Ok(Tls { cert: cert.to_owned(), key: key.to_owned(), config })
    }

    /// Reads both files again, for the connections to come.
    ///
    /// # Errors
    /// As [`Tls::load`]; what was read before stays in use.
    pub fn reload(&self) -> Result<()> {
        let config = Arc::new(load(&self.cert, &self.key)?);
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// A connection before its handshake.
    ///
    /// # Errors
    /// As rustls.
    pub fn connection(&self) -> Result<Box<ServerConnection>, rustls::Error> {
        let config = Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner));
        ServerConnection::new(config).map(Box::new)
    }
}

fn load(cert: &Path, key: &Path) -> Result<ServerConfig> {
    let what = || format!("read certificate {}", cert.display());
    let text = read_bounded(cert, PEM_BYTES_MAX).context(what)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.context(what)?;
    if chain.is_empty() {
        let hint = "it must hold -----BEGIN CERTIFICATE-----, the server's own first";
        return Err(Error::new(what()).caused_by("there is none in it").with_hint(hint));
    }
    let what = || format!("use key {}", key.display());
    let mode = std::fs::metadata(key).context(what)?.permissions().mode();
    if mode & 0o007 != 0 {
        let hint = format!("chmod o= {}", key.display());
        return Err(Error::new(what()).caused_by("everybody may read it").with_hint(hint));
    }
    let text = read_bounded(key, PEM_BYTES_MAX).context(what)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        Error::new(what())
            .caused_by("there is no key in it")
            .with_hint("it must be PEM without a password")
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .context(what)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context(what)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
