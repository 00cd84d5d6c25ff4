//! The document that the server keeps. Its form stands in `countersign-protocol`, since the server
//! checks it too.

use countersign_protocol::keyring_document::{
    FORMAT, KeyringContent, KeyringDocument, Slot, VERSION,
};
use countersign_protocol::strict::json;
use serde_json::{Map, Value};

use super::error::DocumentError;

/// Slots and content of an online keyring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(KeyringDocument);

impl Document {
    /// Puts slots and content together.
    pub const fn new(slots: Vec<Slot>, content: KeyringContent) -> Self {
        Self(KeyringDocument { slots, content })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse(text: &[u8]) -> Result<Self, DocumentError> {
        let members = json::parse_object(text);
        Self::from_members(members.map_err(|error| DocumentError::NotJson(error.to_string()))?)
    }

    /// Reads a document whose JSON was parsed strictly.
    pub(crate) fn from_members(members: Map<String, Value>) -> Result<Self, DocumentError> {
        let version = members.get("version").and_then(Value::as_u64);
        let is_keyring = members.get("format").and_then(Value::as_str) == Some(FORMAT);
        match version.filter(|version| is_keyring && *version > VERSION) {
            Some(version) => Err(DocumentError::NewerVersion(version)),
            None => Ok(Self(KeyringDocument::from_members(members)?)),
        }
    }

    /// The slots.
    pub fn slots(&self) -> &[Slot] {
        &self.0.slots
    }

    /// The encrypted entries.
    pub const fn content(&self) -> &KeyringContent {
        &self.0.content
    }

    /// The document as JSON.
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.to_members())
    }
}
