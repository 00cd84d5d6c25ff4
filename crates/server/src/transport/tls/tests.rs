use std::fs;
use std::future::pending;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::*;

const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

const ONE: (&str, &str) =
    (include_str!("fixtures/one.cert.pem"), include_str!("fixtures/one.key.pem"));
const TWO: (&str, &str) =
    (include_str!("fixtures/two.cert.pem"), include_str!("fixtures/two.key.pem"));
const ENCRYPTED_KEY: &str = include_str!("fixtures/encrypted.key.pem");

/// A certificate and its key in a directory of their own.
pub(crate) struct Fixture {
    directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let fixture = Self { directory: TempDir::new().unwrap() };
        fixture.write(ONE);
        fixture
    }

    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles {
            certificates: self.directory.path().join("cert.pem"),
            key: self.directory.path().join("key.pem"),
        }
    }

    /// Puts the other pair in the place of the first.
    pub(crate) fn renew(&self) {
        self.write(TWO);
    }

    /// Writes both files; with a time of change that no earlier version had.
    fn write(&self, (certificates, key): (&str, &str)) {
        let files = self.files();
        for (path, text) in [(files.certificates, certificates), (files.key, key)] {
            let changed = path.metadata().map_or(SystemTime::UNIX_EPOCH, |file| {
                file.modified().unwrap() + Duration::from_secs(1)
            });
            fs::write(&path, text).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
        }
    }
}

/// A client that trusts only the fixture's first certificate, or only its second.
pub(crate) fn client(trusts_the_second: bool, alpn: &[&str]) -> TlsConnector {
    let (certificate, _) = if trusts_the_second { TWO } else { ONE };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub(crate) fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// Whether a handshake succeeds with a client that trusts only that certificate.
async fn is_served(tls: &ServerTls, the_second: bool) -> bool {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let connector = client(the_second, &["h2"]);
    let (accepted, connected) =
        tokio::join!(tls.acceptor().accept(far), connector.connect(localhost(), near));
    accepted.is_ok() && connected.is_ok()
}

#[tokio::test]
async fn a_changed_pair_is_used_for_new_connections() {
    let fixture = Fixture::new();
    let tls = ServerTls::load(fixture.files()).unwrap();
    assert!(is_served(&tls, false).await && !is_served(&tls, true).await);
    assert!(!tls.reload_if_changed().unwrap());

    fixture.renew();
    assert!(tls.reload_if_changed().unwrap());
    assert!(!tls.reload_if_changed().unwrap());
    assert!(is_served(&tls, true).await && !is_served(&tls, false).await);
}

#[tokio::test]
async fn a_broken_pair_leaves_the_old_one_in_use() {
    let fixture = Fixture::new();
    let tls = ServerTls::load(fixture.files()).unwrap();
    for broken in [(ONE.0, TWO.1), ("", ONE.1), (ONE.0, "-----BEGIN PRIVATE KEY-----\n")] {
        fixture.write(broken);
        assert!(tls.reload_if_changed().is_err());
        assert!(!tls.reload_if_changed().unwrap(), "it is tried and reported once");
        assert!(is_served(&tls, false).await);
    }
    fs::remove_file(fixture.files().key).unwrap();
    assert!(matches!(tls.reload_if_changed(), Err(TlsError::Unreadable { .. })));
    assert!(is_served(&tls, false).await);

    fixture.renew();
    assert!(tls.reload_if_changed().unwrap());
    assert!(is_served(&tls, true).await);
}

#[tokio::test(start_paused = true)]
async fn the_files_are_looked_at_again_and_again() {
    let fixture = Fixture::new();
    let tls = Arc::new(ServerTls::load(fixture.files()).unwrap());
    let watching = tokio::spawn(Arc::clone(&tls).keep_current(RELOAD_INTERVAL));
    fixture.renew();
    timeout(RELOAD_INTERVAL * 3, async {
        while !is_served(&tls, true).await {
            timeout(RELOAD_INTERVAL, pending::<()>()).await.unwrap_err();
        }
    })
    .await
    .unwrap();
    watching.abort();
}

#[test]
fn errors_name_the_file_and_what_is_wrong_with_it() {
    let error_with = |pair: (&str, &str)| {
        let fixture = Fixture::new();
        fixture.write(pair);
        let directory = fixture.directory.path().display().to_string();
        let error = ServerTls::load(fixture.files()).err().unwrap();
        error.to_string().replace(&directory, "DIR")
    };
    let mismatch = "the private key in DIR/key.pem does not belong to the first certificate in \
                    DIR/cert.pem";
    assert_eq!(error_with((ONE.0, TWO.1)), mismatch);
    let no_certificate = "DIR/cert.pem: there is no certificate (BEGIN CERTIFICATE) in this file";
    assert_eq!(error_with((ONE.1, ONE.1)), no_certificate);
    assert_eq!(error_with(("", ONE.1)), no_certificate);
    let no_key = "DIR/key.pem: there is no private key in this file; an encrypted one must be \
                  decrypted first, such as with `openssl pkey`";
    assert_eq!(error_with((ONE.0, ONE.0)), no_key);
    assert_eq!(error_with((ONE.0, ENCRYPTED_KEY)), no_key);

    let cut = ONE.0.split_at(200).0;
    assert!(error_with((cut, ONE.1)).starts_with("DIR/cert.pem: not valid PEM: "));
    let not_a_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let message = error_with((not_a_certificate, ONE.1));
    assert!(message.starts_with("DIR/cert.pem: the first certificate cannot be used: "));
    let not_a_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let message = error_with((ONE.0, not_a_key));
    assert!(message.starts_with("DIR/key.pem: the private key cannot be used: "), "{message}");

    let fixture = Fixture::new();
    fs::write(fixture.files().key, b"\x30\x82\xff").unwrap();
    let error = ServerTls::load(fixture.files()).err().unwrap();
    assert!(error.to_string().contains("key.pem: not ASCII text"), "{error}");

    let fixture = Fixture::new();
    fs::remove_file(fixture.files().certificates).unwrap();
    let error = ServerTls::load(fixture.files()).err().unwrap();
    assert!(error.to_string().contains("cert.pem: cannot be read: "), "{error}");
}
