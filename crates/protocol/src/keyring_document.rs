//! The document of an online keyring (`countersign-keyring`, version 2): one content, sealed with a
//! content key, and slots, each of which wraps that content key for one way to open it.
//!
//! Clients make and open it. What stands here is its form, which the server checks as well.

use std::{collections::HashSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{proofs::webauthn::CredentialId, strict::base64url};

/// The name of the format.
pub const FORMAT: &str = "countersign-keyring";
/// The version of the format. Version 1 is a file that only a passphrase opens.
pub const VERSION: u64 = 2;
/// The cipher of the content.
pub const CIPHER: &str = "A256GCM";
/// The most slots that a document has.
pub const MAX_SLOTS: usize = 20;
/// The tag of AES-GCM, with which every ciphertext ends, in bytes.
const TAG_LEN: usize = 16;

/// The id of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotId([u8; 16]);

impl SlotId {
    /// From the bytes that [`Self::as_bytes`] gives.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

/// The kinds of slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotKind {
    /// A password, by OPAQUE.
    Password,
    /// A recovery code, by OPAQUE.
    Recovery,
    /// The PRF of a passkey.
    Prf,
}

impl SlotKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Password, Self::Recovery, Self::Prf];

    /// Its word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Recovery => "recovery",
            Self::Prf => "prf",
        }
    }
}

impl fmt::Display for SlotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SlotKind {
    type Err = UnknownSlotKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownSlotKind)
    }
}

/// Not a kind of slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the kind of a slot is password, recovery or prf")]
pub struct UnknownSlotKind;

/// What opens a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opener {
    /// A password.
    Password,
    /// A recovery code.
    Recovery,
    /// The PRF of a passkey.
    Prf {
        /// The passkey.
        passkey: CredentialId,
        /// What the PRF is evaluated at.
        salt: [u8; 32],
    },
}

impl Opener {
    /// The kind of its slot.
    pub const fn kind(&self) -> SlotKind {
        match self {
            Self::Password => SlotKind::Password,
            Self::Recovery => SlotKind::Recovery,
            Self::Prf { .. } => SlotKind::Prf,
        }
    }
}

/// One way to the content key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its id.
    pub id: SlotId,
    /// What opens it.
    pub opener: Opener,
    /// The content key, wrapped: nonce, ciphertext and tag.
    pub wrapped: [u8; 60],
}

/// The sealed entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringContent {
    /// The nonce.
    pub nonce: [u8; 12],
    /// The ciphertext, with the tag at its end.
    pub ciphertext: Vec<u8>,
}

/// A keyring as it is stored online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringDocument {
    /// The ways to open it: 1 to [`MAX_SLOTS`], of which at most one is a password, one a recovery code, and
    /// one for each passkey.
    pub slots: Vec<Slot>,
    /// The entries.
    pub content: KeyringContent,
}

/// The members of a document, each still text.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawDocument {
    format: String,
    version: u64,
    slots: Vec<RawSlot>,
    cipher: String,
    nonce: String,
    ciphertext: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawSlot {
    id: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passkey: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    wrapped: String,
}

impl KeyringDocument {
    /// Reads the members of a document.
    ///
    /// # Errors
    /// The first rule of the form that does not hold.
    pub fn from_members(members: Map<String, Value>) -> Result<Self, InvalidKeyring> {
        let raw: RawDocument = serde_json::from_value(Value::Object(members))
            .map_err(|error| InvalidKeyring::Members(error.to_string()))?;
        if raw.format != FORMAT || raw.version != VERSION {
            return Err(InvalidKeyring::Version);
        }
        if raw.cipher != CIPHER {
            return Err(InvalidKeyring::Cipher);
        }
        if raw.slots.is_empty() || raw.slots.len() > MAX_SLOTS {
            return Err(InvalidKeyring::SlotCount(raw.slots.len()));
        }
        let slots = raw.slots.into_iter().map(RawSlot::read).collect::<Result<Vec<_>, _>>()?;
        check_unique(&slots)?;
        Ok(Self { slots, content: KeyringContent::from_texts(&raw.nonce, &raw.ciphertext)? })
    }

    /// The members of the document, which [`Self::from_members`] reads.
    pub fn to_members(&self) -> Map<String, Value> {
        let raw = RawDocument {
            format: FORMAT.to_owned(),
            version: VERSION,
            slots: self.slots.iter().map(RawSlot::of).collect(),
            cipher: CIPHER.to_owned(),
            nonce: base64url::encode(&self.content.nonce),
            ciphertext: base64url::encode(&self.content.ciphertext),
        };
        match serde_json::to_value(raw) {
            Ok(Value::Object(members)) => members,
            // Texts and numbers can always be written.
            Ok(_) | Err(_) => Map::new(),
        }
    }
}

