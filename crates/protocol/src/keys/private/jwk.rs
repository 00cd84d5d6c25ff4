//! Private keys as JWK (EC and RSA: RFC 7518 §6.2.2, §6.3.2; Ed25519: RFC 8037 §2).

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{KeyPair, PrivateKey};
use crate::keys::components::Components;
use crate::keys::error::KeyError;
use crate::keys::jwk::{PRIVATE_MEMBERS, PresentedJwk};
use crate::keys::rsa::{self, KeyPolicy};
use crate::strict::base64url;

type Jwk = Map<String, Value>;

impl PrivateKey {
    /// Reads a JWK with its private members; those of RSA with all factors and exponents. Its `alg`
    /// and `use` must fit the key, but do not restrict it: the code that signs chooses the
    /// algorithm.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with it.
    pub fn from_jwk(jwk: &Map<String, Value>, policy: &KeyPolicy) -> Result<Self, KeyError> {
        let PresentedJwk { components, thumbprint, .. } = PresentedJwk::read(&public_half(jwk))?;
        if !jwk.contains_key("d") {
            return Err(KeyError::PublicKey);
        }
        let pair = match &components {
            Components::Ed25519 { x } => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&secret(jwk, "d")?, x);
                KeyPair::Ed25519(pair.map_err(|_| KeyError::InvalidPrivateKey)?)
            }
            Components::Ec { curve, point } => {
                let d = secret(jwk, "d")?;
                if d.len() != curve.coordinate_length() {
                    return Err(KeyError::WrongLength("d"));
                }
                let alg = curve.signing();
                let pair = EcdsaKeyPair::from_private_key_and_public_key(alg, &d, point);
                KeyPair::Ec(*curve, pair.map_err(|_| KeyError::InvalidPrivateKey)?)
            }
            Components::Rsa { n, e } => KeyPair::Rsa(rsa_pair(jwk, n, e, policy)?),
        };
        let key = Self::new(pair, policy)?;
        if key.public_key.thumbprint() != thumbprint {
            return Err(KeyError::InvalidPrivateKey);
        }
        Ok(key)
    }
}

/// The JWK without the members that only a private key has. Its `key_ops` are those of signing.
fn public_half(jwk: &Jwk) -> Jwk {
    let is_public = |name: &str| !PRIVATE_MEMBERS.contains(&name) && name != "key_ops";
    let members = jwk.iter().filter(|(name, _)| is_public(name));
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn rsa_pair(jwk: &Jwk, n: &[u8], e: &[u8], policy: &KeyPolicy) -> Result<RsaKeyPair, KeyError> {
    // Checked before the cryptographic library computes with it.
    policy.check_signing_size(rsa::bits(n))?;
    if jwk.contains_key("oth") {
        return Err(KeyError::InvalidPrivateKey);
    }
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n, e },
        d: &**secret(jwk, "d")?,
        p: &**secret(jwk, "p")?,
        q: &**secret(jwk, "q")?,
        dP: &**secret(jwk, "dp")?,
        dQ: &**secret(jwk, "dq")?,
        qInv: &**secret(jwk, "qi")?,
    };
    RsaKeyPair::from_components(&components).map_err(|_| KeyError::InvalidPrivateKey)
}

fn secret(jwk: &Jwk, name: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or(KeyError::MissingMember(name))?;
    base64url::decode(text).map(Zeroizing::new).map_err(|_| KeyError::NotBase64Url(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys::{Algorithm, PublicKey};

    /// RFC 7515 appendix A.3.1.
    fn p256() -> Value {
        json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        })
    }

    /// RFC 8037 appendix A.1.
    fn ed25519() -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        })
    }

    fn read(jwk: &Value) -> Result<PrivateKey, KeyError> {
        PrivateKey::from_jwk(jwk.as_object().unwrap(), &KeyPolicy::default())
    }

    fn refusal(mut jwk: Value, member: &str, value: Value) -> Option<KeyError> {
        jwk[member] = value;
        read(&jwk).err()
    }

    #[test]
    fn published_private_keys_sign_for_their_public_half() {
        for (jwk, alg) in [(p256(), Algorithm::Es256), (ed25519(), Algorithm::EdDsa)] {
            let key = read(&jwk).unwrap();
            let public = public_half(jwk.as_object().unwrap());
            let public = PublicKey::from_jwk(&public, &KeyPolicy::default()).unwrap();
            let signature = key.sign(alg, b"message").unwrap();
            assert!(public.verify(alg, b"message", &signature).is_ok());
        }
    }

    #[test]
    fn what_it_says_of_its_use_must_fit() {
        assert_eq!(refusal(p256(), "key_ops", json!(["sign"])), None);
        assert_eq!(refusal(p256(), "alg", json!("ES256")), None);
        assert_eq!(refusal(p256(), "alg", json!("RS256")), Some(KeyError::AlgorithmMismatch));
        assert_eq!(refusal(p256(), "use", json!("enc")), Some(KeyError::InvalidUse));
    }

    #[test]
    fn halves_of_different_keys_are_refused() {
        let other = json!("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        for jwk in [p256(), ed25519()] {
            assert_eq!(refusal(jwk, "d", other.clone()), Some(KeyError::InvalidPrivateKey));
        }
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        let mut public = p256();
        public.as_object_mut().unwrap().remove("d");
        assert_eq!(read(&public).err(), Some(KeyError::PublicKey));
        assert_eq!(refusal(p256(), "d", json!("AA")), Some(KeyError::WrongLength("d")));
        assert_eq!(refusal(p256(), "d", json!("*")), Some(KeyError::NotBase64Url("d")));
        assert_eq!(refusal(p256(), "d", json!(1)), Some(KeyError::MissingMember("d")));
        assert!(read(&json!({ "kty": "oct", "k": "AA", "d": "AA" })).is_err());
        let rsa = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB" });
        assert!(matches!(read(&rsa).err(), Some(KeyError::RsaTooSmall { .. })));
    }
}
