//! JSON objects sealed for the server: AES-128-CBC with PKCS#7 padding (NIST SP 800-38A, RFC 5652
//! §6.3) under a key that is sealed with RSA-OAEP (RFC 8017 §7.1; SHA-256, MGF1 with SHA-256).
//!
//! Nothing here authenticates the ciphertext, so anybody who has one can alter it and watch how the
//! server reacts. They learn nothing, because every failure is the same error and every attempt
//! does all the work: where the sealed key does not open, decryption goes on with a random key; the
//! padding is checked without a branch; and the text before the padding is read as JSON even when
//! the padding is wrong. The caller must not show either whether it could use the opened object, or
//! that would be the oracle.

use aws_lc_rs::{
    cipher::{
        AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
        UnboundCipherKey,
    },
    error::Unspecified,
    iv::FixedLength,
    rsa::{
        OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
        PrivateDecryptingKey, PublicEncryptingKey,
    },
};
use serde_json::{Map, Value};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _, ConstantTimeGreater as _};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    keys::PublicKey,
    strict::{base64, json},
};

/// The bytes of a block, of the key and of the initialization vector.
const BLOCK: usize = 16;

/// A sealed object as it was sent: three texts in base64 with padding, whose lines may be broken.
#[derive(Clone, Copy, Debug)]
pub struct SealedObject<'a> {
    /// The 16-byte key under RSA-OAEP.
    pub key: &'a str,
    /// The 16 bytes of the initialization vector.
    pub iv: &'a str,
    /// The object under AES-128-CBC.
    pub ciphertext: &'a str,
}

/// The private key that opens sealed objects. It can be neither printed nor cloned.
pub struct OpeningKey(OaepPrivateDecryptingKey);

impl OpeningKey {
    /// Reads the PKCS#8 document of an RSA key of 2048 to 8192 bits, as
    /// [`PrivateKey::to_pkcs8_der`](crate::keys::PrivateKey::to_pkcs8_der) writes it.
    ///
    /// # Errors
    /// For any other document.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, NotAnOpeningKey> {
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| NotAnOpeningKey)?;
        OaepPrivateDecryptingKey::new(key).map(Self).map_err(|_| NotAnOpeningKey)
    }

    /// Opens an object that has exactly `members`, all of them strings, and returns these in the
    /// same order. `decoy` is 16 random bytes: the key to go on with when the sealed key does not
    /// open.
    ///
    /// # Errors
    /// [`DoesNotOpen`], whatever is wrong.
    pub fn open<const N: usize>(
        &self,
        sealed: &SealedObject<'_>,
        members: [&str; N],
        decoy: [u8; BLOCK],
    ) -> Result<[Zeroizing<String>; N], DoesNotOpen> {
        // These checks may stop early: they show only what the sender knows already.
        let key = base64::decode_wrapped(sealed.key)
            .ok()
            .filter(|key| key.len() == self.0.key_size_bytes());
        let iv =
            base64::decode_wrapped(sealed.iv).ok().and_then(|iv| <[u8; BLOCK]>::try_from(iv).ok());
        let blocks = base64::decode_wrapped(sealed.ciphertext).ok().filter(|text| is_blocks(text));
        let well_formed = key.is_some() && iv.is_some() && blocks.is_some();
        let key = key.unwrap_or_else(|| vec![0; self.0.key_size_bytes()]);
        let mut text = Zeroizing::new(blocks.unwrap_or_else(|| vec![0; BLOCK]));

        let (key, key_opened) = self.open_key(&key, decoy);
        let decrypted = decrypt(&key, iv.unwrap_or_default(), &mut text);
        let (length, padded) = unpadded(&text);
        let object = json::parse_object(&text[..length]).unwrap_or_default();
        let strings = exactly(object, members);
        if well_formed && key_opened && decrypted && bool::from(padded) {
            strings.ok_or(DoesNotOpen)
        } else {
            Err(DoesNotOpen)
        }
    }

    /// The key that is sealed in `block`, or `decoy` and `false`.
    fn open_key(&self, block: &[u8], decoy: [u8; BLOCK]) -> (Zeroizing<[u8; BLOCK]>, bool) {
        let mut buffer = Zeroizing::new(vec![0; self.0.min_output_size()]);
        let opened = self.0.decrypt(&OAEP_SHA256_MGF1SHA256, block, &mut buffer, None);
        let key = opened.ok().and_then(|key| <[u8; BLOCK]>::try_from(&*key).ok());
        (Zeroizing::new(key.unwrap_or(decoy)), key.is_some())
    }
}

