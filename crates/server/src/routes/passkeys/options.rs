//! Options for the browser: a challenge, and what else it needs to make or use a passkey. Nothing is
//! stored for it.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use countersign_authority::{core::dpop::PresentedDpop, passkeys::options::OptionsRequest};
use countersign_protocol::{
    Principal, challenges::passkeys::RequestDigest, proofs::body_hash::parse_sha256, wire,
};
use http::{HeaderMap, Method};
use serde::Deserialize;
use utoipa::ToSchema;

use super::options_body::{CreationOptionsBody, RequestOptionsBody};
use crate::{
    http::{
        address::ClientAddress,
        body::{StrictJson, dpop_fields},
        problem::{Problem, ProblemType},
    },
    state::App,
};

/// What the options are for.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "purpose", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum OptionsBody {
    /// Signing in with any passkey.
    SignIn,
    /// Making the first passkey of an account that does not exist yet.
    Register {
        /// The name that the account is to have.
        #[schema(example = "alice")]
        username: String,
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
}

/// Options for signing in, or for registering, with a passkey.
///
/// The `DPoP` header carries a proof by the key of the browser; the challenge works for that key
/// alone. The answer is `PublicKeyCredentialRequestOptionsJSON` or
/// `PublicKeyCredentialCreationOptionsJSON`.
#[utoipa::path(
    post,
    path = wire::path::PASSKEY_OPTIONS,
    tag = "passkeys",
    params(("DPoP" = String, Header, description = "A DPoP proof by the key of the browser")),
    request_body = OptionsBody,
    responses(
        (status = 200, body = RequestOptionsBody, description = "For `sign-in`; for `register`, `CreationOptionsBody`"),
        (status = 400, description = "invalid-json, invalid-proof, invalid-username or nonce-required"),
        (status = 403, description = "enrolment-closed"),
        (status = 404, description = "not-found: there are no passkeys here"),
        (status = 409, description = "username-taken"),
    )
)]
pub(crate) async fn options(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    StrictJson(body): StrictJson<OptionsBody>,
) -> Result<Response, Problem> {
    let origin = &app.authority.core.policy().origin;
    let uri = origin.join(wire::path::PASSKEY_OPTIONS).map_err(Problem::internal)?;
    let (fields, method) = (&dpop_fields(&headers), Method::POST.as_str());
    let proof = PresentedDpop { fields, method, uri: &uri };
    let request = OptionsRequest { proof, address: client.0 };
    let passkeys = &app.authority.passkeys;
    Ok(match body {
        OptionsBody::SignIn => {
            Json(RequestOptionsBody::from(passkeys.to_sign_in(request).await?)).into_response()
        }
        OptionsBody::Register { username } => {
            let options = passkeys.to_register(request, &username).await?;
            Json(CreationOptionsBody::from(options)).into_response()
        }
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
/// its JSON. It works once, with the key that signs this request, and with that very request.
#[utoipa::path(
    post,
    path = wire::path::PASSKEY_OPTIONS_STEP_UP,
    tag = "passkeys",
    security(("dpop" = [])),
    request_body = StepUpBody,
    responses(
        (status = 200, body = RequestOptionsBody),
        (status = 400, description = "invalid-json or invalid-request"),
        (status = 403, description = "step-up-needed: the account has no passkey, or the token is bound to no key"),
        (status = 404, description = "not-found: there are no passkeys here"),
    )
)]
pub(crate) async fn options_to_step_up(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    StrictJson(StepUpBody { operation }): StrictJson<StepUpBody>,
) -> Result<Json<RequestOptionsBody>, Problem> {
    let hash = operation.body_sha256.as_deref().map(read_hash).transpose()?;
    let request = RequestDigest::of(&operation.method, &operation.path, hash);
    Ok(Json(app.authority.passkeys.to_step_up(&principal, request).await?.into()))
}

fn read_hash(text: &str) -> Result<[u8; 32], Problem> {
    parse_sha256(text).ok_or_else(|| {
        Problem::new(ProblemType::InvalidRequest)
            .detail("body_sha256 is the SHA-256 of the body in 64 lower-case hexadecimal digits")
    })
}
