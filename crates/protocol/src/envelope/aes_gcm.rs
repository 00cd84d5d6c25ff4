//! AES-256-GCM for data at rest, and the keys that come from one master key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

/// Separates keys made by [`SealingKey::derive`] from every other use of HKDF.
const DERIVE_INFO: &[u8] = b"countersign/derive/1/";
/// The key of [`SealingKey::mac`]: the cipher's key itself never serves as a MAC key.
const MAC_INFO: &[u8] = b"countersign/mac/1";

/// A 256-bit secret that seals, opens and authenticates data.
///
/// Keep one per purpose: [`SealingKey::derive`] makes them from a master key.
pub struct SealingKey {
    secret: Zeroizing<[u8; 32]>,
    cipher: LessSafeKey,
    mac: hmac::Key,
}

/// The sealed data is damaged, was sealed under another key or nonce, or belongs to another row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed data does not open with this key")]
pub struct OpenError;

impl SealingKey {
    /// The key with these 32 bytes, which must be uniformly random.
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let secret = Zeroizing::new(bytes);
        bytes.zeroize();
        let cipher = cipher(&secret);
        let mac = hmac::Key::new(hmac::HMAC_SHA256, expand(&secret, &[MAC_INFO]).as_ref());
        Self { secret, cipher, mac }
    }

    /// The key for the purpose `label`, by HKDF-SHA256 (RFC 5869). Other labels give unrelated keys.
    pub fn derive(&self, label: &str) -> Self {
        Self::from_bytes(*expand(&self.secret, &[DERIVE_INFO, label.as_bytes()]))
    }

    /// Encrypts `plaintext` and appends the 16-byte tag (NIST SP 800-38D).
    ///
    /// A `nonce` must never be used twice with one key: take 96 random bits, and no more than 2³²
    /// of them per key. `aad` is authenticated but not stored; give the identity of the row.
    pub fn seal(&self, nonce: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        // Sized up front: growing would leave a copy of the plaintext behind.
        let mut buffer = Vec::with_capacity(plaintext.len() + AES_256_GCM.tag_len());
        buffer.extend_from_slice(plaintext);
        seal_in_place(&self.cipher, Nonce::assume_unique_for_key(nonce), aad, &mut buffer);
        buffer
    }

    /// Checks and decrypts what [`SealingKey::seal`] returned for the same `nonce` and `aad`.
    ///
    /// # Errors
    /// [`OpenError`] when any bit of key, nonce, `aad` or ciphertext differs.
    pub fn open(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = self
            .cipher
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut buffer)
            .map_err(|_| OpenError)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// HMAC-SHA256 (RFC 2104) of `parts`, each preceded by its length as 64 bits, big-endian, so
    /// that no two different lists of parts are authenticated alike.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.mac);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Whether `mac` is [`SealingKey::mac`] of `parts`; takes the same time for every wrong `mac`
    /// of the right length.
    #[must_use]
    pub fn verify_mac(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.mac(parts).as_slice().ct_eq(mac).into()
    }
}

#[expect(clippy::expect_used, reason = "fails only beyond 64 GiB of plaintext")]
fn seal_in_place(cipher: &LessSafeKey, nonce: Nonce, aad: &[u8], buffer: &mut Vec<u8>) {
    cipher
        .seal_in_place_append_tag(nonce, Aad::from(aad), buffer)
        .expect("AES-256-GCM seals any plaintext below 64 GiB");
}

#[expect(clippy::expect_used, reason = "the length is right by type")]
fn cipher(secret: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).expect("AES-256 takes 32 bytes"))
}

/// HKDF-SHA256 (RFC 5869) without salt: `secret` is uniformly random already.
#[expect(clippy::expect_used, reason = "the lengths are fixed")]
fn expand(secret: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut okm = Zeroizing::new([0; 32]);
    hkdf::Salt::none(hkdf::HKDF_SHA256)
        .extract(secret)
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|key| key.fill(okm.as_mut()))
        .expect("HKDF-SHA256 yields up to 8160 bytes");
    okm
}
