//! Encrypted PKCS#8 (RFC 5958 §3): PBES2 with PBKDF2 and AES-CBC (RFC 8018 §6.2, appendix A.2 to A.4,
//! RFC 3565 §4.1).

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    self, AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2::{
    self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512,
};
use zeroize::Zeroizing;

use crate::keys::der::{self, Malformed, Reader};
use crate::keys::error::KeyError;

/// id-PBES2 (RFC 8018 appendix C).
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
/// id-PBKDF2.
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];

/// The most iterations, which take some seconds: NIST SP 800-132 §5.2 calls this number appropriate for
/// very critical keys. OpenSSL takes 2048 unless told.
const MAX_ITERATIONS: u32 = 10_000_000;

/// The length of a block and of the initialization vector, in bytes.
const BLOCK: usize = 16;

/// A key whose way of encryption is known here. It has not been decrypted.
pub(super) struct EncryptedKey<'a> {
    derivation: Derivation<'a>,
    cipher: Cipher,
    iv: [u8; BLOCK],
    ciphertext: &'a [u8],
}

/// How the key of the cipher comes from the passphrase.
struct Derivation<'a> {
    hmac: pbkdf2::Algorithm,
    salt: &'a [u8],
    iterations: NonZeroU32,
    /// The length of the derived key in bytes, where the file says it.
    length: Option<u64>,
}

/// AES-CBC with one of its lengths of key.
#[derive(Clone, Copy)]
struct Cipher {
    algorithm: &'static cipher::Algorithm,
    /// In bytes.
    key_length: usize,
}

/// Whether this is an `EncryptedPrivateKeyInfo`: the name of an algorithm, then the encrypted key.
pub(super) fn is_encrypted(der: &[u8]) -> bool {
    let looks_so = || {
        let mut info = Reader::new(der).enter(der::SEQUENCE)?;
        let algorithm = info.enter(der::SEQUENCE)?;
        let is = (algorithm.peek(), info.peek());
        Ok::<_, Malformed>(is == (Some(der::OBJECT_IDENTIFIER), Some(der::OCTET_STRING)))
    };
    looks_so().unwrap_or(false)
}

impl<'a> EncryptedKey<'a> {
    /// Reads an `EncryptedPrivateKeyInfo`.
    ///
    /// # Errors
    /// [`KeyError::UnsupportedEncryption`] for other algorithms, [`KeyError::Pbkdf2TooCostly`], and
    /// [`KeyError::MalformedDer`].
    pub(super) fn read(der: &'a [u8]) -> Result<Self, KeyError> {
        let mut outer = Reader::new(der);
        let mut info = outer.enter(der::SEQUENCE)?;
        outer.finish()?;
        let mut algorithm = info.enter(der::SEQUENCE)?;
        let ciphertext = info.read(der::OCTET_STRING)?;
        info.finish()?;
        if algorithm.read(der::OBJECT_IDENTIFIER)? != PBES2 {
            return Err(KeyError::UnsupportedEncryption);
        }
        let mut parameters = algorithm.enter(der::SEQUENCE)?;
        let derivation = Derivation::read(&mut parameters.enter(der::SEQUENCE)?)?;
        let mut scheme = parameters.enter(der::SEQUENCE)?;
        let cipher = Cipher::of(scheme.read(der::OBJECT_IDENTIFIER)?)?;
        let iv = scheme.read(der::OCTET_STRING)?;
        let iv = iv.try_into().map_err(|_| KeyError::MalformedDer)?;
        if derivation.length.is_some_and(|length| length != cipher.key_length as u64) {
            return Err(KeyError::MalformedDer);
        }
        Ok(Self { derivation, cipher, iv, ciphertext })
    }

    /// Decrypts the key: a `PrivateKeyInfo`.
    ///
    /// # Errors
    /// [`KeyError::WrongPassphrase`].
    pub(super) fn open(&self, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let wrong = |_| KeyError::WrongPassphrase;
        let key = self.derivation.derive(passphrase, self.cipher.key_length);
        let key = UnboundCipherKey::new(self.cipher.algorithm, &key).map_err(wrong)?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(wrong)?;
        let mut text = Zeroizing::new(self.ciphertext.to_vec());
        let iv = DecryptionContext::Iv128(FixedLength::from(self.iv));
        let length = key.decrypt(&mut text, iv).map_err(wrong)?.len();
        text.truncate(length);
        // One wrong passphrase in 256 leaves a padding that is right, with garbage before it.
        let mut outer = Reader::new(&text);
        let is_whole = outer.read(der::SEQUENCE).and_then(|_| outer.finish());
        is_whole.map_err(|_| KeyError::WrongPassphrase)?;
        Ok(text)
    }
}

impl<'a> Derivation<'a> {
    /// Reads the `AlgorithmIdentifier` of PBKDF2.
    fn read(function: &mut Reader<'a>) -> Result<Self, KeyError> {
        if function.read(der::OBJECT_IDENTIFIER)? != PBKDF2 {
            return Err(KeyError::UnsupportedEncryption);
        }
        let mut parameters = function.enter(der::SEQUENCE)?;
        let salt = parameters.read(der::OCTET_STRING)?;
        let iterations = number(parameters.unsigned()?);
        let iterations = match u32::try_from(iterations) {
            Ok(iterations @ ..=MAX_ITERATIONS) => NonZeroU32::new(iterations),
            _ => return Err(KeyError::Pbkdf2TooCostly { iterations, max: MAX_ITERATIONS }),
        };
        let length = match parameters.peek() {
            Some(der::INTEGER) => Some(number(parameters.unsigned()?)),
            _ => None,
        };
        let hmac = match parameters.peek() {
            None => PBKDF2_HMAC_SHA1,
            Some(_) => hmac(parameters.enter(der::SEQUENCE)?.read(der::OBJECT_IDENTIFIER)?)?,
        };
        let iterations = iterations.ok_or(KeyError::MalformedDer)?;
        Ok(Self { hmac, salt, iterations, length })
    }

    fn derive(&self, passphrase: &str, length: usize) -> Zeroizing<Vec<u8>> {
        let mut key = Zeroizing::new(vec![0; length]);
        let (hmac, iterations) = (self.hmac, self.iterations);
        pbkdf2::derive(hmac, iterations, self.salt, passphrase.as_bytes(), &mut key);
        key
    }
}

/// The HMAC that PBKDF2 uses (RFC 8018 appendix B.1.2).
fn hmac(oid: &[u8]) -> Result<pbkdf2::Algorithm, KeyError> {
    match oid {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 7] => Ok(PBKDF2_HMAC_SHA1),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 9] => Ok(PBKDF2_HMAC_SHA256),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 10] => Ok(PBKDF2_HMAC_SHA384),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 11] => Ok(PBKDF2_HMAC_SHA512),
        _ => Err(KeyError::UnsupportedEncryption),
    }
}

impl Cipher {
    /// id-aes128-CBC, id-aes192-CBC and id-aes256-CBC (RFC 3565 §4.1).
    fn of(oid: &[u8]) -> Result<Self, KeyError> {
        let (algorithm, key_length) = match oid {
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02] => (&AES_128, 16),
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x16] => (&AES_192, 24),
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a] => (&AES_256, 32),
            _ => return Err(KeyError::UnsupportedEncryption),
        };
        Ok(Self { algorithm, key_length })
    }
}

/// A number that is big-endian without leading zero bytes; the greatest one where it has no room.
fn number(bytes: &[u8]) -> u64 {
    let is_small = bytes.len() <= size_of::<u64>();
    let value = bytes.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
    if is_small { value } else { u64::MAX }
}
