//! TLS to the database. Whatever is encrypted is verified: by the system's certificate authorities, or by
//! those of the file that the URL names.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{error::PostgresError, url::DatabaseUrl};

/// The protocol's name where a connection begins with TLS.
const ALPN: &[u8] = b"postgresql";

/// How to encrypt connections to the servers of `url`.
pub(super) fn connector(url: &DatabaseUrl) -> Result<MakeRustlsConnect, PostgresError> {
    let roots = match url.root_certificates() {
        _ if !url.is_encrypted() => RootCertStore::empty(),
        Some(file) => of_file(file)?,
        None => of_system()?,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| PostgresError::Tls { reason: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

fn of_file(file: &Path) -> Result<RootCertStore, PostgresError> {
    let wrong = |reason: String| PostgresError::RootCertificates { file: file.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("it has no certificate".to_owned())) } else { Ok(roots) }
}

fn of_system() -> Result<RootCertStore, PostgresError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let reason = found.errors.first().map_or_else(
        || "this system has no certificate authorities; name a file with sslrootcert=".to_owned(),
        |error| format!("the certificate authorities of this system cannot be read: {error}"),
    );
    Err(PostgresError::Tls { reason })
}
