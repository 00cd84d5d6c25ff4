//! Public keys, parsed once and ready to verify.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPssSaltLength,
};
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, KeyType};
use super::components::{Components, Curve};
use super::error::{BadSignature, KeyError};
use super::jwk::PresentedJwk;
use super::rsa::{self, KeyPolicy};
use super::text::KeyText;
use super::thumbprint::Thumbprint;
use super::{ed25519, openssh, spki};
use crate::digest::sha256;
use crate::strict::{json, pem};

/// PS256 with a salt that fills the encoded message: 222 bytes for a modulus of 2048 bits.
static PS256_MAX_SALT: RsaParameters =
    RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);

/// A public key that passed every check. Cloning is cheap.
///
/// Everything is checked when the key is read, with one exception: an Ed25519 key is decoded to a
/// point at each verification. A key that encodes no point verifies nothing.
#[derive(Clone)]
pub struct PublicKey {
    inner: Arc<Inner>,
    /// A subset of `inner.algorithms`: a JWK may name the one algorithm that it is for.
    algorithms: &'static [Algorithm],
    /// The thumbprint of the key of a passkey.
    of_passkey: Option<Thumbprint>,
}

struct Inner {
    components: Components,
    thumbprint: Thumbprint,
    verifier: Verifier,
    algorithms: &'static [Algorithm],
}

enum Verifier {
    Ed25519(ParsedPublicKey),
    Ec {
        key: ParsedPublicKey,
        signature_length: usize,
    },
    /// Either is absent when the modulus has a size that the algorithm does not verify with.
    Rsa {
        rs256: Option<ParsedPublicKey>,
        ps256: Option<ParsedPublicKey>,
        ps256_max_salt: Option<ParsedPublicKey>,
        signature_length: usize,
    },
}

impl PublicKey {
    /// Reads a key as a person or program sends it: a JWK in JSON, a PEM block (SPKI or PKCS#1,
    /// whatever its label says), standard base64 of such DER, an OpenSSH public key line, or a file of
    /// RFC 4716. White space, and text around a PEM block, mean nothing.
    ///
    /// # Errors
    /// [`KeyError`] says what the text is instead, or what is wrong with the key.
    pub fn parse(text: &str, policy: &KeyPolicy) -> Result<Self, KeyError> {
        match KeyText::recognize(text)? {
            KeyText::Json(text) => Self::from_jwk(&json::parse_object(text.as_bytes())?, policy),
            KeyText::Pem(text) => Self::from_pem(text, policy),
            KeyText::OpenSshLine(line) => Self::from_components(openssh::read_line(line)?, policy),
            KeyText::OpenSshFile(text) => Self::from_components(openssh::read_file(text)?, policy),
            KeyText::Putty(_) | KeyText::SshCom => Err(KeyError::PrivateKey),
            KeyText::Base64(der) => Self::from_components(spki::read_either(&der)?, policy),
        }
    }

    /// Reads a public JWK (RFC 7517). Its `alg`, if any, narrows [`PublicKey::algorithms`].
    ///
    /// # Errors
    /// [`KeyError`] for private keys, missing or misspelt members, a `use`, `key_ops` or `alg`
    /// other than for verifying with this kind of key, and keys that are weak or invalid.
    pub fn from_jwk(jwk: &Map<String, Value>, policy: &KeyPolicy) -> Result<Self, KeyError> {
        Self::from_presented(&PresentedJwk::read(jwk)?, None, policy)
    }

    /// As [`PublicKey::from_jwk`] for a JWK whose form was read before. `known` is a key that was parsed
    /// before: if it has the same thumbprint, it is this one. The result is the same: only what costs
    /// time is left out.
    ///
    /// # Errors
    /// As [`PublicKey::from_jwk`], for what only the numbers tell.
    pub fn from_presented(
        jwk: &PresentedJwk,
        known: Option<Self>,
        policy: &KeyPolicy,
    ) -> Result<Self, KeyError> {
        let PresentedJwk { components, thumbprint, alg } = jwk;
        let inner = match known.filter(|key| key.inner.thumbprint == *thumbprint) {
            Some(key) => {
                // The cached key may have been parsed under another policy.
                key.meets(policy)?;
                key.inner
            }
            None => Arc::new(Inner::new(components.clone(), *thumbprint, policy)?),
        };
        let key = Self { algorithms: inner.algorithms, inner, of_passkey: None };
        match alg {
            Some(alg) => key.restricted_to(*alg),
            None => Ok(key),
        }
    }

    /// Reads a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) in its canonical DER form, with named
    /// curves, uncompressed points and nothing after it.
    ///
    /// # Errors
    /// [`KeyError`] for any other encoding, other kinds of keys, and keys that are weak or invalid.
    pub fn from_spki_der(der: &[u8], policy: &KeyPolicy) -> Result<Self, KeyError> {
        Self::from_components(spki::read(der)?, policy)
    }

    /// The identity of the key: the RFC 7638 thumbprint, or for the key of a passkey
    /// [another one](Self::of_passkey).
    pub fn thumbprint(&self) -> Thumbprint {
        self.of_passkey.unwrap_or(self.inner.thumbprint)
    }

