//! A signature over a nonce of the server and the session's JWT: the proof of *signjwt*.
//!
//! The signed message is the text of the nonce followed by the text of the JWT, in UTF-8. A nonce
//! has a fixed length, so no other pair gives the same message.

use crate::keys::{Algorithm, BadSignature, KeyType, PublicKey};

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
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{RSA_PSS_SHA256, RsaKeyPair, RsaPssSaltLength},
    };

    use super::*;
    use crate::test_support::{ec_p256, ec_p384, ed25519, rsa};

    const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";

    #[expect(clippy::disallowed_methods, reason = "the salt of a signature, as in the primitive")]
    fn signed_with_salt(salt: RsaPssSaltLength, message: &str) -> Vec<u8> {
        let pair = RsaKeyPair::from_pkcs8(&rsa().to_pkcs8_der()).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        let encoding = Box::leak(Box::new(RSA_PSS_SHA256.with_pss_salt_length(salt)));
        pair.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        signature
    }

    #[test]
    fn a_salt_of_the_greatest_length_or_of_the_digests_is_accepted() {
        let (key, message) = (rsa(), format!("{NONCE}{JWT}"));
        for salt in [RsaPssSaltLength::Max, RsaPssSaltLength::Custom(222), RsaPssSaltLength::Digest]
        {
            let signature = signed_with_salt(salt, &message);
            assert_eq!(verify(key.public_key(), NONCE, JWT, &signature), Ok(()), "{salt:?}");
        }
    }

    #[test]
    fn other_salts_and_paddings_are_refused() {
        let (key, message) = (rsa(), format!("{NONCE}{JWT}"));
        for salt in [0, 20, 31, 33, 221] {
            let signature = signed_with_salt(RsaPssSaltLength::Custom(salt), &message);
            let verdict = verify(key.public_key(), NONCE, JWT, &signature);
            assert_eq!(verdict, Err(BadSignature), "{salt}");
        }
        let pkcs1 = key.sign(Algorithm::Rs256, message.as_bytes()).unwrap();
        assert_eq!(verify(key.public_key(), NONCE, JWT, &pkcs1), Err(BadSignature));
    }

    #[test]
    fn a_key_restricted_to_another_algorithm_is_refused() {
        let signature = signed_with_salt(RsaPssSaltLength::Max, &format!("{NONCE}{JWT}"));
        let narrow = rsa().public_key().restricted_to(Algorithm::Rs256).unwrap();
        assert_eq!(verify(&narrow, NONCE, JWT, &signature), Err(BadSignature));
    }

    #[test]
    fn another_nonce_jwt_or_key_is_refused() {
        let signature = signed_with_salt(RsaPssSaltLength::Max, &format!("{NONCE}{JWT}"));
        let key = rsa();
        for (nonce, jwt) in [("BAAAAAAAAAAAAAAAAAAAAA", JWT), (NONCE, "e.e.e"), (JWT, NONCE)] {
            assert_eq!(verify(key.public_key(), nonce, jwt, &signature), Err(BadSignature));
        }
        let other = ed25519(1);
        assert_eq!(verify(other.public_key(), NONCE, JWT, &signature), Err(BadSignature));
        for mangled in [&signature[1..], &[], &[&signature[..], &[0]].concat()] {
            assert_eq!(verify(key.public_key(), NONCE, JWT, mangled), Err(BadSignature));
        }
    }

    #[test]
    fn other_kinds_of_keys_sign_in_their_own_way() {
        for key in [ed25519(1), ec_p256(), ec_p384()] {
            let signature = key.sign(key.algorithm(), format!("{NONCE}{JWT}").as_bytes()).unwrap();
            assert_eq!(verify(key.public_key(), NONCE, JWT, &signature), Ok(()));
            assert_eq!(verify(key.public_key(), JWT, NONCE, &signature), Err(BadSignature));
        }
    }
}