impl KeyringContent {
    /// Reads nonce and ciphertext, both base64url.
    ///
    /// # Errors
    /// When one of them is not, or has a wrong length.
    pub fn from_texts(nonce: &str, ciphertext: &str) -> Result<Self, InvalidKeyring> {
        let nonce = exact("nonce", nonce)?;
        let ciphertext = decode("ciphertext", ciphertext)?;
        if ciphertext.len() < TAG_LEN {
            return Err(InvalidKeyring::Bytes("ciphertext", "at least 16 bytes, the tag"));
        }
        Ok(Self { nonce, ciphertext })
    }
}

impl RawSlot {
    fn read(self) -> Result<Slot, InvalidKeyring> {
        let kind = self.kind.parse::<SlotKind>()?;
        let opener = match (kind, self.passkey, self.salt) {
            (SlotKind::Password, None, None) => Opener::Password,
            (SlotKind::Recovery, None, None) => Opener::Recovery,
            (SlotKind::Prf, Some(passkey), Some(salt)) => {
                let id = decode("passkey", &passkey)?;
                let passkey = CredentialId::try_from(&*id)
                    .map_err(|_| InvalidKeyring::Bytes("passkey", "1 to 1023 bytes"))?;
                Opener::Prf { passkey, salt: exact("salt", &salt)? }
            }
            (SlotKind::Password | SlotKind::Recovery | SlotKind::Prf, ..) => {
                return Err(InvalidKeyring::SlotMembers(kind));
            }
        };
        let id = SlotId::from_bytes(exact("id", &self.id)?);
        Ok(Slot { id, opener, wrapped: exact("wrapped", &self.wrapped)? })
    }

    fn of(slot: &Slot) -> Self {
        let (passkey, salt) = match &slot.opener {
            Opener::Password | Opener::Recovery => (None, None),
            Opener::Prf { passkey, salt } => {
                (Some(passkey.to_string()), Some(base64url::encode(salt)))
            }
        };
        Self {
            id: slot.id.to_string(),
            kind: slot.opener.kind().name().to_owned(),
            passkey,
            salt,
            wrapped: base64url::encode(&slot.wrapped),
        }
    }
}

fn check_unique(slots: &[Slot]) -> Result<(), InvalidKeyring> {
    let mut ids = HashSet::new();
    if !slots.iter().all(|slot| ids.insert(slot.id)) {
        return Err(InvalidKeyring::SameId);
    }
    let mut openers = HashSet::new();
    for slot in slots {
        let passkey = match &slot.opener {
            Opener::Password | Opener::Recovery => None,
            Opener::Prf { passkey, .. } => Some(passkey),
        };
        let kind = slot.opener.kind();
        if !openers.insert((kind, passkey)) {
            return Err(InvalidKeyring::SameOpener(kind));
        }
    }
    Ok(())
}

fn decode(member: &'static str, text: &str) -> Result<Vec<u8>, InvalidKeyring> {
    base64url::decode(text).map_err(|_| InvalidKeyring::Base64(member))
}

fn exact<const N: usize>(member: &'static str, text: &str) -> Result<[u8; N], InvalidKeyring> {
    let length = |_| InvalidKeyring::Length(member, N);
    decode(member, text)?.try_into().map_err(length)
}

/// Why a document is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidKeyring {
    /// A member is not base64url.
    #[error("{0} of the keyring is not base64url without padding")]
    Base64(&'static str),
    /// A member has a wrong number of bytes.
    #[error("{0} of the keyring has {1}")]
    Bytes(&'static str, &'static str),
    /// Another cipher.
    #[error("the cipher of a keyring is {CIPHER}")]
    Cipher,
    /// A slot of an unknown kind.
    #[error(transparent)]
    Kind(#[from] UnknownSlotKind),
    /// A member has another length than it must have.
    #[error("{0} of the keyring is base64url of {1} bytes")]
    Length(&'static str, usize),
    /// A member is missing, unknown or of another type.
    #[error("the keyring is no document of version {VERSION}: {0}")]
    Members(String),
    /// Two slots have one id.
    #[error("two slots of the keyring have the same id")]
    SameId,
    /// Two slots are opened by the same.
    #[error("the keyring has two {0} slots, and may have one (of prf, one for each passkey)")]
    SameOpener(SlotKind),
    /// Too few or too many slots.
    #[error("a keyring has 1 to {MAX_SLOTS} slots, this one has {0}")]
    SlotCount(usize),
    /// A slot has members of another kind, or lacks some of its own.
    #[error(
        "a {0} slot of the keyring must have passkey and salt if it is prf, and neither otherwise"
    )]
    SlotMembers(SlotKind),
    /// Another format or version.
    #[error("the keyring is of another format than {FORMAT}, version {VERSION}")]
    Version,
}

#[cfg(test)]
mod tests;