    /// The same as the key of a passkey. Its thumbprint is SHA-256 over `countersign passkey`, a zero
    /// byte and the RFC 7638 thumbprint.
    ///
    /// Nobody signs at the registration of a passkey without attestation (WebAuthn §8.7), so anybody can
    /// register any public key as one. It must not be taken for the key that somebody else has proven.
    #[must_use]
    pub fn of_passkey(self) -> Self {
        let digest = sha256(&[b"countersign passkey\0", self.inner.thumbprint.as_bytes()]);
        Self { of_passkey: Some(Thumbprint::from_bytes(digest)), ..self }
    }

    /// What kind of key it is.
    pub fn key_type(&self) -> KeyType {
        self.inner.components.key_type()
    }

    /// The size of the modulus, for RSA keys.
    pub fn rsa_bits(&self) -> Option<u32> {
        match &self.inner.components {
            Components::Rsa { n, .. } => Some(rsa::bits(n)),
            Components::Ed25519 { .. } | Components::Ec { .. } => None,
        }
    }

    /// Whether `policy` accepts the key, which may have been read under another policy.
    ///
    /// # Errors
    /// [`KeyError`] for RSA keys whose modulus or exponent `policy` refuses.
    pub fn meets(&self, policy: &KeyPolicy) -> Result<(), KeyError> {
        match &self.inner.components {
            Components::Rsa { n, e } => policy.check(n, e),
            Components::Ed25519 { .. } | Components::Ec { .. } => Ok(()),
        }
    }

    /// How many bytes its signatures have, in the form of JWS.
    pub(crate) fn signature_length(&self) -> usize {
        match &self.inner.verifier {
            Verifier::Ed25519(_) => 64,
            Verifier::Ec { signature_length, .. } | Verifier::Rsa { signature_length, .. } => {
                *signature_length
            }
        }
    }

    /// The algorithms that the key may be used with. A JWK's `alg` narrows them to one.
    pub const fn algorithms(&self) -> &'static [Algorithm] {
        self.algorithms
    }

    /// The same key, for one of its algorithms only.
    ///
    /// # Errors
    /// [`KeyError::AlgorithmMismatch`] when `alg` is not one of [`PublicKey::algorithms`].
    pub fn restricted_to(&self, alg: Algorithm) -> Result<Self, KeyError> {
        if !self.algorithms.contains(&alg) {
            return Err(KeyError::AlgorithmMismatch);
        }
        Ok(Self { algorithms: alg.alone(), ..self.clone() })
    }

    /// The JWK as it is published: the required members, and `alg` where the key is restricted to
    /// one of its kind's algorithms (RFC 7517 §4.4, RFC 8725 §3.1).
    pub fn to_published_jwk(&self) -> Map<String, Value> {
        let mut jwk = self.to_jwk();
        if let (Some(alg), true) = (self.algorithms.first(), self.is_narrowed()) {
            jwk.insert("alg".to_owned(), alg.name().into());
        }
        jwk
    }

    /// Whether the key is for fewer algorithms than keys of its kind are.
    pub fn is_narrowed(&self) -> bool {
        self.algorithms.len() < self.inner.algorithms.len()
    }

    /// The JWK with the required members only (RFC 7638 §3.2).
    pub fn to_jwk(&self) -> Map<String, Value> {
        self.inner.components.to_jwk()
    }

    /// The `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7).
    pub fn to_spki_der(&self) -> Vec<u8> {
        spki::write(&self.inner.components)
    }

    /// The `RSAPublicKey` in DER (RFC 8017 appendix A.1.1), where it is one.
    pub(super) fn to_rsa_der(&self) -> Option<Vec<u8>> {
        match &self.inner.components {
            Components::Rsa { n, e } => Some(spki::write_pkcs1(n, e)),
            Components::Ed25519 { .. } | Components::Ec { .. } => None,
        }
    }

    /// The `SubjectPublicKeyInfo` as a PEM block `PUBLIC KEY` (RFC 7468 §13).
    pub fn to_spki_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.to_spki_der())
    }

    /// Checks `signature` over `message`.
    ///
    /// Signatures have exactly one form: `r‖s` of full length for ES256 and ES384, the modulus's
    /// length for RSA, a salt as long as the digest for PS256, and strict rules for Ed25519 (no
    /// low-order `R`, `S` below the group order).
    ///
    /// # Errors
    /// [`BadSignature`] when it does not verify, or `alg` is not one of [`PublicKey::algorithms`].
    pub fn verify(
        &self,
        alg: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        if !self.algorithms.contains(&alg) {
            return Err(BadSignature);
        }
        let key = self.inner.verifier.for_signature(alg, signature).ok_or(BadSignature)?;
        key.verify_sig(message, signature).map_err(|_| BadSignature)
    }

    /// As [`PublicKey::verify`] with PS256, but for a salt of the greatest possible length
    /// (RFC 8017 §9.1.1: `emLen − hLen − 2`), which JWS does not know.
    ///
    /// # Errors
    /// [`BadSignature`] when it does not verify, or the key may not be used with PS256.
    pub fn verify_ps256_max_salt(
        &self,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let Verifier::Rsa { ps256_max_salt: Some(key), signature_length, .. } =
            &self.inner.verifier
        else {
            return Err(BadSignature);
        };
        let may = self.algorithms.contains(&Algorithm::Ps256);
        if !may || signature.len() != *signature_length {
            return Err(BadSignature);
        }
        key.verify_sig(message, signature).map_err(|_| BadSignature)
    }

    pub(super) fn from_components(
        components: Components,
        policy: &KeyPolicy,
    ) -> Result<Self, KeyError> {
        let thumbprint = components.thumbprint();
        let inner = Inner::new(components, thumbprint, policy)?;
        let algorithms = inner.algorithms;
        Ok(Self { inner: Arc::new(inner), algorithms, of_passkey: None })
    }

    fn from_pem(text: &str, policy: &KeyPolicy) -> Result<Self, KeyError> {
        // The text is searched for it, because old private keys have header lines and there may be
        // two blocks.
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateKey);
        }
        let blocks = pem::decode_all(text)?;
        let labelled = |labels: &'static [&str]| {
            blocks.iter().filter(|block| labels.contains(&block.label.as_str()))
        };
        let mut keys = labelled(&["PUBLIC KEY", "RSA PUBLIC KEY", "EC PUBLIC KEY"]);
        match (keys.next(), keys.next()) {
            (Some(key), None) => Self::from_components(spki::read_either(&key.der)?, policy),
            (Some(_), Some(_)) => Err(pem::PemError::MoreThanOne.into()),
            (None, _) if labelled(CERTIFICATES).next().is_some() => Err(KeyError::Certificate),
            (None, _) => Err(KeyError::UnsupportedPemLabel),
        }
    }
}

