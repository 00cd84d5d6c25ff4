//! A client of the service: tokens and proofs by hand.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use countersign_guard::ports::Clock as _;
use countersign_protocol::{
    AuthenticationContext, UnixTime,
    digest::sha256,
    keys::PrivateKey,
    strict::base64url,
    tokens::{
        issue::{self, AccessTokenClaims},
        jws,
    },
};
use countersign_testkit::{
    keys::ed25519,
    samples::{NOW, account_id, scopes},
};
use http::{Request, request::Parts};
use serde_json::{Map, Value, json};

use super::{ORIGIN, World, issuer::issuer_key};

/// Holds a token that is bound to its key.
pub(super) struct Caller {
    pub(super) key: PrivateKey,
    token: String,
    proofs: AtomicUsize,
}

impl Caller {
    pub(super) fn new(world: &World) -> Self {
        Self::by(world, &issuer_key())
    }

    /// With a token by that signing key.
    pub(super) fn by(world: &World, signer: &PrivateKey) -> Self {
        Self::with(world, signer, AuthenticationContext::by_key(NOW))
    }

    /// With a token of that login.
    pub(super) fn logged_in(world: &World, login: AuthenticationContext) -> Self {
        Self::with(world, &issuer_key(), login)
    }

    fn with(world: &World, signer: &PrivateKey, login: AuthenticationContext) -> Self {
        let key = ed25519(2);
        let claims = AccessTokenClaims {
            issuer: world.issuer.origin.clone(),
            account_id: account_id(1),
            audience: vec![ORIGIN.to_owned()],
            credential: key.public_key().thumbprint(),
            name: None,
            username: None,
            bound_to: key.public_key().thumbprint(),
            scopes: scopes("read"),
            narrowed: false,
            token_id: "token 1".to_owned(),
            authentication: Some(login),
            issued_at: NOW,
            expires_at: NOW + Duration::from_hours(24),
        };
        let token = issue::access_token(&claims, signer, signer.algorithm()).unwrap();
        Self { key, token, proofs: AtomicUsize::new(0) }
    }

    /// A GET with the token and a fresh proof.
    pub(super) fn request(&self, world: &World) -> Parts {
        let nonce = world.remote.guard().fresh_nonce();
        dpop_request(&self.key, &self.token, &nonce, world.clock.now())
    }

    /// A JWT by the key itself, for `account`.
    pub(super) fn self_signed(&self, world: &World, account: &str) -> Parts {
        self.self_signed_with(world, &json!({ "sub": account, "aud": ORIGIN }))
    }

    /// A JWT by the key itself, with these claims and a time.
    pub(super) fn self_signed_with(&self, world: &World, claims: &Value) -> Parts {
        let now = world.clock.now().as_secs();
        let number = self.proofs.fetch_add(1, SeqCst);
        let mut claims = claims.clone();
        claims["iat"] = json!(now);
        claims["exp"] = json!(now + 60);
        claims["n"] = json!(number);
        let jwt = jws::sign(&self.key, self.key.algorithm(), &Map::new(), &object(claims));
        request(&[("authorization", &format!("Bearer {}", jwt.unwrap()))])
    }
}

/// A GET with `token` and a proof by `key` that was never made before.
pub(super) fn dpop_request(key: &PrivateKey, token: &str, nonce: &str, now: UnixTime) -> Parts {
    static PROOFS: AtomicUsize = AtomicUsize::new(0);
    let proof = json!({
        "jti": format!("proof {}", PROOFS.fetch_add(1, SeqCst)),
        "htm": "GET",
        "htu": format!("{ORIGIN}/items"),
        "iat": now.as_secs(),
        "ath": base64url::encode(&sha256(&[token.as_bytes()])),
        "nonce": nonce,
    });
    let header = json!({ "typ": "dpop+jwt", "jwk": key.public_key().to_jwk() });
    let proof = jws::sign(key, key.algorithm(), &object(header), &object(proof));
    let token = format!("DPoP {token}");
    request(&[("authorization", &token), ("dpop", &proof.unwrap())])
}

pub(super) fn request(headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().uri("/items");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("not an object: {other}"),
    }
}
