//! The outer form of a keyring file: how the key is derived, and the sealed content.
//!
//! ```json
//! {"format":"countersign-keyring","version":1,
//!  "kdf":{"name":"argon2id","t":3,"m_kib":65536,"p":1,"salt":"…"},
//!  "cipher":"A256GCM","nonce":"…","ciphertext":"…"}
//! ```
//!
//! Salt (16 bytes), nonce (12 bytes) and ciphertext are base64url without padding. The associated
//! data of the ciphertext is the header: this text without white space and without `ciphertext`. So
//! nobody without the passphrase can alter any of it unnoticed.

use argon2::{Algorithm, Argon2, Params, Version};
use countersign_protocol::envelope::aes_gcm::SealingKey;
use countersign_protocol::strict::{base64url, json};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::cost::KdfCost;
use super::error::KeyringError;
use super::passphrase::Passphrase;

const FORMAT: &str = "countersign-keyring";
const VERSION: u64 = 1;
const KDF: &str = "argon2id";
const CIPHER: &str = "A256GCM";

/// How the sealing key is derived from the passphrase. Equal derivations give equal keys.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Derivation {
    pub(super) cost: KdfCost,
    pub(super) salt: [u8; 16],
}

impl Derivation {
    pub(super) fn derive(&self, passphrase: &Passphrase) -> Result<SealingKey, KeyringError> {
        let KdfCost { passes, memory_kib, lanes } = self.cost;
        let mut bytes = Zeroizing::new([0; 32]);
        Params::new(memory_kib, passes, lanes, Some(bytes.len()))
            .and_then(|params| {
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                    passphrase.as_bytes(),
                    &self.salt,
                    bytes.as_mut_slice(),
                )
            })
            .map_err(|cause| KeyringError::Derivation { memory_kib, cause: cause.to_string() })?;
        Ok(SealingKey::from_bytes(&bytes))
    }
}

/// A keyring file that has been read and not yet opened, or sealed and not yet written.
pub(super) struct Envelope {
    derivation: Derivation,
    nonce: [u8; 12],
    ciphertext: Vec<u8>,
}

impl Envelope {
    /// Reads the text of a file. Costs no memory but the file's own.
    pub(super) fn parse(file: &[u8]) -> Result<Self, KeyringError> {
        if file.is_empty() {
            return Err(KeyringError::Empty);
        }
        let members = match json::parse_object(file) {
            Ok(members) => members,
            Err(_) if !is_marked(file) => return Err(KeyringError::NotAKeyring),
            Err(_) if !file.trim_ascii_end().ends_with(b"}") => {
                return Err(KeyringError::Truncated);
            }
            Err(cause) => return Err(KeyringError::Damaged(cause.to_string())),
        };
        check_version(&members)?;
        let document: Document = serde_json::from_value(Value::Object(members))
            .map_err(|cause| KeyringError::Damaged(cause.to_string()))?;
        document.try_into()
    }

    pub(super) fn seal(
        derivation: Derivation,
        key: &SealingKey,
        nonce: [u8; 12],
        content: &[u8],
    ) -> Self {
        let mut envelope = Self { derivation, nonce, ciphertext: Vec::new() };
        envelope.ciphertext = key.seal(nonce, envelope.header().as_bytes(), content);
        envelope
    }

    pub(super) fn derivation(&self) -> &Derivation {
        &self.derivation
    }

    /// The decrypted content. AES-GCM cannot tell a wrong key from an altered file, so the error
    /// cannot either.
    pub(super) fn open(&self, key: &SealingKey) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        key.open(self.nonce, self.header().as_bytes(), &self.ciphertext)
            .map_err(|_| KeyringError::WrongPassphraseOrDamaged)
    }

    /// The text of the file.
    pub(super) fn to_text(&self) -> String {
        let header = self.header();
        let fields = header.trim_end_matches('}');
        format!(r#"{fields},"ciphertext":"{}"}}"#, base64url::encode(&self.ciphertext))
    }

    /// The associated data: every member but the ciphertext, in this order, without white space.
    fn header(&self) -> String {
        let KdfCost { passes, memory_kib, lanes } = self.derivation.cost;
        let salt = base64url::encode(&self.derivation.salt);
        let nonce = base64url::encode(&self.nonce);
        format!(
            r#"{{"format":"{FORMAT}","version":{VERSION},"kdf":{{"name":"{KDF}","t":{passes},"m_kib":{memory_kib},"p":{lanes},"salt":"{salt}"}},"cipher":"{CIPHER}","nonce":"{nonce}"}}"#
        )
    }
}

/// Whether a text that is not JSON at least begins like a keyring file.
fn is_marked(file: &[u8]) -> bool {
    file.starts_with(format!(r#"{{"format":"{FORMAT}""#).as_bytes())
}

/// Format and version come first: a newer version may have other members.
fn check_version(members: &Map<String, Value>) -> Result<(), KeyringError> {
    if members.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(KeyringError::NotAKeyring);
    }
    match members.get("version").and_then(Value::as_u64) {
        Some(VERSION) => Ok(()),
        Some(version) if version > VERSION => Err(KeyringError::NewerVersion(version)),
        _ => Err(KeyringError::Damaged("it has no valid version".to_owned())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "version")]
    _version: u64,
    kdf: DocumentKdf,
    cipher: String,
    nonce: String,
    ciphertext: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentKdf {
    name: String,
    t: u32,
    m_kib: u32,
    p: u32,
    salt: String,
}

impl TryFrom<Document> for Envelope {
    type Error = KeyringError;

    fn try_from(document: Document) -> Result<Self, KeyringError> {
        let Document { kdf, cipher, nonce, ciphertext, .. } = document;
        if kdf.name != KDF {
            return Err(KeyringError::Damaged(format!("its kdf is not {KDF}")));
        }
        if cipher != CIPHER {
            return Err(KeyringError::Damaged(format!("its cipher is not {CIPHER}")));
        }
        let cost = KdfCost::new(kdf.t, kdf.m_kib, kdf.p).map_err(KeyringError::Cost)?;
        Ok(Self {
            derivation: Derivation { cost, salt: decode_array("salt", &kdf.salt)? },
            nonce: decode_array("nonce", &nonce)?,
            ciphertext: decode("ciphertext", &ciphertext)?,
        })
    }
}

fn decode_array<const N: usize>(member: &str, text: &str) -> Result<[u8; N], KeyringError> {
    decode(member, text)?
        .try_into()
        .map_err(|_| KeyringError::Damaged(format!("its {member} does not have {N} bytes")))
}

fn decode(member: &str, text: &str) -> Result<Vec<u8>, KeyringError> {
    base64url::decode(text)
        .map_err(|_| KeyringError::Damaged(format!("its {member} is not base64url")))
}
