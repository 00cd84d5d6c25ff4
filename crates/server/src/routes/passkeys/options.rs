//! Options for the browser: a challenge, and what else it needs to make or use a passkey. Nothing is
//! stored for it.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use countersign_protocol::{
    Principal,
    challenges::request_digest::{Conditions, RequestDigest},
    keys::Thumbprint,
    proofs::body_hash::parse_sha256,
    wire,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    options_body::{CreationOptionsBody, RequestOptionsBody},
    step_up_operations,
};
use crate::{
    http::{
        address::ClientAddress,
        body::StrictJson,
        problem::{Problem, ProblemType},
    },
    state::App,
};

/// What the options are for.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "purpose", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum OptionsBody {
    /// Signing in with any passkey.
    SignIn {
        /// The thumbprint (RFC 7638) of the key of the browser.
        #[schema(example = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")]
        dpop_jkt: String,
    },
    /// Making the first passkey of an account that does not exist yet.
    Register {
        /// The thumbprint (RFC 7638) of the key of the browser.
        #[schema(example = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")]
        dpop_jkt: String,
        /// The name that the account is to have.
        #[schema(example = "alice")]
        username: String,
        /// The one-time code of an invitation, if there is one.
        enrolment_code: Option<String>,
    },
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepUpBody {
    operation: OperationBody,
}

/// A request to this server.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationBody {
    #[schema(example = "POST")]
    method: String,
    /// From the first slash on, without a query.
    #[schema(example = "/v1/keys")]
    path: String,
    /// SHA-256 of the body in lower-case hexadecimal; null where there is no body.
    body_sha256: Option<String>,
    /// The header field `If-Match` of the request; null where there is none.
    #[schema(example = "\"7\"")]
    if_match: Option<String>,
    /// The header field `If-None-Match` of the request; null where there is none.
    if_none_match: Option<String>,
}

/// Options for signing in, or for registering, with a passkey.
///
/// The challenge works for the key of the browser alone, which `dpop_jkt` names (as in RFC 9449 §10) and
/// which proves the request that follows. The answer is `PublicKeyCredentialRequestOptionsJSON` or
/// `PublicKeyCredentialCreationOptionsJSON`.
#[utoipa::path(
    post,
    path = wire::path::PASSKEY_OPTIONS,
    tag = "passkeys",
    request_body = OptionsBody,
    responses(
        (status = 200, body = RequestOptionsBody, description = "For `sign-in`; for `register`, `CreationOptionsBody`"),
        (status = 400, description = "invalid-json, invalid-request (dpop_jkt) or invalid-username"),
        (status = 403, description = "enrolment-closed or enrolment-code"),
        (status = 404, description = "not-found: there are no passkeys here"),
        (status = 409, description = "username-taken"),
    )
)]
pub(crate) async fn options(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    StrictJson(body): StrictJson<OptionsBody>,
) -> Result<Response, Problem> {
    let passkeys = &app.authority.passkeys;
    Ok(match body {
        OptionsBody::SignIn { dpop_jkt } => {
            let options = passkeys.to_sign_in(read_thumbprint(&dpop_jkt)?)?;
            Json(RequestOptionsBody::from(options)).into_response()
        }
        OptionsBody::Register { dpop_jkt, username, enrolment_code } => {
            let key = read_thumbprint(&dpop_jkt)?;
            let (accounts, code) = (&app.authority.accounts, enrolment_code.as_deref());
            let options = accounts.options_to_register(key, &username, code, client.0).await?;
            Json(CreationOptionsBody::from(options)).into_response()
        }
    })
}

fn read_thumbprint(text: &str) -> Result<Thumbprint, Problem> {
    text.parse().map_err(|error| {
        Problem::new(ProblemType::InvalidRequest).detail(format!("dpop_jkt: {error}"))
    })
}

/// Options for making another passkey of one's account.
#[utoipa::path(
    post,
    path = wire::path::PASSKEY_OPTIONS_ADD,
    tag = "passkeys",
    security(("dpop" = [])),
    responses(
        (status = 200, body = CreationOptionsBody),
        (status = 403, description = "step-up-needed: the token is bound to no key"),
        (status = 404, description = "not-found: there are no passkeys here"),
    )
)]
pub(crate) async fn options_to_add(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<CreationOptionsBody>, Problem> {
    Ok(Json(app.authority.passkeys.to_add(&principal).await?.into()))
}

/// Options for allowing one request, which changes one's account, with a passkey.
///
/// The answer of the passkey goes into the header `Passkey-Assertion` of that request, as base64url of
/// its JSON. It works once, with the key that signs this request, and with that very request. An
/// operation that no passkey allows is refused.
#[utoipa::path(
    post,
    path = wire::path::PASSKEY_OPTIONS_STEP_UP,
    tag = "passkeys",
    security(("dpop" = [])),
    request_body = StepUpBody,
    responses(
        (status = 200, body = RequestOptionsBody),
        (status = 400, description = "invalid-json, or invalid-request: no passkey is needed for that operation"),
        (status = 403, description = "step-up-needed: the account has no passkey, or the token is bound to no key"),
        (status = 404, description = "not-found: there are no passkeys here"),
    )
)]
pub(crate) async fn options_to_step_up(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    StrictJson(StepUpBody { operation }): StrictJson<StepUpBody>,
) -> Result<Json<RequestOptionsBody>, Problem> {
    step_up_operations::check(&operation.method, &operation.path)?;
    let hash = operation.body_sha256.as_deref().map(read_hash).transpose()?;
    let conditions = Conditions {
        if_match: operation.if_match.as_deref().map(trimmed),
        if_none_match: operation.if_none_match.as_deref().map(trimmed),
    };
    let request = RequestDigest::of(&operation.method, &operation.path, conditions, hash);
    Ok(Json(app.authority.passkeys.to_step_up(&principal, request).await?.into()))
}

const fn trimmed(field: &str) -> &[u8] {
    field.as_bytes().trim_ascii()
}

fn read_hash(text: &str) -> Result<[u8; 32], Problem> {
    parse_sha256(text).ok_or_else(|| {
        Problem::new(ProblemType::InvalidRequest)
            .detail("body_sha256 is the SHA-256 of the body in 64 lower-case hexadecimal digits")
    })
}
