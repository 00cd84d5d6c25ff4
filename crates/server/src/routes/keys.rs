//! An account's own keys.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
};
use countersign_authority::{AddKey, credential::Credential};
use countersign_protocol::{Principal, keys::Thumbprint};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::accounts::presented_key;
use crate::{
    address::ClientAddress,
    app::App,
    body::StrictJson,
    problem::{Problem, ProblemBody, ProblemType},
};

const PATH: &str = "/v1/keys";

#[derive(Serialize, ToSchema)]
pub(crate) struct KeyBody {
    /// RFC 7638 SHA-256 thumbprint: the key's identity.
    thumbprint: String,
    label: String,
    /// The kind of key, in words.
    #[schema(example = "Ed25519")]
    key_type: &'static str,
    /// The public key, as a JWK.
    public_key: Map<String, Value>,
    /// Seconds since 1970, as all times here.
    created_at: u64,
    /// When it last logged in.
    last_used_at: Option<u64>,
    revoked_at: Option<u64>,
    /// Whether it is the key that this session logged in with.
    current: bool,
}

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
    /// A DPoP proof by the new key, for this method and URL: it proves itself too.
    new_key_proof: String,
}

/// List the keys of one's account, live and revoked.
#[utoipa::path(
    get,
    path = PATH,
    tag = "account",
    security(("dpop" = [])),
    responses((status = 200, body = KeysBody))
)]
pub(crate) async fn list_keys(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<KeysBody>, Problem> {
    let keys = app.authority.own_keys(&principal).await?;
    let keys = keys.iter().map(|key| to_body(key, &principal)).collect();
    Ok(Json(KeysBody { keys }))
}

/// Add a key to one's account.
#[utoipa::path(
    post,
    path = PATH,
    tag = "account",
    security(("dpop" = [])),
    request_body = AddKeyBody,
    responses(
        (status = 201, body = KeyBody),
        (status = 400, body = ProblemBody, content_type = "application/problem+json", description = "invalid-json, invalid-key, invalid-proof, invalid-request (the label) or nonce-required"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "key-taken or key-limit"),
    )
)]
pub(crate) async fn add_key(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Extension(client): Extension<ClientAddress>,
    StrictJson(body): StrictJson<AddKeyBody>,
) -> Result<(StatusCode, Json<KeyBody>), Problem> {
    let uri = app.authority.policy().origin.join(PATH).map_err(Problem::internal)?;
    let request = AddKey {
        public_key: presented_key(&body.public_key)?,
        label: body.label.as_deref(),
        new_key_proof: &body.new_key_proof,
        method: Method::POST.as_str(),
        uri: &uri,
        address: client.0,
    };
    let key = app.authority.add_key(&principal, request).await?;
    Ok((StatusCode::CREATED, Json(to_body(&key, &principal))))
}

/// Revoke a key of one's account. Every token of that key dies with it, at once.
#[utoipa::path(
    delete,
    path = "/v1/keys/{thumbprint}",
    tag = "account",
    security(("dpop" = [])),
    params(("thumbprint" = String, Path, description = "The key's thumbprint")),
    responses(
        (status = 204),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "not-found"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "last-key"),
    )
)]
pub(crate) async fn revoke_key(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Extension(client): Extension<ClientAddress>,
    thumbprint: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let unknown = || Problem::new(ProblemType::NotFound).detail("no such key");
    let Path(thumbprint) = thumbprint.map_err(|_| unknown())?;
    let thumbprint: Thumbprint = thumbprint.parse().map_err(|_| unknown())?;
    app.authority.revoke_own_key(&principal, &thumbprint, client.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn to_body(key: &Credential, principal: &Principal) -> KeyBody {
    KeyBody {
        thumbprint: key.thumbprint().to_string(),
        label: key.label.to_string(),
        key_type: key.public_key.key_type().name(),
        public_key: key.public_key.to_jwk(),
        created_at: key.created_at.as_secs(),
        last_used_at: key.last_used_at.map(countersign_protocol::UnixTime::as_secs),
        revoked_at: key.revoked_at.map(countersign_protocol::UnixTime::as_secs),
        current: principal.key.is_some_and(|own| own.credential == key.thumbprint()),
    }
}
