//! An account's own keys. To change them, a request must be signed more thoroughly than to read them:
//! [`Accounts::step_up`](countersign_authority::accounts::Accounts::step_up).

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use countersign_authority::{
    accounts::{
        own_keys::{AddedBrowser, NewKeyProof, RenameKey, RevokeKey},
        signed_request::SignedRequest,
    },
    model::credential::InvalidLabel,
};
use countersign_protocol::{Principal, keys::Thumbprint, wire};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    accounts::{presented_key, remembered},
    key_body::{KeyBodies, KeyBody},
};
use crate::{
    http::{
        body::{RawBody, SignedJson, user_agent},
        change_request::ChangeRequest,
        problem::{Problem, ProblemType},
    },
    state::App,
};

#[derive(Serialize, ToSchema)]
pub(crate) struct KeysBody {
    keys: Vec<KeyBody>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddKeyBody {
    /// A JWK, an SPKI or PKCS#1 PEM, or base64 of SPKI DER.
    public_key: Value,
    /// A name for the key, such as the device.
    label: Option<String>,
    /// For the key of a browser, as for registration: `browser` or `visit`.
    remember: Option<String>,
    /// A DPoP proof by the new key, for this method and URL, whose claim `sub` is the username or the
    /// id of the account: the new key proves itself, for this account.
    new_key_proof: String,
    /// A key approval: a JWT by a live key of the account that lets this one in. In place of `tha` in
    /// the proof of the request.
    approval: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameKeyBody {
    /// The new name.
    label: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RevokedBody {
    /// The live keys that the revoked one had added, and those that these had added.
    added_keys: Vec<KeyBody>,
}

/// List the keys of one's account, live and revoked.
#[utoipa::path(
    get,
    path = wire::path::KEYS,
    tag = "account",
    security(("dpop" = [])),
    responses(
        (status = 200, body = KeysBody),
        (status = 403, description = "step-up-needed: a JWT without `aud`"),
    )
)]
pub(crate) async fn list_keys(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<KeysBody>, Problem> {
    let keys = app.authority.accounts.own_keys(&principal).await?;
    let bodies = KeyBodies::of(&app, &principal).await?;
    let keys = keys.iter().map(|key| bodies.body(key)).collect();
    Ok(Json(KeysBody { keys }))
}

/// Add a key to one's account.
///
/// The proof must be by a key of the account and cover the body (`tha`), or the body has an `approval`. A
/// browser needs besides that a passkey of the account allows it (`Passkey-Assertion`).
#[utoipa::path(
    post,
    path = wire::path::KEYS,
    tag = "account",
    security(("dpop" = [])),
    params(("Passkey-Assertion" = Option<String>, Header, description = "The answer of a passkey that allows this request")),
    request_body = AddKeyBody,
    responses(
        (status = 201, body = KeyBody),
        (status = 400, description = "invalid-json, invalid-key, invalid-proof, invalid-request (the label or remember) or nonce-required"),
        (status = 403, description = "step-up-needed"),
        (status = 409, description = "key-taken or key-limit"),
    )
)]
pub(crate) async fn add_key(
    State(app): State<App>,
    request: ChangeRequest,
    headers: HeaderMap,
    SignedJson { value: body, bytes }: SignedJson<AddKeyBody>,
) -> Result<(StatusCode, Json<KeyBody>), Problem> {
    let browser = remembered(body.remember.as_deref())?
        .map(|remember| AddedBrowser { remember, user_agent: user_agent(&headers) });
    let key = app.authority.accounts.key_to_add(
        presented_key(&body.public_key)?,
        body.label.as_deref(),
        browser,
    )?;
    let approval = body.approval.as_deref();
    let signed = SignedRequest { approval, ..request.with_body(&bytes) };
    let change = app.authority.accounts.step_up(signed, key).await?;
    let uri =
        app.authority.core.policy().origin.join(wire::path::KEYS).map_err(Problem::internal)?;
    let text = &body.new_key_proof;
    let proof = NewKeyProof { text, method: Method::POST.as_str(), uri: &uri };
    let key = app.authority.accounts.add_key(change, proof).await?;
    let bodies = KeyBodies::without_passkeys(&request.principal);
    Ok((StatusCode::CREATED, Json(bodies.body(&key))))
}

