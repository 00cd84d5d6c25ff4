//! Private keys in files, also those that OpenSSH writes.

mod error;

use countersign_protocol::{
    keys::{KeyError, KeyPolicy, PrivateKey},
    strict::{base64url, pem},
};
use serde_json::{Map, Value};
use ssh_key::{
    Mpint,
    private::{EcdsaKeypair, Ed25519Keypair, KeypairData, RsaKeypair},
};
use zeroize::Zeroizing;

pub use self::error::KeyFileError;

/// Reads the content of a key file: PEM or DER (PKCS#8, RFC 5915, RFC 8017), a private JWK, or the
/// format of OpenSSH. PKCS#8 and OpenSSH may be encrypted.
///
/// # Errors
/// [`KeyFileError`] says what it is instead, or what is wrong with the key.
/// [`KeyError::PassphraseNeeded`] in it asks for the passphrase of an encrypted key.
pub fn read_private_key(
    content: &[u8],
    passphrase: Option<&str>,
) -> Result<PrivateKey, KeyFileError> {
    read(content, passphrase).map_err(KeyFileError)
}

fn read(content: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, KeyError> {
    let policy = KeyPolicy::default();
    match PrivateKey::from_file(content, &policy) {
        Err(KeyError::EncryptedPrivateKey) => {
            let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
            PrivateKey::from_encrypted_file(content, passphrase, &policy)
        }
        Err(KeyError::OpenSshPrivateKey) => read_openssh(content, passphrase),
        other => other,
    }
}

fn read_openssh(content: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, KeyError> {
    let text = str::from_utf8(content).map_err(|_| KeyError::OpenSshUnreadable)?;
    // The library's own reader of PEM takes lines of 70 characters alone, and `puttygen` writes shorter
    // ones.
    let mut blocks = pem::decode_all(text)?;
    let file = blocks.iter_mut().find(|block| block.label == "OPENSSH PRIVATE KEY");
    let file = &mut file.ok_or(KeyError::OpenSshUnreadable)?.der;
    shorten_padding(file);
    let key = ssh_key::PrivateKey::from_bytes(file);
    let mut key = key.map_err(|_| KeyError::OpenSshUnreadable)?;
    if key.is_encrypted() {
        let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
        // With a wrong passphrase the check numbers differ, and the data behind them is garbage.
        key = key.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase)?;
    }
    let members = match key.key_data() {
        KeypairData::Ed25519(pair) => ed25519(pair),
        KeypairData::Ecdsa(pair) => ec(pair)?,
        KeypairData::Rsa(pair) => rsa(pair)?,
        _ => return Err(KeyError::UnknownKeyType),
    };
    let jwk: Map<String, Value> =
        members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    PrivateKey::from_jwk(&jwk, &KeyPolicy::default())
}

/// The beginning of a file with one key that is not encrypted (`PROTOCOL.key`). Its public half follows.
const NOT_ENCRYPTED: &[u8] = b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\x01";

/// Leaves less than 8 bytes of padding at the end of a file that is not encrypted, because the library
/// takes no more there. `puttygen` always pads to 16 bytes.
fn shorten_padding(file: &mut Vec<u8>) -> Option<()> {
    let (length, _) = file.strip_prefix(NOT_ENCRYPTED)?.split_first_chunk()?;
    let public = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let at = NOT_ENCRYPTED.len().checked_add(4)?.checked_add(public)?;
    let (length, secrets) = file.get(at..)?.split_first_chunk()?;
    let length = u32::from_be_bytes(*length);
    // The bytes of padding count upwards from one.
    let padding = *secrets.last()?;
    if usize::try_from(length) != Ok(secrets.len())
        || !secrets.iter().rev().copied().take(padding.into()).eq((1..=padding).rev())
    {
        return None;
    }
    let needless = padding / 8 * 8;
    file.truncate(file.len() - usize::from(needless));
    let length = length - u32::from(needless);
    file.get_mut(at..at + 4)?.copy_from_slice(&length.to_be_bytes());
    Some(())
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
