//! TLS: one certificate chain and its key from PEM files, read again when the files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use countersign_protocol::strict::pem::{self, Pem, PemError};
use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use tokio_rustls::TlsAcceptor;

#[cfg(test)]
pub(crate) mod tests;

/// Where the certificate and the key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then those that lead to its root.
    pub certificates: PathBuf,
    /// PEM: the private key of the first certificate, not encrypted.
    pub key: PathBuf,
}

/// Why TLS cannot be had with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// rustls does not take the first certificate.
    #[error("{}: the first certificate cannot be used: {source}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// rustls does not take the key.
    #[error("{}: the private key cannot be used: {source}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The key belongs to another certificate.
    #[error(
        "the private key in {} does not belong to the first certificate in {}",
        .0.key.display(), .0.certificates.display()
    )]
    KeyMismatch(TlsFiles),
    /// A PEM block is damaged.
    #[error("{}: not valid PEM: {source}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PemError,
    },
    /// The file is not text.
    #[error(
        "{}: not ASCII text; PEM begins with -----BEGIN, and DER must be converted first \
         (openssl x509 -inform DER, openssl pkey -inform DER)", .0.display()
    )]
    NotText(PathBuf),
    /// There is no certificate in the file.
    #[error("{}: there is no certificate (BEGIN CERTIFICATE) in this file", .0.display())]
    NoCertificate(PathBuf),
    /// There is no private key in the file, or it is encrypted.
    #[error(
        "{}: there is no private key in this file; an encrypted one must be decrypted first, \
         such as with `openssl pkey`", .0.display()
    )]
    NoKey(PathBuf),
    /// The cryptography library does not offer what TLS 1.2 and 1.3 need.
    #[error("TLS cannot be set up: {0}")]
    Provider(#[source] rustls::Error),
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The server's side of TLS 1.2 and 1.3, for HTTP/2 and HTTP/1.1 (ALPN).
pub struct ServerTls {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: Arc<CurrentKey>,
    /// How the files looked before they were last read.
    seen: Mutex<Stamps>,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// A file cannot be read, does not have what it must have, or the two do not fit.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        // The stamps come first: a change during the reading is then seen as a change.
        let seen = Mutex::new(Stamps::of(&files));
        let key = read_certified_key(&files, &provider)?;
        let current = Arc::new(CurrentKey(ArcSwap::from_pointee(key)));
        let resolver: Arc<dyn ResolvesServerCert> = current.clone();
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Provider)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { files, provider, current, seen, config: Arc::new(config) })
    }

    /// Accepts connections with whatever key is the current one at the time of each handshake.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Reads the files again if they look different (time of change, length) from when they were
    /// last read. Returns whether there is a new key now. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::load`]; the old key stays. The files are not tried again until they
    /// change once more.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let mut seen = self.seen.lock();
        let now = Stamps::of(&self.files);
        if *seen == now {
            return Ok(false);
        }
        *seen = now;
        let key = read_certified_key(&self.files, &self.provider)?;
        self.current.0.store(Arc::new(key));
        Ok(true)
    }

    /// Checks the files in every `interval` and logs the result. Never ends.
    pub async fn keep_current(self: Arc<Self>, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        loop {
            ticks.tick().await;
            let tls = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || tls.reload_if_changed()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!("using the new TLS certificate"),
                Ok(Err(error)) => tracing::error!(%error, "keeping the old TLS certificate"),
                Err(error) => tracing::error!(%error, "the TLS files could not be looked at"),
            }
        }
    }
}

#[derive(Debug)]
struct CurrentKey(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for CurrentKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Differs between a changed and an unchanged file; `None` for a missing file.
#[derive(PartialEq, Eq)]
struct Stamps([Option<(SystemTime, u64)>; 2]);

impl Stamps {
    fn of(files: &TlsFiles) -> Self {
        let stamp = |path: &Path| {
            let metadata = path.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self([stamp(&files.certificates), stamp(&files.key)])
    }
}

fn read_certified_key(
    files: &TlsFiles,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = read_chain(&files.certificates)?;
    let key = read_key(&files.key)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|source| TlsError::Key { path: files.key.clone(), source })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::KeyMismatch(files.clone()))
        }
        Err(source) => Err(TlsError::Certificate { path: files.certificates.clone(), source }),
    }
}

/// Labels of certificates (RFC 7468 §5.1, with those of old programs).
const CERTIFICATES: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let blocks = read_blocks(path)?.into_iter();
    let certificates = blocks.filter(|block| CERTIFICATES.contains(&block.label.as_str()));
    let chain: Vec<_> =
        certificates.map(|block| CertificateDer::from(block.der.to_vec())).collect();
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let key = read_blocks(path)?.into_iter().find_map(|block| private_key(&block));
    key.ok_or_else(|| TlsError::NoKey(path.to_owned()))
}

/// The key of a block that has one, not encrypted.
fn private_key(block: &Pem) -> Option<PrivateKeyDer<'static>> {
    let der = block.der.to_vec();
    match block.label.as_str() {
        "PRIVATE KEY" => Some(PrivatePkcs8KeyDer::from(der).into()),
        "RSA PRIVATE KEY" => Some(PrivatePkcs1KeyDer::from(der).into()),
        "EC PRIVATE KEY" => Some(PrivateSec1KeyDer::from(der).into()),
        _ => None,
    }
}

/// All PEM blocks of a file; none when it has no PEM at all.
fn read_blocks(path: &Path) -> Result<Vec<Pem>, TlsError> {
    let content = read(path)?;
    let text = str::from_utf8(&content).map_err(|_| TlsError::NotText(path.to_owned()))?;
    match pem::decode_all(text) {
        Err(PemError::NoBegin) => Ok(Vec::new()),
        blocks => blocks.map_err(|source| TlsError::Malformed { path: path.to_owned(), source }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}
