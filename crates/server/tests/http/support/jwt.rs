//! JWTs that a client makes, right or wrong. Nothing of the product's own signing code is used, so
//! that no mistake is shared.

use countersign_protocol::strict::base64url;
use serde_json::{Map, Value};

use super::TestKey;

/// A JWT to be signed.
#[derive(Clone)]
pub(crate) struct Jwt {
    signer: TestKey,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Jwt {
    /// An empty JWT with the `alg` of `signer`.
    pub(crate) fn by(signer: TestKey) -> Self {
        let alg = signer.algorithm.name();
        Self { signer, header: Map::new(), claims: Map::new() }.header("alg", alg)
    }

    /// Sets a header parameter.
    pub(crate) fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Sets a claim.
    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// The same, signed by another key, which the header does not admit.
    pub(crate) fn forged_by(mut self, signer: &TestKey) -> Self {
        self.signer = signer.clone();
        self
    }

    /// The token in compact serialisation.
    pub(crate) fn sign(&self) -> String {
        let input = self.signing_input();
        let signature = base64url::encode(&self.signer.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    /// The token with an empty signature.
    pub(crate) fn unsigned(&self) -> String {
        format!("{}.", self.signing_input())
    }

    fn signing_input(&self) -> String {
        let encode = |object: &Map<String, Value>| {
            base64url::encode(Value::Object(object.clone()).to_string().as_bytes())
        };
        format!("{}.{}", encode(&self.header), encode(&self.claims))
    }

    /// The claims of a token, unverified.
    pub(crate) fn claims_of(token: &str) -> Value {
        Self::segment(token, 1)
    }

    /// The header of a token, unverified.
    pub(crate) fn header_of(token: &str) -> Value {
        Self::segment(token, 0)
    }

    fn segment(token: &str, index: usize) -> Value {
        let segment = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&base64url::decode(segment).unwrap()).unwrap()
    }
}
