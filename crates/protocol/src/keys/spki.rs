//! `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) and the structures inside it.

use super::components::{Components, Curve};
use super::der::{self, Malformed, Reader, element};
use super::error::KeyError;

/// id-Ed25519 (RFC 8410 §3).
pub(super) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// id-ecPublicKey (RFC 5480 §2.1.1).
pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// rsaEncryption (RFC 8017 appendix C).
pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// id-RSASSA-PSS (RFC 8017 appendix C).
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];

/// secp256r1 (RFC 5480 §2.1.1.1).
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// secp384r1.
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// Key types that are refused by name.
const UNSUPPORTED_TYPES: [(&[u8], &str); 6] = [
    (&[0x2b, 0x65, 0x6e], "X25519"),
    (&[0x2b, 0x65, 0x6f], "X448"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], "DSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x03, 0x01], "Diffie-Hellman"),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12], "ML-DSA"),
];

/// Curves that are refused by name.
const UNSUPPORTED_CURVES: [(&[u8], &str); 3] = [
    (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "secp256k1"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x21], "P-224"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], "P-521"),
];

impl From<Malformed> for KeyError {
    fn from(_: Malformed) -> Self {
        Self::MalformedDer
    }
}

/// Reads a `SubjectPublicKeyInfo` that is exactly what [`write`] makes of the same key.
pub(super) fn read(spki: &[u8]) -> Result<Components, KeyError> {
    let components = read_any(spki).map_err(|error| recognize(spki).unwrap_or(error))?;
    if write(&components) != spki {
        return Err(KeyError::NonCanonicalDer);
    }
    Ok(components)
}

/// Reads a `SubjectPublicKeyInfo` or an `RSAPublicKey`, whatever the label says: labels are often
/// wrong or missing. The first elements of the two differ, so no text is both.
pub(super) fn read_either(der: &[u8]) -> Result<Components, KeyError> {
    read_pkcs1(der).or_else(|_| read(der))
}

/// Reads an `RSAPublicKey` (RFC 8017 appendix A.1.1).
pub(super) fn read_pkcs1(der: &[u8]) -> Result<Components, KeyError> {
    let mut outer = Reader::new(der);
    let mut key = outer.enter(der::SEQUENCE)?;
    outer.finish()?;
    let (n, e) = (key.unsigned()?.to_vec(), key.unsigned()?.to_vec());
    key.finish()?;
    Ok(Components::Rsa { n, e })
}

/// An `RSAPublicKey`, the form that the cryptographic library takes.
pub(super) fn write_pkcs1(n: &[u8], e: &[u8]) -> Vec<u8> {
    element(der::SEQUENCE, &[&der::unsigned(n), &der::unsigned(e)])
}

/// The curve that an algorithm identifier's parameters name.
pub(super) fn read_curve(parameters: &mut Reader<'_>) -> Result<Curve, KeyError> {
    if parameters.peek() == Some(der::SEQUENCE) {
        return Err(KeyError::ExplicitCurve);
    }
    match parameters.read(der::OBJECT_IDENTIFIER)? {
        P256 => Ok(Curve::P256),
        P384 => Ok(Curve::P384),
        other => Err(name_in(&UNSUPPORTED_CURVES, other)
            .map_or(KeyError::UnknownCurve, KeyError::UnsupportedCurve)),
    }
}

/// The error for an algorithm that is none of the three supported ones.
pub(super) fn unsupported(oid: &[u8]) -> KeyError {
    if oid == RSA_PSS {
        return KeyError::RsaPssRestricted;
    }
    name_in(&UNSUPPORTED_TYPES, oid).map_or(KeyError::UnknownKeyType, KeyError::UnsupportedKeyType)
}

pub(super) fn write(components: &Components) -> Vec<u8> {
    let (oid, parameters, key) = match components {
        Components::Ed25519 { x } => (ED25519, Vec::new(), x.to_vec()),
        Components::Ec { curve, point } => {
            let oid = match curve {
                Curve::P256 => P256,
                Curve::P384 => P384,
            };
            (EC, element(der::OBJECT_IDENTIFIER, &[oid]), point.clone())
        }
        Components::Rsa { n, e } => (RSA, element(der::NULL, &[]), write_pkcs1(n, e)),
    };
    let oid = element(der::OBJECT_IDENTIFIER, &[oid]);
    let algorithm = element(der::SEQUENCE, &[&oid, &parameters]);
    element(der::SEQUENCE, &[&algorithm, &der::bit_string(&key)])
}

fn read_any(spki: &[u8]) -> Result<Components, KeyError> {
    let mut outer = Reader::new(spki);
    let mut info = outer.enter(der::SEQUENCE)?;
    outer.finish()?;
    let mut algorithm = info.enter(der::SEQUENCE)?;
    let oid = algorithm.read(der::OBJECT_IDENTIFIER)?;
    let key = info.bit_string();
    match oid {
        ED25519 => {
            let x = key?.try_into().map_err(|_| KeyError::WrongLength("public key"))?;
            Ok(Components::Ed25519 { x })
        }
        EC => Components::ec_point(read_curve(&mut algorithm)?, key?),
        RSA => read_pkcs1(key?),
        other => Err(unsupported(other)),
    }
}

/// Says what DER that is no `SubjectPublicKeyInfo` is instead, when that is easy to tell.
fn recognize(der: &[u8]) -> Option<KeyError> {
    let mut content = Reader::new(der).enter(der::SEQUENCE).ok()?;
    match content.peek()? {
        // PKCS#8, RSAPrivateKey and ECPrivateKey begin with a version; RSAPublicKey with a modulus.
        der::INTEGER if content.unsigned().ok()?.len() <= 1 => Some(KeyError::PrivateKey),
        // A certificate begins with the signed part, and that part begins with a version or a
        // serial number.
        der::SEQUENCE => match content.enter(der::SEQUENCE).ok()?.peek()? {
            der::CONTEXT_0 | der::INTEGER => Some(KeyError::Certificate),
            _ => None,
        },
        _ => None,
    }
}

fn name_in(known: &[(&[u8], &'static str)], oid: &[u8]) -> Option<&'static str> {
    known.iter().find(|(candidate, _)| *candidate == oid).map(|(_, name)| *name)
}
