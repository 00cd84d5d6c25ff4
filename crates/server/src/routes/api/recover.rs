//! Recovers an account with a one-time code from an administrator.

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse as _, Response},
};
use countersign_authority::{
    accounts::recovery::{Recovered, Recovery, RecoveryKey},
    core::dpop::PresentedDpop,
};
use countersign_protocol::{keys::Thumbprint, wire};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::accounts::presented_key;
use crate::{
    http::{
        address::ClientAddress,
        body::{SignedJson, dpop_fields},
        problem::{Problem, ProblemType},
        response,
    },
    state::App,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecoverBody {
    /// The one-time code of an administrator, `csr_` and 27 characters.
    code: String,
    /// The key that shall log in from now on: a JWK, an SPKI or PKCS#1 PEM, or base64 of SPKI DER.
    public_key: Option<Value>,
    /// A name for the key, such as the device.
    label: Option<String>,
    /// `true`, in place of a key: the server makes a new password for an account that has one.
    new_password: Option<bool>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveredBody {
    account_id: String,
    username: String,
    /// RFC 7638 SHA-256 thumbprint of the new key.
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbprint: Option<String>,
    /// The new password. It is kept nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    /// The thumbprints of the keys that were revoked by that.
    revoked_keys: Vec<String>,
}

/// Get back into an account with a one-time code of an administrator.
///
/// With `public_key`, the `DPoP` header carries a proof by that very key for this method and URL,
/// whose claim `tha` covers the body. With `new_password` there is no proof.
#[utoipa::path(
    post,
    path = wire::path::RECOVER,
    tag = "accounts",
    params(
        ("username" = String, Path, description = "The username, the account id or the fingerprint"),
        ("DPoP" = Option<String>, Header, description = "A DPoP proof by the new key, with `tha`"),
    ),
    request_body = RecoverBody,
    responses(
        (status = 201, body = RecoveredBody),
        (status = 400, description = "invalid-json, invalid-key, invalid-proof, invalid-request or nonce-required"),
        (status = 403, description = "recovery-code"),
        (status = 409, description = "key-taken or key-limit"),
    )
)]
pub(crate) async fn recover(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    SignedJson { value: body, bytes }: SignedJson<RecoverBody>,
) -> Result<Response, Problem> {
    // A text that is not a name names no account.
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let recovery = Recovery { name: &name, code: &body.code, address: client.0 };
    let wants_password = body.new_password.unwrap_or_default();
    match &body.public_key {
        Some(key) if !wants_password => {
            let uri = app.authority.core.policy().origin.join(uri.path());
            let uri = uri.map_err(|error| {
                Problem::new(ProblemType::InvalidRequest).detail(error.to_string())
            })?;
            let fields = dpop_fields(&headers);
            let proof = PresentedDpop { fields: &fields, method: Method::POST.as_str(), uri: &uri };
            let public_key = presented_key(key)?;
            let label = body.label.as_deref();
            let key = RecoveryKey { public_key, label, proof, body: &bytes };
            let (recovered, key) = app.authority.accounts.recover_with_key(recovery, key).await?;
            Ok(created(&recovered, Some(key), None))
        }
        None if wants_password && body.label.is_none() => {
            let (recovered, password) =
                app.authority.accounts.recover_with_password(recovery).await?;
            Ok(created(&recovered, None, Some(&password)))
        }
        Some(_) | None => Err(Problem::new(ProblemType::InvalidRequest)
            .detail("send either public_key, and label if you like, or \"new_password\": true")),
    }
}

fn created(
    Recovered { account_id, username, revoked }: &Recovered,
    key: Option<Thumbprint>,
    password: Option<&str>,
) -> Response {
    let answer = response::uncached_json(&RecoveredBody {
        account_id: account_id.to_string(),
        username: username.to_string(),
        thumbprint: key.map(|key| key.to_string()),
        password: password.map(str::to_owned),
        revoked_keys: revoked.iter().map(ToString::to_string).collect(),
    });
    (StatusCode::CREATED, answer).into_response()
}
