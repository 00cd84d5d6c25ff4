//! Private keys in files, also those that OpenSSH writes.

use countersign_protocol::{
    keys::{KeyError, KeyPolicy, PrivateKey},
    strict::base64url,
};
use serde_json::{Map, Value};
use ssh_key::{
    Mpint,
    private::{EcdsaKeypair, Ed25519Keypair, KeypairData, RsaKeypair},
};
use zeroize::Zeroizing;

/// Reads the content of a key file: PEM or DER (PKCS#8, RFC 5915, RFC 8017), a private JWK, or the
/// format of OpenSSH, which may be encrypted.
///
/// # Errors
/// [`KeyError`] says what it is instead, or what is wrong with the key.
/// [`KeyError::PassphraseNeeded`] asks for the passphrase of an encrypted OpenSSH key.
pub fn read_private_key(content: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, KeyError> {
    match PrivateKey::from_file(content, &KeyPolicy::default()) {
        Err(KeyError::OpenSshPrivateKey) => read_openssh(content, passphrase),
        other => other,
    }
}

fn read_openssh(content: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, KeyError> {
    let damaged = |_| KeyError::OpenSshUnreadable;
    let mut key = ssh_key::PrivateKey::from_openssh(content).map_err(damaged)?;
    if key.is_encrypted() {
        let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
        // With a wrong passphrase the check numbers differ, and the data behind them is garbage.
        key = key.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase)?;
    }
    let members = match key.key_data() {
        KeypairData::Ed25519(pair) => ed25519(pair),
        KeypairData::Ecdsa(pair) => ec(pair)?,
        KeypairData::Rsa(pair) => rsa(pair)?,
        _ => return Err(KeyError::OpenSshUnsupported),
    };
    let jwk: Map<String, Value> =
        members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    PrivateKey::from_jwk(&jwk, &KeyPolicy::default())
}

/// The members of a private JWK.
type Members = Vec<(&'static str, String)>;

/// RFC 8037 §2.
fn ed25519(pair: &Ed25519Keypair) -> Members {
    let seed = Zeroizing::new(pair.private.to_bytes());
    vec![
        ("kty", "OKP".to_owned()),
        ("crv", "Ed25519".to_owned()),
        ("x", base64url::encode(&pair.public.0)),
        ("d", base64url::encode(&*seed)),
    ]
}

/// RFC 7518 §6.2.
fn ec(pair: &EcdsaKeypair) -> Result<Members, KeyError> {
    let (curve, point, scalar) = match pair {
        EcdsaKeypair::NistP256 { public, private } => {
            ("P-256", public.as_bytes(), private.as_slice())
        }
        EcdsaKeypair::NistP384 { public, private } => {
            ("P-384", public.as_bytes(), private.as_slice())
        }
        EcdsaKeypair::NistP521 { .. } => return Err(KeyError::UnsupportedCurve("P-521")),
    };
    let Some((0x04, coordinates)) = point.split_first() else {
        return Err(KeyError::CompressedPoint);
    };
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    Ok(vec![
        ("kty", "EC".to_owned()),
        ("crv", curve.to_owned()),
        ("x", base64url::encode(x)),
        ("y", base64url::encode(y)),
        ("d", base64url::encode(scalar)),
    ])
}

/// RFC 7518 §6.3. The file has every number but the two exponents.
fn rsa(pair: &RsaKeypair) -> Result<Members, KeyError> {
    let number = |mpint: &Mpint| {
        let bytes = mpint.as_positive_bytes().ok_or(KeyError::InvalidPrivateKey)?;
        Ok::<_, KeyError>(Zeroizing::new(bytes.to_vec()))
    };
    let (d, p, q) = (number(&pair.private.d)?, number(&pair.private.p)?, number(&pair.private.q)?);
    let encode = |number: &[u8]| base64url::encode(number);
    Ok(vec![
        ("kty", "RSA".to_owned()),
        ("n", encode(&number(&pair.public.n)?)),
        ("e", encode(&number(&pair.public.e)?)),
        ("d", encode(&d)),
        ("p", encode(&p)),
        ("q", encode(&q)),
        ("dp", encode(&modulo_predecessor(&d, &p))),
        ("dq", encode(&modulo_predecessor(&d, &q))),
        ("qi", encode(&number(&pair.private.iqmp)?)),
    ])
}

/// `number` modulo `prime` − 1. All are big-endian, without leading zero bytes.
fn modulo_predecessor(number: &[u8], prime: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut modulus = Zeroizing::new(prime.to_vec());
    // A prime is odd, so nothing is borrowed.
    if let Some(last) = modulus.last_mut() {
        *last &= !1;
    }
    // One byte more than the modulus: twice what is below it.
    let mut rest = Zeroizing::new(vec![0_u8; modulus.len() + 1]);
    for bit in number.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        let mut carry = bit;
        for byte in rest.iter_mut().rev() {
            (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
        }
        if rest[0] > 0 || rest[1..] >= modulus[..] {
            subtract(&mut rest, &modulus);
        }
    }
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    Zeroizing::new(rest[zeros..].to_vec())
}

/// Subtracts `what` from the last bytes of `from`, which is not less.
fn subtract(from: &mut [u8], what: &[u8]) {
    let mut borrowed = false;
    let what = what.iter().rev().chain(std::iter::repeat(&0));
    for (byte, what) in from.iter_mut().rev().zip(what) {
        let (once, first) = byte.overflowing_sub(*what);
        let (twice, second) = once.overflowing_sub(u8::from(borrowed));
        (*byte, borrowed) = (twice, first || second);
    }
}

#[cfg(test)]
mod tests;
