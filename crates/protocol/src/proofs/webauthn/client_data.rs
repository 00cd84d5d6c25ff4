//! Client data (WebAuthn §5.8.1): what the browser says about the page, in the bytes whose hash the
//! authenticator signs.

use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    identifiers::{Challenge, InvalidChallenge},
    relying_party::Origin,
};
use crate::{
    digest::sha256,
    strict::{
        base64url,
        json::{self, JsonError},
    },
};

/// The value of `type` at a registration.
pub(super) const CREATE: &str = "webauthn.create";
/// The value of `type` at an authentication.
pub(super) const GET: &str = "webauthn.get";

/// The client data, read.
#[derive(Debug)]
pub(super) struct ClientData {
    /// SHA-256 of the bytes as they came, a byte order mark included.
    pub(super) hash: [u8; 32],
    pub(super) challenge: Challenge,
    ceremony: String,
    origin: String,
    cross_origin: bool,
    top_origin: Option<String>,
}

impl ClientData {
    /// Reads the JSON. Members that are not known mean nothing, because the specification says that
    /// more will come.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ClientDataError> {
        // WebAuthn §7.1 and §7.2 say "UTF-8 decode", which drops one byte order mark.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let members = json::parse_object(text)?;
        let challenge = base64url::decode(text_of(&members, "challenge")?)
            .map_err(|_| ClientDataError::ChallengeEncoding)?;
        check_token_binding(members.get("tokenBinding"))?;
        Ok(Self {
            hash: sha256(&[bytes]),
            challenge: Challenge::try_from(&challenge[..])?,
            ceremony: text_of(&members, "type")?.to_owned(),
            origin: text_of(&members, "origin")?.to_owned(),
            cross_origin: match members.get("crossOrigin") {
                None => false,
                Some(value) => value.as_bool().ok_or(ClientDataError::WrongType("crossOrigin"))?,
            },
            top_origin: match members.get("topOrigin") {
                None => None,
                Some(Value::String(origin)) => Some(origin.clone()),
                Some(_) => return Err(ClientDataError::WrongType("topOrigin")),
            },
        })
    }

    /// Checks what it is for.
    pub(super) fn check_type(&self, expected: &'static str) -> Result<(), ClientDataError> {
        if self.ceremony == expected { Ok(()) } else { Err(ClientDataError::Type { expected }) }
    }

    /// Checks which page asked: one of `origins`, and within a page of another origin only if that is
    /// one of `top_origins`.
    pub(super) fn check_page(
        &self,
        origins: &[Origin],
        top_origins: &[Origin],
    ) -> Result<(), ClientDataError> {
        let is_in = |text: &str, list: &[Origin]| list.iter().any(|own| own.as_str() == text);
        if !is_in(&self.origin, origins) {
            return Err(ClientDataError::Origin(shown(&self.origin)));
        }
        if self.cross_origin && top_origins.is_empty() {
            return Err(ClientDataError::CrossOrigin);
        }
        match &self.top_origin {
            None => Ok(()),
            Some(top) if self.cross_origin && is_in(top, top_origins) => Ok(()),
            Some(top) => Err(ClientDataError::TopOrigin(shown(top))),
        }
    }
}

/// Token binding is gone from Level 3, but old browsers may still send it (Level 2, §5.8.1).
fn check_token_binding(binding: Option<&Value>) -> Result<(), ClientDataError> {
    let Some(binding) = binding else { return Ok(()) };
    let status = binding.get("status").and_then(Value::as_str);
    match status {
        Some("supported") => Ok(()),
        Some("present") if binding.get("id").is_some_and(Value::is_string) => Ok(()),
        _ => Err(ClientDataError::TokenBinding),
    }
}

fn text_of<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<&'a str, ClientDataError> {
    match members.get(name) {
        None => Err(ClientDataError::Missing(name)),
        Some(value) => value.as_str().ok_or(ClientDataError::WrongType(name)),
    }
}

/// The beginning of a text that a peer has chosen, fit for a message.
fn shown(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(128).collect()
}

/// Why client data is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientDataError {
    /// The length of the challenge.
    #[error(transparent)]
    Challenge(#[from] InvalidChallenge),
    /// The challenge is not base64url.
    #[error("the challenge in clientDataJSON is not canonical base64url without padding")]
    ChallengeEncoding,
    /// The page is shown within a page of another origin.
    #[error(
        "the page is shown within a page of another origin (crossOrigin), which is not allowed"
    )]
    CrossOrigin,
    /// Not strict JSON.
    #[error("clientDataJSON: {0}")]
    Json(#[from] JsonError),
    /// A member is missing.
    #[error("clientDataJSON lacks the member {0}")]
    Missing(&'static str),
    /// Another page than those of this server.
    #[error(
        "the page is of the origin {0:?}, which is not one of those that passkeys may be used on here"
    )]
    Origin(String),
    /// Token binding in a form that never existed.
    #[error("the member tokenBinding of clientDataJSON is malformed")]
    TokenBinding,
    /// The page is shown within a page that may not show it.
    #[error(
        "the page is shown within a page of the origin {0:?} (topOrigin), which is not allowed"
    )]
    TopOrigin(String),
    /// It is for the other ceremony, or for something else.
    #[error("the type in clientDataJSON is not {expected}")]
    Type {
        /// What it should be.
        expected: &'static str,
    },
    /// A member has the wrong type.
    #[error("the member {0} of clientDataJSON has the wrong type")]
    WrongType(&'static str),
}
