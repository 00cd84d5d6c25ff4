//! The forms in which private keys stand in files.

use super::PrivateKey;
use super::pbes2::{self, EncryptedKey};
use crate::keys::der::{self, Reader};
use crate::keys::error::KeyError;
use crate::keys::rsa::KeyPolicy;
use crate::keys::text::{self, KeyText, MAX_KEY_TEXT};
use crate::keys::{foreign, openssh};
use crate::strict::json;
use crate::strict::pem::{self, Pem};

impl PrivateKey {
    /// Reads the content of a key file: DER or PEM (as [`PrivateKey::from_pem`]), or a private JWK.
    ///
    /// # Errors
    /// [`KeyError`] says what it is instead, or what is wrong with the key.
    /// [`KeyError::EncryptedPrivateKey`] when [`PrivateKey::from_encrypted_file`] opens it, and
    /// [`KeyError::OpenSshPrivateKey`] when it is one of OpenSSH, of a supported kind.
    pub fn from_file(content: &[u8], policy: &KeyPolicy) -> Result<Self, KeyError> {
        Reading { policy, passphrase: None }.file(content)
    }

    /// As [`PrivateKey::from_file`], and opens an encrypted PKCS#8 (RFC 5958 §3) with its passphrase.
    /// Its encryption must be PBES2 (RFC 8018 §6.2) with PBKDF2 and AES-CBC, as OpenSSL writes it.
    ///
    /// # Errors
    /// Also [`KeyError::WrongPassphrase`].
    pub fn from_encrypted_file(
        content: &[u8],
        passphrase: &str,
        policy: &KeyPolicy,
    ) -> Result<Self, KeyError> {
        Reading { policy, passphrase: Some(passphrase) }.file(content)
    }

    /// Reads the private key of a PEM text: a block `PRIVATE KEY` (PKCS#8), `EC PRIVATE KEY` (RFC
    /// 5915) or `RSA PRIVATE KEY` (RFC 8017). Its parameters, certificates and other text may stand
    /// around it.
    ///
    /// # Errors
    /// As [`PrivateKey::from_pkcs8_der`] and [`PrivateKey::from_file`].
    pub fn from_pem(text: &str, policy: &KeyPolicy) -> Result<Self, KeyError> {
        Reading { policy, passphrase: None }.pem(text)
    }
}

/// How a file is read.
struct Reading<'a> {
    policy: &'a KeyPolicy,
    passphrase: Option<&'a str>,
}

impl Reading<'_> {
    fn file(&self, content: &[u8]) -> Result<PrivateKey, KeyError> {
        if let Some(error) = foreign::in_bytes(content) {
            return Err(error);
        }
        if content.first() == Some(&der::SEQUENCE) {
            return self.der(content);
        }
        match KeyText::recognize(text::utf8(content)?)? {
            KeyText::Json(text) => {
                PrivateKey::from_jwk(&json::parse_object(text.as_bytes())?, self.policy)
            }
            KeyText::Pem(text) => self.pem(text),
            KeyText::OpenSshLine(_) | KeyText::OpenSshFile(_) => Err(KeyError::PublicKey),
            KeyText::Putty(text) => Err(foreign::putty(text, self.policy)),
            KeyText::SshCom => Err(KeyError::SshComPrivateKey),
            KeyText::Base64(der) => self.der(&der),
        }
    }

    fn pem(&self, text: &str) -> Result<PrivateKey, KeyError> {
        if text.len() > MAX_KEY_TEXT {
            return Err(KeyError::TooLong);
        }
        // The old encrypted form has header lines: RFC 1421 §4.6.1.1.
        if text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::EncryptedPem);
        }
        let blocks = pem::decode_all(text)?;
        let mut keys = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
        match (keys.next(), keys.next()) {
            (Some(key), None) => self.block(key),
            (Some(_), Some(_)) => Err(pem::PemError::MoreThanOne.into()),
            (None, _) if has(&blocks, "PUBLIC KEY") => Err(KeyError::PublicKey),
            (None, _) if has(&blocks, "CERTIFICATE") => Err(KeyError::Certificate),
            (None, _) => Err(KeyError::UnsupportedPemLabel),
        }
    }

    fn block(&self, block: &Pem) -> Result<PrivateKey, KeyError> {
        match block.label.as_str() {
            "OPENSSH PRIVATE KEY" => {
                openssh::check_private_file(&block.der, self.policy)?;
                Err(KeyError::OpenSshPrivateKey)
            }
            "DSA PRIVATE KEY" => Err(KeyError::UnsupportedKeyType("DSA")),
            "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY" => {
                self.der(&block.der)
            }
            _ => Err(KeyError::UnsupportedPemLabel),
        }
    }

    /// Reads PKCS#8, RFC 5915 or RFC 8017, whose second elements differ.
    fn der(&self, der: &[u8]) -> Result<PrivateKey, KeyError> {
        if pbes2::is_encrypted(der) {
            return self.encrypted(der);
        }
        let second = |der| {
            let mut content = Reader::new(der).enter(der::SEQUENCE)?;
            content.unsigned()?;
            Ok::<_, der::Malformed>(content.peek())
        };
        match second(der) {
            Ok(Some(der::OCTET_STRING)) => PrivateKey::from_sec1_der(der, self.policy),
            Ok(Some(der::INTEGER)) => PrivateKey::from_pkcs1_der(der, self.policy),
            _ => PrivateKey::from_pkcs8_der(der, self.policy),
        }
    }

    fn encrypted(&self, der: &[u8]) -> Result<PrivateKey, KeyError> {
        // Read first, so that nobody is asked for a passphrase in vain.
        let key = EncryptedKey::read(der)?;
        let passphrase = self.passphrase.ok_or(KeyError::EncryptedPrivateKey)?;
        PrivateKey::from_pkcs8_der(&key.open(passphrase)?, self.policy)
    }
}

/// Whether one of the blocks has a label that ends so.
fn has(blocks: &[Pem], label: &str) -> bool {
    blocks.iter().any(|block| block.label.ends_with(label))
}
