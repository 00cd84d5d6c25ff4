//! Private keys, parsed once and ready to sign.

mod file;
mod jwk;
mod pbes2;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair, RsaPssSaltLength, RsaSignatureEncoding,
};
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::components::{Components, Curve};
use super::der::{self, Reader};
use super::error::{KeyError, SignError};
use super::public::PublicKey;
use super::rsa::{self, KeyPolicy};
use super::spki;

/// PS256 with a salt that fills the encoded message.
static PS256_MAX_SALT: RsaSignatureEncoding =
    RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);

/// A key pair. It can be neither printed nor cloned.
pub struct PrivateKey {
    pair: KeyPair,
    /// Written when the key is made, because that can fail.
    pkcs8: Zeroizing<Vec<u8>>,
    public_key: PublicKey,
}

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKey {
    /// Ed25519, for EdDSA.
    Ed25519,
    /// EC on P-256, for ES256.
    EcP256,
    /// EC on P-384, for ES384.
    EcP384,
    /// RSA with 2048 bits, for RS256 and PS256. RSA keys take long to generate.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
}

enum KeyPair {
    Ed25519(Ed25519KeyPair),
    Ec(Curve, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::GenerationFailed`] when the cryptographic library fails.
    pub fn generate(kind: NewKey) -> Result<Self, KeyError> {
        let pair = match kind {
            NewKey::Ed25519 => Ed25519KeyPair::generate().map(KeyPair::Ed25519),
            NewKey::EcP256 => generate_ec(Curve::P256),
            NewKey::EcP384 => generate_ec(Curve::P384),
            NewKey::Rsa2048 => RsaKeyPair::generate(KeySize::Rsa2048).map(KeyPair::Rsa),
            NewKey::Rsa3072 => RsaKeyPair::generate(KeySize::Rsa3072).map(KeyPair::Rsa),
            NewKey::Rsa4096 => RsaKeyPair::generate(KeySize::Rsa4096).map(KeyPair::Rsa),
        };
        Self::new(pair.map_err(|_| KeyError::GenerationFailed)?, &KeyPolicy::default())
    }

    /// Reads an unencrypted PKCS#8 `PrivateKeyInfo` (RFC 5958).
    ///
    /// # Errors
    /// [`KeyError`] for other structures, trailing bytes, other kinds of keys, inconsistent or
    /// weak keys.
    pub fn from_pkcs8_der(der: &[u8], policy: &KeyPolicy) -> Result<Self, KeyError> {
        let mut outer = Reader::new(der);
        let mut info = outer.enter(der::SEQUENCE)?;
        outer.finish()?;
        if info.peek() != Some(der::INTEGER) {
            return Err(not_pkcs8(der));
        }
        info.unsigned()?;
        let mut algorithm = info.enter(der::SEQUENCE)?;
        let rejected = |_| KeyError::InvalidPrivateKey;
        let pair = match algorithm.read(der::OBJECT_IDENTIFIER)? {
            spki::ED25519 => Ed25519KeyPair::from_pkcs8(der).map(KeyPair::Ed25519),
            spki::EC => {
                let curve = spki::read_curve(&mut algorithm)?;
                EcdsaKeyPair::from_pkcs8(curve.signing(), der).map(|pair| KeyPair::Ec(curve, pair))
            }
            spki::RSA => {
                check_rsa_size(info.read(der::OCTET_STRING)?, policy)?;
                RsaKeyPair::from_pkcs8(der).map(KeyPair::Rsa)
            }
            other => return Err(spki::unsupported(other)),
        };
        Self::new(pair.map_err(rejected)?, policy)
    }

    /// The key as PKCS#8 version 1 (RFC 5208), which every program reads.
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The algorithm to use unless another is wanted: RS256 for RSA, else the only one.
    pub fn algorithm(&self) -> Algorithm {
        match self.pair {
            KeyPair::Ed25519(_) => Algorithm::EdDsa,
            KeyPair::Ec(Curve::P256, _) => Algorithm::Es256,
            KeyPair::Ec(Curve::P384, _) => Algorithm::Es384,
            KeyPair::Rsa(_) => Algorithm::Rs256,
        }
    }

    /// Signs `message`; the signature has the form that JWS demands (RFC 7518 §3, RFC 8037 §3.1).
    ///
    /// # Errors
    /// [`SignError::WrongAlgorithm`] when the key does not sign with `alg`.
    pub fn sign(&self, alg: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match (&self.pair, alg) {
            (KeyPair::Ed25519(pair), Algorithm::EdDsa) => Ok(pair.sign(message).as_ref().to_vec()),
            (KeyPair::Ec(Curve::P256, pair), Algorithm::Es256)
            | (KeyPair::Ec(Curve::P384, pair), Algorithm::Es384) => pair
                .sign(&random(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignError::Failed),
            (KeyPair::Rsa(pair), Algorithm::Rs256) => sign_rsa(pair, &RSA_PKCS1_SHA256, message),
            (KeyPair::Rsa(pair), Algorithm::Ps256) => sign_rsa(pair, &RSA_PSS_SHA256, message),
            (_, algorithm) => {
                let key_type = self.public_key.key_type();
                Err(SignError::WrongAlgorithm { algorithm, key_type })
            }
        }
    }

    /// As [`PrivateKey::sign`] with PS256, but with a salt of the greatest possible length; what
    /// [`PublicKey::verify_ps256_max_salt`] verifies.
    ///
    /// # Errors
    /// [`SignError::WrongAlgorithm`] when it is no RSA key.
    pub fn sign_ps256_max_salt(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let KeyPair::Rsa(pair) = &self.pair else {
            let key_type = self.public_key.key_type();
            return Err(SignError::WrongAlgorithm { algorithm: Algorithm::Ps256, key_type });
        };
        sign_rsa(pair, &PS256_MAX_SALT, message)
    }

    fn new(pair: KeyPair, policy: &KeyPolicy) -> Result<Self, KeyError> {
        let public_key = PublicKey::from_components(pair.components()?, policy)?;
        let pkcs8 = pair.to_pkcs8().ok_or(KeyError::InvalidPrivateKey)?;
        Ok(Self { pair, pkcs8, public_key })
    }

    /// RFC 5915.
    fn from_sec1_der(der: &[u8], policy: &KeyPolicy) -> Result<Self, KeyError> {
        let mut outer = Reader::new(der);
        let mut key = outer.enter(der::SEQUENCE)?;
        outer.finish()?;
        key.unsigned()?;
        key.read(der::OCTET_STRING)?;
        let curve = spki::read_curve(&mut key.enter(der::CONTEXT_0)?)?;
        let pair = EcdsaKeyPair::from_private_key_der(curve.signing(), der)
            .map_err(|_| KeyError::InvalidPrivateKey)?;
        Self::new(KeyPair::Ec(curve, pair), policy)
    }

    /// RFC 8017 appendix A.1.2.
    fn from_pkcs1_der(der: &[u8], policy: &KeyPolicy) -> Result<Self, KeyError> {
        check_rsa_size(der, policy)?;
        let pair = RsaKeyPair::from_der(der).map_err(|_| KeyError::InvalidPrivateKey)?;
        Self::new(KeyPair::Rsa(pair), policy)
    }
}

impl KeyPair {
    fn components(&self) -> Result<Components, KeyError> {
        match self {
            Self::Ed25519(pair) => {
                let x = pair.public_key().as_ref().try_into();
                Ok(Components::Ed25519 { x: x.map_err(|_| KeyError::InvalidPrivateKey)? })
            }
            Self::Ec(curve, pair) => Components::ec_point(*curve, pair.public_key().as_ref()),
            Self::Rsa(pair) => spki::read_pkcs1(pair.public_key().as_ref()),
        }
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let copy = |der: &[u8]| Zeroizing::new(der.to_vec());
        match self {
            Self::Ed25519(pair) => pair.to_pkcs8v1().ok().map(|der| copy(der.as_ref())),
            Self::Ec(_, pair) => pair.to_pkcs8v1().ok().map(|der| copy(der.as_ref())),
            Self::Rsa(pair) => pair.as_der().ok().map(|der| copy(der.as_ref())),
        }
    }
}

impl Curve {
    const fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }
}

fn generate_ec(curve: Curve) -> Result<KeyPair, aws_lc_rs::error::Unspecified> {
    EcdsaKeyPair::generate(curve.signing()).map(|pair| KeyPair::Ec(curve, pair))
}

fn sign_rsa(
    pair: &RsaKeyPair,
    encoding: &'static RsaSignatureEncoding,
    message: &[u8],
) -> Result<Vec<u8>, SignError> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &random(), message, &mut signature).map_err(|_| SignError::Failed)?;
    Ok(signature)
}

#[expect(clippy::disallowed_methods, reason = "randomness inside a signing primitive")]
fn random() -> SystemRandom {
    SystemRandom::new()
}

/// Checks the size of an `RSAPrivateKey` before the cryptographic library computes with it, and
/// that it is all there is.
fn check_rsa_size(der: &[u8], policy: &KeyPolicy) -> Result<(), KeyError> {
    let mut outer = Reader::new(der);
    let mut key = outer.enter(der::SEQUENCE)?;
    outer.finish()?;
    key.unsigned()?;
    policy.check_signing_size(rsa::bits(key.unsigned()?))
}

/// Says what DER that is no PKCS#8 is instead, when that is easy to tell.
fn not_pkcs8(der: &[u8]) -> KeyError {
    match spki::read(der) {
        Ok(_) => KeyError::PublicKey,
        Err(KeyError::Certificate) => KeyError::Certificate,
        Err(_) if pbes2::is_encrypted(der) => KeyError::EncryptedPrivateKey,
        Err(_) => KeyError::MalformedDer,
    }
}