/// Give a key of one's account another name. The proof must be by a key of the account and cover the
/// body (`tha`).
#[utoipa::path(
    patch,
    path = wire::path::KEY,
    tag = "account",
    security(("dpop" = [])),
    params(
        ("thumbprint" = String, Path, description = "The key's thumbprint"),
        ("Passkey-Assertion" = Option<String>, Header, description = "The answer of a passkey that allows this request"),
    ),
    request_body = RenameKeyBody,
    responses(
        (status = 200, body = KeyBody),
        (status = 400, description = "invalid-json or invalid-request (the label)"),
        (status = 403, description = "step-up-needed"),
        (status = 404, description = "not-found"),
    )
)]
pub(crate) async fn rename_key(
    State(app): State<App>,
    thumbprint: Result<Path<String>, PathRejection>,
    request: ChangeRequest,
    SignedJson { value: body, bytes }: SignedJson<RenameKeyBody>,
) -> Result<Json<KeyBody>, Problem> {
    let thumbprint = named_key(thumbprint)?;
    let invalid =
        |error: InvalidLabel| Problem::new(ProblemType::InvalidRequest).detail(error.to_string());
    let label = body.label.parse().map_err(invalid)?;
    let rename = RenameKey { thumbprint, label };
    let change = app.authority.accounts.step_up(request.with_body(&bytes), rename).await?;
    let key = app.authority.accounts.rename_key(change).await?;
    Ok(Json(KeyBodies::of(&app, &request.principal).await?.body(&key)))
}

/// Revoke a key of one's account. Every token of that key dies with it, at once.
///
/// The proof must be by a key of the account. There must be no body. With `Prefer:
/// return=representation` the answer names the live keys that the revoked one had added.
#[utoipa::path(
    delete,
    path = wire::path::KEY,
    tag = "account",
    security(("dpop" = [])),
    params(
        ("thumbprint" = String, Path, description = "The key's thumbprint"),
        ("Passkey-Assertion" = Option<String>, Header, description = "The answer of a passkey that allows this request"),
    ),
    responses(
        (status = 200, body = RevokedBody, description = "With `Prefer: return=representation`"),
        (status = 204, description = "Without"),
        (status = 403, description = "step-up-needed"),
        (status = 404, description = "not-found"),
        (status = 409, description = "last-key"),
    )
)]
pub(crate) async fn revoke_key(
    State(app): State<App>,
    thumbprint: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    request: ChangeRequest,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    let thumbprint = named_key(thumbprint)?;
    let revoke = RevokeKey { thumbprint };
    let change = app.authority.accounts.step_up(request.with_body(&body), revoke).await?;
    let added = app.authority.accounts.revoke_own_key(change).await?;
    if !wants_representation(&headers) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let bodies = KeyBodies::of(&app, &request.principal).await?;
    let added_keys = added.iter().map(|key| bodies.body(key)).collect();
    let applied = [(PREFERENCE_APPLIED, REPRESENTATION)];
    Ok((applied, Json(RevokedBody { added_keys })).into_response())
}

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const REPRESENTATION: &str = "return=representation";

/// Whether the client prefers an answer with a body (RFC 7240 §4.2).
fn wants_representation(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = fields.flat_map(|field| field.split(','));
    preferences.any(|preference| preference.trim().eq_ignore_ascii_case(REPRESENTATION))
}

/// The key that the path names.
fn named_key(thumbprint: Result<Path<String>, PathRejection>) -> Result<Thumbprint, Problem> {
    let unknown = || Problem::new(ProblemType::NotFound).detail("no such key");
    let Path(thumbprint) = thumbprint.map_err(|_| unknown())?;
    thumbprint.parse().map_err(|_| unknown())
}
