//! The signature of a signed message: over a nonce of the server and the session's JWT.
//!
//! The signed message is the text of the nonce followed by the text of the JWT, in UTF-8. A nonce
//! has a fixed length, so no other pair gives the same message. A client signs no such text unless
//! an [`OfferedSession`] says that it is one.

use crate::{
    keys::{Algorithm, BadSignature, KeyType, PrivateKey, PublicKey, SignError},
    tokens::offered_session::OfferedSession,
};

/// Signs nonce and JWT of `session` with `key`, as [`verify`] verifies it; with the greatest salt
/// where the key is RSA.
///
/// # Errors
/// When the key cannot sign.
pub fn sign(key: &PrivateKey, session: &OfferedSession<'_>) -> Result<Vec<u8>, SignError> {
    let message = [session.nonce().as_bytes(), session.jwt().as_bytes()].concat();
    match key.public_key().key_type() {
        KeyType::Rsa => key.sign_ps256_max_salt(&message),
        KeyType::Ed25519 | KeyType::EcP256 | KeyType::EcP384 => key.sign(key.algorithm(), &message),
    }
}

/// How many verifications [`verify`] may need to compare a signature with one key.
pub const FORMS: u32 = 2;

/// Whether `signature` has the length of what `key` makes, so that it is worth comparing.
pub fn may_be_by(key: &PublicKey, signature: &[u8]) -> bool {
    signature.len() == key.signature_length()
}

/// Checks that `signature` is by `key` over `nonce` and `jwt`.
///
/// For an RSA key it is RSASSA-PSS with SHA-256 and MGF1-SHA-256 (RFC 8017 §8.1), with a salt of
/// the greatest length that the modulus permits or of the length of the digest. For any other key
/// it is a signature by the key's own algorithm, in the form that JWS gives it.
///
/// # Errors
/// [`BadSignature`] when it is not.
pub fn verify(
    key: &PublicKey,
    nonce: &str,
    jwt: &str,
    signature: &[u8],
) -> Result<(), BadSignature> {
    let message = [nonce.as_bytes(), jwt.as_bytes()].concat();
    if key.key_type() == KeyType::Rsa {
        return key
            .verify_ps256_max_salt(&message, signature)
            .or_else(|BadSignature| key.verify(Algorithm::Ps256, &message, signature));
    }
    let algorithm = key.algorithms().first().ok_or(BadSignature)?;
    key.verify(*algorithm, &message, signature)
}

#[cfg(test)]
mod tests {
    use std::{sync::LazyLock, time::Duration};

    use super::*;
    use crate::{
        envelope::aes_gcm::SealingKey,
        test_support::{NOW, ec_p256, ec_p384, ed25519, rsa},
        tokens::{offered_session::SessionExpectations, session::SessionSealer},
    };

    const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    const ISSUER: &str = "https://auth.example";
    static JWT: LazyLock<String> = LazyLock::new(|| {
        let key = SealingKey::from_bytes(&[1; 32]);
        let sealer = SessionSealer::new(&key, ISSUER, Duration::from_mins(30));
        sealer.issue("alice", "session 1", NONCE, NOW)
    });

    fn signature(key: &PrivateKey) -> Vec<u8> {
        let expected = SessionExpectations { issuer: ISSUER, subject: "alice" };
        let session = OfferedSession::parse(NONCE, &JWT, &expected, NOW).unwrap();
        sign(key, &session).unwrap()
    }

    #[test]
    fn every_kind_of_key_signs() {
        for key in [rsa(), ed25519(1), ec_p256(), ec_p384()] {
            let signature = signature(&key);
            assert_eq!(verify(key.public_key(), NONCE, &JWT, &signature), Ok(()));
            assert_eq!(verify(key.public_key(), &JWT, NONCE, &signature), Err(BadSignature));
        }
    }

    #[test]
    fn of_paddings_only_pss_with_either_salt_is_accepted() {
        let (key, message) = (rsa(), format!("{NONCE}{}", *JWT));
        let digest_salt = key.sign(Algorithm::Ps256, message.as_bytes()).unwrap();
        assert_eq!(verify(key.public_key(), NONCE, &JWT, &digest_salt), Ok(()));
        let pkcs1 = key.sign(Algorithm::Rs256, message.as_bytes()).unwrap();
        assert_eq!(verify(key.public_key(), NONCE, &JWT, &pkcs1), Err(BadSignature));
    }

    #[test]
    fn the_greatest_salt_is_not_that_of_jws() {
        let (key, message) = (rsa(), b"message");
        let signature = key.sign_ps256_max_salt(message).unwrap();
        let public = key.public_key();
        assert_eq!(public.verify_ps256_max_salt(message, &signature), Ok(()));
        assert_eq!(public.verify(Algorithm::Ps256, message, &signature), Err(BadSignature));
        let other = key.sign(Algorithm::Ps256, message).unwrap();
        assert_eq!(public.verify_ps256_max_salt(message, &other), Err(BadSignature));
        assert!(ed25519(1).sign_ps256_max_salt(message).is_err());
        let foreign = ed25519(1).public_key().verify_ps256_max_salt(message, &signature);
        assert_eq!(foreign, Err(BadSignature));
    }

    #[test]
    fn a_key_restricted_to_another_algorithm_is_refused() {
        let signature = signature(&rsa());
        let narrow = rsa().public_key().restricted_to(Algorithm::Rs256).unwrap();
        assert_eq!(verify(&narrow, NONCE, &JWT, &signature), Err(BadSignature));
    }

    #[test]
    fn another_nonce_jwt_or_key_is_refused() {
        let key = rsa();
        let signature = signature(&key);
        for (nonce, jwt) in [("BAAAAAAAAAAAAAAAAAAAAA", &**JWT), (NONCE, "e.e.e"), (&JWT, NONCE)] {
            assert_eq!(verify(key.public_key(), nonce, jwt, &signature), Err(BadSignature));
        }
        let other = ed25519(1);
        assert_eq!(verify(other.public_key(), NONCE, &JWT, &signature), Err(BadSignature));
        for mangled in [&signature[1..], &[], &[&signature[..], &[0]].concat()] {
            assert_eq!(verify(key.public_key(), NONCE, &JWT, mangled), Err(BadSignature));
        }
    }
}