/// Seals `text`, a JSON object, for the holder of the RSA key `recipient`. `key` and `iv` are each
/// 16 random bytes, never used before.
///
/// # Errors
/// When `recipient` is no RSA key of 2048 to 8192 bits.
pub fn seal(
    recipient: &PublicKey,
    text: &[u8],
    key: [u8; BLOCK],
    iv: [u8; BLOCK],
) -> Result<Sealed, CannotSeal> {
    let key = Zeroizing::new(key);
    let sealed_key = seal_key(recipient, &key).map_err(|_| CannotSeal)?;
    let blocks = encrypt(&key, iv, text).map_err(|_| CannotSeal)?;
    Ok(Sealed {
        key: base64::encode(&sealed_key),
        iv: base64::encode(&iv),
        ciphertext: base64::encode(&blocks),
    })
}

/// A sealed object to be sent: three texts in base64 with padding.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The 16-byte key under RSA-OAEP.
    pub key: String,
    /// The initialization vector.
    pub iv: String,
    /// The object under AES-128-CBC.
    pub ciphertext: String,
}

fn seal_key(recipient: &PublicKey, key: &[u8; BLOCK]) -> Result<Vec<u8>, Unspecified> {
    let public = PublicEncryptingKey::from_der(&recipient.to_spki_der())?;
    let public = OaepPublicEncryptingKey::new(public)?;
    let mut block = vec![0; public.ciphertext_size()];
    public.encrypt(&OAEP_SHA256_MGF1SHA256, key, &mut block, None)?;
    Ok(block)
}

fn encrypt(
    key: &[u8; BLOCK],
    iv: [u8; BLOCK],
    text: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    // A text of whole blocks gets one more block, so that the last byte always says how much to
    // remove.
    let padding = BLOCK - text.len() % BLOCK;
    let mut blocks = Zeroizing::new(Vec::with_capacity(text.len() + padding));
    blocks.extend_from_slice(text);
    blocks.extend(std::iter::repeat_n(padding.to_le_bytes()[0], padding));
    let key = EncryptingKey::cbc(UnboundCipherKey::new(&AES_128, key)?)?;
    key.less_safe_encrypt(&mut blocks, EncryptionContext::Iv128(FixedLength::from(iv)))?;
    Ok(blocks)
}

fn is_blocks(text: &[u8]) -> bool {
    !text.is_empty() && text.len().is_multiple_of(BLOCK)
}

/// Decrypts `blocks` in place, padding and all.
fn decrypt(key: &[u8; BLOCK], iv: [u8; BLOCK], blocks: &mut [u8]) -> bool {
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    UnboundCipherKey::new(&AES_128, key)
        .and_then(DecryptingKey::cbc)
        .and_then(|key| key.decrypt(blocks, context).map(drop))
        .is_ok()
}

/// The length of `text` (at least one block) without its padding, and whether the padding was
/// right: 1 to 16 bytes, each with their number as its value. The whole last block is always looked
/// at. Wrong padding counts as no padding.
fn unpadded(text: &[u8]) -> (usize, Choice) {
    let Some((_, last)) = text.split_last_chunk::<BLOCK>() else { return (0, Choice::from(0)) };
    let says = last[BLOCK - 1];
    let mut right = !says.ct_eq(&0) & !says.ct_gt(&16);
    for (byte, place) in last.iter().rev().zip(0_u8..) {
        right &= !says.ct_gt(&place) | byte.ct_eq(&says);
    }
    let padding = u8::conditional_select(&0, &says, right);
    (text.len() - usize::from(padding), right)
}

/// The strings of an object that has exactly `members`.
fn exactly<const N: usize>(
    mut object: Map<String, Value>,
    members: [&str; N],
) -> Option<[Zeroizing<String>; N]> {
    let is_exact = object.len() == N;
    let strings = members.map(|name| match object.remove(name) {
        Some(Value::String(text)) => Some(Zeroizing::new(text)),
        _ => None,
    });
    if !is_exact || strings.iter().any(Option::is_none) {
        return None;
    }
    Some(strings.map(Option::unwrap_or_default))
}

/// A sealed object was not made for this key, was altered, or is another object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the sealed object does not open")]
pub struct DoesNotOpen;

/// Not the public half of an RSA key that could open anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("only for an RSA key of 2048 to 8192 bits can anything be sealed")]
pub struct CannotSeal;

/// Not the PKCS#8 document of an RSA key that can open anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an RSA private key of 2048 to 8192 bits")]
pub struct NotAnOpeningKey;

#[cfg(test)]
mod tests;
