//! Clients: a name, a key, and everything that it signs.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use countersign_protocol::{
    digest::sha256,
    keys::{Algorithm, NewKey, PrivateKey},
};
use serde_json::{Value, json};

use crate::process::Cores;

/// The origin in proofs and assertions. Servers are told that it is theirs, whatever their port. Its host
/// is a name, because passkeys are off at an address.
pub(crate) const ORIGIN: &str = "http://localhost:1";

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A client.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) key: PrivateKey,
    algorithm: Algorithm,
    /// The header segments of its JWTs, which never change.
    proof_header: String,
    assertion_header: String,
}

/// What a proof is for.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    /// Seconds since 1970.
    pub(crate) issued_at: u64,
}

impl Identity {
    /// A client with a new key.
    pub(crate) fn new(name: String, kind: NewKey, algorithm: Algorithm) -> anyhow::Result<Self> {
        Ok(Self::with_key(name, PrivateKey::generate(kind)?, algorithm))
    }

    pub(crate) fn with_key(name: String, key: PrivateKey, algorithm: Algorithm) -> Self {
        let alg = algorithm.name();
        let header = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let public = key.public_key();
        let jwk = Value::Object(public.to_jwk());
        let proof_header = header(json!({ "typ": "dpop+jwt", "alg": alg, "jwk": jwk }));
        let kid = public.thumbprint().to_string();
        let assertion_header = header(json!({ "typ": "JWT", "alg": alg, "kid": kid }));
        Self { name, key, algorithm, proof_header, assertion_header }
    }

    pub(crate) fn proof_header(&self) -> &str {
        &self.proof_header
    }

    pub(crate) fn assertion_header(&self) -> &str {
        &self.assertion_header
    }

    /// The value of a `DPoP` header (RFC 9449 §4.2), never the same twice.
    pub(crate) fn proof(&self, target: &Target<'_>) -> anyhow::Result<String> {
        let mut claims = json!({
            "jti": fresh_id(),
            "htm": target.method,
            "htu": format!("{ORIGIN}{}", target.path),
            "iat": target.issued_at,
        });
        if let Some(token) = target.token {
            claims["ath"] = BASE64_URL_SAFE_NO_PAD.encode(sha256(&[token.as_bytes()])).into();
        }
        if let Some(nonce) = target.nonce {
            claims["nonce"] = nonce.into();
        }
        self.jwt(&self.proof_header, &claims)
    }

    /// An assertion for `/oauth/token` (RFC 7523 §3), never the same twice.
    pub(crate) fn assertion(&self) -> anyhow::Result<String> {
        let (iat, name) = (now(), &self.name);
        let claims = json!({
            "iss": name, "sub": name, "aud": ORIGIN, "iat": iat, "exp": iat + 240,
            "jti": fresh_id(),
        });
        self.jwt(&self.assertion_header, &claims)
    }

    /// The `signed_message` of *signjwt*: base64 of a signature with the greatest salt.
    pub(crate) fn signed_message(&self, nonce: &str, jwt: &str) -> anyhow::Result<String> {
        let message = format!("{nonce}{jwt}");
        Ok(BASE64_STANDARD.encode(self.key.sign_ps256_max_salt(message.as_bytes())?))
    }

    /// A JWT of any claims, with the header of an assertion.
    pub(crate) fn self_signed(&self, claims: &Value) -> anyhow::Result<String> {
        self.jwt(&self.assertion_header, claims)
    }

    fn jwt(&self, header: &str, claims: &Value) -> anyhow::Result<String> {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        let mut token = format!("{header}.{claims}");
        let signature = self.key.sign(self.algorithm, token.as_bytes())?;
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// Unlike all others of this process, and of processes that began in another nanosecond.
pub(crate) fn fresh_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    static BEGUN: std::sync::LazyLock<u128> = std::sync::LazyLock::new(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
    });
    format!("{:x}-{:016x}", *BEGUN, COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// `make` of 0, 1, … `count` − 1, in that order, by a thread on each core. Signing is done here,
/// before anything is measured.
pub(crate) fn prepare<T: Send>(
    cores: &Cores,
    count: usize,
    make: impl Fn(usize) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let part = count.div_ceil(cores.count()).max(1);
    thread::scope(|scope| {
        let work = |first: usize| {
            let make = &make;
            scope.spawn(move || {
                cores.leave()?;
                (first..count.min(first + part)).map(make).collect::<anyhow::Result<Vec<T>>>()
            })
        };
        let threads: Vec<_> = (0..count).step_by(part).map(work).collect();
        let mut all = Vec::with_capacity(count);
        for thread in threads {
            let made = thread.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))?;
            all.append(&mut made?);
        }
        Ok(all)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_proof_and_no_assertion_is_ever_made_twice() {
        let identity = Identity::new("a".to_owned(), NewKey::Ed25519, Algorithm::EdDsa).unwrap();
        let target = Target { method: "GET", path: "/", nonce: None, token: None, issued_at: 1 };
        let cores = Cores::available().unwrap();
        let proofs = prepare(&cores, 200, |_| identity.proof(&target)).unwrap();
        let assertions = prepare(&cores, 200, |_| identity.assertion()).unwrap();
        assert_eq!(proofs.iter().chain(&assertions).collect::<HashSet<_>>().len(), 400);
    }

    #[test]
    fn what_is_prepared_keeps_its_order() {
        let cores = Cores::available().unwrap();
        for count in [0, 1, 2, 7, 100] {
            assert_eq!(prepare(&cores, count, Ok).unwrap(), (0..count).collect::<Vec<_>>());
        }
    }
}
