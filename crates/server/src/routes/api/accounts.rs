//! Registration, and the public keys of an account.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    response::IntoResponse,
};
use countersign_authority::{
    accounts::registration::{PresentedKey, Registration},
    core::dpop::PresentedDpop,
    model::{
        account::AccountName,
        credential::{InvalidRemember, Remember},
    },
};
use countersign_protocol::wire;
use http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    http::{
        address::ClientAddress,
        body::{StrictJson, dpop_fields, user_agent},
        problem::{Problem, ProblemType},
    },
    state::App,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterBody {
    /// 1 to 64 ASCII letters, digits and `. _ - @ +`, beginning with a letter or digit.
    #[schema(example = "alice")]
    username: String,
    /// A JWK, an SPKI or PKCS#1 PEM, or base64 of SPKI DER.
    public_key: Value,
    /// A name for the key, such as the device.
    #[schema(example = "laptop")]
    label: Option<String>,
    /// The one-time code of an invitation.
    enrolment_code: Option<String>,
    /// A passkey that the account is to have besides: `RegistrationResponseJSON`, what the browser made
    /// of the options for `register`, which it asked for with this key.
    passkey: Option<Map<String, Value>>,
    /// For the key of a browser: `browser`, to be remembered for as long as it is used, or `visit`, for
    /// some hours. Left out, the key does not expire.
    #[schema(example = "browser")]
    remember: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RegisteredBody {
    account_id: String,
    username: String,
    /// RFC 7638 SHA-256 thumbprint of the key.
    thumbprint: String,
}

/// Register an account with its first key.
///
/// The `DPoP` header carries a proof by that very key for this method and URL.
#[utoipa::path(
    post,
    path = wire::path::ACCOUNTS,
    tag = "accounts",
    params(("DPoP" = String, Header, description = "A DPoP proof by the key to be registered")),
    request_body = RegisterBody,
    responses(
        (status = 201, body = RegisteredBody),
        (status = 400, description = "invalid-json, invalid-key, invalid-proof, invalid-request (the label or remember), invalid-username or nonce-required"),
        (status = 403, description = "enrolment-closed or enrolment-code"),
        (status = 409, description = "username-taken or key-taken"),
    )
)]
pub(crate) async fn register(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    StrictJson(body): StrictJson<RegisterBody>,
) -> Result<impl IntoResponse, Problem> {
    let uri =
        app.authority.core.policy().origin.join(wire::path::ACCOUNTS).map_err(Problem::internal)?;
    let passkey = body.passkey.map(|passkey| Value::Object(passkey).to_string());
    let registered = app
        .authority
        .accounts
        .register(Registration {
            username: &body.username,
            public_key: presented_key(&body.public_key)?,
            label: body.label.as_deref(),
            enrolment_code: body.enrolment_code.as_deref(),
            proof: PresentedDpop {
                fields: &dpop_fields(&headers),
                method: Method::POST.as_str(),
                uri: &uri,
            },
            passkey: passkey.as_deref(),
            remember: remembered(body.remember.as_deref())?,
            address: client.0,
            user_agent: user_agent(&headers),
        })
        .await?;
    Ok((
        StatusCode::CREATED,
        Extension(registered.actor()),
        Json(RegisteredBody {
            account_id: registered.account_id.to_string(),
            username: registered.username.to_string(),
            thumbprint: registered.thumbprint.to_string(),
        }),
    ))
}

/// A `remember` member.
pub(super) fn remembered(text: Option<&str>) -> Result<Option<Remember>, Problem> {
    text.map(str::parse).transpose().map_err(|error: InvalidRemember| {
        Problem::new(ProblemType::InvalidRequest).detail(error.to_string())
    })
}

/// A `public_key` member: an object is a JWK, a string is anything else.
pub(super) fn presented_key(value: &Value) -> Result<PresentedKey<'_>, Problem> {
    match value {
        Value::Object(jwk) => Ok(PresentedKey::Jwk(jwk)),
        Value::String(text) => Ok(PresentedKey::Text(text)),
        _ => Err(Problem::new(ProblemType::InvalidKey)
            .detail("public_key is a JWK object, a PEM text, or base64 of SPKI DER")),
    }
}

/// The live public keys of an account, and what it may do.
///
/// For resource servers that verify what the account signs.
#[utoipa::path(
    get,
    path = wire::path::ACCOUNT_KEYS,
    tag = "accounts",
    params(("username" = String, Path, description = "The username, the account id or the fingerprint")),
    responses(
        (status = 200, description = "A JWK Set (RFC 7517) with the members account_id, username, fingerprint and scope", content_type = "application/jwk-set+json"),
        (status = 404, description = "not-found"),
    )
)]
pub(crate) async fn account_jwks(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let unknown = || Problem::new(ProblemType::NotFound).detail("no such account");
    let Path(name) = name.map_err(|_| unknown())?;
    let name: AccountName = name.parse().map_err(|_| unknown())?;
    let (account, keys) = app.authority.accounts.account_keys(&name).await?.ok_or_else(unknown)?;
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| {
            let mut jwk = key.to_published_jwk();
            jwk.insert("use".to_owned(), "sig".into());
            jwk.insert("kid".to_owned(), key.thumbprint().to_string().into());
            Value::Object(jwk)
        })
        .collect();
    // Short, because a revoked key must disappear from it soon.
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=5"),
    ];
    let mut document = json!({
        "keys": keys,
        "account_id": account.id.to_string(),
        "username": account.username.as_str(),
        "scope": account.scopes.to_string(),
    });
    if let Some(fingerprint) = account.fingerprint {
        document["fingerprint"] = fingerprint.to_string().into();
    }
    Ok((headers, document.to_string()))
}
