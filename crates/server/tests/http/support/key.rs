//! Keys that clients hold.

use std::sync::Arc;

use countersign_protocol::{
    keys::{Algorithm, PrivateKey},
    strict::base64,
};
use countersign_testkit::keys;
use serde_json::Value;

use super::Jwt;

/// A client's key pair, and the algorithm that it signs with.
#[derive(Clone)]
pub(crate) struct TestKey {
    private: Arc<PrivateKey>,
    pub(crate) algorithm: Algorithm,
}

impl TestKey {
    /// The Ed25519 key of that number.
    pub(crate) fn number(number: u64) -> Self {
        keys::ed25519(number).into()
    }

    /// The key in a private PEM of the test kit.
    pub(crate) fn from_pem(pem: &str) -> Self {
        keys::from_pem(pem).into()
    }

    /// One key for each algorithm.
    pub(crate) fn one_per_algorithm() -> Vec<Self> {
        let rsa = Self::from_pem(keys::RSA_2048_PEM);
        vec![
            Self::number(0),
            Self::from_pem(keys::EC_P256_PEM),
            Self::from_pem(keys::EC_P384_PEM),
            rsa.clone(),
            rsa.using(Algorithm::Ps256),
        ]
    }

    /// The same key, signing with another algorithm.
    pub(crate) fn using(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    pub(crate) fn thumbprint(&self) -> String {
        self.private.public_key().thumbprint().to_string()
    }

    pub(crate) fn jwk(&self) -> Value {
        Value::Object(self.private.public_key().to_jwk())
    }

    pub(crate) fn spki_pem(&self) -> String {
        self.private.public_key().to_spki_pem()
    }

    pub(crate) fn spki_base64(&self) -> String {
        base64::encode(&self.private.public_key().to_spki_der())
    }

    /// The private half as PKCS#8 in base64, which must never be seen outside.
    pub(crate) fn private_base64(&self) -> String {
        base64::encode(&self.private.to_pkcs8_der())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.private.sign(self.algorithm, message).unwrap()
    }

    /// A JWT by this key with nothing in it yet.
    pub(crate) fn jwt(&self) -> Jwt {
        Jwt::by(self.clone())
    }
}

impl From<PrivateKey> for TestKey {
    fn from(private: PrivateKey) -> Self {
        let algorithm = private.algorithm();
        Self { private: Arc::new(private), algorithm }
    }
}
