//! Adding a passkey to one's account. All else is done to it as to every key: `/v1/keys`.

use axum::{Json, extract::State};
use countersign_authority::{
    accounts::own_passkeys::AddPasskey, passkeys::registration::PresentedPasskey,
};
use countersign_protocol::wire;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    http::{
        body::SignedJson,
        change_request::ChangeRequest,
        problem::{Problem, ProblemType},
    },
    routes::api::key_body::{KeyBodies, KeyBody},
    state::App,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddPasskeyBody {
    /// `RegistrationResponseJSON`: what the browser made of `/v1/passkeys/options/add`.
    passkey: Map<String, Value>,
    /// A name for the passkey, such as the device or the password manager.
    label: Option<String>,
}

/// Add a passkey to one's account.
///
/// The proof must be by the key that the options were made for, and cover the body (`tha`). A browser
/// needs besides what every change of keys by a browser needs: a passkey that the account has must
/// allow it (`Passkey-Assertion`), or, if it has none, the browser must have logged in just now.
#[utoipa::path(
    post,
    path = wire::path::PASSKEYS,
    tag = "passkeys",
    security(("dpop" = [])),
    params(("Passkey-Assertion" = Option<String>, Header, description = "The answer of a passkey that allows this request")),
    request_body = AddPasskeyBody,
    responses(
        (status = 201, body = KeyBody),
        (status = 400, description = "invalid-json, invalid-proof or invalid-request (the label)"),
        (status = 403, description = "step-up-needed"),
        (status = 404, description = "not-found: there are no passkeys here"),
        (status = 409, description = "key-taken or key-limit"),
    )
)]
pub(crate) async fn add_passkey(
    State(app): State<App>,
    request: ChangeRequest,
    SignedJson { value: body, bytes }: SignedJson<AddPasskeyBody>,
) -> Result<(StatusCode, Json<KeyBody>), Problem> {
    let unbound = || Problem::new(ProblemType::StepUpNeeded).with("lack", "unbound-token");
    let browser = request.principal.key.ok_or_else(unbound)?.thumbprint;
    let accounts = &app.authority.accounts;
    let change = accounts.step_up(request.with_body(&bytes), AddPasskey { browser }).await?;
    let json = Value::Object(body.passkey).to_string();
    let presented = PresentedPasskey { json: &json, label: body.label.as_deref() };
    let key = accounts.add_passkey(change, presented).await?;
    let bodies = KeyBodies::of(&app, &request.principal).await?;
    Ok((StatusCode::CREATED, Json(bodies.body(&key))))
}
