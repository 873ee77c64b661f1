//! What TLS calculates with: ring, but for what signs. A client shows no certificate of its own,
//! and what reads and uses private keys of all kinds would be 40 kB that nobody calls.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, KeyProvider, ring};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;

/// The cipher suites, key exchanges and signatures that rustls takes by default.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { key_provider: &NoKeys, ..ring::default_provider() })
}

/// Refuses private keys: none is ever configured.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(
        &self,
        _: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("a client without certificates of its own".to_owned()))
    }
}
