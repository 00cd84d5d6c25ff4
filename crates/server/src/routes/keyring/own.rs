//! The online keyring of one's account: what it is like, storing and deleting it.

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse as _, Response},
};
use countersign_authority::{
    model::keyring::{KeyringDocument, KnownSlot, Opener},
    online_keyring::storing::{DeleteKeyring, PresentedKeyring, PresentedRecord},
    ports::Replaces,
};
use countersign_protocol::{Principal, strict::base64url, wire};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::document_body::{RevisionBody, bytes, changed, tagged};
use crate::{
    http::{
        body::{RawBody, SignedJson},
        change_request::ChangeRequest,
        preconditions::{replaced_revision, replaces},
        problem::Problem,
    },
    state::App,
};

#[derive(Serialize, ToSchema)]
pub(crate) struct KeyringBody {
    /// The number of the content.
    #[schema(example = 7)]
    revision: u64,
    /// Since when that is the content.
    updated_at: u64,
    /// The length of the ciphertext in bytes.
    size: u64,
    slots: Vec<SlotBody>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SlotBody {
    id: String,
    /// `password`, `recovery` or `prf`.
    #[schema(example = "password")]
    kind: &'static str,
    /// The id of the passkey of a `prf` slot, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    passkey: Option<String>,
    /// What its PRF is evaluated at, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    created_at: u64,
    /// The passkey is no live one of the account any more: store the keyring with another content key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    passkey_revoked: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreKeyringBody {
    /// The document, version 2 of `countersign-keyring`.
    document: Map<String, Value>,
    /// The records of the slots that are new and that OPAQUE opens.
    records: Vec<RecordBody>,
    /// The id of the account whose keyring is meant. Another one's request is refused.
    account_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordBody {
    /// The ticket of the slot.
    ticket: String,
    /// The last message of the registration with OPAQUE, base64url.
    record: String,
}

impl RecordBody {
    fn read(&self) -> Result<PresentedRecord<'_>, Problem> {
        Ok(PresentedRecord { ticket: &self.ticket, record: bytes("record", &self.record)? })
    }
}

/// What one's online keyring is like, without its content.
#[utoipa::path(
    get,
    path = wire::path::KEYRING,
    tag = "keyring",
    security(("dpop" = [])),
    responses(
        (status = 200, body = KeyringBody, description = "With `ETag`"),
        (status = 403, description = "step-up-needed: a JWT without `aud`"),
        (status = 404, description = "no-keyring"),
    )
)]
pub(crate) async fn keyring(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
) -> Result<Response, Problem> {
    let summary = app.authority.online_keyring.summary(&principal).await?;
    let body = KeyringBody {
        revision: summary.revision.0,
        updated_at: summary.updated_at.as_secs(),
        size: summary.size,
        slots: summary.slots.iter().map(SlotBody::from).collect(),
    };
    Ok(tagged(summary.revision, &body))
}

impl From<&KnownSlot> for SlotBody {
    fn from(KnownSlot { slot, created_at, passkey_revoked }: &KnownSlot) -> Self {
        let (passkey, salt) = match &slot.opener {
            Opener::Password | Opener::Recovery => (None, None),
            Opener::Prf { passkey, salt } => {
                (Some(passkey.to_string()), Some(base64url::encode(salt)))
            }
        };
        Self {
            id: slot.id.to_string(),
            kind: slot.opener.kind().name(),
            passkey,
            salt,
            created_at: created_at.as_secs(),
            passkey_revoked: *passkey_revoked,
        }
    }
}

/// Store one's online keyring, or replace it with all its slots. Earlier contents stay only where a slot does,
/// byte for byte: then they are sealed with the same key.
///
/// The proof must cover the body (`tha`). A browser needs besides what every change of keys by a browser
/// needs: a passkey (`Passkey-Assertion`), or a login just now.
#[utoipa::path(
    put,
    path = wire::path::KEYRING,
    tag = "keyring",
    security(("dpop" = [])),
    params(
        ("If-None-Match" = Option<String>, Header, description = "`*`: there must be none yet"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the keyring that this one replaces"),
        ("Passkey-Assertion" = Option<String>, Header, description = "The answer of a passkey that allows this request"),
    ),
    request_body = StoreKeyringBody,
    responses(
        (status = 200, body = RevisionBody, description = "It was replaced; with `ETag`"),
        (status = 201, body = RevisionBody, description = "There was none; with `ETag`"),
        (status = 400, description = "invalid-json, invalid-keyring or invalid-request"),
        (status = 403, description = "step-up-needed"),
        (status = 404, description = "no-keyring: there is none to be replaced"),
        (status = 409, description = "other-account"),
        (status = 412, description = "keyring-changed; `ETag` says what is there"),
        (status = 428, description = "precondition-required"),
    )
)]
pub(crate) async fn store_keyring(
    State(app): State<App>,
    request: ChangeRequest,
    headers: HeaderMap,
    SignedJson { value: body, bytes: signed }: SignedJson<StoreKeyringBody>,
) -> Result<Response, Problem> {
    request.check_account(body.account_id.as_deref())?;
    let replaces = replaces(&headers)?;
    let records = body.records.iter().map(RecordBody::read).collect::<Result<_, _>>()?;
    let document = KeyringDocument::from_members(body.document)?;
    let keyrings = &app.authority.online_keyring;
    let presented = PresentedKeyring { document, replaces, records };
    let new = keyrings.keyring_to_store(request.principal.account_id, presented)?;
    let change = app.authority.accounts.step_up(request.with_body(&signed), new).await?;
    let answer = changed(keyrings.store(change).await?);
    Ok(match replaces {
        Replaces::Nothing => (StatusCode::CREATED, answer).into_response(),
        Replaces::Revision(_) => answer,
    })
}

/// Delete one's online keyring, with everything that was kept of it. There must be no body.
#[utoipa::path(
    delete,
    path = wire::path::KEYRING,
    tag = "keyring",
    security(("dpop" = [])),
    params(
        ("If-Match" = String, Header, description = "The `ETag` of the keyring that is to go"),
        ("Passkey-Assertion" = Option<String>, Header, description = "The answer of a passkey that allows this request"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 400, description = "invalid-request: there is a body, or `If-Match` is no `ETag`"),
        (status = 403, description = "step-up-needed"),
        (status = 404, description = "no-keyring"),
        (status = 412, description = "keyring-changed; `ETag` says what is there"),
        (status = 428, description = "precondition-required"),
    )
)]
pub(crate) async fn delete_keyring(
    State(app): State<App>,
    request: ChangeRequest,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<StatusCode, Problem> {
    let deletion = DeleteKeyring { replaces: replaced_revision(&headers)? };
    let change = app.authority.accounts.step_up(request.with_body(&body), deletion).await?;
    app.authority.online_keyring.delete(change).await?;
    Ok(StatusCode::NO_CONTENT)
}