const CERTIFICATES: &[&str] = &["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.thumbprint())
    }
}

impl Inner {
    fn new(
        components: Components,
        thumbprint: Thumbprint,
        policy: &KeyPolicy,
    ) -> Result<Self, KeyError> {
        components.check(policy)?;
        let verifier = Verifier::new(&components)?;
        let algorithms = verifier.algorithms(components.key_type());
        Ok(Self { components, thumbprint, verifier, algorithms })
    }
}

impl Verifier {
    fn new(components: &Components) -> Result<Self, KeyError> {
        match components {
            Components::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x)
                .map(Self::Ed25519)
                .map_err(|_| KeyError::PointNotOnCurve),
            Components::Ec { curve, point } => {
                let parsed = match curve {
                    Curve::P256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
                    Curve::P384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point),
                };
                let key = parsed.map_err(|_| KeyError::PointNotOnCurve)?;
                Ok(Self::Ec { key, signature_length: 2 * curve.coordinate_length() })
            }
            Components::Rsa { n, e } => Self::rsa(n, e),
        }
    }

    fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let bits = rsa::bits(n);
        let der = spki::write_pkcs1(n, e);
        let parse = |supported: bool, parameters| {
            supported
                .then(|| ParsedPublicKey::new(parameters, &der))
                .transpose()
                .map_err(|_| KeyError::MalformedDer)
        };
        let pkcs1 = if rsa::supports_ps256(bits) {
            &RSA_PKCS1_2048_8192_SHA256
        } else {
            &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
        };
        Ok(Self::Rsa {
            rs256: parse(rsa::supports_rs256(bits), pkcs1)?,
            ps256: parse(rsa::supports_ps256(bits), &RSA_PSS_2048_8192_SHA256)?,
            ps256_max_salt: parse(rsa::supports_ps256(bits), &PS256_MAX_SALT)?,
            signature_length: n.len(),
        })
    }

    fn algorithms(&self, key_type: KeyType) -> &'static [Algorithm] {
        match key_type {
            KeyType::Ed25519 => Algorithm::EdDsa.alone(),
            KeyType::EcP256 => Algorithm::Es256.alone(),
            KeyType::EcP384 => Algorithm::Es384.alone(),
            KeyType::Rsa => match self {
                Self::Rsa { ps256: Some(_), .. } => &[Algorithm::Rs256, Algorithm::Ps256],
                Self::Rsa { rs256: Some(_), .. } => Algorithm::Rs256.alone(),
                _ => &[],
            },
        }
    }

    /// The parsed key for `alg`, if `signature` has the form that `alg` demands.
    fn for_signature(&self, alg: Algorithm, signature: &[u8]) -> Option<&ParsedPublicKey> {
        match self {
            Self::Ed25519(key) => {
                let (r, s) = signature.split_first_chunk::<32>()?;
                (s.len() == 32 && ed25519::is_canonical(r) && !ed25519::is_low_order(r))
                    .then_some(key)
            }
            Self::Ec { key, signature_length } => {
                (signature.len() == *signature_length).then_some(key)
            }
            Self::Rsa { signature_length, .. } if signature.len() != *signature_length => None,
            Self::Rsa { ps256, .. } if alg == Algorithm::Ps256 => ps256.as_ref(),
            Self::Rsa { rs256, .. } => rs256.as_ref(),
        }
    }
}
