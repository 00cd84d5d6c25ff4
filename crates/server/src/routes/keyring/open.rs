//! Opening an online keyring: with what its owner knows, by OPAQUE and without a login, or with a
//! passkey.

use axum::{Extension, Json, extract::State, response::Response};
use countersign_authority::{
    core::dpop::PresentedDpop,
    online_keyring::opening::{Claim, Finish},
};
use countersign_protocol::{strict::base64url, wire};
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document_body::{OpenedBody, bytes, opened};
use crate::{
    http::{
        address::ClientAddress,
        body::{RawBody, StrictJson, dpop_fields},
        change_request::ChangeRequest,
        problem::Problem,
    },
    state::App,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenBody {
    #[schema(example = "alice")]
    username: String,
    /// `password` or `recovery`.
    #[schema(example = "password")]
    kind: String,
    /// The first message of a login with OPAQUE, base64url.
    request: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BegunBody {
    /// To be brought back within five minutes, with a proof by the same key. It works once.
    state: String,
    /// The answer of OPAQUE, base64url.
    response: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FinishBody {
    /// What came with the answer.
    state: String,
    /// The last message of the login, base64url.
    finalization: String,
}

/// The server's answer to the first message of a login with OPAQUE. It looks the same whether there is
/// such an account or not, and nothing is stored.
///
/// It counts as a try, which a finished login gives back.
#[utoipa::path(
    post,
    path = wire::path::KEYRING_OPEN,
    tag = "keyring",
    params(("DPoP" = String, Header, description = "A DPoP proof by any key")),
    request_body = OpenBody,
    responses(
        (status = 200, body = BegunBody),
        (status = 400, description = "invalid-json, invalid-proof, invalid-request or nonce-required"),
    )
)]
pub(crate) async fn open(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    StrictJson(body): StrictJson<OpenBody>,
) -> Result<Json<BegunBody>, Problem> {
    let uri = app.authority.core.policy().origin.join(wire::path::KEYRING_OPEN);
    let uri = uri.map_err(Problem::internal)?;
    let fields = &dpop_fields(&headers);
    let claim = Claim {
        username: &body.username,
        knowledge: body.kind.parse()?,
        request: bytes("request", &body.request)?,
        proof: PresentedDpop { fields, method: Method::POST.as_str(), uri: &uri },
        address: client.0,
    };
    let begun = app.authority.online_keyring.begin(claim).await?;
    let response = base64url::encode(&begun.response);
    Ok(Json(BegunBody { state: begun.state, response }))
}

/// Finish the login, and get the keyring.
#[utoipa::path(
    post,
    path = wire::path::KEYRING_OPEN_FINISH,
    tag = "keyring",
    params(("DPoP" = String, Header, description = "A DPoP proof by the key that the login began with")),
    request_body = FinishBody,
    responses(
        (status = 200, body = OpenedBody, description = "With `ETag`"),
        (status = 400, description = "invalid-json, invalid-proof, invalid-request or nonce-required"),
        (status = 401, description = "keyring-not-opened"),
    )
)]
pub(crate) async fn finish(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    StrictJson(body): StrictJson<FinishBody>,
) -> Result<Response, Problem> {
    let uri = app.authority.core.policy().origin.join(wire::path::KEYRING_OPEN_FINISH);
    let uri = uri.map_err(Problem::internal)?;
    let (fields, finalization) =
        (&dpop_fields(&headers), &bytes("finalization", &body.finalization)?);
    let proof = PresentedDpop { fields, method: Method::POST.as_str(), uri: &uri };
    let finish = Finish { state: &body.state, finalization, proof, address: client.0 };
    let (account, keyring) = app.authority.online_keyring.finish(finish).await?;
    Ok(opened(account, keyring))
}

/// Get one's own online keyring with a passkey, whose PRF opens it. There must be no body.
///
/// The answer of the passkey is demanded of every client, whatever its key.
#[utoipa::path(
    post,
    path = wire::path::KEYRING_OPEN_PRF,
    tag = "keyring",
    security(("dpop" = [])),
    params(("Passkey-Assertion" = String, Header, description = "The answer of a passkey that allows this request")),
    responses(
        (status = 200, body = OpenedBody, description = "With `ETag`"),
        (status = 400, description = "invalid-request: there is a body"),
        (status = 403, description = "step-up-needed"),
        (status = 404, description = "no-keyring"),
    )
)]
pub(crate) async fn open_by_passkey(
    State(app): State<App>,
    request: ChangeRequest,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    let keyring = app.authority.online_keyring.open_by_passkey(request.with_body(&body)).await?;
    Ok(opened(request.principal.account_id, keyring))
}
