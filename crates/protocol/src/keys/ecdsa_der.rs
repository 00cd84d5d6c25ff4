//! ECDSA signatures in the form that most programs make: two integers in DER.

use super::{
    algorithm::{Algorithm, KeyType},
    der::{self, Malformed, Reader},
    error::BadSignature,
    public::PublicKey,
};

impl PublicKey {
    /// As [`PublicKey::verify`] with the key's own algorithm (ES256 or ES384), but for a signature
    /// in the form `Ecdsa-Sig-Value` in DER (RFC 3279 §2.2.3). JWS does not know that form.
    ///
    /// # Errors
    /// [`BadSignature`] when it does not verify, or the key is not an EC key.
    pub fn verify_ecdsa_der(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let (algorithm, coordinate) = match self.key_type() {
            KeyType::EcP256 => (Algorithm::Es256, 32),
            KeyType::EcP384 => (Algorithm::Es384, 48),
            KeyType::Ed25519 | KeyType::Rsa => return Err(BadSignature),
        };
        let fixed = to_fixed(signature, coordinate).map_err(|_| BadSignature)?;
        self.verify(algorithm, message, &fixed)
    }
}

/// `r ‖ s`, each `coordinate` bytes long.
fn to_fixed(signature: &[u8], coordinate: usize) -> Result<Vec<u8>, Malformed> {
    let mut outer = Reader::new(signature);
    let mut pair = outer.enter(der::SEQUENCE)?;
    outer.finish()?;
    let mut fixed = Vec::with_capacity(2 * coordinate);
    for _ in 0..2 {
        let number = pair.unsigned()?;
        let zeros = coordinate.checked_sub(number.len()).ok_or(Malformed)?;
        fixed.resize(fixed.len() + zeros, 0);
        fixed.extend_from_slice(number);
    }
    pair.finish()?;
    Ok(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{ec_p256, ec_p384, ed25519, rsa};

    /// What OpenSSL would write for the same numbers.
    fn to_der(fixed: &[u8]) -> Vec<u8> {
        let (r, s) = fixed.split_at(fixed.len() / 2);
        let number = |bytes: &[u8]| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            der::unsigned(&bytes[zeros..])
        };
        der::element(der::SEQUENCE, &[&number(r), &number(s)])
    }

    #[test]
    fn the_same_signature_verifies_in_der() {
        for key in [ec_p256(), ec_p384()] {
            // Often enough to meet numbers with a high bit and numbers with leading zeros.
            for message in 0..=u8::MAX {
                let signature = to_der(&key.sign(key.algorithm(), &[message]).unwrap());
                let verified = key.public_key().verify_ecdsa_der(&[message], &signature);
                assert_eq!(verified, Ok(()));
            }
        }
    }

    #[test]
    fn other_spellings_and_other_keys_are_refused() {
        let key = ec_p256();
        let fixed = key.sign(Algorithm::Es256, b"x").unwrap();
        let good = to_der(&fixed);
        let longer = [&good[..], &[0]].concat();
        let three = der::element(der::SEQUENCE, &[&der::unsigned(&[1])[..]; 3]);
        let huge = der::element(der::SEQUENCE, &[&der::unsigned(&[1; 33]), &der::unsigned(&[1])]);
        for wrong in [&fixed[..], &good[1..], &longer, &three, &huge, &[]] {
            assert_eq!(key.public_key().verify_ecdsa_der(b"x", wrong), Err(BadSignature));
        }
        assert_eq!(key.public_key().verify_ecdsa_der(b"y", &good), Err(BadSignature));
        for other in [ec_p384(), ed25519(1), rsa()] {
            assert_eq!(other.public_key().verify_ecdsa_der(b"x", &good), Err(BadSignature));
        }
    }
}
