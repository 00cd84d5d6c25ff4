//! *gradecoin*: registration by one-time password, sealed for the server's RSA key.
//!
//! Accounts that registered in this way send self-signed JWTs with the hash of the body in `tha`.
//! The guard verifies them like those of [`self_signed`](super::self_signed).

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use countersign_authority::{
    dialects::gradecoin::{SealedRegistered, SealedRegistration, SealedRegistrationError},
    keys::registration_key::RegistrationKeyError,
};
use countersign_protocol::envelope::aes_cbc_oaep::SealedObject;
use http::{StatusCode, header};
use serde_json::{Map, Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::shape::{Answer, Shape};
use crate::{
    http::{address::ClientAddress, problem::Problem, response},
    state::App,
};

/// The shape of a registration.
pub(super) const REGISTER: Shape = Shape {
    name: "gradecoin",
    members: &[&["c", "iv", "key"]],
    takes_code: false,
    success: (StatusCode::CREATED, r#"{"res":"Success","message"}"#),
    refusal: &["res", "message"],
    register,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(public_key))
}

/// The public key for which registrations are sealed.
#[utoipa::path(
    get,
    path = "/gradecoin.pub",
    tag = "dialects",
    responses(
        (status = 200, body = String, content_type = "application/x-pem-file", description = "RSA, SPKI in PEM"),
        (status = 503, description = "unavailable"),
    )
)]
pub(crate) async fn public_key(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let pem = app.authority.dialects.gradecoin.registration_key_pem().await?.to_owned();
    let content_type = (header::CONTENT_TYPE, "application/x-pem-file");
    Ok(([content_type, (header::CACHE_CONTROL, "public, max-age=300")], pem))
}

fn register(app: App, client: ClientAddress, body: Map<String, Value>) -> Answer {
    Box::pin(async move {
        // A body that is no text is treated like a text that does not open.
        let text = |name| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let sealed = SealedObject { key: text("key"), iv: text("iv"), ciphertext: text("c") };
        let registration = SealedRegistration { sealed, address: client.0 };
        match app.authority.dialects.gradecoin.register_sealed(registration).await {
            Ok(registered) => Ok(success(&registered)),
            Err(error) => failure(error),
        }
    })
}

fn success(SealedRegistered { fingerprint, .. }: &SealedRegistered) -> Response {
    let message = format!("You are registered with the fingerprint {fingerprint}");
    answer(StatusCode::CREATED, "Success", &message)
}

fn failure(error: SealedRegistrationError) -> Result<Response, Problem> {
    match error {
        SealedRegistrationError::Closed
        | SealedRegistrationError::Key(_)
        | SealedRegistrationError::KeyTaken
        | SealedRegistrationError::Refused
        | SealedRegistrationError::UsernameTaken => {
            Ok(answer(StatusCode::BAD_REQUEST, "Error", &error.to_string()))
        }
        SealedRegistrationError::NotAdmitted(error) => Err(error.into()),
        SealedRegistrationError::RegistrationKey(error) => Err(error.into()),
        SealedRegistrationError::Store(error) => Err(error.into()),
    }
}

fn answer(status: StatusCode, result: &'static str, message: &str) -> Response {
    let answer = response::uncached_json(&json!({ "res": result, "message": message }));
    (status, answer).into_response()
}

impl From<RegistrationKeyError> for Problem {
    fn from(error: RegistrationKeyError) -> Self {
        match error {
            RegistrationKeyError::Store(error) => error.into(),
            RegistrationKeyError::Damaged(_)
            | RegistrationKeyError::Key(_)
            | RegistrationKeyError::Opening(_) => Self::internal(error),
        }
    }
}
