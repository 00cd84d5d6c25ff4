//! A new slot of one's online keyring, for a password or a recovery code.

use axum::{Extension, Json, extract::State};
use countersign_protocol::{Principal, strict::base64url, wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document_body::bytes;
use crate::{
    http::{address::ClientAddress, body::StrictJson, problem::Problem},
    state::App,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfferSlotBody {
    /// `password` or `recovery`.
    #[schema(example = "password")]
    kind: String,
    /// The first message of a registration with OPAQUE, base64url.
    request: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct OfferedSlotBody {
    /// The id of the slot, base64url.
    id: String,
    /// To be brought back with the record, within ten minutes.
    ticket: String,
    /// The answer of OPAQUE, base64url.
    response: String,
}

/// The server's answer to the first message of a registration with OPAQUE, for a new slot. Nothing is
/// stored; the slot comes to be with the keyring that has it.
#[utoipa::path(
    post,
    path = wire::path::KEYRING_SLOTS,
    tag = "keyring",
    security(("dpop" = [])),
    request_body = OfferSlotBody,
    responses(
        (status = 200, body = OfferedSlotBody),
        (status = 400, description = "invalid-json or invalid-request"),
        (status = 403, description = "step-up-needed: the proof does not cover method and URL, or the token was narrowed"),
    )
)]
pub(crate) async fn offer_slot(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Extension(client): Extension<ClientAddress>,
    StrictJson(body): StrictJson<OfferSlotBody>,
) -> Result<Json<OfferedSlotBody>, Problem> {
    let wanted = (body.kind.parse()?, bytes("request", &body.request)?);
    let offered = app.authority.online_keyring.offer_slot(&principal, wanted, client.0).await?;
    Ok(Json(OfferedSlotBody {
        id: offered.id.to_string(),
        ticket: offered.ticket,
        response: base64url::encode(&offered.response),
    }))
}
