//! The content of one's online keyring.

use axum::{extract::State, response::Response};
use countersign_authority::{
    model::keyring::KeyringContent,
    online_keyring::changing::{ChangeContentError, ReplaceContent},
};
use countersign_protocol::wire;
use http::HeaderMap;
use serde::Deserialize;
use utoipa::ToSchema;

use super::document_body::{RevisionBody, changed};
use crate::{
    http::{
        body::SignedJson, change_request::ChangeRequest, preconditions::replaced_revision,
        problem::Problem,
    },
    state::App,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContentBody {
    /// base64url of 12 bytes.
    nonce: String,
    /// base64url of the ciphertext, with the tag at its end.
    ciphertext: String,
    /// The id of the account whose keyring is meant. Another one's request is refused.
    account_id: Option<String>,
}

/// Replace the content of one's online keyring. The slots stay, and the content key with them.
///
/// The content that was there is kept. The last 20 are (configurable). When there are so many and all were
/// replaced in the last 30 days (configurable), the request needs what storing a keyring needs. So does one by
/// a session key, and one with the nonce of an earlier content that is kept.
#[utoipa::path(
    put,
    path = wire::path::KEYRING_CONTENT,
    tag = "keyring",
    security(("dpop" = [])),
    params(
        ("If-Match" = String, Header, description = "The `ETag` of the keyring whose content this one replaces"),
        ("Passkey-Assertion" = Option<String>, Header, description = "The answer of a passkey that allows this request"),
    ),
    request_body = ContentBody,
    responses(
        (status = 200, body = RevisionBody, description = "With `ETag`"),
        (status = 400, description = "invalid-json, invalid-keyring or invalid-request"),
        (status = 403, description = "step-up-needed: the proof does not cover method and URL, the token was narrowed, or a step-up is needed"),
        (status = 404, description = "no-keyring"),
        (status = 409, description = "other-account"),
        (status = 412, description = "keyring-changed; `ETag` says what is there"),
        (status = 428, description = "precondition-required"),
    )
)]
pub(crate) async fn change_content(
    State(app): State<App>,
    request: ChangeRequest,
    headers: HeaderMap,
    SignedJson { value: body, bytes: signed }: SignedJson<ContentBody>,
) -> Result<Response, Problem> {
    request.check_account(body.account_id.as_deref())?;
    let replaces = replaced_revision(&headers)?;
    let content = || KeyringContent::from_texts(&body.nonce, &body.ciphertext);
    let keyrings = &app.authority.online_keyring;
    let (principal, client) = (&request.principal, request.client.0);
    match keyrings.change_content(principal, (replaces, content()?), client).await {
        Err(ChangeContentError::StepUpNeeded(why)) => {
            let change = ReplaceContent { replaces, content: content()? };
            let leave = app.authority.accounts.step_up(request.with_body(&signed), change).await;
            let change = leave.map_err(|error| Problem::from(error).since(why))?;
            Ok(changed(keyrings.replace_content(change).await?))
        }
        answered => Ok(changed(answered?)),
    }
}
