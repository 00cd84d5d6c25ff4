//! A body that is compressed once, when the first client wants it so.

use std::{io::Write as _, sync::OnceLock};

use axum::body::Bytes;
use flate2::{Compression, write::GzEncoder};

/// A body in both of the codings in which it is sent.
///
/// Only what every client may read is compressed: the length of a compressed secret would tell
/// something about the secret.
pub(crate) struct Encoded {
    identity: Bytes,
    /// `None` inside: gzip makes it no shorter, or must not be tried.
    gzip: OnceLock<Option<Bytes>>,
}

impl Encoded {
    pub(super) fn new(body: Bytes, is_compressible: bool) -> Self {
        let gzip = if is_compressible { OnceLock::new() } else { OnceLock::from(None) };
        Self { identity: body, gzip }
    }

    /// The body as it is.
    pub(crate) fn identity(&self) -> &Bytes {
        &self.identity
    }

    /// The body compressed by gzip (RFC 1952), if that makes it shorter.
    pub(crate) fn gzip(&self) -> Option<&Bytes> {
        self.gzip.get_or_init(|| compress(&self.identity)).as_ref()
    }
}

fn compress(body: &Bytes) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() < body.len()).then(|| compressed.into())
}
