//! The JSON that a page sends for a `PublicKeyCredential` (WebAuthn §5.1, `toJSON`).

use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    attestation::AttestationError,
    authenticator_data::AuthenticatorDataError,
    client_data::ClientDataError,
    identifiers::{
        CredentialId, InvalidCredentialId, InvalidTransport, InvalidUserHandle, Transport,
        UserHandle,
    },
};
use crate::strict::{
    base64url,
    json::{self, JsonError},
};

/// A longer text, in bytes, is refused.
pub const MAX_RESPONSE: usize = 64 * 1024;

/// A longer list of transports is refused.
pub const MAX_TRANSPORTS: usize = 16;

/// A credential in JSON, without what only one of the ceremonies has.
pub(super) struct CredentialJson {
    pub(super) id: CredentialId,
    response: Map<String, Value>,
}

impl CredentialJson {
    /// Reads what both ceremonies have. Members that are not known mean nothing.
    pub(super) fn parse(text: &str) -> Result<Self, ResponseError> {
        if text.len() > MAX_RESPONSE {
            return Err(ResponseError::TooLong(text.len()));
        }
        let mut members = json::parse_object(text.as_bytes())?;
        let id = CredentialId::try_from(&bytes(&members, "id")?[..])?;
        if members.get("rawId") != members.get("id") {
            return Err(ResponseError::RawId);
        }
        if text_of(&members, "type")? != "public-key" {
            return Err(ResponseError::Type);
        }
        if members.get("clientExtensionResults").is_some_and(|results| !results.is_object()) {
            return Err(ResponseError::WrongType("clientExtensionResults"));
        }
        match members.remove("response") {
            None => Err(ResponseError::Missing("response")),
            Some(Value::Object(response)) => Ok(Self { id, response }),
            Some(_) => Err(ResponseError::WrongType("response")),
        }
    }

    /// The bytes of a member of `response`.
    pub(super) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, ResponseError> {
        bytes(&self.response, name)
    }

    /// `response.userHandle`, which may be absent or `null`.
    pub(super) fn user_handle(&self) -> Result<Option<UserHandle>, ResponseError> {
        match self.response.get("userHandle") {
            None | Some(Value::Null) => Ok(None),
            Some(_) => Ok(Some(UserHandle::try_from(&self.bytes("userHandle")?[..])?)),
        }
    }

    /// `response.transports`, which may be absent; in order and each once.
    pub(super) fn transports(&self) -> Result<Vec<Transport>, ResponseError> {
        let Some(list) = self.response.get("transports") else { return Ok(Vec::new()) };
        let list = list.as_array().ok_or(ResponseError::WrongType("transports"))?;
        if list.len() > MAX_TRANSPORTS {
            return Err(ResponseError::TooManyTransports(list.len()));
        }
        let read = |transport: &Value| {
            let text = transport.as_str().ok_or(ResponseError::WrongType("transports"))?;
            Ok::<_, ResponseError>(text.parse()?)
        };
        let mut transports: Vec<Transport> = list.iter().map(read).collect::<Result<_, _>>()?;
        transports.sort_unstable();
        transports.dedup();
        Ok(transports)
    }
}

fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, ResponseError> {
    match text_of(members, name)? {
        "" => Err(ResponseError::Empty(name)),
        text => base64url::decode(text).map_err(|_| ResponseError::NotBase64Url(name)),
    }
}

fn text_of<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<&'a str, ResponseError> {
    match members.get(name) {
        None => Err(ResponseError::Missing(name)),
        Some(value) => value.as_str().ok_or(ResponseError::WrongType(name)),
    }
}

/// Why a text is not the JSON of a credential.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResponseError {
    /// The attestation object is malformed.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// The authenticator data is malformed.
    #[error(transparent)]
    AuthenticatorData(#[from] AuthenticatorDataError),
    /// The client data is malformed.
    #[error(transparent)]
    ClientData(#[from] ClientDataError),
    /// The credential id is too long.
    #[error(transparent)]
    CredentialId(#[from] InvalidCredentialId),
    /// A member is empty.
    #[error("the member {0} of the credential is empty")]
    Empty(&'static str),
    /// Not strict JSON.
    #[error("the credential: {0}")]
    Json(#[from] JsonError),
    /// A member is missing.
    #[error("the credential lacks the member {0}")]
    Missing(&'static str),
    /// A member is not base64url.
    #[error("the member {0} of the credential is not canonical base64url without padding")]
    NotBase64Url(&'static str),
    /// `rawId` is not `id`.
    #[error("the members id and rawId of the credential are not the same text")]
    RawId,
    /// The text is too long.
    #[error("the credential has {0} bytes of JSON; at most {MAX_RESPONSE} are read")]
    TooLong(usize),
    /// Too many transports.
    #[error("the credential names {0} transports; at most {MAX_TRANSPORTS} are read")]
    TooManyTransports(usize),
    /// A transport that is no word.
    #[error(transparent)]
    Transport(#[from] InvalidTransport),
    /// `type` is not `public-key`.
    #[error("the type of the credential is not public-key")]
    Type,
    /// The user handle is too long.
    #[error(transparent)]
    UserHandle(#[from] InvalidUserHandle),
    /// A member has the wrong type.
    #[error("the member {0} of the credential has the wrong type")]
    WrongType(&'static str),
}
