//! Servers with a certificate.
//!
//! `tls/ca.pem` is an authority whose key was thrown away; `tls/localhost.pem` is the one
//! certificate that it signed, for `localhost`, with its key. Both last until 2120.

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

const AUTHORITY: &[u8] = include_bytes!("tls/ca.pem");
const LOCALHOST: &[u8] = include_bytes!("tls/localhost.pem");

fn server() -> Server {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(LOCALHOST).unwrap()],
            PrivateKeyDer::from_pem_slice(LOCALHOST).unwrap(),
        )
        .unwrap();
    Server::start_tls(config, |origin, asked| match asked.path.as_str() {
        "/.well-known/oauth-authorization-server" => answer_json(200, &metadata(origin)),
        _ => Answer(200, Vec::new(), "hello".to_owned()),
    })
}

async fn discover_trusting(issuer: &str, roots: Option<&[u8]>) -> Result<Client, ClientError> {
    let extra_roots_pem = roots.map(<[u8]>::to_vec);
    let options = TransportOptions { extra_roots_pem, ..TransportOptions::default() };
    let random = Arc::new(CountingRandom::default());
    Client::discover(issuer, Transport::new(options)?, Arc::new(FixedClock), random).await
}

#[tokio::test]
async fn an_extra_authority_is_trusted() {
    let server = server();
    let client = discover_trusting(&server.origin(), Some(AUTHORITY)).await.unwrap();
    let login = client.resume(key(), saved(&[]));
    let url = format!("{}/x", server.origin());
    let response = login.send(Request::new(Method::GET, &url)).await.unwrap();
    assert_eq!(response.body, b"hello");
    assert_eq!(server.asked()[0].proof()["htu"], url);
}

#[tokio::test]
async fn no_other_certificate_is_accepted() {
    let server = server();
    let by_address = server.origin().replace("localhost", "127.0.0.1");
    for (issuer, roots) in [(server.origin(), None), (by_address, Some(AUTHORITY))] {
        let refused = discover_trusting(&issuer, roots).await.err().unwrap();
        // A machine without any authorities cannot even begin.
        let fits =
            matches!(refused, ClientError::Unreachable { .. } | ClientError::Certificates(_));
        assert!(fits && refused.to_string().contains("ertificate"), "{refused}");
    }
    assert!(server.asked().is_empty());
}
