//! Public keys as SSH sends them (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4): the name of a kind, then
//! its numbers.

use crate::keys::components::{Components, Curve};
use crate::keys::error::KeyError;
use crate::keys::rsa::{self, KeyPolicy};

/// A kind of key that is supported here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ed25519,
    Ec(Curve),
    Rsa,
}

/// Checks that a private key with the public half `blob` is one that signs here.
pub(in crate::keys) fn check_blob(blob: &[u8], policy: &KeyPolicy) -> Result<(), KeyError> {
    match read_blob(blob)? {
        (_, Components::Rsa { n, e }) => {
            policy.check_signing_size(rsa::bits(&n))?;
            policy.check(&n, &e)
        }
        (_, Components::Ed25519 { .. } | Components::Ec { .. }) => Ok(()),
    }
}

/// Reads a public key that begins with the name of its kind.
pub(super) fn read_blob(blob: &[u8]) -> Result<(Kind, Components), KeyError> {
    let mut rest = blob;
    let name = string(&mut rest).and_then(|name| str::from_utf8(name).ok());
    let kind = Kind::from_name(name.ok_or(KeyError::OpenSshDamaged)?)?;
    let components = read_numbers(kind, &mut rest).ok_or(KeyError::OpenSshDamaged)??;
    if rest.is_empty() { Ok((kind, components)) } else { Err(KeyError::OpenSshDamaged) }
}

fn read_numbers(kind: Kind, rest: &mut &[u8]) -> Option<Result<Components, KeyError>> {
    Some(match kind {
        Kind::Ed25519 => Ok(Components::Ed25519 { x: string(rest)?.try_into().ok()? }),
        Kind::Rsa => {
            let (e, n) = (number(rest)?, number(rest)?);
            Ok(Components::Rsa { n: n.to_vec(), e: e.to_vec() })
        }
        Kind::Ec(curve) => {
            let named = string(rest)? == curve.openssh_name();
            let point = string(rest)?;
            named.then(|| Components::ec_point(curve, point))?
        }
    })
}

impl Kind {
    pub(super) fn from_name(name: &str) -> Result<Self, KeyError> {
        match name {
            "ssh-ed25519" => Ok(Self::Ed25519),
            "ecdsa-sha2-nistp256" => Ok(Self::Ec(Curve::P256)),
            "ecdsa-sha2-nistp384" => Ok(Self::Ec(Curve::P384)),
            "ssh-rsa" => Ok(Self::Rsa),
            "ecdsa-sha2-nistp521" => Err(KeyError::UnsupportedCurve("P-521")),
            "ssh-dss" => Err(KeyError::UnsupportedKeyType("DSA")),
            "ssh-ed448" => Err(KeyError::UnsupportedKeyType("Ed448")),
            _ if name.contains("-cert-v0") => Err(KeyError::OpenSshCertificate),
            _ if name.starts_with("sk-") => Err(KeyError::OpenSshSecurityKey),
            _ => Err(KeyError::UnknownKeyType),
        }
    }
}

impl Curve {
    /// RFC 5656 §10.1.
    const fn openssh_name(self) -> &'static [u8] {
        match self {
            Self::P256 => b"nistp256",
            Self::P384 => b"nistp384",
        }
    }
}

/// A `string` of RFC 4251 §5: four bytes of length, then as many bytes.
pub(super) fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(uint32(rest)?).ok()?;
    let (content, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(content)
}

/// A `uint32` of RFC 4251 §5.
pub(super) fn uint32(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*number))
}

/// A positive `mpint` of RFC 4251 §5 in its shortest form, without the zero byte of its sign.
fn number<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    match string(rest)? {
        [0, digits @ ..] => digits.first().is_some_and(|first| *first >= 0x80).then_some(digits),
        digits => digits.first().is_some_and(|first| (1..0x80).contains(first)).then_some(digits),
    }
}
