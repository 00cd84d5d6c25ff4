//! AES-256-GCM for data at rest, and the keys that come from one master key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Separates keys made by [`RootKey::derive`] and [`SealingKey::derive`] from every other use of HKDF.
const DERIVE_INFO: &[u8] = b"countersign/derive/1/";
/// The key of [`SealingKey::mac`]: the cipher's key itself never serves as a MAC key.
const MAC_INFO: &[u8] = b"countersign/mac/1";
/// Separates the keys of [`SealingKey::hmac_key`] from the others.
const HMAC_INFO: &[u8] = b"countersign/hmac/1/";

/// 32 secret bytes in one place in memory: moving them copies no more than their address, and the
/// place is overwritten when they are dropped.
pub struct SecretBytes(Box<Zeroizing<[u8; 32]>>);

impl SecretBytes {
    /// The bytes that `fill` writes; it gets 32 zeros.
    pub fn filled(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut place = Box::new(Zeroizing::new([0; 32]));
        fill(&mut place);
        Self(place)
    }

    /// The same, unless `fill` fails.
    ///
    /// # Errors
    /// The one of `fill`.
    pub fn try_filled<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut place = Box::new(Zeroizing::new([0; 32]));
        fill(&mut place)?;
        Ok(Self(place))
    }

    /// The bytes. Copy them nowhere.
    pub fn reveal(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A 256-bit secret from which the keys for all purposes are derived. It seals nothing itself, because
/// a cipher would keep another copy of it.
pub struct RootKey(SecretBytes);

impl RootKey {
    /// The root with these bytes, which must be uniformly random.
    pub const fn new(secret: SecretBytes) -> Self {
        Self(secret)
    }

    /// The key for the purpose `label`, by HKDF-SHA256 (RFC 5869). Other labels give unrelated keys.
    pub fn derive(&self, label: &str) -> SealingKey {
        derive(self.0.reveal(), label)
    }

    /// The bytes, to be sealed with the key that guards this root. Copy them nowhere else.
    pub fn reveal(&self) -> &[u8; 32] {
        self.0.reveal()
    }
}

/// A 256-bit secret that seals, opens and authenticates data.
///
/// Keep one per purpose: [`RootKey::derive`] makes them from a master key. It stays in one place in
/// memory, wherever it is moved.
pub struct SealingKey(Box<Keys>);

struct Keys {
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
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mac = hmac::Key::new(hmac::HMAC_SHA256, expand(bytes, &[MAC_INFO]).reveal());
        let secret = Zeroizing::new([0; 32]);
        let mut keys = Box::new(Keys { secret, cipher: cipher(bytes), mac });
        keys.secret.copy_from_slice(bytes);
        Self(keys)
    }

    /// The key that HKDF-SHA256 (RFC 5869) makes of `secret`, which must be as hard to guess as 32
    /// random bytes, in a form that other programs can compute too.
    pub fn from_secret(secret: &[u8], salt: &[u8], info: &str) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, salt);
        Self::from_bytes(expand_salted(&salt, secret, &[info.as_bytes()]).reveal())
    }

    /// The key for the purpose `label`, by HKDF-SHA256 (RFC 5869). Other labels give unrelated keys.
    pub fn derive(&self, label: &str) -> Self {
        derive(&self.0.secret, label)
    }

    /// Encrypts `plaintext` and appends the 16-byte tag (NIST SP 800-38D).
    ///
    /// A `nonce` must never be used twice with one key: take 96 random bits, and no more than 2³²
    /// of them per key. `aad` is authenticated but not stored; give the identity of the row.
    pub fn seal(&self, nonce: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        // Sized up front: growing would leave a copy of the plaintext behind.
        let mut buffer = Vec::with_capacity(plaintext.len() + AES_256_GCM.tag_len());
        buffer.extend_from_slice(plaintext);
        seal_in_place(&self.0.cipher, Nonce::assume_unique_for_key(nonce), aad, &mut buffer);
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
            .0
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
        let mut context = hmac::Context::with_key(&self.0.mac);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// A key for plain HMAC-SHA256 (RFC 2104), for formats that demand it; other labels give
    /// unrelated keys.
    pub(crate) fn hmac_key(&self, label: &str) -> hmac::Key {
        let secret = expand(&self.0.secret, &[HMAC_INFO, label.as_bytes()]);
        hmac::Key::new(hmac::HMAC_SHA256, secret.reveal())
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

fn derive(secret: &[u8; 32], label: &str) -> SealingKey {
    SealingKey::from_bytes(expand(secret, &[DERIVE_INFO, label.as_bytes()]).reveal())
}

/// HKDF-SHA256 (RFC 5869) without salt: `secret` is uniformly random already.
fn expand(secret: &[u8; 32], info: &[&[u8]]) -> SecretBytes {
    expand_salted(&hkdf::Salt::none(hkdf::HKDF_SHA256), secret, info)
}

#[expect(clippy::expect_used, reason = "the length of the key is fixed")]
fn expand_salted(salt: &hkdf::Salt, secret: &[u8], info: &[&[u8]]) -> SecretBytes {
    SecretBytes::filled(|okm| {
        salt.extract(secret)
            .expand(info, hkdf::HKDF_SHA256)
            .and_then(|key| key.fill(okm))
            .expect("HKDF-SHA256 yields up to 8160 bytes");
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONCE: [u8; 12] = [9; 12];

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes(&[byte; 32])
    }

    #[test]
    fn keys_for_different_purposes_are_unrelated() {
        let master = key(1);
        let sealed = master.derive("signing-keys").seal(NONCE, b"row", b"secret");
        assert!(master.derive("signing-keys").open(NONCE, b"row", &sealed).is_ok());
        for other in [
            &master,
            &master.derive("signing-key"),
            &master.derive(""),
            &master.derive("signing-keys").derive("signing-keys"),
            &key(2).derive("signing-keys"),
        ] {
            assert_eq!(other.open(NONCE, b"row", &sealed).unwrap_err(), OpenError);
            assert_ne!(other.mac(&[b"part"]), master.derive("signing-keys").mac(&[b"part"]));
        }
    }

    #[test]
    fn derived_keys_stay_the_same() {
        // HKDF-SHA256 as another implementation computes it; data at rest depends on it.
        let derived = [
            0xe5, 0xbc, 0x71, 0xea, 0x85, 0xfd, 0x20, 0xbb, 0xc1, 0x62, 0x0c, 0x1e, 0xd9, 0x4d,
            0x06, 0x4b, 0xb5, 0xee, 0x57, 0x99, 0x44, 0x68, 0xe7, 0x3d, 0xa2, 0x12, 0x3a, 0x6d,
            0xd1, 0x77, 0x97, 0x57,
        ];
        assert_eq!(*key(1).derive("signing-keys").0.secret, derived);
        let root = RootKey::new(SecretBytes::filled(|place| place.fill(1)));
        assert_eq!(*root.derive("signing-keys").0.secret, derived);
        let mac = [
            0x05, 0x8b, 0x96, 0x62, 0x64, 0xbc, 0x69, 0x7f, 0xb1, 0xcc, 0xeb, 0xa2, 0xd5, 0xfd,
            0xb2, 0xd6, 0xe1, 0x15, 0xea, 0x88, 0x3c, 0xc3, 0x3c, 0x9c, 0xe3, 0xdd, 0xa8, 0x87,
            0x7e, 0xf8, 0x0c, 0xba,
        ];
        assert_eq!(key(1).mac(&[b"a", b"bc"]), mac);
    }

    #[test]
    fn a_key_from_a_secret_can_be_computed_elsewhere() {
        // As Python's hmac computes it, with secret and salt of RFC 5869, Appendix A.1.
        let salt: Vec<u8> = (0..=12).collect();
        let key = SealingKey::from_secret(&[0x0b; 22], &salt, "countersign test");
        let expected = [
            0xe6, 0x1e, 0x14, 0x41, 0x0f, 0xbb, 0xd5, 0x51, 0x31, 0x75, 0x10, 0x7a, 0x96, 0x24,
            0xe5, 0x20, 0xb2, 0xc5, 0x34, 0x07, 0x6c, 0x09, 0x4f, 0x02, 0xaa, 0x89, 0xf7, 0xe0,
            0x07, 0xf9, 0x68, 0x57,
        ];
        assert_eq!(*key.0.secret, expected);
    }

    #[test]
    fn macs_tell_lists_apart() {
        let key = key(1);
        let mac = key.mac(&[b"ab", b"c"]);
        assert!(key.verify_mac(&[b"ab", b"c"], &mac));
        for other in
            [&[b"a".as_slice(), b"bc"][..], &[b"abc"], &[b"ab", b"c", b""], &[b"", b"ab", b"c"]]
        {
            assert!(!key.verify_mac(other, &mac));
        }
        assert!(!key.verify_mac(&[b"ab", b"c"], &mac[..31]));
        assert!(!key.verify_mac(&[b"ab", b"c"], &[]));
        assert!(!key.verify_mac(&[b"ab", b"c"], &[mac.as_slice(), &[0]].concat()));
    }

    proptest! {
        #[test]
        fn round_trip_and_no_changed_bit_opens(
            bytes: [u8; 32], nonce: [u8; 12], aad: Vec<u8>, plaintext: Vec<u8>, bit: prop::sample::Index,
        ) {
            let key = SealingKey::from_bytes(&bytes);
            let sealed = key.seal(nonce, &aad, &plaintext);
            prop_assert_eq!(sealed.len(), plaintext.len() + 16);
            let opened = key.open(nonce, &aad, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), plaintext.as_slice());

            let bit = bit.index(sealed.len() * 8);
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(key.open(nonce, &aad, &changed).is_err());
            prop_assert!(key.open(nonce, &aad, &sealed[..sealed.len() - 1]).is_err());
            prop_assert!(key.open(nonce, &[&aad[..], &[0]].concat(), &sealed).is_err());
            let mut other_nonce = nonce;
            other_nonce[bit % 12] ^= 1;
            prop_assert!(key.open(other_nonce, &aad, &sealed).is_err());
        }
    }
}
