//! The compressor of all requests of a file.

use zstd::stream::write::Encoder;
use zstd::zstd_safe::{CCtx, CParameter};

/// zstd's fastest ordinary level: 743 MB/s, a quarter of the size.
const COMPRESSION_LEVEL: i32 = 1;

/// Compresses one request after the other with the same memory, 1.4 MB: getting it anew for each
/// one was most of the page faults of a first sync.
pub struct Compressor(CCtx<'static>);

impl Default for Compressor {
    fn default() -> Compressor {
        let mut context = CCtx::create();
        context
            .set_parameter(CParameter::CompressionLevel(COMPRESSION_LEVEL))
            .expect("a level of zstd's");
        Compressor(context)
    }
}

impl Compressor {
    /// Begins a request. One that was not finished is forgotten.
    pub fn begin(&mut self) -> Encoder<'_, Vec<u8>> {
        Encoder::with_context(Vec::new(), &mut self.0)
    }
}
